/* SPDX-License-Identifier: MIT */
/* `postern doctor`: whether accounts work, step by step, and what to do where they do not. */
#include "cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] = "usage: postern doctor [--json] [ACCOUNT]...\n"
                            "Connects, sets up TLS and logs in, with each protocol of the accounts (all that you may use, unless\n"
                            "some are named), and says what it found, or what is wrong and what to do about it.\n";

struct doctor {
    struct cli *cli;
    const char *good, *bad, *off; /* colours */
    unsigned tested, failed;
};

static void print_safe(const char *text)
{
    cli_print_text(stdout, text, strlen(text), false);
}

static void step(const struct doctor *d, const char *name, json_int_t ms)
{
    char time[24] = "";
    if (ms >= 0)
        snprintf(time, sizeof(time), "%" JSON_INTEGER_FORMAT " ms", ms);
    printf("  %sok%s       %-10s %8s   ", d->good, d->off, name, time);
}

static void show_certificate(const json_t *certificate)
{
    time_t end;
    const char *until = cli_string(json_object_get(certificate, "not_after"));
    if (!certificate)
        return;
    fputs("\n  certificate         for ", stdout);
    print_safe(cli_string(json_object_get(certificate, "names")));
    fputs("\n                      by ", stdout);
    print_safe(cli_string(json_object_get(certificate, "issuer")));
    if (cli_parse_date(until, &end)) {
        long days = (long) (difftime(end, time(NULL)) / 86400);
        printf("; until %.10s (%ld day%s)", until, days, days == 1 ? "" : "s");
        if (days < 14)
            fputs("\n  note     the certificate should be renewed soon", stdout);
    }
}

static void show_words(const char *title, const json_t *words)
{
    size_t i, columns, lines, used = 0;
    json_t *word;
    cli_terminal_size(&columns, &lines);
    if (json_array_size(words) == 0)
        return;
    printf("  %-19s ", title);
    json_array_foreach(words, i, word)
    {
        size_t n = json_string_length(word) + 2;
        if (used && used + n + 24 > columns) {
            printf("\n%22s", "");
            used = 0;
        }
        print_safe(cli_string(word));
        fputs(i + 1 < json_array_size(words) ? ", " : "\n", stdout);
        used += n;
    }
}

static void show_tls(const struct doctor *d, const json_t *found, json_int_t ms)
{
    if (!json_is_true(json_object_get(found, "tls"))) {
        puts("  note     the connection is not encrypted");
        return;
    }
    step(d, "tls", ms);
    printf("%s, %s", cli_string(json_object_get(found, "tls_version")), cli_string(json_object_get(found, "tls_cipher")));
    show_certificate(json_object_get(found, "certificate"));
    putchar('\n');
}

static void show_step(const struct doctor *d, const char *name, json_int_t ms, const char *found)
{
    step(d, name, ms);
    print_safe(found);
    putchar('\n');
}

static void show_success(const struct doctor *d, const json_t *found)
{
    const json_t *times = json_object_get(found, "times");
    json_int_t lookup = json_integer_value(json_object_get(times, "lookup"));
    json_int_t tls = json_integer_value(json_object_get(times, "tls"));
    json_int_t greeting = json_integer_value(json_object_get(times, "greeting"));
    bool implicit = json_is_true(json_object_get(found, "implicit_tls"));
    show_step(d, "look-up", lookup, cli_string(json_object_get(found, "host")));
    show_step(d, "connect", json_integer_value(json_object_get(times, "connect")) - lookup, cli_string(json_object_get(found, "address")));
    if (implicit)
        show_tls(d, found, tls);
    show_step(d, "greeting", greeting, "");
    if (!implicit)
        show_tls(d, found, tls);
    show_step(d, "login", json_integer_value(json_object_get(times, "login")) - greeting, "");
    show_words("it offers", json_object_get(found, "capabilities"));
    show_words("quirks", json_object_get(found, "quirks"));
}

