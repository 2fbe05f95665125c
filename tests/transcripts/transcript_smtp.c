/* SPDX-License-Identifier: MIT */
/* SMTP in transcripts. Actions: `submit [name=T] from=… to=A,B [size=] [body=8bit|binary] [only=chunked] [utf8=yes] [header=utf8] [requiretls=yes] [by=60;R] [priority=3] [notify=never|failure,…]
 * [orcpt=] [ret=full|hdrs] [envid=]`, `command [name=C] NOOP|RSET|…|MAIL|RCPT|DATA|BODY|STARTTLS|AUTH|AUTH_LINE|LOGIN [ARGUMENT]`
 * (AUTH MECHANISM RESPONSE, LOGIN USER PASSWORD), `end NAME begin|written` (its state), `in STATE` (of the dialogue).
 * Events: `NAME mail 250 2.1.0`, `NAME rcpt ADDRESS 550 5.1.1`, `NAME data 354`, `NAME final 250`, `done NAME`. */
#include "smtp_client.h"
#include "transcript.h"

#include <stdlib.h>

#define REQUESTS 32
#define RECIPIENTS 64

struct request {
    struct smtp_transaction t;
    struct smtp_command c;
    struct smtp_login login;
    char username[64];
    bool is_command, used;
    struct slice name;
    struct smtp_recipient recipients[RECIPIENTS];
};

struct state {
    struct request requests[REQUESTS];
    unsigned next;
};

static struct smtp_request *smtp_request(struct request *r)
{
    return r->is_command ? &r->c.request : &r->t.request;
}

static struct request *by_request(struct transcript_run *run, const struct engine_request *e)
{
    struct state *st = run->state;
    for (size_t i = 0; i < REQUESTS; i++)
        if (st->requests[i].used && &smtp_request(&st->requests[i])->base == e)
            return &st->requests[i];
    return NULL;
}

static struct engine_request *find(struct transcript_run *run, struct slice name)
{
    struct state *st = run->state;
    for (size_t i = 0; i < REQUESTS; i++)
        if (st->requests[i].used && slice_eq(st->requests[i].name, name))
            return &smtp_request(&st->requests[i])->base;
    return NULL;
}

static void format(struct transcript_run *run, const struct engine_event *ev, struct buffer *out)
{
    static const char *const contexts[] = {
        [SMTP_CONTEXT_RSET] = "rset", [SMTP_CONTEXT_MAIL] = "mail",   [SMTP_CONTEXT_RCPT] = "rcpt",
        [SMTP_CONTEXT_DATA] = "data", [SMTP_CONTEXT_FINAL] = "final", [SMTP_CONTEXT_COMMAND] = "reply",
    };
    const struct smtp_event *s = container_of((struct engine_event *) (void *) (uintptr_t) ev, struct smtp_event, base);
    struct request *r = by_request(run, ev->request);
    int failed = 0;

    if (!r)
        transcript_die(run, "an event of no request");
    if (ev->type == ENGINE_EVENT_DONE) {
        failed |= buffer_printf(out, "done %.*s", (int) r->name.len, r->name.data);
    } else {
        failed |= buffer_printf(out, "%.*s %s", (int) r->name.len, r->name.data, contexts[s->context]);
        if (s->recipient)
            failed |= buffer_printf(out, " %.*s", (int) s->recipient->address.len, s->recipient->address.data);
        failed |= buffer_printf(out, " %d", s->reply.code);
        if (s->reply.enhanced[0])
            failed |= buffer_printf(out, " %s", s->reply.enhanced);
        if (s->context == SMTP_CONTEXT_COMMAND) {
            failed |= buffer_append_char(out, ' ');
            transcript_escape(out, s->reply.text);
        }
    }
    if (failed)
        transcript_die(run, "out of memory");
}

static struct request *new_request(struct transcript_run *run, bool is_command)
{
    struct state *st = run->state;
    if (st->next == REQUESTS)
        transcript_die(run, "too many requests");
    struct request *r = &st->requests[st->next++];
    smtp_transaction_init(&r->t);
    r->t.recipients = r->recipients;
    r->is_command = is_command;
    r->used = true;
    r->name = SLICE("T");
    return r;
}

