/* SPDX-License-Identifier: MIT */
/* mail.parse and mail.build. Parsing a big message runs on the cpu helper; contents are decoded and composed on the
 * loop, a bounded piece a turn. */
#include "methods.h"

#include "gateway.h"
#include "mail_parse_private.h"
#include "outgoing.h"

#include <errno.h>
#include <stdlib.h>

#define AT_ONCE_MAX 65536 /* bigger messages are parsed on a helper */
#define TURN_BYTES 524288 /* decoded or composed in one turn of the loop: well below a millisecond */

/* --- mail.parse --- */

struct parse_job {
    struct op_job job; /* first */
    struct body *raw;
    struct mime_message *m;
    int result;
};

static void parse_job_work(struct worker_job *job)
{
    struct parse_job *p = container_of(job, struct parse_job, job.job);
    struct mime_source src = body_source(p->raw);
    p->result = mime_message_parse(&src, &p->m);
}

static int parse_failed(struct op *op, int r)
{
    return fault_set(&op->fault, r, r == -ENOMEM ? FAULT_INTERNAL : FAULT_STORAGE, NULL, "the message cannot be read");
}

static void parse_job_finished(struct op_job *job)
{
    struct parse_job *p = container_of(job, struct parse_job, job);
    struct parse_state *st = job->op->state;
    if (p->result < 0) {
        parse_failed(job->op, p->result);
        op_fail(job->op, NULL);
        return;
    }
    st->m = TAKE_PTR(p->m);
    st->phase = PARSE_HEAD;
    op_again(job->op);
}

static void parse_job_destroy(struct worker_job *job)
{
    struct parse_job *p = container_of(job, struct parse_job, job.job);
    mime_message_free(p->m);
    body_unref(p->raw);
    free(p);
}

static int parse_begin(struct op *op, struct parse_state *st)
{
    struct mime_source src = body_source(st->collected);
    st->raw = body_ref(st->collected);
    if (src.size <= AT_ONCE_MAX) {
        int r = mime_message_parse(&src, &st->m);
        st->phase = PARSE_HEAD;
        return r < 0 ? parse_failed(op, r) : 0;
    }
    struct parse_job *p = calloc(1, sizeof(*p));
    if (!p)
        return parse_failed(op, -ENOMEM);
    p->raw = body_ref(st->raw);
    p->job.job.work = parse_job_work;
    p->job.job.destroy = parse_job_destroy;
    p->job.finished = parse_job_finished;
    st->phase = PARSE_UNDER_WAY;
    return op_job_submit(op, &p->job, op->gateway->cpu);
}

static int parse_head(struct op *op, struct parse_state *st)
{
    json_write_object_begin(&op->w);
    int r = mail_write_headers(&op->w, st->m, st->m->root);
    if (r == 0)
        r = mail_write_known(&op->w, st->m);
    json_write_key(&op->w, "body");
    json_write_object_begin(&op->w);
    st->phase = PARSE_TEXT;
    st->part = st->m->root;
    return r;
}

/* Some of the part's text into the open string. 1: the part is through. */
static int write_text_piece(struct op *op, struct parse_state *st, size_t *budget)
{
    const struct api_mail_parse_params *params = op->params;
    enum mime_read_mode mode = params->flowed ? MIME_READ_UNFOLDED : MIME_READ_TEXT;
    struct slice piece;
    if (!st->reader) {
        st->reader = mime_part_reader_new(st->m, st->part, mode);
        if (!st->reader)
            return -ENOMEM;
        if (mail_may_hold_blocks(op, st->part) &&
            mime_part_reader_leave_blocks_out(st->reader, MIME_UU_BLOCKS_MAX - st->n_blocks) < 0)
            return -ENOMEM;
    }
    do {
        int r = mime_part_read(st->reader, &piece);
        if (r < 0)
            return r;
        if (piece.len && !op->w.error && op->w.out) {
            r = json_encode_text(&st->encoder, op->w.out, piece, false);
            if (r < 0)
                op->w.error = r;
        }
        *budget -= MIN(*budget, piece.len + 1);
    } while (piece.len && *budget);
    if (piece.len)
        return 0;
    st->part->decoded_size = mime_part_reader_count(st->reader);
    st->n_blocks += mime_part_reader_blocks(st->reader);
    mime_part_reader_free(st->reader);
    st->reader = NULL;
    return 1;
}

