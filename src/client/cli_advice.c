/* SPDX-License-Identifier: MIT */
/* What a person should do about a failed connection, in plain words. */
#include "cli.h"

/* How a failure is recognised: every condition that is set must hold. Texts are looked for in the message and in the
 * server's words, without regard to case; several are separated by '|'. The first row that fits is the cause. */
struct remedy {
    const char *kind, *stage;
    const char *words;
    enum { TLS_ANY = 0, TLS_FIRST, TLS_LATER } tls; /* implicit_tls as configured */
    const char *cause;
    const char *advice; /* %H host, %P port, %A account, %I the protocol's port with implicit TLS, %S the one without */
};

static const struct remedy remedies[] = {
    {NULL, "dns", "temporary failure", TLS_ANY, "this machine's name service does not answer",
     "Look at /etc/resolv.conf and the network; `getent hosts %H` must give an address."},
    {NULL, "dns", NULL, TLS_ANY, "the name %H is not known",
     "Look for a typing error in `host`; `getent hosts %H` must give an address."},
    {"connect", NULL, "refused", TLS_ANY, "nothing listens on port %P of %H",
     "Check `port`: servers use %I (TLS at once) or %S (STARTTLS, with `implicit_tls = no`)."},
    {"connect", NULL, "no route|unreachable|cannot assign", TLS_ANY, "there is no way from here to %H",
     "Check the network and its routes (an IPv6 address needs IPv6 here too); behind a proxy, set `proxy`."},
    {NULL, "connect", NULL, TLS_ANY, "%H cannot be reached on port %P",
     "A firewall may be in the way (many networks block mail ports), or `host` or `port` is wrong."},
    {"proxy", NULL, NULL, TLS_ANY, "the proxy does not lead there", "Check `proxy`, `proxy_username` and `proxy_password`."},
    {"tls", NULL, "not tls", TLS_FIRST, "port %P does not begin with TLS: it is a port for STARTTLS",
     "Set `implicit_tls = no`, or `port = %I`."},
    {NULL, "greeting", "no answer|closed|reset|end of", TLS_LATER,
     "the server says nothing in clear: port %P seems to want TLS at once", "Set `implicit_tls = yes`, or `port = %S`."},
    {NULL, "greeting", "not|garbage|cannot be", TLS_LATER, "what answers on port %P does not speak this protocol",
     "Check `port`; for TLS at once, set `implicit_tls = yes` (usual: %I)."},
    {"tls", NULL, "expired", TLS_ANY, "the server's certificate has expired",
     "Its operator has to renew it; if it should be valid, check this machine's clock."},
    {"tls", NULL, "not yet valid", TLS_ANY, "the server's certificate is not valid yet", "Check this machine's clock."},
    {"tls", NULL, "name mismatch", TLS_ANY, "the certificate is for another name than %H",
     "Use the name that the certificate has as `host`; or, if that server is meant, set `verify_name` to it."},
    {"tls", NULL, "self-signed|issuer|authority", TLS_ANY, "nobody whom this machine trusts has issued the certificate",
     "If it is your server, name its authority in `ca_file`, or pin the certificate with `fingerprint`."},
    {"tls", NULL, "fingerprint", TLS_ANY, "the certificate is not the pinned one",
     "If it was renewed, put the new one into `fingerprint`; if not, somebody is in between."},
    {"tls", NULL, "offer|starttls|stls", TLS_ANY, "the server offers no TLS on port %P",
     "Use port %I with `implicit_tls = yes`; without TLS no password is sent."},
    {"tls", NULL, NULL, TLS_ANY, "TLS could not be set up", "See above; an old server may need `tls_min_version` or `tls_ciphers`."},
    {NULL, NULL, "too many|limit|connections from|concurrent|4.7.0 ", TLS_ANY,
     "the server has had enough connections of this account or address",
     "Lower `max_connections` (the account's) or `pool_size`, or close other programs that use the account."},
    {"auth", NULL, "application-specific|app password|app-specific|5.7.9|second factor|two-factor|2fa", TLS_ANY,
     "the provider wants an app password here, not the one of the web site",
     "Make one in the account's security settings at the provider, and put it in place of the password."},
    {NULL, NULL, "oauth|basic authentication|basicauth|5.7.139|modern auth|web browser|web login", TLS_ANY,
     "the provider takes no passwords any more: it wants OAuth2",
     "Set `token_command` (or `token_file`) to what gives an access token, in place of the password."},
    {"consent", NULL, NULL, TLS_ANY, "the token is not accepted any more", "Somebody has to give consent again where the token comes from."},
    {"auth", NULL, NULL, TLS_ANY, "the server refuses user name or password",
     "Check `username` (some want the whole address) and the password; then `postern gateway.resume account=%A`."},
    {"unsupported_mechanism", NULL, NULL, TLS_ANY, "the server offers none of the mechanisms that may be used",
     "Check `method`; a token needs XOAUTH2 or OAUTHBEARER."},
    {"missing_extension", NULL, NULL, TLS_ANY, "the server offers no authentication here",
     "Check `port`: port 25 is for other servers, %I and %S are for users."},
    {"timeout", "greeting", NULL, TLS_FIRST, "the server is silent", "Check `port`; the server may be overloaded."},
    {"timeout", "tls", NULL, TLS_FIRST, "the server does not answer the TLS handshake: port %P may be one for STARTTLS",
     "Set `implicit_tls = no`, or `port = %I`."},
    {"protocol", NULL, NULL, TLS_ANY, "what answers does not speak this protocol as it must", "Check `host` and `port`."},
    {"rejected", "greeting", NULL, TLS_ANY, "the server does not serve this address now", "The server's own words say why."},
    {"unavailable", NULL, NULL, TLS_ANY, "the account is paused", "postern gateway.resume account=%A"},
    {"denied", NULL, NULL, TLS_ANY, "you may not use this account", "Its `allow` and `permit` say who may."},
};

