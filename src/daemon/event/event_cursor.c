/* SPDX-License-Identifier: MIT */
#include "event_cursor.h"

#include "base64.h"

#include <errno.h>

#define VERSION 1
/* version, whose mailbox, uidvalidity, uidnext, exists, modseq, flags, sum of what stands before */
enum { AT_VERSION = 0, AT_OWNER = 1, AT_VALIDITY = 9, AT_NEXT = 13, AT_EXISTS = 17, AT_MODSEQ = 21, AT_FLAGS = 29, AT_SUM = 37, SIZE = 41 };
_Static_assert(2 * SIZE < EVENT_CURSOR_SIZE, "it fits");

/* FNV-1a with a final mix: the same in every process, unlike the keyed hash of tables. */
static uint64_t stable(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}
#define STABLE_BEGIN UINT64_C(0xcbf29ce484222325)

static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}

static uint64_t owner_of(const char *account, struct slice mailbox)
{
    uint64_t h = account ? stable(STABLE_BEGIN, account, strlen(account) + 1) : STABLE_BEGIN;
    if (slice_eq_ci(mailbox, SLICE("INBOX")))
        mailbox = SLICE("INBOX");
    return mix(stable(h, mailbox.data, mailbox.len));
}

static void put(unsigned char *to, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (unsigned char) (v >> (8 * (bytes - 1 - i)));
}

static uint64_t get(const unsigned char *from, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | from[i];
    return v;
}

void event_cursor_write(const struct event_place *p, const char *account, struct slice mailbox, char ret[EVENT_CURSOR_SIZE])
{
    unsigned char raw[SIZE];
    put(raw + AT_VERSION, VERSION, 1);
    put(raw + AT_OWNER, owner_of(account, mailbox), 8);
    put(raw + AT_VALIDITY, p->uidvalidity, 4);
    put(raw + AT_NEXT, p->uidnext, 4);
    put(raw + AT_EXISTS, p->exists, 4);
    put(raw + AT_MODSEQ, p->modseq, 8);
    put(raw + AT_FLAGS, p->flags, 8);
    put(raw + AT_SUM, mix(stable(STABLE_BEGIN, raw, AT_SUM)) >> 32, 4);
    hex_encode(raw, sizeof(raw), ret);
    ret[2 * sizeof(raw)] = '\0';
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int event_cursor_read(struct slice text, const char *account, struct slice mailbox, struct event_place *ret)
{
    unsigned char raw[SIZE];
    if (text.len < 2 || text.len % 2)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++)
        if (digit(text.data[i]) < 0)
            return -EINVAL;
    if ((digit(text.data[0]) << 4 | digit(text.data[1])) > VERSION)
        return -EPROTONOSUPPORT;
    if (text.len != 2 * sizeof(raw))
        return -EINVAL;
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (unsigned char) (digit(text.data[2 * i]) << 4 | digit(text.data[2 * i + 1]));
    struct event_place p = {
        .uidvalidity = (uint32_t) get(raw + AT_VALIDITY, 4),
        .uidnext = (uint32_t) get(raw + AT_NEXT, 4),
        .exists = (uint32_t) get(raw + AT_EXISTS, 4),
        .modseq = get(raw + AT_MODSEQ, 8),
        .flags = get(raw + AT_FLAGS, 8),
    };
    if (raw[AT_VERSION] != VERSION || get(raw + AT_SUM, 4) != mix(stable(STABLE_BEGIN, raw, AT_SUM)) >> 32 ||
        p.uidvalidity == 0 || p.uidnext == 0 || p.exists >= p.uidnext || p.modseq > INT64_MAX)
        return -EINVAL;
    if (get(raw + AT_OWNER, 8) != owner_of(account, mailbox))
        return -ENOENT;
    *ret = p;
    return 0;
}

uint64_t event_flags_sum(uint32_t uid, struct slice flags)
{
    uint64_t sum = mix(STABLE_BEGIN ^ uid);
    while (flags.len) {
        struct slice flag = slice_to(flags, slice_find(flags, ' '));
        flags = slice_from(flags, MIN(flag.len + 1, flags.len));
        uint64_t h = stable(STABLE_BEGIN, &uid, sizeof(uid));
        if (flag.len == 0 || slice_eq_ci(flag, SLICE("\\Recent")))
            continue;
        for (size_t i = 0; i < flag.len; i++) {
            char c = ascii_lower(flag.data[i]);
            h = stable(h, &c, 1);
        }
        sum += mix(h);
    }
    return sum;
}
