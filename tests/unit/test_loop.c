/* SPDX-License-Identifier: MIT */
#include "loop.h"
#include "unit.h"
#include "worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct seen {
    struct loop *loop;
    struct loop_task first, second;
    struct loop_timer timer;
    char order[64];
    int freed;
};

static void note(struct seen *s, char c)
{
    size_t n = strlen(s->order);
    ck_assert_uint_lt(n, sizeof(s->order) - 1);
    s->order[n] = c;
}

static void run_second(void *arg)
{
    note(arg, '2');
}

static void freed(void *arg)
{
    note(arg, 'f');
    ((struct seen *) arg)->freed++;
}

static void run_first(void *arg)
{
    struct seen *s = arg;
    note(s, '1');
    loop_defer_free(s->loop, freed, s);
    loop_task_schedule(&s->second);
    note(s, '!'); /* nothing ran from inside the call */
}

static void timer_stops(void *arg)
{
    struct seen *s = arg;
    note(s, 't');
    loop_stop(s->loop);
}

START_TEST(tasks_run_later_and_in_order)
{
    struct seen s = {.loop = loop_new()};
    loop_task_init(&s.first, s.loop, run_first, &s);
    loop_task_init(&s.second, s.loop, run_second, &s);
    ck_assert_int_eq(loop_timer_init(&s.timer, s.loop, timer_stops, &s), 0);
    loop_task_schedule(&s.first);
    loop_task_schedule(&s.first);
    loop_timer_set(&s.timer, 5);
    loop_timer_set(&s.timer, 20); /* put off: fires once, not before its time */
    uint64_t start = loop_now_ms(s.loop);
    ck_assert_int_eq(loop_run(s.loop), 0);
    ck_assert_uint_ge(loop_now_ms(s.loop), start + 20);
    ck_assert_str_eq(s.order, "1!2ft");
    loop_timer_done(&s.timer);
    loop_free(s.loop);
}
END_TEST

struct pipe_seen {
    struct loop *loop;
    struct loop_io io;
    int fd, bytes;
};

static void pipe_ready(void *arg, unsigned what)
{
    struct pipe_seen *p = arg;
    char c;
    ck_assert_uint_eq(what, LOOP_READ);
    p->bytes += (int) read(p->fd, &c, 1);
    if (p->bytes == 3)
        loop_stop(p->loop);
}

START_TEST(io_is_level_triggered)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    struct pipe_seen p = {.loop = loop_new(), .fd = fds[0]};
    ck_assert_int_eq(loop_io_init(&p.io, p.loop, fds[0], pipe_ready, &p), 0);
    ck_assert_int_eq(loop_io_want(&p.io, LOOP_READ), 0);
    ck_assert_int_eq(loop_io_want(&p.io, 0), 0);
    ck_assert_int_eq(loop_io_want(&p.io, LOOP_READ), 0);
    ck_assert_int_eq((int) write(fds[1], "abc", 3), 3);
    ck_assert_int_eq(loop_run(p.loop), 0);
    ck_assert_int_eq(p.bytes, 3);
    loop_io_done(&p.io);
    close(fds[0]);
    close(fds[1]);
    loop_free(p.loop);
}
END_TEST

static atomic_int worked;
static int n_done, n_destroyed;
static struct loop *job_loop;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void job_work(struct worker_job *job)
{
    (void) job;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    atomic_fetch_add(&worked, 1);
}

static void job_done(struct worker_job *job)
{
    (void) job;
    n_done++;
}

static void job_destroy(struct worker_job *job)
{
    free(job);
    if (++n_destroyed == 10)
        loop_stop(job_loop);
}

START_TEST(jobs_come_back_and_can_be_detached)
{
    struct worker_job *jobs[10];
    job_loop = loop_new();
    struct worker_pool *p = worker_pool_new(job_loop, "test", 2, 10);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < 10; i++) {
        jobs[i] = calloc(1, sizeof(*jobs[i]));
        jobs[i]->work = job_work;
        jobs[i]->done = job_done;
        jobs[i]->destroy = job_destroy;
        ck_assert_int_eq(worker_submit(p, jobs[i]), 0);
    }
    while (worker_pool_busy(p) < 2)
        usleep(1000);
    worker_detach(jobs[0]); /* running: its end is waited for, nobody is told */
    worker_detach(jobs[9]); /* waiting: gone at once */
    ck_assert_int_eq(n_destroyed, 1);
    pthread_mutex_unlock(&gate);
    ck_assert_int_eq(loop_run(job_loop), 0);
    ck_assert_int_eq(atomic_load(&worked), 9);
    ck_assert_int_eq(n_done, 8);
    worker_pool_free(p);
    usleep(20000);
    loop_free(job_loop);
}
END_TEST

static void never_done(struct worker_job *job)
{
    (void) job;
    ck_abort_msg("a refused job was run");
}

START_TEST(a_full_queue_refuses)
{
    struct loop *l = loop_new();
    struct worker_pool *p = worker_pool_new(l, "test", 1, 0);
    struct worker_job job = {.work = never_done, .done = never_done, .destroy = never_done};
    ck_assert_int_lt(worker_submit(p, &job), 0);
    worker_pool_free(p);
    loop_free(l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loop");
    TCase *t = tcase_create("loop");
    tcase_add_test(t, tasks_run_later_and_in_order);
    tcase_add_test(t, io_is_level_triggered);
    tcase_add_test(t, jobs_come_back_and_can_be_detached);
    tcase_add_test(t, a_full_queue_refuses);
    suite_add_tcase(s, t);
    return unit_run(s);
}
