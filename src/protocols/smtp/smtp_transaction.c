/* SPDX-License-Identifier: MIT */
/* Requests: what may be put out when, and which reply answers what. Each transaction has two cursors, one for what was
 * written and one for what was answered; a reply is due while the second is behind the first. */
#include "smtp_private.h"

#include <errno.h>

void smtp_transaction_init(struct smtp_transaction *t)
{
    *t = (struct smtp_transaction){.request = {.kind = SMTP_TRANSACTION}};
    list_init(&t->request.base.link);
    t->request.base.changes = true;
    t->request.base.has_body = true;
}

void smtp_transaction_reset(struct smtp_transaction *t)
{
    list_init(&t->request.base.link);
    t->request.base.state = REQUEST_NEW;
    t->request.base.begin_offset = t->request.base.end_offset = 0;
    t->n_accepted = 0;
    fault_clear(&t->refusal);
    t->request.base.changes = true;
    t->write_step = t->read_step = SMTP_STEP_PROOF;
    t->write_rcpt = t->read_rcpt = 0;
    t->mail_accepted = t->data_accepted = t->chunked = false;
    t->chunk_left = 0;
    for (size_t i = 0; i < t->n_recipients; i++) {
        t->recipients[i].verdict = SMTP_UNDECIDED;
        t->recipients[i].code = 0;
    }
}

/* --- writing --- */

int smtp_write_word(struct smtp_client *c, const char *word)
{
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, word);
    return smtp_end_command(c);
}

static bool may_pipeline(const struct smtp_client *c)
{
    return smtp_has(&c->caps, SMTP_EXT_PIPELINING);
}

/* A reply to something that was written is outstanding. */
static bool reply_is_due(const struct smtp_transaction *t)
{
    if (t->read_step == SMTP_STEP_RCPT)
        return t->write_step > SMTP_STEP_RCPT ? t->read_rcpt < t->n_recipients : t->read_rcpt < t->write_rcpt;
    if (t->read_step == SMTP_STEP_FINAL)
        return t->write_step == SMTP_STEP_END;
    return t->read_step < t->write_step;
}

/* Nobody will get it: every reply to the envelope is in, and none says yes. */
static bool is_hopeless(const struct smtp_transaction *t)
{
    return t->read_step >= SMTP_STEP_DATA ? t->n_accepted == 0 : !t->mail_accepted && t->read_step > SMTP_STEP_MAIL;
}

void smtp_forget(struct smtp_client *c, struct engine_request *r)
{
    list_remove(&r->link);
    c->n_queued--;
    r->state = REQUEST_ANSWERED;
}

/* What came to nothing must be taken back, unless that was said already by what follows. */
static bool leaves_envelope(const struct smtp_client *c, const struct smtp_transaction *t)
{
    struct smtp_request *next = smtp_head(c);
    bool fenced = next && next->kind == SMTP_TRANSACTION && smtp_transaction_of(next)->write_step > SMTP_STEP_RSET;
    bool begun = t->mail_accepted || (t->chunked && t->write_step > SMTP_STEP_DATA);

    return begun && !t->data_accepted && !(fenced && t->chunked);
}

/* The transaction is over: DONE, with a fault unless somebody gets the message. */
static void complete(struct smtp_client *c, struct smtp_transaction *t)
{
    struct engine_request *r = &t->request.base;

    c->dialogue = SMTP_DIALOGUE_READY;
    if (c->body_of == &t->request)
        c->body_of = NULL;
    smtp_forget(c, r);
    if (leaves_envelope(c, t))
        c->needs_rset = true;
    struct smtp_event *ev = smtp_push_event(c, ENGINE_EVENT_DONE, r);
    if (fault_is_set(&t->refusal)) {
        c->done_fault = t->refusal;
        /* RFC 3463 section 3.4: the system takes nothing from anybody now (Exchange says it of too many at once). With 421 it is this
         * connection that ends, and the next may do better. */
        c->done_fault.back_off = t->refusal.reply.code / 100 == 4 && t->refusal.reply.code != 421 &&
                                 strcmp(t->refusal.reply.enhanced, "4.3.2") == 0;
        ev->base.fault = &c->done_fault;
    }
}

