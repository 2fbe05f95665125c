/* SPDX-License-Identifier: MIT */
#include "access.h"
#include "config_keys.h"
#include "configuration.h"
#include "scratch.h"
#include "unit.h"

static struct config *config;
static struct buffer errors;

static void setup(void)
{
    scratch_setup();
    ck_assert_int_eq(mkdir(scratch_path("accounts.d"), 0700), 0);
    scratch_write("postern.conf", "[daemon]\n");
    buffer_init(&errors, CONFIG_ERRORS_MAX);
}

static void teardown(void)
{
    config = config_unref(config);
    buffer_done(&errors);
    scratch_teardown();
}

static int load(void)
{
    config = config_unref(config);
    buffer_clear(&errors);
    return config_load(scratch_path("postern.conf"), NULL, &config, &errors);
}

static void load_good(void)
{
    int r = load();
    ck_assert_msg(r == 0, "%d: %.*s", r, (int) buffer_len(&errors), buffer_slice(&errors).data);
}

/* The errors, without the folder before each file name. */
static const char *load_bad(void)
{
    static char text[20000];
    size_t n = 0, prefix = strlen(scratch) + 1;
    struct config *before = config;
    ck_assert_int_eq(config_load(scratch_path("postern.conf"), NULL, &config, &errors), -EINVAL);
    ck_assert_ptr_eq(config, before);
    for (struct slice rest = buffer_slice(&errors); rest.len;) {
        size_t end = slice_find(rest, '\n') + 1;
        ck_assert(slice_starts(rest, slice_of_str(scratch)));
        memcpy(text + n, rest.data + prefix, end - prefix);
        n += end - prefix;
        rest = slice_from(rest, end);
    }
    text[n] = 0;
    buffer_clear(&errors);
    return text;
}

/* Line by line, so that a failure shows the line. */
static void check_bad(const char *expected)
{
    struct slice found = slice_of_str(load_bad()), rest = slice_of_str(expected);
    while (found.len || rest.len) {
        struct slice f = slice_to(found, slice_find(found, '\n')), e = slice_to(rest, slice_find(rest, '\n'));
        ck_assert_msg(slice_eq(f, e), "found '%.*s', expected '%.*s'", (int) f.len, f.data ? f.data : "", (int) e.len,
                      e.data ? e.data : "");
        found = slice_from(found, f.len + 1);
        rest = slice_from(rest, e.len + 1);
    }
}

static const struct account_config *account(const char *name)
{
    const struct account_config *a = config_find_account(config, slice_of_str(name));
    ck_assert_msg(a != NULL, "no account %s", name);
    return a;
}

START_TEST(test_empty_gives_defaults)
{
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("STATE_DIRECTORY");
    load_good();
    const struct daemon_config *d = &config->daemon;
    ck_assert_str_eq(d->socket, "/run/postern/postern.sock");
    ck_assert_uint_eq(d->socket_mode, 0666);
    ck_assert_int_eq(d->log_level, CONFIG_LOG_INFO);
    ck_assert_uint_eq(d->max_clients, 4096);
    ck_assert_uint_eq(d->max_clients_per_user, 256);
    ck_assert_uint_eq(d->max_calls_per_client, 256);
    ck_assert_uint_eq(d->max_calls_per_user, 1024);
    ck_assert_uint_eq(d->max_batch, 100);
    ck_assert_uint_eq(d->max_fds_per_user, 1024);
    ck_assert_uint_eq(d->max_request_size, 16 << 20);
    ck_assert_uint_eq(d->max_response_size, 64 << 20);
    ck_assert_uint_eq(d->max_message_size, 100 << 20);
    ck_assert_uint_eq(d->fd_answer_max, 64 << 20);
    ck_assert_uint_eq(d->user_memory, 64 << 20);
    ck_assert_uint_eq(d->memory, 256 << 20);
    ck_assert_uint_eq(d->partial_request_timeout_ms, 30000);
    ck_assert_uint_eq(d->client_stall_ms, 10000);
    ck_assert_uint_eq(d->output_hard_limit, 16 << 20);
    ck_assert_uint_eq(d->call_timeout_ms, 15 * 60000);
    ck_assert_uint_eq(d->key_lifetime_ms, 24 * 3600000);
    ck_assert_uint_eq(config->n_accounts, 0);
}
END_TEST

START_TEST(test_places_from_environment)
{
    setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
    setenv("STATE_DIRECTORY", "/var/lib/a", 1);
    load_good();
    ck_assert_str_eq(config->daemon.socket, "/run/a/postern.sock");
    ck_assert_str_eq(config->daemon.state_dir, "/var/lib/a");
    scratch_write("postern.conf", "[daemon]\nsocket = run/s\n");
    load_good();
    ck_assert_str_eq(config->daemon.socket, scratch_path("run/s"));
    config = config_unref(config);
    ck_assert_int_eq(config_load(scratch_path("postern.conf"), "/x/y", &config, &errors), 0);
    ck_assert_str_eq(config->daemon.socket, "/x/y");
}
END_TEST

