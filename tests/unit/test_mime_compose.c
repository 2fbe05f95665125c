/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "mime_unit.h"

#include "mime_compose.h"

#include <errno.h>
#include <stdio.h>

/* Pulls all of a composed message, in pieces of `piece`. */
static struct slice pulled(struct mime_composer *c, size_t piece, char *out, size_t room)
{
    size_t n = 0, got = 1;
    while (got) {
        ck_assert_uint_le(n + piece, room);
        ck_assert_int_eq(mime_composer_read(c, out + n, piece, &got), 0);
        n += got;
    }
    ck_assert_uint_eq(n, mime_composer_size(c));
    return slice_of(out, n);
}

static void check_lines(struct slice s)
{
    size_t start = 0;
    bool good = true;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '\n') {
            good &= i && s.data[i - 1] == '\r' && i - 1 - start <= 998;
            start = i + 1;
        } else {
            good &= s.data[i] != '\r' || (i + 1 < s.len && s.data[i + 1] == '\n');
        }
    }
    ck_assert(good);
    ck_assert_uint_eq(start, s.len);
}

static struct mime_address *address_list(const char *raw)
{
    struct mime_address *list;
    ck_assert_int_eq(mime_parse_addresses(&decoder, slice_of_str(raw), &list), 0);
    return list;
}

static struct mime_outline small_outline(void)
{
    struct mime_outline o = {
        .from = address_list("Jürgen \"J\" <j@example.com>"),
        .to = address_list("\"Doe, Ann\" <ann@x.org>, bob@x.org, G: c@x;"),
        .bcc = address_list("secret@x.org, ann@x.org"),
        .subject = SLICE("Größe 2"),
        .text = SLICE("Grüße\nAnn\n"),
        .has_date = true,
        .message_id = SLICE("id@x"),
        .seed = 1,
    };
    mime_date_from_unix(1767322000, 60, &o.date);
    return o;
}

START_TEST(compose_small)
{
    char out[8192];
    struct mime_composer *c;
    struct fault fault = {0};
    struct mime_outline o = small_outline();
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    ck_slice_eq(pulled(c, sizeof(out) / 2, out, sizeof(out)), "Date: Fri, 02 Jan 2026 03:46:40 +0100\r\n"
                                                              "From: =?utf-8?B?SsO8cmdlbiBK?= <j@example.com>\r\n"
                                                              "To: \"Doe, Ann\" <ann@x.org>, bob@x.org, G: c@x;\r\n"
                                                              "Subject: =?utf-8?B?R3LDtsOfZQ==?= 2\r\n"
                                                              "Message-ID: <id@x>\r\n"
                                                              "MIME-Version: 1.0\r\n"
                                                              "Content-Type: text/plain; charset=utf-8\r\n"
                                                              "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                                                              "Gr=C3=BC=C3=9Fe\r\nAnn\r\n");
    mime_composer_free(c);
    o.utf8 = true;
    o.transport = MIME_TRANSPORT_8BIT;
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    struct slice s = pulled(c, 7, out, sizeof(out));
    ck_assert_ptr_nonnull(memmem(s.data, s.len, "Subject: Größe 2\r\n", 20));
    ck_assert_ptr_nonnull(memmem(s.data, s.len, "8bit", 4));
    ck_assert(mime_composer_needs_utf8(c) && mime_composer_needs_8bit(c) && !mime_composer_needs_binary(c));
    mime_composer_free(c);
    struct slice from, *to;
    size_t n;
    ck_assert_int_eq(mime_outline_envelope(&o, &arena, &from, &to, &n), 0);
    ck_slice_eq(from, "j@example.com");
    ck_assert_uint_eq(n, 4);
    ck_slice_eq(to[3], "secret@x.org");
}
END_TEST

START_TEST(compose_refuses)
{
    static const char *const bad[] = {"a\r\nBcc: x", "a\nb", "a\rb", "a\x01", "a\xff"};
    struct mime_composer *c;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice s = slice_of_str(bad[i]);
        struct mime_attachment a = {.filename = s};
        struct mime_header_value v = {SLICE("X-A"), s}, w = {s, SLICE("x")}, own = {SLICE("Bcc"), SLICE("x")};
        struct mime_address name = {.name = s, .address = SLICE("a@x")}, address = {.address = s};
        struct mime_attachment type = {.content_type = s}, id = {.content_id = s};
        struct {
            const char *field;
            struct mime_outline o;
        } cases[] = {
            {"subject", {.subject = s}},
            {"attachments.filename", {.attachments = &a, .n_attachments = 1}},
            {"attachments.content_type", {.attachments = &type, .n_attachments = 1}},
            {"attachments.content_id", {.attachments = &id, .n_attachments = 1}},
            {"headers.X-A", {.headers = &v, .n_headers = 1}},
            {"headers.", {.headers = &w, .n_headers = 1}},
            {"headers.Bcc", {.headers = &own, .n_headers = 1}},
            {"from", {.from = &name}},
            {"to", {.to = &address}},
            {"bcc", {.bcc = &address}},
            {"message_id", {.message_id = s}},
            {"calendar_method", {.calendar = SLICE("x"), .method = s}},
            {"list_unsubscribe", {.unsubscribe = &s, .n_unsubscribe = 1}},
            {"references", {.references = &s, .n_references = 1}},
        };
        for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
            struct fault fault = {0};
            mime_source_memory(&a.content, SLICE_EMPTY);
            mime_source_memory(&type.content, SLICE_EMPTY);
            mime_source_memory(&id.content, SLICE_EMPTY);
            ck_assert_msg(mime_composer_new(&cases[k].o, &c, &fault) == -EINVAL, "%s", cases[k].field);
            ck_assert_int_eq(fault.kind, FAULT_INVALID_PARAMS);
            ck_assert_msg(strncmp(fault.text, cases[k].field, strlen(cases[k].field)) == 0, "%s", fault.text);
        }
    }
    struct fault fault = {0};
    struct mime_outline o = {.text = slice_of("a\0b", 3)};
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), -EINVAL);
    ck_assert_int_eq(strncmp(fault.text, "text:", 5), 0);
}
END_TEST

