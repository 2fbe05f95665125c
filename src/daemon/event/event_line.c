/* SPDX-License-Identifier: MIT */
/* A line: the dialogue that serves a watch, as one exchange. On a connection of its own it idles between rounds and lasts as
 * long as the connection; on one of the pool it looks and goes.
 *
 *   [LEAVE] ─▶ [ENABLE] ─▶ OPEN ─▶ CHANGES ─▶ LIST ─▶ DETAILS ─▶ IDLE ─▶ CHANGES …
 *
 * Steps that are not needed are passed over. The line keeps all that its commands point to, since it may be given up while
 * one of them is under way. */
#include "event.h"

#include "client.h"
#include "gateway.h"
#include "method_imap.h"
#include "must.h"

#include <errno.h>
#include <stdlib.h>

#define VISIT_ROUNDS 3  /* of a visit: then others have their turn */
#define DETAIL_RANGES 100
#define MORE_MAX 4      /* times that new messages are asked for before a round is over */

enum line_step { LINE_LEAVE = 0, LINE_ENABLE, LINE_OPEN, LINE_CHANGES, LINE_LIST, LINE_DETAILS, LINE_IDLE };

/* What a line needs while it looks, and not while it idles. */
struct line_work {
    struct imap_set set;
    struct slice words[EVENT_ITEMS_MAX + 2];
    size_t n_words;
    char *wanted; /* the items of those who are being served */
    struct event_round round;
    struct imap_found found;
    struct event_details details;
    struct imap_json json;
    struct imap_set before;
    struct event_place was;
    struct fault fault;
};

struct watch_line {
    struct lease lease;
    struct exchange x;
    struct event_watch *watch; /* NULL: nobody wants to know any more */
    struct loop *loop;
    bool leased;      /* it is of that sort */
    bool holds, runs; /* the lease until gone(), the exchange until done() */
    bool base;        /* the round only finds out what there is */
    bool checked;     /* that a mailbox without messages has none */
    bool hint;        /* something has happened since the round began */
    bool more;        /* EXISTS, while changes were asked for */
    bool closing;     /* not by us */
    enum line_step step;
    unsigned asked;   /* FETCHes of this round */
    unsigned rounds;
    uint64_t told_modseq;    /* HIGHESTMODSEQ as told before the round began */
    struct session *session; /* while a command is under way */
    struct imap_command command;
    char *mailbox;
    struct line_work *work; /* NULL: it idles, or has not begun */
};

static struct watch_line *line_of(const struct exchange *x)
{
    return container_of((struct exchange *) (uintptr_t) x, struct watch_line, x);
}

static void work_init(struct watch_line *l)
{
    if (l->work)
        return;
    l->work = must_calloc(1, sizeof(*l->work));
    round_init(&l->work->round);
    imap_found_init(&l->work->found);
    imap_json_init(&l->work->json);
    event_details_init(&l->work->details);
    imap_set_init(&l->work->set, EVENT_SET_RANGES);
}

static void work_done(struct watch_line *l)
{
    struct line_work *w = l->work;
    if (!w)
        return;
    l->work = NULL;
    round_done(&w->round);
    event_details_done(&w->details);
    imap_found_done(&w->found);
    imap_json_done(&w->json);
    imap_set_done(&w->set);
    imap_set_done(&w->before);
    free(w->wanted);
    free(w);
}

static bool has_failed(const struct watch_line *l)
{
    return l->work && fault_is_set(&l->work->fault);
}

static struct engine *engine_of(const struct watch_line *l)
{
    return session_engine(l->session);
}

static int submit(struct watch_line *l, enum line_step step)
{
    l->step = step;
    l->command.request.owner = &l->x;
    return imap_client_submit(engine_of(l), &l->command, &l->work->fault);
}

/* The end of the dialogue, for a reason of ours. */
static int fail(struct watch_line *l, int err)
{
    if (err < 0)
        fault_set(&l->work->fault, err, err == -ENOMEM ? FAULT_INTERNAL : FAULT_LIMIT, "watch",
                  err == -ENOMEM ? "out of memory" : "the mailbox is too scattered to be watched");
    return err;
}

