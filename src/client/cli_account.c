/* SPDX-License-Identifier: MIT */
/* `postern account add`: asks for what an account needs, tries it, and writes its file. */
#include "cli.h"
#include "cli_provider.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static const char usage[] =
    "usage: postern account add [OPTION]... NAME\n"
    "Tries an account and writes its file. What is not given is asked on a terminal, or guessed from the address.\n"
    "  -e, --email ADDRESS       the account's address\n"
    "  -n, --name TEXT           the name of its owner\n"
    "  -u, --username NAME       for logging in; the address unless given\n"
    "      --password-file FILE  the password is on its first line (-: stdin); asked without showing it unless given\n"
    "      --password-command C  a command of the gateway's that prints the password\n"
    "      --token-command C     one that prints an OAuth2 access token\n"
    "      --smtp HOST[:PORT]    the servers; for well-known providers they are known, else smtp. and imap.DOMAIN are\n"
    "      --imap HOST[:PORT]    tried; `none`: not this protocol\n"
    "      --pop3 HOST[:PORT]    only if given\n"
    "      --starttls PROTOCOL   smtp, imap or pop3: TLS after STARTTLS, in place of at once\n"
    "      --ca-file FILE        who must have signed the servers' certificates\n"
    "      --allow WHO           who may use it: user:NAME group:NAME; you, unless given\n"
    "      --permit RIGHTS       what they may do: send read write raw; the first three unless given\n"
    "      --dir FOLDER          where postern.conf is; /etc/postern for root, else ~/.config/postern\n"
    "      --replace             in place of an account of that name\n"
    "      --no-test             save it untried\n";

enum {
    OPT_PASSWORD_FILE = 256,
    OPT_PASSWORD_COMMAND,
    OPT_TOKEN_COMMAND,
    OPT_SMTP,
    OPT_IMAP,
    OPT_POP3,
    OPT_STARTTLS,
    OPT_CA_FILE,
    OPT_ALLOW,
    OPT_PERMIT,
    OPT_DIR,
    OPT_REPLACE,
    OPT_NO_TEST,
    OPT_HELP
};
static const struct option options[] = {
    {"email", required_argument, NULL, 'e'},
    {"name", required_argument, NULL, 'n'},
    {"username", required_argument, NULL, 'u'},
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"password-command", required_argument, NULL, OPT_PASSWORD_COMMAND},
    {"token-command", required_argument, NULL, OPT_TOKEN_COMMAND},
    {"smtp", required_argument, NULL, OPT_SMTP},
    {"imap", required_argument, NULL, OPT_IMAP},
    {"pop3", required_argument, NULL, OPT_POP3},
    {"starttls", required_argument, NULL, OPT_STARTTLS},
    {"ca-file", required_argument, NULL, OPT_CA_FILE},
    {"allow", required_argument, NULL, OPT_ALLOW},
    {"permit", required_argument, NULL, OPT_PERMIT},
    {"dir", required_argument, NULL, OPT_DIR},
    {"replace", no_argument, NULL, OPT_REPLACE},
    {"no-test", no_argument, NULL, OPT_NO_TEST},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

#define TEXT_MAX 512
enum { SMTP, IMAP, POP3, PROTOCOLS };
static const char *const protocol_names[PROTOCOLS] = {"smtp", "imap", "pop3"};

struct server {
    bool present, given, upgrades;
    char host[TEXT_MAX];
    int port; /* 0: the usual one */
};

struct account {
    struct cli *cli;
    const char *id; /* its name in the gateway */
    char email[TEXT_MAX], name[TEXT_MAX], username[TEXT_MAX], allow[TEXT_MAX], permit[TEXT_MAX], folder[TEXT_MAX];
    char password[TEXT_MAX];
    const char *password_file, *password_command, *token_command, *ca_file;
    struct server servers[PROTOCOLS];
    bool replace, untried, interactive;
};

/* --- asking --- */

/* A line from the terminal into `out`, which keeps what it holds when the line is empty. */
static int ask(const struct account *a, const char *what, char *out, bool secret)
{
    struct termios before, quiet;
    char line[TEXT_MAX];
    if (!a->interactive)
        return cli_fail(a->cli, EX_USAGE, "%s is needed (see: postern account add --help)", what);
    bool hidden = secret && tcgetattr(STDIN_FILENO, &before) == 0;
    if (hidden) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t) ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    /* only now: who answers at once is not shown either */
    fprintf(stderr, out[0] && !secret ? "%s [%s]: " : "%s: ", what, out);
    char *got = fgets(line, sizeof(line), stdin);
    if (hidden) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
        fputc('\n', stderr);
    }
    if (!got)
        return cli_fail(a->cli, EX_USAGE, "no answer");
    line[strcspn(line, "\r\n")] = 0;
    if (line[0])
        snprintf(out, TEXT_MAX, "%s", line);
    explicit_bzero(line, sizeof(line));
    return 0;
}

