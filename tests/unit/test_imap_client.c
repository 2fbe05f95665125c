/* SPDX-License-Identifier: MIT */
/* The IMAP engine in dialogues: what the server says is fed in windows of every size, what the engine says is compared
 * byte by byte, its events as one text. */
#include "imap_dialogue.h"

#include <errno.h>

START_TEST(login_over_starttls)
{
    struct dialogue d = {.config = {.tls = TLS_POLICY_ALL, .wants_login = true, .username = "ann", .host = "h", .trace = false}};
    struct engine_tls tls = {.verified = true};
    start(&d, steps[_i]);
    say(&d, "* OK hi");
    heard(&d, "% CAPABILITY\r\n");
    say(&d, "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED");
    say(&d, "%1 OK x");
    heard(&d, "% STARTTLS\r\n");
    ck_assert(!(d.e->ops->wants(d.e) & ENGINE_WANT_START_TLS));
    say(&d, "%2 OK go");
    ck_assert_uint_eq(d.e->ops->wants(d.e), ENGINE_WANT_START_TLS);
    ck_assert_int_eq(d.e->ops->tls_started(d.e, &tls), 0);
    heard(&d, "% CAPABILITY\r\n");
    say(&d, "* CAPABILITY IMAP4rev1"); /* LOGIN only */
    say(&d, "%3 OK x");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_CREDENTIAL);
    ck_assert_str_eq(d.e->ops->stage(d.e), "auth");
    struct secret *s = password();
    ck_assert_int_eq(d.e->ops->credential(d.e, s), 0);
    secret_unref(s);
    heard(&d, "% LOGIN ann \"pa ss\"\r\n");
    say(&d, "%4 OK in");
    heard(&d, "% CAPABILITY\r\n"); /* asked again: what was said before the login counts no more */
    say(&d, "* CAPABILITY IMAP4rev1 UIDPLUS");
    happened(&d, "");
    say(&d, "%5 OK x");
    happened(&d, "READY;");
    ck_assert(imap_client_has(d.e, IMAP_CAP_UIDPLUS));
    ck_assert(d.e->ops->idle(d.e));
    ck_assert_int_eq(d.e->ops->quit(d.e), 0);
    heard(&d, "% LOGOUT\r\n");
    say(&d, "* BYE x");
    say(&d, "%6 OK x");
    ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_CLOSED);
    ck_assert_int_eq(d.e->ops->eof(d.e), 0);
    happened(&d, "");
    stop(&d);
}
END_TEST

START_TEST(authenticate_plain)
{
    struct dialogue d = {.config = {.tls = TLS_POLICY_ALL, .implicit_tls = true, .wants_login = true, .username = "ann", .host = "h",
                                    .trace = true}};
    struct engine_tls tls = {.verified = true};
    start(&d, steps[_i]);
    ck_assert_int_eq(d.e->ops->tls_started(d.e, &tls), 0);
    say(&d, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR LOGINDISABLED] hi");
    struct secret *s = password();
    ck_assert_int_eq(d.e->ops->credential(d.e, s), 0);
    secret_unref(s);
    heard(&d, "% AUTHENTICATE PLAIN AGFubgBwYSBzcw==\r\n");
    pull(&d);
    char want[300];
    snprintf(want, sizeof(want),
             "TRACE < * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR LOGINDISABLED] hi;TRACE > %s AUTHENTICATE PLAIN ***;",
             d.tags[0]);
    happened(&d, want);
    say(&d, "%1 OK [CAPABILITY IMAP4rev1 IDLE] in");
    snprintf(want, sizeof(want), "TRACE < %s OK [CAPABILITY IMAP4rev1 IDLE] in;READY;", d.tags[0]);
    happened(&d, want);
    stop(&d);
}
END_TEST

