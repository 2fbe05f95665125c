/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "unit.h"

#include "mime_charset.h"
#include "mime_compose.h"
#include "mime_message.h"
#include "mime_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct arena arena;
static struct mime_defects defects;
static struct mime_decoder decoder;

static void setup(void)
{
    defects = (struct mime_defects){0};
    arena_init(&arena, 64 << 20);
    mime_decoder_init(&decoder, &arena, &defects);
}

static void teardown(void)
{
    mime_decoder_done(&decoder);
    arena_done(&arena);
}

static struct slice decoded(const char *raw)
{
    struct slice s;
    ck_assert_int_eq(mime_decode_text(&decoder, slice_of_str(raw), &s), 0);
    return s;
}

START_TEST(encoded_words)
{
    ck_slice_eq(decoded("plain text"), "plain text");
    ck_slice_eq(decoded("=?iso-8859-1?Q?Fr=F6sche?="), "Frösche");
    ck_slice_eq(decoded("=?utf-8?B?RnLDtnNjaGU=?= x"), "Frösche x");
    /* RFC 2047 section 8 */
    ck_slice_eq(decoded("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)"), "(ab)");
    ck_slice_eq(decoded("=?ISO-8859-1?Q?a?=\r\n  =?ISO-8859-1?Q?b?="), "ab");
    ck_slice_eq(decoded("=?ISO-8859-1?Q?a?= b"), "a b");
    ck_slice_eq(decoded("=?ISO-8859-1?Q?a_b?="), "a b");
    /* A character split between two words, in both encodings. */
    ck_slice_eq(decoded("=?utf-8?B?w7Y=?= =?utf-8?Q?=C3?= =?utf-8?Q?=B6?="), "öö");
    ck_slice_eq(decoded("=?utf-8?Q?=E2=82?= =?UTF-8?B?rA==?="), "€");
    ck_slice_eq(decoded("=?utf-8*de?Q?ja?="), "ja");
    ck_slice_eq(decoded("=?gb2312?B?xOO6ww==?="), "你好");
    ck_slice_eq(decoded("=?x-sjis?B?k/qWew==?="), "日本");
    ck_slice_eq(decoded("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?="), "日本");
    ck_slice_eq(decoded("=?iso-2022-jp?B?GyRCLSEbKEkxGyhCYQ==?="), "①ｱa");
    ck_slice_eq(decoded("=?iso-2022-jp?B?GyRCRnw=?= =?iso-2022-jp?B?S1w4bBsoQg==?="), "日本語");
    ck_slice_eq(decoded("=?iso-2022-jp?B?GyRCKSkhIRsoQg==?="), "\xef\xbf\xbd\xe3\x80\x80");
    ck_slice_eq(decoded("=?koi8-r?B?8NLJ18XU?="), "Привет");
    /* A finished base64 text cut anywhere; padding left out is something else. */
    ck_slice_eq(decoded("=?utf-8?B?w6kuc?= =?utf-8?B?GRm?="), "é.pdf");
    ck_slice_eq(decoded("=?utf-8?B?w6k?= =?utf-8?B?w6k?="), "éé");
    ck_slice_eq(decoded("=?utf-8?B?YQ?= =?utf-8?B?YQ?="), "aa");
    ck_slice_eq(decoded("=?utf-8?Q?not closed"), "=?utf-8?Q?not closed");
    ck_slice_eq(decoded("a=?utf-8?q?=C3=B6?=b"), "aöb");
    ck_slice_eq(decoded("folded\r\n  here"), "folded  here");
    ck_slice_eq(decoded("raw \xc3\xb6"), "raw ö");
    ck_slice_eq(decoded("raw \xf6"), "raw ö");
    /* Nothing that ends a line comes out of an encoded word. */
    ck_slice_eq(decoded("=?utf-8?Q?a=0D=0ABcc:_x?="), "a  Bcc: x");
    ck_slice_eq(decoded("=?utf-8?Q?a=00b?="), "a\xef\xbf\xbd"
                                              "b");
    ck_slice_eq(decoded("=?utf-8?Q?a=FFb?="), "a\xef\xbf\xbd"
                                              "b");
    ck_assert_uint_ge(defects.n, 2);
}
END_TEST

