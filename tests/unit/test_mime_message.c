/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "mime_unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Decodes in pieces of every size, which must not matter. */
static void check_transfer(enum mime_encoding encoding, const char *in, const char *want, bool damaged)
{
    size_t len = strlen(in);
    for (size_t piece = 1; piece <= len + 1; piece++) {
        struct mime_transfer t;
        char out[4096];
        size_t n = 0;
        mime_transfer_init(&t, encoding);
        for (size_t i = 0; i < len; i += piece)
            n += mime_transfer_decode(&t, slice_of(in + i, MIN(piece, len - i)), out + n);
        n += mime_transfer_finish(&t, out + n);
        ck_assert_msg(slice_eq(slice_of(out, n), slice_of_str(want)), "pieces of %zu of '%s' give '%.*s'", piece, in,
                      (int) n, out);
        ck_assert_int_eq(t.damaged, damaged);
    }
}

START_TEST(transfer_decoding)
{
    check_transfer(MIME_ENCODING_BASE64, "aGVsbG8gd29ybGQ=", "hello world", false);
    check_transfer(MIME_ENCODING_BASE64, "aGVs\r\nbG8gd2\n9ybGQ=\r\n", "hello world", false);
    check_transfer(MIME_ENCODING_BASE64, "aGVsbG8gd29ybGQ", "hello world", true);
    check_transfer(MIME_ENCODING_BASE64, "aGVs*bG8gd29ybGQ=", "hello world", true);
    check_transfer(MIME_ENCODING_BASE64, "aGVsbG8gd29ybGQ=\r\n-- \r\nlist footer", "hello world", true);
    check_transfer(MIME_ENCODING_BASE64,
                   "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\nODkrLw==\r\n",
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", false);
    check_transfer(MIME_ENCODING_QP, "a=3Db =\r\nc  \r\nd=20\r\n", "a=b c\r\nd \r\n", false);
    check_transfer(MIME_ENCODING_QP, "a=\nb= \t\nc=c3=B6", "abc\xc3\xb6", false);
    check_transfer(MIME_ENCODING_QP, "a=zz b=", "a=zz b", true);
    check_transfer(MIME_ENCODING_UUENCODE, "begin 644 x\n+:&5L;&\\@=V]R;&0\n`\nend\n", "hello world", false);
}
END_TEST

START_TEST(base64_lines)
{
    char in[400], text[1024], out[1024];
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (char) (i * 7 + i / 3);
    for (size_t len = 0; len <= sizeof(in); len++) {
        size_t n = mime_base64_lines(in, len, text);
        ck_assert_uint_eq(n, mime_base64_lines_len(len));
        struct mime_transfer t;
        mime_transfer_init(&t, MIME_ENCODING_BASE64);
        size_t got = mime_transfer_decode(&t, slice_of(text, n), out);
        got += mime_transfer_finish(&t, out + got);
        ck_assert_uint_eq(got, len);
        ck_assert_int_eq(memcmp(in, out, len), 0);
        ck_assert(!t.damaged);
    }
}
END_TEST

static const char nested[] = "From: a@b\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n\r\npreamble\r\n"
                             "--x\r\nContent-Type: multipart/alternative; boundary=x-y\r\n\r\n"
                             "--x-y\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nFr\xf6sche\r\n\r\n"
                             "--x-y\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                             "<p>=C3=B6\r\n--x-y--\r\nepilogue\r\n"
                             "--x\r\nContent-Type: image/png; name=p.png\r\nContent-ID: <i@d>\r\n"
                             "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"
                             "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n--x--\r\n";

START_TEST(structure)
{
    struct mime_message *m = parsed(slice_of_str(nested));
    ck_assert_uint_eq(m->n_parts, 6);
    check_content(m, "1.1", MIME_READ_TEXT, "Frösche\n");
    check_content(m, "1.1", MIME_READ_BYTES, "Fr\xf6sche\r\n");
    check_content(m, "1.2", MIME_READ_TEXT, "<p>ö");
    check_content(m, "2", MIME_READ_BYTES, "hello");
    check_content(m, "3", MIME_READ_BYTES, "Subject: inner\r\n\r\ninner");
    struct mime_part *plain = mime_message_find(m, SLICE("1.1")), *html = mime_message_find(m, SLICE("1.2"));
    struct mime_part *image = mime_message_find(m, SLICE("2"));
    ck_assert(plain->in_text && !plain->in_html && !plain->is_attachment);
    ck_assert(html->in_html && !html->in_text && !html->is_attachment);
    ck_assert(image->is_attachment && image->is_inline);
    ck_slice_eq(image->content_id, "i@d");
    ck_slice_eq(image->filename, "p.png");
    ck_assert(mime_message_find(m, SLICE("3"))->is_attachment);
    ck_slice_eq(m->root->number, "");
    ck_assert_uint_eq(m->defects.n, 1); /* the html part is 8-bit without a charset */
    mime_message_free(m);
}
END_TEST

START_TEST(same_by_descriptor)
{
    /* Padding moves every interesting place over the border of the window. */
    size_t pad = MIME_WINDOW - 200, len = sizeof(nested) - 1;
    char *big = malloc(pad + len + 300);
    for (size_t shift = 0; shift < 300; shift += 7) {
        size_t n = (size_t) snprintf(big, pad + len + 300, "X-Pad: ");
        size_t target = pad + shift;
        while (n < target) {
            big[n] = n % 70 == 69 ? '\n' : n % 70 == 0 ? ' ' : 'x';
            n++;
        }
        big[n++] = '\n';
        memcpy(big + n, nested, len);
        n += len;
        int fd = memfd_create("message", MFD_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, big, n), (int) n);
        struct mime_source src;
        struct mime_message *m = NULL;
        mime_source_fd(&src, fd, 0, n);
        ck_assert_int_eq(mime_message_parse(&src, &m), 0);
        ck_assert_uint_eq(m->n_parts, 6);
        check_content(m, "1.1", MIME_READ_TEXT, "Frösche\n");
        check_content(m, "2", MIME_READ_BYTES, "hello");
        check_content(m, "3", MIME_READ_BYTES, "Subject: inner\r\n\r\ninner");
        mime_message_free(m);
        close(fd);
    }
    free(big);
}
END_TEST

