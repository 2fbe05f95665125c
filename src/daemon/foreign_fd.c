/* SPDX-License-Identifier: MIT */
#include "foreign_fd.h"

#include "file_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes that one pipe may bring in one turn of the loop. */
#define PIPE_TURN (256 * 1024)
#define PIPE_CHUNK 65536
/* When no helper is free, how soon to look again. */
#define AGAIN_MS 20

enum foreign_kind { FOREIGN_MEMFD, FOREIGN_PIPE, FOREIGN_SOCKET, FOREIGN_OTHER };

struct foreign_table {
    struct gateway *gateway;
    struct user **owner; /* by descriptor; NULL: not ours */
    size_t n_owner, count;
    struct loop_timer late_timer, again;
    int *late; /* pipes to be released in the next turn */
    size_t n_late, late_cap;
};

/* One visit of a helper to one descriptor. */
struct foreign_job {
    struct file_visit visit;
    struct list link; /* in the user's queue while it waits */
    struct foreign_table *table;
    struct user *user;
    bool submitted;
    struct foreign_read *read; /* NULL: cancelled; the descriptor is closed after the visit */
};

struct foreign_read {
    struct foreign_table *table;
    int fd;
    struct user *user;
    const char *name;
    struct spool *spool;
    foreign_read_done *done;
    void *arg;
    struct loop_task task;      /* a visit is due */
    struct loop_timer patience; /* while it waits for its turn */
    struct foreign_job *job;
    uint64_t offset;
    bool looked_at;
    bool held; /* the budget is used up */
    int pipe[2];
    struct loop_io io; /* pipes only */
};

static void user_run_jobs(struct user *user);
static void release_late(void *arg);
static void run_all_jobs(void *arg);

/* --- registry --- */

struct foreign_table *foreign_table_new(struct gateway *g)
{
    struct foreign_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->gateway = g;
    if (loop_timer_init(&t->late_timer, g->loop, release_late, t) < 0 ||
        loop_timer_init(&t->again, g->loop, run_all_jobs, t) < 0) {
        loop_timer_done(&t->late_timer);
        free(t);
        return NULL;
    }
    return t;
}

void foreign_table_free(struct foreign_table *t)
{
    if (!t)
        return;
    release_late(t);
    loop_timer_done(&t->late_timer);
    loop_timer_done(&t->again);
    for (size_t i = 0; i < t->n_owner; i++)
        user_unref(t->owner[i]);
    free(t->late);
    free(t->owner);
    free(t);
}

void foreign_table_abandon(struct foreign_table *t)
{
    unsigned from = 0;
    for (size_t fd = 0; fd < t->n_owner; fd++) {
        if (!t->owner[fd])
            continue;
        if (fd > from)
            close_range(from, (unsigned) fd - 1, 0);
        from = (unsigned) fd + 1;
    }
    close_range(from, ~0U, 0);
}

size_t foreign_count(const struct foreign_table *t)
{
    return t->count;
}

static enum foreign_kind classify(int fd)
{
    int type;
    socklen_t len = sizeof(type);
    if (fcntl(fd, F_GETPIPE_SZ) >= 0)
        return FOREIGN_PIPE;
    if (fcntl(fd, F_GET_SEALS) >= 0)
        return FOREIGN_MEMFD;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
        return FOREIGN_SOCKET;
    return FOREIGN_OTHER;
}

static bool registry_grow(struct foreign_table *t, size_t need)
{
    if (need <= t->n_owner)
        return true;
    size_t n = MAX(need, t->n_owner ? t->n_owner * 2 : 64);
    struct user **owner = reallocarray(t->owner, n, sizeof(struct user *));
    if (!owner)
        return false;
    memset(owner + t->n_owner, 0, (n - t->n_owner) * sizeof(struct user *));
    t->owner = owner;
    t->n_owner = n;
    return true;
}

int foreign_adopt(struct foreign_table *t, struct user *user, const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!registry_grow(t, (size_t) fds[i] + 1)) {
            for (; i < n; i++)
                close(fds[i]);
            return -ENOMEM;
        }
        t->owner[fds[i]] = user_ref(user);
        t->count++;
        user->fds++;
    }
    return user->fds > gateway_config(t->gateway)->max_fds_per_user ? -EMFILE : 0;
}

static struct user *registered(const struct foreign_table *t, int fd)
{
    return fd >= 0 && (size_t) fd < t->n_owner ? t->owner[fd] : NULL;
}

