/* SPDX-License-Identifier: MIT */
/* What servers tell of mailboxes and of themselves, as JSON. Each function writes a result's members from the answers that
 * were kept; what a server tells wrongly is left out. */
#ifndef POSTERN_METHOD_IMAP_TOLD_H
#define POSTERN_METHOD_IMAP_TOLD_H

#include "arena.h"
#include "hash.h"
#include "imap_response.h"
#include "json_writer.h"

/* Answers one behind the other, in the order they came: their kind and their text. */
struct imap_told {
    struct buffer kept;
    bool utf8_names; /* imap_client_utf8() */
};

#define IMAP_TOLD_MAX (4u * 1024 * 1024)

/* Names of an object's members: what a server tells twice counts once, the first time. */
struct imap_names {
    struct hash_table table;
    struct arena arena;
};
void imap_names_init(struct imap_names *n);
void imap_names_done(struct imap_names *n);
/* 1: it was not there before, and is now. 0: it was. -ENOMEM. */
int imap_names_new(struct imap_names *n, struct slice text);

void imap_told_init(struct imap_told *t);
void imap_told_done(struct imap_told *t);
/* -EMSGSIZE: a server tells too much; -ENOMEM. */
int imap_told_keep(struct imap_told *t, const struct imap_response *r) ATTR_WARN_UNUSED;
bool imap_told_has(const struct imap_told *t, enum imap_data kind);

void imap_told_namespace(const struct imap_told *t, struct json_writer *w);
void imap_told_id(const struct imap_told *t, struct json_writer *w);
void imap_told_enabled(const struct imap_told *t, struct json_writer *w);
void imap_told_quotas(const struct imap_told *t, struct json_writer *w);
void imap_told_quotaroots(const struct imap_told *t, struct json_writer *w);
void imap_told_acl(const struct imap_told *t, struct json_writer *w);
void imap_told_listrights(const struct imap_told *t, struct json_writer *w);
void imap_told_myrights(const struct imap_told *t, struct json_writer *w);
void imap_told_metadata(const struct imap_told *t, struct json_writer *w);
/* Names and values by turns, as members. */
void imap_told_pairs(struct imap_names *names, struct json_writer *w, struct slice text);

#endif
