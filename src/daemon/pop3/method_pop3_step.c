/* SPDX-License-Identifier: MIT */
/* pop3.*: the steps of a login in a session, the session's raw side, and what needs no server. */
#include "method_pop3.h"
#include "methods.h"

#include <errno.h>
#include <stdlib.h>

struct step_call {
    struct pop3_call call;
    struct pop3_command command;
    enum pop3_verb verb;
    struct slice argument;
    struct secret *secret;
    bool multiline, by_hand, changes, ok;
    char text[FAULT_REPLY_MAX];
    struct spool *spool; /* exec: the lines behind the first */
    struct buffer line;  /* readline */
};

static struct step_call *step_of(struct pop3_call *call)
{
    return container_of(call, struct step_call, call);
}

static void step_dispose(struct pop3_call *call)
{
    struct step_call *c = step_of(call);
    secret_unref(c->secret);
    spool_unref(c->spool);
    buffer_done(&c->line);
}

static int step_begin(struct pop3_call *call, struct fault *fault)
{
    struct step_call *c = step_of(call);

    pop3_command_init(&c->command, c->verb);
    c->command.argument = c->argument;
    c->command.secret = c->secret;
    c->command.multiline = c->multiline;
    c->command.by_hand = c->by_hand;
    c->command.request.changes = c->changes;
    return pop3_call_command(call, &c->command, fault);
}

static void take_piece(struct step_call *c, struct slice piece)
{
    struct op *op = pop3_call_op(&c->call);

    if (op && !c->spool)
        c->spool = op_spool_new(op, 0);
    if (op && op_spool_write(&c->call.ox, c->spool, piece) < 0)
        op_fail(op, NULL);
}

static void step_event(struct pop3_call *call, const struct pop3_event *event)
{
    struct step_call *c = step_of(call);

    if (event->base.type == ENGINE_EVENT_DATA)
        take_piece(c, event->base.data);
    if (event->base.type != ENGINE_EVENT_REPLY)
        return;
    if (event->kind == POP3_EVENT_STATUS) {
        c->ok = event->ok;
        fault_clean_text(c->text, sizeof(c->text), event->text);
    } else if (c->verb == POP3_READLINE) {
        int r = buffer_append_slice(&c->line, event->text);
        if (r == 0)
            r = buffer_append_slice(&c->line, SLICE("\r\n"));
        if (r < 0)
            fault_set(&call->fault, r, FAULT_INTERNAL, "readline", "out of memory");
    }
}

/* --- the answers --- */

static void told_finish(struct pop3_call *call, struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "text", step_of(call)->text);
    json_write_object_end(&op->w);
    op_finish(op);
}

static void capa_finish(struct pop3_call *call, struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "capabilities");
    pop3_write_capabilities(&op->w, pop3_client_capabilities(pop3_call_engine(call)));
    json_write_object_end(&op->w);
    op_finish(op);
}

static void raw_finish(struct pop3_call *call, struct op *op)
{
    struct step_call *c = step_of(call);
    int r = 0;

    json_write_object_begin(&op->w);
    if (c->verb == POP3_RAW) {
        json_write_member_bool(&op->w, "ok", c->ok);
        json_write_member_str(&op->w, "text", c->text);
    }
    if (c->verb == POP3_READLINE)
        r = op_write_content(op, "raw", buffer_slice(&c->line));
    else if (c->ok && c->multiline && !c->spool)
        r = op_write_content(op, "raw", SLICE(""));
    else if (c->spool && (r = spool_seal(c->spool, &op->fault)) == 0)
        r = op_write_content_spool(op, "raw", c->spool);
    json_write_object_end(&op->w);
    if (r < 0)
        op_fail(op, NULL);
    else
        op_finish(op);
}

/* What a server answers to a command of the caller's own is the result, whatever it is. */
static bool raw_refused(struct pop3_call *call, const struct engine_request *request, const struct fault *fault)
{
    (void) request;
    (void) fault;
    return step_of(call)->verb == POP3_RAW;
}

static const struct pop3_call_ops told_ops = {
    .name = "pop3", .begin = step_begin, .event = step_event, .finish = told_finish, .dispose = step_dispose};
static const struct pop3_call_ops capa_ops = {
    .name = "pop3.capa", .begin = step_begin, .event = step_event, .finish = capa_finish, .dispose = step_dispose};
static const struct pop3_call_ops raw_ops = {.name = "pop3.exec",
                                             .begin = step_begin,
                                             .event = step_event,
                                             .refused = raw_refused,
                                             .finish = raw_finish,
                                             .dispose = step_dispose};

/* --- running --- */

static struct step_call *step_new(struct op *op, enum pop3_verb verb, const struct pop3_call_ops *ops)
{
    struct step_call *c = pop3_call_new(op, sizeof(*c), ops);
    c->verb = verb;
    buffer_init(&c->line, 1u << 20);
    return c;
}

