/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include "rpc_decode.h"
#include "rpc_discover.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] = "usage: postern [OPTION]... METHOD [NAME=VALUE | NAME:=JSON | NAME=@FILE]...\n"
                            "       postern [OPTION]... COMMAND [ARGUMENT]...\n"
                            "\n"
                            "commands:\n"
                            "  send [OPTION]... [RECIPIENT]...   send a mail (postern send --help)\n"
                            "  sendmail ...                      the command line of sendmail(8)\n"
                            "  ls [OPTION]... [MAILBOX]          the newest messages (postern ls --help)\n"
                            "  search [OPTION]... QUERY...       those that a search finds\n"
                            "  read [OPTION]... UID              a message; fetch saves it (postern read --help)\n"
                            "  account add [OPTION]... NAME      try an account and write its file\n"
                            "  doctor [ACCOUNT]...               what is wrong with an account, step by step\n"
                            "  watch [OPTION]... [ACCOUNT] ...   what happens in mailboxes; wait: until something does\n"
                            "  status [--watch]                  the gateway, its accounts and connections\n"
                            "  metrics [--textfile DIR]          its counters, for monitoring\n"
                            "  help [METHOD]                     the methods, or one of them\n"
                            "\n"
                            "options:\n"
                            "  -a, --account NAME    the account, for methods that take one\n"
                            "  -j, --json            JSON, also on a terminal\n"
                            "  -o, --output FILE     the content of the answer goes to this file (-: stdout)\n"
                            "      --timeout TIME    for the whole call: 500ms, 30s, 5min\n"
                            "      --socket PATH     the gateway's socket\n"
                            "      --raw             bytes of contents go to the terminal as they are\n"
                            "  -q, --quiet           no words where all went well\n"
                            "  -h, --help\n"
                            "  -V, --version\n";

enum { OPT_SOCKET = 256, OPT_TIMEOUT, OPT_RAW };
static const struct option options[] = {
    {"account", required_argument, NULL, 'a'},
    {"json", no_argument, NULL, 'j'},
    {"output", required_argument, NULL, 'o'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"raw", no_argument, NULL, OPT_RAW},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

bool cli_read_time(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t factor;
    } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"min", 60000}, {"h", 3600000}};
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || end == text || text[0] == '-' || n == 0 || n > UINT32_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0) {
            *ret_ms = n * units[i].factor;
            return true;
        }
    return false;
}

/* --- commands --- */

static const char *const commands[] = {"send",   "sendmail", "ls",    "search", "read",   "fetch",  "account",
                                       "doctor", "watch",    "wait",  "status", "metrics", "help"};

static int call_method(struct cli *cli, int argc, char **argv)
{
    enum rpc_method_id id;
    const struct rpc_method *row = NULL;
    struct cli_params params;
    json_t *result = NULL;
    int status = cli_params_init(cli, &params);
    if (status)
        return status;
    if (rpc_method_find(slice_of_str(argv[0]), &id) == 0)
        row = rpc_method_row(id);
    if (row && cli->output && !(row->flags & RPC_CONTENTS))
        status = cli_fail(cli, EX_USAGE, "the answer of %s has no content for --output", row->name);
    for (int i = 1; i < argc && !status; i++)
        status = cli_params_add(cli, &params, row, argv[i]);
    /* The account of the command line is for those methods only that take one, and name no other place. */
    if (!status && cli->account && (!row || row->where != RPC_LOCAL) && !json_object_get(params.object, "account") &&
        !json_object_get(params.object, "options") && !json_object_get(params.object, "session") &&
        json_object_set_new(params.object, "account", json_string(cli->account)) < 0)
        status = cli_fail(cli, EX_OSERR, "out of memory");
    if (status) {
        cli_params_done(&params);
        return status;
    }
    status = cli_call(cli, argv[0], &params, cli_print_item, &result);
    bool to_stdout = cli->output && strcmp(cli->output, "-") == 0;
    if (!status && !to_stdout)
        status = cli_print(cli, result);
    json_decref(result);
    return status;
}

static int suggest(struct cli *cli, const char *word)
{
    const char *near = rpc_method_similar(slice_of_str(word));
    if (near)
        return cli_fail(cli, EX_USAGE, "unknown method '%s'; did you mean '%s'?", word, near);
    return cli_fail(cli, EX_USAGE, "unknown method or command '%s' (see: postern help)", word);
}