START_TEST(test_daemon_values)
{
    scratch_write("postern.conf", "# a comment\n; another\n\n[daemon]\r\n  socket_mode = 0600\n"
                                  "admin = user:root, group:root user:4000000000\nlog_level=debug\n"
                                  "max_request_size = 1K\nclient_stall = 300ms\nkey_lifetime = 1d\n"
                                  "[host Mail.Example.com]\nmax_connections = 4\nrate_limit = 100/min\n"
                                  "[host 2001:db8::1]\n");
    load_good();
    ck_assert_uint_eq(config->daemon.socket_mode, 0600);
    ck_assert_uint_eq(config->daemon.admin.n, 3);
    ck_assert(config->daemon.admin_is_set && !config->daemon.allow_inline_is_set);
    ck_assert(config->daemon.admin.items[1].is_group);
    ck_assert_uint_eq(config->daemon.admin.items[2].id, 4000000000u);
    ck_assert_int_eq(config->daemon.log_level, CONFIG_LOG_DEBUG);
    ck_assert_uint_eq(config->daemon.max_request_size, 1024);
    ck_assert_uint_eq(config->daemon.client_stall_ms, 300);
    ck_assert_uint_eq(config->daemon.key_lifetime_ms, 86400000);
    const struct host_config *h = config_find_host(config, "mail.example.COM");
    ck_assert_ptr_nonnull(h);
    ck_assert_uint_eq(h->max_connections, 4);
    ck_assert_uint_eq(h->rate_limit.count, 100);
    ck_assert_uint_eq(h->rate_limit.per_ms, 60000);
    ck_assert_ptr_nonnull(config_find_host(config, "2001:db8::1"));
    ck_assert_ptr_null(config_find_host(config, "other"));
}
END_TEST

START_TEST(test_every_error_has_its_line)
{
    scratch_write("postern.conf", "log_level = info\n"                        /* 1 */
                                  "[daemon]\n"                                /* 2 */
                                  "sockte = /x\n"                             /* 3 */
                                  "max_clients = none\n"                      /* 4 */
                                  "max_clients = 12\n"                        /* 5 */
                                  "no equals sign\n"                          /* 6 */
                                  "client_stall = 10 s\n"                     /* 7 */
                                  "memory = 1T\n"                             /* 8 */
                                  "admin = root\n"                            /* 9 */
                                  "allow_inline = user:nobody-of-that-name\n" /* 10 */
                                  "socket_mode = 0888\n"                      /* 11 */
                                  "log_level = loud\n"                        /* 12 */
                                  "max_batch = 0\n"                           /* 13 */
                                  "pool_size = 3\n"                           /* 14 */
                                  "call_timeout =\n"                          /* 15 */
                                  " # not in the first column\n"              /* 16 */
                                  "b\xc3\xa4r = 1\n"                          /* 17 */
                                  "[nonsense]\n"                              /* 18 */
                                  "x = 1\n"                                   /* 19 */
                                  "[host]\n"                                  /* 20 */
                                  "[host a:b]\n"                              /* 21 */
                                  "[unclosed\n"                               /* 22 */
                                  "[daemon]\n"                                /* 23 */
                                  "[smtp]\n"                                  /* 24 */
                                  "fd_answer_max = -1\n"                      /* 25: of a section that is refused */
                                  "x = \xff\n");                              /* 26 */
    check_bad("postern.conf:1: 'log_level' stands before the first section\n"
              "postern.conf:3: unknown key 'sockte' in [daemon]; did you mean 'socket'?\n"
              "postern.conf:4: max_clients: 'none' is not a whole number\n"
              "postern.conf:5: 'max_clients' is there twice\n"
              "postern.conf:6: Equal sign is missing.\n"
              "postern.conf:7: client_stall: '10 s' is not a duration such as 300ms, 30s, 10min, 1h or 1d\n"
              "postern.conf:8: memory: '1T' is not a size in bytes, or with K, M or G\n"
              "postern.conf:9: admin: 'root' is not user:NAME or group:NAME\n"
              "postern.conf:10: allow_inline: there is no user 'nobody-of-that-name'\n"
              "postern.conf:11: socket_mode: '0888' is not a mode in octal, such as 0660\n"
              "postern.conf:12: log_level: 'loud' is not one of error, warning, info, debug\n"
              "postern.conf:13: max_batch: must be from 1 to 10000\n"
              "postern.conf:14: 'pool_size' does not belong in [daemon]\n"
              "postern.conf:15: call_timeout: has no value\n"
              "postern.conf:16: a comment begins in the first column\n"
              "postern.conf:17: unknown key 'b\xc3\xa4r'\n"
              "postern.conf:18: unknown section [nonsense]\n"
              "postern.conf:20: unknown section [host]\n"
              "postern.conf:21: [host a:b]: 'a:b' is not a host (the port is a setting of its own)\n"
              "postern.conf:22: No closing bracket.\n"
              "postern.conf:23: section [daemon] is there twice (first in line 2)\n"
              "postern.conf:24: section [smtp] belongs in accounts.d/NAME.conf\n"
              "postern.conf:26: is not UTF-8 without NUL\n");
}
END_TEST

