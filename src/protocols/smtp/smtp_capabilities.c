/* SPDX-License-Identifier: MIT */
/* What EHLO's answer says (RFC 5321 section 4.1.1.1): a greeting line, then one keyword with parameters on each line. */
#include "smtp_private.h"

#include <errno.h>

static const struct {
    const char *name;
} extensions[] = {
    [SMTP_EXT_SIZE] = {"SIZE"},
    [SMTP_EXT_PIPELINING] = {"PIPELINING"},
    [SMTP_EXT_8BITMIME] = {"8BITMIME"},
    [SMTP_EXT_SMTPUTF8] = {"SMTPUTF8"},
    [SMTP_EXT_DSN] = {"DSN"},
    [SMTP_EXT_CHUNKING] = {"CHUNKING"},
    [SMTP_EXT_BINARYMIME] = {"BINARYMIME"},
    [SMTP_EXT_ENHANCEDSTATUSCODES] = {"ENHANCEDSTATUSCODES"},
    [SMTP_EXT_STARTTLS] = {"STARTTLS"},
    [SMTP_EXT_AUTH] = {"AUTH"},
    [SMTP_EXT_LIMITS] = {"LIMITS"},
    [SMTP_EXT_REQUIRETLS] = {"REQUIRETLS"},
    [SMTP_EXT_DELIVERBY] = {"DELIVERBY"},
    [SMTP_EXT_MT_PRIORITY] = {"MT-PRIORITY"},
};
_Static_assert(ARRAY_LEN(extensions) == SMTP_EXT_COUNT, "every extension has a name");

/* One word off the front of *rest; empty at the end. */
static struct slice take_word(struct slice *rest)
{
    size_t i = 0;
    while (i < rest->len && ascii_is_wsp(rest->data[i]))
        i++;
    *rest = slice_from(*rest, i);
    i = 0;
    while (i < rest->len && !ascii_is_wsp(rest->data[i]))
        i++;
    struct slice word = slice_to(*rest, i);
    *rest = slice_from(*rest, i);
    return word;
}

static bool is_disabled(const struct engine_config *config, struct slice name)
{
    for (size_t i = 0; config->disabled[i]; i++)
        if (slice_eq_ci(slice_of_str(config->disabled[i]), name))
            return true;
    return false;
}

void smtp_capabilities_reset(struct smtp_capabilities *caps)
{
    buffer_done(&caps->lines);
    *caps = (struct smtp_capabilities){0};
    buffer_init(&caps->lines, SMTP_REPLY_MAX);
}

static void parse_limits(struct smtp_capabilities *caps, struct slice params)
{
    for (struct slice word = take_word(&params); word.len; word = take_word(&params)) {
        size_t eq = slice_find(word, '=');
        struct slice name = slice_to(word, eq);
        uint64_t n;
        if (!slice_to_u64(slice_from(word, eq + 1), UINT64_MAX, &n) || n == 0)
            continue;
        if (slice_eq_ci(name, SLICE("MAILMAX")))
            caps->mail_max = n;
        else if (slice_eq_ci(name, SLICE("RCPTMAX")))
            caps->rcpt_max = n;
        else if (slice_eq_ci(name, SLICE("RCPTDOMAINMAX")))
            caps->rcpt_domain_max = n;
    }
}

static void parse_line(struct smtp_capabilities *caps, const struct engine_config *config, struct slice line)
{
    struct slice rest = line, keyword = take_word(&rest);

    /* "AUTH=LOGIN PLAIN": an old form that some servers still send beside the right one. */
    if (slice_starts_ci(keyword, SLICE("AUTH="))) {
        rest = slice_from(line, (size_t) (keyword.data - line.data) + 5);
        keyword = slice_to(keyword, 4);
    }
    if (keyword.len == 0 || is_disabled(config, keyword))
        return;
    for (unsigned i = 0; i < SMTP_EXT_COUNT; i++)
        if (slice_eq_ci(keyword, slice_of_str(extensions[i].name)))
            caps->extensions |= 1u << i;
    if (slice_eq_ci(keyword, SLICE("SIZE"))) {
        if (!slice_to_u64(take_word(&rest), UINT64_MAX, &caps->size_max))
            caps->size_max = 0;
    } else if (slice_eq_ci(keyword, SLICE("AUTH"))) {
        for (struct slice m = take_word(&rest); m.len; m = take_word(&rest))
            sasl_offer_add(&caps->auth, m, config);
    } else if (slice_eq_ci(keyword, SLICE("LIMITS"))) {
        parse_limits(caps, rest);
    }
}

int smtp_capabilities_parse(struct smtp_capabilities *caps, const struct engine_config *config, struct slice text)
{
    smtp_capabilities_reset(caps);
    caps->esmtp = true;
    struct slice rest = slice_from(text, slice_find(text, '\n') + 1);
    while (rest.len) {
        size_t end = slice_find(rest, '\n');
        struct slice line = slice_trim(slice_to(rest, end)), words = line;
        rest = slice_from(rest, end + 1);
        if (is_disabled(config, take_word(&words)))
            continue;
        parse_line(caps, config, line);
        if (buffer_append_slice(&caps->lines, line) < 0 || buffer_append_char(&caps->lines, '\n') < 0)
            return -ENOMEM;
    }
    return 0;
}

bool smtp_capability_find(const struct smtp_capabilities *c, struct slice keyword, struct slice *ret)
{
    struct slice rest = buffer_slice(&c->lines);

    while (rest.len) {
        size_t end = slice_find(rest, '\n');
        struct slice params = slice_to(rest, end);
        if (slice_eq_ci(take_word(&params), keyword)) {
            *ret = slice_trim(params);
            return true;
        }
        rest = slice_from(rest, end + 1);
    }
    return false;
}
