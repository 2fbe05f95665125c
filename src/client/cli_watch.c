/* SPDX-License-Identifier: MIT */
/* `postern watch` and `postern wait`: follow what happens in mailboxes, run a command for each event, or wait for one. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHOWN_MESSAGES 20
#define MAILBOXES_MAX 64
#define GATEWAY_PATIENCE_MS 60000 /* for one that restarts */
#define RETRY_LONGEST_S 60

static const char usage[] =
    "usage: postern watch [OPTION]... [ACCOUNT] [MAILBOX]...\n"
    "       postern wait  [OPTION]... [ACCOUNT] [MAILBOX]...\n"
    "Tells what happens in the mailboxes (INBOX, unless some are named), until it is interrupted. `wait` ends with the\n"
    "first event: with status 0, or with 75 when --timeout has passed.\n"
    "\n"
    "  -k, --kind KIND,...   only these: new, changed, vanished, resync, down, up (wait: not down and up)\n"
    "  -c, --cursor CURSOR   begin where this one leads to, as an event has told it; one mailbox\n"
    "  -s, --state FILE      begin where the last run ended, which is kept in this file\n"
    "  -x, --exec COMMAND    run this by the shell for each event, which is its input as JSON; what it says is also in\n"
    "                        $POSTERN_KIND, _ACCOUNT, _MAILBOX, _UIDS, _UIDVALIDITY and _CURSOR\n"
    "      --timeout TIME    no longer than that: 30s, 5min\n"
    "  -h, --help\n";

