/* SPDX-License-Identifier: MIT */
#include "digest.h"

#include "hash.h"

void digest_text(uint64_t *h, struct slice s)
{
    uint64_t both[3] = {*h, hash_slice(s), s.data ? s.len + 1 : 0};
    *h = hash_bytes(both, sizeof(both));
}

void digest_number(uint64_t *h, uint64_t n)
{
    digest_text(h, slice_of(&n, sizeof(n)));
}

void digest_strings(uint64_t *h, const struct rpc_strings *s)
{
    digest_number(h, s->n);
    for (size_t i = 0; i < s->n; i++)
        digest_text(h, s->items[i]);
}

static void mix_addresses(uint64_t *h, const struct rpc_addresses *a)
{
    digest_number(h, a->n);
    for (size_t i = 0; i < a->n; i++) {
        digest_text(h, a->items[i].text);
        digest_text(h, a->items[i].name);
        digest_text(h, a->items[i].address);
    }
}

/* The bytes behind a descriptor are not known yet; that there is one is all that counts. */
void digest_content(uint64_t *h, const struct rpc_content *c)
{
    digest_number(h, c->kind);
    if (c->kind == RPC_CONTENT_BYTES)
        digest_text(h, c->bytes);
}

void digest_message(uint64_t *h, const struct api_message *m)
{
    const struct rpc_addresses *lists[] = {&m->from, &m->sender, &m->to, &m->cc, &m->bcc, &m->reply_to};
    const struct slice texts[] = {m->subject, m->text, m->html, m->date, m->message_id, m->calendar, m->calendar_method};
    const struct api_attachment *attachments = m->attachments.items;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        mix_addresses(h, lists[i]);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        digest_text(h, texts[i]);
    for (size_t i = 0; i < m->attachments.n; i++) {
        digest_content(h, &attachments[i].content);
        digest_text(h, attachments[i].filename);
        digest_text(h, attachments[i].content_type);
        digest_text(h, attachments[i].content_id);
        digest_number(h, (uint64_t) attachments[i].disposition);
    }
    for (size_t i = 0; i < m->headers.n; i++) {
        digest_text(h, m->headers.items[i].name);
        digest_strings(h, &m->headers.items[i].values);
    }
    digest_strings(h, &m->in_reply_to);
    digest_strings(h, &m->references);
    digest_strings(h, &m->list_unsubscribe);
    digest_number(h, m->one_click);
    digest_number(h, (uint64_t) m->priority);
}
