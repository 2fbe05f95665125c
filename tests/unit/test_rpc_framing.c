/* SPDX-License-Identifier: MIT */
/* Framing and output: every split, limits, descriptors in order and never lost. */
#include "rpc_framing.h"
#include "rpc_output.h"
#include "unit.h"

#include <errno.h>

/* Descriptors here are numbers; each must be released or taken exactly once. */
#define FDS 4096
static int fd_state[FDS]; /* 1: owned by the code under test; 2: released; 3: handed to us */

static void release_fd(void *ctx, int fd)
{
    (void) ctx;
    ck_assert_int_eq(fd_state[fd], 1);
    fd_state[fd] = 2;
}

static int give_fd(int fd)
{
    fd_state[fd] = 1;
    return fd;
}

static void setup(void)
{
    memset(fd_state, 0, sizeof(fd_state));
}

static void no_fd_is_left(void)
{
    for (int i = 0; i < FDS; i++)
        ck_assert_msg(fd_state[i] != 1, "descriptor %d is neither released nor handed out", i);
}

/* ---- framing ------------------------------------------------------------------------------------------------ */

/* All lines that come out, joined by '|'; "!" for a line that was too long. */
static void collect(struct rpc_framing *f, struct buffer *out, bool steal)
{
    struct rpc_line line;
    int r;

    while ((r = rpc_framing_next(f, &line)) != 0) {
        ck_assert(r == 1 || r == -EMSGSIZE);
        if (r == 1)
            ck_assert_int_eq(buffer_append(out, line.data, line.len), 0);
        ck_assert_int_eq(buffer_append_slice(out, r == 1 ? SLICE("|") : SLICE("!")), 0);
        if (r == 1 && line.owned && steal) {
            char *data = rpc_framing_steal(f);
            ck_assert_ptr_eq(data, line.data);
            free(data);
        }
    }
}

static void feed_copy(struct rpc_framing *f, const char *data, size_t len, struct buffer *out, bool steal)
{
    /* Fed bytes are gone afterwards: whatever is kept must have been copied. */
    char *scratch = malloc(len ? len : 1);
    memcpy(scratch, data, len);
    rpc_framing_feed(f, scratch, len);
    collect(f, out, steal);
    memset(scratch, '#', len);
    free(scratch);
}

static void check_split(const char *text, size_t len, size_t one, size_t two, const char *want)
{
    struct rpc_framing f;
    struct buffer out;

    buffer_init(&out, 4096);
    rpc_framing_init(&f, 8, release_fd, NULL);
    feed_copy(&f, text, one, &out, one % 2);
    feed_copy(&f, text + one, two - one, &out, one % 2);
    feed_copy(&f, text + two, len - two, &out, one % 2);
    ck_slice_eq(buffer_slice(&out), want);
    rpc_framing_done(&f);
    buffer_done(&out);
}

START_TEST(test_every_split)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"a\nbb\r\nccc\n", "a|bb|ccc|"},
        {"\n\r\n\na\n\n", "a|"},
        {"\r\r\n", "\r|"},
        {"12345678\n1234567\r\n12345678\r\nx", "12345678|1234567|12345678|"},
        {"123456789\nok\n", "!ok|"},
        {"1234567890abcdefghijklmnopqrstuvwxyz\nok\n123456789\r\nok\n", "!ok|!ok|"},
        {"", ""},
        {"unfinish", ""},
        {"unfinished", "!"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text);
        for (size_t one = 0; one <= len; one++)
            for (size_t two = one; two <= len; two++)
                check_split(cases[i].text, len, one, two, cases[i].want);
    }
}
END_TEST

