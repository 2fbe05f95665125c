/* SPDX-License-Identifier: MIT */
#include "method_imap.h"

#include "imap_mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct imap_call *call_of(const struct exchange *x)
{
    return container_of((struct exchange *) (uintptr_t) x, struct imap_call, ox.x);
}

struct engine *imap_call_engine(const struct imap_call *call)
{
    return session_engine(call->session);
}

/* --- where it may run --- */

static bool is_selected(const struct imap_call *call, const struct engine *e, bool *ret_pending)
{
    struct slice planned;
    bool readonly;
    imap_client_planned(e, &planned, &readonly, ret_pending);
    return planned.len > 0 && imap_mailbox_eq(planned, call->mailbox) && !(call->write && readonly);
}

static int fits(const struct exchange *x, const struct session *s)
{
    const struct imap_call *call = call_of(x);
    const struct engine *e = session_engine(s);
    bool idle = session_is_idle(s), pending = false;
    int depth = (int) session_depth(s);
    if (!idle && depth >= IMAP_CALL_DEPTH)
        return -1;
    if (!call->mailbox.data)
        return imap_client_would_wait(e, &call->command) ? -1 : idle ? IMAP_CALL_DEPTH + 2 : 1;
    if (!is_selected(call, e, &pending))
        return idle ? 0 : -1;
    /* Behind a SELECT that is not answered yet only what need not know its UIDVALIDITY may go. */
    if (pending && (call->expected || call->ox.x.changes))
        return -1;
    if (imap_client_would_wait(e, &call->command))
        return -1;
    return idle ? IMAP_CALL_DEPTH + 2 : 1 + IMAP_CALL_DEPTH - depth;
}

/* --- its course --- */

int imap_call_command(struct imap_call *call, struct imap_command *command, struct fault *fault)
{
    command->request.owner = &call->ox.x;
    return imap_client_submit(imap_call_engine(call), command, fault);
}

bool imap_call_next_part(struct imap_call *call)
{
    size_t n = MIN(call->set.n - MIN(call->next_range, call->set.n), (size_t) IMAP_COMMAND_RANGES);
    bool star = call->set.star && call->next_range + n >= call->set.n;
    if (n == 0 && !(star && call->next_range == 0 && call->set.n == 0))
        return false;
    call->part = (struct imap_set){.ranges = call->set.ranges + call->next_range, .n = n, .star = star};
    call->next_range += MAX(n, (size_t) 1);
    return true;
}

/* The mailbox is open: is it the one that the UIDs came from? */
static int begin(struct imap_call *call, struct fault *fault)
{
    struct imap_mailbox_state box;
    call->began = true;
    if (!call->mailbox.data)
        return call->ops->begin(call, fault);
    imap_client_selected(imap_call_engine(call), &box);
    call->uidvalidity = box.selected ? box.uidvalidity : 0;
    if (call->expected && box.selected && call->expected != box.uidvalidity) {
        fault_set(fault, -ESTALE, FAULT_UIDVALIDITY, "select", "the mailbox is not the one that the UIDs came from");
        fault->expected = call->expected;
        fault->found = box.uidvalidity;
        fault->protocol = "imap";
        return -ESTALE;
    }
    if (call->write && box.selected && box.readonly) {
        fault_set(fault, -EROFS, FAULT_READONLY, "select", "the server opens the mailbox for reading only");
        fault->protocol = "imap";
        return -EROFS;
    }
    return call->ops->begin(call, fault);
}

/* A mailbox that is selected shows what was there when its last command ended: servers look again at NOOP, and some only
 * before they answer it. Not in a session, where it could renumber messages. */
int imap_call_refresh(struct imap_call *call, struct fault *fault)
{
    call->refresh = (struct imap_command){.kind = IMAP_NOOP};
    call->fresh = true;
    return imap_call_command(call, &call->refresh, fault);
}

static int start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct imap_call *call = call_of(x);
    bool pending = false;
    call->session = s;
    call->began = call->rides = call->selects_again = false;
    call->next_range = 0;
    fault_clear(&call->fault);
    call->fresh = call->in_session || !call->mailbox.data;
    if (!call->mailbox.data || (is_selected(call, session_engine(s), &pending) && !pending))
        return call->fresh || !(call->wants_fresh || x->changes) ? begin(call, fault) : imap_call_refresh(call, fault);
    call->fresh = !pending;
    bool blind = !call->expected && !x->changes && !call->write;
    if (!pending || !blind) {
        call->select = (struct imap_command){.kind = call->write ? IMAP_SELECT : IMAP_EXAMINE, .mailbox = call->mailbox};
        int ret = imap_call_command(call, &call->select, fault);
        if (ret < 0)
            return ret;
    }
    /* A pure read whose UIDs nobody vouches for need not wait for the answer. */
    call->began = blind;
    call->rides = pending && blind;
    return blind ? call->ops->begin(call, fault) : 0;
}

