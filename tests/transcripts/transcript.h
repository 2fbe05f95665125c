/* SPDX-License-Identifier: MIT */
/* Transcripts: dialogues with an engine as text files, each run whole, byte by byte, cut at every byte of what the
 * server says, and with each allocation of the engine failing. Lines of a file (# begins a comment; \r \n \t \0 \\ \xHH are understood behind the marks):
 *
 *     engine smtp                     first: which engine
 *     config tls=none username=ann    engine_config, before the first line of the dialogue
 *     S: 220 hello                    the server says a line (S- without its CRLF)
 *     C: EHLO me                      the client has said this line (C- without its CRLF)
 *     E: ready                        an event has come; see below (E? one that comes in some splits only)
 *     ! submit from=a@b to=c@d        the test acts
 *
 * What client and engine say is gathered and compared in order, C with C and E with E; at each S and at the end nothing may
 * be left over. Events that every engine has: `ready`, `closing`, `data TEXT` (pieces of one request joined), `done NAME`,
 * `done NAME KIND STAGE`, `trace > LINE`, `wants tls|credential|derive|body|closed`, `failed KIND STAGE`. Actions:
 * `tls` (with channel binding), `credential TEXT`, `no-credential`, `derive`, `eof`, `quit`, `probe`, `abort-body`,
 * `body TEXT`, `last-body TEXT`, `withdraw NAME`, `idle yes|no`, `timeout none|login|command|data`, `stage NAME`,
 * `lessons yes|no`, `effect NAME yes|no` (it may still have one). Each protocol adds its own. */
#ifndef POSTERN_TRANSCRIPT_H
#define POSTERN_TRANSCRIPT_H

#include "buffer.h"
#include "engine.h"

struct transcript_run;

struct transcript_protocol {
    const char *name;
    struct engine *(*create)(const struct engine_config *config);
    size_t state_size; /* of the protocol's own part of a run: run->state, zeroed */
    /* Writes what a REPLY, NOTICE or DONE event is called, DONE without its fault; what matters of a reply included. */
    void (*format)(struct transcript_run *run, const struct engine_event *event, struct buffer *out);
    /* An action that is not everybody's; false: not known. */
    bool (*action)(struct transcript_run *run, struct slice verb, struct slice rest);
    /* The request that was submitted under that name; NULL: none. */
    struct engine_request *(*find)(struct transcript_run *run, struct slice name);
    void (*done)(struct transcript_run *run);
};

struct transcript_run {
    const struct transcript_protocol *protocol;
    struct engine *engine;
    struct engine_config config;
    void *state;
    struct buffer events; /* one a line, not yet compared */
    struct buffer output; /* not yet compared */
    unsigned line;        /* of the file */
    unsigned wanted;      /* wants() as last told */
    bool failed;          /* the engine's error was told */
    bool open_data;       /* the last event is `data`, more pieces are joined to it */
    struct fault submit_fault;
};

/* Around each call of the engine: within it, allocations may be made to fail. */
void transcript_enter(void);
void transcript_leave(void);
#define IN_ENGINE(call)                                                                                                \
    ({                                                                                                                 \
        transcript_enter();                                                                                            \
        __auto_type result_ = (call);                                                                                  \
        transcript_leave();                                                                                            \
        result_;                                                                                                       \
    })

extern const struct transcript_protocol *const transcript_protocols[]; /* NULL-ended */
extern const struct transcript_protocol transcript_imap, transcript_pop3, transcript_smtp;

/* For protocols: adds an event line; takes a word ("name=value" into both) off the front of *rest; says what is wrong and
 * ends the program. */
void transcript_event(struct transcript_run *run, const char *fmt, ...) ATTR_PRINTF(2, 3);
bool transcript_word(struct slice *rest, struct slice *ret_name, struct slice *ret_value);
void transcript_die(struct transcript_run *run, const char *fmt, ...) ATTR_PRINTF(2, 3) ATTR_NORETURN;
/* Tells `refused KIND` when a submission failed. */
void transcript_submitted(struct transcript_run *run, int r, const struct fault *fault);
/* Appends text with the escapes of transcripts; and the other way round. */
void transcript_escape(struct buffer *out, struct slice text);
void transcript_unescape(struct buffer *out, struct slice text);

#endif
