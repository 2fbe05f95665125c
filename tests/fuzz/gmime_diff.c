/* SPDX-License-Identifier: MIT */
/* Reads messages with our parser and with GMime, and compares: the tree of parts, their types, dispositions, file names and
 * decoded bytes. The messages are those given, and what chance makes of them.
 *
 *   gmime_diff SECONDS SEED FOLDER FILE…
 *
 * Where the two differ, and our parser says of the message that it is damaged, that is one of the differences that belong to
 * that damage, and is counted by it. Other known differences are those of known() below. What is left is a finding: it is
 * printed, written to FOLDER, and makes the end 1. */
#include "mime_message.h"

#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE_LARGEST 65536
#define CLASSES_MAX 64
#define SHOWN 20

struct input {
    char *data;
    size_t len;
};

/* What was found, as lines of text: "depth type/subtype disposition filename size hash". */
struct account {
    char *text;
    size_t len, cap;
};

static void note(struct account *a, const char *data, size_t len)
{
    if (a->len + len + 1 > a->cap) {
        a->cap = (a->len + len + 1) * 2;
        a->text = realloc(a->text, a->cap);
        if (!a->text)
            abort();
    }
    memcpy(a->text + a->len, data, len);
    a->len += len;
    a->text[a->len] = '\0';
}

#define HASH_START UINT64_C(14695981039346656037)

/* Of decoded bytes. Of quoted-printable without the blanks at the ends of lines: GMime keeps those that stand there unencoded. */
struct digest {
    uint64_t hash;
    size_t size, blanks;
    bool qp;
};

static void digest_byte(struct digest *h, unsigned char c)
{
    h->hash = (h->hash ^ c) * UINT64_C(1099511628211);
    h->size++;
}

static void digest(struct digest *h, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (h->qp && (data[i] == ' ' || data[i] == '\t')) {
            h->blanks++;
            continue;
        }
        for (; h->blanks; h->blanks--)
            if (data[i] != '\r' && data[i] != '\n')
                digest_byte(h, ' ');
        digest_byte(h, (unsigned char) data[i]);
    }
}

static void note_part(struct account *a, unsigned depth, const char *type, const char *disposition, const char *filename, const struct digest *h,
                      bool leaf)
{
    char line[2048], name[1024];
    size_t k = 0;
    /* What is in a name beyond ASCII, and its blanks, hang on the charset that is guessed: other tests look at these. */
    for (; *filename && k < sizeof(name) - 1; filename++)
        if (*filename > ' ' && *filename < 0x7f)
            name[k++] = *filename;
    name[k] = '\0';
    int n = snprintf(line, sizeof(line), "%u %s [%s] {%s}", depth, type, disposition, name);
    note(a, line, (size_t) MIN(n, (int) sizeof(line) - 1));
    n = leaf ? snprintf(line, sizeof(line), " %zu %016llx\n", h->size, (unsigned long long) h->hash) : snprintf(line, sizeof(line), "\n");
    note(a, line, (size_t) n);
}

/* --- ours --- */

static void own_part(struct account *a, struct mime_message *m, const struct mime_part *p, unsigned depth)
{
    char type[512], disposition[512], name[1024];
    snprintf(type, sizeof(type), "%.*s/%.*s", (int) MIN(p->type.len, (size_t) 200), p->type.data, (int) MIN(p->subtype.len, (size_t) 200),
             p->subtype.data);
    snprintf(disposition, sizeof(disposition), "%.*s", (int) MIN(p->disposition.len, (size_t) 500), p->disposition.len ? p->disposition.data : "");
    snprintf(name, sizeof(name), "%.*s", (int) MIN(p->filename.len, (size_t) 1000), p->filename.len ? p->filename.data : "");
    bool message = slice_eq(p->type, SLICE("message")) && slice_eq(p->subtype, SLICE("rfc822")) && p->encoding == MIME_ENCODING_IDENTITY;
    struct digest h = {.hash = HASH_START, .qp = p->encoding == MIME_ENCODING_QP};
    if (!p->is_multipart && !message) {
        struct mime_part_reader *r = mime_part_reader_new(m, p, MIME_READ_BYTES);
        struct slice s;
        while (r && mime_part_read(r, &s) == 0 && s.len)
            digest(&h, s.data, s.len);
        mime_part_reader_free(r);
    }
    note_part(a, depth, type, disposition, name, &h, !p->is_multipart && !message);
    for (const struct mime_part *c = p->children; c; c = c->next)
        own_part(a, m, c, depth + 1);
}

/* --- GMime's --- */

static bool odd_disposition; /* of a part of the last message */

static bool has(struct slice s, const char *text)
{
    struct slice word = slice_of_str(text);
    for (size_t i = 0; i + word.len <= s.len; i++)
        if (slice_starts_ci(slice_from(s, i), word))
            return true;
    return false;
}

