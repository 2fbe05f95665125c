/* SPDX-License-Identifier: MIT */
/* Parameters decoded by the rows, the table itself, and the documents made from it. */
#include "api_gateway.h"
#include "api_imap.h"
#include "api_mail.h"
#include "api_pop3.h"
#include "api_smtp.h"
#include "rpc_discover.h"
#include "rpc_peer.h"
#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static struct rpc_server server;
static struct rpc_peer peer;
static struct buffer sent;
static char scratch[300000];

static void release_fd(void *ctx, int fd)
{
    (void) ctx;
    ck_abort_msg("descriptor %d comes from nowhere", fd);
}

static void setup(void)
{
    static const struct rpc_limits limits = {.max_request_size = 100000,
                                             .max_response_size = 10000,
                                             .max_output = 100000,
                                             .max_calls = 8,
                                             .max_batch = 10,
                                             .max_params = 100000};
    rpc_server_init(&server, &limits, release_fd, NULL);
    rpc_peer_init(&peer, &server);
    buffer_init(&sent, 1 << 22);
}

static void teardown(void)
{
    rpc_peer_done(&peer);
    rpc_server_done(&server);
    buffer_done(&sent);
}

/* What the peer would send; valid until the next call. */
static const char *output(void)
{
    struct slice bytes;
    const int *fds;
    size_t n;

    buffer_clear(&sent);
    while (rpc_output_peek(&peer.output, &bytes, &fds, &n) == 1) {
        ck_assert_int_eq(buffer_append_slice(&sent, bytes), 0);
        rpc_output_sent(&peer.output, bytes.len);
    }
    ck_assert_int_eq(buffer_append(&sent, "", 1), 0);
    return buffer_slice(&sent).data;
}

/* The error of one answer: its code, and a part of its text. */
static void check_error(const char *answer, int code, const char *part)
{
    json_t *value = json_loads(answer, 0, NULL), *error = json_object_get(value, "error");
    ck_assert_msg(error != NULL, "no error: %s", answer);
    ck_assert_msg(json_integer_value(json_object_get(error, "code")) == code, "%s", answer);
    ck_assert_msg(strstr(json_string_value(json_object_get(error, "message")), part) != NULL, "no \"%s\": %s", part, answer);
    json_decref(value);
}

/* ---- parameters --------------------------------------------------------------------------------------------- */

/* A request with these parameters, or NULL when it was refused. */
static struct rpc_request *request(const char *method, const char *params)
{
    struct rpc_request *r = NULL;
    snprintf(scratch, sizeof(scratch), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", method, params);
    rpc_peer_feed(&peer, scratch, strlen(scratch));
    return rpc_peer_next(&peer, &r) == RPC_PEER_REQUEST ? r : NULL;
}

#define REFUSED(method, params, part)                                                                                  \
    do {                                                                                                               \
        ck_assert_msg(request(method, params) == NULL, "accepted: %s", params);                                        \
        check_error(output(), -32602, part);                                                                      \
    } while (0)

START_TEST(test_common_params)
{
    struct rpc_request *r = request(
        "gateway.ping", "{\"timeout\":1500,\"content\":\"base64\",\"stream\":true,\"progress\":true}");
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->common->timeout_ms, 1500);
    ck_assert_int_eq(r->common->content, RPC_FORM_BASE64);
    ck_assert(r->common->stream && r->common->progress);
    rpc_request_free(r);
    r = request("gateway.ping", "{}");
    ck_assert_uint_eq(r->common->timeout_ms, 0);
    ck_assert_int_eq(r->common->content, RPC_FORM_AUTO);
    rpc_request_free(r);
    REFUSED("gateway.ping", "{\"timeout\":0}", "timeout must be a whole number of milliseconds from 1");
    REFUSED("gateway.ping", "{\"timeout\":-1}", "timeout must be");
    REFUSED("gateway.ping", "{\"timeout\":1.5}", "timeout must be");
    REFUSED("gateway.ping", "{\"timeout\":\"1\"}", "timeout must be");
    REFUSED("gateway.ping", "{\"timeout\":null}", "timeout must be");
    REFUSED("gateway.ping", "{\"timeout\":1e99}", "timeout must be");
    REFUSED("gateway.ping", "{\"content\":\"gzip\"}", "content must be one of auto, text, base64, fd, pipe");
    REFUSED("gateway.ping", "{\"stream\":1}", "stream must be true or false");
    REFUSED("gateway.ping", "{\"timeot\":1}", "did you mean timeout");
    REFUSED("gateway.ping", "{\"zzzzzzzz\":1}", "zzzzzzzz is not a known parameter");
    REFUSED("gateway.ping", "{\"account\":\"a\"}", "account is not a known parameter");
}
END_TEST

