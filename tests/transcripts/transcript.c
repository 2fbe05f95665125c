/* SPDX-License-Identifier: MIT */
#include "transcript.h"

#include "failing_alloc.h"
#include "sasl.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* One run for each allocation of the engine, in which that one fails: everything is as ever up to there, and behind it an engine that
 * fails must not say that it was the server's doing. */
static bool memory_run;

void transcript_enter(void)
{
    alloc_failing = memory_run;
}

void transcript_leave(void)
{
    alloc_failing = false;
}

static bool memory_failed(void)
{
    return memory_run && alloc_countdown == 0;
}

/* In the C library's stead: the nonces of a login are the same in every run. */
__attribute__((visibility("default"))) ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    (void) flags;
    memset(bytes, 'n', len);
    return (ssize_t) len;
}

static const char *current_file = "";
static const char *current_mode = "";
static struct slice current_text;

void transcript_die(struct transcript_run *run, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s:%u (%s): ", current_file, run ? run->line : 0, current_mode);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (run && run->engine && fault_is_set(&run->engine->fault))
        fprintf(stderr, "  fault: %s: %s\n", fault_kind_name(run->engine->fault.kind), run->engine->fault.text);
    exit(EXIT_FAILURE);
}

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "transcripts: out of memory\n");
        exit(EXIT_FAILURE);
    }
}

void transcript_event(struct transcript_run *run, const char *fmt, ...)
{
    va_list ap;

    if (run->open_data)
        must(buffer_append_char(&run->events, '\n'));
    run->open_data = false;
    va_start(ap, fmt);
    must(buffer_vprintf(&run->events, fmt, ap));
    va_end(ap);
    must(buffer_append_char(&run->events, '\n'));
}

void transcript_escape(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char) text.data[i];
        if (c == '\r')
            must(buffer_append_slice(out, SLICE("\\r")));
        else if (c == '\n')
            must(buffer_append_slice(out, SLICE("\\n")));
        else if (c == '\\')
            must(buffer_append_slice(out, SLICE("\\\\")));
        else if (c < 0x20 || c == 0x7f)
            must(buffer_printf(out, "\\x%02x", c));
        else
            must(buffer_append_char(out, (char) c));
    }
}

static int hex_digit(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void transcript_unescape(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '\\' && i + 1 < text.len) {
            c = text.data[++i];
            if (c == 'r')
                c = '\r';
            else if (c == 'n')
                c = '\n';
            else if (c == 't')
                c = '\t';
            else if (c == '0')
                c = '\0';
            else if (c == 'x' && i + 2 < text.len && hex_digit(text.data[i + 1]) >= 0 && hex_digit(text.data[i + 2]) >= 0) {
                c = (char) (hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2]));
                i += 2;
            }
        }
        must(buffer_append_char(out, c));
    }
}

bool transcript_word(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    *rest = slice_trim(*rest);
    if (rest->len == 0)
        return false;
    size_t end = slice_find(*rest, ' ');
    struct slice word = slice_to(*rest, end);
    *rest = slice_from(*rest, end);
    size_t eq = slice_find(word, '=');
    *ret_name = slice_to(word, eq);
    *ret_value = slice_from(word, eq + 1);
    return true;
}

/* Parameters that cannot be have a code of JSON-RPC's own, and no name as a kind. */
static const char *kind_name(enum fault_kind kind)
{
    const char *name = fault_kind_name(kind);
    return kind == FAULT_INVALID_PARAMS ? "invalid_params" : name ? name : "internal";
}

void transcript_submitted(struct transcript_run *run, int r, const struct fault *fault)
{
    if (r < 0)
        transcript_event(run, "refused %s", kind_name(fault->kind));
}

/* --- the engine's side --- */

static void format_done(struct transcript_run *run, const struct engine_event *ev)
{
    struct buffer text;

    buffer_init(&text, 1 << 20);
    run->protocol->format(run, ev, &text);
    struct slice s = buffer_slice(&text);
    if (ev->type == ENGINE_EVENT_DONE && ev->fault)
        transcript_event(run, "%.*s %s %s", (int) s.len, s.data, kind_name(ev->fault->kind),
                         ev->fault->stage ? ev->fault->stage : "-");
    else
        transcript_event(run, "%.*s", (int) s.len, s.data);
    buffer_done(&text);
}

