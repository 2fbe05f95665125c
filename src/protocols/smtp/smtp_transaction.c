/* SPDX-License-Identifier: MIT */
/* Requests: what may be put out when, and which reply answers what. Each transaction has two cursors, one for what was
 * written and one for what was answered; a reply is due while the second is behind the first. */
#include "smtp_private.h"

#include <errno.h>

static struct smtp_request *request_of(struct list *link)
{
    return container_of(container_of(link, struct engine_request, link), struct smtp_request, base);
}

static struct smtp_transaction *transaction_of(struct smtp_request *r)
{
    return container_of(r, struct smtp_transaction, request);
}

static struct smtp_request *head(const struct smtp_client *c)
{
    return list_is_empty(&c->engine.requests) ? NULL : request_of(c->engine.requests.next);
}

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
    t->write_step = t->read_step = SMTP_STEP_RSET;
    t->write_rcpt = t->read_rcpt = 0;
    t->mail_accepted = t->data_accepted = false;
    for (size_t i = 0; i < t->n_recipients; i++) {
        t->recipients[i].verdict = SMTP_UNDECIDED;
        t->recipients[i].code = 0;
    }
}

/* --- checks before anything is written --- */

static int put_path(struct writer *w, struct slice address)
{
    writer_path(w, address);
    return writer_end(w);
}

static int check_address(struct slice address, bool utf8, bool may_be_empty, const char *what, struct fault *fault)
{
    struct writer scratch;
    int r = may_be_empty || address.len ? 0 : -EINVAL;

    if (r == 0) {
        writer_init(&scratch, SMTP_COMMAND_LINE_MAX / 2);
        scratch.utf8 = utf8;
        writer_begin(&scratch);
        r = put_path(&scratch, address);
        writer_done(&scratch);
    }
    if (r == -ENOMEM)
        return fault_set(fault, r, FAULT_INTERNAL, NULL, "out of memory");
    if (r < 0)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s '%.*s' is not an address that can be written", what,
                         (int) MIN(address.len, 100), address.data ? address.data : "");
    return 0;
}

static int check_xtext(struct slice text, const char *what, struct fault *fault)
{
    if (text.len > 500)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s is too long", what);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
            return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s holds CR, LF or NUL", what);
    return 0;
}

static bool orcpt_is_valid(struct slice orcpt)
{
    size_t semicolon = slice_find(orcpt, ';');

    for (size_t i = 0; i < semicolon; i++)
        if (!ascii_is_alpha(orcpt.data[i]) && !ascii_is_digit(orcpt.data[i]) && orcpt.data[i] != '-')
            return false;
    return semicolon > 0 && semicolon < orcpt.len;
}

static int missing(struct fault *fault, const char *name)
{
    return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "mail", "the server does not offer %s", name);
}

static int check_extensions(const struct smtp_client *c, const struct smtp_transaction *t, struct fault *fault)
{
    const struct smtp_capabilities *caps = &c->caps;
    bool dsn = t->ret != SMTP_RET_UNSET || t->envid.len;

    for (size_t i = 0; i < t->n_recipients; i++)
        dsn = dsn || t->recipients[i].notify || t->recipients[i].orcpt.len;
    if (dsn && !smtp_has(caps, SMTP_EXT_DSN))
        return missing(fault, "DSN");
    if (t->smtputf8 && !smtp_has(caps, SMTP_EXT_SMTPUTF8))
        return missing(fault, "SMTPUTF8");
    if (t->body == SMTP_BODY_8BITMIME && !smtp_has(caps, SMTP_EXT_8BITMIME))
        return fault_set(fault, -EINVAL, FAULT_BAD_MESSAGE, "mail",
                         "the message has bytes beyond ASCII, and the server does not offer 8BITMIME");
    if (t->body == SMTP_BODY_BINARYMIME)
        return fault_set(fault, -EINVAL, FAULT_BAD_MESSAGE, "mail",
                         "the message holds NUL or lines over 998 bytes, which DATA cannot carry");
    if (t->has_size && caps->size_max && t->size > caps->size_max)
        return fault_set(fault, -EFBIG, FAULT_BAD_MESSAGE, "mail", "the message has %llu bytes, the server takes %llu",
                         (unsigned long long) t->size, (unsigned long long) caps->size_max);
    return 0;
}

