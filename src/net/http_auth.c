/* SPDX-License-Identifier: MIT */
#include "http_auth.h"

#include "base64.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

/* The weakest first. `digest`: OpenSSL's name. */
static const struct {
    const char *name, *digest;
    bool session;
} algorithms[] = {
    {"MD5", "MD5", false},          {"MD5-sess", "MD5", true},
    {"SHA-256", "SHA2-256", false}, {"SHA-256-sess", "SHA2-256", true},
    {"SHA-512-256", "SHA2-512/256", false}, {"SHA-512-256-sess", "SHA2-512/256", true},
};

/* --- challenges --- */

/* tchar of RFC 9110 section 5.6.2 */
static bool is_tchar(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip(struct slice *s, bool commas)
{
    while (s->len && (is_blank(*s->data) || (commas && *s->data == ',')))
        *s = slice_from(*s, 1);
}

static struct slice take_token(struct slice *s)
{
    size_t n = 0;
    while (n < s->len && is_tchar(s->data[n]))
        n++;
    struct slice token = slice_to(*s, n);
    *s = slice_from(*s, n);
    return token;
}

/* token / quoted-string, unescaped, into `out`; false: neither, too long, or with what no field may hold. */
static bool take_value(struct slice *s, char *out, size_t size)
{
    size_t n = 0;
    if (!s->len || *s->data != '"') {
        struct slice token = take_token(s);
        if (token.len >= size)
            return false;
        memcpy(out, token.data, token.len);
        out[token.len] = '\0';
        return token.len > 0;
    }
    size_t i = 1;
    for (; i < s->len && s->data[i] != '"'; i++) {
        if (s->data[i] == '\\' && i + 1 < s->len)
            i++;
        unsigned char c = (unsigned char) s->data[i];
        if (n + 1 >= size || (c < ' ' && c != '\t') || c == 0x7f)
            return false;
        out[n++] = (char) c;
    }
    if (i >= s->len)
        return false;
    out[n] = '\0';
    *s = slice_from(*s, i + 1);
    return true;
}

/* token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=", up to a comma: schemes that are not ours. */
static void skip_token68(struct slice *s)
{
    size_t n = 0;
    while (n < s->len && (ascii_is_alpha(s->data[n]) || ascii_is_digit(s->data[n]) || memchr("-._~+/", s->data[n], 6)))
        n++;
    while (n > 0 && n < s->len && s->data[n] == '=')
        n++;
    struct slice rest = slice_from(*s, n);
    skip(&rest, false);
    if (n > 0 && (!rest.len || *rest.data == ','))
        *s = rest;
}

static int algorithm_strength(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        if (slice_eq_ci(name, slice_of_str(algorithms[i].name)))
            return (int) i + 1;
    return 0;
}

/* qop-options: words between commas. */
static bool lists_auth(struct slice words)
{
    while (words.len) {
        size_t n = slice_find(words, ',');
        if (slice_eq_ci(slice_trim(slice_to(words, n)), SLICE("auth")))
            return true;
        words = slice_from(words, MIN(n + 1, words.len));
    }
    return false;
}

/* A Digest challenge while it is read. */
struct reading {
    struct http_challenges found;
    bool qop_given, nonce_given, realm_given, is_unknown;
};

static void note_parameter(struct reading *r, struct slice name, const char *value)
{
    struct http_challenges *c = &r->found;
    struct slice v = slice_of_str(value);
    if (slice_eq_ci(name, SLICE("realm"))) {
        memcpy(c->realm, value, v.len + 1);
        r->realm_given = true;
    } else if (slice_eq_ci(name, SLICE("nonce"))) {
        memcpy(c->nonce, value, v.len + 1);
        r->nonce_given = v.len > 0;
    } else if (slice_eq_ci(name, SLICE("opaque"))) {
        memcpy(c->opaque, value, v.len + 1);
        c->has_opaque = true;
    } else if (slice_eq_ci(name, SLICE("stale"))) {
        c->stale = slice_eq_ci(v, SLICE("true"));
    } else if (slice_eq_ci(name, SLICE("qop"))) {
        r->qop_given = true;
        c->qop_auth = lists_auth(v);
    } else if (slice_eq_ci(name, SLICE("algorithm"))) {
        c->strength = algorithm_strength(v);
        r->is_unknown = c->strength == 0;
    }
}

static void finish_digest(struct http_challenges *c, struct reading *r)
{
    struct http_challenges *f = &r->found;
    /* auth-int would hash the body of a CONNECT, which has none; nobody offers only that. */
    if (r->is_unknown || !r->nonce_given || !r->realm_given || (r->qop_given && !f->qop_auth))
        return;
    if (f->strength == 0)
        f->strength = 1;
    f->session = algorithms[f->strength - 1].session;
    /* -sess takes a cnonce, which goes with qop only. */
    if ((f->session && !f->qop_auth) || f->strength <= c->strength)
        return;
    f->basic = c->basic;
    f->digest = true;
    *c = *f;
}

/* The parameters of one challenge; stops before the next one's scheme. false: not to be understood, so all that follows. */
static bool read_parameters(struct slice *s, struct reading *r)
{
    char value[HTTP_AUTH_VALUE_MAX + 1];
    for (;;) {
        skip(s, true);
        struct slice rest = *s, name = take_token(&rest);
        if (!name.len)
            return s->len == 0;
        skip(&rest, false);
        if (!rest.len || *rest.data != '=')
            return true; /* a scheme */
        rest = slice_from(rest, 1);
        skip(&rest, false);
        if (!take_value(&rest, value, sizeof(value)))
            return false;
        note_parameter(r, name, value);
        *s = rest;
    }
}

/* challenge = auth-scheme [ 1*SP ( token68 / #auth-param ) ]; a list of these. */
void http_challenges_add(struct http_challenges *c, struct slice field)
{
    struct reading *r = calloc(1, sizeof(*r));
    bool more = r != NULL;
    while (more) {
        skip(&field, true);
        struct slice scheme = take_token(&field);
        if (!scheme.len)
            break;
        struct slice before = field;
        skip(&field, false);
        if (before.data != field.data)
            skip_token68(&field);
        *r = (struct reading){.qop_given = false};
        more = read_parameters(&field, r);
        if (slice_eq_ci(scheme, SLICE("Basic")))
            c->basic = true;
        else if (more && slice_eq_ci(scheme, SLICE("Digest")))
            finish_digest(c, r);
    }
    free(r);
}

/* --- answers --- */

/* H(a:b:…) in lower-case hex; NULL ends the list. */
struct hash {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

static int hash_words(struct hash *h, const struct slice *words, size_t n, char out[HTTP_DIGEST_HEX_MAX + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    bool ok = EVP_DigestInit_ex(h->ctx, h->md, NULL) == 1;
    for (size_t i = 0; i < n && ok; i++)
        ok = (i == 0 || EVP_DigestUpdate(h->ctx, ":", 1) == 1) && EVP_DigestUpdate(h->ctx, words[i].data, words[i].len) == 1;
    ok = ok && EVP_DigestFinal_ex(h->ctx, digest, &len) == 1 && 2 * len <= HTTP_DIGEST_HEX_MAX;
    if (ok) {
        hex_encode(digest, len, out);
        out[2 * len] = '\0';
    }
    OPENSSL_cleanse(digest, sizeof(digest));
    return ok ? 0 : -ENOMEM;
}

/* RFC 7616 section 3.4.1 */
static int make_response(struct hash *h, const struct http_challenges *c, const struct http_digest_request *q,
                         const char *count, char response[HTTP_DIGEST_HEX_MAX + 1])
{
    char a1[HTTP_DIGEST_HEX_MAX + 1] = "", a2[HTTP_DIGEST_HEX_MAX + 1] = "";
    struct slice nonce = slice_of_str(c->nonce), cnonce = slice_of_str(q->cnonce);
    int r = hash_words(h, (struct slice[]){slice_of_str(q->username), slice_of_str(c->realm), secret_expose(q->password)}, 3,
                       a1);
    if (r == 0 && c->session)
        r = hash_words(h, (struct slice[]){slice_of_str(a1), nonce, cnonce}, 3, a1);
    if (r == 0)
        r = hash_words(h, (struct slice[]){slice_of_str(q->method), slice_of_str(q->uri)}, 2, a2);
    if (r == 0 && c->qop_auth)
        r = hash_words(h, (struct slice[]){slice_of_str(a1), nonce, slice_of_str(count), cnonce, SLICE("auth"), slice_of_str(a2)},
                       6, response);
    else if (r == 0)
        r = hash_words(h, (struct slice[]){slice_of_str(a1), nonce, slice_of_str(a2)}, 3, response);
    OPENSSL_cleanse(a1, sizeof(a1));
    return r;
}

/* name="value", escaped; -EINVAL for what a quoted-string cannot hold. */
static int put_quoted(struct buffer *out, const char *name, const char *value)
{
    int r = buffer_printf(out, "%s=\"", name);
    for (; r == 0 && *value; value++) {
        unsigned char c = (unsigned char) *value;
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return -EINVAL;
        if (c == '"' || c == '\\')
            r = buffer_append_char(out, '\\');
        if (r == 0)
            r = buffer_append_char(out, (char) c);
    }
    return r == 0 ? buffer_append(out, "\"", 1) : r;
}

static int put_fields(const struct http_challenges *c, const struct http_digest_request *q, const char *count,
                      const char *response, struct buffer *out)
{
    int r = buffer_append_slice(out, SLICE("Digest "));
    if (r == 0)
        r = put_quoted(out, "username", q->username);
    if (r == 0)
        r = put_quoted(out, ", realm", c->realm);
    if (r == 0)
        r = put_quoted(out, ", nonce", c->nonce);
    if (r == 0)
        r = put_quoted(out, ", uri", q->uri);
    if (r == 0)
        r = buffer_printf(out, ", algorithm=%s, response=\"%s\"", algorithms[c->strength - 1].name, response);
    if (r == 0 && c->qop_auth)
        r = buffer_printf(out, ", qop=auth, nc=%s, cnonce=\"%s\"", count, q->cnonce);
    if (r == 0 && c->has_opaque)
        r = put_quoted(out, ", opaque", c->opaque);
    return r;
}

int http_digest_answer(const struct http_challenges *c, const struct http_digest_request *q, struct buffer *out)
{
    char response[HTTP_DIGEST_HEX_MAX + 1] = "", count[16];
    struct hash h = {EVP_MD_fetch(NULL, algorithms[c->strength - 1].digest, NULL), EVP_MD_CTX_new()};
    int r = !h.md ? -ENOTSUP : h.ctx ? 0 : -ENOMEM;

    snprintf(count, sizeof(count), "%08x", q->count);
    if (r == 0)
        r = make_response(&h, c, q, count, response);
    if (r == 0)
        r = put_fields(c, q, count, response, out);
    EVP_MD_CTX_free(h.ctx);
    EVP_MD_free(h.md);
    ERR_clear_error();
    return r;
}

int http_basic_answer(const char *username, const struct secret *password, struct buffer *out)
{
    struct buffer plain;
    char *to;

    /* "user:password" in base64, through buffers that are wiped. */
    buffer_init_secret(&plain, 2 * SECRET_MAX);
    int r = buffer_append_slice(&plain, slice_of_str(username));
    if (r == 0)
        r = buffer_append_char(&plain, ':');
    if (r == 0)
        r = buffer_append_slice(&plain, secret_expose(password));
    if (r == 0)
        r = buffer_append_slice(out, SLICE("Basic "));
    size_t n = base64_encoded_len(buffer_len(&plain));
    if (r == 0)
        r = buffer_reserve(out, n, &to);
    if (r == 0) {
        base64_encode(buffer_slice(&plain).data, buffer_len(&plain), to);
        buffer_commit(out, n);
    }
    buffer_done(&plain);
    return r;
}
