/* SPDX-License-Identifier: MIT */
#include "credentials.h"

#include "child.h"
#include "config_file.h"
#include "json_reader.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct source {
    struct credential_source base;
    unsigned refs;
    struct loop *loop;
    struct account_config *account;
    const struct config_secret *secret;
    uint64_t command_limit_ms;
    struct list waiters; /* struct credential_waiter */
    struct loop_task answer;
    struct child *child;    /* a command runs; all waiters wait for it */
    struct secret *kept;    /* what a command printed last */
    uint64_t kept_until_ms; /* loop time */
};

/* --- reading --- */

static int take_line(struct buffer *text, struct secret **ret, const char **ret_why)
{
    struct slice line = buffer_slice(text);
    line = slice_to(line, slice_find(line, '\n'));
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || memchr(line.data, 0, line.len)) {
        *ret_why = line.len == 0 ? "its first line is empty" : "it holds a NUL";
        return -EINVAL;
    }
    struct secret *s = secret_new(line.data, line.len);
    if (!s) {
        *ret_why = "out of memory";
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

static int read_all(const char *path, struct buffer *text, const char **ret_why)
{
    struct stat st;
    int fd = config_open_named(path, true, &st, ret_why);
    if (fd < 0)
        return fd;
    ssize_t n = -1;
    char *room;
    int r = buffer_reserve(text, SECRET_MAX, &room);
    while (r == 0 && (n = read(fd, room, SECRET_MAX)) < 0 && errno == EINTR)
        ;
    if (r == 0 && n < 0)
        r = -errno;
    if (r < 0)
        *ret_why = strerror(-r);
    else
        buffer_commit(text, (size_t) n);
    close(fd);
    return r;
}

int credential_read_line(const char *path, struct secret **ret, const char **ret_why)
{
    struct buffer text;
    buffer_init_secret(&text, SECRET_MAX);
    int r = read_all(path, &text, ret_why);
    r = r < 0 ? r : take_line(&text, ret, ret_why);
    buffer_done(&text);
    return r;
}

/* b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static bool is_b64token(struct slice s)
{
    size_t n = s.len;
    while (n > 0 && s.data[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++)
        if (!ascii_is_alpha(s.data[i]) && !ascii_is_digit(s.data[i]) && !memchr("-._~+/", s.data[i], 6))
            return false;
    return n > 0;
}

static int take_token(struct slice token, struct secret **ret, const char **ret_why)
{
    if (!is_b64token(token)) {
        *ret_why = "what it gives is no token (RFC 6750 section 2.1)";
        return -EINVAL;
    }
    struct secret *s = secret_new(token.data, token.len);
    if (!s) {
        *ret_why = "out of memory";
        return -ENOMEM;
    }
    *ret = s;
    return 0;
}

/* Seconds, as a number or (as some services send it) a string of digits. Absent or senseless: the default. */
static int read_lifetime(struct json_reader *r, uint64_t *ret_ms)
{
    int64_t seconds = -1;
    struct slice digits;
    uint64_t u;
    int token = json_read_peek(r), err;
    if (token < 0)
        return token;
    if (token == JSON_TOKEN_STRING) {
        err = json_read_string(r, &digits);
        if (err == 0 && slice_to_u64(digits, INT32_MAX, &u))
            seconds = (int64_t) u;
    } else if (token == JSON_TOKEN_NUMBER) {
        err = json_read_int(r, &seconds);
        if (err == -EINVAL || err == -ERANGE)
            err = 0;
    } else {
        err = json_read_skip(r, NULL);
    }
    if (err == 0 && seconds >= 0)
        *ret_ms = seconds > CREDENTIAL_MAX_MS / 1000 ? CREDENTIAL_MAX_MS : (uint64_t) seconds * 1000;
    return err;
}

static int read_token_object(struct json_reader *r, struct slice *ret_token, uint64_t *ret_lifetime_ms)
{
    struct slice key;
    int err = json_read_object(r);
    if (err < 0)
        return err;
    while ((err = json_read_member(r, &key)) == 1) {
        if (slice_eq(key, SLICE("access_token")))
            err = json_read_string(r, ret_token);
        else if (slice_eq(key, SLICE("expires_in")))
            err = read_lifetime(r, ret_lifetime_ms);
        else
            err = json_read_skip(r, NULL);
        if (err < 0)
            return err;
    }
    return err < 0 ? err : json_read_end(r);
}

int credential_parse_token(struct buffer *text, struct secret **ret, uint64_t *ret_lifetime_ms, const char **ret_why)
{
    struct slice all = slice_trim(buffer_slice(text)), token = SLICE_EMPTY;
    uint64_t lifetime_ms = CREDENTIAL_KEEP_MS;
    if (all.len && all.data[0] == '{') {
        struct json_keyset keys;
        struct json_reader reader;
        json_keyset_init(&keys);
        json_reader_init(&reader, (char *) all.data, all.len, &keys);
        int r = read_token_object(&reader, &token, &lifetime_ms);
        json_keyset_done(&keys);
        if (r < 0) {
            *ret_why = r == -ENOMEM ? "out of memory" : "what it gives is no JSON object with an access_token";
            return r == -ENOMEM ? r : -EINVAL;
        }
    } else {
        token = all;
    }
    int r = take_token(token, ret, ret_why);
    if (r == 0)
        *ret_lifetime_ms = MAX(lifetime_ms, (uint64_t) CREDENTIAL_MIN_MS);
    return r;
}

/* --- answering --- */

/* Everybody who waits now; those who come meanwhile wait for the next round. `secret` NULL: `fault` says why. */
static void answer_all(struct source *s, struct secret *secret, const struct fault *fault)
{
    struct list now;
    list_init(&now);
    while (!list_is_empty(&s->waiters)) {
        struct credential_waiter *w = list_first(&s->waiters, struct credential_waiter, link);
        list_remove(&w->link);
        list_append(&now, &w->link);
    }
    s->refs++;
    if (secret)
        secret_ref(secret); /* refused() may be called from ready() */
    while (!list_is_empty(&now)) {
        struct credential_waiter *w = list_first(&now, struct credential_waiter, link);
        list_remove(&w->link);
        w->ready(w, secret ? secret_ref(secret) : NULL, secret ? NULL : fault);
    }
    secret_unref(secret);
    s->base.ops->unref(&s->base);
}

static void answer_failure(struct source *s, const char *what, const char *why)
{
    struct fault fault = {.kind = FAULT_NONE};
    const char *account = s->account->name ? s->account->name : "(options)";
    fault_set(&fault, -EACCES, FAULT_AUTH, "auth", "no credential: %s: %s", what, why);
    fault.retry = RETRY_LATER;
    log_warning("credential", LOG_STR("account", account), LOG_STR("source", what), LOG_STR("problem", why));
    answer_all(s, NULL, &fault);
}

static void keep(struct source *s, struct secret *secret, uint64_t lifetime_ms)
{
    secret_unref(s->kept);
    s->kept = secret;
    s->kept_until_ms = loop_now_ms(s->loop) + lifetime_ms;
}

/* Up to half a minute early: a token must outlive the login that it is for. */
static uint64_t usable_ms(uint64_t lifetime_ms)
{
    return lifetime_ms - MIN(lifetime_ms / 4, (uint64_t) 30000);
}

static void command_done(void *arg, struct buffer *output, int status, const char *problem)
{
    struct source *s = arg;
    bool is_token = s->secret->token_command != NULL;
    const char *what = is_token ? "token_command" : "password_command", *why = problem;
    struct secret *secret = NULL;
    uint64_t lifetime_ms = CREDENTIAL_KEEP_MS;
    char text[64];
    s->child = NULL;
    if (!why && status != 0) {
        snprintf(text, sizeof(text), status > 0 ? "it ended with status %d" : "it was ended by signal %d", abs(status));
        why = text;
    }
    int r = why        ? -EIO
            : is_token ? credential_parse_token(output, &secret, &lifetime_ms, &why)
                       : take_line(output, &secret, &why);
    if (r < 0) {
        answer_failure(s, what, why);
        return;
    }
    keep(s, secret, is_token ? usable_ms(lifetime_ms) : lifetime_ms);
    answer_all(s, secret, NULL);
}

static void run_command(struct source *s, const char *command)
{
    if (s->kept && loop_now_ms(s->loop) < s->kept_until_ms) {
        answer_all(s, s->kept, NULL);
        return;
    }
    if (s->child)
        return;
    s->child =
        child_start(s->loop, command, s->account->name ? s->account->name : "", s->command_limit_ms, command_done, s);
    if (!s->child)
        answer_failure(s, s->secret->token_command ? "token_command" : "password_command", strerror(errno));
}

static void read_file(struct source *s, const char *what, const char *path, bool is_token)
{
    const char *why = NULL;
    struct secret *secret = NULL;
    uint64_t lifetime_ms;
    int r;
    if (is_token) {
        struct buffer text;
        buffer_init_secret(&text, SECRET_MAX);
        r = read_all(path, &text, &why);
        r = r < 0 ? r : credential_parse_token(&text, &secret, &lifetime_ms, &why);
        buffer_done(&text);
    } else {
        r = credential_read_line(path, &secret, &why);
    }
    if (r < 0)
        answer_failure(s, what, why);
    else
        answer_all(s, secret, NULL);
    secret_unref(secret);
}

static void read_credential(struct source *s, const char *name)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[4096];
    if (!folder || snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int) sizeof(path))
        answer_failure(s, "credential", "the service has no credentials ($CREDENTIALS_DIRECTORY)");
    else
        read_file(s, "credential", path, false);
}

