/* SPDX-License-Identifier: MIT */
#include "library.h"

#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>

void postern_error_done(struct postern_error *error)
{
    if (!error)
        return;
    json_decref(error->data);
    *error = (struct postern_error) POSTERN_ERROR_INIT;
}

/* Cuts at a character. */
static void cut_text(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);
    if (len >= size)
        len = utf8_valid_prefix(text, size - 1);
    memcpy(out, text, len);
    out[len] = 0;
}

int client_error(struct postern_error *error, int code, const char *fmt, ...)
{
    if (!error)
        return code;
    char text[2 * sizeof(error->message)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    postern_error_done(error);
    error->code = code;
    cut_text(error->message, sizeof(error->message), text);
    return code;
}

static const char *string_member(const json_t *object, const char *name, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : otherwise;
}

int client_error_from_json(struct postern_error *error, const json_t *object)
{
    static const char *const outcomes[] = {"none", "done", "unknown"}, *const retries[] = {"no", "later", "now"};
    json_int_t code = json_integer_value(json_object_get(object, "code"));
    json_t *data = json_object_get(object, "data");
    if (code >= 0 || code < INT32_MIN)
        code = -32603;
    client_error(error, (int) code, "%s", string_member(object, "message", "the gateway gave no reason"));
    cut_text(error->kind, sizeof(error->kind), string_member(data, "kind", ""));
    const char *outcome = string_member(data, "outcome", "none"), *retry = string_member(data, "retry", "no");
    for (int i = 0; i < 3; i++) {
        if (strcmp(outcome, outcomes[i]) == 0)
            error->outcome = (enum postern_outcome) i;
        if (strcmp(retry, retries[i]) == 0)
            error->retry = (enum postern_retry) i;
    }
    json_int_t after = json_integer_value(json_object_get(data, "retry_after"));
    error->retry_after_ms = after > 0 ? (uint64_t) after : 0;
    error->data = json_incref(data);
    return (int) code;
}

void client_error_copy(struct postern_error *to, const struct postern_error *from)
{
    *to = *from;
    json_incref(to->data);
}
