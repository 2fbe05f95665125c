/* SPDX-License-Identifier: MIT */
/* IMAP's grammar: values, sets, mailbox names, ENVELOPE, BODYSTRUCTURE, responses. */
#include "imap_fetch.h"
#include "imap_mailbox.h"
#include "imap_response.h"
#include "imap_set.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>

START_TEST(values)
{
    struct slice rest = SLICE("atom NIL \"qu\\\"o\" {3}\r\na)b (l (x \")\") {1}\r\n() BODY[HEADER.FIELDS (\"a]\" B)]<0> ~{2}\r\nxy )");
    struct imap_value v;
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_slice_eq(v.bytes, "atom");
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_assert_int_eq(v.type, IMAP_NIL);
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_assert(v.escaped);
    struct buffer scratch;
    struct slice text;
    buffer_init(&scratch, 100);
    ck_assert_int_eq(imap_value_text(&v, &scratch, &text), 0);
    ck_slice_eq(text, "qu\"o");
    buffer_done(&scratch);
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_assert_int_eq(v.type, IMAP_LITERAL);
    ck_slice_eq(v.bytes, "a)b");
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_assert_int_eq(v.type, IMAP_LIST);
    ck_slice_eq(v.bytes, "l (x \")\") {1}\r\n(");
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_slice_eq(v.bytes, "BODY[HEADER.FIELDS (\"a]\" B)]<0>");
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_assert_int_eq(v.type, IMAP_LITERAL);
    ck_slice_eq(v.bytes, "xy");
    ck_assert_int_eq(imap_value_next(&rest, &v), -EBADMSG);
    static const char *const bad[] = {"\"open", "(open", "(a (b)", "\"x\\", "{9}\r\nshort", ")"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        rest = slice_of_str(bad[i]);
        ck_assert_msg(imap_value_next(&rest, &v) == -EBADMSG, "%s", bad[i]);
    }
    char deep[400];
    memset(deep, '(', 200);
    memset(deep + 200, ')', 200);
    rest = slice_of(deep, 400);
    ck_assert_int_eq(imap_value_next(&rest, &v), -EBADMSG);
    rest = slice_of(deep + 120, 160);
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
}
END_TEST

