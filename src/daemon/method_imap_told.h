/* SPDX-License-Identifier: MIT */
/* What servers tell of mailboxes and of themselves, as JSON. Each function writes a result's members from the answers that
 * were kept; what a server tells wrongly is left out. */
#ifndef POSTERN_METHOD_IMAP_TOLD_H
#define POSTERN_METHOD_IMAP_TOLD_H

#include "imap_response.h"
#include "json_writer.h"

/* Answers one behind the other, in the order they came: their kind and their text. */
struct imap_told {
    struct buffer kept;
};

#define IMAP_TOLD_MAX (4u * 1024 * 1024)

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

#endif
