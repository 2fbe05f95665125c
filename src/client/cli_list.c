/* SPDX-License-Identifier: MIT */
/* `postern ls` and `postern search`: messages and mailboxes for people. */
#include "cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
    "usage: postern ls [OPTION]... [MAILBOX]\n"
    "       postern search [OPTION]... QUERY...\n"
    "Shows messages, the newest last; QUERY as IMAP has it: FROM ann SINCE 1-Jan-2026 UNSEEN.\n"
    "  -m, --mailbox NAME      the mailbox; INBOX unless given\n"
    "  -n, --number N          so many; by default what fits the terminal\n"
    "  -p, --page N            go N pages back\n"
    "  -u, --unseen            only those that nobody has read\n"
    "  -t, --threads           answers below what they answer\n"
    "  -M, --mailboxes         the mailboxes, with what is in them\n"
    "  -a, --account NAME      the account\n"
    "Flags: N not read yet, * flagged, R answered, D deleted, @ with attachments.\n";

static const struct option options[] = {
    {"mailbox", required_argument, NULL, 'm'}, {"number", required_argument, NULL, 'n'},
    {"page", required_argument, NULL, 'p'},    {"unseen", no_argument, NULL, 'u'},
    {"threads", no_argument, NULL, 't'},       {"mailboxes", no_argument, NULL, 'M'},
    {"account", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'J'},
    {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
};

struct listing {
    struct cli *cli;
    char *account;
    const char *mailbox, *query;
    size_t number, page; /* page: 1 is the newest */
    bool unseen, threads, mailboxes;
    size_t columns;
    bool colours;
    bool headed; /* the columns get a line of headings */
};

/* --- cells --- */

static void size_text(json_int_t size, char out[16])
{
    if (size < 1000)
        snprintf(out, 16, "%d", (int) size);
    else if (size < 1000000)
        snprintf(out, 16, "%.*fk", size < 10000, (double) size / 1e3);
    else
        snprintf(out, 16, "%.*fM", size < 10000000, (double) size / 1e6);
}

/* ISO 8601 with its offset, in the reader's time: the hour today, the day this year. */
static void date_text(const char *iso, char out[16])
{
    struct tm tm, now_tm;
    time_t at, now = time(NULL);
    out[0] = 0;
    if (!cli_parse_date(iso, &at) || !localtime_r(&at, &tm) || !localtime_r(&now, &now_tm))
        return;
    bool today = tm.tm_year == now_tm.tm_year && tm.tm_yday == now_tm.tm_yday;
    strftime(out, 16, today ? "%H:%M" : tm.tm_year == now_tm.tm_year ? "%e %b" : "%F", &tm);
}

static bool has_flag(const json_t *message, const char *name)
{
    size_t i;
    json_t *flag;
    json_array_foreach(json_object_get(message, "flags"), i, flag)
        if (slice_eq_ci(slice_of_str(cli_string(flag)), slice_of_str(name)))
            return true;
    return false;
}

static bool has_attachments(const json_t *part, unsigned depth)
{
    size_t i;
    json_t *child;
    if (depth > 32)
        return false;
    if (slice_eq_ci(slice_of_str(cli_string(json_object_get(part, "disposition"))), slice_of_str("attachment")))
        return true;
    json_array_foreach(json_object_get(part, "children"), i, child)
        if (has_attachments(child, depth + 1))
            return true;
    return false;
}

static void print_message(const struct listing *l, const json_t *m, unsigned depth)
{
    const json_t *envelope = json_object_get(m, "envelope");
    const json_t *from = json_array_get(json_object_get(envelope, "from"), 0);
    const char *name = cli_string(json_object_get(from, "name")), *date = cli_string(json_object_get(envelope, "date"));
    char day[16], size[16], uid[24], flags[8], subject_indent[64];
    bool unseen = !has_flag(m, "\\Seen");
    size_t indent = MIN(2 * (size_t) depth, (size_t) 20);
    date_text(*date ? date : cli_string(json_object_get(m, "internaldate")), day);
    size_text(json_integer_value(json_object_get(m, "size")), size);
    snprintf(uid, sizeof(uid), "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(m, "uid")));
    snprintf(flags, sizeof(flags), "%c%c%c%c", unseen ? 'N' : ' ',
             has_flag(m, "\\Deleted")    ? 'D'
             : has_flag(m, "\\Answered") ? 'R'
                                         : ' ',
             has_flag(m, "\\Flagged") ? '*' : ' ', has_attachments(json_object_get(m, "bodystructure"), 0) ? '@' : ' ');
    snprintf(subject_indent, sizeof(subject_indent), "%*s%s", (int) indent, "", depth ? "└ " : "");
    size_t fixed = 7 + 1 + 4 + 1 + 10 + 1 + 22 + 1 + 6 + 1;
    fputs(l->colours && unseen ? "\033[1m" : "", stdout);
    printf("%7s %s ", uid, flags);
    cli_print_cell(day, 10, false);
    putchar(' ');
    cli_print_cell(*name ? name : cli_string(json_object_get(from, "address")), 22, false);
    printf(" %6s ", size);
    fputs(subject_indent, stdout);
    size_t used = fixed + indent + (depth ? 2 : 0);
    cli_print_cell(cli_string(json_object_get(envelope, "subject")), l->columns > used + 10 ? l->columns - used : 10, true);
    puts(l->colours && unseen ? "\033[0m" : "");
}

static void print_heading(const struct listing *l)
{
    if (l->headed)
        printf("%s%7s %-4s %-10s %-22s %6s SUBJECT%s\n", l->colours ? "\033[2m" : "", "UID", "", "DATE", "FROM", "SIZE", l->colours ? "\033[0m" : "");
}

/* --- messages --- */

static json_t *find_message(const json_t *messages, json_int_t uid)
{
    size_t i;
    json_t *m;
    json_array_foreach(messages, i, m) if (json_integer_value(json_object_get(m, "uid")) == uid) return m;
    return NULL;
}

/* [uid, [..], ..]: what stands in a row answers what stands before it, arrays are branches. */
static void print_thread(const struct listing *l, const json_t *messages, const json_t *thread, unsigned depth)
{
    size_t i;
    json_t *one;
    if (depth > 64)
        return;
    json_array_foreach(thread, i, one)
    {
        if (json_is_array(one)) {
            print_thread(l, messages, one, depth);
            continue;
        }
        const json_t *m = find_message(messages, json_integer_value(one));
        if (m)
            print_message(l, m, depth);
        depth += m != NULL;
    }
}

static int print_threads(struct listing *l, const json_t *messages, const json_t *uids)
{
    json_t *found = NULL, *thread;
    size_t i;
    /* no other than the chosen ones, in whatever thread they are */
    char *words = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&words, &size);
    json_t *uid;
    if (!out)
        return cli_fail(l->cli, EX_OSERR, "out of memory");
    fputs("UID ", out);
    json_array_foreach(uids, i, uid) fprintf(out, "%s%" JSON_INTEGER_FORMAT, i ? "," : "", json_integer_value(uid));
    fclose(out);
    int status = cli_call_simple(l->cli, "imap.thread",
                                 json_pack("{s:s,s:s,s:s,s:s}", "account", l->account, "mailbox", l->mailbox, "algorithm",
                                           "REFERENCES", "query", words ? words : ""),
                                 &found);
    free(words);
    if (!status)
        json_array_foreach(json_object_get(found, "threads"), i, thread) print_thread(l, messages, thread, 0);
    json_decref(found);
    return status;
}

/* The page's UIDs, of all that were found. */
static json_t *choose_page(const struct listing *l, const json_t *all)
{
    size_t n = json_array_size(all), end = (l->page - 1) * l->number;
    json_t *page = json_array();
    end = end < n ? n - end : 0;
    for (size_t i = end > l->number ? end - l->number : 0; page && i < end; i++)
        json_array_append(page, json_array_get(all, i));
    return page;
}

static int list_messages(struct listing *l)
{
    json_t *found = NULL, *fetched = NULL, *m;
    char query[4096];
    size_t i;
    const char *given = l->query ? l->query : "ALL";
    if ((size_t) snprintf(query, sizeof(query), "%s%s", given, l->unseen ? " UNSEEN" : "") >= sizeof(query))
        return cli_fail(l->cli, EX_USAGE, "the query is too long");
    int status = cli_call_simple(
        l->cli, "imap.search",
        json_pack("{s:s,s:s,s:s}", "account", l->account, "mailbox", l->mailbox, "query", query), &found);
    if (status)
        return status;
    json_t *all = json_object_get(found, "uids"), *page = choose_page(l, all);
    if (json_array_size(page) > 0)
        status = cli_call_simple(l->cli, "imap.fetch",
                                 json_pack("{s:s,s:s,s:O,s:O,s:[s,s,s,s,s]}", "account", l->account, "mailbox", l->mailbox,
                                           "uids", page, "uidvalidity", json_object_get(found, "uidvalidity"), "items",
                                           "FLAGS", "ENVELOPE", "INTERNALDATE", "RFC822.SIZE", "BODYSTRUCTURE"),
                                 &fetched);
    const json_t *messages = json_object_get(fetched, "messages");
    if (!status && l->cli->json) {
        if (!fetched)
            fetched = json_pack("{s:s,s:O,s:[]}", "mailbox", l->mailbox, "uidvalidity",
                                json_object_get(found, "uidvalidity"), "messages");
        status = cli_print(l->cli, fetched);
    } else if (!status && l->threads && fetched) {
        print_heading(l);
        status = print_threads(l, messages, page);
    } else if (!status) {
        if (fetched)
            print_heading(l);
        json_array_foreach(messages, i, m) print_message(l, m, 0);
    }
    if (!status && !l->cli->json && !l->cli->quiet) {
        fflush(stdout);
        if (json_array_size(page) < json_array_size(all))
            fprintf(stderr, "%zu of %zu; older ones: --page %zu\n", json_array_size(page), json_array_size(all), l->page + 1);
        else if (json_array_size(all) == 0)
            fprintf(stderr, "no messages\n");
    }
    json_decref(page);
    json_decref(found);
    json_decref(fetched);
    return status;
}

/* --- mailboxes --- */

static bool can_be_opened(const json_t *mailbox)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(mailbox, "attributes"), i, one)
    {
        struct slice word = slice_of_str(cli_string(one));
        if (slice_eq_ci(word, slice_of_str("\\Noselect")) || slice_eq_ci(word, slice_of_str("\\NonExistent")))
            return false;
    }
    return true;
}

