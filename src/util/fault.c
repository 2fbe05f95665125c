/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    int code;
    const char *name;
    enum fault_retry retry;
} kinds[] = {
    [FAULT_NONE] = {0, NULL, RETRY_NO},
    [FAULT_PARSE] = {-32700, NULL, RETRY_NO},
    [FAULT_INVALID_REQUEST] = {-32600, NULL, RETRY_NO},
    [FAULT_UNKNOWN_METHOD] = {-32601, NULL, RETRY_NO},
    [FAULT_INVALID_PARAMS] = {-32602, NULL, RETRY_NO},
    [FAULT_INTERNAL] = {-32603, NULL, RETRY_LATER},
    [FAULT_DENIED] = {-32001, "denied", RETRY_NO},
    [FAULT_NO_SUCH_ACCOUNT] = {-32002, "no_such_account", RETRY_NO},
    [FAULT_NO_SUCH_SESSION] = {-32003, "no_such_session", RETRY_NO},
    [FAULT_BUSY] = {-32004, "busy", RETRY_LATER},
    [FAULT_LIMIT] = {-32005, "limit", RETRY_NO},
    [FAULT_CANCELLED] = {-32006, "cancelled", RETRY_NO},
    [FAULT_STORAGE] = {-32007, "storage", RETRY_LATER},
    [FAULT_CONFLICT] = {-32008, "conflict", RETRY_NO},
    [FAULT_UNAVAILABLE] = {-32009, "unavailable", RETRY_LATER},
    [FAULT_CONNECT] = {-32010, "connect", RETRY_LATER},
    [FAULT_TLS] = {-32011, "tls", RETRY_NO},
    [FAULT_PROXY] = {-32012, "proxy", RETRY_LATER},
    [FAULT_TIMEOUT] = {-32013, "timeout", RETRY_LATER},
    [FAULT_DISCONNECTED] = {-32014, "disconnected", RETRY_NOW},
    [FAULT_PROTOCOL] = {-32015, "protocol", RETRY_LATER},
    [FAULT_MISSING_EXTENSION] = {-32016, "missing_extension", RETRY_NO},
    [FAULT_UNSUPPORTED_MECHANISM] = {-32017, "unsupported_mechanism", RETRY_NO},
    [FAULT_AUTH] = {-32018, "auth", RETRY_NO},
    [FAULT_CONSENT] = {-32019, "consent", RETRY_NO},
    [FAULT_REJECTED] = {-32020, "rejected", RETRY_NO},
    [FAULT_READONLY] = {-32021, "readonly", RETRY_NO},
    [FAULT_UIDVALIDITY] = {-32022, "uidvalidity", RETRY_NO},
    [FAULT_BAD_MESSAGE] = {-32023, "bad_message", RETRY_NO},
    [FAULT_NOT_FOUND] = {-32024, "not_found", RETRY_NO},
};
_Static_assert(ARRAY_LEN(kinds) == FAULT_KIND_COUNT, "every kind of fault has a row");

void fault_clean_text(char *out, size_t size, struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len && n + 1 < size;) {
        size_t len = utf8_char_len(s.data + i, s.len - i);
        unsigned char c = (unsigned char) s.data[i];
        if (len == 0 || c < 0x20 || c == 0x7f || (len == 2 && c == 0xc2 && (unsigned char) s.data[i + 1] < 0xa0)) {
            out[n++] = '?';
            i += len ? len : 1;
            continue;
        }
        if (n + len >= size)
            break;
        memcpy(out + n, s.data + i, len);
        n += len;
        i += len;
    }
    out[n] = '\0';
}

int fault_set(struct fault *f, int err, enum fault_kind kind, const char *stage, const char *fmt, ...)
{
    char text[FAULT_TEXT_MAX * 2];
    va_list ap;

    if (!f || fault_is_set(f))
        return err;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    f->kind = kind;
    f->stage = stage;
    f->retry = kinds[kind].retry;
    fault_clean_text(f->text, sizeof(f->text), slice_of(text, n < 0 ? 0 : MIN((size_t) n, sizeof(text) - 1)));
    return err;
}

int fault_set_reply(struct fault *f, int err, enum fault_kind kind, const char *stage, const struct fault_reply *reply)
{
    if (!f || fault_is_set(f))
        return err;
    fault_set(f, err, kind, stage, "%s", reply->text);
    f->reply = *reply;
    fault_clean_text(f->reply.text, sizeof(f->reply.text), slice_of_str(reply->text));
    f->has_reply = true;
    return err;
}

void fault_clear(struct fault *f)
{
    *f = (struct fault){0};
}

int fault_code(enum fault_kind kind)
{
    return kinds[kind].code;
}

const char *fault_kind_name(enum fault_kind kind)
{
    return kinds[kind].name;
}

const char *fault_outcome_name(enum fault_outcome outcome)
{
    return outcome == OUTCOME_DONE ? "done" : outcome == OUTCOME_UNKNOWN ? "unknown" : "none";
}

const char *fault_retry_name(enum fault_retry retry)
{
    return retry == RETRY_LATER ? "later" : retry == RETRY_NOW ? "now" : "no";
}
