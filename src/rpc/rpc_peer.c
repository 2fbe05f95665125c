/* SPDX-License-Identifier: MIT */
#include "rpc_peer_types.h"

#include "rpc_hash.h"

#include <errno.h>
#include <stdlib.h>

#define SPARE_REQUESTS 256
#define PARAMS_IN_SPACE 512 /* larger structs are taken from the arena */

/* ---- server and peer ---------------------------------------------------------------------------------------- */

void rpc_server_init(struct rpc_server *s, const struct rpc_limits *limits, void (*release_fd)(void *ctx, int fd),
                     void *release_ctx)
{
    *s = (struct rpc_server){.limits = *limits, .release_fd = release_fd, .release_ctx = release_ctx};
    json_keyset_init(&s->keys);
}

void rpc_server_done(struct rpc_server *s)
{
    if (!s)
        return;
    for (struct rpc_request *r = s->spare, *next; r; r = next) {
        next = r->next_spare;
        free(r);
    }
    s->spare = NULL;
    s->n_spare = 0;
    json_keyset_done(&s->keys);
}

void rpc_peer_init(struct rpc_peer *p, struct rpc_server *server)
{
    *p = (struct rpc_peer){.server = server};
    rpc_framing_init(&p->framing, server->limits.max_request_size, server->release_fd, server->release_ctx);
    rpc_output_init(&p->output, server->limits.max_output + server->limits.max_response_size + 65536, server->release_fd,
                    server->release_ctx);
    list_init(&p->requests);
    list_init(&p->pending);
    hash_table_init(&p->in_flight);
}

void rpc_peer_done(struct rpc_peer *p)
{
    struct rpc_request *r;

    if (!p || !p->server)
        return;
    while ((r = list_first(&p->pending, struct rpc_request, pending_link)))
        rpc_request_free(r);
    list_foreach (&p->requests, r, struct rpc_request, link) {
        list_remove(&r->link);
        r->peer = NULL;
        r->in_table = false;
        if (r->batch)
            r->batch->peer = NULL;
    }
    hash_table_done(&p->in_flight);
    rpc_output_done(&p->output);
    rpc_framing_done(&p->framing);
    p->server = NULL;
}

int rpc_peer_add_fds(struct rpc_peer *p, const int *fds, size_t n)
{
    return rpc_framing_add_fds(&p->framing, fds, n);
}

void rpc_peer_feed(struct rpc_peer *p, char *data, size_t len)
{
    rpc_framing_set_max(&p->framing, p->server->limits.max_request_size);
    rpc_framing_feed(&p->framing, data, len);
}

int rpc_peer_keep(struct rpc_peer *p)
{
    return rpc_framing_keep(&p->framing);
}

void rpc_peer_end_of_input(struct rpc_peer *p)
{
    static char lf[] = "\n";
    if (rpc_framing_is_partial(&p->framing))
        rpc_framing_feed(&p->framing, lf, 1);
}

bool rpc_peer_is_partial(const struct rpc_peer *p)
{
    return rpc_framing_is_partial(&p->framing);
}

uint64_t rpc_peer_lines(const struct rpc_peer *p)
{
    return p->framing.lines;
}

bool rpc_peer_is_quiet(const struct rpc_peer *p)
{
    return list_is_empty(&p->requests) && rpc_output_is_empty(&p->output);
}

size_t rpc_peer_memory(const struct rpc_peer *p)
{
    return sizeof(*p) + rpc_framing_memory(&p->framing) + rpc_output_memory(&p->output);
}

size_t rpc_request_memory(const struct rpc_request *r)
{
    return sizeof(*r) + r->arena.used + (r->text ? r->text_len : 0);
}

/* ---- ids in flight ------------------------------------------------------------------------------------------ */

/* At most max_calls ids are there, so that colliding ones cost little. */
static uint64_t id_hash(struct slice id)
{
    return rpc_hash_short(id, 0);
}

struct rpc_request *rpc_peer_find(struct rpc_peer *p, struct slice id)
{
    if (p->in_flight.count == 0)
        return NULL;
    for (struct hash_node *n = hash_table_find(&p->in_flight, id_hash(id)); n; n = hash_next(n)) {
        struct rpc_request *r = container_of(n, struct rpc_request, node);
        if (slice_eq(r->id, id))
            return r;
    }
    return NULL;
}

