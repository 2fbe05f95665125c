/* SPDX-License-Identifier: MIT */
/**
 * @file postern.h
 * @brief The client library of Postern, the local mail gateway.
 *
 * A `struct postern` is one connection to the gateway's socket; a `struct postern_request` is one call on it. Calls of
 * one connection run concurrently. Values are jansson's `json_t`; the methods, their parameters and results are
 * described in postern-methods(7).
 *
 * **Errors are values.** Functions return 0 (or a count) or a negative number: a negative errno for what went wrong on
 * this side, or a JSON-RPC code (-32000 and below) that the gateway answered. Details go to a `struct postern_error`.
 * Nothing here aborts, prints, or exits; a failed allocation is -ENOMEM, and what was asked for can be asked again.
 *
 * **Threads.** The library has no global state. A connection and its requests may be used by one thread at a time;
 * different connections are independent of each other. No signal is raised for a closed connection, no descriptor is
 * inherited by other programs.
 *
 * **Blocking and not.** postern_call() and postern_request_wait() block. A program with a loop of its own uses
 * postern_get_fd(), postern_get_events(), postern_get_timeout() and postern_process() instead. Callbacks are only
 * called from postern_process(), postern_wait(), postern_call() and postern_request_wait(). Within a callback requests
 * may be made, started, cancelled and freed; the connection must not be closed, and nothing may be waited for
 * (-EDEADLK).
 */
#ifndef POSTERN_H
#define POSTERN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef POSTERN_API
#define POSTERN_API __attribute__((visibility("default")))
#endif

/** The path of the system service's socket. */
#define POSTERN_SYSTEM_SOCKET "/run/postern/postern.sock"

struct postern;
struct postern_request;

/** What had happened on the mail server when a call failed. */
enum postern_outcome {
    POSTERN_OUTCOME_NONE = 0, /**< nothing */
    POSTERN_OUTCOME_DONE,     /**< it was done */
    POSTERN_OUTCOME_UNKNOWN   /**< the connection was lost when it might have been done */
};

/** Whether asking again makes sense. */
enum postern_retry { POSTERN_RETRY_NO = 0, POSTERN_RETRY_LATER, POSTERN_RETRY_NOW };

/** Why something failed. Start with {0}, or POSTERN_ERROR_INIT; end with postern_error_done(). */
struct postern_error {
    int code;          /**< 0: no error; else what the function returned */
    char kind[32];     /**< the gateway's kind ("auth", "rejected", …), "" for others */
    char message[512]; /**< one line for people, cut if need be */
    enum postern_outcome outcome;
    enum postern_retry retry;
    uint64_t retry_after_ms; /**< 0: not known */
    json_t *data;            /**< the gateway's `error.data`, or NULL */
    void *reserved[4];
};
#define POSTERN_ERROR_INIT                                                                                             \
    {                                                                                                                  \
        0, "", "", POSTERN_OUTCOME_NONE, POSTERN_RETRY_NO, 0, NULL,                                                    \
        {                                                                                                              \
            NULL, NULL, NULL, NULL                                                                                     \
        }                                                                                                              \
    }

/** Releases what the error holds and makes it {0}. Accepts NULL. */
POSTERN_API void postern_error_done(struct postern_error *error);

/** The library's version, "0.1.0". */
POSTERN_API const char *postern_version(void);

/* --- connections --- */

/**
 * Connects to the gateway. Without a path, $POSTERN_SOCKET (not in set-user-ID programs), the user's own socket
 * ($XDG_RUNTIME_DIR/postern/postern.sock) and the system's are tried in this order; one that is absent or refuses is
 * passed over.
 *
 * @param ret        receives the connection; untouched on failure
 * @param path       a socket's path, or NULL
 * @param timeout_ms how long to wait where the gateway is too busy to take the connection; negative: for ever
 * @param error      may be NULL, as in all functions
 */