static int check_sender(const struct smtp_client *c, const struct smtp_transaction *t, struct fault *fault)
{
    int r = check_address(t->from, t->smtputf8, true, "the sender", fault);

    if (r == 0)
        r = check_xtext(t->envid, "envid", fault);
    return r < 0 ? r : check_extensions(c, t, fault);
}

static int check_recipient(const struct smtp_transaction *t, const struct smtp_recipient *rcpt, struct fault *fault)
{
    int r = check_address(rcpt->address, t->smtputf8, false, "the recipient", fault);

    if (r == 0 && rcpt->orcpt.len && !orcpt_is_valid(rcpt->orcpt))
        r = fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "orcpt must be \"type;address\"");
    if (r == 0)
        r = check_xtext(rcpt->orcpt, "orcpt", fault);
    if (r == 0 && (rcpt->notify & SMTP_NOTIFY_NEVER) && rcpt->notify != SMTP_NOTIFY_NEVER)
        r = fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "notify \"never\" stands alone");
    return r;
}

int smtp_check_envelope(const struct smtp_client *c, const struct smtp_transaction *t, bool sender, struct fault *fault)
{
    if (sender)
        return check_sender(c, t, fault);
    int r = check_recipient(t, &t->recipients[0], fault);
    return r < 0 ? r : check_extensions(c, t, fault);
}

static int check_transaction(struct smtp_client *c, const struct smtp_transaction *t, struct fault *fault)
{
    if (t->n_recipients == 0)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "there is no recipient");
    int r = smtp_check_rest(c, fault);
    for (size_t i = 0; r == 0 && i < t->n_recipients; i++)
        r = check_recipient(t, &t->recipients[i], fault);
    return r < 0 ? r : check_sender(c, t, fault);
}

int smtp_check_request(struct smtp_client *c, struct smtp_request *r, struct fault *fault)
{
    switch (r->kind) {
    case SMTP_TRANSACTION:
        return check_transaction(c, transaction_of(r), fault);
    case SMTP_COMMAND:
        return smtp_check_command(c, smtp_command_of(r), fault);
    }
    return -EINVAL;
}

/* --- writing --- */

static const char *body_type_name(enum smtp_body_type b)
{
    switch (b) {
    case SMTP_BODY_7BIT:
        return NULL; /* the default needs no words */
    case SMTP_BODY_8BITMIME:
        return "8BITMIME";
    case SMTP_BODY_BINARYMIME:
        return "BINARYMIME";
    }
    return NULL;
}

int smtp_write_mail(struct smtp_client *c, const struct smtp_transaction *t)
{
    struct writer *w = &c->writer;

    writer_begin(w);
    w->utf8 = t->smtputf8;
    writer_raw_str(w, "MAIL FROM:");
    writer_path(w, t->from);
    if (t->has_size && smtp_has(&c->caps, SMTP_EXT_SIZE)) {
        writer_raw_str(w, " SIZE=");
        writer_number(w, t->size);
    }
    if (body_type_name(t->body)) {
        writer_raw_str(w, " BODY=");
        writer_raw_str(w, body_type_name(t->body));
    }
    if (t->smtputf8)
        writer_raw_str(w, " SMTPUTF8");
    if (t->ret != SMTP_RET_UNSET)
        writer_raw_str(w, t->ret == SMTP_RET_FULL ? " RET=FULL" : " RET=HDRS");
    if (t->envid.len) {
        writer_raw_str(w, " ENVID=");
        writer_xtext(w, t->envid);
    }
    return smtp_end_command(c);
}

