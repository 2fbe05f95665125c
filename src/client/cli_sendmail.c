/* SPDX-License-Identifier: MIT */
/* `postern sendmail`, and the command when it is called `sendmail`: the command line that programs know. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct delivery {
    struct cli *cli;
    const char *from, *full_name;
    bool from_headers; /* -t */
    bool keep_dots;    /* -i, -oi: a line with a dot alone does not end the message */
    bool verbose;
    const char **recipients;
    size_t n_recipients;
};

/* Options of one letter that take a value which does not matter here. */
static const char valued_letters[] = "BCDdhLMNOopqRSUVXx";

/* One word that begins with '-'. Returns how many words it took, or minus an exit status. */
static int read_word(struct delivery *d, const char *word, const char *next)
{
    const char *value = word[1] && word[2] ? word + 2 : next;
    int taken = word[1] && word[2] ? 1 : 2;
    switch (word[1]) {
    case 'f':
    case 'r':
        if (!value)
            return -cli_fail(d->cli, EX_USAGE, "-%c needs an address", word[1]);
        d->from = strcmp(value, "<>") == 0 ? "" : value;
        return taken;
    case 'F':
        if (!value)
            return -cli_fail(d->cli, EX_USAGE, "-F needs a name");
        d->full_name = value;
        return taken;
    case 't':
        d->from_headers = true;
        return 1;
    case 'i':
        d->keep_dots = true;
        return 1;
    case 'o':
        d->keep_dots = d->keep_dots || (word[2] == 'i' && word[3] == 0);
        return word[2] ? 1 : 2;
    case 'v':
        d->verbose = true;
        return 1;
    case 'b':
        if (word[2] == 'm' || word[2] == 0)
            return 1;
        return -cli_fail(d->cli, EX_USAGE, "'%s' is not for this program: it sends mail", word);
    case 'e': /* how errors are told: always on stderr */
    case 'm':
    case 'n':
    case 'G':
    case 'q':
        return 1;
    default:
        if (word[1] && strchr(valued_letters, word[1]))
            return taken;
        return -cli_fail(d->cli, EX_USAGE, "unknown option '%s'", word);
    }
}

static int read_arguments(struct delivery *d, int argc, char **argv)
{
    bool options = true;
    for (int i = 1; i < argc;) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            i++;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            int n = read_word(d, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
            if (n < 0)
                return -n;
            i += n;
        } else {
            d->recipients[d->n_recipients++] = argv[i++];
        }
    }
    if (!d->from_headers && d->n_recipients == 0)
        return cli_fail(d->cli, EX_USAGE, "no recipient, and no -t");
    return 0;
}

/* stdin into a memory file, up to a line with a dot alone unless -i was given. */
static int read_message(struct delivery *d, FILE *out)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    errno = 0;
    while ((n = getline(&line, &room, stdin)) > 0) {
        if (!d->keep_dots && line[0] == '.' && (n == 1 || line[1] == '\n' || (line[1] == '\r' && line[2] == '\n')))
            break;
        if (fwrite(line, 1, (size_t) n, out) != (size_t) n)
            break;
    }
    bool bad = ferror(stdin) || ferror(out) || fflush(out) != 0;
    free(line);
    return bad ? cli_fail(d->cli, EX_IOERR, "the message cannot be read: %s", strerror(errno)) : 0;
}

/* Whether the header has a From; the address in it, malloc'ed, in *ret. */
static bool find_from(FILE *message, char **ret)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool found = false;
    rewind(message);
    while (!found && (n = getline(&line, &room, message)) > 0) {
        struct slice s = slice_trim(slice_of(line, (size_t) n));
        if (s.len == 0)
            break;
        if (!slice_starts_ci(s, SLICE("from:")))
            continue;
        found = true;
        struct slice value = slice_trim(slice_from(s, 5));
        size_t open = slice_find(value, '<');
        struct slice address = open < value.len ? slice_from(value, open + 1) : value;
        *ret = strndup(address.data ? address.data : "", slice_find(address, '>'));
    }
    free(line);
    return found;
}

