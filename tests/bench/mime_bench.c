/* SPDX-License-Identifier: MIT */
/* What mime takes for messages: mime_bench SECONDS FILE… reads each file and prints "WORK MB/S MESSAGES/S" for a copy,
 * the structure, the headers, the whole (attachments decoded, texts converted), the filter of finished messages, and
 * for composing. Each work goes over all files again and again for that long. */
#include "mime_compose.h"
#include "mime_message.h"
#include "mime_raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct file {
    char *data;
    size_t len;
};

static char *copy; /* as long as the longest file */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "mime_bench: %s\n", strerror(-r));
        exit(1);
    }
}

static size_t work_copy(const struct mime_source *src)
{
    memcpy(copy, src->data, (size_t) src->size);
    return (size_t) (unsigned char) copy[src->size / 2];
}

static size_t read_part(struct mime_message *m, const struct mime_part *p)
{
    struct mime_part_reader *r = mime_part_reader_new(m, p, p->is_attachment ? MIME_READ_BYTES : MIME_READ_TEXT);
    struct slice s;
    size_t n = 0;
    do {
        must(mime_part_read(r, &s));
        n += s.len;
    } while (s.len);
    mime_part_reader_free(r);
    return n;
}

static size_t read_headers(struct mime_message *m)
{
    struct slice header, text;
    struct mime_field f;
    size_t n = 0;
    must(mime_message_header(m, m->root, &m->arena, &header));
    while (mime_field_next(&header, &f)) {
        must(mime_decode_text(&m->decoder, f.value, &text));
        n += text.len;
    }
    return n;
}

static size_t work_message(const struct mime_source *src, bool headers, bool contents)
{
    struct mime_message *m;
    must(mime_message_parse(src, &m));
    size_t n = m->n_parts + (headers ? read_headers(m) : 0);
    for (const struct mime_part *p = contents ? m->root : NULL; p; p = p->following)
        if (!p->is_multipart)
            n += read_part(m, p);
    mime_message_free(m);
    return n;
}

static size_t work_structure(const struct mime_source *src)
{
    return work_message(src, false, false);
}

static size_t work_headers(const struct mime_source *src)
{
    return work_message(src, true, false);
}

static size_t work_whole(const struct mime_source *src)
{
    return work_message(src, true, true);
}

static size_t work_filter(const struct mime_source *src)
{
    struct mime_raw_reader *r = mime_raw_reader_new(src, SLICE_EMPTY);
    static char out[65536];
    size_t n = 0, got = 1;
    while (got) {
        must(mime_raw_read(r, out, sizeof(out), &got));
        n += got;
    }
    mime_raw_reader_free(r);
    return n;
}

static size_t work_compose(const struct mime_source *src)
{
    static char out[65536];
    struct mime_attachment file = {.content = *src, .filename = SLICE("file.bin")};
    struct mime_outline o = {.subject = SLICE("Grüße"), .text = SLICE("x\n"), .attachments = &file, .n_attachments = 1};
    struct mime_composer *c;
    struct fault fault = {.kind = FAULT_NONE};
    size_t n = 0, got = 1;
    must(mime_composer_new(&o, &c, &fault));
    while (got) {
        must(mime_composer_read(c, out, sizeof(out), &got));
        n += got;
    }
    mime_composer_free(c);
    return n;
}

static void measure(const char *name, size_t (*work)(const struct mime_source *), const struct file *files, size_t n,
                    double seconds)
{
    double bytes = 0, start = now_s(), took;
    size_t messages = 0, sum = 0;
    do {
        for (size_t i = 0; i < n; i++) {
            struct mime_source src;
            mime_source_memory(&src, slice_of(files[i].data, files[i].len));
            sum += work(&src);
            bytes += (double) files[i].len;
            messages++;
        }
        took = now_s() - start;
    } while (took < seconds);
    printf("%-10s %10.1f MB/s %12.0f messages/s\n", name, bytes / took / 1e6, (double) messages / took);
    if (sum == 0)
        printf("nothing was done\n");
}

static struct file load(const char *path)
{
    struct file file = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) < 0) {
        perror(path);
        exit(1);
    }
    size_t len = (size_t) ftell(f);
    rewind(f);
    file.data = malloc(len + 1);
    file.len = file.data ? fread(file.data, 1, len, f) : 0;
    fclose(f);
    return file;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t (*work)(const struct mime_source *);
    } works[] = {{"memcpy", work_copy}, {"structure", work_structure}, {"headers", work_headers},
                 {"whole", work_whole}, {"filter", work_filter},       {"compose", work_compose}};
    size_t n = argc > 2 ? (size_t) argc - 2 : 0, longest = 0;
    struct file *files = calloc(n + 1, sizeof(*files));
    if (!n || !files) {
        fprintf(stderr, "usage: mime_bench SECONDS FILE…\n");
        return 2;
    }
    for (size_t i = 0; i < n; i++) {
        files[i] = load(argv[i + 2]);
        longest = MAX(longest, files[i].len);
    }
    copy = malloc(longest + 1);
    for (size_t i = 0; i < ARRAY_LEN(works) && copy; i++)
        measure(works[i].name, works[i].work, files, n, strtod(argv[1], NULL));
    for (size_t i = 0; i < n; i++)
        free(files[i].data);
    free(files);
    free(copy);
    return 0;
}
