/* SPDX-License-Identifier: MIT */
/* account.list, account.test */
#include "api_gateway.h"
#include "imap_client.h"
#include "methods.h"
#include "must.h"
#include "op_core.h"
#include "pop3_client.h"
#include "session.h"
#include "smtp_client.h"
#include "tls.h"

static int list_run(struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "accounts");
    status_write_accounts(op);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler account_list_handler = {.run = list_run};

/* A probe cannot be called back: it lives until it is over, and what it finds is written only if its op still does. */
struct probe {
    struct op *op; /* NULL: the call has ended */
    enum protocol protocol;
    bool over;
    uint64_t quirks; /* of IMAP, as bits */
    struct pool_probe_result result;
    bool has_certificate;
    struct tls_certificate certificate;
    struct buffer capabilities; /* separated by `separator` */
    char separator;
    struct fault fault;
};
#define CAPABILITIES_MAX 65536

struct test_state {
    struct probe *probes[PROTOCOL_COUNT];
    unsigned left;
};

static void write_certificate(struct json_writer *w, const struct tls_certificate *c)
{
    json_write_key(w, "certificate");
    json_write_object_begin(w);
    json_write_member_str(w, "names", c->names);
    json_write_member_str(w, "issuer", c->issuer);
    json_write_member_str(w, "not_after", c->not_after);
    json_write_member_str(w, "fingerprint", c->fingerprint);
    json_write_object_end(w);
}

static void write_capabilities(struct json_writer *w, const struct probe *p)
{
    struct slice rest = buffer_slice(&p->capabilities);
    json_write_key(w, "capabilities");
    json_write_array_begin(w);
    while (rest.len) {
        size_t n = slice_find(rest, p->separator);
        if (n > 0)
            json_write_string(w, slice_to(rest, n));
        rest = slice_from(rest, MIN(n + 1, rest.len));
    }
    json_write_array_end(w);
}

static void write_found(struct json_writer *w, const struct probe *p)
{
    const struct pool_probe_result *found = &p->result;
    json_write_member_str(w, "address", found->peer);
    json_write_member_bool(w, "tls", found->tls);
    if (found->tls) {
        json_write_member_str(w, "tls_version", found->tls_version);
        json_write_member_str(w, "tls_cipher", found->tls_cipher);
    }
    if (p->has_certificate)
        write_certificate(w, &p->certificate);
    write_capabilities(w, p);
    json_write_member_uint(w, "time", found->total_ms);
    json_write_key(w, "times");
    json_write_object_begin(w);
    json_write_member_uint(w, "lookup", found->lookup_ms);
    json_write_member_uint(w, "connect", found->connect_ms);
    json_write_member_uint(w, "tls", found->tls_ms);
    json_write_member_uint(w, "greeting", found->greeting_ms);
    json_write_member_uint(w, "login", found->login_ms);
    json_write_object_end(w);
}

static void write_quirks(struct json_writer *w, uint64_t quirks)
{
    json_write_key(w, "quirks");
    json_write_array_begin(w);
    for (unsigned i = 0; i < IMAP_QUIRK_COUNT; i++)
        if (quirks & IMAP_QUIRK_BIT(i))
            json_write_str(w, imap_quirk_name((enum imap_quirk) i));
    json_write_array_end(w);
}

static void write_probe(struct op *op, const struct probe *p)
{
    const struct rpc_fault_context context = {.account = slice_of_str(account_name(op->account))};
    const struct protocol_config *config = &account_config(op->account)->protocols[p->protocol];
    struct json_writer *w = &op->w;
    bool ok = !fault_is_set(&p->fault);
    json_write_key(w, protocol_name(p->protocol));
    json_write_object_begin(w);
    json_write_member_bool(w, "ok", ok);
    json_write_member_str(w, "host", config->host);
    json_write_member_uint(w, "port", config->port);
    json_write_member_bool(w, "implicit_tls", config->implicit_tls);
    if (!ok) {
        json_write_key(w, "error");
        rpc_write_fault(w, &p->fault, &context);
    } else {
        write_found(w, p);
        if (p->protocol == PROTOCOL_IMAP)
            write_quirks(w, p->quirks);
    }
    json_write_object_end(w);
}

static void test_finish(struct op *op)
{
    const struct test_state *t = op->state;
    json_write_object_begin(&op->w);
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (t->probes[p])
            write_probe(op, t->probes[p]);
    json_write_object_end(&op->w);
    op_finish(op);
}

/* The session is there only now. */
static void look_at_session(struct probe *p, const struct session *s)
{
    const struct engine *e = session_engine(s);
    struct slice said = {NULL, 0};
    p->has_certificate = session_certificate(s, &p->certificate);
    p->separator = '\n';
    switch (p->protocol) {
    case PROTOCOL_SMTP:
        said = buffer_slice(&smtp_client_capabilities(e)->lines);
        break;
    case PROTOCOL_POP3:
        said = buffer_slice(&pop3_client_capabilities(e)->lines);
        break;
    case PROTOCOL_IMAP:
        said = imap_client_capabilities(e);
        p->quirks = imap_client_quirks(e).on;
        p->separator = ' ';
        break;
    case PROTOCOL_COUNT:
        break;
    }
    buffer_init(&p->capabilities, CAPABILITIES_MAX);
    if (buffer_append(&p->capabilities, said.data, said.len) < 0)
        buffer_done(&p->capabilities); /* they are told where they can be */
}

static void probe_free(struct probe *p)
{
    buffer_done(&p->capabilities);
    free(p);
}

static void probe_done(void *arg, const struct pool_probe_result *result, const struct fault *fault,
                       const struct session *s)
{
    struct probe *p = arg;
    struct op *op = p->op;
    if (!op) {
        probe_free(p);
        return;
    }
    p->over = true;
    if (fault)
        p->fault = *fault;
    else
        p->result = *result;
    if (s)
        look_at_session(p, s);
    if (!p->fault.protocol)
        p->fault.protocol = protocol_name(p->protocol);
    struct test_state *t = op->state;
    if (--t->left == 0)
        test_finish(op);
}

static int probe_start(struct op *op, enum protocol protocol)
{
    struct test_state *t = op->state;
    struct probe *p = must_calloc(1, sizeof(*p));
    struct pool *pool;
    p->op = op;
    p->protocol = protocol;
    t->probes[protocol] = p;
    int r = op_pool(op, protocol, &pool);
    if (r < 0) {
        p->over = true;
        return r;
    }
    if (pool_probe(pool, op->deadline_ms, probe_done, p, &p->fault) < 0)
        p->over = true; /* refused at once: that is the finding */
    else
        t->left++;
    return 0;
}

static int test_run(struct op *op)
{
    const struct api_account_test_params *params = op->params;
    struct test_state *t = op->state;
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        bool wanted = params->protocol == RPC_ENUM_ABSENT ? account_config(op->account)->protocols[p].present
                                                          : params->protocol == p;
        int r = wanted ? probe_start(op, (enum protocol) p) : 0;
        if (r < 0)
            return r;
    }
    if (t->left == 0)
        test_finish(op);
    return OP_WAIT;
}

static void test_free(struct op *op)
{
    struct test_state *t = op->state;
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        if (!t->probes[p])
            continue;
        if (t->probes[p]->over)
            probe_free(t->probes[p]);
        else
            t->probes[p]->op = NULL;
    }
}

const struct op_handler account_test_handler = {
    .state_size = sizeof(struct test_state), .run = test_run, .free = test_free};
