/* SPDX-License-Identifier: MIT */
/* What a proxy says, of each kind, with and without a password. The first byte chooses the kind and how the rest is cut:
 * however it is cut, the dialogue ends in the same way at the same byte, and never takes a byte behind its end. */
#include "fuzz.h"
#include "proxy.h"
#include "secret.h"

#include <stdlib.h>

struct ending {
    int result;
    size_t used;    /* bytes that were the proxy's */
    size_t said;    /* bytes for the proxy */
    enum fault_kind kind;
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void drain(struct proxy_stage *p, struct ending *e)
{
    struct slice out = proxy_output(p);
    e->said += out.len;
    proxy_sent(p, out.len);
    check(proxy_output(p).len == 0);
}

static struct ending talk(const struct proxy_config *config, const char *bytes, size_t len, size_t step)
{
    struct ending e = {0};
    struct fault fault = {0};
    struct proxy_stage *p = NULL;
    struct address address;

    check(address_from_literal("192.0.2.1", &address));
    e.result = proxy_stage_new(config, "mail.example.com", 993, proxy_resolves(config->kind) ? NULL : &address, &p, &fault);
    check(e.result >= 0 && p);
    drain(p, &e);
    while (e.result == 0 && e.used < len) {
        size_t n = len - e.used < step ? len - e.used : step, used = SIZE_MAX;
        e.result = proxy_feed(p, bytes + e.used, n, &used, &fault);
        if (e.result < 0)
            break;
        check(used <= n && (e.result >= 1 || used > 0));
        e.used += used;
        drain(p, &e);
    }
    if (e.result < 0) {
        e.kind = fault.kind;
        e.used = 0;
        e.said = 0;
        check(fault.text[0] != 0);
    }
    proxy_stage_free(p);
    fault_clear(&fault);
    return e;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    static const enum proxy_kind kinds[] = {PROXY_SOCKS4, PROXY_SOCKS4A, PROXY_SOCKS5, PROXY_SOCKS5H, PROXY_HTTP, PROXY_HTTPS};
    struct proxy_config config = {0};
    char user[] = "me";

    if (size == 0)
        return 0;
    config.kind = kinds[data[0] % 6];
    if (data[0] & 0x40) {
        config.method = data[0] & 0x80 ? PROXY_METHOD_DIGEST : PROXY_METHOD_AUTO;
        config.username = user;
        config.password = secret_new("secret", 6);
        check(config.password != NULL);
    }
    const char *bytes = (const char *) data + 1;
    struct ending whole = talk(&config, bytes, size - 1, size);
    struct ending cut = talk(&config, bytes, size - 1, 1 + (data[0] >> 3 & 7));
    check(whole.result == cut.result && whole.used == cut.used && whole.said == cut.said && whole.kind == cut.kind);
    secret_unref(config.password);
    return 0;
}