static int show_help(struct cli *cli, int argc, char **argv)
{
    struct buffer text;
    enum rpc_method_id id;
    int r;
    buffer_init(&text, 1u << 20);
    if (argc > 1 && strcmp(argv[1], "--completion") == 0) {
        r = rpc_help_completion(&text);
        for (size_t i = 0; r == 0 && i < ARRAY_LEN(commands); i++)
            r = buffer_printf(&text, "%s\n", commands[i]);
    } else if (argc > 1) {
        if (rpc_method_find(slice_of_str(argv[1]), &id) < 0)
            return suggest(cli, argv[1]);
        r = rpc_help_method(&text, id);
    } else {
        printf("%s\nmethods (postern help METHOD):\n", usage);
        r = rpc_help_list(&text);
    }
    struct slice s = buffer_slice(&text);
    if (r == 0)
        fwrite(s.data ? s.data : "", 1, s.len, stdout);
    buffer_done(&text);
    return r == 0 && fflush(stdout) == 0 ? 0 : cli_fail(cli, EX_IOERR, "cannot write");
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    enum rpc_method_id id;
    const char *word = argv[0];
    if (strcmp(word, "send") == 0)
        return cli_send(cli, argc, argv);
    if (strcmp(word, "sendmail") == 0)
        return cli_sendmail(cli, argc, argv);
    if (strcmp(word, "ls") == 0 || strcmp(word, "search") == 0)
        return cli_list(cli, argc, argv);
    if (strcmp(word, "read") == 0 || strcmp(word, "fetch") == 0)
        return cli_read(cli, argc, argv);
    if (strcmp(word, "account") == 0)
        return cli_account(cli, argc, argv);
    if (strcmp(word, "doctor") == 0)
        return cli_doctor(cli, argc, argv);
    if (strcmp(word, "watch") == 0 || strcmp(word, "wait") == 0)
        return cli_watch(cli, argc, argv);
    if (strcmp(word, "metrics") == 0)
        return cli_metrics(cli, argc, argv);
    if (strcmp(word, "status") == 0)
        return cli_status(cli, argc, argv);
    if (strcmp(word, "help") == 0)
        return show_help(cli, argc, argv);
    /* A newer gateway may have methods that this table does not list: whatever has a dot may be one. */
    if (rpc_method_find(slice_of_str(word), &id) == 0 || (strchr(word, '.') && !rpc_method_similar(slice_of_str(word))))
        return call_method(cli, argc, argv);
    const char *near = rpc_similar_name(slice_of_str(word), commands, ARRAY_LEN(commands));
    if (near)
        return cli_fail(cli, EX_USAGE, "unknown command '%s'; did you mean '%s'?", word, near);
    return suggest(cli, word);
}

/* Status, or -1 to go on. */
static int read_option(struct cli *cli, int opt)
{
    switch (opt) {
    case 'a':
        cli->account = optarg;
        return -1;
    case 'j':
        cli->json = true;
        return -1;
    case 'o':
        cli->output = optarg;
        return -1;
    case 'q':
        cli->quiet = true;
        return -1;
    case OPT_SOCKET:
        cli->socket = optarg;
        return -1;
    case OPT_RAW:
        cli->raw = true;
        return -1;
    case OPT_TIMEOUT:
        return cli_read_time(optarg, &cli->timeout_ms)
                   ? -1
                   : cli_fail(cli, EX_USAGE, "--timeout: '%s' is not a time such as 500ms, 30s or 5min", optarg);
    case 'h':
        fputs(usage, stdout);
        return 0;
    case 'V':
        printf("postern %s\n", postern_version());
        return 0;
    default:
        fputs(usage, stderr);
        return EX_USAGE;
    }
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *own = argc > 0 ? (slash ? slash + 1 : argv[0]) : "postern";
    struct cli cli = {.name = own, .json = !isatty(STDOUT_FILENO), .progress = isatty(STDERR_FILENO)};
    int status = -1, opt;
    setlocale(LC_CTYPE, "");
    if (strcmp(own, "sendmail") == 0) {
        status = cli_sendmail(&cli, argc, argv);
    } else {
        while (status < 0 && (opt = getopt_long(argc, argv, "+a:jo:qhV", options, NULL)) != -1)
            status = read_option(&cli, opt);
        if (status < 0 && optind >= argc) {
            fputs(usage, stderr);
            status = EX_USAGE;
        }
        if (status < 0)
            status = run_command(&cli, argc - optind, argv + optind);
    }
    postern_close(cli.connection);
    return status;
}
