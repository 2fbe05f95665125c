/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "unit.h"

#include "mime_compose.h"
#include "mime_flowed.h"
#include "mime_report.h"

#include <stdio.h>

static struct mime_message *parsed(const char *raw)
{
    struct mime_source src;
    struct mime_message *m;
    mime_source_memory(&src, slice_of_str(raw));
    ck_assert_int_eq(mime_message_parse(&src, &m), 0);
    return m;
}

static void check_flowed(bool del_space, const char *in, const char *want)
{
    size_t len = strlen(in);
    for (size_t piece = 1; piece <= len + 1; piece++) {
        struct mime_flowed f = {.del_space = del_space};
        char out[4096];
        size_t n = 0;
        for (size_t i = 0; i < len; i += piece) {
            size_t k = mime_flowed_feed(&f, slice_of(in + i, MIN(piece, len - i)), false, out + n);
            ck_assert_uint_le(k, mime_flowed_max(MIN(piece, len - i)));
            n += k;
        }
        n += mime_flowed_feed(&f, SLICE(""), true, out + n);
        ck_assert_msg(slice_eq(slice_of(out, n), slice_of_str(want)), "pieces of %zu of '%s' give '%.*s'", piece, in,
                      (int) n, out);
    }
}

START_TEST(flowed)
{
    check_flowed(false, "one \ntwo\nthree\n", "one two\nthree\n");
    check_flowed(true, "one \ntwo\n", "onetwo\n");
    check_flowed(true, "one  \ntwo\n", "one two\n");
    check_flowed(false, "> a \n> b\n>> c \n>> d\nmine\n", "> a b\n>> c d\nmine\n");
    /* Another depth ends a paragraph that was left open. */
    check_flowed(false, "> a \nb\n", "> a \nb\n");
    /* Stuffing goes, a signature's line stays by itself. */
    check_flowed(false, " From here\n  two\n >x\n", "From here\n two\n>x\n");
    check_flowed(false, "text \n-- \nAnn \nDoe\n", "text \n-- \nAnn Doe\n");
    check_flowed(false, "a \n--x\n", "a --x\n");
    check_flowed(false, "a\n\n> \n>\nb", "a\n\n> \n> \nb");
    check_flowed(false, "end ", "end ");
    check_flowed(false, "-- ", "-- ");
}
END_TEST

START_TEST(flowed_parts)
{
    static const char raw[] = "Content-Type: text/plain; format=Flowed; delsp=yes\r\n\r\na \r\nb\r\n";
    struct mime_message *m = parsed(raw);
    for (int unfold = 0; unfold < 2; unfold++) {
        struct slice s;
        struct mime_part_reader *r = mime_part_reader_new(m, m->root, unfold ? MIME_READ_UNFOLDED : MIME_READ_TEXT);
        ck_assert_ptr_nonnull(r);
        ck_assert_int_eq(mime_part_read(r, &s), 0);
        ck_slice_eq(s, unfold ? "ab\n" : "a \nb\n");
        mime_part_reader_free(r);
    }
    mime_message_free(m);
}
END_TEST

static void check_text(const char *raw, const char *want)
{
    struct mime_message *m = parsed(raw);
    struct mime_part_reader *r = mime_part_reader_new(m, m->root, MIME_READ_TEXT);
    struct slice s;
    ck_assert_ptr_nonnull(r);
    ck_assert_int_eq(mime_part_read(r, &s), 0);
    ck_slice_eq(s, want);
    mime_part_reader_free(r);
    mime_message_free(m);
}

