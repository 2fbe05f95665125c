/* SPDX-License-Identifier: MIT */
#include "imap_quirks.h"

#define CLUES 6

enum clue_kind { BY_NOTHING = 0, BY_HOST, BY_GREETING, BY_CAPABILITY, BY_ID };

struct clue {
    enum clue_kind kind;
    struct slice text; /* of a host: its end; of a capability: all of it; else a part; without case */
};

/* clang-format off */
#define HOST(text) {BY_HOST, SLICE(text)}
#define GREETING(text) {BY_GREETING, SLICE(text)}
#define CAPABILITY(text) {BY_CAPABILITY, SLICE(text)}
#define ID(text) {BY_ID, SLICE(text)}
#define EXCHANGE \
    GREETING("Microsoft Exchange"), HOST(".office365.com"), HOST(".outlook.com"), HOST(".outlook.office.com"), \
    ID("Microsoft.Exchange")
#define NETEASE \
    GREETING("Coremail"), HOST(".163.com"), HOST(".126.com"), HOST(".yeah.net"), HOST(".188.com"), ID("Coremail")
#define YAHOO CAPABILITY("XYMHIGHESTMODSEQ"), HOST(".yahoo.com"), HOST(".yahoo.co.jp"), HOST(".aol.com")

static const struct {
    const char *name, *text;
    struct clue clues[CLUES];
    unsigned odd;     /* what values of it may have */
    uint32_t idle_ms; /* 0: no limit of its own */
} quirks[IMAP_QUIRK_COUNT] = {
    [IMAP_QUIRK_EXCHANGE_BODYSTRUCTURE] = {
        "exchange-bodystructure",
        "BODYSTRUCTURE has a word where a disposition's list belongs, negative line counts, and multiparts and messages "
        "without parts, all of which is read.",
        {EXCHANGE}, .odd = IMAP_ODD_DISPOSITION | IMAP_ODD_NUMBER | IMAP_ODD_NO_PARTS | IMAP_ODD_NO_MESSAGE},
    [IMAP_QUIRK_EXCHANGE_STATUS] = {
        "exchange-status", "STATUS answers with an unquoted name that has spaces in it; the name runs to the last list.",
        {EXCHANGE}},
    [IMAP_QUIRK_EXCHANGE_LOGIN] = {
        "exchange-login", "User names with a slash or backslash (shared mailboxes) are taken by LOGIN only, which is used.",
        {EXCHANGE}},
    [IMAP_QUIRK_EXCHANGE_UNAVAILABLE] = {
        "exchange-unavailable",
        "\"Server Unavailable.\" comes in place of an answer, or every command behind the login is answered \"User is "
        "authenticated but not connected\"; both end the connection as something that passes.",
        {EXCHANGE}},
    [IMAP_QUIRK_EXCHANGE_THROTTLE] = {
        "exchange-throttle", "A refusal may suggest a time to wait, which the error gives as retry_after, and for which all callers "
        "are held.",
        {EXCHANGE}},
    [IMAP_QUIRK_GMAIL_LIMITS] = {
        "gmail-limits",
        "A login that is refused for too many connections or too much traffic says nothing of the credentials, and passes.",
        {CAPABILITY("X-GM-EXT-1"), GREETING("Gimap"), HOST(".gmail.com"), HOST(".googlemail.com")}},
    [IMAP_QUIRK_MISSING_HOSTS] = {
        "missing-hosts", "ENVELOPE has a word like MISSING_DOMAIN where an address has no domain; it is left out.",
        {GREETING("Microsoft Exchange"), GREETING("Dovecot"), GREETING("Cyrus"), ID("Dovecot"), HOST(".office365.com"),
         HOST(".outlook.com")}},
    [IMAP_QUIRK_PROXIED_LINES] = {
        "proxied-lines",
        "BODYSTRUCTURE of messages that come from another server has line counts of -1, which are left out.",
        {GREETING("Dovecot"), ID("Dovecot")}, .odd = IMAP_ODD_NUMBER},
    [IMAP_QUIRK_ICLOUD_RFC822] = {
        "icloud-rfc822",
        "RFC822, RFC822.HEADER and RFC822.TEXT are answered without their bytes; BODY[], BODY.PEEK[HEADER] and BODY[TEXT] "
        "are asked for instead.",
        {HOST(".me.com"), HOST(".icloud.com"), CAPABILITY("AUTH=ATOKEN"), GREETING(".me.com"), GREETING(".icloud.com")}},
    [IMAP_QUIRK_NETEASE_ID] = {
        "netease-id",
        "SELECT is refused as an unsafe login until the client has named itself by ID, which is sent behind the login.",
        {NETEASE}},
    [IMAP_QUIRK_NETEASE_SASL_IR] = {
        "netease-sasl-ir", "SASL-IR is announced and refused; the initial response waits for the continuation.",
        {NETEASE}},
    [IMAP_QUIRK_NETEASE_NOOP] = {
        "netease-noop", "NOOP does not keep a connection; STATUS of INBOX proves it instead.",
        {NETEASE}},
    [IMAP_QUIRK_YAHOO_EXPUNGE] = {
        "yahoo-expunge", "EXPUNGE does not renumber the messages; how many there are is taken from EXISTS alone.",
        {YAHOO}},
    [IMAP_QUIRK_MAILRU_NUMBERS] = {
        "mailru-numbers",
        "BODYSTRUCTURE has counts with a fraction or an exponent, and parameters without a value, which are read.",
        {HOST(".mail.ru"), GREETING("mail.ru"), HOST(".bk.ru"), HOST(".list.ru"), HOST(".inbox.ru")},
        .odd = IMAP_ODD_NUMBER | IMAP_ODD_PARAM},
    [IMAP_QUIRK_ZOHO_MODSEQ] = {
        "zoho-modseq", "MODSEQ of -1 stands for none.",
        {GREETING("Zoho"), HOST(".zoho.com"), HOST(".zoho.eu"), HOST(".zoho.in"), ID("Zoho")}},
    [IMAP_QUIRK_DOMINO_DATES] = {
        "domino-dates", "INTERNALDATE of 00-Jan-0000 stands for none.",
        {GREETING("Domino"), ID("Domino")}},
    [IMAP_QUIRK_DOMINO_BODYSTRUCTURE] = {
        "domino-bodystructure",
        "BODYSTRUCTURE has () for the body of a message that could not be read; it counts as one without parts.",
        {GREETING("Domino"), ID("Domino")}, .odd = IMAP_ODD_NO_MESSAGE},
    [IMAP_QUIRK_EMPTY_MULTIPART] = {
        "empty-multipart", "BODYSTRUCTURE has multiparts without parts, which are read.",
        {GREETING("QQMail"), HOST(".qq.com"), GREETING("Yandex"), HOST(".yandex.ru"), HOST(".yandex.com"),
         CAPABILITY("X-GM-EXT-1")},
        .odd = IMAP_ODD_NO_PARTS},
    [IMAP_QUIRK_LARK_ENVELOPE] = {
        "lark-envelope", "ENVELOPE ends before its last fields, which are empty then.",
        {HOST(".larksuite.com"), HOST(".feishu.cn"), GREETING("Lark"), GREETING("Feishu")}, .odd = IMAP_ODD_SHORT},
    [IMAP_QUIRK_STRATO_INBOX] = {
        "strato-inbox", "LIST leaves INBOX out; it is added.",
        {HOST(".strato.de"), GREETING("STRATO")}},
    [IMAP_QUIRK_SHORT_IDLE_3MIN] = {
        "short-idle-3min", "IDLE goes deaf after a few minutes; it is renewed every three.",
        {YAHOO}, .idle_ms = 3 * 60 * 1000},
    [IMAP_QUIRK_SHORT_IDLE_55S] = {
        "short-idle-55s", "IDLE is cut off after a minute; it is renewed every 55 seconds.",
        {GREETING("Coremail"), HOST(".163.com"), HOST(".126.com"), HOST(".yeah.net"), HOST(".rambler.ru"),
         GREETING("Rambler")},
        .idle_ms = 55 * 1000},
    [IMAP_QUIRK_LEADING_NUL] = {
        "leading-nul",
        "NUL bytes stand before answers, and are passed over. No server is known by it: it is switched on by name.",
        {{BY_NOTHING, {NULL, 0}}}},
    [IMAP_QUIRK_COURIER_OPEN_MAILBOX] = {
        "courier-open-mailbox",
        "A mailbox that the connection has open is not removed or renamed, and takes no message while it is open for reading; it "
        "is left first.",
        {GREETING("Courier-IMAP")}},
};
/* clang-format on */

