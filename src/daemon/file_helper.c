/* SPDX-License-Identifier: MIT */
#include "file_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Idle helpers that are kept, and how often the others are ended and lost ones looked for. */
#define KEEP_IDLE 2
#define LOOK_MS 2000

/* One pipe carries the orders to all helpers: who is free takes the next. Orders are much shorter than PIPE_BUF and of
 * one size, so that each is written and read whole. */
struct order {
    int kind; /* enum file_visit_kind; 0: end */
    unsigned slot;
    int fd;
    int look;
    uint64_t offset;
};

enum { ANSWER_BORN, ANSWER_DONE };

struct answer {
    int what;
    unsigned slot; /* ANSWER_DONE */
    int error;
    pid_t pid; /* ANSWER_BORN */
    mode_t mode;
    uint64_t n;
};

struct shared {
    pid_t taker[FILE_HELPERS_MAX]; /* who works for the slot; 0: the order waits */
    char chunks[FILE_HELPERS_MAX][FILE_CHUNK] __attribute__((aligned(4096)));
};

struct file_helpers {
    struct loop_io io;
    struct loop_timer timer;
    struct worker_pool *threads;
    struct shared *shared;
    int births[2], orders[2], answers[2]; /* pipes */
    pid_t nursery;
    pid_t pids[FILE_HELPERS_MAX];                /* 0: none */
    size_t alive, ending;                        /* helpers born or about to be; those of them that were told to end */
    struct file_visit *visits[FILE_HELPERS_MAX]; /* by slot */
    bool filled[FILE_HELPERS_MAX];               /* the slot's chunk may hold memory */
    size_t busy;
};

/* --- the visit itself --- */

static void look_and_read(const struct order *o, struct answer *a, char *to)
{
    struct stat st;
    if (o->look) {
        if (fstat(o->fd, &st) < 0) {
            a->error = errno;
            return;
        }
        a->mode = st.st_mode;
        if (!S_ISREG(st.st_mode))
            return;
    }
    while (a->n < FILE_CHUNK) {
        ssize_t n = pread(o->fd, to + a->n, FILE_CHUNK - a->n, (off_t) (o->offset + a->n));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            a->error = errno;
        if (n <= 0)
            return;
        a->n += (uint64_t) n;
    }
}

static void visit(const struct order *o, struct answer *a, char *to)
{
    if (o->kind == FILE_VISIT_CLOSE)
        close(o->fd);
    else
        look_and_read(o, a, to);
}

/* --- in the helpers: bare system calls only; there is no telling in what state the C library's locks are --- */

/* Ends with the daemon, hears no other signal. */
static void helper_prepare(pid_t daemon)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != daemon)
        _exit(0);
}

ATTR_NORETURN static void helper_main(const struct file_helpers *h, pid_t daemon)
{
    struct order o;
    helper_prepare(daemon);
    pid_t self = (pid_t) syscall(SYS_getpid);
    for (;;) {
        ssize_t n = read(h->orders[0], &o, sizeof(o));
        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t) sizeof(o) || o.kind == 0)
            _exit(0);
        struct answer a = {.slot = o.slot, .what = ANSWER_DONE};
        h->shared->taker[o.slot] = self;
        visit(&o, &a, h->shared->chunks[o.slot]);
        if (write(h->answers[1], &a, sizeof(a)) != (ssize_t) sizeof(a))
            _exit(0);
    }
}

ATTR_NORETURN static void nursery_main(const struct file_helpers *h, pid_t daemon)
{
    char wanted;
    helper_prepare(daemon);
    prctl(PR_SET_NAME, "posternd-files", 0, 0, 0);
    for (;;) {
        ssize_t n = read(h->births[0], &wanted, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != 1)
            _exit(0);
        long pid = syscall(SYS_clone, CLONE_FILES | CLONE_PARENT, NULL, NULL, NULL, NULL);
        if (pid == 0)
            helper_main(h, daemon);
        struct answer a = {.what = ANSWER_BORN, .error = pid < 0 ? errno : 0, .pid = (pid_t) pid};
        if (write(h->answers[1], &a, sizeof(a)) != (ssize_t) sizeof(a))
            _exit(0);
    }
}

