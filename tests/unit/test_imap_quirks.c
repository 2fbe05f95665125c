/* SPDX-License-Identifier: MIT */
/* By what servers are known, and what names in the configuration do to that. */
#include "imap_quirks.h"
#include "unit.h"

static struct imap_quirks quirks_of(const char *host, const char *greeting, const char *capabilities, const char *id, const char *name)
{
    const struct imap_server server = {slice_of_str(host), slice_of_str(greeting), slice_of_str(capabilities), slice_of_str(id)};
    const char *const names[] = {name, NULL};
    return imap_quirks_of(&server, names);
}

START_TEST(every_quirk_is_described)
{
    for (unsigned i = 0; i < IMAP_QUIRK_COUNT; i++) {
        struct slice name = slice_of_str(imap_quirk_name((enum imap_quirk) i));
        ck_assert_uint_gt(name.len, 0);
        ck_assert_uint_gt(strlen(imap_quirk_text((enum imap_quirk) i)), 20);
        ck_assert_int_eq(imap_quirk_find(name), (int) i);
    }
    ck_assert_int_eq(imap_quirk_find(SLICE("no-such")), IMAP_QUIRK_COUNT);
    ck_assert_int_eq(imap_quirk_find(SLICE("")), IMAP_QUIRK_COUNT);
}
END_TEST

START_TEST(servers_are_known)
{
    static const struct {
        const char *host, *greeting, *capabilities, *id;
        enum imap_quirk quirk;
    } rows[] = {
        {"outlook.office365.com", "", "", "", IMAP_QUIRK_EXCHANGE_BODYSTRUCTURE},
        {"x", "The Microsoft Exchange IMAP4 service is ready.", "", "", IMAP_QUIRK_EXCHANGE_STATUS},
        {"x", "", "", "(\"name\" \"Microsoft.Exchange.Imap4\")", IMAP_QUIRK_EXCHANGE_THROTTLE},
        {"imap.mail.me.com", "", "", "", IMAP_QUIRK_ICLOUD_RFC822},
        {"x", "", "IMAP4rev1 AUTH=ATOKEN AUTH=PTOKEN", "", IMAP_QUIRK_ICLOUD_RFC822},
        {"imap.163.com", "", "", "", IMAP_QUIRK_NETEASE_ID},
        {"x", "Coremail System IMap Server Ready", "", "", IMAP_QUIRK_NETEASE_SASL_IR},
        {"imap.mail.yahoo.com", "", "", "", IMAP_QUIRK_YAHOO_EXPUNGE},
        {"x", "", "xymhighestmodseq IDLE", "", IMAP_QUIRK_SHORT_IDLE_3MIN},
        {"imap.mail.ru", "", "", "", IMAP_QUIRK_MAILRU_NUMBERS},
        {"x", "Domino IMAP4 Server Release 10", "", "", IMAP_QUIRK_DOMINO_DATES},
        {"IMAP.STRATO.DE", "", "", "", IMAP_QUIRK_STRATO_INBOX},
        {"qq.com", "", "", "", IMAP_QUIRK_EMPTY_MULTIPART},
        {"imap.larksuite.com", "", "", "", IMAP_QUIRK_LARK_ENVELOPE},
        {"x", "Dovecot ready.", "", "", IMAP_QUIRK_PROXIED_LINES},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct imap_quirks q = quirks_of(rows[i].host, rows[i].greeting, rows[i].capabilities, rows[i].id, NULL);
        ck_assert_msg(imap_quirk_is_on(&q, rows[i].quirk), "%s", imap_quirk_name(rows[i].quirk));
        ck_assert_uint_eq(q.off, 0);
    }
    /* Parts of words and ends of other names are nothing. */
    static const char *const hosts[] = {"notoutlook.com", "mail.ru.example.com", "xqq.com", "163.com.evil.example", "me.com.example", ""};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        ck_assert_msg(quirks_of(hosts[i], "ready", "IMAP4rev1 XAUTH=ATOKEN AUTH=ATOKEN2", "", NULL).on == 0, "%s", hosts[i]);
}
END_TEST

START_TEST(names_switch)
{
    struct imap_quirks q = quirks_of("x", "", "", "", "exchange-status");
    ck_assert_uint_eq(q.on, IMAP_QUIRK_BIT(IMAP_QUIRK_EXCHANGE_STATUS));
    q = quirks_of("outlook.com", "", "", "", "-exchange-status");
    ck_assert(!imap_quirk_is_on(&q, IMAP_QUIRK_EXCHANGE_STATUS));
    ck_assert(imap_quirk_is_on(&q, IMAP_QUIRK_EXCHANGE_LOGIN));
    ck_assert_uint_eq(q.off, IMAP_QUIRK_BIT(IMAP_QUIRK_EXCHANGE_STATUS));
    ck_assert_uint_eq(quirks_of("x", "", "", "", "no-such").on, 0);
}
END_TEST

START_TEST(oddities_and_idle)
{
    unsigned usual, refused;
    struct imap_quirks q = quirks_of("imap.mail.ru", "", "", "", "-exchange-bodystructure");
    imap_quirks_odd(&q, &usual, &refused);
    ck_assert_uint_eq(usual, IMAP_ODD_NUMBER | IMAP_ODD_PARAM);
    ck_assert(refused & IMAP_ODD_DISPOSITION);
    ck_assert(imap_quirks_idle_ms(&q) == UINT64_MAX);
    q = quirks_of("imap.163.com", "", "XYMHIGHESTMODSEQ", "", NULL);
    ck_assert_uint_eq(imap_quirks_idle_ms(&q), 55000);
    q = quirks_of("imap.mail.yahoo.com", "", "", "", NULL);
    ck_assert_uint_eq(imap_quirks_idle_ms(&q), 180000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("imap_quirks");
    TCase *tc = tcase_create("quirks");
    tcase_add_test(tc, every_quirk_is_described);
    tcase_add_test(tc, servers_are_known);
    tcase_add_test(tc, names_switch);
    tcase_add_test(tc, oddities_and_idle);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
