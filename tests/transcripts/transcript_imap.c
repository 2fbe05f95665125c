/* SPDX-License-Identifier: MIT */
/* IMAP in transcripts; tags, which nobody can guess elsewhere, are T1, T2, … in the order drawn. Actions: `command [name=C] KIND [WORD…]` with KIND a command's name
 * (`exec` for a raw one, `select`, `fetch`, …) and words `mailbox=NAME other=NAME set=1:5,7 numbers items=A|B text=T
 * store=set|add|remove silent modseq=N date=D size=N`, whose values are unescaped (\x20 is a space, NIL as an item is no
 * value); `selected` tells what is selected, `caps` what is offered. Events: `NAME fetch NUMBER/UID [first] [last] [discard]
 * ITEMS` (`+SIZE` where a literal follows), `NAME data KIND NUMBER TEXT`, `NAME ok|no|bad [CODE ARGUMENTS] TEXT`, `notice …`
 * likewise, `done NAME ok|no|bad [CODE ARGUMENTS] TEXT`. */
#include "imap_client.h"
#include "transcript.h"

#define REQUESTS 32
#define ITEMS 16
#define TEXT_MAX 65536u

struct request {
    struct imap_command c;
    struct slice name;
    struct imap_set set;
    struct slice items[ITEMS];
    struct buffer text; /* what the command's slices point to */
};

struct state {
    struct request requests[REQUESTS];
    unsigned next;
};

static void must(struct transcript_run *run, int r)
{
    if (r < 0)
        transcript_die(run, "out of memory");
}

static struct engine_request *find(struct transcript_run *run, struct slice name)
{
    struct state *st = run->state;
    for (unsigned i = 0; i < st->next; i++)
        if (slice_eq(st->requests[i].name, name))
            return &st->requests[i].c.request;
    return NULL;
}

static struct slice name_of(struct transcript_run *run, const struct engine_request *r)
{
    struct state *st = run->state;
    for (unsigned i = 0; i < st->next; i++)
        if (&st->requests[i].c.request == r)
            return st->requests[i].name;
    transcript_die(run, "an event of no request");
}

static int format_fetch(const struct imap_event *ev, struct buffer *out)
{
    int r = buffer_printf(out, " fetch %u/%u%s%s%s ", ev->fetch.number, ev->fetch.uid, ev->fetch.first ? " first" : "",
                          ev->fetch.last ? " last" : "", ev->fetch.discard ? " discard" : "");
    transcript_escape(out, ev->fetch.items);
    if (r == 0 && !ev->fetch.last)
        r = buffer_printf(out, " +%llu", (unsigned long long) ev->fetch.size);
    return r;
}

static int format_response(const struct imap_response *p, struct buffer *out)
{
    int r = 0;
    if (p->kind == IMAP_RESPONSE_DATA) {
        r |= buffer_append_slice(out, SLICE(" data "));
        r |= buffer_append_slice(out, p->name);
        if (p->number)
            r |= buffer_printf(out, " %u", p->number);
    } else {
        const char *status = imap_status_name(p->status);
        r |= buffer_append_char(out, ' ');
        for (; *status; status++)
            r |= buffer_append_char(out, ascii_lower(*status));
        if (p->code.name.len)
            r |= buffer_printf(out, " [%.*s%s%.*s]", (int) p->code.name.len, p->code.name.data, p->code.arguments.len ? " " : "",
                               (int) p->code.arguments.len, p->code.arguments.len ? p->code.arguments.data : "");
    }
    struct slice text = slice_trim(p->text);
    if (text.len)
        r |= buffer_append_char(out, ' ');
    transcript_escape(out, text);
    return r;
}

static void format(struct transcript_run *run, const struct engine_event *e, struct buffer *out)
{
    const struct imap_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) e, struct imap_event, base);
    if (e->type == ENGINE_EVENT_DONE)
        must(run, buffer_append_slice(out, SLICE("done ")));
    must(run, buffer_append_slice(out, e->type == ENGINE_EVENT_NOTICE ? SLICE("notice") : name_of(run, e->request)));
    must(run, ev->fetch.is_fetch ? format_fetch(ev, out) : format_response(&ev->response, out));
}

/* The value with its escapes resolved, in memory of the request's own. */
static struct slice keep(struct transcript_run *run, struct request *r, struct slice value)
{
    size_t before = buffer_len(&r->text);
    must(run, buffer_reserve(&r->text, value.len + 1, &(char *){NULL}));
    transcript_unescape(&r->text, value);
    return slice_from(buffer_slice(&r->text), before);
}

static void take_items(struct transcript_run *run, struct request *r, struct slice value)
{
    while (value.data && r->c.n_items < ITEMS) {
        size_t end = slice_find(value, '|');
        bool nil = slice_eq(slice_to(value, end), SLICE("NIL"));
        r->items[r->c.n_items++] = nil ? SLICE_EMPTY : keep(run, r, slice_to(value, end));
        value = end < value.len ? slice_from(value, end + 1) : SLICE_EMPTY;
    }
    r->c.items = r->items;
}

