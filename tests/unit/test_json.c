/* SPDX-License-Identifier: MIT */
/* The JSON reader and writer: by example, and against jansson on mutated texts. */
#include "json_reader.h"
#include "json_writer.h"
#include "unit.h"
#include "utf8.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static struct json_keyset keys;

static void setup(void)
{
    json_keyset_init(&keys);
}

static void teardown(void)
{
    json_keyset_done(&keys);
}

/* ---- our reader's values as jansson's ----------------------------------------------------------------------- */

static int read_value(struct json_reader *r, json_t **ret);

static int read_object(struct json_reader *r, json_t **ret)
{
    struct slice key;
    json_t *object = json_object(), *value;
    int n = json_read_object(r);

    while (n >= 0 && (n = json_read_member(r, &key)) == 1) {
        /* The key's bytes are overwritten by nothing that follows. */
        n = read_value(r, &value);
        if (n == 0)
            json_object_setn_new_nocheck(object, key.data, key.len, value);
    }
    if (n < 0) {
        json_decref(object);
        return n;
    }
    *ret = object;
    return 0;
}

static int read_array(struct json_reader *r, json_t **ret)
{
    json_t *array = json_array(), *value;
    int n = json_read_array(r);

    while (n >= 0 && (n = json_read_item(r)) == 1) {
        n = read_value(r, &value);
        if (n == 0)
            json_array_append_new(array, value);
    }
    if (n < 0) {
        json_decref(array);
        return n;
    }
    *ret = array;
    return 0;
}

static int read_number(struct json_reader *r, json_t **ret)
{
    struct slice s;
    int n = json_read_number(r, &s);
    if (n < 0)
        return n;
    char *text = strndup(s.data, s.len);
    *ret = strpbrk(text, ".eE") ? json_real(strtod(text, NULL)) : json_integer(strtoll(text, NULL, 10));
    free(text);
    return *ret ? 0 : -ERANGE;
}

static int read_value(struct json_reader *r, json_t **ret)
{
    struct slice s;
    bool yes;
    int n = json_read_peek(r);

    if (n < 0)
        return n;
    switch ((enum json_token) n) {
    case JSON_TOKEN_OBJECT:
        return read_object(r, ret);
    case JSON_TOKEN_ARRAY:
        return read_array(r, ret);
    case JSON_TOKEN_STRING:
        n = json_read_string(r, &s);
        if (n == 0) {
            *ret = json_stringn(s.data, s.len);
            ck_assert_ptr_nonnull(*ret);
        }
        return n;
    case JSON_TOKEN_NUMBER:
        return read_number(r, ret);
    case JSON_TOKEN_TRUE:
    case JSON_TOKEN_FALSE:
        n = json_read_bool(r, &yes);
        if (n == 0)
            *ret = json_boolean(yes);
        return n;
    case JSON_TOKEN_NULL:
        n = json_read_null(r);
        if (n == 0)
            *ret = json_null();
        return n;
    }
    return -EINVAL;
}

/* 0 and the value when the whole text is right. */
static int read_text(const char *text, size_t len, json_t **ret)
{
    char *copy = malloc(len ? len : 1);
    struct json_reader r;
    json_t *value = NULL;

    memcpy(copy, text, len);
    json_reader_init(&r, copy, len, &keys);
    int n = read_value(&r, &value);
    if (n == 0)
        n = json_read_end(&r);
    if (n < 0) {
        json_decref(value);
        value = NULL;
    }
    *ret = value;
    free(copy);
    return n;
}

/* The same by skipping first and reading the part then. */
static int skip_text(const char *text, size_t len, json_t **ret)
{
    char *copy = malloc(len ? len : 1);
    struct json_reader r, part;
    struct slice raw;
    json_t *value = NULL;

    memcpy(copy, text, len);
    json_reader_init(&r, copy, len, &keys);
    int n = json_read_skip(&r, &raw);
    if (n == 0)
        n = json_read_end(&r);
    ck_assert_msg(memcmp(copy, text, len) == 0, "skipping changed the text");
    if (n == 0) {
        json_reader_init_part(&part, raw, 0, &keys);
        ck_assert_int_eq(read_value(&part, &value), 0);
        ck_assert_int_eq(json_read_end(&part), 0);
    }
    *ret = value;
    free(copy);
    return n;
}

static bool is_good(const char *text, size_t len)
{
    json_t *a, *b;
    int n = read_text(text, len, &a);
    int m = skip_text(text, len, &b);

    ck_assert_msg(n == m, "reading gives %d, skipping %d: %.*s", n, m, (int) len, text);
    if (n == 0)
        ck_assert_msg(json_equal(a, b), "reading and skipping differ: %.*s", (int) len, text);
    json_decref(a);
    json_decref(b);
    return n == 0;
}

