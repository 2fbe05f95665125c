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
    bool queue_run; /* -q: nothing waits here to be sent */
    const char **recipients;
    size_t n_recipients;
    /* What is to be reported of the delivery, by servers that offer it: RFC 3461. */
    json_t *notify;         /* -N; NULL: as usual */
    const char *ret, *envid; /* -R, -V; NULL likewise */
};

/* Those of sendmail(8) and of the programs that took its place; what has no meaning here is taken and does nothing. Letters
 * may stand together: -ti. */
static const char letters[] = ":A:B:C:D:F:GIL:M:N:O:R:UV:X:b:cd::e:f:h:imno:p:q::r:stvx:";

/* -b: what it is to be; only sending is. */
static int read_mode(const struct delivery *d, const char *mode)
{
    static const struct {
        char letter;
        const char *why;
    } others[] = {
        {'s', "it speaks no SMTP on its standard input; the mail server does (or smtp.open, for each step)"},
        {'p', "there is no queue to be shown: when it ends with 0, the mail server has the mail"},
        {'d', "the daemon is posternd"},
        {'D', "the daemon is posternd"},
        {'i', "there are no aliases: recipients go to the mail server as they are"},
        {'v', "the mail server alone knows what is deliverable: postern smtp.verify address=..."},
        {'h', "there is no host status: see postern status"},
        {'H', "there is no host status: see postern status"},
        {'t', "there are no rules for addresses to be tested"},
    };
    if (strcmp(mode, "m") == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (mode[0] == others[i].letter && !mode[1])
            return cli_fail(d->cli, EX_USAGE, "-b%s: %s", mode, others[i].why);
    return cli_fail(d->cli, EX_USAGE, "-b%s: no such mode; it sends mail", mode);
}

/* -N never, or success,failure,delay: RFC 3461 section 4.1. */
static int read_notify(struct delivery *d, const char *value)
{
    static const char *const names[] = {"never", "success", "failure", "delay"};
    json_t *list = json_array();
    bool never = false;
    int status = list ? 0 : cli_fail(d->cli, EX_OSERR, "out of memory");
    for (struct slice rest = slice_of_str(value); !status && rest.len;) {
        size_t n = slice_find(rest, ','), i = 0;
        struct slice word = slice_trim(slice_to(rest, n));
        while (i < ARRAY_LEN(names) && !slice_eq_ci(word, slice_of_str(names[i])))
            i++;
        if (i == ARRAY_LEN(names))
            status = cli_fail(d->cli, EX_USAGE, "-N: never, or of success, failure, delay; not '%.*s'", (int) word.len, word.data);
        else if (json_array_append_new(list, json_string(names[i])) < 0)
            status = cli_fail(d->cli, EX_OSERR, "out of memory");
        never = never || i == 0;
        rest = slice_from(rest, MIN(n + 1, rest.len));
    }
    if (!status && (json_array_size(list) == 0 || (never && json_array_size(list) > 1)))
        status = cli_fail(d->cli, EX_USAGE, "-N: never stands alone, or some of success, failure, delay");
    json_decref(d->notify);
    d->notify = list;
    return status;
}

static int read_ret(struct delivery *d, const char *value)
{
    bool full = slice_eq_ci(slice_of_str(value), SLICE("full"));
    if (!full && !slice_eq_ci(slice_of_str(value), SLICE("hdrs")))
        return cli_fail(d->cli, EX_USAGE, "-R: full or hdrs, not '%s'", value);
    d->ret = full ? "full" : "hdrs";
    return 0;
}

static int read_option(struct delivery *d, int option)
{
    switch (option) {
    case 'f':
    case 'r':
        d->from = strcmp(optarg, "<>") == 0 ? "" : optarg;
        return 0;
    case 'F':
        d->full_name = optarg;
        return 0;
    case 't':
        d->from_headers = true;
        return 0;
    case 'i':
        d->keep_dots = true;
        return 0;
    case 'o':
        d->keep_dots = d->keep_dots || strcmp(optarg, "i") == 0;
        return 0;
    case 'O':
        d->keep_dots = d->keep_dots || slice_eq_ci(slice_of_str(optarg), SLICE("IgnoreDots")) ||
                       slice_eq_ci(slice_of_str(optarg), SLICE("IgnoreDots=true"));
        return 0;
    case 'N':
        return read_notify(d, optarg);
    case 'R':
        return read_ret(d, optarg);
    case 'V':
        d->envid = optarg;
        return 0;
    case 'v':
        d->verbose = true;
        return 0;
    case 'q':
        d->queue_run = true;
        return 0;
    case 'b':
        return read_mode(d, optarg);
    case ':':
        return cli_fail(d->cli, EX_USAGE, "-%c needs %s", optopt, strchr("fr", optopt) ? "an address" : "a value");
    case '?':
        return cli_fail(d->cli, EX_USAGE, "unknown option '-%c'", optopt);
    default:
        return 0;
    }
}

static int read_arguments(struct delivery *d, int argc, char **argv)
{
    int option, status = 0;
    opterr = 0;
    optind = 0; /* and not 1: the options may stand anywhere */
    while (!status && (option = getopt(argc, argv, letters)) != -1)
        status = read_option(d, option);
    for (int i = optind; !status && i < argc; i++)
        d->recipients[d->n_recipients++] = argv[i];
    if (!status && !d->from_headers && d->n_recipients == 0 && !d->queue_run)
        status = cli_fail(d->cli, EX_USAGE, "no recipient, and no -t");
    return status;
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
    if (d->notify)
        bad = bad || json_object_set(envelope, "notify", d->notify);
    if (d->ret)
        bad = bad || json_object_set_new(envelope, "ret", json_string(d->ret));
    if (d->envid)
        bad = bad || json_object_set_new(envelope, "envid", json_string(d->envid));
    json_decref(to);
    bad = bad || json_object_set_new(params->object, "raw", content) ||
          json_object_set_new(params->object, "account", json_string(account)) ||
          json_object_set_new(params->object, "envelope", envelope);
    if (bad)
        json_decref(envelope);
    return status ? status : bad ? cli_fail(d->cli, EX_DATAERR, "an address is not UTF-8, or memory is short") : 0;
}

/* Sends it. Where the server cannot report on deliveries, the mail matters more than the report. */
static int hand_over(struct delivery *d, int fd, const char *account, json_t **ret_result)
{
    bool wishes = d->notify || d->ret || d->envid, lacking = false;
    for (;; wishes = false) {
        struct cli_params params = {.object = NULL};
        int status = make_params(d, fd, account, &params);
        if (status) {
            cli_params_done(&params);
            return status;
        }
        d->cli->forgiven = wishes ? "missing_extension" : NULL;
        status = cli_call(d->cli, "smtp.send", &params, NULL, ret_result);
        d->cli->forgiven = NULL;
        if (status != CLI_FORGIVEN) {
            if (!status && lacking && !d->cli->quiet)
                cli_fail(d->cli, 0, "-N, -R, -V: the server does not report on deliveries; sent without");
            return status;
        }
        lacking = true;
        json_decref(d->notify);
        d->notify = NULL;
        d->ret = d->envid = NULL;
    }
}

static int deliver(struct delivery *d, FILE *message)
{
    char *header_from = NULL, *account = NULL, *email = NULL;
    json_t *result = NULL, *one;
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
        status = hand_over(d, fileno(complete ? complete : message), account, &result);
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
    bool nothing = d.queue_run && !d.from_headers && d.n_recipients == 0;
    status = status || nothing ? status : deliver(&d, message);
    if (message)
        fclose(message);
    json_decref(d.notify);
    free(d.recipients);
    /* Without a gateway the mail can be sent later; that is what callers of sendmail understand. */
    return status == EX_UNAVAILABLE && !cli->connection ? EX_TEMPFAIL : status;
}
