/* SPDX-License-Identifier: MIT */
/* Header values with encoded words (RFC 2047) and parameters (RFC 2231): as a text, a phrase, a content type and a
 * disposition. */
#include "fuzz_mime_check.h"

static void check_params(const struct mime_params *params)
{
    for (size_t i = 0; i < params->n; i++) {
        check_text(params->list[i].name);
        check_text(params->list[i].value);
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct fuzz_value v;
    struct slice text, again, disposition;
    struct mime_content_type type;
    struct mime_params params;
    fuzz_value_init(&v, data, size);
    check(mime_decode_text(&v.decoder, v.raw, &text) == 0);
    check_text(text);
    for (size_t i = 0; i < text.len; i++)
        check((unsigned char) text.data[i] >= ' ' || text.data[i] == '\t');
    check(mime_decode_text(&v.decoder, v.raw, &again) == 0 && slice_eq(text, again));
    check(mime_decode_phrase(&v.decoder, v.raw, &text) == 0);
    check_text(text);
    check(mime_parse_content_type(&v.decoder, v.raw, &type) == 0);
    check_text(type.type);
    check_text(type.subtype);
    check((type.type.len == 0) == (type.subtype.len == 0));
    check_params(&type.params);
    check(mime_parse_disposition(&v.decoder, v.raw, &disposition, &params) == 0);
    check_text(disposition);
    check_params(&params);
    fuzz_value_done(&v);
    return 0;
}