/* The body's text (or html): the parts joined by LF. 1: through. */
static int parse_body(struct op *op, struct parse_state *st, bool html, size_t *budget)
{
    for (; st->part && *budget; st->part = st->part->following) {
        struct mime_part *p = st->part;
        if (p->is_multipart || p->is_attachment || slice_eq(p->subtype, SLICE("html")) != html)
            continue;
        if (!st->reader) {
            if (!st->text_open) {
                json_write_key(&op->w, html ? "html" : "text");
                json_write_string_begin(&op->w);
                st->encoder = (struct json_text_encoder){0};
            } else if (!op->w.error && op->w.out) {
                op->w.error = json_encode_text(&st->encoder, op->w.out, SLICE("\n"), false);
            }
            st->text_open = true;
        }
        int r = write_text_piece(op, st, budget);
        if (r <= 0)
            return r;
    }
    if (st->part)
        return 0;
    if (!st->text_open) {
        json_write_member_null(&op->w, html ? "html" : "text");
    } else {
        if (!op->w.error && op->w.out)
            op->w.error = json_encode_text(&st->encoder, op->w.out, SLICE_EMPTY, true);
        json_write_string_end(&op->w);
    }
    st->text_open = false;
    st->n_blocks = 0;
    st->part = st->m->root;
    return 1;
}

static void write_part_lists(struct json_writer *w, const struct mime_message *m)
{
    for (int html = 0; html < 2; html++) {
        json_write_key(w, html ? "html_parts" : "text_parts");
        json_write_array_begin(w);
        for (const struct mime_part *p = m->root; p; p = p->following)
            if (html ? p->in_html : p->in_text)
                json_write_string(w, p->number);
        json_write_array_end(w);
    }
    json_write_object_end(w); /* of the body */
    json_write_key(w, "attachments");
    json_write_array_begin(w);
}

static int write_attachment(struct op *op, struct parse_state *st)
{
    struct mime_part *p = st->part;
    struct json_writer *w = &op->w;
    json_write_object_begin(w);
    json_write_member_string(w, "part", p->number);
    mail_write_content_type(w, p);
    mail_write_member_or_null(w, "disposition", p->disposition);
    mail_write_member_or_null(w, "filename", p->filename);
    mail_write_member_or_null(w, "content_id", p->content_id);
    mail_write_member_or_null(w, "charset", p->charset);
    json_write_member_bool(w, "inline", p->is_inline);
    int r = mail_write_headers(w, st->m, p);
    json_write_member_uint(w, "size", p->decoded_size);
    if (r == 0 && st->spool) {
        r = spool_seal(st->spool, &op->fault);
        if (r == 0)
            r = op_write_content_spool(op, "content", st->spool);
    }
    json_write_object_end(w);
    return r;
}

/* The rest of one attachment into its spool. 1: through; 0: the budget is used up, of this turn or of the memory. */
static int read_attachment(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait)
{
    const struct api_mail_parse_params *params = op->params;
    struct slice piece;
    if (!st->reader) {
        st->reader = mime_part_reader_new(st->m, st->part, MIME_READ_BYTES);
        if (!st->reader)
            return -ENOMEM;
        if (params->attachments) {
            int r = mail_file_spool(op, st);
            if (r < 0)
                return r;
        }
    }
    do {
        int r = mime_part_read(st->reader, &piece);
        if (r == 0 && piece.len && st->spool)
            r = spool_write(st->spool, piece, &op->fault);
        if (r < 0)
            return r;
        *budget -= MIN(*budget, piece.len + 1);
        if (r == 1) {
            *ret_wait = true;
            return 0;
        }
    } while (piece.len && *budget);
    if (piece.len)
        return 0;
    st->part->decoded_size = mime_part_reader_count(st->reader);
    mime_part_reader_free(st->reader);
    st->reader = NULL;
    return 1;
}

