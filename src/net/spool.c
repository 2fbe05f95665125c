/* SPDX-License-Identifier: MIT */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SPOOL_FIRST_ROOM 1024

enum spool_state { SPOOL_OPEN, SPOOL_HELD, SPOOL_FAILED, SPOOL_SEALED };

struct spool {
    unsigned refs;
    enum spool_state state;
    struct spool_budget *budget;
    const char *limit;
    uint64_t max, size;
    char *memory; /* NULL when the bytes are in `fd` */
    size_t memory_cap;
    int fd; /* -1: in memory */
    uint64_t pages; /* bytes that the memfd had when it was taken */
    bool exported;
    struct utf8_state utf8;
    struct list link; /* in the root's waiting */
    void (*room)(void *arg, const struct fault *fault);
    void *room_arg;
};

/* --- budgets --- */

static struct spool_budget *budget_root(struct spool_budget *b)
{
    while (b && b->parent)
        b = b->parent;
    return b;
}

static bool budget_has_room(const struct spool_budget *b)
{
    for (; b; b = b->parent)
        if (b->used > b->max)
            return false;
    return true;
}

static void budget_hold(struct spool_budget *b, uint64_t n, bool held)
{
    for (; b; b = b->parent)
        b->held += held ? n : (uint64_t) 0 - n;
}

static void wake_waiting(struct spool_budget *b)
{
    struct spool_budget *root = budget_root(b);
    if (root && root->task.loop && !list_is_empty(&root->waiting))
        loop_task_schedule(&root->task);
}

static void spool_let_go(struct spool *s, enum spool_state state, const struct fault *fault)
{
    list_remove(&s->link);
    budget_hold(s->budget, s->size, false);
    s->state = state;
    if (s->room)
        s->room(s->room_arg, fault);
}

/* The first budget on the way up that is full of what waits for it and of texts that stay meanwhile. */
static const struct spool_budget *budget_stuck(const struct spool_budget *b)
{
    for (; b; b = b->parent)
        if (b->used > b->max && b->held + b->taken >= b->used)
            return b;
    return NULL;
}

static void look_at_waiting(void *arg)
{
    struct spool_budget *root = arg;
    struct spool *s;

    list_foreach (&root->waiting, s, struct spool, link) {
        if (!budget_has_room(s->budget))
            continue;
        /* The callback may free other spools of the list: begin anew. */
        loop_task_schedule(&root->task);
        spool_let_go(s, SPOOL_OPEN, NULL);
        return;
    }
    s = list_last(&root->waiting, struct spool, link);
    const struct spool_budget *full = s ? budget_stuck(s->budget) : NULL;
    if (full) {
        struct fault fault = {0};
        fault.limit = full->limit;
        fault_set(&fault, -EDQUOT, FAULT_LIMIT, NULL, "%s is used up by calls that wait for each other", full->limit);
        spool_let_go(s, SPOOL_FAILED, &fault);
    }
}

/* --- memfds that are kept --- */

static void forget_kept(void *arg)
{
    struct spool_budget *root = arg;
    while (root->n_kept)
        close(root->kept[--root->n_kept].fd);
    root->kept_bytes = 0;
}

/* The spool is over: its memfd may serve the next one. */
static void keep_or_close(struct spool_budget *root, int fd, uint64_t bytes)
{
    if (!root || !root->forget.loop || root->n_kept == SPOOL_KEPT || bytes > SPOOL_KEPT_BYTES - root->kept_bytes) {
        close(fd);
        return;
    }
    root->kept[root->n_kept++] = (struct spool_pages){fd, bytes};
    root->kept_bytes += bytes;
    loop_timer_set(&root->forget, SPOOL_KEPT_MS);
}

/* One that is positioned at 0; fd -1: there is none. */
static struct spool_pages take_kept(struct spool_budget *root)
{
    while (root && root->n_kept) {
        struct spool_pages pages = root->kept[--root->n_kept];
        root->kept_bytes -= pages.bytes;
        if (lseek(pages.fd, 0, SEEK_SET) == 0)
            return pages;
        close(pages.fd);
    }
    return (struct spool_pages){-1, 0};
}

void spool_budget_init_root(struct spool_budget *b, struct loop *l, const char *limit, uint64_t max)
{
    *b = (struct spool_budget){.limit = limit, .max = max};
    list_init(&b->waiting);
    loop_task_init(&b->task, l, look_at_waiting, b);
    if (l && loop_timer_init(&b->forget, l, forget_kept, b) < 0)
        b->forget = (struct loop_timer){0}; /* then none are kept */
}

void spool_budget_init(struct spool_budget *b, struct spool_budget *parent, const char *limit, uint64_t max)
{
    *b = (struct spool_budget){.parent = parent, .limit = limit, .max = max};
    list_init(&b->waiting);
}

