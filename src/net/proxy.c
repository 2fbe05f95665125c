/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include "base64.h"
#include "buffer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

enum proxy_state {
    PROXY_SOCKS4_REPLY,
    PROXY_SOCKS5_METHOD,
    PROXY_SOCKS5_AUTH,
    PROXY_SOCKS5_REPLY,
    PROXY_HTTP_HEADER,
    PROXY_OPEN,
    PROXY_FAILED,
};

struct proxy_stage {
    enum proxy_state state;
    enum proxy_kind kind;
    char host[HOST_NAME_LIMIT];
    bool host_is_v6;
    uint16_t port;
    struct address address; /* len 0: the proxy resolves */
    char *username;
    struct secret *password;
    struct buffer in, out;
    size_t header_bytes; /* HTTP */
    bool status_read;
    bool line_is_empty; /* no byte of the present header line has come, but perhaps CR */
};

bool proxy_is_bypassed(char *const *no_proxy, const char *host)
{
    struct slice name = slice_of_str(host);
    for (size_t i = 0; no_proxy && no_proxy[i]; i++) {
        struct slice entry = slice_of_str(no_proxy[i]);
        if (slice_eq(entry, SLICE("*")) || slice_eq_ci(entry, name))
            return true;
        if (entry.len > 1 && entry.data[0] == '.' && name.len + 1 >= entry.len) {
            /* `.example.com` covers example.com and everything below it. */
            struct slice tail = slice_from(name, name.len + 1 - entry.len);
            bool whole = name.len + 1 == entry.len;
            if (slice_eq_ci(tail, slice_from(entry, 1)) && (whole || tail.data[-1] == '.'))
                return true;
        }
    }
    return false;
}

static int put(struct proxy_stage *p, const void *data, size_t len)
{
    return buffer_append(&p->out, data, len);
}

static int put_port(struct proxy_stage *p)
{
    unsigned char port[2] = {(unsigned char) (p->port >> 8), (unsigned char) p->port};
    return put(p, port, 2);
}

static const void *ipv4(const struct proxy_stage *p)
{
    return &((const struct sockaddr_in *) &p->address.storage)->sin_addr;
}

/* SOCKS 4: version, command, port, address, user, NUL. 4a: an impossible address 0.0.0.1, and the name behind it. */
static int socks4_begin(struct proxy_stage *p)
{
    struct slice user = slice_of_str(p->username);
    bool with_name = p->address.len == 0;
    int r = put(p, "\4\1", 2);
    if (r == 0)
        r = put_port(p);
    if (r == 0)
        r = put(p, with_name ? "\0\0\0\1" : ipv4(p), 4);
    if (r == 0)
        r = put(p, user.data, user.len);
    if (r == 0)
        r = put(p, "", 1);
    if (r == 0 && with_name)
        r = put(p, p->host, strlen(p->host) + 1);
    p->state = PROXY_SOCKS4_REPLY;
    return r;
}

static int socks5_begin(struct proxy_stage *p)
{
    p->state = PROXY_SOCKS5_METHOD;
    return p->username ? put(p, "\5\2\0\2", 4) : put(p, "\5\1\0", 3);
}

/* RFC 1929 section 2. */
static int socks5_auth(struct proxy_stage *p)
{
    struct slice user = slice_of_str(p->username), password = secret_expose(p->password);
    int r = buffer_append_char(&p->out, 1);
    if (r == 0)
        r = buffer_append_char(&p->out, (char) (unsigned char) user.len);
    if (r == 0)
        r = buffer_append_slice(&p->out, user);
    if (r == 0)
        r = buffer_append_char(&p->out, (char) (unsigned char) password.len);
    if (r == 0)
        r = buffer_append_slice(&p->out, password);
    p->state = PROXY_SOCKS5_AUTH;
    return r;
}