static const struct option options[] = {
    {"kind", required_argument, NULL, 'k'},  {"cursor", required_argument, NULL, 'c'}, {"state", required_argument, NULL, 's'},
    {"exec", required_argument, NULL, 'x'},  {"account", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'},
    {"timeout", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
};

struct followed {
    const char *mailbox;
    char *cursor, *id;
};

struct watch {
    struct cli *cli;
    char *account;
    struct followed mailboxes[MAILBOXES_MAX];
    size_t n;
    const char *kinds, *cursor, *state, *command;
    bool wait, over;
    uint64_t until_ms; /* 0: no limit */
    json_t *queue;     /* events that came, in order */
    json_t *saved;     /* the state's content */
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

static const char *string_of(const json_t *object, const char *key)
{
    return cli_string(json_object_get(object, key));
}

/* --- what is kept between runs: {account: {mailbox: cursor}} --- */

static int read_state(struct watch *w)
{
    json_error_t error;
    w->saved = w->state && access(w->state, F_OK) == 0 ? json_load_file(w->state, 0, &error) : json_object();
    if (!json_is_object(w->saved))
        return cli_fail(w->cli, EX_DATAERR, "%s is no file that --state has written", w->state);
    for (size_t i = 0; i < w->n; i++) {
        const char *cursor = string_of(json_object_get(w->saved, w->account), w->mailboxes[i].mailbox);
        if (*cursor && !w->mailboxes[i].cursor)
            w->mailboxes[i].cursor = strdup(cursor);
    }
    return 0;
}

/* Whole or not at all. */
static int write_state(struct watch *w, const struct followed *f)
{
    char name[4096];
    json_t *account = json_object_get(w->saved, w->account);
    if (!w->state)
        return 0;
    if (!account && (json_object_set_new(w->saved, w->account, json_object()) < 0 || !(account = json_object_get(w->saved, w->account))))
        return cli_fail(w->cli, EX_OSERR, "out of memory");
    if (json_object_set_new(account, f->mailbox, json_string(f->cursor)) < 0 ||
        snprintf(name, sizeof(name), "%s.new", w->state) >= (int) sizeof(name))
        return cli_fail(w->cli, EX_OSERR, "out of memory");
    if (json_dump_file(w->saved, name, JSON_INDENT(1)) < 0 || rename(name, w->state) < 0)
        return cli_fail(w->cli, EX_CANTCREAT, "%s: %s", w->state, strerror(errno));
    return 0;
}

/* --- telling --- */

static void print_safe(const char *text)
{
    cli_print_text(stdout, text, strlen(text), false);
}

static void print_head(const json_t *event)
{
    char clock[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm))
        strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    printf("%s  ", clock);
    print_safe(string_of(event, "mailbox"));
    fputs("  ", stdout);
}

static void print_message(const json_t *event, const json_t *message)
{
    const json_t *envelope = json_object_get(message, "envelope"), *from = json_array_get(json_object_get(envelope, "from"), 0);
    const char *name = string_of(from, "name");
    print_head(event);
    printf("new  %" JSON_INTEGER_FORMAT "  ", json_integer_value(json_object_get(message, "uid")));
    print_safe(*name ? name : string_of(from, "address"));
    fputs(": ", stdout);
    print_safe(string_of(envelope, "subject"));
    putchar('\n');
}

static void print_event(const json_t *event)
{
    static const struct {
        const char *kind, *words;
    } states[] = {{"resync", "list it again"}, {"down", "out of reach"}, {"up", "in reach again"}};
    const char *kind = string_of(event, "kind"), *reason = string_of(event, "reason");
    const json_t *messages = json_object_get(event, "messages");
    size_t n = json_array_size(messages);
    if (strcmp(kind, "new") == 0) {
        for (size_t i = 0; i < n && i < SHOWN_MESSAGES; i++)
            print_message(event, json_array_get(messages, i));
        if (n > SHOWN_MESSAGES) {
            print_head(event);
            printf("new  and %zu more\n", n - SHOWN_MESSAGES);
        }
        return;
    }
    print_head(event);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(kind, states[i].kind) == 0)
            kind = states[i].words;
    print_safe(kind);
    fputs("  ", stdout);
    print_safe(string_of(event, "uids"));
    print_safe(reason);
    putchar('\n');
}

static int tell(struct watch *w, const json_t *event)
{
    if (w->cli->quiet || w->command)
        return 0;
    if (w->cli->json) {
        cli_print_json(event, false);
    } else {
        print_event(event);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : cli_fail(w->cli, EX_IOERR, "cannot write");
}

/* --- the command --- */

static int input_of(const json_t *event)
{
    char *text = json_dumps(event, JSON_COMPACT);
    int fd = text ? memfd_create("event", MFD_CLOEXEC) : -1;
    size_t len = text ? strlen(text) : 0;
    bool good = fd >= 0 && write(fd, text, len) == (ssize_t) len && write(fd, "\n", 1) == 1 && lseek(fd, 0, SEEK_SET) == 0;
    free(text);
    if (!good && fd >= 0)
        close(fd);
    return good ? fd : -1;
}

static int run_command(struct watch *w, const json_t *event)
{
    static const char *const names[][2] = {{"POSTERN_KIND", "kind"}, {"POSTERN_ACCOUNT", "account"}, {"POSTERN_MAILBOX", "mailbox"},
                                           {"POSTERN_UIDS", "uids"}, {"POSTERN_CURSOR", "cursor"}};
    char validity[24];
    char shell[] = "sh", option[] = "-c";
    char *argv[] = {shell, option, (char *) (uintptr_t) w->command, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status, fd = input_of(event);
    if (fd < 0 || posix_spawn_file_actions_init(&actions) != 0)
        return cli_fail(w->cli, EX_OSERR, "cannot run the command: %s", strerror(errno));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        setenv(names[i][0], string_of(event, names[i][1]), 1);
    snprintf(validity, sizeof(validity), "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(event, "uidvalidity")));
    setenv("POSTERN_UIDVALIDITY", validity, 1);
    posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    int err = posix_spawn(&child, "/bin/sh", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fd);
    if (err)
        return cli_fail(w->cli, EX_OSERR, "cannot run the command: %s", strerror(err));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return cli_fail(w->cli, EX_OSERR, "the command: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        cli_fail(w->cli, 0, "the command for '%s' in %s failed (%s %d)", string_of(event, "kind"), string_of(event, "mailbox"),
                 WIFEXITED(status) ? "status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 0;
}

/* --- events --- */

static bool is_wanted(const struct watch *w, const char *kind)
{
    size_t len = strlen(kind);
    if (!w->kinds)
        return !w->wait || (strcmp(kind, "down") != 0 && strcmp(kind, "up") != 0);
    for (const char *p = w->kinds; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == len && strncmp(p, kind, len) == 0)
            return true;
    return false;
}

static int handle(struct watch *w, const json_t *event)
{
    struct followed *f = NULL;
    int status = 0;
    for (size_t i = 0; i < w->n; i++)
        if (w->mailboxes[i].id && strcmp(w->mailboxes[i].id, string_of(event, "subscription")) == 0)
            f = &w->mailboxes[i];
    if (!f)
        return 0;
    if (is_wanted(w, string_of(event, "kind"))) {
        status = tell(w, event);
        if (!status && w->command)
            status = run_command(w, event);
        w->over = w->wait;
    }
    char *cursor = strdup(string_of(event, "cursor"));
    if (!cursor)
        return cli_fail(w->cli, EX_OSERR, "out of memory");
    free(f->cursor);
    f->cursor = cursor;
    /* Only now: what was not dealt with comes again. */
    return status ? status : write_state(w, f);
}

static void notified(struct postern *p, const char *method, json_t *params, void *arg)
{
    struct watch *w = arg;
    (void) p;
    if (strcmp(method, "event") == 0)
        json_array_append(w->queue, params);
}

/* --- subscribing --- */

static int subscribe(struct watch *w, struct followed *f, struct postern_error *error)
{
    json_t *params = json_pack("{s:s, s:s}", "account", w->account, "mailbox", f->mailbox), *result = NULL;
    if (params && f->cursor)
        json_object_set_new(params, "cursor", json_string(f->cursor));
    if (params && !w->cli->json && !w->command)
        json_object_set_new(params, "items", json_string("ENVELOPE"));
    int r = params ? postern_call(w->cli->connection, "event.subscribe", params, &result, error) : -ENOMEM;
    json_decref(params);
    if (r == 0) {
        free(f->id);
        free(f->cursor);
        f->id = strdup(string_of(result, "subscription"));
        f->cursor = strdup(string_of(result, "cursor"));
    }
    json_decref(result);
    return r < 0 ? r : f->id && f->cursor ? 0 : -ENOMEM;
}

static int subscribe_all(struct watch *w, struct postern_error *error)
{
    int r = 0;
    for (size_t i = 0; i < w->n && r == 0; i++) {
        r = subscribe(w, &w->mailboxes[i], error);
        if (r == 0 && write_state(w, &w->mailboxes[i]) != 0)
            return -EIO;
    }
    return r;
}

/* The gateway has gone: it may come back, and the mail server with it. */
static int resume(struct watch *w)
{
    for (unsigned wait_s = 1;; wait_s = MIN(2 * wait_s, (unsigned) RETRY_LONGEST_S)) {
        struct postern_error error = POSTERN_ERROR_INIT;
        int r = postern_reconnect(w->cli->connection, GATEWAY_PATIENCE_MS, &error);
        if (r == 0)
            r = subscribe_all(w, &error);
        bool lasting = r < 0 && error.retry == POSTERN_RETRY_NO && error.kind[0];
        int status = lasting ? cli_fail_error(w->cli, &error) : 0;
        postern_error_done(&error);
        if (r == 0 || lasting)
            return status;
        if (w->until_ms && now_ms() >= w->until_ms)
            return 0;
        poll(NULL, 0, (int) wait_s * 1000);
    }
}

static int follow(struct watch *w)
{
    int status = 0;
    while (!status && !w->over) {
        uint64_t now = now_ms();
        if (json_array_size(w->queue)) {
            json_t *event = json_incref(json_array_get(w->queue, 0));
            json_array_remove(w->queue, 0);
            status = handle(w, event);
            json_decref(event);
            continue;
        }
        if (w->until_ms && now >= w->until_ms)
            return w->wait ? EX_TEMPFAIL : 0;
        int r = postern_wait(w->cli->connection, w->until_ms ? (int) MIN(w->until_ms - now, (uint64_t) INT32_MAX) : -1);
        if (r == -EINTR || r == -ETIMEDOUT || r == -ENOMEM)
            continue;
        if (r < 0)
            status = resume(w);
    }
    return status;
}

/* --- the command line --- */

static int take_options(struct watch *w, int argc, char **argv)
{
    int opt;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "k:c:s:x:a:jh", options, NULL)) != -1) {
        switch (opt) {
        case 'k':
            w->kinds = optarg;
            break;
        case 'c':
            w->cursor = optarg;
            break;
        case 's':
            w->state = optarg;
            break;
        case 'x':
            w->command = optarg;
            break;
        case 'a':
            w->cli->account = optarg;
            break;
        case 'j':
            w->cli->json = true;
            break;
        case 't':
            if (!cli_read_time(optarg, &w->cli->timeout_ms))
                return cli_fail(w->cli, EX_USAGE, "--timeout: '%s' is no time (500ms, 30s, 5min)", optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            w->over = true;
            return 0;
        default:
            fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    int first = optind;
    if (!w->cli->account && first < argc)
        w->cli->account = argv[first++];
    if (argc - first > MAILBOXES_MAX)
        return cli_fail(w->cli, EX_USAGE, "at most %d mailboxes", MAILBOXES_MAX);
    for (; first < argc; first++)
        w->mailboxes[w->n++].mailbox = argv[first];
    if (w->n == 0)
        w->mailboxes[w->n++].mailbox = "INBOX";
    if (w->cursor && (w->n > 1 || w->state))
        return cli_fail(w->cli, EX_USAGE, "--cursor is for one mailbox, and without --state");
    for (const char *p = w->kinds; p && *p; p += strcspn(p, ","), p += *p == ',') {
        static const char *const kinds[] = {"new", "changed", "vanished", "resync", "down", "up"};
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
            known = known || (strcspn(p, ",") == strlen(kinds[i]) && strncmp(p, kinds[i], strlen(kinds[i])) == 0);
        if (!known)
            return cli_fail(w->cli, EX_USAGE, "--kind: '%s' is none of new, changed, vanished, resync, down, up", p);
    }
    return 0;
}

static int begin(struct watch *w)
{
    struct postern_error error = POSTERN_ERROR_INIT;
    int status = cli_choose_account(w->cli, CLI_READS, NULL, NULL, &w->account, NULL);
    w->queue = json_array();
    if (!status && w->cursor && !(w->mailboxes[0].cursor = strdup(w->cursor)))
        status = cli_fail(w->cli, EX_OSERR, "out of memory");
    if (!status)
        status = read_state(w);
    if (status)
        return status;
    postern_on_notification(w->cli->connection, notified, w);
    if (w->cli->timeout_ms)
        w->until_ms = now_ms() + w->cli->timeout_ms;
    int r = subscribe_all(w, &error);
    if (r < 0)
        status = error.code ? cli_fail_error(w->cli, &error) : EX_OSERR;
    postern_error_done(&error);
    return status;
}

int cli_watch(struct cli *cli, int argc, char **argv)
{
    struct watch w = {.cli = cli, .wait = strcmp(argv[0], "wait") == 0};
    int status = take_options(&w, argc, argv);
    if (!status && !w.over) {
        status = begin(&w);
        if (!status)
            status = follow(&w);
    }
    for (size_t i = 0; i < w.n; i++) {
        free(w.mailboxes[i].cursor);
        free(w.mailboxes[i].id);
    }
    json_decref(w.queue);
    json_decref(w.saved);
    free(w.account);
    return status;
}