const char *imap_quirk_name(enum imap_quirk quirk)
{
    return (unsigned) quirk < IMAP_QUIRK_COUNT ? quirks[quirk].name : "";
}

const char *imap_quirk_text(enum imap_quirk quirk)
{
    return (unsigned) quirk < IMAP_QUIRK_COUNT ? quirks[quirk].text : "";
}

enum imap_quirk imap_quirk_find(struct slice name)
{
    unsigned i = 0;
    while (i < IMAP_QUIRK_COUNT && !slice_eq_ci(name, slice_of_str(quirks[i].name)))
        i++;
    return (enum imap_quirk) i;
}

bool imap_text_has(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (slice_starts_ci(slice_from(text, i), part))
            return true;
    return false;
}

static bool has_word(struct slice text, struct slice word)
{
    while (text.len)
        if (slice_eq_ci(imap_word_next(&text), word))
            return true;
    return false;
}

/* The host itself, or one below it. */
static bool is_host(struct slice host, struct slice end)
{
    return slice_eq_ci(host, slice_from(end, 1)) ||
           (host.len > end.len && slice_eq_ci(slice_from(host, host.len - end.len), end));
}

static bool fits(const struct clue *clue, const struct imap_server *server)
{
    switch (clue->kind) {
    case BY_NOTHING:
        break;
    case BY_HOST:
        return is_host(server->host, clue->text);
    case BY_GREETING:
        return imap_text_has(server->greeting, clue->text);
    case BY_CAPABILITY:
        return has_word(server->capabilities, clue->text);
    case BY_ID:
        return imap_text_has(server->id, clue->text);
    }
    return false;
}

