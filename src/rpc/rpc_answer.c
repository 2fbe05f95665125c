/* SPDX-License-Identifier: MIT */
#include "rpc_peer_types.h"

#include <errno.h>
#include <stdlib.h>

#define HEAD SLICE("{\"jsonrpc\":\"2.0\",")

/* ---- opening and closing messages --------------------------------------------------------------------------- */

/* Appends up to four pieces in one go. */
static int append(struct buffer *b, struct slice s1, struct slice s2, struct slice s3, struct slice s4)
{
    const struct slice all[] = {s1, s2, s3, s4};
    size_t len = s1.len + s2.len + s3.len + s4.len;
    char *to;
    int r = buffer_reserve(b, len, &to);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].len) {
            memcpy(to, all[i].data, all[i].len);
            to += all[i].len;
        }
    buffer_commit(b, len);
    return 0;
}

/* Nothing goes anywhere: a notification's answer, or the connection has gone. */
static struct json_writer *open_nowhere(struct rpc_server *s)
{
    s->open_peer = NULL;
    s->open_output = NULL;
    s->n_open_fds = 0;
    json_writer_init(&s->writer, NULL);
    return &s->writer;
}

/* Bounds what the open message may add to its text. */
static void bound_text(struct rpc_server *s, struct buffer *text)
{
    size_t limit = buffer_len(text) + s->limits.max_response_size;
    if (limit < text->max)
        text->max = limit;
}

/* Opens a message on `o`: the pieces stand before the value, `suffix` and the final brace behind it. */
static struct json_writer *open_message(struct rpc_peer *p, struct rpc_output *o, const char *suffix, struct slice s1,
                                        struct slice s2, struct slice s3, struct slice s4)
{
    struct rpc_server *s = p->server;

    if (rpc_output_memory(&p->output) > s->limits.max_output)
        p->broken = true;
    if (p->broken)
        return open_nowhere(s);
    s->mark = rpc_output_mark(o);
    struct buffer *text = rpc_output_text(o);
    if (!text || append(text, s1, s2, s3, s4) < 0) {
        rpc_output_rewind(o, s->mark);
        p->broken = true;
        return open_nowhere(s);
    }
    bound_text(s, text);
    s->open_peer = p;
    s->open_output = o;
    s->open_suffix = suffix;
    s->n_open_fds = 0;
    json_writer_init(&s->writer, text);
    return &s->writer;
}

static void release_open_fds(struct rpc_server *s)
{
    for (size_t i = 0; i < s->n_open_fds; i++)
        s->release_fd(s->release_ctx, s->open_fds[i]);
    s->n_open_fds = 0;
}

/* The open message goes as if it had never been. */
static void abort_message(struct rpc_server *s)
{
    release_open_fds(s);
    if (!s->open_output)
        return;
    if (s->writer.out)
        s->writer.out->max = s->open_output->max;
    rpc_output_rewind(s->open_output, s->mark);
    s->open_output = NULL;
    s->open_peer = NULL;
}

/* The descriptors of the open message ride on the text that follows; it says how many they are. */
static int append_fds(struct rpc_server *s)
{
    struct rpc_output *o = s->open_output;
    size_t n = s->n_open_fds;
    struct buffer *text;

    s->n_open_fds = 0;
    if (rpc_output_add_fds(o, s->open_fds, n) < 0)
        return -ENOMEM;
    text = rpc_output_text(o);
    return text ? buffer_printf(text, ",\"fds\":%zu", n) : -ENOMEM;
}

/* Closes the open message; `last` ends it. 0, or the writer's error, and the message is gone. */
static int close_message(struct rpc_server *s, struct slice last)
{
    struct rpc_output *o = s->open_output;
    int r = s->writer.error;

    if (!o) {
        release_open_fds(s);
        return 0;
    }
    if (r == 0) {
        s->writer.out->max = o->max;
        r = append(s->writer.out, slice_of_str(s->open_suffix), SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY);
        if (r == 0 && s->n_open_fds)
            r = append_fds(s);
        struct buffer *text = r == 0 ? rpc_output_text(o) : NULL;
        if (r == 0)
            r = text ? buffer_append_slice(text, last) : -ENOMEM;
    }
    if (r < 0) {
        abort_message(s);
        return r;
    }
    rpc_output_settle(o);
    s->open_output = NULL;
    s->open_peer = NULL;
    return 0;
}

/* ---- batches ------------------------------------------------------------------------------------------------ */

static void batch_send(struct rpc_batch *b)
{
    struct rpc_peer *p = b->peer;
    struct buffer *text;
    int r = -ENOMEM;

    if (rpc_output_memory(&p->output) > p->server->limits.max_output) {
        p->broken = true;
        return;
    }
    text = rpc_output_text(&p->output);
    if (text)
        r = buffer_append_char(text, '[');
    if (r == 0)
        r = rpc_output_move(&p->output, &b->output);
    if (r == 0) {
        text = rpc_output_text(&p->output);
        r = text ? buffer_append_slice(text, SLICE("]\n")) : -ENOMEM;
    }
    rpc_output_settle(&p->output);
    if (r < 0)
        p->broken = true;
}

