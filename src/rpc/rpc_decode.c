/* SPDX-License-Identifier: MIT */
#include "rpc_decode.h"

#include "rpc_decode_types.h"
#include "rpc_methods.h"

#include <errno.h>
#include <stdio.h>

/* ---- errors ------------------------------------------------------------------------------------------------- */

int rpc_refuse(struct rpc_decoder *d, const char *must)
{
    if (d->d->hint && !fault_is_set(d->fault))
        snprintf(d->d->hint->param, sizeof(d->d->hint->param), "%s", d->path);
    return fault_set(d->fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s %s", d->path, must);
}

int rpc_out_of_room(struct rpc_decoder *d)
{
    int r = fault_set(d->fault, -ENOMEM, FAULT_LIMIT, NULL, "the parameters take too much memory");
    if (d->fault->kind == FAULT_LIMIT && !d->fault->limit)
        d->fault->limit = "memory";
    return r;
}

size_t rpc_path_push(struct rpc_decoder *d, struct slice name)
{
    size_t was = d->path_len;
    int n = snprintf(d->path + was, sizeof(d->path) - was, "%s%.*s", was ? "." : "", (int) MIN(name.len, (size_t) 64),
                     name.data ? name.data : "");
    if (n > 0)
        d->path_len = MIN(was + (size_t) n, sizeof(d->path) - 1);
    return was;
}

size_t rpc_path_push_index(struct rpc_decoder *d, size_t index)
{
    size_t was = d->path_len;
    int n = snprintf(d->path + was, sizeof(d->path) - was, "[%zu]", index);
    if (n > 0)
        d->path_len = MIN(was + (size_t) n, sizeof(d->path) - 1);
    return was;
}

void rpc_path_pop(struct rpc_decoder *d, size_t was)
{
    d->path_len = was;
    d->path[was] = '\0';
}

/* ---- names like others -------------------------------------------------------------------------------------- */

#define SIMILAR_MAX 40

/* Edit distance with swaps of neighbours, on short names only. */
static unsigned distance(struct slice a, struct slice b)
{
    unsigned row[3][SIMILAR_MAX + 1];

    for (size_t j = 0; j <= b.len; j++)
        row[0][j] = (unsigned) j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned) i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = ascii_lower(a.data[i - 1]) == ascii_lower(b.data[j - 1]);
            unsigned best = last[j - 1] + !same;
            best = MIN(best, last[j] + 1);
            best = MIN(best, now[j - 1] + 1);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                best = MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
    }
    return row[a.len % 3][b.len];
}

const char *rpc_similar_name(struct slice name, const char *const *names, size_t n)
{
    const char *found = NULL;
    unsigned best = UINT32_MAX;

    if (name.len == 0 || name.len > SIMILAR_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        struct slice other = slice_of_str(names[i]);
        if (other.len > SIMILAR_MAX)
            continue;
        unsigned d = distance(name, other);
        if (d < best) {
            best = d;
            found = names[i];
        }
    }
    return best <= MAX(name.len / 3, (size_t) 1) ? found : NULL;
}

/* ---- one field ---------------------------------------------------------------------------------------------- */

static void set_default(const struct rpc_field *f, void *at)
{
    struct slice text = slice_of_str(f->initial);
    struct slice inner = text.len >= 2 ? slice_of(text.data + 1, text.len - 2) : SLICE_EMPTY;

    switch (f->type) {
    case RPC_BOOL:
        *(bool *) at = f->initial && slice_eq(text, SLICE("true"));
        break;
    case RPC_INT: {
        int64_t v = RPC_ABSENT;
        bool negative = text.len && text.data[0] == '-';
        uint64_t u;
        if (f->initial && slice_to_u64(slice_from(text, negative), INT64_MAX, &u))
            v = negative ? -(int64_t) u : (int64_t) u;
        *(int64_t *) at = v;
        break;
    }
    case RPC_MS: {
        uint64_t u = 0;
        if (f->initial && !slice_to_u64(text, UINT64_MAX, &u))
            u = 0;
        *(uint64_t *) at = u;
        break;
    }
    case RPC_STRING:
        *(struct slice *) at = f->initial ? inner : SLICE_EMPTY;
        break;
    case RPC_ENUM:
        *(int *) at = f->initial ? rpc_enum_index(f->names, inner) : RPC_ENUM_ABSENT;
        break;
    case RPC_STRINGS:
    case RPC_CONTENT:
    case RPC_ADDRESSES:
    case RPC_OBJECT:
    case RPC_OBJECTS:
    case RPC_MAP:
    case RPC_SET:
    case RPC_UIDVALIDITY:
    case RPC_TERMS:
    case RPC_OPTIONS:
    case RPC_ID:
    case RPC_ANY:
    case RPC_INTS:
    case RPC_UID_PAIRS:
    case RPC_MAP_OF:
        break; /* zeroed is absent */
    }
}

