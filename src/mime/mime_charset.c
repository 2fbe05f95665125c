/* SPDX-License-Identifier: MIT */
#include "mime_charset.h"

#include "utf8.h"

#include <errno.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Keys are spelt without anything but letters and digits; a leading "x" falls away when the rest is known. Values:
 * a table, "utf8", "ascii", "jis" (ISO-2022-JP with what Windows puts into it), or iconv's name in capitals. Labels that are used for their supersets stand for those. */
/* clang-format off */
static const struct {
    const char *key, *value;
} aliases[] = {
    {"usascii", "ascii"},        {"ascii", "ascii"},          {"ansix341968", "ascii"},    {"iso646us", "ascii"},
    {"us", "ascii"},             {"7bit", "ascii"},           {"8bit", "ascii"},           {"unknown8bit", "ascii"},
    {"unknown", "ascii"},        {"default", "ascii"},        {"none", "ascii"},           {"userdefined", "ascii"},
    {"utf8", "utf8"},            {"unicode11utf8", "utf8"},   {"unicodeutf8", "utf8"},     {"cputf8", "utf8"},
    {"cp65001", "utf8"},         {"utf8mac", "utf8"},         {"utf8mb4", "utf8"},         {"unicode20utf8", "utf8"},
    {"iso88591", "cp1252"},      {"latin1", "cp1252"},        {"l1", "cp1252"},            {"iso885911987", "cp1252"},
    {"windows1252", "cp1252"},   {"ansi", "cp1252"},          {"cp819", "cp1252"},         {"ibm819", "cp1252"},
    {"88591", "cp1252"}, {"iso8859", "cp1252"}, {"win1252", "cp1252"}, {"westerneuropean", "cp1252"},
    {"latin2", "iso8859_2"},     {"l2", "iso8859_2"},         {"88592", "iso8859_2"},      {"latin3", "iso8859_3"},
    {"latin4", "iso8859_4"},     {"cyrillic", "iso8859_5"},   {"arabic", "iso8859_6"},     {"greek", "iso8859_7"},
    {"greek8", "iso8859_7"},     {"hebrew", "iso8859_8"},     {"iso88598i", "iso8859_8"},  {"iso88598e", "iso8859_8"},
    {"logical", "iso8859_8"},    {"iso88596i", "iso8859_6"},  {"iso88596e", "iso8859_6"},  {"latin5", "cp1254"},
    {"iso88599", "cp1254"},      {"l5", "cp1254"},            {"latin6", "iso8859_10"},    {"latin9", "iso8859_15"},
    {"latin0", "iso8859_15"},    {"l9", "iso8859_15"},        {"latin10", "iso8859_16"},   {"iso885911", "cp874"},
    {"tis620", "cp874"},         {"windows874", "cp874"},     {"dos874", "cp874"},         {"koi8", "koi8_r"},
    {"koi8r", "koi8_r"},         {"koi", "koi8_r"},           {"cskoi8r", "koi8_r"},       {"koi8u", "koi8_u"},
    {"koi8ru", "koi8_u"},        {"macintosh", "mac_roman"},  {"mac", "mac_roman"},        {"macroman", "mac_roman"},
    {"maccyrillic", "mac_cyrillic"}, {"macukrainian", "mac_cyrillic"},
    {"utf16", "UTF-16"}, {"ucs2", "UTF-16"}, {"unicode", "UTF-16"}, {"iso10646ucs2", "UTF-16"},
    {"utf16be", "UTF-16BE"},     {"utf16le", "UTF-16LE"},     {"utf32", "UTF-32"},         {"utf32be", "UTF-32BE"},
    {"utf32le", "UTF-32LE"},     {"ucs4", "UTF-32"},          {"utf7", "UTF-7"},           {"unicode11utf7", "UTF-7"},
    {"shiftjis", "CP932"},       {"sjis", "CP932"},           {"mskanji", "CP932"},        {"windows31j", "CP932"},
    {"cp932", "CP932"},          {"ms932", "CP932"},          {"csshiftjis", "CP932"},     {"shiftjisms", "CP932"},
    {"eucjp", "EUC-JP-MS"},      {"euc", "EUC-JP-MS"},        {"ujis", "EUC-JP-MS"},       {"eucjpms", "EUC-JP-MS"},
    {"iso2022jp", "jis"}, {"iso2022jp1", "ISO-2022-JP-2"}, {"iso2022jp2", "ISO-2022-JP-2"},
    {"iso2022jp3", "ISO-2022-JP-3"}, {"iso2022jpms", "jis"}, {"csiso2022jp", "jis"},
    {"cp50220", "jis"}, {"cp50221", "jis"}, {"cp50222", "jis"}, {"jis", "jis"}, {"jis7", "jis"},
    {"gb2312", "GB18030"},       {"gbk", "GB18030"},          {"gb18030", "GB18030"},      {"cp936", "GB18030"},
    {"windows936", "GB18030"},   {"euccn", "GB18030"},        {"gb231280", "GB18030"},     {"chinese", "GB18030"},
    {"csgb2312", "GB18030"},      {"cngb", "GB18030"},
        {"hzgb2312", "HZ"},          {"hz", "HZ"},                {"iso2022cn", "ISO-2022-CN"},
    {"iso2022cnext", "ISO-2022-CN-EXT"},
    {"big5", "BIG5-HKSCS"},      {"cp950", "CP950"},          {"big5hkscs", "BIG5-HKSCS"}, {"cnbig5", "BIG5-HKSCS"},
    {"csbig5", "BIG5-HKSCS"},    {"euctw", "EUC-TW"},         {"big5eten", "BIG5-HKSCS"},
    {"ksc56011987", "CP949"},    {"ksc5601", "CP949"},        {"ks", "CP949"},             {"euckr", "CP949"},
    {"cp949", "CP949"},          {"uhc", "CP949"},            {"korean", "CP949"},         {"windows949", "CP949"},
    {"ksc56011989", "CP949"},    {"iso2022kr", "ISO-2022-KR"}, {"johab", "JOHAB"},
    {"viscii", "VISCII"},        {"tcvn", "TCVN5712-1"},      {"armscii8", "ARMSCII-8"},   {"macgreek", "MACINTOSH"},
    {"maccentraleurope", "MAC-CENTRALEUROPE"}, {"georgianps", "GEORGIAN-PS"}, {"pt154", "PT154"},
    {"ibm037", "IBM037"},        {"cp037", "IBM037"},         {"ibm500", "IBM500"},        {"ibm1047", "IBM1047"},
    {"cp720", "CP1256"},         {"cp737", "CP737"},          {"cp775", "CP775"},          {"cp857", "IBM857"},
    {"cp860", "IBM860"},         {"cp861", "IBM861"},         {"cp862", "IBM862"},         {"cp863", "IBM863"},
    {"cp864", "IBM864"},         {"cp865", "IBM865"},         {"cp869", "IBM869"},         {"cp1125", "CP1125"},
};
/* clang-format on */

