/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

/* A task that schedules itself again must not starve the descriptors. */
#define TASK_ROUNDS 64

struct loop {
    struct event_base *base;
    struct list tasks;
    struct list dead;
    uint64_t now_ms;
    uint64_t turns;
    bool stop;
};

struct dead_object {
    struct list link;
    void (*fn)(void *object);
    void *object;
};

static uint64_t monotonic_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    struct event_config *config = event_config_new();
    if (config) {
        /* One thread owns the base; batching epoll_ctl saves a system call for each event that is re-armed. Without
         * precise timers there is no timerfd to be set in each turn; milliseconds are all that is needed. */
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
        l->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (!l->base) {
        free(l);
        return NULL;
    }
    list_init(&l->tasks);
    list_init(&l->dead);
    l->now_ms = monotonic_ms();
    return l;
}

static void run_dead(struct loop *l)
{
    while (!list_is_empty(&l->dead)) {
        struct dead_object *d = list_first(&l->dead, struct dead_object, link);
        list_remove(&d->link);
        d->fn(d->object);
        free(d);
    }
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    run_dead(l);
    event_base_free(l->base);
    free(l);
}

static void run_tasks(struct loop *l)
{
    for (unsigned round = 0; round < TASK_ROUNDS && !list_is_empty(&l->tasks); round++) {
        /* Only those that wait now: what they schedule belongs to the next round. */
        struct list now;
        list_init(&now);
        now.next = l->tasks.next;
        now.prev = l->tasks.prev;
        now.next->prev = &now;
        now.prev->next = &now;
        list_init(&l->tasks);
        while (!list_is_empty(&now)) {
            struct loop_task *t = list_first(&now, struct loop_task, link);
            list_remove(&t->link);
            t->run(t->arg);
        }
    }
}

int loop_run(struct loop *l)
{
    while (!l->stop) {
        bool wait = list_is_empty(&l->tasks);
        if (event_base_loop(l->base, wait ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK) < 0)
            return -EIO;
        l->now_ms = monotonic_ms();
        run_tasks(l);
        run_dead(l);
        l->turns++;
    }
    l->stop = false; /* it may be run again */
    return 0;
}

void loop_drain(struct loop *l)
{
    run_tasks(l);
    run_dead(l);
}

void loop_stop(struct loop *l)
{
    l->stop = true;
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

uint64_t loop_turns(const struct loop *l)
{
    return l->turns;
}

/* Handlers may run long after the dispatch began; reading the monotonic clock costs 20 ns through the vDSO. */
static void refresh_now(struct loop *l)
{
    l->now_ms = monotonic_ms();
}

void loop_task_init(struct loop_task *t, struct loop *l, void (*run)(void *arg), void *arg)
{
    list_init(&t->link);
    t->loop = l;
    t->run = run;
    t->arg = arg;
}

void loop_task_schedule(struct loop_task *t)
{
    if (list_is_empty(&t->link))
        list_append(&t->loop->tasks, &t->link);
}

void loop_task_cancel(struct loop_task *t)
{
    if (t->link.next)
        list_remove(&t->link);
}

void loop_defer_free(struct loop *l, void (*fn)(void *object), void *object)
{
    struct dead_object *d = object ? malloc(sizeof(*d)) : NULL;
    if (!d)
        return;
    d->fn = fn;
    d->object = object;
    list_append(&l->dead, &d->link);
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *t = arg;
    (void) fd;
    (void) what;
    refresh_now(t->loop);
    if (t->due_ms == 0)
        return;
    if (t->due_ms > t->loop->now_ms) {
        /* It was put off since it was armed: arm it for the rest. */
        uint64_t due = t->due_ms;
        t->due_ms = 0;
        loop_timer_set_at(t, due);
        return;
    }
    t->due_ms = 0;
    t->fire(t->arg);
}

int loop_timer_init(struct loop_timer *t, struct loop *l, void (*fire)(void *arg), void *arg)
{
    t->event = event_new(l->base, -1, 0, timer_fired, t);
    if (!t->event)
        return -ENOMEM;
    t->loop = l;
    t->fire = fire;
    t->arg = arg;
    t->due_ms = 0;
    return 0;
}

void loop_timer_done(struct loop_timer *t)
{
    if (t->event)
        event_free(t->event);
    t->event = NULL;
    t->due_ms = 0;
}

void loop_timer_set_at(struct loop_timer *t, uint64_t due_ms)
{
    if (due_ms == 0)
        due_ms = 1;
    uint64_t armed = t->due_ms;
    t->due_ms = due_ms;
    /* Later than armed: let it fire early and re-arm then, instead of moving it at each progress. */
    if (armed && armed <= due_ms)
        return;
    uint64_t delay = due_ms > t->loop->now_ms ? due_ms - t->loop->now_ms : 0;
    struct timeval tv = {(time_t) (delay / 1000), (suseconds_t) (delay % 1000 * 1000)};
    event_add(t->event, &tv);
}

void loop_timer_set(struct loop_timer *t, uint64_t delay_ms)
{
    uint64_t now = t->loop->now_ms;
    loop_timer_set_at(t, delay_ms > UINT64_MAX - now ? UINT64_MAX : now + delay_ms);
}

void loop_timer_clear(struct loop_timer *t)
{
    if (t->event && t->due_ms)
        event_del(t->event);
    t->due_ms = 0;
}

static void io_ready(evutil_socket_t fd, short what, void *arg)
{
    struct loop_io *io = arg;
    (void) fd;
    refresh_now(io->loop);
    io->ready(io->arg, (what & EV_READ ? LOOP_READ : 0U) | (what & EV_WRITE ? LOOP_WRITE : 0U));
}

int loop_io_init(struct loop_io *io, struct loop *l, int fd, void (*ready)(void *arg, unsigned what), void *arg)
{
    io->event = event_new(l->base, fd, 0, io_ready, io);
    if (!io->event)
        return -ENOMEM;
    io->loop = l;
    io->fd = fd;
    io->ready = ready;
    io->arg = arg;
    io->want = 0;
    return 0;
}

void loop_io_done(struct loop_io *io)
{
    if (io->event)
        event_free(io->event);
    io->event = NULL;
    io->want = 0;
}

int loop_io_want(struct loop_io *io, unsigned want)
{
    if (want == io->want)
        return 0;
    if (io->want)
        event_del(io->event);
    io->want = 0;
    if (want) {
        short what = (short) (EV_PERSIST | (want & LOOP_READ ? EV_READ : 0) | (want & LOOP_WRITE ? EV_WRITE : 0));
        event_assign(io->event, event_get_base(io->event), io->fd, what, io_ready, io);
        if (event_add(io->event, NULL) < 0)
            return -ENOMEM;
    }
    io->want = want;
    return 0;
}

static void signal_got(evutil_socket_t signo, short what, void *arg)
{
    struct loop_signal *s = arg;
    (void) what;
    s->got(s->arg, (int) signo);
}

int loop_signal_init(struct loop_signal *s, struct loop *l, int signo, void (*got)(void *arg, int signo), void *arg)
{
    s->got = got;
    s->arg = arg;
    s->event = evsignal_new(l->base, signo, signal_got, s);
    if (!s->event)
        return -ENOMEM;
    if (event_add(s->event, NULL) < 0) {
        event_free(s->event);
        s->event = NULL;
        return -ENOMEM;
    }
    return 0;
}

void loop_signal_done(struct loop_signal *s)
{
    if (s->event)
        event_free(s->event);
    s->event = NULL;
}