static void write_notify(struct writer *w, unsigned notify)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{SMTP_NOTIFY_NEVER, "NEVER"},
                 {SMTP_NOTIFY_SUCCESS, "SUCCESS"},
                 {SMTP_NOTIFY_FAILURE, "FAILURE"},
                 {SMTP_NOTIFY_DELAY, "DELAY"}};
    const char *lead = " NOTIFY=";

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (notify & names[i].bit) {
            writer_raw_str(w, lead);
            writer_raw_str(w, names[i].name);
            lead = ",";
        }
}

int smtp_write_rcpt(struct smtp_client *c, const struct smtp_transaction *t, const struct smtp_recipient *rcpt)
{
    struct writer *w = &c->writer;

    writer_begin(w);
    w->utf8 = t->smtputf8;
    writer_raw_str(w, "RCPT TO:");
    writer_path(w, rcpt->address);
    write_notify(w, rcpt->notify);
    if (rcpt->orcpt.len) {
        size_t semicolon = slice_find(rcpt->orcpt, ';');
        writer_raw_str(w, " ORCPT=");
        writer_raw(w, slice_to(rcpt->orcpt, semicolon + 1));
        writer_xtext(w, slice_from(rcpt->orcpt, semicolon + 1));
    }
    return smtp_end_command(c);
}

static int write_word(struct smtp_client *c, const char *word)
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

