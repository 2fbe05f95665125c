/* SPDX-License-Identifier: MIT */
/* The IMAP engine in sessions: steps of the login, commands and bytes of the client's own. */
#include "imap_dialogue.h"

static int refused(struct dialogue *d, const struct imap_command *cmd)
{
    struct imap_command copy = *cmd;
    struct fault fault = {.kind = FAULT_NONE};
    ck_assert_int_lt(imap_client_submit(d->e, &copy, &fault), 0);
    heard(d, "");
    return fault.kind;
}

START_TEST(steps_of_a_login)
{
    struct dialogue d = {.config = {.tls = TLS_POLICY_NONE, .host = "h", .username = "ann"}};
    struct engine_tls tls = {.verified = true};
    struct secret *s = password();
    struct imap_command starttls = {.kind = IMAP_STARTTLS}, login = {.kind = IMAP_LOGIN, .other = SLICE("b\"ob"), .secret = s},
                        plain = {.kind = IMAP_AUTHENTICATE, .text = SLICE("plain"), .secret = s},
                        own = {.kind = IMAP_AUTHENTICATE, .text = SLICE("PLAIN")}, noop = {.kind = IMAP_NOOP};
    start(&d, steps[_i]);
    say(&d, "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi");
    happened(&d, "READY;");
    ck_assert_int_eq(refused(&d, &login), FAULT_TLS);
    ck_assert_int_eq(refused(&d, &plain), FAULT_TLS);
    submit(&d, &starttls);
    heard(&d, "% STARTTLS\r\n");
    ck_assert_int_eq(refused(&d, &noop), FAULT_UNAVAILABLE); /* a step runs alone */
    say(&d, "%1 OK go");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_START_TLS);
    ck_assert_int_eq(d.e->ops->tls_started(d.e, &tls), 0);
    heard(&d, "% CAPABILITY\r\n");
    say(&d, "* CAPABILITY IMAP4rev1 AUTH=PLAIN");
    say(&d, "%2 OK x");
    happened(&d, "DONE STARTTLS OK;");
    submit(&d, &noop);
    heard(&d, "% NOOP\r\n");
    say(&d, "%3 OK x");
    happened(&d, "DONE NOOP OK;");
    ck_assert_int_eq(refused(&d, &starttls), FAULT_INVALID_PARAMS);

    submit(&d, &login);
    heard(&d, "% LOGIN \"b\\\"ob\" \"pa ss\"\r\n");
    say(&d, "* 5 EXISTS");
    say(&d, "%4 NO [AUTHENTICATIONFAILED] no");
    happened(&d, "DONE LOGIN NO fault;");
    ck_assert(d.e->ops->idle(d.e));
    submit(&d, &own); /* the account's own credential is asked for */
    heard(&d, "");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_CREDENTIAL);
    ck_assert_int_eq(d.e->ops->credential(d.e, s), 0);
    heard(&d, "% AUTHENTICATE PLAIN\r\n");
    say(&d, "+ ");
    heard(&d, "AGFubgBwYSBzcw==\r\n");
    say(&d, "%5 OK in");
    heard(&d, "% CAPABILITY\r\n");
    say(&d, "* CAPABILITY IMAP4rev1 IDLE");
    say(&d, "%6 OK x");
    happened(&d, "DONE AUTHENTICATE OK;");
    ck_assert(imap_client_has(d.e, IMAP_CAP_IDLE));
    ck_assert_int_eq(refused(&d, &login), FAULT_INVALID_PARAMS);
    ck_assert_int_eq(refused(&d, &plain), FAULT_INVALID_PARAMS);
    stop(&d);
    secret_unref(s);
}
END_TEST

START_TEST(challenges_are_the_clients)
{
    struct dialogue d = {.config = {.tls = TLS_POLICY_NONE, .host = "h", .allow_plaintext_auth = true}};
    static const struct slice first[] = {SLICE("Zmlyc3Q=")}, second[] = {SLICE("c2Vjb25k"), SLICE("*")}, bad[] = {SLICE("no base64")};
    struct imap_command begin = {.kind = IMAP_AUTHENTICATE, .text = SLICE("X-ODD"), .by_hand = true, .items = first, .n_items = 1},
                        go_on = {.kind = IMAP_AUTHENTICATE, .text = SLICE("X-ODD"), .by_hand = true, .items = second, .n_items = 1},
                        never = {.kind = IMAP_AUTHENTICATE, .text = SLICE("X-ODD"), .by_hand = true, .items = bad, .n_items = 1},
                        evil = {.kind = IMAP_AUTHENTICATE, .text = SLICE("X ODD"), .by_hand = true}, noop = {.kind = IMAP_NOOP},
                        select = {.kind = IMAP_SELECT, .mailbox = SLICE("x")};
    start(&d, steps[_i]);
    say(&d, "* OK [CAPABILITY IMAP4rev1] hi");
    happened(&d, "READY;");
    ck_assert_int_eq(refused(&d, &never), FAULT_INVALID_PARAMS);
    ck_assert_int_eq(refused(&d, &evil), FAULT_INVALID_PARAMS);
    submit(&d, &begin);
    heard(&d, "% AUTHENTICATE X-ODD\r\n");
    say(&d, "+ b25l");
    heard(&d, "Zmlyc3Q=\r\n");
    say(&d, "+ dHdv"); /* nobody has said what to answer: it is shown */
    happened(&d, "DONE AUTHENTICATE ;");
    ck_assert(d.e->ops->idle(d.e));
    ck_assert_int_eq(refused(&d, &noop), FAULT_INVALID_PARAMS);
    ck_assert_int_eq(refused(&d, &select), FAULT_INVALID_PARAMS);
    submit(&d, &go_on);
    heard(&d, "c2Vjb25k\r\n");
    say(&d, "%1 NO not you");
    happened(&d, "DONE AUTHENTICATE NO fault;");
    submit(&d, &noop);
    heard(&d, "% NOOP\r\n");
    say(&d, "%2 OK x");
    happened(&d, "DONE NOOP OK;");
    stop(&d);
    /* A server that says something else meanwhile has lost its way. */
    start(&d, steps[_i]);
    say(&d, "* OK [CAPABILITY IMAP4rev1] hi");
    begin.n_items = 0;
    submit(&d, &begin);
    heard(&d, "% AUTHENTICATE X-ODD\r\n");
    say(&d, "+ b25l");
    say(&d, "%1 OK in");
    ck_assert_int_lt(d.error, 0);
    ck_assert_int_eq(d.e->fault.kind, FAULT_PROTOCOL);
    stop(&d);
}
END_TEST