/* RETURN options where ESEARCH is offered; what is not offered is named before anything goes out. */
START_TEST(search_options)
{
    struct dialogue d;
    struct fault fault = {.kind = FAULT_NONE};
    start_ready(&d, steps[_i], "IMAP4rev1 ESEARCH SEARCHRES PARTIAL WITHIN");
    struct imap_set saved = set_of("$"), some = set_of("1:3,9");
    struct imap_command box, a = {.kind = IMAP_SEARCH, .text = SLICE("YOUNGER 60"), .returns = IMAP_RETURN_MIN | IMAP_RETURN_SAVE};
    struct imap_command b = {.kind = IMAP_FETCH, .set = &saved, .items = &SLICE("FLAGS"), .n_items = 1};
    struct imap_command c = {.kind = IMAP_SEARCH, .text = SLICE("$"), .set = &some, .returns = IMAP_RETURN_PARTIAL, .partial = SLICE("-1:-5")};
    struct imap_command no = {.kind = IMAP_SEARCH, .text = SLICE("(OR SEEN (FUZZY SUBJECT x))")};
    select_inbox(&d, &box);
    submit(&d, &a);
    heard(&d, "% UID SEARCH RETURN (MIN SAVE) YOUNGER 60\r\n");
    say(&d, "* ESEARCH (TAG \"%2\") UID MIN 3");
    say(&d, "%2 OK x");
    char want[100];
    snprintf(want, sizeof(want), "REPLY SEARCH ESEARCH 0 (TAG \"%s\") UID MIN 3;DONE SEARCH OK;", d.tags[1]);
    happened(&d, want);
    submit(&d, &b);
    heard(&d, "% UID FETCH $ (FLAGS)\r\n");
    say(&d, "%3 OK x");
    submit(&d, &c);
    heard(&d, "% UID SEARCH RETURN (PARTIAL -1:-5) UID 1:3,9 $\r\n");
    ck_assert_int_eq(imap_client_submit(d.e, &no, &fault), -ENOTSUP);
    ck_assert(strstr(fault.text, "SEARCH=FUZZY"));
    imap_set_done(&saved);
    imap_set_done(&some);
    stop(&d);
}
END_TEST

START_TEST(refused_login)
{
    struct dialogue d = {.config = {.tls = TLS_POLICY_NONE, .allow_plaintext_auth = true, .wants_login = true, .username = "ann",
                                    .host = "h"}};
    start(&d, steps[_i]);
    say(&d, "* OK [CAPABILITY IMAP4rev1] hi");
    struct secret *s = password();
    ck_assert_int_eq(d.e->ops->credential(d.e, s), 0);
    secret_unref(s);
    heard(&d, "% LOGIN ann \"pa ss\"\r\n");
    say(&d, "%1 NO [AUTHENTICATIONFAILED] no");
    ck_assert_int_lt(d.error, 0);
    ck_assert_int_eq(d.e->fault.kind, FAULT_AUTH);
    ck_assert_str_eq(d.e->fault.stage, "auth");
    ck_assert_str_eq(d.e->fault.reply.response_code, "AUTHENTICATIONFAILED");
    stop(&d);
}
END_TEST

/* What must end the connection before any credential was sent. */
static void refuses(const char *const *said, struct engine_config config, enum fault_kind kind, size_t step)
{
    struct dialogue d = {.config = config};
    start(&d, step);
    for (size_t i = 0; said[i]; i++) {
        struct slice out = d.e->ops->output(d.e);
        if (out.len) {
            size_t n = MIN(slice_find(out, ' '), (size_t) 11);
            memcpy(d.tags[d.n_tags++], out.data, n);
            ck_assert(slice_find(out, '"') == out.len); /* nothing that could be a password */
            d.e->ops->sent(d.e, out.len);
        }
        say(&d, said[i]);
    }
    ck_assert_msg(d.error < 0, "%s", said[0]);
    ck_assert_msg(d.e->fault.kind == kind, "%s: %s", said[0], d.e->fault.text);
    ck_assert(!(d.e->ops->wants(d.e) & ENGINE_WANT_CREDENTIAL));
    stop(&d);
}