void rpc_request_answered(struct rpc_request *r)
{
    struct rpc_batch *b = r->batch;

    r->answered = true;
    if (r->in_table && r->peer)
        hash_table_remove(&r->peer->in_flight, &r->node);
    r->in_table = false;
    r->batch = NULL;
    if (b)
        rpc_batch_entry_done(b);
}

/* ---- request objects ---------------------------------------------------------------------------------------- */

static struct rpc_request *request_new(struct rpc_peer *p, struct rpc_batch *batch)
{
    struct rpc_server *s = p->server;
    struct rpc_request *r = s->spare;

    if (r) {
        s->spare = r->next_spare;
        s->n_spare--;
    } else {
        r = malloc(sizeof(*r));
        if (!r)
            return NULL;
    }
    /* Everything but the space, which is cleared as far as it gets used. */
    memset(r, 0, offsetof(struct rpc_request, space));
    r->peer = p;
    r->server = s;
    r->batch = batch;
    r->fds = r->few_fds;
    arena_init(&r->arena, s->limits.max_params);
    list_init(&r->pending_link);
    list_append(&p->requests, &r->link);
    return r;
}

void rpc_request_free(struct rpc_request *r)
{
    if (!r)
        return;
    if (!r->answered)
        rpc_request_answered(r);
    for (size_t i = 0; i < r->n_fds; i++)
        if (r->fds[i] >= 0)
            r->server->release_fd(r->server->release_ctx, r->fds[i]);
    if (r->fds != r->few_fds)
        free(r->fds);
    if (r->given && r->peer)
        r->peer->n_given--;
    list_remove(&r->link);
    list_remove(&r->pending_link);
    arena_done(&r->arena);
    if (r->text) {
        explicit_bzero(r->text, r->text_len);
        free(r->text);
    }
    if (r->space_used)
        explicit_bzero(r->space, r->space_used);
    struct rpc_server *s = r->server;
    if (s->n_spare < SPARE_REQUESTS) {
        r->next_spare = s->spare;
        s->spare = r;
        s->n_spare++;
    } else {
        free(r);
    }
}

void rpc_request_detach(struct rpc_request *r)
{
    if (!r->answered || !r->peer)
        return;
    if (r->given)
        r->peer->n_given--;
    r->given = false;
    r->peer = NULL;
    list_remove(&r->link);
}

int rpc_request_take_fd(struct rpc_request *r, size_t index)
{
    if (index >= r->n_fds)
        return -1;
    int fd = r->fds[index];
    r->fds[index] = -1;
    return fd;
}

/* ---- envelopes ---------------------------------------------------------------------------------------------- */

struct envelope {
    struct slice id; /* as it came; data NULL: none */
    struct slice method;
    struct slice params; /* len 0: none */
    int64_t fds;
    bool version_ok;
    struct fault fault; /* what is wrong with it, if anything */
};

static void envelope_refuse(struct envelope *e, enum fault_kind kind, const char *text)
{
    fault_set(&e->fault, -EINVAL, kind, NULL, "%s", text);
}

static int read_id(struct json_reader *r, int token, struct envelope *e)
{
    struct slice id;
    int n = json_read_skip(r, &id);

    if (n < 0)
        return n;
    if (token != JSON_TOKEN_STRING && token != JSON_TOKEN_NUMBER && token != JSON_TOKEN_NULL)
        envelope_refuse(e, FAULT_INVALID_REQUEST, "id must be a string, a number or null");
    else if (id.len > RPC_ID_MAX)
        envelope_refuse(e, FAULT_INVALID_REQUEST, "id has more than 256 bytes");
    else
        e->id = id;
    return 0;
}

static int read_fds(struct json_reader *r, struct envelope *e)
{
    int64_t v = 0;
    int n = json_read_int(r, &v);

    if (n == -EBADMSG || n == -ENOMEM)
        return n;
    if (n == 0 && v >= 0 && v <= RPC_FDS_PER_MESSAGE) {
        e->fds = v;
        return 0;
    }
    e->fds = -1;
    envelope_refuse(e, FAULT_INVALID_REQUEST, "fds must be an integer from 0 to 253");
    return 0;
}