START_TEST(test_where)
{
    REFUSED("pop3.stat", "{}", "account (or options, or session) is required");
    REFUSED("pop3.stat", "{\"account\":\"a\",\"session\":\"s\"}", "only one of");
    REFUSED("pop3.stat", "{\"account\":\"a\",\"options\":{}}", "only one of");
    REFUSED("pop3.stat", "{\"account\":7}", "account must be a string");
    REFUSED("imap.select", "{\"account\":\"a\"}", "session is required");
    REFUSED("imap.open", "{\"session\":\"a\"}", "session cannot be given");
    REFUSED("imap.open", "{}", "account (or options) is required");
    REFUSED("imap.fetch", "{\"account\":\"a\"}", "uids is required");
    REFUSED("imap.fetch", "{\"account\":\"a\",\"numbers\":\"1\",\"uids\":\"1\"}", "numbers is for calls in a session only");
    REFUSED("imap.fetch", "{\"session\":\"a\"}", "exactly one of uids or numbers must be given");
    REFUSED("imap.fetch", "{\"session\":\"a\",\"uids\":[1],\"numbers\":[2]}", "exactly one of uids or numbers");
    REFUSED("pop3.retr", "{\"account\":\"a\",\"number\":1}", "number is for calls in a session only");
    REFUSED("pop3.retr", "{\"account\":\"a\"}", "exactly one of id, ids or number");
    REFUSED("smtp.send", "{\"account\":\"a\",\"raw\":\"x\",\"message\":{}}", "at most one of message, raw or messages");

    struct rpc_request *r = request("imap.fetch", "{\"account\":\"a\",\"uids\":\"1:*\"}");
    const struct api_imap_fetch_params *p = r->params;
    ck_slice_eq(p->mailbox, "INBOX");
    ck_slice_eq(p->uids.text, "1:*");
    ck_assert(!p->numbers.given);
    ck_assert(p->changedsince == RPC_ABSENT);
    rpc_request_free(r);
    r = request("imap.fetch", "{\"session\":\"s\",\"numbers\":[3,1,4294967295]}");
    p = r->params;
    ck_assert_ptr_null(p->mailbox.data);
    ck_assert_uint_eq(p->numbers.n, 3);
    ck_assert_uint_eq(p->numbers.numbers[2], 4294967295u);
    rpc_request_free(r);
}
END_TEST

