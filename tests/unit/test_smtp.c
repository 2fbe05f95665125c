/* SPDX-License-Identifier: MIT */
/* What of the SMTP engine is better tested alone: the body's filter against every split, replies, long envelopes. */
#include "unit.h"

#include "smtp_body.h"
#include "smtp_client.h"

#include <errno.h>
#include <stdio.h>

/* --- the filter --- */

static size_t filter(const char *in, size_t len, size_t cut, char *out)
{
    struct smtp_body b;
    size_t n;

    smtp_body_init(&b);
    n = smtp_body_filter(&b, slice_of(in, cut), out);
    n += smtp_body_filter(&b, slice_of(in + cut, len - cut), out + n);
    return n + smtp_body_end(&b, out + n);
}

START_TEST(body_rows)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ".\r\n"},
        {"a", "a\r\n.\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {"a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\r\r\n.\r\r\n", "a\r\n\r\n..\r\n\r\n.\r\n"},
        {".", "..\r\n.\r\n"},
        {"...", "....\r\n.\r\n"},
        {"\r", "\r\n.\r\n"},
        {"\n", "\r\n.\r\n"},
        {"\n\r", "\r\n\r\n.\r\n"},
        {"\r\n.\r\n", "\r\n..\r\n.\r\n"},
        {"\r\n.\r\nMAIL FROM:<x>\r\n", "\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"},
    };
    char out[256];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].in);
        for (size_t cut = 0; cut <= len; cut++)
            ck_slice_eq(slice_of(out, filter(rows[i].in, len, cut, out)), rows[i].out);
    }
}
END_TEST

/* Every text of up to 6 of these characters: whatever is given, CRLF . CRLF stands at the end alone, no CR or LF is bare, and
 * what a server makes of it is the text with its line ends as CRLF. */
START_TEST(body_every_text)
{
    static const char alphabet[] = "\r\n.a";
    char in[6], out[64], twice[64];

    for (size_t len = 0; len <= sizeof(in); len++) {
        for (unsigned code = 0; code < 1u << (2 * len); code++) {
            for (size_t i = 0; i < len; i++)
                in[i] = alphabet[code >> (2 * i) & 3];
            size_t n = filter(in, len, 0, out);
            ck_assert_uint_le(n, smtp_body_max(len) + SMTP_BODY_END_MAX);
            for (size_t cut = 1; cut < len; cut++) {
                ck_assert_uint_eq(filter(in, len, cut, twice), n);
                ck_assert_mem_eq(out, twice, n);
            }
            bool line_start = true;
            for (size_t i = 0; i < n; i += 2) {
                if (line_start && n - i >= 3 && memcmp(out + i, ".\r\n", 3) == 0) {
                    ck_assert_uint_eq(i, n - 3);
                    break;
                }
                while (out[i] != '\r') {
                    ck_assert(out[i] != '\n');
                    i++;
                }
                ck_assert(out[i + 1] == '\n');
                line_start = true;
            }
        }
    }
}
END_TEST

/* Texts longer than what is looked at at once, with a line end or a dot at each place: as a byte by byte reading has it. */
START_TEST(body_long)
{
    static const char *const marks[] = {"\r\n", "\n", "\r", ".", "\r\n.", "\n.", "\r.", "\r\n..", "\r\r\n", "\n\r", "\r\n.\r\n"};
    char in[200], out[2 * sizeof(in) + 8], wanted[2 * sizeof(in) + 8];

    for (size_t m = 0; m < ARRAY_LEN(marks); m++) {
        size_t len = strlen(marks[m]);
        for (size_t at = 0; at + len <= sizeof(in); at++) {
            for (size_t other = 0; other < 3; other++) {
                memset(in, 'x', sizeof(in));
                for (size_t i = 20; other && i + 2 < sizeof(in); i += other == 1 ? 33 : 64)
                    memcpy(in + i, "\r\n", 2);
                memcpy(in + at, marks[m], len);
                struct smtp_body b;
                smtp_body_init(&b);
                size_t n = 0;
                for (size_t i = 0; i < sizeof(in); i++)
                    n += smtp_body_filter(&b, slice_of(in + i, 1), wanted + n);
                n += smtp_body_end(&b, wanted + n);
                for (size_t cut = 0; cut <= sizeof(in); cut += 67) {
                    ck_assert_uint_eq(filter(in, sizeof(in), cut, out), n);
                    ck_assert_mem_eq(out, wanted, n);
                }
            }
        }
    }
}
END_TEST

/* --- replies --- */