static void take_event(struct transcript_run *run, const struct engine_event *ev)
{
    switch (ev->type) {
    case ENGINE_EVENT_READY:
        transcript_event(run, "ready");
        break;
    case ENGINE_EVENT_CLOSING:
        transcript_event(run, "closing");
        break;
    case ENGINE_EVENT_TRACE:
        transcript_event(run, "trace %c %.*s", ev->outgoing ? '>' : '<', (int) ev->data.len, ev->data.data ? ev->data.data : "");
        break;
    case ENGINE_EVENT_DATA:
        if (!run->open_data)
            must(buffer_append_slice(&run->events, SLICE("data ")));
        run->open_data = true;
        transcript_escape(&run->events, ev->data);
        break;
    case ENGINE_EVENT_REPLY:
    case ENGINE_EVENT_DONE:
    case ENGINE_EVENT_NOTICE:
        format_done(run, ev);
        break;
    }
}

static void take_wants(struct transcript_run *run)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{ENGINE_WANT_START_TLS, "tls"}, {ENGINE_WANT_CREDENTIAL, "credential"}, {ENGINE_WANT_DERIVE, "derive"},
                 {ENGINE_WANT_BODY, "body"},     {ENGINE_WANT_CLOSED, "closed"}};
    unsigned now = run->engine->ops->wants(run->engine);

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((now & names[i].bit) && !(run->wanted & names[i].bit) && !(run->failed && names[i].bit == ENGINE_WANT_CLOSED))
            transcript_event(run, "wants %s", names[i].name);
    run->wanted = now;
}

static void take_output(struct transcript_run *run)
{
    struct slice out = run->engine->ops->output(run->engine);

    while (out.len) {
        must(buffer_append_slice(&run->output, out));
        transcript_enter();
        run->engine->ops->sent(run->engine, out.len);
        transcript_leave();
        out = run->engine->ops->output(run->engine);
    }
}

/* The transcript ends so anyway. */
static bool is_expected(const struct fault *f)
{
    char words[64];
    int n = snprintf(words, sizeof(words), "failed %s", kind_name(f->kind));
    return memmem(current_text.data, current_text.len, words, (size_t) n) != NULL;
}

static void tell_failure(struct transcript_run *run)
{
    const struct fault *f = &run->engine->fault;

    if (run->failed)
        return;
    if (!fault_is_set(f))
        transcript_die(run, "an error without a fault");
    run->failed = true;
    if (memory_failed() && f->kind != FAULT_INTERNAL && !is_expected(f))
        transcript_die(run, "without memory it says %s", kind_name(f->kind));
    transcript_event(run, "failed %s %s", kind_name(f->kind), f->stage ? f->stage : "-");
}

/* Everything the engine does without being acted upon. */
static void settle(struct transcript_run *run)
{
    const struct engine_ops *ops = run->engine->ops;
    struct engine_event *ev;
    int r;

    take_output(run);
    while ((r = IN_ENGINE(ops->next(run->engine, &ev))) > 0) {
        take_event(run, ev);
        take_output(run);
    }
    if (r < 0)
        tell_failure(run);
    take_output(run);
    take_wants(run);
}

static void feed(struct transcript_run *run, const char *bytes, size_t len)
{
    if (run->failed)
        return;
    /* A copy of the exact size: a read behind its end is seen by the sanitizer. */
    char *copy = malloc(len ? len : 1);
    must(copy ? 0 : -ENOMEM);
    memcpy(copy, bytes, len);
    (void) IN_ENGINE(run->engine->ops->feed(run->engine, copy, len));
    settle(run);
    free(copy);
}

/* --- the file's side --- */

struct script {
    char *text;
    size_t len, server_bytes;
};

static bool take_line(struct slice *rest, struct slice *ret)
{
    if (rest->len == 0)
        return false;
    size_t end = slice_find(*rest, '\n');
    *ret = slice_to(*rest, end);
    *rest = slice_from(*rest, end + 1);
    return true;
}

/* The text behind "X: " or "X- ". */
static void line_bytes(struct slice line, struct buffer *out)
{
    struct slice text = slice_from(line, 2);
    if (text.len && text.data[0] == ' ')
        text = slice_from(text, 1);
    transcript_unescape(out, text);
    if (line.data[1] == ':')
        must(buffer_append_slice(out, SLICE("\r\n")));
}

