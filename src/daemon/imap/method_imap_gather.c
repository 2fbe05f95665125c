/* SPDX-License-Identifier: MIT */
#include "method_imap_gather.h"

#include "imap_fetch.h"
#include "mime_header.h"
#include "mime_subject.h"

#include <errno.h>
#include <stdlib.h>

#define KEY(name) (1u << MIME_SORT_##name)
#define OF_ENVELOPE                                                                                                    \
    (KEY(CC) | KEY(DATE) | KEY(FROM) | KEY(SUBJECT) | KEY(TO) | KEY(DISPLAYFROM) | KEY(DISPLAYTO))
#define REFERENCES_MAX 200u /* of one message: the last, which are the nearest */
#define PASSING_MAX (4u * 1024 * 1024)
#define SECTION_MAX 65536u /* of References, where it comes in pieces */

void gather_init(struct gather *g)
{
    arena_init(&g->arena, GATHER_BYTES_MAX);
    arena_init(&g->passing, PASSING_MAX);
    buffer_init(&g->scratch, 1024 * 1024);
    buffer_init(&g->section, SECTION_MAX);
    mime_decoder_init(&g->decoder, &g->passing, NULL);
}

void gather_done(struct gather *g)
{
    gather_clear(g);
    mime_decoder_done(&g->decoder);
    arena_done(&g->passing);
    buffer_done(&g->scratch);
    buffer_done(&g->section);
}

void gather_clear(struct gather *g)
{
    arena_done(&g->arena);
    arena_init(&g->arena, GATHER_BYTES_MAX);
    free(g->items);
    g->items = NULL;
    g->n = g->room = 0;
    g->under_way = false;
}

size_t gather_memory(const struct gather *g)
{
    return g->arena.used + g->passing.used + g->room * sizeof(*g->items) + g->scratch.cap + g->section.cap;
}

size_t gather_items(const struct gather *g, struct slice items[6])
{
    size_t n = 0;
    items[n++] = SLICE("UID");
    if ((g->keys & OF_ENVELOPE) || g->threads)
        items[n++] = SLICE("ENVELOPE");
    if ((g->keys & (KEY(ARRIVAL) | KEY(DATE))) || g->threads)
        items[n++] = SLICE("INTERNALDATE");
    if (g->keys & KEY(SIZE))
        items[n++] = SLICE("RFC822.SIZE");
    if (g->threads)
        items[n++] = SLICE("BODY.PEEK[HEADER.FIELDS (REFERENCES)]");
    return n;
}

/* --- values --- */

/* The bytes of a value; valid until the next one. */
static int text_of(struct gather *g, const struct imap_value *v, struct slice *ret)
{
    buffer_clear(&g->scratch);
    return imap_value_text(v, &g->scratch, ret);
}

static int key_of(struct gather *g, struct slice text, struct slice *ret)
{
    struct slice key;
    int r = mime_collation_key(&g->passing, text, &key);
    return r < 0 ? r : arena_dup_slice(&g->arena, key, ret);
}

static int take_subject(struct gather *g, const struct imap_value *v, struct mime_thread_item *item)
{
    struct slice text, base;
    int r = text_of(g, v, &text);
    if (r == 0)
        r = mime_decode_text(&g->decoder, text, &text);
    if (r == 0)
        r = mime_base_subject(&g->passing, text, &base, &item->reply);
    return r < 0 ? r : key_of(g, base, &item->subject);
}

/* RFC 5256: the mailbox of the first address; RFC 5957: its name, or where it has none the address. */
static int take_address(struct gather *g, const struct imap_value *list, struct slice *ret_mailbox, struct slice *ret_display)
{
    struct imap_address a;
    struct slice rest = list->type == IMAP_LIST ? list->bytes : SLICE_EMPTY, mailbox, host, name = SLICE_EMPTY;
    int got = imap_address_next(&rest, &a), r;
    if (got <= 0)
        return 0;
    r = text_of(g, &a.mailbox, &mailbox);
    if (r == 0)
        r = arena_dup_slice(&g->passing, mailbox, &mailbox);
    if (r == 0 && ret_mailbox)
        r = key_of(g, mailbox, ret_mailbox);
    if (r < 0 || !ret_display)
        return r;
    r = text_of(g, &a.name, &name);
    if (r == 0 && name.len)
        r = mime_decode_text(&g->decoder, name, &name);
    if (r < 0 || name.len)
        return r < 0 ? r : key_of(g, name, ret_display);
    r = text_of(g, &a.host, &host);
    if (r < 0)
        return r;
    char *address = arena_printf(&g->passing, "%.*s%s%.*s", (int) mailbox.len, mailbox.len ? mailbox.data : "", host.len ? "@" : "",
                                 (int) host.len, host.len ? host.data : "");
    return address ? key_of(g, slice_of_str(address), ret_display) : -ENOMEM;
}

