/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include "utf8.h"

#include <stdlib.h>
#include <unistd.h>
#include <wchar.h>

#define CELL_MAX 60 /* columns that one cell of a table may take */

/* ISO 8601 with its offset, or Z; the gateway writes no other forms. */
bool cli_parse_date(const char *iso, time_t *ret)
{
    struct tm tm = {0};
    char sign = 'Z';
    int hours = 0, minutes = 0;
    int n = sscanf(iso, "%4d-%2d-%2dT%2d:%2d:%2d%c%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                   &tm.tm_sec, &sign, &hours, &minutes);
    if (n < 6 || (sign != 'Z' && n != 9))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *ret = timegm(&tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

/* Controls (C0, DEL, C1), line and paragraph separators, and what changes the direction of text. */
static bool is_hostile(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void cli_print_text(FILE *out, const char *text, size_t len, bool lines)
{
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t n = utf8_decode(text + i, len - i, &c);
        if (n == 0) {
            fprintf(out, "\\x%02x", (unsigned char) text[i]);
            i++;
            continue;
        }
        if (!is_hostile(c) || (lines && (c == '\n' || c == '\t')))
            fwrite(text + i, 1, n, out);
        else if (c == '\r' && lines && i + 1 < len && text[i + 1] == '\n')
            ; /* a line end of the network's kind */
        else if (c == '\n')
            fputs("\\n", out);
        else if (c == '\t')
            fputs("\\t", out);
        else if (c < 0x100)
            fprintf(out, "\\x%02x", c);
        else
            fprintf(out, "\\u{%x}", c);
        i += n;
    }
}

/* A scalar as text, without newlines; malloc'ed. NULL: not a scalar, or out of memory. */
static char *scalar_text(const json_t *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool ok = out != NULL;
    if (!out)
        return NULL;
    switch (json_typeof(value)) {
    case JSON_STRING:
        cli_print_text(out, json_string_value(value), json_string_length(value), false);
        break;
    case JSON_INTEGER:
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        fprintf(out, "%g", json_real_value(value));
        break;
    case JSON_TRUE:
        fputs("yes", out);
        break;
    case JSON_FALSE:
        fputs("no", out);
        break;
    case JSON_NULL:
        fputs("-", out);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        ok = false;
        break;
    }
    if (fclose(out) != 0 || !ok) {
        free(text);
        return NULL;
    }
    return text;
}

/* An address object as `Name <address>`, which is what it means. */
static char *address_text(const json_t *value)
{
    const json_t *address = json_object_get(value, "address"), *name = json_object_get(value, "name");
    if (!json_is_string(address) || json_object_size(value) > 2)
        return NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    if (json_string_length(name) > 0) {
        cli_print_text(out, json_string_value(name), json_string_length(name), false);
        fputs(" <", out);
    }
    cli_print_text(out, json_string_value(address), json_string_length(address), false);
    if (json_string_length(name) > 0)
        fputc('>', out);
    fclose(out);
    return text;
}

/* What fits into one cell: a scalar, an address, or a list of these joined by commas. */
static char *cell_text(const json_t *value)
{
    if (json_is_object(value))
        return address_text(value);
    if (!json_is_array(value))
        return scalar_text(value);
    char *text = NULL;
    size_t size = 0, i;
    json_t *one;
    FILE *out = open_memstream(&text, &size);
    bool ok = out != NULL;
    json_array_foreach(value, i, one)
    {
        char *part = ok && !json_is_array(one) ? cell_text(one) : NULL;
        ok = part != NULL;
        if (!ok)
            break;
        fprintf(out, "%s%s", i ? ", " : "", part);
        free(part);
    }
    if (out)
        fclose(out);
    if (!ok) {
        free(text);
        return NULL;
    }
    return text;
}

/* Columns on a terminal; what has no width was neutralised before. */
static size_t width_of(const char *text)
{
    size_t width = 0, len = strlen(text);
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t n = utf8_decode(text + i, len - i, &c);
        int w = n ? wcwidth((wchar_t) c) : 1;
        width += w > 0 ? (size_t) w : w < 0;
        i += n ? n : 1;
    }
    return width;
}

static void print_padded(const char *text, size_t width)
{
    size_t own = width_of(text);
    fputs(text, stdout);
    for (; own < width; own++)
        putchar(' ');
}

void cli_print_cell(const char *text, size_t width, bool last)
{
    char *clean = NULL;
    size_t size = 0, used = 0;
    FILE *out = open_memstream(&clean, &size);
    if (out) {
        cli_print_text(out, text, strlen(text), false);
        fclose(out);
    }
    const char *p = clean ? clean : "";
    bool cut = width_of(p) > width;
    for (size_t left = strlen(p); left > 0;) {
        uint32_t c;
        size_t n = utf8_decode(p, left, &c);
        int w = n ? wcwidth((wchar_t) c) : 1;
        n = n ? n : 1;
        if (used + (size_t) MAX(w, 0) > width - cut)
            break;
        fwrite(p, 1, n, stdout);
        used += (size_t) MAX(w, 0);
        p += n;
        left -= n;
    }
    if (cut) {
        fputs("…", stdout);
        used++;
    }
    for (; !last && used < width; used++)
        putchar(' ');
    free(clean);
}

static void indent(unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        fputs("  ", stdout);
}

/* An array of objects whose first one has only members that fit into cells becomes a table. */
static bool is_table(const json_t *array)
{
    const json_t *first = json_array_get(array, 0);
    const char *key;
    json_t *value;
    if (!json_is_object(first) || json_object_size(first) < 2 || json_object_size(first) > 12)
        return false;
    json_object_foreach((json_t *) first, key, value)
    {
        char *text = cell_text(value);
        bool fits = text && width_of(text) <= CELL_MAX;
        free(text);
        if (!fits)
            return false;
    }
    return true;
}

static void print_table(const json_t *array, unsigned depth)
{
    const json_t *first = json_array_get(array, 0);
    const char *key;
    json_t *row, *unused;
    size_t i, columns = 0, widths[12];
    json_object_foreach((json_t *) first, key, unused)
    {
        widths[columns] = strlen(key);
        json_array_foreach(array, i, row)
        {
            char *text = cell_text(json_object_get(row, key));
            widths[columns] = MAX(widths[columns], text ? MIN(width_of(text), (size_t) CELL_MAX) : 3);
            free(text);
        }
        columns++;
    }
    size_t column = 0;
    indent(depth);
    json_object_foreach((json_t *) first, key, unused)
    {
        char head[64];
        snprintf(head, sizeof(head), "%s", key);
        for (char *p = head; *p; p++)
            *p = ascii_upper(*p);
        print_padded(head, ++column < columns ? widths[column - 1] + 2 : 0);
    }
    putchar('\n');
    json_array_foreach(array, i, row)
    {
        column = 0;
        indent(depth);
        json_object_foreach((json_t *) first, key, unused)
        {
            json_t *value = json_object_get(row, key);
            char *text = value ? cell_text(value) : strdup("-");
            print_padded(text ? text : "...", ++column < columns ? widths[column - 1] + 2 : 0);
            free(text);
        }
        putchar('\n');
    }
}

static void print_value(const char *name, const json_t *value, unsigned depth);

static void print_members(const json_t *object, unsigned depth)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *) object, key, value) print_value(key, value, depth);
}

