/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "mime_unit.h"

#include "mime_charset.h"

#include <stdio.h>

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

/* A word in Q has room for as many bytes as it has characters, however much there was before. */
START_TEST(long_words)
{
    for (size_t len = 500; len < 20000; len += 100) {
        struct slice s;
        char *raw = malloc(len + 16);
        ck_assert_ptr_nonnull(raw);
        memcpy(raw, "=?utf-8?Q?", 10);
        memset(raw + 10, 'x', len);
        memcpy(raw + 10 + len, "?=", 2);
        ck_assert_int_eq(mime_decode_text(&decoder, slice_of(raw, len + 12), &s), 0);
        ck_assert_uint_eq(s.len, len);
        free(raw);
    }
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

START_TEST(addresses_have_a_limit)
{
    static const char *const pieces[] = {"a:;", "a@b,", "<>,", "g:a@b;"};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t len = strlen(pieces[i]), n = 0;
        char *raw = malloc(len * 60000);
        struct mime_address *list;
        ck_assert_ptr_nonnull(raw);
        for (size_t k = 0; k < 60000; k++)
            memcpy(raw + k * len, pieces[i], len);
        ck_assert_int_eq(mime_parse_addresses(&decoder, slice_of(raw, len * 60000), &list), 0);
        for (struct mime_address *a = list; a; a = a->next) {
            n++;
            for (struct mime_address *m = a->members; m; m = m->next)
                n++;
        }
        ck_assert_uint_le(n, MIME_ADDRESSES_MAX);
        free(raw);
    }
}
END_TEST

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
    /* No group in a group, whatever an encoded word looks like. */
    check_addresses("G: =?utf-8?Q?a=3A_b=40c_=3Cd=40e=3E?=;, x@y", "G| [a: b@c|d@e]; |x@y");
    check_addresses("=?utf-8?Q?H=3A_b_=3Cd=40e=3E=3B?=, x@y", "H| [b|d@e]; |x@y");
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

int main(void)
{
    Suite *suite = suite_create("mime_header");
    TCase *tc = tcase_create("header");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, encoded_words);
    tcase_add_test(tc, long_words);
    tcase_add_test(tc, addresses);
    tcase_add_test(tc, addresses_have_a_limit);
    tcase_add_test(tc, dates);
    tcase_add_test(tc, parameters);
    tcase_add_test(tc, parameter_limits);
    tcase_add_test(tc, message_ids);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
