/* SPDX-License-Identifier: MIT */
/* Files that stand in the contents of a message's parts: each is written as one attachment more. */
#include "mail_parse_private.h"

#include "api_mail.h"

#include <errno.h>
#include <stdlib.h>

bool mail_may_hold_blocks(const struct op *op, const struct mime_part *p)
{
    const struct api_mail_parse_params *params = op->params;
    return params->encoded_text && !p->is_multipart && !p->is_attachment && slice_eq(p->type, SLICE("text")) &&
           slice_eq(p->subtype, SLICE("plain"));
}

bool mail_may_hold_tnef(const struct op *op, const struct mime_part *p)
{
    const struct api_mail_parse_params *params = op->params;
    return params->tnef && mime_part_is_tnef(p);
}

static void room_again(void *arg, const struct fault *fault)
{
    if (fault)
        op_fail(arg, fault);
    else
        op_again(arg);
}

int mail_file_spool(struct op *op, struct parse_state *st)
{
    st->spool = op_spool_new(op, 0);
    if (!st->spool)
        return fault_is_set(&op->fault) ? -EIO : -ENOMEM;
    spool_on_room(st->spool, room_again, op);
    return 0;
}

static int file_begun(struct op *op, struct parse_state *st)
{
    const struct api_mail_parse_params *params = op->params;
    st->file_size = 0;
    return params->attachments ? mail_file_spool(op, st) : 0;
}

static int file_data(struct op *op, struct parse_state *st, struct slice data)
{
    st->file_size += data.len;
    return st->spool ? spool_write(st->spool, data, &op->fault) : 0;
}

static int write_file(struct op *op, struct parse_state *st, struct slice name, struct slice type, struct slice id)
{
    struct json_writer *w = &op->w;
    int r = 0;
    json_write_object_begin(w);
    json_write_member_string(w, "part", st->part->number);
    json_write_member_string(w, "content_type", type);
    json_write_member_null(w, "disposition");
    mail_write_member_or_null(w, "filename", name);
    mail_write_member_or_null(w, "content_id", id);
    json_write_member_null(w, "charset");
    json_write_member_bool(w, "inline", false);
    json_write_key(w, "headers");
    json_write_object_begin(w);
    json_write_object_end(w);
    json_write_member_uint(w, "size", st->file_size);
    if (st->spool) {
        spool_on_room(st->spool, NULL, NULL);
        r = spool_seal(st->spool, &op->fault);
        if (r == 0)
            r = op_write_content_spool(op, "content", st->spool);
        st->spool = spool_unref(st->spool);
    }
    json_write_object_end(w);
    return r;
}

/* --- in texts --- */

static int block_ended(struct op *op, struct parse_state *st)
{
    const struct mime_uu *u = st->blocks;
    struct mime_decoder *d = &st->m->decoder;
    struct slice name;
    if (u->broken)
        mime_part_defect(d, st->part, u->yenc ? "damaged yEnc" : "damaged uuencode");
    if (u->missing_end)
        mime_part_defect(d, st->part, u->yenc ? "yEnc without an end" : "uuencode without an end");
    if (u->wrong_size)
        mime_part_defect(d, st->part, "yEnc of another size than it says");
    if (u->wrong_crc)
        mime_part_defect(d, st->part, "yEnc with another checksum than it says");
    int r = mime_decode_text(d, slice_of(u->name, u->n_name), &name);
    return r < 0 ? r : write_file(op, st, name, SLICE("application/octet-stream"), SLICE_EMPTY);
}

static int begin_blocks(struct parse_state *st)
{
    st->blocks = malloc(sizeof(*st->blocks));
    st->reader = st->blocks ? mime_part_reader_new(st->m, st->part, MIME_READ_BYTES) : NULL;
    if (!st->reader)
        return -ENOMEM;
    mime_uu_init(st->blocks, MIME_UU_BLOCKS_MAX - st->n_blocks);
    st->within = SLICE_EMPTY;
    st->within_end = false;
    return 0;
}

static void end_blocks(struct parse_state *st)
{
    if (st->blocks->too_many)
        mime_part_defect(&st->m->decoder, st->part, "too many files within the text");
    st->n_blocks += st->blocks->n_blocks;
    free(st->blocks);
    st->blocks = NULL;
    mime_part_reader_free(st->reader);
    st->reader = NULL;
}

int mail_list_blocks(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait)
{
    int r = st->blocks ? 0 : begin_blocks(st);
    while (r == 0 && *budget) {
        struct slice data = SLICE_EMPTY;
        switch (mime_uu_next(st->blocks, &st->within, st->within_end, &data)) {
        case MIME_UU_MORE:
            if (st->within_end) {
                end_blocks(st);
                return 1;
            }
            r = mime_part_read(st->reader, &st->within);
            st->within_end = st->within.len == 0;
            break;
        case MIME_UU_TEXT:
            break;
        case MIME_UU_BEGIN:
            r = file_begun(op, st);
            break;
        case MIME_UU_DATA:
            r = file_data(op, st, data);
            break;
        case MIME_UU_END:
            r = block_ended(op, st);
            break;
        }
        *budget -= MIN(*budget, data.len + 1);
    }
    *ret_wait = r == 1;
    return MIN(r, 0);
}

/* --- in a winmail.dat --- */

static int tnef_ended(struct op *op, struct parse_state *st)
{
    struct slice name, type, id;
    int r = mime_tnef_file(st->tnef, &st->m->decoder, &name, &type, &id);
    return r < 0 ? r : write_file(op, st, name, type, id);
}

static int begin_tnef(struct parse_state *st)
{
    st->tnef = malloc(sizeof(*st->tnef));
    st->reader = st->tnef ? mime_part_reader_new(st->m, st->part, MIME_READ_BYTES) : NULL;
    if (!st->reader)
        return -ENOMEM;
    mime_tnef_init(st->tnef, MIME_TNEF_FILES_MAX - st->n_tnef);
    st->within = SLICE_EMPTY;
    st->within_end = false;
    return 0;
}

static void end_tnef(struct parse_state *st)
{
    const struct mime_tnef *t = st->tnef;
    struct mime_decoder *d = &st->m->decoder;
    if (t->no_tnef)
        mime_part_defect(d, st->part, "no TNEF, though it says so");
    if (t->broken)
        mime_part_defect(d, st->part, "damaged TNEF");
    if (t->cut)
        mime_part_defect(d, st->part, "TNEF without an end");
    if (t->too_many)
        mime_part_defect(d, st->part, "too many files within the TNEF");
    st->n_tnef += t->n_files;
    free(st->tnef);
    st->tnef = NULL;
    mime_part_reader_free(st->reader);
    st->reader = NULL;
}

int mail_list_tnef(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait)
{
    int r = st->tnef ? 0 : begin_tnef(st);
    while (r == 0 && *budget) {
        struct slice data = SLICE_EMPTY;
        switch (mime_tnef_next(st->tnef, &st->within, st->within_end, &data)) {
        case MIME_TNEF_MORE:
            if (st->within_end) {
                end_tnef(st);
                return 1;
            }
            r = mime_part_read(st->reader, &st->within);
            st->within_end = st->within.len == 0;
            *budget -= MIN(*budget, st->within.len);
            break;
        case MIME_TNEF_BEGIN:
            r = file_begun(op, st);
            break;
        case MIME_TNEF_DATA:
            r = file_data(op, st, data);
            break;
        case MIME_TNEF_END:
            r = tnef_ended(op, st);
            break;
        }
        *budget -= MIN(*budget, 1u);
    }
    *ret_wait = r == 1;
    return MIN(r, 0);
}
