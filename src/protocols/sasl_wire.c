/* SPDX-License-Identifier: MIT */
#include "sasl_wire.h"

void sasl_write_command(struct writer *w, const char *prefix, enum sasl_method method, struct sasl *s, size_t line_max)
{
    const char *name = sasl_method_name(method);
    size_t around = strlen(prefix) + strlen(name) + strlen(" \r\n");
    struct slice initial;

    writer_begin(w);
    writer_raw_str(w, prefix);
    writer_raw_str(w, name);
    if (line_max <= around || !sasl_initial(s, line_max - around, &initial))
        return;
    writer_char(w, ' ');
    writer_secret_begin(w);
    writer_raw(w, initial);
    writer_secret_end(w);
}

void sasl_write_reply(struct writer *w, const struct sasl *s)
{
    writer_begin(w);
    if (!sasl_is_cancelled(s))
        writer_secret_begin(w);
    writer_raw(w, sasl_reply(s));
    if (!sasl_is_cancelled(s))
        writer_secret_end(w);
}

void sasl_add_reason(struct fault *fault, struct slice reason)
{
    size_t len = strlen(fault->text), room = sizeof(fault->text) - len;

    if (reason.len == 0 || room < 8)
        return;
    fault->text[len++] = ' ';
    fault->text[len++] = '(';
    fault_clean_text(fault->text + len, room - 3, reason);
    len += strlen(fault->text + len);
    fault->text[len++] = ')';
    fault->text[len] = '\0';
}