/* --- opening --- */

static int step_open(struct watch_line *l)
{
    l->command = (struct imap_command){.kind = IMAP_EXAMINE, .mailbox = slice_of_str(l->mailbox)};
    l->command.condstore = imap_client_has(engine_of(l), IMAP_CAP_CONDSTORE);
    return submit(l, LINE_OPEN);
}

/* RFC 5161 section 3.1: not while a mailbox is selected. */
static int step_enable(struct watch_line *l)
{
    static const struct slice qresync = SLICE("QRESYNC");
    const struct engine *e = engine_of(l);
    struct imap_mailbox_state box;
    imap_client_selected(e, &box);
    if (!imap_client_has(e, IMAP_CAP_QRESYNC) || !imap_client_has(e, IMAP_CAP_ENABLE) ||
        imap_client_enabled(e, IMAP_CAP_QRESYNC) || (box.selected && !imap_client_has(e, IMAP_CAP_UNSELECT)))
        return step_open(l);
    if (box.selected) {
        l->command = (struct imap_command){.kind = IMAP_UNSELECT};
        return submit(l, LINE_LEAVE);
    }
    l->work->words[0] = qresync;
    l->command = (struct imap_command){.kind = IMAP_ENABLE, .items = l->work->words, .n_items = 1};
    return submit(l, LINE_ENABLE);
}

static bool has_modseq(const struct engine *e)
{
    return imap_client_has(e, IMAP_CAP_CONDSTORE) || imap_client_has(e, IMAP_CAP_QRESYNC);
}

static void opened(struct watch_line *l)
{
    const struct engine *e = engine_of(l);
    struct imap_mailbox_state box;
    imap_client_selected(e, &box);
    if (!has_modseq(e) || box.highestmodseq > INT64_MAX)
        box.highestmodseq = 0;
    if (!box.uidvalidity) {
        fault_set(&l->work->fault, -ENOTSUP, FAULT_PROTOCOL, "examine", "the server tells no UIDVALIDITY: its UIDs mean nothing");
        return;
    }
    l->watch->no_idle = l->watch->no_idle || (l->leased && !imap_client_has(e, IMAP_CAP_IDLE));
    l->watch->mode = l->leased && imap_client_has(e, IMAP_CAP_IDLE) && !l->watch->no_idle ? EVENT_MODE_IDLE
                     : l->watch->notifier ? EVENT_MODE_NOTIFY : EVENT_MODE_POLL;
    l->watch->offers_notify = imap_client_has(e, IMAP_CAP_NOTIFY) && imap_client_has(e, IMAP_CAP_IDLE);
    watch_opened(l->watch, &box);
    l->hint = true;
}

/* --- rounds --- */

static bool take_part(struct event_watch *w, struct event_round *r)
{
    struct event_sub *s;
    bool behind = false;
    r->since = w->place.modseq;
    r->new_from = w->place.uidnext;
    list_foreach (&w->subs, s, struct event_sub, link) {
        s->takes_part = s->open && s->placed && !s->resync && !sub_is_slow(s);
        s->sum = 0;
        if (!s->takes_part)
            continue;
        behind = behind || !sub_is_current(s);
        r->new_from = MIN(r->new_from, s->place.uidnext);
        if (r->since && s->place.modseq)
            r->since = MIN(r->since, s->place.modseq);
    }
    return behind;
}

static uint32_t exists(const struct watch_line *l)
{
    struct imap_mailbox_state box;
    imap_client_selected(engine_of(l), &box);
    return box.exists;
}

static int finish_round(struct watch_line *l);

static int step_list(struct watch_line *l)
{
    imap_found_clear(&l->work->found);
    l->command = (struct imap_command){.kind = IMAP_SEARCH, .text = SLICE("ALL")};
    return submit(l, LINE_LIST);
}