START_TEST(tls_is_not_talked_away)
{
    struct engine_config c = {.tls = TLS_POLICY_ALL, .wants_login = true, .username = "a", .host = "h"};
    size_t step = steps[_i];
    refuses((const char *const[]){"* OK hi", "* CAPABILITY IMAP4rev1\r\n%1 OK x", NULL}, c, FAULT_TLS, step);
    refuses((const char *const[]){"* OK [CAPABILITY IMAP4rev1] hi", NULL}, c, FAULT_TLS, step);
    refuses((const char *const[]){"* OK hi", "%1 BAD x", NULL}, c, FAULT_TLS, step);
    refuses((const char *const[]){"* OK [CAPABILITY STARTTLS] hi", "%1 NO x", NULL}, c, FAULT_TLS, step);
    refuses((const char *const[]){"* OK [CAPABILITY STARTTLS] hi", "%1 BAD x", NULL}, c, FAULT_TLS, step);
    refuses((const char *const[]){"* PREAUTH [CAPABILITY IMAP4rev1] hi", NULL}, c, FAULT_TLS, step);
    refuses((const char *const[]){"* OK [CAPABILITY STARTTLS] hi\r\nA001 OK x\r\nA002 OK x", NULL}, c, FAULT_PROTOCOL, step);
    refuses((const char *const[]){"* OK [CAPABILITY STARTTLS] hi", "%1 OK go\r\n* OK injected", NULL}, c, FAULT_PROTOCOL, step);
    refuses((const char *const[]){"* OK [CAPABILITY STARTTLS] hi", "%1 OK go\r\n* O", NULL}, c, FAULT_PROTOCOL, step);
    refuses((const char *const[]){"220 smtp.example ESMTP", NULL}, c, FAULT_PROTOCOL, step);
    refuses((const char *const[]){"* BYE busy", NULL}, c, FAULT_REJECTED, step);
    refuses((const char *const[]){"* 5 EXISTS", NULL}, c, FAULT_PROTOCOL, step);
    c.tls = TLS_POLICY_NONE;
    refuses((const char *const[]){"* PREAUTH [CAPABILITY IMAP4rev1] hi", NULL}, c, FAULT_PROTOCOL, step);
    refuses((const char *const[]){"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", NULL}, c, FAULT_TLS, step); /* in clear */
}
END_TEST

/* --- commands --- */

START_TEST(select_and_fetch)
{
    struct dialogue d;
    struct imap_command select, fetch;
    struct imap_set set = set_of("1:5");
    static const struct slice items[] = {SLICE("UID"), SLICE("FLAGS"), SLICE("BODY.PEEK[]")};
    start_ready(&d, steps[_i], CAPS);
    select_inbox(&d, &select);
    struct imap_mailbox_state box;
    imap_client_selected(d.e, &box);
    ck_assert(box.selected && !box.readonly && box.uidvalidity == 77 && box.uidnext == 10 && box.exists == 3);
    ck_slice_eq(box.permanentflags, "\\Seen \\*");
    fetch = (struct imap_command){.kind = IMAP_FETCH, .set = &set, .items = items, .n_items = 3};
    submit(&d, &fetch);
    heard(&d, "% UID FETCH 1:5 (UID FLAGS BODY.PEEK[])\r\n");
    ck_assert_str_eq(d.e->ops->stage(d.e), "fetch");
    say(&d, "* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[] {5}");
    raw(&d, "a\r\nb)", 5);
    happened(&d, "");
    say(&d, ")");
    happened(&d, "REPLY FETCH 1/1 first last[UID 1 FLAGS (\\Seen) BODY[] {5}\r\na\r\nb))];");
    say(&d, "* 2 FETCH (FLAGS (\\Flagged) UID 2)"); /* not what was asked for */
    say(&d, "* 9 FETCH (UID 9 BODY[] \"other\")"); /* nor is that */
    say(&d, "* 3 FETCH (BODY[] \"no uid\")");
    say(&d, "* 4 EXISTS");
    say(&d, "* 99 EXPUNGE");
    say(&d, "* 1 EXPUNGE");
    happened(&d, "NOTICE FETCH 2/2 first last[FLAGS (\\Flagged) UID 2)];NOTICE FETCH 9/9 first last[UID 9 BODY[] \"other\")];"
                 "NOTICE FETCH 3/0 first last[BODY[] \"no uid\")];NOTICE FETCH EXISTS 4 ;NOTICE FETCH EXPUNGE 99 ;NOTICE FETCH "
                 "EXPUNGE 1 ;");
    imap_client_selected(d.e, &box);
    ck_assert_uint_eq(box.exists, 3);
    say(&d, "%2 OK done");
    happened(&d, "DONE FETCH OK;");
    ck_assert(d.e->ops->idle(d.e));
    imap_set_done(&set);
    stop(&d);
}
END_TEST