/* It is closed, or about to be: it counts no longer, against nobody. */
static void discount(struct foreign_table *t, struct user *user)
{
    t->count--;
    user->fds--;
    user_unref(user);
}

/* --- visits of the helper --- */

static void read_visited(struct foreign_read *r, const struct file_visit *v);

static void job_free(struct foreign_job *j)
{
    user_unref(j->user);
    free(j);
}

static void visit_done(struct file_visit *v)
{
    struct foreign_job *j = container_of(v, struct foreign_job, visit);
    struct foreign_read *r = j->read;
    j->user->file_jobs--;
    if (v->kind == FILE_VISIT_CLOSE) {
        discount(j->table, j->user);
    } else if (r) {
        r->job = NULL;
        read_visited(r, v);
    } else {
        foreign_release(j->table, v->fd);
    }
    user_run_jobs(j->user);
    job_free(j);
}

static struct foreign_job *job_new(struct foreign_table *t, struct user *user, int fd, enum file_visit_kind kind)
{
    struct foreign_job *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    list_init(&j->link);
    j->table = t;
    j->user = user_ref(user);
    j->visit = (struct file_visit){.kind = kind, .fd = fd, .done = visit_done};
    return j;
}

/* Starts what waits, as far as the user's share of helpers goes. */
static void user_run_jobs(struct user *user)
{
    struct gateway *g = user->gateway;
    while (!list_is_empty(&user->file_queue) && user->file_jobs < gateway_config(g)->max_file_readers_per_user) {
        struct foreign_job *j = list_first(&user->file_queue, struct foreign_job, link);
        if (file_visit_submit(g->helpers, &j->visit) < 0) {
            loop_timer_set(&j->table->again, AGAIN_MS);
            return;
        }
        list_remove(&j->link);
        j->submitted = true;
        user->file_jobs++;
        if (j->read)
            loop_timer_clear(&j->read->patience);
    }
}

/* After all helpers were at work, whoever's: some may be free again. */
static void run_all_jobs(void *arg)
{
    struct foreign_table *t = arg;
    struct hash_table *users = &t->gateway->users;
    size_t pos = 0;
    for (struct hash_node *n = hash_table_walk(users, &pos, NULL); n; n = hash_table_walk(users, &pos, n))
        user_run_jobs(container_of(n, struct user, node));
}

static void user_add_job(struct user *user, struct foreign_job *j)
{
    list_append(&user->file_queue, &j->link);
    user_run_jobs(user);
}

/* --- closing --- */

void foreign_release(void *table, int fd)
{
    struct foreign_table *t = table;
    struct user *user = registered(t, fd);
    if (!user) {
        close(fd);
        return;
    }
    enum foreign_kind kind = classify(fd);
    struct foreign_job *j = NULL;
    /* The last close of a file flushes it, that of a socket may linger: neither on the loop. */
    if (kind == FOREIGN_OTHER || kind == FOREIGN_SOCKET)
        j = job_new(t, user, fd, FILE_VISIT_CLOSE);
    /* The number may be given to another descriptor as soon as close() has begun: forget it before. */
    t->owner[fd] = NULL;
    if (j) {
        user_add_job(user, j);
        return;
    }
    if (kind == FOREIGN_MEMFD || kind == FOREIGN_PIPE)
        close(fd);
    discount(t, user);
}

static void release_late(void *arg)
{
    struct foreign_table *t = arg;
    while (t->n_late > 0)
        foreign_release(t, t->late[--t->n_late]);
}

/* A pipe whose other holders live on must have left epoll before it is closed here, else epoll would go on telling of
 * it with nobody to take it out; libevent takes it out when the next turn begins. */
static void release_watched(struct foreign_table *t, int fd)
{
    if (t->n_late == t->late_cap) {
        size_t cap = t->late_cap ? t->late_cap * 2 : 16;
        int *late = reallocarray(t->late, cap, sizeof(*late));
        if (!late)
            return; /* it stays open, and counted */
        t->late = late;
        t->late_cap = cap;
    }
    t->late[t->n_late++] = fd;
    loop_timer_set(&t->late_timer, 0);
}

/* --- reading --- */

