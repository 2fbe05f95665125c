/* SPDX-License-Identifier: MIT */
/* linear_imap KIND N: lets the IMAP engine and its parsers take an input of a size that grows with N. tests/linear counts the
 * instructions: twice the input may take at most a little more than twice as many. */
#include "imap_exercise.h"

#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (8u * 1024 * 1024)

static struct buffer input;
static struct engine_config config = {.tls = TLS_POLICY_NONE, .host = "x", .tag_prefix = "T"};

static void must(int ret)
{
    if (ret < 0) {
        fprintf(stderr, "linear_imap: %d\n", ret);
        exit(EXIT_FAILURE);
    }
}

static void add(const char *text)
{
    must(buffer_append_slice(&input, slice_of_str(text)));
}

static void repeat(const char *text, size_t n)
{
    while (n--)
        add(text);
}

/* All of the input through an engine in the middle of a FETCH of everything, `step` bytes at a time. */
static void feed(size_t step)
{
    static const struct slice items[] = {SLICE("BODY[]")};
    struct engine *e = imap_client_new(&config);
    struct imap_set all;
    struct imap_command fetch = {.kind = IMAP_FETCH, .set = &all, .items = items, .n_items = 1};
    struct fault fault = {.kind = FAULT_NONE};
    struct engine_event *event;
    struct slice rest = SLICE("* OK [CAPABILITY IMAP4rev1] x\r\n");
    imap_set_init(&all, 10);
    must(imap_set_parse(&all, SLICE("1:*")));
    must(e ? e->ops->feed(e, rest.data, rest.len) : -1);
    while (e->ops->next(e, &event) > 0)
        if (event->type == ENGINE_EVENT_READY)
            must(imap_client_submit(e, &fetch, &fault));
    e->ops->sent(e, e->ops->output(e).len);
    for (rest = buffer_slice(&input); rest.len; rest = slice_from(rest, step)) {
        int ret = e->ops->feed(e, rest.data, MIN(step, rest.len));
        while (ret >= 0 && (ret = e->ops->next(e, &event)) > 0)
            exercise_event((struct imap_event *) event);
        must(ret);
    }
    engine_free(e);
    imap_set_done(&all);
}

static void numbers(size_t n, bool scattered)
{
    struct imap_set set;
    imap_set_init(&set, 2 * n + 10);
    for (size_t i = 0; i < n; i++)
        must(buffer_printf(&input, "%s%zu", i ? "," : "", scattered ? 4000000 - 3 * i : 3 * i + 1));
    must(imap_set_parse(&set, buffer_slice(&input)));
    imap_set_done(&set);
}

static void names(size_t n)
{
    struct buffer name, wire;
    bool odd;
    buffer_init(&name, INPUT_MAX);
    buffer_init(&wire, INPUT_MAX);
    repeat("&APw-x&", n);
    must(imap_mailbox_decode(buffer_slice(&input), &name, &odd));
    must(imap_mailbox_encode(buffer_slice(&name), &wire));
    buffer_done(&name);
    buffer_done(&wire);
}

static void fetched(const char *before, const char *repeated, size_t n, const char *behind)
{
    add("* 1 FETCH (UID 1 ");
    add(before);
    repeat(repeated, n);
    add(behind);
    add(")\r\n");
}

int main(int argc, char **argv)
{
    const char *kind = argc > 2 ? argv[1] : "";
    size_t n = argc > 2 ? (size_t) strtoul(argv[2], NULL, 10) : 0, step = 4096;
    buffer_init(&input, INPUT_MAX);
    if (strcmp(kind, "addresses") == 0) {
        fetched("ENVELOPE (NIL NIL (", "(NIL NIL \"a\" \"b\")", n, ") NIL NIL NIL NIL NIL NIL NIL)");
    } else if (strcmp(kind, "parts") == 0) {
        fetched("BODYSTRUCTURE (", "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1)", n, " \"mixed\")");
    } else if (strcmp(kind, "params") == 0) {
        fetched("BODYSTRUCTURE (\"text\" \"plain\" (", "\"a\" \"b\" ", n, ") NIL NIL \"7bit\" 1 1)");
    } else if (strcmp(kind, "deep") == 0) {
        fetched("X (", "((((((((((((((((((((a))))))))))))))))))))", n, ")");
    } else if (strcmp(kind, "messages") == 0) {
        repeat("* 1 FETCH (UID 1 FLAGS (\\Seen) X 1)\r\n", n);
    } else if (strcmp(kind, "items") == 0) {
        fetched("", "X-ITEM (a \"b\") ", n, "X 1");
    } else if (strcmp(kind, "literals") == 0) {
        fetched("X (", "{1}\r\na ", n, ")");
    } else if (strcmp(kind, "sections") == 0) {
        fetched("", "BODY[1] {3}\r\nabc ", n, "X 1");
    } else if (strcmp(kind, "escapes") == 0) {
        fetched("X \"", "\\\"a", n, "\"");
    } else if (strcmp(kind, "open") == 0) {
        fetched("", "FLAGS (a ENVELOPE \"x ", n, "");
    } else if (strcmp(kind, "closed") == 0) {
        fetched("", "FLAGS (a)) ", n, "X 1");
    } else if (strcmp(kind, "brackets") == 0) {
        fetched("X [", "[\"\\", n, "");
    } else if (strcmp(kind, "bytes") == 0) {
        add("* OK ");
        repeat("x", n);
        add("\r\n");
        step = 1;
    } else if (strcmp(kind, "names") == 0) {
        names(n);
        return 0;
    } else if (strcmp(kind, "set") == 0 || strcmp(kind, "scattered-set") == 0) {
        numbers(n, kind[1] == 'c');
        return 0;
    } else if (strcmp(kind, "search") == 0) {
        add("* SEARCH");
        repeat(" 12345", n);
        add("\r\n");
    } else if (strcmp(kind, "capabilities") == 0) {
        add("* CAPABILITY IMAP4rev1");
        repeat(" X-A AUTH=X", n);
        add("\r\n");
    } else {
        puts("addresses 2000\nparts 2000\nparams 2000\ndeep 1000\nmessages 2000\nitems 3000\nliterals 3000\nsections 2000\nescapes 10000\nopen 500\nclosed 3000\n"
             "brackets 3000\nbytes 20000\nnames 4000\nset 10000\nscattered-set 10000\nsearch 10000\ncapabilities 3000");
        return 0;
    }
    feed(step);
    buffer_done(&input);
    return 0;
}
