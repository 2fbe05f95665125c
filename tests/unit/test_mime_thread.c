/* SPDX-License-Identifier: MIT */
/* Base subjects, comparing, sorting, threads: RFC 5256 and what it leaves to common sense. */
#include "mime_subject.h"
#include "mime_thread.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(base_subjects)
{
    static const struct {
        const char *subject, *base;
        bool reply;
    } rows[] = {
        {"hello", "hello", false},
        {"Re: hello", "hello", true},
        {"re:Re: FW: Fwd: hello", "hello", true},
        {"RE [2]: hello", "hello", true},
        {"[list] Re: [list] hello", "hello", true},
        {"[list] hello", "hello", false},
        {"[a] [b] [c] hello (fwd) (FWD) ", "hello", true},
        {"[only]", "[only]", false},
        {"[a][b]", "[b]", false},
        {"Re: [only]", "[only]", true},
        {"[fwd: hello]", "hello", true},
        {"[Fwd: [fwd: Re: hello]]", "hello", true},
        {"[fwd: hello] there", "there", false},
        {"  much \t  space\r\n here  ", "much space here", false},
        {"Re:", "", true},
        {"", "", false},
        {"   ", "", false},
        {"(fwd)", "", true},
        {"Regarding: it", "Regarding: it", false},
        {"Re [a] [b]: x", "Re [a] [b]: x", false},
        {"Fwd : x", "x", true},
        {"[[a] x", "[[a] x", false},
        {"[fwd:]", "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct slice base;
        bool reply;
        arena_init(&a, 65536);
        ck_assert_int_eq(mime_base_subject(&a, slice_of_str(rows[i].subject), &base, &reply), 0);
        ck_assert_msg(slice_eq(base, slice_of_str(rows[i].base)), "%s: %.*s", rows[i].subject, (int) base.len, base.data);
        ck_assert_msg(reply == rows[i].reply, "%s", rows[i].subject);
        arena_done(&a);
    }
}
END_TEST

START_TEST(long_subjects_take_no_longer)
{
    struct arena a;
    struct slice base;
    bool reply;
    static char text[600000];
    for (size_t i = 0; i < sizeof(text); i += 3)
        memcpy(text + i, "[a]", 3);
    arena_init(&a, 4 * sizeof(text));
    ck_assert_int_eq(mime_base_subject(&a, slice_of(text, sizeof(text)), &base, &reply), 0);
    ck_slice_eq(base, "[a]");
    arena_done(&a);
}
END_TEST

START_TEST(comparing)
{
    /* In order; what shares a line is equal. */
    static const char *const order[][2] = {
        {"", ""},
        {"a b", "A B"},
        {"ab", "AB"},
        {"e", "E"},
        {"\xc3\xa9", "E\xcc\x81"},
        {"f", "F"},
        {"\xcf\x83", "\xce\xa3"}, /* sigma */
        {"\xd1\x8f", "\xd0\xaf"}, /* ya */
        {"\xff", "\xff"},
    };
    struct arena a;
    struct slice x, y, before = SLICE_EMPTY;
    arena_init(&a, 65536);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        ck_assert_int_eq(mime_collation_key(&a, slice_of_str(order[i][0]), &x), 0);
        ck_assert_int_eq(mime_collation_key(&a, slice_of_str(order[i][1]), &y), 0);
        ck_assert_msg(mime_collate(x, y) == 0, "row %zu", i);
        ck_assert_msg(i == 0 || mime_collate(before, x) < 0, "row %zu", i);
        before = x;
    }
    arena_done(&a);
}
END_TEST