/* Every leaf is in the body or among the attachments. */
static void check_sorting(const char *raw, const char *want)
{
    struct mime_message *m = parsed(slice_of_str(raw));
    char got[256] = "";
    size_t n = 0;
    for (struct mime_part *p = m->root; p; p = p->following)
        if (!p->is_multipart)
            n += (size_t) snprintf(got + n, sizeof(got) - n, "%.*s%s%s%s%s ", (int) p->number.len, p->number.data,
                                   p->in_text ? "t" : "", p->in_html ? "h" : "", p->is_attachment ? "a" : "",
                                   p->is_inline ? "i" : "");
    ck_assert_str_eq(got, want);
    mime_message_free(m);
}

START_TEST(sorting)
{
    check_sorting("\n\nhello", "1th ");
    check_sorting("Content-Type: application/pdf\n\nx", "1a ");
    check_sorting("Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\nx\n"
                  "--b\nContent-Type: image/png\n\nx\n--b--",
                  "1th 2a ");
    check_sorting("Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\nx\n--b--",
                  "1th ");
    check_sorting("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: image/png\n\nx\n--b\n\nx\n"
                  "--b\nContent-Type: text/plain; name=n\n\nx\n--b--",
                  "1th 2thai 3th 4a ");
    /* An alternative within which text follows html: the rules of RFC 8621 put it in no list. */
    check_sorting(
        "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n"
        "--c\nContent-Type: text/html\n\nx\n--c\n\ny\n--c--\n--b--",
        "1.1th 1.2a ");
}
END_TEST

