/* SPDX-License-Identifier: MIT */
#include "mime_uu.h"

#include "mime_internal.h"
#include "mime_transfer.h"
#include "utf8.h"

void mime_uu_init(struct mime_uu *u, size_t max_blocks)
{
    memset(u, 0, sizeof(*u));
    u->max_blocks = max_blocks;
}

/* --- lines --- */

static struct slice without_end(struct slice line)
{
    while (line.len && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    return line;
}

/* A whole line with its end, or as much of it as is held at once; where it lies in *in it is not taken off yet. */
static bool line_get(struct mime_uu *u, struct slice *in, bool last, struct slice *ret)
{
    if (!u->line_ready) {
        size_t n = slice_find(slice_to(*in, MIME_UU_LINE_MAX), '\n');
        if (u->n_line == 0 && n < in->len && n < MIME_UU_LINE_MAX) {
            *ret = slice_to(*in, n + 1);
            return true;
        }
        bool has_end = n < MIN(in->len, (size_t) MIME_UU_LINE_MAX);
        size_t take = MIN(has_end ? n + 1 : n, MIME_UU_LINE_MAX - u->n_line);
        if (take)
            memcpy(u->line + u->n_line, in->data, take);
        u->n_line += take;
        *in = slice_from(*in, take);
        u->line_ready = u->n_line && (u->n_line == MIME_UU_LINE_MAX || u->line[u->n_line - 1] == '\n' ||
                                      (last && in->len == 0));
    }
    *ret = slice_of(u->line, u->n_line);
    return u->line_ready;
}

static void line_take(struct mime_uu *u, struct slice *in, struct slice line)
{
    if (u->line_ready)
        u->n_line = 0;
    else
        *in = slice_from(*in, line.len);
    u->line_ready = false;
    u->mid_line = line.data[line.len - 1] != '\n';
}

/* --- how blocks begin --- */

static void block_begin(struct mime_uu *u, struct slice name, bool yenc)
{
    size_t n = MIN(name.len, (size_t) MIME_UU_NAME_MAX), whole = n ? utf8_valid_prefix(name.data, n) : 0;
    if (n < name.len && n - whole < 4) /* no character is cut in two */
        n = whole;
    memcpy(u->name, name.data, n);
    u->n_name = n;
    u->yenc = yenc;
    u->broken = u->missing_end = u->wrong_size = u->wrong_crc = false;
    u->escaped = u->is_part = u->has_declared = false;
    u->crc = 0;
    u->size = 0;
    u->n_blocks++;
    u->state = yenc ? MIME_UU_YENC : MIME_UU_LINES;
}

static bool uu_is_base64(struct slice line)
{
    return slice_starts(line, SLICE("begin-base64 "));
}

/* "begin" or "begin-base64", an octal mode, the name; 0 where the line is none, else where the name begins. */
static size_t uu_name_at(struct slice line)
{
    size_t mode = uu_is_base64(line) ? 13 : 6, i = mode;
    if (mode == 6 && !slice_starts(line, SLICE("begin ")))
        return 0;
    while (i < line.len && line.data[i] >= '0' && line.data[i] <= '7')
        i++;
    if (i < mode + 3 || i > mode + 4 || i >= line.len || line.data[i] != ' ')
        return 0;
    return slice_trim(slice_from(line, i)).len ? i + 1 : 0;
}

/* What stands behind " key=", up to the next space. */
static bool keyword(struct slice line, struct slice key, struct slice *ret)
{
    for (size_t i = 0; i + 1 + key.len <= line.len; i++) {
        if (line.data[i] == ' ' && slice_starts(slice_from(line, i + 1), key)) {
            struct slice value = slice_from(line, i + 1 + key.len);
            *ret = slice_to(value, slice_find(value, ' '));
            return true;
        }
    }
    return false;
}

static bool yenc_begin(struct slice line, struct slice *ret_name, uint64_t *ret_size, bool *ret_part)
{
    struct slice value;
    if (!slice_starts(line, SLICE("=ybegin ")))
        return false;
    size_t i = 0;
    while (i < line.len && !slice_starts(slice_from(line, i), SLICE(" name=")))
        i++;
    *ret_name = slice_trim(slice_from(line, i + 6));
    line = slice_to(line, i);
    *ret_part = keyword(line, SLICE("part="), &value);
    return ret_name->len && keyword(line, SLICE("line="), &value) && keyword(line, SLICE("size="), &value) &&
           slice_to_u64(value, UINT64_MAX, ret_size);
}

/* --- uuencode --- */

static bool uu_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < ' ' || s.data[i] > '`')
            return false;
    return true;
}

static bool uu_is_end(struct slice line)
{
    return slice_eq(slice_trim(line), SLICE("end"));
}

static unsigned uu_value(struct slice s, size_t i)
{
    return i < s.len ? ((unsigned char) s.data[i] - 32u) & 63u : 0; /* spaces at the end get lost on the way */
}

