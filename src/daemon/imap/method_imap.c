/* SPDX-License-Identifier: MIT */
/* imap.open, logout, noop, status. */
#include "method_imap.h"

#include "imap_mailbox.h"
#include "method_imap_session.h"
#include "method_imap_told.h"
#include "methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- sessions --- */

static void opened(struct op *op, struct op_session *s, struct session *net)
{
    const struct api_open_params *p = op->params;
    s->readonly = p->readonly;
    imap_session_begin(s);
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "session", s->id);
    json_write_key(&op->w, "capabilities");
    imap_json_flags(&op->w, imap_client_capabilities(session_engine(net)));
    json_write_member_string(&op->w, "greeting", imap_client_greeting(session_engine(net)));
    json_write_object_end(&op->w);
    op_finish(op);
}

static int open_run(struct op *op)
{
    const struct api_open_params *p = op->params;
    int ret = op_session_open(op, PROTOCOL_IMAP, p->login, opened);
    return ret < 0 ? ret : OP_WAIT;
}

const struct op_handler imap_open_handler = {.run = open_run};

static int logout_run(struct op *op)
{
    op_session_end(op->session, true);
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler imap_logout_handler = {.run = logout_run};

/* --- commands with an empty result --- */

static int begin_command(struct imap_call *call, struct fault *fault)
{
    return imap_call_command(call, &call->command, fault);
}

static void no_event(struct imap_call *call, const struct imap_event *event)
{
    (void) call;
    (void) event;
}

static void finish_empty(struct imap_call *call, struct op *op)
{
    (void) call;
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    op_finish(op);
}

static const struct imap_call_ops noop_ops = {"imap.noop", begin_command, no_event, finish_empty, NULL};

static int noop_run(struct op *op)
{
    struct imap_call *call = imap_call_new(op, sizeof(*call), &noop_ops);
    call->command.kind = IMAP_NOOP;
    call->ox.x.reads_only = true;
    return imap_call_submit(call);
}

const struct op_handler imap_noop_handler = {.run = noop_run};

/* --- status --- */

struct status_call {
    struct imap_call call;
    struct slice name;
    bool named; /* the items */
    bool answered;
};

/* Counts of messages and UIDs have 32 bits, sizes and modification sequences 63. */
static uint64_t status_max(struct slice name)
{
    static const struct slice small[] = {SLICE("MESSAGES"), SLICE("RECENT"),      SLICE("UNSEEN"),
                                         SLICE("DELETED"),  SLICE("UIDVALIDITY"), SLICE("UIDNEXT")};
    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        if (slice_eq_ci(name, small[i]))
            return UINT32_MAX;
    return INT64_MAX;
}

void imap_write_status(struct op *op, struct slice items, struct slice mailbox)
{
    struct slice name;
    struct imap_value value;
    struct imap_names names;
    char lower[64];
    imap_names_init(&names);
    imap_names_new(&names, SLICE("mailbox")); /* this interface's own */
    while (imap_status_next(&items, &name, &value) > 0) {
        uint64_t n;
        if (name.len > sizeof(lower))
            continue;
        for (size_t i = 0; i < name.len; i++)
            lower[i] = ascii_lower(name.data[i]);
        /* MAILBOXID is a text in parentheses; anything else that is no number of the right size is not known. */
        bool is_text = slice_eq_ci(name, SLICE("MAILBOXID")) && value.type == IMAP_LIST;
        if ((!is_text && !imap_value_number(&value, status_max(name), &n)) || imap_names_new(&names, slice_of(lower, name.len)) <= 0)
            continue;
        json_write_key_slice(&op->w, slice_of(lower, name.len));
        if (is_text) {
            json_write_string(&op->w, value.bytes);
            continue;
        }
        json_write_uint(&op->w, n);
        if (slice_eq_ci(name, SLICE("UIDVALIDITY")) && n > 0 && n <= UINT32_MAX)
            op_uidvalidity_remember(op, mailbox, (uint32_t) n);
    }
    imap_names_done(&names);
}

/* Where the mailbox happens to be selected, servers count what that shows: it must be looked at anew first. */
static int status_begin(struct imap_call *call, struct fault *fault)
{
    static const struct slice usual[] = {SLICE("MESSAGES"), SLICE("UNSEEN"), SLICE("UIDNEXT"), SLICE("UIDVALIDITY"),
                                         SLICE("RECENT")};
    struct imap_mailbox_state box;
    if (!container_of(call, struct status_call, call)->named) {
        call->command.items = usual;
        call->command.n_items = ARRAY_LEN(usual) - imap_client_speaks_rev2(imap_call_engine(call));
    }
    imap_client_selected(imap_call_engine(call), &box);
    if (box.selected && !call->in_session && imap_mailbox_eq(box.mailbox, call->command.mailbox))
        return imap_call_refresh(call, fault);
    return imap_call_command(call, &call->command, fault);
}

static void status_event(struct imap_call *call, const struct imap_event *e)
{
    struct status_call *s = container_of(call, struct status_call, call);
    struct op *op = call->ox.op;
    struct imap_value name;
    struct slice items;
    if (e->base.type == ENGINE_EVENT_DONE && e->base.request == &call->refresh.request) {
        imap_call_command(call, &call->command, &call->fault);
        return;
    }
    if (!op || e->base.type != ENGINE_EVENT_REPLY || s->answered || imap_status_parse(e->response.text, &name, &items) < 0)
        return;
    s->answered = call->given_away = true;
    json_write_object_begin(&op->w);
    json_write_member_string(&op->w, "mailbox", s->name);
    imap_write_status(op, items, s->name);
    json_write_object_end(&op->w);
}

static void status_finish(struct imap_call *call, struct op *op)
{
    struct status_call *s = container_of(call, struct status_call, call);
    if (!s->answered) {
        fault_set(&op->fault, -EPROTO, FAULT_PROTOCOL, "status", "the server says OK and tells nothing of the mailbox");
        op_fail(op, NULL);
        return;
    }
    op_finish(op);
}

static const struct imap_call_ops status_ops = {"imap.status", status_begin, status_event, status_finish, NULL};

static int status_run(struct op *op)
{
    const struct api_imap_status_params *p = op->params;
    struct status_call *s = imap_call_new(op, sizeof(*s), &status_ops);
    s->name = p->mailbox;
    s->call.command.kind = IMAP_STATUS;
    s->call.command.mailbox = p->mailbox;
    s->named = p->items.n > 0;
    s->call.command.items = p->items.items;
    s->call.command.n_items = p->items.n;
    s->call.ox.x.reads_only = true;
    return imap_call_submit(&s->call);
}

const struct op_handler imap_status_handler = {.run = status_run};
