/* SPDX-License-Identifier: MIT */
/* Header fields that tell readers' programs what to do with a message. */
#include "mime_compose_private.h"

#include <errno.h>
#include <stdio.h>

#define URI_MAX 900 /* with "<", ">" and "," it stands on one line */

/* scheme ":", and nothing that would end it in a header (RFC 3986, RFC 2369) */
static bool is_uri(struct slice s)
{
    size_t colon = slice_find(s, ':');
    if (colon == 0 || colon >= s.len || s.len > URI_MAX || !ascii_is_alpha(s.data[0]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] <= ' ' || (unsigned char) s.data[i] > '~' || memchr("<>\"\\", s.data[i], 4))
            return false;
    for (size_t i = 0; i < colon; i++)
        if (!ascii_is_alpha(s.data[i]) && !ascii_is_digit(s.data[i]) && !memchr("+-.", s.data[i], 3))
            return false;
    return true;
}

static int put_unsubscribe(struct compose_header *h)
{
    const struct mime_outline *o = h->o;
    bool https = false;
    int r = mime_fold_begin(&h->fold, "List-Unsubscribe");
    for (size_t i = 0; i < o->n_unsubscribe && r == 0; i++) {
        char token[URI_MAX + 4];
        struct slice uri = o->unsubscribe[i];
        if (!is_uri(uri))
            return compose_refuse(h, "list_unsubscribe", "that is no URI");
        https |= slice_starts_ci(uri, SLICE("https:"));
        int len = snprintf(token, sizeof(token), "<%.*s>%s", (int) uri.len, uri.data, i + 1 < o->n_unsubscribe ? "," : "");
        r = mime_fold_token(&h->fold, slice_of(token, (size_t) len));
    }
    if (r == 0)
        r = mime_fold_end(&h->fold);
    if (r < 0 || !o->one_click)
        return r;
    if (!https)
        return compose_refuse(h, "one_click", "one of list_unsubscribe is an https URI then");
    return compose_put_plain(h, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
}

/* Importance is RFC 2156's; X-Priority is what most programs look at. */
static int put_priority(struct compose_header *h)
{
    static const char *const importance[] = {[MIME_PRIORITY_HIGH] = "high", [MIME_PRIORITY_NORMAL] = "normal", [MIME_PRIORITY_LOW] = "low"};
    static const char *const number[] = {[MIME_PRIORITY_HIGH] = "1", [MIME_PRIORITY_NORMAL] = "3", [MIME_PRIORITY_LOW] = "5"};
    if (h->o->priority == MIME_PRIORITY_NONE)
        return 0;
    int r = compose_put_plain(h, "Importance", importance[h->o->priority]);
    return r == 0 ? compose_put_plain(h, "X-Priority", number[h->o->priority]) : r;
}

int compose_put_wishes(struct compose_header *h)
{
    int r = 0;
    if (h->o->n_unsubscribe)
        r = put_unsubscribe(h);
    else if (h->o->one_click)
        r = compose_refuse(h, "one_click", "there is no list_unsubscribe");
    return r == 0 ? put_priority(h) : r;
}

bool compose_is_wish(const struct mime_outline *o, struct slice name)
{
    if (o->n_unsubscribe && slice_eq_ci(name, SLICE("list-unsubscribe")))
        return true;
    if (o->one_click && slice_eq_ci(name, SLICE("list-unsubscribe-post")))
        return true;
    return o->priority != MIME_PRIORITY_NONE && (slice_eq_ci(name, SLICE("importance")) || slice_eq_ci(name, SLICE("x-priority")));
}
