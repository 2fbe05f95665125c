/* SPDX-License-Identifier: MIT */
/* SCRAM with channel binding: the three engines over a real TLS channel, and GNU SASL's server at the other end. */
#include "base64.h"
#include "tls.h"
#include "tls_peer.h"
#include "unit.h"

#include <errno.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define PASSWORD "pencil"

static struct test_ca ca;
static struct test_cert cert;
static char *ca_pem;
static struct tls_cache *cache;

static void setup(void)
{
    test_ca_init(&ca, "The test authority");
    test_cert_init(&cert, &ca, "DNS:mail.example.com", -60, 3600);
    ca_pem = test_cert_pem(ca.cert);
    cache = tls_cache_new();
    ck_assert_ptr_nonnull(cache);
}

static void teardown(void)
{
    tls_cache_free(cache);
    test_cert_done(&cert);
    test_ca_done(&ca);
    free(ca_pem);
}

/* --- a channel --- */

struct channel {
    SSL_CTX *ctx;
    struct tls_stage *client;
    struct tls_peer server;
    struct engine_tls told;               /* what the client's end says of it */
    char exporter[128], unique[128];      /* what the server's end says, in base64; "": not to be had */
};

static void exchange(struct channel *ch)
{
    char bytes[16384], *to;
    struct slice out = tls_output(ch->client);

    tls_peer_feed(&ch->server, out.data, out.len);
    tls_sent(ch->client, out.len);
    size_t n = tls_peer_take(&ch->server, bytes, sizeof(bytes));
    ck_assert_int_eq(tls_input_reserve(ch->client, n, &to), 0);
    memcpy(to, bytes, n);
    tls_input_commit(ch->client, n);
}

