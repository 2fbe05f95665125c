/* SPDX-License-Identifier: MIT */
/* imap.select and examine, in sessions; with what is known of the mailbox also what has happened to it since (RFC 7162). */
#include "method_imap.h"

#include "method_imap_session.h"
#include "methods.h"

#include <errno.h>

struct select_call {
    struct imap_call call;
    struct imap_known known;
    struct imap_set uids;
    struct imap_found vanished;
    char mailboxid[256];   /* RFC 8474: at most 255 characters; empty: not told */
    struct buffer changed; /* JSON of what has changed, with a comma behind each */
};

#define CHANGED_MAX (16u * 1024 * 1024)

static struct select_call *select_of(struct imap_call *call)
{
    return container_of(call, struct select_call, call);
}

static int select_begin(struct imap_call *call, struct fault *fault)
{
    if (call->command.known && !imap_client_enabled(imap_call_engine(call), IMAP_CAP_QRESYNC) &&
        imap_client_has(imap_call_engine(call), IMAP_CAP_QRESYNC))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, "select", "`qresync` needs QRESYNC, which imap.enable switches on");
    return imap_call_command(call, &call->command, fault);
}

/* What has happened to the mailbox since it was known. */
static void select_reply(struct select_call *s, const struct imap_event *e)
{
    struct json_writer w;
    bool earlier;
    struct slice uids;
    int ret = 0;
    if (e->fetch.is_fetch && s->call.command.known) {
        json_writer_init(&w, &s->changed);
        bool told = imap_json_flag_change(&w, e, true);
        ret = w.error ? w.error : told ? buffer_append_char(&s->changed, ',') : 0;
    } else if (slice_eq_ci(e->response.code.name, SLICE("CLOSED"))) {
        buffer_clear(&s->changed);
        imap_found_clear(&s->vanished);
    } else if (slice_eq_ci(e->response.code.name, SLICE("MAILBOXID"))) {
        struct slice arguments = e->response.code.arguments;
        struct imap_value id;
        if (imap_value_next(&arguments, &id) > 0 && id.bytes.len < sizeof(s->mailboxid))
            fault_clean_text(s->mailboxid, sizeof(s->mailboxid), slice_trim(id.bytes));
    } else if (e->response.data == IMAP_DATA_VANISHED && imap_vanished_parse(e->response.text, &earlier, &uids) == 0) {
        ret = imap_set_parse(&s->vanished.set, uids);
    }
    if (ret < 0)
        imap_found_fault(&s->call.fault, ret);
}

static void write_changes(struct select_call *s, struct op *op)
{
    struct slice changed = buffer_slice(&s->changed);
    json_write_key(&op->w, "vanished");
    imap_json_ranges(&op->w, &s->vanished.set);
    json_write_key(&op->w, "changed");
    json_write_array_begin(&op->w);
    if (changed.len)
        json_write_raw(&op->w, slice_to(changed, changed.len - 1));
    json_write_array_end(&op->w);
}

/* What the server has not told is left out. */
static void write_number(struct op *op, const char *key, uint64_t n)
{
    if (n)
        json_write_member_uint(&op->w, key, n);
}

/* The picture is that of the moment of the answer: written then, since more may come before the end. */
static void select_event(struct imap_call *call, const struct imap_event *e)
{
    struct op *op = call->ox.op;
    struct imap_mailbox_state box;
    if (e->base.type == ENGINE_EVENT_REPLY)
        select_reply(select_of(call), e);
    if (!op || e->base.type != ENGINE_EVENT_DONE)
        return;
    imap_client_selected(imap_call_engine(call), &box);
    json_write_object_begin(&op->w);
    json_write_member_string(&op->w, "mailbox", box.mailbox);
    json_write_member_uint(&op->w, "exists", box.exists);
    json_write_member_uint(&op->w, "recent", box.recent);
    json_write_key(&op->w, "flags");
    imap_json_flags(&op->w, box.flags);
    json_write_key(&op->w, "permanentflags");
    imap_json_flags(&op->w, box.permanentflags);
    write_number(op, "uidvalidity", box.uidvalidity);
    write_number(op, "uidnext", box.uidnext);
    write_number(op, "highestmodseq", box.highestmodseq);
    json_write_member_bool(&op->w, "readonly", box.readonly);
    if (select_of(call)->mailboxid[0])
        json_write_member_str(&op->w, "mailboxid", select_of(call)->mailboxid);
    if (call->command.known)
        write_changes(select_of(call), op);
    json_write_object_end(&op->w);
    if (box.uidvalidity)
        op_uidvalidity_remember(op, box.mailbox, box.uidvalidity);
}

static void select_finish(struct imap_call *call, struct op *op)
{
    (void) call;
    op_finish(op);
}

static void select_dispose(struct imap_call *call)
{
    struct select_call *s = select_of(call);
    imap_set_done(&s->uids);
    imap_found_done(&s->vanished);
    buffer_done(&s->changed);
}

static const struct imap_call_ops select_ops = {.name = "imap.select",
                                                .begin = select_begin,
                                                .event = select_event,
                                                .finish = select_finish,
                                                .dispose = select_dispose};

static int take_known(struct op *op, struct select_call *s, const struct api_imap_known *known)
{
    struct imap_command *c = &s->call.command;
    if (!known)
        return 0;
    s->known = (struct imap_known){.uidvalidity = (uint32_t) known->uidvalidity, .modseq = (uint64_t) known->modseq};
    c->known = &s->known;
    if (!known->uids.given)
        return 0;
    int ret = imap_take_set(op, &s->uids, &known->uids, "qresync.uids");
    if (ret < 0)
        return ret;
    if (s->uids.saved || s->uids.star)
        return op_refuse(op, FAULT_INVALID_PARAMS, "`qresync.uids` must name UIDs");
    s->known.uids = &s->uids;
    return 0;
}

static int select_run(struct op *op)
{
    const struct api_imap_select_params *p = op->params;
    struct select_call *s = imap_call_new(op, sizeof(*s), &select_ops);
    struct imap_command *c = &s->call.command;
    bool readonly = op->id == RPC_IMAP_EXAMINE || p->readonly || op->session->readonly || !(op->rights & RIGHT_WRITE);
    imap_set_init(&s->uids, IMAP_CALL_RANGES_MAX);
    imap_found_init(&s->vanished);
    buffer_init(&s->changed, CHANGED_MAX);
    imap_session_forget(op->session);
    c->kind = readonly ? IMAP_EXAMINE : IMAP_SELECT;
    c->mailbox = p->mailbox;
    c->condstore = p->condstore;
    int ret = take_known(op, s, p->qresync);
    return ret < 0 ? imap_call_drop(&s->call, ret) : imap_call_submit(&s->call);
}

const struct op_handler imap_select_handler = {.run = select_run};
const struct op_handler imap_examine_handler = {.run = select_run};