static int run_step(struct op *op, enum pop3_verb verb, struct slice argument, struct slice secret)
{
    struct step_call *c = step_new(op, verb, &told_ops);

    c->argument = argument;
    if (secret.data && !(c->secret = secret_new(secret.data, secret.len))) {
        c->call.ox.dispose(&c->call.ox);
        free(c);
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    return pop3_call_submit(&c->call);
}

static int user_run(struct op *op)
{
    const struct api_pop3_user_params *p = op->params;
    return run_step(op, POP3_USER, p->username, SLICE_EMPTY);
}

static int pass_run(struct op *op)
{
    const struct api_pop3_user_params *p = op->params;
    return run_step(op, POP3_PASS, SLICE_EMPTY, p->password);
}

static int apop_run(struct op *op)
{
    const struct api_pop3_user_params *p = op->params;
    return run_step(op, POP3_APOP, p->username, p->password);
}

static int rpop_run(struct op *op)
{
    const struct api_pop3_user_params *p = op->params;
    return run_step(op, POP3_RPOP, p->username, SLICE_EMPTY);
}

static int auth_run(struct op *op)
{
    const struct api_pop3_auth_params *p = op->params;
    return run_step(op, POP3_AUTH, p->mechanism, p->secret);
}

static int stls_run(struct op *op)
{
    return run_step(op, POP3_STLS, SLICE_EMPTY, SLICE_EMPTY);
}

static int utf8_run(struct op *op)
{
    return run_step(op, POP3_UTF8, SLICE_EMPTY, SLICE_EMPTY);
}

static int capa_run(struct op *op)
{
    return pop3_call_submit(&step_new(op, POP3_CAPA, &capa_ops)->call);
}

static int readline_run(struct op *op)
{
    return pop3_call_submit(&step_new(op, POP3_READLINE, &raw_ops)->call);
}

static struct slice take_word(struct slice *rest)
{
    *rest = slice_trim(*rest);
    size_t end = slice_find(*rest, ' ');
    struct slice word = slice_to(*rest, end);
    *rest = slice_trim(slice_from(*rest, end));
    return word;
}

/* What changes the connection under the engine, or says a password. */
static bool has_its_own_call(struct slice word)
{
    static const char *const words[] = {"STLS", "AUTH", "PASS", "APOP", "QUIT"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq_ci(word, slice_of_str(words[i])))
            return true;
    return false;
}

static bool is_multiline(struct slice word, bool has_argument)
{
    static const char *const always[] = {"RETR", "TOP", "CAPA"}, *const bare[] = {"LIST", "UIDL", "LANG"};
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        if (slice_eq_ci(word, slice_of_str(always[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(bare) && !has_argument; i++)
        if (slice_eq_ci(word, slice_of_str(bare[i])))
            return true;
    return false;
}

/* What RFC 1939 and its extensions know does nothing before QUIT; of the rest nobody can say what it did. */
static bool may_change(struct slice word)
{
    static const char *const words[] = {"STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "NOOP", "RSET", "CAPA", "LANG", "UTF8", "USER"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq_ci(word, slice_of_str(words[i])))
            return false;
    return true;
}

static int exec_run(struct op *op)
{
    const struct api_pop3_exec_params *p = op->params;
    struct slice rest = p->command, word = take_word(&rest);

    if (word.len == 0 || word.data != p->command.data)
        return op_refuse(op, FAULT_INVALID_PARAMS, "command: must begin with a word");
    if (has_its_own_call(word))
        return op_refuse(op, FAULT_INVALID_PARAMS, "command: there is a call of its own for that");
    struct step_call *c = step_new(op, POP3_RAW, &raw_ops);
    c->argument = p->command;
    c->by_hand = p->readline;
    c->multiline = !p->readline && (p->multiline || is_multiline(word, rest.len > 0));
    c->call.ox.x.reads_only = c->call.ox.x.complete = false;
    c->changes = c->call.ox.x.changes = may_change(word);
    return pop3_call_submit(&c->call);
}

const struct op_handler pop3_user_handler = {.run = user_run};
const struct op_handler pop3_pass_handler = {.run = pass_run};
const struct op_handler pop3_apop_handler = {.run = apop_run};
const struct op_handler pop3_rpop_handler = {.run = rpop_run};
const struct op_handler pop3_auth_handler = {.run = auth_run};
const struct op_handler pop3_stls_handler = {.run = stls_run};
const struct op_handler pop3_utf8_handler = {.run = utf8_run};
const struct op_handler pop3_capa_handler = {.run = capa_run};
const struct op_handler pop3_exec_handler = {.run = exec_run};
const struct op_handler pop3_readline_handler = {.run = readline_run};

/* --- without the server --- */

static int getwelcome_run(struct op *op)
{
    struct session *net = op_session_net(op->session);

    if (!net)
        return op_refuse(op, FAULT_NO_SUCH_SESSION, "the session has ended");
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "text", pop3_client_greeting(session_engine(net)));
    json_write_object_end(&op->w);
    return OP_DONE;
}

static int empty_result(struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

static int close_run(struct op *op)
{
    op_session_end(op->session, false);
    return empty_result(op);
}

static int set_debuglevel_run(struct op *op)
{
    const struct api_debuglevel_params *p = op->params;
    op_session_set_trace(op->session, p->level > 0);
    return empty_result(op);
}

const struct op_handler pop3_getwelcome_handler = {.run = getwelcome_run};
const struct op_handler pop3_close_handler = {.run = close_run};
const struct op_handler pop3_set_debuglevel_handler = {.run = set_debuglevel_run};