START_TEST(test_message_params)
{
    struct rpc_request *r = request(
        "smtp.send",
        "{\"account\":\"work\",\"message\":{\"from\":\"Ann <a@b.c>\",\"to\":[\"d@e.f, g@h.i\",{\"name\":\"J\\u00e9\","
        "\"address\":\"j@k.l\"},{\"name\":null,\"address\":\"m@n.o\"}],\"cc\":{\"address\":\"p@q.r\"},\"bcc\":null,"
        "\"subject\":null,\"text\":\"line\\nline\",\"attachments\":[{\"content\":{\"base64\":\"aGVsbG8=\",\"size\":5},"
        "\"filename\":\"x.txt\",\"disposition\":\"inline\"},{\"content\":\"y\"}],\"headers\":{\"X-A\":\"1\",\"X-B\":[\"2\","
        "\"3\"]},\"references\":\"r@s\",\"in_reply_to\":[\"t@u\"]},\"envelope\":{\"from\":\"\",\"to\":\"v@w.x\",\"notify\":["
        "\"NEVER\"],\"ret\":\"HDRS\",\"envid\":\"e1\"},\"idempotency_key\":\"k\"}");
    ck_assert_ptr_nonnull(r);
    const struct api_smtp_send_params *p = r->params;
    const struct api_message *m = p->item.message;
    ck_assert_ptr_nonnull(m);
    ck_assert_uint_eq(m->from.n, 1);
    ck_slice_eq(m->from.items[0].text, "Ann <a@b.c>");
    ck_assert_uint_eq(m->to.n, 3);
    ck_slice_eq(m->to.items[1].name, "J\xc3\xa9");
    ck_slice_eq(m->to.items[1].address, "j@k.l");
    ck_assert_ptr_null(m->to.items[1].text.data);
    ck_assert_ptr_null(m->to.items[2].name.data);
    ck_slice_eq(m->cc.items[0].address, "p@q.r");
    ck_assert(!m->bcc.given);
    ck_assert_ptr_null(m->subject.data);
    ck_slice_eq(m->text, "line\nline");
    ck_assert_ptr_null(m->html.data);
    const struct api_attachment *a = m->attachments.items;
    ck_assert_uint_eq(m->attachments.n, 2);
    ck_slice_eq(a[0].content.bytes, "hello");
    ck_slice_eq(a[0].filename, "x.txt");
    ck_assert_int_eq(a[0].disposition, API_DISPOSITION_INLINE);
    ck_slice_eq(a[1].content.bytes, "y");
    ck_assert_int_eq(a[1].disposition, RPC_ENUM_ABSENT);
    ck_assert_uint_eq(m->headers.n, 2);
    ck_slice_eq(m->headers.items[1].name, "X-B");
    ck_slice_eq(m->headers.items[1].values.items[1], "3");
    ck_slice_eq(m->references.items[0], "r@s");
    ck_slice_eq(p->item.envelope->from, "");
    ck_assert_ptr_nonnull(p->item.envelope->from.data);
    ck_slice_eq(p->item.envelope->to.items[0], "v@w.x");
    ck_assert_int_eq(p->item.envelope->ret, API_RET_HDRS);
    ck_slice_eq(p->item.idempotency_key, "k");
    rpc_request_free(r);

#define SEND(params) "{\"account\":\"a\"," params "}"
    REFUSED("smtp.send", SEND("\"message\":[]"), "message must be an object");
    REFUSED("smtp.send", SEND("\"message\":{\"subject\":\"a\\r\\nBcc: x\"}"), "message.subject must not hold CR, LF or NUL");
    REFUSED("smtp.send", SEND("\"message\":{\"text\":\"a\\u0000\"}"), "message.text must not hold NUL");
    REFUSED("smtp.send", SEND("\"message\":{\"to\":[1]}"), "message.to[0] must be a string, or an object");
    REFUSED("smtp.send", SEND("\"message\":{\"to\":[\"a\",{\"name\":\"x\"}]}"), "message.to[1] must be");
    REFUSED("smtp.send", SEND("\"message\":{\"to\":{\"address\":\"a\\n\"}}"), "message.to.address must not hold");
    REFUSED("smtp.send", SEND("\"message\":{\"subjet\":\"x\"}"), "message.subjet is not a known parameter; did you mean subject");
    REFUSED("smtp.send", SEND("\"message\":{\"attachments\":[{}]}"), "message.attachments[0].content is required");
    REFUSED("smtp.send", SEND("\"message\":{\"attachments\":[{\"content\":{\"base64\":\"a\"}}]}"),
            "message.attachments[0].content.base64 must be padded base64");
    REFUSED("smtp.send", SEND("\"message\":{\"attachments\":[{\"content\":{\"text\":\"a\",\"base64\":\"\"}}]}"),
            "exactly one of text, base64 and fd");
    REFUSED("smtp.send", SEND("\"message\":{\"attachments\":[{\"content\":{}}]}"), "exactly one of text, base64 and fd");
    REFUSED("smtp.send", SEND("\"message\":{\"headers\":{\"X\\n\":\"a\"}}"), "must not hold CR");
    REFUSED("smtp.send", SEND("\"message\":{\"headers\":{\"X\":null}}"), "message.headers.X must be a string");
    REFUSED("smtp.send", SEND("\"messages\":[]"), "messages must have 1 to 1000 items");
    REFUSED("smtp.send", SEND("\"messages\":[{}]"), "messages[0] exactly one of message or raw must be given");
    REFUSED("smtp.send", SEND("\"raw\":\"x\",\"idempotency_key\":\"\""), "idempotency_key must not be empty");
    REFUSED("smtp.send", SEND("\"raw\":\"x\",\"envelope\":{\"notify\":[\"sometimes\"]}"), "envelope.notify[0] must be one of");
    REFUSED("smtp.send", SEND("\"raw\":\"x\",\"envelope\":{\"notify\":\"never\"}"), "envelope.notify must be an array");
}
END_TEST

