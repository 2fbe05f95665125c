/* SPDX-License-Identifier: MIT */
/* Commands of the IMAP engine that are not over with one line: APPEND with its literals, IDLE and what comes unasked. */
#include "imap_dialogue.h"

#include <errno.h>

static ssize_t give_body(struct dialogue *d, const char *text, bool last)
{
    ck_assert(d->e->ops->wants(d->e) & ENGINE_WANT_BODY);
    return d->e->ops->body(d->e, text, strlen(text), last);
}

/* Several messages in one command: each literal waits for the server's word, short ones behind the first do not where LITERAL+ is. */
START_TEST(append_several)
{
    static const struct slice seen[] = {SLICE("\\Seen")};
    static const struct imap_append_part parts[] = {{.size = 2}, {.url = SLICE("/A/;UID=1")}, {.size = 3}};
    static const struct imap_append_message messages[] = {
        {.size = 3}, {.size = 4, .utf8 = true}, {.flags = seen, .n_flags = 1, .parts = parts, .n_parts = 3}};
    struct dialogue d;
    for (unsigned plus = 0; plus < 2; plus++) {
        start_ready(&d, steps[_i], plus ? "IMAP4rev1 MULTIAPPEND CATENATE UTF8=ACCEPT LITERAL+" : "IMAP4rev1 MULTIAPPEND CATENATE UTF8=ACCEPT");
        struct imap_command a = {.kind = IMAP_APPEND, .mailbox = SLICE("A"), .messages = messages, .n_messages = 3};
        struct imap_command noop = {.kind = IMAP_NOOP};
        submit(&d, &a);
        submit(&d, &noop);
        heard(&d, "% APPEND A {3}\r\n");
        ck_assert(!(d.e->ops->wants(d.e) & ENGINE_WANT_BODY));
        say(&d, "+ go");
        ck_assert_int_eq(give_body(&d, "abc", false), 3);
        heard(&d, plus ? "abc UTF8 (~{4+}\r\n" : "abc UTF8 (~{4}\r\n");
        if (!plus)
            say(&d, "+ go");
        ck_assert_int_eq(give_body(&d, "de", false), 2);
        ck_assert_int_eq(give_body(&d, "fg", false), 2);
        heard(&d, plus ? "defg) (\\Seen) CATENATE (TEXT {2+}\r\n" : "defg) (\\Seen) CATENATE (TEXT {2}\r\n");
        if (!plus)
            say(&d, "+ go");
        ck_assert_int_eq(give_body(&d, "hi", false), 2);
        heard(&d, plus ? "hi URL /A/;UID=1 TEXT {3+}\r\n" : "hi URL /A/;UID=1 TEXT {3}\r\n");
        if (!plus)
            say(&d, "+ go");
        ck_assert_uint_eq(a.request.state, REQUEST_PARTLY_WRITTEN);
        ck_assert_int_eq(give_body(&d, "jkl", true), 3);
        ck_assert_uint_eq(a.request.state, REQUEST_WRITTEN);
        heard(&d, "jkl)\r\n% NOOP\r\n");
        say(&d, "%1 OK [APPENDUID 7 1:3] x");
        say(&d, "%2 OK x");
        happened(&d, "DONE APPEND OK;DONE NOOP OK;");
        stop(&d);
    }
}
END_TEST

/* What the server says no to in the middle is not sent on. */
START_TEST(append_several_refused)
{
    static const struct imap_append_message messages[] = {{.size = 3}, {.size = 4}, {.size = 5}};
    struct dialogue d;
    struct imap_command a = {.kind = IMAP_APPEND, .mailbox = SLICE("A"), .messages = messages, .n_messages = 3};
    struct imap_command noop = {.kind = IMAP_NOOP};
    start_ready(&d, steps[_i], "IMAP4rev1 MULTIAPPEND");
    submit(&d, &a);
    submit(&d, &noop);
    heard(&d, "% APPEND A {3}\r\n");
    say(&d, "+ go");
    ck_assert_int_eq(give_body(&d, "abc", false), 3);
    heard(&d, "abc {4}\r\n");
    say(&d, "%1 NO [OVERQUOTA] x");
    happened(&d, "DONE APPEND NO fault;");
    heard(&d, "% NOOP\r\n");
    say(&d, "%2 OK x");
    happened(&d, "DONE NOOP OK;");
    submit(&d, &a);
    heard(&d, "% APPEND A {3}\r\n");
    say(&d, "+ go");
    ck_assert_int_eq(give_body(&d, "ab", false), 2);
    say(&d, "%3 NO x");
    happened(&d, "");
    ck_assert_int_eq(give_body(&d, "c", false), 1);
    heard(&d, "abc\r\n");
    pull(&d);
    happened(&d, "DONE APPEND NO fault;");
    stop(&d);
}
END_TEST

