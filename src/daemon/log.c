/* SPDX-License-Identifier: MIT */
#define SD_JOURNAL_SUPPRESS_LOCATION /* where in the source a line was written is no help to its reader */
#include "log.h"

#include "buffer.h"
#include "hash.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define FIELDS_MAX 24
#define SLOTS 64

/* How much an event has said lately. */
struct slot {
    const char *event; /* a literal; NULL: free */
    enum config_log_level level;
    uint64_t since_ms, last_line;
    unsigned written, held_back;
};

static struct {
    enum config_log_level level;
    bool to_journal;
    struct slot slots[SLOTS];
} state = {.level = CONFIG_LOG_INFO};

void log_set_level(enum config_log_level level)
{
    state.level = level;
}

bool log_wants(enum config_log_level level)
{
    return level <= state.level;
}

const char *log_errno_text(int err)
{
    return strerror(err < 0 ? -err : err);
}

/* systemd says in JOURNAL_STREAM which file it gave as stderr. */
void log_open(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    state.to_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
                       st.st_dev == (dev_t) dev && st.st_ino == (ino_t) ino;
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

/* Controls, and what turns the direction of the line around, never reach a terminal. */
static bool must_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || c == '"' || c == '\\';
}

static int append_escaped(struct buffer *out, struct slice s)
{
    size_t used = 0;
    int r = 0;
    for (size_t i = 0; i < s.len && r == 0;) {
        uint32_t c;
        size_t n = utf8_decode(s.data + i, s.len - i, &c);
        char piece[16];
        size_t len;
        if (n > 0 && !must_escape(c))
            len = (size_t) snprintf(piece, sizeof(piece), "%.*s", (int) n, s.data + i);
        else if (n == 1 && (c == '"' || c == '\\'))
            len = (size_t) snprintf(piece, sizeof(piece), "\\%c", (char) c);
        else if (n > 1)
            len = (size_t) snprintf(piece, sizeof(piece), "\\u%04x", c);
        else
            len = (size_t) snprintf(piece, sizeof(piece), "\\x%02x", (unsigned char) s.data[i]);
        if (used + len > LOG_VALUE_MAX)
            return buffer_append_slice(out, SLICE("..."));
        used += len;
        r = buffer_append(out, piece, len);
        i += n ? n : 1;
    }
    return r;
}

static bool is_bare(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] <= ' ' || (unsigned char) s.data[i] >= 0x7f || strchr("\"\\=", s.data[i]))
            return false;
    return s.len > 0 && s.len <= LOG_VALUE_MAX;
}

static int append_value(struct buffer *out, const struct log_field *f, bool quote)
{
    if (f->type == LOG_FIELD_INT)
        return buffer_printf(out, "%lld", (long long) f->integer);
    if (!quote)
        return append_escaped(out, f->text);
    if (is_bare(f->text))
        return buffer_append_slice(out, f->text);
    int r = buffer_append_char(out, '"');
    r = r < 0 ? r : append_escaped(out, f->text);
    return r < 0 ? r : buffer_append_char(out, '"');
}

/* `event name=value name="va lue"`, cut where it gets too long. */
static void append_text(struct buffer *out, const char *event, const struct log_field *fields, size_t n)
{
    int r = buffer_append_slice(out, slice_of_str(event));
    for (size_t i = 0; i < n && r == 0; i++) {
        size_t before = buffer_len(out);
        r = buffer_printf(out, " %s=", fields[i].name);
        r = r < 0 ? r : append_value(out, &fields[i], true);
        if (r < 0)
            buffer_truncate(out, before);
    }
}

static void write_journal(int priority, struct slice text, const char *event, const struct log_field *fields, size_t n)
{
    struct iovec parts[FIELDS_MAX + 4];
    struct buffer bytes; /* all parts, so large that no part moves */
    char *room;
    size_t n_parts = 0;
    buffer_init(&bytes, 4 * LINE_MAX_BYTES);
    if (buffer_reserve(&bytes, 4 * LINE_MAX_BYTES, &room) < 0)
        return;
#define PART(...)                                                                                                      \
    do {                                                                                                               \
        size_t part_before_ = buffer_len(&bytes);                                                                      \
        if ((__VA_ARGS__) == 0)                                                                                        \
            parts[n_parts++] = (struct iovec){room + part_before_, buffer_len(&bytes) - part_before_};                 \
    } while (0)
    PART(buffer_printf(&bytes, "MESSAGE=%.*s", (int) text.len, text.data));
    PART(buffer_printf(&bytes, "PRIORITY=%d", priority));
    PART(buffer_append_slice(&bytes, SLICE("SYSLOG_IDENTIFIER=posternd")));
    PART(buffer_printf(&bytes, "POSTERN_EVENT=%s", event));
    for (size_t i = 0; i < MIN(n, (size_t) FIELDS_MAX); i++) {
        char name[64] = "POSTERN_";
        size_t len = 8;
        for (const char *p = fields[i].name; *p && len < sizeof(name) - 1; p++)
            name[len++] = ascii_upper(*p);
        name[len] = 0;
        size_t before = buffer_len(&bytes);
        if (buffer_printf(&bytes, "%s=", name) == 0 && append_value(&bytes, &fields[i], false) == 0)
            parts[n_parts++] = (struct iovec){room + before, buffer_len(&bytes) - before};
    }
#undef PART
    sd_journal_sendv(parts, (int) n_parts);
    buffer_done(&bytes);
}

