/* SPDX-License-Identifier: MIT */
/* Watches: who is told, when a line is due and of which kind, what happens when it is lost. */
#include "event.h"

#include "backoff.h"
#include "base64.h"
#include "client.h"
#include "gateway.h"
#include "imap_mailbox.h"
#include "log.h"
#include "method_imap.h"
#include "must.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define POLL_MS 60000
#define RENEW_MAX_MS (28u * 60 * 1000) /* RFC 2177: less than 29 minutes */
#define IDLE_AGAIN_MS (15u * 60 * 1000) /* after a refusal */
#define PLACE_AGAIN_MS 30000           /* after the pool had no place to spare */
#define RETRY_FIRST_MS 500
#define RETRY_LONGEST_MS (5u * 60 * 1000)
#define LIVED_MS 10000                 /* a line of that age was no failure */

static void look(void *arg);
static void timer_fired(void *arg);

/* Servers that forget those who idle sooner than the protocol says. */
static const struct {
    const char *host; /* it, and what ends with it behind a dot */
    unsigned renew_s;
} hasty[] = {
    {"rambler.ru", 50},  {"163.com", 50},      {"126.com", 50},  {"yeah.net", 50}, {"qq.com", 110},     {"yahoo.com", 170},
    {"aol.com", 170},    {"yahoo.co.jp", 170}, {"yandex.ru", 290}, {"yandex.com", 290}, {"mail.ru", 290},
    {"gmail.com", 570},  {"googlemail.com", 570}, {"zoho.com", 290}, {"web.de", 290}, {"gmx.net", 290},
};

static bool is_below(const char *host, const char *domain)
{
    size_t n = strlen(host), m = strlen(domain);
    return n >= m && slice_eq_ci(slice_of_str(host + n - m), slice_of_str(domain)) && (n == m || host[n - m - 1] == '.');
}

uint64_t watch_renew_after(const struct endpoint *e)
{
    uint64_t ms = MIN(e->idle_renew_ms, (uint64_t) RENEW_MAX_MS);
    for (size_t i = 0; i < ARRAY_LEN(hasty); i++)
        if (is_below(e->host, hasty[i].host))
            ms = MIN(ms, (uint64_t) hasty[i].renew_s * 1000);
    return ms;
}

static uint64_t now_ms(const struct event_watch *w)
{
    return loop_now_ms(w->gateway->loop);
}

const char *watch_mode_name(const struct event_watch *w)
{
    static const char *const names[] = {"idle", "notify", "poll"};
    return names[w->mode];
}

void watch_look(struct event_watch *w)
{
    loop_task_schedule(&w->look);
}

static const struct endpoint *endpoint_of(struct event_watch *w)
{
    struct fault ignored = {.kind = FAULT_NONE};
    struct pool *pool;
    return account_pool(w->account, PROTOCOL_IMAP, &pool, &ignored) == 0 ? pool_endpoint(pool) : NULL;
}

void watch_set_state(struct event_watch *w, enum watch_state state)
{
    if (w->state == state)
        return;
    w->state = state;
    if (state == WATCH_IDLING) {
        const struct endpoint *e = endpoint_of(w);
        w->renew_ms = now_ms(w) + backoff_jitter(e ? watch_renew_after(e) : RENEW_MAX_MS);
    }
    watch_look(w);
}

/* --- subscriptions --- */

bool sub_is_slow(const struct event_sub *s)
{
    return client_is_slow(s->client);
}

bool sub_is_current(const struct event_sub *s)
{
    return event_place_eq(&s->place, &s->watch->place);
}

bool watch_same_account(const struct account *a, const struct account *b)
{
    const char *x = account_name(a), *y = account_name(b);
    return x && y ? strcmp(x, y) == 0 : a == b;
}

static struct event_watch *find_watch(struct gateway *g, const struct account *account, struct slice mailbox)
{
    struct event_watch *w;
    list_foreach (&g->watches, w, struct event_watch, link)
        if (watch_same_account(w->account, account) && imap_mailbox_eq(slice_of_str(w->mailbox), mailbox))
            return w;
    return NULL;
}

static struct event_watch *watch_new(struct gateway *g, struct account *account, struct slice mailbox)
{
    struct event_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->mailbox = imap_call_text(mailbox);
    if (!w->mailbox || loop_timer_init(&w->timer, g->loop, timer_fired, w) < 0) {
        free(w->mailbox);
        free(w);
        return NULL;
    }
    w->gateway = g;
    w->account = account_ref(account);
    list_init(&w->subs);
    imap_set_init(&w->uids, EVENT_SET_RANGES);
    loop_task_init(&w->look, g->loop, look, w);
    list_append(&g->watches, &w->link);
    return w;
}

