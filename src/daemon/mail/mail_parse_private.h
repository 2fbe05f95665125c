/* SPDX-License-Identifier: MIT */
/* Shared by method_mail.c, which takes messages apart, and mail_files.c, which lists the files that stand in the contents of
 * parts: as uuencode or yEnc in texts, and in a winmail.dat. */
#ifndef POSTERN_MAIL_PARSE_PRIVATE_H
#define POSTERN_MAIL_PARSE_PRIVATE_H

#include "mail_json.h"
#include "mime_message.h"
#include "mime_tnef.h"
#include "mime_uu.h"
#include "op.h"

enum parse_phase { PARSE_BEGIN, PARSE_UNDER_WAY, PARSE_HEAD, PARSE_TEXT, PARSE_HTML, PARSE_ATTACHMENTS, PARSE_TAIL };

struct parse_state {
    enum parse_phase phase;
    struct body *collected, *raw; /* raw: with a reference */
    struct mime_message *m;
    struct mime_part *part; /* the next to be looked at, in message order */
    struct mime_part_reader *reader;
    struct spool *spool;
    struct json_text_encoder encoder;
    struct mime_uu *blocks; /* of the part under way, where its text may hold files; NULL: it may not */
    struct mime_tnef *tnef; /* of the part under way, where it is a winmail.dat; NULL: it is none */
    struct slice within;    /* bytes of it that were not looked at yet */
    bool within_end;
    uint64_t file_size; /* so far */
    size_t n_blocks;    /* of the parts before */
    size_t n_tnef;      /* likewise */
    bool text_open; /* a part of the body has been written: the string is open */
};

/* Whether files in the part's text are to be listed apart. */
bool mail_may_hold_blocks(const struct op *op, const struct mime_part *p);
/* Whether files within the part are, which is an attachment itself. */
bool mail_may_hold_tnef(const struct op *op, const struct mime_part *p);
/* List the files in the part's text, or in the winmail.dat that it is. 1: through; 0: the budget is used up, of this turn or of the memory
 * (*ret_wait). */
int mail_list_blocks(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait) ATTR_WARN_UNUSED;
int mail_list_tnef(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait) ATTR_WARN_UNUSED;
/* A spool for a file's bytes, of which room is told to the op again. */
int mail_file_spool(struct op *op, struct parse_state *st) ATTR_WARN_UNUSED;

#endif
