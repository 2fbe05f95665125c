/* SPDX-License-Identifier: MIT */
/* Every allocation of reading, rewriting, composing and threading messages fails once: either the result is what it is with memory, or
 * -ENOMEM says that there is none. Never is a message taken for another than it is. */
#include "failing_alloc.h"
#include "mime_compose.h"
#include "mime_message.h"
#include "mime_raw.h"
#include "mime_report.h"
#include "mime_thread.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>

static const char *const messages[] = {
    "From: =?utf-8?B?SsO8cmdlbg==?= <j@example.com>, \"Doe, Ann\" <ann@x.org>, G: b@x, c@x;\r\n"
    "To: =?iso-8859-1?Q?M=FCller?= =?iso-8859-1?Q?_und?= <m@x.org>\r\n"
    "Subject: =?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?= raw \xe4\r\n"
    "Date: Fri, 2 Jan 2026 03:04:05 +0100\r\n"
    "Message-ID: <1@x>\r\nReferences: <a@x> <b@x>\r\n <c@x>\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=\"b b\"; charset*0*=utf-8'en'%c3%a4; charset*1=x\r\n\r\npreamble\r\n"
    "--b b\r\nContent-Type: text/plain; charset=iso-8859-1; format=flowed; delsp=yes\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe \r\n> a =\r\nb \r\n> c\r\n"
    "--b b\r\nContent-Type: text/html; charset=windows-1252\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+k4Q8L2I+\r\n"
    "--b b\r\nContent-Type: application/octet-stream; name*=utf-8''%e2%82%ac.bin\r\n"
    "Content-Disposition: attachment; filename=\"=?utf-8?Q?=E2=82=AC?=.bin\"\r\nContent-ID: <c@x>\r\n"
    "Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#0V%T\r\n`\r\nend\r\n"
    "--b b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nx\r\n"
    "--b b--\r\nepilogue\r\n",
    "From: mailer@x\r\nSubject: failed\r\n"
    "Content-Type: multipart/report; report-type=delivery-status; boundary=r\r\n\r\n"
    "--r\r\n\r\nIt failed.\r\n"
    "--r\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.x\r\nOriginal-Envelope-Id: e\r\n\r\n"
    "Final-Recipient: rfc822; a@x\r\nOriginal-Recipient: rfc822;b@x\r\nAction: FAILED\r\nStatus: 5.1.1\r\n"
    "Diagnostic-Code: smtp; 550 no such\r\n user\r\nRemote-MTA: dns; mx.y\r\n\r\n"
    "Final-Recipient: utf-8; \\x{e4}@x\r\nAction: delayed\r\nStatus: 4.2.2\r\n"
    "--r\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <o@x>\r\nSubject: o\r\n--r--\r\n",
    "From x Thu Jan  1 00:00:00 1970\nBcc: hidden@x\nResent-To: r@x\nResent-Bcc: s@x\nTo: (c (d)) \"a b\"@x\n"
    "Content-Type: text/plain; charset=\"utf-7\n\nbare\rline ends\nand =?broken\n",
};

/* What was read, in one number. */
static uint64_t digest;
static bool blamed; /* the caller, for what was not its mistake */

static void note(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        digest = (digest ^ (unsigned char) s.data[i]) * UINT64_C(0x100000001b3);
    digest = (digest ^ 0x100) * UINT64_C(0x100000001b3);
}

static int read_content(struct mime_message *m, const struct mime_part *p, enum mime_read_mode mode)
{
    struct mime_part_reader *r = mime_part_reader_new(m, p, mode);
    struct slice s;
    int n = r ? mode == MIME_READ_TEXT ? mime_part_reader_leave_blocks_out(r, 4) : 0 : -ENOMEM;
    while (n == 0 && (n = mime_part_read(r, &s)) == 0 && s.len)
        note(s);
    mime_part_reader_free(r);
    return n;
}

