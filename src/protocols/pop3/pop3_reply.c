/* SPDX-License-Identifier: MIT */
/* Lines that a server says: status, capabilities, listings. */
#include "pop3_private.h"

#include <errno.h>

/* resp-code = "[" resp-level *("/" resp-level) "]" (RFC 2449 section 8) */
static struct slice take_code(struct slice *text)
{
    size_t end = slice_find(*text, ']');

    if (text->len == 0 || text->data[0] != '[' || end == text->len || end > 40)
        return SLICE_EMPTY;
    struct slice code = slice_to(slice_from(*text, 1), end - 1);
    *text = slice_trim(slice_from(*text, end + 1));
    return code;
}

bool pop3_parse_status(struct slice line, struct pop3_status *ret)
{
    *ret = (struct pop3_status){0};
    if (slice_starts_ci(line, SLICE("+OK")) && (line.len == 3 || ascii_is_wsp(line.data[3]))) {
        ret->ok = true;
        ret->text = slice_trim(slice_from(line, 3));
    } else if (slice_starts_ci(line, SLICE("-ERR")) && (line.len == 4 || ascii_is_wsp(line.data[4]))) {
        ret->text = slice_trim(slice_from(line, 4));
    } else if (line.len && line.data[0] == '+' && (line.len == 1 || line.data[1] == ' ')) {
        ret->is_challenge = true;
        ret->text = slice_from(line, 2);
        return true;
    } else {
        return false;
    }
    ret->code = take_code(&ret->text);
    return true;
}

void pop3_status_to_reply(const struct pop3_status *s, struct fault_reply *ret)
{
    *ret = (struct fault_reply){0};
    fault_clean_text(ret->status, sizeof(ret->status), s->ok ? SLICE("+OK") : SLICE("-ERR"));
    fault_clean_text(ret->response_code, sizeof(ret->response_code), s->code);
    fault_clean_text(ret->text, sizeof(ret->text), s->text);
}

bool pop3_status_is_temporary(const struct pop3_status *s)
{
    return slice_eq_ci(s->code, SLICE("SYS/TEMP")) || slice_eq_ci(s->code, SLICE("IN-USE")) ||
           slice_eq_ci(s->code, SLICE("LOGIN-DELAY"));
}

void pop3_status_fault(const struct pop3_status *s, enum fault_kind kind, const char *stage, struct fault *fault)
{
    struct fault_reply reply;

    pop3_status_to_reply(s, &reply);
    fault_set_reply(fault, 0, kind, stage, &reply);
    fault->protocol = protocol_name(PROTOCOL_POP3);
    if (pop3_status_is_temporary(s))
        fault->retry = RETRY_LATER;
}

bool pop3_parse_number(struct slice *rest, uint64_t max, uint64_t *ret)
{
    size_t end = 0;

    *rest = slice_trim(*rest);
    while (end < rest->len && !ascii_is_wsp(rest->data[end]))
        end++;
    if (!slice_to_u64(slice_to(*rest, end), max, ret))
        return false;
    *rest = slice_trim(slice_from(*rest, end));
    return true;
}

/* --- CAPA --- */

static const char *const extensions[] = {
    [POP3_EXT_TOP] = "TOP",
    [POP3_EXT_UIDL] = "UIDL",
    [POP3_EXT_USER] = "USER",
    [POP3_EXT_SASL] = "SASL",
    [POP3_EXT_STLS] = "STLS",
    [POP3_EXT_PIPELINING] = "PIPELINING",
    [POP3_EXT_RESP_CODES] = "RESP-CODES",
    [POP3_EXT_AUTH_RESP_CODE] = "AUTH-RESP-CODE",
    [POP3_EXT_UTF8] = "UTF8",
    [POP3_EXT_LANG] = "LANG",
    [POP3_EXT_EXPIRE] = "EXPIRE",
    [POP3_EXT_LOGIN_DELAY] = "LOGIN-DELAY",
    [POP3_EXT_IMPLEMENTATION] = "IMPLEMENTATION",
};
_Static_assert(ARRAY_LEN(extensions) == POP3_EXT_COUNT, "every extension has a name");

void pop3_capabilities_reset(struct pop3_capabilities *caps)
{
    buffer_done(&caps->lines);
    *caps = (struct pop3_capabilities){0};
    buffer_init(&caps->lines, POP3_CAPA_MAX);
}

static struct slice take_word(struct slice *rest)
{
    size_t end = 0;

    *rest = slice_trim(*rest);
    while (end < rest->len && !ascii_is_wsp(rest->data[end]))
        end++;
    struct slice word = slice_to(*rest, end);
    *rest = slice_from(*rest, end);
    return word;
}

int pop3_capabilities_line(struct pop3_capabilities *caps, const struct engine_config *config, struct slice line)
{
    struct slice rest = line, word = take_word(&rest);

    for (size_t i = 0; config->disabled[i]; i++)
        if (slice_eq_ci(word, slice_of_str(config->disabled[i])))
            return 0;
    for (unsigned i = 0; i < POP3_EXT_COUNT; i++)
        if (slice_eq_ci(word, slice_of_str(extensions[i])))
            caps->extensions |= 1u << i;
    if (slice_eq_ci(word, SLICE("SASL")))
        for (word = take_word(&rest); word.len; word = take_word(&rest))
            sasl_offer_add(&caps->auth, word, config);
    uint64_t number;
    if (slice_eq_ci(word, SLICE("EXPIRE")))
        caps->expires_at_once = slice_eq(take_word(&rest), SLICE("0"));
    if (slice_eq_ci(word, SLICE("LOGIN-DELAY")) && slice_to_u64(take_word(&rest), UINT32_MAX, &number))
        caps->login_delay_s = (uint32_t) number;
    int r = buffer_append_slice(&caps->lines, slice_trim(line));
    return r < 0 ? r : buffer_append_char(&caps->lines, '\n');
}
