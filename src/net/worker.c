/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#ifndef WORKER_STACK
#define WORKER_STACK (1024 * 1024) /* address space only: what is not used takes no memory */
#endif

enum { JOB_IDLE = 0, JOB_QUEUED, JOB_RUNNING, JOB_FINISHED };

struct worker_thread {
    struct worker_pool *pool;
    pthread_t id;
    bool busy;
};

struct worker_pool {
    struct loop *loop;
    struct loop_io io;
    pthread_mutex_t lock; /* guards all below, and state of every job */
    pthread_cond_t wake;
    struct list queue, finished;
    size_t n_queued, queue_max;
    unsigned threads, max_threads, idle, busy;
    struct worker_thread *all; /* max_threads of them, the first `started` in use */
    unsigned started;
    bool closing;
    bool abandoned; /* the loop's side has gone: the last thread frees the pool */
    int fd;
    char name[16];
};

static void pool_destroy(struct worker_pool *p)
{
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p->all);
    free(p);
}

static void *worker_main(void *arg)
{
    struct worker_thread *self = arg;
    struct worker_pool *p = self->pool;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->closing && list_is_empty(&p->queue)) {
            p->idle++;
            pthread_cond_wait(&p->wake, &p->lock);
            p->idle--;
        }
        if (p->closing)
            break;
        struct worker_job *job = list_first(&p->queue, struct worker_job, link);
        list_remove(&job->link);
        p->n_queued--;
        p->busy++;
        self->busy = true;
        job->state = JOB_RUNNING;
        pthread_mutex_unlock(&p->lock);

        job->work(job);

        pthread_mutex_lock(&p->lock);
        p->busy--;
        self->busy = false;
        job->state = JOB_FINISHED;
        list_append(&p->finished, &job->link);
        if (!p->closing)
            (void) !write(p->fd, &(uint64_t){1}, sizeof(uint64_t));
    }
    /* The last one out frees what the loop's side has left: threads that were busy outlive worker_pool_free(). */
    bool last = --p->threads == 0 && p->abandoned;
    pthread_mutex_unlock(&p->lock);
    if (last)
        pool_destroy(p);
    return NULL;
}

static void finished_ready(void *arg, unsigned what)
{
    struct worker_pool *p = arg;
    uint64_t count;
    (void) what;
    (void) !read(p->fd, &count, sizeof(count));
    for (;;) {
        pthread_mutex_lock(&p->lock);
        struct worker_job *job = list_first(&p->finished, struct worker_job, link);
        if (job)
            list_remove(&job->link);
        pthread_mutex_unlock(&p->lock);
        if (!job)
            return;
        if (!job->detached)
            job->done(job);
        job->destroy(job);
    }
}

struct worker_pool *worker_pool_new(struct loop *l, const char *name, unsigned threads, size_t queue_max)
{
    struct worker_pool *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->all = calloc(threads, sizeof(*p->all));
    if (!p->all) {
        free(p);
        return NULL;
    }
    p->loop = l;
    p->max_threads = threads;
    p->queue_max = queue_max;
    snprintf(p->name, sizeof(p->name), "%s", name);
    list_init(&p->queue);
    list_init(&p->finished);
    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->fd < 0 || loop_io_init(&p->io, l, p->fd, finished_ready, p) < 0 || loop_io_want(&p->io, LOOP_READ) < 0) {
        loop_io_done(&p->io);
        if (p->fd >= 0)
            close(p->fd);
        free(p->all);
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    return p;
}

void worker_pool_free(struct worker_pool *p)
{
    if (!p)
        return;
    struct list dead;
    list_init(&dead);
    loop_io_done(&p->io);
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    while (!list_is_empty(&p->queue) || !list_is_empty(&p->finished)) {
        struct list *from = list_is_empty(&p->queue) ? &p->finished : &p->queue;
        struct list *node = from->next;
        list_remove(node);
        list_append(&dead, node);
    }
    close(p->fd);
    /* Idle threads end at once, with what libraries keep for each thread; nobody waits for a busy one. */
    unsigned n = 0;
    for (unsigned i = 0; i < p->started; i++) {
        if (p->all[i].busy)
            pthread_detach(p->all[i].id);
        else
            p->all[n++].id = p->all[i].id;
    }
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < n; i++)
        pthread_join(p->all[i].id, NULL);

    struct worker_job *job;
    list_foreach(&dead, job, struct worker_job, link)
        job->destroy(job);
    pthread_mutex_lock(&p->lock);
    bool last = p->threads == 0;
    p->abandoned = true;
    pthread_mutex_unlock(&p->lock);
    if (last)
        pool_destroy(p);
}

/* With p->lock held. */
static void start_thread(struct worker_pool *p)
{
    pthread_attr_t attr;
    struct worker_thread *thread = &p->all[p->started];
    sigset_t all, old;

    if (pthread_attr_init(&attr) != 0)
        return;
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    /* Signals are the loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    thread->pool = p;
    if (pthread_create(&thread->id, &attr, worker_main, thread) == 0) {
        pthread_setname_np(thread->id, p->name);
        p->threads++;
        p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

int worker_submit(struct worker_pool *p, struct worker_job *job)
{
    int r = 0;
    pthread_mutex_lock(&p->lock);
    if (p->n_queued >= p->queue_max) {
        r = -EAGAIN;
    } else {
        if (p->idle <= p->n_queued && p->threads < p->max_threads)
            start_thread(p);
        if (p->threads == 0)
            r = -EAGAIN;
    }
    if (r == 0) {
        job->pool = p;
        job->detached = false;
        job->state = JOB_QUEUED;
        list_append(&p->queue, &job->link);
        p->n_queued++;
        pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

void worker_detach(struct worker_job *job)
{
    struct worker_pool *p = job->pool;
    pthread_mutex_lock(&p->lock);
    bool waiting = job->state == JOB_QUEUED;
    if (waiting) {
        list_remove(&job->link);
        p->n_queued--;
    } else {
        job->detached = true;
    }
    pthread_mutex_unlock(&p->lock);
    if (waiting)
        job->destroy(job);
}

size_t worker_pool_queued(const struct worker_pool *p)
{
    struct worker_pool *q = (struct worker_pool *) p;
    pthread_mutex_lock(&q->lock);
    size_t n = p->n_queued;
    pthread_mutex_unlock(&q->lock);
    return n;
}

size_t worker_pool_busy(const struct worker_pool *p)
{
    struct worker_pool *q = (struct worker_pool *) p;
    pthread_mutex_lock(&q->lock);
    size_t n = p->busy;
    pthread_mutex_unlock(&q->lock);
    return n;
}