static void check_addresses(const char *raw, const char *want)
{
    char got[1024] = "";
    size_t n = 0;
    struct mime_address *list;
    ck_assert_int_eq(mime_parse_addresses(&decoder, slice_of_str(raw), &list), 0);
    for (struct mime_address *a = list; a; a = a->next) {
        n += (size_t) snprintf(got + n, sizeof(got) - n, "%s%.*s|%.*s", n ? "; " : "", (int) a->name.len,
                               a->name.data ? a->name.data : "", (int) a->address.len,
                               a->address.data ? a->address.data : "");
        for (struct mime_address *m = a->is_group ? a->members : NULL; m; m = m->next)
            n += (size_t) snprintf(got + n, sizeof(got) - n, " [%.*s|%.*s]", (int) m->name.len,
                                   m->name.data ? m->name.data : "", (int) m->address.len, m->address.data);
    }
    ck_assert_str_eq(got, want);
}

START_TEST(addresses)
{
    check_addresses("ann@example.com", "|ann@example.com");
    check_addresses("Ann <ann@example.com>", "Ann|ann@example.com");
    check_addresses("\"Doe, Ann\" <ann@x.org>, bob@x.org", "Doe, Ann|ann@x.org; |bob@x.org");
    check_addresses("ann@x.org (Ann Doe)", "Ann Doe|ann@x.org");
    check_addresses("=?utf-8?Q?J=C3=BCrgen?= <j@x>", "Jürgen|j@x");
    check_addresses("\"=?utf-8?Q?J=C3=BCrgen?=\" <j@x>", "Jürgen|j@x");
    check_addresses("=?utf-8?Q?Doe,_Ann?= <a@x>", "Doe, Ann|a@x");
    check_addresses("A Group:Ed <ed@x>,joe@y,John <jdoe@z>;", "A Group| [Ed|ed@x] [|joe@y] [John|jdoe@z]");
    check_addresses("Undisclosed recipients:;", "Undisclosed recipients|");
    check_addresses("<@a,@b:ann@x>", "|ann@x");
    check_addresses("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|pete@silly.test");
    check_addresses("ann . doe @ example . com", "|ann.doe@example.com");
    check_addresses("Ann Doe ann@x", "Ann Doe|ann@x");
    check_addresses("Ann <ann@x, Bob <bob@x>", "Ann|ann@x; Bob|bob@x");
    check_addresses("\"quoted local\"@x", "|\"quoted local\"@x");
    check_addresses("ann@x; bob@x", "|ann@x; |bob@x");
    check_addresses("root", "|root");
    check_addresses("ann@x <ann@x>", "|ann@x");
    check_addresses("<>, bob@x", "|bob@x");
    check_addresses("", "");
    check_addresses(" , ,, ", "");
    check_addresses("=?utf-8?Q?Ann_<ann@x>?=", "Ann|ann@x");
}
END_TEST