static bool is_yes(const struct account *a, const char *question)
{
    char answer[TEXT_MAX] = "";
    return ask(a, question, answer, false) == 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

/* --- what is given --- */

static int take(struct account *a, const char *what, char *out, const char *text)
{
    if (strlen(text) >= TEXT_MAX)
        return cli_fail(a->cli, EX_USAGE, "%s is too long", what);
    for (const char *p = text; *p; p++)
        if ((unsigned char) *p < 0x20 || *p == 0x7f)
            return cli_fail(a->cli, EX_USAGE, "%s: a control character", what);
    snprintf(out, TEXT_MAX, "%s", text);
    return 0;
}

/* HOST, HOST:PORT, [IPv6]:PORT, none */
static int take_server(struct account *a, int protocol, const char *text)
{
    struct server *s = &a->servers[protocol];
    int status = take(a, protocol_names[protocol], s->host, text);
    char *colon = strrchr(s->host, ':'), *end = NULL;
    s->given = true;
    s->present = strcmp(text, "none") != 0;
    if (!status && colon && (colon == strchr(s->host, ':') || (colon > s->host && colon[-1] == ']'))) {
        long port = strtol(colon + 1, &end, 10);
        if (!ascii_is_digit(colon[1]) || *end || port < 1 || port > 65535)
            return cli_fail(a->cli, EX_USAGE, "--%s: '%s' is no port", protocol_names[protocol], colon + 1);
        s->port = (int) port;
        *colon = 0;
    }
    size_t len = strlen(s->host);
    if (len > 2 && s->host[0] == '[' && s->host[len - 1] == ']') {
        memmove(s->host, s->host + 1, len - 2);
        s->host[len - 2] = 0;
    }
    return status;
}

static int take_upgrade(struct account *a, const char *name)
{
    for (int p = 0; p < PROTOCOLS; p++)
        if (strcmp(name, protocol_names[p]) == 0) {
            a->servers[p].upgrades = true;
            return 0;
        }
    return cli_fail(a->cli, EX_USAGE, "--starttls: smtp, imap or pop3, not '%s'", name);
}

/* Status, or -1 to go on. */
static int read_option(struct account *a, int opt)
{
    int status = 0;
    switch (opt) {
    case 'e':
        status = take(a, "--email", a->email, optarg);
        break;
    case 'n':
        status = take(a, "--name", a->name, optarg);
        break;
    case 'u':
        status = take(a, "--username", a->username, optarg);
        break;
    case OPT_PASSWORD_FILE:
        a->password_file = optarg;
        break;
    case OPT_PASSWORD_COMMAND:
        a->password_command = optarg;
        break;
    case OPT_TOKEN_COMMAND:
        a->token_command = optarg;
        break;
    case OPT_SMTP:
    case OPT_IMAP:
    case OPT_POP3:
        status = take_server(a, opt - OPT_SMTP, optarg);
        break;
    case OPT_STARTTLS:
        status = take_upgrade(a, optarg);
        break;
    case OPT_CA_FILE:
        a->ca_file = optarg;
        break;
    case OPT_ALLOW:
        status = take(a, "--allow", a->allow, optarg);
        break;
    case OPT_PERMIT:
        status = take(a, "--permit", a->permit, optarg);
        break;
    case OPT_DIR:
        status = take(a, "--dir", a->folder, optarg);
        break;
    case OPT_REPLACE:
        a->replace = true;
        break;
    case OPT_NO_TEST:
        a->untried = true;
        break;
    case OPT_HELP:
        fputs(usage, stdout);
        return EX_OK;
    default:
        fputs(usage, stderr);
        return EX_USAGE;
    }
    return status ? status : -1;
}

/* --- what is guessed or asked --- */

static void guess_owner(struct account *a)
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *who = sudo && getuid() == 0 ? getpwnam(sudo) : getpwuid(getuid());
    if (!a->allow[0])
        snprintf(a->allow, sizeof(a->allow), "user:%s", who ? who->pw_name : "root");
    if (!a->permit[0])
        snprintf(a->permit, sizeof(a->permit), "send read write");
    if (a->folder[0])
        return;
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (getuid() == 0)
        snprintf(a->folder, sizeof(a->folder), POSTERN_SYSCONFDIR "/postern");
    else if (config && config[0] == '/')
        snprintf(a->folder, sizeof(a->folder), "%s/postern", config);
    else
        snprintf(a->folder, sizeof(a->folder), "%s/.config/postern", home ? home : "");
}

