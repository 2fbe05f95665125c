/* SPDX-License-Identifier: MIT */
#include "rpc_discover.h"

#define HELP_WIDTH 79

/* Words of `text`, broken into lines that begin with `indent` spaces; the first line continues at `column`. */
static int put_wrapped(struct buffer *out, const char *text, size_t indent, size_t column)
{
    struct slice rest = slice_of_str(text);
    int r = 0;

    while (r == 0 && rest.len) {
        if (rest.data[0] == '\n') {
            r = buffer_append_char(out, '\n');
            rest = slice_from(rest, 1);
            column = 0;
            continue;
        }
        size_t n = 0;
        while (n < rest.len && rest.data[n] != ' ' && rest.data[n] != '\n')
            n++;
        if (column > indent && column + 1 + n > HELP_WIDTH) {
            r = buffer_append_char(out, '\n');
            column = 0;
        }
        if (r == 0 && column < indent)
            r = buffer_printf(out, "%*s", (int) (indent - column), "");
        else if (r == 0 && column > indent)
            r = buffer_append_char(out, ' ');
        column = MAX(column, indent) + (column > indent) + n;
        if (r == 0)
            r = buffer_append_slice(out, slice_to(rest, n));
        rest = slice_from(rest, n);
        while (rest.len && rest.data[0] == ' ')
            rest = slice_from(rest, 1);
    }
    return r == 0 ? buffer_append_char(out, '\n') : r;
}

/* "One of: A, B, C", broken into lines. */
static int put_names(struct buffer *out, const char *const *names)
{
    struct buffer list;
    int r = 0;

    buffer_init(&list, 4096);
    for (size_t i = 0; r == 0 && names[i]; i++)
        r = buffer_printf(&list, "%s%s", i ? ", " : "One of: ", names[i]);
    if (r == 0)
        r = buffer_append_char(&list, '\0');
    if (r == 0)
        r = put_wrapped(out, buffer_slice(&list).data, 6, 0);
    buffer_done(&list);
    return r;
}

static int put_field(struct buffer *out, const struct rpc_field *f, bool result)
{
    int r = buffer_printf(out, "  %s (%s%s%s)", f->name, rpc_type_name(f),
                          f->type == RPC_OBJECTS && f->object->name ? " of " : "",
                          f->type == RPC_OBJECTS && f->object->name ? f->object->name : "");
    if (r == 0 && !result && f->flags & RPC_REQUIRED)
        r = buffer_append_slice(out, SLICE(", required"));
    if (r == 0 && f->initial)
        r = buffer_printf(out, ", default %s", f->initial);
    if (r == 0)
        r = buffer_append_char(out, '\n');
    if (r == 0)
        r = put_wrapped(out, f->doc ? f->doc : "", 6, 0);
    return r == 0 && f->names ? put_names(out, f->names) : r;
}

static int put_fields(struct buffer *out, const char *title, const struct rpc_object *object, bool result)
{
    int r = 0;

    if (!object || object->n_fields == 0)
        return 0;
    if (title)
        r = buffer_printf(out, "\n%s\n", title);
    for (size_t i = 0; r == 0 && i < object->n_fields; i++)
        r = put_field(out, &object->fields[i], result);
    return r;
}

/* The named objects that parameters are made of, each explained once. */
static int put_objects(struct buffer *out, const struct rpc_object *object)
{
    const struct rpc_object *all[16];
    size_t n = 0;
    int r = 0;

    if (object)
        all[n++] = object;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < all[i]->n_fields; j++) {
            const struct rpc_object *inner = all[i]->fields[j].object;
            bool known = !inner || n == ARRAY_LEN(all);
            for (size_t k = 0; k < n && !known; k++)
                known = all[k] == inner;
            if (!known)
                all[n++] = inner;
        }
    for (size_t i = 1; r == 0 && i < n; i++) {
        r = buffer_printf(out, "\n%s: ", all[i]->name ? all[i]->name : "object");
        if (r == 0)
            r = put_wrapped(out, all[i]->doc ? all[i]->doc : "", 2, strlen(all[i]->name ? all[i]->name : "object") + 2);
        if (r == 0)
            r = put_fields(out, NULL, all[i], object->size == 0);
    }
    return r;
}