#define KEY_MAX 32

/* Letters and digits of the name in lower case; what RFC 2231 puts behind "*" is a language. False: too long. */
static bool charset_key(struct slice name, char key[KEY_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < name.len && name.data[i] != '*'; i++) {
        char c = ascii_lower(name.data[i]);
        if (!ascii_is_alpha(c) && !ascii_is_digit(c))
            continue;
        if (n + 1 == KEY_MAX)
            return false;
        key[n++] = c;
    }
    key[n] = '\0';
    return true;
}

static const uint16_t *table_named(const char *name)
{
    for (size_t i = 0; i < mime_charset_n_tables; i++)
        if (strcmp(mime_charset_tables[i].name, name) == 0)
            return mime_charset_tables[i].upper;
    return NULL;
}

static void charset_take(const char *value, struct mime_charset *ret)
{
    *ret = (struct mime_charset){.kind = MIME_CHARSET_ICONV, .iconv_name = value};
    if (strcmp(value, "ascii") == 0)
        ret->kind = MIME_CHARSET_UNDECLARED;
    else if (strcmp(value, "utf8") == 0)
        ret->kind = MIME_CHARSET_UTF8;
    else if (strcmp(value, "jis") == 0)
        *ret = (struct mime_charset){.kind = MIME_CHARSET_JIS, .iconv_name = "EUC-JP-MS"};
    else if ((ret->upper = table_named(value)))
        ret->kind = MIME_CHARSET_TABLE;
}