START_TEST(test_all_files_are_checked)
{
    scratch_write("accounts.d/a.conf", "[account]\nemail = nobody\n");
    scratch_write("accounts.d/b.conf", "[smtp]\nport = 70000\n[oauth]\n[imap]\nhost = a/b\n[daemon]\n[pop4]\n");
    scratch_write("accounts.d/-c.conf", "[account]\n");
    scratch_write("accounts.d/notes.txt", "rubbish\n");
    scratch_write("accounts.d/.hidden.conf", "rubbish\n");
    check_bad("accounts.d/-c.conf:1: the name of an account is letters, digits, '.', '_' and '-', at most 64\n"
              "accounts.d/a.conf:2: email: 'nobody' is not an address\n"
              "accounts.d/b.conf:2: port: must be from 1 to 65535\n"
              "accounts.d/b.conf:3: section [oauth] is reserved\n"
              "accounts.d/b.conf:5: host: 'a/b' is not a host\n"
              "accounts.d/b.conf:6: section [daemon] belongs in postern.conf\n"
              "accounts.d/b.conf:7: unknown section [pop4]\n");
}
END_TEST

START_TEST(test_bad_leaves_old)
{
    load_good();
    scratch_write("postern.conf", "[daemon]\nx = 1\n");
    check_bad("postern.conf:2: unknown key 'x' in [daemon]\n");
    ck_assert_uint_eq(config->daemon.max_clients, 4096);
}
END_TEST

START_TEST(test_missing_and_odd_files)
{
    unlink(scratch_path("postern.conf"));
    check_bad("postern.conf:1: cannot be read: No such file or directory\n");
    ck_assert_int_eq(mkdir(scratch_path("postern.conf"), 0700), 0);
    check_bad("postern.conf:1: is not a regular file\n");
    ck_assert_int_eq(rmdir(scratch_path("postern.conf")), 0);
    ck_assert_int_eq(mkfifo(scratch_path("postern.conf"), 0600), 0);
    check_bad("postern.conf:1: is not a regular file\n");
    unlink(scratch_path("postern.conf"));
    scratch_write_bytes("postern.conf", "[daemon]\n", 9, 0666);
    check_bad("postern.conf:1: can be written by everybody (mode 0666)\n");
    char *big = malloc(2 << 20);
    memset(big, '#', 2 << 20);
    unlink(scratch_path("postern.conf"));
    scratch_write_bytes("postern.conf", big, 2 << 20, 0600);
    free(big);
    check_bad("postern.conf:1: cannot be read: larger than a configuration may be\n");
    scratch_write("postern.conf", "");
    load_good();
}
END_TEST

START_TEST(test_long_lines_and_values)
{
    /* Values may hold ';', '#', '=' and quotes, and pass any old limit of line length. */
    char text[9000], pattern[5000];
    memset(pattern, 'x', sizeof(pattern));
    pattern[900] = 0;
    snprintf(text, sizeof(text), "[account]\nname = a \"b\" ; c # d = e %s\n", pattern);
    scratch_write("accounts.d/a.conf", text);
    load_good();
    ck_assert(strncmp(account("a")->display_name, "a \"b\" ; c # d = e xxx", 20) == 0);
    ck_assert_uint_eq(strlen(account("a")->display_name), 18 + 900);
}
END_TEST

