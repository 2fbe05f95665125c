/* SPDX-License-Identifier: MIT */
/* Answers of a server, one after the other, in the middle of a FETCH of everything: the first byte says how they are cut. All parsers
 * look at what comes; cut in whatever way, the same comes. */
#include "fuzz.h"
#include "imap_exercise.h"
#include "session.h"

#include <stdlib.h>

struct run {
    struct fuzz_session session; /* first */
    struct imap_command fetch;
    struct imap_set set;
};

static void ready(struct fuzz_session *f)
{
    struct run *r = container_of(f, struct run, session);
    static const struct slice items[] = {SLICE("BODY[]")};
    struct fault fault = {.kind = FAULT_NONE};
    r->fetch = (struct imap_command){.kind = IMAP_FETCH, .set = &r->set, .items = items, .n_items = 1};
    fuzz_require(imap_client_submit(f->e, &r->fetch, &fault) == 0);
}

static void look(struct fuzz_session *f, const struct engine_event *event)
{
    const struct imap_event *e = container_of((struct engine_event *) (void *) (uintptr_t) event, struct imap_event, base);
    struct slice rest = e->fetch.items;
    struct imap_fetch_item item;
    if (event->type == ENGINE_EVENT_DATA)
        fuzz_session_add(f, event->data.data, event->data.len);
    else
        exercise_event(e);
    while (e->fetch.is_fetch && imap_fetch_next(&rest, &item) > 0) {
        fuzz_session_add(f, &item.kind, sizeof(item.kind));
        fuzz_session_add(f, &item.raw.len, sizeof(item.raw.len));
        fuzz_require(item.raw.len == 0 || (item.raw.data >= e->fetch.items.data &&
                                           item.raw.data + item.raw.len <= e->fetch.items.data + e->fetch.items.len));
    }
}

static uint64_t play(const uint8_t *bytes, size_t len, size_t step)
{
    static const char *const words[] = {NULL};
    static const char greeting[] = "* OK [CAPABILITY IMAP4rev1 CONDSTORE] x\r\n";
    static const struct engine_config config = {.tls = TLS_POLICY_NONE, .host = "x", .tag_prefix = "T"};
    struct run *r = calloc(1, sizeof(*r));
    fuzz_require(r != NULL);
    r->session = (struct fuzz_session){.e = imap_client_new(&config), .secret_words = words, .ready = ready, .look = look};
    imap_set_init(&r->set, 10);
    fuzz_require(r->session.e && imap_set_parse(&r->set, SLICE("1:*")) == 0);
    fuzz_require(fuzz_session_run(&r->session, (const uint8_t *) greeting, sizeof(greeting) - 1, sizeof(greeting)) == 0);
    int ret = fuzz_session_run(&r->session, bytes, len, step);
    uint64_t sum = ret < 0 ? 0 : r->session.sum;
    engine_free(r->session.e);
    imap_set_done(&r->set);
    free(r);
    return sum;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint64_t cut = play(data + 1, size - 1, data[0] + 1u), whole = play(data + 1, size - 1, size);
    fuzz_require(cut == whole);
    return 0;
}