struct imap_quirks imap_quirks_of(const struct imap_server *server, const char *const *names)
{
    struct imap_quirks q = {0, 0};
    for (unsigned i = 0; i < IMAP_QUIRK_COUNT; i++)
        for (unsigned k = 0; k < CLUES; k++)
            if (fits(&quirks[i].clues[k], server))
                q.on |= IMAP_QUIRK_BIT(i);
    for (; *names; names++) {
        bool off = **names == '-';
        enum imap_quirk quirk = imap_quirk_find(slice_of_str(*names + off));
        uint64_t bit = quirk == IMAP_QUIRK_COUNT ? 0 : IMAP_QUIRK_BIT(quirk);
        q.on = off ? q.on & ~bit : q.on | bit;
        q.off = off ? q.off | bit : q.off & ~bit;
    }
    return q;
}

void imap_quirks_odd(const struct imap_quirks *q, unsigned *ret_usual, unsigned *ret_refused)
{
    *ret_usual = *ret_refused = 0;
    for (unsigned i = 0; i < IMAP_QUIRK_COUNT; i++) {
        if (q->on & IMAP_QUIRK_BIT(i))
            *ret_usual |= quirks[i].odd;
        if (q->off & IMAP_QUIRK_BIT(i))
            *ret_refused |= quirks[i].odd;
    }
}

uint64_t imap_quirks_idle_ms(const struct imap_quirks *q)
{
    uint64_t ms = UINT64_MAX;
    for (unsigned i = 0; i < IMAP_QUIRK_COUNT; i++)
        if ((q->on & IMAP_QUIRK_BIT(i)) && quirks[i].idle_ms)
            ms = MIN(ms, (uint64_t) quirks[i].idle_ms);
    return ms;
}