static void watch_release(void *object)
{
    struct event_watch *w = object;
    imap_set_done(&w->uids);
    free(w->fault);
    account_unref(w->account);
    free(w->mailbox);
    free(w);
}

static void watch_free(struct event_watch *w)
{
    list_remove(&w->link);
    if (w->line)
        line_drop(w->line);
    w->line = NULL;
    notify_leave(w);
    loop_timer_done(&w->timer);
    loop_task_cancel(&w->look);
    loop_defer_free(w->gateway->loop, watch_release, w);
}

static int name_sub(struct event_sub *s, struct fault *fault)
{
    unsigned char random[8];
    if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
        return fault_set(fault, -EIO, FAULT_INTERNAL, NULL, "no random numbers");
    hex_encode(random, sizeof(random), s->id);
    s->id[sizeof(s->id) - 1] = '\0';
    return 0;
}

int event_subscribe(struct op *op, struct client *client, struct slice mailbox, const struct event_place *cursor,
                    const char *items, struct event_sub **ret)
{
    struct gateway *g = op->gateway;
    if (client->user->subscriptions >= gateway_config(g)->max_subscriptions_per_user) {
        op->fault.limit = "max_subscriptions_per_user";
        return op_refuse(op, FAULT_LIMIT, "this user has %zu subscriptions already", client->user->subscriptions);
    }
    struct event_sub *s = calloc(1, sizeof(*s));
    struct event_watch *w = find_watch(g, op->account, mailbox);
    if (w && !w->up && w->failures && w->fault && w->state == WATCH_REST) {
        free(s);
        op->fault = *w->fault;
        return -EAGAIN;
    }
    if (s && name_sub(s, &op->fault) < 0) {
        free(s);
        return -EIO;
    }
    if (s)
        s->items = strdup(items);
    if (s && s->items && !w)
        w = watch_new(g, op->account, mailbox);
    if (!s || !s->items || !w) {
        if (s)
            free(s->items);
        free(s);
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    s->watch = w;
    s->op = op;
    s->client = client;
    if (cursor) {
        s->place = *cursor;
        s->placed = true;
        if (cursor->uidvalidity == 0)
            s->resync = "cursor";
    }
    list_append(&w->subs, &s->link);
    list_append(&client->subscriptions, &s->client_link);
    client->user->subscriptions++;
    watch_look(w);
    s->owner = ret;
    *ret = s;
    return 0;
}

void event_sub_free(struct event_sub *s)
{
    struct event_watch *w = s->watch;
    if (s->owner)
        *s->owner = NULL;
    list_remove(&s->link);
    list_remove(&s->client_link);
    s->client->user->subscriptions--;
    free(s->items);
    free(s);
    watch_look(w);
}

void event_sub_open(struct event_sub *s)
{
    s->op = NULL;
    s->owner = NULL;
    s->open = true;
    watch_look(s->watch);
}

struct event_sub *event_sub_find(struct client *c, struct slice id)
{
    struct event_sub *s;
    list_foreach (&c->subscriptions, s, struct event_sub, client_link)
        if (s->open && slice_eq(slice_of_str(s->id), id))
            return s;
    return NULL;
}

void events_client_gone(struct client *c)
{
    while (!list_is_empty(&c->subscriptions))
        event_sub_free(list_first(&c->subscriptions, struct event_sub, client_link));
}

void events_client_drained(struct client *c)
{
    struct event_sub *s;
    list_foreach (&c->subscriptions, s, struct event_sub, client_link)
        watch_look(s->watch);
}

/* --- answers to event.subscribe --- */

static void answer(struct event_sub *s)
{
    const struct event_watch *w = s->watch;
    struct op *op = s->op;
    char cursor[EVENT_CURSOR_SIZE];
    if (s->placed && !s->resync && s->place.uidvalidity != w->place.uidvalidity)
        s->resync = "uidvalidity";
    bool as_given = s->placed && !s->resync;
    if (!s->placed) {
        s->place = w->place;
        s->placed = true;
    }
    s->op = NULL;
    event_cursor_write(as_given ? &s->place : &w->place, account_name(w->account), slice_of_str(w->mailbox), cursor);
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "subscription", s->id);
    json_write_member_str(&op->w, "cursor", cursor);
    json_write_member_uint(&op->w, "uidvalidity", w->place.uidvalidity);
    json_write_member_str(&op->w, "mode", watch_mode_name(w));
    json_write_object_end(&op->w);
    op_uidvalidity_remember(op, slice_of_str(w->mailbox), w->place.uidvalidity);
    op_finish(op);
}

