/* SPDX-License-Identifier: MIT */
/* What the families of mechanisms share with sasl.c; nobody else includes it. */
#ifndef POSTERN_SASL_PRIVATE_H
#define POSTERN_SASL_PRIVATE_H

#include "buffer.h"
#include "sasl.h"

#include <gsasl.h>

enum sasl_state {
    SASL_STATE_FIRST,     /* our first message waits for the command line or for an empty challenge */
    SASL_STATE_DIALOGUE,  /* the server's turn */
    SASL_STATE_DERIVE,    /* the salted password is being derived */
    SASL_STATE_COMPLETE,  /* all was said and proved: the server's verdict is due */
    SASL_STATE_REFUSED,   /* the server's error challenge was answered: its no is due */
    SASL_STATE_CANCELLED, /* "*" was put out: its no is due */
};

struct sasl_family;

struct sasl {
    enum sasl_method method;
    enum protocol protocol;
    enum sasl_state state, after_first;
    const struct sasl_family *family;
    const struct engine_config *config;
    const struct engine_tls *tls;
    struct secret *secret;
    unsigned rounds;
    struct buffer message; /* what is to be said next, decoded */
    struct buffer reply;   /* the same in base64: the line */
    struct buffer error;   /* what the server said in an error challenge */

    Gsasl *gsasl;
    Gsasl_session *session;

    struct buffer server_first, salt, password; /* SCRAM; password: prepared (RFC 4013) */
    struct engine_derive derive;
};

/* A family fills s->message and moves on by returning the state that follows; <0 is an error with the fault set. */
struct sasl_family {
    bool client_first;
    /* Builds the first message (client_first), or only gets ready. */
    int (*start)(struct sasl *s, struct fault *fault);
    /* A challenge, decoded. */
    int (*step)(struct sasl *s, struct slice challenge, struct fault *fault);
    /* SCRAM: the salted password has come. */
    int (*derived)(struct sasl *s, const void *key, size_t len, struct fault *fault);
    void (*done)(struct sasl *s);
};

extern const struct sasl_family sasl_family_gnu_client_first, sasl_family_gnu_server_first;
extern const struct sasl_family sasl_family_scram;
extern const struct sasl_family sasl_family_bearer;

/* What SCRAM shares with the other mechanisms of GNU SASL. */
int sasl_gnu_start(struct sasl *s, struct fault *fault);
/* One step; the output becomes s->message. */
int sasl_gnu_step(struct sasl *s, struct slice challenge, struct fault *fault);
void sasl_gnu_done(struct sasl *s);

#endif