static void guess_server(struct server *s, const char *prefix, const char *domain, const char *known)
{
    if (s->given)
        return;
    if (known)
        snprintf(s->host, sizeof(s->host), "%s", known);
    else
        snprintf(s->host, sizeof(s->host), "%s.%.400s", prefix, domain);
    s->present = true;
}

static int complete(struct account *a)
{
    int status = a->email[0] ? 0 : ask(a, "address", a->email, false);
    const char *at = strrchr(a->email, '@');
    if (!status && (!at || !at[1]))
        status = cli_fail(a->cli, EX_USAGE, "'%s' is no mail address", a->email);
    if (status)
        return status;
    const struct cli_provider *known = cli_provider_find(at + 1);
    guess_server(&a->servers[SMTP], "smtp", at + 1, known ? known->smtp : NULL);
    guess_server(&a->servers[IMAP], "imap", at + 1, known ? known->imap : NULL);
    if (known && known->smtp_upgrades && !a->servers[SMTP].given)
        a->servers[SMTP].upgrades = true;
    if (known && known->note && !a->cli->quiet)
        fprintf(stderr, "%s: %s\n", at + 1, known->note);
    if (!a->username[0]) {
        snprintf(a->username, sizeof(a->username), "%s", a->email);
        if (a->interactive)
            status = ask(a, "user name", a->username, false);
    }
    for (int p = SMTP; p <= IMAP && !status && a->interactive; p++)
        if (!a->servers[p].given && !known) {
            char host[TEXT_MAX], title[32];
            snprintf(host, sizeof(host), "%s", a->servers[p].host);
            snprintf(title, sizeof(title), "%s server", p == SMTP ? "SMTP" : "IMAP");
            status = ask(a, title, host, false);
            status = status ? status : take_server(a, p, host);
        }
    return status;
}

static int read_password_file(struct account *a)
{
    bool from_stdin = strcmp(a->password_file, "-") == 0;
    FILE *in = from_stdin ? stdin : fopen(a->password_file, "re");
    if (!in)
        return cli_fail(a->cli, EX_NOINPUT, "%s: %s", a->password_file, strerror(errno));
    char *got = fgets(a->password, sizeof(a->password), in);
    if (!from_stdin)
        fclose(in);
    a->password[strcspn(a->password, "\r\n")] = 0;
    return got && a->password[0] ? 0 : cli_fail(a->cli, EX_NOINPUT, "%s: no password in it", a->password_file);
}

static int get_secret(struct account *a)
{
    if (a->password_command || a->token_command)
        return 0;
    int status = a->password_file ? read_password_file(a) : ask(a, "password", a->password, true);
    if (!status && !a->password[0])
        status = cli_fail(a->cli, EX_USAGE, "an empty password");
    return status;
}

/* --- trying --- */

/* The usual port where none is given. */
static int port_of(const struct server *s, int protocol)
{
    static const int usual[PROTOCOLS][2] = {{465, 587}, {993, 143}, {995, 110}};
    return s->port ? s->port : usual[protocol][s->upgrades];
}