static void check_refused(const struct mime_outline *o, const char *field)
{
    struct mime_composer *c;
    struct fault fault = {0};
    ck_assert_int_eq(mime_composer_new(o, &c, &fault), -EINVAL);
    ck_assert_msg(strncmp(fault.text, field, strlen(field)) == 0, "%s", fault.text);
}

/* The message's header and body, in one line each, as far as they matter here. */
static void check_has(const struct mime_outline *o, const char *const *wanted)
{
    static char out[65536];
    struct mime_composer *c;
    struct fault fault = {0};
    ck_assert_msg(mime_composer_new(o, &c, &fault) == 0, "%s", fault.text);
    struct slice s = pulled(c, 99, out, sizeof(out));
    const char *at = s.data;
    check_lines(s);
    for (; *wanted; wanted++) {
        const char *found = memmem(at, (size_t) (s.data + s.len - at), *wanted, strlen(*wanted));
        ck_assert_msg(found, "'%s' is missing in: %.*s", *wanted, (int) s.len, s.data);
        at = found + 1;
    }
    mime_composer_free(c);
}

START_TEST(compose_calendar)
{
    struct mime_outline o = {.calendar = SLICE("BEGIN:VCALENDAR\nSUMMARY:Café\nEND:VCALENDAR\n"), .method = SLICE("REQUEST")};
    check_has(&o, (const char *const[]){"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n", "\r\n\r\nBEGIN:", NULL});
    o.html = SLICE("<p>x");
    check_has(&o, (const char *const[]){"multipart/alternative", "text/html", "text/calendar", NULL});
    o.text = SLICE("x");
    check_has(&o, (const char *const[]){"multipart/alternative", "text/plain", "text/html", "text/calendar; method=REQUEST", NULL});
    struct mime_attachment a = {.filename = SLICE("invite.ics")};
    mime_source_memory(&a.content, o.calendar);
    o.attachments = &a;
    o.n_attachments = 1;
    check_has(&o, (const char *const[]){"multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar; method", "text/calendar; charset=utf-8", NULL});
    o.method = SLICE("RE QUEST");
    check_refused(&o, "calendar_method:");
    o = (struct mime_outline){.text = SLICE("x"), .method = SLICE("REQUEST")};
    check_refused(&o, "calendar_method:");
    o = (struct mime_outline){.calendar = slice_of("a\0b", 3)};
    check_refused(&o, "calendar:");
}
END_TEST