static int read_fields(struct mime_message *m, struct mime_part *p)
{
    struct mime_decoder *d = &m->decoder;
    struct slice header, text, *ids;
    struct mime_address *list;
    struct mime_field f;
    size_t n_ids;
    int n = mime_message_header(m, p, &m->arena, &header);

    while (n == 0 && mime_field_next(&header, &f)) {
        n = mime_decode_text(d, f.value, &text);
        if (n == 0) {
            note(text);
            n = mime_parse_addresses(d, f.value, &list);
        }
        for (struct mime_address *a = n == 0 ? list : NULL; a; a = a->next)
            note(a->name);
        if (n == 0)
            n = mime_parse_message_ids(d, f.value, &ids, &n_ids);
        for (size_t i = 0; n == 0 && i < n_ids; i++)
            note(ids[i]);
    }
    return n;
}

static int read_message(const struct mime_source *src)
{
    struct mime_message *m = NULL;
    struct mime_report *report;
    int n = mime_message_parse(src, &m);

    if (n < 0)
        return n;
    for (struct mime_part *p = m->root; n == 0 && p; p = p->following) {
        note(p->type);
        note(p->subtype);
        note(p->filename);
        n = read_fields(m, p);
        for (int mode = MIME_READ_BYTES; n == 0 && !p->is_multipart && mode <= MIME_READ_UNFOLDED; mode++)
            n = read_content(m, p, (enum mime_read_mode) mode);
    }
    if (n == 0)
        n = mime_report_find(m, &report);
    for (struct mime_report_recipient *r = n == 0 && report ? report->recipients : NULL; r; r = r->next) {
        note(r->final_recipient);
        note(r->action);
        note(r->diagnostic);
    }
    mime_message_free(m);
    return n;
}

static int rewrite(const struct mime_source *src)
{
    struct arena arena;
    struct mime_decoder d;
    struct mime_raw_info info;
    struct mime_raw_reader *r = NULL;
    char piece[512];
    size_t got = 1;

    arena_init(&arena, 1 << 20);
    mime_decoder_init(&d, &arena, NULL);
    int n = mime_raw_scan(&d, src, &info);
    if (n == 0) {
        note(info.from);
        for (size_t i = 0; i < info.n_recipients; i++)
            note(info.recipients[i]);
        r = mime_raw_reader_new(src, SLICE("X-First: 1\r\n"));
        n = r ? 0 : -ENOMEM;
    }
    while (n == 0 && got && (n = mime_raw_read(r, piece, sizeof(piece), &got)) == 0)
        note(slice_of(piece, got));
    mime_raw_reader_free(r);
    mime_decoder_done(&d);
    arena_done(&arena);
    return n;
}

static int read_and_rewrite(int i)
{
    struct mime_source src;
    mime_source_memory(&src, slice_of_str(messages[i]));
    int n = read_message(&src);
    return n < 0 ? n : rewrite(&src);
}