/* "iso88597", "windows1251", "cp866", "ibm850": names that are a family and a number. */
static bool charset_of_family(const char *key, struct mime_charset *ret)
{
    static const struct {
        const char *prefix, *table;
    } families[] = {{"iso8859", "iso8859_"}, {"windows", "cp"}, {"cp", "cp"},  {"ibm", "cp"},
                    {"win", "cp"},           {"dos", "cp"},     {"xcp", "cp"}, {"8859", "iso8859_"}};
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        size_t n = strlen(families[i].prefix);
        if (strncmp(key, families[i].prefix, n) != 0 || !ascii_is_digit(key[n]))
            continue;
        char name[KEY_MAX + 16] = "";
        size_t base = strlen(families[i].table);
        memcpy(name, families[i].table, base);
        memcpy(name + base, key + n, strlen(key + n) + 1);
        const uint16_t *upper = table_named(name);
        /* "iso-8859-1:1987" and the like: the number ends where the year begins. */
        if (!upper && strlen(name) > base + 4) {
            name[strlen(name) - 4] = '\0';
            upper = strcmp(name, "iso8859_1") == 0 ? table_named("cp1252") : table_named(name);
        }
        if (!upper)
            continue;
        *ret = (struct mime_charset){.kind = MIME_CHARSET_TABLE, .upper = upper};
        return true;
    }
    return false;
}

static bool charset_by_key(const char *key, struct mime_charset *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        if (strcmp(aliases[i].key, key) == 0) {
            charset_take(aliases[i].value, ret);
            return true;
        }
    }
    return charset_of_family(key, ret);
}

void mime_charset_find(struct slice name, struct mime_charset *ret)
{
    char key[KEY_MAX];
    *ret = (struct mime_charset){.kind = MIME_CHARSET_UNKNOWN};
    if (!charset_key(name, key))
        return;
    if (key[0] == '\0')
        ret->kind = MIME_CHARSET_UNDECLARED;
    else if (!charset_by_key(key, ret) && key[0] == 'x')
        charset_by_key(key + 1, ret);
}

void mime_charset_guess(bool valid_utf8, struct mime_charset *ret)
{
    if (valid_utf8)
        *ret = (struct mime_charset){.kind = MIME_CHARSET_UTF8};
    else
        charset_take("cp1252", ret);
}

/* An open converter for the charset: kept ones first. (iconv_t) -1 when there is none. */
static iconv_t decoder_iconv(struct mime_decoder *d, const char *name)
{
    for (unsigned i = 0; i < MIME_CONVERTERS; i++) {
        if (strcmp(d->converters[i].name, name) == 0) {
            iconv(d->converters[i].cd, NULL, NULL, NULL, NULL);
            return d->converters[i].cd;
        }
    }
    iconv_t cd = iconv_open("UTF-8", name);
    if (cd == (iconv_t) -1)
        return cd;
    struct mime_converter *place = &d->converters[d->next_converter++ % MIME_CONVERTERS];
    if (place->name[0])
        iconv_close(place->cd);
    memcpy(place->name, name, strlen(name) + 1);
    place->cd = cd;
    return cd;
}

int mime_conversion_init(struct mime_conversion *c, struct mime_decoder *d, const struct mime_charset *charset)
{
    *c = (struct mime_conversion){.charset = *charset, .cd = (iconv_t) -1};
    if (charset->kind == MIME_CHARSET_ICONV || charset->kind == MIME_CHARSET_JIS) {
        c->cd = decoder_iconv(d, charset->iconv_name);
        if (c->cd == (iconv_t) -1 && errno == ENOMEM)
            return -ENOMEM;
        if (c->cd == (iconv_t) -1) {
            /* The system's iconv does not know it. */
            c->charset.kind = MIME_CHARSET_UTF8;
            c->damaged = true;
        }
    }
    return 0;
}

static size_t put_replacement(char *out)
{
    memcpy(out, UTF8_REPLACEMENT, 3);
    return 3;
}

/* Copies the bytes of ASCII other than NUL at the front of `p`, and returns how many they are. May write up to 16 bytes at
 * once, of those that `p` has. */
static size_t copy_ascii(const char *p, size_t len, char *out)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; len - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *) (const void *) (p + i));
        _mm_storeu_si128((__m128i *) (void *) (out + i), v);
        /* No byte of ASCII but NUL is less than one when it has a sign. */
        unsigned hits = (unsigned) _mm_movemask_epi8(_mm_cmplt_epi8(v, _mm_set1_epi8(1)));
        if (hits)
            return i + (size_t) __builtin_ctz(hits);
    }
#endif
    for (; i < len && (signed char) p[i] > 0; i++)
        out[i] = p[i];
    return i;
}

/* Bytes at `p`, where no well-formed character begins, that one U+FFFD stands for: the longest beginning of a
 * character. *ret_open: the input ends before it could be finished. */