/* The message with a From in front of it, where it had none. */
static int add_from(struct delivery *d, FILE *message, FILE *out, const char *address)
{
    char room[65536];
    size_t n;
    if (d->full_name) {
        /* A quoted string: RFC 5322 section 3.2.4. */
        fputs("From: \"", out);
        for (const char *p = d->full_name; *p; p++)
            if ((unsigned char) *p >= ' ' && *p != 0x7f)
                fprintf(out, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
        fprintf(out, "\" <%s>\n", address);
    } else {
        fprintf(out, "From: %s\n", address);
    }
    rewind(message);
    while ((n = fread(room, 1, sizeof(room), message)) > 0)
        fwrite(room, 1, n, out);
    return ferror(message) || fflush(out) != 0 ? cli_fail(d->cli, EX_IOERR, "%s", strerror(errno)) : 0;
}

static FILE *memory_file(void)
{
    int fd = memfd_create("mail", MFD_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");
    if (!file && fd >= 0)
        close(fd);
    return file;
}

/* With -t, recipients on the command line are added to those of the header. */
static int header_recipients(struct delivery *d, int fd, json_t *to)
{
    static const char *const names[] = {"to", "cc", "bcc"};
    struct cli_params params;
    json_t *content = NULL, *result = NULL, *one, *member;
    size_t i, k;
    int status = cli_params_init(d->cli, &params);
    status = status ? status : cli_params_add_fd(d->cli, &params, fd, &content);
    if (status)
        return status;
    json_object_set_new(params.object, "raw", content);
    json_object_set_new(params.object, "attachments", json_false());
    status = cli_call(d->cli, "mail.parse", &params, NULL, &result);
    for (size_t n = 0; !status && n < ARRAY_LEN(names); n++)
        json_array_foreach(json_object_get(result, names[n]), i, one)
        {
            if (json_is_string(json_object_get(one, "address")))
                json_array_append(to, json_object_get(one, "address"));
            json_array_foreach(json_object_get(one, "members"), k, member)
                json_array_append(to, json_object_get(member, "address"));
        }
    json_decref(result);
    return status;
}

static int make_params(struct delivery *d, int fd, const char *account, struct cli_params *params)
{
    json_t *content = NULL, *envelope = json_object(), *to = json_array();
    int status = cli_params_init(d->cli, params);
    status = status ? status : cli_params_add_fd(d->cli, params, fd, &content);
    if (!status && d->from_headers && d->n_recipients > 0)
        status = header_recipients(d, fd, to);
    for (size_t i = 0; i < d->n_recipients; i++)
        json_array_append_new(to, json_string(d->recipients[i]));
    bool bad = false;
    if (d->from)
        bad = json_object_set_new(envelope, "from", json_string(d->from));
    if (json_array_size(to) > 0)
        bad = bad || json_object_set(envelope, "to", to);
    json_decref(to);
    bad = bad || json_object_set_new(params->object, "raw", content) ||
          json_object_set_new(params->object, "account", json_string(account)) ||
          json_object_set_new(params->object, "envelope", envelope);
    if (bad)
        json_decref(envelope);
    return status ? status : bad ? cli_fail(d->cli, EX_DATAERR, "an address is not UTF-8, or memory is short") : 0;
}

static int deliver(struct delivery *d, FILE *message)
{
    char *header_from = NULL, *account = NULL, *email = NULL;
    json_t *result = NULL, *one;
    struct cli_params params = {.object = NULL};
    size_t i;
    int status = read_message(d, message);
    FILE *complete = NULL;
    bool has_from = !status && find_from(message, &header_from);
    status = status ? status : cli_choose_account(d->cli, CLI_SENDS, header_from, d->from, &account, &email);
    if (!status && !has_from) {
        const char *address = d->from && d->from[0] ? d->from : email;
        complete = memory_file();
        status = !address    ? cli_fail(d->cli, EX_DATAERR, "the message has no From, and the account no address")
                 : !complete ? cli_fail(d->cli, EX_OSERR, "%s", strerror(errno))
                             : add_from(d, message, complete, address);
    }
    if (!status)
        status = make_params(d, fileno(complete ? complete : message), account, &params);
    if (!status)
        status = cli_call(d->cli, "smtp.send", &params, NULL, &result);
    else
        cli_params_done(&params);
    json_array_foreach(json_object_get(result, "rejected"), i, one)
    {
        const char *address = json_string_value(json_object_get(one, "address"));
        status = cli_fail(d->cli, EX_UNAVAILABLE, "refused: %s", address ? address : "?");
    }
    if (!status && d->verbose)
        cli_print(d->cli, result);
    if (complete)
        fclose(complete);
    json_decref(result);
    free(header_from);
    free(account);
    free(email);
    return status;
}

int cli_sendmail(struct cli *cli, int argc, char **argv)
{
    struct delivery d = {.cli = cli};
    cli->output = NULL;
    cli->progress = false;
    d.recipients = calloc((size_t) argc + 1, sizeof(*d.recipients));
    FILE *message = memory_file();
    int status =
        d.recipients && message ? read_arguments(&d, argc, argv) : cli_fail(cli, EX_OSERR, "%s", strerror(errno));
    status = status ? status : deliver(&d, message);
    if (message)
        fclose(message);
    free(d.recipients);
    /* Without a gateway the mail can be sent later; that is what callers of sendmail understand. */
    return status == EX_UNAVAILABLE && !cli->connection ? EX_TEMPFAIL : status;
}