static bool is_mark(struct slice line, char mark)
{
    return line.len >= 2 && line.data[0] == mark && (line.data[1] == ':' || line.data[1] == '-' || line.data[1] == '?');
}

static void expect_output(struct transcript_run *run, struct slice line)
{
    struct buffer want;

    buffer_init(&want, 1 << 22);
    line_bytes(line, &want);
    struct slice w = buffer_slice(&want), have = buffer_slice(&run->output);
    if (!slice_starts(have, w))
        transcript_die(run, "the client said '%.*s' and not '%.*s'", (int) have.len, have.data ? have.data : "", (int) w.len, w.data);
    buffer_consume(&run->output, w.len);
    buffer_done(&want);
}

static void expect_event(struct transcript_run *run, struct slice line)
{
    struct slice want = slice_trim(slice_from(line, 2)), have, all;

    if (run->open_data)
        must(buffer_append_char(&run->events, '\n'));
    run->open_data = false;
    all = buffer_slice(&run->events);
    have = slice_to(all, slice_find(all, '\n'));
    if (!slice_eq(have, want) && line.data[1] == '?')
        return;
    if (!slice_eq(have, want))
        transcript_die(run, "the event is '%.*s' and not '%.*s'", (int) have.len, have.data ? have.data : "", (int) want.len, want.data);
    buffer_consume(&run->events, have.len + 1);
}

static void expect_nothing(struct transcript_run *run)
{
    struct slice e = buffer_slice(&run->events), o = buffer_slice(&run->output);
    if (e.len)
        transcript_die(run, "an event nobody expected: %.*s", (int) e.len, e.data);
    if (o.len)
        transcript_die(run, "the client says what nobody expected: %.*s", (int) o.len, o.data);
}

static char *copy_string(struct slice s)
{
    char *copy = strndup(s.data ? s.data : "", s.len);
    must(copy ? 0 : -ENOMEM);
    return copy;
}

static void set_list(const char **list, size_t max, struct slice value)
{
    for (size_t n = 0; value.len && n < max; n++) {
        size_t comma = slice_find(value, ',');
        list[n] = copy_string(slice_to(value, comma));
        value = slice_from(value, comma + 1);
    }
}

static bool is_yes(struct slice value)
{
    return slice_eq(value, SLICE("yes"));
}

static void set_config(struct transcript_run *run, struct slice rest)
{
    struct engine_config *c = &run->config;
    struct slice name, value;
    uint64_t n = 0;

    while (transcript_word(&rest, &name, &value)) {
        (void) slice_to_u64(value, UINT32_MAX, &n);
        if (slice_eq(name, SLICE("tls")))
            c->tls = slice_eq(value, SLICE("none")) ? TLS_POLICY_NONE : slice_eq(value, SLICE("try")) ? TLS_POLICY_TRY : TLS_POLICY_ALL;
        else if (slice_eq(name, SLICE("implicit_tls")))
            c->implicit_tls = is_yes(value);
        else if (slice_eq(name, SLICE("allow_plaintext_auth")))
            c->allow_plaintext_auth = is_yes(value);
        else if (slice_eq(name, SLICE("token")))
            c->has_token = is_yes(value);
        else if (slice_eq(name, SLICE("client_cert")))
            c->has_client_cert = is_yes(value);
        else if (slice_eq(name, SLICE("step_by_step")))
            c->step_by_step = is_yes(value);
        else if (slice_eq(name, SLICE("lmtp")))
            c->lmtp = is_yes(value);
        else if (slice_eq(name, SLICE("trace")))
            c->trace = is_yes(value);
        else if (slice_eq(name, SLICE("pipeline")))
            c->pipeline = slice_eq(value, SLICE("off")) ? PIPELINE_OFF : slice_eq(value, SLICE("chunks")) ? PIPELINE_CHUNKS : PIPELINE_ENVELOPE;
        else if (slice_eq(name, SLICE("username"))) {
            c->username = copy_string(value);
            c->wants_login = true;
        } else if (slice_eq(name, SLICE("login"))) /* behind username */
            c->wants_login = is_yes(value);
        else if (slice_eq(name, SLICE("authzid")))
            c->authzid = copy_string(value);
        else if (slice_eq(name, SLICE("method")))
            set_list(c->methods, ENGINE_MAX_METHODS, value);
        else if (slice_eq(name, SLICE("disable")))
            set_list(c->disabled, ENGINE_MAX_DISABLED, value);
        else if (slice_eq(name, SLICE("quirks")))
            set_list(c->quirks, ENGINE_MAX_DISABLED, value);
        else if (slice_eq(name, SLICE("max_line")))
            c->max_line = n;
        else if (slice_eq(name, SLICE("max_reply")))
            c->max_reply = n;
        else if (slice_eq(name, SLICE("max_literal")))
            c->max_literal = n;
        else
            transcript_die(run, "unknown configuration '%.*s'", (int) name.len, name.data);
    }
}