static int read_envelope_member(struct json_reader *r, struct slice key, struct envelope *e)
{
    struct slice s;
    int token = json_read_peek(r);

    if (token < 0)
        return token;
    if (slice_eq(key, SLICE("jsonrpc"))) {
        if (token != JSON_TOKEN_STRING)
            return json_read_skip(r, NULL);
        int n = json_read_string(r, &s);
        e->version_ok = n == 0 && slice_eq(s, SLICE("2.0"));
        return n;
    }
    if (slice_eq(key, SLICE("method"))) {
        if (token == JSON_TOKEN_STRING)
            return json_read_string(r, &e->method);
        envelope_refuse(e, FAULT_INVALID_REQUEST, "method must be a string");
        return json_read_skip(r, NULL);
    }
    if (slice_eq(key, SLICE("id")))
        return read_id(r, token, e);
    if (slice_eq(key, SLICE("params"))) {
        if (token == JSON_TOKEN_ARRAY)
            envelope_refuse(e, FAULT_INVALID_PARAMS, "params must be an object: parameters are by name");
        else if (token != JSON_TOKEN_OBJECT)
            envelope_refuse(e, FAULT_INVALID_REQUEST, "params must be an object");
        return json_read_skip(r, &e->params);
    }
    if (slice_eq(key, SLICE("fds")) && token == JSON_TOKEN_NUMBER)
        return read_fds(r, e);
    if (slice_eq(key, SLICE("fds"))) {
        e->fds = -1;
        envelope_refuse(e, FAULT_INVALID_REQUEST, "fds must be an integer from 0 to 253");
    } else {
        char name[64];
        fault_clean_text(name, sizeof(name), key);
        fault_set(&e->fault, -EINVAL, FAULT_INVALID_REQUEST, NULL, "%s is not a member of a request", name);
    }
    return json_read_skip(r, NULL);
}

/* One value as an envelope; what is wrong with it is in e->fault. Negative: the text is not JSON. */
static int read_envelope(struct json_reader *r, struct envelope *e)
{
    struct slice key;
    int n;

    /* The fault's texts are large and need no clearing. */
    memset(e, 0, offsetof(struct envelope, fault));
    fault_clear(&e->fault);
    n = json_read_object(r);
    if (n == -EINVAL) {
        envelope_refuse(e, FAULT_INVALID_REQUEST, "a request must be an object");
        return json_read_skip(r, NULL);
    }
    while (n >= 0 && (n = json_read_member(r, &key)) == 1)
        n = read_envelope_member(r, key, e);
    if (n < 0)
        return n;
    if (!e->version_ok)
        envelope_refuse(e, FAULT_INVALID_REQUEST, "jsonrpc must be \"2.0\"");
    if (!e->method.data)
        envelope_refuse(e, FAULT_INVALID_REQUEST, "method is required");
    return 0;
}

/* ---- from envelope to request ------------------------------------------------------------------------------- */

/* The request takes its descriptors. What cannot be counted cannot be kept in step: the connection ends then. */
static int claim_fds(struct rpc_request *r, struct envelope *e)
{
    struct rpc_peer *p = r->peer;
    size_t n = e->fds > 0 ? (size_t) e->fds : 0;

    if (n > rpc_framing_fds_waiting(&p->framing) || (e->fds < 0 && rpc_framing_fds_waiting(&p->framing))) {
        p->closing = true;
        envelope_refuse(e, FAULT_INVALID_REQUEST, "fewer descriptors have come than fds says");
        return 0;
    }
    if (n > ARRAY_LEN(r->few_fds)) {
        int *fds = calloc(n, sizeof(*fds));
        if (!fds)
            return -ENOMEM;
        r->fds = fds;
    }
    if (n && rpc_framing_take_fds(&p->framing, n, r->fds))
        r->n_fds = n;
    return 0;
}

/* Moves the id, and the parameters unless they are used at once, out of the line, which will go: into the request's
 * space, or a copy. */
static int keep_text(struct rpc_request *r, struct envelope *e, bool params)
{
    size_t need = e->id.len + (params ? e->params.len : 0);
    char *to = r->space + r->space_used;

    if (need > sizeof(r->space) - r->space_used) {
        to = malloc(need);
        if (!to)
            return -ENOMEM;
        r->text = to;
        r->text_len = need;
    } else {
        r->space_used += need;
    }
    if (e->id.len) {
        memcpy(to, e->id.data, e->id.len);
        e->id.data = to;
    }
    if (params && e->params.len) {
        memcpy(to + e->id.len, e->params.data, e->params.len);
        e->params.data = to + e->id.len;
    }
    return 0;
}

