/* SPDX-License-Identifier: MIT */
/* imap.exec, xatom, uid: commands of the caller's own, and all that the server answers to them. */
#include "api_imap_session.h"
#include "imap_generic.h"
#include "method_imap.h"
#include "method_imap_session.h"
#include "methods.h"

#include <errno.h>

#define COMMAND_MAX (2u * 1024 * 1024)
#define ANSWER_MAX 65536u /* of the tagged answer */

struct exec_call {
    struct imap_call call;
    struct buffer command, code, text;
    enum imap_status status;
    bool listed, failed;
    struct spool *spool; /* a response whose literal comes in pieces */
};

static struct exec_call *exec_of(struct imap_call *call)
{
    return container_of(call, struct exec_call, call);
}

static void exec_dispose(struct imap_call *call)
{
    struct exec_call *x = exec_of(call);
    buffer_done(&x->command);
    buffer_done(&x->code);
    buffer_done(&x->text);
    spool_unref(x->spool);
}

/* --- what comes --- */

static void list_begin(struct exec_call *x, struct op *op)
{
    if (!x->listed) {
        json_write_object_begin(&op->w);
        op_list_begin(op, "untagged");
    }
    x->listed = x->call.given_away = true;
}

static void fail(struct exec_call *x, struct op *op)
{
    x->failed = true;
    op_fail(op, NULL);
}

static void write_whole(struct exec_call *x, struct op *op, struct slice bytes)
{
    list_begin(x, op);
    op_item_begin(op);
    if (op_write_content(op, NULL, bytes) < 0 || op_item_end(op) < 0)
        fail(x, op);
}

static void add_piece(struct exec_call *x, struct op *op, struct slice piece)
{
    if (!x->spool)
        x->spool = op_spool_new(op, 0);
    if (piece.len && op_spool_write(&x->call.ox, x->spool, piece) < 0)
        fail(x, op);
}

/* A segment of a FETCH response; a literal's bytes follow all but the last. */
static void take_segment(struct exec_call *x, struct op *op, const struct imap_event *e)
{
    if (e->fetch.last && !x->spool) {
        write_whole(x, op, e->raw);
        return;
    }
    add_piece(x, op, e->raw);
    if (!e->fetch.last) {
        add_piece(x, op, SLICE("\r\n"));
        return;
    }
    if (x->failed)
        return;
    list_begin(x, op);
    op_item_begin(op);
    if (spool_seal(x->spool, &op->fault) < 0 || op_write_content_spool(op, NULL, x->spool) < 0 || op_item_end(op) < 0)
        fail(x, op);
    spool_unref(x->spool);
    x->spool = NULL;
}

/* "APPENDUID 7 12", as it stood in the brackets. */
static int keep_answer(struct exec_call *x, const struct imap_response *r)
{
    int ret = buffer_append_slice(&x->code, r->code.name);
    if (ret == 0 && r->code.arguments.len)
        ret = buffer_append_char(&x->code, ' ');
    if (ret == 0)
        ret = buffer_append_slice(&x->code, r->code.arguments);
    return ret < 0 ? ret : buffer_append_slice(&x->text, r->text);
}

static void exec_event(struct imap_call *call, const struct imap_event *e)
{
    struct exec_call *x = exec_of(call);
    struct op *op = call->ox.op;
    if (e->base.type == ENGINE_EVENT_DONE) {
        x->status = e->response.status;
        int ret = keep_answer(x, &e->response);
        if (ret < 0)
            fault_set(&call->fault, ret, ret == -ENOMEM ? FAULT_INTERNAL : FAULT_LIMIT, "exec", "the server says too much");
        if (op && x->status == IMAP_OK && call->ox.x.changes)
            op->done_outcome = OUTCOME_DONE;
        return;
    }
    if (!op || x->failed || op_has_ended(op))
        return;
    if (e->base.type == ENGINE_EVENT_DATA)
        add_piece(x, op, e->base.data);
    else if (e->fetch.is_fetch)
        take_segment(x, op, e);
    else
        write_whole(x, op, e->raw);
}

/* Whatever the server answers is the result. */
static bool exec_refused(struct imap_call *call, const struct imap_event *e)
{
    (void) call;
    (void) e;
    return true;
}

/* Perhaps once more, on another connection. */
static int exec_begin(struct imap_call *call, struct fault *fault)
{
    struct exec_call *x = exec_of(call);
    buffer_clear(&x->code);
    buffer_clear(&x->text);
    spool_unref(x->spool);
    x->spool = NULL;
    return imap_call_command(call, &call->command, fault);
}

static void exec_finish(struct imap_call *call, struct op *op)
{
    struct exec_call *x = exec_of(call);
    list_begin(x, op);
    op_list_end(op);
    json_write_member_str(&op->w, "status", imap_status_name(x->status));
    if (buffer_len(&x->code))
        json_write_member_string(&op->w, "code", buffer_slice(&x->code));
    json_write_member_string(&op->w, "text", buffer_slice(&x->text));
    json_write_object_end(&op->w);
    op_finish(op);
}

static const struct imap_call_ops exec_ops = {.name = "imap.exec",
                                              .begin = exec_begin,
                                              .event = exec_event,
                                              .finish = exec_finish,
                                              .dispose = exec_dispose,
                                              .refused = exec_refused};

/* --- what is sent --- */

static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_alpha(s.data[i]) && !ascii_is_digit(s.data[i]) && s.data[i] != '-' && s.data[i] != '.' && s.data[i] != '_')
            return false;
    return s.len > 0;
}

