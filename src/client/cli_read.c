/* SPDX-License-Identifier: MIT */
/* `postern read` and `postern fetch`: a message for people, its attachments and its bytes as files. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char usage[] =
    "usage: postern read [OPTION]... UID\n"
    "       postern fetch [OPTION]... UID...\n"
    "read shows a message; fetch saves messages as they are, in files UID.eml.\n"
    "  -m, --mailbox NAME      the mailbox; INBOX unless given\n"
    "  -d, --dir FOLDER        where files go; by default, here\n"
    "  -s, --save              read: save the attachments, under safe names\n"
    "  -H, --headers           read: all header fields\n"
    "  -k, --keep-unread       read: do not mark it as read\n"
    "  -a, --account NAME      the account\n";

static const struct option options[] = {
    {"mailbox", required_argument, NULL, 'm'}, {"dir", required_argument, NULL, 'd'},
    {"save", no_argument, NULL, 's'},          {"headers", no_argument, NULL, 'H'},
    {"keep-unread", no_argument, NULL, 'k'},   {"account", required_argument, NULL, 'a'},
    {"json", no_argument, NULL, 'J'},          {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct reading {
    struct cli *cli;
    char *account;
    const char *mailbox, *folder;
    bool save, headers, keep_unread;
    json_t *uidvalidity;
};

/* The message's bytes in a memory file of ours, of any size; the descriptor, or a negative exit status. */
static int get_message(struct reading *r, json_int_t uid)
{
    char path[32];
    json_t *result = NULL;
    struct cli to_file = *r->cli;
    int fd = memfd_create("message", MFD_CLOEXEC);
    if (fd < 0)
        return -cli_fail(r->cli, EX_OSERR, "no memory file: %s", strerror(errno));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    to_file.output = path;
    struct cli_params params = {.object = json_pack("{s:s,s:s,s:[I],s:[s]}", "account", r->account, "mailbox", r->mailbox,
                                                    "uids", uid, "items", "BODY.PEEK[]")};
    int status = params.object ? cli_call(&to_file, "imap.fetch", &params, NULL, &result)
                               : cli_fail(r->cli, EX_DATAERR, "a name is not UTF-8");
    r->cli->connection = to_file.connection;
    if (!status) {
        json_decref(r->uidvalidity);
        r->uidvalidity = json_incref(json_object_get(result, "uidvalidity"));
    }
    json_decref(result);
    if (status) {
        close(fd);
        return -status;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* --- read --- */

static void print_addresses(const char *name, const json_t *list)
{
    size_t i;
    json_t *one;
    if (json_array_size(list) == 0)
        return;
    printf("%s: ", name);
    json_array_foreach(list, i, one)
    {
        const char *who = cli_string(json_object_get(one, "name")), *address = cli_string(json_object_get(one, "address"));
        const char *group = cli_string(json_object_get(one, "group"));
        fputs(i ? ", " : "", stdout);
        cli_print_text(stdout, *group ? group : who, strlen(*group ? group : who), false);
        if (*address) {
            fputs(*who ? " <" : "", stdout);
            cli_print_text(stdout, address, strlen(address), false);
            fputs(*who ? ">" : "", stdout);
        }
    }
    putchar('\n');
}

/* In the reader's time; what is no date is shown as what it is. */
static void print_date(const char *iso)
{
    char text[64] = "";
    time_t at;
    struct tm tm;
    if (cli_parse_date(iso, &at) && localtime_r(&at, &tm))
        strftime(text, sizeof(text), "%a %e %b %Y %H:%M %z", &tm);
    fputs("Date: ", stdout);
    cli_print_text(stdout, text[0] ? text : iso, strlen(text[0] ? text : iso), false);
    putchar('\n');
}

static void print_headers(const struct reading *r, const json_t *message)
{
    static const struct {
        const char *title, *member;
    } lists[] = {{"From", "from"}, {"Reply-To", "reply_to"}, {"To", "to"}, {"Cc", "cc"}};
    const char *name;
    json_t *values, *value;
    size_t i;
    if (r->headers) {
        json_object_foreach(json_object_get(message, "headers"), name, values)
        {
            json_array_foreach(values, i, value)
            {
                cli_print_text(stdout, name, strlen(name), false);
                fputs(": ", stdout);
                cli_print_text(stdout, cli_string(value), strlen(cli_string(value)), false);
                putchar('\n');
            }
        }
        return;
    }
    for (i = 0; i < ARRAY_LEN(lists); i++)
        print_addresses(lists[i].title, json_object_get(message, lists[i].member));
    print_date(cli_string(json_object_get(message, "date")));
    fputs("Subject: ", stdout);
    const char *subject = cli_string(json_object_get(message, "subject"));
    cli_print_text(stdout, subject, strlen(subject), false);
    putchar('\n');
}

static void print_body(const json_t *body)
{
    json_t *text = json_object_get(body, "text"), *html = json_object_get(body, "html");
    char *made = NULL;
    putchar('\n');
    if (!json_is_string(text) && json_is_string(html)) {
        made = cli_html_text(json_string_value(html), json_string_length(html));
        if (made)
            cli_print_text(stdout, made, strlen(made), true);
    } else if (json_is_string(text)) {
        cli_print_text(stdout, json_string_value(text), json_string_length(text), true);
    }
    free(made);
    putchar('\n');
}

static int save_attachment(const struct reading *r, int dir, const json_t *one)
{
    char *bytes = NULL, name[CLI_NAME_MAX + 1], fallback[64];
    size_t len = 0;
    const char *wanted = cli_string(json_object_get(one, "filename"));
    snprintf(fallback, sizeof(fallback), "part-%.50s", cli_string(json_object_get(one, "part")));
    int status = postern_content_read(json_object_get(one, "content"), NULL, 0, &bytes, &len) < 0
                     ? cli_fail(r->cli, EX_SOFTWARE, "an attachment came without its bytes")
                     : cli_save_file(r->cli, dir, *wanted ? wanted : fallback, bytes, len, name);
    if (!status && !r->cli->quiet && !r->cli->json)
        printf("saved: %s\n", name);
    free(bytes);
    return status;
}

static int show_attachments(const struct reading *r, const json_t *message)
{
    size_t i;
    json_t *one;
    int status = 0, dir = -1;
    const json_t *list = json_object_get(message, "attachments");
    if (r->save && json_array_size(list) > 0 && (dir = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return cli_fail(r->cli, EX_CANTCREAT, "%s: %s", r->folder, strerror(errno));
    json_array_foreach(list, i, one)
    {
        if (r->save && !status)
            status = save_attachment(r, dir, one);
        if (r->save || r->cli->json)
            continue;
        const char *name = cli_string(json_object_get(one, "filename"));
        printf("[%s: ", cli_string(json_object_get(one, "part")));
        cli_print_text(stdout, *name ? name : "no name", *name ? strlen(name) : 7, false);
        fputs(", ", stdout);
        const char *type = cli_string(json_object_get(one, "content_type"));
        cli_print_text(stdout, type, strlen(type), false);
        printf(", %" JSON_INTEGER_FORMAT " bytes]\n", json_integer_value(json_object_get(one, "size")));
    }
    if (!r->save && !r->cli->json && json_array_size(list) > 0 && !r->cli->quiet)
        puts("(--save saves them)");
    if (dir >= 0)
        close(dir);
    return status;
}

/* Where one may not write, it stays unread, and that is no failure of reading. */
static void mark_as_read(struct reading *r, json_int_t uid)
{
    struct postern_error error = POSTERN_ERROR_INIT;
    json_t *result = NULL;
    json_t *params = json_pack("{s:s,s:s,s:[I],s:O,s:s,s:[s]}", "account", r->account, "mailbox", r->mailbox, "uids", uid,
                               "uidvalidity", r->uidvalidity, "command", "+FLAGS.SILENT", "flags", "\\Seen");
    if (params)
        postern_call(r->cli->connection, "imap.store", params, &result, &error);
    json_decref(params);
    json_decref(result);
    postern_error_done(&error);
}

static int read_message(struct reading *r, json_int_t uid)
{
    struct cli_params params;
    json_t *content = NULL, *message = NULL;
    struct cli plain = *r->cli;
    int fd = get_message(r, uid);
    if (fd < 0)
        return -fd;
    int status = cli_params_init(r->cli, &params);
    status = status ? status : cli_params_add_fd(r->cli, &params, fd, &content);
    if (!status) {
        json_object_set_new(params.object, "raw", content);
        json_object_set_new(params.object, "attachments", json_boolean(r->save));
        plain.output = NULL;
        plain.progress = false;
        status = cli_call(&plain, "mail.parse", &params, NULL, &message);
    }
    close(fd);
    if (!status && r->cli->json) {
        status = cli_print(r->cli, message);
        if (!status && r->save)
            status = show_attachments(r, message);
    } else if (!status) {
        if (!r->save)
            cli_pager_begin(r->cli);
        print_headers(r, message);
        print_body(json_object_get(message, "body"));
        status = show_attachments(r, message);
        cli_pager_end();
    }
    if (!status && !r->keep_unread)
        mark_as_read(r, uid);
    json_decref(message);
    return status;
}

/* --- fetch --- */

static int fetch_message(struct reading *r, int dir, json_int_t uid)
{
    char wanted[40], name[CLI_NAME_MAX + 1], *bytes = MAP_FAILED;
    int fd = get_message(r, uid), status = 0;
    if (fd < 0)
        return -fd;
    off_t size = lseek(fd, 0, SEEK_END);
    snprintf(wanted, sizeof(wanted), "%" JSON_INTEGER_FORMAT ".eml", uid);
    if (size > 0 && (bytes = mmap(NULL, (size_t) size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        status = cli_fail(r->cli, EX_OSERR, "%s", strerror(errno));
    close(fd);
    status = status ? status : cli_save_file(r->cli, dir, wanted, size > 0 ? bytes : "", (size_t) MAX(size, 0), name);
    if (bytes != MAP_FAILED)
        munmap(bytes, (size_t) size);
    if (!status && !r->cli->quiet)
        puts(name);
    return status;
}

static int fetch_messages(struct reading *r, int argc, const json_int_t *uids)
{
    int status = 0, dir = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return cli_fail(r->cli, EX_CANTCREAT, "%s: %s", r->folder, strerror(errno));
    for (int i = 0; i < argc && !status; i++)
        status = fetch_message(r, dir, uids[i]);
    close(dir);
    return status;
}

/* --- options --- */

/* Status, or -1 to go on. */
static int read_option(struct reading *r, int opt)
{
    switch (opt) {
    case 'm':
        r->mailbox = optarg;
        return -1;
    case 'd':
        r->folder = optarg;
        return -1;
    case 's':
        r->save = true;
        return -1;
    case 'H':
        r->headers = true;
        return -1;
    case 'k':
        r->keep_unread = true;
        return -1;
    case 'a':
        r->cli->account = optarg;
        return -1;
    case 'J':
        r->cli->json = true;
        return -1;
    case 'h':
        fputs(usage, stdout);
        return EX_OK;
    default:
        fputs(usage, stderr);
        return EX_USAGE;
    }
}

int cli_read(struct cli *cli, int argc, char **argv)
{
    struct reading r = {.cli = cli, .mailbox = "INBOX", .folder = "."};
    bool fetch = strcmp(argv[0], "fetch") == 0;
    int opt, status = -1;
    optind = 0; /* and not 1: the options may stand anywhere */
    while (status < 0 && (opt = getopt_long(argc, argv, "m:d:sHka:", options, NULL)) != -1)
        status = read_option(&r, opt);
    if (status >= 0)
        return status;
    cli->output = NULL;
    argc -= optind;
    argv += optind;
    if (argc < 1 || (!fetch && argc > 1))
        return cli_fail(cli, EX_USAGE, "which message? `postern ls` shows their numbers");
    json_int_t *uids = calloc((size_t) argc, sizeof(*uids));
    status = uids ? 0 : cli_fail(cli, EX_OSERR, "out of memory");
    for (int i = 0; i < argc && !status; i++) {
        char *end;
        uids[i] = strtoll(argv[i], &end, 10);
        if (!ascii_is_digit(argv[i][0]) || *end || uids[i] < 1 || uids[i] > UINT32_MAX)
            status = cli_fail(cli, EX_USAGE, "'%s' is no message's number", argv[i]);
    }
    status = status ? status : cli_choose_account(cli, CLI_READS, NULL, NULL, &r.account, NULL);
    if (!status)
        status = fetch ? fetch_messages(&r, argc, uids) : read_message(&r, uids[0]);
    if (fflush(stdout) != 0 && !status)
        status = EX_IOERR;
    json_decref(r.uidvalidity);
    free(r.account);
    free(uids);
    return status;
}
