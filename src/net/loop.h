/* SPDX-License-Identifier: MIT */
/* The event loop: readiness of descriptors, timers, and tasks that run when the present dispatch has ended. A thin
 * cover over libevent, so that nothing else in the tree arms events by hand. All of it belongs to the loop's thread.
 *
 * Two rules keep callers safe. A completion never fires inside the call that asked for it: it is a task. What is freed
 * while a handler may still look at it is freed by loop_defer_free(), after the dispatch. */
#ifndef POSTERN_LOOP_H
#define POSTERN_LOOP_H

#include "list.h"
#include "macros.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct event;

struct loop *loop_new(void); /* NULL when out of memory or descriptors */
void loop_free(struct loop *l);
/* Runs until loop_stop(). */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Monotonic milliseconds, as of the start of the present handler. */
uint64_t loop_now_ms(const struct loop *l);
/* Dispatches done so far: a watchdog's proof of progress. */
uint64_t loop_turns(const struct loop *l);

/* --- tasks: run once, soon, in the order scheduled, never from inside the call that scheduled them. --- */
struct loop_task {
    struct list link;
    struct loop *loop;
    void (*run)(void *arg);
    void *arg;
};
void loop_task_init(struct loop_task *t, struct loop *l, void (*run)(void *arg), void *arg);
/* Scheduling a scheduled task changes nothing. */
void loop_task_schedule(struct loop_task *t);
void loop_task_cancel(struct loop_task *t);
static inline bool loop_task_is_scheduled(const struct loop_task *t)
{
    return !list_is_empty(&t->link);
}
/* Calls fn(object) after all handlers and tasks of this dispatch. Falls back to never (a leak) only when out of
 * memory. */
void loop_defer_free(struct loop *l, void (*fn)(void *object), void *object);
/* After loop_run() has returned: runs the tasks that are left and frees what waits for it. */
void loop_drain(struct loop *l);

/* --- timers --- */
struct loop_timer {
    struct event *event;
    struct loop *loop;
    void (*fire)(void *arg);
    void *arg;
    uint64_t due_ms; /* 0: not armed */
};
/* -ENOMEM, or 0. A zeroed timer may be passed to all but _set. */
int loop_timer_init(struct loop_timer *t, struct loop *l, void (*fire)(void *arg), void *arg) ATTR_WARN_UNUSED;
void loop_timer_done(struct loop_timer *t);
/* Arms it (anew) for loop_now_ms() + delay. One shot. Arming it for later than it is armed costs no system call. */
void loop_timer_set(struct loop_timer *t, uint64_t delay_ms);
void loop_timer_set_at(struct loop_timer *t, uint64_t due_ms);
void loop_timer_clear(struct loop_timer *t);

/* --- descriptors --- */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_io {
    struct event *event;
    struct loop *loop;
    void (*ready)(void *arg, unsigned what); /* LOOP_READ | LOOP_WRITE; level-triggered */
    void *arg;
    int fd;
    unsigned want;
};
/* The descriptor stays the caller's, who closes it after loop_io_done(). */
int loop_io_init(struct loop_io *io, struct loop *l, int fd, void (*ready)(void *arg, unsigned what), void *arg)
    ATTR_WARN_UNUSED;
void loop_io_done(struct loop_io *io);
/* What to be told of; 0: nothing (errors and hang-ups come as what was asked for). No cost when nothing changes. */
int loop_io_want(struct loop_io *io, unsigned want);

/* --- signals --- */
struct loop_signal {
    struct event *event;
    void (*got)(void *arg, int signo);
    void *arg;
};
int loop_signal_init(struct loop_signal *s, struct loop *l, int signo, void (*got)(void *arg, int signo), void *arg)
    ATTR_WARN_UNUSED;
void loop_signal_done(struct loop_signal *s);

#endif