static void done_config(struct engine_config *c)
{
    free((char *) c->username);
    free((char *) c->authzid);
    for (size_t i = 0; c->methods[i]; i++)
        free((char *) c->methods[i]);
    for (size_t i = 0; c->disabled[i]; i++)
        free((char *) c->disabled[i]);
    for (size_t i = 0; c->quirks[i]; i++)
        free((char *) c->quirks[i]);
}

static void derive(struct transcript_run *run)
{
    const struct engine_derive *job = run->engine->ops->derive_job(run->engine);
    unsigned char key[64];

    if (!job)
        transcript_die(run, "no key is asked for");
    PKCS5_PBKDF2_HMAC(job->password.data, (int) job->password.len, (const unsigned char *) job->salt.data, (int) job->salt.len,
                      (int) job->iterations, EVP_get_digestbyname(job->hash), (int) job->key_len, key);
    (void) IN_ENGINE(run->engine->ops->derived(run->engine, key, job->key_len));
}

static void give_body(struct transcript_run *run, struct slice rest, bool last)
{
    struct buffer text;
    const char *p = "";
    size_t left;

    buffer_init(&text, 1 << 20);
    transcript_unescape(&text, rest);
    if (buffer_len(&text))
        p = buffer_slice(&text).data;
    left = buffer_len(&text);
    do {
        ssize_t n = IN_ENGINE(run->engine->ops->body(run->engine, p, left, last));
        if (n < 0 && fault_is_set(&run->engine->fault))
            break; /* which the engine tells */
        if (n < 0 || (n == 0 && left))
            transcript_die(run, "the body is not taken: %zd", n);
        p += n;
        left -= (size_t) n;
        take_output(run);
    } while (left);
    buffer_done(&text);
    run->wanted &= ~(unsigned) ENGINE_WANT_BODY;
    if (!last)
        run->wanted |= ENGINE_WANT_BODY;
}

static void check(struct transcript_run *run, bool ok, struct slice rest)
{
    if (!ok && !memory_failed())
        transcript_die(run, "it is not so: %.*s", (int) rest.len, rest.data);
}

static const char *timeout_name(enum engine_timeout t)
{
    static const char *const names[] = {"none", "login", "command", "data"};
    return names[t];
}

