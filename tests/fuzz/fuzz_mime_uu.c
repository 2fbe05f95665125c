/* SPDX-License-Identifier: MIT */
/* uuencode as a transfer encoding, and files within texts as uuencode, in its base64 form, or yEnc: pieces give the same as the
 * whole. The first byte chooses the size of the pieces. */
#include "fuzz_mime_check.h"
#include "mime_uu.h"

/* All that a text's blocks give: each event's first letter and bytes; neighbouring bytes of one kind are one run. */
static size_t blocks(struct slice all, size_t piece, char *out)
{
    struct mime_uu *u = malloc(sizeof(*u));
    enum mime_uu_event event, before = MIME_UU_MORE;
    struct slice in = SLICE_EMPTY, s;
    size_t n = 0;
    bool last = false;
    check(u != NULL);
    mime_uu_init(u, 5);
    for (;;) {
        event = mime_uu_next(u, &in, last, &s);
        if (event == MIME_UU_MORE && last)
            break;
        if (event == MIME_UU_MORE) {
            check(in.len == 0);
            in = slice_to(all, piece);
            all = slice_from(all, in.len);
            last = all.len == 0;
            continue;
        }
        if (event != before)
            out[n++] = "-TBDE"[event];
        before = event;
        if (event == MIME_UU_TEXT || event == MIME_UU_DATA) {
            check(s.len > 0);
            memcpy(out + n, s.data, s.len);
            n += s.len;
        }
    }
    check(u->n_blocks <= 5);
    free(u);
    return n;
}

static void check_blocks(struct slice in, size_t piece)
{
    char *a = malloc(2 * in.len + 1024), *b = malloc(2 * in.len + 1024);
    size_t n = blocks(in, in.len + 1, a), k = blocks(in, piece, b);
    check(slice_eq(slice_of(a, n), slice_of(b, k)));
    free(a);
    free(b);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    fuzz_check_pieces(MIME_ENCODING_UUENCODE, in, data[0] % 70u + 1);
    check_blocks(in, data[0] % 70u + 1);
    return 0;
}