START_TEST(compose_wishes)
{
    const struct slice both[] = {SLICE("mailto:leave@example.com?subject=x"), SLICE("https://example.com/leave?id=0123456789012345678901234567890123456789")};
    struct mime_outline o = {.text = SLICE("x"), .unsubscribe = both, .n_unsubscribe = 2, .one_click = true, .priority = MIME_PRIORITY_HIGH};
    check_has(&o, (const char *const[]){"List-Unsubscribe: <mailto:leave@example.com?subject=x>,\r\n <https://example.com/leave?id=0",
                                        "9>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", "Importance: high\r\n", "X-Priority: 1\r\n", NULL});
    static const char *const own[] = {"List-Unsubscribe", "list-unsubscribe-post", "X-Priority", "IMPORTANCE"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        struct mime_header_value v = {slice_of_str(own[i]), SLICE("x")};
        o.headers = &v;
        o.n_headers = 1;
        check_refused(&o, "headers.");
        struct mime_outline alone = {.text = SLICE("x"), .headers = &v, .n_headers = 1};
        check_has(&alone, (const char *const[]){own[i], ": x\r\n", NULL});
    }
    o.n_headers = 0;
    o.n_unsubscribe = 1;
    check_refused(&o, "one_click:");
    o.n_unsubscribe = 0;
    check_refused(&o, "one_click:");
    o = (struct mime_outline){.unsubscribe = both, .n_unsubscribe = 1, .priority = MIME_PRIORITY_LOW};
    check_has(&o, (const char *const[]){"List-Unsubscribe: <mailto:", "Importance: low\r\nX-Priority: 5\r\n", NULL});
    static const char *const bad[] = {"", "x", "example.com", "https://a b/", "https://a>b", ":x", "ht_tp:x", "https://caf\u00e9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice uri = slice_of_str(bad[i]);
        o.unsubscribe = &uri;
        check_refused(&o, "list_unsubscribe:");
    }
}
END_TEST

START_TEST(compose_round_trip)
{
    static const char *const texts[] = {
        "",
        "x",
        "plain\n",
        "Größe\n\nmit\ttab \n",
        ".\n..\nFrom here\n",
        "日本語のテキスト\n日本語のテキスト\n日本語のテキスト\n",
        "=_ --=_ ?= =?utf-8?Q?x?=\n",
    };
    size_t room = 1 << 20;
    char *out = malloc(room), *binary = malloc(200000), *longline = calloc(1, 3001);
    for (size_t i = 0; i < 200000; i++)
        binary[i] = (char) (i * i >> 3);
    memset(longline, 'w', 3000);
    for (size_t i = 0; i < ARRAY_LEN(texts) + 1; i++) {
        struct slice text = i < ARRAY_LEN(texts) ? slice_of_str(texts[i]) : slice_of(longline, 3000);
        for (int transport = 0; transport < 3; transport++) {
            struct mime_attachment a[3] = {
                {.filename = SLICE("Übersicht mit einem sehr langen Namen, der mehr als eine Zeile braucht.pdf")},
                {.filename = SLICE("a\"b\\c.txt")},
                {.content_type = SLICE("image/png"),
                 .content_id = SLICE("i@x"),
                 .disposition = MIME_DISPOSITION_INLINE},
            };
            mime_source_memory(&a[0].content, slice_of(binary, 200000));
            mime_source_memory(&a[1].content, text);
            mime_source_memory(&a[2].content, slice_of(binary, 100));
            struct mime_outline o = small_outline();
            o.text = o.html = text;
            o.attachments = a;
            o.n_attachments = 3;
            o.transport = (enum mime_transport) transport;
            struct mime_composer *c;
            struct fault fault = {0};
            ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
            struct slice s = pulled(c, 4097, out, room);
            if (transport < 2)
                check_lines(s);
            struct mime_message *m = parsed(s);
            ck_assert_uint_eq(m->defects.n, 0);
            check_content(m, "1.1", MIME_READ_TEXT, i < ARRAY_LEN(texts) ? texts[i] : longline);
            ck_assert_uint_eq(m->n_parts, 8);
            struct mime_part *pdf = mime_message_find(m, SLICE("2"));
            ck_assert(slice_eq(pdf->filename, a[0].filename));
            ck_assert(slice_eq(mime_message_find(m, SLICE("3"))->filename, a[1].filename));
            ck_slice_eq(mime_message_find(m, SLICE("1.2.2"))->content_id, "i@x");
            mime_message_free(m);
            /* The same again, byte for byte, in other pieces. */
            char *again = malloc(room);
            mime_composer_rewind(c);
            ck_assert(slice_eq(pulled(c, 1000, again, room), s));
            free(again);
            mime_composer_free(c);
        }
    }
    free(out);
    free(binary);
    free(longline);
}
END_TEST