START_TEST(bytes_are_the_clients)
{
    struct dialogue d;
    struct imap_command select, send = {.kind = IMAP_RAW_SEND, .text = SLICE("x FETCH 1 BODY[]\r\n")}, line = {.kind = IMAP_RAW_LINE},
                                read = {.kind = IMAP_RAW_READ, .body_size = 7}, noop = {.kind = IMAP_NOOP},
                                none = {.kind = IMAP_RAW_READ, .body_size = 0};
    struct imap_mailbox_state box;
    start_ready(&d, steps[_i], CAPS);
    select_inbox(&d, &select);
    ck_assert_int_eq(refused(&d, &none), FAULT_INVALID_PARAMS);
    submit(&d, &send);
    pull(&d);
    happened(&d, "DONE  ;");
    heard(&d, "x FETCH 1 BODY[]\r\n");
    imap_client_selected(d.e, &box);
    ck_assert(!box.selected);
    say(&d, "* 1 FETCH (BODY[] {7}");
    happened(&d, "");
    submit(&d, &line);
    pull(&d);
    happened(&d, "DONE  ;");
    submit(&d, &read);
    pull(&d);
    happened(&d, "");
    ck_assert_int_eq(d.e->ops->withdraw(d.e, &read.request), 0); /* takes nothing */
    raw(&d, "ab\r\ncd", 6);
    submit(&d, &read);
    pull(&d);
    happened(&d, "");
    raw(&d, "e)\r\nx OK done\r\n", 15);
    happened(&d, "DONE  ;");
    ck_assert_int_eq(refused(&d, &noop), FAULT_INVALID_PARAMS); /* there is more to read */
    ck_slice_eq(imap_client_unread(d.e), ")\r\nx OK done\r\n");
    for (int i = 0; i < 2; i++) {
        submit(&d, &line);
        pull(&d);
        happened(&d, "DONE  ;");
    }
    submit(&d, &noop);
    heard(&d, "% NOOP\r\n");
    say(&d, "%2 OK x");
    happened(&d, "DONE NOOP OK;");
    stop(&d);
}
END_TEST

START_TEST(commands_are_the_clients)
{
    struct dialogue d;
    struct imap_mailbox_state box;
    struct imap_command select = {.kind = IMAP_GENERIC, .text = SLICE("SELECT {3}\r\na b")}, close = {.kind = IMAP_GENERIC, .text = SLICE("CLOSE")},
                        odd = {.kind = IMAP_GENERIC, .text = SLICE("XODD")}, login = {.kind = IMAP_GENERIC, .text = SLICE("LOGIN a b")};
    start_ready(&d, steps[_i], "IMAP4rev1");
    ck_assert_int_eq(refused(&d, &login), FAULT_INVALID_PARAMS);
    submit(&d, &select);
    heard(&d, "% SELECT {3}\r\n");
    say(&d, "+ go");
    heard(&d, "a b\r\n");
    say(&d, "* 4 EXISTS");
    say(&d, "* OK [UIDVALIDITY 9] x");
    say(&d, "%1 OK [READ-ONLY] x");
    happened(&d, "REPLY  EXISTS 4 ;REPLY   0 x;DONE  OK;");
    imap_client_selected(d.e, &box);
    ck_assert(box.selected && box.readonly);
    ck_slice_eq(box.mailbox, "a b");
    ck_assert_uint_eq(box.exists, 4);
    ck_assert_uint_eq(box.uidvalidity, 9);
    ck_assert(!d.e->ops->spent(d.e));
    submit(&d, &close);
    heard(&d, "% CLOSE\r\n");
    say(&d, "%2 OK x");
    happened(&d, "DONE  OK;");
    imap_client_selected(d.e, &box);
    ck_assert(!box.selected);
    submit(&d, &select);
    heard(&d, "% SELECT {3}\r\n");
    say(&d, "%3 NO [TRYCREATE] not that"); /* the literal is not sent */
    happened(&d, "DONE  NO fault;");
    submit(&d, &odd);
    heard(&d, "% XODD\r\n");
    say(&d, "%4 BAD what");
    happened(&d, "DONE  BAD fault;");
    ck_assert(d.e->ops->spent(d.e)); /* nobody else shall have it */
    stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("imap_steps");
    TCase *tc = tcase_create("all");
    int n = (int) ARRAY_LEN(steps);
    tcase_add_loop_test(tc, steps_of_a_login, 0, n);
    tcase_add_loop_test(tc, challenges_are_the_clients, 0, n);
    tcase_add_loop_test(tc, bytes_are_the_clients, 0, n);
    tcase_add_loop_test(tc, commands_are_the_clients, 0, n);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