void rpc_batch_entry_done(struct rpc_batch *b)
{
    if (--b->n_left)
        return;
    if (b->any && b->peer)
        batch_send(b);
    rpc_output_done(&b->output);
    free(b);
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static struct json_writer *open_answer(struct rpc_request *r, struct slice member, const char *suffix)
{
    struct rpc_batch *b = r->batch;

    if (!r->peer || !r->id.data || r->answered)
        return open_nowhere(r->server);
    struct rpc_output *o = b ? &b->output : &r->peer->output;
    struct slice head = b && b->any ? SLICE(",{\"jsonrpc\":\"2.0\",\"id\":") : SLICE("{\"jsonrpc\":\"2.0\",\"id\":");
    return open_message(r->peer, o, suffix, head, r->id, member, SLICE_EMPTY);
}

/* Ends the answer that is open, in a batch without a line of its own. */
static int close_answer(struct rpc_request *r)
{
    bool open = r->server->open_output != NULL;
    int n = close_message(r->server, r->batch ? SLICE("}") : SLICE("}\n"));

    if (n == 0 && open && r->batch)
        r->batch->any = true;
    return n;
}

struct json_writer *rpc_answer_begin(struct rpc_request *r)
{
    return open_answer(r, SLICE(",\"result\":"), "");
}

void rpc_answer_abort(struct rpc_request *r)
{
    abort_message(r->server);
    open_nowhere(r->server);
}

int rpc_answer_end(struct rpc_request *r, enum fault_outcome outcome)
{
    struct fault f;
    int n = close_answer(r);

    if (n == 0) {
        if (!r->answered)
            rpc_request_answered(r);
        return 0;
    }
    fault_clear(&f);
    if (n == -EMSGSIZE) {
        fault_set(&f, n, FAULT_LIMIT, NULL,
                  "the answer is longer than max_response_size allows: ask with stream, or with another content form");
        f.limit = "max_response_size";
    } else {
        fault_set(&f, n, FAULT_INTERNAL, NULL, "out of memory");
    }
    f.outcome = outcome;
    rpc_answer_fault(r, &f, NULL);
    return n;
}

void rpc_answer_empty(struct rpc_request *r)
{
    struct json_writer *w = rpc_answer_begin(r);
    json_write_raw(w, SLICE("{}"));
    rpc_answer_end(r, OUTCOME_DONE);
}

void rpc_answer_source(struct rpc_request *r, const struct rpc_source *source)
{
    struct rpc_server *s = r->server;
    struct json_writer *w = &s->writer;
    struct buffer *text = NULL;

    if (!s->open_output || w->error) {
        source->ops->release(source->ctx);
        return;
    }
    bool quoted = source->form != RPC_SOURCE_JSON;
    /* The comma, the quote. */
    if (quoted)
        json_write_string_begin(w);
    else
        json_write_raw(w, SLICE_EMPTY);
    w->out->max = s->open_output->max;
    if (w->error) {
        source->ops->release(source->ctx);
        return;
    }
    w->error = rpc_output_add_source(s->open_output, source);
    if (w->error == 0) {
        text = rpc_output_text(s->open_output);
        if (!text)
            w->error = -ENOMEM;
    }
    if (text) {
        bound_text(s, text);
        w->out = text;
        if (quoted)
            json_write_string_end(w);
    }
    w->comma = true;
}

int rpc_answer_fd(struct rpc_request *r, int fd)
{
    struct rpc_server *s = r->server;

    if (s->n_open_fds == RPC_FDS_PER_MESSAGE) {
        s->release_fd(s->release_ctx, fd);
        return -EMFILE;
    }
    s->open_fds[s->n_open_fds] = fd;
    return (int) s->n_open_fds++;
}

/* ---- errors ------------------------------------------------------------------------------------------------- */

void rpc_write_reply(struct json_writer *w, const struct fault_reply *reply)
{
    json_write_object_begin(w);
    if (reply->code)
        json_write_member_int(w, "code", reply->code);
    if (reply->enhanced[0])
        json_write_member_str(w, "enhanced", reply->enhanced);
    if (reply->status[0])
        json_write_member_str(w, "status", reply->status);
    if (reply->response_code[0])
        json_write_member_str(w, "response_code", reply->response_code);
    json_write_member_str(w, "text", reply->text);
    json_write_object_end(w);
}

static void write_data(struct json_writer *w, const struct fault *f, const struct rpc_fault_context *c)
{
    const char *kind = fault_kind_name(f->kind);

    json_write_object_begin(w);
    if (kind)
        json_write_member_str(w, "kind", kind);
    if (f->protocol)
        json_write_member_str(w, "protocol", f->protocol);
    if (c && c->account.data)
        json_write_member_string(w, "account", c->account);
    if (f->stage)
        json_write_member_str(w, "stage", f->stage);
    if (f->limit)
        json_write_member_str(w, "limit", f->limit);
    if (f->has_reply) {
        json_write_key(w, "reply");
        rpc_write_reply(w, &f->reply);
    }
    if (c && c->rejected.data) {
        json_write_key(w, "rejected");
        json_write_raw(w, c->rejected);
    }
    if (f->kind == FAULT_UIDVALIDITY) {
        json_write_member_uint(w, "expected", f->expected);
        json_write_member_uint(w, "found", f->found);
    }
    if (c && c->hint && c->hint->param[0])
        json_write_member_str(w, "param", c->hint->param);
    if (c && c->hint && c->hint->did_you_mean)
        json_write_member_str(w, "did_you_mean", c->hint->did_you_mean);
    json_write_member_str(w, "retry", fault_retry_name(f->retry));
    if (f->retry_after_ms)
        json_write_member_uint(w, "retry_after", f->retry_after_ms);
    json_write_member_str(w, "outcome", fault_outcome_name(f->outcome));
    json_write_object_end(w);
}

void rpc_write_fault(struct json_writer *w, const struct fault *fault, const struct rpc_fault_context *context)
{
    /* A handler that fails without a word is a mistake of ours. */
    enum fault_kind kind = fault_is_set(fault) ? fault->kind : FAULT_INTERNAL;
    const char *name = fault_kind_name(kind);

    json_write_object_begin(w);
    json_write_member_int(w, "code", fault_code(kind));
    json_write_member_str(w, "message", fault->text[0] ? fault->text : name ? name : "internal error");
    json_write_key(w, "data");
    write_data(w, fault, context);
    json_write_object_end(w);
}

void rpc_answer_fault(struct rpc_request *r, const struct fault *fault, const struct rpc_fault_context *context)
{
    struct rpc_peer *p = r->peer;
    struct json_writer *w = open_answer(r, SLICE(",\"error\":"), "");

    rpc_write_fault(w, fault, context);
    if (close_answer(r) < 0 && p)
        p->broken = true;
    if (!r->answered)
        rpc_request_answered(r);
}

void rpc_peer_error(struct rpc_peer *p, const struct fault *fault)
{
    struct json_writer *w =
        open_message(p, &p->output, "", HEAD, SLICE("\"id\":null,\"error\":"), SLICE_EMPTY, SLICE_EMPTY);

    rpc_write_fault(w, fault, NULL);
    if (close_message(p->server, SLICE("}\n")) < 0)
        p->broken = true;
}

/* ---- streams and notifications ------------------------------------------------------------------------------ */

struct json_writer *rpc_stream_begin(struct rpc_request *r)
{
    if (!r->peer || !r->id.data || r->answered)
        return open_nowhere(r->server);
    return open_message(r->peer, &r->peer->output, "}", HEAD, SLICE("\"method\":\"stream\",\"params\":{\"id\":"), r->id,
                        SLICE(",\"item\":"));
}

int rpc_stream_end(struct rpc_request *r)
{
    return close_message(r->server, SLICE("}\n"));
}

void rpc_stream_abort(struct rpc_request *r)
{
    rpc_answer_abort(r);
}

struct json_writer *rpc_peer_notify_begin(struct rpc_peer *p, const char *method)
{
    return open_message(p, &p->output, "", HEAD, SLICE("\"method\":\""), slice_of_str(method), SLICE("\",\"params\":"));
}

int rpc_peer_notify_end(struct rpc_peer *p)
{
    return close_message(p->server, SLICE("}\n"));
}

void rpc_peer_progress(struct rpc_peer *p, struct slice id, uint64_t done, int64_t total)
{
    if (!id.data)
        return;
    struct json_writer *w = rpc_peer_notify_begin(p, "progress");
    json_write_object_begin(w);
    json_write_key(w, "id");
    json_write_raw(w, id);
    json_write_member_uint(w, "done", done);
    json_write_key(w, "total");
    if (total < 0)
        json_write_null(w);
    else
        json_write_int(w, total);
    json_write_object_end(w);
    if (rpc_peer_notify_end(p) < 0)
        p->broken = true;
}

void rpc_peer_failed(struct rpc_peer *p, struct slice id, const struct fault *fault,
                     const struct rpc_fault_context *context)
{
    if (!id.data)
        return;
    struct json_writer *w = rpc_peer_notify_begin(p, "failed");
    json_write_object_begin(w);
    json_write_key(w, "id");
    json_write_raw(w, id);
    json_write_key(w, "error");
    rpc_write_fault(w, fault, context);
    json_write_object_end(w);
    if (rpc_peer_notify_end(p) < 0)
        p->broken = true;
}
