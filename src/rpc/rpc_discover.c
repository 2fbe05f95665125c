/* SPDX-License-Identifier: MIT */
#include "rpc_discover.h"

const char *const rpc_features[] = {
    "smtp", "imap", "pop3", "mail", "fds", "streams", "progress", "batches", "idempotency_keys", NULL};

static const char *const uidvalidity_any[] = {"any", NULL};

const char *rpc_type_name(const struct rpc_field *f)
{
    switch (f->type) {
    case RPC_BOOL:
        return "boolean";
    case RPC_INT:
        return "integer";
    case RPC_MS:
        return "milliseconds";
    case RPC_STRING:
        return "string";
    case RPC_ENUM:
        return "name";
    case RPC_STRINGS:
        return f->flags & RPC_ONE ? "string or array of strings" : "array of strings";
    case RPC_CONTENT:
        return "Content";
    case RPC_ADDRESSES:
        return "addresses";
    case RPC_OBJECT:
        return f->object->name ? f->object->name : "object";
    case RPC_OBJECTS:
        return "array";
    case RPC_MAP:
    case RPC_MAP_OF:
    case RPC_OPTIONS:
        return "object";
    case RPC_SET:
        return "messages";
    case RPC_UIDVALIDITY:
        return "integer or \"any\"";
    case RPC_TERMS:
        return "string or array";
    case RPC_ID:
        return "id";
    case RPC_ANY:
        return "any";
    case RPC_INTS:
        return "array of integers";
    case RPC_UID_PAIRS:
        return "array of pairs";
    }
    return "";
}

/* ---- schemas ------------------------------------------------------------------------------------------------ */

static void write_type(struct json_writer *w, const char *type)
{
    json_write_member_str(w, "type", type);
}

static void write_nullable_type(struct json_writer *w, const char *type, bool nullable)
{
    if (!nullable) {
        write_type(w, type);
        return;
    }
    json_write_key(w, "type");
    json_write_array_begin(w);
    json_write_str(w, type);
    json_write_str(w, "null");
    json_write_array_end(w);
}

static void write_type_schema(struct json_writer *w, const char *type)
{
    json_write_object_begin(w);
    write_type(w, type);
    json_write_object_end(w);
}

static void write_names(struct json_writer *w, const char *const *names, bool nullable)
{
    json_write_key(w, "enum");
    json_write_array_begin(w);
    for (size_t i = 0; names[i]; i++)
        json_write_str(w, names[i]);
    if (nullable)
        json_write_null(w);
    json_write_array_end(w);
}

static void write_ref(struct json_writer *w, const char *name)
{
    struct buffer path;

    buffer_init(&path, 256);
    if (buffer_printf(&path, "#/components/schemas/%s", name) == 0)
        json_write_member_string(w, "$ref", buffer_slice(&path));
    buffer_done(&path);
}

static void write_object(struct json_writer *w, const struct rpc_object *object);

/* "$ref" of a named object, or the object itself; within braces. */
static void write_object_here(struct json_writer *w, const struct rpc_object *object)
{
    if (!object)
        write_type(w, "object");
    else if (object->name)
        write_ref(w, object->name);
    else
        write_object(w, object);
}

static void write_object_or_null(struct json_writer *w, const struct rpc_object *object, bool nullable)
{
    if (!nullable) {
        write_object_here(w, object);
        return;
    }
    json_write_key(w, "oneOf");
    json_write_array_begin(w);
    json_write_object_begin(w);
    write_object_here(w, object);
    json_write_object_end(w);
    write_type_schema(w, "null");
    json_write_array_end(w);
}

static void write_bounds(struct json_writer *w, const struct rpc_field *f, const char *low, const char *high)
{
    if (f->min == 0 && f->max == 0)
        return;
    json_write_member_int(w, low, f->min);
    if (f->max && f->max != INT64_MAX)
        json_write_member_int(w, high, f->max);
}

static void write_string_item(struct json_writer *w, const struct rpc_field *f)
{
    json_write_object_begin(w);
    write_type(w, "string");
    if (f->names)
        write_names(w, f->names, false);
    json_write_object_end(w);
}

static void write_array_of_type(struct json_writer *w, const char *type)
{
    json_write_object_begin(w);
    write_type(w, "array");
    json_write_key(w, "items");
    write_type_schema(w, type);
    json_write_object_end(w);
}

