/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include "base64.h"
#include "buffer.h"
#include "http_auth.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define HTTP_REQUESTS_MAX 3    /* without a name, with it, and with a nonce that is not stale */
#define HTTP_BODY_MAX 65536    /* of a challenge: more is not read, a new connection is cheaper */
#define CNONCE_BYTES 16

enum proxy_state {
    PROXY_SOCKS4_REPLY,
    PROXY_SOCKS5_METHOD,
    PROXY_SOCKS5_AUTH,
    PROXY_SOCKS5_REPLY,
    PROXY_HTTP_HEADER,
    PROXY_HTTP_BODY, /* of a 407 */
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
    /* HTTP */
    enum proxy_method method;
    enum { SAID_NOTHING, SAID_BASIC, SAID_DIGEST } said; /* in the last request */
    unsigned requests;
    size_t header_bytes;
    unsigned status; /* 0: not yet read */
    bool closes;     /* this connection ends with the answer */
    bool sized;
    uint64_t body_left;
    struct http_challenges *challenges; /* of a 407 */
};

static bool proxy_is_http(enum proxy_kind kind)
{
    return kind == PROXY_HTTP || kind == PROXY_HTTPS;
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

/* --- HTTP: requests --- */

static int put_digest(struct proxy_stage *p, const char *target)
{
    unsigned char random[CNONCE_BYTES];
    char cnonce[2 * CNONCE_BYTES + 1] = "";
    struct http_digest_request q = {"CONNECT", target, p->username, p->password, cnonce, 1};
    if (RAND_bytes(random, sizeof(random)) != 1)
        return -EIO;
    hex_encode(random, sizeof(random), cnonce);
    return http_digest_answer(p->challenges, &q, &p->out);
}

/* A whole request: what stood in `out` has gone, or went to a connection that is over. */
static int http_request(struct proxy_stage *p)
{
    char target[HOST_NAME_LIMIT + 16];
    snprintf(target, sizeof(target), p->host_is_v6 ? "[%s]:%u" : "%s:%u", p->host, p->port);
    buffer_clear(&p->out);
    int r = buffer_printf(&p->out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target);
    if (r == 0 && p->said != SAID_NOTHING)
        r = put(p, "Proxy-Authorization: ", 21);
    if (r == 0 && p->said == SAID_BASIC)
        r = http_basic_answer(p->username, p->password, &p->out);
    else if (r == 0 && p->said == SAID_DIGEST)
        r = put_digest(p, target);
    if (r == 0 && p->said != SAID_NOTHING)
        r = put(p, "\r\n", 2);
    if (r == 0)
        r = put(p, "\r\n", 2);
    free(TAKE_PTR(p->challenges));
    buffer_clear(&p->in);
    p->state = PROXY_HTTP_HEADER;
    p->requests++;
    p->header_bytes = 0;
    p->status = 0;
    p->closes = p->sized = false;
    p->body_left = 0;
    return r;
}

/* A password for Basic is shown at once only to a proxy that has proved who it is, or where it is the method that is asked for. */
static int http_begin(struct proxy_stage *p)
{
    bool shows = p->method == PROXY_METHOD_BASIC || (p->method == PROXY_METHOD_AUTO && p->kind == PROXY_HTTPS);
    p->said = p->username && shows ? SAID_BASIC : SAID_NOTHING;
    return http_request(p);
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
    p->method = config->method;
    buffer_init(&p->in, proxy_is_http(config->kind) ? PROXY_HEADER_MAX : 512);
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
            !proxy_is_http(config->kind))
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
    free(p->challenges);
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

/* --- HTTP: answers --- */

/* "HTTP/1.1 200 Connection established" */
static int http_status(struct proxy_stage *p, struct slice line, struct fault *fault)
{
    uint64_t code = 0;
    if (!slice_starts(line, SLICE("HTTP/1.")) || line.len < 12 || line.data[8] != ' ' ||
        !slice_to_u64(slice_of(line.data + 9, 3), 999, &code) || code < 100 || (line.len > 12 && line.data[12] != ' '))
        return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "not an HTTP reply");
    p->status = (unsigned) code;
    p->closes = line.data[7] == '0';
    /* RFC 9110 section 15.2: what comes before the answer says nothing here, but for 101, which nobody asked for. */
    if (code < 300 && code != 101)
        return 0;
    struct slice text = slice_trim(slice_from(line, 12));
    if (code == 407 && p->username) {
        p->challenges = calloc(1, sizeof(*p->challenges));
        return p->challenges ? 0 : fault_set(fault, -ENOMEM, FAULT_INTERNAL, "proxy", "out of memory");
    }
    if (code == 407)
        return fault_set(fault, -EACCES, FAULT_PROXY, "proxy", "the proxy wants authentication");
    return fault_set(fault, -ECONNREFUSED, FAULT_PROXY, "proxy", "the proxy answered %u %.*s", (unsigned) code,
                     (int) MIN(text.len, 120U), text.data ? text.data : "");
}