static int read_authority(const struct account *a, json_t *object)
{
    char text[65536];
    int fd = open(a->ca_file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return cli_fail(a->cli, EX_NOINPUT, "%s: %s", a->ca_file, strerror(errno));
    return json_object_set_new(object, "ca", json_stringn(text, (size_t) n)) < 0
               ? cli_fail(a->cli, EX_DATAERR, "%s: not PEM", a->ca_file)
               : 0;
}

static int try_server(const struct account *a, int protocol)
{
    static const char *const methods[PROTOCOLS] = {"smtp.test_connection", "imap.noop", "pop3.noop"};
    const struct server *s = &a->servers[protocol];
    struct postern_error error = POSTERN_ERROR_INIT;
    json_t *result = NULL;
    json_t *where = json_pack("{s:s,s:i,s:b,s:s,s:s}", "host", s->host, "port", port_of(s, protocol), "implicit_tls",
                              !s->upgrades, "username", a->username, "password", a->password);
    int status = where ? 0 : cli_fail(a->cli, EX_DATAERR, "a value is not UTF-8");
    if (!status && a->ca_file)
        status = read_authority(a, where);
    json_t *params = json_pack("{s:o}", "options", where);
    fprintf(stderr, "trying %s at %s:%d ... ", protocol_names[protocol], s->host, port_of(s, protocol));
    int r = status ? -1 : postern_call(a->cli->connection, methods[protocol], params, &result, &error);
    json_decref(params);
    const json_t *failure = json_object_get(result, "error"), *data = json_object_get(failure, "data");
    bool ok = r == 0 && !json_is_false(json_object_get(result, "ok"));
    if (ok) {
        fputs("ok\n", stderr);
    } else if (!status) {
        const char *kind = json_string_value(json_object_get(data, "kind"));
        const char *stage = json_string_value(json_object_get(failure ? data : error.data, "stage"));
        const char *text = json_string_value(json_object_get(failure, "message"));
        char reply[700];
        cli_reply_text(json_object_get(failure ? data : error.data, "reply"), reply, sizeof(reply));
        struct cli_failure f = {.account = a->id,
                                .protocol = protocol_names[protocol],
                                .host = s->host,
                                .kind = failure && kind ? kind : error.kind,
                                .stage = stage ? stage : "",
                                .message = failure && text ? text : error.message,
                                .reply = reply,
                                .port = port_of(s, protocol),
                                .implicit_tls = !s->upgrades};
        fputs("failed\n  ", stderr);
        cli_print_text(stderr, f.message, strlen(f.message), false);
        fputc('\n', stderr);
        cli_print_advice(stderr, &f);
        status = cli_exit_status(&error);
        status = status ? status : EX_UNAVAILABLE;
    }
    json_decref(result);
    postern_error_done(&error);
    return status;
}

static int try_account(struct account *a)
{
    int status = 0;
    if (a->untried || a->password_command || a->token_command)
        return 0;
    if ((status = cli_connect(a->cli)) != 0)
        return cli_fail(a->cli, status, "the gateway tries accounts: start it, or save this one untried with --no-test");
    for (int p = 0; p < PROTOCOLS; p++)
        if (a->servers[p].present) {
            int one = try_server(a, p);
            status = status ? status : one;
        }
    if (status && a->interactive && is_yes(a, "save it all the same? [y/N]"))
        return 0;
    return status ? cli_fail(a->cli, status, "not saved") : 0;
}

/* --- writing --- */

/* A user's own configuration begins with nothing; that of the machine is the package's. */
static int make_folders(const struct account *a)
{
    char path[TEXT_MAX + 32];
    if (getuid() == 0)
        return 0;
    for (const char *p = a->folder + 1; p; p = strchr(p + 1, '/')) { /* ~/.config may be new, too */
        snprintf(path, sizeof(path), "%.*s", (int) (p - a->folder), a->folder);
        if (*p == '/' && mkdir(path, 0700) < 0 && errno != EEXIST)
            return cli_fail(a->cli, EX_CANTCREAT, "%s: %s", path, strerror(errno));
    }
    if (mkdir(a->folder, 0700) < 0 && errno != EEXIST)
        return cli_fail(a->cli, EX_CANTCREAT, "%s: %s", a->folder, strerror(errno));
    snprintf(path, sizeof(path), "%s/accounts.d", a->folder);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return cli_fail(a->cli, EX_CANTCREAT, "%s: %s", path, strerror(errno));
    snprintf(path, sizeof(path), "%s/postern.conf", a->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cli_fail(a->cli, EX_CANTCREAT, "%s: %s", path, strerror(errno));
    close(fd);
    return 0;
}

/* A new file in the folder, which the daemon's group may read and nobody else; it takes its place in one step. */
static int write_file(const struct account *a, int dir, const char *name, const char *text, bool replace)
{
    struct stat st;
    const struct group *group = getuid() == 0 ? getgrnam("postern") : NULL;
    if (!replace && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return cli_fail(a->cli, EX_CANTCREAT, "%s: is there already (--replace replaces it)", name);
    return cli_replace_file(a->cli, dir, name, text, group ? 0640 : 0600, group ? group->gr_gid : (gid_t) -1);
}

static void describe(const struct account *a, FILE *out)
{
    fprintf(out, "[account]\nemail = %s\n", a->email);
    if (a->name[0])
        fprintf(out, "name = %s\n", a->name);
    fprintf(out, "allow = %s\npermit = %s\n\n[auth]\nusername = %s\n", a->allow, a->permit, a->username);
    if (a->token_command)
        fprintf(out, "token_command = %s\n", a->token_command);
    else if (a->password_command)
        fprintf(out, "password_command = %s\n", a->password_command);
    else
        fprintf(out, "password_file = %s/%s.password\n", a->folder, a->id);
    for (int p = 0; p < PROTOCOLS; p++) {
        const struct server *s = &a->servers[p];
        if (!s->present)
            continue;
        fprintf(out, "\n[%s]\nhost = %s\nport = %d\nimplicit_tls = %s\n", protocol_names[p], s->host, port_of(s, p),
                s->upgrades ? "no" : "yes");
        if (a->ca_file)
            fprintf(out, "ca_file = %s\n", a->ca_file);
    }
}

static int write_account(const struct account *a)
{
    char *text = NULL, name[TEXT_MAX], secret[TEXT_MAX + 1];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int folder = open(a->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), accounts = -1, status = 0;
    if (folder >= 0)
        accounts = openat(folder, "accounts.d", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (accounts < 0)
        status = cli_fail(a->cli, EX_CANTCREAT, "%s%s: %s", a->folder, folder < 0 ? "" : "/accounts.d", strerror(errno));
    else if (!out)
        status = cli_fail(a->cli, EX_OSERR, "out of memory");
    if (out) {
        describe(a, out);
        if (fclose(out) != 0 && !status)
            status = cli_fail(a->cli, EX_OSERR, "out of memory");
    }
    snprintf(name, sizeof(name), "%.64s.password", a->id);
    snprintf(secret, sizeof(secret), "%s\n", a->password);
    /* the password first: the daemon may read the account as soon as it is there */
    if (!status && a->password[0])
        status = write_file(a, folder, name, secret, a->replace);
    snprintf(name, sizeof(name), "%.64s.conf", a->id);
    if (!status)
        status = write_file(a, accounts, name, text, a->replace);
    explicit_bzero(secret, sizeof(secret));
    free(text);
    if (accounts >= 0)
        close(accounts);
    if (folder >= 0)
        close(folder);
    return status;
}

/* The gateway takes it over at once, where it runs and one may ask it to. */
static void announce(struct account *a)
{
    struct postern_error error = POSTERN_ERROR_INIT;
    json_t *result = NULL;
    int r = a->cli->connection ? 0 : postern_open(&a->cli->connection, a->cli->socket, 1000, &error);
    if (r == 0)
        r = postern_call(a->cli->connection, "gateway.reload", NULL, &result, &error);
    if (!a->cli->quiet)
        printf("saved: %s/accounts.d/%s.conf\n", a->folder, a->id);
    if (r < 0 && !a->cli->quiet)
        printf("%s%sthe gateway takes it over with `systemctl reload postern`\n", error.message, error.message[0] ? "; " : "");
    else if (r == 0 && !a->cli->quiet)
        printf("it can be used now: postern -a %s ls\n", a->id);
    json_decref(result);
    postern_error_done(&error);
}

static bool is_name(const char *text)
{
    size_t n = strlen(text);
    if (n < 1 || n > 64 || !(ascii_is_alpha(text[0]) || ascii_is_digit(text[0])))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!ascii_is_alpha(text[i]) && !ascii_is_digit(text[i]) && !strchr("._-", text[i]))
            return false;
    return true;
}

int cli_account(struct cli *cli, int argc, char **argv)
{
    struct account a = {.cli = cli, .interactive = isatty(STDIN_FILENO)};
    int opt, status = -1;
    if (argc < 2 || strcmp(argv[1], "add") != 0) {
        bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
        fputs(usage, help ? stdout : stderr);
        return help ? EX_OK : EX_USAGE;
    }
    argc--;
    argv++;
    optind = 0; /* and not 1: the options may stand anywhere */
    while (status < 0 && (opt = getopt_long(argc, argv, "e:n:u:", options, NULL)) != -1)
        status = read_option(&a, opt);
    if (status >= 0)
        return status;
    if (argc - optind != 1 || !is_name(argv[optind]))
        return cli_fail(cli, EX_USAGE, "the account needs a name: letters, digits, '.', '_', '-' (see: postern account add --help)");
    a.id = argv[optind];
    guess_owner(&a);
    status = complete(&a);
    status = status ? status : get_secret(&a);
    /* before anything is tried: a gateway of the user's starts with this configuration */
    status = status ? status : make_folders(&a);
    status = status ? status : try_account(&a);
    status = status ? status : write_account(&a);
    if (!status)
        announce(&a);
    explicit_bzero(a.password, sizeof(a.password));
    return status;
}
