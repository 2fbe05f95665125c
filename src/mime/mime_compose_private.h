/* SPDX-License-Identifier: MIT */
/* What the composer's files share: the plan of a message as segments, and the steps that make it. mime_compose.c owns
 * the composer and reads it out, mime_compose_plan.c looks at contents and chooses encodings, mime_compose_header.c
 * writes header fields, mime_compose_body.c the parts. Internal to the room. */
#ifndef POSTERN_MIME_COMPOSE_PRIVATE_H
#define POSTERN_MIME_COMPOSE_PRIVATE_H

#include "mime_compose.h"

#include "mime_fold.h"
#include "mime_transfer.h"
#include "utf8.h"

#define STEM_LEN 18 /* "=_" and 16 hexadecimal digits: what all boundaries of a message begin with */

enum compose_segment_kind {
    SEGMENT_BYTES, /* of the composer's own: headers and boundaries */
    SEGMENT_TEXT,  /* a text whose line ends become CRLF */
    SEGMENT_QP,
    SEGMENT_BASE64,
    SEGMENT_COPY, /* a source as it is */
};

struct compose_segment {
    enum compose_segment_kind kind;
    size_t offset, len;        /* SEGMENT_BYTES: in `bytes` */
    struct mime_source source; /* the others */
    uint64_t size;             /* encoded */
};

struct mime_composer {
    struct buffer bytes;
    struct compose_segment *segments;
    size_t n, cap;
    uint64_t size;
    bool needs_utf8, needs_8bit, needs_binary;
    unsigned differs; /* set of 1u << MIME_TRANSPORT_…: an encoding would be another there */
    const char *container; /* encoding that multiparts must name for what is in them; NULL: none */
    char stem[STEM_LEN + 1];
    unsigned n_boundaries;
    /* where reading is */
    size_t at;
    uint64_t pos; /* in the segment's input */
    struct mime_qp_encoder qp;
    bool after_cr;  /* SEGMENT_TEXT: CRLF was written for a CR */
    char *in, *out; /* a piece, and what it has become */
    size_t out_len, out_at;
    char *canonical[3]; /* texts in base64: with CRLF line ends */
};

/* How a body is encoded. */
struct compose_plan {
    enum compose_segment_kind kind;
    const char *encoding;
    bool text; /* kind SEGMENT_QP: line ends stand for themselves */
};

/* What a content is like. */
struct compose_facts {
    uint64_t size;    /* as CRLF text */
    uint64_t escapes; /* bytes that quoted-printable would escape */
    size_t longest;   /* line, without its end */
    bool has_8bit, has_nul, has_control;
    bool bare; /* CR or LF that are no CRLF */
    bool ends_with_line;
    struct utf8_state utf8;
};

/* Looks at all of a source. 0, or an errno of reading. */
int compose_facts_of(const struct mime_source *src, struct compose_facts *ret) ATTR_WARN_UNUSED;
/* The size of the quoted-printable form, by making it. */
int compose_qp_size(const struct mime_source *src, bool text, uint64_t *ret) ATTR_WARN_UNUSED;
/* A text of ours: UTF-8 whose line ends may be made CRLF. */
struct compose_plan compose_plan_text(const struct compose_facts *f, enum mime_transport transport);
/* A content whose bytes must not change; `f` may be NULL where it is not `text_like`. */
struct compose_plan compose_plan_bytes(const struct compose_facts *f, bool text_like, enum mime_transport transport);
/* An attached message: its line ends may be made CRLF, but it must not be encoded. */
struct compose_plan compose_plan_message(const struct compose_facts *f, enum mime_transport transport);

/* What has been rendered since the last call becomes a segment. -ENOMEM. */
int compose_add_bytes(struct mime_composer *c, size_t *from) ATTR_WARN_UNUSED;
int compose_add_content(struct mime_composer *c, const struct mime_source *src, const struct compose_plan *plan,
                        const struct compose_facts *f) ATTR_WARN_UNUSED;
/* CRLF for every line end; c->after_cr is kept between pieces. `out` has twice the room. */
size_t compose_text_lines(struct mime_composer *c, struct slice in, char *out);

struct compose_header {
    struct mime_composer *c;
    const struct mime_outline *o;
    struct mime_fold fold;
    struct fault *fault;
};

extern const char compose_bad_text[];
/* -EINVAL, with the fault that names the field. */
int compose_refuse(struct compose_header *h, const char *field, const char *what) ATTR_COLD;
/* Everything but the fields that say what the body is. */
int compose_put_top(struct compose_header *h) ATTR_WARN_UNUSED;
int compose_put_plain(struct compose_header *h, const char *name, const char *value) ATTR_WARN_UNUSED;
int compose_put_ids(struct compose_header *h, const char *field, const char *name, const struct slice *ids,
                    size_t n) ATTR_WARN_UNUSED;

struct compose_body {
    struct compose_header *h;
    size_t from;    /* of what is rendered and not in a segment yet */
    bool open_line; /* the last content does not end with a line end: the boundary brings its own */
};

/* List-Unsubscribe, List-Unsubscribe-Post and what tells of the priority. */
int compose_put_wishes(struct compose_header *h) ATTR_WARN_UNUSED;
/* Whether this further field is written by compose_put_wishes(). */
bool compose_is_wish(const struct mime_outline *o, struct slice name);

/* Content fields, empty line and all parts. */
int compose_put_body(struct compose_body *b) ATTR_WARN_UNUSED;

#endif