static void lower(char *s)
{
    for (; *s; s++)
        *s = ascii_lower(*s);
}

static void their_part(struct account *a, GMimeObject *part, unsigned depth)
{
    char type[512], disposition[512] = "", name[1024] = "";
    struct digest h = {.hash = HASH_START};
    GMimeContentType *t = g_mime_object_get_content_type(part);
    GMimeContentDisposition *d = g_mime_object_get_content_disposition(part);
    const char *value = GMIME_IS_PART(part) ? g_mime_part_get_filename(GMIME_PART(part)) : NULL;
    bool leaf = GMIME_IS_PART(part);
    snprintf(type, sizeof(type), "%.200s/%.200s", g_mime_content_type_get_media_type(t), g_mime_content_type_get_media_subtype(t));
    lower(type);
    if (d && g_mime_content_disposition_get_disposition(d))
        snprintf(disposition, sizeof(disposition), "%.500s", g_mime_content_disposition_get_disposition(d));
    lower(disposition);
    odd_disposition |= disposition[strcspn(disposition, " =(\t\"")] != '\0' || has(slice_of_str(g_mime_object_get_header(part, "Content-Disposition")), "=?");
    if (!value && d)
        value = g_mime_content_disposition_get_parameter(d, "filename");
    if (!value)
        value = g_mime_content_type_get_parameter(t, "name");
    snprintf(name, sizeof(name), "%.1000s", value ? value : "");
    GMimeDataWrapper *content = leaf ? g_mime_part_get_content(GMIME_PART(part)) : NULL;
    if (content) {
        GMimeStream *to = g_mime_stream_mem_new();
        g_mime_data_wrapper_write_to_stream(content, to);
        GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(to));
        h.qp = g_mime_data_wrapper_get_encoding(content) == GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
        digest(&h, (const char *) bytes->data, bytes->len);
        g_object_unref(to);
    }
    note_part(a, depth, type, disposition, name, &h, leaf);
    for (int i = 0; GMIME_IS_MULTIPART(part) && i < g_mime_multipart_get_count(GMIME_MULTIPART(part)); i++)
        their_part(a, g_mime_multipart_get_part(GMIME_MULTIPART(part), i), depth + 1);
}

static bool their_account(struct account *a, const char *data, size_t len)
{
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(data, len);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
    GMimeObject *part = m ? g_mime_message_get_mime_part(m) : NULL;
    if (part)
        their_part(a, part, 0);
    if (m)
        g_object_unref(m);
    g_object_unref(parser);
    g_object_unref(stream);
    return part != NULL;
}

/* --- classes --- */

static struct {
    char name[128];
    size_t n;
} classes[CLASSES_MAX];

static void count(const char *name)
{
    size_t i = 0;
    while (i < CLASSES_MAX - 1 && classes[i].n && strcmp(classes[i].name, name) != 0)
        i++;
    snprintf(classes[i].name, sizeof(classes[i].name), "%s", name);
    classes[i].n++;
}

static bool mixes_line_ends(struct slice s)
{
    bool crlf = false, bare = false;
    for (size_t i = 0; i < s.len; i++) {
        bool cr = i && s.data[i - 1] == '\r';
        crlf |= s.data[i] == '\n' && cr;
        bare |= s.data[i] == '\n' ? !cr : cr;
    }
    return bare && crlf;
}

/* Whether the boundary of a multipart is given once more, by what stands within it. */
static bool repeats_boundary(const struct mime_message *m, struct slice raw)
{
    for (const struct mime_part *p = m->root; p; p = p->following) {
        const struct slice *boundary = mime_param_get(&p->params, SLICE("boundary"));
        size_t times = 0;
        for (size_t i = 0; boundary && i < raw.len; i++) {
            struct slice rest = slice_from(raw, i);
            if (!slice_starts_ci(rest, SLICE("boundary=")))
                continue;
            rest = slice_from(rest, 9);
            times += slice_starts(slice_from(rest, rest.len && rest.data[0] == '"'), *boundary);
        }
        if (times > 1)
            return true;
    }
    return false;
}

static bool odd_boundary(struct slice raw)
{
    const struct slice name = SLICE("boundary=\"");
    for (size_t i = 0; i < raw.len; i++) {
        struct slice value = slice_from(raw, i + name.len);
        if (!slice_starts_ci(slice_from(raw, i), name))
            continue;
        value = slice_to(value, slice_find(value, '"'));
        if (slice_trim(value).len != value.len || slice_find(value, '\n') < value.len || slice_find(value, '\t') < value.len)
            return true;
    }
    return false;
}