START_TEST(append_waits_for_the_word)
{
    struct dialogue d;
    struct imap_command append;
    static const struct slice flags[] = {SLICE("\\Seen")};
    start_ready(&d, steps[_i], "IMAP4rev1");
    append = (struct imap_command){.kind = IMAP_APPEND, .mailbox = SLICE("Sent"), .items = flags, .n_items = 1, .body_size = 5,
                                   .date = SLICE("01-Jan-2026 00:00:00 +0000")};
    struct imap_command noop = {.kind = IMAP_NOOP};
    submit(&d, &append);
    submit(&d, &noop);
    heard(&d, "% APPEND Sent (\\Seen) \"01-Jan-2026 00:00:00 +0000\" {5}\r\n");
    ck_assert(!(d.e->ops->wants(d.e) & ENGINE_WANT_BODY));
    say(&d, "+ go");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_BODY);
    ck_assert_ptr_eq(d.e->ops->body_request(d.e), &append.request);
    ck_assert_int_eq(d.e->ops->body(d.e, "ab", 2, false), 2);
    ck_assert_uint_eq(append.request.end_offset, UINT64_MAX);
    ck_assert_int_eq(d.e->ops->body(d.e, "cde", 3, true), 3);
    ck_assert_uint_lt(append.request.end_offset, UINT64_MAX);
    heard(&d, "abcde\r\n% NOOP\r\n");
    say(&d, "%1 OK [APPENDUID 5 6] x");
    say(&d, "%2 OK x");
    happened(&d, "DONE APPEND OK;DONE NOOP OK;");
    submit(&d, &append);
    heard(&d, "% APPEND Sent (\\Seen) \"01-Jan-2026 00:00:00 +0000\" {5}\r\n");
    say(&d, "%3 NO [TRYCREATE] none"); /* the literal is not sent */
    happened(&d, "DONE APPEND NO fault;");
    say(&d, "+ late");
    heard(&d, "");
    ck_assert_int_eq(d.error, 0);
    ck_assert(d.e->ops->idle(d.e));
    stop(&d);
}
END_TEST

START_TEST(append_refused_while_it_is_sent)
{
    struct dialogue d;
    struct imap_command append = {.kind = IMAP_APPEND, .mailbox = SLICE("Sent"), .body_size = 5};
    start_ready(&d, steps[_i], CAPS);
    submit(&d, &append);
    heard(&d, "% APPEND Sent {5}\r\n"); /* whatever the server offers: a dead connection stores nothing */
    say(&d, "+ go");
    ck_assert_int_eq(d.e->ops->body(d.e, "ab", 2, false), 2);
    say(&d, "%1 NO [OVERQUOTA] full");
    happened(&d, "");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_BODY);
    ck_assert_int_eq(d.e->ops->body(d.e, "cde", 3, true), 3);
    pull(&d);
    happened(&d, "DONE APPEND NO fault;");
    heard(&d, "abcde\r\n");
    /* The next command goes on as ever; a longer body than announced never goes out. */
    submit(&d, &append);
    heard(&d, "% APPEND Sent {5}\r\n");
    say(&d, "+ go");
    ck_assert_int_lt(d.e->ops->body(d.e, "abcdef", 6, true), 0);
    heard(&d, "");
    stop(&d);
}
END_TEST

#define IDLE_CAPS CAPS " IDLE NOTIFY QRESYNC"

START_TEST(idle_lasts_until_done)
{
    struct dialogue d;
    struct imap_command sel, idle = {.kind = IMAP_IDLE}, noop = {.kind = IMAP_NOOP};
    start_ready(&d, steps[_i], IDLE_CAPS);
    select_inbox(&d, &sel);
    submit(&d, &idle);
    heard(&d, "% IDLE\r\n");
    ck_assert_int_eq(d.e->ops->timeout(d.e), ENGINE_TIMEOUT_COMMAND);
    ck_assert_str_eq(d.e->ops->stage(d.e), "idle");
    say(&d, "+ idling");
    ck_assert_int_eq(d.e->ops->timeout(d.e), ENGINE_TIMEOUT_NONE);
    say(&d, "* 4 EXISTS");
    say(&d, "* OK Still here");
    say(&d, "* 2 FETCH (FLAGS (\\Seen))");
    say(&d, "* VANISHED 3:4");
    say(&d, "+ again");
    happened(&d, "NOTICE IDLE EXISTS 4 ;NOTICE IDLE  0 Still here;NOTICE IDLE 2/0 first last[FLAGS (\\Seen))];"
                 "NOTICE IDLE VANISHED 0 3:4;");
    submit(&d, &noop);
    heard(&d, "");
    ck_assert_int_eq(imap_client_end_idle(d.e, &idle), 0);
    ck_assert_int_eq(imap_client_end_idle(d.e, &idle), 0);
    heard(&d, "DONE\r\n");
    ck_assert_int_eq(d.e->ops->timeout(d.e), ENGINE_TIMEOUT_COMMAND);
    say(&d, "* 3 EXISTS");
    say(&d, "%2 OK done");
    heard(&d, "% NOOP\r\n");
    say(&d, "%3 OK x");
    happened(&d, "NOTICE IDLE EXISTS 3 ;DONE IDLE OK;DONE NOOP OK;");
    ck_assert(d.e->ops->idle(d.e));
    stop(&d);
}
END_TEST

