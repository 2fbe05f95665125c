/* SPDX-License-Identifier: MIT */
#include "library.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct postern_request *postern_request_new(struct postern *p, const char *method, json_t *params)
{
    struct postern_request *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->method = strdup(method);
    if (!r->method) {
        free(r);
        return NULL;
    }
    r->params = json_incref(params);
    r->connection = p;
    r->id = p->next_id++;
    list_init(&r->items);
    list_append(&p->all, &r->link);
    return r;
}

int postern_request_add_fd(struct postern_request *r, int fd)
{
    if (r->state != REQUEST_MADE)
        return -EBUSY;
    if (r->n_fds == CLIENT_FDS_PER_MESSAGE)
        return -EMFILE;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return -errno;
    r->fds[r->n_fds] = copy;
    return (int) r->n_fds++;
}

void postern_request_set_timeout(struct postern_request *r, int timeout_ms)
{
    r->timeout_ms = timeout_ms > 0 ? timeout_ms : 0;
}

void postern_request_on_done(struct postern_request *r, postern_done_fn *fn, void *arg)
{
    r->on_done = fn;
    r->done_arg = arg;
}

void postern_request_on_item(struct postern_request *r, postern_item_fn *fn, void *arg)
{
    r->on_item = fn;
    r->item_arg = arg;
}

void postern_request_on_progress(struct postern_request *r, postern_progress_fn *fn, void *arg)
{
    r->on_progress = fn;
    r->progress_arg = arg;
}

void postern_request_on_failed(struct postern_request *r, postern_failed_fn *fn, void *arg)
{
    r->on_failed = fn;
    r->failed_arg = arg;
}

/* The text of a message with its line end, malloc'ed; NULL when out of memory or not JSON. */
static char *make_text(const char *method, json_t *params, const uint64_t *id, size_t n_fds, size_t *ret_len)
{
    json_t *message = json_object();
    char *text = NULL;
    int bad = !message || json_object_set_new(message, "jsonrpc", json_string("2.0")) ||
              json_object_set_new(message, "method", json_string(method));
    if (id)
        bad = bad || json_object_set_new(message, "id", json_integer((json_int_t) *id));
    if (params)
        bad = bad || json_object_set(message, "params", params);
    if (n_fds)
        bad = bad || json_object_set_new(message, "fds", json_integer((json_int_t) n_fds));
    if (!bad)
        text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    if (!text)
        return NULL;
    /* The NUL behind the text makes room for the line end. */
    size_t len = strlen(text);
    text[len] = '\n';
    *ret_len = len + 1;
    return text;
}

int postern_request_start(struct postern_request *r, struct postern_error *error)
{
    struct postern *p = r->connection;
    size_t len;
    if (r->state != REQUEST_MADE)
        return client_error(error, -EBUSY, "the request has been started already");
    if (!p || p->fd < 0)
        return client_error(error, -ENOTCONN, "there is no connection to the gateway");
    char *text = make_text(r->method, r->params, &r->id, r->n_fds, &len);
    if (!text)
        return client_error(error, -ENOMEM, "the request cannot be made into JSON, or memory is short");
    uint64_t key = hash_bytes(&r->id, sizeof(r->id));
    int err = hash_table_insert(&p->requests, key, &r->node);
    if (err < 0) {
        free(text);
        return client_error(error, err, "out of memory");
    }
    err = client_queue(p, text, len, r->fds, r->n_fds, r);
    if (err < 0) {
        hash_table_remove(&p->requests, &r->node);
        return client_error(error, err, "out of memory");
    }
    r->n_fds = 0; /* the output's now */
    json_decref(r->params);
    r->params = NULL;
    r->state = REQUEST_IN_FLIGHT;
    if (r->timeout_ms)
        r->deadline_ms = client_now_ms() + (uint64_t) r->timeout_ms;
    return 0;
}

int postern_request_cancel(struct postern_request *r)
{
    struct postern *p = r->connection;
    size_t len;
    if (r->state != REQUEST_IN_FLIGHT)
        return r->state == REQUEST_MADE ? -EINVAL : 0;
    if (r->cancelled || p->fd < 0)
        return 0;
    if (r->output && r->output->sent == 0) {
        /* The gateway has not seen anything of it, and never will. */
        client_output_free(r->output);
        client_error(&r->error, -ECANCELED, "the request was cancelled before it was sent");
        client_request_end(r);
        return 0;
    }
    json_t *params = json_object();
    int bad = !params || json_object_set_new(params, "id", json_integer((json_int_t) r->id));
    char *text = bad ? NULL : make_text("rpc.cancel", params, NULL, 0, &len);
    json_decref(params);
    int err = text ? client_queue(p, text, len, NULL, 0, NULL) : -ENOMEM;
    r->cancelled = err == 0;
    return err;
}

void client_request_end(struct postern_request *r)
{
    struct postern *p = r->connection;
    hash_table_remove(&p->requests, &r->node);
    if (r->output)
        r->output->request = NULL;
    r->output = NULL;
    r->deadline_ms = 0;
    r->state = REQUEST_DONE;
    if (r->on_done) {
        bool before = p->in_callback;
        p->in_callback = true;
        r->on_done(r, r->done_arg);
        p->in_callback = before;
    }
}

