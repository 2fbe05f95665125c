/* SPDX-License-Identifier: MIT */
/* What FETCH answers, as slices of the response: items, ENVELOPE, BODYSTRUCTURE. Pull parsers over borrowed text; nothing
 * is allocated, nothing recurses. An item that cannot be understood is that item's defect: its bytes are at hand. */
#ifndef POSTERN_IMAP_FETCH_H
#define POSTERN_IMAP_FETCH_H

#include "imap_parse.h"

enum imap_item_kind {
    IMAP_ITEM_OTHER = 0,
    IMAP_ITEM_UID,
    IMAP_ITEM_FLAGS,
    IMAP_ITEM_INTERNALDATE,
    IMAP_ITEM_SIZE,          /* RFC822.SIZE */
    IMAP_ITEM_MODSEQ,
    IMAP_ITEM_ENVELOPE,
    IMAP_ITEM_BODYSTRUCTURE, /* and BODY without a section */
    IMAP_ITEM_SECTION,       /* BODY[…], BINARY[…], RFC822, RFC822.HEADER, RFC822.TEXT: bytes of the message */
    IMAP_ITEM_EXTENSION,     /* EMAILID, THREADID, SAVEDATE, PREVIEW, ANNOTATION, X-GM-…: told apart by their names */
    IMAP_ITEM_KIND_COUNT
};
#define IMAP_ITEM_BIT(kind) (1u << (kind))

/* One "name value" of a message's answer. */
struct imap_fetch_item {
    enum imap_item_kind kind;
    struct slice name;       /* as the server names it: "BODY[HEADER.FIELDS (FROM)]<0>" */
    struct imap_value value;
    struct slice raw;        /* the value's bytes as they came */
    bool broken;             /* no value: parentheses or quotes do not match; `raw` runs to where the next item begins */
    bool surplus;            /* a closing parenthesis that closes nothing stood before it */
    bool streamed;           /* the value is the literal whose bytes follow the text; it is the last item there */
};

/* Takes the next item off the front. 1; 0 at the end (the closing parenthesis or the end of the text); -EBADMSG: what
 * stands there is no item, and nothing behind it can be trusted. Behind a broken value the items go on at the next name
 * that is known. */
int imap_fetch_next(struct slice *rest, struct imap_fetch_item *ret) ATTR_WARN_UNUSED;
enum imap_item_kind imap_item_kind(struct slice name);
/* A request's item ("BODY.PEEK[]<0.100>", "FLAGS"): what kind its answer has. */
enum imap_item_kind imap_item_kind_of_request(struct slice item);
/* Whether asking for it sets \Seen. */
bool imap_item_sets_seen(struct slice item);
/* Whether the text may stand as an item of a FETCH command. */
bool imap_item_is_valid(struct slice item);

/* --- ENVELOPE --- */
struct imap_envelope {
    struct imap_value date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id;
    unsigned odd; /* enum imap_odd; fields that were missing or of the wrong type are NIL */
};
/* `value`: the item's. -EBADMSG when it is no list. A list of addresses may hold what is none; see imap_address_next(). */
int imap_envelope_parse(const struct imap_value *value, struct imap_envelope *ret) ATTR_WARN_UNUSED;

struct imap_address {
    struct imap_value name, route, mailbox, host;
    enum { IMAP_ADDRESS_MAILBOX, IMAP_ADDRESS_GROUP_BEGIN, IMAP_ADDRESS_GROUP_END } kind;
    unsigned odd; /* IMAP_ODD_ADDRESS */
};
/* Takes the next address off an address list's bytes. 1, 0, -EBADMSG. */
int imap_address_next(struct slice *rest, struct imap_address *ret) ATTR_WARN_UNUSED;

/* --- BODYSTRUCTURE and BODY --- */
#define IMAP_PARTS_MAX 10000
#define IMAP_PART_NAME_MAX 1024

enum imap_body_event {
    IMAP_BODY_LEAF,          /* a part without parts: all fields */
    IMAP_BODY_MULTI_BEGIN,   /* its parts follow; nothing is known of it yet but `part` */
    IMAP_BODY_MULTI_END,     /* subtype, params and extension fields of it */
    IMAP_BODY_MESSAGE_BEGIN, /* message/rfc822: fields up to size, envelope; its body follows */
    IMAP_BODY_MESSAGE_END    /* lines and extension fields of it */
};

struct imap_body_part {
    enum imap_body_event event;
    struct slice part; /* section number; empty for a multipart that is the whole message */
    struct imap_value type, subtype, params, id, description, encoding;
    bool has_size, has_lines;
    uint64_t size, lines;
    struct imap_value envelope; /* IMAP_NIL: none */
    /* Extension fields; IMAP_NIL where they are missing. `disposition` is the list's first value. */
    bool extended;
    struct imap_value md5, disposition, disposition_params, language, location;
    unsigned odd; /* enum imap_odd */
};

struct imap_body_parser {
    struct slice rest;
    unsigned depth, parts;
    struct {
        bool message;
        bool shares_part; /* the multipart body of a message: bears its number */
        unsigned children;
        unsigned short name_len; /* of `name` for this frame */
    } stack[IMAP_DEPTH_MAX];
    char name[IMAP_PART_NAME_MAX];
    bool started, child_over, empty_multi;
    struct imap_value empty_subtype;
};
void imap_body_init(struct imap_body_parser *p, const struct imap_value *value);
/* 1 and the next event; 0: the structure is complete; -EBADMSG: it cannot be understood (or is beyond the limits). */
int imap_body_next(struct imap_body_parser *p, struct imap_body_part *ret) ATTR_WARN_UNUSED;

#endif
