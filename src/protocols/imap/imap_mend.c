/* SPDX-License-Identifier: MIT */
/* What quirks change of what a server says, before anybody else sees it. */
#include "imap_internal.h"

#include <errno.h>

int imap_mend_line(struct imap_client *c, struct slice *line)
{
    while (imap_has_quirk(c, IMAP_QUIRK_LEADING_NUL) && slice_starts(*line, SLICE("\0")))
        *line = slice_from(*line, 1);
    if (!imap_has_quirk(c, IMAP_QUIRK_EXCHANGE_UNAVAILABLE) || !slice_starts_ci(*line, SLICE("Server Unavailable.")))
        return 0;
    imap_fail(c, -ECONNRESET, FAULT_DISCONNECTED, "the server says that it is unavailable");
    c->engine.fault.retry = RETRY_LATER;
    return c->error;
}

/* "STATUS Sent Items (MESSAGES 1) ": the name runs to the last list. *r then has the answer as it should have been. */
static int mend_status(struct imap_client *c, struct imap_response *r)
{
    struct imap_value name;
    struct slice items, text = slice_trim(r->text);
    size_t open = text.len;
    if (!imap_has_quirk(c, IMAP_QUIRK_EXCHANGE_STATUS) || imap_status_parse(text, &name, &items) == 0)
        return 0;
    while (open > 0 && text.data[open - 1] != '(')
        open--;
    if (open < 2 || text.len > IMAP_TEXT_MAX / 2)
        return 0;
    struct slice wire = slice_trim(slice_to(text, open - 1));
    buffer_clear(&c->mended);
    int ret = buffer_append_char(&c->mended, '"');
    for (size_t i = 0; i < wire.len && ret == 0; i++) {
        if (wire.data[i] == '"' || wire.data[i] == '\\')
            ret = buffer_append_char(&c->mended, '\\');
        if (ret == 0)
            ret = buffer_append_char(&c->mended, wire.data[i]);
    }
    if (ret == 0)
        ret = buffer_append_slice(&c->mended, SLICE("\" "));
    if (ret == 0)
        ret = buffer_append_slice(&c->mended, slice_from(text, open - 1));
    r->text = buffer_slice(&c->mended);
    return ret < 0 ? imap_fail_io(c, ret) : 0;
}

int imap_mend_response(struct imap_client *c, struct imap_response *r)
{
    if (r->kind == IMAP_RESPONSE_DATA && r->data == IMAP_DATA_STATUS)
        return mend_status(c, r);
    if (r->kind != IMAP_RESPONSE_TAGGED || r->status == IMAP_OK ||
        !imap_has_quirk(c, IMAP_QUIRK_EXCHANGE_UNAVAILABLE) ||
        !slice_starts_ci(r->text, SLICE("User is authenticated but not connected")))
        return 0;
    /* Every further command would be answered so. */
    imap_fail_reply(c, -ECONNRESET, FAULT_REJECTED, r);
    c->engine.fault.retry = RETRY_LATER;
    return c->error;
}

/* "…Suggested Backoff Time: N milliseconds": N, 0 where there is none. */
static uint64_t suggested_wait(struct slice text)
{
    static const struct slice words = SLICE("Backoff Time: ");
    uint64_t ms = 0;
    for (size_t i = 0; i + words.len < text.len; i++) {
        struct slice rest = slice_from(text, i);
        if (!slice_starts_ci(rest, words))
            continue;
        rest = slice_from(rest, words.len);
        return imap_number_next(&rest, 24 * 3600 * 1000, &ms) ? ms : 0;
    }
    return 0;
}

/* Does the refusal of a login leave open whether the credentials are right? */
bool imap_login_passes(const struct imap_client *c, const struct imap_response *r)
{
    static const struct slice codes[] = {SLICE("UNAVAILABLE"), SLICE("INUSE"), SLICE("LIMIT"), SLICE("SERVERBUG"),
                                         SLICE("CONTACTADMIN"), SLICE("THROTTLED")};
    static const struct slice texts[] = {SLICE("Too many simultaneous connections"), SLICE("bandwidth limits")};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (slice_eq_ci(r->code.name, codes[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(texts) && imap_has_quirk(c, IMAP_QUIRK_GMAIL_LIMITS); i++)
        if (imap_text_has(r->text, texts[i]))
            return true;
    return false;
}

void imap_mend_fault(const struct imap_client *c, const struct imap_response *r, struct fault *fault)
{
    uint64_t ms = imap_has_quirk(c, IMAP_QUIRK_EXCHANGE_THROTTLE) ? suggested_wait(r->text) : 0;
    /* RFC 5530, and Gmail's: it may be otherwise soon. */
    if (ms || slice_eq_ci(r->code.name, SLICE("UNAVAILABLE")) || slice_eq_ci(r->code.name, SLICE("INUSE")) ||
        slice_eq_ci(r->code.name, SLICE("THROTTLED")))
        fault->retry = RETRY_LATER;
    fault->retry_after_ms = ms;
    fault->back_off = ms || slice_eq_ci(r->code.name, SLICE("THROTTLED"));
}
