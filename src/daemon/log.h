/* SPDX-License-Identifier: MIT */
/* Structured events: to the journal when stderr is the journal, else one line an event to stderr. Names of events
 * and fields are literals; values are escaped and cut at 256 bytes, so that one event is one line whatever a peer
 * put into it. No field takes a struct secret. A line that repeats is counted instead of written, and so is what an
 * event has to say beyond LOG_BURST lines in LOG_WINDOW_MS; the count follows. Loop thread only. */
#ifndef POSTERN_LOG_H
#define POSTERN_LOG_H

#include "configuration.h"
#include "fault.h"
#include "slice.h"

#define LOG_VALUE_MAX 256
#define LOG_BURST 100
#define LOG_WINDOW_MS 10000

struct log_field {
    const char *name; /* lower case, [a-z_] */
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT } type;
    struct slice text;
    int64_t integer;
};
#define LOG_TEXT(field, s) ((struct log_field){(field), LOG_FIELD_TEXT, (s), 0})
#define LOG_STR(field, s) LOG_TEXT(field, slice_of_str(s))
#define LOG_INT(field, i) ((struct log_field){(field), LOG_FIELD_INT, {NULL, 0}, (int64_t) (i)})
/* The errno of a failed call, as text. */
#define LOG_ERRNO(err) LOG_STR("error", log_errno_text(err))

void log_event_fields(enum config_log_level level, const char *event, const struct log_field *fields, size_t n);
/* log_event(CONFIG_LOG_INFO, "client connected", LOG_INT("uid", uid)) */
#define log_event(level, event, ...)                                                                                   \
    do {                                                                                                               \
        const struct log_field log_fields_[] = {{.name = NULL}, ##__VA_ARGS__};                                        \
        log_event_fields((level), (event), log_fields_ + 1, ARRAY_LEN(log_fields_) - 1);                               \
    } while (0)
#define log_error(event, ...) log_event(CONFIG_LOG_ERROR, event, ##__VA_ARGS__)
#define log_warning(event, ...) log_event(CONFIG_LOG_WARNING, event, ##__VA_ARGS__)
#define log_info(event, ...) log_event(CONFIG_LOG_INFO, event, ##__VA_ARGS__)
#define log_debug(event, ...) log_event(CONFIG_LOG_DEBUG, event, ##__VA_ARGS__)
/* A line of a dialogue that somebody switched on (`debug = yes`): written whatever the level, and never held back. */
#define log_trace(event, ...)                                                                                          \
    do {                                                                                                               \
        const struct log_field log_fields_[] = {{.name = NULL}, ##__VA_ARGS__};                                        \
        log_trace_fields((event), log_fields_ + 1, ARRAY_LEN(log_fields_) - 1);                                        \
    } while (0)
void log_trace_fields(const char *event, const struct log_field *fields, size_t n);
/* An event with the fault's kind, stage, text and the server's reply. */
void log_fault(enum config_log_level level, const char *event, const char *account, const struct fault *fault);

/* Whether events of that level are written: spare the work of building fields. */
bool log_wants(enum config_log_level level);
void log_set_level(enum config_log_level level);
/* Finds out where stderr goes; before it, events go to stderr as lines. */
void log_open(void);
/* Writes what is still counted as repeated. */
void log_flush(void);
/* errno may come with either sign. */
const char *log_errno_text(int err);

#endif