START_TEST(test_imap_params)
{
    struct rpc_request *r = request("imap.search", "{\"account\":\"a\",\"query\":[\"OR\",[\"FROM\",\"x\"],[[\"UID\",7]]],"
                                                   "\"uidvalidity\":\"any\"}");
    const struct api_imap_search_params *s = r->params;
    static const char *const want[] = {"OR", "(", "FROM", "x", ")", "(", "(", "UID", "7", ")", ")"};
    ck_assert_uint_eq(s->query.n, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        switch (s->query.items[i].kind) {
        case RPC_TERM_OPEN:
            ck_assert_str_eq(want[i], "(");
            break;
        case RPC_TERM_CLOSE:
            ck_assert_str_eq(want[i], ")");
            break;
        case RPC_TERM_TEXT:
            ck_slice_eq(s->query.items[i].text, want[i]);
            break;
        }
    ck_assert_int_eq(s->uidvalidity.kind, RPC_UIDVALIDITY_ANY);
    rpc_request_free(r);

    r = request("imap.store", "{\"account\":\"a\",\"uids\":[5],\"command\":\"+flags.silent\",\"flags\":\"\\\\Seen \\\\Deleted\","
                              "\"uidvalidity\":4294967295}");
    const struct api_imap_store_params *st = r->params;
    ck_assert_int_eq(st->command, API_STORE_ADD_SILENT);
    ck_assert_uint_eq(st->flags.n, 2);
    ck_slice_eq(st->flags.items[1], "\\Deleted");
    ck_assert_uint_eq(st->uidvalidity.value, 4294967295u);
    rpc_request_free(r);
    r = request("imap.store", "{\"account\":\"a\",\"uids\":[],\"command\":\"FLAGS\",\"flags\":[]}");
    st = r->params;
    ck_assert_uint_eq(st->flags.n, 0);
    ck_assert_ptr_nonnull(st->flags.items);
    ck_assert(st->uids.given);
    rpc_request_free(r);

    REFUSED("imap.fetch", "{\"account\":\"a\",\"uids\":\"\"}", "uids must not be empty");
    REFUSED("imap.fetch", "{\"account\":\"a\",\"uids\":\"1\\r\\nA1 LOGOUT\"}", "uids must hold numbers");
    REFUSED("imap.fetch", "{\"account\":\"a\",\"uids\":[0]}", "uids[0] must be an integer from 1 to 4294967295");
    REFUSED("imap.fetch", "{\"account\":\"a\",\"uids\":7}", "uids must be a string such as");
    REFUSED("imap.fetch", "{\"account\":\"a\",\"uids\":\"1\",\"uidvalidity\":0}", "uidvalidity must be a number");
    REFUSED("imap.fetch", "{\"account\":\"a\",\"uids\":\"1\",\"uidvalidity\":\"all\"}", "uidvalidity must be a number");
    REFUSED("imap.fetch", "{\"account\":\"a\",\"uids\":\"1\",\"mailbox\":\"a\\u0000\"}", "mailbox must not hold");
    REFUSED("imap.store", "{\"account\":\"a\",\"uids\":\"1\",\"command\":\"ADD\",\"flags\":[]}", "command must be one of FLAGS");
    REFUSED("imap.search", "{\"account\":\"a\",\"query\":{}}", "query must be a string or an array");
    REFUSED("imap.search", "{\"account\":\"a\",\"query\":[true]}", "query must hold strings");
}
END_TEST

START_TEST(test_options_and_ids)
{
    struct rpc_request *r = request(
        "smtp.test_connection", "{\"options\":{\"host\":\"h\",\"port\":587,\"verify_peer\":false,\"disable\":[\"CHUNKING\"],"
                                "\"ca\":{\"text\":\"PEM\"},\"timeout\":100}}");
    ck_assert_ptr_nonnull(r);
    const struct rpc_options *o = r->common->options;
    ck_assert_uint_eq(o->n, 6);
    ck_slice_eq(o->items[0].string, "h");
    ck_assert_int_eq(o->items[1].kind, RPC_OPTION_NUMBER);
    ck_assert_int_eq(o->items[1].number, 587);
    ck_assert_int_eq(o->items[2].kind, RPC_OPTION_BOOL);
    ck_slice_eq(o->items[3].strings.items[0], "CHUNKING");
    ck_slice_eq(o->items[4].content.bytes, "PEM");
    rpc_request_free(r);
    REFUSED("smtp.test_connection", "{\"options\":{\"host\":null}}", "options.host must not be null");
    REFUSED("smtp.test_connection", "{\"options\":{\"host\":\"a\\u0000\"}}", "options.host must not hold");

    r = request("smtp.test_connection", "{\"options\":{\"ca\":\"two\\nlines\"}}");
    ck_slice_eq(r->common->options->items[0].string, "two\nlines");
    rpc_request_free(r);

    r = request("rpc.cancel", "{\"id\":\"\\u0041\"}");
    ck_slice_eq(((const struct api_rpc_cancel_params *) r->params)->id, "\"\\u0041\"");
    rpc_request_free(r);
    REFUSED("rpc.cancel", "{}", "id is required");
    REFUSED("rpc.cancel", "{\"id\":[]}", "id must be a request's id");
}
END_TEST

START_TEST(test_memory_of_params)
{
    /* Decoded arrays are bounded, whatever the text holds. */
    size_t len = (size_t) snprintf(scratch, sizeof(scratch),
                                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pop3.retr\",\"params\":{\"account\":\"a\",\"ids\":[");
    for (int i = 0; i < 20000; i++) {
        memcpy(scratch + len, "\"i\",", 4);
        len += 4;
    }
    memcpy(scratch + len - 1, "]}}\n", 4);
    rpc_peer_feed(&peer, scratch, len + 3);
    struct rpc_request *r;
    ck_assert_int_eq(rpc_peer_next(&peer, &r), RPC_PEER_IDLE);
    ck_assert_ptr_nonnull(strstr(output(), "\"kind\":\"limit\""));
}
END_TEST

/* ---- the table ---------------------------------------------------------------------------------------------- */

static void check_fields(const char *method, const struct rpc_object *object, bool params)
{
    ck_assert_uint_le(object->n_fields, 64);
    for (size_t i = 0; i < object->n_fields; i++) {
        const struct rpc_field *f = &object->fields[i];
        ck_assert_msg(f->name && f->name[0], "%s: field %zu has no name", method, i);
        ck_assert_msg(f->doc && f->doc[0], "%s: %s has no documentation", method, f->name);
        ck_assert_msg(f->type != RPC_ENUM || f->names, "%s: %s has no names", method, f->name);
        ck_assert_msg((f->type != RPC_OBJECT && f->type != RPC_OBJECTS) || f->object, "%s: %s has no object", method, f->name);
        ck_assert_msg(!params || f->offset < object->size, "%s: %s lies beyond its struct", method, f->name);
        ck_assert_msg(!params || !f->object || f->object->size, "%s: %s cannot be decoded", method, f->name);
        ck_assert_msg(params || f->type != RPC_OBJECT || !f->object->size || f->object == object, "%s: %s", method, f->name);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(strcmp(f->name, object->fields[j].name) != 0, "%s: %s twice", method, f->name);
        if (params && f->object)
            check_fields(method, f->object, true);
    }
}

START_TEST(test_table)
{
    enum rpc_method_id found;

    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++) {
        const struct rpc_method *m = rpc_method_row((enum rpc_method_id) id);
        ck_assert_ptr_nonnull(m);
        ck_assert_ptr_nonnull(m->name);
        ck_assert_msg(m->summary && m->summary[0] && m->summary[strlen(m->summary) - 1] != '.', "%s: summary", m->name);
        ck_assert_ptr_nonnull(m->doc);
        ck_assert_msg(m->params && m->params->size >= sizeof(struct rpc_common), "%s: parameters", m->name);
        ck_assert_msg(m->result != NULL, "%s: result", m->name);
        check_fields(m->name, m->params, true);
        check_fields(m->name, m->result, false);
        ck_assert_int_eq(rpc_method_find(slice_of_str(m->name), &found), 0);
        ck_assert_uint_eq(found, id);
        for (size_t i = 0; i < ARRAY_LEN(m->aliases) && m->aliases[i]; i++) {
            ck_assert_int_eq(rpc_method_find(slice_of_str(m->aliases[i]), &found), 0);
            ck_assert_uint_eq(found, id);
        }
        /* No parameter of its own may hide a shared one. */
        for (size_t i = 0; i < m->params->n_fields; i++) {
            for (size_t j = 0; j < rpc_common_object.n_fields; j++)
                ck_assert_str_ne(m->params->fields[i].name, rpc_common_object.fields[j].name);
            for (size_t j = 0; m->where != RPC_LOCAL && j < rpc_where_object.n_fields; j++)
                ck_assert_str_ne(m->params->fields[i].name, rpc_where_object.fields[j].name);
        }
    }
    ck_assert_int_eq(rpc_method_find(SLICE("gateway.pin"), &found), -ENOENT);
    ck_assert_int_eq(rpc_method_find(SLICE(""), &found), -ENOENT);
    ck_assert_str_eq(rpc_method_similar(SLICE("smtp.sned")), "smtp.send");
    ck_assert_ptr_null(rpc_method_similar(SLICE("completely.different")));
}
END_TEST

