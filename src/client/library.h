/* SPDX-License-Identifier: MIT */
/* The inside of libpostern: what its files share. Nothing here is exported. */
#ifndef POSTERN_LIBRARY_H
#define POSTERN_LIBRARY_H

#include "buffer.h"
#include "hash.h"
#include "list.h"
#include "postern.h"

#include <stdbool.h>

#define CLIENT_MAX_RESPONSE (256u << 20)
#define CLIENT_FDS_PER_MESSAGE 253
#define CLIENT_FDS_WAITING 2048
#define CLIENT_ITEMS_WAITING 1000 /* of all requests; then nothing more is read */
#define CLIENT_RECONNECT_MS 5000

/* A text on its way out. */
struct client_output {
    struct list link;
    char *text;
    size_t len, sent;
    int *fds; /* ours */
    size_t n_fds;
    struct postern_request *request; /* NULL: it is of none, or that is gone */
};

/* A streamed item that nobody has taken yet. */
struct client_item {
    struct list link;
    json_t *value;
    int *fds;
    size_t n_fds;
};

enum client_request_state { REQUEST_MADE, REQUEST_IN_FLIGHT, REQUEST_DONE };

struct postern_request {
    struct postern *connection; /* NULL: closed */
    struct hash_node node;      /* in connection.requests while in flight */
    struct list link;           /* in connection.all, always */
    enum client_request_state state;
    bool cancelled; /* rpc.cancel was asked for */
    uint64_t id;
    char *method;
    json_t *params;                  /* until it is started */
    int fds[CLIENT_FDS_PER_MESSAGE]; /* to be sent; until it is started */
    size_t n_fds;
    int timeout_ms;
    uint64_t deadline_ms;         /* 0: none */
    struct client_output *output; /* NULL: written, or not started */
    json_t *result;
    struct postern_error error;
    int *answer_fds;
    size_t n_answer_fds;
    struct list items; /* struct client_item */
    postern_done_fn *on_done;
    postern_item_fn *on_item;
    postern_progress_fn *on_progress;
    postern_failed_fn *on_failed;
    void *done_arg, *item_arg, *progress_arg, *failed_arg, *data;
};

struct postern {
    char *path; /* NULL: of a descriptor */
    int fd;     /* -1: lost */
    int lost;   /* why: negative errno */
    struct buffer input;
    size_t scanned;              /* bytes of input without a line end */
    int fds[CLIENT_FDS_WAITING]; /* received, waiting for their message */
    size_t n_fds;
    struct list outputs;        /* struct client_output */
    struct hash_table requests; /* in flight, by id */
    struct list all;            /* all requests */
    uint64_t next_id;
    size_t n_items; /* waiting, of all requests */
    bool in_callback;
    postern_notification_fn *on_notification;
    void *notification_arg;
};

uint64_t client_now_ms(void);
void client_close_fds(int *fds, size_t n);

/* Fills the error unless it is NULL; returns `code`. */
int client_error(struct postern_error *error, int code, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* From the gateway's error object. */
int client_error_from_json(struct postern_error *error, const json_t *object);
/* Copies, for a second owner; `to` is empty. */
void client_error_copy(struct postern_error *to, const struct postern_error *from);

/* Connects; the descriptor (blocking mode off), or a negative errno. *ret_path is malloc'ed. */
int client_connect(const char *path, int timeout_ms, char **ret_path, struct postern_error *error);

/* The connection has ended: all requests in flight fail with `code`. Calls their callbacks. */
void client_lost(struct postern *p, int code, const struct postern_error *why);
/* Ends a request: removes it from the table and calls its callback; the request may be gone afterwards. */
void client_request_end(struct postern_request *r);
/* Queues a text (malloc'ed; taken in any case). */
int client_queue(struct postern *p, char *text, size_t len, int *fds, size_t n_fds, struct postern_request *request);
void client_output_free(struct client_output *o);
void client_item_free(struct client_item *item);
/* Handles one line: 0, -ENOMEM with nothing done, or -EPROTO. */
int client_dispatch(struct postern *p, const char *line, size_t len);

#endif