static unsigned notify_set(struct slice value)
{
    unsigned set = 0;
    while (value.len) {
        size_t comma = slice_find(value, ',');
        struct slice one = slice_to(value, comma);
        set |= slice_eq(one, SLICE("never"))     ? SMTP_NOTIFY_NEVER
               : slice_eq(one, SLICE("success")) ? SMTP_NOTIFY_SUCCESS
               : slice_eq(one, SLICE("failure")) ? SMTP_NOTIFY_FAILURE
                                                 : SMTP_NOTIFY_DELAY;
        value = slice_from(value, comma + 1);
    }
    return set;
}

static void set_recipients(struct request *r, struct slice value)
{
    while (value.len && r->t.n_recipients < RECIPIENTS) {
        size_t comma = slice_find(value, ',');
        r->recipients[r->t.n_recipients++].address = slice_to(value, comma);
        value = slice_from(value, comma + 1);
    }
}

static int64_t number_of(struct transcript_run *run, struct slice value)
{
    bool minus = slice_starts(value, SLICE("-"));
    uint64_t n;
    if (!slice_to_u64(slice_from(value, minus), INT32_MAX, &n))
        transcript_die(run, "not a number");
    return minus ? -(int64_t) n : (int64_t) n;
}

static void set_by(struct transcript_run *run, struct request *r, struct slice value)
{
    size_t semicolon = slice_find(value, ';');
    r->t.by_s = number_of(run, slice_to(value, semicolon));
    r->t.by_mode = slice_eq(slice_from(value, semicolon + 1), SLICE("N")) ? SMTP_BY_NOTIFY : SMTP_BY_RETURN;
}

static void set_priority(struct transcript_run *run, struct request *r, struct slice value)
{
    r->t.has_priority = true;
    r->t.priority = (int) number_of(run, value);
}

static void submit(struct transcript_run *run, struct slice rest)
{
    struct request *r = new_request(run, false);
    struct slice name, value, orcpt = SLICE_EMPTY;
    struct fault fault = {0};
    unsigned notify = 0;

    while (transcript_word(&rest, &name, &value)) {
        if (slice_eq(name, SLICE("name")))
            r->name = value;
        else if (slice_eq(name, SLICE("from")))
            r->t.from = value;
        else if (slice_eq(name, SLICE("to")))
            set_recipients(r, value);
        else if (slice_eq(name, SLICE("size")))
            r->t.has_size = slice_to_u64(value, UINT64_MAX, &r->t.size);
        else if (slice_eq(name, SLICE("body")))
            r->t.body = slice_eq(value, SLICE("8bit")) ? SMTP_BODY_8BITMIME : SMTP_BODY_BINARYMIME;
        else if (slice_eq(name, SLICE("only")))
            r->t.only_chunked = true;
        else if (slice_eq(name, SLICE("utf8")))
            r->t.smtputf8 = true;
        else if (slice_eq(name, SLICE("header")))
            r->t.smtputf8 = r->t.utf8_header = true;
        else if (slice_eq(name, SLICE("requiretls")))
            r->t.requiretls = true;
        else if (slice_eq(name, SLICE("by")))
            set_by(run, r, value);
        else if (slice_eq(name, SLICE("priority")))
            set_priority(run, r, value);
        else if (slice_eq(name, SLICE("notify")))
            notify = notify_set(value);
        else if (slice_eq(name, SLICE("orcpt")))
            orcpt = value;
        else if (slice_eq(name, SLICE("ret")))
            r->t.ret = slice_eq(value, SLICE("full")) ? SMTP_RET_FULL : SMTP_RET_HDRS;
        else if (slice_eq(name, SLICE("envid")))
            r->t.envid = value;
        else
            transcript_die(run, "unknown word");
    }
    for (size_t i = 0; i < r->t.n_recipients; i++) {
        r->recipients[i].notify = notify;
        r->recipients[i].orcpt = orcpt;
    }
    transcript_submitted(run, IN_ENGINE(smtp_client_submit(run->engine, &r->t.request, &fault)), &fault);
}

