/* SPDX-License-Identifier: MIT */
/* Requests: what may be put out when, and how answers are taken apart. */
#include "pop3_private.h"

#include <errno.h>

enum answer_form { FORM_STATUS, FORM_LINES, FORM_MESSAGE, FORM_ASKED, FORM_STEP };

static const struct {
    const char *word, *stage;
    enum answer_form form;
} verbs[] = {
    [POP3_STAT] = {"STAT", "stat", FORM_STATUS},      [POP3_LIST] = {"LIST", "list", FORM_LINES},
    [POP3_LIST_ONE] = {"LIST", "list", FORM_STATUS},  [POP3_UIDL] = {"UIDL", "uidl", FORM_LINES},
    [POP3_UIDL_ONE] = {"UIDL", "uidl", FORM_STATUS},  [POP3_RETR] = {"RETR", "retr", FORM_MESSAGE},
    [POP3_TOP] = {"TOP", "top", FORM_MESSAGE},        [POP3_DELE] = {"DELE", "dele", FORM_STATUS},
    [POP3_NOOP] = {"NOOP", "noop", FORM_STATUS},      [POP3_RSET] = {"RSET", "rset", FORM_STATUS},
    [POP3_CAPA] = {"CAPA", "capa", FORM_LINES},       [POP3_UTF8] = {"UTF8", "utf8", FORM_STATUS},
    [POP3_RAW] = {NULL, "exec", FORM_ASKED},          [POP3_READLINE] = {NULL, "readline", FORM_LINES},
    [POP3_USER] = {"USER ", "user", FORM_STATUS},     [POP3_PASS] = {NULL, "pass", FORM_STEP},
    [POP3_APOP] = {NULL, "apop", FORM_STEP},          [POP3_RPOP] = {NULL, "rpop", FORM_STEP},
    [POP3_AUTH] = {NULL, "auth", FORM_STEP},          [POP3_STLS] = {NULL, "stls", FORM_STEP},
    [POP3_QUIT] = {"QUIT", "quit", FORM_STATUS},
};
_Static_assert(ARRAY_LEN(verbs) == POP3_VERB_COUNT, "every verb has a row");

static struct pop3_command *command_of(struct engine_request *r)
{
    return container_of(r, struct pop3_command, request);
}

struct pop3_command *pop3_head(const struct pop3_client *c)
{
    return list_is_empty(&c->engine.requests)
               ? NULL
               : command_of(container_of(c->engine.requests.next, struct engine_request, link));
}

void pop3_command_init(struct pop3_command *c, enum pop3_verb verb)
{
    *c = (struct pop3_command){.verb = verb};
    list_init(&c->request.link);
}

static bool takes_number(enum pop3_verb verb)
{
    return verb == POP3_LIST_ONE || verb == POP3_UIDL_ONE || verb == POP3_RETR || verb == POP3_TOP || verb == POP3_DELE;
}

static bool is_refused_extension(const struct pop3_client *c, enum pop3_extension ext)
{
    return c->caps.told && !pop3_has(&c->caps, ext);
}

int pop3_check_command(struct pop3_client *c, const struct pop3_command *cmd, struct fault *fault)
{
    struct slice a = cmd->argument;
    enum pop3_verb v = cmd->verb;

    if (takes_number(v) && cmd->number == 0)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "message numbers begin with 1");
    if (v == POP3_RAW && (a.len == 0 || a.len > POP3_COMMAND_MAX - 2 || slice_find(a, '\r') < a.len ||
                          slice_find(a, '\n') < a.len || slice_find(a, '\0') < a.len))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "a command is one line without CR, LF and NUL");
    if ((v == POP3_UIDL || v == POP3_UIDL_ONE) && is_refused_extension(c, POP3_EXT_UIDL))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "uidl", "the server does not offer UIDL");
    if (v == POP3_TOP && is_refused_extension(c, POP3_EXT_TOP))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "top", "the server does not offer TOP");
    if (v == POP3_UTF8 && !pop3_has(&c->caps, POP3_EXT_UTF8))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "utf8", "the server does not offer UTF8");
    if (verbs[v].form == FORM_STEP || v == POP3_USER) {
        int r = pop3_check_step(c, cmd, fault);
        if (r < 0)
            return r;
    }
    if (v != POP3_READLINE && v != POP3_QUIT && buffer_len(&c->unread))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "lines of the server wait to be read");
    struct pop3_command *last =
        list_is_empty(&c->engine.requests) ? NULL : command_of(container_of(c->engine.requests.prev, struct engine_request, link));
    if (last && last->verb == POP3_QUIT)
        return fault_set(fault, -EBUSY, FAULT_UNAVAILABLE, NULL, "nothing may follow QUIT");
    return 0;
}

