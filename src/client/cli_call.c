/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int cli_fail(const struct cli *cli, int status, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s: ", cli->name);
    cli_print_text(stderr, text, strlen(text), true);
    fputc('\n', stderr);
    return status;
}

int cli_exit_status(const struct postern_error *error)
{
    static const struct {
        int code, status;
    } statuses[] = {
        {-32700, EX_SOFTWARE},    {-32600, EX_USAGE},       {-32601, EX_USAGE},       {-32602, EX_USAGE},
        {-32603, EX_SOFTWARE},    {-32001, EX_NOPERM},      {-32002, EX_NOUSER},      {-32003, EX_UNAVAILABLE},
        {-32004, EX_TEMPFAIL},    {-32005, EX_UNAVAILABLE}, {-32006, EX_TEMPFAIL},    {-32007, EX_IOERR},
        {-32008, EX_DATAERR},     {-32009, EX_TEMPFAIL},    {-32010, EX_UNAVAILABLE}, {-32011, EX_UNAVAILABLE},
        {-32012, EX_UNAVAILABLE}, {-32013, EX_TEMPFAIL},    {-32014, EX_UNAVAILABLE}, {-32015, EX_PROTOCOL},
        {-32016, EX_PROTOCOL},    {-32017, EX_PROTOCOL},    {-32018, EX_NOPERM},      {-32019, EX_NOPERM},
        {-32020, EX_UNAVAILABLE}, {-32021, EX_NOPERM},      {-32022, EX_DATAERR},     {-32023, EX_DATAERR},
        {-32024, EX_NOINPUT},
    };
    if (error->code == 0)
        return EX_OK;
    if (error->code > -32000)
        return error->code == -ENOMEM ? EX_OSERR : EX_UNAVAILABLE;
    /* Trying later helps, unless it might send twice. */
    if (error->retry != POSTERN_RETRY_NO && error->outcome == POSTERN_OUTCOME_NONE)
        return EX_TEMPFAIL;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].code == error->code)
            return statuses[i].status;
    return EX_UNAVAILABLE;
}

void cli_reply_text(const json_t *reply, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(reply, "text"));
    const char *status = json_string_value(json_object_get(reply, "status"));
    const char *enhanced = json_string_value(json_object_get(reply, "enhanced"));
    json_t *code = json_object_get(reply, "code");
    out[0] = 0;
    size_t n = 0;
    if (json_is_integer(code) && json_integer_value(code))
        n += (size_t) snprintf(out + n, size - n, "%d ", (int) json_integer_value(code));
    if (status && n < size)
        n += (size_t) snprintf(out + n, size - n, "%s ", status);
    if (json_is_string(code) && n < size)
        n += (size_t) snprintf(out + n, size - n, "[%s] ", json_string_value(code));
    if (enhanced && enhanced[0] && n < size)
        n += (size_t) snprintf(out + n, size - n, "%s ", enhanced);
    if (text && n < size)
        snprintf(out + n, size - n, "%s", text);
}

/* What went wrong, in one line where the server's words say it all. */
static void tell_error(const struct cli *cli, const struct postern_error *error, bool by_recipient)
{
    char reply[700], where[160] = "";
    const json_t *data = json_object_get(error->data, "reply");
    const char *stage = json_string_value(json_object_get(error->data, "stage"));
    const char *said = json_string_value(json_object_get(data, "text"));
    if (error->kind[0])
        snprintf(where, sizeof(where), " (%.60s%s%.60s)", error->kind, stage ? ", at " : "", stage ? stage : "");
    cli_reply_text(data, reply, sizeof(reply));
    if (by_recipient)
        cli_fail(cli, 0, "no recipient was taken%s", where);
    else if (reply[0] && said && strcmp(said, error->message) == 0)
        cli_fail(cli, 0, "the server said: %s%s", reply, where);
    else
        cli_fail(cli, 0, "%s%s", error->message, where);
    if (reply[0] && !by_recipient && (!said || strcmp(said, error->message) != 0))
        cli_fail(cli, 0, "the server said: %s", reply);
}

int cli_fail_error(const struct cli *cli, const struct postern_error *error)
{
    char reply[700];
    size_t i;
    json_t *one;
    int status = cli_exit_status(error);
    const json_t *rejected = json_object_get(error->data, "rejected");
    const char *meant = json_string_value(json_object_get(error->data, "did_you_mean"));
    tell_error(cli, error, json_array_size(rejected) > 0);
    if (meant)
        cli_fail(cli, status, "did you mean '%s'?", meant);
    json_array_foreach(rejected, i, one)
    {
        cli_reply_text(json_object_get(one, "reply"), reply, sizeof(reply));
        const char *address = json_string_value(json_object_get(one, "address"));
        cli_fail(cli, status, "refused: %s: %s", address ? address : "?", reply);
    }
    if (error->outcome == POSTERN_OUTCOME_UNKNOWN)
        cli_fail(cli, status, "it is not known whether it was done: the connection was lost meanwhile");
    return status;
}

