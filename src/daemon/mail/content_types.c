/* SPDX-License-Identifier: MIT */
#include "content_types.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define ENDING_MAX 64

struct ending {
    struct slice ending, type; /* in `text` */
    unsigned weight;
};

struct content_types {
    char *text;
    size_t len;
    struct ending *endings; /* sorted, each once */
    size_t n;
};

static int compare_endings(struct slice a, struct slice b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int difference = (unsigned char) ascii_lower(a.data[i]) - (unsigned char) ascii_lower(b.data[i]);
        if (difference)
            return difference;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

/* Of several types for one ending the weightiest comes first; of those with the same weight, the one that stands first. */
static int compare_for_sort(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;
    int order = compare_endings(x->ending, y->ending);
    if (order)
        return order;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->ending.data < y->ending.data ? -1 : 1;
}

static int compare_for_find(const void *key, const void *b)
{
    const struct ending *y = b;
    return compare_endings(*(const struct slice *) key, y->ending);
}

static bool is_plain(struct slice ending)
{
    for (size_t i = 0; i < ending.len; i++)
        if (memchr("*?[]", ending.data[i], 4))
            return false;
    return ending.len && ending.len <= ENDING_MAX;
}

/* weight ":" type ":" "*." ending [":" flags]; patterns of other forms are names of whole files and the like. */
static bool line_parse(struct slice line, struct ending *ret)
{
    uint64_t weight;
    size_t colon = slice_find(line, ':');
    if (line.len == 0 || line.data[0] == '#' || !slice_to_u64(slice_to(line, colon), 1000, &weight))
        return false;
    line = slice_from(line, MIN(colon + 1, line.len));
    colon = slice_find(line, ':');
    ret->type = slice_to(line, colon);
    ret->weight = (unsigned) weight;
    line = slice_from(line, MIN(colon + 1, line.len));
    line = slice_to(line, slice_find(line, ':'));
    if (!slice_starts(line, SLICE("*.")) || slice_find(ret->type, '/') == ret->type.len)
        return false;
    ret->ending = slice_from(line, 2);
    return is_plain(ret->ending);
}

static char *file_read(const char *path, size_t *ret_len)
{
    size_t cap = 262144, len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = fd >= 0 ? malloc(cap) : NULL;
    ssize_t n = 1;
    while (text && n > 0) {
        if (len == cap) {
            char *bigger = cap < CONTENT_TYPES_BYTES_MAX ? realloc(text, cap * 2) : NULL;
            if (!bigger)
                break;
            text = bigger;
            cap *= 2;
        }
        n = read(fd, text + len, cap - len);
        len += n > 0 ? (size_t) n : 0;
    }
    if (fd >= 0)
        close(fd);
    if (n != 0) {
        free(text);
        text = NULL;
    }
    *ret_len = len;
    return text;
}

static bool endings_take(struct content_types *t)
{
    struct slice rest = slice_of(t->text, t->len);
    size_t lines = 1;
    for (size_t i = 0; i < rest.len; i++)
        lines += rest.data[i] == '\n';
    t->endings = calloc(lines, sizeof(*t->endings));
    if (!t->endings)
        return false;
    while (rest.len) {
        size_t end = slice_find(rest, '\n');
        if (line_parse(slice_to(rest, end), &t->endings[t->n]))
            t->n++;
        rest = slice_from(rest, MIN(end + 1, rest.len));
    }
    qsort(t->endings, t->n, sizeof(*t->endings), compare_for_sort);
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++)
        if (!kept || compare_endings(t->endings[kept - 1].ending, t->endings[i].ending) != 0)
            t->endings[kept++] = t->endings[i];
    t->n = kept;
    return true;
}

struct content_types *content_types_load(const char *path)
{
    struct content_types *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->text = file_read(path, &t->len);
    if (t->text && !endings_take(t)) {
        content_types_free(t);
        return NULL;
    }
    return t;
}

void content_types_free(struct content_types *t)
{
    if (!t)
        return;
    free(t->endings);
    free(t->text);
    free(t);
}

struct slice content_types_find(const struct content_types *t, struct slice filename)
{
    size_t from = filename.len > ENDING_MAX ? filename.len - ENDING_MAX : 0;
    for (size_t i = from; t && t->n && i < filename.len; i++) {
        if (filename.data[i] != '.')
            continue;
        struct slice ending = slice_from(filename, i + 1);
        const struct ending *found = bsearch(&ending, t->endings, t->n, sizeof(*t->endings), compare_for_find);
        if (found)
            return found->type;
    }
    return SLICE_EMPTY;
}