void smtp_mark_begin(struct smtp_client *c, struct engine_request *r)
{
    if (r->state == REQUEST_QUEUED) {
        r->begin_offset = writer_position(&c->writer);
        r->state = REQUEST_PARTLY_WRITTEN;
    }
}

void smtp_mark_end(struct smtp_client *c, struct engine_request *r)
{
    r->end_offset = writer_position(&c->writer);
    r->state = REQUEST_WRITTEN;
}

/* A command is only said when all that the server has said before was asked for: a reply that is already there could not
 * be told from the command's own. `due`: replies to earlier commands are outstanding. */
static bool may_speak(const struct smtp_client *c, bool due)
{
    return due || (reader_pending(&c->reader) == 0 && !smtp_reply_is_open(&c->parser));
}

int smtp_surplus(struct smtp_client *c)
{
    return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server sends a reply to no command");
}

/* Nothing stands before it whose refusal would matter, or the server passes over what it refuses. */
static bool may_go_ahead(const struct smtp_client *c, const struct smtp_transaction *t)
{
    return c->flight == SMTP_FLIGHT_PROVED || !(t->chunked && t->write_step == SMTP_STEP_DATA);
}

/* Writes one command of the envelope. */
static int write_step(struct smtp_client *c, struct smtp_transaction *t)
{
    int r = 0;

    smtp_mark_begin(c, &t->request.base);
    switch (t->write_step) {
    case SMTP_STEP_PROOF:
        t->write_step = SMTP_STEP_RSET;
        r = smtp_write_proof(c, t);
        if (r == 0)
            t->read_step = SMTP_STEP_RSET;
        t->chunked = smtp_wants_chunk(c, t);
        return MIN(r, 0);
    case SMTP_STEP_RSET:
        t->write_step = SMTP_STEP_MAIL;
        if (!c->needs_rset && !(c->flight == SMTP_FLIGHT_PROVED && smtp_head(c) != &t->request)) {
            if (t->read_step == SMTP_STEP_RSET)
                t->read_step = SMTP_STEP_MAIL;
            return 0;
        }
        c->needs_rset = false;
        return smtp_write_word(c, "RSET");
    case SMTP_STEP_MAIL:
        t->write_step = SMTP_STEP_RCPT;
        return smtp_write_mail(c, t);
    case SMTP_STEP_RCPT:
        r = smtp_write_rcpt(c, t, &t->recipients[t->write_rcpt]);
        if (++t->write_rcpt == t->n_recipients)
            t->write_step = SMTP_STEP_DATA;
        return r;
    case SMTP_STEP_DATA:
        t->write_step = SMTP_STEP_BODY;
        return t->chunked ? smtp_write_bdat(c, t) : smtp_write_word(c, "DATA");
    case SMTP_STEP_BODY:
    case SMTP_STEP_FINAL:
    case SMTP_STEP_END:
        break;
    }
    return r;
}

/* 1: all of it is written (or it is over); 0: it waits. */
static int pump_transaction(struct smtp_client *c, struct smtp_transaction *t)
{
    while (t->write_step < SMTP_STEP_BODY) {
        if (reply_is_due(t) && (!may_pipeline(c) || !may_go_ahead(c, t)))
            return 0;
        if (!reply_is_due(t) && is_hopeless(t)) {
            complete(c, t);
            return 1;
        }
        if (!may_speak(c, reply_is_due(t) || smtp_head(c) != &t->request))
            return smtp_surplus(c);
        if (writer_room(&c->writer) < 2 * SMTP_COMMAND_LINE_MAX)
            return 0;
        int r = write_step(c, t);
        if (r < 0)
            return r;
    }
    return t->write_step == SMTP_STEP_END;
}

/* Single commands end a group (RFC 2920 section 3.1): they wait for what is before them, and all waits for them. */
static int pump_command(struct smtp_client *c, struct smtp_command *cmd)
{
    if (cmd->written || c->body_of == &cmd->request || smtp_head(c) != &cmd->request ||
        writer_room(&c->writer) < SMTP_COMMAND_LINE_MAX)
        return 0;
    return may_speak(c, false) ? smtp_write_command(c, cmd) : smtp_surplus(c);
}

