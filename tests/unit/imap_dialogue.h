/* SPDX-License-Identifier: MIT */
/* An IMAP engine in a dialogue: what the server says is fed in windows of every size, what the engine says is compared byte by
 * byte, its events as one text. */
#ifndef POSTERN_IMAP_DIALOGUE_H
#define POSTERN_IMAP_DIALOGUE_H

#include "imap_client.h"
#include "unit.h"

#include <stdarg.h>
#include <stdio.h>

struct dialogue {
    struct engine *e;
    struct engine_config config;
    size_t step; /* bytes of a window */
    char log[8192];
    size_t n_log;
    bool in_data;
    char tags[16][12];
    unsigned n_tags;
    int error;
};

static inline void log_text(struct dialogue *d, const char *fmt, ...) ATTR_PRINTF(2, 3);
static inline void log_text(struct dialogue *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    d->n_log += (size_t) vsnprintf(d->log + d->n_log, sizeof(d->log) - d->n_log, fmt, ap);
    va_end(ap);
    ck_assert_uint_lt(d->n_log, sizeof(d->log));
}

static inline const char *name_of(const struct engine_request *r)
{
    return r ? imap_kind_name(((const struct imap_command *) r)->kind) : "-";
}

static inline void log_event(struct dialogue *d, const struct imap_event *e)
{
    bool data = e->base.type == ENGINE_EVENT_DATA;
    const struct imap_command *cmd = (const struct imap_command *) e->base.request;
    /* What SELECT brings is seen in the picture of the mailbox. */
    if (e->base.type == ENGINE_EVENT_REPLY && (cmd->kind == IMAP_SELECT || cmd->kind == IMAP_EXAMINE))
        return;
    if (d->in_data && !data)
        log_text(d, ";");
    switch (e->base.type) {
    case ENGINE_EVENT_READY:
        log_text(d, "READY;");
        break;
    case ENGINE_EVENT_REPLY:
    case ENGINE_EVENT_NOTICE:
        log_text(d, "%s %s ", e->base.type == ENGINE_EVENT_REPLY ? "REPLY" : "NOTICE", name_of(e->base.request));
        if (e->fetch.is_fetch)
            log_text(d, "%u/%u%s%s[%.*s]%s;", e->fetch.number, e->fetch.uid, e->fetch.first ? " first" : "",
                     e->fetch.last ? " last" : "", (int) e->fetch.items.len, e->fetch.items.data,
                     e->fetch.discard ? " discard" : "");
        else
            log_text(d, "%.*s %u %.*s;", (int) e->response.name.len, e->response.name.data, e->response.number,
                     (int) e->response.text.len, e->response.text.data);
        break;
    case ENGINE_EVENT_DATA:
        log_text(d, "%s%.*s", d->in_data ? "" : "DATA ", (int) e->base.data.len, e->base.data.data);
        break;
    case ENGINE_EVENT_DONE:
        log_text(d, "DONE %s %s%s;", name_of(e->base.request), imap_status_name(e->response.status),
                 e->base.fault ? " fault" : "");
        break;
    case ENGINE_EVENT_CLOSING:
        log_text(d, "CLOSING;");
        break;
    case ENGINE_EVENT_TRACE:
        log_text(d, "TRACE %c %.*s;", e->base.outgoing ? '>' : '<', (int) e->base.data.len, e->base.data.data);
        break;
    }
    d->in_data = data;
}

static inline void pull(struct dialogue *d)
{
    struct engine_event *event;
    int ret;
    while ((ret = d->e->ops->next(d->e, &event)) > 0)
        log_event(d, (struct imap_event *) event);
    d->error = ret;
}

static inline void start(struct dialogue *d, size_t step)
{
    struct engine_config config = d->config;
    memset(d, 0, sizeof(*d));
    d->config = config;
    d->step = step;
    d->e = imap_client_new(&d->config);
    ck_assert_ptr_nonnull(d->e);
}

static inline void stop(struct dialogue *d)
{
    engine_free(d->e);
}