START_TEST(test_keep)
{
    struct rpc_framing f;
    struct rpc_line line;
    struct buffer out;

    /* A reader that stops after each line, and whose bytes go meanwhile. */
    for (size_t stop = 0; stop < 4; stop++) {
        char scratch[] = "one\ntwo\nthree\nfour";
        buffer_init(&out, 4096);
        rpc_framing_init(&f, 100, release_fd, NULL);
        rpc_framing_feed(&f, scratch, sizeof(scratch) - 1);
        for (size_t i = 0; i < stop && rpc_framing_next(&f, &line) == 1; i++) {
            ck_assert_int_eq(buffer_append(&out, line.data, line.len), 0);
            ck_assert_int_eq(buffer_append_char(&out, '|'), 0);
        }
        ck_assert_int_eq(rpc_framing_keep(&f), 0);
        memset(scratch, '#', sizeof(scratch));
        collect(&f, &out, false);
        ck_assert(rpc_framing_is_partial(&f));
        feed_copy(&f, "\nfive\n", 6, &out, false);
        ck_slice_eq(buffer_slice(&out), "one|two|three|four|five|");
        ck_assert(!rpc_framing_is_partial(&f));
        ck_assert_uint_eq(rpc_framing_memory(&f), 0);
        rpc_framing_done(&f);
        buffer_done(&out);
    }
}
END_TEST

START_TEST(test_partial)
{
    struct rpc_framing f;
    struct buffer out;

    buffer_init(&out, 4096);
    rpc_framing_init(&f, 8, release_fd, NULL);
    ck_assert(!rpc_framing_is_partial(&f));
    feed_copy(&f, "ab", 2, &out, false);
    ck_assert(rpc_framing_is_partial(&f));
    feed_copy(&f, "c\n", 2, &out, false);
    ck_assert(!rpc_framing_is_partial(&f));
    /* What is dropped is not kept, but its end is still awaited. */
    feed_copy(&f, "0123456789", 10, &out, false);
    ck_assert(rpc_framing_is_partial(&f));
    ck_assert_uint_eq(rpc_framing_memory(&f), 0);
    for (int i = 0; i < 1000; i++)
        feed_copy(&f, "0123456789", 10, &out, false);
    ck_assert_uint_eq(rpc_framing_memory(&f), 0);
    feed_copy(&f, "\nx\n", 3, &out, false);
    ck_slice_eq(buffer_slice(&out), "abc|!x|");
    rpc_framing_done(&f);
    buffer_done(&out);
}
END_TEST

START_TEST(test_fd_queue)
{
    struct rpc_framing f;
    int in[RPC_FDS_WAITING + 1], out[300], next_in = 0, next_out = 0;

    rpc_framing_init(&f, 100, release_fd, NULL);
    for (int round = 0; round < 200; round++) {
        int n = round * 7 % 20, m = round * 5 % 17;
        for (int i = 0; i < n; i++)
            in[i] = give_fd(next_in++);
        ck_assert_int_eq(rpc_framing_add_fds(&f, in, (size_t) n), 0);
        if ((size_t) m > rpc_framing_fds_waiting(&f)) {
            ck_assert(!rpc_framing_take_fds(&f, (size_t) m, out));
            continue;
        }
        ck_assert(rpc_framing_take_fds(&f, (size_t) m, out));
        for (int i = 0; i < m; i++) {
            ck_assert_int_eq(out[i], next_out++);
            fd_state[out[i]] = 3;
        }
    }
    ck_assert_int_gt(next_out, 500);
    rpc_framing_done(&f);
    no_fd_is_left();

    /* One too many: all that came with it go, those before stay the framing's. */
    setup();
    rpc_framing_init(&f, 100, release_fd, NULL);
    for (int i = 0; i <= RPC_FDS_WAITING; i++)
        in[i] = give_fd(i);
    ck_assert_int_eq(rpc_framing_add_fds(&f, in, RPC_FDS_WAITING), 0);
    ck_assert_int_eq(rpc_framing_add_fds(&f, in + RPC_FDS_WAITING, 1), -EMFILE);
    ck_assert_int_eq(fd_state[RPC_FDS_WAITING], 2);
    ck_assert_int_eq(fd_state[0], 1);
    rpc_framing_done(&f);
    no_fd_is_left();
}
END_TEST

/* ---- output ------------------------------------------------------------------------------------------------- */

struct text_source {
    const char *text;
    size_t step;
    int released;
};

static ssize_t source_read(void *ctx, uint64_t offset, char *buf, size_t size)
{
    struct text_source *s = ctx;
    size_t n = MIN(size, s->step);
    memcpy(buf, s->text + offset, n);
    return (ssize_t) n;
}