void spool_budget_done(struct spool_budget *b)
{
    if (b->task.loop)
        loop_task_cancel(&b->task);
    forget_kept(b);
    if (b->forget.loop)
        loop_timer_done(&b->forget);
}

void spool_budget_set_max(struct spool_budget *b, uint64_t max)
{
    b->max = max;
    wake_waiting(b);
}

static int budget_refuse(const struct spool_budget *b, struct fault *fault)
{
    if (fault && !fault_is_set(fault))
        fault->limit = b->limit;
    return fault_set(fault, -EDQUOT, FAULT_LIMIT, NULL, "%s is used up", b->limit);
}

int spool_budget_take(struct spool_budget *b, uint64_t n, struct fault *fault)
{
    for (const struct spool_budget *at = b; at; at = at->parent)
        if (n > at->max || at->used > at->max - n)
            return budget_refuse(at, fault);
    spool_budget_force(b, n);
    return 0;
}

static void budget_charge(struct spool_budget *b, uint64_t n)
{
    for (; b; b = b->parent)
        b->used += n;
}

static void budget_discharge(struct spool_budget *b, uint64_t n)
{
    for (struct spool_budget *at = b; at; at = at->parent)
        at->used -= n;
    wake_waiting(b);
}

void spool_budget_force(struct spool_budget *b, uint64_t n)
{
    for (struct spool_budget *at = b; at; at = at->parent)
        at->taken += n;
    budget_charge(b, n);
}

void spool_budget_give(struct spool_budget *b, uint64_t n)
{
    for (struct spool_budget *at = b; at; at = at->parent)
        at->taken -= n;
    budget_discharge(b, n);
}

/* --- spools --- */

struct spool *spool_new(struct spool_budget *budget, uint64_t max, const char *limit)
{
    struct spool *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->refs = 1;
    s->budget = budget;
    s->max = max;
    s->limit = limit;
    s->fd = -1;
    list_init(&s->link);
    return s;
}

struct spool *spool_ref(struct spool *s)
{
    if (s)
        s->refs++;
    return s;
}

struct spool *spool_unref(struct spool *s)
{
    if (!s || --s->refs > 0)
        return NULL;
    if (s->state == SPOOL_HELD)
        budget_hold(s->budget, s->size, false);
    list_remove(&s->link);
    budget_discharge(s->budget, s->size);
    if (s->fd >= 0 && s->exported)
        close(s->fd);
    else if (s->fd >= 0)
        keep_or_close(budget_root(s->budget), s->fd, MAX(s->pages, s->size));
    free(s->memory);
    free(s);
    return NULL;
}

void spool_on_room(struct spool *s, void (*room)(void *arg, const struct fault *fault), void *arg)
{
    s->room = room;
    s->room_arg = arg;
}

static int storage_fault(struct fault *fault, int err)
{
    return fault_set(fault, -err, FAULT_STORAGE, NULL, "spool: %s", strerror(err));
}