/* The part itself. 1: through. */
static int list_attachment(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait)
{
    int r = read_attachment(op, st, budget, ret_wait);
    if (r <= 0)
        return r;
    r = write_attachment(op, st);
    if (st->spool)
        spool_on_room(st->spool, NULL, NULL);
    st->spool = spool_unref(st->spool);
    return r < 0 ? r : 1;
}

static int parse_attachments(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait)
{
    for (; st->part && *budget; st->part = st->part->following) {
        int r = mail_may_hold_blocks(op, st->part) ? mail_list_blocks(op, st, budget, ret_wait) : 1;
        if (r <= 0)
            return r;
        if (st->part->is_multipart || !st->part->is_attachment)
            continue;
        if (!st->tnef) {
            r = list_attachment(op, st, budget, ret_wait);
            if (r <= 0)
                return r;
        }
        r = mail_may_hold_tnef(op, st->part) ? mail_list_tnef(op, st, budget, ret_wait) : 1;
        if (r <= 0)
            return r;
    }
    return st->part ? 0 : 1;
}

static int parse_tail(struct op *op, struct parse_state *st)
{
    struct json_writer *w = &op->w;
    const struct mime_defects *d = &st->m->defects;
    json_write_array_end(w); /* of the attachments */
    json_write_key(w, "structure");
    mail_write_structure(w, st->m->root);
    int r = mail_write_report(w, st->m);
    json_write_member_uint(w, "size", body_size(st->raw));
    json_write_key(w, "defects");
    json_write_array_begin(w);
    for (size_t i = 0; i < d->n; i++)
        json_write_str(w, d->texts[i]);
    if (d->more)
        json_write_str(w, "and more");
    json_write_array_end(w);
    json_write_object_end(w);
    return r;
}

static int mail_parse_prepare(struct op *op)
{
    const struct api_mail_parse_params *params = op->params;
    struct parse_state *st = op->state;
    int r = op_collect(op, &params->raw, "raw", &st->collected);
    return r < 0 ? r : OP_WAIT;
}

static int parse_step(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait)
{
    int r = 0;
    switch (st->phase) {
    case PARSE_BEGIN:
        r = parse_begin(op, st);
        *ret_wait = st->phase == PARSE_UNDER_WAY;
        return r;
    case PARSE_UNDER_WAY:
        *ret_wait = true;
        return 0;
    case PARSE_HEAD:
        return parse_head(op, st);
    case PARSE_TEXT:
    case PARSE_HTML:
        r = parse_body(op, st, st->phase == PARSE_HTML, budget);
        if (r == 1 && st->phase == PARSE_HTML)
            write_part_lists(&op->w, st->m);
        break;
    case PARSE_ATTACHMENTS:
        r = parse_attachments(op, st, budget, ret_wait);
        break;
    case PARSE_TAIL:
        r = parse_tail(op, st);
        return r < 0 ? r : 1;
    }
    if (r == 1)
        st->phase++;
    return MIN(r, 0);
}

static int mail_parse_run(struct op *op)
{
    struct parse_state *st = op->state;
    size_t budget = TURN_BYTES;
    bool wait = false;
    int r = 0;
    while (r == 0 && budget && !wait)
        r = parse_step(op, st, &budget, &wait);
    if (r < 0)
        return fault_is_set(&op->fault) ? r : parse_failed(op, r);
    if (r == 1)
        return OP_DONE;
    if (!wait)
        op_again(op);
    return OP_WAIT;
}

static void mail_parse_free(struct op *op)
{
    struct parse_state *st = op->state;
    mime_part_reader_free(st->reader);
    if (st->spool)
        spool_on_room(st->spool, NULL, NULL);
    spool_unref(st->spool);
    free(st->blocks);
    free(st->tnef);
    mime_message_free(st->m);
    body_unref(st->raw);
}

const struct op_handler mail_parse_handler = {
    .state_size = sizeof(struct parse_state),
    .prepare = mail_parse_prepare,
    .run = mail_parse_run,
    .free = mail_parse_free,
};

/* --- mail.build --- */

enum build_phase { BUILD_BEGIN, BUILD_PLANNING, BUILD_WRITING };

