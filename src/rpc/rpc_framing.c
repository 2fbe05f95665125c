/* SPDX-License-Identifier: MIT */
#include "rpc_framing.h"

#include <errno.h>
#include <stdlib.h>

void rpc_framing_init(struct rpc_framing *f, size_t max_line, void (*release_fd)(void *ctx, int fd), void *release_ctx)
{
    *f = (struct rpc_framing){.max_line = max_line, .release_fd = release_fd, .release_ctx = release_ctx};
    /* Lines may hold passwords: what is left behind is wiped. */
    buffer_init_secret(&f->kept, 0);
    rpc_framing_set_max(f, max_line);
}

void rpc_framing_set_max(struct rpc_framing *f, size_t max_line)
{
    f->max_line = max_line;
    /* The LF and one feed come on top of the line. */
    f->kept.max = MAX(max_line + 2 * (size_t) RPC_FEED_MAX, buffer_len(&f->kept));
}

void rpc_framing_done(struct rpc_framing *f)
{
    if (!f)
        return;
    for (; f->fd_count; f->fd_count--) {
        f->release_fd(f->release_ctx, f->fds[f->fd_first]);
        f->fd_first = (f->fd_first + 1) % f->fd_cap;
    }
    free(f->fds);
    f->fds = NULL;
    f->fd_cap = 0;
    f->fed = NULL;
    f->fed_len = 0;
    f->searched = f->handed = 0;
    buffer_done(&f->kept);
}

void rpc_framing_feed(struct rpc_framing *f, char *data, size_t len)
{
    f->fed = data;
    f->fed_len = len;
}

/* ---- descriptors -------------------------------------------------------------------------------------------- */

static int fds_reserve(struct rpc_framing *f, size_t n)
{
    size_t cap = f->fd_cap ? f->fd_cap : 8;

    if (n > RPC_FDS_WAITING - f->fd_count)
        return -EMFILE;
    while (cap < f->fd_count + n)
        cap *= 2;
    if (cap == f->fd_cap)
        return 0;
    int *fds = calloc(cap, sizeof(*fds));
    if (!fds)
        return -ENOMEM;
    for (size_t i = 0; i < f->fd_count; i++)
        fds[i] = f->fds[(f->fd_first + i) % f->fd_cap];
    free(f->fds);
    f->fds = fds;
    f->fd_cap = cap;
    f->fd_first = 0;
    return 0;
}

int rpc_framing_add_fds(struct rpc_framing *f, const int *fds, size_t n)
{
    int r = n ? fds_reserve(f, n) : 0;

    for (size_t i = 0; i < n; i++) {
        if (r < 0)
            f->release_fd(f->release_ctx, fds[i]);
        else
            f->fds[(f->fd_first + f->fd_count++) % f->fd_cap] = fds[i];
    }
    return r;
}

bool rpc_framing_take_fds(struct rpc_framing *f, size_t n, int *ret_fds)
{
    if (n > f->fd_count)
        return false;
    for (size_t i = 0; i < n; i++) {
        ret_fds[i] = f->fds[f->fd_first];
        f->fd_first = (f->fd_first + 1) % f->fd_cap;
    }
    f->fd_count -= n;
    return true;
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

static size_t without_cr(const char *data, size_t len)
{
    return len && data[len - 1] == '\r' ? len - 1 : len;
}

/* Drops the line that was handed out from the kept bytes. */
static void drop_handed(struct rpc_framing *f)
{
    if (f->handed) {
        buffer_consume(&f->kept, f->handed);
        f->handed = 0;
        buffer_trim(&f->kept);
    }
}

/* 1: the line that ends at *ret_len, before its LF, is complete; 0: not yet, or it was dropped; -EMSGSIZE. */
static int judge(struct rpc_framing *f, const char *data, bool ended, size_t *len)
{
    f->lines += ended;
    if (f->discarding) {
        f->discarding = !ended;
        return 0;
    }
    /* An unfinished line may end in the CR that does not count. */
    size_t bare = ended ? without_cr(data, *len) : *len - (*len && data[*len - 1] == '\r');
    if (bare > f->max_line) {
        f->discarding = !ended;
        return -EMSGSIZE;
    }
    *len = bare;
    return ended && bare ? 1 : 0;
}

/* The next line out of the kept bytes; 0: none is complete there. */
static int next_kept(struct rpc_framing *f, struct rpc_line *ret)
{
    for (;;) {
        struct slice kept = buffer_slice(&f->kept);
        if (kept.len == 0)
            return 0;
        char *data = f->kept.data + f->kept.start;
        size_t at = f->searched + slice_find(slice_from(kept, f->searched), '\n');
        bool ended = at < kept.len;
        size_t len = at;

        f->searched = ended ? 0 : kept.len;
        int r = judge(f, data, ended, &len);
        if (r == 1) {
            f->handed = at + 1;
            *ret = (struct rpc_line){data, len, f->kept.start == 0 && kept.len == at + 1};
            return 1;
        }
        if (ended || f->discarding) {
            buffer_consume(&f->kept, ended ? at + 1 : kept.len);
            f->searched = 0;
            buffer_trim(&f->kept);
        }
        if (r < 0 || !ended)
            return r;
    }
}

/* The next line that lies wholly in the fed bytes; what is left at their end is kept. */
static int next_fed(struct rpc_framing *f, struct rpc_line *ret)
{
    while (f->fed_len) {
        char *data = f->fed;
        size_t at = slice_find(slice_of(data, f->fed_len), '\n');
        bool ended = at < f->fed_len;
        size_t len = at;
        int r = judge(f, data, ended, &len);

        if (!ended && r == 0 && !f->discarding) {
            r = rpc_framing_keep(f);
            f->searched = buffer_len(&f->kept);
            return r;
        }
        f->fed += ended ? at + 1 : at;
        f->fed_len -= ended ? at + 1 : at;
        if (r == 1)
            *ret = (struct rpc_line){data, len, false};
        if (r)
            return r;
    }
    return 0;
}

int rpc_framing_next(struct rpc_framing *f, struct rpc_line *ret)
{
    if (f->failed)
        return -ENOMEM;
    drop_handed(f);
    while (buffer_len(&f->kept)) {
        int r = next_kept(f, ret);
        if (r || buffer_len(&f->kept) == 0) {
            if (r)
                return r;
            break;
        }
        /* The kept line is unfinished: it grows by what was fed, up to its LF and not further. */
        if (f->fed_len == 0)
            return 0;
        size_t n = slice_find(slice_of(f->fed, f->fed_len), '\n');
        n = MIN(n + 1, f->fed_len);
        r = buffer_append(&f->kept, f->fed, n);
        if (r < 0) {
            f->failed = true;
            return -ENOMEM;
        }
        f->fed += n;
        f->fed_len -= n;
    }
    return next_fed(f, ret);
}

int rpc_framing_keep(struct rpc_framing *f)
{
    drop_handed(f);
    int r = buffer_append(&f->kept, f->fed, f->fed_len);
    if (r < 0)
        f->failed = true;
    f->fed = NULL;
    f->fed_len = 0;
    return r < 0 ? -ENOMEM : 0;
}

char *rpc_framing_steal(struct rpc_framing *f)
{
    char *data = f->kept.data;

    f->kept.data = NULL;
    f->kept.start = f->kept.end = f->kept.cap = 0;
    f->handed = f->searched = 0;
    return data;
}

bool rpc_framing_is_partial(const struct rpc_framing *f)
{
    return f->discarding || buffer_len(&f->kept) > f->handed;
}