START_TEST(literals_are_announced)
{
    static const struct {
        const char *text;
        int want;
        uint64_t n;
    } rows[] = {{"a {5}", 1, 5},      {"{0}", 1, 0},      {"x ~{7}", 1, 7},  {"a {5+}", 1, 5},   {"a {}", 0, 0},
                {"a 5}", 0, 0},       {"a {5", 0, 0},     {"a {-1}", -ERANGE, 0}, {"{4294967295}", -ERANGE, 0},
                {"{2147483648}", -ERANGE, 0}, {"{18446744073709551617}", -ERANGE, 0}, {"{12x}", 0, 0}, {"}", 0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t n = 99;
        size_t len = 0;
        ck_assert_msg(imap_literal_at_end(slice_of_str(rows[i].text), 2147483647, &n, &len) == rows[i].want, "%s",
                      rows[i].text);
        ck_assert(rows[i].want < 1 || n == rows[i].n);
    }
}
END_TEST

static void check_set(const char *text, const char *want, uint64_t count)
{
    struct imap_set s;
    struct writer w;
    imap_set_init(&s, 1000);
    writer_init(&w, 1000);
    int ret = imap_set_parse(&s, slice_of_str(text));
    if (!want) {
        ck_assert_msg(ret == -EINVAL, "%s", text);
    } else {
        ck_assert_int_eq(ret, 0);
        writer_begin(&w);
        imap_set_write(&s, &w);
        ck_assert_int_eq(writer_finish(&w), 0);
        ck_slice_eq(writer_output(&w), want);
        ck_assert_uint_eq(imap_set_count(&s), count);
    }
    writer_done(&w);
    imap_set_done(&s);
}

START_TEST(sets)
{
    check_set("1", "1", 1);
    check_set("3,1,2", "1:3", 3);
    check_set("1:3,7,5:2,9:9", "1:5,7,9", 7);
    check_set("10:5,1", "1,5:10", 7);
    check_set("1:4294967295", "1:*", 4294967295u);
    check_set("5:*,2", "2,5:*", 4294967292u);
    check_set("*", "*", 1);
    check_set("*:4", "4:*", 4294967292u);
    check_set("2,*", "2,*", 2);
    check_set("1:2,4:5,3", "1:5", 5);
    check_set("1,3,5,2:4", "1:5", 5);
    static const char *const bad[] = {"", "0", "1,", ",1", "1:", ":1", "a", "1 2", "4294967296", "-1", "1:2:3", "1,,2"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_set(bad[i], NULL, 0);
    struct imap_set a, b;
    imap_set_init(&a, 2);
    imap_set_init(&b, 2);
    ck_assert_int_eq(imap_set_parse(&a, SLICE("1,3,5")), -E2BIG);
    ck_assert_int_eq(imap_set_parse(&b, SLICE("2,4")), 0);
    ck_assert(!imap_set_intersects(&a, &b));
    ck_assert(imap_set_contains(&b, 4) && !imap_set_contains(&b, 3));
    ck_assert_int_eq(imap_set_add(&b, 3, 3), 0);
    ck_assert(imap_set_intersects(&a, &b));
    imap_set_done(&a);
    imap_set_done(&b);
}
END_TEST

START_TEST(set_of_many_numbers_stays_linear)
{
    struct imap_set s;
    imap_set_init(&s, 1000000);
    bool ok = true;
    for (uint32_t i = 1; i <= 400000; i++)
        ok = ok && imap_set_add(&s, i * 2, i * 2) == 0;
    ck_assert_uint_eq(s.n, 400000);
    for (uint32_t i = 400001; i <= 2000000; i++)
        ok = ok && imap_set_add(&s, i * 2, i * 2 + 1) == 0;
    ck_assert(ok);
    imap_set_done(&s);
}
END_TEST

START_TEST(sets_in_any_order)
{
    struct imap_set s, sorted;
    struct buffer text;
    char twice[64] = "";
    buffer_init(&text, 1 << 20);
    imap_set_init(&s, 5000);
    imap_set_init(&sorted, 5000);
    for (unsigned i = 0; i < 4000; i++) {
        unsigned n = (i * 7919) % 4001 * 3 + 1;
        ck_assert_int_eq(buffer_printf(&text, "%s%u:%u", i ? "," : "", n + i % 2, n), 0);
        ck_assert_int_eq(imap_set_add(&sorted, n, n + i % 2), 0);
    }
    ck_assert_int_eq(imap_set_parse(&s, buffer_slice(&text)), 0);
    ck_assert(!s.loose && s.n == sorted.n && memcmp(s.ranges, sorted.ranges, s.n * sizeof(*s.ranges)) == 0);
    imap_set_done(&s);
    imap_set_init(&s, 4); /* room is made by joining */
    snprintf(twice, sizeof(twice), "9,7,8,3,2,4,1,5:6,4294967295:4294967290");
    ck_assert_int_eq(imap_set_parse(&s, slice_of_str(twice)), 0);
    ck_assert(s.n == 2 && s.ranges[0].first == 1 && s.ranges[0].last == 9 && s.ranges[1].last == UINT32_MAX);
    ck_assert_int_eq(imap_set_parse(&s, SLICE("20,30,40,50")), -E2BIG);
    imap_set_done(&s);
    imap_set_done(&sorted);
    buffer_done(&text);
}
END_TEST

static void check_name(const char *utf8, const char *wire)
{
    struct buffer b;
    bool odd = true;
    buffer_init(&b, 1000);
    ck_assert_int_eq(imap_mailbox_encode(slice_of_str(utf8), &b), 0);
    ck_slice_eq(buffer_slice(&b), wire);
    buffer_clear(&b);
    ck_assert_int_eq(imap_mailbox_decode(slice_of_str(wire), &b, &odd), 0);
    ck_slice_eq(buffer_slice(&b), utf8);
    ck_assert(!odd);
    buffer_done(&b);
}

static void check_odd_name(struct slice wire, const char *want, bool want_odd)
{
    struct buffer b;
    bool odd = !want_odd;
    buffer_init(&b, 1000);
    ck_assert_int_eq(imap_mailbox_decode(wire, &b, &odd), 0);
    ck_slice_eq(buffer_slice(&b), want);
    ck_assert(odd == want_odd);
    buffer_done(&b);
}

START_TEST(mailbox_names)
{
    check_name("INBOX", "INBOX");
    check_name("", "");
    check_name("a&b", "a&-b");
    check_name("Entw\xc3\xbcrfe", "Entw&APw-rfe");
    check_name("~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
    check_name("\xf0\x9f\x93\xa7 mail", "&2D3c5w- mail");
    check_name("\xc3\xa4&\xc3\xb6", "&AOQ-&-&APY-");
    check_name("tab\there", "tab&AAk-here");
    check_odd_name(SLICE("M\xc3\xbcll"), "M\xc3\xbcll", false); /* UTF-8 on the wire */
    check_odd_name(SLICE("a&b"), "a&b", true);
    check_odd_name(SLICE("a&"), "a&", true);
    check_odd_name(SLICE("&APw"), "&APw", true);
    check_odd_name(SLICE("&2D0-x"), "&2D0-x", true);      /* half a surrogate pair */
    check_odd_name(SLICE("&APx-"), "&APx-", true);         /* bits left over */
    check_odd_name(SLICE("&AAA-"), "&AAA-", true);         /* NUL */
    check_odd_name(SLICE("a\xff\0b"), "a\xef\xbf\xbd\xef\xbf\xbd" "b", true);
    struct buffer b;
    buffer_init(&b, 1000);
    ck_assert_int_eq(imap_mailbox_encode(SLICE("a\r\nb"), &b), -EINVAL);
    ck_assert_int_eq(imap_mailbox_encode(SLICE("a\0b"), &b), -EINVAL);
    ck_assert_int_eq(imap_mailbox_encode(SLICE("\xff"), &b), -EINVAL);
    buffer_done(&b);
    ck_assert(imap_mailbox_eq(SLICE("inbox"), SLICE("INBOX")));
    ck_assert(!imap_mailbox_eq(SLICE("sent"), SLICE("Sent")));
}
END_TEST

/* Puts what the parser says about a structure into one line. */
static int show_body(const char *text, char *out, size_t size)
{
    struct slice rest = slice_of_str(text);
    struct imap_value v;
    static struct imap_body_parser p;
    struct imap_body_part part;
    size_t n = 0;
    int ret;
    if (imap_value_next(&rest, &v) <= 0)
        return -EBADMSG;
    imap_body_init(&p, &v);
    out[0] = '\0';
    while ((ret = imap_body_next(&p, &part)) > 0) {
        static const char marks[] = "L(){}";
        n += (size_t) snprintf(out + n, size - n, "%c%.*s:%.*s/%.*s", marks[part.event], (int) part.part.len,
                               part.part.data, (int) part.type.bytes.len, part.type.bytes.data ? part.type.bytes.data : "",
                               (int) part.subtype.bytes.len, part.subtype.bytes.data ? part.subtype.bytes.data : "");
        if (part.has_size)
            n += (size_t) snprintf(out + n, size - n, " %u", (unsigned) part.size);
        if (part.has_lines)
            n += (size_t) snprintf(out + n, size - n, ",%u", (unsigned) part.lines);
        if (part.disposition.type != IMAP_NIL)
            n += (size_t) snprintf(out + n, size - n, " %.*s", (int) part.disposition.bytes.len, part.disposition.bytes.data);
        if (part.odd)
            n += (size_t) snprintf(out + n, size - n, "!");
        n += (size_t) snprintf(out + n, size - n, ";");
    }
    return ret;
}

START_TEST(body_structures)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92)", "L1:TEXT/PLAIN 3028,92;"},
        {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 2 NIL (\"inline\" NIL) NIL NIL \"ext\" (1 (2)))",
         "L1:text/plain 1,2 inline;"},
        {"((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 2)(\"image\" \"png\" NIL NIL NIL \"base64\" 30 NIL (\"attachment\" "
         "(\"filename\" \"a.png\"))) \"mixed\" (\"boundary\" \"x\") NIL NIL)",
         "(:/;L1:text/plain 1,2;L2:image/png 30 attachment;):/mixed;"},
        {"((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 2)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 (\"d\" \"s\" NIL NIL "
         "NIL NIL NIL NIL NIL NIL) ((\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 4)(\"text\" \"html\" NIL NIL NIL \"7bit\" 5 "
         "6) \"alternative\") 12) \"mixed\")",
         "(:/;L1:text/plain 1,2;{2:message/rfc822 99;(2:/;L2.1:text/plain 3,4;L2.2:text/html 5,6;)2:/alternative;}2:/"
         ",12;):/mixed;"},
        {"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL "
         "NIL \"7bit\" 3 4) 12)",
         "{1:message/rfc822 99;L1.1:text/plain 3,4;}1:/,12;"},
        {"(\"MIXED\")", "(:/!;):/MIXED;"},
        {"((\"MESSAGE\" \"DELIVERY-STATUS\" NIL NIL NIL \"7BIT\" 324) \"REPORT\")",
         "(:/;L1:MESSAGE/DELIVERY-STATUS 324;):/REPORT;"},
        {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 -1)", "L1:text/plain 1!;"},
        {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 9.3736e+06 2.0 NIL \"inline\" NIL)", "L1:text/plain 9373600,2 inline!;"},
        {"((NIL \"alternative\" (\"boundary\" \"x\") NIL NIL NIL) \"mixed\")", "(:/;(1:/!;)1:/alternative;):/mixed;"},
        {"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 9 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) () 0 NIL (\"inline\" NIL))",
         "L1:message/rfc822 9,0 inline!;"},
        {"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 9 NIL NIL 3)", "L1:message/rfc822 9,3!;"},
        {"(\"message\" \"external-body\" NIL NIL NIL \"7bit\" 9 NIL NIL NIL)", "L1:message/external-body 9;"},
        {"(\"multipart\" \"related\" NIL NIL NIL \"7bit\" 9 (\"boundary\" \"x\") NIL NIL NIL)", "L1:multipart/related 9!;"},
    };
    char out[2000];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_msg(show_body(rows[i].text, out, sizeof(out)) == 0, "%s: %s", rows[i].text, out);
        /* Empty multiparts are marked odd where they begin; where is no matter. */
        ck_assert_str_eq(out, rows[i].want);
    }
    static const char *const bad[] = {"()", "NIL", "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 2) \"mixed\" ((\"x\"",
                                      "((\"text\"", "(((((("};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(show_body(bad[i], out, sizeof(out)) < 0, "%s", bad[i]);
}
END_TEST

