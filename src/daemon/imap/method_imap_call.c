/* SPDX-License-Identifier: MIT */
#include "method_imap.h"

#include "imap_generic.h"
#include "imap_mailbox.h"
#include "method_imap_session.h"

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

/* Nobody is queued behind a section of which that much is still to come, or behind what the server thinks about for that long:
 * another connection may be free before. */
#define SLOW_LITERAL (256u * 1024)
#define SLOW_MS 2000

static bool may_be_slow(const struct exchange *x, const struct session *s)
{
    const struct engine *e = session_engine(s);
    if (pool_endpoint(x->pool)->pool_size < 2)
        return false;
    return imap_client_works_long(e) || imap_client_literal_left(e) > SLOW_LITERAL || session_silence_ms(s) > SLOW_MS;
}

static bool is_selected(const struct imap_call *call, const struct engine *e, bool *ret_pending)
{
    struct slice planned;
    bool readonly;
    imap_client_planned(e, &planned, &readonly, ret_pending);
    /* Since then the name may have become another mailbox's; what a session has selected is its client's matter. */
    if (!call->in_session && imap_client_planned_stamp(e) != pool_epoch(call->ox.x.pool))
        return false;
    return planned.len > 0 && imap_mailbox_eq(planned, call->mailbox) && !(call->write && readonly);
}

/* In a session only its caller switches anything on. */
static bool must_switch_on(const struct imap_call *call, const struct engine *e)
{
    enum imap_cap cap = call->enable ? imap_cap_find(*call->enable) : IMAP_CAP_COUNT;
    if (cap == IMAP_CAP_COUNT || call->in_session || imap_client_enabled(e, cap))
        return false;
    return !call->enable_if_offered || (imap_client_has(e, cap) && imap_client_has(e, IMAP_CAP_ENABLE));
}

/* Courier removes and renames no mailbox that the connection itself has open, and puts no message into one that it has open for
 * reading. In a session its caller sees to that. */
static bool must_leave(const struct imap_call *call, const struct engine *e)
{
    enum imap_kind kind = call->command.kind;
    const struct imap_quirks quirks = imap_client_quirks(e);
    struct slice planned;
    bool readonly, pending;
    if (call->in_session || call->mailbox.data || !imap_quirk_is_on(&quirks, IMAP_QUIRK_COURIER_OPEN_MAILBOX) ||
        (kind != IMAP_DELETE && kind != IMAP_RENAME && kind != IMAP_APPEND))
        return false;
    imap_client_planned(e, &planned, &readonly, &pending);
    return planned.len > 0 && imap_mailbox_eq(planned, call->command.mailbox) && (readonly || kind != IMAP_APPEND);
}