/* Messages in the order of their numbers, from 1. "id|references|subject|date". */
static void check_threads(enum mime_thread_algorithm algorithm, const char *const *rows, size_t n, const char *want)
{
    struct mime_thread_item items[32];
    struct arena a;
    struct buffer out, again;
    arena_init(&a, 1 << 20);
    buffer_init(&out, 65536);
    buffer_init(&again, 65536);
    memset(items, 0, sizeof(items));
    for (size_t i = 0; i < n; i++) {
        struct slice rest = slice_of_str(rows[i]), fields[4];
        for (size_t k = 0; k < 4; k++) {
            size_t end = slice_find(rest, '|');
            fields[k] = slice_to(rest, end);
            rest = slice_from(rest, end + 1);
        }
        uint64_t date = i;
        items[i].number = items[i].order = (uint32_t) i + 1;
        items[i].message_id = fields[0];
        items[i].references = arena_calloc(&a, 16, sizeof(struct slice));
        while (fields[1].len) {
            size_t end = slice_find(fields[1], ' ');
            items[i].references[items[i].n_references++] = slice_to(fields[1], end);
            fields[1] = slice_from(fields[1], end + 1);
        }
        ck_assert_int_eq(mime_base_subject(&a, fields[2], &items[i].subject, &items[i].reply), 0);
        slice_to_u64(fields[3], 1000, &date);
        items[i].date = items[i].arrival = (int64_t) date;
    }
    ck_assert_int_eq(mime_thread_items(&a, algorithm, items, n, &out), 0);
    ck_assert_msg(slice_eq(buffer_slice(&out), slice_of_str(want)), "%.*s, not %s", (int) buffer_len(&out), out.data + out.start, want);
    /* What it is given in another order it gives the same. */
    for (size_t i = 0; i < n / 2; i++) {
        struct mime_thread_item t = items[i];
        items[i] = items[n - 1 - i];
        items[n - 1 - i] = t;
    }
    ck_assert_int_eq(mime_thread_items(&a, algorithm, items, n, &again), 0);
    ck_assert(slice_eq(buffer_slice(&again), buffer_slice(&out)));
    buffer_done(&out);
    buffer_done(&again);
    arena_done(&a);
}
#define CHECK(algorithm, want, ...)                                                                                    \
    do {                                                                                                               \
        static const char *const rows[] = {__VA_ARGS__};                                                               \
        check_threads(MIME_THREAD_##algorithm, rows, ARRAY_LEN(rows), want);                                           \
    } while (0)

START_TEST(by_references)
{
    CHECK(REFERENCES, "(1)(2)(3)", "a||x|", "b||y|", "c||z|");
    CHECK(REFERENCES, "(1 2 3)", "a||x|", "b|a|Re: x|", "c|a b|Re: x|");
    /* The example of RFC 5256 section 4: 3 6 (4 23)(44 7 96), and a message by itself. */
    CHECK(REFERENCES, "(1)(2 3 (4 5)(6 7 8))", "o||other|", "a||x|", "b|a|Re: x|", "c|a b|Re: x|", "d|a b c|Re: x|", "e|a b|Re: x|",
          "f|a b e|Re: x|", "g|a b e f|Re: x|");
    /* A parent that is not there: its children stay together. */
    CHECK(REFERENCES, "((1)(2))", "a|gone|p|", "b|gone|q|");
    CHECK(REFERENCES, "(1)", "a|gone|p|");
    CHECK(REFERENCES, "(1 (2)(3))", "a||p|", "b|a gone|q|", "c|a gone|r|");
    /* Parents may come later, dates decide the order. */
    CHECK(REFERENCES, "(3 1 2)", "b|a|Re: x|5", "c|a b|Re: x|6", "a||x|1");
    CHECK(REFERENCES, "(2 (3)(1))", "b|a|Re: x|9", "a||x|1", "c|a|Re: x|5");
    /* Circles are not followed. */
    CHECK(REFERENCES, "(1 2)", "a||x|", "b|a b|Re: x|");
    CHECK(REFERENCES, "(2 1)", "a|b|x|3", "b|a|x|1");
    /* The same id twice is two messages. */
    CHECK(REFERENCES, "(1 3)(2)", "a||x|", "a||y|", "b|a|z|");
    CHECK(REFERENCES, "(1)(2)", "||x|", "||y|");
}
END_TEST

START_TEST(subjects_join_threads)
{
    CHECK(REFERENCES, "(1 2)", "a||x|", "b||Re: x|");
    CHECK(REFERENCES, "((1)(2))", "a||x|", "b||x|");
    CHECK(REFERENCES, "((1)(2)(3))", "a||x|", "b||x|", "c||x|");
    CHECK(REFERENCES, "(2 1)", "a||Re: x|1", "b||x|2");
    CHECK(REFERENCES, "(1)(2)", "a|||", "b||Re:|");
    CHECK(REFERENCES, "(1 2 3)", "a||x|", "b||Re: x|", "c|b|Re: x|");
    CHECK(REFS, "(1)(2)", "a||x|", "b||Re: x|");
    CHECK(REFS, "(2)(1 3)", "a||x|1", "b||y|2", "c|a|z|3");
}
END_TEST

START_TEST(by_subject)
{
    CHECK(ORDEREDSUBJECT, "(1 (2)(4))(3)", "a||x|", "b||Re: x|", "c||y|", "d||x|");
    CHECK(ORDEREDSUBJECT, "(3)(2 1)", "a||x|9", "b||Re: x|5", "c||y|1");
}
END_TEST

START_TEST(sorting)
{
    struct mime_thread_item items[4];
    static const struct mime_sort_criterion subject_back[] = {{MIME_SORT_SUBJECT, true}, {MIME_SORT_SIZE, false}};
    memset(items, 0, sizeof(items));
    static const char *const subjects[] = {"B", "A", "B", "C"};
    static const uint64_t sizes[] = {7, 1, 5, 1};
    for (size_t i = 0; i < 4; i++) {
        items[i].number = items[i].order = (uint32_t) i + 1;
        items[i].subject = slice_of_str(subjects[i]);
        items[i].size = sizes[i];
    }
    mime_sort_items(items, 4, subject_back, 2);
    static const uint32_t want[] = {4, 3, 1, 2};
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(items[i].number, want[i]);
    ck_assert_int_eq(mime_sort_key_find(SLICE("displayfrom")), MIME_SORT_DISPLAYFROM);
    ck_assert_int_eq(mime_sort_key_find(SLICE("REVERSE")), MIME_SORT_KEY_COUNT);
    ck_assert_int_eq(mime_thread_algorithm_find(SLICE("refs")), MIME_THREAD_REFS);
}
END_TEST

/* A chain in which each message names only the one behind it, so that every link asks for a way to the root. */
START_TEST(long_chains_end)
{
    enum { N = 50000 };
    struct mime_thread_item *items = calloc(N, sizeof(*items));
    char (*ids)[16] = calloc(N + 1, sizeof(*ids));
    struct slice *refs = calloc(N, sizeof(*refs));
    struct arena a;
    struct buffer out;
    arena_init(&a, 64u << 20);
    buffer_init(&out, 4u << 20);
    for (uint32_t i = 0; i <= N; i++)
        snprintf(ids[i], sizeof(ids[i]), "%u", i);
    for (uint32_t i = 0; i < N; i++) {
        items[i].number = items[i].order = i + 1;
        items[i].message_id = slice_of_str(ids[i]);
        refs[i] = slice_of_str(ids[i + 1]);
        items[i].references = &refs[i];
        items[i].n_references = 1;
    }
    ck_assert_int_eq(mime_thread_items(&a, MIME_THREAD_REFERENCES, items, N, &out), 0);
    ck_assert_uint_gt(buffer_len(&out), N * 2);
    buffer_done(&out);
    arena_done(&a);
    free(items);
    free(ids);
    free(refs);
}
END_TEST

/* Each algorithm keeps to what it was said to take: where every message names ids that nobody has, and where subjects join. */
START_TEST(memory_is_foretold)
{
    enum { N = 2000, REFS = 5 };
    static char ids[N * (REFS + 1)][16];
    static struct slice refs[N][REFS];
    static struct mime_thread_item items[N];
    for (int algorithm = 0; algorithm < MIME_THREAD_ALGORITHM_COUNT; algorithm++) {
        for (int shape = 0; shape < 3; shape++) {
            struct arena a;
            struct buffer out;
            arena_init(&a, 64u << 20);
            buffer_init(&out, N * 24);
            for (uint32_t i = 0; i < N; i++) {
                items[i] = (struct mime_thread_item){.number = UINT32_MAX - i, .order = i, .references = refs[i], .n_references = shape == 1 ? 0 : REFS};
                for (uint32_t k = 0; k <= REFS; k++)
                    snprintf(ids[i * (REFS + 1) + k], sizeof(*ids), "%u", i * (REFS + 1) + k);
                for (uint32_t k = 0; k < REFS; k++)
                    refs[i][k] = slice_of_str(ids[i * (REFS + 1) + k + 1]);
                items[i].message_id = slice_of_str(ids[i * (REFS + 1)]);
                items[i].subject = slice_of_str(shape ? ids[i % 100] : ids[i]);
            }
            ck_assert_int_eq(mime_thread_items(&a, (enum mime_thread_algorithm) algorithm, items, N, &out), 0);
            ck_assert_uint_le(a.used, mime_thread_memory(items, N));
            buffer_done(&out);
            arena_done(&a);
        }
    }
}
END_TEST

START_TEST(memory_has_an_end)
{
    struct mime_thread_item items[20];
    memset(items, 0, sizeof(items));
    for (size_t max = 0; max < 40000; max += 500) {
        struct arena a;
        struct buffer out;
        arena_init(&a, max);
        buffer_init(&out, 30);
        for (uint32_t i = 0; i < 20; i++)
            items[i].number = items[i].order = i + 1;
        ck_assert_int_lt(mime_thread_items(&a, (enum mime_thread_algorithm)(max / 500 % 3), items, 20, &out), 0);
        buffer_done(&out);
        arena_done(&a);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime_thread");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, base_subjects);
    tcase_add_test(tc, long_subjects_take_no_longer);
    tcase_add_test(tc, comparing);
    tcase_add_test(tc, by_references);
    tcase_add_test(tc, subjects_join_threads);
    tcase_add_test(tc, by_subject);
    tcase_add_test(tc, sorting);
    tcase_add_test(tc, long_chains_end);
    tcase_add_test(tc, memory_is_foretold);
    tcase_add_test(tc, memory_has_an_end);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
