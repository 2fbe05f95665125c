/* SPDX-License-Identifier: MIT */
/* One mail to one server: the exchange behind smtp.send and smtp.sendmail. It owns all that it needs, so that it can be finished
 * after its call has ended, and then it still tells the idempotency record what became of it. */
#ifndef POSTERN_SMTP_SEND_H
#define POSTERN_SMTP_SEND_H

#include "idempotency.h"
#include "op.h"
#include "outgoing.h"
#include "smtp_client.h"

/* What was sent; borrowed during the call. */
struct smtp_sent {
    struct slice result;       /* the result object in JSON; data NULL: failed */
    const struct fault *fault; /* NULL: at least one recipient was accepted, and the message was taken */
    struct slice rejected;     /* JSON array of {address, reply}; data NULL: none */
    struct slice refused;      /* JSON object {address: [code, text]}, as smtp.sendmail wants it */
};

struct smtp_send_order {
    struct outgoing *out; /* planned; referenced */
    struct slice from;    /* all slices live in `text` or in the outgoing mail */
    const struct slice *recipients;
    size_t n_recipients;
    unsigned notify; /* set of SMTP_NOTIFY_… */
    enum smtp_ret ret;
    struct slice envid;
    bool requiretls;
    enum smtp_by by_mode;
    int64_t by_s;
    bool has_priority;
    int priority;
    struct body_owner *text;            /* referenced; may be NULL */
    struct idempotency_record *record;  /* referenced; may be NULL. Finished by the exchange, also when this fails */
    /* Once, from the loop, unless the op has ended before. */
    void (*finished)(struct op *op, size_t index, const struct smtp_sent *sent);
    size_t index;
};

/* <0 with op->fault set: nothing was begun. */
int smtp_send_submit(struct op *op, const struct smtp_send_order *order) ATTR_WARN_UNUSED;

/* method_smtp_send.c: the set of SMTP_NOTIFY_… that these names say. */
unsigned smtp_notify_set(const struct rpc_strings *names);

#endif
