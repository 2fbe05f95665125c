/* SPDX-License-Identifier: MIT */
/* Who is reached without the proxy. Names are compared as names: a look-up here would tell the local resolver what only
 * the proxy should hear. */
#include "proxy.h"

#include <netinet/in.h>

/* entry = host [ ":" port ]; host = "*" / name / "." suffix / "*." suffix / address [ "/" bits ], an IPv6 address with
 * a port in brackets. */
struct entry {
    struct slice host;
    bool any, suffix, is_address;
    struct address address;
    unsigned bits;
    uint64_t port; /* 0: every one */
};

static unsigned address_bits(const struct address *a)
{
    return a->sa.sa_family == AF_INET6 ? 128 : 32;
}

static const unsigned char *address_bytes(const struct address *a)
{
    return a->sa.sa_family == AF_INET6
               ? (const unsigned char *) &((const struct sockaddr_in6 *) &a->storage)->sin6_addr
               : (const unsigned char *) &((const struct sockaddr_in *) &a->storage)->sin_addr;
}

static bool read_literal(struct slice text, struct address *ret)
{
    char copy[64];
    if (text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return address_from_literal(copy, ret);
}

/* The port behind the last colon, where that is the only one or stands behind a bracket. */
static bool take_port(struct slice *text, uint64_t *ret)
{
    size_t first = slice_find(*text, ':'), colon = text->len;
    if (text->len && text->data[0] == '[') {
        colon = slice_find(*text, ']') + 1;
        if (colon >= text->len)
            return true; /* none, or no bracket: then it is no address either */
        if (text->data[colon] == '/')
            return true;
    } else if (first < text->len && slice_find(slice_from(*text, first + 1), ':') == text->len - first - 1) {
        colon = first;
    }
    if (colon >= text->len)
        return true;
    if (text->data[colon] != ':' || !slice_to_u64(slice_from(*text, colon + 1), 65535, ret) || *ret == 0)
        return false;
    *text = slice_to(*text, colon);
    return true;
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] <= ' ' || strchr("*/:[]@,", s.data[i]))
            return false;
    return s.len > 0 && s.len < HOST_NAME_LIMIT;
}

static bool read_entry(const char *text, struct entry *e)
{
    uint64_t bits;
    *e = (struct entry){.host = slice_of_str(text)};
    size_t slash = slice_find(e->host, '/');
    if (slash < e->host.len) {
        /* A network may be followed by a port, too: 10.0.0.0/8:25. */
        struct slice tail = slice_from(e->host, slash + 1);
        size_t colon = slice_find(tail, ':');
        if (colon < tail.len && (!slice_to_u64(slice_from(tail, colon + 1), 65535, &e->port) || e->port == 0))
            return false;
        e->host = slice_to(e->host, slash);
        e->is_address = read_literal(e->host, &e->address);
        if (!e->is_address || !slice_to_u64(slice_to(tail, colon), address_bits(&e->address), &bits))
            return false;
        e->bits = (unsigned) bits;
        return true;
    }
    if (!take_port(&e->host, &e->port))
        return false;
    e->any = slice_eq(e->host, SLICE("*"));
    e->is_address = !e->any && read_literal(e->host, &e->address);
    if (e->is_address)
        e->bits = address_bits(&e->address);
    if (e->any || e->is_address)
        return true;
    if (slice_starts(e->host, SLICE("*.")))
        e->host = slice_from(e->host, 1);
    if (e->host.len && e->host.data[0] == '.') {
        e->suffix = true;
        e->host = slice_from(e->host, 1);
    }
    return is_name(e->host);
}

static bool covers(const struct entry *e, const struct address *a)
{
    const unsigned char *x = address_bytes(&e->address), *y = address_bytes(a);
    unsigned whole = e->bits / 8, rest = e->bits % 8;
    if (e->address.sa.sa_family != a->sa.sa_family || memcmp(x, y, whole) != 0)
        return false;
    return rest == 0 || ((x[whole] ^ y[whole]) >> (8 - rest)) == 0;
}

/* `.example.com` covers example.com and everything below it. */
static bool name_matches(const struct entry *e, struct slice name)
{
    if (slice_eq_ci(e->host, name))
        return true;
    if (!e->suffix || name.len <= e->host.len)
        return false;
    struct slice tail = slice_from(name, name.len - e->host.len);
    return tail.data[-1] == '.' && slice_eq_ci(tail, e->host);
}

bool proxy_bypass_is_valid(const char *entry)
{
    struct entry e;
    return read_entry(entry, &e);
}

bool proxy_is_bypassed(char *const *no_proxy, const char *host, uint16_t port)
{
    struct address address;
    struct slice name = slice_of_str(host);
    bool is_address = address_from_literal(host, &address);
    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    for (size_t i = 0; no_proxy && no_proxy[i]; i++) {
        struct entry e;
        if (!read_entry(no_proxy[i], &e) || (e.port && e.port != port))
            continue;
        if (e.any || (e.is_address ? is_address && covers(&e, &address) : !is_address && name_matches(&e, name)))
            return true;
    }
    return false;
}
