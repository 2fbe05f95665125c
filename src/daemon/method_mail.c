/* SPDX-License-Identifier: MIT */
/* mail.parse and mail.build. Parsing a big message runs on the cpu helper; contents are decoded and composed on the loop,
 * a bounded piece a turn. */
#include "methods.h"

#include "gateway.h"
#include "mime_message.h"
#include "op.h"
#include "outgoing.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>

#define AT_ONCE_MAX 65536  /* bigger messages are parsed on a helper */
#define SCRATCH_MAX (64u << 20) /* of one header, decoded: more than MIME_HEADER_BYTES_MAX can come to */
#define TURN_BYTES 524288  /* decoded or composed in one turn of the loop: well below a millisecond */

/* --- mail.parse --- */

enum parse_phase { PARSE_BEGIN, PARSE_UNDER_WAY, PARSE_HEAD, PARSE_TEXT, PARSE_HTML, PARSE_ATTACHMENTS, PARSE_TAIL };

struct parse_state {
    enum parse_phase phase;
    struct body *collected, *raw; /* raw: with a reference */
    struct mime_message *m;
    struct mime_part *part; /* the next to be looked at, in message order */
    struct mime_part_reader *reader;
    struct spool *spool;
    struct json_text_encoder encoder;
    bool text_open; /* a part of the body has been written: the string is open */
};

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

/* A decoded field, for grouping. */
struct named_value {
    struct slice name, value;
    size_t index, leader; /* leader: index of the first of that name */
};

static int by_name(const void *a, const void *b)
{
    const struct named_value *x = a, *y = b;
    size_t n = MIN(x->name.len, y->name.len);
    int c = n ? memcmp(x->name.data, y->name.data, n) : 0;
    if (c == 0 && x->name.len != y->name.len)
        c = x->name.len < y->name.len ? -1 : 1;
    return c ? c : x->index < y->index ? -1 : x->index > y->index;
}