START_TEST(literals_stream)
{
    struct dialogue d;
    struct imap_command select, fetch;
    struct imap_set set = set_of("1:5");
    static const struct slice items[] = {SLICE("BODY[]")};
    static char literal[5000];
    char head[64];
    memset(literal, 'x', sizeof(literal));
    memcpy(literal + 100, "\r\n)\r\n{9}\r\n", 10);
    start_ready(&d, steps[_i], CAPS);
    select_inbox(&d, &select);
    fetch = (struct imap_command){.kind = IMAP_FETCH, .set = &set, .items = items, .n_items = 1};
    submit(&d, &fetch);
    heard(&d, "% UID FETCH 1:5 (BODY[])\r\n");
    for (int late = 0; late < 2; late++) {
        snprintf(head, sizeof(head), "* 2 FETCH (%sBODY[] {5000}", late ? "" : "UID 2 ");
        say(&d, head);
        raw(&d, literal, sizeof(literal));
        say(&d, late ? " UID 9)" : " FLAGS ())");
        d.log[d.n_log] = '\0';
        if (late)
            ck_assert_ptr_nonnull(strstr(d.log, "REPLY FETCH 2/0 first[BODY[] {5000}];DATA xxxx"));
        else
            ck_assert_ptr_nonnull(strstr(d.log, "REPLY FETCH 2/2 first[UID 2 BODY[] {5000}];DATA xxxx"));
        ck_assert_ptr_nonnull(strstr(d.log, late ? "xxx;REPLY FETCH 2/9 last[ UID 9)] discard;"
                                                 : "xxx;REPLY FETCH 2/2 last[ FLAGS ())];"));
        d.n_log = 0;
    }
    /* Nobody's message: its bytes are read over. */
    say(&d, "* 7 FETCH (UID 7 BODY[] {5000}");
    raw(&d, literal, sizeof(literal));
    say(&d, ")");
    happened(&d, "NOTICE FETCH 7/7 first[UID 7 BODY[] {5000}];");
    say(&d, "%2 OK done");
    happened(&d, "DONE FETCH OK;");
    imap_set_done(&set);
    stop(&d);
}
END_TEST