/* --- writing --- */

static int write_command(struct pop3_client *c, struct pop3_command *cmd)
{
    struct writer *w = &c->writer;

    cmd->request.begin_offset = writer_position(w);
    if (cmd->verb == POP3_READLINE) {
        cmd->request.end_offset = cmd->request.begin_offset;
        cmd->request.state = REQUEST_WRITTEN;
        cmd->written = true;
        return 0;
    }
    writer_begin(w);
    if (verbs[cmd->verb].word)
        writer_raw_str(w, verbs[cmd->verb].word);
    writer_raw(w, cmd->argument);
    if (takes_number(cmd->verb)) {
        writer_char(w, ' ');
        writer_number(w, cmd->number);
    }
    if (cmd->verb == POP3_TOP) {
        writer_char(w, ' ');
        writer_number(w, cmd->lines);
    }
    int r = pop3_end_command(c);
    cmd->request.end_offset = writer_position(w);
    cmd->request.state = REQUEST_WRITTEN;
    cmd->written = true;
    return r;
}

int pop3_keep_line(struct pop3_client *c, struct slice line)
{
    int r = buffer_append_slice(&c->unread, line);
    if (r == 0)
        r = buffer_append_slice(&c->unread, SLICE("\r\n"));
    if (r == -ENOMEM)
        return pop3_fail(c, r, FAULT_INTERNAL, NULL, "out of memory");
    return r < 0 ? pop3_fail(c, r, FAULT_PROTOCOL, NULL, "the server says too much that nobody reads") : 1;
}

/* Where nothing is asked it belongs to what was asked last. */
static int surplus(struct pop3_client *c)
{
    if (c->by_hand)
        return 0;

    return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, pop3_head(c) ? NULL : c->last_stage, "the server answers no command");
}

static bool stands_alone(const struct pop3_command *cmd)
{
    return cmd->verb == POP3_UTF8 || cmd->verb == POP3_RAW || verbs[cmd->verb].form == FORM_STEP;
}

int pop3_pump(struct pop3_client *c)
{
    struct engine_request *r;

    if (c->state != POP3_READY && c->state != POP3_QUITTING)
        return 0;
    list_foreach(&c->engine.requests, r, struct engine_request, link)
    {
        struct pop3_command *cmd = command_of(r);
        bool first = pop3_head(c) == cmd;
        if (cmd->written)
            continue;
        /* RFC 2449 section 6.6: QUIT ends a group, and so does what might change the state of the server. */
        if (!first && (!pop3_has(&c->caps, POP3_EXT_PIPELINING) || cmd->verb == POP3_QUIT || stands_alone(cmd) ||
                       stands_alone(pop3_head(c))))
            return 0;
        if (writer_room(&c->writer) < POP3_COMMAND_MAX)
            return 0;
        if (first && reader_pending(&c->reader))
            return surplus(c);
        if (verbs[cmd->verb].form == FORM_STEP)
            return pop3_step_begin(c, cmd);
        int done = write_command(c, cmd);
        if (done < 0)
            return done;
    }
    if (c->state == POP3_QUITTING && list_is_empty(&c->engine.requests)) {
        if (c->deletions || pop3_client_quit_expires(&c->engine)) {
            /* Said by nobody who had deletions in mind: they must not happen. */
            pop3_set_state(c, POP3_CLOSED);
            return 0;
        }
        pop3_set_state(c, POP3_GOODBYE);
        writer_begin(&c->writer);
        writer_raw_str(&c->writer, "QUIT");
        return pop3_end_command(c);
    }
    return 0;
}

