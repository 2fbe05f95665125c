/* SPDX-License-Identifier: MIT */
/* The engine's inside, shared by the files of this folder only. */
#ifndef POSTERN_IMAP_INTERNAL_H
#define POSTERN_IMAP_INTERNAL_H

#include "imap_client.h"
#include "reader.h"
#include "sasl.h"
#include "writer.h"

#define IMAP_LOGIN_LINE_MAX 65536u       /* until READY */
#define IMAP_LINE_MAX (8u * 1024 * 1024) /* SEARCH without ESEARCH: a million numbers */
#define IMAP_JOIN_MAX 4096u              /* sections up to this size come with the items */
#define IMAP_LITERAL_MAX (UINT64_C(1) << 31)
#define IMAP_OUTPUT_MAX (4u * 1024 * 1024)
#define IMAP_OUTPUT_LOW (256u * 1024) /* no further command is written, no body asked for, while more waits */
#define IMAP_TEXT_MAX 65536u   /* capabilities, flags, greeting that are kept */

enum imap_state {
    IMAP_STATE_GREETING = 0,
    IMAP_STATE_CAPABILITY,   /* asked, in clear or after TLS */
    IMAP_STATE_STARTTLS,     /* said */
    IMAP_STATE_HANDSHAKE,    /* the driver's turn */
    IMAP_STATE_CREDENTIAL,   /* the driver's turn */
    IMAP_STATE_LOGIN,        /* LOGIN said */
    IMAP_STATE_AUTHENTICATE, /* AUTHENTICATE said */
    IMAP_STATE_DERIVE,       /* the driver's turn */
    IMAP_STATE_CAPABILITY_AGAIN, /* asked after the login */
    IMAP_STATE_ID,           /* said */
    IMAP_STATE_READY,
    IMAP_STATE_LOGOUT,       /* said */
    IMAP_STATE_CLOSING,      /* BYE came */
    IMAP_STATE_CLOSED,
    IMAP_STATE_FAILED,
    IMAP_STATE_COUNT
};

struct imap_client {
    struct engine engine;
    const struct engine_config *config;
    enum imap_state state;
    int error;
    struct reader reader;
    struct writer writer;
    uint64_t caps;            /* bits of enum imap_cap, without the disabled ones */
    unsigned offered;         /* SASL methods */
    struct buffer cap_text, greeting;
    bool caps_known;          /* since the last time they were forgotten */
    bool tls_active, preauth;
    struct engine_tls tls;
    struct sasl *sasl;
    enum sasl_method method;
    char login_tag[12];       /* of the login's command under way */
    uint64_t tags;            /* drawn so far */

    size_t n_requests;
    struct imap_command own; /* NOOP of a probe, LOGOUT: in no list, nobody is told of them */
    bool own_pending;
    bool quitting, ready_due, closing_due;

    struct {
        struct imap_command *by; /* the SELECT or EXAMINE whose data comes now */
        bool selected, readonly;
        struct buffer mailbox, flags, permanentflags;
        uint32_t uidvalidity, uidnext, exists, recent;
        uint64_t highestmodseq;
    } box;

    /* A FETCH answer whose literal streams through. */
    bool in_fetch;
    struct imap_command *fetch_for; /* NULL: nobody's */
    uint32_t fetch_number, fetch_uid;
    uint64_t literal_left;
    size_t joined_to;         /* bytes of the unit that end with a joined literal */
    bool uid_comes_first;     /* seen: this server names the UID before a section's bytes */

    struct imap_event event;
    struct buffer trace;      /* lines written, not yet given as events */
    struct slice traced;      /* a unit that was shown and not yet looked at */
    bool traced_streams;
    struct fault done_fault;
    struct imap_command *early_done; /* answered before its body was complete */
    struct imap_response early;
    struct fault early_fault;
};

static inline struct imap_client *imap_client_of(const struct engine *e)
{
    return container_of((struct engine *) (uintptr_t) e, struct imap_client, engine);
}
static inline bool imap_has(const struct imap_client *c, enum imap_cap cap)
{
    return c->caps & (UINT64_C(1) << cap);
}
static inline struct imap_command *imap_command_of(struct engine_request *r)
{
    return container_of(r, struct imap_command, request);
}

/* imap_client.c */
void imap_set_state(struct imap_client *c, enum imap_state state);
/* Ends the engine: the first fault stays. Always the negative errno. */
int imap_fail(struct imap_client *c, int err, enum fault_kind kind, const char *fmt, ...) ATTR_PRINTF(4, 5) ATTR_COLD;
int imap_fail_reply(struct imap_client *c, int err, enum fault_kind kind, const struct imap_response *r) ATTR_COLD;
int imap_fail_io(struct imap_client *c, int err) ATTR_COLD;
void imap_fill_reply(const struct imap_response *r, struct fault_reply *ret);
void imap_new_tag(struct imap_client *c, char tag[12]);
void imap_trace_written(struct imap_client *c);
/* Writes commands from the queue as far as conflicts and room allow. */
int imap_pump(struct imap_client *c);

/* imap_command.c: writes it whole, up to a body. */
int imap_command_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault);
int imap_command_write(struct imap_client *c, struct imap_command *cmd);

/* conflict.c */
bool imap_conflicts(const struct imap_client *c, const struct imap_command *first, const struct imap_command *second);

/* imap_login.c: a response while logging in. 0, or an error. */
int imap_login_response(struct imap_client *c, const struct imap_response *r);
int imap_login_tls_started(struct imap_client *c);
int imap_login_credential(struct imap_client *c, struct secret *secret);
int imap_login_derived(struct imap_client *c, const void *key, size_t len);
void imap_take_capabilities(struct imap_client *c, struct slice text);

/* imap_receive.c: 1 an event, 0 none for now, <0. */
int imap_receive(struct imap_client *c);

#endif