#define GOOD(text) ck_assert_msg(is_good(text, sizeof(text) - 1), "refused: %s", text)
#define BAD(text) ck_assert_msg(!is_good(text, sizeof(text) - 1), "accepted: %s", text)

/* ---- by example --------------------------------------------------------------------------------------------- */

START_TEST(test_grammar)
{
    GOOD("{}");
    GOOD("[]");
    GOOD(" [ 1 , 2 ] ");
    GOOD("\t{\"a\" : [ true , false,null ] }\r");
    GOOD("\"\"");
    GOOD("0");
    GOOD("-0");
    GOOD("-0.5e+10");
    GOOD("1E5");
    GOOD("\"\\u0000\"");
    GOOD("\"\\ud83d\\ude00\"");
    GOOD("\"\xf0\x9f\x98\x80 \xc3\xa9\"");
    GOOD("\"\x7f\"");
    GOOD("{\"\":1,\" \":2}");

    BAD("");
    BAD(" ");
    BAD("{");
    BAD("[");
    BAD("[1,]");
    BAD("[,1]");
    BAD("[1 2]");
    BAD("{,}");
    BAD("{\"a\":1,}");
    BAD("{\"a\"}");
    BAD("{\"a\":}");
    BAD("{a:1}");
    BAD("{1:1}");
    BAD("{\"a\":1 \"b\":2}");
    BAD("[1}");
    BAD("{\"a\":1]");
    BAD("tru");
    BAD("nul");
    BAD("True");
    BAD("NaN");
    BAD("01");
    BAD("-");
    BAD("+1");
    BAD(".5");
    BAD("1.");
    BAD("1e");
    BAD("1e+");
    BAD("0x10");
    BAD("\"");
    BAD("\"abc");
    BAD("\"\\\"");
    BAD("\"\\x41\"");
    BAD("\"\\u12\"");
    BAD("\"\\u12g4\"");
    BAD("\"\\ud800\"");
    BAD("\"\\ud800\\u0041\"");
    BAD("\"\\udc00\"");
    BAD("\"\\udc00\\ud800\"");
    BAD("\"\xed\xa0\x80\"");
    BAD("\"\xc0\x80\"");
    BAD("\"\xff\"");
    BAD("\"\xe2\x82\"");
    BAD("\"\xf4\x90\x80\x80\"");
    BAD("\"a\nb\"");
    BAD("\"a\tb\"");
    BAD("\"a\0b\"");
    BAD("\xef\xbb\xbf{}");
    BAD("{} {}");
    BAD("{}x");
    BAD("'a'");
    BAD("// x\n1");
    BAD("[1]\0");
}
END_TEST

START_TEST(test_depth)
{
    char text[256];

    for (int depth = 1; depth <= 70; depth++) {
        memset(text, '[', (size_t) depth);
        memset(text + depth, ']', (size_t) depth);
        ck_assert_msg(is_good(text, (size_t) depth * 2) == (depth <= JSON_DEPTH_MAX), "depth %d", depth);
    }
    /* Objects too, and siblings do not count. */
    size_t len = 0;
    for (int i = 0; i < 32; i++)
        len += (size_t) snprintf(text + len, sizeof(text) - len, "[{\"\":");
    ck_assert(!is_good(text, len));
    GOOD("[[[[]]],[[[]]],[[[]]]]");
}
END_TEST

START_TEST(test_duplicate_keys)
{
    BAD("{\"a\":1,\"a\":2}");
    BAD("{\"a\":1,\"b\":2,\"\\u0061\":3}");
    BAD("{\"\\u0061\":1,\"a\":3}");
    BAD("[{\"x\":{\"a\":1,\"b\":{},\"a\":2}}]");
    GOOD("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}");
    GOOD("[{\"a\":1},{\"a\":2}]");

    /* Large objects, where keys are looked up: the duplicate at every distance. */
    for (int n = 1; n <= 200; n += 7) {
        for (int twin = -1; twin < n; twin += 13) {
            char text[8192];
            size_t len = 1;
            text[0] = '{';
            for (int i = 0; i < n; i++)
                len += (size_t) snprintf(text + len, sizeof(text) - len, "\"key%d\":{\"key0\":1,\"in\":[{\"key%d\":2}]},", i, i);
            len += (size_t) snprintf(text + len, sizeof(text) - len, "\"key%d\":0}", twin < 0 ? n : twin);
            ck_assert_msg(is_good(text, len) == (twin < 0), "%d keys, duplicate %d", n, twin);
        }
    }
}
END_TEST