static int place_params(struct rpc_request *r)
{
    size_t size = r->row->params ? r->row->params->size : sizeof(struct rpc_common);

    if (size <= PARAMS_IN_SPACE) {
        r->params = r->space;
        memset(r->space, 0, size);
        r->space_used = size;
    } else {
        r->params = arena_alloc(&r->arena, size);
        if (!r->params)
            return -ENOMEM;
    }
    r->common = r->params;
    return 0;
}

static int decode(struct rpc_request *r, struct slice params, struct rpc_hint *hint, struct fault *fault)
{
    struct rpc_decode d = {.arena = &r->arena, .keys = &r->server->keys, .n_fds = r->n_fds, .hint = hint};
    return rpc_decode_params(&d, r->row, params, r->params, fault);
}

/* Answers what is wrong with the request, and frees it. */
static void refuse(struct rpc_request *r, const struct fault *fault, const struct rpc_hint *hint)
{
    struct rpc_fault_context context = {.hint = hint};
    rpc_answer_fault(r, fault, &context);
    rpc_request_free(r);
}

static void out_of_memory(struct rpc_peer *p)
{
    p->broken = true;
}

static void refuse_method(struct rpc_request *r, const struct envelope *e)
{
    struct rpc_hint hint;
    struct fault f;
    char name[80];

    fault_clear(&f);
    hint.param[0] = '\0';
    hint.did_you_mean = rpc_method_similar(e->method);
    fault_clean_text(name, sizeof(name), e->method);
    if (hint.did_you_mean)
        fault_set(&f, -ENOENT, FAULT_UNKNOWN_METHOD, NULL, "there is no method %s; did you mean %s?", name,
                  hint.did_you_mean);
    else
        fault_set(&f, -ENOENT, FAULT_UNKNOWN_METHOD, NULL, "there is no method %s", name);
    refuse(r, &f, &hint);
}

