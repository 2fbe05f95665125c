/* SPDX-License-Identifier: MIT */
/* A whole session against the IMAP engine: the first byte says how the server's bytes are cut, "%1" in them stands for the
 * first tag that the client used, and so on. Every event is looked at by all parsers. */
#include "fuzz.h"
#include "imap_exercise.h"

#include <stdlib.h>

#define TAGS 9

struct run {
    struct engine *e;
    struct imap_command commands[TAGS];
    unsigned n_tags;
    char tags[TAGS][12];
    bool failed;
};

/* Sends what waits and keeps the tags of new commands. */
static void flush(struct run *r)
{
    for (unsigned turns = 0; turns < 100; turns++) {
        struct slice out = r->e->ops->output(r->e);
        if (r->e->ops->body_request(r->e) && r->e->ops->body(r->e, "0123456789", 10, true) < 0)
            r->failed = true;
        if (out.len == 0)
            return;
        for (bool at_line = true; out.len; out = slice_from(out, 1)) {
            if (at_line && out.data[0] == 'P' && out.len > 9 && out.data[9] == ' ' && r->n_tags < TAGS)
                memcpy(r->tags[r->n_tags++], out.data, 9);
            at_line = out.data[0] == '\n';
        }
        r->e->ops->sent(r->e, r->e->ops->output(r->e).len);
    }
}

static void submit_all(struct run *r, const struct imap_set *all, const struct imap_set *some)
{
    static const struct slice items[] = {SLICE("FLAGS"), SLICE("BODY.PEEK[]"), SLICE("ENVELOPE")};
    static const struct slice status[] = {SLICE("MESSAGES")};
    const struct imap_command commands[] = {
        {.kind = IMAP_SELECT, .mailbox = SLICE("INBOX")},
        {.kind = IMAP_FETCH, .set = some, .items = items, .n_items = 3},
        {.kind = IMAP_SEARCH, .text = SLICE("SUBJECT \"\xc3\xa4\"")},
        {.kind = IMAP_LIST_COMMAND, .other = SLICE("*")},
        {.kind = IMAP_STATUS, .mailbox = SLICE("INBOX"), .items = status, .n_items = 1},
        {.kind = IMAP_APPEND, .mailbox = SLICE("a\xc3\xa4"), .body_size = 10},
        {.kind = IMAP_MOVE, .set = all, .other = SLICE("x")},
        {.kind = IMAP_GENERIC, .text = SLICE("XLIST")},
    };
    struct fault fault;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        r->commands[i] = commands[i];
        fault = (struct fault){.kind = FAULT_NONE};
        if (imap_client_submit(r->e, &r->commands[i], &fault) < 0 && fault.kind == FAULT_NONE)
            r->failed = true;
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct engine_config config = {.tls = TLS_POLICY_NONE, .trace = size && (data[0] & 64)};
    struct run r = {.e = imap_client_new(&config)};
    struct imap_set all, some;
    size_t step = size ? (data[0] & 63) + 1u : 1, n = 0;
    char *bytes = malloc(size * 9 + 1);
    imap_set_init(&all, 10);
    imap_set_init(&some, 10);
    if (!r.e || !bytes || imap_set_parse(&all, SLICE("1:*")) < 0 || imap_set_parse(&some, SLICE("1:9")) < 0)
        r.failed = true;
    for (size_t at = 1; at < size && !r.failed;) {
        for (n = 0; n < step && at < size; at++) {
            unsigned tag = data[at] == '%' && at + 1 < size ? data[at + 1] - '1' : TAGS;
            if (tag < r.n_tags) {
                memcpy(bytes + n, r.tags[tag], 9);
                n += 9;
                at++;
            } else {
                bytes[n++] = (char) data[at];
            }
        }
        char *window = malloc(n); /* exact, so that reading beyond it is seen */
        struct engine_event *event;
        memcpy(window, bytes, n);
        int ret = r.e->ops->feed(r.e, window, n);
        while (ret >= 0 && (ret = r.e->ops->next(r.e, &event)) > 0) {
            if (event->type == ENGINE_EVENT_READY)
                submit_all(&r, &all, &some);
            exercise_event((struct imap_event *) event);
            flush(&r);
        }
        free(window);
        flush(&r);
        r.failed = r.failed || ret < 0;
    }
    engine_free(r.e);
    imap_set_done(&all);
    imap_set_done(&some);
    free(bytes);
    return 0;
}