int cli_connect(struct cli *cli)
{
    struct postern_error error = POSTERN_ERROR_INIT;
    if (cli->connection)
        return 0;
    int r = postern_open(&cli->connection, cli->socket, 10000, &error);
    int status = r < 0 ? cli_fail(cli, EX_UNAVAILABLE, "%s", error.message) : 0;
    postern_error_done(&error);
    return status;
}

/* --- contents --- */

/* Writes all bytes of the descriptor to the file, or to stdout for "-". */
static int copy_out(const struct cli *cli, int from, const char *path)
{
    char room[65536];
    int to =
        strcmp(path, "-") == 0 ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    if (to < 0)
        return cli_fail(cli, EX_CANTCREAT, "%s: %s", path, strerror(errno));
    int status = 0;
    for (;;) {
        ssize_t n = read(from, room, sizeof(room)), done = 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = cli_fail(cli, EX_IOERR, "the content cannot be read: %s", strerror(errno));
        if (n <= 0)
            break;
        while (done < n) {
            ssize_t w = write(to, room + done, (size_t) (n - done));
            if (w < 0 && errno != EINTR)
                break;
            done += w > 0 ? w : 0;
        }
        if (done < n) {
            status = cli_fail(cli, EX_IOERR, "%s: %s", path, strerror(errno));
            break;
        }
    }
    if (to != STDOUT_FILENO && close(to) < 0 && status == 0)
        status = cli_fail(cli, EX_IOERR, "%s: %s", path, strerror(errno));
    return status;
}

static int write_bytes(const struct cli *cli, const json_t *content)
{
    char *bytes = NULL;
    size_t len;
    FILE *memory = tmpfile();
    int r = memory ? postern_content_read(content, NULL, 0, &bytes, &len) : -errno;
    if (r == 0 && (fwrite(bytes, 1, len, memory) != len || fflush(memory) != 0))
        r = -errno;
    if (r == 0)
        rewind(memory);
    int status = r < 0 ? cli_fail(cli, EX_IOERR, "%s", strerror(-r)) : copy_out(cli, fileno(memory), cli->output);
    if (memory)
        fclose(memory);
    free(bytes);
    return status;
}

struct contents {
    const struct cli *cli;
    const int *fds;
    size_t n_fds;
    bool written; /* --output has got its content */
    int status;
};

static bool is_content(const json_t *value)
{
    /* a pipe comes before its size is known */
    if (json_is_integer(json_object_get(value, "fd")) && json_object_size(value) == 1)
        return true;
    return json_is_object(value) &&
           (json_is_integer(json_object_get(value, "fd")) || json_is_string(json_object_get(value, "text")) ||
            json_is_string(json_object_get(value, "base64"))) &&
           json_is_integer(json_object_get(value, "size")) && json_object_size(value) == 2;
}

/* The first content goes to --output; descriptors that are left become text or base64. */
static void settle_content(struct contents *c, json_t *content)
{
    json_t *fd = json_object_get(content, "fd");
    json_int_t index = json_integer_value(fd);
    if (fd && (index < 0 || (uint64_t) index >= c->n_fds || c->fds[index] < 0)) {
        c->status = cli_fail(c->cli, EX_PROTOCOL, "the answer names a descriptor that did not come");
        return;
    }
    if (c->cli->output && !c->written) {
        c->written = true;
        c->status = fd ? copy_out(c->cli, c->fds[index], c->cli->output) : write_bytes(c->cli, content);
        json_object_clear(content);
        json_object_set_new(content, "file", json_string(c->cli->output));
        return;
    }
    char *bytes = NULL;
    size_t len = 0;
    if (!fd)
        return;
    int r = postern_content_read(content, c->fds, c->n_fds, &bytes, &len);
    json_t *inlined = r == 0 ? postern_content_new(bytes, len) : NULL;
    free(bytes);
    if (!inlined) {
        c->status = cli_fail(c->cli, EX_IOERR, "a content cannot be read: %s", strerror(r < 0 ? -r : ENOMEM));
        return;
    }
    json_object_del(content, "fd");
    json_object_update(content, inlined);
    json_decref(inlined);
}

static void settle_contents(struct contents *c, json_t *value, unsigned depth)
{
    const char *key;
    size_t i;
    json_t *one;
    if (depth > 64 || c->status)
        return;
    if (is_content(value)) {
        settle_content(c, value);
        return;
    }
    json_array_foreach(value, i, one) settle_contents(c, one, depth + 1);
    json_object_foreach(value, key, one) settle_contents(c, one, depth + 1);
}