/* RFC 1928 section 4: address type 1 (IPv4), 3 (name) or 4 (IPv6). */
static int socks5_connect(struct proxy_stage *p)
{
    int r = put(p, "\5\1\0", 3);
    if (r == 0 && p->address.len == 0) {
        r = buffer_append_char(&p->out, 3);
        if (r == 0)
            r = buffer_append_char(&p->out, (char) (unsigned char) strlen(p->host));
        if (r == 0)
            r = put(p, p->host, strlen(p->host));
    } else if (r == 0 && p->address.sa.sa_family == AF_INET) {
        r = buffer_append_char(&p->out, 1);
        if (r == 0)
            r = put(p, ipv4(p), 4);
    } else if (r == 0) {
        r = buffer_append_char(&p->out, 4);
        if (r == 0)
            r = put(p, &((const struct sockaddr_in6 *) &p->address.storage)->sin6_addr, 16);
    }
    if (r == 0)
        r = put_port(p);
    p->state = PROXY_SOCKS5_REPLY;
    return r;
}

/* "user:password" in base64, through buffers that are wiped. */
static int http_basic(struct proxy_stage *p)
{
    struct buffer plain;
    char *to;
    struct slice user = slice_of_str(p->username), password = secret_expose(p->password);

    buffer_init_secret(&plain, 8192);
    int r = buffer_append_slice(&plain, user);
    if (r == 0)
        r = buffer_append_char(&plain, ':');
    if (r == 0)
        r = buffer_append_slice(&plain, password);
    if (r == 0)
        r = put(p, "Proxy-Authorization: Basic ", 27);
    size_t n = base64_encoded_len(buffer_len(&plain));
    if (r == 0)
        r = buffer_reserve(&p->out, n, &to);
    if (r == 0) {
        base64_encode(buffer_slice(&plain).data, buffer_len(&plain), to);
        buffer_commit(&p->out, n);
        r = put(p, "\r\n", 2);
    }
    buffer_done(&plain);
    return r;
}

static int http_begin(struct proxy_stage *p)
{
    const char *open = p->host_is_v6 ? "[" : "", *close = p->host_is_v6 ? "]" : "";
    int r = buffer_printf(&p->out, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", open, p->host, close, p->port,
                          open, p->host, close, p->port);
    if (r == 0 && p->username)
        r = http_basic(p);
    if (r == 0)
        r = put(p, "\r\n", 2);
    p->state = PROXY_HTTP_HEADER;
    return r;
}

static int begin(struct proxy_stage *p, struct fault *fault)
{
    int r = 0;
    if (p->kind == PROXY_SOCKS4 && p->address.sa.sa_family != AF_INET)
        return fault_set(fault, -EAFNOSUPPORT, FAULT_PROXY, "proxy", "SOCKS 4 cannot reach IPv6 addresses");
    switch (p->kind) {
    case PROXY_NONE:
        break;
    case PROXY_SOCKS4:
    case PROXY_SOCKS4A:
        r = socks4_begin(p);
        break;
    case PROXY_SOCKS5:
    case PROXY_SOCKS5H:
        r = socks5_begin(p);
        break;
    case PROXY_HTTP:
    case PROXY_HTTPS:
        r = http_begin(p);
        break;
    }
    return r < 0 ? fault_set(fault, r, FAULT_INTERNAL, "proxy", "out of memory") : 0;
}

int proxy_stage_new(const struct proxy_config *config, const char *host, uint16_t port, const struct address *address,
                    struct proxy_stage **ret, struct fault *fault)
{
    struct slice user = slice_of_str(config->username), password = secret_expose(config->password);
    bool socks5 = config->kind == PROXY_SOCKS5 || config->kind == PROXY_SOCKS5H;
    if (socks5 && (user.len > 255 || password.len > 255))
        return fault_set(fault, -EINVAL, FAULT_PROXY, "proxy", "SOCKS 5 takes names and passwords of at most 255 bytes");

