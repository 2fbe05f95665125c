/* SPDX-License-Identifier: MIT */
/* The dialogue with a proxy until the tunnel stands, as a machine without I/O: SOCKS 4 and 4a, SOCKS 5 (RFC 1928, with
 * RFC 1929's passwords) with the name resolved here or there, and HTTP CONNECT (RFC 9110 section 9.3.6, with Basic and
 * Digest: http_auth.h). An https proxy is HTTP CONNECT over a TLS stage of its own.
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
/* Is `host` one of those that are reached without the proxy? An entry is a name, a `.domain` suffix, an address, a
 * network such as 10.0.0.0/8 (for hosts that are given as addresses: no name is looked up here), or `*`, each perhaps
 * with `:port`. */
bool proxy_is_bypassed(char *const *no_proxy, const char *host, uint16_t port);
bool proxy_bypass_is_valid(const char *entry);

struct proxy_stage;
/* `host` and `port`: where the tunnel leads. `address`: its resolved address for SOCKS 4 and 5; NULL where the proxy
 * resolves. Strings are copied. <0 with *fault (stage "proxy"). */
int proxy_stage_new(const struct proxy_config *config, const char *host, uint16_t port, const struct address *address,
                    struct proxy_stage **ret, struct fault *fault) ATTR_WARN_UNUSED;
void proxy_stage_free(struct proxy_stage *p);
/* Bytes for the proxy; valid until the next call. */
struct slice proxy_output(const struct proxy_stage *p);
void proxy_sent(struct proxy_stage *p, size_t len);
#define PROXY_AGAIN 2
/* 1: the tunnel stands; 0: more is needed; PROXY_AGAIN: the proxy ends this connection, and wants to hear proxy_output()
 * on another one; <0: refused or not understood, *fault says why. *ret_used: bytes that were the proxy's; after 1 the
 * others are the tunnel's, after 0 they came before the request in proxy_output() that they seem to answer. */
int proxy_feed(struct proxy_stage *p, const char *bytes, size_t len, size_t *ret_used, struct fault *fault)
    ATTR_WARN_UNUSED;

#endif