START_TEST(dates)
{
    static const struct {
        const char *raw, *want;
    } cases[] = {
        {"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
        {"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06+00:00"},
        {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"},
        {"Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
        {"17-Jul-1996 02:44:25 -0700", "1996-07-17T02:44:25-07:00"},
        {" 7-Jul-1996 02:44:25 +0000", "1996-07-07T02:44:25+00:00"},
        {"Tue Jan  2 03:04:05 2026", "2026-01-02T03:04:05+00:00"},
        {"2026-01-02T03:04:05+01:00", "2026-01-02T03:04:05+01:00"},
        {"Fri, 2 Jan 2026 03:04:05 EST", "2026-01-02T03:04:05-05:00"},
        {"Fri, 2 Jan 2026 03:04:05 GMT+0200", "2026-01-02T03:04:05+02:00"},
        {"2 Jan 126 03:04", "2026-01-02T03:04:00+00:00"},
        {"30 Feb 2026 03:04:05 +0000", NULL},
        {"2 Jan 2026 25:04:05 +0000", NULL},
        {"nonsense", NULL},
        {"", NULL},
    };
    char out[MIME_DATE_MAX];
    struct mime_date d;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool ok = mime_parse_date(slice_of_str(cases[i].raw), &d);
        ck_assert_msg(ok == (cases[i].want != NULL), "%s", cases[i].raw);
        if (ok) {
            mime_format_iso_date(&d, out);
            ck_assert_str_eq(out, cases[i].want);
        }
    }
    ck_assert(mime_parse_iso_date(SLICE("2026-01-02T03:04:05.25Z"), &d));
    mime_format_date(&d, out);
    ck_assert_str_eq(out, "Fri, 02 Jan 2026 03:04:05 +0000");
    ck_assert(!mime_parse_iso_date(SLICE("2026-01-02T03:04:05 nonsense"), &d));
    ck_assert(!mime_parse_iso_date(SLICE("2026-1-2"), &d));
    for (int64_t t = -62135596800; t < 253402300800; t += 86400 * 130 + 12345) {
        mime_date_from_unix(t, -90, &d);
        ck_assert_int_eq(mime_date_to_unix(&d), t);
        if (t > -62135596800 + 86400) {
            mime_format_date(&d, out);
            ck_assert(mime_parse_date(slice_of_str(out), &d));
            if (d.year >= 1950)
                ck_assert_int_eq(mime_date_to_unix(&d), t);
        }
    }
}
END_TEST

static struct slice param(const char *raw, const char *name)
{
    struct mime_content_type ct;
    ck_assert_int_eq(mime_parse_content_type(&decoder, slice_of_str(raw), &ct), 0);
    const struct slice *v = mime_param_get(&ct.params, slice_of_str(name));
    return v ? *v : SLICE("(none)");
}

START_TEST(parameters)
{
    ck_slice_eq(param("text/plain; charset=utf-8", "charset"), "utf-8");
    ck_slice_eq(param("text/plain; charset=\"utf-8\"; x=y", "x"), "y");
    ck_slice_eq(param("text/plain; charset=us-ascii (comment)", "charset"), "us-ascii");
    ck_slice_eq(param("a/b; name=\"=?utf-8?Q?=C3=B6.txt?=\"", "name"), "ö.txt");
    ck_slice_eq(param("a/b; name*=utf-8'de'%C3%B6.txt", "name"), "ö.txt");
    ck_slice_eq(param("a/b; name*1=b.txt; name*0=a", "name"), "ab.txt");
    ck_slice_eq(param("a/b; name*0*=iso-8859-1''%F6; name*1=%41; name*2*=%F6", "name"), "ö%41ö");
    /* A character split between two segments. */
    ck_slice_eq(param("a/b; name*0*=utf-8''%E2%82; name*1*=%AC", "name"), "€");
    ck_slice_eq(param("a/b; name=plain; name*=utf-8''better", "name"), "better");
    ck_slice_eq(param("a/b; name=a b c.txt; x=1", "name"), "a b c.txt");
    ck_slice_eq(param("a/b; name=\"open", "name"), "open");
    ck_slice_eq(param("multipart/mixed boundary=x", "boundary"), "x");
    ck_slice_eq(param("a/b; name=\"a\\\"b\"", "name"), "a\"b");
    ck_slice_eq(param("a/b; name=raw\xf6", "name"), "rawö");
    struct mime_params params;
    struct mime_param pairs[] = {{SLICE("FILENAME*0*"), SLICE("utf-8''%C3")}, {SLICE("filename*1*"), SLICE("%B6")}};
    ck_assert_int_eq(mime_decode_params(&decoder, pairs, 2, &params), 0);
    ck_slice_eq(*mime_param_get(&params, SLICE("filename")), "ö");
}
END_TEST

START_TEST(parameter_limits)
{
    char raw[32768] = "a/b";
    size_t n = 3;
    for (int i = 0; i < 150; i++)
        n += (size_t) snprintf(raw + n, sizeof(raw) - n, "; name*%d=x", i);
    ck_assert_uint_eq(param(raw, "name").len, MIME_PARAM_SEGMENTS_MAX);
    ck_assert_uint_ge(defects.n, 1);
}
END_TEST

START_TEST(message_ids)
{
    struct slice *ids;
    size_t n;
    ck_assert_int_eq(mime_parse_message_ids(&decoder, SLICE("<a@\r\n b> (x)\r\n <c d@e>"), &ids, &n), 0);
    ck_assert_uint_eq(n, 2);
    ck_slice_eq(ids[0], "a@b");
    ck_slice_eq(ids[1], "c d@e");
    ck_assert_int_eq(mime_parse_message_ids(&decoder, SLICE("a@b"), &ids, &n), 0);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(mime_parse_message_ids(&decoder, SLICE("Your message of Monday"), &ids, &n), 0);
    ck_assert_uint_eq(n, 0);
}
END_TEST

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

static struct mime_message *parsed(struct slice raw)
{
    struct mime_source src;
    struct mime_message *m = NULL;
    mime_source_memory(&src, raw);
    ck_assert_int_eq(mime_message_parse(&src, &m), 0);
    return m;
}

static void check_content(struct mime_message *m, const char *part, enum mime_read_mode mode, const char *want)
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

static void check_raw(const char *raw, const char *prefix, const char *want)
{
    struct mime_source src;
    mime_source_memory(&src, slice_of_str(raw));
    for (size_t piece = 1; piece < 100; piece++) {
        struct mime_raw_reader *r = mime_raw_reader_new(&src, slice_of_str(prefix));
        char out[2048];
        for (int round = 0; round < 2; round++) {
            size_t n = 0, got = 1;
            while (got) {
                ck_assert_int_eq(mime_raw_read(r, out + n, piece, &got), 0);
                n += got;
            }
            ck_assert_msg(slice_eq(slice_of(out, n), slice_of_str(want)), "'%s' gives '%.*s'", raw, (int) n, out);
            mime_raw_rewind(r);
        }
        mime_raw_reader_free(r);
    }
    struct mime_raw_info info;
    setup();
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_assert_uint_eq(info.size + strlen(prefix) + (prefix[0] && !info.has_header ? 2 : 0), strlen(want));
    teardown();
}

START_TEST(raw_filter)
{
    check_raw("A: b\r\n\r\nbody\r\n", "", "A: b\r\n\r\nbody\r\n");
    check_raw("A: b\n\nbody\n", "X: y\r\n", "X: y\r\nA: b\r\n\r\nbody\r\n");
    check_raw("A: b\rC: d\r\rbo\rdy\r\n\n\r", "", "A: b\r\nC: d\r\n\r\nbo\r\ndy\r\n\r\n\r\n");
    /* Smuggled ends of data */
    check_raw("A: b\n\nx\n.\nMAIL\r.\rRCPT\r\n.\n", "", "A: b\r\n\r\nx\r\n.\r\nMAIL\r\n.\r\nRCPT\r\n.\r\n");
    check_raw("To: a\nBcc: b,\n c,\n\td\nBCC : e\nResent-Bcc: f\nBccx: g\n\nBcc: body\n", "",
              "To: a\r\nBccx: g\r\n\r\nBcc: body\r\n");
    /* A Bcc that only shows once line ends are right. */
    check_raw("To: a\rBcc: b\r\n\r\n", "", "To: a\r\n\r\n");
    check_raw("no header\nBcc: text\n", "X: y\r\n", "X: y\r\n\r\nno header\r\nBcc: text\r\n");
    check_raw("no header", "", "no header");
    check_raw("\nbody", "X: y\r\n", "X: y\r\n\r\nbody");
    check_raw("Subject: only a header", "X: y\r\n", "X: y\r\nSubject: only a header");
    check_raw("From ann Mon\nA: b\n\nx", "X: y\r\n", "From ann Mon\r\nX: y\r\nA: b\r\n\r\nx");
    check_raw("", "X: y\r\n", "X: y\r\n\r\n");
}
END_TEST

/* What is found of lines in one pass, and what comes out with and without that knowledge, for texts of which each place is hit by each
 * kind of line end. */
START_TEST(raw_lines)
{
    static const char alphabet[] = "abcdefgh\r\n\r\n\r\n.\xe4";
    uint32_t chance = 1;

    for (unsigned round = 0; round < 3000; round++) {
        char text[400], plain[800], known[800];
        size_t len = round % sizeof(text), sparse = round % 7 + 1, n = 0, k = 0, got = 1;
        for (size_t i = 0; i < len; i++) {
            chance = chance * 1664525 + 1013904223;
            text[i] = (chance >> 16) % sparse ? 'x' : alphabet[(chance >> 8) % (sizeof(alphabet) - 1)];
            if (round % 3 == 0 && text[i] == '\r' && i + 1 < len)
                text[++i] = '\n';
            else if (round % 3 == 0 && text[i] == '\n')
                text[i] = 'y';
        }
        if (len > 2 && round % 2)
            memcpy(text, "\r\n", 2);
        struct mime_source src;
        struct mime_raw_info info;
        mime_source_memory(&src, slice_of(text, len));
        ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
        struct mime_raw_reader *r = mime_raw_reader_new(&src, SLICE_EMPTY), *fast = mime_raw_reader_new(&src, SLICE_EMPTY);
        mime_raw_reader_knows(fast, &info);
        for (; got; n += got)
            ck_assert_int_eq(mime_raw_read(r, plain + n, 1 + round % 50, &got), 0);
        for (struct slice next = SLICE("-"); next.len; k += next.len) {
            if (round % 5) {
                ck_assert_int_eq(mime_raw_next(fast, &next), 0);
                memcpy(known + k, next.data ? next.data : "", next.len);
            } else {
                next.data = known + k;
                ck_assert_int_eq(mime_raw_read(fast, known + k, 7, &next.len), 0);
            }
        }
        ck_assert_uint_eq(info.size, n);
        ck_assert_uint_eq(k, n);
        ck_assert_mem_eq(known, plain, n);
        size_t longest = 0, line = 0;
        bool high = false;
        for (size_t i = 0; i < n; i++) {
            high |= (unsigned char) plain[i] > 127;
            line = plain[i] == '\n' ? 0 : line + (plain[i] != '\r');
            longest = MAX(longest, line);
        }
        ck_assert_uint_eq(info.longest_line, longest);
        ck_assert_int_eq(info.header_8bit || info.body_8bit, high);
        ck_assert_int_eq(info.open_end, line > 0);
        mime_raw_reader_free(r);
        mime_raw_reader_free(fast);
    }
}
END_TEST

START_TEST(raw_info)
{
    static const char raw[] = "From: Ann <ann@x>\nSender: sec@x\nTo: b@x, G: c@x, d@x;\nCc: b@x\nBcc: e@x\nTo: f@x\n"
                              "Message-ID: <id@x>\n\nb\xc3\xb6\n0123456789";
    struct mime_source src;
    struct mime_raw_info info;
    mime_source_memory(&src, SLICE_EMPTY);
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_assert(!info.has_header && !info.from.data);
    mime_source_memory(&src, slice_of_str(raw));
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_assert(info.has_header && !info.has_date && info.has_message_id && !info.header_8bit && info.body_8bit);
    ck_slice_eq(info.message_id, "id@x");
    ck_slice_eq(info.from, "sec@x");
    ck_slice_eq(info.header_from, "ann@x");
    ck_assert_uint_eq(info.n_recipients, 5);
    ck_slice_eq(info.recipients[0], "b@x");
    ck_slice_eq(info.recipients[4], "e@x");
    ck_assert_uint_eq(info.longest_line, strlen("To: b@x, G: c@x, d@x;"));
    mime_source_memory(&src, SLICE("Resent-From: r@x\nResent-To: s@x\nResent-From: old@x\nResent-To: old@x\nFrom: a@x\n"
                                   "To: b@x\n\n"));
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_slice_eq(info.from, "r@x");
    ck_assert_uint_eq(info.n_authors, 3);
    ck_slice_eq(info.authors[1], "old@x");
    ck_assert_uint_eq(info.n_recipients, 1);
    ck_slice_eq(info.recipients[0], "s@x");
}
END_TEST

/* Pulls all of a composed message, in pieces of `piece`. */
static struct slice pulled(struct mime_composer *c, size_t piece, char *out, size_t room)
{
    size_t n = 0, got = 1;
    while (got) {
        ck_assert_uint_le(n + piece, room);
        ck_assert_int_eq(mime_composer_read(c, out + n, piece, &got), 0);
        n += got;
    }
    ck_assert_uint_eq(n, mime_composer_size(c));
    return slice_of(out, n);
}

static void check_lines(struct slice s)
{
    size_t start = 0;
    bool good = true;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '\n') {
            good &= i && s.data[i - 1] == '\r' && i - 1 - start <= 998;
            start = i + 1;
        } else {
            good &= s.data[i] != '\r' || (i + 1 < s.len && s.data[i + 1] == '\n');
        }
    }
    ck_assert(good);
    ck_assert_uint_eq(start, s.len);
}

