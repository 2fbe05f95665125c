/* SPDX-License-Identifier: MIT */
/* One mail to one server: the exchange behind smtp.send and smtp.sendmail. Where the server takes fewer recipients at once than there
 * are (LIMITS, or 452 4.5.3), the mail goes in several transactions, over several connections where it must; what becomes of each
 * recipient is told in one result, and it is a success when one part was taken. It owns all that it needs, so that it can be finished
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
    const struct rpc_map *orcpt;        /* recipient to "type;address"; may be NULL */
    struct body_owner *text;            /* referenced; may be NULL */
    struct smtp_group *group;           /* referenced; may be NULL */
    struct idempotency_record *record;  /* referenced; may be NULL. Finished by the exchange, also when this fails */
    /* From the loop, unless the op has ended before. finished(): once. started(): it is on a connection that would take `depth` of
     * them at once. moved(): so many bytes of it have gone out. */
    void (*finished)(struct op *op, void *arg, const struct smtp_sent *sent);
    void (*started)(struct op *op, void *arg, unsigned depth);
    void (*moved)(struct op *op, void *arg, uint64_t given);
    void *arg;
};

/* Mails that go over one connection, one behind the other: each rather waits than to go elsewhere. Counted; every mail that was
 * submitted with it holds a reference. */
struct smtp_group *smtp_group_new(void); /* NULL when out of memory */
struct smtp_group *smtp_group_unref(struct smtp_group *g); /* accepts NULL, returns NULL */

/* <0 with op->fault set: nothing was begun. */
int smtp_send_submit(struct op *op, const struct smtp_send_order *order) ATTR_WARN_UNUSED;

#endif