START_TEST(deep_body_structure_is_refused)
{
    char text[2000], out[20000];
    for (unsigned depth = 90; depth <= 110; depth += 20) {
        size_t n = 0;
        for (unsigned i = 0; i < depth; i++)
            text[n++] = '(';
        n += (size_t) snprintf(text + n, sizeof(text) - n, "\"a\" \"b\" NIL NIL NIL \"7bit\" 1)");
        for (unsigned i = 1; i < depth; i++)
            n += (size_t) snprintf(text + n, sizeof(text) - n, " \"m\")");
        ck_assert_int_eq(show_body(text, out, sizeof(out)), depth < 100 ? 0 : -EBADMSG);
    }
}
END_TEST

START_TEST(envelopes)
{
    struct slice rest = SLICE("(\"date\" \"subject\" ((\"Terry Gray\" NIL \"gray\" \"cac.example\")(NIL NIL \"list\" NIL)(NIL NIL "
                              "\"ann\" \"a.example\")(NIL NIL NIL NIL)) NIL NIL NIL NIL NIL NIL \"<id@x>\")");
    struct imap_value v;
    struct imap_envelope e;
    struct imap_address a;
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_assert_int_eq(imap_envelope_parse(&v, &e), 0);
    ck_assert(!e.odd);
    ck_slice_eq(e.subject.bytes, "subject");
    ck_slice_eq(e.message_id.bytes, "<id@x>");
    rest = e.from.bytes;
    ck_assert_int_eq(imap_address_next(&rest, &a), 1);
    ck_assert_int_eq(a.kind, IMAP_ADDRESS_MAILBOX);
    ck_slice_eq(a.host.bytes, "cac.example");
    ck_assert_int_eq(imap_address_next(&rest, &a), 1);
    ck_assert_int_eq(a.kind, IMAP_ADDRESS_GROUP_BEGIN);
    ck_assert_int_eq(imap_address_next(&rest, &a), 1);
    ck_assert_int_eq(imap_address_next(&rest, &a), 1);
    ck_assert_int_eq(a.kind, IMAP_ADDRESS_GROUP_END);
    ck_assert_int_eq(imap_address_next(&rest, &a), 0);
    /* Wrong types and missing fields are NIL, and said to be odd. */
    rest = SLICE("(\"d\" (list) \"x\" NIL)");
    ck_assert_int_eq(imap_value_next(&rest, &v), 1);
    ck_assert_int_eq(imap_envelope_parse(&v, &e), 0);
    ck_assert(e.odd);
    ck_assert_int_eq(e.subject.type, IMAP_NIL);
    ck_assert_int_eq(e.from.type, IMAP_NIL);
    ck_assert_int_eq(e.message_id.type, IMAP_NIL);
}
END_TEST