/* --- one call --- */

struct running {
    const struct cli *cli;
    cli_item_fn *on_item;
    bool bar; /* a progress line stands on the terminal */
    bool complete, failed;
    int status;
};

static void clear_bar(struct running *run)
{
    if (run->bar)
        fputs("\r\033[K", stderr);
    run->bar = false;
}

static void show_progress(struct postern_request *r, uint64_t done, uint64_t total, void *arg)
{
    struct running *run = arg;
    (void) r;
    run->complete = done == total;
    if (!run->cli->progress)
        return;
    run->bar = true;
    if (total == UINT64_MAX || total == 0) {
        fprintf(stderr, "\r\033[K%.1f MB", (double) done / 1e6);
        return;
    }
    unsigned percent = (unsigned) ((double) MIN(done, total) * 100 / (double) total), filled = percent * 30 / 100;
    fprintf(stderr, "\r\033[K[%.*s%*s] %3u%%  %.1f of %.1f MB", (int) filled, "##############################",
            (int) (30 - filled), "", percent, (double) done / 1e6, (double) total / 1e6);
}

static void take_item(struct postern_request *r, json_t *item, int *fds, size_t n_fds, void *arg)
{
    struct running *run = arg;
    struct contents c = {.cli = run->cli, .fds = fds, .n_fds = n_fds};
    (void) r;
    clear_bar(run);
    settle_contents(&c, item, 0);
    if (c.status)
        run->status = c.status;
    else if (run->on_item)
        run->on_item(run->cli, item);
}

static void pipe_failed(struct postern_request *r, const struct postern_error *error, void *arg)
{
    struct running *run = arg;
    (void) r;
    clear_bar(run);
    run->failed = true;
    run->status = cli_fail_error(run->cli, error);
}

/* A pipe that ended early is followed by the reason. */
static void wait_for_pipe(struct cli *cli, struct running *run)
{
    while (!run->complete && !run->failed && postern_wait(cli->connection, 10000) > 0)
        ;
    if (!run->complete && !run->failed)
        run->status = cli_fail(cli, EX_IOERR, "the content may be incomplete");
}

static struct postern_request *make_request(struct cli *cli, const char *method, struct cli_params *params,
                                            struct running *run)
{
    bool bad = false;
    if (cli->timeout_ms && !json_object_get(params->object, "timeout"))
        bad = json_object_set_new(params->object, "timeout", json_integer((json_int_t) cli->timeout_ms));
    if ((cli->progress || cli->output) && !json_object_get(params->object, "progress"))
        bad = bad || json_object_set_new(params->object, "progress", json_true());
    if (cli->output && !json_object_get(params->object, "content"))
        bad = bad || json_object_set_new(params->object, "content", json_string("pipe"));
    struct postern_request *r = bad ? NULL : postern_request_new(cli->connection, method, params->object);
    for (size_t i = 0; r && i < params->n_fds; i++)
        if (postern_request_add_fd(r, params->fds[i]) < 0) {
            postern_request_free(r);
            return NULL;
        }
    if (r) {
        postern_request_on_item(r, take_item, run);
        postern_request_on_progress(r, show_progress, run);
        postern_request_on_failed(r, pipe_failed, run);
    }
    return r;
}

static int finish_call(struct cli *cli, struct postern_request *r, struct running *run, json_t **ret_result)
{
    size_t n_fds;
    const int *fds = postern_request_fds(r, &n_fds);
    struct contents c = {.cli = cli, .fds = fds, .n_fds = n_fds};
    json_t *result = postern_request_result(r);
    bool is_pipe = false;
    struct stat st;
    for (size_t i = 0; i < n_fds; i++)
        is_pipe = is_pipe || (fstat(fds[i], &st) == 0 && S_ISFIFO(st.st_mode));
    settle_contents(&c, result, 0);
    if (c.status == 0 && is_pipe)
        wait_for_pipe(cli, run);
    clear_bar(run);
    if (c.status == 0 && cli->output && !c.written)
        c.status = json_array_size(json_object_get(result, "missing")) > 0
                       ? cli_fail(cli, EX_NOINPUT, "there is no such message")
                       : cli_fail(cli, EX_USAGE, "the answer has no content for --output");
    if (c.status == 0)
        c.status = run->status;
    if (c.status == 0)
        *ret_result = json_incref(result);
    return c.status;
}

