/* SPDX-License-Identifier: MIT */
/* NOTIFY (RFC 5465): one connection of an account that hears of many mailboxes. The first mailbox of an account that is watched has a
 * connection in IDLE of its own; those after it share this one, where the server offers it. What it tells is a hint, as with IDLE:
 * the mailbox is looked at on a connection of the pool. */
#include "event.h"

#include "client.h"
#include "gateway.h"
#include "imap_mailbox.h"
#include "must.h"

#include <errno.h>
#include <stdlib.h>

#define NOTIFY_MAILBOXES 500
#define NOTIFY_NAME_MAX 65536u
#define REFUSED_MS (60u * 60 * 1000)
#define LIVED_MS 10000u          /* one that was lost sooner is not asked for again at once */
#define LOST_MS (5u * 60 * 1000)

enum notify_step { NOTIFY_OPENING = 0, NOTIFY_CLEARING, NOTIFY_SETTING, NOTIFY_IDLING };

struct event_notifier {
    struct list link; /* gateway->notifiers, while it is of use */
    struct gateway *gateway;
    struct account *account;
    struct lease lease;
    struct exchange x;
    bool holds, runs, given_up, stale; /* stale: others are watched than were asked for */
    enum notify_step step;
    struct session *session;
    struct imap_command command;
    struct slice *names; /* of the command under way; their bytes are ours */
    size_t n_names;
    uint64_t began_ms;
    struct loop_timer renew;
    struct fault fault;
};

static struct event_notifier *notifier_of(const struct exchange *x)
{
    return container_of((struct exchange *) (uintptr_t) x, struct event_notifier, x);
}

static void forget_names(struct event_notifier *n)
{
    for (size_t i = 0; i < n->n_names; i++)
        free((char *) (uintptr_t) n->names[i].data);
    free(n->names);
    n->names = NULL;
    n->n_names = 0;
}

static void notifier_free(void *object)
{
    struct event_notifier *n = object;
    forget_names(n);
    loop_timer_done(&n->renew);
    account_unref(n->account);
    free(n);
}

/* Those who relied on it look for themselves again. `refused`: for good. */
static void give_up(struct event_notifier *n, bool refused)
{
    struct event_watch *w;
    uint64_t now = loop_now_ms(n->gateway->loop);
    if (n->given_up)
        return;
    n->given_up = true;
    list_remove(&n->link);
    loop_timer_clear(&n->renew);
    list_foreach (&n->gateway->watches, w, struct event_watch, link)
        if (w->notifier == n) {
            w->notifier = NULL;
            w->notify_after_ms = now + (refused ? REFUSED_MS : now - n->began_ms < LIVED_MS ? LOST_MS : 0);
            w->poked = true;
            watch_look(w);
        }
}

static void release(struct event_notifier *n)
{
    if (!n->holds && !n->runs)
        loop_defer_free(n->gateway->loop, notifier_free, n);
}

/* --- what is asked --- */

static int step_set(struct event_notifier *n)
{
    struct event_watch *w;
    forget_names(n);
    n->names = must_calloc(NOTIFY_MAILBOXES, sizeof(*n->names));
    list_foreach (&n->gateway->watches, w, struct event_watch, link) {
        w->notify = w->notifier == n ? NOTIFY_NOT_ASKED : w->notify;
        char *name = w->notifier == n && n->n_names < NOTIFY_MAILBOXES ? strdup(w->mailbox) : NULL;
        if (name) {
            n->names[n->n_names++] = slice_of_str(name);
            w->notify = NOTIFY_ASKED;
        }
    }
    n->stale = false;
    n->step = NOTIFY_SETTING;
    n->command = (struct imap_command){.kind = IMAP_NOTIFY, .items = n->names, .n_items = n->n_names, .request.owner = &n->x};
    return imap_client_submit(session_engine(n->session), &n->command, &n->fault);
}

/* What was asked for is taken back before more is: Dovecot 2.3 hears nothing at all after a second SET. What happens meanwhile is in
 * the states that are told with the next one. */
static int step_clear(struct event_notifier *n)
{
    forget_names(n);
    n->step = NOTIFY_CLEARING;
    n->command = (struct imap_command){.kind = IMAP_NOTIFY, .request.owner = &n->x};
    return imap_client_submit(session_engine(n->session), &n->command, &n->fault);
}