START_TEST(undeclared_charsets)
{
    check_text("Content-Type: text/html\n\n<meta charset=\"koi8-r\">\xf0", "<meta charset=\"koi8-r\">П");
    check_text("Content-Type: text/html\n\n<meta charset=koi8-r>\xc3\xb6", "<meta charset=koi8-r>ö");
    check_text("Content-Type: text/html\n\n<meta charset=utf-16>\xf6", "<meta charset=utf-16>ö");
    check_text("Content-Type: text/html; charset=iso-8859-2\n\n<meta charset=koi8-r>\xb1", "<meta charset=koi8-r>ą");
    check_text("Content-Type: text/plain\n\ncharset=koi8-r \xf6", "charset=koi8-r ö");
    /* UTF-7 is never guessed. */
    check_text("Content-Type: text/html\n\n+ADw-b+AD4-", "+ADw-b+AD4-");
    check_text("Content-Type: text/plain; charset=utf-7\n\ncaf+AOk-", "café");
}
END_TEST

static void check_type(const char *raw, const char *type, const char *subtype, const char *filename)
{
    struct mime_message *m = parsed(raw);
    ck_slice_eq(m->root->type, type);
    ck_slice_eq(m->root->subtype, subtype);
    if (filename)
        ck_slice_eq(m->root->filename, filename);
    mime_message_free(m);
}

START_TEST(odd_content_fields)
{
    check_type("Content-Type: text\n\nx", "text", "plain", NULL);
    check_type("Content-Type: text; charset=utf-8\n\nx", "text", "plain", NULL);
    check_type("Content-Type: X-BE2; name=a.bin\n\nx", "application", "octet-stream", "a.bin");
    check_type("Content-Type: audio\n\nx", "application", "octet-stream", NULL);
    check_type("Content-Type: multipart; boundary=b\n\n--b\n\nx\n--b--\n", "multipart", "mixed", NULL);
    check_type("Content-Type: charset=utf-8\n\nx", "text", "plain", NULL);
    check_type("Content-Type: <html>\n\nx", "text", "plain", NULL);
    check_type("Content-Type:\n\nx", "text", "plain", NULL);
    /* A header that begins with a folded line. */
    check_type(" Content-Type: text/html\nSubject: x\n\nx", "text", "html", NULL);
    /* Raw names, the second cut within a character. */
    check_type("Content-Type: a/b; name=\"\u00fcber\"\n\n", "a", "b", "über");
    check_type("Content-Type: a/b; name=\"Картинка\xd0\"\n\n", "a", "b", "Картинка\ufffd");
    check_type("Content-Type: a/b; name=\"\xfc" "ber\"\n\n", "a", "b", "über");
    /* A parameter's name is text, too. */
    struct mime_message *m = parsed("Content-Type: a/b; \xb4 X=1; Y\n\tZ=2\n\n");
    ck_assert_uint_eq(m->root->params.n, 2);
    ck_slice_eq(m->root->params.list[0].name, "´ x");
    ck_slice_eq(m->root->params.list[1].name, "y z");
    mime_message_free(m);
}
END_TEST