static int ask_changes(struct watch_line *l, uint32_t from)
{
    struct event_round *r = &l->work->round;
    l->asked++;
    l->more = false;
    imap_set_clear(&l->work->set);
    int err = imap_set_add(&l->work->set, from, UINT32_MAX);
    if (err < 0)
        return fail(l, err);
    l->work->words[0] = SLICE("FLAGS");
    l->command = (struct imap_command){.kind = IMAP_FETCH, .set = &l->work->set, .items = l->work->words, .n_items = 1, .modseq = r->since};
    l->command.vanished = r->since && imap_client_enabled(engine_of(l), IMAP_CAP_QRESYNC);
    return submit(l, LINE_CHANGES);
}

/* Servers add to the answer what has happened while they gave it: flags and MODSEQs of any message, but of new ones only how
 * many there are. A MODSEQ that is higher than theirs must not be believed before these are known, too. */
static int ask_new(struct watch_line *l)
{
    uint32_t top = MAX(l->watch->place.uidnext - 1, l->work->round.top_uid);
    l->asked++;
    l->more = false;
    imap_set_clear(&l->work->set);
    int err = top < UINT32_MAX ? imap_set_add(&l->work->set, top + 1, UINT32_MAX) : -E2BIG;
    if (err < 0)
        return fail(l, err);
    l->work->words[0] = SLICE("FLAGS");
    l->work->words[1] = SLICE("MODSEQ");
    l->command = (struct imap_command){.kind = IMAP_FETCH, .set = &l->work->set, .items = l->work->words, .n_items = 2};
    return submit(l, LINE_CHANGES);
}

/* What is there at all, where nothing is known yet; what has happened since, else. */
static int step_round(struct watch_line *l)
{
    struct event_watch *w = l->watch;
    work_init(l);
    struct event_round *r = &l->work->round;
    round_clear(r);
    l->base = !w->known;
    l->hint = l->checked = l->more = false;
    l->asked = 0;
    l->rounds++;
    w->hint_ms = 0;
    w->round_ms = loop_now_ms(l->loop);
    watch_set_state(w, w->known ? WATCH_LOOKING : WATCH_OPENING);
    take_part(w, r);
    if (w->place.modseq == 0)
        r->since = 0;
    struct imap_mailbox_state box;
    imap_client_selected(engine_of(l), &box);
    l->told_modseq = r->since ? MAX(w->place.modseq, box.highestmodseq) : 0;
    r->whole = r->since == 0 && box.exists <= EVENT_FLAGS_MAX;
    if (l->base && r->whole)
        r->new_from = UINT32_MAX;
    /* Some servers take it amiss when messages are asked for where there are none. */
    if (box.exists == 0 || (l->base && !r->whole))
        return step_list(l);
    return ask_changes(l, r->since || r->whole ? 1 : r->new_from);
}

/* The flags, and what has vanished, are told. Is that all? */
static int changes_done(struct watch_line *l)
{
    struct imap_set known;
    if (l->work->round.whole)
        return finish_round(l);
    if (l->more && l->work->round.since) {
        if (l->asked <= MORE_MAX)
            return ask_new(l);
        l->work->round.top_modseq = 0; /* they come too fast: the next round asks for all that again */
    }
    imap_set_init(&known, EVENT_SET_RANGES);
    int err = round_known(&l->work->round, l->watch, &known);
    uint64_t count = imap_set_count(&known);
    imap_set_done(&known);
    if (err < 0)
        return fail(l, err);
    return count == exists(l) ? finish_round(l) : step_list(l);
}

static int list_done(struct watch_line *l)
{
    struct event_round *r = &l->work->round;
    struct imap_set none;
    imap_set_init(&none, 1);
    int err = imap_found_end(&l->work->found);
    if (err == 0)
        err = set_minus(&l->work->found.set, &none, &r->listed);
    if (err == -EBADMSG) {
        imap_found_fault(&l->work->fault, err);
        return err;
    }
    if (err < 0)
        return fail(l, err);
    if (r->listed.n && r->found.n == 0 && !(l->base && !r->whole) && !l->checked) {
        l->checked = true; /* there are some after all */
        return ask_changes(l, r->since || r->whole ? 1 : r->new_from);
    }
    r->has_list = true;
    if (l->base && l->watch->place.uidnext == 0)
        l->watch->place.uidnext = r->listed.n ? r->listed.ranges[r->listed.n - 1].last + 1 : 1;
    return finish_round(l);
}