/* Runs as a task, never inside fetch(). */
static void answer(void *arg)
{
    struct source *s = arg;
    const struct config_secret *c = s->secret;
    if (list_is_empty(&s->waiters))
        return;
    if (c->password)
        answer_all(s, c->password, NULL);
    else if (c->token)
        answer_all(s, c->token, NULL);
    else if (c->password_file)
        read_file(s, "password_file", c->password_file, false);
    else if (c->token_file)
        read_file(s, "token_file", c->token_file, true);
    else if (c->credential)
        read_credential(s, c->credential);
    else if (c->password_command)
        run_command(s, c->password_command);
    else if (c->token_command)
        run_command(s, c->token_command);
    else
        answer_failure(s, "none", "no secret is configured");
}

/* --- the source --- */

static void source_fetch(struct credential_source *base, struct credential_waiter *w)
{
    struct source *s = container_of(base, struct source, base);
    list_append(&s->waiters, &w->link);
    loop_task_schedule(&s->answer);
}

static void source_cancel(struct credential_source *base, struct credential_waiter *w)
{
    (void) base;
    list_remove(&w->link);
}

static void source_refused(struct credential_source *base, const struct secret *secret)
{
    struct source *s = container_of(base, struct source, base);
    if (s->kept && secret_eq(s->kept, secret))
        s->kept = secret_unref(s->kept);
}

static struct credential_source *source_ref(struct credential_source *base)
{
    container_of(base, struct source, base)->refs++;
    return base;
}

static void source_unref(struct credential_source *base)
{
    struct source *s = container_of(base, struct source, base);
    if (--s->refs > 0)
        return;
    loop_task_cancel(&s->answer);
    if (s->child)
        child_abandon(s->child);
    secret_unref(s->kept);
    account_config_unref(s->account);
    free(s);
}

static const struct credential_source_ops source_ops = {
    .fetch = source_fetch,
    .cancel = source_cancel,
    .refused = source_refused,
    .ref = source_ref,
    .unref = source_unref,
};

struct credential_source *credential_source_new(struct loop *l, struct account_config *account,
                                                const struct config_secret *secret, uint64_t command_limit_ms)
{
    struct source *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->base.ops = &source_ops;
    s->base.renews = secret->token_command || secret->token_file;
    s->refs = 1;
    s->loop = l;
    s->account = account_config_ref(account);
    s->secret = secret;
    s->command_limit_ms = command_limit_ms;
    list_init(&s->waiters);
    loop_task_init(&s->answer, l, answer, s);
    return &s->base;
}