static ssize_t source_fail(void *ctx, uint64_t offset, char *buf, size_t size)
{
    (void) ctx, (void) offset, (void) buf, (void) size;
    return -EIO;
}

static void source_release(void *ctx)
{
    ((struct text_source *) ctx)->released++;
}

static const struct rpc_source_ops source_ops = {source_read, source_release};
static const struct rpc_source_ops failing_ops = {source_fail, source_release};

static void put(struct rpc_output *o, const char *text)
{
    struct buffer *b = rpc_output_text(o);
    ck_assert_ptr_nonnull(b);
    ck_assert_int_eq(buffer_append_slice(b, slice_of_str(text)), 0);
    rpc_output_settle(o);
}

static void put_source(struct rpc_output *o, struct text_source *s, enum rpc_source_form form)
{
    struct rpc_source source = {&source_ops, s, strlen(s->text), form};
    ck_assert_int_eq(rpc_output_add_source(o, &source), 0);
}

/* Everything, `step` bytes at a time; descriptors appear as <n>. */
static void drain(struct rpc_output *o, size_t step, struct buffer *out)
{
    struct slice bytes;
    const int *fds;
    size_t n;
    int r;

    while ((r = rpc_output_peek(o, &bytes, &fds, &n)) == 1) {
        ck_assert_uint_gt(bytes.len, 0);
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(buffer_printf(out, "<%d>", fds[i]), 0);
        bytes = slice_to(bytes, step);
        ck_assert_int_eq(buffer_append_slice(out, bytes), 0);
        rpc_output_sent(o, bytes.len);
    }
    ck_assert_int_eq(r, 0);
    ck_assert(rpc_output_is_empty(o));
    ck_assert_uint_eq(rpc_output_waiting(o), 0);
}

START_TEST(test_output_order)
{
    for (size_t step = 1; step < 12; step++) {
        struct rpc_output o;
        struct buffer out;
        struct text_source text = {"a\"\xc3\xa9z", 2, 0}, base64 = {"hello", 1, 0}, json = {"[1]", 3, 0}, none = {"", 1, 0};
        int fds[] = {give_fd(1), give_fd(2), give_fd(3)};

        setup();
        give_fd(1), give_fd(2), give_fd(3);
        buffer_init(&out, 4096);
        rpc_output_init(&o, 1000, release_fd, NULL);
        put(&o, "one,");
        put(&o, "two,");
        ck_assert_int_eq(rpc_output_add_fds(&o, fds, 2), 0);
        put(&o, "three,");
        put_source(&o, &text, RPC_SOURCE_TEXT);
        put_source(&o, &none, RPC_SOURCE_TEXT);
        put(&o, ",");
        put_source(&o, &base64, RPC_SOURCE_BASE64);
        put_source(&o, &json, RPC_SOURCE_JSON);
        ck_assert_int_eq(rpc_output_add_fds(&o, fds + 2, 1), 0);
        put(&o, "end");
        ck_assert_uint_eq(rpc_output_waiting(&o), 8 + 6 + 5 + 1 + 5 + 3 + 3);
        drain(&o, step, &out);
        ck_slice_eq(buffer_slice(&out), "one,two,<1><2>three,a\\\"\xc3\xa9z,aGVsbG8=[1]<3>end");
        ck_assert_int_eq(text.released + base64.released + json.released + none.released, 4);
        no_fd_is_left();
        rpc_output_done(&o);
        buffer_done(&out);
    }
}
END_TEST

START_TEST(test_output_rewind)
{
    for (int before = 0; before < 3; before++) {
        struct rpc_output o;
        struct buffer out;
        struct text_source kept = {"kept", 4, 0}, gone = {"gone", 4, 0};
        int fd = 5;

        setup();
        give_fd(5);
        buffer_init(&out, 4096);
        rpc_output_init(&o, 1000, release_fd, NULL);
        put(&o, "a");
        if (before > 0)
            put_source(&o, &kept, RPC_SOURCE_JSON);
        if (before > 1)
            put(&o, "b");
        struct rpc_output_mark mark = rpc_output_mark(&o);
        put(&o, "x");
        put_source(&o, &gone, RPC_SOURCE_JSON);
        ck_assert_int_eq(rpc_output_add_fds(&o, &fd, 1), 0);
        put(&o, "y");
        rpc_output_rewind(&o, mark);
        ck_assert_int_eq(gone.released, 1);
        no_fd_is_left();
        put(&o, "c");
        drain(&o, 100, &out);
        ck_slice_eq(buffer_slice(&out), before == 0 ? "ac" : before == 1 ? "akeptc" : "akeptbc");
        rpc_output_done(&o);
        buffer_done(&out);
    }
}
END_TEST