static void channel_open(struct channel *ch, int version, bool extended)
{
    struct tls_config config = {.host = "mail.example.com", .verify_peer = true, .verify_host = true, .ca_pem = ca_pem};
    struct fault fault = {0};
    unsigned char bytes[64];
    bool done = false;
    int r = 0;

    *ch = (struct channel){.ctx = tls_peer_ctx(&cert, version)};
    if (!extended)
        SSL_CTX_set_options(ch->ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    tls_peer_init(&ch->server, ch->ctx);
    ck_assert_int_eq(tls_stage_new(cache, &config, NULL, &ch->client, &fault), 0);
    for (int i = 0; i < 100 && !(r == 1 && done); i++) {
        r = tls_handshake(ch->client, &fault);
        ck_assert_msg(r >= 0, "%s", fault.text);
        exchange(ch);
        done = tls_peer_shake(&ch->server) || done;
    }
    ck_assert(r == 1 && done);
    tls_describe(ch->client, &ch->told);
    ck_assert_int_eq(SSL_export_keying_material(ch->server.ssl, bytes, 32, "EXPORTER-Channel-Binding", 24,
                                                (const unsigned char *) "", 0, 1), 1);
    ch->exporter[base64_encode(bytes, 32, ch->exporter)] = '\0';
    if (version != TLS1_3_VERSION) {
        size_t n = SSL_get_peer_finished(ch->server.ssl, bytes, sizeof(bytes));
        ch->unique[base64_encode(bytes, n, ch->unique)] = '\0';
    }
}

static void channel_close(struct channel *ch)
{
    tls_close(ch->client);
    tls_stage_free(ch->client);
    tls_peer_done(&ch->server);
    SSL_CTX_free(ch->ctx);
}

/* --- the server --- */

struct server {
    Gsasl *gsasl;
    Gsasl_session *session;
    const char *exporter, *unique;
};

static int answer(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property)
{
    const struct server *s = gsasl_callback_hook_get(gsasl);
    const char *value = NULL;

    if (property == GSASL_PASSWORD)
        value = PASSWORD;
    if (property == GSASL_SCRAM_ITER)
        value = "4096";
    if (property == GSASL_CB_TLS_EXPORTER)
        value = s->exporter;
    if (property == GSASL_CB_TLS_UNIQUE)
        value = s->unique;
    return value && *value ? gsasl_property_set(session, property, value) : GSASL_NO_CALLBACK;
}

static void server_begin(struct server *s, const char *mechanism, const char *exporter, const char *unique)
{
    *s = (struct server){.exporter = exporter, .unique = unique};
    ck_assert_int_eq(gsasl_init(&s->gsasl), GSASL_OK);
    gsasl_callback_hook_set(s->gsasl, s);
    gsasl_callback_set(s->gsasl, answer);
    ck_assert_int_eq(gsasl_server_start(s->gsasl, mechanism, &s->session), GSASL_OK);
}

static void server_end(struct server *s)
{
    gsasl_finish(s->session);
    gsasl_done(s->gsasl);
}

/* --- the client --- */

static void say(struct engine *e, const char *line)
{
    struct engine_event *event;
    ck_assert_int_eq(e->ops->feed(e, line, strlen(line)), 0);
    while (e->ops->next(e, &event) == 1)
        ;
}

/* What the engine has put out, without its line end. */
static const char *heard(struct engine *e)
{
    static char line[4096];
    struct slice out = e->ops->output(e);
    ck_assert(out.len >= 2 && out.len < sizeof(line));
    memcpy(line, out.data, out.len - 2);
    line[out.len - 2] = '\0';
    e->ops->sent(e, out.len);
    return line;
}

static void derive(struct engine *e)
{
    const struct engine_derive *d = e->ops->derive_job(e);
    unsigned char key[64];
    ck_assert(d && d->key_len <= sizeof(key));
    ck_assert_int_eq(PKCS5_PBKDF2_HMAC(d->password.data, (int) d->password.len, (const unsigned char *) d->salt.data,
                                       (int) d->salt.len, (int) d->iterations, EVP_get_digestbyname(d->hash), (int) d->key_len, key), 1);
    ck_assert_int_eq(e->ops->derived(e, key, d->key_len), 0);
}

/* How the server of a protocol speaks; %s in `offer` is the mechanism, in `yes` and `no` the tag. */
struct speech {
    struct engine *(*client)(const struct engine_config *config);
    const char *greeting, *question, *offer, *command, *challenge, *yes, *no, *next;
};

static const struct speech speeches[] = {
    {smtp_client_new, "220 ready\r\n", "EHLO localhost", "250-fake\r\n250 AUTH PLAIN SCRAM-SHA-256 %s\r\n", "AUTH", "334 ",
     "235 in\r\n", "535 5.7.8 no\r\n", "EHLO localhost"},
    {imap_client_new, "* OK ready\r\n", "CAPABILITY", "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=%s\r\n",
     "AUTHENTICATE", "+ ", "%s OK in\r\n", "%s NO [AUTHENTICATIONFAILED] no\r\n", "CAPABILITY"},
    {pop3_client_new, "+OK ready\r\n", "CAPA", "+OK\r\nSASL PLAIN SCRAM-SHA-256 %s\r\n.\r\n", "AUTH", "+ ", "+OK in\r\n",
     "-ERR [AUTH] no\r\n", "CAPA"},
};

/* What the engine says behind its tag, if it has one, which goes to `tag`. */
static const char *untagged(struct engine *e, char tag[16])
{
    const char *line = heard(e), *space = strchr(line, ' ');
    if (e->ops->protocol != PROTOCOL_IMAP)
        return line;
    ck_assert(space && space - line < 16);
    snprintf(tag, 16, "%.*s", (int) (space - line), line);
    return space + 1;
}

static void say_tagged(struct engine *e, const char *text, const char *tag)
{
    char line[256] = "";
    const char *mark = strstr(text, "%s");
    if (mark)
        snprintf(line, sizeof(line), "%.*s%s%s", (int) (mark - text), text, tag, mark + 2);
    else
        snprintf(line, sizeof(line), "%s", text);
    say(e, line);
}

/* Runs a login; true when both sides were content. `binding`: what the client's first message must say. */
static bool log_in_by(const struct speech *speech, const struct channel *ch, const char *mechanism, const char *exporter,
                      const char *unique, const char *password, const char *binding)
{
    struct engine_config config = {.implicit_tls = true, .wants_login = true, .username = "user", .host = "mail.example.com"};
    struct engine *e = speech->client(&config);
    struct secret *secret = secret_new(password, strlen(password));
    struct server server;
    char line[4096], tag[16] = "", *reply;
    bool good = false;

    ck_assert(e && secret);
    server_begin(&server, mechanism, exporter, unique);
    ck_assert_int_eq(e->ops->tls_started(e, &ch->told), 0);
    say(e, speech->greeting);
    ck_assert_str_eq(untagged(e, tag), speech->question);
    say_tagged(e, speech->offer, mechanism);
    if (tag[0])
        say_tagged(e, "%s OK done\r\n", tag);
    ck_assert_uint_ne(e->ops->wants(e) & ENGINE_WANT_CREDENTIAL, 0);
    ck_assert_int_eq(e->ops->credential(e, secret), 0);
    const char *input = untagged(e, tag);
    snprintf(line, sizeof(line), "%s %s ", speech->command, mechanism);
    ck_assert_msg(strncmp(input, line, strlen(line)) == 0, "the client says %s", input);
    input += strlen(line);
    char first[4096];
    size_t n;
    ck_assert_int_eq(base64_decode(input, strlen(input), first, &n), 0);
    ck_assert_msg(n > strlen(binding) && strncmp(first, binding, strlen(binding)) == 0, "the binding is not %s", binding);
    for (int round = 0; round < 4; round++) {
        int rc = gsasl_step64(server.session, input, &reply);
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
            say_tagged(e, speech->no, tag);
            break;
        }
        if (rc == GSASL_OK && *reply == '\0') {
            gsasl_free(reply);
            say_tagged(e, speech->yes, tag);
            good = strcmp(untagged(e, tag), speech->next) == 0;
            break;
        }
        snprintf(line, sizeof(line), "%s%s\r\n", speech->challenge, reply);
        gsasl_free(reply);
        say(e, line);
        if (e->ops->wants(e) & ENGINE_WANT_DERIVE)
            derive(e);
        input = heard(e);
        if (rc == GSASL_OK) {
            ck_assert_str_eq(input, "");
            say_tagged(e, speech->yes, tag);
            good = strcmp(untagged(e, tag), speech->next) == 0;
            break;
        }
    }
    if (!good)
        ck_assert_int_eq(e->fault.kind, FAULT_AUTH);
    server_end(&server);
    secret_unref(secret);
    engine_free(e);
    return good;
}