/* Whether a line that begins with `field` holds one of these marks. */
static bool field_has(struct slice raw, struct slice field, const char *marks)
{
    for (struct slice rest = raw; rest.len;) {
        struct slice line = slice_to(rest, slice_find(rest, '\n'));
        for (const char *m = marks; *m && slice_starts_ci(line, field); m++)
            if (slice_find(line, *m) < line.len)
                return true;
        rest = slice_from(rest, line.len + 1);
    }
    return false;
}

static bool folded_header(const struct mime_message *m)
{
    for (const struct mime_part *p = m->root; p; p = p->following)
        if (p->header_size && ascii_is_wsp(m->source.data[p->header_offset]))
            return true;
    return false;
}

static bool is_uuencoded(const struct mime_message *m)
{
    const struct mime_part *p = m->root;
    while (p && p->encoding != MIME_ENCODING_UUENCODE)
        p = p->following;
    return p;
}

/* Differences that are no mistake of ours and that no defect tells of. */
static const char *known(const struct mime_message *m, struct slice raw, const char *ours, const char *theirs)
{
    if (slice_starts(raw, SLICE("From ")) || slice_starts(raw, SLICE(">From ")))
        return "a line of an mbox in front: GMime takes none unless it is told to";
    if (mixes_line_ends(raw))
        return "CRLF and LF in one message: GMime takes a line end of the wrong length off a part";
    if (raw.len && raw.data[raw.len - 1] != '\n' && raw.data[raw.len - 1] != '\r')
        return "no line end at the end: GMime takes half a line end off the last part";
    if (odd_disposition)
        return "a disposition that is no word: GMime gives it as it stands, decoded";
    if (repeats_boundary(m, raw))
        return "a message within the message has the boundary of what it stands in: GMime lets the inner one have it";
    if (odd_boundary(raw))
        return "blanks in a quoted boundary, at its ends or of a fold: GMime takes them for a part of it";
    if (m->root && folded_header(m))
        return "a header that begins with a folded line: GMime passes over that";
    if (has(raw, "= \n") || has(raw, "= \r\n") || has(raw, "=\t\n") || has(raw, "=\t\r\n"))
        return "blanks behind a soft line break: to GMime it is none";
    if (has(slice_of_str(ours), "=?") || has(slice_of_str(theirs), "=?"))
        return "an encoded word that is damaged in a file's name";
    if (strchr(ours, '"'))
        return "a quote in a file's name: GMime ends the name before it where it was not escaped";
    if (field_has(raw, SLICE("content-transfer-encoding"), "\";"))
        return "quotes around a transfer encoding, or a semicolon behind it: GMime does not know it then";
    if (has(raw, "boundary*") || has(raw, "name*"))
        return "a damaged extended parameter, or an extended boundary";
    if (field_has(raw, SLICE("content-"), "("))
        return "a parenthesis in a content field: what is a comment, and where it ends, is seen differently";
    if (is_uuencoded(m))
        return "a uuencoded line with a checksum: GMime decodes that as well";
    return NULL;
}

static size_t n_findings;

static void finding(const char *folder, struct slice raw, const char *ours, const char *theirs)
{
    char path[4096];
    FILE *f;
    if (++n_findings > SHOWN)
        return;
    snprintf(path, sizeof(path), "%s/finding-%zu.eml", folder, n_findings);
    f = fopen(path, "wb");
    if (f) {
        fwrite(raw.data, 1, raw.len, f);
        fclose(f);
    }
    printf("%s\nours:\n%stheirs:\n%s", path, ours, theirs);
    fflush(stdout);
}

static void compare(const char *folder, struct slice raw)
{
    struct account ours = {0}, theirs = {0};
    struct mime_source src;
    struct mime_message *m;
    mime_source_memory(&src, raw);
    if (mime_message_parse(&src, &m) < 0)
        abort();
    own_part(&ours, m, m->root, 0);
    odd_disposition = false;
    bool read = their_account(&theirs, raw.data, raw.len);
    const char *why;
    if (!read)
        count("(GMime reads nothing)");
    else if (strcmp(ours.text, theirs.text) == 0)
        count("(the same)");
    else if (m->defects.n) {
        const char *text = m->defects.texts[0], *colon = slice_starts(slice_of_str(text), SLICE("part ")) ? strstr(text, ": ") : NULL;
        count(colon ? colon + 2 : text);
    } else if ((why = known(m, raw, ours.text, theirs.text)))
        count(why);
    else
        finding(folder, raw, ours.text, theirs.text);
    mime_message_free(m);
    free(ours.text);
    free(theirs.text);
}

/* --- chance --- */

static uint64_t state;

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (size_t) (state % n) : 0;
}

