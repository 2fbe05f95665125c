/* SPDX-License-Identifier: MIT */
/* The JSON writer and what encodes contents piece by piece: by example, and read by jansson. */
#include "json_writer.h"
#include "unit.h"
#include "utf8.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static uint64_t random_state = 88172645463325252u;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t) (random_state >> 32);
}

START_TEST(test_writer)
{
    struct buffer b;
    struct json_writer w;

    buffer_init(&b, 4096);
    json_writer_init(&w, &b);
    json_write_object_begin(&w);
    json_write_member_int(&w, "int", INT64_MIN);
    json_write_member_uint(&w, "uint", UINT64_MAX);
    json_write_member_bool(&w, "yes", true);
    json_write_member_null(&w, "null");
    json_write_key(&w, "array");
    json_write_array_begin(&w);
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_str(&w, NULL);
    json_write_raw(&w, SLICE("{\"x\":1}"));
    json_write_int(&w, 0);
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_array_end(&w);
    json_write_member_str(&w, "s\"", "a\"\\\n\x01\x7f");
    json_write_key(&w, "b");
    json_write_base64(&w, SLICE("\x00\xff\x10"));
    json_write_object_end(&w);
    ck_assert_int_eq(w.error, 0);
    ck_slice_eq(buffer_slice(&b),
                "{\"int\":-9223372036854775808,\"uint\":18446744073709551615,\"yes\":true,\"null\":null,"
                "\"array\":[[],null,{\"x\":1},0,{}],\"s\\\"\":\"a\\\"\\\\\\n\\u0001\\u007f\",\"b\":\"AP8Q\"}");
    buffer_done(&b);

    /* The limit is an error that stays. */
    buffer_init(&b, 16);
    json_writer_init(&w, &b);
    json_write_array_begin(&w);
    json_write_string(&w, SLICE("0123456789abcdef"));
    json_write_int(&w, 1);
    ck_assert_int_eq(w.error, -EMSGSIZE);
    buffer_done(&b);

    json_writer_init(&w, NULL);
    json_write_string(&w, SLICE("nowhere"));
    ck_assert_int_eq(w.error, 0);
}
END_TEST

static void encode_split(struct slice s, size_t cut1, size_t cut2, struct buffer *out)
{
    struct json_text_encoder e = {0};
    ck_assert_int_eq(json_encode_text(&e, out, slice_to(s, cut1), false), 0);
    ck_assert_int_eq(json_encode_text(&e, out, slice_to(slice_from(s, cut1), cut2 - cut1), false), 0);
    ck_assert_int_eq(json_encode_text(&e, out, slice_from(s, cut2), true), 0);
}

