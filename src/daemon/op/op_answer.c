/* SPDX-License-Identifier: MIT */
/* Results: text gathered in the op's own buffer, with marks where bytes of a source or a descriptor belong, and put
 * into the client's output whole. */
#include "op_core.h"

#include "must.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Contents longer than this are not copied into the answer's text. */
#define COPY_MAX 65536
#define PROGRESS_MS 100

void op_answer_init(struct op_core *core)
{
    buffer_init(&core->result, gateway_config(core->op.gateway)->max_response_size);
    json_writer_init(&core->op.w, &core->result);
    core->marks = NULL;
    core->n_marks = core->marks_cap = 0;
    core->result_fds = 0;
    core->result_sources = 0;
    core->result_charged = 0;
    core->n_items = 0;
    core->in_list = core->in_item = false;
}

static void drop_marks(struct op_core *core, size_t from)
{
    while (core->n_marks > from) {
        struct op_mark *m = &core->marks[--core->n_marks];
        if (m->kind == MARK_FD && m->fd >= 0)
            close(m->fd);
        if (m->kind == MARK_SOURCE && m->source.ops)
            m->source.ops->release(m->source.ctx);
    }
}

void op_answer_done(struct op_core *core)
{
    drop_marks(core, 0);
    free(core->marks);
    core->marks = NULL;
    core->marks_cap = 0;
    buffer_done(&core->result);
    spool_budget_give(&core->user->memory, core->result_charged);
    core->result_charged = 0;
}