static void remember_fault(struct imap_call *call, const struct fault *fault)
{
    if (!fault_is_set(&call->fault) && fault)
        call->fault = *fault;
}

static void select_done(struct imap_call *call, const struct imap_event *e)
{
    struct imap_mailbox_state box;
    struct fault fault = {.kind = FAULT_NONE};
    if (e->base.fault) {
        remember_fault(call, e->base.fault);
        return;
    }
    imap_client_selected(imap_call_engine(call), &box);
    call->uidvalidity = box.uidvalidity;
    if (!call->began && begin(call, &fault) < 0)
        remember_fault(call, &fault);
}

/* The mailbox that another call asked for did not open, and what was sent behind that was refused for no reason of its own:
 * this call asks for the mailbox itself, and gets the server's word on it. */
static bool select_again(struct imap_call *call)
{
    struct imap_mailbox_state box;
    struct fault fault = {.kind = FAULT_NONE};
    imap_client_selected(imap_call_engine(call), &box);
    if (!call->rides || call->given_away || (box.selected && imap_mailbox_eq(box.mailbox, call->mailbox)))
        return false;
    call->rides = call->began = false;
    call->selects_again = true;
    call->next_range = 0;
    call->select = (struct imap_command){.kind = IMAP_EXAMINE, .mailbox = call->mailbox};
    if (imap_call_command(call, &call->select, &fault) < 0)
        remember_fault(call, &fault);
    return true;
}

static void event(struct exchange *x, struct session *s, const struct engine_event *base)
{
    struct imap_call *call = call_of(x);
    const struct imap_event *e = (const struct imap_event *) base;
    call->session = s;
    if (base->type == ENGINE_EVENT_NOTICE)
        return;
    if (base->request == &call->select.request) {
        if (base->type == ENGINE_EVENT_DONE)
            select_done(call, e);
        return;
    }
    if (call->selects_again && !call->began)
        return; /* what went out too early */
    if (base->type == ENGINE_EVENT_DONE && base->fault && select_again(call))
        return;
    if (call->mailbox.data && !call->uidvalidity) {
        struct imap_mailbox_state box;
        imap_client_selected(imap_call_engine(call), &box);
        call->uidvalidity = box.uidvalidity;
    }
    if (base->request == &call->refresh.request && (base->type != ENGINE_EVENT_DONE || !call->began)) {
        struct fault fault = {.kind = FAULT_NONE};
        remember_fault(call, base->fault);
        if (base->type == ENGINE_EVENT_DONE && !base->fault && begin(call, &fault) < 0)
            remember_fault(call, &fault);
        return;
    }
    const struct imap_command *command = container_of(base->request, struct imap_command, request);
    if (base->type == ENGINE_EVENT_DONE && !base->fault && imap_kind_changes(command->kind))
        call->acted = true;
    if (base->type == ENGINE_EVENT_DONE && base->fault)
        remember_fault(call, base->fault);
    else if (!fault_is_set(&call->fault))
        call->ops->event(call, e);
}

static ssize_t body(struct exchange *x, struct engine_request *request, const char **ret, bool *ret_last)
{
    struct imap_call *call = call_of(x);
    (void) request;
    return call->ops->body ? call->ops->body(call, ret, ret_last) : -EINVAL;
}

static bool restart(struct exchange *x)
{
    struct imap_call *call = call_of(x);
    return !call->given_away && !call->acted;
}

static void dispose(struct op_exchange *ox)
{
    struct imap_call *call = container_of(ox, struct imap_call, ox);
    if (call->ops->dispose)
        call->ops->dispose(call);
    imap_set_done(&call->set);
    free(call->own_mailbox);
    call->own_mailbox = NULL;
    body_owner_unref(call->text);
    call->text = NULL;
}

static void done(struct exchange *x, const struct fault *fault)
{
    struct imap_call *call = call_of(x);
    const struct fault *why = fault && fault_is_set(fault) ? fault : fault_is_set(&call->fault) ? &call->fault : NULL;
    struct fault partly;
    if (why && call->acted && why->outcome == OUTCOME_NONE) {
        /* What came before the failure has been done, and must not be done again. */
        partly = *why;
        partly.outcome = why->kind == FAULT_REJECTED ? OUTCOME_DONE : OUTCOME_UNKNOWN;
        why = &partly;
    }
    struct op *op = op_exchange_end(x, why);
    if (call->ops->ended)
        call->ops->ended(call, why);
    if (op) {
        if (why || fault_is_set(&op->fault))
            op_fail(op, NULL);
        else
            call->ops->finish(call, op);
    }
    dispose(&call->ox);
}

