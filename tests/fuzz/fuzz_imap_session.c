/* SPDX-License-Identifier: MIT */
/* A whole session against the IMAP engine. The first byte says how the server's bytes are cut (the low six bits) and that the
 * dialogue is traced; the second what the account wants; the third which commands are said. Tags are T1, T2, … so that the
 * server can answer. Whatever it says, no credential goes out in clear, and every event can be looked at by all parsers;
 * where nobody has to log in, events are the same however the bytes are cut. */
#include "fuzz.h"
#include "imap_exercise.h"
#include "session.h"

#include <stdlib.h>

#define COMMANDS 12

struct run {
    struct fuzz_session session; /* first */
    struct imap_command commands[COMMANDS];
    struct imap_set some, all;
    unsigned first;
    bool raw; /* the raw side too */
    bool rich; /* commands with all that extensions add to them */
    struct imap_known known;
};

static const struct slice fetch_items[] = {SLICE("FLAGS"), SLICE("BODY.PEEK[]"), SLICE("ENVELOPE"), SLICE("RFC822.TEXT")};
static const struct slice status_items[] = {SLICE("MESSAGES"), SLICE("UIDNEXT")};
static const struct slice criteria[] = {SLICE("REFERENCES")};
static const struct slice names[] = {SLICE("/private/comment"), SLICE("x")};

static const struct imap_list_options list_options = {
    .select = IMAP_LIST_SUBSCRIBED, .tell = IMAP_LIST_CHILDREN | IMAP_LIST_MYRIGHTS, .status = status_items, .n_status = 2,
    .metadata = names, .n_metadata = 2};
static const struct imap_append_part parts[] = {{.size = 5}, {.url = SLICE("/INBOX/;UID=1")}};
static const struct imap_append_message messages[] = {{.size = 5}, {.size = 5, .utf8 = true}, {.parts = parts, .n_parts = 2}};

static void enrich(struct run *r, struct imap_command *c)
{
    r->known = (struct imap_known){.uidvalidity = 7, .modseq = 9, .uids = &r->some};
    if (c->kind == IMAP_SELECT || c->kind == IMAP_EXAMINE)
        c->known = &r->known;
    if (c->kind == IMAP_LIST_COMMAND)
        c->list = &list_options;
    if (c->kind == IMAP_APPEND) {
        c->messages = messages;
        c->n_messages = ARRAY_LEN(messages);
    }
    if (c->kind == IMAP_SEARCH)
        c->returns = IMAP_RETURN_MIN | IMAP_RETURN_SAVE;
    if (c->kind == IMAP_STORE)
        c->labels = c->conditional = true;
}

/* Something that a command of that kind can be. */
static void fill(struct run *r, struct imap_command *c, enum imap_kind kind)
{
    *c = (struct imap_command){.kind = kind, .mailbox = SLICE("INBOX"), .other = SLICE("a\xc3\xa4&"), .items = names, .n_items = 2};
    c->set = kind == IMAP_MOVE ? &r->all : &r->some;
    switch ((int) kind) {
    case IMAP_FETCH:
        c->items = fetch_items;
        c->n_items = ARRAY_LEN(fetch_items);
        break;
    case IMAP_STATUS:
        c->items = status_items;
        break;
    case IMAP_SEARCH:
    case IMAP_SORT:
    case IMAP_THREAD:
        c->items = criteria;
        c->n_items = 1;
        c->text = SLICE("SUBJECT \"\xc3\xa4\" OR SEEN UID 1:*");
        c->set = NULL;
        break;
    case IMAP_APPEND:
    case IMAP_REPLACE:
        c->n_items = 0;
        c->body_size = 10;
        break;
    case IMAP_GENERIC:
        c->text = SLICE("XLIST");
        break;
    case IMAP_SELECT:
    case IMAP_EXAMINE:
        c->set = NULL;
        break;
    case IMAP_RAW_READ:
        c->body_size = 3;
        break;
    default:
        break;
    }
}

static void ready(struct fuzz_session *f)
{
    struct run *r = container_of(f, struct run, session);
    for (unsigned i = 0; i < COMMANDS; i++) {
        struct fault fault = {.kind = FAULT_NONE};
        enum imap_kind kind = (enum imap_kind) ((r->first + i) % IMAP_KIND_COUNT);
        if (kind == IMAP_LOGOUT || kind == IMAP_STARTTLS || kind == IMAP_LOGIN || kind == IMAP_AUTHENTICATE || kind == IMAP_PROXYAUTH)
            continue;
        if ((kind == IMAP_RAW_SEND || kind == IMAP_RAW_READ || kind == IMAP_RAW_LINE) && !r->raw)
            continue;
        fill(r, &r->commands[i], i == 0 ? IMAP_SELECT : kind);
        if (r->rich)
            enrich(r, &r->commands[i]);
        int ret = imap_client_submit(f->e, &r->commands[i], &fault);
        fuzz_require(ret == 0 || fault.kind != FAULT_NONE || f->e->fault.kind != FAULT_NONE);
    }
}

