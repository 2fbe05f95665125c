/* SPDX-License-Identifier: MIT */
#include "smtp_reply.h"

#include <errno.h>

void smtp_reply_parser_init(struct smtp_reply_parser *p, size_t max)
{
    *p = (struct smtp_reply_parser){.max = max ? max : SMTP_REPLY_MAX};
    buffer_init(&p->text, p->max);
}

void smtp_reply_parser_done(struct smtp_reply_parser *p)
{
    buffer_done(&p->text);
}

void smtp_reply_parser_reset(struct smtp_reply_parser *p)
{
    buffer_done(&p->text);
    p->code = 0;
    p->lines = 0;
}

/* Reply-code = %x32-35 %x30-35 %x30-39; the second digit is taken as it comes. */
static int parse_code(struct slice line)
{
    if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' || !ascii_is_digit(line.data[1]) ||
        !ascii_is_digit(line.data[2]))
        return -EPROTO;
    return (line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 + (line.data[2] - '0');
}

int smtp_reply_line(struct smtp_reply_parser *p, struct slice line, struct smtp_reply *ret)
{
    int code = parse_code(line);

    if (code < 0)
        return code;
    if (p->code == 0) {
        buffer_clear(&p->text);
        p->lines = 0;
    } else if (code != p->code) {
        return -EPROTO;
    }
    if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return -EPROTO;
    if (++p->lines > SMTP_REPLY_LINES_MAX)
        return -EMSGSIZE;
    p->code = code;
    if (p->lines > 1) {
        int r = buffer_append_char(&p->text, '\n');
        if (r < 0)
            return r;
    }
    int r = buffer_append_slice(&p->text, slice_from(line, 4));
    if (r < 0)
        return r;
    if (line.len > 3 && line.data[3] == '-')
        return 0;
    ret->code = code;
    ret->text = buffer_slice(&p->text);
    smtp_enhanced_code(ret->text, code, ret->enhanced);
    p->code = 0;
    return 1;
}

/* status-code = class "." subject "." detail; class "2" / "4" / "5"; subject, detail 1*3digit (RFC 2034, 3463) */
size_t smtp_enhanced_code(struct slice line, int code, char out[16])
{
    size_t n = 0;

    out[0] = '\0';
    if (line.len < 5 || line.data[0] != '0' + code / 100 || line.data[1] != '.')
        return 0;
    n = 2;
    for (int part = 0; part < 2; part++) {
        size_t digits = 0;
        while (n < line.len && digits < 4 && ascii_is_digit(line.data[n])) {
            n++;
            digits++;
        }
        if (digits == 0 || digits > 3)
            return 0;
        if (part == 0 && (n == line.len || line.data[n++] != '.'))
            return 0;
    }
    if (n < line.len && line.data[n] != ' ' && line.data[n] != '\n')
        return 0;
    memcpy(out, line.data, n);
    out[n] = '\0';
    return n < line.len && line.data[n] == ' ' ? n + 1 : n;
}

void smtp_reply_to_fault(const struct smtp_reply *r, struct fault_reply *ret)
{
    char joined[FAULT_REPLY_MAX], enhanced[16];
    struct slice rest = r->text;
    size_t n = 0;

    *ret = (struct fault_reply){.code = r->code};
    memcpy(ret->enhanced, r->enhanced, sizeof(ret->enhanced));
    while (rest.len && n < sizeof(joined)) {
        size_t end = slice_find(rest, '\n');
        struct slice line = slice_to(rest, end);
        line = slice_trim(slice_from(line, smtp_enhanced_code(line, r->code, enhanced)));
        if (n && n < sizeof(joined))
            joined[n++] = ' ';
        size_t take = MIN(line.len, sizeof(joined) - n);
        if (take)
            memcpy(joined + n, line.data, take);
        n += take;
        rest = slice_from(rest, end + 1);
    }
    fault_clean_text(ret->text, sizeof(ret->text), slice_of(joined, n));
}
