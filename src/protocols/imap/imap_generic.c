/* SPDX-License-Identifier: MIT */
#include "imap_generic.h"

#include "imap_fetch.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *name;
    enum imap_effect effect;
    const char *own;
} known[] = {
    {"LOGIN", IMAP_EFFECT_OWN, "login"},
    {"AUTHENTICATE", IMAP_EFFECT_OWN, "authenticate"},
    {"STARTTLS", IMAP_EFFECT_OWN, "starttls"},
    {"PROXYAUTH", IMAP_EFFECT_OWN, "proxyauth"},
    {"IDLE", IMAP_EFFECT_OWN, "idle"},
    {"LOGOUT", IMAP_EFFECT_OWN, "logout"},
    {"ENABLE", IMAP_EFFECT_OWN, "enable"},
    {"COMPRESS", IMAP_EFFECT_OWN, "open"},
    {"UNAUTHENTICATE", IMAP_EFFECT_OWN, "logout"},
    {"SELECT", IMAP_EFFECT_SELECTS, NULL},
    {"EXAMINE", IMAP_EFFECT_EXAMINES, NULL},
    {"CLOSE", IMAP_EFFECT_CLOSES, NULL},
    {"UNSELECT", IMAP_EFFECT_CLOSES, NULL},
    {"DELETE", IMAP_EFFECT_RENAMES, NULL},
    {"RENAME", IMAP_EFFECT_RENAMES, NULL},
    {"NOOP", IMAP_EFFECT_READS, NULL},
    {"CHECK", IMAP_EFFECT_READS, NULL},
    {"CAPABILITY", IMAP_EFFECT_READS, NULL},
    {"LIST", IMAP_EFFECT_READS, NULL},
    {"LSUB", IMAP_EFFECT_READS, NULL},
    {"XLIST", IMAP_EFFECT_READS, NULL},
    {"STATUS", IMAP_EFFECT_READS, NULL},
    {"SEARCH", IMAP_EFFECT_READS, NULL},
    {"ESEARCH", IMAP_EFFECT_READS, NULL},
    {"SORT", IMAP_EFFECT_READS, NULL},
    {"THREAD", IMAP_EFFECT_READS, NULL},
    {"NAMESPACE", IMAP_EFFECT_READS, NULL},
    {"ID", IMAP_EFFECT_READS, NULL},
    {"STORE", IMAP_EFFECT_CHANGES, NULL},
    {"COPY", IMAP_EFFECT_CHANGES, NULL},
    {"MOVE", IMAP_EFFECT_CHANGES, NULL},
    {"EXPUNGE", IMAP_EFFECT_CHANGES, NULL},
    {"APPEND", IMAP_EFFECT_CHANGES, NULL},
    {"REPLACE", IMAP_EFFECT_CHANGES, NULL},
    {"CREATE", IMAP_EFFECT_CHANGES, NULL},
    {"SUBSCRIBE", IMAP_EFFECT_CHANGES, NULL},
    {"UNSUBSCRIBE", IMAP_EFFECT_CHANGES, NULL},
    {"SETQUOTA", IMAP_EFFECT_CHANGES, NULL},
    {"SETACL", IMAP_EFFECT_CHANGES, NULL},
    {"DELETEACL", IMAP_EFFECT_CHANGES, NULL},
    {"SETMETADATA", IMAP_EFFECT_CHANGES, NULL},
    {"GETQUOTA", IMAP_EFFECT_READS, NULL},
    {"GETQUOTAROOT", IMAP_EFFECT_READS, NULL},
    {"GETACL", IMAP_EFFECT_READS, NULL},
    {"LISTRIGHTS", IMAP_EFFECT_READS, NULL},
    {"MYRIGHTS", IMAP_EFFECT_READS, NULL},
    {"GETMETADATA", IMAP_EFFECT_READS, NULL},
    {"GETANNOTATION", IMAP_EFFECT_READS, NULL},
};

/* What sets \Seen is written without PEEK: "BODY[", "BINARY[", "RFC822", "RFC822.TEXT". */
static bool sets_seen(struct slice command)
{
    for (size_t i = 0; i + 5 <= command.len; i++) {
        struct slice at = slice_from(command, i), behind = slice_from(at, 6);
        if (slice_starts_ci(at, SLICE("BODY[")) || slice_starts_ci(at, SLICE("BINARY[")))
            return true;
        if (slice_starts_ci(at, SLICE("RFC822")) && !slice_starts_ci(behind, SLICE(".SIZE")) &&
            !slice_starts_ci(behind, SLICE(".HEADER")))
            return true;
    }
    return false;
}