/* --- in the daemon --- */

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        pair[i] = -1;
    }
}

/* valgrind follows no clone() but those of threads and fork(). */
static bool can_clone(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return !preload || !strstr(preload, "vgpreload");
}

static void close_pipes(struct file_helpers *h)
{
    close_pair(h->births);
    close_pair(h->orders);
    close_pair(h->answers);
}

/* Pipes, memory and the nursery; false: there will be threads instead. */
static bool make_nursery(struct file_helpers *h)
{
    pid_t daemon = getpid();
    void *shared =
        mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    h->shared = shared;
    if (pipe2(h->births, O_CLOEXEC) < 0 || pipe2(h->orders, O_CLOEXEC) < 0 || pipe2(h->answers, O_CLOEXEC) < 0 ||
        fcntl(h->answers[0], F_SETFL, O_NONBLOCK) < 0)
        return false;
    long pid = syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, NULL);
    if (pid == 0)
        nursery_main(h, daemon);
    h->nursery = pid > 0 ? (pid_t) pid : 0;
    return pid > 0;
}

struct file_helpers *file_helpers_new(void)
{
    struct file_helpers *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    for (int i = 0; i < 2; i++)
        h->births[i] = h->orders[i] = h->answers[i] = -1;
    if (!can_clone() || !make_nursery(h))
        close_pipes(h);
    return h;
}

/* --- threads instead --- */

struct thread_visit {
    struct worker_job job;
    struct file_helpers *helpers;
    struct file_visit *visit;
    struct order order;
    struct answer answer;
    char data[]; /* FILE_CHUNK */
};

static void thread_work(struct worker_job *job)
{
    struct thread_visit *t = container_of(job, struct thread_visit, job);
    visit(&t->order, &t->answer, t->data);
}

static void tell(struct file_visit *v, const struct answer *a, const char *data)
{
    v->error = a->error;
    v->mode = a->mode;
    v->n = (size_t) a->n;
    v->data = data;
    v->done(v);
}

static void thread_done(struct worker_job *job)
{
    struct thread_visit *t = container_of(job, struct thread_visit, job);
    t->helpers->busy--;
    tell(t->visit, &t->answer, t->data);
}

static void thread_destroy(struct worker_job *job)
{
    free(container_of(job, struct thread_visit, job));
}

static int thread_submit(struct file_helpers *h, struct file_visit *v)
{
    struct thread_visit *t = malloc(sizeof(*t) + (v->kind == FILE_VISIT_READ ? FILE_CHUNK : 0));
    if (!t)
        return -EAGAIN;
    memset(t, 0, sizeof(*t));
    t->job.work = thread_work;
    t->job.done = thread_done;
    t->job.destroy = thread_destroy;
    t->helpers = h;
    t->visit = v;
    t->order = (struct order){v->kind, 0, v->fd, v->look, v->offset};
    int r = worker_submit(h->threads, &t->job);
    if (r < 0)
        free(t);
    else
        h->busy++;
    return r;
}

/* --- processes --- */

/* Idle helpers hold no memory. */
static void give_back_chunks(struct file_helpers *h)
{
    for (unsigned slot = 0; slot < FILE_HELPERS_MAX; slot++) {
        if (h->filled[slot])
            madvise(h->shared->chunks[slot], FILE_CHUNK, MADV_REMOVE);
        h->filled[slot] = false;
    }
}

static void visit_over(struct file_helpers *h, unsigned slot, const struct answer *a)
{
    struct file_visit *v = h->visits[slot];
    h->visits[slot] = NULL;
    h->busy--;
    h->filled[slot] |= a->n > 0;
    tell(v, a, h->shared->chunks[slot]);
    /* Behind a full chunk there comes another visit, to read on or to close: pages are not made anew for each. */
    if (a->n < FILE_CHUNK && h->busy == 0)
        give_back_chunks(h);
}

/* Visits that nobody will make. */
static void visits_lost(struct file_helpers *h, pid_t taker, int error)
{
    const struct answer lost = {.error = error};
    for (unsigned slot = 0; slot < FILE_HELPERS_MAX; slot++)
        if (h->visits[slot] && h->shared->taker[slot] == taker)
            visit_over(h, slot, &lost);
}