/* The same for all protocols, which must agree. */
static bool log_in(const struct channel *ch, const char *mechanism, const char *exporter, const char *unique, const char *password,
                   const char *binding)
{
    bool good = log_in_by(&speeches[0], ch, mechanism, exporter, unique, password, binding);
    for (size_t i = 1; i < ARRAY_LEN(speeches); i++)
        ck_assert_int_eq(log_in_by(&speeches[i], ch, mechanism, exporter, unique, password, binding), good);
    return good;
}

static const char *const mechanisms[] = {"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"};

START_TEST(exporter)
{
    struct channel ch;
    channel_open(&ch, TLS1_3_VERSION, true);
    ck_assert_uint_eq(ch.told.unique_len, 0);
    for (size_t m = 0; m < ARRAY_LEN(mechanisms); m++) {
        ck_assert(log_in(&ch, mechanisms[m], ch.exporter, NULL, PASSWORD, "p=tls-exporter,,"));
        ck_assert(!log_in(&ch, mechanisms[m], ch.exporter, NULL, "pen", "p=tls-exporter,,"));
    }
    channel_close(&ch);
}
END_TEST

START_TEST(unique)
{
    for (int extended = 0; extended <= 1; extended++) {
        struct channel ch;
        channel_open(&ch, TLS1_2_VERSION, extended);
        ck_assert_int_eq(ch.told.exporter_len > 0, extended);
        for (size_t m = 0; m < ARRAY_LEN(mechanisms); m++) {
            ck_assert(log_in(&ch, mechanisms[m], NULL, ch.unique, PASSWORD, "p=tls-unique,,"));
            ck_assert(!log_in(&ch, mechanisms[m], NULL, ch.unique, "pen", "p=tls-unique,,"));
        }
        channel_close(&ch);
    }
}
END_TEST

/* Who sits in between has two channels, and a password that is right is of no use to him. */
START_TEST(in_between)
{
    struct channel to_client, to_server;
    channel_open(&to_client, TLS1_3_VERSION, true);
    channel_open(&to_server, TLS1_3_VERSION, true);
    for (size_t m = 0; m < ARRAY_LEN(mechanisms); m++)
        ck_assert(!log_in(&to_client, mechanisms[m], to_server.exporter, NULL, PASSWORD, "p=tls-exporter,,"));
    channel_close(&to_client);
    channel_close(&to_server);
    channel_open(&to_client, TLS1_2_VERSION, false);
    channel_open(&to_server, TLS1_2_VERSION, false);
    ck_assert(!log_in(&to_client, "SCRAM-SHA-1-PLUS", NULL, to_server.unique, PASSWORD, "p=tls-unique,,"));
    channel_close(&to_client);
    channel_close(&to_server);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scram_plus");
    TCase *tc = tcase_create("scram_plus");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, exporter);
    tcase_add_test(tc, unique);
    tcase_add_test(tc, in_between);
    suite_add_tcase(s, tc);
    return unit_run(s);
}