static const char *const tokens[] = {
    "\r\n", "\n", "\r\n\r\n", "--", "\n--", "\r\n ", "\r\n\t", "=", "=\r\n", "=3D", "; ", "\"", "\\", "(", ")", "*0=", "*=utf-8''%41", "boundary=b", "boundary=\"b\"",
    "\r\n--b\r\n", "\r\n--b--\r\n", "name=x", "filename=\"x y\"", "Content-Type: text/plain\r\n", "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "Content-Transfer-Encoding: base64\r\n", "Content-Transfer-Encoding: quoted-printable\r\n", "Content-Disposition: attachment; filename=a.b\r\n",
    "Content-Type: message/rfc822\r\n", "multipart/digest", "text/html", "inline", "begin 644 x\r\n", "YWJj", "YQ==", " ", "\t", ".", "\xc3\xa9", "=?utf-8?q?a?=",
};

/* All line ends as CRLF, or as LF. */
static size_t uniform(char *data, size_t len, bool crlf)
{
    static char made[4 * SIZE_LARGEST + 2];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\r' && i + 1 < len && data[i + 1] == '\n')
            continue;
        if (data[i] == '\n' && crlf)
            made[n++] = '\r';
        made[n++] = data[i];
    }
    if (n && made[n - 1] != '\n') {
        if (crlf)
            made[n++] = '\r';
        made[n++] = '\n';
    }
    n = MIN(n, (size_t) SIZE_LARGEST);
    memcpy(data, made, n);
    return n;
}

static struct input change(const struct input *all, size_t n)
{
    static char work[2 * SIZE_LARGEST];
    const struct input *from = &all[below(n)], *other = &all[below(n)];
    size_t len = MIN(from->len, (size_t) SIZE_LARGEST);
    memcpy(work, from->data, len);
    for (size_t times = below(4); times > 0; times--) {
        size_t at = below(len + 1), what = below(7), cut = below(len - at + 1), k;
        const char *token = tokens[below(ARRAY_LEN(tokens))];
        if (cut > 200 && below(4))
            cut = below(200);
        switch (what) {
        case 0:
            if (at < len)
                work[at] = (char) below(256);
            break;
        case 1:
            memmove(work + at, work + at + cut, len - at - cut);
            len -= cut;
            break;
        case 2:
            if (len + cut < SIZE_LARGEST) {
                memmove(work + at + cut, work + at, len - at);
                len += cut;
            }
            break;
        case 3:
        case 4:
            k = strlen(token);
            memmove(work + at + k, work + at, len - at);
            memcpy(work + at, token, k);
            len += k;
            break;
        case 5:
            k = below(MIN(other->len, (size_t) 2000) + 1);
            memmove(work + at + k, work + at, len - at);
            memcpy(work + at, other->data + below(other->len - k + 1), k);
            len = MIN(len + k, (size_t) SIZE_LARGEST);
            break;
        default:
            len = at;
        }
        len = MIN(len, (size_t) SIZE_LARGEST);
    }
    if (below(4))
        len = uniform(work, len, below(2));
    return (struct input){work, len};
}

static struct input load(const char *path)
{
    struct input in = {malloc(SIZE_LARGEST), 0};
    FILE *f = fopen(path, "rb");
    if (f && in.data) {
        in.len = fread(in.data, 1, SIZE_LARGEST, f);
        fclose(f);
    }
    return in;
}

int main(int argc, char **argv)
{
    size_t n = argc > 4 ? (size_t) argc - 4 : 0, done = 0;
    struct input *all = calloc(n + 1, sizeof(*all));
    if (!n || !all) {
        fprintf(stderr, "usage: gmime_diff SECONDS SEED FOLDER FILE…\n");
        return 2;
    }
    g_mime_init();
    state = strtoull(argv[2], NULL, 10) * 2 + 88172645463325252U;
    for (size_t i = 0; i < n; i++) {
        all[i] = load(argv[i + 4]);
        compare(argv[3], slice_of(all[i].data, all[i].len));
    }
    for (time_t end = time(NULL) + strtol(argv[1], NULL, 10); time(NULL) < end; done++) {
        struct input in = change(all, n);
        /* Bounds of its own, so that a read behind the end is seen by a sanitizer. */
        char *exact = malloc(in.len + 1);
        if (!exact)
            abort();
        memcpy(exact, in.data, in.len);
        compare(argv[3], slice_of(exact, in.len));
        free(exact);
    }
    for (size_t i = 0; i < CLASSES_MAX && classes[i].n; i++)
        printf("%10zu %s\n", classes[i].n, classes[i].name);
    printf("%zu messages, %zu changed, %zu findings\n", n, done, n_findings);
    for (size_t i = 0; i < n; i++)
        free(all[i].data);
    free(all);
    return n_findings ? 1 : 0;
}