START_TEST(pipelining)
{
    struct dialogue d;
    struct imap_command select, a, b, c, s1, s2;
    struct imap_set one = set_of("1"), two = set_of("2:3"), again = set_of("1:2");
    static const struct slice items[] = {SLICE("FLAGS")};
    start_ready(&d, steps[_i], CAPS);
    select_inbox(&d, &select);
    a = b = c = (struct imap_command){.kind = IMAP_FETCH, .items = items, .n_items = 1};
    a.set = &one;
    b.set = &two;
    c.set = &again;
    submit(&d, &a);
    submit(&d, &b);
    ck_assert(imap_client_would_wait(d.e, &c));
    submit(&d, &c);
    heard(&d, "% UID FETCH 1 (FLAGS)\r\n% UID FETCH 2:3 (FLAGS)\r\n");
    ck_assert_int_eq(c.request.state, REQUEST_QUEUED);
    ck_assert_int_eq(d.e->ops->withdraw(d.e, &b.request), -EBUSY);
    say(&d, "* 2 FETCH (UID 2 FLAGS ())");
    say(&d, "* 1 FETCH (UID 1 FLAGS ())");
    say(&d, "%2 OK x");
    happened(&d, "REPLY FETCH 2/2 first last[UID 2 FLAGS ())];REPLY FETCH 1/1 first last[UID 1 FLAGS ())];DONE FETCH OK;");
    heard(&d, "");
    say(&d, "%3 OK x");
    heard(&d, "% UID FETCH 1:2 (FLAGS)\r\n");
    say(&d, "%4 OK x");
    happened(&d, "DONE FETCH OK;DONE FETCH OK;");
    s1 = s2 = (struct imap_command){.kind = IMAP_SEARCH, .text = SLICE("UNSEEN")};
    submit(&d, &s1);
    submit(&d, &s2);
    heard(&d, "% UID SEARCH RETURN (ALL) UNSEEN\r\n% UID SEARCH RETURN (ALL) UNSEEN\r\n");
    say(&d, "* ESEARCH (TAG \"%6\") UID ALL 7");
    ck_assert_ptr_eq(((struct imap_command *) (void *) s2.request.owner), NULL);
    say(&d, "* ESEARCH (TAG \"nobody\") UID ALL 8");
    say(&d, "%6 OK x");
    say(&d, "%5 OK x");
    d.log[d.n_log] = '\0';
    ck_assert_ptr_nonnull(strstr(d.log, "REPLY SEARCH ESEARCH 0"));
    ck_assert_ptr_nonnull(strstr(d.log, "NOTICE SEARCH ESEARCH 0 (TAG \"nobody\")"));
    imap_set_done(&one);
    imap_set_done(&two);
    imap_set_done(&again);
    stop(&d);
}
END_TEST

START_TEST(answers_are_accounted_for)
{
    static const char *const bad[] = {"A1 OK stray", "%1 OK again", "garbage", "", "* 1 FETCH (UID 1 BODY[] {4294967295}",
                                      "* LIST () \"/\" {18446744073709551617}", "* 1 FETCH (BODY[] {-1}", "* PREAUTH x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct dialogue d;
        struct imap_command select;
        start_ready(&d, steps[_i], CAPS);
        select_inbox(&d, &select);
        say(&d, "+ nobody asked"); /* ignored, and nothing is said to it */
        heard(&d, "");
        ck_assert_int_eq(d.error, 0);
        say(&d, bad[i]);
        ck_assert_msg(d.error < 0 && d.e->fault.kind == FAULT_PROTOCOL, "%s", bad[i]);
        ck_assert(d.e->ops->wants(d.e) & ENGINE_WANT_CLOSED);
        stop(&d);
    }
}
END_TEST

START_TEST(select_that_fails_selects_nothing)
{
    struct dialogue d;
    struct imap_command select, again = {.kind = IMAP_EXAMINE, .mailbox = SLICE("M\xc3\xbcll")};
    struct imap_mailbox_state box;
    struct slice planned;
    bool readonly, pending;
    start_ready(&d, steps[_i], CAPS);
    select_inbox(&d, &select);
    submit(&d, &again);
    heard(&d, "% EXAMINE M&APw-ll\r\n");
    imap_client_planned(d.e, &planned, &readonly, &pending);
    ck_slice_eq(planned, "M\xc3\xbcll");
    ck_assert(readonly && pending);
    say(&d, "%2 NO [NONEXISTENT] none");
    happened(&d, "DONE EXAMINE NO fault;");
    imap_client_selected(d.e, &box);
    ck_assert(!box.selected);
    imap_client_planned(d.e, &planned, &readonly, &pending);
    ck_assert_uint_eq(planned.len, 0);
    stop(&d);
}
END_TEST