/* Bytes of a line with data in `out`; -1: it is no such line. One with the right length but wrong characters is one. */
static int uu_line(struct mime_uu *u, struct slice line, char *out)
{
    line = without_end(line);
    if (line.len == 0 || !uu_digits(slice_to(line, 1)))
        return -1;
    size_t n = uu_value(line, 0), chars = (n + 2) / 3 * 4, made = 0;
    struct slice digits = slice_from(line, 1);
    bool good = uu_digits(slice_to(digits, chars));
    if (digits.len > chars + 2 || (!good && digits.len < chars) || (n && digits.len == 0))
        return -1;
    u->broken |= !good;
    for (size_t i = 0; made < n; i += 4) {
        unsigned bits = uu_value(digits, i) << 18 | uu_value(digits, i + 1) << 12 | uu_value(digits, i + 2) << 6 |
                        uu_value(digits, i + 3);
        for (unsigned shift = 24; shift && made < n;)
            out[made++] = (char) (bits >> (shift -= 8));
    }
    return (int) n;
}

/* The same of uuencode -m: whole groups of base64, with nothing between them. */
static int base64_line(struct mime_uu *u, struct slice line, char *out)
{
    struct mime_transfer t;
    line = slice_trim(line);
    for (size_t i = 0; i < line.len; i++)
        if (!ascii_is_alpha(line.data[i]) && !ascii_is_digit(line.data[i]) && !memchr("+/=", line.data[i], 3))
            return -1;
    mime_transfer_init(&t, MIME_ENCODING_BASE64);
    if (mime_transfer_max(&t, line.len) + mime_transfer_max(&t, 0) > MIME_UU_LINE_MAX)
        return -1;
    size_t n = mime_transfer_decode(&t, line, out);
    n += mime_transfer_finish(&t, out + n);
    u->broken |= t.damaged || line.len % 4;
    return (int) n;
}

static int block_line(struct mime_uu *u, struct slice line, char *out)
{
    return u->base64 ? base64_line(u, line, out) : uu_line(u, line, out);
}

static bool block_is_end(const struct mime_uu *u, struct slice line)
{
    return u->base64 ? slice_eq(slice_trim(line), SLICE("====")) : uu_is_end(line);
}

/* Whether a line can follow "begin": prose does so too. */
static bool uu_follows(struct mime_uu *u, struct slice line)
{
    bool broken = u->broken;
    u->broken = false;
    bool follows = block_is_end(u, line) || (block_line(u, line, u->out) >= (int) u->base64 && !u->broken);
    u->broken = broken;
    return follows;
}

/* --- yEnc --- */

static uint32_t crc_next(uint32_t crc, unsigned char c)
{
    static const uint32_t half[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                      0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                      0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc ^ c;
    crc = crc >> 4 ^ half[crc & 15];
    return ~(crc >> 4 ^ half[crc & 15]);
}

static size_t yenc_line(struct mime_uu *u, struct slice line)
{
    size_t n = 0;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char) line.data[i];
        if (c == '\r' || c == '\n') {
            u->broken |= u->escaped;
            u->escaped = false;
        } else if (!u->escaped && c == '=') {
            u->escaped = true;
        } else {
            c = (unsigned char) (c - 42 - (u->escaped ? 64 : 0));
            u->escaped = false;
            u->crc = crc_next(u->crc, c);
            u->out[n++] = (char) c;
        }
    }
    u->size += n;
    return n;
}

static bool hex32(struct slice s, uint32_t *ret)
{
    uint32_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        int digit = mime_hex_digit(s.data[i]);
        if (digit < 0 || v >> 28)
            return false;
        v = v << 4 | (uint32_t) digit;
    }
    *ret = v;
    return s.len > 0;
}

/* What "=yend" says of the block. In a part of a file, `crc32` is that of the whole. */
static void yenc_end(struct mime_uu *u, struct slice line)
{
    struct slice value;
    uint64_t size = u->declared;
    uint32_t crc = u->crc;
    line = without_end(line);
    bool has_size = u->has_declared;
    if (keyword(line, SLICE("size="), &value))
        has_size = true, u->broken |= !slice_to_u64(value, UINT64_MAX, &size);
    if (keyword(line, SLICE("pcrc32="), &value) || (!u->is_part && keyword(line, SLICE("crc32="), &value)))
        u->broken |= !hex32(value, &crc);
    u->wrong_size = has_size && size != u->size;
    u->wrong_crc = crc != u->crc;
}

/* --- events --- */