START_TEST(idle_ends_in_other_ways)
{
    struct dialogue d;
    struct imap_command sel, idle = {.kind = IMAP_IDLE};
    start_ready(&d, steps[_i], IDLE_CAPS);
    select_inbox(&d, &sel);
    /* Asked to end before the server has agreed: DONE must not come first. */
    submit(&d, &idle);
    heard(&d, "% IDLE\r\n");
    ck_assert_int_eq(d.e->ops->end_wait(d.e, &idle.request), 0);
    heard(&d, "");
    say(&d, "+");
    heard(&d, "DONE\r\n");
    say(&d, "%2 OK x");
    happened(&d, "DONE IDLE OK;");
    /* Refused; ended by the server; ended by a goodbye of ours. */
    submit(&d, &idle);
    heard(&d, "% IDLE\r\n");
    say(&d, "%3 NO not today");
    happened(&d, "DONE IDLE NO fault;");
    submit(&d, &idle);
    heard(&d, "% IDLE\r\n");
    say(&d, "+ x");
    say(&d, "%4 OK enough");
    happened(&d, "DONE IDLE OK;");
    submit(&d, &idle);
    heard(&d, "% IDLE\r\n");
    say(&d, "+ x");
    ck_assert_int_eq(d.e->ops->quit(d.e), 0);
    heard(&d, "DONE\r\n");
    say(&d, "%5 OK x");
    happened(&d, "DONE IDLE OK;");
    heard(&d, "% LOGOUT\r\n");
    say(&d, "* BYE x");
    say(&d, "%6 OK x");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_CLOSED);
    stop(&d);
}
END_TEST

START_TEST(goodbye_in_idle)
{
    struct dialogue d;
    struct imap_command idle = {.kind = IMAP_IDLE};
    start_ready(&d, steps[_i], IDLE_CAPS);
    submit(&d, &idle);
    heard(&d, "% IDLE\r\n");
    say(&d, "+ x");
    ck_assert(!(d.e->ops->wants(d.e) & ENGINE_WANT_CLOSED));
    say(&d, "* BYE too long");
    happened(&d, "CLOSING;");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_CLOSED);
    stop(&d);
}
END_TEST

START_TEST(vanished_and_notify)
{
    struct dialogue d;
    struct imap_set all = set_of("1:*");
    const struct slice flags = SLICE("FLAGS"), boxes[] = {SLICE("INBOX"), SLICE("a b"), SLICE("\xc3\xa4")};
    struct imap_command sel, fetch = {.kind = IMAP_FETCH, .set = &all, .items = &flags, .n_items = 1, .modseq = 9, .vanished = true},
                             notify = {.kind = IMAP_NOTIFY, .items = boxes, .n_items = 3}, none = {.kind = IMAP_NOTIFY};
    struct imap_mailbox_state box;
    start_ready(&d, steps[_i], IDLE_CAPS);
    select_inbox(&d, &sel);
    submit(&d, &fetch);
    heard(&d, "% UID FETCH 1:* (FLAGS) (CHANGEDSINCE 9 VANISHED)\r\n");
    say(&d, "* VANISHED (EARLIER) 1:5,9");
    say(&d, "* VANISHED 12");
    say(&d, "* VANISHED (LATER) 1");
    say(&d, "* 1 FETCH (UID 11 FLAGS () MODSEQ (12))");
    say(&d, "%2 OK x");
    happened(&d, "REPLY FETCH VANISHED 0 (EARLIER) 1:5,9;NOTICE FETCH VANISHED 0 12;NOTICE FETCH VANISHED 0 (LATER) 1;"
                 "REPLY FETCH 1/11 first last[UID 11 FLAGS () MODSEQ (12))];DONE FETCH OK;");
    imap_client_selected(d.e, &box);
    ck_assert_uint_eq(box.exists, 2);
    submit(&d, &notify);
    heard(&d, "% NOTIFY SET STATUS (mailboxes (INBOX \"a b\" &AOQ-) (MessageNew MessageExpunge FlagChange))\r\n");
    say(&d, "* STATUS \"a b\" (MESSAGES 1)");
    say(&d, "%3 OK x");
    submit(&d, &none);
    heard(&d, "% NOTIFY NONE\r\n");
    say(&d, "%4 OK x");
    happened(&d, "NOTICE NOTIFY STATUS 0 \"a b\" (MESSAGES 1);DONE NOTIFY OK;DONE NOTIFY OK;");
    imap_set_done(&all);
    stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("imap_waits");
    TCase *tc = tcase_create("waits");
    int n = (int) ARRAY_LEN(steps);
    tcase_add_loop_test(tc, append_several, 0, n);
    tcase_add_loop_test(tc, append_several_refused, 0, n);
    tcase_add_loop_test(tc, append_waits_for_the_word, 0, n);
    tcase_add_loop_test(tc, append_refused_while_it_is_sent, 0, n);
    tcase_add_loop_test(tc, idle_lasts_until_done, 0, n);
    tcase_add_loop_test(tc, idle_ends_in_other_ways, 0, n);
    tcase_add_loop_test(tc, vanished_and_notify, 0, n);
    tcase_add_loop_test(tc, goodbye_in_idle, 0, n);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
