/* SPDX-License-Identifier: MIT */
/* The C types into which rpc/decode turns parameters; the structs of api_*.h are made of them. Everything in them
 * is owned by the request: slices and arrays live until rpc_request_free(). */
#ifndef POSTERN_RPC_TYPES_H
#define POSTERN_RPC_TYPES_H

#include "macros.h"
#include "slice.h"

/* An optional integer that the caller left out and that has no default. */
#define RPC_ABSENT INT64_MIN
/* An optional enumeration that was left out and has no default. */
#define RPC_ENUM_ABSENT (-1)

/* Content of the contract as a parameter: a bare string, {"text"}, {"base64"} or {"fd"}. Base64 is decoded. */
enum rpc_content_kind { RPC_CONTENT_ABSENT = 0, RPC_CONTENT_BYTES, RPC_CONTENT_FD };
struct rpc_content {
    enum rpc_content_kind kind;
    unsigned fd;        /* RPC_CONTENT_FD: index into rpc_request.fds; checked, and used by no other content */
    struct slice bytes; /* RPC_CONTENT_BYTES: any bytes, NUL among them */
};

/* The form that answers' contents are to have. */
enum rpc_form { RPC_FORM_AUTO = 0, RPC_FORM_TEXT, RPC_FORM_BASE64, RPC_FORM_FD, RPC_FORM_PIPE };

/* An array of strings; where the row says so, a single string is an array of one. NULL items: left out. */
struct rpc_strings {
    struct slice *items;
    size_t n;
};

/* One address of a message: either `text` (one address or a comma list, not parsed yet), or `name` and `address`. */
struct rpc_address {
    struct slice text; /* data NULL: the pair below */
    struct slice name; /* may be absent: data NULL */
    struct slice address;
};
struct rpc_addresses {
    struct rpc_address *items;
    size_t n;
    bool given; /* false: left out */
};

/* An array of objects: `items` points to `n` structs of the type that the field's comment names. */
struct rpc_objects {
    void *items;
    size_t n;
    bool given;
};

/* A free map {NAME: value}; the value is a string, an array of strings, a number (as its text) or null, as far as
 * the row allows. Names differ. */
struct rpc_map_member {
    struct slice name;
    struct rpc_strings values; /* one for a plain value, none for null */
    bool is_null;
};
struct rpc_map {
    struct rpc_map_member *items;
    size_t n;
    bool given;
};

/* "uids" and "numbers": a text in IMAP's notation ("1:*", "3,5:9", "$"; its characters are checked, its meaning is not),
 * or an array of numbers in the order given, each 1 to 4294967295. */
struct rpc_set {
    struct slice text; /* data NULL: the array */
    uint32_t *numbers;
    size_t n;
    bool given;
};

/* "uidvalidity": a number or "any". */
enum rpc_uidvalidity_kind { RPC_UIDVALIDITY_ABSENT = 0, RPC_UIDVALIDITY_NUMBER, RPC_UIDVALIDITY_ANY };
struct rpc_uidvalidity {
    enum rpc_uidvalidity_kind kind;
    uint32_t value;
};

/* A search: a text in IMAP's notation, or terms; an array inside the array is a pair of parentheses, numbers are
 * texts. With an array, OPEN and CLOSE balance. */
enum rpc_term_kind { RPC_TERM_TEXT = 0, RPC_TERM_OPEN, RPC_TERM_CLOSE };
struct rpc_term {
    enum rpc_term_kind kind;
    struct slice text;
};
struct rpc_terms {
    struct slice text; /* data NULL: the array */
    struct rpc_term *items;
    size_t n;
    bool given;
};

/* Inline `options`: the configuration's keys with values of JSON's types; what they mean is the configuration's
 * matter. An array of strings stands for a list. */
enum rpc_option_kind {
    RPC_OPTION_STRING = 0,
    RPC_OPTION_NUMBER,  /* an integer: `number` */
    RPC_OPTION_BOOL,    /* `yes` */
    RPC_OPTION_STRINGS, /* `strings` */
    RPC_OPTION_CONTENT  /* an object: `content` */
};
struct rpc_option {
    struct slice name;
    enum rpc_option_kind kind;
    struct slice string;
    int64_t number;
    bool yes;
    struct rpc_strings strings;
    struct rpc_content content;
};
struct rpc_options {
    struct rpc_option *items;
    size_t n;
};

/* What every call may carry. Each parameter struct begins with it. */
struct rpc_common {
    uint64_t timeout_ms;   /* 0: not given */
    enum rpc_form content; /* RPC_FORM_AUTO: not given */
    bool stream;
    bool progress;
    struct slice account;        /* any bytes; data NULL: not given; exactly one of the three is given to a mail call */
    struct slice session;        /* likewise */
    struct rpc_options *options; /* NULL: not given */
};

#endif
