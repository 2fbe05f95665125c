/* SPDX-License-Identifier: MIT */
/* smtp.test_connection, smtp.verify, and the sessions smtp.open and smtp.quit. */
#include "api_smtp.h"
#include "methods.h"
#include "must.h"
#include "smtp_manual.h"

#include <errno.h>
#include <stdlib.h>

/* --- smtp.test_connection --- */

/* A probe cannot be called back: it lives until it is over, and what it finds is written only if its op still does. */
struct probe {
    struct op *op; /* NULL: the call has ended */
};

struct test_state {
    struct probe *probe; /* NULL: it is over */
};

static void write_test(struct op *op, const struct fault *fault)
{
    const struct rpc_fault_context context = {.account = slice_of_str(account_name(op->account))};

    json_write_object_begin(&op->w);
    json_write_member_bool(&op->w, "ok", !fault);
    if (fault) {
        json_write_key(&op->w, "error");
        rpc_write_fault(&op->w, fault, &context);
    }
    json_write_object_end(&op->w);
}

static void probe_done(void *arg, const struct pool_probe_result *result, const struct fault *fault, const struct session *s)
{
    struct probe *p = arg;
    struct op *op = p->op;

    (void) result, (void) s;
    free(p);
    if (!op)
        return;
    ((struct test_state *) op->state)->probe = NULL;
    struct fault copy = fault ? *fault : (struct fault){0};
    if (fault && !copy.protocol)
        copy.protocol = protocol_name(PROTOCOL_SMTP);
    write_test(op, fault ? &copy : NULL);
    op_finish(op);
}

static int test_run(struct op *op)
{
    struct test_state *st = op->state;
    struct fault fault = {.protocol = protocol_name(PROTOCOL_SMTP)};
    struct pool *pool;

    int r = op_pool(op, PROTOCOL_SMTP, &pool);
    if (r < 0)
        return r;
    st->probe = must_calloc(1, sizeof(*st->probe));
    st->probe->op = op;
    if (pool_probe(pool, op->deadline_ms, probe_done, st->probe, &fault) < 0) {
        free(TAKE_PTR(st->probe));
        write_test(op, &fault);
        return OP_DONE;
    }
    return OP_WAIT;
}

static void test_free(struct op *op)
{
    struct test_state *st = op->state;
    if (st->probe)
        st->probe->op = NULL;
}

const struct op_handler smtp_test_connection_handler = {
    .state_size = sizeof(struct test_state), .run = test_run, .free = test_free};

/* --- smtp.verify --- */

struct verify {
    struct op_exchange ox; /* first */
    struct smtp_command command;
    struct body_owner *text;
    struct fault_reply reply;
    bool answered;
};

static struct verify *verify_of(struct exchange *x)
{
    return container_of(container_of(x, struct op_exchange, x), struct verify, ox);
}

static int verify_start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct verify *v = verify_of(x);
    struct slice address = v->command.argument;

    smtp_command_init(&v->command, SMTP_VERB_VRFY, address);
    v->command.request.base.owner = x;
    v->answered = false;
    return smtp_client_submit(session_engine(s), &v->command.request, fault);
}

static void verify_event(struct exchange *x, struct session *s, const struct engine_event *event)
{
    struct verify *v = verify_of(x);
    const struct smtp_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct smtp_event, base);

    (void) s;
    if (event->type != ENGINE_EVENT_REPLY)
        return;
    smtp_reply_to_fault(&ev->reply, &v->reply);
    v->answered = true;
}

static void verify_done(struct exchange *x, const struct fault *fault)
{
    struct verify *v = verify_of(x);
    struct op *op = op_exchange_end(x, v->answered ? NULL : fault);

    body_owner_unref(v->text);
    if (!op)
        return;
    if (!v->answered) {
        op_fail(op, NULL);
        return;
    }
    json_write_object_begin(&op->w);
    /* RFC 5321 section 3.5.3: 252 says that it cannot tell; another 2yz would be unheard of. */
    json_write_member_bool(&op->w, "valid", v->reply.code / 100 == 2 && v->reply.code != 252);
    json_write_key(&op->w, "reply");
    rpc_write_reply(&op->w, &v->reply);
    json_write_object_end(&op->w);
    op_finish(op);
}

static const struct exchange_ops verify_ops = {
    .name = "smtp.verify", .start = verify_start, .event = verify_event, .done = verify_done};

static void verify_dispose(struct op_exchange *ox)
{
    body_owner_unref(container_of(ox, struct verify, ox)->text);
}

static int verify_run(struct op *op)
{
    const struct api_smtp_verify_params *p = op->params;
    struct verify *v = op_exchange_new(op, sizeof(*v), &verify_ops);

    v->ox.dispose = verify_dispose;
    v->text = body_owner_ref(op_text_owner(op));
    v->command.argument = p->address;
    v->ox.x.reads_only = true;
    v->ox.x.complete = true;
    int r = op_exchange_submit(&v->ox, PROTOCOL_SMTP);
    return r < 0 ? r : OP_WAIT;
}

const struct op_handler smtp_verify_handler = {.run = verify_run};

/* --- sessions --- */

/* {NAME: "parameters", …} */
static void write_extensions(struct json_writer *w, const struct smtp_capabilities *caps)
{
    struct slice rest = buffer_slice(&caps->lines);

    json_write_object_begin(w);
    while (rest.len) {
        size_t end = slice_find(rest, '\n');
        struct slice line = slice_to(rest, end);
        size_t space = slice_find(line, ' ');
        rest = slice_from(rest, end + 1);
        if (space == 0)
            continue;
        json_write_key_slice(w, slice_to(line, space));
        json_write_string(w, slice_trim(slice_from(line, space + 1)));
    }
    json_write_object_end(w);
}

static void opened(struct op *op, struct op_session *s, struct session *net)
{
    const struct engine *e = session_engine(net);

    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "session", s->id);
    json_write_member_str(&op->w, "greeting", smtp_client_greeting(e));
    json_write_key(&op->w, "extensions");
    write_extensions(&op->w, smtp_client_capabilities(e));
    json_write_object_end(&op->w);
    op_finish(op);
}

static int open_run(struct op *op)
{
    const struct api_open_params *p = op->params;

    if (p->manual)
        return smtp_manual_open(op);
    if (!op->account)
        return op_refuse(op, FAULT_INVALID_PARAMS, "account (or options) is required");
    int r = op_session_open(op, PROTOCOL_SMTP, p->login, opened);
    return r < 0 ? r : OP_WAIT;
}

const struct op_handler smtp_open_handler = {.run = open_run};

static int quit_run(struct op *op)
{
    if (op->session->manual) {
        smtp_manual_quit(op);
        op_session_end(op->session, false);
        return OP_DONE;
    }
    op_session_end(op->session, true);
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler smtp_quit_handler = {.run = quit_run};