/* A request from its envelope: refused and answered, or pending. `line` is taken over where that saves a copy. */
static void accept_envelope(struct rpc_peer *p, struct envelope *e, struct rpc_batch *batch, const struct rpc_line *line)
{
    struct rpc_request *r = request_new(p, batch);
    struct rpc_hint hint;
    int n;

    if (!r || claim_fds(r, e) < 0) {
        out_of_memory(p);
        if (r)
            rpc_request_free(r);
        else if (batch)
            rpc_batch_entry_done(batch);
        return;
    }
    r->id = e->id;
    if (!fault_is_set(&e->fault) && e->id.data && rpc_peer_find(p, e->id))
        envelope_refuse(e, FAULT_INVALID_REQUEST, "this id is in flight already");
    if (fault_is_set(&e->fault)) {
        /* Who sends no valid request gets an answer in any case. */
        if (!r->id.data)
            r->id = SLICE("null");
        refuse(r, &e->fault, NULL);
        return;
    }
    if (rpc_method_find(e->method, &r->method) < 0) {
        refuse_method(r, e);
        return;
    }
    r->row = rpc_method_row(r->method);
    n = place_params(r);
    if (n == 0 && line->owned && !batch) {
        r->text = rpc_framing_steal(&p->framing);
        r->text_len = line->len;
    } else if (n == 0) {
        n = keep_text(r, e, batch || !(r->row->flags & RPC_AT_ONCE));
    }
    if (n < 0) {
        out_of_memory(p);
        rpc_request_free(r);
        return;
    }
    r->id = e->id;
    hint.param[0] = '\0';
    hint.did_you_mean = NULL;
    if (decode(r, e->params, &hint, &e->fault) < 0) {
        refuse(r, &e->fault, &hint);
        return;
    }
    if (r->id.data) {
        if (hash_table_insert(&p->in_flight, id_hash(r->id), &r->node) < 0) {
            out_of_memory(p);
            rpc_request_free(r);
            return;
        }
        r->in_table = true;
    }
    list_append(&p->pending, &r->pending_link);
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

/* An error that belongs to no request. Descriptors that wait cannot be told apart any more. */
static void refuse_text(struct rpc_peer *p, enum fault_kind kind, const char *text, size_t offset)
{
    struct fault f;

    fault_clear(&f);
    if (kind == FAULT_PARSE)
        fault_set(&f, -EBADMSG, kind, NULL, "%s (at byte %zu)", text, offset);
    else
        fault_set(&f, -EINVAL, kind, NULL, "%s", text);
    rpc_peer_error(p, &f);
    if (rpc_framing_fds_waiting(&p->framing))
        p->closing = true;
}

static void refuse_json(struct rpc_peer *p, const struct json_reader *r)
{
    if (r->failed == -ENOMEM)
        out_of_memory(p);
    else
        refuse_text(p, FAULT_PARSE, r->error ? r->error : "malformed", json_reader_offset(r));
}

static void handle_single(struct rpc_peer *p, struct json_reader *r, const struct rpc_line *line)
{
    struct envelope e;
    int n = read_envelope(r, &e);

    if (n == 0)
        n = json_read_end(r);
    if (n < 0)
        refuse_json(p, r);
    else
        accept_envelope(p, &e, NULL, line);
}

static struct rpc_batch *batch_new(struct rpc_peer *p, size_t n)
{
    struct rpc_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->peer = p;
    b->n_left = n;
    rpc_output_init(&b->output, p->output.max, p->server->release_fd, p->server->release_ctx);
    return b;
}

static void handle_batch(struct rpc_peer *p, struct json_reader *r, const struct rpc_line *line)
{
    struct envelope *all = NULL;
    size_t count = 0, cap = 0;
    int n = json_read_array(r);

    while (n >= 0 && (n = json_read_item(r)) == 1) {
        if (count == p->server->limits.max_batch) {
            refuse_text(p, FAULT_INVALID_REQUEST, "the batch has more requests than max_batch allows", 0);
            goto out;
        }
        if (count == cap) {
            cap = cap ? cap * 2 : 4;
            struct envelope *more = realloc(all, cap * sizeof(*all));
            if (!more) {
                out_of_memory(p);
                goto out;
            }
            all = more;
        }
        n = read_envelope(r, &all[count++]);
    }
    if (n == 0)
        n = json_read_end(r);
    if (n < 0) {
        refuse_json(p, r);
    } else if (count == 0) {
        refuse_text(p, FAULT_INVALID_REQUEST, "the batch is empty", 0);
    } else {
        struct rpc_batch *b = batch_new(p, count);
        if (!b)
            out_of_memory(p);
        for (size_t i = 0; b && i < count; i++)
            accept_envelope(p, &all[i], b, line);
    }
out:
    free(all);
}

static void handle_line(struct rpc_peer *p, const struct rpc_line *line)
{
    struct json_reader r;

    json_reader_init(&r, line->data, line->len, &p->server->keys);
    int token = json_read_peek(&r);
    if (token < 0)
        refuse_json(p, &r);
    else if (token == JSON_TOKEN_ARRAY)
        handle_batch(p, &r, line);
    else
        handle_single(p, &r, line);
    if (p->server->keys.hashes || p->server->keys.slots)
        json_keyset_done(&p->server->keys);
}

enum rpc_peer_event rpc_peer_next(struct rpc_peer *p, struct rpc_request **ret)
{
    struct rpc_request *r;
    struct rpc_line line;

    for (;;) {
        if (p->broken)
            return RPC_PEER_CLOSE;
        if (p->n_given >= p->server->limits.max_calls) {
            if (rpc_framing_keep(&p->framing) < 0)
                out_of_memory(p);
            return p->broken ? RPC_PEER_CLOSE : RPC_PEER_FULL;
        }
        r = list_first(&p->pending, struct rpc_request, pending_link);
        if (r) {
            list_remove(&r->pending_link);
            r->given = true;
            p->n_given++;
            *ret = r;
            return RPC_PEER_REQUEST;
        }
        if (p->closing)
            return RPC_PEER_CLOSE;
        int n = rpc_framing_next(&p->framing, &line);
        if (n == 1) {
            handle_line(p, &line);
        } else if (n == -EMSGSIZE) {
            refuse_text(p, FAULT_INVALID_REQUEST, "the text is longer than max_request_size allows", 0);
        } else if (n < 0) {
            out_of_memory(p);
        } else if (rpc_framing_fds_waiting(&p->framing) && !rpc_framing_is_partial(&p->framing)) {
            refuse_text(p, FAULT_INVALID_REQUEST, "descriptors have come that no request claims", 0);
        } else {
            return RPC_PEER_IDLE;
        }
    }
}

void rpc_peer_refuse(struct rpc_peer *p, const struct fault *fault)
{
    rpc_peer_error(p, fault);
    p->closing = true;
}
