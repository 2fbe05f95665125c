/* SPDX-License-Identifier: MIT */
/* BODYSTRUCTURE and ENVELOPE: parts begin and end in each other, their numbers are numbers, there are no more of them than allowed, and
 * every value lies in the text. */
#include "fuzz.h"
#include "imap_exercise.h"
#include "session.h"

#include <stdlib.h>

static void look_at_value(struct slice text, const struct imap_value *v)
{
    if (v->bytes.len)
        fuzz_require(v->bytes.data >= text.data && v->bytes.data + v->bytes.len <= text.data + text.len);
    exercise_text(v);
}

static void look_at_part(struct slice text, const struct imap_body_part *p)
{
    const struct imap_value *const values[] = {&p->type, &p->subtype, &p->params, &p->id, &p->description, &p->encoding, &p->envelope,
                                               &p->md5, &p->disposition, &p->disposition_params, &p->language, &p->location};
    fuzz_require(p->part.len < IMAP_PART_NAME_MAX);
    for (size_t i = 0; i < p->part.len; i++)
        fuzz_require(ascii_is_digit(p->part.data[i]) || (p->part.data[i] == '.' && i > 0 && p->part.data[i - 1] != '.'));
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        look_at_value(text, values[i]);
    fuzz_require(!p->has_size || p->size <= INT64_MAX);
}

static void structure(struct slice text, const struct imap_value *value)
{
    static struct imap_body_parser parser;
    struct imap_body_part part;
    unsigned depth = 0, count = 0;
    int ret;
    imap_body_init(&parser, value);
    while ((ret = imap_body_next(&parser, &part)) > 0) {
        look_at_part(text, &part);
        bool begins = part.event == IMAP_BODY_MULTI_BEGIN || part.event == IMAP_BODY_MESSAGE_BEGIN;
        bool ends = part.event == IMAP_BODY_MULTI_END || part.event == IMAP_BODY_MESSAGE_END;
        count += !ends;
        fuzz_require(!ends || depth > 0);
        depth = depth + begins - ends;
        fuzz_require(depth <= IMAP_DEPTH_MAX && count <= IMAP_PARTS_MAX);
    }
    fuzz_require(ret < 0 || depth == 0);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    fuzz_require(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    struct slice text = slice_of(copy, size), rest = text;
    struct imap_value v;
    struct imap_envelope e;
    uint64_t n;
    unsigned odd = 0;
    while (imap_value_next(&rest, &v) > 0) {
        look_at_value(text, &v);
        structure(text, &v);
        imap_value_count(&v, INT64_MAX, &n, &odd);
        if (imap_envelope_parse(&v, &e) == 0) {
            look_at_value(text, &e.date);
            look_at_value(text, &e.message_id);
            exercise_addresses(&e.from);
            exercise_addresses(&e.to);
        }
    }
    free(copy);
    return 0;
}
