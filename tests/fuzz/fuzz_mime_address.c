/* SPDX-License-Identifier: MIT */
/* Address lists and message ids: names and addresses are text, groups hold no groups, and nothing is told twice. */
#include "fuzz_mime_check.h"

static size_t count(const struct mime_address *list, bool within)
{
    size_t n = 0;
    for (; list; list = list->next, n++) {
        check_text(list->name);
        check_text(list->address);
        check(list->is_group || !list->members);
        check(!within || !list->is_group);
        n += count(list->members, true);
    }
    return n;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct fuzz_value v;
    struct mime_address *list;
    struct slice *ids;
    size_t n;
    fuzz_value_init(&v, data, size);
    check(mime_parse_addresses(&v.decoder, v.raw, &list) == 0);
    check(count(list, false) <= size + 1);
    check(mime_parse_message_ids(&v.decoder, v.raw, &ids, &n) == 0);
    check(n <= size);
    for (size_t i = 0; i < n; i++)
        check_text(ids[i]);
    fuzz_value_done(&v);
    return 0;
}
