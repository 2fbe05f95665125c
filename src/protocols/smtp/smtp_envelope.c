/* SPDX-License-Identifier: MIT */
/* Envelopes: what can be written at all, what the server must offer for it, and how it is written. */
#include "smtp_private.h"

#include <errno.h>
#include <idn2.h>

/* --- checks before anything is written --- */

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] > 127)
            return false;
    return true;
}

/* A server without SMTPUTF8 still takes a domain beyond ASCII when it is written in ASCII (RFC 5890). */
static bool in_ascii(const struct smtp_client *c, const struct smtp_transaction *t)
{
    return t->smtputf8 && !smtp_has(&c->caps, SMTP_EXT_SMTPUTF8);
}

/* "<address>", with its domain in ASCII where that is needed. -ENOTSUP: the local part is beyond ASCII. */
static int put_path(const struct smtp_client *c, const struct smtp_transaction *t, struct writer *w, struct slice address)
{
    char text[SMTP_COMMAND_LINE_MAX / 2], *domain;
    size_t at = address.len;

    if (!in_ascii(c, t) || is_ascii(address))
        return writer_path(w, address);
    while (at > 0 && address.data[at - 1] != '@')
        at--;
    if (at == 0 || !is_ascii(slice_to(address, at)))
        return -ENOTSUP;
    if (address.len >= sizeof(text) / 2)
        return -EINVAL;
    memcpy(text, address.data, address.len);
    text[address.len] = '\0';
    int r = idn2_to_ascii_8z(text + at, &domain, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (r != IDN2_OK)
        return r == IDN2_MALLOC ? -ENOMEM : -EINVAL;
    size_t len = strlen(domain);
    if (at + len < sizeof(text))
        memcpy(text + at, domain, len);
    idn2_free(domain);
    return at + len < sizeof(text) ? writer_path(w, slice_of(text, at + len)) : -EINVAL;
}

static int try_path(const struct smtp_client *c, const struct smtp_transaction *t, struct slice address)
{
    struct writer scratch;

    writer_init(&scratch, SMTP_COMMAND_LINE_MAX / 2);
    scratch.utf8 = t->smtputf8;
    writer_begin(&scratch);
    int r = put_path(c, t, &scratch, address);
    int end = writer_end(&scratch);
    writer_done(&scratch);
    return r < 0 ? r : end;
}

static int missing(struct fault *fault, const char *name)
{
    return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "mail", "the server does not offer %s", name);
}

static int check_address(const struct smtp_client *c, const struct smtp_transaction *t, struct slice address, bool may_be_empty,
                         const char *what, struct fault *fault)
{
    int r = may_be_empty || address.len ? try_path(c, t, address) : -EINVAL;

    if (r == -ENOMEM)
        return fault_set(fault, r, FAULT_INTERNAL, NULL, "out of memory");
    if (r == -ENOTSUP)
        return missing(fault, "SMTPUTF8");
    if (r < 0)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s '%.*s' is not an address that can be written", what,
                         (int) MIN(address.len, 100), address.data ? address.data : "");
    return 0;
}

static int check_xtext(struct slice text, const char *what, struct fault *fault)
{
    if (text.len > 500)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s is too long", what);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == '\0')
            return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s holds CR, LF or NUL", what);
    return 0;
}

static bool orcpt_is_valid(struct slice orcpt)
{
    size_t semicolon = slice_find(orcpt, ';');

    for (size_t i = 0; i < semicolon; i++)
        if (!ascii_is_alpha(orcpt.data[i]) && !ascii_is_digit(orcpt.data[i]) && orcpt.data[i] != '-')
            return false;
    return semicolon > 0 && semicolon < orcpt.len;
}

static int no_binary(struct fault *fault)
{
    return fault_set(fault, -EINVAL, FAULT_BAD_MESSAGE, "mail",
                     "the message holds NUL or lines over 998 bytes, which DATA cannot carry");
}