static void write_strings(struct json_writer *w, const struct rpc_field *f, bool nullable)
{
    if (f->flags & RPC_ONE || nullable) {
        json_write_key(w, "oneOf");
        json_write_array_begin(w);
        if (f->flags & RPC_ONE)
            write_string_item(w, f);
        if (nullable)
            write_type_schema(w, "null");
        json_write_object_begin(w);
    }
    write_type(w, "array");
    json_write_key(w, "items");
    write_string_item(w, f);
    write_bounds(w, f, "minItems", "maxItems");
    if (f->flags & RPC_ONE || nullable) {
        json_write_object_end(w);
        json_write_array_end(w);
    }
}

static void write_map(struct json_writer *w, const struct rpc_field *f)
{
    write_nullable_type(w, "object", f->flags & RPC_NULLABLE);
    if (f->type == RPC_OPTIONS || (f->type == RPC_MAP_OF && !f->object))
        return;
    json_write_key(w, "additionalProperties");
    json_write_object_begin(w);
    if (f->type == RPC_MAP_OF) {
        write_object_here(w, f->object);
    } else if (f->flags & RPC_MAP_NUMBERS) {
        write_type(w, "integer");
    } else if (f->flags & RPC_MAP_LISTS) {
        json_write_key(w, "oneOf");
        json_write_array_begin(w);
        write_type_schema(w, "string");
        write_array_of_type(w, "string");
        json_write_array_end(w);
    } else {
        write_nullable_type(w, "string", f->flags & RPC_MAP_NULL);
    }
    json_write_object_end(w);
}

