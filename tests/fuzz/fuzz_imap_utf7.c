/* SPDX-License-Identifier: MIT */
/* Modified UTF-7. What comes from a server becomes UTF-8 without NUL, whatever it was; a name that was none of it is said to be odd, and one
 * that was goes back and comes again the same. A name of the user's is refused, or goes out as printable ASCII and comes back as it was. */
#include "fuzz.h"
#include "imap_mailbox.h"
#include "session.h"
#include "utf8.h"

#include <stdlib.h>

#define NAME_MAX_BYTES (1u << 24)

static void from_server(struct slice wire)
{
    struct buffer name, again, back;
    bool odd = true, odd_again = true;
    buffer_init(&name, NAME_MAX_BYTES);
    buffer_init(&again, NAME_MAX_BYTES);
    buffer_init(&back, NAME_MAX_BYTES);
    fuzz_require(imap_mailbox_decode(wire, &name, &odd) == 0);
    struct slice s = buffer_slice(&name);
    fuzz_require(utf8_is_valid(s) && slice_find(s, '\0') == s.len);
    if (!odd && imap_mailbox_encode(s, &back) == 0) {
        fuzz_require(imap_mailbox_decode(buffer_slice(&back), &again, &odd_again) == 0);
        fuzz_require(!odd_again && slice_eq(buffer_slice(&again), s));
    }
    buffer_done(&name);
    buffer_done(&again);
    buffer_done(&back);
}

static void from_user(struct slice name)
{
    struct buffer wire, back;
    bool odd = true;
    buffer_init(&wire, NAME_MAX_BYTES);
    buffer_init(&back, NAME_MAX_BYTES);
    if (imap_mailbox_encode(name, &wire) == 0) {
        struct slice s = buffer_slice(&wire);
        for (size_t i = 0; i < s.len; i++)
            fuzz_require(s.data[i] >= 0x20 && s.data[i] <= 0x7e);
        fuzz_require(imap_mailbox_decode(s, &back, &odd) == 0 && !odd && slice_eq(buffer_slice(&back), name));
    }
    buffer_done(&wire);
    buffer_done(&back);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    fuzz_require(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    from_server(slice_of(copy, size));
    from_user(slice_of(copy, size));
    free(copy);
    return 0;
}