POSTERN_API int postern_open(struct postern **ret, const char *path, int timeout_ms, struct postern_error *error);
/** Makes a connection of a connected stream socket, which then belongs to it; on failure it stays the caller's. */
POSTERN_API int postern_open_fd(struct postern **ret, int fd, struct postern_error *error);
/** Closes the connection. Requests that are left fail with -ECONNABORTED and must still be freed. Accepts NULL. */
POSTERN_API void postern_close(struct postern *p);
/** The socket's path, or NULL after postern_open_fd(). */
POSTERN_API const char *postern_path(const struct postern *p);
/** 1, or 0 when the connection has been lost. */
POSTERN_API int postern_is_connected(const struct postern *p);
/**
 * Connects again to where the connection came from, waiting for a restarting gateway if need be. Requests in flight
 * fail with -ECONNRESET first. Sessions and subscriptions of the old connection are gone.
 */
POSTERN_API int postern_reconnect(struct postern *p, int timeout_ms, struct postern_error *error);
/** The longest answer to be taken, in bytes; 256 MiB unless set. */
POSTERN_API void postern_set_max_response(struct postern *p, size_t bytes);

/** Called for every notification that belongs to no request: events. `params` may be NULL and is borrowed. */
typedef void postern_notification_fn(struct postern *p, const char *method, json_t *params, void *arg);
POSTERN_API void postern_on_notification(struct postern *p, postern_notification_fn *fn, void *arg);

/* --- for loops --- */

/** The descriptor to poll; -1 when the connection has been lost. It changes with postern_reconnect(). */
POSTERN_API int postern_get_fd(const struct postern *p);
/** The events of poll(2) to wait for; may change with every call on the connection. */
POSTERN_API short postern_get_events(const struct postern *p);
/** Milliseconds until postern_process() must be called even without events; -1: no need. */
POSTERN_API int postern_get_timeout(const struct postern *p);
/**
 * Sends and receives what can be without blocking, and calls callbacks.
 * @return how many messages were handled, 0 when there is nothing to do now, or a negative errno when the connection
 * has ended (-ECONNRESET, -EPROTO, …; all its requests have failed) or memory is short (-ENOMEM: call again)
 */
POSTERN_API int postern_process(struct postern *p);
/** Waits for events, at most `timeout_ms` (negative: for ever), then does postern_process(). */
POSTERN_API int postern_wait(struct postern *p, int timeout_ms);

/* --- requests --- */

/**
 * Makes a request; nothing is sent yet. `params` (an object, or NULL) is borrowed until postern_request_start().
 * @return NULL when out of memory
 */
POSTERN_API struct postern_request *postern_request_new(struct postern *p, const char *method, json_t *params);
/**
 * Adds a descriptor to be sent along: a duplicate is made. Its index is what `{"fd": INDEX}` names.
 * @return the index, or a negative errno
 */
POSTERN_API int postern_request_add_fd(struct postern_request *r, int fd);
/** Fails the request with -ETIMEDOUT when no answer has come so many milliseconds after its start. The gateway's own
 *  `timeout` parameter is better, since it tells the outcome; give this one some seconds more. */
POSTERN_API void postern_request_set_timeout(struct postern_request *r, int timeout_ms);
/** The request's answer or failure has come. The last callback of a request, unless its contents are pipes. */
typedef void postern_done_fn(struct postern_request *r, void *arg);
POSTERN_API void postern_request_on_done(struct postern_request *r, postern_done_fn *fn, void *arg);
/**
 * An item of a call with `"stream": true`. `item` is borrowed. `fds` are what its contents refer to; the callback may
 * keep one by putting -1 in its place, the others are closed afterwards.
 */
typedef void postern_item_fn(struct postern_request *r, json_t *item, int *fds, size_t n_fds, void *arg);
/** Without this, items wait for postern_request_next_item(), and nothing is read when too many wait. */
POSTERN_API void postern_request_on_item(struct postern_request *r, postern_item_fn *fn, void *arg);
/** How far a call with `"progress": true` has come; `total` is UINT64_MAX where it is not known. May come after the
 *  answer, for contents that are pipes. */
