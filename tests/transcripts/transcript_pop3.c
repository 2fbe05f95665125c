/* SPDX-License-Identifier: MIT */
/* POP3 in transcripts. Actions: `command [name=C] STAT|LIST|UIDL|RETR|TOP|DELE|NOOP|RSET|CAPA|UTF8|QUIT [NUMBER [LINES]]`,
 * `raw [name=C] LINE`, `raw-lines [name=C] LINE`, `raw-hand [name=C] LINE`, `readline`; `step [name=C]
 * USER|PASS|APOP|RPOP|AUTH|STLS [ARGUMENT|- [SECRET]]`. Events: `NAME ok [CODE] [numbers or id]: TEXT`, `NAME err …`,
 * `NAME entry 1 200`, `NAME entry 1 ID`, `NAME line TEXT`, `data …`, `done NAME`. */
#include "pop3_client.h"
#include "transcript.h"

#define REQUESTS 16

struct request {
    struct pop3_command c;
    struct slice name;
    struct secret *secret;
};

struct state {
    struct request requests[REQUESTS];
    unsigned next;
};

static struct request *by_request(struct transcript_run *run, const struct engine_request *e)
{
    struct state *st = run->state;
    for (unsigned i = 0; i < st->next; i++)
        if (&st->requests[i].c.request == e)
            return &st->requests[i];
    transcript_die(run, "an event of no request");
}

static struct engine_request *find(struct transcript_run *run, struct slice name)
{
    struct state *st = run->state;
    for (unsigned i = 0; i < st->next; i++)
        if (slice_eq(st->requests[i].name, name))
            return &st->requests[i].c.request;
    return NULL;
}

static int format_detail(const struct pop3_event *ev, struct buffer *out)
{
    int failed = 0;

    if (ev->number)
        failed |= buffer_printf(out, " %u", ev->number);
    if (ev->id.len)
        failed |= buffer_printf(out, " %.*s", (int) ev->id.len, ev->id.data);
    else if (ev->number)
        failed |= buffer_printf(out, " %llu", (unsigned long long) ev->size);
    return failed;
}

static void format(struct transcript_run *run, const struct engine_event *e, struct buffer *out)
{
    const struct pop3_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) e, struct pop3_event, base);
    struct request *r = by_request(run, e->request);
    int failed = 0;

    if (e->type == ENGINE_EVENT_DONE) {
        failed |= buffer_printf(out, "done %.*s", (int) r->name.len, r->name.data);
    } else {
        failed |= buffer_printf(out, "%.*s ", (int) r->name.len, r->name.data);
        switch (ev->kind) {
        case POP3_EVENT_STATUS:
            failed |= buffer_append_slice(out, ev->ok ? SLICE("ok") : SLICE("err"));
            if (ev->code.len)
                failed |= buffer_printf(out, " [%.*s]", (int) ev->code.len, ev->code.data);
            failed |= format_detail(ev, out);
            failed |= buffer_append_slice(out, ev->text.len ? SLICE(": ") : SLICE(":"));
            transcript_escape(out, ev->text);
            break;
        case POP3_EVENT_ENTRY:
            failed |= buffer_append_slice(out, SLICE("entry"));
            failed |= format_detail(ev, out);
            break;
        case POP3_EVENT_LINE:
            failed |= buffer_append_slice(out, SLICE("line "));
            transcript_escape(out, ev->text);
            break;
        }
    }
    if (failed)
        transcript_die(run, "out of memory");
}

static struct request *new_request(struct transcript_run *run, struct slice *rest)
{
    struct state *st = run->state;
    struct slice name;

    if (st->next == REQUESTS)
        transcript_die(run, "too many requests");
    struct request *r = &st->requests[st->next++];
    r->name = SLICE("C");
    if (slice_starts(*rest, SLICE("name=")))
        (void) transcript_word(rest, &name, &r->name);
    *rest = slice_trim(*rest);
    return r;
}

static void submit(struct transcript_run *run, struct request *r)
{
    struct fault fault = {0};
    transcript_submitted(run, IN_ENGINE(pop3_client_submit(run->engine, &r->c, &fault)), &fault);
}

