/* SPDX-License-Identifier: MIT */
/* What the unit tests of mime share: a decoder for each test, a message and a content in one call. */
#ifndef POSTERN_MIME_UNIT_H
#define POSTERN_MIME_UNIT_H

#include "unit.h"

#include "mime_message.h"

static struct arena arena;
static struct mime_defects defects;
static struct mime_decoder decoder;

static inline void setup(void)
{
    defects = (struct mime_defects){0};
    arena_init(&arena, 64 << 20);
    mime_decoder_init(&decoder, &arena, &defects);
}

static inline void teardown(void)
{
    mime_decoder_done(&decoder);
    arena_done(&arena);
}

static inline struct mime_message *parsed(struct slice raw)
{
    struct mime_source src;
    struct mime_message *m = NULL;
    mime_source_memory(&src, raw);
    ck_assert_int_eq(mime_message_parse(&src, &m), 0);
    return m;
}

static inline void check_content(struct mime_message *m, const char *part, enum mime_read_mode mode, const char *want)
{
    struct mime_part *p = mime_message_find(m, slice_of_str(part));
    ck_assert_ptr_nonnull(p);
    struct mime_part_reader *r = mime_part_reader_new(m, p, mode);
    struct slice s;
    char all[4096];
    size_t n = 0;
    do {
        ck_assert_int_eq(mime_part_read(r, &s), 0);
        memcpy(all + n, s.data, s.len);
        n += s.len;
    } while (s.len);
    mime_part_reader_free(r);
    ck_slice_eq(slice_of(all, n), want);
}

#endif