/* --- answers --- */

static int malformed(struct pop3_client *c)
{
    return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server's answer is malformed");
}

int pop3_complete(struct pop3_client *c, struct pop3_command *cmd, const struct fault *fault)
{
    list_remove(&cmd->request.link);
    c->n_requests--;
    c->last_stage = verbs[cmd->verb].stage;
    cmd->request.state = REQUEST_ANSWERED;
    c->answer = POP3_ANSWER_STATUS;
    struct pop3_event *ev = pop3_push_event(c, ENGINE_EVENT_DONE, &cmd->request);
    ev->base.fault = fault;
    if (cmd->verb == POP3_QUIT)
        pop3_set_state(c, POP3_CLOSED);
    else if (!c->by_hand && list_is_empty(&c->engine.requests) && reader_pending(&c->reader))
        return surplus(c);
    return 1;
}

static bool parse_id(struct slice text, struct slice *ret)
{
    if (text.len == 0 || text.len > POP3_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char) text.data[i] <= ' ' || text.data[i] == 0x7f)
            return false;
    *ret = text;
    return true;
}

/* "number size" or "number unique-id"; what follows is passed over. */
static bool parse_entry(struct slice line, bool unique, struct pop3_event *ev)
{
    uint64_t number;

    if (!pop3_parse_number(&line, UINT32_MAX, &number) || number == 0)
        return false;
    ev->number = (uint32_t) number;
    if (!unique)
        return pop3_parse_number(&line, INT64_MAX, &ev->size);
    return parse_id(slice_to(line, slice_find(line, ' ')), &ev->id);
}

static bool parse_detail(enum pop3_verb verb, struct slice text, struct pop3_event *ev)
{
    uint64_t number;

    switch (verb) {
    case POP3_STAT:
        if (!pop3_parse_number(&text, UINT32_MAX, &number) || !pop3_parse_number(&text, INT64_MAX, &ev->size))
            return false;
        ev->number = (uint32_t) number;
        return true;
    case POP3_LIST_ONE:
        return parse_entry(text, false, ev);
    case POP3_UIDL_ONE:
        return parse_entry(text, true, ev);
    case POP3_LIST:
    case POP3_UIDL:
    case POP3_RETR:
    case POP3_TOP:
    case POP3_DELE:
    case POP3_NOOP:
    case POP3_RSET:
    case POP3_CAPA:
    case POP3_UTF8:
    case POP3_RAW:
    case POP3_READLINE:
    case POP3_USER:
    case POP3_PASS:
    case POP3_APOP:
    case POP3_RPOP:
    case POP3_AUTH:
    case POP3_STLS:
    case POP3_QUIT:
    case POP3_VERB_COUNT:
        break;
    }
    return true;
}

static bool raw_is(const struct pop3_command *cmd, const char *word)
{
    return cmd->verb == POP3_RAW && slice_starts_ci(cmd->argument, slice_of_str(word));
}

static void note_effects(struct pop3_client *c, const struct pop3_command *cmd)
{
    enum pop3_verb verb = cmd->verb;

    if (verb == POP3_DELE || raw_is(cmd, "DELE"))
        c->deletions = true;
    if (verb == POP3_DELE || verb == POP3_RSET || verb == POP3_UIDL || verb == POP3_RAW)
        pop3_ids_forget(&c->ids);
    if (verb == POP3_RETR || raw_is(cmd, "RETR"))
        c->fetched = true;
    if (cmd->by_hand)
        c->by_hand = true;
    if (verb == POP3_CAPA) {
        pop3_capabilities_reset(&c->caps);
        c->caps.told = true;
    }
    if (verb == POP3_RSET || verb == POP3_QUIT)
        c->deletions = false;
}