int cli_call(struct cli *cli, const char *method, struct cli_params *params, cli_item_fn *on_item, json_t **ret_result)
{
    struct running run = {.cli = cli, .on_item = on_item};
    struct postern_error error = POSTERN_ERROR_INIT;
    int status = cli_connect(cli);
    struct postern_request *r = status ? NULL : make_request(cli, method, params, &run);
    if (!status && !r)
        status = cli_fail(cli, EX_OSERR, "out of memory or descriptors");
    if (r && postern_request_start(r, &error) < 0)
        status = cli_fail_error(cli, &error);
    if (!status) {
        int waited = postern_request_wait(r, -1);
        clear_bar(&run);
        if (waited < 0)
            status = cli_fail(cli, EX_SOFTWARE, "%s", strerror(-waited));
        else if (postern_request_error(r) && cli->forgiven && strcmp(postern_request_error(r)->kind, cli->forgiven) == 0)
            status = CLI_FORGIVEN;
        else if (postern_request_error(r))
            status = cli_fail_error(cli, postern_request_error(r));
        else
            status = finish_call(cli, r, &run, ret_result);
    }
    postern_request_free(r);
    postern_error_done(&error);
    cli_params_done(params);
    return status;
}

int cli_call_simple(struct cli *cli, const char *method, json_t *object, json_t **ret_result)
{
    struct cli_params params = {.object = object ? object : json_object()};
    struct cli plain = *cli;
    if (!params.object)
        return cli_fail(cli, EX_OSERR, "out of memory");
    plain.output = NULL;
    plain.progress = false;
    int status = cli_call(&plain, method, &params, NULL, ret_result);
    cli->connection = plain.connection;
    return status;
}

static bool lists(const json_t *array, const char *word)
{
    size_t i;
    json_t *one;
    json_array_foreach(array, i, one) if (json_is_string(one) && strcmp(json_string_value(one), word) == 0) return true;
    return false;
}

static bool will_do(const json_t *account, enum cli_use use)
{
    return lists(json_object_get(account, "permit"), use == CLI_SENDS ? "send" : "read") &&
           lists(json_object_get(account, "protocols"), use == CLI_SENDS ? "smtp" : "imap");
}

static bool is_address_of(const char *address, const char *email)
{
    return address && email && slice_eq_ci(slice_of_str(address), slice_of_str(email));
}

static int fail_ambiguous(const struct cli *cli, enum cli_use use, const json_t *accounts)
{
    char names[400] = "";
    size_t i, n = 0, told = 0;
    json_t *one;
    json_array_foreach(accounts, i, one)
    {
        if (!will_do(one, use) || n >= sizeof(names) - 80)
            continue;
        n += (size_t) snprintf(names + n, sizeof(names) - n, "%s%.64s", told++ ? ", " : "", cli_string(json_object_get(one, "name")));
    }
    return cli_fail(cli, EX_USAGE, "several accounts %s (%s): choose one with --account", use == CLI_SENDS ? "may send" : "can be read", names);
}

int cli_choose_account(struct cli *cli, enum cli_use use, const char *from, const char *sender, char **ret_account,
                       char **ret_email)
{
    const char *wanted = cli->account ? cli->account : getenv("POSTERN_ACCOUNT");
    json_t *result = NULL, *one, *named = NULL, *by_from = NULL, *by_sender = NULL, *usual = NULL, *last = NULL;
    size_t i, n = 0;
    int status = cli_call_simple(cli, "account.list", NULL, &result);
    if (status)
        return status;
    json_array_foreach(json_object_get(result, "accounts"), i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        const char *email = json_string_value(json_object_get(one, "email"));
        if (name && wanted && strcmp(name, wanted) == 0)
            named = one;
        if (!name || !will_do(one, use))
            continue;
        if (!usual && json_is_true(json_object_get(one, "default")))
            usual = one;
        if (!by_from && is_address_of(from, email))
            by_from = one;
        if (!by_sender && is_address_of(sender, email))
            by_sender = one;
        last = one;
        n++;
    }
    json_t *chosen = wanted ? named : by_from ? by_from : by_sender ? by_sender : usual ? usual : n == 1 ? last : NULL;
    const char *name = chosen ? json_string_value(json_object_get(chosen, "name")) : wanted;
    const char *email = json_string_value(json_object_get(chosen, "email"));
    if (!name)
        status = n == 0 ? cli_fail(cli, EX_NOPERM, "there is no account %s",
                                   use == CLI_SENDS ? "through which you may send" : "that you may read by IMAP")
                        : fail_ambiguous(cli, use, json_object_get(result, "accounts"));
    else if (!(*ret_account = strdup(name)) || (ret_email && email && !(*ret_email = strdup(email))))
        status = cli_fail(cli, EX_OSERR, "out of memory");
    json_decref(result);
    return status;
}
