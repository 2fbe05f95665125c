/* SPDX-License-Identifier: MIT */
#include "library.h"

#include "json_reader.h"

#include <errno.h>
#include <stdlib.h>

static struct postern_request *find_request(struct postern *p, const json_t *id)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0)
        return NULL;
    uint64_t wanted = (uint64_t) json_integer_value(id);
    for (struct hash_node *n = hash_table_find(&p->requests, hash_bytes(&wanted, sizeof(wanted))); n;
         n = hash_next(n)) {
        struct postern_request *r = container_of(n, struct postern_request, node);
        if (r->id == wanted)
            return r;
    }
    return NULL;
}

/* A request that is done may still hear of its pipes. */
static struct postern_request *find_any_request(struct postern *p, const json_t *id)
{
    struct postern_request *r = find_request(p, id), *other;
    if (r || !json_is_integer(id))
        return r;
    list_foreach (&p->all, other, struct postern_request, link) {
        if (other->state == REQUEST_DONE && other->id == (uint64_t) json_integer_value(id))
            return other;
    }
    return NULL;
}

/* Takes the next `n` descriptors of the queue into `out`. */
static void take_fds(struct postern *p, int *out, size_t n)
{
    if (n == 0)
        return;
    memcpy(out, p->fds, n * sizeof(int));
    p->n_fds -= n;
    memmove(p->fds, p->fds + n, p->n_fds * sizeof(int));
}

static int count_fds(const struct postern *p, const json_t *message, size_t *ret)
{
    json_t *member = json_object_get(message, "fds");
    json_int_t n = json_integer_value(member);
    if (member && (!json_is_integer(member) || n < 0 || (uint64_t) n > p->n_fds))
        return -EPROTO;
    *ret = (size_t) n;
    return 0;
}

/* In callbacks the caller's own calls must not come in from behind. */
static bool enter(struct postern *p)
{
    bool before = p->in_callback;
    p->in_callback = true;
    return before;
}

/* An answer to nobody we know of: a request that was freed meanwhile; or the gateway could not read a line. */
static int handle_stray(struct postern *p, const json_t *message, int *fds, size_t n_fds)
{
    json_t *id = json_object_get(message, "id"), *error = json_object_get(message, "error");
    client_close_fds(fds, n_fds);
    if (!json_is_null(id) || !error)
        return 0;
    struct postern_error why = POSTERN_ERROR_INIT;
    int code = client_error_from_json(&why, error);
    client_lost(p, code, &why);
    postern_error_done(&why);
    return 0;
}

static int handle_response(struct postern *p, json_t *message)
{
    size_t n_fds = 0;
    int err = count_fds(p, message, &n_fds);
    int *fds = n_fds && err == 0 ? calloc(n_fds, sizeof(int)) : NULL;
    if (err < 0)
        return err;
    if (n_fds && !fds)
        return -ENOMEM;
    take_fds(p, fds, n_fds);
    struct postern_request *r = find_request(p, json_object_get(message, "id"));
    if (!r) {
        err = handle_stray(p, message, fds, n_fds);
        free(fds);
        return err;
    }
    json_t *error = json_object_get(message, "error");
    r->answer_fds = fds;
    r->n_answer_fds = n_fds;
    if (error)
        client_error_from_json(&r->error, error);
    else
        r->result = json_incref(json_object_get(message, "result"));
    if (!error && !r->result)
        client_error(&r->error, -EPROTO, "the gateway's answer has neither a result nor an error");
    client_request_end(r);
    return 0;
}

static int handle_item(struct postern *p, json_t *message, const json_t *params)
{
    struct postern_request *r = find_request(p, json_object_get(params, "id"));
    json_t *value = json_object_get(params, "item");
    size_t n_fds = 0;
    int err = count_fds(p, message, &n_fds);
    if (err < 0)
        return err;
    struct client_item *item = calloc(1, sizeof(*item));
    if (item && n_fds)
        item->fds = calloc(n_fds, sizeof(int));
    if (!item || (n_fds && !item->fds)) {
        free(item);
        return -ENOMEM;
    }
    list_init(&item->link);
    item->n_fds = n_fds;
    take_fds(p, item->fds, n_fds);
    item->value = json_incref(value);
    if (r && r->on_item && value) {
        bool before = enter(p);
        r->on_item(r, value, item->fds, n_fds, r->item_arg);
        p->in_callback = before;
    } else if (r && value) {
        list_append(&r->items, &item->link);
        p->n_items++;
        return 0;
    }
    client_item_free(item);
    return 0;
}

static void handle_progress(struct postern *p, const json_t *params)
{
    struct postern_request *r = find_any_request(p, json_object_get(params, "id"));
    json_t *total = json_object_get(params, "total");
    if (!r || !r->on_progress)
        return;
    bool before = enter(p);
    r->on_progress(r, (uint64_t) json_integer_value(json_object_get(params, "done")),
                   json_is_integer(total) ? (uint64_t) json_integer_value(total) : UINT64_MAX, r->progress_arg);
    p->in_callback = before;
}

static void handle_failed(struct postern *p, const json_t *params)
{
    struct postern_request *r = find_any_request(p, json_object_get(params, "id"));
    struct postern_error why = POSTERN_ERROR_INIT;
    if (!r || !r->on_failed)
        return;
    client_error_from_json(&why, json_object_get(params, "error"));
    bool before = enter(p);
    r->on_failed(r, &why, r->failed_arg);
    p->in_callback = before;
    postern_error_done(&why);
}

static int handle_notification(struct postern *p, json_t *message, const char *method)
{
    json_t *params = json_object_get(message, "params");
    size_t n_fds = 0;
    if (strcmp(method, "stream") == 0)
        return handle_item(p, message, params);
    int err = count_fds(p, message, &n_fds);
    if (err < 0)
        return err;
    /* No notification but an item brings descriptors that anybody wants. */
    client_close_fds(p->fds, n_fds);
    p->n_fds -= n_fds;
    memmove(p->fds, p->fds + n_fds, p->n_fds * sizeof(int));
    if (strcmp(method, "progress") == 0) {
        handle_progress(p, params);
    } else if (strcmp(method, "failed") == 0) {
        handle_failed(p, params);
    } else if (p->on_notification) {
        bool before = enter(p);
        p->on_notification(p, method, params, p->notification_arg);
        p->in_callback = before;
    }
    return 0;
}

/* jansson calls some texts invalid when it is memory that is short: the reader of our own decides. */
static int why_unreadable(const char *line, size_t len)
{
    struct json_keyset keys;
    struct json_reader reader;
    json_keyset_init(&keys);
    json_reader_init(&reader, (char *) line, len, &keys);
    int r = json_read_skip(&reader, NULL);
    r = r < 0 ? r : json_read_end(&reader);
    json_keyset_done(&keys);
    return r == 0 || r == -ENOMEM ? -ENOMEM : -EPROTO;
}

int client_dispatch(struct postern *p, const char *line, size_t len)
{
    json_t *message = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
    if (!message)
        return why_unreadable(line, len);
    const char *method = json_string_value(json_object_get(message, "method"));
    int r = method ? handle_notification(p, message, method) : handle_response(p, message);
    json_decref(message);
    return r;
}
