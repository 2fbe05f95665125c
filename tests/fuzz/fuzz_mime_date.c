/* SPDX-License-Identifier: MIT */
/* Dates: what can be read is written so that it is read as the same, in both forms. */
#include "fuzz_mime_check.h"

int fuzz_one(const uint8_t *data, size_t size)
{
    struct fuzz_value v;
    struct mime_date date, again;
    char out[MIME_DATE_MAX];
    fuzz_value_init(&v, data, size);
    if (mime_parse_date(v.raw, &date)) {
        check(mime_parse_iso_date(slice_of(out, mime_format_iso_date(&date, out)), &again));
        check(memcmp(&date, &again, sizeof(date)) == 0);
        if (date.year >= 1000)
            check(mime_parse_date(slice_of(out, mime_format_date(&date, out)), &again) &&
                  mime_date_to_unix(&date) == mime_date_to_unix(&again));
    }
    if (mime_parse_iso_date(v.raw, &date))
        check(mime_parse_iso_date(slice_of(out, mime_format_iso_date(&date, out)), &again) && memcmp(&date, &again, sizeof(date)) == 0);
    fuzz_value_done(&v);
    return 0;
}