static void write_stderr(const char *level, struct slice text)
{
    char line[LINE_MAX_BYTES + 64];
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t) snprintf(line + n, sizeof(line) - n, ".%03ldZ %s %.*s\n", ts.tv_nsec / 1000000, level, (int) text.len,
                           text.data);
    while (write(STDERR_FILENO, line, MIN(n, sizeof(line) - 1)) < 0 && errno == EINTR)
        ;
}

static void emit(int priority, const char *level, struct slice text, const char *event, const struct log_field *fields,
                 size_t n)
{
    if (state.to_journal)
        write_journal(priority, text, event, fields, n);
    else
        write_stderr(level, text);
}

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

/* What was held back is said in one line. */
static void settle(struct slot *s)
{
    unsigned held_back = s->held_back;
    s->held_back = 0;
    if (held_back == 0)
        return;
    const struct log_field count = LOG_INT("held_back", held_back);
    struct buffer text;
    buffer_init(&text, LINE_MAX_BYTES);
    append_text(&text, s->event, &count, 1);
    emit(priorities[s->level], level_names[s->level], buffer_slice(&text), s->event, &count, 1);
    buffer_done(&text);
}

void log_flush(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (state.slots[i].event)
            settle(&state.slots[i]);
}

/* The event's slot, in a window that has not ended; the oldest one gives way to a new event. */
static struct slot *slot_of(const char *event, enum config_log_level level, uint64_t now)
{
    struct slot *found = NULL, *oldest = &state.slots[0];
    for (struct slot *s = state.slots; s < state.slots + SLOTS; s++) {
        if (s->event && now - s->since_ms >= LOG_WINDOW_MS) {
            settle(s);
            s->since_ms = now;
            s->written = 0;
            s->last_line = 0;
        }
        if (s->event && strcmp(s->event, event) == 0)
            found = s;
        if (!s->event || (oldest->event && s->since_ms < oldest->since_ms))
            oldest = s;
    }
    if (found)
        return found;
    if (oldest->event)
        settle(oldest);
    *oldest = (struct slot){.event = event, .level = level, .since_ms = now};
    return oldest;
}

static bool is_held_back(const char *event, enum config_log_level level, struct slice text)
{
    if (level == CONFIG_LOG_DEBUG)
        return false;
    struct slot *s = slot_of(event, level, now_ms());
    uint64_t line = hash_slice(text);
    if ((s->written > 0 && s->last_line == line) || s->written >= LOG_BURST) {
        s->held_back++;
        return true;
    }
    if (s->held_back)
        settle(s);
    s->last_line = line;
    s->written++;
    return false;
}

void log_event_fields(enum config_log_level level, const char *event, const struct log_field *fields, size_t n)
{
    if (!log_wants(level))
        return;
    struct buffer text;
    buffer_init(&text, LINE_MAX_BYTES);
    append_text(&text, event, fields, n);
    if (!is_held_back(event, level, buffer_slice(&text)))
        emit(priorities[level], level_names[level], buffer_slice(&text), event, fields, n);
    buffer_done(&text);
}

void log_trace_fields(const char *event, const struct log_field *fields, size_t n)
{
    struct buffer text;
    buffer_init(&text, LINE_MAX_BYTES);
    append_text(&text, event, fields, n);
    emit(LOG_DEBUG, "trace", buffer_slice(&text), event, fields, n);
    buffer_done(&text);
}

void log_fault(enum config_log_level level, const char *event, const char *account, const struct fault *fault)
{
    struct log_field fields[8];
    size_t n = 0;
    const char *kind = fault_kind_name(fault->kind);
    if (account)
        fields[n++] = LOG_STR("account", account);
    if (fault->protocol)
        fields[n++] = LOG_STR("protocol", fault->protocol);
    fields[n++] = LOG_STR("kind", kind ? kind : "internal");
    if (fault->stage)
        fields[n++] = LOG_STR("stage", fault->stage);
    if (fault->has_reply && fault->reply.code)
        fields[n++] = LOG_INT("code", fault->reply.code);
    if (fault->has_reply && fault->reply.text[0])
        fields[n++] = LOG_STR("reply", fault->reply.text);
    fields[n++] = LOG_STR("text", fault->text);
    log_event_fields(level, event, fields, n);
}
