/* SPDX-License-Identifier: MIT */
/* A small world for tests of sessions and pools: one loop, a server of the line protocol on it, endpoints that lead
 * there, and exchanges that note what happens to them. */
#ifndef POSTERN_NET_WORLD_H
#define POSTERN_NET_WORLD_H

#include "line_engine.h"
#include "pool.h"
#include "tls_peer.h"
#include "unit.h"

struct line_conn {
    struct list link;
    struct world *world;
    struct loop_io io;
    int fd;
    unsigned number; /* 1 for the first */
    char in[65536];
    size_t in_len;
    bool in_body, hung, handling;
    struct tls_peer tls; /* ssl NULL: in clear */
    unsigned proxy_step;
};

/* What a proxy that is played waits for, and answers. */
struct proxy_play {
    size_t need; /* bytes; 0: until an empty line */
    const char *reply;
    size_t reply_len;
};

struct world {
    struct loop *loop;
    struct worker_pool *workers;
    struct net_context *net;
    struct loop_timer tick;
    uint64_t give_up_ms;
    bool (*until)(struct world *w);
    int want;
    int fds_before;

    /* the server */
    int listener;
    struct loop_io accept_io;
    uint16_t port;
    struct list conns;
    unsigned accepted, open, max_open, auths, commits;
    const char *greeting; /* NULL: "+hi\n"; "": none */
    bool close_at_accept;
    char log[8192]; /* every line of requests, "N:line " */
    SSL_CTX *tls;                  /* for implicit_tls and the line "TLS" */
    bool implicit_tls, no_tls;     /* no_tls: refuses to begin it */
    bool tls_proxy;                /* the played proxy speaks TLS; the server behind it does not */
    const char *behind_go;         /* said in clear behind the agreement to TLS */
    const struct proxy_play *play; /* before the greeting */
    unsigned n_play;
    bool play_closes;   /* behind each step but the last; the next connection goes on with the next step */
    unsigned play_next; /* with which step a connection begins */
    char played[512]; /* what the proxy got to see */
    size_t n_played;
    /* 1: handled; 0: as usual. */
    int (*on_line)(struct world *w, struct line_conn *c, const char *line);

    /* what the exchanges tell */
    int started, done, events, failed;
    char order[4096]; /* names of exchanges as they ended */
    struct fault last_fault;
    bool closed;
    uint64_t logged;
};

void world_init(struct world *w);
/* Checks that no descriptor and no engine was left behind. */
void world_done(struct world *w);
/* Runs until `until` says so or twenty seconds are over; fails the test in the latter case. */
void world_run(struct world *w, bool (*until)(struct world *w), int want);
void world_run_for(struct world *w, unsigned ms);
bool world_done_is(struct world *w); /* w->done == w->want */
void world_listen(struct world *w);
void world_unlisten(struct world *w);
void conn_say(struct line_conn *c, const char *text);
void conn_close(struct line_conn *c);
void conn_reset(struct line_conn *c);

/* Without TLS and login; limits are generous. */
struct endpoint *world_endpoint(struct world *w);
struct pool *world_pool(struct world *w, struct endpoint *e); /* takes the reference */
void world_close(struct world *w, struct pool *p);

/* An exchange of one or more lines. */
struct test_exchange {
    struct exchange x;
    struct world *world;
    char name[16];
    struct line_request requests[4];
    unsigned n_requests;
    unsigned started, done, n_events;
    struct fault fault;
    bool has_fault, last_ok;
    char data[64];
    bool cancel_at_data;
    unsigned not_yet; /* so many starts are answered with EXCHANGE_NOT_YET */
    struct test_exchange *cancels; /* another, when this one ends */
    const char *body;
    size_t body_len;
    bool body_given, body_wait, body_fail;
};
/* `lines`: separated by '|'. changes: every line but the first letter lower-case. */
struct test_exchange *test_exchange_new(struct world *w, const char *name, const char *lines, bool changes);
/* One exchange from submission to end. */
struct test_exchange *world_call(struct world *w, struct pool *p, const char *lines, bool changes);
void test_exchange_free(struct test_exchange *t);

/* A source of one password. */
struct test_credential {
    struct credential_source source;
    const char *password;
    unsigned fetched, refused, refs;
    struct loop_task task;
    struct list waiters;
};
void test_credential_init(struct test_credential *c, struct world *w, const char *password);

#endif
