/* SPDX-License-Identifier: MIT */
#include "arena.h"
#include "base64.h"
#include "buffer.h"
#include "fault.h"
#include "hash.h"
#include "list.h"
#include "secret.h"
#include "unit.h"
#include "utf8.h"

#include <errno.h>

START_TEST(buffer_keeps_its_limit)
{
    struct buffer b;
    buffer_init(&b, 10);
    ck_assert_int_eq(buffer_append(&b, "12345678", 8), 0);
    ck_assert_int_eq(buffer_append(&b, "abc", 3), -EMSGSIZE);
    ck_slice_eq(buffer_slice(&b), "12345678");
    buffer_consume(&b, 6);
    ck_assert_int_eq(buffer_append(&b, "abcdefgh", 8), 0);
    ck_slice_eq(buffer_slice(&b), "78abcdefgh");
    ck_assert_int_eq(buffer_append_char(&b, 'x'), -EMSGSIZE);
    buffer_truncate(&b, 3);
    ck_slice_eq(buffer_slice(&b), "78a");
    size_t len;
    char *stolen = buffer_steal(&b, &len);
    ck_assert_str_eq(stolen, "78a");
    ck_assert_uint_eq(len, 3);
    free(stolen);
    ck_assert_uint_eq(buffer_len(&b), 0);
    buffer_done(&b);
}
END_TEST

START_TEST(buffer_is_a_queue)
{
    struct buffer b;
    buffer_init_secret(&b, 1 << 20);
    unsigned in = 0, out = 0;
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 7; i++, in++)
            ck_assert_int_eq(buffer_append_char(&b, (char) (in & 0xff)), 0);
        for (int i = 0; i < 5; i++, out++) {
            ck_assert_int_eq((unsigned char) buffer_slice(&b).data[0], (int) (out & 0xff));
            buffer_consume(&b, 1);
        }
    }
    ck_assert_uint_eq(buffer_len(&b), in - out);
    buffer_clear(&b);
    buffer_trim(&b);
    ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(buffer_prints)
{
    struct buffer b;
    buffer_init(&b, 1000);
    ck_assert_int_eq(buffer_printf(&b, "%s %d", "long text", 7), 0);
    ck_assert_int_eq(buffer_printf(&b, "%0*d", 500, 1), 0);
    ck_assert_uint_eq(buffer_len(&b), 11 + 500);
    ck_assert_int_eq(buffer_printf(&b, "%0*d", 500, 1), -EMSGSIZE);
    ck_assert_uint_eq(buffer_len(&b), 11 + 500);
    buffer_clear(&b);
    ck_assert_int_eq(buffer_append_u64(&b, 0), 0);
    ck_assert_int_eq(buffer_append_u64(&b, UINT64_MAX), 0);
    ck_slice_eq(buffer_slice(&b), "018446744073709551615");
    buffer_done(&b);
}
END_TEST

START_TEST(arena_is_bounded_and_aligned)
{
    struct arena a;
    arena_init(&a, 4096);
    ck_assert_ptr_nonnull(arena_alloc(&a, 3));
    char *p = arena_alloc(&a, 16);
    ck_assert_uint_eq((uintptr_t) p % 16, 0);
    ck_assert_ptr_null(arena_alloc(&a, 5000));
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(arena_calloc(&a, SIZE_MAX / 2, 3));
    ck_assert_str_eq(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
    size_t n = 0;
    while (arena_alloc(&a, 100))
        n++;
    ck_assert_uint_lt(n, 41);
    arena_done(&a);
}
END_TEST

struct item {
    int value;
    struct list link;
    struct hash_node node;
};

START_TEST(list_walk_may_remove)
{
    struct list head;
    struct item items[5], *it;
    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        list_append(&head, &items[i].link);
    }
    list_foreach(&head, it, struct item, link)
        if (it->value % 2)
            list_remove(&it->link);
    int sum = 0;
    list_foreach(&head, it, struct item, link)
        sum += it->value;
    ck_assert_int_eq(sum, 6);
    list_remove(&items[1].link); /* in no list: harmless */
    ck_assert_int_eq(list_first(&head, struct item, link)->value, 0);
    ck_assert_int_eq(list_last(&head, struct item, link)->value, 4);
    ck_assert_ptr_null(list_after(&head, &items[4], struct item, link));
}
END_TEST

START_TEST(hash_table_finds)
{
    static struct item items[1000];
    struct hash_table t;
    hash_table_init(&t);
    for (int i = 0; i < 1000; i++) {
        items[i].value = i;
        ck_assert_int_eq(hash_table_insert(&t, hash_bytes(&i, sizeof(i)), &items[i].node), 0);
    }
    for (int i = 0; i < 1000; i++) {
        struct hash_node *n = hash_table_find(&t, hash_bytes(&i, sizeof(i)));
        while (n && container_of(n, struct item, node)->value != i)
            n = hash_next(n);
        ck_assert_ptr_nonnull(n);
        if (i % 2)
            hash_table_remove(&t, n);
    }
    size_t pos = 0, n_walked = 0;
    for (struct hash_node *n = NULL; (n = hash_table_walk(&t, &pos, n));)
        n_walked++;
    ck_assert_uint_eq(n_walked, 500);
    ck_assert_uint_eq(t.count, 500);
    hash_table_done(&t);
}
END_TEST