/* Objects of many keys inside each other: slots are filled and emptied in turn. */
START_TEST(test_many_keys)
{
    struct buffer b;
    buffer_init(&b, 1 << 22);
    ck_assert_int_eq(buffer_append_char(&b, '{'), 0);
    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(buffer_printf(&b, "%s\"k%d\":{", i ? "," : "", i), 0);
        for (int j = 0; j < i % 50; j++)
            ck_assert_int_eq(buffer_printf(&b, "%s\"k%d\":0", j ? "," : "", j), 0);
        ck_assert_int_eq(buffer_append_char(&b, '}'), 0);
    }
    ck_assert_int_eq(buffer_append_char(&b, '}'), 0);
    ck_assert(is_good(buffer_slice(&b).data, buffer_len(&b)));
    buffer_truncate(&b, buffer_len(&b) - 1);
    ck_assert_int_eq(buffer_append_slice(&b, SLICE(",\"k17\":1}")), 0);
    ck_assert(!is_good(buffer_slice(&b).data, buffer_len(&b)));
    buffer_done(&b);
}
END_TEST

START_TEST(test_too_many_keys)
{
    struct buffer b;
    buffer_init(&b, 1 << 24);
    ck_assert_int_eq(buffer_append_char(&b, '{'), 0);
    for (unsigned i = 0; i <= JSON_KEYS_MAX; i++)
        ck_assert_int_eq(buffer_printf(&b, "%s\"%u\":0", i ? "," : "", i), 0);
    ck_assert_int_eq(buffer_append_char(&b, '}'), 0);
    ck_assert(!is_good(buffer_slice(&b).data, buffer_len(&b)));
    buffer_done(&b);
}
END_TEST

static int read_int(const char *text, int64_t *ret)
{
    char copy[128];
    struct json_reader r;
    size_t len = strlen(text);
    memcpy(copy, text, len);
    json_reader_init(&r, copy, len, &keys);
    return json_read_int(&r, ret);
}

START_TEST(test_integers)
{
    static const struct {
        const char *text;
        int r;
        int64_t v;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"7", 0, 7},
        {"-7", 0, -7},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", -ERANGE, 0},
        {"-9223372036854775808", 0, INT64_MIN},
        {"-9223372036854775809", -ERANGE, 0},
        {"99999999999999999999999999", -ERANGE, 0},
        {"1.0", 0, 1},
        {"1.5", -EINVAL, 0},
        {"1.50e1", 0, 15},
        {"1e3", 0, 1000},
        {"1E+3", 0, 1000},
        {"1000e-3", 0, 1},
        {"1001e-3", -EINVAL, 0},
        {"1e18", 0, INT64_C(1000000000000000000)},
        {"1e19", -ERANGE, 0},
        {"0e999999999999", 0, 0},
        {"0.000e-999999999999", 0, 0},
        {"1e999999999999", -ERANGE, 0},
        {"1e-999999999999", -EINVAL, 0},
        {"\"1\"", -EINVAL, 0},
        {"true", -EINVAL, 0},
        {"-", -EBADMSG, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t v = 0;
        int r = read_int(cases[i].text, &v);
        ck_assert_msg(r == cases[i].r && v == cases[i].v, "%s: %d %lld", cases[i].text, r, (long long) v);
    }
}
END_TEST

START_TEST(test_strings_in_place)
{
    char text[] = "[\"plain\",\"a\\nb\\\"\\\\\\/\\b\\f\\r\\t\",\"\\u00e9\\u20ac\\ud83d\\ude00x\",\"\",\"a\\u0000b\"]";
    static const char *const want[] = {"plain", "a\nb\"\\/\b\f\r\t", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80x", ""};
    struct json_reader r;
    struct slice s[5];

    json_reader_init(&r, text, sizeof(text) - 1, &keys);
    ck_assert_int_eq(json_read_array(&r), 0);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(json_read_item(&r), 1);
        ck_assert_int_eq(json_read_string(&r, &s[i]), 0);
    }
    ck_assert_int_eq(json_read_item(&r), 0);
    ck_assert_int_eq(json_read_end(&r), 0);
    /* Slices stay what they were while the rest is read. */
    for (size_t i = 0; i < 4; i++)
        ck_slice_eq(s[i], want[i]);
    ck_assert_uint_eq(s[4].len, 3);
    ck_assert(memcmp(s[4].data, "a\0b", 3) == 0);
}
END_TEST

START_TEST(test_types)
{
    char text[] = "{\"a\":1}";
    struct json_reader r;
    struct slice s;
    bool yes;

    json_reader_init(&r, text, sizeof(text) - 1, &keys);
    ck_assert_int_eq(json_read_array(&r), -EINVAL);
    ck_assert_int_eq(json_read_object(&r), 0);
    ck_assert_int_eq(json_read_member(&r, &s), 1);
    /* Asking for the wrong type consumes nothing. */
    ck_assert_int_eq(json_read_string(&r, &s), -EINVAL);
    ck_assert_int_eq(json_read_bool(&r, &yes), -EINVAL);
    ck_assert_int_eq(json_read_null(&r), -EINVAL);
    ck_assert_int_eq(json_read_number(&r, &s), 0);
    ck_slice_eq(s, "1");
    ck_assert_int_eq(json_read_member(&r, &s), 0);
    ck_assert_int_eq(json_read_end(&r), 0);
}
END_TEST