START_TEST(test_inheritance)
{
    scratch_write("accounts.d/work.conf",
                  "[account]\nemail = ann@example.com\nname = Ann Example\nmax_connections = 10\n"
                  "[auth]\nusername = ann\npassword = s3cret = x\nmethod = SCRAM-SHA-256 plain\n"
                  "[smtp]\nhost = smtp.example.com\n"
                  "[imap]\nhost = imap.example.com\nusername = other\n"
                  "[pop3]\ntoken = abc\nmethod = auto\nverify_peer = no\n");
    load_good();
    const struct account_config *a = account("work");
    ck_assert_str_eq(a->display_name, "Ann Example");
    ck_assert_uint_eq(a->max_connections, 10);
    const struct protocol_config *smtp = &a->protocols[PROTOCOL_SMTP], *imap = &a->protocols[PROTOCOL_IMAP],
                                 *pop3 = &a->protocols[PROTOCOL_POP3];
    ck_assert_str_eq(smtp->auth.username, "ann");
    ck_slice_eq(secret_expose(smtp->auth.secret.password), "s3cret = x");
    ck_assert_uint_eq(smtp->auth.method.n, 2);
    ck_assert_str_eq(smtp->auth.method.items[0], "scram-sha-256");
    ck_assert_str_eq(imap->auth.username, "other");
    ck_slice_eq(secret_expose(imap->auth.secret.password), "s3cret = x");
    ck_assert_str_eq(pop3->auth.username, "ann");
    ck_assert_ptr_null(pop3->auth.secret.password);
    ck_slice_eq(secret_expose(pop3->auth.secret.token), "abc");
    ck_assert_str_eq(pop3->auth.method.items[0], "auto");
    ck_assert_str_eq(pop3->host, "localhost");
    ck_assert(!pop3->verify_proxy_peer && pop3->verify_proxy_host && smtp->verify_proxy_peer);
    ck_assert_uint_eq(smtp->pool_size, 5);
    ck_assert_uint_eq(pop3->pool_size, 1);
    ck_assert_uint_eq(smtp->idle_timeout_ms, 60000);
    ck_assert_uint_eq(imap->idle_timeout_ms, 25 * 60000);
    ck_assert_uint_eq(pop3->idle_timeout_ms, 5000);
    ck_assert_uint_eq(smtp->max_uses, 100);
    ck_assert_uint_eq(imap->max_uses, 0);
    ck_assert_uint_eq(smtp->data_timeout_ms, 600000);
    ck_assert_uint_eq(smtp->min_rate, 500);
    ck_assert_uint_eq(smtp->pipeline, PIPELINE_ENVELOPE);
}
END_TEST