int smtp_pump(struct smtp_client *c)
{
    struct engine_request *r;
    unsigned n = 0;

    if (c->state != SMTP_READY && c->state != SMTP_QUITTING)
        return 0;
    list_foreach(&c->engine.requests, r, struct engine_request, link)
    {
        struct smtp_request *request = container_of(r, struct smtp_request, base);
        bool first = smtp_head(c) == request;
        int done = request->kind == SMTP_COMMAND ? pump_command(c, smtp_command_of(request))
                                                 : pump_transaction(c, smtp_transaction_of(request));
        if (done <= 0)
            return done;
        /* The next envelope may follow this body; it may not where the account says so, or the server does not, and
         * behind a chunk, which might be refused, only where that does no harm. */
        bool gone = r->state == REQUEST_ANSWERED;
        bool chunk = !gone && request->kind == SMTP_TRANSACTION && smtp_transaction_of(request)->chunked;
        if (first && gone)
            continue;
        if (!may_pipeline(c) || c->config->pipeline == PIPELINE_OFF || (chunk && c->flight != SMTP_FLIGHT_PROVED) ||
            ++n == SMTP_FLIGHT_MAX)
            return 0;
    }
    if (c->state == SMTP_QUITTING && list_is_empty(&c->engine.requests) && writer_room(&c->writer) >= SMTP_COMMAND_LINE_MAX) {
        smtp_set_state(c, SMTP_QUIT);
        return smtp_write_word(c, "QUIT");
    }
    return 0;
}

/* --- bodies --- */

#define PIECE 32768

void smtp_body_is_whole(struct smtp_client *c, struct smtp_request *of)
{
    if (of->kind == SMTP_TRANSACTION) {
        smtp_transaction_of(of)->write_step = SMTP_STEP_END;
    } else {
        smtp_command_of(of)->written = true;
        c->dialogue = SMTP_DIALOGUE_DATA_SENT;
    }
    smtp_mark_end(c, &of->base);
    c->body_of = NULL;
}

ssize_t smtp_take_body(struct smtp_client *c, const char *bytes, size_t len, bool last)
{
    struct smtp_request *of = c->body_of;
    struct buffer *out = &c->writer.out;
    char *to;

    if (!of || buffer_room(out) < 2 + SMTP_BODY_END_MAX)
        return 0;
    if (of->kind == SMTP_TRANSACTION && smtp_transaction_of(of)->chunked)
        return smtp_take_chunk(c, smtp_transaction_of(of), bytes, len, last);
    size_t n = MIN(MIN(len, (size_t) PIECE), (buffer_room(out) - SMTP_BODY_END_MAX) / 2);
    if (buffer_reserve(out, smtp_body_max(n) + SMTP_BODY_END_MAX, &to) < 0)
        return smtp_fail(c, -ENOMEM, FAULT_INTERNAL, "data", "out of memory");
    buffer_commit(out, smtp_body_filter(&c->filter, slice_of(bytes, n), to));
    if (!last || n < len)
        return (ssize_t) n;
    /* There is room for it: the dot leaves with the last bytes. */
    buffer_commit(out, smtp_body_end(&c->filter, out->data + out->end));
    smtp_body_is_whole(c, of);
    int r = smtp_pump(c);
    return r < 0 ? r : (ssize_t) n;
}

/* --- replies --- */

static void refuse(struct smtp_transaction *t, const char *stage, const struct smtp_reply *reply)
{
    struct fault_reply text;

    if (fault_is_set(&t->refusal))
        return;
    smtp_reply_to_fault(reply, &text);
    fault_set_reply(&t->refusal, 0, FAULT_REJECTED, stage, &text);
    t->refusal.protocol = protocol_name(PROTOCOL_SMTP);
    if (smtp_reply_class(reply) == SMTP_CLASS_TRANSIENT)
        t->refusal.retry = RETRY_LATER;
}

int smtp_impossible(struct smtp_client *c, const char *stage)
{
    return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, stage, "the server's reply does not fit the command it answers");
}