static int check_extensions(const struct smtp_client *c, const struct smtp_transaction *t, struct fault *fault)
{
    const struct smtp_capabilities *caps = &c->caps;
    bool dsn = t->ret != SMTP_RET_UNSET || t->envid.len;

    for (size_t i = 0; i < t->n_recipients; i++)
        dsn = dsn || t->recipients[i].notify || t->recipients[i].orcpt.len;
    if (dsn && !smtp_has(caps, SMTP_EXT_DSN))
        return missing(fault, "DSN");
    if (t->smtputf8 && !smtp_has(caps, SMTP_EXT_SMTPUTF8) && t->utf8_header)
        return missing(fault, "SMTPUTF8");
    if (t->requiretls && !smtp_has(caps, SMTP_EXT_REQUIRETLS))
        return missing(fault, "REQUIRETLS");
    if (t->requiretls && !c->has_tls)
        return fault_set(fault, -EPERM, FAULT_TLS, "mail", "the connection has no TLS, and the message requires it");
    if (t->by_mode != SMTP_BY_UNSET && !smtp_has(caps, SMTP_EXT_DELIVERBY))
        return missing(fault, "DELIVERBY");
    if (t->has_priority && !smtp_has(caps, SMTP_EXT_MT_PRIORITY))
        return missing(fault, "MT-PRIORITY");
    if (t->body == SMTP_BODY_8BITMIME && !smtp_has(caps, SMTP_EXT_8BITMIME))
        return fault_set(fault, -EINVAL, FAULT_BAD_MESSAGE, "mail",
                         "the message has bytes beyond ASCII, and the server does not offer 8BITMIME");
    if (t->body == SMTP_BODY_BINARYMIME && !(smtp_has(caps, SMTP_EXT_BINARYMIME) && smtp_has(caps, SMTP_EXT_CHUNKING) && t->has_size))
        return no_binary(fault);
    if (t->has_size && caps->size_max && t->size > caps->size_max)
        return fault_set(fault, -EFBIG, FAULT_BAD_MESSAGE, "mail", "the message has %llu bytes, the server takes %llu",
                         (unsigned long long) t->size, (unsigned long long) caps->size_max);
    return 0;
}

static int check_sender(const struct smtp_client *c, const struct smtp_transaction *t, struct fault *fault)
{
    int r = check_address(c, t, t->from, true, "the sender", fault);

    if (r == 0)
        r = check_xtext(t->envid, "envid", fault);
    if (r == 0 && t->has_priority && (t->priority < -9 || t->priority > 9))
        r = fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "a priority is -9 to 9");
    if (r == 0 && t->by_mode == SMTP_BY_RETURN && t->by_s <= 0)
        r = fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "a time after which a message is returned lies in the future");
    return r < 0 ? r : check_extensions(c, t, fault);
}

static int check_recipient(const struct smtp_client *c, const struct smtp_transaction *t, const struct smtp_recipient *rcpt,
                           struct fault *fault)
{
    int r = check_address(c, t, rcpt->address, false, "the recipient", fault);

    if (r == 0 && rcpt->orcpt.len && !orcpt_is_valid(rcpt->orcpt))
        r = fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "orcpt must be \"type;address\"");
    if (r == 0)
        r = check_xtext(rcpt->orcpt, "orcpt", fault);
    if (r == 0 && (rcpt->notify & SMTP_NOTIFY_NEVER) && rcpt->notify != SMTP_NOTIFY_NEVER)
        r = fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "notify \"never\" stands alone");
    return r;
}

int smtp_check_envelope(const struct smtp_client *c, const struct smtp_transaction *t, bool sender, struct fault *fault)
{
    if (sender && t->body == SMTP_BODY_BINARYMIME)
        return no_binary(fault); /* step by step there is DATA only */
    if (sender)
        return check_sender(c, t, fault);
    int r = check_recipient(c, t, &t->recipients[0], fault);
    return r < 0 ? r : check_extensions(c, t, fault);
}

static int check_transaction(struct smtp_client *c, const struct smtp_transaction *t, struct fault *fault)
{
    if (t->n_recipients == 0)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "there is no recipient");
    int r = smtp_check_rest(c, fault);
    for (size_t i = 0; r == 0 && i < t->n_recipients; i++)
        r = check_recipient(c, t, &t->recipients[i], fault);
    return r < 0 ? r : check_sender(c, t, fault);
}

