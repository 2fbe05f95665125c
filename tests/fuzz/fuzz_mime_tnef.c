/* SPDX-License-Identifier: MIT */
/* winmail.dat: pieces give the same files as the whole, never more bytes than there are, and names that are text. The first
 * byte chooses the size of the pieces. */
#include "fuzz_mime_check.h"
#include "mime_tnef.h"

#define FILES 20

struct told {
    size_t files, bytes;
    uint64_t sum;
    bool flags[4];
};

static void mix(struct told *t, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        t->sum = (t->sum ^ (unsigned char) s.data[i]) * UINT64_C(0x100000001b3);
}

static struct told look(struct slice all, size_t piece)
{
    struct told told = {0};
    struct fuzz_value v;
    struct mime_tnef *t = malloc(sizeof(*t));
    struct slice in = SLICE_EMPTY, s, name, type, id;
    bool last = false, open = false;
    enum mime_tnef_event event;
    check(t != NULL);
    fuzz_value_init(&v, NULL, 0);
    mime_tnef_init(t, FILES);
    while ((event = mime_tnef_next(t, &in, last, &s)) != MIME_TNEF_MORE || !last) {
        switch (event) {
        case MIME_TNEF_MORE:
            check(in.len == 0);
            in = slice_to(all, piece);
            all = slice_from(all, in.len);
            last = all.len == 0;
            break;
        case MIME_TNEF_BEGIN:
            check(!open && told.files < FILES);
            open = true;
            told.files++;
            break;
        case MIME_TNEF_DATA:
            check(open && s.len);
            told.bytes += s.len;
            mix(&told, s);
            break;
        case MIME_TNEF_END:
            check(open);
            open = false;
            check(mime_tnef_file(t, &v.decoder, &name, &type, &id) == 0);
            check_text(name);
            check_text(id);
            check_text(type);
            check(type.len > 0);
            mix(&told, name);
            mix(&told, type);
            mix(&told, id);
            break;
        }
    }
    check(!open);
    told.flags[0] = t->no_tnef, told.flags[1] = t->broken, told.flags[2] = t->cut, told.flags[3] = t->too_many;
    fuzz_value_done(&v);
    free(t);
    return told;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    struct told whole = look(in, in.len + 1), pieces = look(in, data[0] % 70u + 1);
    check(whole.bytes <= in.len);
    check(whole.files == pieces.files && whole.bytes == pieces.bytes && whole.sum == pieces.sum);
    check(memcmp(whole.flags, pieces.flags, sizeof(whole.flags)) == 0);
    return 0;
}