static void set_defaults(const struct rpc_object *object, void *out)
{
    for (size_t i = 0; i < object->n_fields; i++)
        set_default(&object->fields[i], (char *) out + object->fields[i].offset);
}

/* ---- objects ------------------------------------------------------------------------------------------------ */

static const struct rpc_field *find_field(const struct rpc_object *object, struct slice key, size_t *ret_index)
{
    for (size_t i = 0; i < object->n_fields; i++) {
        const char *name = object->fields[i].name;
        /* The first byte decides most comparisons. */
        if (key.len && name[0] == key.data[0] && strlen(name) == key.len && memcmp(name, key.data, key.len) == 0) {
            *ret_index = i;
            return &object->fields[i];
        }
    }
    return NULL;
}

/* An object is decoded by up to three tables: its own, and, for a method, those that calls share. */
#define TABLES 3
struct tables {
    const struct rpc_object *object[TABLES];
    uint64_t seen[TABLES];
};

static int unknown_key(struct rpc_decoder *d, const struct tables *t, struct slice key)
{
    const char *names[TABLES * 64];
    char shown[80];
    size_t n = 0;

    for (size_t i = 0; i < TABLES; i++)
        for (size_t j = 0; t->object[i] && j < t->object[i]->n_fields; j++)
            names[n++] = t->object[i]->fields[j].name;
    const char *similar = rpc_similar_name(key, names, n);
    fault_clean_text(shown, sizeof(shown), slice_to(key, 64));
    size_t was = rpc_path_push(d, slice_of_str(shown));
    if (d->d->hint && !fault_is_set(d->fault)) {
        snprintf(d->d->hint->param, sizeof(d->d->hint->param), "%s", d->path);
        d->d->hint->did_you_mean = similar;
    }
    int r = similar ? fault_set(d->fault, -EINVAL, FAULT_INVALID_PARAMS, NULL,
                                "%s is not a known parameter; did you mean %s?", d->path, similar)
                    : fault_set(d->fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s is not a known parameter", d->path);
    rpc_path_pop(d, was);
    return r;
}

static int decode_member(struct rpc_decoder *d, struct tables *t, struct slice key, void *out)
{
    for (size_t i = 0; i < TABLES; i++) {
        size_t index;
        const struct rpc_field *f = t->object[i] ? find_field(t->object[i], key, &index) : NULL;
        if (!f)
            continue;
        size_t was = rpc_path_push(d, key);
        int r = json_read_peek(&d->reader);
        if (r == JSON_TOKEN_NULL && f->flags & RPC_NULLABLE) {
            r = json_read_null(&d->reader);
        } else if (r >= 0) {
            t->seen[i] |= UINT64_C(1) << index;
            r = rpc_decode_field(d, f, (char *) out + f->offset);
        }
        rpc_path_pop(d, was);
        return r;
    }
    return unknown_key(d, t, key);
}

/* What only the whole object can tell about one of its fields. */
static int check_field(struct rpc_decoder *d, const struct rpc_field *f, bool seen, bool method)
{
    bool in_session = d->in_session;
    const char *must = NULL;

    if (!seen && f->flags & RPC_REQUIRED)
        must = "is required";
    else if (!seen && method && f->flags & RPC_POOLED_REQUIRED && !in_session)
        must = "is required where no session is named";
    else if (seen && method && f->flags & RPC_SESSION_ONLY && !in_session)
        must = "is for calls in a session only";
    else if (seen && method && f->flags & RPC_POOLED_ONLY && in_session)
        must = "is not for calls in a session";
    if (!must)
        return 0;
    size_t was = rpc_path_push(d, slice_of_str(f->name));
    int r = rpc_refuse(d, must);
    rpc_path_pop(d, was);
    return r;
}

/* "message, raw or messages" into `out`. */
static void list_names(const struct rpc_object *object, unsigned flag, char *out, size_t size)
{
    size_t left = 0, len = 0;

    for (size_t i = 0; i < object->n_fields; i++)
        left += (object->fields[i].flags & flag) != 0;
    out[0] = '\0';
    for (size_t i = 0; i < object->n_fields && len < size; i++)
        if (object->fields[i].flags & flag) {
            left--;
            int n = snprintf(out + len, size - len, "%s%s", object->fields[i].name,
                             left > 1 ? ", " : left == 1 ? " or " : "");
            len += n > 0 ? (size_t) n : 0;
        }
}

static int check_choice(struct rpc_decoder *d, const struct rpc_object *object, uint64_t seen, unsigned flag)
{
    char names[128], text[192];
    size_t n = 0, could = 0;

    for (size_t i = 0; i < object->n_fields; i++) {
        could += (object->fields[i].flags & flag) != 0;
        n += (object->fields[i].flags & flag) && seen >> i & 1;
    }
    if (n == 1 || (n == 0 && (could == 0 || flag == RPC_AT_MOST_ONE)))
        return 0;
    list_names(object, flag, names, sizeof(names));
    snprintf(text, sizeof(text), "%s of %s must be given", n > 1 && flag == RPC_AT_MOST_ONE ? "at most one" : "exactly one",
             names);
    if (d->path_len)
        return rpc_refuse(d, text);
    return fault_set(d->fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s", text);
}

static int check_object(struct rpc_decoder *d, const struct rpc_object *object, uint64_t seen, bool method)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < object->n_fields; i++)
        if (object->fields[i].flags &
            (RPC_REQUIRED | RPC_POOLED_REQUIRED | RPC_SESSION_ONLY | RPC_POOLED_ONLY))
            r = check_field(d, &object->fields[i], seen >> i & 1, method);
    if (r == 0)
        r = check_choice(d, object, seen, RPC_ONE_OF);
    if (r == 0)
        r = check_choice(d, object, seen, RPC_AT_MOST_ONE);
    return r;
}