START_TEST(broken_messages)
{
    mime_message_free(parsed(SLICE("")));
    mime_message_free(parsed(SLICE("\n")));
    mime_message_free(parsed(SLICE("no header at all")));
    struct mime_message *m = parsed(SLICE("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n--b\n\ny"));
    ck_assert_uint_eq(m->n_parts, 3);
    ck_assert_uint_ge(m->defects.n, 2);
    mime_message_free(m);
    m = parsed(SLICE("A: b\nContent-Transfer-Encoding: x-nonsense\n\nx"));
    ck_assert_str_eq(m->defects.texts[0], "an unknown transfer encoding");
    mime_message_free(m);
    m = parsed(SLICE("From ann Mon\nSubject: x\n\nbody"));
    check_content(m, "1", MIME_READ_TEXT, "body");
    mime_message_free(m);
}
END_TEST

static bool has_defect(const struct mime_message *m, const char *text)
{
    for (size_t i = 0; i < m->defects.n; i++)
        if (strstr(m->defects.texts[i], text))
            return true;
    return false;
}

START_TEST(limits)
{
    size_t max = 3 << 20, n = 0;
    char *raw = malloc(max);
    for (int depth = 0; depth < 200; depth++)
        n +=
            (size_t) snprintf(raw + n, max - n, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", depth, depth);
    struct mime_message *m = parsed(slice_of(raw, n));
    ck_assert(has_defect(m, "nested too deeply"));
    ck_assert_uint_eq(m->n_parts, MIME_DEPTH_MAX + 1);
    mime_message_free(m);

    n = (size_t) snprintf(raw, max, "Content-Type: multipart/mixed; boundary=b\n\n");
    for (int i = 0; i < 20000; i++)
        n += (size_t) snprintf(raw + n, max - n, "--b\n\nx\n");
    m = parsed(slice_of(raw, n));
    ck_assert(has_defect(m, "too many parts"));
    ck_assert_uint_eq(m->n_parts, MIME_PARTS_MAX);
    mime_message_free(m);

    /* More parameters than there is memory for: the parts stay. */
    size_t many = 32 << 20, k = (size_t) snprintf(raw, max, "Content-Type: multipart/mixed; boundary=b\n\n");
    char *params = malloc(many);
    memcpy(params, raw, k);
    for (int i = 0; i < MIME_PARTS_MAX + 10 && k < many - 4000; i++) {
        k += (size_t) snprintf(params + k, many - k, "--b\nContent-Type: a/b");
        for (int j = 0; j < 199; j++)
            k += (size_t) snprintf(params + k, many - k, ";p%d=%d", j, i);
        k += (size_t) snprintf(params + k, many - k, "\n\nx\n");
    }
    m = parsed(slice_of(params, k));
    ck_assert(has_defect(m, "too much memory") && has_defect(m, "too many parts"));
    ck_assert_uint_eq(m->n_parts, MIME_PARTS_MAX);
    mime_message_free(m);
    free(params);

    n = 0;
    for (int i = 0; i < 100000; i++)
        n += (size_t) snprintf(raw + n, max - n, "A: b\n");
    n += (size_t) snprintf(raw + n, max - n, "\nbody");
    m = parsed(slice_of(raw, n));
    ck_assert(has_defect(m, "the header is too large"));
    check_content(m, "1", MIME_READ_BYTES, "body");
    mime_message_free(m);

    memset(raw, 'x', max);
    memcpy(raw, "A: ", 3);
    memcpy(raw + max - 6, "\n\nbody", 6);
    m = parsed(slice_of(raw, max));
    ck_assert(has_defect(m, "the header is too large"));
    check_content(m, "1", MIME_READ_BYTES, "body");
    mime_message_free(m);
    free(raw);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime_message");
    TCase *tc = tcase_create("message");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, transfer_decoding);
    tcase_add_test(tc, base64_lines);
    tcase_add_test(tc, structure);
    tcase_add_test(tc, same_by_descriptor);
    tcase_add_test(tc, sorting);
    tcase_add_test(tc, broken_messages);
    tcase_add_test(tc, limits);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
