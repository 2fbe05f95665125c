/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_AS_TEXT_MAX (64u << 20)

int cli_params_init(const struct cli *cli, struct cli_params *p)
{
    *p = (struct cli_params){.object = json_object()};
    if (!p->object)
        return cli_fail(cli, EX_OSERR, "out of memory");
    return 0;
}

void cli_params_done(struct cli_params *p)
{
    json_decref(p->object);
    p->object = NULL;
    for (size_t i = 0; i < p->n_fds; i++)
        close(p->fds[i]);
    p->n_fds = 0;
}

int cli_open_file(const struct cli *cli, const char *path)
{
    int fd =
        strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -cli_fail(cli, EX_NOINPUT, "%s: %s", path, strerror(errno));
    return fd;
}

int cli_params_add_fd(const struct cli *cli, struct cli_params *p, int fd, json_t **ret_content)
{
    if (p->n_fds == ARRAY_LEN(p->fds))
        return cli_fail(cli, EX_USAGE, "more than %zu files in one call", ARRAY_LEN(p->fds));
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    json_t *content = copy < 0 ? NULL : postern_content_new_fd((int) p->n_fds);
    if (!content) {
        if (copy >= 0)
            close(copy);
        return cli_fail(cli, EX_OSERR, "%s", strerror(errno));
    }
    p->fds[p->n_fds++] = copy;
    *ret_content = content;
    return 0;
}

/* The whole file as a string. */
static int read_text(const struct cli *cli, const char *path, json_t **ret)
{
    int fd = cli_open_file(cli, path), status = 0;
    char *text = NULL;
    size_t len = 0;
    if (fd < 0)
        return -fd;
    json_t *content = postern_content_new_fd(0);
    int r = content ? postern_content_read(content, &fd, 1, &text, &len) : -ENOMEM;
    json_decref(content);
    close(fd);
    if (r < 0)
        status = cli_fail(cli, EX_IOERR, "%s: %s", path, strerror(-r));
    else if (len > FILE_AS_TEXT_MAX)
        status = cli_fail(cli, EX_DATAERR, "%s: too long for a text", path);
    else if (!(*ret = json_stringn(text, len)))
        status = cli_fail(cli, EX_DATAERR, "%s: not a text in UTF-8", path);
    free(text);
    return status;
}

static const struct rpc_field *find_field(const struct rpc_object *object, struct slice name)
{
    for (size_t i = 0; object && i < object->n_fields; i++)
        if (slice_eq(slice_of_str(object->fields[i].name), name))
            return &object->fields[i];
    return NULL;
}

static const struct rpc_field *find_param(const struct rpc_method *row, struct slice name)
{
    const struct rpc_field *field = find_field(row->params, name);
    if (!field)
        field = find_field(&rpc_common_object, name);
    if (!field && row->where != RPC_LOCAL)
        field = find_field(&rpc_where_object, name);
    return field;
}

static int bad_value(const struct cli *cli, const char *name, const char *value, const char *wanted)
{
    return cli_fail(cli, EX_USAGE, "%s: '%s' is not %s", name, value, wanted);
}

static int read_bool(const struct cli *cli, const char *name, const char *value, json_t **ret)
{
    static const char *const words[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(value, words[i]) == 0) {
            *ret = json_boolean(i < 4);
            return 0;
        }
    return bad_value(cli, name, value, "true or false");
}

static int read_int(const struct cli *cli, const char *name, const char *value, json_t **ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end)
        return bad_value(cli, name, value, "a whole number");
    *ret = json_integer(n);
    return 0;
}

/* Whatever it looks like: for options and free values. */
static json_t *guess(const char *value)
{
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (!errno && end != value && !*end && value[0] != '+' && !(value[0] == '0' && value[1]))
        return json_integer(n);
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        return json_boolean(value[0] == 't');
    return json_string(value);
}

/* The text of a word as the value that its field wants. */
static int typed_value(const struct cli *cli, const struct rpc_field *field, const char *name, const char *value,
                       json_t **ret)
{
    static const char digits[] = "0123456789";
    *ret = NULL;
    switch (field->type) {
    case RPC_BOOL:
        return read_bool(cli, name, value, ret);
    case RPC_INT:
    case RPC_MS:
        return read_int(cli, name, value, ret);
    case RPC_UIDVALIDITY:
        *ret = value[0] && strspn(value, digits) == strlen(value) ? json_integer(strtoll(value, NULL, 10))
                                                                  : json_string(value);
        break;
    case RPC_ID:
        *ret = guess(value);
        break;
    case RPC_ANY:
        *ret = json_loads(value, JSON_DECODE_ANY, NULL);
        if (!*ret)
            *ret = json_string(value);
        break;
    case RPC_CONTENT:
        *ret = json_string(value);
        break;
    case RPC_STRINGS:
    case RPC_INTS:
        *ret = field->flags & RPC_ONE ? json_string(value) : json_pack("[s]", value);
        break;
    case RPC_OBJECT:
    case RPC_OBJECTS:
    case RPC_MAP:
    case RPC_OPTIONS:
    case RPC_MAP_OF:
    case RPC_UID_PAIRS:
        return cli_fail(cli, EX_USAGE, "%s: give its members as %s.NAME=VALUE, or all of it as %s:=JSON", name, name,
                        name);
    case RPC_STRING:
    case RPC_ENUM:
    case RPC_ADDRESSES:
    case RPC_SET:
    case RPC_TERMS:
        *ret = json_string(value);
        break;
    }
    return *ret ? 0 : cli_fail(cli, EX_DATAERR, "%s: not a text in UTF-8", name);
}