static struct mime_address *address_list(const char *raw)
{
    struct mime_address *list;
    ck_assert_int_eq(mime_parse_addresses(&decoder, slice_of_str(raw), &list), 0);
    return list;
}

static struct mime_outline small_outline(void)
{
    struct mime_outline o = {
        .from = address_list("Jürgen \"J\" <j@example.com>"),
        .to = address_list("\"Doe, Ann\" <ann@x.org>, bob@x.org, G: c@x;"),
        .bcc = address_list("secret@x.org, ann@x.org"),
        .subject = SLICE("Größe 2"),
        .text = SLICE("Grüße\nAnn\n"),
        .has_date = true,
        .message_id = SLICE("id@x"),
        .seed = 1,
    };
    mime_date_from_unix(1767322000, 60, &o.date);
    return o;
}

START_TEST(compose_small)
{
    char out[8192];
    struct mime_composer *c;
    struct fault fault = {0};
    struct mime_outline o = small_outline();
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    ck_slice_eq(pulled(c, sizeof(out) / 2, out, sizeof(out)), "Date: Fri, 02 Jan 2026 03:46:40 +0100\r\n"
                                                              "From: =?utf-8?B?SsO8cmdlbiBK?= <j@example.com>\r\n"
                                                              "To: \"Doe, Ann\" <ann@x.org>, bob@x.org, G: c@x;\r\n"
                                                              "Subject: =?utf-8?B?R3LDtsOfZQ==?= 2\r\n"
                                                              "Message-ID: <id@x>\r\n"
                                                              "MIME-Version: 1.0\r\n"
                                                              "Content-Type: text/plain; charset=utf-8\r\n"
                                                              "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                                                              "Gr=C3=BC=C3=9Fe\r\nAnn\r\n");
    mime_composer_free(c);
    o.utf8 = true;
    o.transport = MIME_TRANSPORT_8BIT;
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    struct slice s = pulled(c, 7, out, sizeof(out));
    ck_assert_ptr_nonnull(memmem(s.data, s.len, "Subject: Größe 2\r\n", 20));
    ck_assert_ptr_nonnull(memmem(s.data, s.len, "8bit", 4));
    ck_assert(mime_composer_needs_utf8(c) && mime_composer_needs_8bit(c) && !mime_composer_needs_binary(c));
    mime_composer_free(c);
    struct slice from, *to;
    size_t n;
    ck_assert_int_eq(mime_outline_envelope(&o, &arena, &from, &to, &n), 0);
    ck_slice_eq(from, "j@example.com");
    ck_assert_uint_eq(n, 4);
    ck_slice_eq(to[3], "secret@x.org");
}
END_TEST

START_TEST(compose_refuses)
{
    static const char *const bad[] = {"a\r\nBcc: x", "a\nb", "a\rb", "a\x01", "a\xff"};
    struct mime_composer *c;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice s = slice_of_str(bad[i]);
        struct mime_attachment a = {.filename = s};
        struct mime_header_value v = {SLICE("X-A"), s}, w = {s, SLICE("x")}, own = {SLICE("Bcc"), SLICE("x")};
        struct mime_address name = {.name = s, .address = SLICE("a@x")}, address = {.address = s};
        struct mime_attachment type = {.content_type = s}, id = {.content_id = s};
        struct {
            const char *field;
            struct mime_outline o;
        } cases[] = {
            {"subject", {.subject = s}},
            {"attachments.filename", {.attachments = &a, .n_attachments = 1}},
            {"attachments.content_type", {.attachments = &type, .n_attachments = 1}},
            {"attachments.content_id", {.attachments = &id, .n_attachments = 1}},
            {"headers.X-A", {.headers = &v, .n_headers = 1}},
            {"headers.", {.headers = &w, .n_headers = 1}},
            {"headers.Bcc", {.headers = &own, .n_headers = 1}},
            {"from", {.from = &name}},
            {"to", {.to = &address}},
            {"bcc", {.bcc = &address}},
            {"message_id", {.message_id = s}},
            {"references", {.references = &s, .n_references = 1}},
        };
        for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
            struct fault fault = {0};
            mime_source_memory(&a.content, SLICE_EMPTY);
            mime_source_memory(&type.content, SLICE_EMPTY);
            mime_source_memory(&id.content, SLICE_EMPTY);
            ck_assert_msg(mime_composer_new(&cases[k].o, &c, &fault) == -EINVAL, "%s", cases[k].field);
            ck_assert_int_eq(fault.kind, FAULT_INVALID_PARAMS);
            ck_assert_msg(strncmp(fault.text, cases[k].field, strlen(cases[k].field)) == 0, "%s", fault.text);
        }
    }
    struct fault fault = {0};
    struct mime_outline o = {.text = slice_of("a\0b", 3)};
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), -EINVAL);
    ck_assert_int_eq(strncmp(fault.text, "text:", 5), 0);
}
END_TEST