/* The server says the bytes; "%1" stands for the first tag that the client used, and so on. */
static inline void raw(struct dialogue *d, const char *text, size_t len)
{
    char bytes[16384];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%' && i + 1 < len && ascii_is_digit(text[i + 1])) {
            const char *tag = d->tags[text[++i] - '1'];
            memcpy(bytes + n, tag, strlen(tag));
            n += strlen(tag);
        } else {
            bytes[n++] = text[i];
        }
        ck_assert_uint_lt(n, sizeof(bytes) - 16);
    }
    for (size_t at = 0; at < n && !d->error; at += d->step) {
        size_t piece = MIN(d->step, n - at);
        char *window = malloc(piece);
        memcpy(window, bytes + at, piece);
        d->error = d->e->ops->feed(d->e, window, piece);
        if (!d->error)
            pull(d);
        free(window);
    }
}

static inline void say(struct dialogue *d, const char *text)
{
    char line[8192];
    snprintf(line, sizeof(line), "%s\r\n", text);
    raw(d, line, strlen(line));
}

/* The client has said exactly this; "%" stands for a tag, which is remembered. */
static inline void heard(struct dialogue *d, const char *want)
{
    struct slice out = d->e->ops->output(d->e);
    char text[8192];
    size_t n = 0, i = 0;
    for (const char *p = want; *p && i <= out.len; p++) {
        if (*p != '%') {
            i++;
            text[n++] = *p;
            continue;
        }
        size_t tag = 0;
        while (i + tag < out.len && out.data[i + tag] != ' ' && tag < 11)
            tag++;
        memcpy(text + n, out.data + i, tag);
        memcpy(d->tags[d->n_tags], out.data + i, tag);
        d->tags[d->n_tags++][tag] = '\0';
        n += tag;
        i += tag;
    }
    text[n] = '\0';
    ck_slice_eq(out, text);
    d->e->ops->sent(d->e, out.len);
}

static inline void happened(struct dialogue *d, const char *want)
{
    if (d->in_data)
        log_text(d, ";");
    d->in_data = false;
    d->log[d->n_log] = '\0';
    ck_assert_str_eq(d->log, want);
    d->n_log = 0;
    d->log[0] = '\0';
}

static inline void submit(struct dialogue *d, struct imap_command *cmd)
{
    struct fault fault = {.kind = FAULT_NONE};
    ck_assert_msg(imap_client_submit(d->e, cmd, &fault) == 0, "%s", fault.text);
}

static const size_t steps[] = {1, 2, 3, 5, 17, 100000};
#define CAPS "IMAP4rev1 UIDPLUS MOVE ESEARCH LITERAL+ UNSELECT CONDSTORE"

/* Connected in clear, nobody to log in, with these capabilities. */
static inline void start_ready(struct dialogue *d, size_t step, const char *caps)
{
    char greeting[512];
    d->config = (struct engine_config){.tls = TLS_POLICY_NONE};
    start(d, step);
    snprintf(greeting, sizeof(greeting), "* OK [CAPABILITY %s] hello", caps);
    say(d, greeting);
    happened(d, "READY;");
}

static inline struct imap_set set_of(const char *text)
{
    struct imap_set s;
    imap_set_init(&s, 100);
    ck_assert_int_eq(imap_set_parse(&s, slice_of_str(text)), 0);
    return s;
}

static inline void select_inbox(struct dialogue *d, struct imap_command *cmd)
{
    *cmd = (struct imap_command){.kind = IMAP_SELECT, .mailbox = SLICE("INBOX")};
    submit(d, cmd);
    heard(d, "% SELECT INBOX\r\n");
    say(d, "* FLAGS (\\Seen)");
    say(d, "* 3 EXISTS");
    say(d, "* OK [UIDVALIDITY 77] x");
    say(d, "* OK [UIDNEXT 10] x");
    say(d, "* OK [PERMANENTFLAGS (\\Seen \\*)] x");
    char ok[64];
    snprintf(ok, sizeof(ok), "%%%u OK [READ-WRITE] done", d->n_tags);
    say(d, ok);
    happened(d, "DONE SELECT OK;");
}

/* --- logging in --- */

static inline struct secret *password(void)
{
    return secret_new("pa ss", 5);
}

#endif