static struct op_mark *add_mark(struct op_core *core)
{
    if (core->n_marks == core->marks_cap) {
        size_t cap = core->marks_cap ? core->marks_cap * 2 : 4;
        struct op_mark *marks = reallocarray(core->marks, cap, sizeof(*marks));
        if (!marks) {
            fault_set(&core->op.fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
            return NULL;
        }
        core->marks = marks;
        core->marks_cap = cap;
    }
    struct op_mark *m = &core->marks[core->n_marks++];
    *m = (struct op_mark){.offset = buffer_len(&core->result), .fd = -1};
    return m;
}

static int over_limit(struct op *op, const char *limit, const char *instead)
{
    if (!fault_is_set(&op->fault))
        op->fault.limit = limit;
    return fault_set(&op->fault, -EFBIG, FAULT_LIMIT, NULL, "the answer is longer than %s: use %s", limit, instead);
}

/* A result that grows large is the user's to pay. */
static int charge_result(struct op_core *core)
{
    size_t len = buffer_len(&core->result);
    if (len < core->result_charged + COPY_MAX)
        return 0;
    int r = spool_budget_take(&core->user->memory, len - core->result_charged, &core->op.fault);
    if (r == 0)
        core->result_charged = len;
    return r;
}

/* The writer's own error, as a fault. */
static int check_writer(struct op_core *core)
{
    struct op *op = &core->op;
    uint64_t max = gateway_config(op->gateway)->max_response_size;
    if (op->w.error == -EMSGSIZE || buffer_len(&core->result) + core->result_sources > max)
        return over_limit(op, "max_response_size", "\"stream\", or \"content\": \"fd\" or \"pipe\"");
    if (op->w.error < 0)
        return fault_set(&op->fault, op->w.error, FAULT_INTERNAL, NULL, "out of memory");
    if (fault_is_set(&op->fault))
        return -EIO;
    return charge_result(core);
}

/* --- sending --- */

/* Text and marks from there on, into the open answer. */
static void put_result(struct op_core *core, struct json_writer *out, size_t from, size_t first_mark)
{
    struct slice text = buffer_slice(&core->result);
    for (size_t i = first_mark; i < core->n_marks; i++) {
        struct op_mark *m = &core->marks[i];
        /* The first piece begins the value, later ones go on with it. */
        struct slice piece = slice_of(text.data + from, m->offset - from);
        if (i == first_mark)
            json_write_raw(out, piece);
        else if (out->out && !out->error)
            out->error = buffer_append_slice(out->out, piece);
        from = m->offset;
        if (m->kind == MARK_FD) {
            if (m->fd >= 0 && rpc_answer_fd(core->op.request, m->fd) < 0 && !out->error)
                out->error = -EMFILE;
            m->fd = -1;
        } else {
            out->comma = false; /* the key stands before it */
            rpc_answer_source(core->op.request, &m->source);
            m->source.ops = NULL;
        }
    }
    struct slice rest = slice_from(text, from);
    if (core->n_marks == first_mark)
        json_write_raw(out, rest);
    else if (out->out && !out->error)
        out->error = buffer_append_slice(out->out, rest);
}

/* A text that was handed over: charged to the user, and counted against what may wait for the client. */
struct handed_text {
    char *text;
    size_t len;
    struct user *user;
    struct client_load *load;
};

static ssize_t handed_read(void *ctx, uint64_t offset, char *buf, size_t size)
{
    const struct handed_text *h = ctx;
    size_t n = MIN(size, h->len - (size_t) offset);
    memcpy(buf, h->text + offset, n);
    return (ssize_t) n;
}

static void handed_release(void *ctx)
{
    struct handed_text *h = ctx;
    spool_budget_give(&h->user->memory, h->len);
    h->load->bytes -= h->len;
    client_load_unref(h->load);
    user_unref(h->user);
    free(h->text);
    free(h);
}

static const struct rpc_source_ops handed_ops = {handed_read, handed_release};

/* A long text is handed over instead of copied. */
static bool hand_over(struct op_core *core)
{
    size_t len = buffer_len(&core->result);
    if (core->n_marks > 0 || len < COPY_MAX || !core->client)
        return false;
    struct handed_text *h = must_calloc(1, sizeof(*h));
    h->text = buffer_steal(&core->result, &h->len);
    if (!h->text) {
        free(h);
        return false;
    }
    h->user = user_ref(core->user);
    h->load = client_load_ref(core->client->load);
    h->load->bytes += h->len;
    spool_budget_force(&h->user->memory, h->len);
    const struct rpc_source source = {&handed_ops, h, h->len, RPC_SOURCE_JSON};
    rpc_answer_begin(core->op.request);
    rpc_answer_source(core->op.request, &source);
    rpc_answer_end(core->op.request, core->op.done_outcome);
    return true;
}

static void send_fault(struct op_core *core)
{
    struct op *op = &core->op;
    const char *name = op->account ? account_name(op->account) : NULL;
    const struct rpc_fault_context context = {.account = slice_of_str(name), .rejected = op->rejected};
    if (!op->fault.protocol && op->session)
        op->fault.protocol = protocol_name(op->session->protocol);
    rpc_answer_fault(op->request, &op->fault, &context);
}

void op_answer_emit(struct op_core *core)
{
    struct op *op = &core->op;
    core->answered = true;
    if (!core->canceled)
        check_writer(core);
    if (fault_is_set(&op->fault)) {
        send_fault(core);
    } else if (buffer_len(&core->result) == 0) {
        rpc_answer_empty(op->request);
    } else if (!hand_over(core)) {
        struct json_writer *out = rpc_answer_begin(op->request);
        put_result(core, out, 0, 0);
        rpc_answer_end(op->request, op->done_outcome);
    }
    if (core->client)
        client_flush_later(core->client);
}

void op_answer_epilogue(struct op_core *core)
{
    struct op *op = &core->op;
    const char *name = op->account ? account_name(op->account) : NULL;
    const struct rpc_fault_context context = {.account = slice_of_str(name)};
    if (!core->canceled || !fault_is_set(&op->fault))
        return; /* the pipe said so itself */
    rpc_peer_failed(&core->client->rpc, op->request->id, &op->fault, &context);
    client_flush_later(core->client);
}

void op_respond_now(struct op *op)
{
    struct op_core *core = op_core_of(op);
    if (op_has_ended(op) || core->answered)
        return;
    if (check_writer(core) < 0) {
        op_fail(op, NULL);
        return;
    }
    op_answer_emit(core);
    op->state_now = OP_ANSWERED;
}

/* --- lists --- */

void op_list_begin(struct op *op, const char *key)
{
    struct op_core *core = op_core_of(op);
    core->in_list = true;
    core->n_items = 0;
    if (op->stream)
        return;
    json_write_key(&op->w, key);
    json_write_array_begin(&op->w);
}

void op_item_begin(struct op *op)
{
    struct op_core *core = op_core_of(op);
    core->in_item = true;
    core->item_offset = buffer_len(&core->result);
    core->item_marks = core->n_marks;
    core->item_fds = core->result_fds;
    core->item_comma = op->w.comma;
    if (op->stream) {
        op->w.comma = false;
        core->result_fds = 0;
    }
}

void op_item_drop(struct op *op)
{
    struct op_core *core = op_core_of(op);
    for (size_t i = core->item_marks; i < core->n_marks; i++)
        if (core->marks[i].kind == MARK_SOURCE)
            core->result_sources -= core->marks[i].source.size;
    drop_marks(core, core->item_marks);
    buffer_truncate(&core->result, core->item_offset);
    core->result_fds = core->item_fds;
    op->w.comma = core->item_comma;
    core->in_item = false;
}

static int stream_item(struct op_core *core)
{
    struct op *op = &core->op;
    struct json_writer *out = rpc_stream_begin(op->request);
    put_result(core, out, core->item_offset, core->item_marks);
    int r = rpc_stream_end(op->request);
    if (r == -EMSGSIZE)
        over_limit(op, "max_response_size", "\"content\": \"fd\" or \"pipe\"");
    else if (r < 0)
        fault_set(&op->fault, r, FAULT_INTERNAL, NULL, "out of memory");
    op_item_drop(op);
    if (core->client) {
        client_flush_later(core->client);
        if (client_is_slow(core->client)) {
            /* Even if the next write takes it all at once: what is held must hear that it has drained. */
            core->client->held = true;
            op_exchanges_pause(core, PAUSE_CLIENT);
        }
    }
    return r < 0 ? r : 0;
}

int op_item_end(struct op *op)
{
    struct op_core *core = op_core_of(op);
    int r = check_writer(core);
    core->in_item = false;
    if (r < 0)
        return r;
    core->n_items++;
    return op->stream ? stream_item(core) : 0;
}

void op_list_end(struct op *op)
{
    struct op_core *core = op_core_of(op);
    core->in_list = false;
    if (op->stream)
        json_write_member_uint(&op->w, "count", core->n_items);
    else
        json_write_array_end(&op->w);
}

uint64_t op_items(const struct op *op)
{
    return op->core->n_items;
}

/* --- Content --- */

static void begin_content(struct op *op, const char *key)
{
    if (key)
        json_write_key(&op->w, key);
    json_write_object_begin(&op->w);
}

static void end_content(struct op *op, uint64_t size)
{
    json_write_member_uint(&op->w, "size", size);
    json_write_object_end(&op->w);
}

/* The next descriptor of the answer; takes `fd` in any case. */
static int put_fd(struct op_core *core, const char *key, int fd, uint64_t size)
{
    struct op *op = &core->op;
    struct op_mark *m;
    if (core->result_fds >= RPC_FDS_PER_MESSAGE) {
        close(fd);
        op->fault.limit = "descriptors";
        return fault_set(&op->fault, -EMFILE, FAULT_LIMIT, NULL,
                         "more than %d descriptors in one answer: use \"stream\"", RPC_FDS_PER_MESSAGE);
    }
    begin_content(op, key);
    json_write_member_uint(&op->w, "fd", core->result_fds);
    if (!(m = add_mark(core))) {
        close(fd);
        return -ENOMEM;
    }
    m->kind = MARK_FD;
    m->fd = fd;
    core->result_fds++;
    if (size != UINT64_MAX)
        json_write_member_uint(&op->w, "size", size);
    json_write_object_end(&op->w);
    return 0;
}

int op_write_fd(struct op *op, const char *key, int fd)
{
    return put_fd(op_core_of(op), key, fd, UINT64_MAX);
}

int op_answer_put_fd(struct op *op, const char *key, int fd, uint64_t size)
{
    return put_fd(op_core_of(op), key, fd, size);
}

/* "text" or "base64"; <0: it cannot be what was asked for. */
static int choose(struct op *op, bool is_text, bool *ret_text)
{
    switch (op->form) {
    case RPC_FORM_AUTO:
        *ret_text = is_text;
        return 0;
    case RPC_FORM_TEXT:
        *ret_text = true;
        return is_text ? 0
                       : fault_set(&op->fault, -EILSEQ, FAULT_BAD_MESSAGE, NULL,
                                   "the bytes are no UTF-8 text: use \"content\": \"base64\"");
    case RPC_FORM_BASE64:
        *ret_text = false;
        return 0;
    case RPC_FORM_FD:
    case RPC_FORM_PIPE:
        break;
    }
    return -EINVAL;
}

/* The value of the member, quotes included, comes from a source. */
static int put_source(struct op_core *core, const char *key, struct rpc_source source, bool text)
{
    struct op *op = &core->op;
    struct op_mark *m;
    begin_content(op, key);
    json_write_key(&op->w, text ? "text" : "base64");
    if (!(m = add_mark(core))) {
        source.ops->release(source.ctx);
        return -ENOMEM;
    }
    m->kind = MARK_SOURCE;
    m->source = source;
    core->result_sources += source.size;
    op->w.comma = true;
    end_content(op, source.size);
    return check_writer(core);
}

static int put_copy(struct op_core *core, const char *key, struct slice bytes, bool text)
{
    struct op *op = &core->op;
    begin_content(op, key);
    json_write_key(&op->w, text ? "text" : "base64");
    if (text)
        json_write_string(&op->w, bytes);
    else
        json_write_base64(&op->w, bytes);
    end_content(op, bytes.len);
    return check_writer(core);
}

static int check_fd_max(struct op *op, uint64_t size)
{
    if (size <= gateway_config(op->gateway)->fd_answer_max)
        return 0;
    return over_limit(op, "fd_answer_max", "\"content\": \"pipe\"");
}

/* As a memfd, or as a pipe that is fed from it. */
static int put_spool_descriptor(struct op *op, const char *key, struct spool *spool)
{
    if (op->form == RPC_FORM_PIPE)
        return op_pipe_from_spool(op, key, spool);
    int r = check_fd_max(op, spool_size(spool));
    if (r < 0)
        return r;
    int fd = spool_export(spool, &op->fault);
    return fd < 0 ? fd : put_fd(op_core_of(op), key, fd, spool_size(spool));
}

static int put_copied_descriptor(struct op *op, const char *key, struct body *body, struct slice bytes)
{
    const char *piece = bytes.data;
    ssize_t n = (ssize_t) bytes.len;
    bool last = !body;
    int r = op->form == RPC_FORM_FD ? check_fd_max(op, body ? body_size(body) : bytes.len) : 0;
    struct body_reader reader = {0};
    struct spool *spool = r < 0 ? NULL : spool_new(&op_core_of(op)->user->memory, 0, NULL);
    if (!spool)
        return r < 0 ? r : fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    body_reader_init(&reader, body);
    do {
        if (body)
            n = body_reader_next(&reader, &piece, &last);
        r = n < 0 ? (int) n : spool_write(spool, slice_of(piece, (size_t) n), &op->fault);
    } while (r >= 0 && !last);
    body_reader_done(&reader);
    if (r >= 0)
        r = spool_seal(spool, &op->fault);
    if (r >= 0)
        r = put_spool_descriptor(op, key, spool);
    spool_unref(spool);
    return r;
}

int op_write_content(struct op *op, const char *key, struct slice bytes)
{
    bool text;
    if (op->form == RPC_FORM_FD || op->form == RPC_FORM_PIPE)
        return put_copied_descriptor(op, key, NULL, bytes);
    bool is_text = op->form != RPC_FORM_BASE64 && utf8_is_valid(bytes) && slice_find(bytes, '\0') == bytes.len;
    int r = choose(op, is_text, &text);
    return r < 0 ? r : put_copy(op_core_of(op), key, bytes, text);
}

int op_write_content_spool(struct op *op, const char *key, struct spool *spool)
{
    struct slice bytes = spool_memory(spool);
    bool text;
    if (op->form == RPC_FORM_FD || op->form == RPC_FORM_PIPE)
        return put_spool_descriptor(op, key, spool);
    int r = choose(op, spool_is_text(spool), &text);
    if (r < 0)
        return r;
    if (bytes.data && bytes.len <= COPY_MAX / 4)
        return put_copy(op_core_of(op), key, bytes, text);
    struct rpc_source source = content_source(spool, text ? RPC_SOURCE_TEXT : RPC_SOURCE_BASE64);
    return put_source(op_core_of(op), key, source, text);
}

int op_write_content_body(struct op *op, const char *key, struct body *body)
{
    struct slice bytes = body_memory(body);
    bool text;
    if (op->form == RPC_FORM_FD || op->form == RPC_FORM_PIPE)
        return put_copied_descriptor(op, key, body, SLICE_EMPTY);
    int r = choose(op, op->form != RPC_FORM_BASE64 && body_is_text(body), &text);
    if (r < 0)
        return r;
    if (bytes.data && bytes.len <= COPY_MAX / 4)
        return put_copy(op_core_of(op), key, bytes, text);
    struct rpc_source source = content_source_body(body, text ? RPC_SOURCE_TEXT : RPC_SOURCE_BASE64);
    return put_source(op_core_of(op), key, source, text);
}

/* --- progress --- */

static void say_progress(struct op_core *core)
{
    struct op *op = &core->op;
    core->progress_due = false;
    core->progress_at_ms = loop_now_ms(op->gateway->loop);
    if (!core->client)
        return;
    rpc_peer_progress(&core->client->rpc, op->request->id, core->progress_done,
                      core->progress_total ? (int64_t) core->progress_total : -1);
    client_flush_later(core->client);
}

static void progress_again(void *arg)
{
    struct op_core *core = arg;
    if (core->progress_due && !op_has_ended(&core->op))
        say_progress(core);
}

void op_progress(struct op *op, uint64_t done, uint64_t total)
{
    struct op_core *core = op_core_of(op);
    if (!op->progress || op_has_ended(op))
        return;
    core->progress_done = done;
    core->progress_total = total;
    uint64_t now = loop_now_ms(op->gateway->loop);
    if (!core->progress_at_ms || now - core->progress_at_ms >= PROGRESS_MS) {
        say_progress(core);
        return;
    }
    core->progress_due = true;
    if (!core->progress.event && loop_timer_init(&core->progress, op->gateway->loop, progress_again, core) < 0)
        return;
    if (!core->progress.due_ms)
        loop_timer_set(&core->progress, PROGRESS_MS);
}