/* Forwarded messages stay messages as long as the transport takes them. */
START_TEST(compose_message_part)
{
    static const struct {
        const char *raw;
        enum mime_transport transport;
        const char *type, *content;
    } cases[] = {
        {"A: b\n\nc\n", MIME_TRANSPORT_7BIT, "rfc822", "A: b\r\n\r\nc\r\n"},
        {"A: b\r\n\r\n\xf6", MIME_TRANSPORT_8BIT, "rfc822", "A: b\r\n\r\n\xf6"},
        {"A: b\n\n\xf6\n", MIME_TRANSPORT_7BIT, "octet-stream", "A: b\n\n\xf6\n"},
    };
    char out[4096];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mime_attachment a = {.filename = SLICE("x.eml")};
        struct mime_outline o = {.text = SLICE("x"), .attachments = &a, .n_attachments = 1};
        struct mime_composer *c;
        struct fault fault = {0};
        mime_source_memory(&a.content, slice_of_str(cases[i].raw));
        o.transport = cases[i].transport;
        ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
        struct mime_message *m = parsed(pulled(c, 512, out, sizeof(out)));
        ck_slice_eq(mime_message_find(m, SLICE("2"))->subtype, cases[i].type);
        check_content(m, "2", MIME_READ_BYTES, cases[i].content);
        mime_message_free(m);
        mime_composer_free(c);
    }
}
END_TEST

/* A text that holds the boundary which the seed gives: another one is taken. */
START_TEST(compose_boundary_occurs)
{
    char out[8192], evil[1024];
    struct mime_attachment a = {.filename = SLICE("x")};
    struct mime_outline o = {.text = SLICE("x"), .attachments = &a, .n_attachments = 1, .seed = 7};
    struct mime_composer *c;
    struct fault fault = {0};
    mime_source_memory(&a.content, SLICE("y"));
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    struct slice s = pulled(c, 512, out, sizeof(out));
    const char *first = memmem(s.data, s.len, "--=_", 4);
    int n = snprintf(evil, sizeof(evil), "%.*s\n\nnot a part\n", 22, first);
    mime_composer_free(c);
    o.text = slice_of(evil, (size_t) n);
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    struct mime_message *m = parsed(pulled(c, 512, out, sizeof(out)));
    ck_assert_uint_eq(m->n_parts, 3);
    check_content(m, "1", MIME_READ_TEXT, evil);
    mime_message_free(m);
    mime_composer_free(c);
}
END_TEST

/* Base64 in neighbouring words has its padding at the very end: GMime loses what follows on other. */
START_TEST(compose_unpadded_words)
{
    static const char *const letters[] = {"a", "é", "漢", "😀"};
    char subject[200], out[8192];
    for (unsigned seed = 0; seed < 2000; seed++) {
        size_t n = 0;
        unsigned state = seed * 2654435761u;
        /* All runs of a few first letters are there, before letters that keep them out of step. */
        for (unsigned i = 0; n < 180; i++, state = state * 1103515245u + 12345)
            n += (size_t) snprintf(subject + n, sizeof(subject) - n, "%s", letters[i < 5 ? seed >> 2 * i & 3 : seed % 3 ? 2 : state >> 16 & 3]);
        struct mime_outline o = {.subject = slice_of(subject, n), .text = SLICE("x")};
        struct mime_composer *c;
        struct fault fault = {0};
        struct slice text;
        ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
        struct slice raw = pulled(c, 512, out, sizeof(out));
        struct mime_field f;
        ck_assert(mime_field_next(&raw, &f));
        const char *padded = memmem(f.value.data, f.value.len, "=?=\r\n", 5);
        ck_assert_msg(!padded, "%.*s", (int) f.value.len, f.value.data);
        ck_assert_int_eq(mime_decode_text(&decoder, f.value, &text), 0);
        ck_assert(slice_eq(text, slice_of(subject, n)));
        mime_composer_free(c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime_compose");
    TCase *tc = tcase_create("compose");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, compose_small);
    tcase_add_test(tc, compose_refuses);
    tcase_add_test(tc, compose_calendar);
    tcase_add_test(tc, compose_wishes);
    tcase_add_test(tc, compose_round_trip);
    tcase_add_test(tc, compose_message_part);
    tcase_add_test(tc, compose_boundary_occurs);
    tcase_add_test(tc, compose_unpadded_words);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