static enum pop3_verb verb_of(struct transcript_run *run, struct slice word, bool with_number)
{
    static const struct {
        const char *word;
        enum pop3_verb all, one;
    } words[] = {
        {"STAT", POP3_STAT, POP3_STAT}, {"LIST", POP3_LIST, POP3_LIST_ONE}, {"UIDL", POP3_UIDL, POP3_UIDL_ONE},
        {"RETR", POP3_RETR, POP3_RETR}, {"TOP", POP3_TOP, POP3_TOP},        {"DELE", POP3_DELE, POP3_DELE},
        {"NOOP", POP3_NOOP, POP3_NOOP}, {"RSET", POP3_RSET, POP3_RSET},     {"CAPA", POP3_CAPA, POP3_CAPA},
        {"UTF8", POP3_UTF8, POP3_UTF8}, {"QUIT", POP3_QUIT, POP3_QUIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq(word, slice_of_str(words[i].word)))
            return with_number ? words[i].one : words[i].all;
    transcript_die(run, "unknown command");
}

static void step(struct transcript_run *run, struct slice rest)
{
    static const struct {
        const char *word;
        enum pop3_verb verb;
    } words[] = {{"USER", POP3_USER}, {"PASS", POP3_PASS}, {"APOP", POP3_APOP},
                 {"RPOP", POP3_RPOP}, {"AUTH", POP3_AUTH}, {"STLS", POP3_STLS}};
    struct request *r = new_request(run, &rest);
    struct slice word, ignored, argument = SLICE_EMPTY, secret = SLICE_EMPTY;
    size_t i = 0;

    (void) transcript_word(&rest, &word, &ignored);
    (void) transcript_word(&rest, &argument, &ignored);
    (void) transcript_word(&rest, &secret, &ignored);
    while (!slice_eq(word, slice_of_str(words[i].word)))
        if (++i == ARRAY_LEN(words))
            transcript_die(run, "unknown step");
    pop3_command_init(&r->c, words[i].verb);
    r->c.argument = argument;
    if (secret.len)
        r->c.secret = r->secret = secret_new(secret.data, secret.len);
    submit(run, r);
}

static bool action(struct transcript_run *run, struct slice verb, struct slice rest)
{
    struct slice word, ignored, number = SLICE_EMPTY, lines = SLICE_EMPTY;
    uint64_t n = 0, k = 0;

    if (slice_eq(verb, SLICE("command"))) {
        struct request *r = new_request(run, &rest);
        (void) transcript_word(&rest, &word, &ignored);
        bool has_number = transcript_word(&rest, &number, &ignored);
        (void) transcript_word(&rest, &lines, &ignored);
        (void) slice_to_u64(number, UINT32_MAX, &n);
        (void) slice_to_u64(lines, UINT32_MAX, &k);
        pop3_command_init(&r->c, verb_of(run, word, has_number));
        r->c.number = (uint32_t) n;
        r->c.lines = (uint32_t) k;
        submit(run, r);
        return true;
    }
    if (slice_eq(verb, SLICE("step"))) {
        step(run, rest);
        return true;
    }
    if (slice_eq(verb, SLICE("readline"))) {
        struct request *r = new_request(run, &rest);
        pop3_command_init(&r->c, POP3_READLINE);
        submit(run, r);
        return true;
    }
    if (slice_eq(verb, SLICE("raw")) || slice_eq(verb, SLICE("raw-lines")) || slice_eq(verb, SLICE("raw-hand"))) {
        struct request *r = new_request(run, &rest);
        pop3_command_init(&r->c, POP3_RAW);
        r->c.argument = rest;
        r->c.multiline = slice_eq(verb, SLICE("raw-lines"));
        r->c.by_hand = slice_eq(verb, SLICE("raw-hand"));
        submit(run, r);
        return true;
    }
    return false;
}

static void done(struct transcript_run *run)
{
    struct state *st = run->state;
    for (unsigned i = 0; i < st->next; i++)
        st->requests[i].secret = secret_unref(st->requests[i].secret);
}

const struct transcript_protocol transcript_pop3 = {
    .name = "pop3",
    .create = pop3_client_new,
    .state_size = sizeof(struct state),
    .format = format,
    .action = action,
    .find = find,
    .done = done,
};