struct build_state {
    enum build_phase phase;
    struct outgoing *out;
    struct spool *spool;
    bool in_run; /* outgoing_plan() was called from run(): what it tells is told to run() */
    bool failed;
};

static int mail_build_prepare(struct op *op)
{
    const struct api_mail_build_params *params = op->params;
    struct build_state *st = op->state;
    int r = outgoing_message(op, params->message, "message", &st->out);
    return r < 0 ? r : OP_WAIT;
}

static void build_planned(struct op *op, struct outgoing *out, void *arg, const struct fault *fault)
{
    struct build_state *st = arg;
    (void) out;
    if (fault) {
        st->failed = true;
        op_fail(op, fault);
        return;
    }
    st->phase = BUILD_WRITING;
    if (!st->in_run)
        op_again(op);
}

static void build_room(void *arg, const struct fault *fault)
{
    if (fault)
        op_fail(arg, fault);
    else
        op_again(arg);
}

static int build_begin(struct op *op, struct build_state *st)
{
    const struct api_mail_build_params *params = op->params;
    const struct outgoing_plan plan = {.transport = params->transport == API_TRANSPORT_8BIT     ? MIME_TRANSPORT_8BIT
                                                    : params->transport == API_TRANSPORT_BINARY ? MIME_TRANSPORT_BINARY
                                                                                                : MIME_TRANSPORT_7BIT,
                                       .utf8 = params->utf8};
    st->spool = op_spool_new(op, 0);
    if (!st->spool)
        return -EIO;
    spool_on_room(st->spool, build_room, op);
    st->phase = BUILD_PLANNING;
    st->in_run = true;
    outgoing_plan(op, st->out, &plan, build_planned, st);
    st->in_run = false;
    return 0;
}

static int build_result(struct op *op, struct build_state *st)
{
    const struct outgoing_facts *f = outgoing_facts(st->out);
    struct json_writer *w = &op->w;
    spool_on_room(st->spool, NULL, NULL);
    int r = spool_seal(st->spool, &op->fault);
    if (r < 0)
        return r;
    json_write_object_begin(w);
    r = op_write_content_spool(op, "raw", st->spool);
    json_write_member_string(w, "message_id", f->message_id);
    json_write_member_uint(w, "size", f->size);
    json_write_key(w, "envelope");
    json_write_object_begin(w);
    mail_write_member_or_null(w, "from", f->from);
    json_write_key(w, "to");
    json_write_array_begin(w);
    for (size_t i = 0; i < f->n_recipients; i++)
        json_write_string(w, f->recipients[i]);
    json_write_array_end(w);
    json_write_object_end(w);
    json_write_object_end(w);
    return r < 0 ? r : OP_DONE;
}

static int mail_build_run(struct op *op)
{
    struct build_state *st = op->state;
    int r = st->phase == BUILD_BEGIN ? build_begin(op, st) : 0;
    if (r < 0 || st->failed || st->phase != BUILD_WRITING)
        return r;
    for (size_t done = 0; done < TURN_BYTES;) {
        const char *piece;
        bool last;
        ssize_t n = outgoing_next(st->out, &piece, &last);
        if (n < 0)
            return fault_set(&op->fault, (int) n, n == -ENOMEM ? FAULT_INTERNAL : FAULT_STORAGE, NULL,
                             "the message cannot be built");
        r = n ? spool_write(st->spool, slice_of(piece, (size_t) n), &op->fault) : 0;
        if (r < 0)
            return r;
        if (last)
            return build_result(op, st);
        if (r == 1)
            return OP_WAIT;
        done += (size_t) n;
    }
    op_again(op);
    return OP_WAIT;
}

static void mail_build_free(struct op *op)
{
    struct build_state *st = op->state;
    if (st->spool)
        spool_on_room(st->spool, NULL, NULL);
    spool_unref(st->spool);
    outgoing_unref(st->out);
}

const struct op_handler mail_build_handler = {
    .state_size = sizeof(struct build_state),
    .prepare = mail_build_prepare,
    .run = mail_build_run,
    .free = mail_build_free,
};
