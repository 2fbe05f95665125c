/* SPDX-License-Identifier: MIT */
/* `postern send`: a mail of addresses, a subject, files and a text from stdin. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_MAX (8u << 20)
#define TOLD_RECIPIENTS 5

static const char usage[] = "usage: postern send [OPTION]... [RECIPIENT]...\n"
                            "Sends a mail; its text comes from stdin.\n"
                            "  -t, --to ADDRESS        a recipient, like RECIPIENT; may be given several times\n"
                            "  -c, --cc ADDRESS        a recipient of a copy\n"
                            "  -b, --bcc ADDRESS       a recipient that the others do not see\n"
                            "  -f, --from ADDRESS      the sender; by default the account's address\n"
                            "  -s, --subject TEXT\n"
                            "  -A, --attach FILE       may be given several times\n"
                            "      --html              the text from stdin is HTML\n"
                            "      --header NAME:VALUE another header field\n"
                            "      --reply-to ADDRESS\n"
                            "      --in-reply-to ID    the message that this one answers\n"
                            "      --key KEY           idempotency key: a repeat does not send again\n"
                            "  -n, --dry-run           print the mail in place of sending it\n"
                            "  -a, --account NAME      the account to send through\n";

enum { OPT_HTML = 256, OPT_HEADER, OPT_REPLY_TO, OPT_IN_REPLY_TO, OPT_KEY, OPT_HELP };
static const struct option options[] = {
    {"to", required_argument, NULL, 't'},
    {"cc", required_argument, NULL, 'c'},
    {"bcc", required_argument, NULL, 'b'},
    {"from", required_argument, NULL, 'f'},
    {"subject", required_argument, NULL, 's'},
    {"attach", required_argument, NULL, 'A'},
    {"html", no_argument, NULL, OPT_HTML},
    {"header", required_argument, NULL, OPT_HEADER},
    {"reply-to", required_argument, NULL, OPT_REPLY_TO},
    {"in-reply-to", required_argument, NULL, OPT_IN_REPLY_TO},
    {"key", required_argument, NULL, OPT_KEY},
    {"dry-run", no_argument, NULL, 'n'},
    {"account", required_argument, NULL, 'a'},
    {"json", no_argument, NULL, 'J'},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct sending {
    struct cli *cli;
    struct cli_params params; /* descriptors; its object becomes the call's */
    json_t *message;
    const char *from, *key;
    bool html, dry_run;
};

/* Names whose type is certain; the gateway knows nothing of files. */
static const char *type_of(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".txt", "text/plain"},
        {".csv", "text/csv"},
        {".html", "text/html"},
        {".ics", "text/calendar"},
        {".pdf", "application/pdf"},
        {".zip", "application/zip"},
        {".gz", "application/gzip"},
        {".json", "application/json"},
        {".xml", "application/xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".svg", "image/svg+xml"},
        {".webp", "image/webp"},
        {".mp3", "audio/mpeg"},
        {".mp4", "video/mp4"},
        {".eml", "message/rfc822"},
        {".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
        {".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
        {".odt", "application/vnd.oasis.opendocument.text"},
    };
    struct slice s = slice_of_str(name);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        size_t n = strlen(types[i].ending);
        if (s.len > n && slice_eq_ci(slice_from(s, s.len - n), slice_of_str(types[i].ending)))
            return types[i].type;
    }
    return "application/octet-stream";
}

static int add_to(struct sending *s, json_t *object, const char *name, json_t *value)
{
    json_t *array = json_object_get(object, name);
    if (!value)
        return cli_fail(s->cli, EX_DATAERR, "%s: not a text in UTF-8", name);
    if (!array) {
        array = json_array();
        json_object_set_new(object, name, array);
    }
    return json_array_append_new(array, value) < 0 ? cli_fail(s->cli, EX_OSERR, "out of memory") : 0;
}

static int attach(struct sending *s, const char *path)
{
    struct stat st;
    json_t *content = NULL;
    int fd = cli_open_file(s->cli, path), status = 0;
    if (fd < 0)
        return -fd;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        status = cli_fail(s->cli, EX_NOINPUT, "%s: not a regular file", path);
    status = status ? status : cli_params_add_fd(s->cli, &s->params, fd, &content);
    close(fd);
    if (status)
        return status;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    json_t *one = json_pack("{s:o,s:s,s:s,s:s}", "content", content, "filename", name, "content_type", type_of(name),
                            "disposition", "attachment");
    return add_to(s, s->message, "attachments", one);
}