/* ---- against jansson ---------------------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t) (random_state >> 32);
}

static const char *const seeds[] = {
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\"}",
    "{\"jsonrpc\":\"2.0\",\"id\":\"x\\u00e9\",\"method\":\"smtp.send\",\"params\":{\"account\":\"work\",\"message\":"
    "{\"to\":[\"a@b.c\",{\"name\":\"\xc3\x84nn\",\"address\":\"d@e.f\"}],\"text\":\"line\\r\\nline\\n\"}}}",
    "[1,-2.5e-3,0,true,false,null,\"\\ud83d\\ude00\",{\"a\":{\"b\":[[],{}]}}]",
    "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":10,\"k\":11,\"l\":12,\"m\":13,"
    "\"n\":14,\"o\":15,\"p\":16,\"q\":17,\"r\":18,\"s\":19}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
    " [ [ [ [ ] ] ] , \"\xe2\x82\xac\xf0\x9f\x98\x80\" ] ",
};

static size_t mutate(char *text, size_t len, size_t max)
{
    static const char tokens[] = "{}[]\",:\\u0019d8eE+-.tfn \x80\xc3\xe2\xf0\xff";

    for (unsigned n = next_random() % 3 + 1; n; n--) {
        size_t at = len ? next_random() % len : 0;
        switch (next_random() % 5) {
        case 0:
            if (len)
                text[at] = tokens[next_random() % (sizeof(tokens) - 1)];
            break;
        case 1:
            if (len) {
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
            }
            break;
        case 2:
            if (len < max) {
                memmove(text + at + 1, text + at, len - at);
                text[at] = tokens[next_random() % (sizeof(tokens) - 1)];
                len++;
            }
            break;
        case 3: { /* repeat a piece */
            size_t piece = next_random() % 12 + 1;
            piece = MIN(piece, len - at);
            if (piece && len + piece <= max) {
                memmove(text + at + piece, text + at, len - at);
                len += piece;
            }
            break;
        }
        default:
            if (len)
                text[at] = (char) next_random();
            break;
        }
    }
    return len;
}

/* True when jansson's verdict is one that we do not share on purpose. */
static bool differs_on_purpose(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
}

START_TEST(test_against_jansson)
{
    const char *want = getenv("JSON_ROUNDS");
    long rounds = want ? strtol(want, NULL, 10) : 60000, good = 0;
    char text[1024];

    for (long i = 0; i < rounds; i++) {
        const char *seed = seeds[next_random() % ARRAY_LEN(seeds)];
        size_t len = strlen(seed);
        json_error_t error;
        json_t *ours;

        memcpy(text, seed, len);
        len = mutate(text, len, sizeof(text));
        if (memchr(text, '\0', len)) {
            /* jansson passes over a NUL behind a number. */
            ck_assert(!is_good(text, len));
            continue;
        }
        json_t *theirs = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        int r = read_text(text, len, &ours);
        if (!theirs && differs_on_purpose(&error)) {
            json_decref(ours);
            continue;
        }
        ck_assert_msg((r == 0) == (theirs != NULL), "we say %d, jansson \"%s\": %.*s", r, theirs ? "" : error.text,
                      (int) len, text);
        ck_assert_msg(r < 0 || json_equal(ours, theirs), "the values differ: %.*s", (int) len, text);
        ck_assert(is_good(text, len) == (r == 0));
        good += r == 0;
        json_decref(ours);
        json_decref(theirs);
    }
    /* The mutations must leave texts of both kinds. */
    ck_assert_int_gt(good, rounds / 50);
    ck_assert_int_lt(good, rounds * 49 / 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *reader = tcase_create("reader");

    tcase_set_timeout(reader, 120);
    tcase_add_checked_fixture(reader, setup, teardown);
    tcase_add_test(reader, test_grammar);
    tcase_add_test(reader, test_depth);
    tcase_add_test(reader, test_duplicate_keys);
    tcase_add_test(reader, test_many_keys);
    tcase_add_test(reader, test_too_many_keys);
    tcase_add_test(reader, test_integers);
    tcase_add_test(reader, test_strings_in_place);
    tcase_add_test(reader, test_types);
    tcase_add_test(reader, test_against_jansson);
    suite_add_tcase(suite, reader);
    return unit_run(suite);
}