START_TEST(slices_compare_and_count)
{
    uint64_t v;
    ck_assert(slice_eq_ci(SLICE("StartTLS"), SLICE("STARTTLS")));
    ck_assert(!slice_eq_ci(SLICE("a["), SLICE("a{")));
    ck_assert(slice_starts_ci(SLICE("AUTH=PLAIN"), SLICE("auth=")));
    ck_slice_eq(slice_trim(SLICE(" \t x y\r\n")), "x y");
    ck_assert(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &v));
    ck_assert_uint_eq(v, UINT64_MAX);
    ck_assert(!slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &v));
    ck_assert(!slice_to_u64(SLICE("256"), 255, &v));
    ck_assert(!slice_to_u64(SLICE(""), 255, &v));
    ck_assert(!slice_to_u64(SLICE("-1"), 255, &v));
}
END_TEST

START_TEST(base64_is_strict_and_round)
{
    char text[64], back[64];
    size_t n;
    for (size_t len = 0; len < 40; len++) {
        char raw[40];
        for (size_t i = 0; i < len; i++)
            raw[i] = (char) (i * 37 + len);
        size_t m = base64_encode(raw, len, text);
        ck_assert_uint_eq(m, base64_encoded_len(len));
        ck_assert_int_eq(base64_decode(text, m, back, &n), 0);
        ck_assert_uint_eq(n, len);
        ck_assert_int_eq(memcmp(raw, back, len), 0);
    }
    static const char *const bad[] = {"A", "AB", "ABC", "A===", "AB=C", "====", "AA A", "AB==AAAA", "AB==", "AAB="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(base64_decode(bad[i], strlen(bad[i]), back, &n) == -EINVAL, "%s was taken", bad[i]);
}
END_TEST

START_TEST(utf8_refuses_what_rfc_3629_refuses)
{
    static const char *const good[] = {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff",
                                      "\xe2\x82",     "abcdefgh\xc3"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert(utf8_is_valid(slice_of_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert(!utf8_is_valid(slice_of_str(bad[i])));
        struct utf8_state st = {0};
        for (const char *p = bad[i]; *p; p++)
            utf8_state_feed(&st, p, 1);
        ck_assert(!utf8_state_ok(&st));
    }
    struct utf8_state st = {0};
    const char *text = "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 ok";
    for (const char *p = text; *p; p++)
        utf8_state_feed(&st, p, 1);
    ck_assert(utf8_state_ok(&st) && !st.has_nul);
    for (uint32_t cp = 0; cp < 0x110000; cp += 7) {
        char out[4];
        uint32_t back;
        size_t n = utf8_encode(cp, out);
        if (n)
            ck_assert(utf8_decode(out, n, &back) == n && back == cp);
        else
            ck_assert(cp >= 0xd800 && cp <= 0xdfff);
    }
}
END_TEST

START_TEST(fault_first_wins)
{
    struct fault f = {0};
    ck_assert_int_eq(fault_set(&f, -EIO, FAULT_CONNECT, "connect", "refused\nby %s", "peer\xff"), -EIO);
    fault_set(&f, -EIO, FAULT_TLS, "tls", "later");
    ck_assert_int_eq(f.kind, FAULT_CONNECT);
    ck_assert_str_eq(f.text, "refused?by peer?");
    ck_assert_int_eq(f.retry, RETRY_LATER);
    ck_assert_int_eq(fault_code(FAULT_NOT_FOUND), -32024);
    ck_assert_str_eq(fault_kind_name(FAULT_BAD_MESSAGE), "bad_message");
    ck_assert_int_eq(fault_set(NULL, -EPERM, FAULT_TLS, "tls", "nobody listens"), -EPERM);
    char small[6];
    fault_clean_text(small, sizeof(small), SLICE("abcd\xc3\xa9"));
    ck_assert_str_eq(small, "abcd");
}
END_TEST

START_TEST(secrets_compare)
{
    struct secret *a = secret_new("s3cret", 6), *b = secret_new("s3cret", 6), *c = secret_new("other!", 6);
    ck_assert(secret_eq(a, b));
    ck_assert(!secret_eq(a, c));
    ck_slice_eq(secret_expose(a), "s3cret");
    secret_unref(secret_ref(a));
    ck_slice_eq(secret_expose(a), "s3cret");
    ck_assert_ptr_null(secret_unref(a));
    secret_unref(b);
    secret_unref(c);
    ck_assert_ptr_null(secret_new(NULL, SECRET_MAX + 1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("util");
    TCase *t = tcase_create("util");
    tcase_add_test(t, buffer_keeps_its_limit);
    tcase_add_test(t, buffer_is_a_queue);
    tcase_add_test(t, buffer_prints);
    tcase_add_test(t, arena_is_bounded_and_aligned);
    tcase_add_test(t, list_walk_may_remove);
    tcase_add_test(t, hash_table_finds);
    tcase_add_test(t, slices_compare_and_count);
    tcase_add_test(t, base64_is_strict_and_round);
    tcase_add_test(t, utf8_refuses_what_rfc_3629_refuses);
    tcase_add_test(t, fault_first_wins);
    tcase_add_test(t, secrets_compare);
    suite_add_tcase(s, t);
    return unit_run(s);
}