START_TEST(enhanced_codes)
{
    static const struct {
        const char *line;
        int code;
        const char *enhanced;
        size_t len;
    } rows[] = {
        {"5.1.1 no", 550, "5.1.1", 6}, {"2.0.0", 250, "2.0.0", 5},     {"5.123.999 x", 550, "5.123.999", 10},
        {"4.1.1 no", 550, "", 0},      {"5.1 no", 550, "", 0},         {"5.1.1.1 no", 550, "", 0},
        {"5..1 no", 550, "", 0},       {"5.1.1234 no", 550, "", 0},    {"5.1.", 550, "", 0},
        {"", 550, "", 0},              {"5.1.1no", 550, "", 0},
    };
    char out[16];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_uint_eq(smtp_enhanced_code(slice_of_str(rows[i].line), rows[i].code, out), rows[i].len);
        ck_assert_str_eq(out, rows[i].enhanced);
    }
}
END_TEST

START_TEST(reply_text)
{
    struct smtp_reply_parser p;
    struct smtp_reply r;
    struct fault_reply f;

    smtp_reply_parser_init(&p, 0);
    ck_assert_int_eq(smtp_reply_line(&p, SLICE("550-5.7.1 You may"), &r), 0);
    ck_assert(smtp_reply_is_open(&p));
    ck_assert_int_eq(smtp_reply_line(&p, SLICE("550 5.7.1 not\x01\xff pass"), &r), 1);
    ck_assert_int_eq(r.code, 550);
    ck_slice_eq(r.text, "5.7.1 You may\n5.7.1 not\x01\xff pass");
    smtp_reply_to_fault(&r, &f);
    ck_assert_str_eq(f.enhanced, "5.7.1");
    ck_assert_str_eq(f.text, "You may not?? pass");
    ck_assert_int_eq(smtp_reply_line(&p, SLICE("250"), &r), 1);
    ck_slice_eq(r.text, "");
    for (int i = 0; i < SMTP_REPLY_LINES_MAX; i++)
        ck_assert_int_eq(smtp_reply_line(&p, SLICE("250-"), &r), 0);
    ck_assert_int_eq(smtp_reply_line(&p, SLICE("250-"), &r), -EMSGSIZE);
    smtp_reply_parser_done(&p);
}
END_TEST

/* --- the engine --- */

struct peer {
    struct engine *e;
    char out[1 << 20];
    size_t len;
    size_t chunk; /* bytes that are sent at once */
};

static void drain(struct peer *p)
{
    struct slice o;
    while ((o = p->e->ops->output(p->e)).len) {
        size_t n = p->chunk && o.len > p->chunk ? p->chunk : o.len;
        ck_assert_uint_lt(p->len + n, sizeof(p->out));
        memcpy(p->out + p->len, o.data, n);
        p->len += n;
        p->e->ops->sent(p->e, n);
    }
    p->out[p->len] = '\0';
}

static unsigned say(struct peer *p, const char *text, enum engine_event_type type)
{
    struct engine_event *ev;
    unsigned count = 0;
    int r;

    ck_assert_int_eq(p->e->ops->feed(p->e, text, strlen(text)), 0);
    while ((r = p->e->ops->next(p->e, &ev)) > 0)
        count += ev->type == type;
    ck_assert_int_eq(r, 0);
    drain(p);
    return count;
}