/* The lines from the front of a text that can begin no block, as one run; `line` is the first, and is one. */
static struct slice text_run(struct mime_uu *u, struct slice *in, struct slice line)
{
    if (u->line_ready) {
        line_take(u, in, line);
        return line;
    }
    struct slice all = *in;
    size_t n = line.len;
    while (n < all.len && all.data[n] != 'b' && all.data[n] != '=') {
        size_t end = slice_find(slice_from(all, n), '\n');
        if (end == all.len - n)
            break;
        n += end + 1;
    }
    line_take(u, in, slice_to(all, n));
    return slice_to(all, n);
}

/* A line outside: TEXT, BEGIN, or MORE where the one behind it decides. */
static enum mime_uu_event outside(struct mime_uu *u, struct slice *in, struct slice line, struct slice *ret)
{
    struct slice bare = without_end(line), name = SLICE_EMPTY;
    bool can = !u->mid_line && line.len < MIME_UU_LINE_MAX, is_part = false;
    bool uu = can && uu_name_at(bare);
    bool yenc = can && !uu && yenc_begin(bare, &name, &u->declared, &is_part);
    if ((uu || yenc) && u->n_blocks >= u->max_blocks) {
        u->too_many = true;
        uu = yenc = false;
    }
    if (uu) {
        memcpy(u->begin, line.data, line.len);
        u->n_begin = line.len;
        u->base64 = uu_is_base64(line);
        u->state = MIME_UU_ASKED;
        line_take(u, in, line);
        return MIME_UU_MORE;
    }
    if (yenc) {
        block_begin(u, name, true);
        u->is_part = is_part;
        u->has_declared = !is_part;
        line_take(u, in, line);
        return MIME_UU_BEGIN;
    }
    *ret = text_run(u, in, line);
    return MIME_UU_TEXT;
}

static enum mime_uu_event asked(struct mime_uu *u, struct slice line, bool mid_line, struct slice *ret)
{
    struct slice begin = slice_of(u->begin, u->n_begin);
    if (!mid_line && line.len && uu_follows(u, line)) {
        block_begin(u, slice_trim(slice_from(begin, uu_name_at(without_end(begin)))), false);
        return MIME_UU_BEGIN;
    }
    u->state = MIME_UU_OUTSIDE;
    *ret = begin;
    return MIME_UU_TEXT;
}

static enum mime_uu_event block_end(struct mime_uu *u, bool missing)
{
    u->missing_end = missing;
    u->state = MIME_UU_OUTSIDE;
    return MIME_UU_END;
}

static enum mime_uu_event within_uu(struct mime_uu *u, struct slice *in, struct slice line, struct slice *ret)
{
    if (block_is_end(u, line)) {
        line_take(u, in, line);
        return block_end(u, false);
    }
    int n = u->state == MIME_UU_TAIL ? -1 : without_end(line).len ? block_line(u, line, u->out) : 0;
    if (n < 0)
        return block_end(u, true); /* the line is text again */
    line_take(u, in, line);
    if (n == 0)
        u->state = MIME_UU_TAIL;
    *ret = slice_of(u->out, (size_t) n);
    return n ? MIME_UU_DATA : MIME_UU_MORE;
}

static enum mime_uu_event within_yenc(struct mime_uu *u, struct slice *in, struct slice line, struct slice *ret)
{
    bool at_start = !u->mid_line;
    line_take(u, in, line);
    if (at_start && slice_starts(line, SLICE("=yend"))) {
        yenc_end(u, line);
        return block_end(u, false);
    }
    if (at_start && u->size == 0 && slice_starts(line, SLICE("=ypart "))) {
        u->is_part = true;
        u->has_declared = false;
        return MIME_UU_MORE;
    }
    *ret = slice_of(u->out, yenc_line(u, line));
    return ret->len ? MIME_UU_DATA : MIME_UU_MORE;
}

static enum mime_uu_event behind_last(struct mime_uu *u, struct slice *ret)
{
    switch (u->state) {
    case MIME_UU_OUTSIDE:
        break;
    case MIME_UU_ASKED:
        return asked(u, SLICE_EMPTY, false, ret);
    case MIME_UU_LINES:
    case MIME_UU_TAIL:
    case MIME_UU_YENC:
        return block_end(u, true);
    }
    return MIME_UU_MORE;
}

enum mime_uu_event mime_uu_next(struct mime_uu *u, struct slice *in, bool last, struct slice *ret)
{
    enum mime_uu_event event = MIME_UU_MORE;
    struct slice line;
    while (event == MIME_UU_MORE) {
        if (!line_get(u, in, last, &line))
            return last ? behind_last(u, ret) : MIME_UU_MORE;
        switch (u->state) {
        case MIME_UU_OUTSIDE:
            event = outside(u, in, line, ret);
            break;
        case MIME_UU_ASKED:
            event = asked(u, line, u->mid_line, ret);
            break;
        case MIME_UU_LINES:
        case MIME_UU_TAIL:
            event = within_uu(u, in, line, ret);
            break;
        case MIME_UU_YENC:
            event = within_yenc(u, in, line, ret);
            break;
        }
    }
    return event;
}