static int take_status(struct pop3_client *c, struct pop3_command *cmd, struct slice line)
{
    struct pop3_status s;
    enum answer_form form = verbs[cmd->verb].form;

    if (!pop3_parse_status(line, &s) || s.is_challenge)
        return malformed(c);
    struct pop3_event *ev = pop3_push_event(c, ENGINE_EVENT_REPLY, &cmd->request);
    ev->kind = POP3_EVENT_STATUS;
    ev->ok = s.ok;
    ev->code = s.code;
    ev->text = s.text;
    if (!s.ok) {
        fault_clear(&c->done_fault);
        pop3_status_fault(&s, FAULT_REJECTED, verbs[cmd->verb].stage, &c->done_fault);
        return pop3_complete(c, cmd, &c->done_fault);
    }
    if (!parse_detail(cmd->verb, s.text, ev))
        return malformed(c);
    note_effects(c, cmd);
    if (form == FORM_STATUS || (form == FORM_ASKED && !cmd->multiline))
        return pop3_complete(c, cmd, NULL);
    c->answer = form == FORM_MESSAGE || form == FORM_ASKED ? POP3_ANSWER_MESSAGE : POP3_ANSWER_LINES;
    c->block = POP3_BLOCK_START;
    c->n_lines = 0;
    c->n_bytes = 0;
    return 1;
}

static int take_list_line(struct pop3_client *c, struct pop3_command *cmd, struct slice line)
{
    bool listing = cmd->verb == POP3_LIST || cmd->verb == POP3_UIDL;

    if (line.len == 1 && line.data[0] == '.') {
        if (cmd->verb == POP3_UIDL)
            pop3_ids_end(&c->ids);
        return pop3_complete(c, cmd, NULL);
    }
    if (line.len && line.data[0] == '.')
        line = slice_from(line, 1);
    c->n_bytes += line.len;
    if (++c->n_lines > POP3_LIST_MAX || (!listing && c->n_bytes > (c->config->max_reply ? c->config->max_reply : 1u << 20)))
        return pop3_fail(c, -EMSGSIZE, FAULT_PROTOCOL, NULL, "the server's list is too long");
    if (cmd->verb == POP3_CAPA && pop3_capabilities_line(&c->caps, c->config, line) < 0)
        return pop3_fail(c, -EMSGSIZE, FAULT_PROTOCOL, NULL, "the server's list of capabilities is too long");
    struct pop3_event *ev = pop3_push_event(c, ENGINE_EVENT_REPLY, &cmd->request);
    ev->kind = listing ? POP3_EVENT_ENTRY : POP3_EVENT_LINE;
    ev->ok = true;
    ev->text = line;
    if (listing && !parse_entry(line, cmd->verb == POP3_UIDL, ev)) {
        c->n_events--;
        return malformed(c);
    }
    if (cmd->verb == POP3_UIDL)
        pop3_ids_add(&c->ids, ev->number, ev->id);
    return 1;
}

static int push_data(struct pop3_client *c, struct pop3_command *cmd, struct slice piece)
{
    uint64_t max = c->config->max_literal ? c->config->max_literal : UINT64_MAX;

    c->n_bytes += piece.len;
    if (c->n_bytes > max)
        return pop3_fail(c, -EMSGSIZE, FAULT_LIMIT, NULL, "the message is larger than what is taken");
    struct pop3_event *ev = pop3_push_event(c, ENGINE_EVENT_DATA, &cmd->request);
    ev->base.data = piece;
    return 1;
}