/* The transaction is over: DONE, with a fault unless somebody gets the message. */
static void complete(struct smtp_client *c, struct smtp_transaction *t)
{
    struct engine_request *r = &t->request.base;

    c->dialogue = SMTP_DIALOGUE_READY;
    if (t->mail_accepted && !t->data_accepted)
        c->needs_rset = true;
    if (c->body_of == &t->request)
        c->body_of = NULL;
    smtp_forget(c, r);
    struct smtp_event *ev = smtp_push_event(c, ENGINE_EVENT_DONE, r);
    if (fault_is_set(&t->refusal)) {
        c->done_fault = t->refusal;
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

/* Writes one command of the envelope. */
static int write_step(struct smtp_client *c, struct smtp_transaction *t)
{
    int r = 0;

    smtp_mark_begin(c, &t->request.base);
    switch (t->write_step) {
    case SMTP_STEP_RSET:
        t->write_step = SMTP_STEP_MAIL;
        if (!c->needs_rset) {
            t->read_step = SMTP_STEP_MAIL;
            return 0;
        }
        c->needs_rset = false;
        return write_word(c, "RSET");
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
        return write_word(c, "DATA");
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
        if (reply_is_due(t) && !may_pipeline(c))
            return 0;
        if (!reply_is_due(t) && is_hopeless(t)) {
            complete(c, t);
            return 1;
        }
        if (!may_speak(c, reply_is_due(t) || head(c) != &t->request))
            return smtp_surplus(c);
        if (writer_room(&c->writer) < SMTP_COMMAND_LINE_MAX)
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
    if (cmd->written || c->body_of == &cmd->request || head(c) != &cmd->request ||
        writer_room(&c->writer) < SMTP_COMMAND_LINE_MAX)
        return 0;
    return may_speak(c, false) ? smtp_write_command(c, cmd) : smtp_surplus(c);
}

int smtp_pump(struct smtp_client *c)
{
    struct engine_request *r;

    if (c->state != SMTP_READY && c->state != SMTP_QUITTING)
        return 0;
    list_foreach(&c->engine.requests, r, struct engine_request, link)
    {
        struct smtp_request *request = container_of(r, struct smtp_request, base);
        bool first = head(c) == request;
        int done = request->kind == SMTP_COMMAND ? pump_command(c, smtp_command_of(request))
                                                 : pump_transaction(c, transaction_of(request));
        if (done <= 0)
            return done;
        /* The next envelope may follow this body; it may not where the account says so, or the server does not. */
        bool gone = r->state == REQUEST_ANSWERED;
        if (!(first && gone) && (!may_pipeline(c) || c->config->pipeline == PIPELINE_OFF))
            return 0;
    }
    if (c->state == SMTP_QUITTING && list_is_empty(&c->engine.requests) && writer_room(&c->writer) >= SMTP_COMMAND_LINE_MAX) {
        smtp_set_state(c, SMTP_QUIT);
        return write_word(c, "QUIT");
    }
    return 0;
}

/* --- bodies --- */

#define PIECE 32768

ssize_t smtp_take_body(struct smtp_client *c, const char *bytes, size_t len, bool last)
{
    struct smtp_request *of = c->body_of;
    struct buffer *out = &c->writer.out;
    char *to;

    if (!of || buffer_room(out) < 2 + SMTP_BODY_END_MAX)
        return 0;
    size_t n = MIN(MIN(len, (size_t) PIECE), (buffer_room(out) - SMTP_BODY_END_MAX) / 2);
    if (buffer_reserve(out, smtp_body_max(n) + SMTP_BODY_END_MAX, &to) < 0)
        return smtp_fail(c, -ENOMEM, FAULT_INTERNAL, "data", "out of memory");
    buffer_commit(out, smtp_body_filter(&c->filter, slice_of(bytes, n), to));
    if (!last || n < len)
        return (ssize_t) n;
    /* There is room for it: the dot leaves with the last bytes. */
    buffer_commit(out, smtp_body_end(&c->filter, out->data + out->end));
    if (of->kind == SMTP_TRANSACTION) {
        transaction_of(of)->write_step = SMTP_STEP_END;
    } else {
        smtp_command_of(of)->written = true;
        c->dialogue = SMTP_DIALOGUE_DATA_SENT;
    }
    smtp_mark_end(c, &of->base);
    c->body_of = NULL;
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

static int impossible(struct smtp_client *c, const char *stage)
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
    if (++t->read_rcpt == t->n_recipients)
        t->read_step = SMTP_STEP_DATA;
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
        return impossible(c, "data");
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
    if (!smtp_reply_is_refusal(reply) && (smtp_reply_class(reply) != SMTP_CLASS_POSITIVE || t->write_step != SMTP_STEP_END))
        return impossible(c, "data");
    if (t->write_step != SMTP_STEP_END) {
        /* The verdict came in the middle of the body. What is left cannot be unsaid: the connection is spent. */
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
        return impossible(c, smtp_request_stage(c));
    switch (t->read_step) {
    case SMTP_STEP_RSET:
        if (smtp_reply_is_refusal(reply))
            return impossible(c, "rset");
        t->read_step = SMTP_STEP_MAIL;
        push_reply(c, t, SMTP_CONTEXT_RSET, NULL, reply);
        return 0;
    case SMTP_STEP_MAIL:
        t->mail_accepted = !smtp_reply_is_refusal(reply);
        if (!t->mail_accepted)
            refuse(t, "mail", reply);
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
    return impossible(c, NULL);
}

int smtp_request_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct smtp_request *r = head(c);

    if (!r)
        return smtp_surplus(c);
    return r->kind == SMTP_COMMAND ? smtp_command_reply(c, smtp_command_of(r), reply) : transaction_reply(c, transaction_of(r), reply);
}

const char *smtp_request_stage(const struct smtp_client *c)
{
    static const char *const steps[] = {
        [SMTP_STEP_RSET] = "rset", [SMTP_STEP_MAIL] = "mail", [SMTP_STEP_RCPT] = "rcpt", [SMTP_STEP_DATA] = "data",
        [SMTP_STEP_BODY] = "data", [SMTP_STEP_FINAL] = "data", [SMTP_STEP_END] = "data",
    };
    struct smtp_request *r = head(c);

    if (!r)
        return NULL;
    return r->kind == SMTP_COMMAND ? smtp_verb_stage(smtp_command_of(r)->verb) : steps[transaction_of(r)->read_step];
}

bool smtp_awaits_final(const struct smtp_client *c)
{
    struct smtp_request *r = head(c);
    if (!r)
        return false;
    if (r->kind == SMTP_COMMAND)
        return smtp_command_of(r)->verb == SMTP_VERB_BODY && smtp_command_of(r)->written;
    const struct smtp_transaction *t = transaction_of(r);
    return t->read_step == SMTP_STEP_FINAL && t->write_step == SMTP_STEP_END;
}