/* {"oneOf": [TYPE, array of ITEM]} */
static void write_either(struct json_writer *w, const char *type, const char *item)
{
    json_write_key(w, "oneOf");
    json_write_array_begin(w);
    write_type_schema(w, type);
    if (item) {
        write_array_of_type(w, item);
    } else {
        json_write_object_begin(w);
        write_type(w, "array");
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_uid_pairs(struct json_writer *w)
{
    write_type(w, "array");
    json_write_key(w, "items");
    write_array_of_type(w, "integer");
}

static void write_schema_type(struct json_writer *w, const struct rpc_field *f)
{
    bool nullable = f->flags & RPC_NULLABLE;

    switch (f->type) {
    case RPC_BOOL:
        write_nullable_type(w, "boolean", nullable);
        break;
    case RPC_INT:
    case RPC_MS:
        write_nullable_type(w, "integer", nullable);
        write_bounds(w, f, "minimum", "maximum");
        break;
    case RPC_STRING:
        write_nullable_type(w, "string", nullable);
        write_bounds(w, f, "minLength", "maxLength");
        break;
    case RPC_ENUM:
        write_nullable_type(w, "string", nullable);
        write_names(w, f->names, nullable);
        break;
    case RPC_STRINGS:
        write_strings(w, f, nullable);
        break;
    case RPC_CONTENT:
        write_ref(w, "Content");
        break;
    case RPC_ADDRESSES:
        write_ref(w, "Addresses");
        break;
    case RPC_OBJECT:
        write_object_or_null(w, f->object, nullable);
        break;
    case RPC_OBJECTS:
        write_nullable_type(w, "array", nullable);
        json_write_key(w, "items");
        json_write_object_begin(w);
        write_object_here(w, f->object);
        json_write_object_end(w);
        write_bounds(w, f, "minItems", "maxItems");
        break;
    case RPC_MAP:
    case RPC_MAP_OF:
    case RPC_OPTIONS:
        write_map(w, f);
        break;
    case RPC_SET:
        write_either(w, "string", "integer");
        break;
    case RPC_UIDVALIDITY:
        json_write_key(w, "oneOf");
        json_write_array_begin(w);
        write_type_schema(w, "integer");
        json_write_object_begin(w);
        write_names(w, uidvalidity_any, false);
        json_write_object_end(w);
        json_write_array_end(w);
        break;
    case RPC_TERMS:
        write_either(w, "string", NULL);
        break;
    case RPC_ID:
        json_write_key(w, "type");
        json_write_raw(w, SLICE("[\"string\",\"number\",\"null\"]"));
        break;
    case RPC_ANY:
        break;
    case RPC_INTS:
        write_type(w, "array");
        json_write_key(w, "items");
        write_type_schema(w, "integer");
        break;
    case RPC_UID_PAIRS:
        write_uid_pairs(w);
        break;
    }
}

void rpc_discover_schema(struct json_writer *w, const struct rpc_field *field)
{
    json_write_object_begin(w);
    write_schema_type(w, field);
    if (field->initial) {
        json_write_key(w, "default");
        json_write_raw(w, slice_of_str(field->initial));
    }
    if (field->doc)
        json_write_member_str(w, "description", field->doc);
    json_write_object_end(w);
}

/* The members of an object's schema, within braces. */
static void write_object(struct json_writer *w, const struct rpc_object *object)
{
    bool any = false;

    write_type(w, "object");
    if (object->doc)
        json_write_member_str(w, "description", object->doc);
    json_write_key(w, "properties");
    json_write_object_begin(w);
    for (size_t i = 0; i < object->n_fields; i++) {
        json_write_key(w, object->fields[i].name);
        rpc_discover_schema(w, &object->fields[i]);
        any |= (object->fields[i].flags & RPC_REQUIRED) != 0;
    }
    json_write_object_end(w);
    if (any) {
        json_write_key(w, "required");
        json_write_array_begin(w);
        for (size_t i = 0; i < object->n_fields; i++)
            if (object->fields[i].flags & RPC_REQUIRED)
                json_write_str(w, object->fields[i].name);
        json_write_array_end(w);
    }
    /* What decode fills knows its members; results may get more. */
    if (object->size)
        json_write_member_bool(w, "additionalProperties", false);
}

/* ---- components --------------------------------------------------------------------------------------------- */

#define OBJECTS_MAX 128

/* The named objects that the rows reach, each once. */
struct named {
    const struct rpc_object *objects[OBJECTS_MAX];
    size_t n;
};

static void note_object(struct named *all, const struct rpc_object *object)
{
    if (!object || !object->name || all->n == OBJECTS_MAX)
        return;
    for (size_t i = 0; i < all->n; i++)
        if (all->objects[i] == object)
            return;
    all->objects[all->n++] = object;
}

static void note_fields(struct named *all, const struct rpc_object *object)
{
    for (size_t i = 0; object && i < object->n_fields; i++)
        note_object(all, object->fields[i].object);
}

static void write_components(struct json_writer *w)
{
    struct named all = {.n = 0};

    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++) {
        const struct rpc_method *m = rpc_method_row((enum rpc_method_id) id);
        note_object(&all, m->result);
        note_fields(&all, m->params);
        note_fields(&all, m->result);
    }
    /* The list grows while it is walked, by what its objects hold. */
    for (size_t i = 0; i < all.n; i++)
        note_fields(&all, all.objects[i]);

    json_write_key(w, "components");
    json_write_object_begin(w);
    json_write_key(w, "schemas");
    json_write_object_begin(w);
    for (size_t i = 0; i < all.n; i++) {
        json_write_key(w, all.objects[i]->name);
        json_write_object_begin(w);
        write_object(w, all.objects[i]);
        json_write_object_end(w);
    }
    json_write_key(w, "Content");
    json_write_raw(w, SLICE("{\"description\":\"Bytes: exactly one of text, base64 and fd; in parameters a string stands for "
                            "text, in answers size is there too.\",\"oneOf\":[{\"type\":\"string\"},{\"type\":\"object\","
                            "\"properties\":{\"text\":{\"type\":\"string\"},\"base64\":{\"type\":\"string\"},\"fd\":{\"type\":"
                            "\"integer\",\"minimum\":0},\"size\":{\"type\":\"integer\",\"minimum\":0}}}]}"));
    json_write_key(w, "Addresses");
    json_write_raw(w, SLICE("{\"description\":\"Addresses: a string with one or, separated by commas, several, {name, address}, "
                            "or an array of these.\",\"oneOf\":[{\"type\":[\"string\",\"null\"]},{\"type\":\"object\","
                            "\"properties\":{\"name\":{\"type\":[\"string\",\"null\"]},\"address\":{\"type\":\"string\"}},"
                            "\"required\":[\"address\"],\"additionalProperties\":false},{\"type\":\"array\"}]}"));
    json_write_object_end(w);
    json_write_object_end(w);
}

/* ---- methods ------------------------------------------------------------------------------------------------ */

static void write_params(struct json_writer *w, const struct rpc_object *object)
{
    for (size_t i = 0; object && i < object->n_fields; i++) {
        const struct rpc_field *f = &object->fields[i];
        json_write_object_begin(w);
        json_write_member_str(w, "name", f->name);
        if (f->doc)
            json_write_member_str(w, "description", f->doc);
        if (f->flags & RPC_REQUIRED)
            json_write_member_bool(w, "required", true);
        json_write_key(w, "schema");
        rpc_discover_schema(w, f);
        json_write_object_end(w);
    }
}

static void write_errors(struct json_writer *w, uint64_t errors)
{
    json_write_key(w, "errors");
    json_write_array_begin(w);
    for (int kind = FAULT_NONE + 1; kind < FAULT_KIND_COUNT; kind++) {
        const char *name = fault_kind_name((enum fault_kind) kind);
        if (!(errors >> kind & 1) || !name)
            continue;
        json_write_object_begin(w);
        json_write_member_int(w, "code", fault_code((enum fault_kind) kind));
        json_write_member_str(w, "message", name);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

const char *rpc_where_name(enum rpc_where where)
{
    static const char *const names[] = {
        [RPC_LOCAL] = "local", [RPC_POOLED] = "pooled", [RPC_SESSION] = "session", [RPC_BOTH] = "both"};
    return names[where];
}

const char *rpc_permission_name(enum rpc_permission permission)
{
    static const char *const names[] = {
        [RPC_ALLOW_ALL] = "all",     [RPC_ALLOW_PEER] = "any", [RPC_ALLOW_USE] = "account", [RPC_ALLOW_SEND] = "send",
        [RPC_ALLOW_READ] = "read",   [RPC_ALLOW_WRITE] = "write", [RPC_ALLOW_RAW] = "raw",  [RPC_ALLOW_ADMIN] = "admin"};
    return names[permission];
}

static void write_method(struct json_writer *w, const struct rpc_method *m, const char *name)
{
    json_write_object_begin(w);
    json_write_member_str(w, "name", name);
    json_write_member_str(w, "summary", m->summary);
    if (m->doc[0])
        json_write_member_str(w, "description", m->doc);
    json_write_member_str(w, "paramStructure", "by-name");
    json_write_key(w, "params");
    json_write_array_begin(w);
    write_params(w, m->params);
    if (m->where != RPC_LOCAL)
        write_params(w, &rpc_where_object);
    write_params(w, &rpc_common_object);
    json_write_array_end(w);
    json_write_key(w, "result");
    json_write_object_begin(w);
    json_write_member_str(w, "name", "result");
    json_write_key(w, "schema");
    json_write_object_begin(w);
    write_object_here(w, m->result);
    json_write_object_end(w);
    json_write_object_end(w);
    write_errors(w, m->errors);
    json_write_member_str(w, "x-where", rpc_where_name(m->where));
    json_write_member_str(w, "x-permission", rpc_permission_name(m->permission));
    json_write_member_bool(w, "x-streams", m->flags & RPC_STREAMS);
    if (name != m->name)
        json_write_member_str(w, "x-alias-of", m->name);
    json_write_object_end(w);
}

void rpc_discover_write(struct json_writer *w, const char *version)
{
    json_write_object_begin(w);
    json_write_member_str(w, "openrpc", "1.2.6");
    json_write_key(w, "info");
    json_write_object_begin(w);
    json_write_member_str(w, "title", "Postern, a mail gateway");
    json_write_member_str(w, "version", version);
    json_write_object_end(w);
    json_write_key(w, "x-api");
    json_write_object_begin(w);
    json_write_member_int(w, "major", RPC_API_MAJOR);
    json_write_member_int(w, "minor", RPC_API_MINOR);
    json_write_object_end(w);
    json_write_key(w, "x-features");
    json_write_array_begin(w);
    for (size_t i = 0; rpc_features[i]; i++)
        json_write_str(w, rpc_features[i]);
    json_write_array_end(w);
    json_write_key(w, "methods");
    json_write_array_begin(w);
    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++) {
        const struct rpc_method *m = rpc_method_row((enum rpc_method_id) id);
        write_method(w, m, m->name);
        for (size_t i = 0; i < ARRAY_LEN(m->aliases) && m->aliases[i]; i++)
            write_method(w, m, m->aliases[i]);
    }
    json_write_array_end(w);
    write_components(w);
    json_write_object_end(w);
}