static int fits(const struct exchange *x, const struct session *s)
{
    const struct imap_call *call = call_of(x);
    const struct engine *e = session_engine(s);
    bool idle = session_is_idle(s), pending = false;
    int depth = (int) session_depth(s);
    if (!idle && (depth >= IMAP_CALL_DEPTH || may_be_slow(x, s)))
        return -1;
    if (must_switch_on(call, e) || must_leave(call, e))
        return idle ? 0 : -1;
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

/* Digits of "first:last,". */
static size_t range_len(const struct number_range *r)
{
    size_t len = 2;
    for (uint32_t n = r->first; n; n /= 10)
        len++;
    for (uint32_t n = r->last; n && r->first != r->last; n /= 10)
        len++;
    return len;
}

void imap_call_rewind(struct imap_call *call)
{
    call->next_range = 0;
    call->next_offset = 0;
}

/* As many numbers as `limit` says of a range that has more, or what is left of one that was begun. */
static void take_piece(struct imap_call *call, uint64_t limit)
{
    const struct number_range *r = &call->set.ranges[call->next_range];
    uint32_t first = r->first + call->next_offset;
    uint64_t count = (uint64_t) r->last - first + 1;
    bool last = count <= limit;
    call->piece = (struct number_range){first, last ? r->last : first + (uint32_t) limit - 1};
    call->part = (struct imap_set){.ranges = &call->piece, .n = 1};
    call->next_offset = last ? 0 : call->next_offset + (uint32_t) limit;
    call->next_range += last;
}

bool imap_call_next_part(struct imap_call *call)
{
    uint64_t limit = call->session && !call->command.numbers ? imap_client_message_limit(imap_call_engine(call)) : 0, count = 0;
    size_t left = call->set.n - MIN(call->next_range, call->set.n), n = 0, len = 0;
    while (n < left && len < IMAP_COMMAND_SET) {
        const struct number_range *r = &call->set.ranges[call->next_range + n];
        count += (uint64_t) r->last - r->first + 1;
        /* An open end is the server's to cut. */
        if (limit && (call->next_offset || (count > limit && r->last != UINT32_MAX))) {
            if (n > 0)
                break;
            take_piece(call, limit);
            return true;
        }
        len += range_len(r);
        n++;
    }
    bool star = call->set.star && call->next_range + n >= call->set.n;
    bool alone = (star || call->set.saved) && call->next_range == 0 && call->set.n == 0;
    if (n == 0 && !alone)
        return false;
    call->part = (struct imap_set){.ranges = call->set.ranges + call->next_range, .n = n, .star = star, .saved = call->set.saved};
    call->next_range += MAX(n, (size_t) 1);
    return true;
}

/* --- servers that do only so much at once --- */

/* What of `set` (NULL: everything) lies below `uid`. */
static int take_rest(struct imap_call *call, const struct imap_set *set, uint32_t uid)
{
    struct imap_set rest;
    int ret = 0;
    imap_set_init(&rest, IMAP_CALL_RANGES_MAX);
    if (!set && uid > 1)
        ret = imap_set_add(&rest, 1, uid - 1);
    for (size_t i = 0; set && i < set->n && ret == 0 && set->ranges[i].first < uid; i++)
        ret = imap_set_add(&rest, set->ranges[i].first, MIN(set->ranges[i].last, uid - 1));
    imap_set_done(&call->rest);
    call->rest = rest;
    return ret;
}

/* "OK [MESSAGELIMIT 1000 23221]": only messages from that UID on were looked at; the command goes again for those below. */
static bool goes_on(struct imap_call *call, struct imap_command *command, const struct imap_event *e)
{
    struct slice arguments = e->response.code.arguments;
    uint64_t uid = 0;
    bool limited = !e->base.fault && slice_eq_ci(e->response.code.name, SLICE("MESSAGELIMIT"));
    if (limited)
        imap_word_next(&arguments);
    limited = limited && slice_to_u64(slice_trim(arguments), UINT32_MAX, &uid) && uid > 0;
    bool odd = limited && (command->numbers || (call->limited_at && uid >= call->limited_at));
    if (limited && !call->limited_at)
        call->whole = command->set;
    int ret = limited && !odd ? take_rest(call, call->whole, (uint32_t) uid) : 0;
    if (limited && !odd && ret == 0 && call->rest.n > 0) {
        call->limited_at = (uint32_t) uid;
        /* EXPUNGE of all is the same again. */
        if (command->kind != IMAP_EXPUNGE || call->whole)
            command->set = &call->rest;
        imap_call_command(call, command, &call->fault);
        return true;
    }
    if (call->limited_at)
        command->set = call->whole;
    call->limited_at = 0;
    if (odd || ret < 0)
        fault_set(&call->fault, -E2BIG, FAULT_LIMIT, imap_kind_stage(command->kind),
                  command->numbers ? "the server does not take so many messages at once: use `uids`"
                                   : "the server does not take so many messages at once");
    return false;
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

/* RFC 5161 section 3.1: not while a mailbox is selected. */
static int switch_on(struct imap_call *call, struct fault *fault)
{
    const struct engine *e = imap_call_engine(call);
    struct imap_mailbox_state box;
    int ret = 0;
    imap_client_selected(e, &box);
    call->leave = (struct imap_command){.kind = IMAP_UNSELECT};
    call->switch_on = (struct imap_command){.kind = IMAP_ENABLE, .items = call->enable, .n_items = 1};
    if (box.selected && imap_client_has(e, IMAP_CAP_UNSELECT) && imap_client_has(e, IMAP_CAP_ENABLE))
        ret = imap_call_command(call, &call->leave, fault);
    return ret < 0 ? ret : imap_call_command(call, &call->switch_on, fault);
}

/* After it names may stand for other mailboxes, as far as is known; whether it succeeds is known later, if at all. */
static bool moves_names(const struct imap_command *c)
{
    return c->kind == IMAP_DELETE || c->kind == IMAP_RENAME || c->kind == IMAP_RAW_SEND ||
           (c->kind == IMAP_GENERIC && imap_generic_effect(c->text, NULL) == IMAP_EFFECT_RENAMES);
}

/* CLOSE would remove messages where the mailbox is not open for reading only. */
static int leave_mailbox(struct imap_call *call, struct fault *fault)
{
    const struct engine *e = imap_call_engine(call);
    struct imap_mailbox_state box;
    imap_client_selected(e, &box);
    call->leave = (struct imap_command){.kind = imap_client_has(e, IMAP_CAP_UNSELECT) ? IMAP_UNSELECT : box.readonly ? IMAP_CLOSE : IMAP_EXAMINE,
                                        .mailbox = SLICE("INBOX")};
    return imap_call_command(call, &call->leave, fault);
}

static int start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct imap_call *call = call_of(x);
    bool pending = false;
    call->session = s;
    call->began = call->rides = call->selects_again = call->leaves = false;
    imap_call_rewind(call);
    call->limited_at = 0;
    fault_clear(&call->fault);
    if (moves_names(&call->command))
        pool_next_epoch(x->pool);
    call->fresh = call->in_session || !call->mailbox.data;
    bool enabling = must_switch_on(call, session_engine(s));
    int ret = enabling ? switch_on(call, fault) : 0;
    if (ret < 0 || (enabling && !call->mailbox.data)) /* it begins when that has been answered */
        return ret;
    call->leaves = must_leave(call, session_engine(s));
    if (call->leaves)
        return leave_mailbox(call, fault);
    if (!call->mailbox.data || (is_selected(call, session_engine(s), &pending) && !pending))
        return call->fresh || !(call->wants_fresh || x->changes) ? begin(call, fault) : imap_call_refresh(call, fault);
    call->fresh = !pending;
    bool blind = !call->expected && !x->changes && !call->write;
    if (!pending || !blind) {
        call->select = (struct imap_command){.kind = call->write ? IMAP_SELECT : IMAP_EXAMINE, .mailbox = call->mailbox};
        call->select.stamp = pool_epoch(x->pool);
        ret = imap_call_command(call, &call->select, fault);
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
    imap_call_rewind(call);
    call->select = (struct imap_command){.kind = IMAP_EXAMINE, .mailbox = call->mailbox, .stamp = pool_epoch(call->ox.x.pool)};
    if (imap_call_command(call, &call->select, &fault) < 0)
        remember_fault(call, &fault);
    return true;
}

/* RFC 9585: [INPROGRESS ("tag" 454 1000)], or NIL for what is not known. */
static void in_progress(struct imap_call *call, const struct imap_event *e)
{
    struct slice arguments = e->response.code.arguments, inside;
    struct imap_value list, tag, number;
    uint64_t done = 0, goal = 0;
    if (!call->ox.op || e->fetch.is_fetch || !slice_eq_ci(e->response.code.name, SLICE("INPROGRESS")) ||
        imap_value_next(&arguments, &list) <= 0 || list.type != IMAP_LIST)
        return;
    inside = list.bytes;
    if (imap_value_next(&inside, &tag) <= 0 || imap_value_next(&inside, &number) <= 0 ||
        !imap_value_number(&number, UINT32_MAX, &done))
        return;
    if (imap_value_next(&inside, &number) <= 0 || !imap_value_number(&number, UINT32_MAX, &goal))
        goal = 0;
    op_progress(call->ox.op, done, goal);
}

static void event(struct exchange *x, struct session *s, const struct engine_event *base)
{
    struct imap_call *call = call_of(x);
    const struct imap_event *e = (const struct imap_event *) base;
    call->session = s;
    if (call->in_session && call->ox.op && call->ox.op->session)
        imap_session_note(call->ox.op->session, e);
    if (base->type == ENGINE_EVENT_NOTICE) {
        in_progress(call, e);
        return;
    }
    if (base->request == &call->leave.request || base->request == &call->switch_on.request) {
        struct fault fault = {.kind = FAULT_NONE};
        if (base->type != ENGINE_EVENT_DONE)
            return;
        remember_fault(call, base->fault);
        bool ready = base->request == &call->switch_on.request ? !call->mailbox.data : call->leaves;
        if (ready && !fault_is_set(&call->fault) && begin(call, &fault) < 0)
            remember_fault(call, &fault);
        return;
    }
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
    if (base->type == ENGINE_EVENT_DONE && moves_names(command))
        pool_next_epoch(x->pool); /* what was selected meanwhile may be what is no more */
    if (base->type == ENGINE_EVENT_DONE && !base->fault && imap_kind_changes(command->kind))
        call->acted = true;
    if (base->type == ENGINE_EVENT_DONE && goes_on(call, container_of(base->request, struct imap_command, request), e))
        return;
    if (base->type == ENGINE_EVENT_DONE && base->fault && !(call->ops->refused && call->ops->refused(call, e)))
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
    imap_set_done(&call->rest);
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

int imap_take_set(struct op *op, struct imap_set *set, const struct rpc_set *from, const char *name)
{
    int ret = 0;
    if (from->text.data)
        ret = imap_set_parse(set, from->text);
    for (size_t i = 0; i < from->n && ret == 0 && !from->text.data; i++)
        ret = imap_set_add_loose(set, from->numbers[i], from->numbers[i]);
    imap_set_settle(set);
    if (ret == -E2BIG)
        return op_refuse(op, FAULT_LIMIT, "`%s` names too many single messages", name);
    if (ret == -ENOMEM)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    if (ret == 0 && set->saved && !op->session)
        return op_refuse(op, FAULT_INVALID_PARAMS, "`%s`: \"$\" works in a session only", name);
    if (ret < 0 || imap_set_is_empty(set))
        return op_refuse(op, FAULT_INVALID_PARAMS, "`%s` must be a set like \"1:5,8\" or an array of numbers", name);
    return 0;
}

int imap_call_take_set(struct op *op, struct imap_call *call, const struct rpc_set *uids, const struct rpc_set *numbers)
{
    if (numbers && numbers->given) {
        call->command.numbers = true;
        return imap_take_set(op, &call->set, numbers, "numbers");
    }
    return imap_take_set(op, &call->set, uids, "uids");
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