START_TEST(compose_round_trip)
{
    static const char *const texts[] = {
        "",
        "x",
        "plain\n",
        "Größe\n\nmit\ttab \n",
        ".\n..\nFrom here\n",
        "日本語のテキスト\n日本語のテキスト\n日本語のテキスト\n",
        "=_ --=_ ?= =?utf-8?Q?x?=\n",
    };
    size_t room = 1 << 20;
    char *out = malloc(room), *binary = malloc(200000), *longline = calloc(1, 3001);
    for (size_t i = 0; i < 200000; i++)
        binary[i] = (char) (i * i >> 3);
    memset(longline, 'w', 3000);
    for (size_t i = 0; i < ARRAY_LEN(texts) + 1; i++) {
        struct slice text = i < ARRAY_LEN(texts) ? slice_of_str(texts[i]) : slice_of(longline, 3000);
        for (int transport = 0; transport < 3; transport++) {
            struct mime_attachment a[3] = {
                {.filename = SLICE("Übersicht mit einem sehr langen Namen, der mehr als eine Zeile braucht.pdf")},
                {.filename = SLICE("a\"b\\c.txt")},
                {.content_type = SLICE("image/png"),
                 .content_id = SLICE("i@x"),
                 .disposition = MIME_DISPOSITION_INLINE},
            };
            mime_source_memory(&a[0].content, slice_of(binary, 200000));
            mime_source_memory(&a[1].content, text);
            mime_source_memory(&a[2].content, slice_of(binary, 100));
            struct mime_outline o = small_outline();
            o.text = o.html = text;
            o.attachments = a;
            o.n_attachments = 3;
            o.transport = (enum mime_transport) transport;
            struct mime_composer *c;
            struct fault fault = {0};
            ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
            struct slice s = pulled(c, 4097, out, room);
            if (transport < 2)
                check_lines(s);
            struct mime_message *m = parsed(s);
            ck_assert_uint_eq(m->defects.n, 0);
            check_content(m, "1.1", MIME_READ_TEXT, i < ARRAY_LEN(texts) ? texts[i] : longline);
            ck_assert_uint_eq(m->n_parts, 8);
            struct mime_part *pdf = mime_message_find(m, SLICE("2"));
            ck_assert(slice_eq(pdf->filename, a[0].filename));
            ck_assert(slice_eq(mime_message_find(m, SLICE("3"))->filename, a[1].filename));
            ck_slice_eq(mime_message_find(m, SLICE("1.2.2"))->content_id, "i@x");
            mime_message_free(m);
            /* The same again, byte for byte, in other pieces. */
            char *again = malloc(room);
            mime_composer_rewind(c);
            ck_assert(slice_eq(pulled(c, 1000, again, room), s));
            free(again);
            mime_composer_free(c);
        }
    }
    free(out);
    free(binary);
    free(longline);
}
END_TEST