/* A server says how each mailbox is before it agrees: of one that is not among them it will tell nothing. Some do not understand
 * names beyond ASCII here. */
static void leave_unheard(struct event_notifier *n)
{
    struct event_watch *w;
    list_foreach (&n->gateway->watches, w, struct event_watch, link)
        if (w->notifier == n && w->notify == NOTIFY_ASKED) {
            w->notifier = NULL;
            w->notify_after_ms = loop_now_ms(n->gateway->loop) + REFUSED_MS;
            w->poked = true;
            watch_look(w);
        }
}

static int step_idle(struct event_notifier *n)
{
    leave_unheard(n);
    const struct endpoint *e = pool_endpoint(n->lease.pool);
    forget_names(n);
    n->step = NOTIFY_IDLING;
    n->command = (struct imap_command){.kind = IMAP_IDLE, .request.owner = &n->x};
    int r = imap_client_submit(session_engine(n->session), &n->command, &n->fault);
    if (r == 0)
        loop_timer_set(&n->renew, watch_renew_after(e));
    return r;
}

static void wake(void *arg)
{
    struct event_notifier *n = arg;
    if (n->session && n->step == NOTIFY_IDLING)
        session_end_wait(n->session, &n->command.request);
}

/* --- what is told --- */

/* What is told of a mailbox is what is known already: servers tell of all when they are asked for one more. */
static bool is_known(const struct event_watch *w, struct slice items)
{
    struct slice name;
    struct imap_value value;
    uint64_t n;
    bool modseq = false;
    if (!w->known || !w->place.modseq)
        return false;
    while (imap_status_next(&items, &name, &value) > 0) {
        uint64_t expected = slice_eq_ci(name, SLICE("MESSAGES"))        ? w->place.exists
                            : slice_eq_ci(name, SLICE("UIDNEXT"))       ? w->place.uidnext
                            : slice_eq_ci(name, SLICE("UIDVALIDITY"))   ? w->place.uidvalidity
                            : slice_eq_ci(name, SLICE("HIGHESTMODSEQ")) ? w->place.modseq
                                                                        : UINT64_MAX;
        modseq = modseq || slice_eq_ci(name, SLICE("HIGHESTMODSEQ"));
        if (expected != UINT64_MAX && (!imap_value_number(&value, INT64_MAX, &n) || n != expected))
            return false;
    }
    return modseq;
}

static void told(struct event_notifier *n, struct slice text)
{
    struct event_watch *w;
    struct imap_value name;
    struct slice items, wire;
    struct buffer scratch, decoded;
    bool odd;
    if (imap_status_parse(text, &name, &items) < 0)
        return;
    buffer_init(&scratch, NOTIFY_NAME_MAX);
    buffer_init(&decoded, NOTIFY_NAME_MAX);
    if (imap_value_text(&name, &scratch, &wire) == 0 && imap_mailbox_decode(wire, &decoded, &odd) == 0)
        list_foreach (&n->gateway->watches, w, struct event_watch, link)
            if (w->notifier == n && imap_mailbox_eq(slice_of_str(w->mailbox), buffer_slice(&decoded))) {
                w->notify = NOTIFY_HEARD;
                w->poked = w->poked || !is_known(w, items);
                if (w->poked)
                    watch_look(w);
            }
    buffer_done(&scratch);
    buffer_done(&decoded);
}

static int start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct event_notifier *n = notifier_of(x);
    n->session = s;
    int r = step_set(n);
    if (r < 0)
        *fault = n->fault;
    return r;
}

static int step_next(struct event_notifier *n)
{
    if (n->step == NOTIFY_CLEARING)
        return step_set(n);
    return n->step == NOTIFY_SETTING && !n->stale ? step_idle(n) : step_clear(n); /* others may have joined meanwhile */
}