static int list_mailboxes(struct listing *l)
{
    json_t *found = NULL, *box;
    size_t i;
    int status = cli_call_simple(l->cli, "imap.list", json_pack("{s:s}", "account", l->account), &found);
    if (!status && !l->cli->json)
        printf("%8s %8s  MAILBOX\n", "MESSAGES", "UNSEEN");
    json_array_foreach(json_object_get(found, "mailboxes"), i, box)
    {
        json_t *state = NULL;
        if (!status && can_be_opened(box))
            status = cli_call_simple(l->cli, "imap.status",
                                     json_pack("{s:s,s:O,s:[s,s]}", "account", l->account, "mailbox",
                                               json_object_get(box, "name"), "items", "MESSAGES", "UNSEEN"),
                                     &state);
        if (!status && l->cli->json && state) {
            json_object_set(box, "messages", json_object_get(state, "messages"));
            json_object_set(box, "unseen", json_object_get(state, "unseen"));
        } else if (!status && !l->cli->json) {
            if (state)
                printf("%8" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT "  ",
                       json_integer_value(json_object_get(state, "messages")),
                       json_integer_value(json_object_get(state, "unseen")));
            else
                printf("%8s %8s  ", "-", "-");
            cli_print_cell(cli_string(json_object_get(box, "name")), l->columns - 20, true);
            putchar('\n');
        }
        json_decref(state);
    }
    if (!status && l->cli->json)
        status = cli_print(l->cli, found);
    json_decref(found);
    return status;
}

