/* SPDX-License-Identifier: MIT */
/* What mime takes for messages: a copy and a search for line ends as the limits; the structure, the first header with each
 * field as what it is, the whole (that header, attachments decoded, texts converted); the filter of finished messages; and
 * composing a message with the file attached. */
#include "mime_compose.h"
#include "mime_message.h"
#include "mime_raw.h"

#include "mime_work.h"

static struct bench_set set;
static char out[1 << 16];

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "mime_bench: %s\n", strerror(-r));
        exit(1);
    }
}

static struct mime_source source_of(const char *data, size_t len)
{
    struct mime_source src;
    mime_source_memory(&src, slice_of(data, len));
    return src;
}

static size_t work_memcpy(const char *data, size_t len)
{
    static char *copy;
    if (!copy)
        copy = malloc(set.longest + 1);
    if (!copy)
        must(-12);
    memcpy(copy, data, len);
    /* The compiler may not leave the copy out. */
    __asm__ volatile("" : : "r"(copy) : "memory");
    return len;
}

static size_t work_lines(const char *data, size_t len)
{
    size_t n = 0;
    for (const char *p = data, *end = data + len; p < end && (p = memchr(p, '\n', (size_t) (end - p))); p++)
        n++;
    return n;
}

static size_t read_part(struct mime_message *m, const struct mime_part *p)
{
    bool text = slice_eq(p->type, SLICE("text")) && !p->is_attachment;
    struct mime_part_reader *r = mime_part_reader_new(m, p, text ? MIME_READ_TEXT : MIME_READ_BYTES);
    struct slice s;
    size_t n = 0;
    if (!r)
        must(-12);
    do {
        must(mime_part_read(r, &s));
        n += s.len;
    } while (s.len);
    mime_part_reader_free(r);
    return n;
}

static bool is_any_of(struct slice name, const char *const *names)
{
    while (*names && !slice_eq_ci(name, slice_of_str(*names)))
        names++;
    return *names;
}

static size_t read_fields(struct mime_decoder *d, struct slice header)
{
    static const char *const addresses[] = {"from", "sender", "reply-to", "to", "cc", "bcc", NULL};
    static const char *const ids[] = {"message-id", "in-reply-to", "references", NULL};
    static const char *const date[] = {"date", NULL};
    size_t n = 0, n_ids = 0;
    struct mime_field f;
    while (mime_field_next(&header, &f)) {
        struct mime_address *list;
        struct mime_date when;
        struct slice text = SLICE_EMPTY, *found;
        if (is_any_of(f.name, addresses))
            must(mime_parse_addresses(d, f.value, &list));
        else if (is_any_of(f.name, ids))
            must(mime_parse_message_ids(d, f.value, &found, &n_ids));
        else if (is_any_of(f.name, date))
            n += mime_parse_date(f.value, &when);
        else
            must(mime_decode_text(d, f.value, &text));
        n += 1 + text.len;
    }
    return n;
}

/* Up to the first empty line, and no further. */
static size_t work_headers(const char *data, size_t len)
{
    struct arena arena;
    struct mime_decoder d;
    arena_init(&arena, MIME_MESSAGE_MEMORY);
    mime_decoder_init(&d, &arena, NULL);
    size_t n = read_fields(&d, slice_of(data, len));
    mime_decoder_done(&d);
    arena_done(&arena);
    return n;
}

static size_t work_message(const char *data, size_t len, bool contents)
{
    struct mime_source src = source_of(data, len);
    struct mime_message *m;
    struct slice header;
    must(mime_message_parse(&src, &m));
    size_t n = m->n_parts;
    if (contents) {
        must(mime_message_header(m, m->root, &m->arena, &header));
        n = read_fields(&m->decoder, header) ? 0 : 1;
    }
    for (const struct mime_part *p = contents ? m->root : NULL; p; p = p->following)
        if (!p->is_multipart)
            n += read_part(m, p);
    mime_message_free(m);
    return n;
}

static size_t work_structure(const char *data, size_t len)
{
    return work_message(data, len, false);
}

static size_t work_whole(const char *data, size_t len)
{
    return work_message(data, len, true);
}

static size_t work_filter(const char *data, size_t len)
{
    struct mime_source src = source_of(data, len);
    struct mime_raw_reader *r = mime_raw_reader_new(&src, SLICE_EMPTY);
    size_t n = 0, got = 1;
    if (!r)
        must(-12);
    while (got) {
        must(mime_raw_read(r, out, sizeof(out), &got));
        n += got;
    }
    mime_raw_reader_free(r);
    return n;
}

static size_t work_build(const char *data, size_t len)
{
    struct mime_address from = {.name = SLICE("Zoë Müller"), .address = SLICE("zoe@example.com")};
    struct mime_address to = {.name = SLICE("Ann"), .address = SLICE("ann@example.com")};
    struct mime_attachment file = {.content = source_of(data, len), .filename = SLICE("datei ä.bin")};
    struct mime_outline o = {.from = &from, .to = &to, .subject = SLICE("Grüße aus Köln"),
                             .text = SLICE("Grüße, und eine Zeile dazu.\n"), .html = SLICE("<p>Grüße, und eine Zeile dazu.</p>\n"),
                             .attachments = &file, .n_attachments = 1, .message_id = SLICE("1@example.com"), .has_date = true};
    struct mime_composer *c;
    struct fault fault = {.kind = FAULT_NONE};
    size_t n = 0, got = 1;
    mime_date_from_unix(1767322000, 60, &o.date);
    must(mime_composer_new(&o, &c, &fault));
    while (got) {
        must(mime_composer_read(c, out, sizeof(out), &got));
        n += got;
    }
    mime_composer_free(c);
    return n;
}

int main(int argc, char **argv)
{
    static const struct bench_work works[] = {
        {"memcpy", work_memcpy},   {"lines", work_lines}, {"structure", work_structure}, {"headers", work_headers},
        {"whole", work_whole},     {"filter", work_filter}, {"build", work_build},
    };
    return bench_main(works, sizeof(works) / sizeof(works[0]), &set, argc, argv);
}