int postern_request_wait(struct postern_request *r, int timeout_ms)
{
    uint64_t deadline_ms = client_now_ms() + (uint64_t) MAX(timeout_ms, 0);
    if (r->state == REQUEST_MADE)
        return -EINVAL;
    while (r->state != REQUEST_DONE) {
        struct postern *p = r->connection;
        uint64_t now = client_now_ms();
        if (p->in_callback)
            return -EDEADLK;
        if (p->n_items >= CLIENT_ITEMS_WAITING)
            return -ENOBUFS; /* nothing is read before somebody takes them */
        int left = timeout_ms < 0 ? -1 : now >= deadline_ms ? 0 : (int) (deadline_ms - now);
        int err = postern_wait(p, left);
        if (r->state == REQUEST_DONE)
            break;
        if (err < 0)
            return err;
        if (timeout_ms >= 0 && client_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
    }
    return 0;
}

int postern_request_is_done(const struct postern_request *r)
{
    return r->state == REQUEST_DONE;
}

int postern_request_status(const struct postern_request *r)
{
    return r->state == REQUEST_DONE ? r->error.code : -EINPROGRESS;
}

json_t *postern_request_result(const struct postern_request *r)
{
    return r->result;
}

const struct postern_error *postern_request_error(const struct postern_request *r)
{
    return r->error.code ? &r->error : NULL;
}

const int *postern_request_fds(const struct postern_request *r, size_t *ret_n)
{
    *ret_n = r->n_answer_fds;
    return r->answer_fds;
}

int postern_request_take_fd(struct postern_request *r, size_t index)
{
    if (index >= r->n_answer_fds)
        return -1;
    int fd = r->answer_fds[index];
    r->answer_fds[index] = -1;
    return fd;
}

int postern_request_next_item(struct postern_request *r, int timeout_ms, json_t **ret_item, int **ret_fds,
                              size_t *ret_n_fds)
{
    uint64_t deadline_ms = client_now_ms() + (uint64_t) MAX(timeout_ms, 0);
    while (list_is_empty(&r->items)) {
        struct postern *p = r->connection;
        uint64_t now = client_now_ms();
        if (r->state == REQUEST_DONE)
            return 0;
        if (r->state == REQUEST_MADE)
            return -EINVAL;
        if (p->in_callback)
            return -EDEADLK;
        if (p->n_items >= CLIENT_ITEMS_WAITING)
            return -ENOBUFS;
        int left = timeout_ms < 0 ? -1 : now >= deadline_ms ? 0 : (int) (deadline_ms - now);
        int err = postern_wait(p, left);
        if (err < 0 && list_is_empty(&r->items) && r->state != REQUEST_DONE)
            return err;
        if (timeout_ms >= 0 && list_is_empty(&r->items) && r->state != REQUEST_DONE && client_now_ms() >= deadline_ms)
            return -ETIMEDOUT;
    }
    struct client_item *item = list_first(&r->items, struct client_item, link);
    *ret_item = TAKE_PTR(item->value);
    if (ret_fds) {
        *ret_fds = TAKE_PTR(item->fds);
        *ret_n_fds = item->n_fds;
    }
    if (r->connection)
        r->connection->n_items--;
    client_item_free(item);
    return 1;
}

void client_item_free(struct client_item *item)
{
    list_remove(&item->link);
    json_decref(item->value);
    if (item->fds)
        client_close_fds(item->fds, item->n_fds);
    free(item->fds);
    free(item);
}

void postern_request_set_data(struct postern_request *r, void *data)
{
    r->data = data;
}

void *postern_request_get_data(const struct postern_request *r)
{
    return r->data;
}

struct postern *postern_request_connection(const struct postern_request *r)
{
    return r->connection;
}

void postern_request_free(struct postern_request *r)
{
    if (!r)
        return;
    r->on_done = NULL;
    if (r->state == REQUEST_IN_FLIGHT) {
        postern_request_cancel(r);
        if (r->state == REQUEST_IN_FLIGHT)
            client_request_end(r);
    }
    while (!list_is_empty(&r->items)) {
        if (r->connection)
            r->connection->n_items--;
        client_item_free(list_first(&r->items, struct client_item, link));
    }
    list_remove(&r->link);
    client_close_fds(r->fds, r->n_fds);
    client_close_fds(r->answer_fds, r->n_answer_fds);
    free(r->answer_fds);
    json_decref(r->params);
    json_decref(r->result);
    postern_error_done(&r->error);
    free(r->method);
    free(r);
}

/* One try: what is left undone is cancelled with the request. */
static int call_once(struct postern *p, const char *method, json_t *params, json_t **ret_result,
                     struct postern_error *error)
{
    struct postern_request *r = postern_request_new(p, method, params);
    if (!r)
        return client_error(error, -ENOMEM, "out of memory");
    int err = postern_request_start(r, error);
    if (err == 0) {
        err = postern_request_wait(r, -1);
        if (err < 0)
            client_error(error, err, "the answer could not be waited for: %s", strerror(-err));
        if (err < 0 && error)
            error->outcome = POSTERN_OUTCOME_UNKNOWN;
    }
    if (err == 0 && r->error.code) {
        err = r->error.code;
        if (error) {
            postern_error_done(error);
            client_error_copy(error, &r->error);
        }
    }
    if (err == 0 && ret_result)
        *ret_result = json_incref(r->result);
    postern_request_free(r);
    return err;
}

int postern_call(struct postern *p, const char *method, json_t *params, json_t **ret_result,
                 struct postern_error *error)
{
    if (p->in_callback)
        return client_error(error, -EDEADLK, "not from within a callback");
    /* Learn of an end that came while nobody looked, before anything is sent. */
    if (p->fd >= 0)
        postern_process(p);
    if (p->fd < 0 && p->path) {
        int err = postern_reconnect(p, CLIENT_RECONNECT_MS, error);
        if (err < 0)
            return err;
    }
    return call_once(p, method, params, ret_result, error);
}