static struct smtp_event *push_reply(struct smtp_client *c, struct smtp_transaction *t, enum smtp_context context,
                                     struct smtp_recipient *rcpt, const struct smtp_reply *reply)
{
    struct smtp_event *ev = smtp_push_event(c, ENGINE_EVENT_REPLY, &t->request.base);
    ev->context = context;
    ev->recipient = rcpt;
    ev->reply = *reply;
    return ev;
}

static void rcpt_reply(struct smtp_client *c, struct smtp_transaction *t, const struct smtp_reply *reply)
{
    struct smtp_recipient *rcpt = &t->recipients[t->read_rcpt];

    rcpt->code = reply->code;
    rcpt->verdict = smtp_reply_is_refusal(reply) || !t->mail_accepted ? SMTP_REFUSED : SMTP_ACCEPTED;
    if (rcpt->verdict == SMTP_ACCEPTED) {
        /* Somebody gets it: the refusals of others decide nothing. */
        if (t->n_accepted++ == 0)
            fault_clear(&t->refusal);
    } else if (t->n_accepted == 0) {
        if (t->mail_accepted)
            fault_clear(&t->refusal);
        refuse(t, "rcpt", reply);
    }
    if (++t->read_rcpt == t->n_recipients) {
        t->read_step = t->chunked ? SMTP_STEP_FINAL : SMTP_STEP_DATA;
        t->read_rcpt = 0;
        if (t->n_accepted == 0)
            t->request.base.changes = false;
    }
    push_reply(c, t, SMTP_CONTEXT_RCPT, rcpt, reply);
}

static int data_reply(struct smtp_client *c, struct smtp_transaction *t, const struct smtp_reply *reply)
{
    push_reply(c, t, SMTP_CONTEXT_DATA, NULL, reply);
    if (smtp_reply_is_refusal(reply)) {
        refuse(t, "data", reply);
        complete(c, t);
        return 0;
    }
    if (smtp_reply_class(reply) != SMTP_CLASS_INTERMEDIATE)
        return smtp_impossible(c, "data");
    t->data_accepted = true;
    t->read_step = SMTP_STEP_FINAL;
    t->read_rcpt = 0;
    if (t->n_accepted) {
        c->body_of = &t->request;
        smtp_body_init(&c->filter);
        return 0;
    }
    /* DATA was on its way when the last recipient was refused: an empty message ends it. */
    t->write_step = SMTP_STEP_END;
    return writer_body(&c->writer, ".\r\n", 3) == 3 ? 0 : smtp_fail(c, -ENOMEM, FAULT_INTERNAL, "data", "out of memory");
}

/* LMTP: one reply for each accepted recipient (RFC 2033 section 4.2). */
static void lmtp_final_reply(struct smtp_client *c, struct smtp_transaction *t, const struct smtp_reply *reply)
{
    while (t->recipients[t->read_rcpt].verdict != SMTP_ACCEPTED)
        t->read_rcpt++;
    struct smtp_recipient *rcpt = &t->recipients[t->read_rcpt++];

    rcpt->code = reply->code;
    push_reply(c, t, SMTP_CONTEXT_FINAL, rcpt, reply);
    if (smtp_reply_is_refusal(reply)) {
        rcpt->verdict = SMTP_REFUSED;
        if (--t->n_accepted == 0)
            refuse(t, "data", reply);
    }
    for (size_t i = t->read_rcpt; i < t->n_recipients; i++)
        if (t->recipients[i].verdict == SMTP_ACCEPTED)
            return;
    complete(c, t);
}

static int final_reply(struct smtp_client *c, struct smtp_transaction *t, const struct smtp_reply *reply)
{
    bool whole = t->write_step == SMTP_STEP_END;
    int usual = t->chunked ? smtp_chunk_verdict(c, t, reply) : 1;

    if (usual < 0)
        return usual;
    if (!smtp_reply_is_refusal(reply) && (smtp_reply_class(reply) != SMTP_CLASS_POSITIVE || !whole))
        return smtp_impossible(c, "data");
    if (!whole || !usual) {
        /* The verdict came in the middle of the body, or a server that has refused a chunk may read it as commands: the
         * connection is spent. */
        push_reply(c, t, SMTP_CONTEXT_FINAL, NULL, reply);
        refuse(t, "data", reply);
        complete(c, t);
        smtp_push_event(c, ENGINE_EVENT_CLOSING, NULL);
        smtp_set_state(c, SMTP_CLOSED);
        return 0;
    }
    if (c->config->lmtp && t->n_accepted) {
        lmtp_final_reply(c, t, reply);
        return 0;
    }
    push_reply(c, t, SMTP_CONTEXT_FINAL, NULL, reply);
    if (smtp_reply_is_refusal(reply))
        refuse(t, "data", reply);
    complete(c, t);
    return 0;
}