static int add_header(struct sending *s, const char *text)
{
    const char *colon = strchr(text, ':');
    if (!colon || colon == text)
        return cli_fail(s->cli, EX_USAGE, "--header: '%s' is not NAME:VALUE", text);
    char *name = strndup(text, (size_t) (colon - text));
    struct slice value = slice_trim(slice_of_str(colon + 1));
    json_t *headers = json_object_get(s->message, "headers");
    if (!headers) {
        headers = json_object();
        json_object_set_new(s->message, "headers", headers);
    }
    int status = name ? add_to(s, headers, name, json_stringn(value.len ? value.data : "", value.len))
                      : cli_fail(s->cli, EX_OSERR, "out of memory");
    free(name);
    return status;
}

static int set(struct sending *s, const char *name, const char *value)
{
    if (json_object_set_new(s->message, name, json_string(value)) < 0)
        return cli_fail(s->cli, EX_DATAERR, "%s: not a text in UTF-8", name);
    return 0;
}

/* Status, or -1 to go on. */
static int read_option(struct sending *s, int opt)
{
    int status = 0;
    switch (opt) {
    case 't':
        status = add_to(s, s->message, "to", json_string(optarg));
        break;
    case 'c':
        status = add_to(s, s->message, "cc", json_string(optarg));
        break;
    case 'b':
        status = add_to(s, s->message, "bcc", json_string(optarg));
        break;
    case 'f':
        s->from = optarg;
        break;
    case 's':
        status = set(s, "subject", optarg);
        break;
    case 'A':
        status = attach(s, optarg);
        break;
    case OPT_HTML:
        s->html = true;
        break;
    case OPT_HEADER:
        status = add_header(s, optarg);
        break;
    case OPT_REPLY_TO:
        status = set(s, "reply_to", optarg);
        break;
    case OPT_IN_REPLY_TO:
        status = add_to(s, s->message, "in_reply_to", json_string(optarg));
        break;
    case OPT_KEY:
        s->key = optarg;
        break;
    case 'n':
        s->dry_run = true;
        break;
    case 'a':
        s->cli->account = optarg;
        break;
    case 'J':
        s->cli->json = true;
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

static int read_body(struct sending *s)
{
    struct buffer text;
    int r = 0;
    ssize_t n = 1;
    if (isatty(STDIN_FILENO) && !s->cli->quiet)
        fputs("(the text; end with Ctrl-D)\n", stderr);
    buffer_init(&text, BODY_MAX);
    while (n > 0) {
        char *room;
        r = buffer_reserve(&text, MIN(buffer_room(&text), (size_t) 65536), &room);
        if (r < 0 || buffer_room(&text) == 0)
            break;
        n = read(STDIN_FILENO, room, MIN(buffer_room(&text), (size_t) 65536));
        if (n > 0)
            buffer_commit(&text, (size_t) n);
        else if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            r = -errno;
    }
    struct slice all = buffer_slice(&text);
    int status = 0;
    json_t *value = NULL;
    if (r < 0)
        status = cli_fail(s->cli, EX_IOERR, "stdin: %s", strerror(-r));
    else if (buffer_room(&text) == 0)
        status = cli_fail(s->cli, EX_DATAERR, "the text is too long: attach it");
    else if (!(value = json_stringn(all.len ? all.data : "", all.len)))
        status = cli_fail(s->cli, EX_DATAERR, "the text is not UTF-8");
    buffer_done(&text);
    if (value && json_object_set_new(s->message, s->html ? "html" : "text", value) < 0)
        status = cli_fail(s->cli, EX_OSERR, "out of memory");
    return status;
}

/* The address within `Name <address>`, for choosing the account; malloc'ed. */
static char *bare_address(const char *from)
{
    const char *open = strrchr(from, '<'), *close = open ? strchr(open, '>') : NULL;
    return close ? strndup(open + 1, (size_t) (close - open - 1)) : strdup(from);
}

/* The sender, and the account where one is needed. */
static int choose_sender(struct sending *s, char **ret_account)
{
    char *address = s->from ? bare_address(s->from) : NULL, *email = NULL;
    int status = 0;
    if (!s->dry_run || !s->from)
        status = cli_choose_account(s->cli, CLI_SENDS, address, NULL, ret_account, &email);
    if (!status && !s->from && !email)
        status = cli_fail(s->cli, EX_USAGE, "the account has no address: give --from");
    if (!status)
        status = set(s, "from", s->from ? s->from : email);
    free(address);
    free(email);
    return status;
}

static int print_mail(struct sending *s, const json_t *result)
{
    char *text;
    size_t len;
    int r = postern_content_read(json_object_get(result, "raw"), NULL, 0, &text, &len);
    if (r < 0)
        return cli_fail(s->cli, EX_SOFTWARE, "the gateway's answer holds no mail");
    if (isatty(STDOUT_FILENO) && !s->cli->raw)
        cli_print_text(stdout, text, len, true);
    else
        fwrite(text, 1, len, stdout);
    free(text);
    return fflush(stdout) == 0 ? 0 : EX_IOERR;
}

/* To whom, and what the server said: its number for the mail is in there. */
static void tell_sent(const json_t *result)
{
    const json_t *accepted = json_object_get(result, "accepted");
    size_t n = json_array_size(accepted);
    char reply[700];
    fputs(n ? "sent to " : "sent to nobody", stdout);
    for (size_t i = 0; i < n && i < TOLD_RECIPIENTS; i++) {
        const char *address = cli_string(json_array_get(accepted, i));
        fputs(i ? ", " : "", stdout);
        cli_print_text(stdout, address, strlen(address), false);
    }
    if (n > TOLD_RECIPIENTS)
        printf(" and %zu more", n - TOLD_RECIPIENTS);
    cli_reply_text(json_object_get(result, "reply"), reply, sizeof(reply));
    fputs(reply[0] ? ": " : "", stdout);
    cli_print_text(stdout, reply, strlen(reply), false);
    putchar('\n');
}

static int print_sent(struct sending *s, const json_t *result)
{
    size_t i;
    json_t *one;
    int status = 0;
    if (s->cli->json)
        status = cli_print(s->cli, result);
    else if (!s->cli->quiet)
        tell_sent(result);
    json_array_foreach(json_object_get(result, "rejected"), i, one)
    {
        const char *address = json_string_value(json_object_get(one, "address"));
        char reply[700];
        cli_reply_text(json_object_get(one, "reply"), reply, sizeof(reply));
        status = cli_fail(s->cli, EX_UNAVAILABLE, "refused: %s: %s", address ? address : "?", reply);
    }
    return status;
}

static int run(struct sending *s)
{
    char *account = NULL;
    json_t *result = NULL;
    int status = 0;
    if (!json_object_get(s->message, "to") && !json_object_get(s->message, "cc") && !json_object_get(s->message, "bcc"))
        return cli_fail(s->cli, EX_USAGE, "no recipient (see: postern send --help)");
    status = status ? status : choose_sender(s, &account);
    status = status ? status : read_body(s);
    if (!status) {
        json_t *object = s->params.object;
        bool bad = json_object_set(object, "message", s->message);
        if (s->dry_run)
            bad = bad || json_object_set_new(object, "content", json_string("auto"));
        else
            bad = bad || json_object_set_new(object, "account", json_string(account));
        if (s->key && !s->dry_run)
            bad = bad || json_object_set_new(object, "idempotency_key", json_string(s->key));
        status = bad ? cli_fail(s->cli, EX_OSERR, "out of memory")
                     : cli_call(s->cli, s->dry_run ? "mail.build" : "smtp.send", &s->params, NULL, &result);
    }
    if (!status)
        status = s->dry_run ? print_mail(s, result) : print_sent(s, result);
    json_decref(result);
    free(account);
    return status;
}

int cli_send(struct cli *cli, int argc, char **argv)
{
    struct sending s = {.cli = cli, .message = json_object()};
    int status = cli_params_init(cli, &s.params), opt;
    if (!status && !s.message)
        status = cli_fail(cli, EX_OSERR, "out of memory");
    cli->output = NULL;
    optind = 0; /* and not 1: the options may stand anywhere */
    while (!status && (opt = getopt_long(argc, argv, "t:c:b:f:s:A:na:", options, NULL)) != -1) {
        status = read_option(&s, opt);
        if (status >= 0) {
            cli_params_done(&s.params);
            json_decref(s.message);
            return status;
        }
        status = 0;
    }
    for (int i = optind; i < argc && !status; i++)
        status = add_to(&s, s.message, "to", json_string(argv[i]));
    status = status ? status : run(&s);
    cli_params_done(&s.params);
    json_decref(s.message);
    return status;
}