typedef void postern_progress_fn(struct postern_request *r, uint64_t done, uint64_t total, void *arg);
POSTERN_API void postern_request_on_progress(struct postern_request *r, postern_progress_fn *fn, void *arg);
/** A content that was answered as a pipe could not be delivered to its end. */
typedef void postern_failed_fn(struct postern_request *r, const struct postern_error *error, void *arg);
POSTERN_API void postern_request_on_failed(struct postern_request *r, postern_failed_fn *fn, void *arg);

/** Sends the request, as soon as the socket takes it. -ENOTCONN when the connection has been lost. */
POSTERN_API int postern_request_start(struct postern_request *r, struct postern_error *error);
/** Asks the gateway to cancel; the request still ends with an answer, normally -32006. */
POSTERN_API int postern_request_cancel(struct postern_request *r);
/** Blocks until the request is done, at most `timeout_ms` (negative: for ever).
 *  @return 0 when it is done, -ETIMEDOUT, -ENOBUFS when items must be taken first (postern_request_next_item()), or another
 *          negative errno when it cannot be waited for */
POSTERN_API int postern_request_wait(struct postern_request *r, int timeout_ms);
/** 1 when the answer or the failure has come. */
POSTERN_API int postern_request_is_done(const struct postern_request *r);
/** 0, or the code of the error; -EINPROGRESS while it is not done. */
POSTERN_API int postern_request_status(const struct postern_request *r);
/** The result, borrowed; NULL when there is none. */
POSTERN_API json_t *postern_request_result(const struct postern_request *r);
/** The error, borrowed; NULL when there is none. */
POSTERN_API const struct postern_error *postern_request_error(const struct postern_request *r);
/** The descriptors of the answer, borrowed. */
POSTERN_API const int *postern_request_fds(const struct postern_request *r, size_t *ret_n);
/** The same, one descriptor that is then the caller's; -1 when there is none of this index. */
POSTERN_API int postern_request_take_fd(struct postern_request *r, size_t index);
/**
 * The next item of a streamed call, blocking up to `timeout_ms` (0: not at all).
 * @param ret_item receives the item, to be released by json_decref()
 * @param ret_fds  receives the item's descriptors as an array to be closed and given to free(); may be NULL
 * @return 1, 0 when the call is done and no item is left, or a negative errno (-ETIMEDOUT)
 */
POSTERN_API int postern_request_next_item(struct postern_request *r, int timeout_ms, json_t **ret_item, int **ret_fds,
                                          size_t *ret_n_fds);
/** Any pointer of the caller's. */
POSTERN_API void postern_request_set_data(struct postern_request *r, void *data);
POSTERN_API void *postern_request_get_data(const struct postern_request *r);
POSTERN_API struct postern *postern_request_connection(const struct postern_request *r);
/** Frees the request; one that is not done is cancelled, and its answer goes nowhere. Accepts NULL. */
POSTERN_API void postern_request_free(struct postern_request *r);

/**
 * Calls a method and waits for its answer. A connection that was lost before is made anew once (up to 5 s).
 * @param ret_result receives the result, to be released by json_decref(); may be NULL. Descriptors of the answer are
 *                   closed: use a request where they matter
 */
POSTERN_API int postern_call(struct postern *p, const char *method, json_t *params, json_t **ret_result,
                             struct postern_error *error);

/* --- contents --- */

/** A Content for bytes: {"text": …} where they are UTF-8 without NUL, else {"base64": …}. NULL: out of memory. */
POSTERN_API json_t *postern_content_new(const void *bytes, size_t len);
/** A Content for the descriptor with this index, see postern_request_add_fd(). NULL: out of memory. */
POSTERN_API json_t *postern_content_new_fd(int index);
/**
 * The bytes of a Content of an answer, whatever its form. A pipe is read to its end, which blocks.
 * @param fds,n_fds  the descriptors that came with it
 * @param ret        receives the bytes, with a NUL behind them, to be given to free()
 */
POSTERN_API int postern_content_read(const json_t *content, const int *fds, size_t n_fds, char **ret, size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