static int read_members(struct rpc_decoder *d, struct tables *t, void *out)
{
    struct slice key;
    int r = json_read_object(&d->reader);

    if (r == -EINVAL)
        return rpc_refuse(d, "must be an object");
    while (r >= 0 && (r = json_read_member(&d->reader, &key)) == 1)
        r = decode_member(d, t, key, out);
    return r;
}

int rpc_decode_object(struct rpc_decoder *d, const struct rpc_object *object, void *out)
{
    struct tables t = {.object = {object}};

    set_defaults(object, out);
    int r = read_members(d, &t, out);
    return r < 0 ? r : check_object(d, object, t.seen[0], false);
}

/* ---- a method's parameters ---------------------------------------------------------------------------------- */

/* Whether account, options and session are as the method wants them; `seen` in the order of rpc_where_object. */
static int check_where(struct rpc_decoder *d, const struct rpc_method *method, uint64_t seen)
{
    enum rpc_where where = method->where;
    const char *text = NULL;
    bool pooled = seen & 3, session = seen >> 2 & 1;

    if ((seen & 3) == 3 || (pooled && session))
        text = "only one of account, options and session may be given";
    else if (where == RPC_POOLED && session)
        text = "session cannot be given: this method opens or uses a connection of its own";
    else if (where == RPC_POOLED && !pooled && !(method->flags & RPC_ACCOUNT_OPTIONAL))
        text = "account (or options) is required";
    else if (where == RPC_SESSION && !session)
        text = "session is required: this method works in a session only";
    else if (where == RPC_BOTH && !pooled && !session)
        text = "account (or options, or session) is required";
    if (!text)
        return 0;
    if (d->d->hint && !fault_is_set(d->fault))
        snprintf(d->d->hint->param, sizeof(d->d->hint->param), "%s", where == RPC_SESSION ? "session" : "account");
    return fault_set(d->fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s", text);
}

int rpc_decode_params(const struct rpc_decode *decode, const struct rpc_method *method, struct slice params, void *out,
                      struct fault *fault)
{
    struct rpc_decoder d = {.d = decode, .fault = fault};
    struct tables t = {.object = {method->params, &rpc_common_object,
                                  method->where == RPC_LOCAL ? NULL : &rpc_where_object}};
    int r = 0;

    for (size_t i = 0; i < TABLES; i++)
        if (t.object[i])
            set_defaults(t.object[i], out);
    if (params.len) {
        /* The envelope is around them. */
        json_reader_init_part(&d.reader, params, 1, decode->keys);
        r = read_members(&d, &t, out);
    }
    if (r == -EBADMSG)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s", d.reader.error ? d.reader.error : "malformed");
    if (r == -ENOMEM && !fault_is_set(fault))
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    if (r < 0)
        return r;
    if (method->where != RPC_LOCAL) {
        r = check_where(&d, method, t.seen[2]);
        if (r < 0)
            return r;
        d.in_session = t.seen[2] >> 2 & 1;
    }
    if (!method->params)
        return 0;
    r = check_object(&d, method->params, t.seen[0], true);
    for (size_t i = 0; r == 0 && d.in_session && i < method->params->n_fields; i++) {
        const struct rpc_field *f = &method->params->fields[i];
        /* Only strings have such defaults: INBOX, where the session has a mailbox of its own. */
        if (f->flags & RPC_POOLED_DEFAULT && f->type == RPC_STRING && !(t.seen[0] >> i & 1))
            *(struct slice *) (void *) ((char *) out + f->offset) = SLICE_EMPTY;
    }
    return r;
}