START_TEST(test_port_rules)
{
    static const struct {
        const char *section;
        enum protocol p;
        const char *lines;
        unsigned port;
        bool implicit;
    } cases[] = {
        {"smtp", PROTOCOL_SMTP, "", 465, true},
        {"imap", PROTOCOL_IMAP, "", 993, true},
        {"pop3", PROTOCOL_POP3, "tls = control\n", 995, true},
        {"smtp", PROTOCOL_SMTP, "implicit_tls = no\n", 587, false},
        {"imap", PROTOCOL_IMAP, "implicit_tls = no\n", 143, false},
        {"pop3", PROTOCOL_POP3, "implicit_tls = off\n", 110, false},
        {"smtp", PROTOCOL_SMTP, "tls = try\n", 587, false},
        {"imap", PROTOCOL_IMAP, "tls = try\n", 143, false},
        {"pop3", PROTOCOL_POP3, "tls = try\n", 110, false},
        {"smtp", PROTOCOL_SMTP, "tls = none\n", 25, false},
        {"imap", PROTOCOL_IMAP, "tls = none\n", 143, false},
        {"pop3", PROTOCOL_POP3, "tls = none\n", 110, false},
        {"smtp", PROTOCOL_SMTP, "port = 465\n", 465, true},
        {"smtp", PROTOCOL_SMTP, "port = 587\n", 587, false},
        {"smtp", PROTOCOL_SMTP, "port = 2525\n", 2525, false},
        {"imap", PROTOCOL_IMAP, "port = 993\ntls = try\n", 993, true},
        {"imap", PROTOCOL_IMAP, "port = 993\nimplicit_tls = no\n", 993, false},
        {"pop3", PROTOCOL_POP3, "port = 2995\nimplicit_tls = yes\n", 2995, true},
        {"smtp", PROTOCOL_SMTP, "tls = try\nimplicit_tls = yes\n", 465, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[200];
        snprintf(text, sizeof(text), "[%s]\n%s", cases[i].section, cases[i].lines);
        scratch_write("accounts.d/a.conf", text);
        load_good();
        const struct protocol_config *c = &account("a")->protocols[cases[i].p];
        ck_assert_msg(c->port == cases[i].port && c->implicit_tls == cases[i].implicit, "case %zu: %u %d", i, c->port,
                      c->implicit_tls);
    }
}
END_TEST

START_TEST(test_known_providers)
{
    static const struct {
        const char *lines;
        unsigned connections, rate;
    } cases[] = {
        {"[smtp]\nhost = mail.example.com\n", 5, 0},
        {"[smtp]\nhost = SMTP.office365.com\n", 3, 30},
        {"[smtp]\nhost = smtp-mail.outlook.com\npool_size = 2\n", 2, 30},
        {"[smtp]\nhost = smtp.office365.com\npool_size = 9\nrate_limit = 7/min\n", 9, 7},
        {"[smtp]\nhost = smtp.office365.com\nmin_pool_size = 4\n", 4, 30},
        {"[imap]\nhost = smtp.office365.com\n[smtp]\nhost = x\n", 5, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        scratch_write("accounts.d/a.conf", cases[i].lines);
        load_good();
        const struct protocol_config *c = &account("a")->protocols[PROTOCOL_SMTP];
        ck_assert_msg(c->pool_size == cases[i].connections && c->rate_limit.count == cases[i].rate, "case %zu", i);
    }
}
END_TEST

START_TEST(test_proxies)
{
    scratch_write("accounts.d/a.conf", "[smtp]\nproxy = https://proxy.example:3128\nproxy_method = digest\n"
                                       "no_proxy = .example.com:587 10.0.0.0/8 [2001:db8::1]:25 *\n[imap]\n");
    load_good();
    const struct protocol_config *c = &account("a")->protocols[PROTOCOL_SMTP];
    ck_assert_int_eq(c->proxy_method, PROXY_METHOD_DIGEST);
    ck_assert_int_eq(account("a")->protocols[PROTOCOL_IMAP].proxy_method, PROXY_METHOD_AUTO);
    ck_assert_uint_eq(c->no_proxy.n, 4);
    scratch_write("accounts.d/a.conf", "[smtp]\nproxy_method = ntlm\nno_proxy = 10.0.0.0/99\n");
    check_bad("accounts.d/a.conf:2: proxy_method: 'ntlm' is not one of auto, basic, digest\n"
              "accounts.d/a.conf:3: no_proxy: '10.0.0.0/99' is not a name, .suffix, address, network or *, perhaps with :port\n");
}
END_TEST

START_TEST(test_rules_between_keys)
{
    scratch_write("accounts.d/a.conf", "[smtp]\ntls = none\nimplicit_tls = yes\npool_size = 2\nmin_pool_size = 3\n"
                                       "proxy_username = x\nproxy = ftp://a:1\n"
                                       "[imap]\npassword = x\ntoken = y\n"
                                       "[pop3]\npassword = x\nmethod = plain auto\nproxy = socks5://a\n"
                                       "family = 4\nfingerprint = abc\nrate_limit = 5\nlocal_address = here\n"
                                       "implicit_tls = maybe\npermit = send\n");
    check_bad("accounts.d/a.conf:3: implicit_tls: cannot be with tls = none\n"
              "accounts.d/a.conf:5: min_pool_size: is more than pool_size\n"
              "accounts.d/a.conf:6: proxy_username: needs proxy\n"
              "accounts.d/a.conf:7: proxy: 'ftp://a:1' is not a proxy such as socks5h://host:port (socks4, socks4a, "
              "socks5, socks5h, http, https)\n"
              "accounts.d/a.conf:10: 'password' and 'token' exclude each other\n"
              "accounts.d/a.conf:11: a password needs a username\n"
              "accounts.d/a.conf:13: method: 'auto' stands alone\n"
              "accounts.d/a.conf:14: proxy: 'socks5://a' has no port\n"
              "accounts.d/a.conf:15: family: '4' is not one of any, ipv4, ipv6\n"
              "accounts.d/a.conf:16: fingerprint: 'abc' is not a SHA-256 in hex (64 digits)\n"
              "accounts.d/a.conf:17: rate_limit: '5' is not a rate such as 100/min (s, min, h, d)\n"
              "accounts.d/a.conf:18: local_address: 'here' is not a numeric address\n"
              "accounts.d/a.conf:19: implicit_tls: 'maybe' is not one of yes, no, true, false, on, off, 1, 0\n"
              "accounts.d/a.conf:20: 'permit' does not belong in [pop3]\n");
}
END_TEST

START_TEST(test_secrets_are_guarded)
{
    scratch_write_bytes("open.password", "x\n", 2, 0644);
    scratch_write_bytes("group.password", "x\n", 2, 0640);
    static const char inline_secret[] = "[auth]\nusername = a\npassword = hunter2\n[smtp]\nproxy_password = hunter3\n"
                                        "proxy = http://p:1\nproxy_username = u\n";
    scratch_write_bytes("accounts.d/a.conf", inline_secret, sizeof(inline_secret) - 1, 0644);
    scratch_write("accounts.d/b.conf", "[auth]\nusername = a\npassword_file = ../open.password\n");
    scratch_write("accounts.d/c.conf", "[auth]\nusername = a\npassword_file = none\n");
    scratch_write("accounts.d/d.conf", "[auth]\nusername = a\npassword_file = ../group.password\n");
    const char *found = load_bad();
    ck_assert_ptr_null(strstr(found, "hunter"));
    char expected[2000];
    snprintf(expected, sizeof(expected),
             "accounts.d/a.conf:3: password: a file with a secret must not be readable by others (mode 0644)\n"
             "accounts.d/a.conf:5: proxy_password: a file with a secret must not be readable by others (mode 0644)\n"
             "accounts.d/b.conf:3: password_file: %s/accounts.d/../open.password: holds a secret and is open to others "
             "(take away their rights: chmod o=)\n"
             "accounts.d/c.conf:3: password_file: %s/accounts.d/none: No such file or directory\n",
             scratch, scratch);
    check_bad(expected);
}
END_TEST

START_TEST(test_digests_tell_changes)
{
    unsigned char account_digest[32], smtp[32], imap[32];
    scratch_write("pw", "one\n");
    static const char *const base = "[auth]\nusername = a\npassword_file = ../pw\n[smtp]\n[imap]\nhost = h\n";
    scratch_write("accounts.d/a.conf", base);
    load_good();
#define REMEMBER()                                                                                                     \
    memcpy(account_digest, account("a")->digest, 32), memcpy(smtp, account("a")->protocols[PROTOCOL_SMTP].digest, 32), \
        memcpy(imap, account("a")->protocols[PROTOCOL_IMAP].digest, 32)
#define SAME(what, digest) (memcmp(what, digest, 32) == 0)
    REMEMBER();
    scratch_write("accounts.d/a.conf",
                  "# moved\n[imap]\nhost = h\n[auth]\npassword_file = ../pw\nusername=a\n[smtp]\nport=465\n");
    load_good();
    ck_assert(SAME(account("a")->digest, account_digest));
    scratch_write(
        "accounts.d/a.conf",
        "[account]\nallow = user:root\n[auth]\nusername = a\npassword_file = ../pw\n[smtp]\n[imap]\nhost = h\n");
    load_good();
    ck_assert(!SAME(account("a")->digest, account_digest));
    ck_assert(SAME(account("a")->protocols[PROTOCOL_SMTP].digest, smtp));
    scratch_write("accounts.d/a.conf", "[auth]\nusername = a\npassword_file = ../pw\n[smtp]\n[imap]\nhost = i\n");
    load_good();
    ck_assert(SAME(account("a")->protocols[PROTOCOL_SMTP].digest, smtp));
    ck_assert(!SAME(account("a")->protocols[PROTOCOL_IMAP].digest, imap));
    /* Another password in the same file is another setting. */
    scratch_write("accounts.d/a.conf", base);
    scratch_write("pw.new", "two\n");
    ck_assert_int_eq(rename(scratch_path("pw.new"), scratch_path("pw")), 0);
    load_good();
    ck_assert(!SAME(account("a")->protocols[PROTOCOL_SMTP].digest, smtp));
}
END_TEST

#define OPT_S(n, s)                                                                                                    \
    {                                                                                                                  \
        .name = SLICE(n), .kind = RPC_OPTION_STRING, .string = SLICE(s)                                                \
    }
#define OPT_I(n, i)                                                                                                    \
    {                                                                                                                  \
        .name = SLICE(n), .kind = RPC_OPTION_NUMBER, .number = (i)                                                     \
    }
#define OPT_B(n, b)                                                                                                    \
    {                                                                                                                  \
        .name = SLICE(n), .kind = RPC_OPTION_BOOL, .yes = (b)                                                          \
    }

START_TEST(test_options)
{
    static struct slice methods[] = {{"Plain", 5}, {"login", 5}};
    struct rpc_option options[] = {
        OPT_S("host", "mail.example.com"),
        OPT_I("port", 993),
        OPT_S("username", "ann"),
        OPT_S("password", "pw"),
        OPT_I("timeout", 1500),
        OPT_B("verify_peer", false),
        {.name = SLICE("ca"),
         .kind = RPC_OPTION_CONTENT,
         .content = {.kind = RPC_CONTENT_BYTES, .bytes = SLICE("-----BEGIN\nx\n")}},
        {.name = SLICE("method"), .kind = RPC_OPTION_STRINGS, .strings = {methods, 2}},
        OPT_S("disable", "idle"),
    };
    struct account_config *a, *b;
    struct fault fault = {.kind = FAULT_NONE};
    ck_assert_int_eq(
        account_config_from_options(PROTOCOL_IMAP, &(struct rpc_options){options, ARRAY_LEN(options)}, &a, &fault), 0);
    const struct protocol_config *c = &a->protocols[PROTOCOL_IMAP];
    ck_assert(c->present && !a->protocols[PROTOCOL_SMTP].present && c->implicit_tls && !c->verify_peer);
    ck_assert_uint_eq(c->timeout_ms, 1500);
    ck_assert_str_eq(c->auth.method.items[0], "plain");
    ck_assert_str_eq(c->disable.items[0], "IDLE");
    ck_slice_eq(secret_expose(c->auth.secret.password), "pw");
    ck_assert_int_eq(
        account_config_from_options(PROTOCOL_IMAP, &(struct rpc_options){options, ARRAY_LEN(options)}, &b, &fault), 0);
    ck_assert_mem_eq(a->protocols[PROTOCOL_IMAP].digest, b->protocols[PROTOCOL_IMAP].digest, 32);
    account_config_unref(b);
    ck_assert_int_eq(
        account_config_from_options(PROTOCOL_IMAP, &(struct rpc_options){options, ARRAY_LEN(options) - 1}, &b, &fault),
        0);
    ck_assert_mem_ne(a->protocols[PROTOCOL_IMAP].digest, b->protocols[PROTOCOL_IMAP].digest, 32);
    account_config_unref(a);
    account_config_unref(b);
}
END_TEST

START_TEST(test_options_refused)
{
    static const struct {
        struct rpc_option option;
        const char *text;
    } cases[] = {
        {OPT_S("ca_file", "/x"),
         "options.ca_file: names a file or a command and may stand in a configuration file only"},
        {OPT_S("password_command", "x"),
         "options.password_command: names a file or a command and may stand in a configuration file only"},
        {OPT_S("credential", "x"),
         "options.credential: names a file or a command and may stand in a configuration file only"},
        {OPT_S("hots", "x"), "options: unknown option 'hots'; did you mean 'host'?"},
        {OPT_S("allow", "user:root"), "options: unknown option 'allow'"},
        {OPT_S("timeout", "30s"), "options.timeout: must be a number of milliseconds"},
        {OPT_I("port", 0), "options.port: must be from 1 to 65535"},
        {OPT_I("port", -1), "options.port: must be a number"},
        {OPT_I("verify_peer", 1), "options.verify_peer: must be true or false"},
        {OPT_I("host", 1), "options.host: must be a string"},
        {OPT_S("host", ""), "options.host: has no value"},
        {OPT_S("host", "a b"), "options.host: 'a b' is not a host"},
        {OPT_S("username", "a\r\nb"), "options.username: must not hold control characters"},
        {OPT_S("password", "abc"), "options: a password needs a username"},
        {OPT_S("password", "a\0b"), "options.password: is not a usable secret"},
        {OPT_S("tls", "always"), "options.tls: 'always' is not one of all, control, try, none"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rpc_option option = cases[i].option;
        struct account_config *a = NULL;
        struct fault fault = {.kind = FAULT_NONE};
        ck_assert_int_eq(account_config_from_options(PROTOCOL_SMTP, &(struct rpc_options){&option, 1}, &a, &fault),
                         -EINVAL);
        ck_assert_ptr_null(a);
        ck_assert_int_eq(fault.kind, FAULT_INVALID_PARAMS);
        ck_assert_str_eq(fault.text, cases[i].text);
    }
    struct rpc_option twice[] = {OPT_S("host", "a"), OPT_S("host", "b")};
    struct account_config *a = NULL;
    struct fault fault = {.kind = FAULT_NONE};
    ck_assert_int_eq(account_config_from_options(PROTOCOL_SMTP, &(struct rpc_options){twice, 2}, &a, &fault), -EINVAL);
    ck_assert_str_eq(fault.text, "options.host is given twice");
}
END_TEST

/* --- access --- */

START_TEST(test_rights)
{
    scratch_write("accounts.d/closed.conf", "[account]\n");
    scratch_write("accounts.d/open.conf",
                  "[account]\nallow = user:1001 group:2000\npermit = read\nallow_send = user:1002\n"
                  "allow_raw = group:2001\n");
    load_good();
    const gid_t groups[] = {2001, 2000};
    const struct peer root = {.uid = 0}, own = {.uid = geteuid()}, ann = {.uid = 1001, .gid = 1001},
                      web = {.uid = 1002, .gid = 1002}, staff = {.uid = 1003, .gid = 2000},
                      both = {.uid = 1004, .gid = 1, .groups = groups, .n_groups = 2},
                      foreign = {.uid = 1005, .gid = 1005};
    const unsigned all_but_raw = RIGHT_SEND | RIGHT_READ | RIGHT_WRITE;
    ck_assert_uint_eq(access_rights(account("closed"), &root), all_but_raw);
    ck_assert_uint_eq(access_rights(account("closed"), &own), all_but_raw);
    ck_assert_uint_eq(access_rights(account("closed"), &ann), 0);
    ck_assert_uint_eq(access_rights(account("open"), &root), 0);
    ck_assert_uint_eq(access_rights(account("open"), &ann), RIGHT_READ);
    ck_assert_uint_eq(access_rights(account("open"), &web), RIGHT_SEND);
    ck_assert_uint_eq(access_rights(account("open"), &staff), RIGHT_READ);
    ck_assert_uint_eq(access_rights(account("open"), &both), RIGHT_READ | RIGHT_RAW);
    ck_assert_uint_eq(access_rights(account("open"), &foreign), 0);
    ck_assert(access_is_admin(config, &root) && !access_is_admin(config, &ann));
    ck_assert(access_allows_inline(config, &own) && !access_allows_inline(config, &ann));
    ck_assert(access_has_any(config, &web) && !access_has_any(config, &foreign));
}
END_TEST

static bool may_send(const char *name, const struct peer *peer, const char *address)
{
    struct fault fault = {.kind = FAULT_NONE};
    int r = access_check_sender(account(name), peer, "From", slice_of_str(address), &fault);
    if (r == 0) {
        ck_assert(!fault_is_set(&fault));
        return true;
    }
    ck_assert_int_eq(fault.kind, FAULT_DENIED);
    ck_assert_str_eq(fault.stage, "policy");
    return false;
}

START_TEST(test_senders)
{
    scratch_write("accounts.d/plain.conf", "[account]\nemail = ann@example.com\n");
    scratch_write("accounts.d/none.conf", "[account]\n");
    scratch_write("accounts.d/any.conf", "[account]\nsenders = *\n");
    scratch_write("accounts.d/some.conf",
                  "[account]\nemail = no@example.com\nsenders = shop@example.com *@lists.example.com\n"
                  "senders.user:1002 = web@example.com\nsenders.group:2000 = a@g.example\n"
                  "senders.group:2001 = b@g.example\n");
    load_good();
    const gid_t groups[] = {2001};
    const struct peer ann = {.uid = 1001, .gid = 1001}, web = {.uid = 1002, .gid = 2000},
                      grouped = {.uid = 1003, .gid = 2000, .groups = groups, .n_groups = 1};
    ck_assert(may_send("plain", &ann, "ann@example.com") && may_send("plain", &ann, "Ann@EXAMPLE.com"));
    ck_assert(!may_send("plain", &ann, "bob@example.com") && !may_send("plain", &ann, ""));
    ck_assert(!may_send("plain", &ann, "ann@example.com@evil.example") && !may_send("plain", &ann, "ann"));
    ck_assert(!may_send("none", &ann, "ann@example.com") && !may_send("none", &ann, ""));
    ck_assert(may_send("any", &ann, "x@y") && may_send("any", &ann, ""));
    ck_assert(may_send("some", &ann, "shop@example.com") && may_send("some", &ann, "x@Lists.example.com"));
    ck_assert(!may_send("some", &ann, "x@sub.lists.example.com") && !may_send("some", &ann, "no@example.com"));
    ck_assert(!may_send("some", &ann, "@lists.example.com") && !may_send("some", &ann, "web@example.com"));
    ck_assert(may_send("some", &web, "web@example.com") && !may_send("some", &web, "shop@example.com") &&
              !may_send("some", &web, "a@g.example"));
    ck_assert(may_send("some", &grouped, "a@g.example") && may_send("some", &grouped, "b@g.example") &&
              !may_send("some", &grouped, "shop@example.com"));
}
END_TEST

START_TEST(test_table)
{
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++) {
        ck_assert_msg(key->doc && strlen(key->doc) > 5 && key->doc[strlen(key->doc) - 1] == '.', "%s", key->name);
        ck_assert_msg((key->type == CONFIG_ENUM) == (key->words != NULL), "%s", key->name);
        ck_assert_msg(key->type != CONFIG_FILE || key->group == CONFIG_IN_DAEMON || key->flags & CONFIG_FILE_ONLY, "%s",
                      key->name);
        for (const struct config_key *other = config_keys; other < key; other++)
            ck_assert_msg(strcmp(key->name, other->name) || key->group != other->group ||
                              !(key->protocols & other->protocols),
                          "%s is there twice", key->name);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *c = tcase_create("files");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_empty_gives_defaults);
    tcase_add_test(c, test_places_from_environment);
    tcase_add_test(c, test_daemon_values);
    tcase_add_test(c, test_every_error_has_its_line);
    tcase_add_test(c, test_all_files_are_checked);
    tcase_add_test(c, test_bad_leaves_old);
    tcase_add_test(c, test_missing_and_odd_files);
    tcase_add_test(c, test_long_lines_and_values);
    tcase_add_test(c, test_inheritance);
    tcase_add_test(c, test_port_rules);
    tcase_add_test(c, test_known_providers);
    tcase_add_test(c, test_proxies);
    tcase_add_test(c, test_rules_between_keys);
    tcase_add_test(c, test_secrets_are_guarded);
    tcase_add_test(c, test_digests_tell_changes);
    suite_add_tcase(suite, c);
    c = tcase_create("options");
    tcase_add_test(c, test_options);
    tcase_add_test(c, test_options_refused);
    tcase_add_test(c, test_table);
    suite_add_tcase(suite, c);
    c = tcase_create("access");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_rights);
    tcase_add_test(c, test_senders);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
