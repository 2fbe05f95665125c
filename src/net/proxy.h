/* SPDX-License-Identifier: MIT */
/* The dialogue with a proxy until the tunnel stands, as a machine without I/O: SOCKS 4 and 4a, SOCKS 5 (RFC 1928, with
 * RFC 1929's passwords) with the name resolved here or there, and HTTP CONNECT (RFC 9110 section 9.3.6, with Basic, RFC
 * 7617). An https proxy is HTTP CONNECT over a TLS stage of its own.
 *
 * The proxy gets to see its own credentials only. What it may send is bounded (PROXY_HEADER_MAX); bytes glued behind its
 * success are not touched: they belong to the tunnel. Loop thread only. */
#ifndef POSTERN_PROXY_H
#define POSTERN_PROXY_H

#include "endpoint.h"
#include "resolver.h"

#define PROXY_HEADER_MAX 16384

/* Does the name go to the proxy unresolved? */
static inline bool proxy_resolves(enum proxy_kind kind)
{
    return kind != PROXY_SOCKS4 && kind != PROXY_SOCKS5;
}
/* Is `host` one of those that are reached without the proxy: an entry is a host, a `.domain` suffix, or `*`. */
bool proxy_is_bypassed(char *const *no_proxy, const char *host);

struct proxy_stage;
/* `host` and `port`: where the tunnel leads. `address`: its resolved address for SOCKS 4 and 5; NULL where the proxy
 * resolves. Strings are copied. <0 with *fault (stage "proxy"). */
int proxy_stage_new(const struct proxy_config *config, const char *host, uint16_t port, const struct address *address,
                    struct proxy_stage **ret, struct fault *fault) ATTR_WARN_UNUSED;
void proxy_stage_free(struct proxy_stage *p);
/* Bytes for the proxy; valid until the next call. */
struct slice proxy_output(const struct proxy_stage *p);
void proxy_sent(struct proxy_stage *p, size_t len);
/* 1: the tunnel stands; 0: more is needed; <0: refused or not understood, *fault says why. *ret_used: bytes that were the
 * proxy's; after 1 the others are the tunnel's. */
int proxy_feed(struct proxy_stage *p, const char *bytes, size_t len, size_t *ret_used, struct fault *fault)
    ATTR_WARN_UNUSED;

#endif
