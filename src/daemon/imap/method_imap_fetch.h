/* SPDX-License-Identifier: MIT */
/* What the two files of imap.fetch share: the call, and a message's items as members of its object. */
#ifndef POSTERN_METHOD_IMAP_FETCH_H
#define POSTERN_METHOD_IMAP_FETCH_H

#include "method_imap.h"
#include "mime_transfer.h"

#define SECTIONS_MAX 64 /* large ones of one message */

/* A large section of the message under way. */
struct section {
    char *name;
    struct spool *spool;
};

/* A part that is to be given without its transfer encoding. */
struct decoded_part {
    struct slice part; /* "1.2" */
    enum mime_encoding encoding;
};

struct fetch_call {
    struct imap_call call;
    struct imap_json json;
    struct slice *items; /* what is asked of the server */
    size_t n_items;
    struct imap_set seen;
    struct rpc_set asked; /* for `missing` */
    bool since;           /* `changedsince`: what does not come has not changed */
    bool asks_modseq;
    struct slice partial; /* only a part of the set, by place; data NULL: all */
    int64_t from, to;
    bool looked;          /* the set is that part */
    struct imap_command look; /* which messages there are, where the server cannot count them off itself */
    struct imap_found there;
    struct imap_set vanished;
    bool bodies;          /* sections are asked for */
    size_t n_bodies;
    bool listed;
    bool in_message;      /* op_item_begin() was called */
    bool odd_items;
    uint32_t under_way;   /* what the message counts as in `seen`; 0: not known */
    bool has_uid;         /* it stands in the message's object */
    struct section sections[SECTIONS_MAX];
    size_t n_sections;
    struct op_pipe *pipe;
    bool into_spool;      /* the literal under way goes to the last section's spool */
    uint64_t done, total; /* for progress */
    struct decoded_part *decoded; /* `decode`: the parts that are asked for */
    size_t n_decoded;
    bool hide_structure;  /* it was asked for only to know their encodings */
    bool binary;          /* the server decodes (RFC 3516), and names sections differently */
    bool cannot_decode;   /* … but not these */
    struct slice *binary_items;
    char **binary_names;
    size_t n_binary_names;
    struct mime_transfer transfer;
    bool decoding;        /* the literal under way */
    struct buffer raw;    /* items that were not understood: names and bytes, each preceded by its length */
};

/* --- method_imap_items.c --- */
/* Members of the message from one segment's items; sections are left for the end. `had`: kinds that were written. */
void fetch_write_items(struct fetch_call *f, struct op *op, struct slice items, unsigned *had);
/* The part that "BODY[1.2]" or a request for it names; empty: something else. */
struct slice fetch_part_of(struct slice name);
/* What a section is called in the answer: as it was asked for. In `out` where that differs from the item's own name. */
#define FETCH_NAME_MAX 256
struct slice fetch_section_name(const struct fetch_call *f, struct slice name, char out[FETCH_NAME_MAX]);
/* The items to send where the server is to decode: made once. -ENOMEM. */
int fetch_binary_items(struct fetch_call *f, size_t *ret_n);
/* How a section is encoded, where it is to be given decoded; identity else. */
enum mime_encoding fetch_encoding_of(const struct fetch_call *f, struct slice name);
/* Decodes a section that came with the items. *bytes lives as long as the message. -ENOMEM. */
int fetch_decode_small(struct fetch_call *f, struct slice name, struct slice *bytes);
void fetch_note_damage(struct fetch_call *f, const struct mime_transfer *t);

#endif