/* --- more of new messages --- */

/* The UIDs that are new to any of those who want these items. */
static int new_uids(struct watch_line *l, const char *items)
{
    struct event_sub *s;
    uint32_t from = UINT32_MAX;
    int err = 0;
    imap_set_clear(&l->work->set);
    list_foreach (&l->watch->subs, s, struct event_sub, link)
        if (s->takes_part && strcmp(s->items, items) == 0)
            from = MIN(from, s->place.uidnext);
    for (size_t i = 0; i < l->work->round.n && err == 0; i++)
        if (l->work->round.messages[i].uid >= from && imap_set_contains(&l->watch->uids, l->work->round.messages[i].uid))
            err = imap_set_add(&l->work->set, l->work->round.messages[i].uid, l->work->round.messages[i].uid);
    if (err == 0 && l->work->set.n > DETAIL_RANGES)
        err = imap_set_add(&l->work->set, l->work->set.ranges[0].first, l->work->set.ranges[l->work->set.n - 1].last);
    return err;
}

/* 1: asked; 0: there is nothing to ask for. */
static int step_details(struct watch_line *l, const char *items)
{
    struct slice rest;
    int err = new_uids(l, items);
    if (err < 0)
        return fail(l, err);
    if (l->work->set.n == 0)
        return 0;
    event_details_clear(&l->work->details);
    free(l->work->wanted);
    l->work->wanted = strdup(items);
    if (!l->work->wanted)
        return fail(l, -ENOMEM);
    l->work->n_words = 0;
    l->work->words[l->work->n_words++] = SLICE("UID");
    rest = slice_of_str(l->work->wanted);
    while (rest.len && l->work->n_words < ARRAY_LEN(l->work->words))
        l->work->words[l->work->n_words++] = imap_word_next(&rest);
    l->command = (struct imap_command){.kind = IMAP_FETCH, .set = &l->work->set, .items = l->work->words, .n_items = l->work->n_words};
    err = submit(l, LINE_DETAILS);
    return err < 0 ? err : 1;
}

/* --- telling --- */

static int line_rest(struct watch_line *l);

/* One after the other: those who want no more than flags at once, the others as soon as their items are there. */
static int tell(struct watch_line *l)
{
    struct event_watch *w = l->watch;
    struct event_sub *s;
    const char *items = NULL;
    list_foreach (&w->subs, s, struct event_sub, link) {
        if (!s->takes_part)
            continue;
        if (s->items[0] && l->work->round.n && !l->work->round.overflow && !(l->work->wanted && strcmp(s->items, l->work->wanted) == 0)) {
            items = items ? items : s->items;
            continue;
        }
        s->takes_part = false;
        event_tell_round(s, &l->work->round, &l->work->before, &l->work->was, s->items[0] ? &l->work->details : NULL);
    }
    if (!items)
        return line_rest(l);
    int r = step_details(l, items);
    if (r != 0)
        return r < 0 ? r : 0;
    /* Nothing is new to them. */
    list_foreach (&w->subs, s, struct event_sub, link)
        if (s->takes_part && strcmp(s->items, items) == 0) {
            s->takes_part = false;
            event_tell_round(s, &l->work->round, &l->work->before, &l->work->was, NULL);
        }
    return tell(l);
}