static void born(struct file_helpers *h, const struct answer *a)
{
    if (a->error) {
        h->alive--;
        return;
    }
    for (size_t i = 0; i < FILE_HELPERS_MAX; i++) {
        if (h->pids[i] == 0) {
            h->pids[i] = a->pid;
            return;
        }
    }
}

static void answers_ready(void *arg, unsigned what)
{
    struct file_helpers *h = arg;
    struct answer a;
    (void) what;
    while (read(h->answers[0], &a, sizeof(a)) == (ssize_t) sizeof(a)) {
        if (a.what == ANSWER_BORN)
            born(h, &a);
        else if (h->visits[a.slot % FILE_HELPERS_MAX])
            visit_over(h, a.slot % FILE_HELPERS_MAX, &a);
    }
}

static int give_birth(struct file_helpers *h)
{
    if (h->alive - h->ending >= FILE_HELPERS_MAX || h->alive >= FILE_HELPERS_MAX)
        return -EAGAIN;
    if (write(h->births[1], "", 1) != 1)
        return -EAGAIN;
    h->alive++;
    return 0;
}

/* Ends idle helpers, buries the dead, and makes new ones for orders that wait without anybody to take them. */
static void look(void *arg)
{
    struct file_helpers *h = arg;
    for (size_t i = 0; i < FILE_HELPERS_MAX; i++) {
        pid_t pid = h->pids[i];
        if (pid == 0 || waitpid(pid, NULL, WNOHANG | __WALL) == 0)
            continue;
        h->pids[i] = 0;
        h->alive--;
        h->ending -= h->ending > 0;
        visits_lost(h, pid, EIO);
    }
    while (h->alive - h->ending > h->busy + KEEP_IDLE) {
        const struct order end = {0};
        if (write(h->orders[1], &end, sizeof(end)) != (ssize_t) sizeof(end))
            break;
        h->ending++;
    }
    while (h->alive - h->ending < h->busy && give_birth(h) == 0) {
    }
    if (h->busy > 0 || h->ending > 0)
        loop_timer_set(&h->timer, LOOK_MS);
}

int file_helpers_start(struct file_helpers *h, struct loop *l, struct worker_pool *threads)
{
    h->threads = threads;
    if (!h->nursery)
        return 0;
    int r = loop_timer_init(&h->timer, l, look, h);
    if (r == 0)
        r = loop_io_init(&h->io, l, h->answers[0], answers_ready, h);
    return r < 0 ? r : loop_io_want(&h->io, LOOP_READ);
}

int file_visit_submit(struct file_helpers *h, struct file_visit *v)
{
    unsigned slot = 0;
    if (!h->nursery)
        return thread_submit(h, v);
    while (slot < FILE_HELPERS_MAX && h->visits[slot])
        slot++;
    if (slot == FILE_HELPERS_MAX || (h->alive - h->ending <= h->busy && give_birth(h) < 0))
        return -EAGAIN;
    const struct order o = {v->kind, slot, v->fd, v->look, v->offset};
    h->shared->taker[slot] = 0;
    if (write(h->orders[1], &o, sizeof(o)) != (ssize_t) sizeof(o))
        return -EAGAIN;
    h->visits[slot] = v;
    h->busy++;
    if (!h->timer.due_ms)
        loop_timer_set(&h->timer, LOOK_MS);
    return 0;
}

size_t file_helpers_busy(const struct file_helpers *h)
{
    return h->busy;
}

void file_helpers_free(struct file_helpers *h)
{
    if (!h)
        return;
    loop_io_done(&h->io);
    loop_timer_done(&h->timer);
    if (h->nursery > 0) {
        kill(h->nursery, SIGKILL);
        waitpid(h->nursery, NULL, __WALL);
    }
    for (size_t i = 0; i < FILE_HELPERS_MAX; i++) {
        if (h->pids[i] == 0)
            continue;
        kill(h->pids[i], SIGKILL);
        if (h->busy == 0)
            waitpid(h->pids[i], NULL, __WALL);
    }
    close_pipes(h);
    if (h->shared)
        munmap(h->shared, sizeof(struct shared));
    free(h);
}
