/* SPDX-License-Identifier: MIT */
/* A whole message: its parts, headers and contents, and its way out. Texts must be UTF-8 without NUL, each leaf in the
 * body or among the attachments, and what is sent must have no bare line ends and no Bcc. */
#include "fuzz.h"
#include "mime_message.h"
#include "mime_raw.h"
#include "utf8.h"

#include <stdlib.h>

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_text(struct slice s)
{
    check(utf8_is_valid(s) && !(s.len && memchr(s.data, '\0', s.len)));
}

static void read_part(struct mime_message *m, const struct mime_part *p, enum mime_read_mode mode)
{
    struct mime_part_reader *r = mime_part_reader_new(m, p, mode);
    struct slice s;
    check(r != NULL);
    do {
        check(mime_part_read(r, &s) == 0);
        if (mode == MIME_READ_TEXT)
            check_text(s);
    } while (s.len);
    check(mode != MIME_READ_BYTES || mime_part_reader_count(r) <= m->source.size);
    mime_part_reader_free(r);
}

static void check_part(struct mime_message *m, struct mime_part *p)
{
    struct mime_decoder *d = &m->decoder;
    struct slice header, text, *ids;
    struct mime_field f;
    struct mime_address *list;
    size_t n;

    check(p->header_offset + p->header_size <= p->body_offset && p->body_offset + p->body_size <= m->source.size);
    check(mime_message_find(m, p->number) != NULL);
    check_text(p->filename);
    check_text(p->content_id);
    for (size_t i = 0; i < p->params.n; i++)
        check_text(p->params.list[i].value);
    check(mime_message_header(m, p, &m->arena, &header) == 0);
    while (mime_field_next(&header, &f)) {
        check(mime_decode_text(d, f.value, &text) == 0);
        check_text(text);
        check(mime_parse_addresses(d, f.value, &list) == 0);
        check(mime_parse_message_ids(d, f.value, &ids, &n) == 0);
    }
    if (p->is_multipart)
        return;
    check(p->is_attachment || p->in_text || p->in_html);
    read_part(m, p, MIME_READ_BYTES);
    read_part(m, p, MIME_READ_TEXT);
}

/* All that mime_raw_read() gives. */
static char *filtered(const struct mime_source *src, size_t piece, size_t *ret_len)
{
    struct mime_raw_reader *r = mime_raw_reader_new(src, SLICE_EMPTY);
    size_t room = 2 * (size_t) src->size + piece + 16, n = 0, got = 1;
    char *out = malloc(room);
    check(r && out);
    while (got) {
        check(n + piece <= room && mime_raw_read(r, out + n, piece, &got) == 0);
        n += got;
    }
    mime_raw_reader_free(r);
    *ret_len = n;
    return out;
}

static void check_filter(const struct mime_source *src)
{
    struct arena arena;
    struct mime_decoder d;
    struct mime_raw_info info;
    struct mime_source again;
    size_t n, k;
    char *once = filtered(src, 61, &n), *twice;

    for (size_t i = 0; i < n; i++) {
        check(once[i] != '\r' || (i + 1 < n && once[i + 1] == '\n'));
        check(once[i] != '\n' || (i && once[i - 1] == '\r'));
    }
    mime_source_memory(&again, slice_of(once, n));
    twice = filtered(&again, 4096, &k);
    check(slice_eq(slice_of(once, n), slice_of(twice, k)));
    arena_init(&arena, 64 << 20);
    mime_decoder_init(&d, &arena, NULL);
    check(mime_raw_scan(&d, src, &info) == 0);
    check(info.size == n);
    struct slice rest = slice_of(once, info.has_header ? n : 0);
    struct mime_field f;
    while (mime_field_next(&rest, &f))
        check(!slice_eq_ci(f.name, SLICE("bcc")) && !slice_eq_ci(f.name, SLICE("resent-bcc")));
    mime_decoder_done(&d);
    arena_done(&arena);
    free(once);
    free(twice);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct mime_source src;
    struct mime_message *m;
    char *copy = malloc(size ? size : 1); /* exact, so that reading beyond it is seen */
    check(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    mime_source_memory(&src, slice_of(copy, size));
    check(mime_message_parse(&src, &m) == 0);
    for (struct mime_part *p = m->root; p; p = p->following)
        check_part(m, p);
    for (size_t i = 0; i < m->defects.n; i++)
        check_text(slice_of_str(m->defects.texts[i]));
    mime_message_free(m);
    check_filter(&src);
    free(copy);
    return 0;
}