static int finish_round(struct watch_line *l)
{
    struct event_watch *w = l->watch;
    imap_set_done(&l->work->before);
    free(l->work->wanted);
    l->work->wanted = NULL;
    l->hint = l->hint || l->work->round.doubtful;
    if (l->work->round.unknown_from)
        l->work->round.top_modseq = MIN(l->work->round.top_modseq, l->work->round.unknown_from - 1);
    l->work->round.top_modseq = MAX(l->work->round.top_modseq, l->told_modseq);
    int err = round_adopt(&l->work->round, w, &l->work->before, &l->work->was);
    if (err < 0)
        return fail(l, err);
    if (!l->base)
        return tell(l);
    w->known = true;
    watch_answer(w);
    return line_rest(l);
}

/* --- between rounds --- */

static bool somebody_is_behind(const struct event_watch *w)
{
    struct event_sub *s;
    list_foreach (&w->subs, s, struct event_sub, link)
        if (s->open && s->placed && !s->resync && !sub_is_slow(s) && !sub_is_current(s))
            return true;
    return false;
}

static int step_idle(struct watch_line *l)
{
    struct event_watch *w = l->watch;
    work_init(l);
    l->command = (struct imap_command){.kind = IMAP_IDLE};
    int r = submit(l, LINE_IDLE);
    if (r == 0) {
        work_done(l);
        if (l->hint && !w->hint_ms)
            w->hint_ms = loop_now_ms(l->loop) + EVENT_GATHER_MS;
        watch_set_state(w, WATCH_IDLING);
        const struct imap_quirks quirks = imap_client_quirks(engine_of(l));
        uint64_t patience = imap_quirks_idle_ms(&quirks);
        if (patience != UINT64_MAX)
            w->renew_ms = MIN(w->renew_ms, loop_now_ms(l->loop) + patience);
    }
    return r;
}

/* All is told that the last round found. */
static int line_rest(struct watch_line *l)
{
    struct event_watch *w = l->watch;
    round_clear(&l->work->round);
    event_details_clear(&l->work->details);
    imap_set_done(&l->work->before);
    watch_answer(w);
    bool due = l->hint || somebody_is_behind(w);
    if (due && (l->leased ? loop_now_ms(l->loop) >= w->round_ms + 20 || l->rounds <= VISIT_ROUNDS : l->rounds < VISIT_ROUNDS))
        return step_round(l);
    l->hint = due;
    if (l->leased && w->mode == EVENT_MODE_IDLE)
        return step_idle(l);
    return 0; /* nothing more: the exchange is over */
}

/* --- what the server says --- */

/* Something may have changed. */
static bool is_hint(const struct watch_line *l, const struct imap_event *e)
{
    const struct imap_response *r = &e->response;
    if (e->fetch.is_fetch)
        return true;
    if (r->kind != IMAP_RESPONSE_DATA)
        return false;
    if (r->data == IMAP_DATA_EXISTS)
        return r->number != l->watch->place.exists || l->step != LINE_IDLE;
    return r->data == IMAP_DATA_EXPUNGE || r->data == IMAP_DATA_VANISHED;
}

/* A change of a message whose UID is not told (where QRESYNC is not enabled, that is usual): nothing from its MODSEQ on may count
 * as known. */
static void note_unnamed(struct event_round *r, struct slice items)
{
    struct imap_fetch_item item;
    uint64_t modseq = 1;
    while (imap_fetch_next(&items, &item) > 0)
        if (item.kind == IMAP_ITEM_MODSEQ && !slice_to_u64(slice_trim(item.value.bytes), INT64_MAX, &modseq))
            modseq = 1;
    r->unknown_from = r->unknown_from ? MIN(r->unknown_from, modseq) : modseq;
}

static void noticed(struct watch_line *l, const struct imap_event *e)
{
    if (l->step < LINE_CHANGES || !is_hint(l, e))
        return;
    if (l->step == LINE_CHANGES && e->fetch.is_fetch)
        note_unnamed(&l->work->round, e->fetch.items);
    l->hint = true;
    l->more = l->more || (l->step == LINE_CHANGES && e->response.data == IMAP_DATA_EXISTS);
    if (l->step == LINE_IDLE && !l->watch->hint_ms) {
        l->watch->hint_ms = loop_now_ms(l->loop) + EVENT_GATHER_MS;
        watch_look(l->watch);
    }
}