/* How many bytes of the piece can be given away as they are: up to a line that begins with a dot. Moves c->block. */
static size_t plain_run(struct pop3_client *c, struct slice piece)
{
    const char *p = piece.data, *end = p + piece.len;

    if (c->block == POP3_BLOCK_CR && *p == '\n') {
        c->block = POP3_BLOCK_START;
        p++;
    } else if (c->block == POP3_BLOCK_CR) {
        c->block = POP3_BLOCK_LINE;
    }
    for (;;) {
        if (p == end)
            break;
        if (c->block == POP3_BLOCK_START && *p == '.')
            break;
        const char *lf = memchr(p, '\n', (size_t) (end - p));
        if (!lf) {
            c->block = end[-1] == '\r' ? POP3_BLOCK_CR : POP3_BLOCK_LINE;
            p = end;
            break;
        }
        c->block = lf > piece.data && lf[-1] == '\r' ? POP3_BLOCK_START : POP3_BLOCK_LINE;
        p = lf + 1;
    }
    return (size_t) (p - piece.data);
}

static int take_message(struct pop3_client *c, struct pop3_command *cmd)
{
    struct slice piece = reader_peek(&c->reader);

    while (piece.len) {
        char first = piece.data[0];
        if (c->block == POP3_BLOCK_START && first == '.') {
            c->block = POP3_BLOCK_DOT;
            reader_take(&c->reader, 1);
        } else if (c->block == POP3_BLOCK_DOT && first == '\r') {
            c->block = POP3_BLOCK_DOT_CR;
            reader_take(&c->reader, 1);
        } else if (c->block == POP3_BLOCK_DOT_CR && first == '\n') {
            reader_take(&c->reader, 1);
            return pop3_complete(c, cmd, NULL);
        } else if (c->block == POP3_BLOCK_DOT_CR) {
            /* ". CR" and no LF: the dot was stuffed, the CR is the message's. */
            c->block = POP3_BLOCK_CR;
            return push_data(c, cmd, SLICE("\r"));
        } else {
            if (c->block == POP3_BLOCK_DOT)
                c->block = POP3_BLOCK_LINE;
            return push_data(c, cmd, reader_take(&c->reader, plain_run(c, piece)));
        }
        piece = reader_peek(&c->reader);
    }
    return 0;
}

static int give_line(struct pop3_client *c, struct pop3_command *cmd, struct slice line)
{
    struct pop3_event *ev = pop3_push_event(c, ENGINE_EVENT_REPLY, &cmd->request);
    ev->kind = POP3_EVENT_LINE;
    ev->ok = true;
    ev->text = line;
    return pop3_complete(c, cmd, NULL);
}

/* The first of the lines kept. It is taken off when its events have been given. */
static int read_kept(struct pop3_client *c, struct pop3_command *cmd)
{
    struct slice all = buffer_slice(&c->unread);

    c->unread_given = slice_find(all, '\n') + 1;
    return give_line(c, cmd, slice_to(all, c->unread_given - 2));
}

int pop3_take_answer(struct pop3_client *c)
{
    struct pop3_command *cmd = pop3_head(c);
    struct slice line;

    if (c->step_failed)
        return pop3_step_fail(c);
    if (cmd && c->answer == POP3_ANSWER_MESSAGE)
        return take_message(c, cmd);
    if (cmd && cmd->verb == POP3_READLINE && cmd->written && buffer_len(&c->unread))
        return read_kept(c, cmd);
    int r = reader_line(&c->reader, &line);
    if (r <= 0)
        return r;
    pop3_trace(c, '<', line);
    if (!cmd || !cmd->written)
        return c->by_hand ? pop3_keep_line(c, line) : surplus(c);
    if (cmd->verb == POP3_READLINE)
        return give_line(c, cmd, line);
    return c->answer == POP3_ANSWER_LINES ? take_list_line(c, cmd, line) : take_status(c, cmd, line);
}

const char *pop3_command_stage(const struct pop3_client *c)
{
    const struct pop3_command *cmd = pop3_head(c);
    return cmd ? verbs[cmd->verb].stage : NULL;
}
