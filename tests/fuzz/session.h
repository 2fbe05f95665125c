/* SPDX-License-Identifier: MIT */
/* The driver of the targets that play a whole session against an engine: it feeds the server's bytes in windows of one size, in
 * memory of the exact size, does what the engine wants, and sees to it that nothing is said in clear that may not be. */
#ifndef POSTERN_FUZZ_SESSION_H
#define POSTERN_FUZZ_SESSION_H

#include "engine.h"

struct fuzz_session {
    struct engine *e;
    const char *const *secret_words; /* may not be said before TLS; NULL-ended */
    bool tls;                        /* is active */
    bool was_ready;
    uint64_t sum;                    /* of what the target adds with fuzz_session_add() */
    void (*ready)(struct fuzz_session *f); /* once */
    void (*look)(struct fuzz_session *f, const struct engine_event *event);
    /* Body bytes are wanted: some, or all. May be NULL. */
    void (*body)(struct fuzz_session *f, struct engine_request *request);
};

/* Ends the program unless `ok`. */
void fuzz_require(bool ok);
/* The engine's last answer: 0, or its error, which then has its fault. */
int fuzz_session_run(struct fuzz_session *f, const uint8_t *bytes, size_t len, size_t step);
/* For targets whose events must be the same however the bytes are cut. */
void fuzz_session_add(struct fuzz_session *f, const void *bytes, size_t len);

#endif