/* Ids of a header field's value, the last REFERENCES_MAX of them. */
static int take_ids(struct gather *g, struct slice text, struct slice **ret, size_t *ret_n)
{
    struct slice *ids = NULL;
    size_t n = 0;
    int r = text.len ? mime_parse_message_ids(&g->decoder, text, &ids, &n) : 0;
    size_t skip = n > REFERENCES_MAX ? n - REFERENCES_MAX : 0;
    if (r < 0 || n == 0)
        return r;
    *ret = arena_calloc(&g->arena, n - skip, sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    for (size_t i = skip; i < n && r == 0; i++)
        r = arena_dup_slice(&g->arena, ids[i], &(*ret)[i - skip]);
    *ret_n = r < 0 ? 0 : n - skip;
    return r;
}

static int take_thread_ids(struct gather *g, const struct imap_envelope *env, struct mime_thread_item *item)
{
    struct slice text, *ids = NULL;
    size_t n = 0;
    int r = text_of(g, &env->message_id, &text);
    if (r == 0)
        r = take_ids(g, text, &ids, &n);
    if (r == 0 && n)
        item->message_id = ids[0];
    if (r < 0 || item->n_references)
        return r;
    r = text_of(g, &env->in_reply_to, &text);
    if (r == 0)
        r = take_ids(g, text, &item->references, &item->n_references);
    item->n_references = MIN(item->n_references, (size_t) 1);
    return r;
}

static int take_envelope(struct gather *g, const struct imap_value *v, struct mime_thread_item *item, bool *ret_dated)
{
    struct imap_envelope env;
    struct mime_date date;
    struct slice text;
    int r = imap_envelope_parse(v, &env);
    if (r < 0)
        return 0; /* a message without one is sorted as if all of it were empty */
    r = text_of(g, &env.date, &text);
    if (r == 0 && text.len && mime_parse_date(text, &date)) {
        item->date = mime_date_to_unix(&date);
        *ret_dated = true;
    }
    if (r == 0 && ((g->keys & KEY(SUBJECT)) || g->threads))
        r = take_subject(g, &env.subject, item);
    if (r == 0 && (g->keys & (KEY(FROM) | KEY(DISPLAYFROM))))
        r = take_address(g, &env.from, &item->from, &item->display_from);
    if (r == 0 && (g->keys & (KEY(TO) | KEY(DISPLAYTO))))
        r = take_address(g, &env.to, &item->to, &item->display_to);
    if (r == 0 && (g->keys & KEY(CC)))
        r = take_address(g, &env.cc, &item->cc, NULL);
    return r < 0 || !g->threads ? r : take_thread_ids(g, &env, item);
}

static int take_references(struct gather *g, struct slice header, struct mime_thread_item *item)
{
    struct mime_field field;
    struct slice *ids = NULL;
    size_t n = 0;
    if (!mime_field_next(&header, &field))
        return 0;
    int r = take_ids(g, field.value, &ids, &n);
    if (n) {
        item->references = ids;
        item->n_references = n;
    }
    return r;
}

/* --- messages --- */

static int make_room(struct gather *g)
{
    if (g->n < g->room)
        return 0;
    if (g->n >= GATHER_MESSAGES_MAX)
        return -E2BIG;
    size_t room = g->room ? g->room * 2 : 64;
    struct mime_thread_item *items = realloc(g->items, room * sizeof(*items));
    if (!items)
        return -ENOMEM;
    g->items = items;
    g->room = room;
    return 0;
}

static int take_item(struct gather *g, const struct imap_fetch_item *item, struct mime_thread_item *m)
{
    struct mime_date date;
    struct slice text;
    uint64_t n;
    int r = 0;
    if (item->kind == IMAP_ITEM_ENVELOPE)
        return take_envelope(g, &item->value, m, &g->dated);
    if (item->kind == IMAP_ITEM_INTERNALDATE && imap_value_is_string(&item->value) && mime_parse_date(item->value.bytes, &date))
        m->arrival = mime_date_to_unix(&date);
    else if (item->kind == IMAP_ITEM_SIZE && imap_value_number(&item->value, INT64_MAX, &n))
        m->size = n;
    else if (item->kind == IMAP_ITEM_SECTION && !item->streamed && (r = text_of(g, &item->value, &text)) == 0)
        r = take_references(g, text, m);
    return r;
}

static int begin(struct gather *g)
{
    int r = make_room(g);
    if (r < 0)
        return r;
    g->items[g->n] = (struct mime_thread_item){.number = 0};
    g->under_way = true;
    g->dated = false;
    buffer_clear(&g->section);
    arena_done(&g->passing);
    return 0;
}

int gather_take(struct gather *g, const struct imap_event *e)
{
    struct slice rest = e->fetch.items;
    struct imap_fetch_item item;
    int r = e->fetch.first ? begin(g) : 0;
    if (r < 0 || !g->under_way)
        return r;
    struct mime_thread_item *m = &g->items[g->n];
    if (!e->fetch.first && buffer_len(&g->section))
        r = take_references(g, buffer_slice(&g->section), m);
    buffer_clear(&g->section);
    while (r == 0 && imap_fetch_next(&rest, &item) > 0)
        r = take_item(g, &item, m);
    if (r < 0) /* beyond the arena's size there is too much of it; memory that is out looks the same */
        return r == -ENOMEM ? -E2BIG : r;
    if (!e->fetch.last)
        return 0;
    g->under_way = false;
    if (!e->fetch.uid || e->fetch.discard)
        return 0;
    m->number = g->numbers ? e->fetch.number : e->fetch.uid;
    m->order = e->fetch.uid;
    if (!g->dated)
        m->date = m->arrival;
    g->n++;
    return 0;
}

int gather_piece(struct gather *g, struct slice piece)
{
    struct slice fits = slice_to(piece, buffer_room(&g->section));
    return g->under_way && fits.len ? buffer_append_slice(&g->section, fits) : 0;
}