/* The stages that lie before the one that failed went well. */
static void show_failure(const struct doctor *d, const char *account, const char *protocol, const json_t *found)
{
    static const char *const stages[] = {"dns", "connect", "proxy", "tls", "greeting", "auth"};
    const json_t *error = json_object_get(found, "error"), *data = json_object_get(error, "data");
    char reply[700];
    struct cli_failure f = {
        .account = account,
        .protocol = protocol,
        .kind = cli_string(json_object_get(data, "kind")),
        .stage = cli_string(json_object_get(data, "stage")),
        .message = cli_string(json_object_get(error, "message")),
        .host = cli_string(json_object_get(found, "host")),
        .port = (int) json_integer_value(json_object_get(found, "port")),
        .implicit_tls = json_is_true(json_object_get(found, "implicit_tls")),
        .reply = reply,
    };
    size_t failed = 0;
    cli_reply_text(json_object_get(data, "reply"), reply, sizeof(reply));
    while (failed < ARRAY_LEN(stages) && strcmp(stages[failed], f.stage) != 0)
        failed++;
    for (size_t i = 0; failed < ARRAY_LEN(stages) && i < failed; i++) {
        if (strcmp(stages[i], "proxy") == 0 || (strcmp(stages[i], "tls") == 0 && !f.implicit_tls))
            continue;
        printf("  %sok%s       %s\n", d->good, d->off, stages[i]);
    }
    printf("  %sfailed%s   %-10s ", d->bad, d->off, f.stage);
    print_safe(f.message);
    if (reply[0]) {
        fputs("\n  the server said     ", stdout);
        print_safe(reply);
    }
    putchar('\n');
    cli_print_advice(stdout, &f);
}

static int examine(struct doctor *d, const char *account)
{
    static const char *const protocols[] = {"smtp", "imap", "pop3"};
    json_t *result = NULL;
    int status = cli_call_simple(d->cli, "account.test", json_pack("{s:s}", "account", account), &result);
    if (status)
        return status;
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        const json_t *found = json_object_get(result, protocols[i]);
        bool ok = json_is_true(json_object_get(found, "ok"));
        if (!found)
            continue;
        d->tested++;
        d->failed += !ok;
        if (d->cli->json)
            continue;
        print_safe(account);
        printf(": %s at ", protocols[i]);
        print_safe(cli_string(json_object_get(found, "host")));
        printf(":%" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(found, "port")));
        if (ok)
            show_success(d, found);
        else
            show_failure(d, account, protocols[i], found);
        putchar('\n');
        fflush(stdout);
    }
    if (d->cli->json) {
        json_object_set_new(result, "account", json_string(account));
        status = cli_print(d->cli, result);
    }
    json_decref(result);
    return status;
}

int cli_doctor(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {
        {"account", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    json_t *list = NULL, *one;
    size_t i;
    int status = 0, opt;
    optind = 0; /* and not 1: the options may stand anywhere */
    while ((opt = getopt_long(argc, argv, "a:jh", options, NULL)) != -1) {
        if (opt == 'a') {
            cli->account = optarg;
        } else if (opt == 'j') {
            cli->json = true;
        } else {
            fputs(usage, opt == 'h' ? stdout : stderr);
            return opt == 'h' ? EX_OK : EX_USAGE;
        }
    }
    bool colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR") && !cli->json, all = optind == argc && !cli->account;
    struct doctor d = {.cli = cli, .good = colours ? "\033[32m" : "", .bad = colours ? "\033[31m" : "", .off = colours ? "\033[0m" : ""};
    for (int word = optind; word < argc && !status; word++)
        status = examine(&d, argv[word]);
    if (all)
        status = cli_call_simple(cli, "account.list", NULL, &list);
    else if (optind == argc)
        status = examine(&d, cli->account);
    json_array_foreach(json_object_get(list, "accounts"), i, one)
        if (!status)
            status = examine(&d, cli_string(json_object_get(one, "name")));
    if (!status && all && json_array_size(json_object_get(list, "accounts")) == 0)
        status = cli_fail(cli, EX_NOUSER, "there is no account that you may use");
    json_decref(list);
    if (!status && !cli->json && !cli->quiet && d.tested)
        printf("%u of %u work\n", d.tested - d.failed, d.tested);
    return status ? status : d.failed ? EX_UNAVAILABLE : EX_OK;
}