/* A member that is named again becomes, or grows, an array. */
static int put(const struct cli *cli, json_t *object, const char *key, json_t *value)
{
    json_t *before = json_object_get(object, key);
    int r;
    if (!before) {
        r = json_object_set_new(object, key, value);
    } else if (json_is_array(before)) {
        r = json_is_array(value) ? json_array_extend(before, value) : json_array_append(before, value);
        json_decref(value);
    } else {
        json_t *array = json_pack("[O]", before);
        r = !array || json_array_append(array, value) || json_object_set(object, key, array);
        json_decref(array);
        json_decref(value);
    }
    return r ? cli_fail(cli, EX_OSERR, "out of memory") : 0;
}

/* Follows a dotted name: the object that holds the last part, made on the way, and the last part's field. */
static int walk(const struct cli *cli, struct cli_params *p, const struct rpc_method *row, char *name,
                json_t **ret_object, char **ret_key, const struct rpc_field **ret_field)
{
    static const struct rpc_field free_field = {.name = "", .type = RPC_STRING};
    static const struct rpc_field option_field = {.name = "", .type = RPC_ID};
    const struct rpc_field *field = NULL;
    json_t *object = p->object;
    for (char *part = name;;) {
        char *dot = strchr(part, '.');
        size_t len = dot ? (size_t) (dot - part) : strlen(part);
        bool in_map = field && (field->type == RPC_MAP || field->type == RPC_OPTIONS || field->type == RPC_MAP_OF);
        if (in_map) {
            /* Names in a free map may hold dots. */
            field = field->type == RPC_OPTIONS ? &option_field : &free_field;
            dot = NULL;
        } else if (field && (field->type == RPC_OBJECT || field->type == RPC_OBJECTS)) {
            field = find_field(field->object, slice_of(part, len));
        } else {
            field = row ? find_param(row, slice_of(part, len)) : &free_field;
        }
        if (!field)
            return cli_fail(cli, EX_USAGE, "%s has no parameter '%s' (see: postern help %s)", row->name, name,
                            row->name);
        if (!dot) {
            *ret_object = object;
            *ret_key = part;
            *ret_field = field;
            return 0;
        }
        *dot = 0;
        json_t *inner = json_object_get(object, part);
        if (!inner) {
            inner = json_object();
            if (json_object_set_new(object, part, inner) < 0)
                return cli_fail(cli, EX_OSERR, "out of memory");
        }
        if (!json_is_object(inner))
            return cli_fail(cli, EX_USAGE, "%s is no object", name);
        *dot = '.';
        object = inner;
        part = dot + 1;
    }
}

static int value_of(const struct cli *cli, struct cli_params *p, const struct rpc_field *field, const char *name,
                    const char *value, bool is_json, json_t **ret)
{
    json_error_t error;
    if (is_json) {
        *ret = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        return *ret ? 0 : cli_fail(cli, EX_USAGE, "%s: not JSON: %s", name, error.text);
    }
    if (value[0] != '@')
        return typed_value(cli, field, name, value, ret);
    if (strcmp(value, "@-") == 0) {
        if (p->stdin_taken)
            return cli_fail(cli, EX_USAGE, "%s: stdin can be used once only", name);
        p->stdin_taken = true;
    }
    if (field->type != RPC_CONTENT)
        return read_text(cli, value + 1, ret);
    int fd = cli_open_file(cli, value + 1);
    if (fd < 0)
        return -fd;
    int r = cli_params_add_fd(cli, p, fd, ret);
    close(fd);
    return r;
}

int cli_params_add(const struct cli *cli, struct cli_params *p, const struct rpc_method *row, const char *word)
{
    const char *equal = strchr(word, '=');
    if (!equal || equal == word)
        return cli_fail(cli, EX_USAGE, "'%s' is not name=value, name:=json or name=@file", word);
    bool is_json = equal[-1] == ':';
    char *name = strndup(word, (size_t) (equal - word) - is_json), *key = NULL;
    const struct rpc_field *field = NULL;
    json_t *object = NULL, *value = NULL;
    if (!name)
        return cli_fail(cli, EX_OSERR, "out of memory");
    int r = walk(cli, p, row, name, &object, &key, &field);
    r = r ? r : value_of(cli, p, field, name, equal + 1, is_json, &value);
    r = r ? r : put(cli, object, key, value);
    free(name);
    return r;
}