static const struct exchange_ops exchange_ops = {
    .name = "imap",
    .fits = fits,
    .start = start,
    .event = event,
    .body = body,
    .restart = restart,
    .done = done,
};

void *imap_call_new(struct op *op, size_t size, const struct imap_call_ops *ops)
{
    struct imap_call *call = op_exchange_new(op, size, &exchange_ops);
    call->ops = ops;
    call->text = body_owner_ref(op_text_owner(op));
    call->ox.dispose = dispose;
    call->ox.x.complete = true;
    call->in_session = op->session != NULL;
    imap_set_init(&call->set, IMAP_CALL_RANGES_MAX);
    return call;
}

int imap_call_drop(struct imap_call *call, int ret)
{
    dispose(&call->ox);
    free(call);
    return ret;
}

int imap_call_submit(struct imap_call *call)
{
    int ret = op_exchange_submit(&call->ox, PROTOCOL_IMAP);
    return ret < 0 ? ret : OP_WAIT;
}

static int take_set(struct op *op, struct imap_call *call, const struct rpc_set *from, const char *name)
{
    int ret = 0;
    if (from->text.data)
        ret = imap_set_parse(&call->set, from->text);
    for (size_t i = 0; i < from->n && ret == 0 && !from->text.data; i++)
        ret = imap_set_add(&call->set, from->numbers[i], from->numbers[i]);
    if (ret == -E2BIG)
        return op_refuse(op, FAULT_LIMIT, "`%s` names too many single messages", name);
    if (ret == -ENOMEM)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    if (ret < 0 || imap_set_is_empty(&call->set))
        return op_refuse(op, FAULT_INVALID_PARAMS, "`%s` must be a set like \"1:5,8\" or an array of numbers", name);
    return 0;
}

int imap_call_take_set(struct op *op, struct imap_call *call, const struct rpc_set *uids, const struct rpc_set *numbers)
{
    if (numbers && numbers->given) {
        call->command.numbers = true;
        return take_set(op, call, numbers, "numbers");
    }
    return take_set(op, call, uids, "uids");
}

/* The name of the mailbox that a session has selected. */
static int session_mailbox(struct op *op, struct imap_call *call)
{
    struct imap_mailbox_state box = {.selected = false};
    struct session *net = op_session_net(op->session);
    if (net)
        imap_client_selected(session_engine(net), &box);
    if (!box.selected)
        return op_refuse(op, FAULT_INVALID_PARAMS, "no mailbox is selected in this session: name `mailbox`");
    if (box.readonly && call->write)
        return op_refuse(op, FAULT_READONLY, "the mailbox was opened for reading only");
    call->own_mailbox = imap_call_text(box.mailbox);
    if (!call->own_mailbox)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    call->mailbox = slice_of(call->own_mailbox, box.mailbox.len);
    return 0;
}

int imap_call_take_mailbox(struct op *op, struct imap_call *call, struct slice mailbox,
                           const struct rpc_uidvalidity *uidvalidity, bool changing)
{
    int ret = 0;
    call->mailbox = mailbox;
    call->write = changing;
    call->ox.x.changes = changing;
    call->ox.x.reads_only = !changing;
    if (op->session && op->session->readonly && changing)
        return op_refuse(op, FAULT_READONLY, "this session is read-only");
    if (op->session && !mailbox.data)
        ret = session_mailbox(op, call);
    if (ret < 0 || !uidvalidity)
        return ret;
    if (op->session) {
        call->expected = uidvalidity->kind == RPC_UIDVALIDITY_NUMBER ? uidvalidity->value : 0;
        return 0;
    }
    return op_uidvalidity_expected(op, uidvalidity, call->mailbox, changing, &call->expected);
}

char *imap_call_text(struct slice text)
{
    char *copy = malloc(text.len + 1);
    if (copy && text.len)
        memcpy(copy, text.data, text.len);
    if (copy)
        copy[text.len] = '\0';
    return copy;
}

void imap_call_write_mailbox(struct imap_call *call, struct op *op, bool name)
{
    if (name)
        json_write_member_string(&op->w, "mailbox", call->mailbox);
    if (call->uidvalidity) {
        json_write_member_uint(&op->w, "uidvalidity", call->uidvalidity);
        op_uidvalidity_remember(op, call->mailbox, call->uidvalidity);
    }
}