static int take_vanished(struct watch_line *l, struct slice text)
{
    bool earlier;
    struct slice uids;
    struct number_range range;
    int err = 0;
    if (imap_vanished_parse(text, &earlier, &uids) < 0)
        return 0;
    while (err == 0 && imap_range_next(&uids, &range) > 0)
        if (range.first && range.last)
            err = imap_set_add(&l->work->round.vanished, range.first, range.last);
    return err;
}

static void replied(struct watch_line *l, const struct imap_event *e)
{
    int err = 0;
    if (l->step == LINE_CHANGES && e->fetch.is_fetch)
        err = round_take(&l->work->round, l->watch, e->fetch.items);
    else if (l->step == LINE_CHANGES && e->response.data == IMAP_DATA_VANISHED)
        err = take_vanished(l, e->response.text);
    else if (l->step == LINE_LIST)
        err = imap_found_take(&l->work->found, &e->response);
    else if (l->step == LINE_DETAILS && e->fetch.is_fetch)
        err = event_details_take(&l->work->details, &l->work->json, e->fetch.items, &l->work->round.overflow);
    if (err == -EBADMSG)
        imap_found_fault(&l->work->fault, err);
    else
        fail(l, err);
}

static int idle_done(struct watch_line *l, const struct fault *fault)
{
    struct event_watch *w = l->watch;
    uint64_t now = loop_now_ms(l->loop);
    if (fault) {
        w->no_idle = true;
        w->mode = EVENT_MODE_POLL;
        return 0;
    }
    if (now >= w->renew_ms || (w->hint_ms && now >= w->hint_ms) || l->hint) {
        l->rounds = 0;
        return step_round(l); /* also where nothing was said: some servers go deaf */
    }
    return step_idle(l);
}

static int step_done(struct watch_line *l, const struct imap_event *e)
{
    const struct fault *fault = e->base.fault;
    uint64_t told;
    if (slice_eq_ci(e->response.code.name, SLICE("HIGHESTMODSEQ")) && l->step == LINE_IDLE &&
        slice_to_u64(e->response.code.arguments, INT64_MAX, &told))
        l->told_modseq = MAX(l->told_modseq, told);
    if (fault && l->step != LINE_ENABLE && l->step != LINE_LEAVE && l->step != LINE_IDLE) {
        l->work->fault = *fault;
        return -EIO;
    }
    switch (l->step) {
    case LINE_LEAVE:
        return step_enable(l);
    case LINE_ENABLE:
        return step_open(l);
    case LINE_OPEN:
        opened(l);
        return has_failed(l) ? -EIO : step_round(l);
    case LINE_CHANGES:
        return changes_done(l);
    case LINE_LIST:
        return list_done(l);
    case LINE_DETAILS:
        event_details_sort(&l->work->details);
        return tell(l);
    case LINE_IDLE:
        return idle_done(l, fault);
    }
    return 0;
}

static int start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct watch_line *l = line_of(x);
    l->session = s;
    l->rounds = 0;
    work_init(l);
    fault_clear(&l->work->fault);
    int r = step_enable(l);
    if (r < 0)
        *fault = l->work->fault;
    return r;
}

static void event(struct exchange *x, struct session *s, const struct engine_event *base)
{
    struct watch_line *l = line_of(x);
    const struct imap_event *e = (const struct imap_event *) base;
    l->session = s;
    if (l->watch && base->type == ENGINE_EVENT_NOTICE)
        noticed(l, e);
    else if (l->watch && base->type == ENGINE_EVENT_REPLY && !has_failed(l))
        replied(l, e);
    l->closing = session_is_closing(s);
    if (base->type == ENGINE_EVENT_DONE && l->watch && !has_failed(l) && !l->closing)
        step_done(l, e);
    if (base->type == ENGINE_EVENT_DONE && l->command.request.state == REQUEST_ANSWERED)
        l->session = NULL;
}