/* What each item is called, with "!" for a value that does not close and "^" for a parenthesis too many before it. */
static void check_items(const char *text, const char *want)
{
    struct slice rest = slice_of_str(text);
    struct imap_fetch_item item;
    char out[400] = "";
    size_t n = 0;
    int got;
    while ((got = imap_fetch_next(&rest, &item)) > 0)
        n += (size_t) snprintf(out + n, sizeof(out) - n, "%s%.*s%s=%.*s;", item.surplus ? "^" : "", (int) item.name.len, item.name.data,
                               item.broken ? "!" : "", (int) item.raw.len, item.raw.data);
    snprintf(out + n, sizeof(out) - n, "%d", got);
    ck_assert_str_eq(out, want);
}

START_TEST(broken_items_do_not_hide_others)
{
    check_items("UID 5 ENVELOPE ((\"a\" FLAGS (x) RFC822.SIZE 3)", "UID=5;ENVELOPE!=((\"a\";FLAGS=(x);RFC822.SIZE=3;0");
    check_items("ENVELOPE (\"FLAGS (x)\" UID 7)", "ENVELOPE=(\"FLAGS (x)\" UID 7);0");
    check_items("ENVELOPE (\"FLAGS (x) UID 7)", "ENVELOPE!=(\"FLAGS (x);UID=7;0");
    check_items("ENVELOPE (\"a b)", "ENVELOPE!=(\"a b;0");
    check_items("RFC822.SIZE 3)) FLAGS (x))", "RFC822.SIZE=3;^FLAGS=(x);0");
    check_items("RFC822.SIZE 3)) X (x))", "RFC822.SIZE=3;0");
    check_items("BODY[] {99}\r\nabc FLAGS (x))", "BODY[]!={99}\r\nabc;FLAGS=(x);0");
    check_items("UID 1 (x)", "UID=1;-74");
    check_items("UID", "-74");
}
END_TEST