/* What stands for more than itself is one part with its bytes, and its parameters tell what it is. */
START_TEST(whole_parts)
{
    static const struct {
        const char *head, *body, *param, *value;
    } rows[] = {
        {"message/partial; id=\"abc@x\"; number=2; total=3", "more of it\r\n", "number", "2"},
        {"message/external-body; access-type=URL; URL=\"ftp://x/y\"", "Content-Type: image/png\r\n\r\nphantom\r\n", "access-type", "URL"},
        {"message/global", "Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n", NULL, NULL},
        {"message/rfc822", "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n", NULL, NULL},
        {"application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", "MIAG\r\n", "smime-type", "enveloped-data"},
        {"application/pgp-encrypted", "Version: 1\r\n", NULL, NULL},
        {"application/pgp-signature; name=signature.asc", "-----BEGIN PGP SIGNATURE-----\r\n", "name", "signature.asc"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char raw[1024];
        struct slice bytes;
        snprintf(raw, sizeof(raw), "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: %s\r\n\r\n%s\r\n--b--\r\n",
                 rows[i].head, rows[i].body);
        struct mime_message *m = parsed(raw);
        const struct mime_part *part = mime_message_find(m, SLICE("2"));
        ck_assert_uint_eq(m->n_parts, 3);
        ck_assert_ptr_nonnull(part);
        ck_assert(part->is_attachment && !part->is_multipart && !part->in_text && !part->in_html);
        struct mime_part_reader *r = mime_part_reader_new(m, part, MIME_READ_BYTES);
        ck_assert_ptr_nonnull(r);
        ck_assert_int_eq(mime_part_read(r, &bytes), 0);
        ck_slice_eq(bytes, rows[i].body);
        mime_part_reader_free(r);
        if (rows[i].param) {
            const struct slice *value = mime_param_get(&part->params, slice_of_str(rows[i].param));
            ck_assert_ptr_nonnull(value);
            ck_slice_eq(*value, rows[i].value);
        }
        mime_message_free(m);
    }
}
END_TEST

static struct mime_report *report_of(struct mime_message *m)
{
    struct mime_report *report;
    ck_assert_int_eq(mime_report_find(m, &report), 0);
    return report;
}

START_TEST(delivery_report)
{
    struct mime_message *m =
        parsed("Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
               "--b\r\n\r\nsorry\r\n"
               "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
               "Reporting-MTA: dns; mx.example.com\r\nArrival-Date: Mon, 2 Mar 2026 10:00:00 +0000\r\n\r\n"
               "Original-Recipient: rfc822;ann@example.com\r\nFinal-Recipient: RFC822; <ann@mx.example.com>\r\n"
               "Action: Failed (really)\r\nStatus: 5.1.1 (no such user)\r\nRemote-MTA: dns; mx2.example.com\r\n"
               "Diagnostic-Code: smtp; 550 5.1.1\r\n no such user\r\n\r\n\r\n"
               "Final-Recipient: rfc822; bob@example.com\r\nAction: delayed\r\nStatus: 4.4.7\r\n\r\n"
               "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\nMessage-ID: <one@example.com>\r\n\r\n"
               "--b--\r\n");
    struct mime_report *report = report_of(m);
    ck_assert_ptr_nonnull(report);
    ck_assert_int_eq(report->kind, MIME_REPORT_DELIVERY);
    ck_slice_eq(report->part->number, "2");
    ck_slice_eq(report->original->number, "3");
    ck_slice_eq(report->original_message_id, "one@example.com");
    const struct mime_report_recipient *r = report->recipients;
    ck_slice_eq(r->original_recipient, "ann@example.com");
    ck_slice_eq(r->final_recipient, "ann@mx.example.com");
    ck_slice_eq(r->action, "failed");
    ck_slice_eq(r->status, "5.1.1");
    ck_slice_eq(r->remote_mta, "mx2.example.com");
    ck_slice_eq(r->diagnostic, "550 5.1.1 no such user");
    ck_slice_eq(r->next->final_recipient, "bob@example.com");
    ck_slice_eq(r->next->status, "4.4.7");
    ck_assert_ptr_null(r->next->next);
    mime_message_free(m);
}
END_TEST

START_TEST(other_reports)
{
    struct mime_message *m =
        parsed("Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n"
               "--b\r\n\r\nread\r\n"
               "--b\r\nContent-Type: message/disposition-notification\r\n\r\nReporting-UA: x\r\n"
               "Final-Recipient: rfc822;ann@example.com\r\nOriginal-Message-ID: <one@example.com>\r\n"
               "Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n");
    struct mime_report *report = report_of(m);
    ck_assert_int_eq(report->kind, MIME_REPORT_DISPOSITION);
    ck_slice_eq(report->recipients->disposition, "manual-action/mdn-sent-manually; displayed");
    ck_slice_eq(report->original_message_id, "one@example.com");
    ck_assert_ptr_null(report->original);
    mime_message_free(m);

    m = parsed("Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
               "--b\r\n\r\nspam\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
               "Feedback-Type: abuse\r\nOriginal-Rcpt-To: <a@example.com>\r\nOriginal-Rcpt-To: b@example.com\r\n\r\n"
               "--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <two@example.com>\r\n\r\nx\r\n--b--\r\n");
    report = report_of(m);
    ck_assert_int_eq(report->kind, MIME_REPORT_FEEDBACK);
    ck_slice_eq(report->recipients->original_recipient, "a@example.com");
    ck_slice_eq(report->recipients->next->original_recipient, "b@example.com");
    ck_slice_eq(report->original_message_id, "two@example.com");
    mime_message_free(m);

    m = parsed("Subject: no report\r\n\r\nx\r\n");
    ck_assert_ptr_null(report_of(m));
    mime_message_free(m);
}
END_TEST

/* One content as text or as an attachment, composed for one transport; all bytes of it. */
static size_t composed(struct slice content, const char *type, enum mime_transport transport, char *out, size_t room,
                       struct mime_composer **ret)
{
    struct mime_attachment a = {.filename = SLICE("x"), .content_type = slice_of_str(type ? type : "")};
    struct mime_outline o = {.text = type ? SLICE("x") : content, .attachments = &a, .n_attachments = type ? 1 : 0,
                             .subject = SLICE("Grüße"), .message_id = SLICE("m@x"), .transport = transport, .seed = 11};
    struct fault fault = {0};
    size_t n = 0, k = 1;

    mime_source_memory(&a.content, content);
    ck_assert_int_eq(mime_composer_new(&o, ret, &fault), 0);
    while (k && n < room) {
        ck_assert_int_eq(mime_composer_read(*ret, out + n, room - n, &k), 0);
        n += k;
    }
    ck_assert_uint_eq(n, mime_composer_size(*ret));
    return n;
}

/* mime_composer_differs() is true exactly where the bytes are others; multiparts name the encoding of what is in them. */
START_TEST(forms)
{
    static const char *const types[] = {NULL, "text/plain", "application/pdf", "message/rfc822"};
    static char lines[3000];
    const struct slice contents[] = {SLICE("plain\r\n"), SLICE("Gr\xc3\xbc\xc3\x9f" "e\r\n"), SLICE("bare\nlf\xc3\xbc\n"),
                                     SLICE("A: b\r\n\r\n\xc3\xbc"), slice_of(lines, sizeof(lines))};
    char out[3][8192];
    size_t n[3];
    struct mime_composer *c[3];

    memset(lines, 'w', sizeof(lines));
    for (size_t t = 0; t < ARRAY_LEN(types); t++)
        for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
            for (unsigned k = 0; k < 3; k++) {
                n[k] = composed(contents[i], types[t], (enum mime_transport) k, out[k], sizeof(out[k]), &c[k]);
                const char *head_end = memmem(out[k], n[k], "\r\n\r\n", 4);
                const char *label = memmem(out[k], (size_t) (head_end - out[k]), "Encoding: ", 10);
                bool beyond = mime_composer_needs_8bit(c[k]) || mime_composer_needs_binary(c[k]);
                if (types[t] && !beyond)
                    ck_assert_ptr_null(label);
                if (types[t] && beyond)
                    ck_assert(label && strncmp(label + 10, mime_composer_needs_binary(c[k]) ? "binary" : "8bit", 4) == 0);
            }
            for (unsigned k = 0; k < 9; k++) {
                bool equal = n[k / 3] == n[k % 3] && memcmp(out[k / 3], out[k % 3], n[k / 3]) == 0;
                ck_assert_msg(mime_composer_differs(c[k / 3], (enum mime_transport) (k % 3)) == !equal,
                              "content %zu as %s, %u and %u: %s", i, types[t] ? types[t] : "text", k / 3, k % 3, equal ? "equal" : "not equal");
            }
            for (unsigned k = 0; k < 3; k++)
                mime_composer_free(c[k]);
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mime_more");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, flowed);
    tcase_add_test(tc, flowed_parts);
    tcase_add_test(tc, undeclared_charsets);
    tcase_add_test(tc, odd_content_fields);
    tcase_add_test(tc, whole_parts);
    tcase_add_test(tc, delivery_report);
    tcase_add_test(tc, other_reports);
    tcase_add_test(tc, forms);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