/* --- options --- */

static bool read_number(const char *text, size_t max, size_t *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (!ascii_is_digit(text[0]) || *end || n < 1 || n > max)
        return false;
    *ret = n;
    return true;
}

/* Status, or -1 to go on. */
static int read_option(struct listing *l, int opt)
{
    switch (opt) {
    case 'm':
        l->mailbox = optarg;
        return -1;
    case 'n':
        return read_number(optarg, 1000, &l->number) ? -1 : cli_fail(l->cli, EX_USAGE, "--number: 1 to 1000");
    case 'p':
        return read_number(optarg, 1000000, &l->page) ? -1 : cli_fail(l->cli, EX_USAGE, "--page: not a number");
    case 'u':
        l->unseen = true;
        return -1;
    case 't':
        l->threads = true;
        return -1;
    case 'M':
        l->mailboxes = true;
        return -1;
    case 'a':
        l->cli->account = optarg;
        return -1;
    case 'J':
        l->cli->json = true;
        return -1;
    case 'h':
        fputs(usage, stdout);
        return EX_OK;
    default:
        fputs(usage, stderr);
        return EX_USAGE;
    }
}

static char *join_words(char **words, int n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; out && i < n; i++)
        fprintf(out, "%s%s", i ? " " : "", words[i]);
    if (out)
        fclose(out);
    return text;
}

int cli_list(struct cli *cli, int argc, char **argv)
{
    size_t lines;
    struct listing l = {.cli = cli, .mailbox = "INBOX", .page = 1};
    bool search = strcmp(argv[0], "search") == 0;
    int opt, status = -1;
    char *query = NULL;
    cli_terminal_size(&l.columns, &lines);
    l.headed = isatty(STDOUT_FILENO) && !cli->quiet;
    l.number = isatty(STDOUT_FILENO) ? lines - 4 : 50;
    l.colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    cli->output = NULL;
    optind = 0; /* and not 1: the options may stand anywhere */
    while (status < 0 && (opt = getopt_long(argc, argv, "m:n:p:utMa:", options, NULL)) != -1)
        status = read_option(&l, opt);
    if (status >= 0)
        return status;
    if (search && optind == argc)
        return cli_fail(cli, EX_USAGE, "search for what? (see: postern search --help)");
    if (!search && argc - optind > 1)
        return cli_fail(cli, EX_USAGE, "one mailbox at a time (see: postern ls --help)");
    if (search)
        l.query = query = join_words(argv + optind, argc - optind);
    else if (optind < argc)
        l.mailbox = argv[optind];
    status = cli_choose_account(cli, CLI_READS, NULL, NULL, &l.account, NULL);
    if (!status)
        status = l.mailboxes ? list_mailboxes(&l) : list_messages(&l);
    if (fflush(stdout) != 0 && !status)
        status = EX_IOERR;
    free(query);
    free(l.account);
    return status;
}