static size_t broken_len(const char *p, size_t len, bool *ret_open)
{
    const unsigned char *s = (const unsigned char *) p;
    unsigned char low = 0x80, high = 0xbf;
    size_t need, k = 1;

    *ret_open = false;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        need = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        need = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        need = 4;
    else
        return 1;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (; k < need && k < len && s[k] >= low && s[k] <= high; k++)
        low = 0x80, high = 0xbf;
    *ret_open = k == len && k < need;
    return k;
}

static inline bool is_tail(char c)
{
    return ((unsigned char) c & 0xc0) == 0x80;
}

static size_t convert_utf8(struct mime_conversion *c, const char *p, size_t len, bool last, char *out)
{
    size_t i = 0, o = 0;
    while (i < len) {
        size_t run = copy_ascii(p + i, len - i, out + o);
        i += run;
        o += run;
        /* Most letters of most scripts have two bytes. */
        for (; len - i >= 2 && (unsigned char) p[i] >= 0xc2 && (unsigned char) p[i] < 0xe0 && is_tail(p[i + 1]); i += 2, o += 2)
            memcpy(out + o, p + i, 2);
        if (i == len)
            break;
        if ((signed char) p[i] > 0)
            continue;
        size_t n = utf8_char_len(p + i, len - i);
        if (n && p[i] != '\0') {
            memcpy(out + o, p + i, n);
            i += n;
            o += n;
            continue;
        }
        bool open = false;
        if (n) {
            c->had_nul = true;
        } else {
            n = broken_len(p + i, len - i, &open);
            if (open && !last) {
                c->n_pending = (unsigned) n;
                memmove(c->pending, p + i, n);
                break;
            }
            c->damaged = true;
        }
        i += n;
        o += put_replacement(out + o);
    }
    return o;
}

static size_t convert_table(struct mime_conversion *c, const char *p, size_t len, char *out)
{
    size_t i = 0, o = 0;
    while (i < len) {
        size_t run = copy_ascii(p + i, len - i, out + o);
        i += run;
        o += run;
        if (i == len)
            break;
        unsigned char b = (unsigned char) p[i++];
        if (b == 0) {
            c->had_nul = true;
            o += put_replacement(out + o);
            continue;
        }
        if (b < 0x80) {
            out[o++] = (char) b;
            continue;
        }
        uint16_t cp = c->charset.upper[b - 0x80];
        if (cp == 0xfffd)
            c->damaged = true;
        o += utf8_encode(cp, out + o);
    }
    return o;
}

/* What iconv wrote may hold NULs; they are replaced in a second step, which is rare. */
static size_t replace_nuls(struct mime_conversion *c, char *out, size_t n)
{
    if (!memchr(out, '\0', n))
        return n;
    c->had_nul = true;
    size_t nuls = 0;
    for (size_t i = 0; i < n; i++)
        nuls += out[i] == '\0';
    size_t o = n + 2 * nuls;
    for (size_t i = n; i-- > 0;) {
        if (out[i] == '\0') {
            o -= 3;
            memcpy(out + o, UTF8_REPLACEMENT, 3);
        } else {
            out[--o] = out[i];
        }
    }
    return n + 2 * nuls;
}

static size_t convert_iconv(struct mime_conversion *c, const char *p, size_t len, bool last, char *out)
{
    char *in = (char *) (uintptr_t) p, *to = out;
    size_t in_left = len, room = mime_convert_max(len);

    while (in_left) {
        if (iconv(c->cd, &in, &in_left, &to, &room) != (size_t) -1)
            break;
        if (errno == EINVAL && !last && in_left < sizeof(c->pending)) {
            memmove(c->pending, in, in_left);
            c->n_pending = (unsigned) in_left;
            break;
        }
        if (errno == E2BIG || room < 8)
            break; /* cannot be: three bytes for one are enough for every charset in the table */
        c->damaged = true;
        /* A byte above ASCII that does not convert is passed over; what follows may be good. */
        to += put_replacement(to);
        room -= 3;
        in++;
        in_left--;
    }
    return replace_nuls(c, out, (size_t) (to - out));
}

/* The escape at the front of `p`: its length and the set it chooses. 0: none that is known; *ret_open: the input ends
 * before that can be told. */
