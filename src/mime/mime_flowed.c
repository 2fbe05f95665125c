/* SPDX-License-Identifier: MIT */
#include "mime_flowed.h"

bool mime_flowed_init(struct mime_flowed *f, const struct mime_part *part)
{
    const struct slice *format = mime_param_get(&part->params, SLICE("format"));
    const struct slice *delsp = mime_param_get(&part->params, SLICE("delsp"));
    *f = (struct mime_flowed){.del_space = delsp && slice_eq_ci(*delsp, SLICE("yes"))};
    return slice_eq(part->type, SLICE("text")) && slice_eq(part->subtype, SLICE("plain")) && format &&
           slice_eq_ci(*format, SLICE("flowed"));
}

/* The line's text begins here: it goes on the open paragraph, or is a new one with its quotes in front. */
static size_t begin_text(struct mime_flowed *f, bool may_join, char *out)
{
    size_t o = 0;
    f->at = FLOWED_TEXT;
    if (f->open && may_join && f->quotes == f->depth)
        return 0;
    /* A paragraph that another depth of quotes or a signature cuts off. */
    if (f->open)
        out[o++] = '\n';
    f->depth = f->quotes;
    for (unsigned i = 0; i < f->quotes; i++)
        out[o++] = '>';
    if (f->quotes)
        out[o++] = ' ';
    return o;
}

/* What was held back because it might have been a signature's line. */
static size_t release_mark(struct mime_flowed *f, bool may_join, char *out)
{
    size_t o = begin_text(f, may_join, out);
    /* Its third character is a space, which may end the line as any other. */
    for (unsigned i = 0; i < MIN(f->n_mark, 2U); i++)
        out[o++] = '-';
    f->space = f->n_mark == 3;
    f->n_mark = 0;
    return o;
}

static size_t end_line(struct mime_flowed *f, char *out)
{
    size_t o = 0;
    bool signature = f->at != FLOWED_TEXT && f->n_mark == 3;
    if (f->at != FLOWED_TEXT)
        o += release_mark(f, !signature, out);
    bool soft = f->space && !signature;
    if (f->space && !(soft && f->del_space))
        out[o++] = ' ';
    if (!soft)
        out[o++] = '\n';
    f->open = soft;
    f->space = false;
    f->quotes = 0;
    f->at = FLOWED_QUOTES;
    return o;
}

static size_t text_char(struct mime_flowed *f, char c, char *out)
{
    size_t o = 0;
    if (f->space)
        out[o++] = ' ';
    f->space = c == ' ';
    if (!f->space)
        out[o++] = c;
    return o;
}

size_t mime_flowed_feed(struct mime_flowed *f, struct slice in, bool last, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.data[i];
        if (c == '\n') {
            o += end_line(f, out + o);
            continue;
        }
        if (f->at == FLOWED_QUOTES) {
            if (c == '>') {
                f->quotes = MIN(f->quotes + 1, (unsigned) MIME_FLOWED_DEPTH_MAX);
                continue;
            }
            f->at = FLOWED_START;
            if (c == ' ')
                continue; /* stuffed */
        }
        if (f->at == FLOWED_START) {
            if (f->n_mark < 3 && c == "-- "[f->n_mark]) {
                f->n_mark++;
                continue;
            }
            o += release_mark(f, true, out + o);
        }
        o += text_char(f, c, out + o);
    }
    /* A last line without its end. */
    if (last && f->at == FLOWED_START)
        o += release_mark(f, f->n_mark != 3, out + o);
    else if (last && f->quotes && f->at == FLOWED_QUOTES)
        o += begin_text(f, true, out + o);
    if (last && f->space)
        out[o++] = ' ';
    return o;
}
