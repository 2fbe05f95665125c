/* SPDX-License-Identifier: MIT */
/* Cursors, and the sets that rounds reckon with. */
#include "event.h"
#include "unit.h"

#include <errno.h>

static const struct event_place somewhere = {
    .uidvalidity = 1795215211, .uidnext = 4000000000u, .exists = 77, .modseq = INT64_MAX, .flags = UINT64_MAX};

START_TEST(cursors)
{
    char text[EVENT_CURSOR_SIZE], other[EVENT_CURSOR_SIZE];
    struct event_place p;
    event_cursor_write(&somewhere, "work", SLICE("INBOX"), text);
    ck_assert_uint_le(strlen(text), 512);
    ck_assert_int_eq(event_cursor_read(slice_of_str(text), "work", SLICE("inbox"), &p), 0);
    ck_assert(event_place_eq(&p, &somewhere));
    ck_assert_int_eq(event_cursor_read(slice_of_str(text), "work", SLICE("Sent"), &p), -ENOENT);
    ck_assert_int_eq(event_cursor_read(slice_of_str(text), "home", SLICE("INBOX"), &p), -ENOENT);
    ck_assert_int_eq(event_cursor_read(slice_of_str(text), NULL, SLICE("INBOX"), &p), -ENOENT);
    event_cursor_write(&somewhere, "wor", SLICE("kINBOX"), other);
    ck_assert_str_ne(text, other);
    /* Every byte counts. */
    for (size_t i = 2; text[i]; i++) {
        char was = text[i];
        for (const char *c = "0f"; *c; c++) {
            text[i] = *c;
            ck_assert(was == *c || event_cursor_read(slice_of_str(text), "work", SLICE("INBOX"), &p) < 0);
        }
        text[i] = was;
    }
    for (size_t i = 0; i < strlen(text); i++)
        ck_assert_int_lt(event_cursor_read(slice_of(text, i), "work", SLICE("INBOX"), &p), 0);
    text[0] = '7';
    ck_assert_int_eq(event_cursor_read(slice_of_str(text), "work", SLICE("INBOX"), &p), -EPROTONOSUPPORT);
    ck_assert_int_eq(event_cursor_read(SLICE("0g"), "work", SLICE("INBOX"), &p), -EINVAL);
}
END_TEST

START_TEST(sums_of_flags)
{
    uint64_t sum = event_flags_sum(7, SLICE("\\Seen a"));
    ck_assert_uint_eq(sum, event_flags_sum(7, SLICE("A \\seen \\Recent")));
    ck_assert_uint_eq(sum, event_flags_sum(7, SLICE("a  \\Seen")));
    ck_assert_uint_ne(sum, event_flags_sum(7, SLICE("\\Seen")));
    ck_assert_uint_ne(sum, event_flags_sum(8, SLICE("\\Seen a")));
    ck_assert_uint_ne(event_flags_sum(7, SLICE("")), event_flags_sum(8, SLICE("")));
    /* A flag that moves from one message to another. */
    ck_assert_uint_ne(event_flags_sum(1, SLICE("a")) + event_flags_sum(2, SLICE("")),
                      event_flags_sum(1, SLICE("")) + event_flags_sum(2, SLICE("a")));
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Below 4294967295, which stands for "*". */
static void make(struct imap_set *s, uint64_t bits, bool high)
{
    imap_set_init(s, 100);
    for (unsigned i = 0; i < 64; i++)
        if (bits >> i & 1)
            ck_assert_int_eq(imap_set_add(s, high ? UINT32_MAX - 64 + i : i + 1, high ? UINT32_MAX - 64 + i : i + 1), 0);
}

static uint64_t bits_of(const struct imap_set *s, bool high)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 64; i++)
        bits |= (uint64_t) imap_set_contains(s, high ? UINT32_MAX - 64 + i : i + 1) << i;
    return bits;
}

START_TEST(sets)
{
    uint32_t state = 1;
    for (unsigned n = 0; n < 2000; n++) {
        bool high = n % 2;
        uint64_t x = 0, y = 0;
        struct imap_set a, b, c, d;
        for (unsigned i = 0; i < 64; i++) {
            x |= (uint64_t) (next_random(&state) % (n % 5 + 2) == 0) << i;
            y |= (uint64_t) (next_random(&state) % (n % 7 + 2) == 0) << i;
        }
        unsigned limit = next_random(&state) % 64;
        make(&a, x, high);
        make(&b, y, high);
        imap_set_init(&c, 100);
        imap_set_init(&d, 100);
        ck_assert_int_eq(set_minus(&a, &b, &c), 0);
        ck_assert_uint_eq(bits_of(&c, high), x & ~y);
        ck_assert_int_eq(set_below(&a, high ? UINT32_MAX - 64 + limit : limit + 1, &d), 0);
        ck_assert_uint_eq(bits_of(&d, high), x & ((UINT64_C(1) << limit) - 1));
        imap_set_done(&a);
        imap_set_done(&b);
        imap_set_done(&c);
        imap_set_done(&d);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("event");
    TCase *t = tcase_create("event");
    tcase_add_test(t, cursors);
    tcase_add_test(t, sums_of_flags);
    tcase_add_test(t, sets);
    suite_add_tcase(s, t);
    return unit_run(s);
}