START_TEST(test_output_move)
{
    struct rpc_output o, from;
    struct buffer out;
    struct text_source source = {"source", 4, 0};
    int fd = give_fd(7);

    buffer_init(&out, 4096);
    rpc_output_init(&o, 1000, release_fd, NULL);
    rpc_output_init(&from, 1000, release_fd, NULL);
    put(&o, "[");
    put(&from, "1,");
    put_source(&from, &source, RPC_SOURCE_JSON);
    ck_assert_int_eq(rpc_output_add_fds(&from, &fd, 1), 0);
    put(&from, "2");
    ck_assert_int_eq(rpc_output_move(&o, &from), 0);
    ck_assert(rpc_output_is_empty(&from));
    put(&o, "]");
    ck_assert_uint_eq(rpc_output_waiting(&o), 1 + 2 + 6 + 1 + 1);
    drain(&o, 3, &out);
    ck_slice_eq(buffer_slice(&out), "[1,source<7>2]");
    rpc_output_done(&o);
    rpc_output_done(&from);
    buffer_done(&out);
    no_fd_is_left();
}
END_TEST

START_TEST(test_output_failing_source)
{
    struct rpc_output o;
    struct text_source s = {"x", 1, 0};
    struct rpc_source source = {&failing_ops, &s, 10, RPC_SOURCE_TEXT};
    struct slice bytes;
    const int *fds;
    size_t n;
    int fd = give_fd(9);

    rpc_output_init(&o, 1000, release_fd, NULL);
    ck_assert_int_eq(rpc_output_add_source(&o, &source), 0);
    ck_assert_int_eq(rpc_output_add_fds(&o, &fd, 1), 0);
    put(&o, "rest");
    ck_assert_int_eq(rpc_output_peek(&o, &bytes, &fds, &n), -EIO);
    ck_assert_int_eq(rpc_output_peek(&o, &bytes, &fds, &n), -EIO);
    rpc_output_done(&o);
    ck_assert_int_eq(s.released, 1);
    no_fd_is_left();
}
END_TEST

/* A large source goes through without being held: the head stays small. */
START_TEST(test_output_large_source)
{
    struct rpc_output o;
    size_t len = 3000000, got = 0;
    char *text = malloc(len + 1);
    struct text_source s = {text, 50000, 0};
    struct slice bytes;
    const int *fds;
    size_t n;

    memset(text, '\n', len);
    text[len] = '\0';
    rpc_output_init(&o, 1000, release_fd, NULL);
    put_source(&o, &s, RPC_SOURCE_TEXT);
    while (rpc_output_peek(&o, &bytes, &fds, &n) == 1) {
        ck_assert_uint_le(rpc_output_memory(&o), JSON_ENCODED_TEXT_MAX(65536));
        got += bytes.len;
        rpc_output_sent(&o, bytes.len);
    }
    ck_assert_uint_eq(got, 2 * len);
    ck_assert_int_eq(s.released, 1);
    rpc_output_done(&o);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_framing");
    TCase *framing = tcase_create("framing"), *output = tcase_create("output");

    tcase_set_timeout(framing, 60);
    tcase_add_checked_fixture(framing, setup, NULL);
    tcase_add_test(framing, test_every_split);
    tcase_add_test(framing, test_keep);
    tcase_add_test(framing, test_partial);
    tcase_add_test(framing, test_fd_queue);
    suite_add_tcase(suite, framing);
    tcase_add_checked_fixture(output, setup, NULL);
    tcase_add_test(output, test_output_order);
    tcase_add_test(output, test_output_rewind);
    tcase_add_test(output, test_output_move);
    tcase_add_test(output, test_output_failing_source);
    tcase_add_test(output, test_output_large_source);
    suite_add_tcase(suite, output);
    return unit_run(suite);
}