static void act(struct transcript_run *run, struct slice rest)
{
    const struct engine_ops *ops = run->engine->ops;
    struct engine *e = run->engine;
    struct engine_tls tls = {.verified = true, .exporter_len = 32, .version = "TLSv1.3"};
    struct slice whole = rest, verb = slice_to(rest, slice_find(rest, ' '));
    struct secret *secret;

    rest = slice_from(rest, verb.len + 1);
    if (slice_eq(verb, SLICE("tls")))
        check(run, IN_ENGINE(ops->tls_started(e, &tls)) == 0, whole);
    else if (slice_eq(verb, SLICE("credential"))) {
        secret = secret_new(rest.data, rest.len);
        (void) IN_ENGINE(ops->credential(e, secret));
        secret_unref(secret);
    } else if (slice_eq(verb, SLICE("no-credential")))
        check(run, IN_ENGINE(ops->credential(e, NULL)) < 0, whole);
    else if (slice_eq(verb, SLICE("derive")))
        derive(run);
    else if (slice_eq(verb, SLICE("eof")))
        (void) IN_ENGINE(ops->eof(e));
    else if (slice_eq(verb, SLICE("quit")))
        check(run, IN_ENGINE(ops->quit(e)) == 0, whole);
    else if (slice_eq(verb, SLICE("probe")))
        (void) IN_ENGINE(ops->probe(e));
    else if (slice_eq(verb, SLICE("abort-body")))
        (void) IN_ENGINE(ops->body_abort(e));
    else if (slice_eq(verb, SLICE("body")))
        give_body(run, rest, false);
    else if (slice_eq(verb, SLICE("last-body")))
        give_body(run, rest, true);
    else if (slice_eq(verb, SLICE("idle")))
        check(run, ops->idle(e) == is_yes(rest), whole);
    else if (slice_eq(verb, SLICE("timeout")))
        check(run, slice_eq(rest, slice_of_str(timeout_name(ops->timeout(e)))), whole);
    else if (slice_eq(verb, SLICE("stage")))
        check(run, ops->stage(e) && slice_eq(rest, slice_of_str(ops->stage(e))), whole);
    else if (slice_eq(verb, SLICE("lessons")))
        check(run, (ops->lessons && ops->lessons(e)) == is_yes(rest), whole);
    else if (slice_eq(verb, SLICE("effect"))) {
        struct engine_request *r = run->protocol->find(run, slice_to(rest, slice_find(rest, ' ')));
        check(run, r && r->changes == is_yes(slice_from(rest, slice_find(rest, ' ') + 1)), whole);
    } else if (slice_eq(verb, SLICE("withdraw"))) {
        struct engine_request *r = run->protocol->find(run, rest);
        check(run, r && IN_ENGINE(ops->withdraw(e, r)) == 0, whole);
    } else if (!run->protocol->action(run, verb, rest))
        transcript_die(run, "unknown action '%.*s'", (int) whole.len, whole.data);
    settle(run);
}

/* --- one run --- */

struct cut {
    bool bytewise;
    size_t at; /* position in all that the server says; SIZE_MAX: nowhere */
};

static void say(struct transcript_run *run, struct slice bytes, const struct cut *cut, size_t *said)
{
    if (cut->bytewise) {
        for (size_t i = 0; i < bytes.len; i++)
            feed(run, bytes.data + i, 1);
    } else if (cut->at > *said && cut->at - *said < bytes.len) {
        feed(run, bytes.data, cut->at - *said);
        feed(run, bytes.data + (cut->at - *said), bytes.len - (cut->at - *said));
    } else {
        feed(run, bytes.data, bytes.len);
    }
    *said += bytes.len;
}

static void start(struct transcript_run *run)
{
    if (run->engine)
        return;
    if (!run->protocol)
        transcript_die(run, "the file does not name its engine");
    run->engine = IN_ENGINE(run->protocol->create(&run->config));
    must(run->engine || memory_failed() ? 0 : -ENOMEM);
}

static void choose_protocol(struct transcript_run *run, struct slice name)
{
    for (size_t i = 0; transcript_protocols[i]; i++)
        if (slice_eq(name, slice_of_str(transcript_protocols[i]->name)))
            run->protocol = transcript_protocols[i];
    if (!run->protocol)
        transcript_die(run, "unknown engine");
    run->state = calloc(1, MAX(run->protocol->state_size, (size_t) 1));
    must(run->state ? 0 : -ENOMEM);
}

/* Server lines that stand together are said in one piece. */
static void server_block(struct transcript_run *run, struct slice line, struct slice *rest, const struct cut *cut, size_t *said)
{
    struct buffer block;

    buffer_init(&block, 1 << 22);
    line_bytes(line, &block);
    while (is_mark(*rest, 'S') && take_line(rest, &line)) {
        run->line++;
        line_bytes(line, &block);
    }
    say(run, buffer_slice(&block), cut, said);
    buffer_done(&block);
}

/* What came to nothing is over: the connection goes, and then no error may be without its words. */
static void end_of_memory(struct transcript_run *run)
{
    if (!run->engine)
        return;
    int r = run->engine->ops->eof(run->engine);
    if (r < 0 && !fault_is_set(&run->engine->fault))
        transcript_die(run, "an error without a fault");
}

