/* SPDX-License-Identifier: MIT */
/* Prints what the parser finds in each file named on its command line, one JSON object a line: for comparing it with
 * what other parsers found. With "--fd" the files are read through a descriptor instead of memory. */
#include "base64.h"
#include "mime_message.h"
#include "utf8.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void put_text(struct slice s)
{
    if (!utf8_is_valid(s) || memchr(s.data ? s.data : "", '\0', s.len)) {
        fprintf(stderr, "a text is not valid UTF-8 without NUL\n");
        exit(1);
    }
    putchar('"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.data[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void put_addresses(const struct mime_address *a)
{
    putchar('[');
    for (const char *sep = ""; a; a = a->next, sep = ",") {
        printf("%s{\"name\":", sep);
        if (a->name.data)
            put_text(a->name);
        else
            printf("null");
        printf(a->is_group ? ",\"members\":" : ",\"address\":");
        if (a->is_group)
            put_addresses(a->members);
        else
            put_text(a->address);
        putchar('}');
    }
    putchar(']');
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "failed: %s\n", strerror(-r));
        exit(1);
    }
}

static void put_content(struct mime_message *m, const struct mime_part *p, enum mime_read_mode mode)
{
    struct mime_part_reader *r = mime_part_reader_new(m, p, mode);
    struct slice s;
    char *all = NULL;
    size_t n = 0;
    for (must(mime_part_read(r, &s)); s.len; must(mime_part_read(r, &s))) {
        all = realloc(all, n + s.len);
        memcpy(all + n, s.data, s.len);
        n += s.len;
    }
    if (mode == MIME_READ_TEXT) {
        put_text(slice_of(all, n));
    } else {
        char *text = malloc(base64_encoded_len(n) + 1);
        printf("\"%.*s\"", (int) base64_encode(all, n, text), text);
        free(text);
    }
    free(all);
    mime_part_reader_free(r);
}

static void put_structure(const struct mime_part *p)
{
    printf("{\"part\":");
    put_text(p->number);
    printf(",\"type\":\"%.*s/%.*s\",\"size\":%llu", (int) p->type.len, p->type.data, (int) p->subtype.len,
           p->subtype.data, (unsigned long long) p->body_size);
    if (p->is_multipart) {
        printf(",\"children\":[");
        for (const struct mime_part *c = p->children; c; c = c->next) {
            if (c != p->children)
                putchar(',');
            put_structure(c);
        }
        putchar(']');
    }
    putchar('}');
}

static void put_fields(struct mime_message *m)
{
    struct mime_decoder *d = &m->decoder;
    struct slice header, text, *ids;
    struct mime_field f;
    struct mime_address *list;
    size_t n;
    const char *sep = "";

    must(mime_message_header(m, m->root, &m->arena, &header));
    printf("\"fields\":[");
    while (mime_field_next(&header, &f)) {
        if (!f.name.len)
            continue;
        printf("%s[", sep);
        must(mime_decode_text(d, f.name, &text));
        put_text(text);
        putchar(',');
        must(mime_decode_text(d, f.value, &text));
        put_text(text);
        printf(",");
        must(mime_parse_addresses(d, f.value, &list));
        put_addresses(list);
        printf(",");
        struct mime_date date;
        if (mime_parse_date(f.value, &date))
            printf("%lld", (long long) mime_date_to_unix(&date));
        else
            printf("null");
        must(mime_parse_message_ids(d, f.value, &ids, &n));
        printf(",[");
        for (size_t i = 0; i < n; i++) {
            printf(i ? "," : "");
            put_text(ids[i]);
        }
        printf("]]");
        sep = ",";
    }
    printf("],");
}

static void put_opt(const char *name, struct slice s)
{
    printf(",\"%s\":", name);
    if (s.data)
        put_text(s);
    else
        printf("null");
}

static void put_message(const char *path, const struct mime_source *src)
{
    struct mime_message *m;
    must(mime_message_parse(src, &m));
    printf("{\"path\":\"%s\",", path);
    put_fields(m);
    printf("\"structure\":");
    put_structure(m->root);
    printf(",\"leaves\":[");
    const char *sep = "";
    for (const struct mime_part *p = m->root; p; p = p->following) {
        if (p->is_multipart)
            continue;
        printf("%s{\"type\":\"%.*s/%.*s\"", sep, (int) p->type.len, p->type.data, (int) p->subtype.len,
               p->subtype.data);
        put_opt("part", p->number);
        put_opt("disposition", p->disposition);
        put_opt("filename", p->filename);
        put_opt("content_id", p->content_id);
        put_opt("charset", p->charset);
        put_opt("encoding", p->encoding_name);
        printf(",\"in_text\":%d,\"in_html\":%d,\"attachment\":%d,\"inline\":%d,\"bytes\":", p->in_text, p->in_html,
               p->is_attachment, p->is_inline);
        put_content(m, p, MIME_READ_BYTES);
        if (slice_eq(p->type, SLICE("text"))) {
            printf(",\"text\":");
            put_content(m, p, MIME_READ_TEXT);
        }
        putchar('}');
        sep = ",";
    }
    printf("],\"defects\":[");
    for (size_t i = 0; i < m->defects.n; i++) {
        printf(i ? "," : "");
        put_text(slice_of_str(m->defects.texts[i]));
    }
    printf("]}\n");
    mime_message_free(m);
}

int main(int argc, char **argv)
{
    bool by_fd = argc > 1 && strcmp(argv[1], "--fd") == 0;
    for (int i = 1 + by_fd; i < argc; i++) {
        struct mime_source src;
        struct stat st;
        int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
            perror(argv[i]);
            return 1;
        }
        mime_source_fd(&src, fd, 0, (uint64_t) st.st_size);
        char *data = malloc((size_t) st.st_size + 1);
        size_t n;
        must(mime_source_read(&src, 0, data, (size_t) st.st_size, &n));
        if (!by_fd)
            mime_source_memory(&src, slice_of(data, n));
        put_message(argv[i], &src);
        free(data);
        close(fd);
    }
    return 0;
}