static int transaction_reply(struct smtp_client *c, struct smtp_transaction *t, const struct smtp_reply *reply)
{
    bool early_verdict = t->read_step == SMTP_STEP_FINAL && t->write_step == SMTP_STEP_BODY;

    if (!reply_is_due(t) && !early_verdict)
        return smtp_surplus(c);
    if (smtp_reply_class(reply) == SMTP_CLASS_INTERMEDIATE && t->read_step != SMTP_STEP_DATA)
        return smtp_impossible(c, smtp_request_stage(c));
    /* In flight, a goodbye that nobody asked for is the answer to a line of a body. */
    if (reply->code == 221 && c->flight >= SMTP_FLIGHT_PROVING)
        return smtp_impossible(c, smtp_request_stage(c));
    switch (t->read_step) {
    case SMTP_STEP_PROOF: {
        int r = smtp_proof_reply(c, reply);
        if (r > 0)
            t->read_step = SMTP_STEP_MAIL; /* the proof ends with an RSET */
        return MIN(r, 0);
    }
    case SMTP_STEP_RSET:
        if (smtp_reply_is_refusal(reply))
            return smtp_impossible(c, "rset");
        t->read_step = SMTP_STEP_MAIL;
        push_reply(c, t, SMTP_CONTEXT_RSET, NULL, reply);
        return 0;
    case SMTP_STEP_MAIL:
        t->mail_accepted = !smtp_reply_is_refusal(reply);
        if (!t->mail_accepted) {
            refuse(t, "mail", reply);
            t->request.base.changes = false;
        }
        t->read_step = SMTP_STEP_RCPT;
        push_reply(c, t, SMTP_CONTEXT_MAIL, NULL, reply);
        return 0;
    case SMTP_STEP_RCPT:
        rcpt_reply(c, t, reply);
        return 0;
    case SMTP_STEP_DATA:
        return data_reply(c, t, reply);
    case SMTP_STEP_FINAL:
        return final_reply(c, t, reply);
    case SMTP_STEP_BODY:
    case SMTP_STEP_END:
        break;
    }
    return smtp_impossible(c, NULL);
}

int smtp_request_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct smtp_request *r = smtp_head(c);

    if (!r)
        return smtp_surplus(c);
    return r->kind == SMTP_COMMAND ? smtp_command_reply(c, smtp_command_of(r), reply) : transaction_reply(c, smtp_transaction_of(r), reply);
}

const char *smtp_request_stage(const struct smtp_client *c)
{
    static const char *const steps[] = {
        [SMTP_STEP_PROOF] = "data", [SMTP_STEP_RSET] = "rset", [SMTP_STEP_MAIL] = "mail", [SMTP_STEP_RCPT] = "rcpt",
        [SMTP_STEP_DATA] = "data",  [SMTP_STEP_BODY] = "data", [SMTP_STEP_FINAL] = "data", [SMTP_STEP_END] = "data",
    };
    struct smtp_request *r = smtp_head(c);

    if (!r)
        return NULL;
    return r->kind == SMTP_COMMAND ? smtp_verb_stage(smtp_command_of(r)->verb) : steps[smtp_transaction_of(r)->read_step];
}

bool smtp_awaits_final(const struct smtp_client *c)
{
    struct smtp_request *r = smtp_head(c);
    if (!r)
        return false;
    if (r->kind == SMTP_COMMAND)
        return smtp_command_of(r)->verb == SMTP_VERB_BODY && smtp_command_of(r)->written;
    const struct smtp_transaction *t = smtp_transaction_of(r);
    return t->read_step == SMTP_STEP_FINAL && t->write_step == SMTP_STEP_END;
}