static int compose(int variant)
{
    static const struct slice ids[] = {SLICE("a@x"), SLICE("b@x")};
    static const struct mime_header_value headers[] = {{SLICE("X-One"), SLICE("Gr\xc3\xb6\xc3\x9f""e and more words than fit into one line of a header, so that it folds")}};
    struct arena arena;
    struct mime_decoder d;
    struct mime_address *from, *to;
    struct mime_attachment files[2] = {{.filename = SLICE("\xe2\x82\xac.txt"), .content_type = SLICE("text/plain; charset=utf-8")},
                                       {.content_id = SLICE("i@x"), .disposition = MIME_DISPOSITION_INLINE, .filename = SLICE("a.png")}};
    struct mime_composer *c = NULL;
    struct fault fault = {.kind = FAULT_NONE};
    struct slice sender, *recipients;
    char piece[300];
    size_t n_recipients, got = 1;

    arena_init(&arena, 1 << 20);
    mime_decoder_init(&d, &arena, NULL);
    mime_source_memory(&files[0].content, SLICE("attached\n"));
    mime_source_memory(&files[1].content, SLICE("\x89PNG\0\x01"));
    int n = mime_parse_addresses(&d, SLICE("J\xc3\xbcrgen <j@x>, G: a@x, b@x;"), &from);
    if (n == 0)
        n = mime_parse_addresses(&d, SLICE("\"Doe, Ann\" <ann@x>, ann@x, c@x"), &to);
    if (n == 0) {
        struct mime_outline o = {.from = from, .sender = to, .to = to, .bcc = from, .subject = SLICE("Gr\xc3\xb6\xc3\x9f""e"),
                                 .text = SLICE("a\nb\xc3\xa4\n"), .html = SLICE("<img src=cid:i@x>"), .attachments = files, .n_attachments = 2,
                                 .headers = headers, .n_headers = 1, .message_id = SLICE("m@x"), .in_reply_to = ids, .n_in_reply_to = 1,
                                 .references = ids, .n_references = 2, .transport = (enum mime_transport) variant, .utf8 = variant > 0, .seed = 1};
        n = mime_outline_envelope(&o, &arena, &sender, &recipients, &n_recipients);
        for (size_t i = 0; n == 0 && i < n_recipients; i++)
            note(recipients[i]);
        if (n == 0)
            n = mime_composer_new(&o, &c, &fault);
        blamed = n < 0 && fault.kind == FAULT_INVALID_PARAMS;
    }
    while (n == 0 && got && (n = mime_composer_read(c, piece, sizeof(piece), &got)) == 0)
        note(slice_of(piece, got));
    mime_composer_free(c);
    mime_decoder_done(&d);
    arena_done(&arena);
    return n;
}

static int thread(int algorithm)
{
    struct slice refs[3][2] = {{SLICE("1@x"), SLICE("2@x")}, {SLICE("2@x"), SLICE("9@x")}, {SLICE("3@x"), SLICE("1@x")}};
    struct mime_thread_item items[40];
    char ids[40][8];
    struct arena arena;
    struct buffer out;

    for (uint32_t i = 0; i < ARRAY_LEN(items); i++) {
        size_t len = (size_t) snprintf(ids[i], sizeof(ids[i]), "%u@x", i);
        items[i] = (struct mime_thread_item){.number = i + 1, .order = i, .date = i * 7919 % 31, .subject = i % 3 ? SLICE("A") : SLICE("B"),
                                             .reply = i % 2, .message_id = slice_of(ids[i], len),
                                             .references = i % 4 < 3 ? refs[i % 4] : NULL, .n_references = i % 4 < 3 ? 2 : 0};
    }
    arena_init(&arena, 1 << 20);
    buffer_init(&out, 4096);
    int n = mime_thread_items(&arena, (enum mime_thread_algorithm) algorithm, items, ARRAY_LEN(items), &out);
    if (n == 0)
        note(buffer_slice(&out));
    buffer_done(&out);
    arena_done(&arena);
    return n;
}

static void each_allocation(int (*work)(int arg), int arg)
{
    uint64_t whole;
    long at = 0;
    bool met = true;

    digest = 0;
    ck_assert_int_eq(work(arg), 0);
    whole = digest;
    while (met) {
        digest = 0;
        alloc_fail_at(++at);
        int n = work(arg);
        met = alloc_has_failed();
        ck_assert_msg(n == 0 || (met && n == -ENOMEM), "allocation %ld: %d", at, n);
        ck_assert(!blamed);
        ck_assert_msg(n < 0 || digest == whole, "allocation %ld: another result", at);
    }
    ck_assert_int_gt(at, 3);
}

START_TEST(reading)
{
    each_allocation(read_and_rewrite, _i);
}
END_TEST

START_TEST(composing)
{
    each_allocation(compose, _i);
}
END_TEST

START_TEST(threading)
{
    each_allocation(thread, _i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime_memory");
    TCase *c = tcase_create("memory");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, reading, 0, (int) ARRAY_LEN(messages));
    tcase_add_loop_test(c, composing, MIME_TRANSPORT_7BIT, MIME_TRANSPORT_BINARY + 1);
    tcase_add_loop_test(c, threading, 0, MIME_THREAD_ALGORITHM_COUNT);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