static int add_arguments(struct buffer *out, const struct rpc_terms *a)
{
    int ret = 0;
    bool first = false;
    if (a->text.data && a->text.len)
        ret = buffer_append_char(out, ' ');
    if (a->text.data)
        return ret < 0 ? ret : buffer_append_slice(out, a->text);
    for (size_t i = 0; i < a->n && ret == 0; i++) {
        const struct rpc_term *t = &a->items[i];
        if (t->kind == RPC_TERM_CLOSE) {
            ret = buffer_append_char(out, ')');
            first = false;
            continue;
        }
        if (!first)
            ret = buffer_append_char(out, ' ');
        first = t->kind == RPC_TERM_OPEN;
        if (ret == 0)
            ret = first ? buffer_append_char(out, '(') : imap_generic_argument(out, t->text);
    }
    return ret;
}

/* What the caller may not do with it. */
static int check_effect(struct op *op, enum imap_effect effect, const char *own)
{
    if (effect == IMAP_EFFECT_OWN)
        return op_refuse(op, FAULT_INVALID_PARAMS, "command: imap.%s is the call for that", own);
    bool reads = effect == IMAP_EFFECT_READS || effect == IMAP_EFFECT_EXAMINES;
    if (op->session && op->session->readonly && !reads)
        return op_refuse(op, FAULT_READONLY, "this session is read-only%s",
                         effect == IMAP_EFFECT_SELECTS ? ": use EXAMINE" : "");
    if (op->id == RPC_IMAP_UID && !reads && !(op->rights & RIGHT_WRITE))
        return op_refuse(op, FAULT_DENIED, "that needs the right to write");
    return 0;
}

static int check_uid(struct op *op, struct slice word)
{
    static const char *const words[] = {"FETCH", "SEARCH", "STORE", "COPY", "MOVE", "EXPUNGE", "SORT", "THREAD"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq_ci(word, slice_of_str(words[i])))
            return 0;
    return op_refuse(op, FAULT_INVALID_PARAMS, "command: must be FETCH, SEARCH, STORE, COPY, MOVE, EXPUNGE, SORT or THREAD");
}

static int make_command(struct op *op, struct exec_call *x)
{
    const struct api_imap_exec_params *p = op->params;
    int ret = 0;
    if (op->id == RPC_IMAP_UID) {
        ret = check_uid(op, p->command);
        if (ret == 0)
            ret = buffer_append_slice(&x->command, SLICE("UID "));
    } else if (op->id == RPC_IMAP_XATOM && !is_word(p->command)) {
        return op_refuse(op, FAULT_INVALID_PARAMS, "name: must be one word");
    } else if (op->id == RPC_IMAP_EXEC && !is_word(slice_to(p->command, slice_find(p->command, ' ')))) {
        return op_refuse(op, FAULT_INVALID_PARAMS, "command: must begin with a word");
    }
    if (ret == 0)
        ret = buffer_append_slice(&x->command, p->command);
    if (ret == 0 && op->id != RPC_IMAP_EXEC)
        ret = add_arguments(&x->command, &p->arguments);
    if (ret == -EINVAL && fault_is_set(&op->fault))
        return ret;
    if (ret < 0)
        return op_refuse(op, ret == -ENOMEM ? FAULT_LIMIT : FAULT_INVALID_PARAMS, ret == -ENOMEM ? "out of memory"
                         : ret == -EMSGSIZE ? "the command is too long" : "arguments: CR, LF and NUL cannot be sent");
    return 0;
}

/* Which mailbox must be open for it, and how. */
static int take_mailbox(struct op *op, struct exec_call *x, enum imap_effect effect)
{
    const struct api_imap_exec_params *p = op->params;
    static const struct rpc_uidvalidity any = {.kind = RPC_UIDVALIDITY_ANY};
    bool writes = (effect == IMAP_EFFECT_CHANGES || effect == IMAP_EFFECT_UNKNOWN) && (op->rights & RIGHT_WRITE);
    if (op->id == RPC_IMAP_UID)
        return imap_call_take_mailbox(op, &x->call, p->mailbox, &p->uidvalidity, writes);
    return p->mailbox.data ? imap_call_take_mailbox(op, &x->call, p->mailbox, &any, writes) : 0;
}

static int exec_run(struct op *op)
{
    const struct api_imap_exec_params *p = op->params;
    struct exec_call *x = imap_call_new(op, sizeof(*x), &exec_ops);
    const char *own = "open";
    buffer_init(&x->command, COMMAND_MAX);
    buffer_init(&x->code, ANSWER_MAX);
    buffer_init(&x->text, ANSWER_MAX);
    int ret = make_command(op, x);
    struct slice command = buffer_slice(&x->command);
    enum imap_effect effect = imap_generic_effect(command, &own);
    if (ret == 0)
        ret = check_effect(op, effect, own);
    if (ret == 0)
        ret = take_mailbox(op, x, effect);
    if (ret < 0)
        return imap_call_drop(&x->call, ret);
    if (op->session && (p->mailbox.data || effect == IMAP_EFFECT_SELECTS || effect == IMAP_EFFECT_EXAMINES))
        imap_session_forget(op->session);
    x->call.command.kind = IMAP_GENERIC;
    x->call.command.text = command;
    x->call.ox.x.changes = imap_command_changes(&x->call.command);
    x->call.ox.x.reads_only = !x->call.ox.x.changes;
    x->call.ox.x.long_wait = true;
    return imap_call_submit(&x->call);
}

const struct op_handler imap_exec_handler = {.run = exec_run};