void watch_answer(struct event_watch *w)
{
    struct event_sub *s;
    if (!w->known || !w->up)
        return;
    list_foreach (&w->subs, s, struct event_sub, link)
        if (s->op)
            answer(s);
}

static void refuse_waiting(struct event_watch *w, const struct fault *fault)
{
    struct event_sub *s;
    list_foreach (&w->subs, s, struct event_sub, link)
        if (s->op) {
            struct op *op = s->op;
            s->op = NULL;
            op_fail(op, fault); /* and its free() ends the subscription */
        }
}

/* What subscribers were told is made what is. */
static void tell_states(struct event_watch *w)
{
    struct event_sub *s;
    list_foreach (&w->subs, s, struct event_sub, link) {
        if (!s->open || sub_is_slow(s))
            continue;
        if (s->down != !w->up) {
            s->down = !w->up;
            event_tell_state(s, s->down ? "down" : "up", s->down && w->fault ? w->fault->text : NULL);
        }
        if (s->resync && w->up && w->known)
            event_tell_state(s, "resync", s->resync);
    }
}

/* --- what lines tell --- */

void watch_opened(struct event_watch *w, const struct imap_mailbox_state *box)
{
    struct event_sub *s;
    bool same = w->known && box->uidvalidity == w->place.uidvalidity && (box->highestmodseq != 0) == (w->place.modseq != 0) &&
                box->highestmodseq >= w->place.modseq && (!box->uidnext || box->uidnext >= w->place.uidnext);
    const char *reason = box->uidvalidity == w->place.uidvalidity ? "restored" : "uidvalidity";
    list_foreach (&w->subs, s, struct event_sub, link)
        if (s->placed && !s->resync && ((w->known && !same) || s->place.uidvalidity != box->uidvalidity))
            s->resync = s->place.uidvalidity != box->uidvalidity ? "uidvalidity" : reason;
    if (!same) {
        imap_set_clear(&w->uids);
        w->known = false;
        w->place = (struct event_place){.uidvalidity = box->uidvalidity, .uidnext = box->uidnext, .modseq = box->highestmodseq};
    }
    w->up = true;
    w->up_ms = now_ms(w);
    tell_states(w);
    free(w->fault);
    w->fault = NULL;
    watch_look(w);
}

static void retry_later(struct event_watch *w, const struct fault *fault)
{
    uint64_t wait = backoff_growing(RETRY_FIRST_MS, ++w->failures, RETRY_LONGEST_MS);
    loop_timer_set(&w->timer, MAX(wait, fault->retry_after_ms));
}

void watch_line_over(struct event_watch *w, const struct fault *fault)
{
    const struct endpoint *e = endpoint_of(w);
    uint64_t now = now_ms(w), poll = MIN((uint64_t) POLL_MS, e ? e->idle_renew_ms : POLL_MS);
    if (w->notifier && e)
        poll = watch_renew_after(e); /* it tells when there is something */
    bool lived = w->up && now - w->up_ms >= LIVED_MS;
    w->line = NULL;
    w->hint_ms = 0;
    watch_set_state(w, WATCH_REST);
    watch_look(w);
    if (lived || fault->kind == FAULT_NONE)
        w->failures = 0;
    if (fault->kind == FAULT_NONE) {
        if (w->no_idle && !w->idle_again_ms)
            w->idle_again_ms = now + IDLE_AGAIN_MS;
        loop_timer_set(&w->timer, w->up ? backoff_jitter(poll) : 1);
    } else if (fault->kind == FAULT_BUSY) {
        /* Its place went to a call, or there was none: the mailbox is looked at between calls meanwhile. */
        w->idle_again_ms = now + PLACE_AGAIN_MS;
        w->mode = EVENT_MODE_POLL;
        loop_timer_set(&w->timer, w->up ? backoff_jitter(poll) : 1);
    } else {
        log_info("watch lost", LOG_STR("account", account_name(w->account)), LOG_STR("mailbox", w->mailbox),
                 LOG_STR("kind", fault_kind_name(fault->kind)), LOG_STR("why", fault->text));
        if (!w->fault)
            w->fault = must_calloc(1, sizeof(*w->fault));
        *w->fault = *fault;
        w->up = false;
        refuse_waiting(w, fault);
        retry_later(w, fault);
    }
}