static bool mentions(const char *text, const char *words)
{
    struct slice hay = slice_of_str(text), rest = slice_of_str(words);
    while (rest.len) {
        size_t n = slice_find(rest, '|');
        struct slice word = slice_to(rest, n);
        for (size_t i = 0; i + word.len <= hay.len; i++)
            if (slice_eq_ci(slice_of(hay.data + i, word.len), word))
                return true;
        rest = slice_from(rest, MIN(n + 1, rest.len));
    }
    return false;
}

static bool fits(const struct remedy *r, const struct cli_failure *f)
{
    return (!r->kind || strcmp(r->kind, f->kind) == 0) && (!r->stage || strcmp(r->stage, f->stage) == 0) &&
           (!r->tls || (r->tls == TLS_FIRST) == f->implicit_tls) &&
           (!r->words || mentions(f->message, r->words) || mentions(f->reply, r->words));
}

static void fill_in(FILE *out, const char *text, const struct cli_failure *f)
{
    static const struct {
        const char *protocol;
        int implicit, upgrade;
    } ports[] = {{"smtp", 465, 587}, {"imap", 993, 143}, {"pop3", 995, 110}};
    size_t which = 0;
    while (which < ARRAY_LEN(ports) - 1 && strcmp(ports[which].protocol, f->protocol) != 0)
        which++;
    for (; *text; text++) {
        if (*text != '%') {
            fputc(*text, out);
            continue;
        }
        switch (*++text) {
        case 'H':
            cli_print_text(out, f->host, strlen(f->host), false);
            break;
        case 'A':
            cli_print_text(out, f->account, strlen(f->account), false);
            break;
        case 'P':
            fprintf(out, "%d", f->port);
            break;
        case 'I':
            fprintf(out, "%d", ports[which].implicit);
            break;
        case 'S':
            fprintf(out, "%d", ports[which].upgrade);
            break;
        default:
            fputc('%', out);
            text--;
            break;
        }
    }
}

void cli_print_advice(FILE *out, const struct cli_failure *f)
{
    for (size_t i = 0; i < ARRAY_LEN(remedies); i++) {
        if (!fits(&remedies[i], f))
            continue;
        fputs("  cause    ", out);
        fill_in(out, remedies[i].cause, f);
        fputs("\n  advice   ", out);
        fill_in(out, remedies[i].advice, f);
        fputc('\n', out);
        return;
    }
}