static void add_slice(struct fuzz_session *f, struct slice s)
{
    fuzz_session_add(f, &s.len, sizeof(s.len));
    if (s.len)
        fuzz_session_add(f, s.data, s.len);
}

static void look(struct fuzz_session *f, const struct engine_event *event)
{
    const struct imap_event *e = container_of((struct engine_event *) (void *) (uintptr_t) event, struct imap_event, base);
    if (event->type == ENGINE_EVENT_TRACE)
        return;
    if (event->type == ENGINE_EVENT_DATA) {
        fuzz_session_add(f, event->data.data, event->data.len);
        return;
    }
    exercise_event(e);
    fuzz_session_add(f, &event->type, sizeof(event->type));
    fuzz_session_add(f, &e->fetch.number, sizeof(e->fetch.number));
    fuzz_session_add(f, &e->fetch.uid, sizeof(e->fetch.uid));
    add_slice(f, e->fetch.is_fetch ? e->fetch.items : e->response.text);
}

/* Whether the answer comes before or behind it, or a "+" before what waits for it was sent, depends on how the bytes are cut. */
static bool body_given;

static void body(struct fuzz_session *f, struct engine_request *request)
{
    const struct imap_command *c = container_of(request, struct imap_command, request);
    fuzz_require(c->kind == IMAP_APPEND || c->kind == IMAP_REPLACE);
    body_given = true;
    if (c->messages)
        (void) !f->e->ops->body(f->e, "01234", 5, c->at_message + 1 == c->n_messages);
    else
        (void) !f->e->ops->body(f->e, "0123456789", 10, true);
}

/* The sum of its events, when all went well; 0 else. */
static uint64_t play(const struct engine_config *config, unsigned first, bool raw, bool rich, const uint8_t *bytes, size_t len, size_t step)
{
    static const char *const words[] = {"LOGIN", "AUTHENTICATE", NULL};
    struct run *r = calloc(1, sizeof(*r));
    fuzz_require(r != NULL);
    r->session = (struct fuzz_session){
        .e = imap_client_new(config), .secret_words = words, .ready = ready, .look = look, .body = body};
    r->first = first;
    r->raw = raw;
    r->rich = rich;
    imap_set_init(&r->some, 10);
    imap_set_init(&r->all, 10);
    fuzz_require(r->session.e && imap_set_parse(&r->some, SLICE("1:9")) == 0 && imap_set_parse(&r->all, SLICE("1:*")) == 0);
    int ret = fuzz_session_run(&r->session, bytes, len, step);
    uint64_t sum = ret < 0 ? 0 : r->session.sum;
    (void) !r->session.e->ops->eof(r->session.e);
    engine_free(r->session.e);
    imap_set_done(&r->some);
    imap_set_done(&r->all);
    free(r);
    return sum;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct engine_config config = {.tls = (data[1] & 1) ? TLS_POLICY_ALL : (data[1] & 2) ? TLS_POLICY_TRY : TLS_POLICY_NONE,
                                   .wants_login = data[1] & 4, .has_token = data[1] & 8, .trace = data[0] & 64,
                                   .username = data[1] & 16 ? "ann/shared" : "ann", .host = "imap.example.com", .tag_prefix = "T"};
    for (unsigned i = 0; i < IMAP_QUIRK_COUNT && (data[1] & 32); i++)
        config.quirks[i] = imap_quirk_name((enum imap_quirk) i);
    bool raw = data[1] & 64; /* takes bytes, however they come */
    bool rich = data[1] & 128;
    config.compress = rich;
    body_given = false;
    uint64_t cut = play(&config, data[2], raw, rich, data + 3, size - 3, (data[0] & 63) + 1u);
    if (!config.wants_login && config.tls == TLS_POLICY_NONE && !raw) {
        uint64_t whole = play(&config, data[2], raw, rich, data + 3, size - 3, size);
        bool asked = memmem(data + 3, size - 3, "\n+", 2) != NULL;
        fuzz_require(cut == whole || body_given || (asked && (cut == 0 || whole == 0)));
    }
    return 0;
}