/* Every $ref in the document names a schema that is there. */
static void check_refs(json_t *value, json_t *schemas, size_t *count)
{
    const char *key;
    json_t *inner;
    size_t i;

    if (json_is_array(value))
        json_array_foreach(value, i, inner)
            check_refs(inner, schemas, count);
    json_object_foreach(value, key, inner) {
        if (strcmp(key, "$ref") == 0) {
            const char *name = strrchr(json_string_value(inner), '/') + 1;
            ck_assert_msg(json_object_get(schemas, name) != NULL, "no schema %s", name);
            ++*count;
        } else {
            check_refs(inner, schemas, count);
        }
    }
}

START_TEST(test_discover)
{
    struct buffer b;
    struct json_writer w;
    size_t refs = 0;

    buffer_init(&b, 1 << 22);
    json_writer_init(&w, &b);
    rpc_discover_write(&w, "1.2.3");
    ck_assert_int_eq(w.error, 0);
    json_t *doc = json_loadb(buffer_slice(&b).data, buffer_len(&b), JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(doc);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(doc, "info"), "version")), "1.2.3");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(doc, "x-api"), "major")), RPC_API_MAJOR);
    ck_assert_uint_ge(json_array_size(json_object_get(doc, "methods")), RPC_METHOD_COUNT);
    check_refs(doc, json_object_get(json_object_get(doc, "components"), "schemas"), &refs);
    ck_assert_uint_gt(refs, 20);
    json_decref(doc);
    buffer_done(&b);
}
END_TEST

