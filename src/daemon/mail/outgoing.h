/* SPDX-License-Identifier: MIT */
/* A mail on its way out of the daemon (smtp.send, imap.append, mail.build): a message object to compose, or bytes that
 * the caller has finished ("raw"), behind one face. Its bytes are made while they are pulled, so that its size does not
 * matter; what it is made of is referenced, so that it outlives its call inside an exchange.
 *
 * Life, in a handler: outgoing_message() or outgoing_raw() in prepare(); outgoing_plan() in run(); when `planned` has
 * been called, the facts below are known and outgoing_next() gives the bytes, any number of times from the start.
 * Counted. Loop thread only. */
#ifndef POSTERN_OUTGOING_H
#define POSTERN_OUTGOING_H

#include "api_mail.h"
#include "mime_compose.h"
#include "mime_raw.h"
#include "op.h"

struct outgoing;

/* From prepare(): `name` is the parameter's ("message", "messages[2].message"; static or in the op's arena). Checks the
 * addresses, asks for the attachments' bodies. <0 with op->fault that names the field. The reference is the caller's,
 * on failure as well untouched. */
int outgoing_message(struct op *op, const struct api_message *message, const char *name,
                     struct outgoing **ret) ATTR_WARN_UNUSED;
/* The same for finished bytes. */
int outgoing_raw(struct op *op, const struct rpc_content *raw, const char *name,
                 struct outgoing **ret) ATTR_WARN_UNUSED;
struct outgoing *outgoing_ref(struct outgoing *out);
struct outgoing *outgoing_unref(struct outgoing *out); /* accepts NULL, returns NULL */

struct outgoing_plan {
    enum mime_transport transport; /* what may be used where it is shorter */
    bool utf8;                     /* header in UTF-8 */
    bool stored;                   /* raw: it goes into a mailbox, and keeps its Bcc */
    bool complete;                 /* raw: Date and Message-ID are put in front where they are missing */
};
/* From run(), once: composes the header and decides the encodings, or looks through the raw bytes; on the cpu helper
 * when that is much. `planned` is called once, at the earliest before this returns, unless the op ends before; `fault`
 * NULL: the rest may be used. Else the mail cannot be sent as it stands (FAULT_INVALID_PARAMS names the field; an empty
 * raw is FAULT_BAD_MESSAGE); the op itself goes on. `arg` is the handler's. */
void outgoing_plan(struct op *op, struct outgoing *out, const struct outgoing_plan *plan,
                   void (*planned)(struct op *op, struct outgoing *out, void *arg, const struct fault *fault),
                   void *arg);

/* What is known then; slices live as long as a reference. */
struct outgoing_facts {
    uint64_t size;           /* of the bytes that outgoing_next() gives */
    struct slice message_id; /* without brackets; data NULL: it has none */
    struct slice from;       /* envelope; data NULL: none */
    const struct slice
        *authors; /* all addresses of From and Sender (and their Resent- forms): each has to be allowed */
    size_t n_authors;
    const struct slice *recipients;
    size_t n_recipients;
    bool open_end;     /* the last line has no end */
    bool needs_utf8;   /* SMTPUTF8: beyond ASCII in the header */
    bool needs_8bit;   /* 8BITMIME */
    bool needs_binary; /* BINARYMIME: NUL, or lines over 998 */
    bool has_nul;
};
const struct outgoing_facts *outgoing_facts(const struct outgoing *out);

/* Roughly what it takes of memory while it is not read out, its bodies and the parameters' text apart. */
uint64_t outgoing_memory(const struct outgoing *out);

/* Of the bodies that came by the parameters, once planned: sizes, beginnings and ends. Two mails that are meant to be the
 * same have the same; cheap however long they are. */
uint64_t outgoing_digest(const struct outgoing *out);

/* The next bytes, as exchange_ops.body() wants them: >0 that many at *ret, valid until the next call; *ret_last: no
 * more follow; <0: -ENOMEM, -EIO, -ESTALE. */
ssize_t outgoing_next(struct outgoing *out, const char **ret, bool *ret_last);
/* --- for a server that takes more, or less, than was planned for --- */
struct outgoing_form {
    enum mime_transport transport;
    bool utf8;
};
/* Whether the mail is in the form that this server is to get, or would be no other in it; raw always is. */
bool outgoing_suits(const struct outgoing *out, const struct outgoing_form *form);
/* Composes it anew: same Date, Message-ID and boundaries. 0: done. 1: on its way on the `cpu` helper; `reformed` is called once,
 * from the loop, `fault` NULL when it is done. <0 with *fault. Asking again forgets what was asked before. Not while it is
 * being read out. */
int outgoing_reform(struct outgoing *out, const struct outgoing_form *form, struct worker_pool *cpu,
                    void (*reformed)(void *arg, const struct fault *fault), void *arg, struct fault *fault) ATTR_WARN_UNUSED;
/* `reformed` will not be called. */
void outgoing_reform_cancel(struct outgoing *out);

/* How many of them outgoing_next() has given since the start. */
uint64_t outgoing_given(const struct outgoing *out);
/* Back to the start, for another attempt. */
void outgoing_rewind(struct outgoing *out);

#endif
