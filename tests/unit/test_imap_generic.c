/* SPDX-License-Identifier: MIT */
/* Commands of a caller's own: what they do, how their arguments and literals are written. */
#include "imap_generic.h"
#include "unit.h"

#include <errno.h>

START_TEST(effects)
{
    static const struct {
        const char *command;
        enum imap_effect effect;
        const char *own;
    } rows[] = {
        {"NOOP", IMAP_EFFECT_READS, ""},
        {"noop", IMAP_EFFECT_READS, ""},
        {"select INBOX", IMAP_EFFECT_SELECTS, ""},
        {"EXAMINE \"a b\"", IMAP_EFFECT_EXAMINES, ""},
        {"CLOSE", IMAP_EFFECT_CLOSES, ""},
        {"RENAME a b", IMAP_EFFECT_RENAMES, ""},
        {"Login a b", IMAP_EFFECT_OWN, "login"},
        {"STARTTLS", IMAP_EFFECT_OWN, "starttls"},
        {"UID FETCH 1 (FLAGS BODY.PEEK[] RFC822.SIZE RFC822.HEADER)", IMAP_EFFECT_READS, ""},
        {"UID FETCH 1 body[]", IMAP_EFFECT_CHANGES, ""},
        {"FETCH 1 (FLAGS RFC822)", IMAP_EFFECT_CHANGES, ""},
        {"FETCH 1 BINARY[1]", IMAP_EFFECT_CHANGES, ""},
        {"UID STORE 1 FLAGS ()", IMAP_EFFECT_CHANGES, ""},
        {"UID SEARCH ALL", IMAP_EFFECT_READS, ""},
        {"ENABLE QRESYNC", IMAP_EFFECT_OWN, "enable"},
        {"NOTIFY NONE", IMAP_EFFECT_UNKNOWN, ""},
        {"SELECTED", IMAP_EFFECT_UNKNOWN, ""},
        {"", IMAP_EFFECT_UNKNOWN, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *own = "";
        ck_assert_msg(imap_generic_effect(slice_of_str(rows[i].command), &own) == rows[i].effect, "%s", rows[i].command);
        ck_assert_str_eq(own, rows[i].own);
    }
}
END_TEST

START_TEST(mailboxes)
{
    static const char *const rows[][2] = {
        {"SELECT INBOX", "INBOX"},           {"SELECT \"a \\\"b\" (CONDSTORE)", "a \"b"}, {"SELECT {3}\r\na b", "a b"},
        {"DELETE NIL", "NIL"},               {"SELECT", NULL},                         {"SELECT (x)", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buffer b;
        buffer_init(&b, 100);
        ck_assert_int_eq(imap_generic_mailbox(slice_of_str(rows[i][0]), &b), rows[i][1] ? 0 : -EBADMSG);
        if (rows[i][1])
            ck_slice_eq(buffer_slice(&b), rows[i][1]);
        buffer_done(&b);
    }
}
END_TEST

START_TEST(arguments)
{
    static const char *const rows[][2] = {
        {"atom", "atom"},       {"1:*", "1:*"},     {"", "\"\""},          {"a b", "\"a b\""},
        {"(a b)", "(a b)"},     {"\"q\"", "\"q\""}, {"\"q\\\"", "\"\\\"q\\\\\\\"\""}, {"\\Seen", "\\Seen"},
        {"a\\b", "\"a\\\\b\""}, {"{5}", "\"{5}\""}, {"BODY[TEXT]<0.5>", "BODY[TEXT]<0.5>"}, {"+FLAGS", "+FLAGS"},
        {"\xc3\xbc", "{2}\r\n\xc3\xbc"},            {"a(b", "\"a(b\""},    {"\"", "\"\\\"\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buffer b;
        buffer_init(&b, 100);
        ck_assert_int_eq(imap_generic_argument(&b, slice_of_str(rows[i][0])), 0);
        ck_slice_eq(buffer_slice(&b), rows[i][1]);
        ck_assert_int_eq(imap_generic_argument(&b, SLICE("a\r\nb")), -EINVAL);
        ck_assert_int_eq(imap_generic_argument(&b, SLICE("a\0b")), -EINVAL);
        buffer_done(&b);
    }
}
END_TEST

START_TEST(pieces)
{
    struct slice rest = SLICE("APPEND x {5}\r\na\r\n{9 ~{0+}\r\n end"), text, literal;
    ck_assert_int_eq(imap_generic_piece(&rest, &text, &literal), 1);
    ck_slice_eq(text, "APPEND x ");
    ck_slice_eq(literal, "a\r\n{9");
    ck_assert_int_eq(imap_generic_piece(&rest, &text, &literal), 1);
    ck_slice_eq(text, " ~");
    ck_assert_ptr_nonnull(literal.data);
    ck_assert_uint_eq(literal.len, 0);
    ck_assert_int_eq(imap_generic_piece(&rest, &text, &literal), 1);
    ck_slice_eq(text, " end");
    ck_assert_ptr_null(literal.data);
    ck_assert_int_eq(imap_generic_piece(&rest, &text, &literal), 0);
    static const char *const bad[] = {"a\r\nb",        "a {3}",          "a {3}\r\nab", "a {3}\nabc",          "a {3}\rabc", "a \"{3}\r\nabc\"",
                                      "a {-1}\r\nabc", "a {99999999999999999999}\r\nabc", "a \"\\\"{3}\r\nabc", "a {3} \r\nabc"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        rest = slice_of_str(bad[i]);
        ck_assert_msg(imap_generic_piece(&rest, &text, &literal) == -EINVAL, "%zu", i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("imap_generic");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, effects);
    tcase_add_test(tc, mailboxes);
    tcase_add_test(tc, arguments);
    tcase_add_test(tc, pieces);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