static int put_errors(struct buffer *out, uint64_t errors)
{
    struct buffer names;
    int r = 0;

    buffer_init(&names, 4096);
    for (int kind = FAULT_NONE + 1; r == 0 && kind < FAULT_KIND_COUNT; kind++) {
        const char *name = fault_kind_name((enum fault_kind) kind);
        if (errors >> kind & 1 && name)
            r = buffer_printf(&names, "%s%s", buffer_len(&names) ? ", " : "", name);
    }
    if (r == 0 && buffer_len(&names))
        r = buffer_append_slice(out, SLICE("\nErrors\n"));
    if (r == 0 && buffer_len(&names))
        r = buffer_append(&names, "", 1);
    if (r == 0 && buffer_len(&names))
        r = put_wrapped(out, buffer_slice(&names).data, 2, 0);
    buffer_done(&names);
    return r;
}

static int put_where(struct buffer *out, const struct rpc_method *m)
{
    static const char *const where[] = {
        [RPC_LOCAL] = "Names no account.",
        [RPC_POOLED] = "Takes an account (or options).",
        [RPC_SESSION] = "Works in a session only.",
        [RPC_BOTH] = "Takes an account (or options), or works in a session.",
    };
    static const char *const permission[] = {
        [RPC_ALLOW_ALL] = "Every peer may call it.",
        [RPC_ALLOW_PEER] = "A peer with any right may call it.",
        [RPC_ALLOW_USE] = "Needs any right on the account.",
        [RPC_ALLOW_SEND] = "Needs the right to send.",
        [RPC_ALLOW_READ] = "Needs the right to read.",
        [RPC_ALLOW_WRITE] = "Needs the right to write.",
        [RPC_ALLOW_RAW] = "Needs the right to raw access.",
        [RPC_ALLOW_ADMIN] = "For administrators.",
    };
    return buffer_printf(out, "\n%s %s\n", where[m->where], permission[m->permission]);
}

int rpc_help_method(struct buffer *out, enum rpc_method_id id)
{
    const struct rpc_method *m = rpc_method_row(id);
    int r = buffer_printf(out, "%s: %s\n", m->name, m->summary);

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(m->aliases) && m->aliases[i]; i++)
        r = buffer_printf(out, "%s%s", i ? ", " : "Also known as ", m->aliases[i]);
    if (r == 0 && m->aliases[0])
        r = buffer_append_char(out, '\n');
    if (r == 0 && m->doc[0]) {
        r = buffer_append_char(out, '\n');
        if (r == 0)
            r = put_wrapped(out, m->doc, 0, 0);
    }
    if (r == 0)
        r = put_where(out, m);
    if (r == 0)
        r = put_fields(out, "Parameters", m->params, false);
    if (r == 0 && m->where != RPC_LOCAL)
        r = put_fields(out, "Where it runs", &rpc_where_object, false);
    if (r == 0)
        r = put_fields(out, "Of every method", &rpc_common_object, false);
    if (r == 0)
        r = put_fields(out, "Result", m->result, true);
    if (r == 0)
        r = put_objects(out, m->params);
    if (r == 0)
        r = put_objects(out, m->result);
    return r == 0 ? put_errors(out, m->errors) : r;
}

int rpc_help_list(struct buffer *out)
{
    int r = 0;
    for (unsigned id = 0; r == 0 && id < RPC_METHOD_COUNT; id++) {
        const struct rpc_method *m = rpc_method_row((enum rpc_method_id) id);
        r = buffer_printf(out, "%-22s %s\n", m->name, m->summary);
    }
    return r;
}

static int put_completion(struct buffer *out, const char *name, const struct rpc_object *object)
{
    int r = 0;
    for (size_t i = 0; r == 0 && object && i < object->n_fields; i++) {
        const struct rpc_field *f = &object->fields[i];
        r = buffer_printf(out, "%s\t%s\t%s", name, f->name, rpc_type_name(f));
        for (size_t j = 0; r == 0 && f->names && f->names[j]; j++)
            r = buffer_printf(out, "%c%s", j ? ',' : '\t', f->names[j]);
        if (r == 0)
            r = buffer_append_char(out, '\n');
    }
    return r;
}

static int put_completions(struct buffer *out, const struct rpc_method *m, const char *name)
{
    int r = buffer_printf(out, "%s\n", name);
    if (r == 0)
        r = put_completion(out, name, m->params);
    if (r == 0 && m->where != RPC_LOCAL)
        r = put_completion(out, name, &rpc_where_object);
    return r == 0 ? put_completion(out, name, &rpc_common_object) : r;
}

int rpc_help_completion(struct buffer *out)
{
    int r = 0;
    for (unsigned id = 0; r == 0 && id < RPC_METHOD_COUNT; id++) {
        const struct rpc_method *m = rpc_method_row((enum rpc_method_id) id);
        r = put_completions(out, m, m->name);
        for (size_t i = 0; r == 0 && i < ARRAY_LEN(m->aliases) && m->aliases[i]; i++)
            r = put_completions(out, m, m->aliases[i]);
    }
    return r;
}