/* What belongs to the command beside its argument. */
static void complete_command(struct transcript_run *run, struct request *r)
{
    struct smtp_command *c = &r->c;
    size_t space = slice_find(c->argument, ' ');

    if (c->verb == SMTP_VERB_MAIL) {
        r->t.from = c->argument;
    } else if (c->verb == SMTP_VERB_RCPT) {
        r->t.n_recipients = 1;
        r->recipients[0].address = c->argument;
    } else if (c->verb == SMTP_VERB_AUTH) {
        if (space < c->argument.len)
            c->response = slice_from(c->argument, space + 1);
        c->argument = slice_to(c->argument, space);
    } else if (c->verb == SMTP_VERB_AUTH_LINE) {
        c->response = c->argument;
    } else if (c->verb == SMTP_VERB_LOGIN && space < sizeof(r->username)) {
        struct slice password = slice_from(c->argument, space + 1);
        memcpy(r->username, c->argument.data, space);
        r->login.config = run->config;
        r->login.config.username = r->username;
        r->login.config.wants_login = true;
        r->login.secret = secret_new(password.data, password.len);
    }
    c->envelope = &r->t;
    c->login = &r->login;
}

static void command(struct transcript_run *run, struct slice rest)
{
    static const char *const verbs[] = {"NOOP", "RSET", "VRFY", "EXPN", "HELP", "RAW", "EHLO", "HELO",
                                        "MAIL", "RCPT", "DATA", "BODY", "STARTTLS", "AUTH", "AUTH_LINE", "LOGIN"};
    struct request *r = new_request(run, true);
    struct slice called = SLICE("C"), verb, value;
    struct fault fault = {0};

    if (slice_starts(rest, SLICE("name=")))
        (void) transcript_word(&rest, &verb, &called);
    if (!transcript_word(&rest, &verb, &value))
        transcript_die(run, "which command?");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (slice_eq(verb, slice_of_str(verbs[i])))
            smtp_command_init(&r->c, (enum smtp_verb) i, slice_trim(rest));
    complete_command(run, r);
    r->name = called;
    transcript_submitted(run, IN_ENGINE(smtp_client_submit(run->engine, &r->c.request, &fault)), &fault);
}

static void check_state(struct transcript_run *run, struct slice rest)
{
    static const char *const names[] = {"new", "queued", "partly", "written", "answered"};
    size_t space = slice_find(rest, ' ');
    struct engine_request *e = find(run, slice_to(rest, space));

    if (!e || !slice_eq(slice_from(rest, space + 1), slice_of_str(names[e->state])))
        transcript_die(run, "its state is %s", e ? names[e->state] : "unknown");
}

static void check_dialogue(struct transcript_run *run, struct slice rest)
{
    const char *now = smtp_dialogue_name(smtp_client_dialogue(run->engine));
    if (!slice_eq(rest, slice_of_str(now)))
        transcript_die(run, "the dialogue is in %s", now);
}

static bool action(struct transcript_run *run, struct slice verb, struct slice rest)
{
    if (slice_eq(verb, SLICE("submit")))
        submit(run, rest);
    else if (slice_eq(verb, SLICE("command")))
        command(run, rest);
    else if (slice_eq(verb, SLICE("in")))
        check_dialogue(run, rest);
    else if (slice_eq(verb, SLICE("state")))
        check_state(run, rest);
    else
        return false;
    return true;
}

static void done(struct transcript_run *run)
{
    struct state *st = run->state;
    for (size_t i = 0; i < REQUESTS; i++)
        st->requests[i].login.secret = secret_unref(st->requests[i].login.secret);
}

const struct transcript_protocol transcript_smtp = {
    .name = "smtp",
    .create = smtp_client_new,
    .state_size = sizeof(struct state),
    .format = format,
    .action = action,
    .find = find,
    .done = done,
};
