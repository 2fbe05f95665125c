/* SPDX-License-Identifier: MIT */
/* The engine's inside, shared by the files of this folder only. */
#ifndef POSTERN_IMAP_INTERNAL_H
#define POSTERN_IMAP_INTERNAL_H

#include "imap_client.h"
#include "reader.h"
#include "sasl_wire.h"
#include "writer.h"

#define IMAP_LOGIN_LINE_MAX 65536u       /* until READY */
#define IMAP_LINE_MAX (8u * 1024 * 1024) /* SEARCH without ESEARCH: a million numbers */
#define IMAP_JOIN_MAX 4096u              /* sections up to this size come with the items */
#define IMAP_LITERAL_MAX (UINT64_C(1) << 31)
#define IMAP_OUTPUT_MAX (4u * 1024 * 1024)
#define IMAP_OUTPUT_LOW (256u * 1024) /* no further command is written, no body asked for, while more waits */
#define IMAP_RAW_MAX (2u * 1024 * 1024)  /* read ahead for a client that reads by itself */
#define IMAP_IDLE_TALK_MAX (1024u * 1024) /* bytes that say nothing, between two answers */
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
    IMAP_STATE_ENABLE,       /* said */
    IMAP_STATE_COMPRESS,     /* said */
    IMAP_STATE_DEFLATE,      /* the driver's turn */
    IMAP_STATE_READY,
    IMAP_STATE_CHALLENGED,   /* in the middle of an AUTHENTICATE that the client conducts: its next response is the client's turn */
    IMAP_STATE_RAW,          /* bytes are the client's matter */
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
    uint64_t enabled;         /* the same, of what ENABLE has switched on */
    uint64_t append_limit, message_limit; /* 0: none announced */
    uint64_t needed;          /* bits: what the keys of the search need that was written last */
    bool rev2;                /* IMAP4rev2 is spoken */
    bool utf8;                /* names are UTF-8 on the wire, quoted strings may hold it */
    bool id_said, compress_said;
    unsigned offered;         /* SASL methods */
    struct buffer cap_text, greeting, server_id;
    struct imap_quirks quirks;
    struct buffer mended;     /* an answer in the form that it should have had */
    bool caps_known;          /* since the last time they were forgotten */
    bool tls_active, preauth;
    struct engine_tls tls;
    struct sasl *sasl;
    enum sasl_method method;
    char login_tag[12];       /* of the login's command under way */
    uint64_t tags;            /* drawn so far */

    struct imap_step *step;   /* a step of the login that was asked for */
    bool logged_in;
    bool spent;               /* a command was given that nothing is known of */
    struct buffer raw;        /* IMAP_STATE_RAW: what came and was not read */
    size_t raw_shown;         /* of that, with the last event */

    uint64_t idle_talk;       /* bytes that said nothing since the last answer */
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
        uint64_t stamp;
    } box;

    /* A FETCH answer whose literal streams through. */
    bool in_fetch;
    struct imap_command *fetch_for; /* NULL: nobody's */
    uint32_t fetch_number, fetch_uid;
    uint64_t literal_left;
    size_t joined_at, joined_len; /* the last literal of the unit under way: where its line ended, its bytes */
    bool uid_comes_first;     /* seen: this server names the UID before a section's bytes */

    struct slice unit;        /* what is being looked at */
    struct imap_event event;
    struct buffer trace;      /* lines written, not yet given as events */
    struct slice traced;      /* a unit that was shown and not yet looked at */
    bool traced_streams;
    struct fault *done_fault; /* of the last DONE; NULL: it was a yes */
    struct imap_command *early_done; /* answered before its body was complete */
    struct imap_response early;
    struct fault *early_fault;
};

static inline struct imap_client *imap_client_of(const struct engine *e)
{
    return container_of((struct engine *) (uintptr_t) e, struct imap_client, engine);
}
static inline bool imap_has(const struct imap_client *c, enum imap_cap cap)
{
    return c->caps & IMAP_CAP_BIT(cap);
}
static inline bool imap_has_quirk(const struct imap_client *c, enum imap_quirk quirk)
{
    return imap_quirk_is_on(&c->quirks, quirk);
}
static inline struct imap_command *imap_command_of(struct engine_request *r)
{
    return container_of(r, struct imap_command, request);
}

/* imap_client.c */
/* Empty, in *f, which is NULL or one of before. NULL: out of memory, and the engine has failed. A connection whose commands are
 * answered with yes holds none. */
struct fault *imap_new_fault(struct imap_client *c, struct fault **f);
void imap_set_state(struct imap_client *c, enum imap_state state);
/* Ends the engine: the first fault stays. Always the negative errno. */
int imap_fail(struct imap_client *c, int err, enum fault_kind kind, const char *fmt, ...) ATTR_PRINTF(4, 5) ATTR_COLD;
int imap_fail_reply(struct imap_client *c, int err, enum fault_kind kind, const struct imap_response *r) ATTR_COLD;
int imap_fail_io(struct imap_client *c, int err) ATTR_COLD;
void imap_fill_reply(const struct imap_response *r, struct fault_reply *ret);
void imap_new_tag(struct imap_client *c, char tag[12]);
void imap_trace_written(struct imap_client *c);