START_TEST(status_by_name_and_stray_codes)
{
    struct dialogue d;
    struct imap_command select, status, copy;
    struct imap_set set = set_of("1");
    static const struct slice items[] = {SLICE("MESSAGES")};
    start_ready(&d, steps[_i], CAPS);
    select_inbox(&d, &select);
    status = (struct imap_command){.kind = IMAP_STATUS, .mailbox = SLICE("a b"), .items = items, .n_items = 1};
    submit(&d, &status);
    heard(&d, "% STATUS \"a b\" (MESSAGES)\r\n");
    say(&d, "* STATUS other (MESSAGES 5)");
    say(&d, "* STATUS {3}\r\na b (MESSAGES 6)");
    say(&d, "* OK [COPYUID 1 1 1] stray");
    say(&d, "%2 OK x");
    happened(&d, "NOTICE STATUS STATUS 0 other (MESSAGES 5);REPLY STATUS STATUS 0 {3}\r\na b (MESSAGES 6);DONE STATUS OK;");
    copy = (struct imap_command){.kind = IMAP_MOVE, .set = &set, .other = SLICE("Sent")};
    submit(&d, &copy);
    heard(&d, "% UID MOVE 1 Sent\r\n");
    say(&d, "* OK [COPYUID 1 1 1] mine");
    say(&d, "* 1 EXPUNGE");
    say(&d, "%3 OK x");
    happened(&d, "REPLY MOVE  0 mine;REPLY MOVE EXPUNGE 1 ;DONE MOVE OK;");
    imap_set_done(&set);
    stop(&d);
}
END_TEST

/* --- APPEND --- */

START_TEST(nothing_from_outside_ends_a_command)
{
    struct dialogue d;
    struct fault fault;
    struct imap_set set = set_of("1");
    static const struct slice evil[] = {SLICE("\\Seen) EXPUNGE"), SLICE("BODY[]\r\nx LOGOUT"), SLICE("a\r\nb")};
    struct imap_command bad[] = {
        {.kind = IMAP_SELECT, .mailbox = SLICE("a\r\nx LOGOUT")},
        {.kind = IMAP_STORE, .set = &set, .items = evil, .n_items = 1},
        {.kind = IMAP_FETCH, .set = &set, .items = evil + 1, .n_items = 1},
        {.kind = IMAP_STATUS, .mailbox = SLICE("x"), .items = evil + 2, .n_items = 1},
        {.kind = IMAP_SEARCH, .text = SLICE("UNSEEN) NOOP (")},
        {.kind = IMAP_SEARCH, .text = SLICE("SUBJECT")},
        {.kind = IMAP_SEARCH, .text = SLICE("UNSEEN {5}")},
        {.kind = IMAP_SEARCH, .text = SLICE("SUBJECT \"a\0b\"")},
        {.kind = IMAP_GENERIC, .text = SLICE("NOOP\r\nx LOGOUT")},
        {.kind = IMAP_GENERIC, .text = SLICE("LIST \"\" {5}")},
        {.kind = IMAP_APPEND, .mailbox = SLICE("x"), .date = SLICE("1\" \"2\r\n")},
        {.kind = IMAP_FETCH, .set = &set},
        {.kind = IMAP_COPY, .other = SLICE("x")},
    };
    start_ready(&d, 100, CAPS);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fault = (struct fault){.kind = FAULT_NONE};
        ck_assert_msg(imap_client_submit(d.e, &bad[i], &fault) < 0, "row %zu", i);
        ck_assert_int_eq(fault.kind, FAULT_INVALID_PARAMS);
        heard(&d, "");
    }
    struct imap_command search = {.kind = IMAP_SEARCH,
                                  .text = SLICE("OR (FROM \"a \\\"b\" SUBJECT NIL) 1:* HEADER X-A \"\" TEXT Gr\xc3\xbc\xc3\x9f" "e")};
    submit(&d, &search);
    heard(&d, "% UID SEARCH RETURN (ALL) CHARSET UTF-8 OR (FROM \"a \\\"b\" SUBJECT \"NIL\") 1:* HEADER X-A \"\" TEXT "
              "{7+}\r\nGr\xc3\xbc\xc3\x9f" "e\r\n");
    imap_set_done(&set);
    stop(&d);
}
END_TEST