static size_t jis_escape(const char *p, size_t len, enum mime_jis_set *ret, bool *ret_open)
{
    static const struct {
        const char *text;
        enum mime_jis_set set;
    } escapes[] = {
        {"\x1b(B", MIME_JIS_ASCII},  {"\x1b(J", MIME_JIS_ASCII},  {"\x1b(H", MIME_JIS_ASCII},
        {"\x1b(I", MIME_JIS_KANA},   {"\x1b$@", MIME_JIS_X0208},  {"\x1b$B", MIME_JIS_X0208},
        {"\x1b$(@", MIME_JIS_X0208}, {"\x1b$(B", MIME_JIS_X0208}, {"\x1b$(D", MIME_JIS_X0212},
    };
    *ret_open = false;
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        size_t n = strlen(escapes[i].text);
        if (len >= n && memcmp(p, escapes[i].text, n) == 0) {
            *ret = escapes[i].set;
            return n;
        }
        *ret_open |= len < n && memcmp(p, escapes[i].text, len) == 0;
    }
    return 0;
}

/* One character in EUC-JP. */
static size_t jis_char(struct mime_conversion *c, const char *euc, size_t len, char *out)
{
    char *in = (char *) (uintptr_t) euc, *to = out;
    size_t in_left = len, room = 8;
    if (iconv(c->cd, &in, &in_left, &to, &room) != (size_t) -1)
        return (size_t) (to - out);
    iconv(c->cd, NULL, NULL, NULL, NULL);
    c->damaged = true;
    return put_replacement(out);
}

/* ISO-2022-JP as it is sent: with the characters that Windows has in the free rows, and half-width katakana. The bytes
 * between escapes are those of EUC-JP without their high bits. */
static size_t convert_jis(struct mime_conversion *c, const char *p, size_t len, bool last, char *out)
{
    size_t i = 0, o = 0;
    while (i < len) {
        bool open = false;
        char b = p[i];
        size_t n = b == '\x1b' ? jis_escape(p + i, len - i, &c->jis_set, &open) : 0;
        bool pair = (c->jis_set == MIME_JIS_X0208 || c->jis_set == MIME_JIS_X0212) && b > ' ' && b < '\x7f';
        if (n) {
            i += n;
            continue;
        }
        if ((open || (pair && i + 1 == len)) && !last) {
            c->n_pending = (unsigned) (len - i);
            memmove(c->pending, p + i, len - i);
            break;
        }
        if (pair && i + 1 < len && p[i + 1] > ' ' && p[i + 1] < '\x7f') {
            const char euc[3] = {'\x8f', (char) (b | '\x80'), (char) (p[i + 1] | '\x80')};
            size_t from = c->jis_set == MIME_JIS_X0208;
            o += jis_char(c, euc + from, 3 - from, out + o);
            i += 2;
            continue;
        }
        i++;
        if (c->jis_set == MIME_JIS_KANA && b > ' ' && b < '\x60') {
            const char euc[2] = {'\x8e', (char) (b | '\x80')};
            o += jis_char(c, euc, 2, out + o);
        } else if (b <= 0 || b == '\x1b' || pair) {
            c->had_nul |= b == 0;
            c->damaged |= b != 0;
            o += put_replacement(out + o);
        } else {
            /* Every line begins in ASCII. */
            if (b == '\n')
                c->jis_set = MIME_JIS_ASCII;
            out[o++] = b;
        }
    }
    return o;
}

static size_t convert(struct mime_conversion *c, const char *p, size_t len, bool last, char *out)
{
    switch (c->charset.kind) {
    case MIME_CHARSET_UNDECLARED:
    case MIME_CHARSET_UNKNOWN:
    case MIME_CHARSET_UTF8:
        return convert_utf8(c, p, len, last, out);
    case MIME_CHARSET_TABLE:
        return convert_table(c, p, len, out);
    case MIME_CHARSET_ICONV:
        return convert_iconv(c, p, len, last, out);
    case MIME_CHARSET_JIS:
        return convert_jis(c, p, len, last, out);
    }
    return 0;
}

size_t mime_conversion_feed(struct mime_conversion *c, struct slice in, char *out)
{
    size_t o = 0;
    while (c->n_pending && in.len) {
        char start[sizeof(c->pending) + 1];
        size_t n = c->n_pending;
        memcpy(start, c->pending, n);
        start[n++] = in.data[0];
        c->n_pending = 0;
        o += convert(c, start, n, n >= sizeof(c->pending), out + o);
        in = slice_from(in, 1);
    }
    return in.len ? o + convert(c, in.data, in.len, false, out + o) : o;
}

size_t mime_conversion_finish(struct mime_conversion *c, char *out)
{
    char start[sizeof(c->pending)];
    size_t n = c->n_pending;
    if (!n)
        return 0;
    memcpy(start, c->pending, n);
    c->n_pending = 0;
    return convert(c, start, n, true, out);
}