START_TEST(test_encode_text_in_pieces)
{
    static const struct {
        struct slice in;
        const char *out;
    } cases[] = {
        {{"", 0}, ""},
        {{"plain text, long enough for eight bytes", 39}, "plain text, long enough for eight bytes"},
        {{"a\r\n\"\\\t\x1f\x7f", 8}, "a\\r\\n\\\"\\\\\\t\\u001f\\u007f"},
        {{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9}, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {{"\0x", 2}, UTF8_REPLACEMENT "x"},
        {{"\xe2\x82", 2}, UTF8_REPLACEMENT UTF8_REPLACEMENT},
        {{"\xe2\x82z", 3}, UTF8_REPLACEMENT UTF8_REPLACEMENT "z"},
        {{"\xf0\x9f\xc3\xa9", 4}, UTF8_REPLACEMENT UTF8_REPLACEMENT "\xc3\xa9"},
        {{"\xed\xa0\x80", 3}, UTF8_REPLACEMENT UTF8_REPLACEMENT UTF8_REPLACEMENT},
        {{"\xff\xfe", 2}, UTF8_REPLACEMENT UTF8_REPLACEMENT},
    };
    struct buffer b;

    buffer_init(&b, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t one = 0; one <= cases[i].in.len; one++)
            for (size_t two = one; two <= cases[i].in.len; two++) {
                buffer_clear(&b);
                encode_split(cases[i].in, one, two, &b);
                ck_slice_eq(buffer_slice(&b), cases[i].out);
            }
    buffer_done(&b);
}
END_TEST

/* Random bytes in random pieces give the same as in one, and always JSON. */
START_TEST(test_encode_random)
{
    char bytes[20000];
    struct buffer whole, pieces;
    json_t *value;

    for (int round = 0; round < 30; round++) {
        struct json_text_encoder e = {0}, f = {0};
        size_t len = next_random() % sizeof(bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = next_random() % 4 ? "ab \n\"\\\xc3\xa9\xe2\x82\xac"[next_random() % 11] : (char) next_random();
        buffer_init(&whole, 1 << 20);
        buffer_init(&pieces, 1 << 20);
        ck_assert_int_eq(buffer_append_char(&whole, '"'), 0);
        ck_assert_int_eq(buffer_append_char(&pieces, '"'), 0);
        ck_assert_int_eq(json_encode_text(&e, &whole, slice_of(bytes, len), true), 0);
        for (size_t at = 0; at < len;) {
            size_t n = next_random() % 300;
            n = MIN(n, len - at);
            ck_assert_int_eq(json_encode_text(&f, &pieces, slice_of(bytes + at, n), false), 0);
            at += n;
        }
        ck_assert_int_eq(json_encode_text(&f, &pieces, SLICE_EMPTY, true), 0);
        ck_assert(slice_eq(buffer_slice(&whole), buffer_slice(&pieces)));
        ck_assert_uint_le(buffer_len(&whole), JSON_ENCODED_TEXT_MAX(len));
        ck_assert_int_eq(buffer_append_char(&whole, '"'), 0);
        value = json_loadb(buffer_slice(&whole).data, buffer_len(&whole), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        ck_assert_ptr_nonnull(value);
        json_decref(value);
        buffer_done(&whole);
        buffer_done(&pieces);
    }
}
END_TEST

START_TEST(test_encode_limit)
{
    struct buffer b;
    struct json_text_encoder e = {0};
    struct json_base64_encoder f = {0};

    /* What does not fit leaves no trace, and can be repeated. */
    buffer_init(&b, 12);
    ck_assert_int_eq(json_encode_text(&e, &b, SLICE("abc\xe2"), false), 0);
    ck_assert_int_eq(json_encode_text(&e, &b, SLICE("\x82\xac\n\n\n\n\n\n\n"), false), -EMSGSIZE);
    ck_slice_eq(buffer_slice(&b), "abc");
    buffer_clear(&b);
    ck_assert_int_eq(json_encode_text(&e, &b, SLICE("\x82\xac."), true), 0);
    ck_slice_eq(buffer_slice(&b), "\xe2\x82\xac.");
    buffer_clear(&b);
    ck_assert_int_eq(json_encode_base64(&f, &b, SLICE("ab"), false), 0);
    ck_assert_int_eq(json_encode_base64(&f, &b, SLICE("cdefghijklmn"), true), -EMSGSIZE);
    ck_assert_int_eq(json_encode_base64(&f, &b, SLICE("c"), false), 0);
    ck_assert_int_eq(json_encode_base64(&f, &b, SLICE("d"), true), 0);
    ck_slice_eq(buffer_slice(&b), "YWJjZA==");
    buffer_done(&b);
}
END_TEST

START_TEST(test_encode_base64_in_pieces)
{
    static const char text[] = "any carnal pleasure.";
    struct buffer whole, pieces;

    for (size_t len = 0; len < sizeof(text); len++)
        for (size_t one = 0; one <= len; one++)
            for (size_t two = one; two <= len; two++) {
                struct json_base64_encoder e = {0}, f = {0};
                buffer_init(&whole, 100);
                buffer_init(&pieces, 100);
                ck_assert_int_eq(json_encode_base64(&e, &whole, slice_of(text, len), true), 0);
                ck_assert_int_eq(json_encode_base64(&f, &pieces, slice_of(text, one), false), 0);
                ck_assert_int_eq(json_encode_base64(&f, &pieces, slice_of(text + one, two - one), false), 0);
                ck_assert_int_eq(json_encode_base64(&f, &pieces, slice_of(text + two, len - two), true), 0);
                ck_assert(slice_eq(buffer_slice(&whole), buffer_slice(&pieces)));
                buffer_done(&whole);
                buffer_done(&pieces);
            }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_writer");
    TCase *writer = tcase_create("writer");
    tcase_set_timeout(writer, 60);
    tcase_add_test(writer, test_writer);
    tcase_add_test(writer, test_encode_text_in_pieces);
    tcase_add_test(writer, test_encode_random);
    tcase_add_test(writer, test_encode_limit);
    tcase_add_test(writer, test_encode_base64_in_pieces);
    suite_add_tcase(suite, writer);
    return unit_run(suite);
}
