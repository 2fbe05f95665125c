/* SPDX-License-Identifier: MIT */
/* `postern status` and `postern metrics`: the gateway, for people and for monitoring. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- status --- */

static const char status_usage[] = "usage: postern status [--watch[=SECONDS]]\n"
                                   "The gateway, its accounts and its connections; with --watch again and again.\n";

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void) number;
    interrupted = 1;
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* 3d 4h, 5h 6min, 7min 8s, 9s */
static void duration_text(json_int_t ms, char out[32])
{
    long long s = ms / 1000;
    if (s >= 86400)
        snprintf(out, 32, "%lldd %lldh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        snprintf(out, 32, "%lldh %lldmin", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        snprintf(out, 32, "%lldmin %llds", s / 60, s % 60);
    else
        snprintf(out, 32, "%llds", s);
}

static void bytes_text(json_int_t n, char out[16])
{
    static const char units[] = " kMGT";
    double value = (double) n;
    size_t unit = 0;
    for (; value >= 1000 && unit < sizeof(units) - 2; unit++)
        value /= 1000;
    if (unit == 0)
        snprintf(out, 16, "%lld", (long long) n);
    else
        snprintf(out, 16, "%.*f%c", value < 10, value, units[unit]);
}

static void print_pools(const json_t *pools, size_t columns)
{
    size_t i;
    json_t *pool;
    if (json_array_size(pools) == 0)
        return;
    printf("\n%-16s %-5s %6s %5s %7s %7s %7s %7s %7s  SERVER\n", "ACCOUNT", "", "ACTIVE", "IDLE", "WAITING", "OPENED", "FAILED",
           "IN", "OUT");
    json_array_foreach(pools, i, pool)
    {
        char in[16], out[16], server[300];
        const json_t *bytes = json_object_get(pool, "bytes");
        const char *name = json_is_null(json_object_get(pool, "account")) ? "(options)" : cli_string(json_object_get(pool, "account"));
        const char *problem = cli_string(json_object_get(pool, "problem"));
        bytes_text(number_of(bytes, "in"), in);
        bytes_text(number_of(bytes, "out"), out);
        cli_print_cell(name, 16, false);
        printf(" %-5s %6lld %5lld %7lld %7lld %7lld %7s %7s  ", cli_string(json_object_get(pool, "protocol")),
               (long long) number_of(pool, "active"), (long long) number_of(pool, "idle"), (long long) number_of(pool, "waiting"),
               (long long) number_of(pool, "opened"), (long long) number_of(pool, "failed"), in, out);
        snprintf(server, sizeof(server), "%s:%lld", cli_string(json_object_get(pool, "host")), (long long) number_of(pool, "port"));
        cli_print_cell(server, columns > 100 ? columns - 78 : 22, true);
        putchar('\n');
        if (*problem) {
            fputs("    ! ", stdout);
            cli_print_cell(problem, columns - 6, true);
            putchar('\n');
        }
    }
}

static void print_accounts(const json_t *accounts, const json_t *pools, size_t columns)
{
    size_t i, j, n;
    json_t *account, *word, *pool;
    json_array_foreach(accounts, i, account)
    {
        /* those that have connections stand in the other table */
        bool used = false;
        json_array_foreach(pools, j, pool) used =
            used || strcmp(cli_string(json_object_get(pool, "account")), cli_string(json_object_get(account, "name"))) == 0;
        bool paused = json_is_true(json_object_get(account, "paused"));
        if (used && !paused)
            continue;
        cli_print_cell(cli_string(json_object_get(account, "name")), 16, false);
        putchar(' ');
        n = 0;
        json_array_foreach(json_object_get(account, "protocols"), j, word) n +=
            (size_t) printf("%s%s", j ? " " : "", cli_string(word));
        printf("%*s", n < 16 ? (int) (16 - n) : 1, "");
        fputs(paused ? "paused" : "no connections", stdout);
        const char *problem = cli_string(json_object_get(account, "problem"));
        if (*problem) {
            fputs(": ", stdout);
            cli_print_cell(problem, columns > 60 ? columns - 50 : 20, true);
        }
        putchar('\n');
    }
}

static int show_status(struct cli *cli)
{
    json_t *status = NULL, *pools = NULL;
    size_t columns, lines;
    int r = cli_call_simple(cli, "gateway.status", NULL, &status);
    if (!r)
        r = cli_call_simple(cli, "gateway.pools", NULL, &pools);
    if (!r && cli->json) {
        json_object_update(status, pools);
        r = cli_print(cli, status);
    } else if (!r) {
        char up[32], used[16], max[16];
        const json_t *memory = json_object_get(status, "memory"), *list = json_object_get(pools, "pools");
        cli_terminal_size(&columns, &lines);
        duration_text(number_of(status, "uptime"), up);
        bytes_text(number_of(memory, "spools") + number_of(memory, "requests"), used);
        bytes_text(number_of(memory, "max"), max);
        printf("postern %s, up %s, %lld client%s, memory %s of %s\n", cli_string(json_object_get(status, "version")), up,
               (long long) number_of(status, "clients"), number_of(status, "clients") == 1 ? "" : "s", used, max);
        print_pools(list, columns);
        if (json_array_size(json_object_get(status, "accounts")) > 0)
            putchar('\n');
        print_accounts(json_object_get(status, "accounts"), list, columns);
    }
    json_decref(status);
    json_decref(pools);
    return r;
}

int cli_status(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {
        {"watch", optional_argument, NULL, 'w'}, {"json", no_argument, NULL, 'J'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    double every = 0;
    int opt, status;
    optind = 0; /* and not 1: the options may stand anywhere */
    while ((opt = getopt_long(argc, argv, "w::", options, NULL)) != -1) {
        char *end = NULL;
        if (opt == 'w')
            every = optarg ? strtod(optarg, &end) : 2;
        else if (opt == 'J')
            cli->json = true;
        if (opt == 'h' || opt == '?' || (end && (*end || every < 0.1 || every > 3600))) {
            fputs(status_usage, opt == 'h' ? stdout : stderr);
            return opt == 'h' ? EX_OK : EX_USAGE;
        }
    }
    if (every <= 0)
        return show_status(cli);
    signal(SIGINT, interrupt);
    do {
        if (!cli->json)
            fputs("\033[H\033[2J", stdout);
        status = show_status(cli);
        fflush(stdout);
        struct timespec pause = {.tv_sec = (time_t) every, .tv_nsec = (long) ((every - (double) (time_t) every) * 1e9)};
        nanosleep(&pause, NULL);
    } while (!status && !interrupted && !ferror(stdout));
    return status;
}

/* --- metrics --- */

static const char metrics_usage[] =
    "usage: postern metrics [--textfile DIR]\n"
    "The gateway's counters as OpenMetrics text; with --textfile in DIR/postern.prom, for node_exporter.\n";

static int write_textfile(const struct cli *cli, const char *folder, const char *text)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return cli_fail(cli, EX_CANTCREAT, "%s: %s", folder, strerror(errno));
    int status = cli_replace_file(cli, dir, "postern.prom", text, 0644, (gid_t) -1);
    close(dir);
    return status;
}

int cli_metrics(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"textfile", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *folder = NULL;
    json_t *result = NULL;
    int opt;
    optind = 0; /* and not 1: the options may stand anywhere */
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt != 't') {
            fputs(metrics_usage, opt == 'h' ? stdout : stderr);
            return opt == 'h' ? EX_OK : EX_USAGE;
        }
        folder = optarg;
    }
    int status = cli_call_simple(cli, "gateway.metrics", NULL, &result);
    const char *text = cli_string(json_object_get(result, "metrics"));
    if (!status && folder)
        status = write_textfile(cli, folder, text);
    else if (!status)
        status = fputs(text, stdout) == EOF || fflush(stdout) != 0 ? EX_IOERR : 0;
    json_decref(result);
    return status;
}
