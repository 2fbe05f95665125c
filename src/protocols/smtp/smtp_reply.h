/* SPDX-License-Identifier: MIT */
/* Replies of SMTP and LMTP (RFC 5321 section 4.2, RFC 2034), gathered line by line. Judge a reply by its class and by what it
 * answers, never by its exact code. */
#ifndef POSTERN_SMTP_REPLY_H
#define POSTERN_SMTP_REPLY_H

#include "buffer.h"
#include "fault.h"

#define SMTP_LINE_MAX 65536       /* of one line; RFC 5321 says 512, servers say more */
#define SMTP_REPLY_MAX 131072     /* bytes of one reply's text */
#define SMTP_REPLY_LINES_MAX 1000 /* lines of one reply */

enum smtp_class {
    SMTP_CLASS_POSITIVE = 2,     /* 2yz */
    SMTP_CLASS_INTERMEDIATE = 3, /* 3yz */
    SMTP_CLASS_TRANSIENT = 4,    /* 4yz: not now */
    SMTP_CLASS_PERMANENT = 5,    /* 5yz: no */
};

/* A whole reply; `text` is borrowed from the parser, its lines are joined by LF. */
struct smtp_reply {
    int code; /* 200 to 599 */
    char enhanced[16]; /* "5.7.1", or "" */
    struct slice text; /* as it came, enhanced codes included */
};

static inline enum smtp_class smtp_reply_class(const struct smtp_reply *r)
{
    return (enum smtp_class) (r->code / 100);
}
/* 4yz and 5yz. */
static inline bool smtp_reply_is_refusal(const struct smtp_reply *r)
{
    return r->code >= 400;
}

struct smtp_reply_parser {
    struct buffer text;
    size_t max;
    unsigned lines;
    int code; /* 0: between replies */
};

/* `max` 0: SMTP_REPLY_MAX. */
void smtp_reply_parser_init(struct smtp_reply_parser *p, size_t max);
void smtp_reply_parser_done(struct smtp_reply_parser *p);
/* Forgets the last reply and its memory. */
void smtp_reply_parser_reset(struct smtp_reply_parser *p);
/* A line without its line end. 1: *ret is a whole reply, valid until the next call. 0: more lines follow. -EPROTO: it is no reply
 * (too short, codes that differ, code out of range); -EMSGSIZE: too many lines or bytes; -ENOMEM. */
int smtp_reply_line(struct smtp_reply_parser *p, struct slice line, struct smtp_reply *ret) ATTR_WARN_UNUSED;
/* In the middle of a reply. */
static inline bool smtp_reply_is_open(const struct smtp_reply_parser *p)
{
    return p->code != 0;
}

/* The enhanced status code at the front of `line` that fits `code` into `out`; returns its length with the space behind it,
 * 0 when there is none. */
size_t smtp_enhanced_code(struct slice line, int code, char out[16]);
/* For errors and results: code, enhanced code, and the text without enhanced codes, its lines joined by spaces. */
void smtp_reply_to_fault(const struct smtp_reply *r, struct fault_reply *ret);

#endif