START_TEST(counts)
{
    static const struct {
        const char *text;
        bool has;
        uint64_t n;
        unsigned odd;
    } rows[] = {{"0", true, 0, 0},           {"4294967296", true, 4294967296, 0},   {"\"12\"", true, 12, 0},
                {"12.0", true, 12, IMAP_ODD_NUMBER}, {"12.", true, 12, IMAP_ODD_NUMBER}, {"1.25e+02", true, 125, IMAP_ODD_NUMBER},
                {"1.25E1", true, 12, IMAP_ODD_NUMBER}, {"9e18", true, UINT64_C(9000000000000000000), IMAP_ODD_NUMBER},
                {"-1", false, 0, IMAP_ODD_NUMBER}, {"-3.5", false, 0, IMAP_ODD_NUMBER},
                {"9e19", false, 0, IMAP_ODD_SHAPE}, {"1e99", false, 0, IMAP_ODD_SHAPE}, {"1e", false, 0, IMAP_ODD_SHAPE},
                {"-", false, 0, IMAP_ODD_SHAPE},   {"NIL", false, 0, IMAP_ODD_SHAPE},  {"(1)", false, 0, IMAP_ODD_SHAPE},
                {"1x", false, 0, IMAP_ODD_SHAPE},  {"99999999999999999999", false, 0, IMAP_ODD_SHAPE}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice rest = slice_of_str(rows[i].text);
        struct imap_value v;
        uint64_t n = 0;
        unsigned odd = 0;
        ck_assert_int_eq(imap_value_next(&rest, &v), 1);
        ck_assert_msg(imap_value_count(&v, INT64_MAX, &n, &odd) == rows[i].has, "%s", rows[i].text);
        ck_assert_msg(n == rows[i].n && odd == rows[i].odd, "%s: %llu %u", rows[i].text, (unsigned long long) n, odd);
    }
}
END_TEST