enum imap_effect imap_generic_effect(struct slice command, const char **ret_own)
{
    struct slice word = imap_word_next(&command);
    if (slice_eq_ci(word, SLICE("UID")))
        word = imap_word_next(&command);
    if (slice_eq_ci(word, SLICE("FETCH")))
        return sets_seen(command) ? IMAP_EFFECT_CHANGES : IMAP_EFFECT_READS;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_eq_ci(word, slice_of_str(known[i].name))) {
            if (ret_own && known[i].own)
                *ret_own = known[i].own;
            return known[i].effect;
        }
    return IMAP_EFFECT_UNKNOWN;
}

int imap_generic_mailbox(struct slice command, struct buffer *ret)
{
    struct imap_value v;
    struct slice name;
    (void) imap_word_next(&command);
    if (imap_value_next(&command, &v) <= 0 || v.type == IMAP_LIST)
        return -EBADMSG;
    if (v.type == IMAP_NIL)
        v.type = IMAP_ATOM;
    /* With escapes it was written into the buffer. */
    int r = imap_value_text(&v, ret, &name);
    return r < 0 || v.escaped ? r : buffer_append_slice(ret, name);
}

/* --- arguments --- */

static bool is_enclosed(struct slice s, char open, char close)
{
    return s.len >= 2 && s.data[0] == open && s.data[s.len - 1] == close;
}

/* It may stand as it is. */
static bool is_plain(struct slice s)
{
    if (s.len == 0)
        return false;
    if (is_enclosed(s, '(', ')') || (is_enclosed(s, '"', '"') && s.data[s.len - 2] != '\\'))
        return true;
    if (slice_find(s, '[') < s.len && imap_item_is_valid(s))
        return true;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.data[i];
        if (c <= ' ' || c > '~' || strchr("(){\"", c) || (c == '\\' && (i > 0 || s.len == 1)))
            return false;
    }
    return true;
}

int imap_generic_argument(struct buffer *out, struct slice s)
{
    bool ascii = true;
    int ret = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '\r' || s.data[i] == '\n' || s.data[i] == '\0')
            return -EINVAL;
        ascii = ascii && (unsigned char) s.data[i] < 127;
    }
    if (is_plain(s) && ascii)
        return buffer_append_slice(out, s);
    if (!ascii) {
        ret = buffer_printf(out, "{%zu}\r\n", s.len);
        return ret < 0 ? ret : buffer_append_slice(out, s);
    }
    ret = buffer_append_char(out, '"');
    for (size_t i = 0; i < s.len && ret == 0; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\')
            ret = buffer_append_char(out, '\\');
        if (ret == 0)
            ret = buffer_append_char(out, s.data[i]);
    }
    return ret < 0 ? ret : buffer_append_char(out, '"');
}

int imap_generic_piece(struct slice *rest, struct slice *ret_text, struct slice *ret_literal)
{
    bool quoted = false;
    size_t i, len;
    uint64_t n;
    if (rest->len == 0)
        return 0;
    for (i = 0; i < rest->len && rest->data[i] != '\r' && rest->data[i] != '\n'; i++) {
        if (quoted && rest->data[i] == '\\')
            i++;
        else if (rest->data[i] == '"')
            quoted = !quoted;
    }
    *ret_literal = (struct slice){NULL, 0};
    if (i >= rest->len) {
        struct slice text = *rest;
        *rest = SLICE_EMPTY;
        /* A line that announces a literal would make the server take the next command for its bytes. */
        if (imap_literal_at_end(text, UINT64_MAX, &n, &len) != 0)
            return -EINVAL;
        *ret_text = text;
        return 1;
    }
    struct slice text = slice_to(*rest, i), behind = slice_from(*rest, i + 2);
    if (quoted || !slice_starts(slice_from(*rest, i), SLICE("\r\n")) ||
        imap_literal_at_end(text, UINT64_MAX, &n, &len) <= 0 || n > behind.len)
        return -EINVAL;
    text.len -= len;
    if (text.data[text.len] == '~') /* RFC 3516's: its announcement is the same but for the sign */
        text.len++;
    *ret_text = text;
    *ret_literal = slice_of(behind.data, (size_t) n);
    *rest = slice_from(behind, (size_t) n);
    return 1;
}