/* Forwarded messages stay messages as long as the transport takes them. */
START_TEST(compose_message_part)
{
    static const struct {
        const char *raw;
        enum mime_transport transport;
        const char *type, *content;
    } cases[] = {
        {"A: b\n\nc\n", MIME_TRANSPORT_7BIT, "rfc822", "A: b\r\n\r\nc\r\n"},
        {"A: b\r\n\r\n\xf6", MIME_TRANSPORT_8BIT, "rfc822", "A: b\r\n\r\n\xf6"},
        {"A: b\n\n\xf6\n", MIME_TRANSPORT_7BIT, "octet-stream", "A: b\n\n\xf6\n"},
    };
    char out[4096];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mime_attachment a = {.filename = SLICE("x.eml")};
        struct mime_outline o = {.text = SLICE("x"), .attachments = &a, .n_attachments = 1};
        struct mime_composer *c;
        struct fault fault = {0};
        mime_source_memory(&a.content, slice_of_str(cases[i].raw));
        o.transport = cases[i].transport;
        ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
        struct mime_message *m = parsed(pulled(c, 512, out, sizeof(out)));
        ck_slice_eq(mime_message_find(m, SLICE("2"))->subtype, cases[i].type);
        check_content(m, "2", MIME_READ_BYTES, cases[i].content);
        mime_message_free(m);
        mime_composer_free(c);
    }
}
END_TEST