START_TEST(fetch_items)
{
    struct slice rest = SLICE("FLAGS (\\Seen) UID 5 BODY[TEXT] \"x\" RFC822.SIZE 7 X-NEW (a b) BODY[] {5000}");
    struct imap_fetch_item item;
    static const enum imap_item_kind want[] = {IMAP_ITEM_FLAGS, IMAP_ITEM_UID, IMAP_ITEM_SECTION, IMAP_ITEM_SIZE,
                                               IMAP_ITEM_OTHER, IMAP_ITEM_SECTION};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        ck_assert_int_eq(imap_fetch_next(&rest, &item), 1);
        ck_assert_int_eq(item.kind, want[i]);
        ck_assert(item.streamed == (i + 1 == ARRAY_LEN(want)));
    }
    ck_assert_int_eq(imap_fetch_next(&rest, &item), 0);
    rest = SLICE("UID 5 (broken)");
    ck_assert_int_eq(imap_fetch_next(&rest, &item), 1);
    ck_assert_int_eq(imap_fetch_next(&rest, &item), -EBADMSG);
    static const char *const good[] = {"FLAGS", "BODY.PEEK[]", "BODY.PEEK[HEADER.FIELDS (FROM \"X Y\")]<0.100>",
                                       "BINARY.SIZE[1.2]", "X-GM-LABELS", "RFC822.SIZE", "BODY[1.MIME]"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(imap_item_is_valid(slice_of_str(good[i])), "%s", good[i]);
    static const char *const bad[] = {"", "FLAGS)", "FLAGS UID", "BODY[", "BODY[(]", "BODY[]x", "BODY[{5}]", "BODY[]<>",
                                      "BODY[\r\n]", "(FLAGS", "BODY[\"]", "BODY[((A))]", "BODY[]<1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!imap_item_is_valid(slice_of_str(bad[i])), "%s", bad[i]);
    ck_assert(imap_item_sets_seen(SLICE("body[]")) && imap_item_sets_seen(SLICE("RFC822")));
    ck_assert(!imap_item_sets_seen(SLICE("BODY.PEEK[]")) && !imap_item_sets_seen(SLICE("RFC822.HEADER")) &&
              !imap_item_sets_seen(SLICE("BODY")));
}
END_TEST

START_TEST(responses)
{
    struct imap_response r;
    ck_assert_int_eq(imap_response_parse(SLICE("* OK [PERMANENTFLAGS (\\* \"a]b\")] text"), &r), 0);
    ck_assert_int_eq(r.kind, IMAP_RESPONSE_CONDITION);
    ck_slice_eq(r.code.name, "PERMANENTFLAGS");
    ck_slice_eq(r.code.arguments, "(\\* \"a]b\")");
    ck_slice_eq(r.text, "text");
    ck_assert_int_eq(imap_response_parse(SLICE("a1 no [TRYCREATE] none"), &r), 0);
    ck_assert_int_eq(r.kind, IMAP_RESPONSE_TAGGED);
    ck_assert_int_eq(r.status, IMAP_NO);
    ck_assert_int_eq(imap_response_parse(SLICE("* 4294967295 FETCH (UID 1)"), &r), 0);
    ck_assert_int_eq(r.data, IMAP_DATA_FETCH);
    ck_assert_uint_eq(r.number, 4294967295u);
    ck_slice_eq(r.text, "(UID 1)");
    ck_assert_int_eq(imap_response_parse(SLICE("* 4294967296 EXISTS"), &r), 0);
    ck_assert_int_eq(r.data, IMAP_DATA_OTHER); /* no number wraps */
    ck_assert_int_eq(imap_response_parse(SLICE("+"), &r), 0);
    ck_assert_int_eq(imap_response_parse(SLICE("+ abc"), &r), 0);
    ck_slice_eq(r.text, "abc");
    static const char *const bad[] = {"", " ", "*", "a1", "a1 FETCH", "a1 PREAUTH x", "HTTP/1.1 400 Bad", "* 5"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(imap_response_parse(slice_of_str(bad[i]), &r) == -EBADMSG, "%s", bad[i]);
    struct imap_copyuid c;
    ck_assert_int_eq(imap_copyuid_parse(SLICE("7 1:3,9 11:14"), &c), 0);
    ck_assert_int_eq(imap_copyuid_parse(SLICE("7 1:3 11:14"), &c), -EBADMSG);
    ck_assert_int_eq(imap_copyuid_parse(SLICE("0 1 2"), &c), -EBADMSG);
    ck_assert_int_eq(imap_copyuid_parse(SLICE("7 1:* 2"), &c), -EBADMSG);
    struct imap_esearch e;
    ck_assert_int_eq(imap_esearch_parse(SLICE("(TAG \"A1\") UID COUNT 17 ALL 4:18,21,28"), &e), 0);
    ck_assert(e.uid && e.has_count && e.count == 17);
    ck_slice_eq(e.tag.bytes, "A1");
    ck_slice_eq(e.all, "4:18,21,28");
    struct imap_list_data l;
    ck_assert_int_eq(imap_list_parse(SLICE("(\\HasNoChildren) \"/\" My Folder"), &l), 0);
    ck_slice_eq(l.name.bytes, "My Folder");
    ck_assert_int_eq(imap_list_parse(SLICE("(\\Noselect) NIL NIL"), &l), 0);
    ck_slice_eq(l.name.bytes, "NIL");
}
END_TEST

START_TEST(capabilities)
{
    static const char *const disabled[] = {"COMPRESS", "AUTH=PLAIN", "appendlimit", NULL};
    uint64_t n = 1;
    for (unsigned i = 0; i < IMAP_CAP_COUNT; i++)
        if (i != IMAP_CAP_BINARY_FETCH) /* two meanings of one name */
            ck_assert_uint_eq(imap_cap_find(slice_of_str(imap_cap_name((enum imap_cap) i))), i);
    ck_assert_uint_eq(imap_cap_find(SLICE("appendlimit=5")), IMAP_CAP_APPENDLIMIT);
    ck_assert_uint_eq(imap_cap_find(SLICE("MOVE=5")), IMAP_CAP_COUNT);
    ck_assert_uint_eq(imap_cap_find(SLICE("")), IMAP_CAP_COUNT);
    ck_assert(imap_cap_value(SLICE("MESSAGELIMIT=500"), &n) && n == 500);
    ck_assert(!imap_cap_value(SLICE("MESSAGELIMIT"), &n) && !imap_cap_value(SLICE("MESSAGELIMIT=x"), &n));
    ck_assert(imap_cap_is_disabled(disabled, SLICE("COMPRESS=DEFLATE")));
    ck_assert(imap_cap_is_disabled(disabled, SLICE("APPENDLIMIT=5")));
    ck_assert(imap_cap_is_disabled(disabled, SLICE("auth=plain")));
    ck_assert(!imap_cap_is_disabled(disabled, SLICE("AUTH=PLAIN-X")));
    ck_assert(!imap_cap_is_disabled(disabled, SLICE("COMPRESSED")));
}
END_TEST

START_TEST(extended_searches)
{
    struct imap_esearch e;
    struct imap_set set;
    ck_assert_int_eq(imap_esearch_parse(SLICE("(TAG \"a\" MAILBOX \"b c\" UIDVALIDITY 9) UID MIN 2 ALL 2,4:6 COUNT 4 MODSEQ 77"), &e), 0);
    ck_slice_eq(e.tag.bytes, "a");
    ck_slice_eq(e.mailbox.bytes, "b c");
    ck_assert(e.uid && e.uidvalidity == 9 && e.has_min && !e.has_max && e.min == 2 && e.count == 4 && e.modseq == 77 && !e.has_partial);
    ck_slice_eq(e.all, "2,4:6");
    ck_assert_int_eq(imap_esearch_parse(SLICE("(TAG \"a\") UID PARTIAL (-1:-100 6,8) COUNT 3"), &e), 0);
    ck_assert(e.has_partial && e.count == 3);
    ck_slice_eq(e.all, "6,8");
    ck_assert_int_eq(imap_esearch_parse(SLICE("(TAG \"a\") PARTIAL (1:2 NIL)"), &e), 0);
    ck_assert(e.has_partial && e.all.len == 0);
    ck_assert_int_eq(imap_esearch_parse(SLICE("(TAG \"a\") PARTIAL 1:2"), &e), -EBADMSG);
    ck_assert_int_eq(imap_esearch_parse(SLICE("(TAG) ALL 1"), &e), -EBADMSG);
    imap_set_init(&set, 10);
    ck_assert_int_eq(imap_set_parse(&set, SLICE("$")), 0);
    ck_assert(set.saved && !imap_set_is_empty(&set) && imap_set_contains(&set, 5));
    ck_assert_int_eq(imap_set_parse(&set, SLICE("$,1")), -EINVAL);
    imap_set_done(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("imap_parse");
    TCase *tc = tcase_create("parse");
    tcase_add_test(tc, values);
    tcase_add_test(tc, literals_are_announced);
    tcase_add_test(tc, sets);
    tcase_add_test(tc, set_of_many_numbers_stays_linear);
    tcase_add_test(tc, sets_in_any_order);
    tcase_add_test(tc, mailbox_names);
    tcase_add_test(tc, body_structures);
    tcase_add_test(tc, deep_body_structure_is_refused);
    tcase_add_test(tc, envelopes);
    tcase_add_test(tc, fetch_items);
    tcase_add_test(tc, broken_items_do_not_hide_others);
    tcase_add_test(tc, counts);
    tcase_add_test(tc, responses);
    tcase_add_test(tc, capabilities);
    tcase_add_test(tc, extended_searches);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