static int by_leader(const void *a, const void *b)
{
    const struct named_value *x = a, *y = b;
    if (x->leader != y->leader)
        return x->leader < y->leader ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int decode_field(struct mime_decoder *d, const struct mime_field *f, size_t index, struct named_value *ret)
{
    char where[64] = "header ";
    const char *saved = d->where;
    int r = mime_decode_text(d, f->name, &ret->name);
    if (r < 0)
        return r;
    size_t n = MIN(ret->name.len, sizeof(where) - 8);
    for (size_t i = 0; i < ret->name.len; i++)
        ((char *) (uintptr_t) ret->name.data)[i] = ascii_lower(ret->name.data[i]);
    memcpy(where + 7, ret->name.data, utf8_valid_prefix(ret->name.data, n));
    d->where = where;
    r = mime_decode_text(d, f->value, &ret->value);
    d->where = saved;
    ret->index = index;
    return r;
}

/* All fields with their names in lower case, those of one name together, in the order of first appearance. */
static int decode_fields(struct mime_message *m, const struct mime_part *part, struct named_value **ret, size_t *ret_n)
{
    struct slice header, rest;
    struct mime_field f;
    size_t n = 0, k = 0;
    int r = mime_message_header(m, part, m->decoder.arena, &header);
    if (r < 0)
        return r;
    for (rest = header; mime_field_next(&rest, &f);)
        n += f.name.len != 0;
    struct named_value *all = calloc(n ? n : 1, sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (rest = header; r == 0 && k < n && mime_field_next(&rest, &f);) {
        if (f.name.len) {
            r = decode_field(&m->decoder, &f, k, &all[k]);
            k++;
        }
    }
    qsort(all, n, sizeof(*all), by_name);
    for (size_t i = 0; i < n; i++)
        all[i].leader = i && slice_eq(all[i].name, all[i - 1].name) ? all[i - 1].leader : all[i].index;
    qsort(all, n, sizeof(*all), by_leader);
    *ret = all;
    *ret_n = n;
    return r;
}

/* What is decoded for an answer lives until it is written; ten thousand parts must not add up. */
static void scratch_begin(struct mime_message *m, struct arena *scratch)
{
    arena_init(scratch, SCRATCH_MAX);
    m->decoder.arena = scratch;
}

static void scratch_end(struct mime_message *m, struct arena *scratch)
{
    m->decoder.arena = &m->arena;
    arena_done(scratch);
}

static int write_headers(struct json_writer *w, struct mime_message *m, const struct mime_part *part)
{
    struct named_value *all = NULL;
    struct arena scratch;
    size_t n = 0;
    scratch_begin(m, &scratch);
    int r = decode_fields(m, part, &all, &n);
    json_write_key(w, "headers");
    json_write_object_begin(w);
    for (size_t i = 0; i < n && r == 0;) {
        size_t leader = all[i].leader;
        json_write_key_slice(w, all[i].name);
        json_write_array_begin(w);
        for (; i < n && all[i].leader == leader; i++)
            json_write_string(w, all[i].value);
        json_write_array_end(w);
    }
    json_write_object_end(w);
    free(all);
    scratch_end(m, &scratch);
    return r;
}

static void write_addresses(struct json_writer *w, const struct mime_address *list)
{
    json_write_array_begin(w);
    for (; list; list = list->next) {
        json_write_object_begin(w);
        if (list->is_group) {
            json_write_member_string(w, "group", list->name);
            json_write_key(w, "members");
            write_addresses(w, list->members);
        } else {
            json_write_key(w, "name");
            json_write_string_or_null(w, list->name);
            json_write_member_string(w, "address", list->address);
        }
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/* The fields that are known by name: their first occurrence, but for lists, which are joined. */
struct known_fields {
    struct mime_address *lists[6];
    size_t n_addresses;
    struct slice subject;
    bool has_subject, has_date, date_ok;
    struct mime_date date;
    struct slice *ids[3];
    size_t n_ids[3];
};
static const char *const list_names[6] = {"from", "sender", "reply-to", "to", "cc", "bcc"};
static const char *const list_keys[6] = {"from", "sender", "reply_to", "to", "cc", "bcc"};
static const char *const id_names[3] = {"message-id", "in-reply-to", "references"};

static size_t index_of(struct slice name, const char *const *names, size_t n)
{
    size_t i = 0;
    while (i < n && !slice_eq_ci(name, slice_of_str(names[i])))
        i++;
    return i;
}

static int take_known(struct mime_decoder *d, const struct mime_field *f, struct known_fields *k)
{
    size_t i = index_of(f->name, list_names, ARRAY_LEN(list_names));
    if (i < ARRAY_LEN(list_names)) {
        struct mime_address **tail = &k->lists[i];
        while (*tail)
            tail = &(*tail)->next;
        if (k->n_addresses > MIME_ADDRESSES_MAX) {
            mime_defect(d, "too many addresses");
            return 0;
        }
        int r = mime_parse_addresses(d, f->value, tail);
        k->n_addresses += r == 0 ? mime_address_count(*tail) : 0;
        return r;
    }
    i = index_of(f->name, id_names, ARRAY_LEN(id_names));
    if (i < ARRAY_LEN(id_names))
        return k->n_ids[i] ? 0 : mime_parse_message_ids(d, f->value, &k->ids[i], &k->n_ids[i]);
    if (!k->has_subject && slice_eq_ci(f->name, SLICE("subject"))) {
        k->has_subject = true;
        return mime_decode_text(d, f->value, &k->subject);
    }
    if (!k->has_date && slice_eq_ci(f->name, SLICE("date"))) {
        k->has_date = true;
        k->date_ok = mime_parse_date(f->value, &k->date);
        if (!k->date_ok)
            mime_defect(d, "date: it cannot be understood");
    }
    return 0;
}

static int read_known(struct mime_message *m, struct known_fields *k)
{
    struct slice header;
    struct mime_field f;
    int r = mime_message_header(m, m->root, m->decoder.arena, &header);
    while (r == 0 && mime_field_next(&header, &f))
        r = take_known(&m->decoder, &f, k);
    return r;
}

static int write_known(struct json_writer *w, struct mime_message *m)
{
    struct known_fields k = {0};
    struct arena scratch;
    char date[MIME_DATE_MAX];
    scratch_begin(m, &scratch);
    int r = read_known(m, &k);
    if (r < 0) {
        scratch_end(m, &scratch);
        return r;
    }
    json_write_key(w, "subject");
    json_write_string_or_null(w, k.has_subject && !k.subject.data ? SLICE("") : k.subject);
    for (size_t i = 0; i < ARRAY_LEN(list_keys); i++) {
        json_write_key(w, list_keys[i]);
        write_addresses(w, k.lists[i]);
    }
    json_write_key(w, "date");
    if (k.date_ok)
        json_write_string(w, slice_of(date, mime_format_iso_date(&k.date, date)));
    else
        json_write_null(w);
    json_write_key(w, "message_id");
    json_write_string_or_null(w, k.n_ids[0] ? k.ids[0][0] : SLICE_EMPTY);
    for (size_t i = 1; i < ARRAY_LEN(id_names); i++) {
        json_write_key(w, i == 1 ? "in_reply_to" : "references");
        json_write_array_begin(w);
        for (size_t n = 0; n < k.n_ids[i]; n++)
            json_write_string(w, k.ids[i][n]);
        json_write_array_end(w);
    }
    scratch_end(m, &scratch);
    return 0;
}

static int parse_head(struct op *op, struct parse_state *st)
{
    json_write_object_begin(&op->w);
    int r = write_headers(&op->w, st->m, st->m->root);
    if (r == 0)
        r = write_known(&op->w, st->m);
    json_write_key(&op->w, "body");
    json_write_object_begin(&op->w);
    st->phase = PARSE_TEXT;
    st->part = st->m->root;
    return r;
}

/* Some of the part's text into the open string. 1: the part is through. */
static int write_text_piece(struct op *op, struct parse_state *st, size_t *budget)
{
    struct slice piece;
    if (!st->reader && !(st->reader = mime_part_reader_new(st->m, st->part, MIME_READ_TEXT)))
        return -ENOMEM;
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

static void write_content_type(struct json_writer *w, const struct mime_part *p)
{
    char text[512];
    size_t n = MIN(p->type.len, (size_t) 200), k = MIN(p->subtype.len, (size_t) 200);
    memcpy(text, p->type.data, n);
    text[n] = '/';
    memcpy(text + n + 1, p->subtype.data, k);
    json_write_member_string(w, "content_type", slice_of(text, n + 1 + k));
}

static void write_member_or_null(struct json_writer *w, const char *key, struct slice s)
{
    json_write_key(w, key);
    json_write_string_or_null(w, s.len ? s : SLICE_EMPTY);
}

static int write_attachment(struct op *op, struct parse_state *st)
{
    struct mime_part *p = st->part;
    struct json_writer *w = &op->w;
    json_write_object_begin(w);
    json_write_member_string(w, "part", p->number);
    write_content_type(w, p);
    write_member_or_null(w, "disposition", p->disposition);
    write_member_or_null(w, "filename", p->filename);
    write_member_or_null(w, "content_id", p->content_id);
    write_member_or_null(w, "charset", p->charset);
    json_write_member_bool(w, "inline", p->is_inline);
    int r = write_headers(w, st->m, p);
    json_write_member_uint(w, "size", p->decoded_size);
    if (r == 0 && st->spool) {
        r = spool_seal(st->spool, &op->fault);
        if (r == 0)
            r = op_write_content_spool(op, "content", st->spool);
    }
    json_write_object_end(w);
    return r;
}

static void room_again(void *arg, const struct fault *fault)
{
    if (fault)
        op_fail(arg, fault);
    else
        op_again(arg);
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
            st->spool = op_spool_new(op, 0);
            if (!st->spool)
                return fault_is_set(&op->fault) ? -EIO : -ENOMEM;
            spool_on_room(st->spool, room_again, op);
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

static int parse_attachments(struct op *op, struct parse_state *st, size_t *budget, bool *ret_wait)
{
    for (; st->part && *budget; st->part = st->part->following) {
        if (st->part->is_multipart || !st->part->is_attachment)
            continue;
        int r = read_attachment(op, st, budget, ret_wait);
        if (r <= 0)
            return r;
        r = write_attachment(op, st);
        if (st->spool)
            spool_on_room(st->spool, NULL, NULL);
        st->spool = spool_unref(st->spool);
        if (r < 0)
            return r;
    }
    return st->part ? 0 : 1;
}

static void write_params(struct json_writer *w, const struct mime_params *params)
{
    json_write_key(w, "params");
    json_write_object_begin(w);
    for (size_t i = 0; i < params->n; i++) {
        json_write_key_slice(w, params->list[i].name);
        json_write_string(w, params->list[i].value);
    }
    json_write_object_end(w);
}

/* The tree of parts; its depth is bounded by MIME_DEPTH_MAX. */
static void write_structure(struct json_writer *w, const struct mime_part *p)
{
    json_write_object_begin(w);
    json_write_member_string(w, "part", p->number);
    write_content_type(w, p);
    write_params(w, &p->params);
    write_member_or_null(w, "disposition", p->disposition);
    write_member_or_null(w, "filename", p->filename);
    write_member_or_null(w, "content_id", p->content_id);
    json_write_member_string(w, "encoding", p->encoding_name);
    json_write_member_uint(w, "size", p->is_multipart ? p->body_size : p->decoded_size);
    if (p->is_multipart) {
        json_write_key(w, "children");
        json_write_array_begin(w);
        for (const struct mime_part *c = p->children; c; c = c->next)
            write_structure(w, c);
        json_write_array_end(w);
    }
    json_write_object_end(w);
}

static void parse_tail(struct op *op, struct parse_state *st)
{
    struct json_writer *w = &op->w;
    const struct mime_defects *d = &st->m->defects;
    json_write_array_end(w); /* of the attachments */
    json_write_key(w, "structure");
    write_structure(w, st->m->root);
    json_write_member_uint(w, "size", body_size(st->raw));
    json_write_key(w, "defects");
    json_write_array_begin(w);
    for (size_t i = 0; i < d->n; i++)
        json_write_str(w, d->texts[i]);
    if (d->more)
        json_write_str(w, "and more");
    json_write_array_end(w);
    json_write_object_end(w);
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
        parse_tail(op, st);
        return 1;
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
    spool_on_room(st->spool, room_again, op);
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
    write_member_or_null(w, "from", f->from);
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
