/* SPDX-License-Identifier: MIT */
/* imap.login, login_cram_md5, authenticate, proxyauth, starttls: the steps of a login, in a session opened without one. */
#include "api_imap_session.h"
#include "method_imap.h"
#include "methods.h"

#include <errno.h>

struct login_call {
    struct imap_call call;
    struct secret *secret;
};

static struct login_call *login_of(struct imap_call *call)
{
    return container_of(call, struct login_call, call);
}

static int login_begin(struct imap_call *call, struct fault *fault)
{
    return imap_call_command(call, &call->command, fault);
}

static void login_event(struct imap_call *call, const struct imap_event *e)
{
    struct op *op = call->ox.op;
    if (!op || e->base.type != ENGINE_EVENT_DONE)
        return;
    json_write_object_begin(&op->w);
    if (e->response.kind == IMAP_RESPONSE_CONTINUE)
        json_write_member_string(&op->w, "challenge", slice_trim(e->response.text));
    json_write_object_end(&op->w);
}

static void login_finish(struct imap_call *call, struct op *op)
{
    (void) call;
    op_finish(op);
}

static void login_dispose(struct imap_call *call)
{
    secret_unref(login_of(call)->secret);
}

static const struct imap_call_ops login_ops = {
    .name = "imap.login", .begin = login_begin, .event = login_event, .finish = login_finish, .dispose = login_dispose};

/* `secret` may be absent. */
static int step_run(struct op *op, const struct imap_command *command, struct slice secret)
{
    struct login_call *l = imap_call_new(op, sizeof(*l), &login_ops);
    if (secret.data && !(l->secret = secret_new(secret.data, secret.len)))
        return imap_call_drop(&l->call, op_refuse(op, FAULT_LIMIT, "out of memory"));
    l->call.command = *command;
    l->call.command.secret = l->secret;
    return imap_call_submit(&l->call);
}

static int login_run(struct op *op)
{
    const struct api_imap_login_params *p = op->params;
    struct imap_command c = {.kind = IMAP_LOGIN, .other = p->username};
    if (op->id == RPC_IMAP_LOGIN_CRAM_MD5) {
        c.kind = IMAP_AUTHENTICATE;
        c.text = SLICE("CRAM-MD5");
    }
    return step_run(op, &c, p->password);
}

static int authenticate_run(struct op *op)
{
    const struct api_imap_authenticate_params *p = op->params;
    struct imap_command c = {.kind = IMAP_AUTHENTICATE, .text = p->mechanism};
    c.by_hand = p->responses.items != NULL;
    c.items = p->responses.items;
    c.n_items = p->responses.n;
    return step_run(op, &c, p->secret);
}

static int proxyauth_run(struct op *op)
{
    const struct api_imap_proxyauth_params *p = op->params;
    struct imap_command c = {.kind = IMAP_PROXYAUTH, .other = p->user};
    return step_run(op, &c, SLICE_EMPTY);
}

static int starttls_run(struct op *op)
{
    struct imap_command c = {.kind = IMAP_STARTTLS};
    return step_run(op, &c, SLICE_EMPTY);
}

const struct op_handler imap_login_handler = {.run = login_run};
const struct op_handler imap_authenticate_handler = {.run = authenticate_run};
const struct op_handler imap_proxyauth_handler = {.run = proxyauth_run};
const struct op_handler imap_starttls_handler = {.run = starttls_run};