/* Of a success no field says anything to us; of a 407 those that ask, and those that tell where it ends. */
static void http_field(struct proxy_stage *p, struct slice line)
{
    size_t colon = slice_find(line, ':');
    struct slice name = slice_to(line, colon), value = slice_trim(slice_from(line, colon + 1));
    if (!p->challenges || colon == line.len)
        return;
    if (slice_eq_ci(name, SLICE("Proxy-Authenticate")))
        http_challenges_add(p->challenges, value);
    else if (slice_eq_ci(name, SLICE("Content-Length")))
        p->sized = slice_to_u64(value, HTTP_BODY_MAX, &p->body_left);
    else if (slice_eq_ci(name, SLICE("Transfer-Encoding")))
        p->closes = true; /* not read: what cannot be measured is left behind */
    else if (slice_eq_ci(name, SLICE("Connection")) || slice_eq_ci(name, SLICE("Proxy-Connection")))
        p->closes = p->closes || slice_eq_ci(value, SLICE("close"));
}

/* The best of what is offered that has not been refused already. */
static int http_choose(struct proxy_stage *p, struct fault *fault)
{
    const struct http_challenges *c = p->challenges;
    bool may_digest = c->digest && p->method != PROXY_METHOD_BASIC && (p->said != SAID_DIGEST || c->stale);
    bool may_basic = c->basic && !c->digest && p->method != PROXY_METHOD_DIGEST && p->said == SAID_NOTHING;
    if (p->requests < HTTP_REQUESTS_MAX && (may_digest || may_basic)) {
        p->said = may_digest ? SAID_DIGEST : SAID_BASIC;
        return 0;
    }
    if (p->said != SAID_NOTHING)
        return fault_set(fault, -EACCES, FAULT_PROXY, "proxy", "the proxy refused the name or password");
    return fault_set(fault, -EACCES, FAULT_PROXY, "proxy", "the proxy asks for no authentication that may be used%s",
                     c->basic ? " (proxy_method)" : "");
}

static int http_repeat(struct proxy_stage *p, struct fault *fault)
{
    int r = http_request(p);
    if (r == -EINVAL || r == -ENOTSUP)
        return fault_set(fault, r, FAULT_PROXY, "proxy", r == -EINVAL ? "proxy_username cannot stand in a header"
                                                                      : "no hash for what the proxy asks for");
    return r < 0 ? fault_set(fault, r, FAULT_INTERNAL, "proxy", "the request cannot be made") : 0;
}

/* Behind the empty line: 1: it stands; 0: a body follows, or the next answer; PROXY_AGAIN. */
static int http_header_end(struct proxy_stage *p, struct fault *fault)
{
    if (p->status < 200) {
        p->status = 0;
        return 0;
    }
    if (!p->challenges) {
        p->state = PROXY_OPEN;
        return 1;
    }
    bool again = p->closes || !p->sized;
    int r = http_choose(p, fault);
    if (r == 0 && !again && p->body_left) {
        p->state = PROXY_HTTP_BODY;
        return 0;
    }
    if (r == 0)
        r = http_repeat(p, fault);
    return r == 0 && again ? PROXY_AGAIN : r;
}

/* A line without its end stands in `in`. */
static int http_line(struct proxy_stage *p, struct fault *fault)
{
    struct slice line = slice_trim(buffer_slice(&p->in));
    int r = 0;
    if (!p->status)
        r = http_status(p, line, fault);
    else if (line.len == 0)
        r = http_header_end(p, fault);
    else
        http_field(p, line);
    buffer_clear(&p->in);
    return r;
}

static int http_feed(struct proxy_stage *p, const char *bytes, size_t len, size_t *ret_used, struct fault *fault)
{
    for (size_t i = 0; i < len; i++) {
        unsigned requests = p->requests;
        int r = 0;
        *ret_used = i + 1;
        if (p->state == PROXY_HTTP_BODY) {
            r = --p->body_left ? 0 : http_repeat(p, fault);
        } else if (++p->header_bytes > PROXY_HEADER_MAX) {
            r = fault_set(fault, -EMSGSIZE, FAULT_PROXY, "proxy", "the proxy's header is over 16 kB");
        } else if (bytes[i] == '\n') {
            r = http_line(p, fault);
        } else if (buffer_append_char(&p->in, bytes[i]) < 0) {
            r = fault_set(fault, -ENOMEM, FAULT_INTERNAL, "proxy", "out of memory");
        }
        if (r != 0 || p->requests != requests)
            return r;
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
    r = proxy_is_http(p->kind) ? http_feed(p, bytes, len, ret_used, fault) : socks_feed(p, bytes, len, ret_used, fault);
    if (r < 0)
        p->state = PROXY_FAILED;
    return r;
}
