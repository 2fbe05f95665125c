/* SPDX-License-Identifier: MIT */
/* Bodies as chunks (RFC 3030), and whole messages in flight. What is refused must be passed over by the server, or it would run
 * a body's lines as commands: smtp_client.h says what is done about it. */
#include "smtp_private.h"

#include <errno.h>
#include <string.h>

#define PIECE 32768

/* What a server does with it that runs a chunk which it has refused: it ends the connection, and answers in a way of its own. */
static const char harmless[] = "QUIT";

enum proof_step { PROOF_ALONE, PROOF_RSET, PROOF_MAIL, PROOF_NO_RECIPIENT, PROOF_RSET_AGAIN, PROOF_END };

void smtp_flight_begin(struct smtp_client *c)
{
    bool wanted = c->config->pipeline == PIPELINE_CHUNKS && !(c->config->lessons & ENGINE_LESSON_NO_CHUNKS) && !c->config->lmtp;

    c->flight = wanted && smtp_has(&c->caps, SMTP_EXT_CHUNKING) && smtp_has(&c->caps, SMTP_EXT_PIPELINING) ? SMTP_FLIGHT_WANTED
                                                                                                           : SMTP_FLIGHT_OFF;
    c->proofs = 0;
}

static bool takes_chunks(const struct smtp_client *c)
{
    return smtp_has(&c->caps, SMTP_EXT_CHUNKING) && !(c->config->lessons & ENGINE_LESSON_NO_CHUNKS);
}

bool smtp_client_takes_chunks(const struct engine *e)
{
    return takes_chunks(smtp_of_const(e));
}

bool smtp_wants_chunk(const struct smtp_client *c, const struct smtp_transaction *t)
{
    if (t->body == SMTP_BODY_BINARYMIME)
        return true;
    if (!t->has_size || c->config->lmtp || !takes_chunks(c))
        return false;
    return c->flight >= SMTP_FLIGHT_PROVING || t->size >= SMTP_CHUNK_FROM;
}

/* --- the proof --- */

static int write_harmless_chunk(struct smtp_client *c)
{
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, "BDAT ");
    writer_number(&c->writer, sizeof(harmless) - 1 + 2);
    writer_raw_str(&c->writer, " LAST");
    int r = smtp_end_command(c);
    return r < 0 ? r : smtp_write_word(c, harmless);
}

int smtp_write_proof(struct smtp_client *c, const struct smtp_transaction *t)
{
    /* A message that is alone gains nothing by it. */
    if (c->flight != SMTP_FLIGHT_WANTED || smtp_head(c) == &t->request || smtp_limits_reached(c))
        return 0;
    c->mails++;
    c->flight = SMTP_FLIGHT_PROVING;
    int r = write_harmless_chunk(c);
    if (r == 0)
        r = smtp_write_word(c, "RSET");
    if (r == 0)
        r = smtp_write_mail(c, t);
    if (r == 0)
        r = write_harmless_chunk(c);
    if (r == 0)
        r = smtp_write_word(c, "RSET");
    c->needs_rset = false;
    return r < 0 ? r : 1;
}

int smtp_proof_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    bool refused = smtp_reply_is_refusal(reply);

    switch ((enum proof_step) c->proofs++) {
    case PROOF_ALONE:
    case PROOF_NO_RECIPIENT:
        if (!refused)
            return smtp_impossible(c, "data");
        break;
    case PROOF_RSET:
    case PROOF_RSET_AGAIN:
        if (refused)
            return smtp_impossible(c, "rset");
        break;
    case PROOF_MAIL: /* whether it may send is found out by the transaction */
    case PROOF_END:
        break;
    }
    if (c->proofs < PROOF_END)
        return 0;
    c->flight = SMTP_FLIGHT_PROVED;
    return 1;
}

void smtp_flight_failed(struct smtp_client *c, enum fault_kind kind)
{
    if (kind == FAULT_PROTOCOL && c->flight >= SMTP_FLIGHT_PROVING && !list_is_empty(&c->engine.requests))
        c->lessons |= ENGINE_LESSON_NO_CHUNKS;
}

void smtp_disown(struct smtp_client *c)
{
    struct engine_request *r;
    list_foreach(&c->engine.requests, r, struct engine_request, link)
        r->changes = false;
}

/* --- a chunk --- */

int smtp_write_bdat(struct smtp_client *c, struct smtp_transaction *t)
{
    struct writer *w = &c->writer;

    writer_begin(w);
    writer_raw_str(w, "BDAT ");
    writer_number(w, t->size + (t->open_end ? 2 : 0));
    writer_raw_str(w, " LAST");
    t->chunk_left = t->size;
    c->body_of = &t->request;
    return smtp_end_command(c);
}

/* As it is, and exactly as much as was announced: a byte too many would be a command. */
ssize_t smtp_take_chunk(struct smtp_client *c, struct smtp_transaction *t, const char *bytes, size_t len, bool last)
{
    if (len > t->chunk_left || (last && len < t->chunk_left))
        return smtp_fail(c, -EIO, FAULT_BAD_MESSAGE, "data", "the body is not as long as was announced");
    size_t room = writer_room(&c->writer) - 2; /* for the line's end */
    ssize_t n = len ? writer_body(&c->writer, bytes, MIN(MIN(len, (size_t) PIECE), room)) : 0;
    if (n < 0)
        return smtp_fail(c, -ENOMEM, FAULT_INTERNAL, "data", "out of memory");
    t->chunk_left -= (uint64_t) n;
    if (!last || (size_t) n < len)
        return n;
    if (t->open_end && writer_body(&c->writer, "\r\n", 2) != 2)
        return smtp_fail(c, -ENOMEM, FAULT_INTERNAL, "data", "out of memory");
    smtp_body_is_whole(c, &t->request);
    int r = smtp_pump(c);
    return r < 0 ? r : n;
}

/* "2.1.5" (RFC 3463 X.1.X): of an address, not of a message. In flight it tells a reply to RCPT, one place too late, from the
 * verdict that all look like otherwise. */
static bool is_of_address(const struct smtp_reply *reply)
{
    return strncmp(reply->enhanced, "2.1.", 4) == 0;
}

int smtp_chunk_verdict(struct smtp_client *c, struct smtp_transaction *t, const struct smtp_reply *reply)
{
    bool refused = smtp_reply_is_refusal(reply), whole = t->write_step == SMTP_STEP_END;

    if (c->flight == SMTP_FLIGHT_PROVED && is_of_address(reply))
        return smtp_impossible(c, "data");
    if (!refused && (t->n_accepted == 0 || !whole || smtp_reply_class(reply) != SMTP_CLASS_POSITIVE))
        return smtp_impossible(c, "data");
    if (!refused || (whole && c->config->lmtp)) {
        t->data_accepted = true;
        return 1;
    }
    if (c->flight == SMTP_FLIGHT_PROVED) {
        if (!whole)
            c->lessons |= ENGINE_LESSON_NO_CHUNKS;
        return whole;
    }
    /* x0z: not the message is refused, but the command (RFC 5321 section 4.2.1). There is another. */
    if (!t->only_chunked && reply->code / 10 % 10 == 0) {
        c->lessons |= ENGINE_LESSON_NO_CHUNKS;
        smtp_disown(c);
        smtp_push_event(c, ENGINE_EVENT_CLOSING, NULL);
        return smtp_fail_reply(c, -ECONNRESET, FAULT_REJECTED, "data", reply);
    }
    return 0;
}