int smtp_check_request(struct smtp_client *c, struct smtp_request *r, struct fault *fault)
{
    switch (r->kind) {
    case SMTP_TRANSACTION:
        return check_transaction(c, container_of(r, struct smtp_transaction, request), fault);
    case SMTP_COMMAND:
        return smtp_check_command(c, smtp_command_of(r), fault);
    }
    return -EINVAL;
}

/* --- writing --- */

static const char *body_type_name(enum smtp_body_type b)
{
    switch (b) {
    case SMTP_BODY_7BIT:
        return NULL; /* the default needs no words */
    case SMTP_BODY_8BITMIME:
        return "8BITMIME";
    case SMTP_BODY_BINARYMIME:
        return "BINARYMIME";
    }
    return NULL;
}

static void write_signed(struct writer *w, int64_t n)
{
    if (n < 0)
        writer_char(w, '-');
    writer_number(w, n < 0 ? (uint64_t) -n : (uint64_t) n);
}

/* RFC 8689, 2852, 6710 */
static void write_wishes(struct writer *w, const struct smtp_transaction *t)
{
    if (t->requiretls)
        writer_raw_str(w, " REQUIRETLS");
    if (t->by_mode != SMTP_BY_UNSET) {
        writer_raw_str(w, " BY=");
        write_signed(w, t->by_s);
        writer_raw_str(w, t->by_mode == SMTP_BY_RETURN ? ";R" : ";N");
    }
    if (t->has_priority) {
        writer_raw_str(w, " MT-PRIORITY=");
        write_signed(w, t->priority);
    }
}

int smtp_write_mail(struct smtp_client *c, const struct smtp_transaction *t)
{
    struct writer *w = &c->writer;

    writer_begin(w);
    w->utf8 = t->smtputf8;
    writer_raw_str(w, "MAIL FROM:");
    (void) !put_path(c, t, w, t->from); /* it was tried before */
    if (t->has_size && smtp_has(&c->caps, SMTP_EXT_SIZE)) {
        writer_raw_str(w, " SIZE=");
        writer_number(w, t->size);
    }
    if (body_type_name(t->body)) {
        writer_raw_str(w, " BODY=");
        writer_raw_str(w, body_type_name(t->body));
    }
    if (t->smtputf8 && !in_ascii(c, t))
        writer_raw_str(w, " SMTPUTF8");
    if (t->ret != SMTP_RET_UNSET)
        writer_raw_str(w, t->ret == SMTP_RET_FULL ? " RET=FULL" : " RET=HDRS");
    if (t->envid.len) {
        writer_raw_str(w, " ENVID=");
        writer_xtext(w, t->envid);
    }
    write_wishes(w, t);
    return smtp_end_command(c);
}

static void write_notify(struct writer *w, unsigned notify)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{SMTP_NOTIFY_NEVER, "NEVER"},
                 {SMTP_NOTIFY_SUCCESS, "SUCCESS"},
                 {SMTP_NOTIFY_FAILURE, "FAILURE"},
                 {SMTP_NOTIFY_DELAY, "DELAY"}};
    const char *lead = " NOTIFY=";

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (notify & names[i].bit) {
            writer_raw_str(w, lead);
            writer_raw_str(w, names[i].name);
            lead = ",";
        }
}

int smtp_write_rcpt(struct smtp_client *c, const struct smtp_transaction *t, const struct smtp_recipient *rcpt)
{
    struct writer *w = &c->writer;

    writer_begin(w);
    w->utf8 = t->smtputf8;
    writer_raw_str(w, "RCPT TO:");
    (void) !put_path(c, t, w, rcpt->address);
    write_notify(w, rcpt->notify);
    if (rcpt->orcpt.len) {
        size_t semicolon = slice_find(rcpt->orcpt, ';');
        writer_raw_str(w, " ORCPT=");
        writer_raw(w, slice_to(rcpt->orcpt, semicolon + 1));
        writer_xtext(w, slice_from(rcpt->orcpt, semicolon + 1));
    }
    return smtp_end_command(c);
}
