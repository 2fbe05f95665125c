/* SPDX-License-Identifier: MIT */
/* Writes postern-methods(7) from the method table to standard output; run while building. */
#include "rpc_discover.h"

#include <stdio.h>
#include <stdlib.h>

/* Text as roff wants it: no line may begin with a control character; `x` is set in bold. */
static void put_text(const char *s)
{
    bool bold = false;

    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else if ((unsigned char) *s == 0xe2 && (unsigned char) s[1] == 0x80 && (unsigned char) s[2] == 0xa6)
            fputs("...", stdout), s += 2;
        else if (*s == '`')
            fputs((bold = !bold) ? "\\fB" : "\\fR", stdout);
        else if (*s == '\n' && s[1] == '\n')
            fputs("\n.PP\n", stdout), s++;
        else if ((*s == '.' || *s == '\'') && s[-1] == '\n')
            printf("\\&%c", *s);
        else
            putchar(*s);
    }
}

/* A paragraph; the first character is kept from being a request. */
static void put_paragraph(const char *s)
{
    fputs("\\&", stdout);
    put_text(s);
    putchar('\n');
}

static void put_fields(const struct rpc_object *object, bool result)
{
    for (size_t i = 0; object && i < object->n_fields; i++) {
        const struct rpc_field *f = &object->fields[i];
        fputs(".TP\n.BR ", stdout);
        put_text(f->name);
        printf(" \" (");
        put_text(rpc_type_name(f));
        if (f->type == RPC_OBJECTS && f->object->name)
            printf(" of %s", f->object->name);
        if (!result && f->flags & RPC_REQUIRED)
            printf(", required");
        printf(")\"\n");
        put_paragraph(f->doc);
        for (size_t j = 0; f->names && f->names[j]; j++) {
            fputs(j ? ", " : "One of: ", stdout);
            put_text(f->names[j]);
            fputs(f->names[j + 1] ? "" : ".\n", stdout);
        }
        if (f->initial) {
            fputs("Default: ", stdout);
            put_text(f->initial);
            fputs(".\n", stdout);
        }
    }
}

static void put_where(const struct rpc_method *m)
{
    static const char *const where[] = {
        [RPC_LOCAL] = "", [RPC_POOLED] = "Takes an account.", [RPC_SESSION] = "Works in a session only.",
        [RPC_BOTH] = "Takes an account, or works in a session."};
    static const char *const permission[] = {
        [RPC_ALLOW_ALL] = "Every peer may call it.",       [RPC_ALLOW_PEER] = "A peer with any right may call it.",
        [RPC_ALLOW_USE] = "Needs any right on the account.", [RPC_ALLOW_SEND] = "Needs the right to send.",
        [RPC_ALLOW_READ] = "Needs the right to read.",     [RPC_ALLOW_WRITE] = "Needs the right to write.",
        [RPC_ALLOW_RAW] = "Needs the right to raw access.", [RPC_ALLOW_ADMIN] = "For administrators."};
    printf(".PP\n%s%s%s\n", where[m->where], where[m->where][0] ? " " : "", permission[m->permission]);
}

static void put_method(const struct rpc_method *m)
{
    bool any = false;

    printf(".SS %s\n", m->name);
    for (size_t i = 0; i < ARRAY_LEN(m->aliases) && m->aliases[i]; i++)
        printf("Also known as \\fB%s\\fR.\n.br\n", m->aliases[i]);
    put_text(m->summary);
    puts(".");
    if (m->doc[0]) {
        puts(".PP");
        put_paragraph(m->doc);
    }
    put_where(m);
    if (m->params->n_fields) {
        puts(".PP\nParameters:\n.RS");
        put_fields(m->params, false);
        puts(".RE");
    }
    if (m->result->n_fields) {
        puts(".PP\nResult:\n.RS");
        put_fields(m->result, true);
        puts(".RE");
    }
    for (int kind = FAULT_NONE + 1; kind < FAULT_KIND_COUNT; kind++) {
        const char *name = fault_kind_name((enum fault_kind) kind);
        if (m->errors >> kind & 1 && name) {
            printf("%s%s", any ? ", " : ".PP\nErrors: ", name);
            any = true;
        }
    }
    if (any)
        puts(".");
}

/* Named objects that fields refer to, each once. */
static void put_objects(void)
{
    const struct rpc_object *all[128];
    size_t n = 0;

    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++) {
        const struct rpc_method *m = rpc_method_row((enum rpc_method_id) id);
        const struct rpc_object *from[130] = {m->params, m->result};
        size_t n_from = 2;
        for (size_t i = 0; i < n_from; i++)
            for (size_t j = 0; j < from[i]->n_fields; j++) {
                const struct rpc_object *inner = from[i]->fields[j].object;
                bool known = !inner || !inner->name || n == ARRAY_LEN(all);
                for (size_t k = 0; k < n && !known; k++)
                    known = all[k] == inner;
                if (!known)
                    all[n++] = from[n_from++] = inner;
            }
    }
    for (size_t i = 0; i < n; i++) {
        printf(".SS %s\n", all[i]->name);
        put_text(all[i]->doc);
        puts("\n.RS");
        put_fields(all[i], all[i]->size == 0);
        puts(".RE");
    }
}

int main(int argc, char **argv)
{
    printf(".\\\" made from the method table by gen_methods_man\n"
           ".TH POSTERN\\-METHODS 7 \"\" \"postern %s\" \"Postern\"\n"
           ".SH NAME\npostern\\-methods \\- the calls of the mail gateway\n"
           ".SH DESCRIPTION\n"
           ".BR posternd (8)\nserves these methods on its socket as JSON\\-RPC 2.0, one JSON text a line. Parameters are by "
           "name. The same table is what\n.B rpc.discover\nand\n.B postern help\nshow.\n"
           ".PP\nContent stands for bytes: exactly one of\n.BR {\"text\"} , {\"base64\"}\nand\n.BR {\"fd\"} ,\n"
           "the index of a descriptor that travels with the message; a bare string stands for text.\n"
           ".SH PARAMETERS OF EVERY METHOD\n",
           argc > 1 ? argv[1] : "");
    put_fields(&rpc_common_object, false);
    puts(".SH WHERE A MAIL CALL RUNS\nExactly one of these:");
    put_fields(&rpc_where_object, false);
    puts(".SH METHODS");
    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++)
        put_method(rpc_method_row((enum rpc_method_id) id));
    puts(".SH OBJECTS");
    put_objects();
    puts(".SH SEE ALSO\n.BR postern (1),\n.BR posternd (8)");
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
