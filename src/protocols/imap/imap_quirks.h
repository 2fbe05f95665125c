/* SPDX-License-Identifier: MIT */
/* What servers do that the RFCs do not have, as data: each quirk has a name, something that it is known by, and what is done
 * about it. A quirk is in force when the server is known to have it, or when the account's `quirks` names it; "-name" there
 * switches it off. Pure functions over a constant table, safe from any thread. */
#ifndef POSTERN_IMAP_QUIRKS_H
#define POSTERN_IMAP_QUIRKS_H

#include "imap_parse.h"

enum imap_quirk {
    IMAP_QUIRK_EXCHANGE_BODYSTRUCTURE = 0,
    IMAP_QUIRK_EXCHANGE_STATUS,
    IMAP_QUIRK_EXCHANGE_LOGIN,
    IMAP_QUIRK_EXCHANGE_UNAVAILABLE,
    IMAP_QUIRK_EXCHANGE_THROTTLE,
    IMAP_QUIRK_GMAIL_LIMITS,
    IMAP_QUIRK_MISSING_HOSTS,
    IMAP_QUIRK_PROXIED_LINES,
    IMAP_QUIRK_ICLOUD_RFC822,
    IMAP_QUIRK_NETEASE_ID,
    IMAP_QUIRK_NETEASE_SASL_IR,
    IMAP_QUIRK_NETEASE_NOOP,
    IMAP_QUIRK_YAHOO_EXPUNGE,
    IMAP_QUIRK_MAILRU_NUMBERS,
    IMAP_QUIRK_ZOHO_MODSEQ,
    IMAP_QUIRK_DOMINO_DATES,
    IMAP_QUIRK_DOMINO_BODYSTRUCTURE,
    IMAP_QUIRK_EMPTY_MULTIPART,
    IMAP_QUIRK_LARK_ENVELOPE,
    IMAP_QUIRK_STRATO_INBOX,
    IMAP_QUIRK_SHORT_IDLE_3MIN,
    IMAP_QUIRK_SHORT_IDLE_55S,
    IMAP_QUIRK_LEADING_NUL,
    IMAP_QUIRK_COURIER_OPEN_MAILBOX,
    IMAP_QUIRK_COUNT
};
#define IMAP_QUIRK_BIT(quirk) (UINT64_C(1) << (quirk))
_Static_assert(IMAP_QUIRK_COUNT <= 64, "quirks fit one word");

/* Quirks of a connection, as bits. */
struct imap_quirks {
    uint64_t on;  /* in force */
    uint64_t off; /* switched off by name: the server is held to the RFC */
};
static inline bool imap_quirk_is_on(const struct imap_quirks *q, enum imap_quirk quirk)
{
    return q->on & IMAP_QUIRK_BIT(quirk);
}

/* What a server can be known by; empty where it is not known (yet). */
struct imap_server {
    struct slice host;         /* as configured */
    struct slice greeting;     /* its text */
    struct slice capabilities; /* separated by spaces */
    struct slice id;           /* what ID answered */
};
/* `names`: the account's quirks, NULL-ended; those that are none are passed over. */
struct imap_quirks imap_quirks_of(const struct imap_server *server, const char *const *names);

/* Is `part` in `text`, without regard to case? */
bool imap_text_has(struct slice text, struct slice part);

/* "exchange-status"; static. */
const char *imap_quirk_name(enum imap_quirk quirk);
/* One sentence on what the server does and what is done about it; static. */
const char *imap_quirk_text(enum imap_quirk quirk);
/* Of a name without "-". IMAP_QUIRK_COUNT when it is none. */
enum imap_quirk imap_quirk_find(struct slice name);

/* What of an odd value (enum imap_odd) is this server's way, and no defect; and what is not even to be understood, because
 * the quirk was switched off. */
void imap_quirks_odd(const struct imap_quirks *q, unsigned *ret_usual, unsigned *ret_refused);
/* After how long IDLE must be renewed, in ms; UINT64_MAX: as the account has it. */
uint64_t imap_quirks_idle_ms(const struct imap_quirks *q);

#endif