/* --- what is due --- */

static void begin_line(struct event_watch *w)
{
    struct fault fault = {.kind = FAULT_NONE};
    struct pool *pool;
    uint64_t now = now_ms(w);
    if (w->idle_again_ms && now >= w->idle_again_ms) {
        w->idle_again_ms = 0;
        w->no_idle = false;
    }
    bool leased = !w->no_idle && w->idle_again_ms == 0;
    w->poked = false;
    if (account_pool(w->account, PROTOCOL_IMAP, &pool, &fault) == 0)
        w->line = line_new(w, pool, leased && !notify_join(w, pool), &fault);
    if (w->line) {
        watch_set_state(w, WATCH_OPENING);
        return;
    }
    watch_line_over(w, &fault);
}

static bool somebody_waits(const struct event_watch *w)
{
    struct event_sub *s;
    list_foreach (&w->subs, s, struct event_sub, link)
        if (s->open && s->placed && !s->resync && !sub_is_slow(s) && !sub_is_current(s))
            return true;
    return false;
}

static void look(void *arg)
{
    struct event_watch *w = arg;
    uint64_t now = now_ms(w);
    if (list_is_empty(&w->subs)) {
        watch_free(w);
        return;
    }
    tell_states(w);
    switch (w->state) {
    case WATCH_REST:
        if (w->up && w->known)
            watch_answer(w);
        if (!w->timer.due_ms || (w->up && (w->poked || somebody_waits(w)))) {
            loop_timer_clear(&w->timer);
            begin_line(w);
        }
        break;
    case WATCH_OPENING:
    case WATCH_LOOKING:
        break;
    case WATCH_IDLING:
        watch_answer(w);
        if (somebody_waits(w) && !w->hint_ms)
            w->hint_ms = now + 1;
        if ((w->hint_ms && now >= w->hint_ms) || now >= w->renew_ms)
            line_wake(w->line);
        else
            loop_timer_set_at(&w->timer, w->hint_ms ? MIN(w->hint_ms, w->renew_ms) : w->renew_ms);
        break;
    case WATCH_STATE_COUNT:
        break;
    }
}

static void timer_fired(void *arg)
{
    watch_look(arg);
}

/* --- another configuration --- */

static struct account *account_now(struct gateway *g, const struct account *old)
{
    const char *name = account_name(old);
    for (struct account *a = NULL; name && (a = accounts_next(g->accounts, a));)
        if (account_name(a) && strcmp(account_name(a), name) == 0)
            return a;
    return NULL;
}

static void drop_sub(struct event_sub *s, const char *reason)
{
    struct fault fault = {.kind = FAULT_NONE};
    struct op *op = s->op;
    if (op) {
        s->op = NULL;
        fault_set(&fault, -EACCES, FAULT_DENIED, NULL, "%s", reason);
        op_fail(op, &fault);
        return;
    }
    if (s->open)
        event_tell_state(s, "down", reason);
    event_sub_free(s);
}

static void take_account(struct event_watch *w, struct account *a)
{
    struct fault ignored = {.kind = FAULT_NONE};
    struct pool *before = account_existing_pool(w->account, PROTOCOL_IMAP), *after = NULL;
    struct event_sub *s;
    list_foreach (&w->subs, s, struct event_sub, link)
        if (!a)
            drop_sub(s, "the account is gone");
        else if (!(access_rights(account_config(a), &s->client->peer) & RIGHT_READ))
            drop_sub(s, "this peer may not read the account any more");
    if (!a || list_is_empty(&w->subs))
        return;
    bool other = account_pool(a, PROTOCOL_IMAP, &after, &ignored) < 0 || after != before;
    if (other)
        notify_leave(w);
    if (other && w->line) {
        line_drop(w->line);
        w->line = NULL;
        w->hint_ms = 0;
        watch_set_state(w, WATCH_REST);
        loop_timer_clear(&w->timer);
        watch_look(w);
    }
    account_ref(a);
    account_unref(w->account);
    w->account = a;
}

void events_reload(struct gateway *g)
{
    struct event_watch *w;
    list_foreach (&g->watches, w, struct event_watch, link)
        if (account_name(w->account))
            take_account(w, account_now(g, w->account));
}