/* imap_request.c */
/* Writes commands from the queue as far as conflicts and room allow. */
int imap_pump(struct imap_client *c);
/* A command of the engine's own, which is in no list. */
int imap_write_own(struct imap_client *c, enum imap_kind kind);
/* The engine's surface (engine.h). */
int imap_request_submit(struct engine *e, struct engine_request *request, struct fault *fault);
int imap_request_withdraw(struct engine *e, struct engine_request *request);
int imap_request_end_wait(struct engine *e, struct engine_request *request);
struct engine_request *imap_request_with_body(const struct engine *e);
ssize_t imap_request_body(struct engine *e, const char *bytes, size_t len, bool last);
int imap_request_body_abort(struct engine *e);

/* The server has agreed to an IDLE. */
int imap_idle_continued(struct imap_client *c, struct imap_command *cmd);

/* imap_check.c: why it cannot be sent; imap_command.c: writes it whole, up to a body. */
int imap_command_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault);
int imap_command_write(struct imap_client *c, struct imap_command *cmd);
/* The capability without which the kind cannot be; IMAP_CAP_COUNT: none. */
int imap_kind_needs(enum imap_kind kind);

/* imap_step.c */
bool imap_is_step(enum imap_kind kind);
int imap_step_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault);
int imap_step_begin(struct imap_client *c, struct imap_command *cmd);
void imap_step_free(struct imap_step *s);
/* What the login tells a step: done; refused (both 1, with the event, or an error); a challenge that the client is to answer. */
int imap_step_done(struct imap_client *c);
int imap_step_refused(struct imap_client *c, const struct imap_response *r, enum fault_kind kind);
int imap_step_challenge(struct imap_client *c, const struct imap_response *r);
bool imap_step_is_by_hand(const struct imap_client *c);
/* Nothing was said: the event comes with imap_step_end_failed(). 0. */
int imap_step_fail(struct imap_client *c, int err, const struct fault *fault);
bool imap_step_has_failed(const struct imap_client *c);
int imap_step_end_failed(struct imap_client *c);

/* imap_raw.c */
bool imap_is_raw(enum imap_kind kind);
int imap_raw_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault);
/* Takes what came, and serves the first request: 1 its event, 0 it waits, <0. */
int imap_raw_receive(struct imap_client *c);

/* imap_selected.c: the command was written, was answered. */
void imap_selected_written(struct imap_client *c, struct imap_command *cmd);
int imap_selected_done(struct imap_client *c, struct imap_command *cmd, const struct imap_response *r);

/* imap_append.c: writes on up to the next literal, whose size is in body_left; false: all is written, but for the line end. */
bool imap_append_on(struct writer *w, struct imap_command *cmd);
uint64_t imap_append_needs(const struct imap_command *cmd);
bool imap_has_body(const struct imap_command *cmd);

/* conflict.c */
bool imap_conflicts(const struct imap_client *c, const struct imap_command *first, const struct imap_command *second);

/* imap_login.c: a response while logging in. 0, or an error. */
int imap_login_response(struct imap_client *c, const struct imap_response *r);
/* The account's configuration, or that of the step under way. */
const struct engine_config *imap_login_config(const struct imap_client *c);
int imap_login_say(struct imap_client *c, const char *command, struct slice argument, enum imap_state state);
int imap_login_tls_started(struct imap_client *c);
int imap_login_credential(struct imap_client *c, struct secret *secret);
int imap_login_derived(struct imap_client *c, const void *key, size_t len);
int imap_take_capabilities(struct imap_client *c, struct slice text);
/* What the server says of itself has changed. `id`: what it answered to ID; data NULL: nothing new. */
void imap_take_quirks(struct imap_client *c, struct slice id);
/* RFC 8437: nobody is logged in, nothing selected or switched on. */
void imap_login_undone(struct imap_client *c);
int imap_login_deflate_started(struct imap_client *c);
void imap_take_enabled(struct imap_client *c, struct slice names);

/* imap_mend.c: by the quirks of the server, and what its response code says of another try. 0, or an error. */
int imap_mend_line(struct imap_client *c, struct slice *line);
int imap_mend_response(struct imap_client *c, struct imap_response *r);
bool imap_login_passes(const struct imap_client *c, const struct imap_response *r);
void imap_mend_fault(const struct imap_client *c, const struct imap_response *r, struct fault *fault);

/* imap_receive.c: 1 an event, 0 none for now, <0. */
int imap_receive(struct imap_client *c);

#endif