START_TEST(test_help)
{
    struct buffer b;

    buffer_init(&b, 1 << 20);
    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++) {
        buffer_clear(&b);
        ck_assert_int_eq(rpc_help_method(&b, (enum rpc_method_id) id), 0);
        struct slice s = buffer_slice(&b);
        while (s.len) {
            size_t n = slice_find(s, '\n');
            ck_assert_msg(n <= 100, "%.*s", (int) n, s.data);
            s = slice_from(s, n + 1);
        }
    }
    buffer_clear(&b);
    ck_assert_int_eq(rpc_help_completion(&b), 0);
    ck_assert_int_eq(buffer_append(&b, "", 1), 0);
    ck_assert_ptr_nonnull(strstr(buffer_slice(&b).data, "imap.store\tcommand\tname\tFLAGS,+FLAGS"));
    buffer_clear(&b);
    ck_assert_int_eq(rpc_help_list(&b), 0);
    ck_assert(slice_starts(buffer_slice(&b), SLICE("gateway.ping ")));
    buffer_done(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_params");
    TCase *c = tcase_create("parameters");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_common_params);
    tcase_add_test(c, test_where);
    tcase_add_test(c, test_message_params);
    tcase_add_test(c, test_imap_params);
    tcase_add_test(c, test_options_and_ids);
    tcase_add_test(c, test_memory_of_params);
    tcase_add_test(c, test_table);
    tcase_add_test(c, test_discover);
    tcase_add_test(c, test_help);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