static void read_free(struct foreign_read *r)
{
    loop_task_cancel(&r->task);
    loop_timer_done(&r->patience);
    bool watched = r->io.event != NULL;
    loop_io_done(&r->io);
    for (int i = 0; i < 2; i++)
        if (r->pipe[i] >= 0)
            close(r->pipe[i]);
    if (r->spool)
        spool_on_room(r->spool, NULL, NULL);
    spool_unref(r->spool);
    if (r->job) {
        struct foreign_job *j = r->job;
        j->read = NULL;
        if (!j->submitted) {
            list_remove(&j->link);
            job_free(j);
        } else {
            r->fd = -1; /* closed when the visit is over */
        }
    }
    if (r->fd >= 0 && watched)
        release_watched(r->table, r->fd);
    else if (r->fd >= 0)
        foreign_release(r->table, r->fd);
    free(r);
}

void foreign_read_cancel(struct foreign_read *r)
{
    if (r)
        read_free(r);
}

static void read_end(struct foreign_read *r, const struct fault *fault)
{
    foreign_read_done *done = r->done;
    void *arg = r->arg;
    struct fault why = {0};
    struct body *body = NULL;

    if (fault) {
        why = *fault;
    } else if (spool_seal(r->spool, &why) == 0) {
        body = body_new_spool(r->spool);
        if (!body)
            fault_set(&why, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    }
    read_free(r);
    done(arg, body, body ? NULL : &why);
}

static void read_fail(struct foreign_read *r, enum fault_kind kind, const char *what)
{
    struct fault fault = {0};
    fault_set(&fault, -EINVAL, kind, NULL, "%s: %s", r->name, what);
    read_end(r, &fault);
}

static void on_room(void *arg, const struct fault *fault)
{
    struct foreign_read *r = arg;
    r->held = false;
    if (fault)
        read_end(r, fault);
    else if (r->pipe[0] >= 0)
        loop_io_want(&r->io, LOOP_READ);
    else
        loop_task_schedule(&r->task);
}

static void patience_over(void *arg)
{
    read_fail(arg, FAULT_BUSY, "too many descriptors of this user are being read");
}

static void next_visit(void *arg)
{
    struct foreign_read *r = arg;
    struct foreign_job *j = job_new(r->table, r->user, r->fd, FILE_VISIT_READ);
    if (!j) {
        read_fail(r, FAULT_INTERNAL, "out of memory");
        return;
    }
    j->read = r;
    j->visit.look = !r->looked_at;
    j->visit.offset = r->offset;
    r->job = j;
    loop_timer_set(&r->patience, FOREIGN_PATIENCE_MS);
    user_add_job(r->user, j);
}

static const char *what_it_is(mode_t mode)
{
    return S_ISDIR(mode)                    ? "is a directory"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "is a device"
                                            : "is no file, pipe or memfd";
}

static void read_visited(struct foreign_read *r, const struct file_visit *v)
{
    struct fault fault = {0};
    if (v->error) {
        read_fail(r, v->error == EAGAIN ? FAULT_BUSY : FAULT_INVALID_PARAMS, strerror(v->error));
        return;
    }
    if (v->look && !S_ISREG(v->mode)) {
        read_fail(r, FAULT_INVALID_PARAMS, what_it_is(v->mode));
        return;
    }
    r->looked_at = true;
    r->offset += v->n;
    int w = v->n > 0 ? spool_write(r->spool, slice_of(v->data, v->n), &fault) : 0;
    if (w < 0 || v->n < FILE_CHUNK)
        read_end(r, w < 0 ? &fault : NULL);
    else if (w == 0)
        loop_task_schedule(&r->task);
    else
        r->held = true;
}

/* One pipe's worth from the foreign pipe into ours, and from there into the spool. splice() of two pipes moves
 * references, calls no file system and never waits with SPLICE_F_NONBLOCK, whatever the flags of the foreign one. */
static int pipe_step(struct foreign_read *r, size_t *ret_n, struct fault *fault)
{
    char buf[PIPE_CHUNK];
    ssize_t moved = splice(r->fd, NULL, r->pipe[1], NULL, sizeof(buf), SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (moved < 0)
        return errno == EAGAIN || errno == EINTR
                   ? -EAGAIN
                   : fault_set(fault, -errno, FAULT_INVALID_PARAMS, NULL, "%s: %s", r->name, strerror(errno));
    *ret_n = (size_t) moved;
    for (size_t left = (size_t) moved; left > 0;) {
        ssize_t n = read(r->pipe[0], buf, MIN(left, sizeof(buf)));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fault_set(fault, -EIO, FAULT_STORAGE, NULL, "%s: pipe: %s", r->name, strerror(n < 0 ? errno : EIO));
        int w = spool_write(r->spool, slice_of(buf, (size_t) n), fault);
        if (w < 0)
            return w;
        if (w > 0)
            r->held = true;
        left -= (size_t) n;
    }
    return 0;
}

static void pipe_ready(void *arg, unsigned what)
{
    struct foreign_read *r = arg;
    struct fault fault = {0};
    (void) what;
    for (size_t turn = 0; turn < PIPE_TURN && !r->held;) {
        size_t n = 0;
        int e = pipe_step(r, &n, &fault);
        if (e == -EAGAIN)
            return;
        if (e < 0 || n == 0) {
            read_end(r, e < 0 ? &fault : NULL);
            return;
        }
        turn += n;
    }
    if (r->held)
        loop_io_want(&r->io, 0);
}

static int pipe_start(struct foreign_read *r, struct fault *fault)
{
    if (pipe2(r->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        r->pipe[0] = r->pipe[1] = -1;
        return fault_set(fault, -errno, FAULT_STORAGE, NULL, "%s: pipe: %s", r->name, strerror(errno));
    }
    if (loop_io_init(&r->io, r->table->gateway->loop, r->fd, pipe_ready, r) < 0 || loop_io_want(&r->io, LOOP_READ) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    return 0;
}

/* A memfd that can neither change nor shrink is as good as memory; its size is asked of shmem, which does not wait. */
static struct body *sealed_memfd(struct foreign_table *t, int fd, uint64_t max, const char *limit, struct fault *fault)
{
    const int needed = F_SEAL_WRITE | F_SEAL_SHRINK;
    struct stat st;
    if ((fcntl(fd, F_GET_SEALS) & needed) != needed || fstat(fd, &st) < 0)
        return NULL;
    if (max && (uint64_t) st.st_size > max) {
        fault->limit = limit;
        fault_set(fault, -EMSGSIZE, FAULT_LIMIT, NULL, "more than %s (%llu bytes)", limit, (unsigned long long) max);
        return NULL;
    }
    struct body *body = body_new_fd(fd, (uint64_t) st.st_size, foreign_release, t);
    if (!body)
        fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    return body;
}

static int refuse(struct foreign_table *t, int fd, const char *name, const char *what, struct fault *fault)
{
    foreign_release(t, fd);
    return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s: the descriptor %s", name, what);
}

static struct foreign_read *read_new(struct foreign_table *t, int fd, struct spool_budget *budget, uint64_t max,
                                     const char *limit)
{
    struct foreign_read *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->table = t;
    r->fd = fd;
    r->user = registered(t, fd);
    r->pipe[0] = r->pipe[1] = -1;
    loop_task_init(&r->task, t->gateway->loop, next_visit, r);
    r->spool = spool_new(budget, max, limit);
    if (!r->spool || loop_timer_init(&r->patience, t->gateway->loop, patience_over, r) < 0) {
        spool_unref(r->spool);
        free(r);
        return NULL;
    }
    spool_on_room(r->spool, on_room, r);
    return r;
}

int foreign_read_start(struct foreign_table *t, int fd, struct spool_budget *budget, uint64_t max, const char *limit,
                       const char *name, foreign_read_done *done, void *arg, struct body **ret_body,
                       struct foreign_read **ret_read, struct fault *fault)
{
    enum foreign_kind kind = classify(fd);
    int flags = fcntl(fd, F_GETFL);

    if (kind == FOREIGN_SOCKET)
        return refuse(t, fd, name, "is a socket", fault);
    if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY)
        return refuse(t, fd, name, "is not open for reading", fault);
    if (kind == FOREIGN_MEMFD) {
        struct body *body = sealed_memfd(t, fd, max, limit, fault);
        if (body) {
            *ret_body = body;
            return 0;
        }
        if (fault_is_set(fault)) {
            foreign_release(t, fd);
            return fault->kind == FAULT_LIMIT ? -EMSGSIZE : -ENOMEM;
        }
    }
    struct foreign_read *r = read_new(t, fd, budget, max, limit);
    if (!r) {
        foreign_release(t, fd);
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    }
    r->name = name;
    r->done = done;
    r->arg = arg;
    if (kind == FOREIGN_PIPE) {
        int e = pipe_start(r, fault);
        if (e < 0) {
            read_free(r);
            return e;
        }
    } else {
        loop_task_schedule(&r->task);
    }
    *ret_read = r;
    return 1;
}