static int write_all(int fd, struct slice piece, struct fault *fault)
{
    while (piece.len > 0) {
        ssize_t n = write(fd, piece.data, piece.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return storage_fault(fault, n < 0 ? errno : EIO);
        piece = slice_from(piece, (size_t) n);
    }
    return 0;
}

static int make_memfd(struct slice begin, struct fault *fault)
{
    int fd = memfd_create("postern-spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return storage_fault(fault, errno);
    int r = write_all(fd, begin, fault);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static int append_memory(struct spool *s, struct slice piece, struct fault *fault)
{
    size_t need = (size_t) s->size + piece.len;
    if (need > s->memory_cap) {
        size_t cap = s->memory_cap ? s->memory_cap : SPOOL_FIRST_ROOM;
        while (cap < need)
            cap *= 2;
        char *grown = realloc(s->memory, cap);
        if (!grown)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
        s->memory = grown;
        s->memory_cap = cap;
    }
    if (piece.len > 0)
        memcpy(s->memory + s->size, piece.data, piece.len);
    return 0;
}

static int append(struct spool *s, struct slice piece, struct fault *fault)
{
    if (s->fd < 0 && s->size + piece.len <= SPOOL_MEMORY)
        return append_memory(s, piece, fault);
    if (s->fd < 0) {
        struct slice begin = slice_of(s->memory, (size_t) s->size);
        struct spool_pages kept = take_kept(budget_root(s->budget));
        int r = kept.fd >= 0 ? write_all(kept.fd, begin, fault) : make_memfd(begin, fault);
        if (r < 0) {
            if (kept.fd >= 0)
                close(kept.fd);
            return r;
        }
        s->fd = kept.fd >= 0 ? kept.fd : r;
        s->pages = kept.bytes;
        free(s->memory);
        s->memory = NULL;
        s->memory_cap = 0;
    }
    return write_all(s->fd, piece, fault);
}

int spool_write(struct spool *s, struct slice piece, struct fault *fault)
{
    if (s->state == SPOOL_SEALED || s->state == SPOOL_FAILED)
        return fault_set(fault, -EINVAL, FAULT_INTERNAL, NULL, "spool: written to after its end");
    if (s->max && (piece.len > s->max || s->size > s->max - piece.len)) {
        if (fault && !fault_is_set(fault))
            fault->limit = s->limit;
        return fault_set(fault, -EMSGSIZE, FAULT_LIMIT, NULL, "more than %s (%llu bytes)",
                         s->limit ? s->limit : "allowed", (unsigned long long) s->max);
    }
    for (const struct spool_budget *b = s->budget; b; b = b->parent)
        if (piece.len > b->max || s->size > b->max - piece.len)
            return budget_refuse(b, fault);
    int r = append(s, piece, fault);
    if (r < 0) {
        /* What a failed write left behind would stand in the middle of what follows. */
        if (s->state == SPOOL_OPEN)
            s->state = SPOOL_FAILED;
        return r;
    }
    utf8_state_feed(&s->utf8, piece.data, piece.len);
    s->size += piece.len;
    budget_charge(s->budget, piece.len);
    if (s->state == SPOOL_HELD) {
        budget_hold(s->budget, piece.len, true);
        return 1;
    }
    if (budget_has_room(s->budget))
        return 0;
    s->state = SPOOL_HELD;
    budget_hold(s->budget, s->size, true);
    list_append(&budget_root(s->budget)->waiting, &s->link);
    wake_waiting(s->budget);
    return 1;
}

int spool_seal(struct spool *s, struct fault *fault)
{
    if (s->state == SPOOL_SEALED)
        return 0;
    if (s->state == SPOOL_FAILED)
        return fault_set(fault, -EIO, FAULT_STORAGE, NULL, "spool: has failed before");
    if (s->fd < 0 && !s->memory) {
        s->memory = malloc(1);
        if (!s->memory)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    }
    if (s->state == SPOOL_HELD) {
        budget_hold(s->budget, s->size, false);
        list_remove(&s->link);
        wake_waiting(s->budget);
    }
    s->state = SPOOL_SEALED;
    return 0;
}

uint64_t spool_size(const struct spool *s)
{
    return s->size;
}

bool spool_is_sealed(const struct spool *s)
{
    return s->state == SPOOL_SEALED;
}

bool spool_is_text(const struct spool *s)
{
    return s->state == SPOOL_SEALED && utf8_state_ok(&s->utf8) && !s->utf8.has_nul;
}

int spool_read_from(struct slice memory, int fd, uint64_t size, uint64_t offset, void *buf, size_t len, size_t *ret_len)
{
    size_t done = 0;
    if (offset >= size)
        len = 0;
    else if (len > size - offset)
        len = (size_t) (size - offset);
    if (fd < 0) {
        if (len > 0)
            memcpy(buf, memory.data + offset, len);
        *ret_len = len;
        return 0;
    }
    while (done < len) {
        ssize_t n = pread(fd, (char *) buf + done, len - done, (off_t) (offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t) n;
    }
    *ret_len = done;
    return 0;
}

int spool_read(const struct spool *s, uint64_t offset, void *buf, size_t len, size_t *ret_len)
{
    return spool_read_from(spool_memory(s), s->fd, s->size, offset, buf, len, ret_len);
}

struct slice spool_memory(const struct spool *s)
{
    return s->fd < 0 ? slice_of(s->memory, (size_t) s->size) : SLICE_EMPTY;
}

int spool_fd(const struct spool *s)
{
    return s->fd;
}

/* Nothing but its own bytes, and for good. */
static int seal_memfd(struct spool *s, struct fault *fault)
{
    if (s->exported)
        return 0;
    if ((s->pages > s->size && ftruncate(s->fd, (off_t) s->size) < 0) ||
        fcntl(s->fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return storage_fault(fault, errno);
    s->exported = true;
    return 0;
}

int spool_export(struct spool *s, struct fault *fault)
{
    if (s->fd < 0) {
        int fd = make_memfd(spool_memory(s), fault);
        if (fd < 0)
            return fd;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ||
            lseek(fd, 0, SEEK_SET) < 0) {
            int err = errno;
            close(fd);
            return storage_fault(fault, err);
        }
        return fd;
    }
    int r = seal_memfd(s, fault);
    if (r < 0)
        return r;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        /* Without /proc the open file is shared; here nobody uses its position. */
        fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return storage_fault(fault, errno);
        if (lseek(fd, 0, SEEK_SET) < 0) {
            int err = errno;
            close(fd);
            return storage_fault(fault, err);
        }
    }
    return fd;
}
