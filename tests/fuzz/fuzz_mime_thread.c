/* SPDX-License-Identifier: MIT */
/* Base subjects, collation keys, sorting and threads. Each line of the input is a message: subject, Message-ID and References, with
 * tabs between them. A base subject is no longer than its subject and stays UTF-8; each message is in each result once, within the memory
 * that was foretold. */
#include "fuzz.h"
#include "mime_subject.h"
#include "mime_thread.h"
#include "utf8.h"

#include <stdlib.h>

#define ITEMS_MAX 256
#define ARENA_MAX (64u << 20)
#define TEXT_MAX 65536

static void require(bool good)
{
    if (!good)
        abort();
}

static struct slice part(struct slice *rest, char end)
{
    size_t n = slice_find(*rest, end);
    struct slice taken = slice_to(*rest, n);
    *rest = slice_from(*rest, n < rest->len ? n + 1 : n);
    return taken;
}

static void take_subject(struct arena *a, struct slice subject, struct mime_thread_item *item)
{
    struct slice base, again;
    require(mime_base_subject(a, subject, &base, &item->reply) == 0);
    require(base.len <= subject.len);
    require(!utf8_is_valid(subject) || utf8_is_valid(base));
    require(mime_collation_key(a, base, &item->subject) == 0 && mime_collation_key(a, base, &again) == 0);
    require(mime_collate(item->subject, again) == 0);
}

static void take_item(struct arena *a, struct slice line, uint32_t number, struct mime_thread_item *item)
{
    *item = (struct mime_thread_item){.number = number, .order = number};
    take_subject(a, part(&line, '\t'), item);
    item->message_id = part(&line, '\t');
    item->date = (int64_t) line.len % 7;
    item->references = arena_calloc(a, line.len + 1, sizeof(*item->references));
    require(item->references != NULL);
    while (line.len) {
        struct slice id = part(&line, ' ');
        if (id.len)
            item->references[item->n_references++] = id;
    }
}

/* Numbers in parentheses that close, each of 1 to n once. */
static void check_threads(struct slice text, size_t n)
{
    bool seen[ITEMS_MAX + 1] = {false};
    size_t found = 0;
    int depth = 0;
    while (text.len) {
        char c = text.data[0];
        if (c >= '0' && c <= '9') {
            size_t number = 0;
            for (; text.len && text.data[0] >= '0' && text.data[0] <= '9'; text = slice_from(text, 1))
                number = number * 10 + (size_t) (text.data[0] - '0');
            require(depth > 0 && number >= 1 && number <= n && !seen[number]);
            seen[number] = true;
            found++;
            continue;
        }
        require(c == '(' || c == ')' || c == ' ');
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        require(depth >= 0);
        text = slice_from(text, 1);
    }
    require(depth == 0 && found == n);
}

static void check_order(const struct mime_thread_item *items, size_t n)
{
    bool seen[ITEMS_MAX + 1] = {false};
    for (size_t i = 0; i < n; i++) {
        require(!seen[items[i].number]);
        seen[items[i].number] = true;
        require(i == 0 || mime_collate(items[i - 1].subject, items[i].subject) <= 0);
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static const struct mime_sort_criterion by_subject[] = {{MIME_SORT_SUBJECT, false}, {MIME_SORT_DATE, true}};
    struct slice rest = slice_of((const char *) data, size);
    struct mime_thread_item *items = calloc(ITEMS_MAX, sizeof(*items));
    struct arena texts;
    size_t n = 0;
    require(items != NULL);
    if (size > TEXT_MAX)
        rest = slice_to(rest, TEXT_MAX);
    arena_init(&texts, ARENA_MAX);
    for (; rest.len && n < ITEMS_MAX; n++)
        take_item(&texts, part(&rest, '\n'), (uint32_t) n + 1, &items[n]);
    for (int algorithm = 0; algorithm < MIME_THREAD_ALGORITHM_COUNT; algorithm++) {
        struct arena a;
        struct buffer out;
        arena_init(&a, ARENA_MAX);
        buffer_init(&out, TEXT_MAX);
        require(mime_thread_items(&a, (enum mime_thread_algorithm) algorithm, items, n, &out) == 0);
        require(a.used <= mime_thread_memory(items, n));
        check_threads(buffer_slice(&out), n);
        buffer_done(&out);
        arena_done(&a);
    }
    mime_sort_items(items, n, by_subject, 2);
    check_order(items, n);
    arena_done(&texts);
    free(items);
    return 0;
}