    struct proxy_stage *p = calloc(1, sizeof(*p));
    if (!p)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "proxy", "out of memory");
    struct address literal;
    p->kind = config->kind;
    p->port = port;
    p->line_is_empty = true;
    buffer_init(&p->in, 512);
    buffer_init_secret(&p->out, PROXY_HEADER_MAX);
    if (address)
        p->address = *address;
    p->password = secret_ref(config->password);
    p->username = config->username ? strdup(config->username) : NULL;
    int r = host_to_ascii(host, p->host);
    if (r < 0)
        r = fault_set(fault, r, FAULT_PROXY, "proxy", "%s: not the name of a host", host);
    else if (config->username && !p->username)
        r = fault_set(fault, -ENOMEM, FAULT_INTERNAL, "proxy", "out of memory");
    if (r == 0) {
        bool is_literal = address_from_literal(p->host, &literal);
        p->host_is_v6 = is_literal && literal.sa.sa_family == AF_INET6;
        /* A literal goes as an address: not every SOCKS proxy takes one as a name. */
        if (is_literal && p->address.len == 0 && (socks5 || literal.sa.sa_family == AF_INET) &&
            config->kind != PROXY_HTTP && config->kind != PROXY_HTTPS)
            p->address = literal;
        r = begin(p, fault);
    }
    if (r < 0) {
        proxy_stage_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void proxy_stage_free(struct proxy_stage *p)
{
    if (!p)
        return;
    buffer_done(&p->in);
    buffer_done(&p->out);
    secret_unref(p->password);
    free(p->username);
    free(p);
}

struct slice proxy_output(const struct proxy_stage *p)
{
    return buffer_slice(&p->out);
}

void proxy_sent(struct proxy_stage *p, size_t len)
{
    buffer_consume(&p->out, len);
}

static const char *socks4_refusal(unsigned char code)
{
    return code == 91 ? "request rejected or failed" : code == 92 ? "the proxy cannot reach identd here"
         : code == 93 ? "identd reports another user" : "not a SOCKS 4 reply";
}

static const char *socks5_refusal(unsigned char code)
{
    static const char *const texts[] = {"", "general failure", "not allowed by the proxy's rules",
        "network unreachable", "host unreachable", "connection refused", "time to live expired",
        "command not supported", "address type not supported"};
    return code > 0 && code < ARRAY_LEN(texts) ? texts[code] : "unknown failure";
}

/* One step: 1: `state` moved on, 0: more bytes are needed. The reply stands in p->in from its first byte. */
static int socks_step(struct proxy_stage *p, struct fault *fault)
{
    struct slice in = buffer_slice(&p->in);
    const unsigned char *b = (const unsigned char *) in.data;
    size_t need = p->state == PROXY_SOCKS4_REPLY ? 8 : 2;
    int r = 0;

    if (in.len < need)
        return 0;
    if (p->state == PROXY_SOCKS4_REPLY) {
        if (b[0] != 0 || b[1] != 90)
            return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "%s", socks4_refusal(b[0] == 0 ? b[1] : 0));
        p->state = PROXY_OPEN;
    } else if (p->state == PROXY_SOCKS5_METHOD) {
        if (b[0] != 5)
            return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "not a SOCKS 5 reply");
        if (b[1] == 0)
            r = socks5_connect(p);
        else if (b[1] == 2 && p->username)
            r = socks5_auth(p);
        else
            return fault_set(fault, -EACCES, FAULT_PROXY, "proxy", "the proxy wants another authentication");
    } else if (p->state == PROXY_SOCKS5_AUTH) {
        if (b[0] != 1 || b[1] != 0)
            return fault_set(fault, -EACCES, FAULT_PROXY, "proxy", "the proxy refused the name or password");
        r = socks5_connect(p);
    } else {
        /* VER REP RSV ATYP, an address of that type, a port. */
        if (b[0] != 5)
            return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "not a SOCKS 5 reply");
        if (b[1] != 0)
            return fault_set(fault, -ECONNREFUSED, FAULT_PROXY, "proxy", "%s", socks5_refusal(b[1]));
        if (in.len < 5)
            return 0;
        if (b[3] != 1 && b[3] != 3 && b[3] != 4)
            return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "not a SOCKS 5 reply");
        need = 6U + (b[3] == 1 ? 4U : b[3] == 4 ? 16U : 1U + b[4]);
        if (in.len < need)
            return 0;
        p->state = PROXY_OPEN;
    }
    if (r < 0)
        return fault_set(fault, r, FAULT_INTERNAL, "proxy", "out of memory");
    buffer_consume(&p->in, need);
    return 1;
}

