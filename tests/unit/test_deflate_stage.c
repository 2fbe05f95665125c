/* SPDX-License-Identifier: MIT */
/* The compression stage: two of them talk to each other, in pieces of every size; and what is no deflate. */
#include "deflate_stage.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

/* What one stage writes comes out of the other, `step` compressed bytes at a time. */
static size_t pass(struct deflate_stage *from, struct deflate_stage *to, size_t step, char *out, size_t room)
{
    struct fault fault = {.kind = FAULT_NONE};
    size_t got = 0;
    for (;;) {
        ssize_t n = deflate_read(to, out + got, room - got, &fault);
        if (n > 0) {
            got += (size_t) n;
            continue;
        }
        ck_assert_int_eq(n, -EAGAIN);
        struct slice have = slice_to(deflate_output(from), step);
        char *place;
        if (have.len == 0 || got == room)
            return got;
        ck_assert_int_eq(deflate_input_reserve(to, have.len, &place), 0);
        memcpy(place, have.data, have.len);
        deflate_input_commit(to, have.len);
        deflate_sent(from, have.len);
    }
}

static void write_all(struct deflate_stage *d, const char *text, size_t len)
{
    struct fault fault = {.kind = FAULT_NONE};
    while (len) {
        ssize_t n = deflate_write(d, slice_of(text, len), &fault);
        ck_assert_int_gt(n, 0);
        text += n;
        len -= (size_t) n;
    }
}

START_TEST(to_and_fro)
{
    static const size_t steps[] = {1, 2, 7, 1000, 100000};
    struct deflate_stage *a = deflate_stage_new(), *b = deflate_stage_new();
    size_t len = 60000;
    char *text = malloc(len), *out = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = (char) ("line of text, again and again\r\n"[i % 31] ^ (i % 977 == 0));
    for (unsigned round = 0; round < 3; round++) {
        write_all(a, "a1 NOOP\r\n", 9);
        ck_assert_uint_eq(pass(a, b, steps[_i], out, len + 1), 9);
        ck_assert_mem_eq(out, "a1 NOOP\r\n", 9);
        deflate_rest(a); /* what was written refers to nothing that is gone now */
        write_all(a, text, len);
        ck_assert_uint_lt(deflate_output(a).len, len / 4);
        ck_assert_uint_eq(pass(a, b, steps[_i], out, len + 1), len);
        ck_assert_mem_eq(out, text, len);
        ck_assert_uint_eq(deflate_output(a).len, 0);
    }
    free(text);
    free(out);
    deflate_stage_free(a);
    deflate_stage_free(b);
    deflate_stage_free(NULL);
}
END_TEST

/* Much that was little is given only as the reader asks for it. */
START_TEST(bomb_is_read_in_pieces)
{
    struct deflate_stage *a = deflate_stage_new(), *b = deflate_stage_new();
    struct fault fault = {.kind = FAULT_NONE};
    char zeros[16384] = {0}, out[512], *place;
    uint64_t total = 0;
    for (unsigned i = 0; i < 64; i++)
        write_all(a, zeros, sizeof(zeros));
    struct slice all = deflate_output(a);
    ck_assert_uint_lt(all.len, 8192);
    ck_assert_int_eq(deflate_input_reserve(b, all.len, &place), 0);
    memcpy(place, all.data, all.len);
    deflate_input_commit(b, all.len);
    for (ssize_t n; (n = deflate_read(b, out, sizeof(out), &fault)) > 0; total += (uint64_t) n)
        ck_assert_int_le(n, (ssize_t) sizeof(out));
    ck_assert_uint_eq(total, 64 * sizeof(zeros));
    deflate_stage_free(a);
    deflate_stage_free(b);
}
END_TEST

static void refuses(const char *bytes, size_t len)
{
    struct deflate_stage *d = deflate_stage_new();
    struct fault fault = {.kind = FAULT_NONE};
    char out[512], *place;
    ssize_t n;
    ck_assert_int_eq(deflate_input_reserve(d, len, &place), 0);
    memcpy(place, bytes, len);
    deflate_input_commit(d, len);
    while ((n = deflate_read(d, out, sizeof(out), &fault)) > 0)
        ;
    ck_assert_int_eq(n, -EBADMSG);
    ck_assert_int_eq(fault.kind, FAULT_PROTOCOL);
    deflate_stage_free(d);
}

START_TEST(what_is_no_deflate)
{
    refuses("* OK plain text\r\n", 17);
    refuses("\x03\x00", 2); /* a stream that ends */
    refuses("\xff\xff\xff\xff", 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deflate_stage");
    TCase *tc = tcase_create("deflate_stage");
    tcase_add_loop_test(tc, to_and_fro, 0, 5);
    tcase_add_test(tc, bomb_is_read_in_pieces);
    tcase_add_test(tc, what_is_no_deflate);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