static void event(struct exchange *x, struct session *s, const struct engine_event *base)
{
    struct event_notifier *n = notifier_of(x);
    const struct imap_event *e = (const struct imap_event *) base;
    n->session = s;
    if (base->type == ENGINE_EVENT_NOTICE && !e->fetch.is_fetch && e->response.kind == IMAP_RESPONSE_DATA &&
        e->response.data == IMAP_DATA_STATUS)
        told(n, e->response.text);
    if (base->type == ENGINE_EVENT_NOTICE && slice_eq_ci(e->response.code.name, SLICE("NOTIFICATIONOVERFLOW")))
        give_up(n, false); /* RFC 5465 section 5.8: it tells no more */
    if (base->type != ENGINE_EVENT_DONE)
        return;
    n->session = NULL;
    if (base->fault)
        give_up(n, true);
    if (n->given_up || session_is_closing(s))
        return;
    n->session = s;
    if (step_next(n) < 0)
        n->session = NULL;
}

static void done(struct exchange *x, const struct fault *fault)
{
    struct event_notifier *n = notifier_of(x);
    n->runs = false;
    n->session = NULL;
    give_up(n, fault && fault->kind == FAULT_MISSING_EXTENSION);
    if (n->holds)
        lease_end(&n->lease, true);
    release(n);
}

static const struct exchange_ops notify_ops = {.name = "notify", .start = start, .event = event, .done = done};

static void lease_ready(struct lease *lease, struct session *s)
{
    struct event_notifier *n = container_of(lease, struct event_notifier, lease);
    (void) s;
    n->runs = !n->given_up && lease_submit(lease, &n->x, &n->fault) == 0;
}

static void lease_gone(struct lease *lease, const struct fault *fault)
{
    struct event_notifier *n = container_of(lease, struct event_notifier, lease);
    n->holds = false;
    if (fault->kind == FAULT_BUSY)
        n->began_ms = loop_now_ms(n->gateway->loop); /* its place is needed: not again at once */
    give_up(n, false);
    release(n);
}

static const struct lease_ops notify_lease_ops = {.ready = lease_ready, .gone = lease_gone};

/* --- who listens --- */

/* The first mailbox of the account has a connection in IDLE whose server offers NOTIFY. */
static bool is_offered(const struct event_watch *w)
{
    struct event_watch *other;
    list_foreach (&w->gateway->watches, other, struct event_watch, link)
        if (other != w && other->line && other->up && other->offers_notify && other->mode == EVENT_MODE_IDLE &&
            watch_same_account(other->account, w->account))
            return true;
    return false;
}

bool notify_join(struct event_watch *w, struct pool *pool)
{
    struct event_notifier *n, *found = NULL;
    struct fault ignored = {.kind = FAULT_NONE};
    const struct event_sub *first = list_first(&w->subs, struct event_sub, link);
    if (w->notifier)
        return true;
    if (loop_now_ms(w->gateway->loop) < w->notify_after_ms || !is_offered(w))
        return false;
    list_foreach (&w->gateway->notifiers, n, struct event_notifier, link)
        if (watch_same_account(n->account, w->account))
            found = n;
    if (found) {
        w->notifier = found;
        found->stale = true;
        if (found->step == NOTIFY_IDLING)
            loop_timer_set_at(&found->renew, loop_now_ms(w->gateway->loop) + EVENT_GATHER_MS); /* and who comes then */
        return true;
    }
    n = must_calloc(1, sizeof(*n));
    n->gateway = w->gateway;
    n->began_ms = loop_now_ms(w->gateway->loop);
    n->account = account_ref(w->account);
    list_init(&n->link);
    exchange_init(&n->x, &notify_ops);
    n->x.reads_only = true;
    n->x.owner = n->lease.owner = (struct exchange_owner){first->client->peer.uid, 0};
    n->lease.ops = &notify_lease_ops;
    n->lease.watch = true;
    if (loop_timer_init(&n->renew, w->gateway->loop, wake, n) < 0 || pool_lease(pool, &n->lease, &ignored) < 0) {
        notifier_free(n);
        return false;
    }
    n->holds = true;
    list_append(&w->gateway->notifiers, &n->link);
    w->notifier = n;
    return true;
}

void notify_leave(struct event_watch *w)
{
    struct event_notifier *n = w->notifier;
    struct event_watch *other;
    w->notifier = NULL;
    if (!n)
        return;
    list_foreach (&w->gateway->watches, other, struct event_watch, link)
        if (other->notifier == n)
            return;
    give_up(n, false);
    if (n->runs)
        exchange_cancel(&n->x);
    if (n->holds)
        lease_end(&n->lease, true);
}