/* SOCKS replies are short and of known length: byte by byte keeps what is glued behind them out of the buffer. */
static int socks_feed(struct proxy_stage *p, const char *bytes, size_t len, size_t *ret_used, struct fault *fault)
{
    for (size_t i = 0; i < len; i++) {
        int r = buffer_append_char(&p->in, bytes[i]);
        if (r < 0)
            return fault_set(fault, r, FAULT_PROXY, "proxy", "the proxy's reply is too long");
        *ret_used = i + 1;
        r = socks_step(p, fault);
        if (r < 0)
            return r;
        if (p->state == PROXY_OPEN)
            return 1;
    }
    return 0;
}

/* "HTTP/1.1 200 Connection established": only the first line says anything to us. */
static int http_status(struct proxy_stage *p, struct fault *fault)
{
    struct slice line = slice_trim(buffer_slice(&p->in));
    uint64_t code = 0;
    if (!slice_starts(line, SLICE("HTTP/1.")) || line.len < 12 || line.data[8] != ' ' ||
        !slice_to_u64(slice_of(line.data + 9, 3), 999, &code) || (line.len > 12 && line.data[12] != ' '))
        return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "not an HTTP reply");
    if (code >= 200 && code < 300)
        return 0;
    struct slice text = slice_trim(slice_from(line, 12));
    if (code == 407)
        return fault_set(fault, -EACCES, FAULT_PROXY, "proxy", p->username ? "the proxy refused the name or password"
                                                                           : "the proxy wants authentication");
    return fault_set(fault, -ECONNREFUSED, FAULT_PROXY, "proxy", "the proxy answered %u %.*s", (unsigned) code,
                     (int) MIN(text.len, 120U), text.data ? text.data : "");
}

/* Ends behind the empty line. The status line is kept as far as it fits, the other fields are counted and forgotten. */
static int http_feed(struct proxy_stage *p, const char *bytes, size_t len, size_t *ret_used, struct fault *fault)
{
    for (size_t i = 0; i < len; i++) {
        char c = bytes[i];
        *ret_used = i + 1;
        if (++p->header_bytes > PROXY_HEADER_MAX)
            return fault_set(fault, -EMSGSIZE, FAULT_PROXY, "proxy", "the proxy's header is over 16 kB");
        if (!p->status_read && buffer_room(&p->in) && buffer_append_char(&p->in, c) < 0)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "proxy", "out of memory");
        if (c == '\n') {
            int r = p->status_read ? 0 : http_status(p, fault);
            if (r < 0)
                return r;
            if (p->status_read && p->line_is_empty) {
                p->state = PROXY_OPEN;
                return 1;
            }
            p->status_read = true;
            p->line_is_empty = true;
        } else if (c != '\r') {
            p->line_is_empty = false;
        }
    }
    return 0;
}

int proxy_feed(struct proxy_stage *p, const char *bytes, size_t len, size_t *ret_used, struct fault *fault)
{
    int r;
    *ret_used = 0;
    if (p->state == PROXY_OPEN)
        return 1;
    if (p->state == PROXY_FAILED)
        return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "the proxy has failed before");
    r = p->state == PROXY_HTTP_HEADER ? http_feed(p, bytes, len, ret_used, fault)
                                      : socks_feed(p, bytes, len, ret_used, fault);
    if (r < 0)
        p->state = PROXY_FAILED;
    return r;
}