/* A text that holds the boundary which the seed gives: another one is taken. */
START_TEST(compose_boundary_occurs)
{
    char out[8192], evil[1024];
    struct mime_attachment a = {.filename = SLICE("x")};
    struct mime_outline o = {.text = SLICE("x"), .attachments = &a, .n_attachments = 1, .seed = 7};
    struct mime_composer *c;
    struct fault fault = {0};
    mime_source_memory(&a.content, SLICE("y"));
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    struct slice s = pulled(c, 512, out, sizeof(out));
    const char *first = memmem(s.data, s.len, "--=_", 4);
    int n = snprintf(evil, sizeof(evil), "%.*s\n\nnot a part\n", 22, first);
    mime_composer_free(c);
    o.text = slice_of(evil, (size_t) n);
    ck_assert_int_eq(mime_composer_new(&o, &c, &fault), 0);
    struct mime_message *m = parsed(pulled(c, 512, out, sizeof(out)));
    ck_assert_uint_eq(m->n_parts, 3);
    check_content(m, "1", MIME_READ_TEXT, evil);
    mime_message_free(m);
    mime_composer_free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime");
    TCase *tc = tcase_create("header");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, encoded_words);
    tcase_add_test(tc, addresses);
    tcase_add_test(tc, dates);
    tcase_add_test(tc, parameters);
    tcase_add_test(tc, parameter_limits);
    tcase_add_test(tc, message_ids);
    tcase_add_test(tc, raw_lines);
    tcase_add_test(tc, raw_info);
    tcase_add_test(tc, compose_small);
    tcase_add_test(tc, compose_refuses);
    tcase_add_test(tc, compose_round_trip);
    tcase_add_test(tc, compose_message_part);
    tcase_add_test(tc, compose_boundary_occurs);
    suite_add_tcase(suite, tc);
    tc = tcase_create("message");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, transfer_decoding);
    tcase_add_test(tc, base64_lines);
    tcase_add_test(tc, structure);
    tcase_add_test(tc, same_by_descriptor);
    tcase_add_test(tc, sorting);
    tcase_add_test(tc, broken_messages);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, raw_filter);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
