/* SPDX-License-Identifier: MIT */
/* What the composer takes as a subject, a name or a file name is read again as the same, in lines that are short enough. */
#include "fuzz_mime_check.h"
#include "mime_compose.h"
#include "mime_message.h"

/* Blanks at the ends of a header value are not kept by readers, nor is an empty name. */
static void check_round_trip(struct mime_decoder *d, struct slice value)
{
    static char content[] = "x";
    struct mime_address from = {.name = value, .address = SLICE("a@example.com")};
    struct mime_attachment file = {.filename = value};
    struct mime_outline o = {.from = &from, .subject = value, .text = value, .attachments = &file, .n_attachments = 1};
    struct mime_composer *c;
    struct fault fault = {.kind = FAULT_NONE};
    struct mime_message *m;
    struct mime_source src;
    struct slice header, text;
    struct mime_field f;
    struct mime_address *list;
    size_t n = 0, got = 1;

    mime_source_memory(&file.content, slice_of(content, 1));
    if (mime_composer_new(&o, &c, &fault) < 0) {
        check(fault.kind == FAULT_INVALID_PARAMS);
        return;
    }
    size_t room = (size_t) mime_composer_size(c) + 100;
    char *out = malloc(room);
    while (got) {
        check(n + 97 <= room && mime_composer_read(c, out + n, 97, &got) == 0);
        n += got;
    }
    check(n == mime_composer_size(c));
    mime_source_memory(&src, slice_of(out, n));
    check(mime_message_parse(&src, &m) == 0);
    check(m->root->is_multipart && m->n_parts == 3);
    check(mime_message_header(m, m->root, &m->arena, &header) == 0);
    struct slice bare = slice_trim(value);
    while (mime_field_next(&header, &f)) {
        check(f.name.len);
        for (size_t i = 0, line = 0; i < f.line.len; i++, line++) {
            check(line <= 998);
            if (f.line.data[i] == '\n')
                line = 0;
        }
        if (slice_eq(f.name, SLICE("Subject"))) {
            check(mime_decode_text(d, f.value, &text) == 0);
            check(slice_eq(bare, text));
        } else if (slice_eq(f.name, SLICE("From"))) {
            check(mime_parse_addresses(d, f.value, &list) == 0);
            check(list && !list->next && slice_eq(list->address, from.address));
            check(slice_eq(bare, list->name));
        }
    }
    check(slice_eq(bare, slice_trim(mime_message_find(m, SLICE("2"))->filename)));
    mime_message_free(m);
    mime_composer_free(c);
    free(out);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct fuzz_value v;
    fuzz_value_init(&v, data, size);
    check_round_trip(&v.decoder, v.raw);
    fuzz_value_done(&v);
    return 0;
}