START_TEST(long_envelope)
{
    enum { N = 5000 };
    struct engine_config config = {.tls = TLS_POLICY_NONE, .domain = "me", .pipeline = PIPELINE_ENVELOPE};
    struct peer *p = calloc(1, sizeof(*p));
    struct smtp_transaction t;
    struct smtp_recipient *rcpts = calloc(N, sizeof(*rcpts));
    char *names = malloc(N * 64), *replies = malloc(N * 16);
    struct fault fault = {0};

    p->e = smtp_client_new(&config);
    p->chunk = 1000;
    say(p, "220 hi\r\n", ENGINE_EVENT_READY);
    ck_assert_uint_eq(say(p, "250-hi\r\n250 PIPELINING\r\n", ENGINE_EVENT_READY), 1);
    smtp_transaction_init(&t);
    t.from = SLICE("a@example.com");
    t.recipients = rcpts;
    t.n_recipients = N;
    for (size_t i = 0; i < N; i++) {
        int n = snprintf(names + 64 * i, 64, "somebody.with.a.long.name.%zu@lists.example.com", i);
        rcpts[i].address = slice_of(names + 64 * i, (size_t) n);
    }
    ck_assert_int_eq(smtp_client_submit(p->e, &t.request, &fault), 0);
    p->len = 0;
    drain(p); /* more than the output holds at once */
    ck_assert_uint_gt(p->len, 290000);
    ck_assert_str_eq(p->out + p->len - 6, "DATA\r\n");
    size_t at = (size_t) snprintf(replies, N * 16, "250 ok\r\n");
    for (size_t i = 0; i < N; i++)
        at += (size_t) snprintf(replies + at, N * 16 - at, "%s\r\n", i % 2 ? "550 no" : "250 ok");
    ck_assert_uint_eq(say(p, replies, ENGINE_EVENT_REPLY), N + 1);
    ck_assert_uint_eq(t.n_accepted, N / 2);
    ck_assert_uint_eq(say(p, "354 go\r\n", ENGINE_EVENT_REPLY), 1);
    ck_assert(p->e->ops->body_request(p->e) == &t.request.base);
    ck_assert_int_eq(p->e->ops->body(p->e, "x", 1, true), 1);
    drain(p);
    ck_assert_uint_eq(t.request.base.end_offset, t.request.base.begin_offset + p->len);
    ck_assert_uint_eq(say(p, "250 ok\r\n", ENGINE_EVENT_DONE), 1);
    ck_assert(p->e->ops->idle(p->e));
    engine_free(p->e);
    free(p);
    free(rcpts);
    free(names);
    free(replies);
}
END_TEST

/* A body is taken in pieces, and never more of it waits than the bound. */
START_TEST(long_body)
{
    struct engine_config config = {.tls = TLS_POLICY_NONE, .domain = "me"};
    struct peer *p = calloc(1, sizeof(*p));
    struct smtp_recipient rcpt = {.address = SLICE("b@example.com")};
    struct smtp_transaction t;
    struct fault fault = {0};
    char *text = malloc(200000);
    size_t given = 0, waited = 0;

    p->e = smtp_client_new(&config);
    say(p, "220 hi\r\n", ENGINE_EVENT_READY);
    say(p, "250-hi\r\n250 PIPELINING\r\n", ENGINE_EVENT_READY);
    smtp_transaction_init(&t);
    t.recipients = &rcpt;
    t.n_recipients = 1;
    ck_assert_int_eq(smtp_client_submit(p->e, &t.request, &fault), 0);
    drain(p);
    say(p, "250 ok\r\n250 ok\r\n354 go\r\n", ENGINE_EVENT_REPLY);
    memset(text, '\n', 200000);
    p->len = 0;
    while (given < 200000) {
        while (p->e->ops->wants(p->e) & ENGINE_WANT_BODY) {
            ssize_t n = p->e->ops->body(p->e, text + given, 200000 - given, true);
            ck_assert_int_gt(n, 0);
            given += (size_t) n;
        }
        waited = MAX(waited, p->e->ops->output(p->e).len);
        drain(p);
    }
    ck_assert_uint_le(waited, 200000);
    ck_assert_uint_eq(p->len, 400003);
    ck_assert_uint_eq(say(p, "250 ok\r\n", ENGINE_EVENT_DONE), 1);
    engine_free(p->e);
    free(p);
    free(text);
}
END_TEST

/* Why a token was refused stands in the challenge before the refusal. */
START_TEST(bearer_reason)
{
    struct engine_config config = {.tls = TLS_POLICY_NONE, .domain = "me", .wants_login = true, .has_token = true,
                                   .allow_plaintext_auth = true, .username = "ann"};
    struct peer *p = calloc(1, sizeof(*p));
    struct secret *token = secret_new("token", 5);
    struct engine_event *ev;

    p->e = smtp_client_new(&config);
    say(p, "220 hi\r\n", ENGINE_EVENT_READY);
    say(p, "250-hi\r\n250 AUTH XOAUTH2\r\n", ENGINE_EVENT_READY);
    ck_assert_int_eq(p->e->ops->credential(p->e, token), 0);
    say(p, "334 eyJzdGF0dXMiOiI0MDAifQ==\r\n", ENGINE_EVENT_READY);
    ck_assert_int_eq(p->e->ops->feed(p->e, "535 no\r\n", 8), 0);
    ck_assert_int_lt(p->e->ops->next(p->e, &ev), 0);
    ck_assert_int_eq((int) p->e->fault.kind, (int) FAULT_AUTH);
    ck_assert_ptr_nonnull(strstr(p->e->fault.text, "no ({\"status\":\"400\"})"));
    engine_free(p->e);
    secret_unref(token);
    free(p);
}
END_TEST