static size_t run_script(const struct script *script, const struct cut *cut)
{
    struct transcript_run run = {.config = {.host = "mail.example.com", .port = 25, .domain = "client.example",
                                            .tls = TLS_POLICY_NONE, .pipeline = PIPELINE_ENVELOPE, .tag_prefix = "T"}};
    struct slice rest = slice_of(script->text, script->len), line;
    size_t said = 0;

    buffer_init(&run.events, 1 << 22);
    buffer_init(&run.output, 1 << 22);
    while (take_line(&rest, &line)) {
        run.line++;
        if (line.len == 0 || line.data[0] == '#')
            continue;
        if (slice_starts(line, SLICE("engine "))) {
            choose_protocol(&run, slice_trim(slice_from(line, 7)));
        } else if (slice_starts(line, SLICE("config "))) {
            set_config(&run, slice_from(line, 7));
        } else if (is_mark(line, 'S')) {
            start(&run);
            if (memory_failed())
                break;
            expect_nothing(&run);
            server_block(&run, line, &rest, cut, &said);
        } else if (is_mark(line, 'C')) {
            expect_output(&run, line);
        } else if (is_mark(line, 'E')) {
            expect_event(&run, line);
        } else if (line.data[0] == '!') {
            start(&run);
            if (!memory_failed())
                act(&run, slice_trim(slice_from(line, 1)));
        } else {
            transcript_die(&run, "no line of a transcript: %.*s", (int) line.len, line.data);
        }
        if (memory_failed())
            break;
    }
    if (memory_failed())
        end_of_memory(&run);
    else
        expect_nothing(&run);
    engine_free(run.engine);
    if (run.protocol)
        run.protocol->done(&run);
    free(run.state);
    done_config(&run.config);
    buffer_done(&run.events);
    buffer_done(&run.output);
    return said;
}

static void run_file(const char *path)
{
    static char text[1 << 20];
    struct script script = {.text = text};
    FILE *f = fopen(path, "re");

    current_file = path;
    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(EXIT_FAILURE);
    }
    script.len = fread(text, 1, sizeof(text), f);
    fclose(f);
    current_text = slice_of(text, script.len);
    current_mode = "whole";
    size_t total = run_script(&script, &(struct cut){.at = SIZE_MAX});
    current_mode = "byte by byte";
    run_script(&script, &(struct cut){.bytewise = true, .at = SIZE_MAX});
    /* Long ones are cut at a part of their bytes only. */
    size_t step = total / 2000 + 1;
    for (size_t at = 1; at < total; at += step) {
        char mode[48];
        snprintf(mode, sizeof(mode), "cut at byte %zu", at);
        current_mode = mode;
        run_script(&script, &(struct cut){.at = at});
    }
    memory_run = true;
    /* The first ones, and then some. */
    for (long at = 1, met = true; met; at += 1 + at / 50) {
        char mode[48];
        snprintf(mode, sizeof(mode), "allocation %ld fails", at);
        current_mode = mode;
        alloc_countdown = at;
        run_script(&script, &(struct cut){.at = SIZE_MAX});
        met = alloc_countdown == 0;
    }
    memory_run = false;
    current_mode = "";
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* All transcripts of a folder and of those below it. */
static unsigned run_folder(const char *folder)
{
    char *names[1024];
    size_t n = 0;
    unsigned count = 0;
    DIR *d = opendir(folder);

    if (!d)
        return 0;
    for (struct dirent *e = readdir(d); e && n < ARRAY_LEN(names); e = readdir(d))
        if (e->d_name[0] != '.' && asprintf(&names[n], "%s/%s", folder, e->d_name) > 0)
            n++;
    closedir(d);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        if (len > 4 && strcmp(names[i] + len - 4, ".txt") == 0) {
            run_file(names[i]);
            count++;
        } else {
            count += run_folder(names[i]);
        }
        free(names[i]);
    }
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    if (argc > 1) {
        for (int i = 1; i < argc; i++, count++)
            run_file(argv[i]);
    } else {
        char folder[4096];
        const char *srcdir = getenv("srcdir");
        snprintf(folder, sizeof(folder), "%s/tests/transcripts", srcdir ? srcdir : ".");
        count = run_folder(folder);
    }
    printf("%u transcripts, each whole, byte by byte, cut at every byte, and with each allocation failing\n", count);
    return count ? EXIT_SUCCESS : EXIT_FAILURE;
}