START_TEST(missing_extensions_are_named)
{
    struct dialogue d;
    struct imap_set set = set_of("1");
    struct imap_command commands[] = {{.kind = IMAP_MOVE, .set = &set, .other = SLICE("x")},
                                      {.kind = IMAP_EXPUNGE, .set = &set},
                                      {.kind = IMAP_UNSELECT}};
    static const char *const names[] = {"MOVE", "UIDPLUS", "UNSELECT"};
    start_ready(&d, 100, "IMAP4rev1");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct fault fault = {.kind = FAULT_NONE};
        ck_assert_int_lt(imap_client_submit(d.e, &commands[i], &fault), 0);
        ck_assert_int_eq(fault.kind, FAULT_MISSING_EXTENSION);
        ck_assert_ptr_nonnull(strstr(fault.text, names[i]));
    }
    imap_set_done(&set);
    stop(&d);
}
END_TEST

START_TEST(goodbye_and_probe)
{
    struct dialogue d;
    struct imap_command noop = {.kind = IMAP_NOOP};
    start_ready(&d, steps[_i], CAPS);
    ck_assert_int_eq(d.e->ops->probe(d.e), 1);
    heard(&d, "% NOOP\r\n");
    ck_assert(!d.e->ops->idle(d.e));
    say(&d, "%1 OK x");
    ck_assert(d.e->ops->idle(d.e));
    happened(&d, "");
    submit(&d, &noop);
    heard(&d, "% NOOP\r\n");
    say(&d, "* BYE shutting down");
    happened(&d, "CLOSING;");
    ck_assert(!(d.e->ops->wants(d.e) & ENGINE_WANT_CLOSED));
    struct fault fault = {.kind = FAULT_NONE};
    struct imap_command other = {.kind = IMAP_NOOP};
    ck_assert_int_lt(imap_client_submit(d.e, &other, &fault), 0);
    ck_assert_int_lt(d.e->ops->eof(d.e), 0);
    ck_assert_int_eq(d.e->fault.kind, FAULT_DISCONNECTED);
    stop(&d);
}
END_TEST

START_TEST(lines_have_a_limit)
{
    struct dialogue d = {.config = {.tls = TLS_POLICY_NONE}};
    static char x[70000];
    memset(x, 'x', sizeof(x));
    start(&d, 100000);
    ck_assert_int_eq(d.e->ops->feed(d.e, x, sizeof(x)), 0);
    pull(&d);
    ck_assert_int_lt(d.error, 0);
    ck_assert_int_eq(d.e->fault.kind, FAULT_PROTOCOL);
    stop(&d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("imap_client");
    TCase *tc = tcase_create("login");
    int n = (int) ARRAY_LEN(steps);
    tcase_add_loop_test(tc, login_over_starttls, 0, n);
    tcase_add_loop_test(tc, authenticate_plain, 0, n);
    tcase_add_loop_test(tc, search_options, 0, n);
    tcase_add_loop_test(tc, refused_login, 0, n);
    tcase_add_loop_test(tc, tls_is_not_talked_away, 0, n);
    suite_add_tcase(suite, tc);
    tc = tcase_create("commands");
    tcase_add_loop_test(tc, select_and_fetch, 0, n);
    tcase_add_loop_test(tc, literals_stream, 0, n);
    tcase_add_loop_test(tc, pipelining, 0, n);
    tcase_add_loop_test(tc, answers_are_accounted_for, 0, n);
    tcase_add_loop_test(tc, select_that_fails_selects_nothing, 0, n);
    tcase_add_loop_test(tc, status_by_name_and_stray_codes, 0, n);
    tcase_add_loop_test(tc, goodbye_and_probe, 0, n);
    tcase_add_test(tc, nothing_from_outside_ends_a_command);
    tcase_add_test(tc, missing_extensions_are_named);
    tcase_add_test(tc, lines_have_a_limit);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