static int fits(const struct exchange *x, const struct session *s)
{
    struct slice planned;
    bool readonly, pending;
    if (!session_is_idle(s))
        return -1;
    imap_client_planned(session_engine(s), &planned, &readonly, &pending);
    return slice_eq(planned, slice_of_str(line_of(x)->mailbox)) ? 2 : 0;
}

/* --- life --- */

static void line_free(void *object)
{
    struct watch_line *l = object;
    work_done(l);
    free(l->mailbox);
    free(l);
}

static void line_over(struct watch_line *l, const struct fault *fault)
{
    struct event_watch *w = l->watch;
    if (!l->runs && !l->holds)
        loop_defer_free(l->loop, line_free, l);
    if (!w)
        return;
    l->watch = NULL;
    /* That a server never agrees to IDLE is no loss of more than that. */
    if (l->step == LINE_IDLE && l->command.idle == IMAP_IDLE_ASKED && fault->kind == FAULT_TIMEOUT) {
        const struct fault none = {.kind = FAULT_NONE};
        w->no_idle = true;
        w->mode = EVENT_MODE_POLL;
        watch_line_over(w, &none);
        return;
    }
    watch_line_over(w, fault);
}

static void done(struct exchange *x, const struct fault *fault)
{
    struct watch_line *l = line_of(x);
    const struct fault none = {.kind = FAULT_NONE};
    const struct fault *why = fault && fault_is_set(fault) ? fault : has_failed(l) ? &l->work->fault : &none;
    l->runs = false;
    l->session = NULL;
    if (l->holds && !l->closing)
        lease_end(&l->lease, true);
    /* Where nothing went wrong with the exchange, the lease's end says why it is over. */
    if (!l->leased || fault_is_set(why))
        line_over(l, why);
}

static const struct exchange_ops line_ops = {.name = "watch", .fits = fits, .start = start, .event = event, .done = done};

static void lease_ready(struct lease *lease, struct session *s)
{
    struct watch_line *l = container_of(lease, struct watch_line, lease);
    struct fault fault = {.kind = FAULT_NONE};
    (void) s;
    if (!l->watch)
        return;
    if (lease_submit(&l->lease, &l->x, &fault) == 0)
        l->runs = true;
}

static void lease_gone(struct lease *lease, const struct fault *fault)
{
    struct watch_line *l = container_of(lease, struct watch_line, lease);
    l->holds = false;
    line_over(l, fault);
}

static const struct lease_ops line_lease_ops = {.ready = lease_ready, .gone = lease_gone};

struct watch_line *line_new(struct event_watch *w, struct pool *pool, bool leased, struct fault *fault)
{
    const struct event_sub *first = list_first(&w->subs, struct event_sub, link);
    struct watch_line *l = must_calloc(1, sizeof(*l));
    uint64_t now = loop_now_ms(w->gateway->loop);
    l->loop = w->gateway->loop;
    l->leased = leased;
    l->mailbox = strdup(w->mailbox);
    exchange_init(&l->x, &line_ops);
    l->x.reads_only = true;
    l->x.owner = (struct exchange_owner){first->client->peer.uid, 0};
    l->x.queue_deadline_ms = now + pool_endpoint(pool)->queue_timeout_ms;
    l->lease.ops = &line_lease_ops;
    l->lease.owner = l->x.owner;
    l->lease.watch = true;
    int r = !l->mailbox ? fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory")
            : leased    ? pool_lease(pool, &l->lease, fault)
                        : pool_submit(pool, &l->x, fault);
    if (r < 0) {
        line_free(l);
        return NULL;
    }
    l->watch = w;
    l->holds = leased;
    l->runs = !leased;
    return l;
}

void line_drop(struct watch_line *l)
{
    l->watch = NULL;
    if (l->runs)
        exchange_cancel(&l->x);
    if (l->holds)
        lease_end(&l->lease, true);
}

void line_wake(struct watch_line *l)
{
    if (l->session && l->step == LINE_IDLE)
        session_end_wait(l->session, &l->command.request);
}