static void take_word(struct transcript_run *run, struct request *r, struct slice name, struct slice value)
{
    struct imap_command *c = &r->c;
    uint64_t n = 0;
    (void) slice_to_u64(value, UINT64_MAX, &n);
    if (slice_eq(name, SLICE("mailbox")))
        c->mailbox = keep(run, r, value);
    else if (slice_eq(name, SLICE("other")))
        c->other = keep(run, r, value);
    else if (slice_eq(name, SLICE("text")))
        c->text = keep(run, r, value);
    else if (slice_eq(name, SLICE("date")))
        c->date = keep(run, r, value);
    else if (slice_eq(name, SLICE("items")))
        take_items(run, r, value);
    else if (slice_eq(name, SLICE("numbers")))
        c->numbers = true;
    else if (slice_eq(name, SLICE("silent")))
        c->silent = true;
    else if (slice_eq(name, SLICE("modseq")))
        c->modseq = n;
    else if (slice_eq(name, SLICE("size")))
        c->body_size = n;
    else if (slice_eq(name, SLICE("store")))
        c->store = slice_eq(value, SLICE("add")) ? IMAP_STORE_ADD : slice_eq(value, SLICE("remove")) ? IMAP_STORE_REMOVE : IMAP_STORE_SET;
    else if (slice_eq(name, SLICE("set")) && imap_set_parse(&r->set, value) == 0)
        c->set = &r->set;
    else
        transcript_die(run, "unknown word '%.*s'", (int) name.len, name.data);
}

static void command(struct transcript_run *run, struct slice rest)
{
    struct state *st = run->state;
    struct slice word, value;
    struct fault fault = {0};
    unsigned kind = 0;
    if (st->next == REQUESTS)
        transcript_die(run, "too many requests");
    struct request *r = &st->requests[st->next++];
    buffer_init(&r->text, TEXT_MAX);
    /* Slices into it must stay where they are. */
    must(run, buffer_reserve(&r->text, TEXT_MAX, &(char *){NULL}));
    imap_set_init(&r->set, 1000);
    r->name = SLICE("C");
    if (slice_starts(rest, SLICE("name=")))
        (void) transcript_word(&rest, &word, &r->name);
    (void) transcript_word(&rest, &word, &value);
    while (kind < IMAP_KIND_COUNT && !slice_eq(word, slice_of_str(imap_kind_stage((enum imap_kind) kind))))
        kind++;
    if (kind == IMAP_KIND_COUNT)
        transcript_die(run, "unknown command '%.*s'", (int) word.len, word.data);
    r->c.kind = (enum imap_kind) kind;
    while (transcript_word(&rest, &word, &value))
        take_word(run, r, word, value);
    transcript_submitted(run, IN_ENGINE(imap_client_submit(run->engine, &r->c, &fault)), &fault);
}

static void tell_selected(struct transcript_run *run)
{
    struct imap_mailbox_state s;
    imap_client_selected(run->engine, &s);
    if (!s.selected) {
        transcript_event(run, "nothing is selected");
        return;
    }
    transcript_event(run, "selected %.*s%s exists=%u recent=%u uidvalidity=%u uidnext=%u modseq=%llu flags=(%.*s) permanent=(%.*s)",
                     (int) s.mailbox.len, s.mailbox.data, s.readonly ? " readonly" : "", s.exists, s.recent, s.uidvalidity, s.uidnext,
                     (unsigned long long) s.highestmodseq, (int) s.flags.len, s.flags.len ? s.flags.data : "",
                     (int) s.permanentflags.len, s.permanentflags.len ? s.permanentflags.data : "");
}

static bool action(struct transcript_run *run, struct slice verb, struct slice rest)
{
    if (slice_eq(verb, SLICE("command"))) {
        command(run, rest);
        return true;
    }
    if (slice_eq(verb, SLICE("selected"))) {
        tell_selected(run);
        return true;
    }
    if (slice_eq(verb, SLICE("caps"))) {
        struct slice caps = imap_client_capabilities(run->engine);
        transcript_event(run, "caps%s%.*s", caps.len ? " " : "", (int) caps.len, caps.len ? caps.data : "");
        return true;
    }
    return false;
}

static void done(struct transcript_run *run)
{
    struct state *st = run->state;
    for (unsigned i = 0; i < st->next; i++) {
        imap_set_done(&st->requests[i].set);
        buffer_done(&st->requests[i].text);
    }
}

const struct transcript_protocol transcript_imap = {
    .name = "imap",
    .create = imap_client_new,
    .state_size = sizeof(struct state),
    .format = format,
    .action = action,
    .find = find,
    .done = done,
};