static void print_name(const char *name, unsigned depth)
{
    indent(depth);
    if (name) {
        cli_print_text(stdout, name, strlen(name), false);
        putchar(':');
    }
}

/* Text of several lines stands below its name, with its lines. */
static void print_block(const json_t *value, unsigned depth)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    putchar('\n');
    for (size_t start = 0; start < len;) {
        struct slice rest = slice_of(text + start, len - start);
        size_t n = slice_find(rest, '\n');
        indent(depth + 1);
        cli_print_text(stdout, text + start, n + (start + n < len), true);
        if (start + n >= len)
            putchar('\n');
        start += n + 1;
    }
}

static void print_array(const json_t *array, unsigned depth)
{
    size_t i;
    json_t *one;
    if (is_table(array)) {
        print_table(array, depth);
        return;
    }
    json_array_foreach(array, i, one)
    {
        if (i > 0 && json_is_object(one))
            putchar('\n');
        if (json_is_object(one)) {
            char *text = address_text(one);
            if (text) {
                indent(depth);
                puts(text);
            } else {
                print_members(one, depth);
            }
            free(text);
        } else {
            print_value(NULL, one, depth);
        }
    }
}

static void print_value(const char *name, const json_t *value, unsigned depth)
{
    print_name(name, depth);
    const char *space = name ? " " : "";
    if (json_is_string(value) && memchr(json_string_value(value), '\n', json_string_length(value))) {
        print_block(value, depth);
        return;
    }
    char *text = cell_text(value);
    if (text && (json_is_array(value) ? json_array_size(value) > 0 && width_of(text) <= 100 : true)) {
        printf("%s%s\n", space, text);
    } else if (json_is_array(value) && json_array_size(value) == 0) {
        printf("%s(none)\n", space);
    } else {
        putchar('\n');
        if (json_is_array(value))
            print_array(value, depth + 1);
        else if (depth < 32)
            print_members(value, depth + 1);
    }
    free(text);
}

int cli_print_json(const json_t *value, bool indented)
{
    bool terminal = isatty(STDOUT_FILENO);
    char *text = json_dumps(value, (terminal && indented ? (size_t) JSON_INDENT(2) : (size_t) JSON_COMPACT) | JSON_ENCODE_ANY);
    if (!text)
        return EX_OSERR;
    size_t len = strlen(text);
    for (size_t i = 0, n; terminal && i < len; i += n) {
        uint32_t c;
        n = utf8_decode(text + i, len - i, &c);
        if (n == 0 || c == '\n' || !is_hostile(c))
            fwrite(text + i, 1, n = n ? n : 1, stdout);
        else if (c < 0x10000)
            printf("\\u%04x", c);
        else
            printf("\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
    }
    if (!terminal)
        fwrite(text, 1, len, stdout);
    putchar('\n');
    free(text);
    return 0;
}

int cli_print(const struct cli *cli, const json_t *value)
{
    if (cli->json) {
        int status = cli_print_json(value, true);
        if (status)
            return status;
    } else if (json_is_object(value) && json_object_size(value) == 0) {
        if (!cli->quiet)
            puts("done");
    } else if (json_is_object(value)) {
        print_members(value, 0);
    } else {
        print_value(NULL, value, 0);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : EX_IOERR;
}

void cli_print_item(const struct cli *cli, json_t *item)
{
    cli_print(cli, item);
    if (!cli->json)
        putchar('\n');
}