/* One mail to its recipients, from submission to DONE. */
static void pass(struct peer *p, struct smtp_recipient *rcpts, size_t n)
{
    struct smtp_transaction t;
    struct fault fault = {0};

    smtp_transaction_init(&t);
    t.from = SLICE("a@example.com");
    t.recipients = rcpts;
    t.n_recipients = n;
    ck_assert_int_eq(smtp_client_submit(p->e, &t.request, &fault), 0);
    say(p, "250 ok\r\n", ENGINE_EVENT_REPLY);
    for (size_t i = 0; i < n; i++)
        say(p, "250 ok\r\n", ENGINE_EVENT_REPLY);
    say(p, "354 go\r\n", ENGINE_EVENT_REPLY);
    ck_assert_int_eq(p->e->ops->body(p->e, "x", 1, true), 1);
    drain(p);
    ck_assert_uint_eq(say(p, "250 ok\r\n", ENGINE_EVENT_DONE), 1);
}

/* RFC 9422: what fits into a transaction, and when a connection is worn out. */
START_TEST(limits)
{
    static const struct {
        const char *offer;
        size_t room, room_then, room_last; /* at first, after one mail to what fitted, after another */
        bool spent_then, spent_last;
    } rows[] = {
        {"250 PIPELINING\r\n", 6, 6, 6, false, false},
        {"250 LIMITS RCPTMAX=4\r\n", 4, 4, 4, false, false},
        {"250 LIMITS RCPTMAX=1 MAILMAX=2\r\n", 1, 1, 0, false, true},
        {"250 LIMITS mailmax=1\r\n", 6, 0, 0, true, true},
        {"250 LIMITS RCPTDOMAINMAX=1\r\n", 2, 0, 0, true, true},
        {"250 LIMITS RCPTDOMAINMAX=2\r\n", 4, 0, 0, true, true},
        {"250 LIMITS RCPTDOMAINMAX=2 RCPTMAX=2\r\n", 2, 2, 2, false, false},
        {"250 LIMITS RCPTDOMAINMAX=4\r\n", 6, 6, 6, false, false},
        {"250 LIMITS RCPTDOMAINMAX=100000 RCPTMAX=0 MAILMAX=x\r\n", 6, 6, 6, false, false},
    };
    struct engine_config config = {.tls = TLS_POLICY_NONE, .domain = "me"};
    struct smtp_recipient rcpts[] = {{.address = SLICE("a@one.example")}, {.address = SLICE("b@ONE.example")},
                                     {.address = SLICE("a@two.example")}, {.address = SLICE("a@One.Example")},
                                     {.address = SLICE("a@three.example")}, {.address = SLICE("b@two.example")}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct peer *p = calloc(1, sizeof(*p));
        p->e = smtp_client_new(&config);
        say(p, "220 hi\r\n", ENGINE_EVENT_READY);
        say(p, "250-hi\r\n", ENGINE_EVENT_READY);
        ck_assert_uint_eq(say(p, rows[i].offer, ENGINE_EVENT_READY), 1);
        size_t n = smtp_client_room(p->e, rcpts, ARRAY_LEN(rcpts));
        ck_assert_uint_eq(n, rows[i].room);
        ck_assert(!p->e->ops->spent(p->e));
        pass(p, rcpts, n);
        ck_assert_uint_eq(smtp_client_room(p->e, rcpts, ARRAY_LEN(rcpts)), rows[i].room_then);
        ck_assert_int_eq(p->e->ops->spent(p->e), rows[i].spent_then);
        if (rows[i].room_then) {
            pass(p, rcpts, rows[i].room_then);
            ck_assert_uint_eq(smtp_client_room(p->e, rcpts, ARRAY_LEN(rcpts)), rows[i].room_last);
            ck_assert_int_eq(p->e->ops->spent(p->e), rows[i].spent_last);
        }
        engine_free(p->e);
        free(p);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp");
    TCase *t = tcase_create("smtp");

    tcase_add_test(t, body_rows);
    tcase_add_test(t, body_every_text);
    tcase_add_test(t, body_long);
    tcase_add_test(t, enhanced_codes);
    tcase_add_test(t, reply_text);
    tcase_add_test(t, long_envelope);
    tcase_add_test(t, long_body);
    tcase_add_test(t, bearer_reason);
    tcase_add_test(t, limits);
    suite_add_tcase(suite, t);
    return unit_run(suite);
}
