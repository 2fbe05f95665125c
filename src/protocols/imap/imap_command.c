/* SPDX-License-Identifier: MIT */
/* Commands onto the wire: what each kind looks like, and what may not stand in it. */
#include "imap_internal.h"

#include "imap_mailbox.h"

#include <errno.h>

/* What a command consists of behind its name, in order:
 * m mailbox, o the other mailbox, p list pattern, S set, I items in parentheses, i the same without, F flags, Q search,
 * N names and values, A append's rest, a items as strings, e the same in parentheses, t `text` as a string, O METADATA's
 * options (left out where there are none), g the generic text; a command with a set is preceded by UID unless it takes numbers. */
static const struct {
    const char *name, *stage, *arguments;
    int needs; /* capability; IMAP_CAP_COUNT: none */
    bool changes;
} kinds[IMAP_KIND_COUNT] = {
    [IMAP_SELECT] = {"SELECT", "select", "m", IMAP_CAP_COUNT},
    [IMAP_EXAMINE] = {"EXAMINE", "examine", "m", IMAP_CAP_COUNT},
    [IMAP_LIST_COMMAND] = {"LIST", "list", "mp", IMAP_CAP_COUNT},
    [IMAP_LSUB] = {"LSUB", "lsub", "mp", IMAP_CAP_COUNT},
    [IMAP_STATUS] = {"STATUS", "status", "mI", IMAP_CAP_COUNT},
    [IMAP_FETCH] = {"FETCH", "fetch", "SI", IMAP_CAP_COUNT},
    [IMAP_SEARCH] = {"SEARCH", "search", "Q", IMAP_CAP_COUNT},
    [IMAP_STORE] = {"STORE", "store", "SF", IMAP_CAP_COUNT, true},
    [IMAP_COPY] = {"COPY", "copy", "So", IMAP_CAP_COUNT, true},
    [IMAP_MOVE] = {"MOVE", "move", "So", IMAP_CAP_MOVE, true},
    [IMAP_EXPUNGE] = {"EXPUNGE", "expunge", "S", IMAP_CAP_COUNT, true},
    [IMAP_APPEND] = {"APPEND", "append", "mA", IMAP_CAP_COUNT, true},
    [IMAP_NOOP] = {"NOOP", "noop", "", IMAP_CAP_COUNT},
    [IMAP_CHECK] = {"CHECK", "check", "", IMAP_CAP_COUNT},
    [IMAP_CLOSE] = {"CLOSE", "close", "", IMAP_CAP_COUNT, true},
    [IMAP_UNSELECT] = {"UNSELECT", "unselect", "", IMAP_CAP_UNSELECT},
    [IMAP_CREATE] = {"CREATE", "create", "m", IMAP_CAP_COUNT, true},
    [IMAP_DELETE] = {"DELETE", "delete", "m", IMAP_CAP_COUNT, true},
    [IMAP_RENAME] = {"RENAME", "rename", "mo", IMAP_CAP_COUNT, true},
    [IMAP_SUBSCRIBE] = {"SUBSCRIBE", "subscribe", "m", IMAP_CAP_COUNT, true},
    [IMAP_UNSUBSCRIBE] = {"UNSUBSCRIBE", "unsubscribe", "m", IMAP_CAP_COUNT, true},
    [IMAP_CAPABILITY] = {"CAPABILITY", "capability", "", IMAP_CAP_COUNT},
    [IMAP_NAMESPACE] = {"NAMESPACE", "namespace", "", IMAP_CAP_NAMESPACE},
    [IMAP_ID] = {"ID", "id", "N", IMAP_CAP_ID},
    [IMAP_ENABLE] = {"ENABLE", "enable", "i", IMAP_CAP_ENABLE},
    [IMAP_LOGOUT] = {"LOGOUT", "logout", "", IMAP_CAP_COUNT},
    [IMAP_GETQUOTA] = {"GETQUOTA", "getquota", "a", IMAP_CAP_QUOTA},
    [IMAP_GETQUOTAROOT] = {"GETQUOTAROOT", "getquotaroot", "m", IMAP_CAP_QUOTA},
    [IMAP_SETQUOTA] = {"SETQUOTA", "setquota", "tI", IMAP_CAP_QUOTA, true},
    [IMAP_GETACL] = {"GETACL", "getacl", "m", IMAP_CAP_ACL},
    [IMAP_SETACL] = {"SETACL", "setacl", "ma", IMAP_CAP_ACL, true},
    [IMAP_DELETEACL] = {"DELETEACL", "deleteacl", "ma", IMAP_CAP_ACL, true},
    [IMAP_LISTRIGHTS] = {"LISTRIGHTS", "listrights", "ma", IMAP_CAP_ACL},
    [IMAP_MYRIGHTS] = {"MYRIGHTS", "myrights", "m", IMAP_CAP_ACL},
    [IMAP_GETMETADATA] = {"GETMETADATA", "getmetadata", "Ome", IMAP_CAP_METADATA},
    [IMAP_SETMETADATA] = {"SETMETADATA", "setmetadata", "mN", IMAP_CAP_METADATA, true},
    [IMAP_GENERIC] = {"", "exec", "g", IMAP_CAP_COUNT, true},
};

const char *imap_kind_name(enum imap_kind kind)
{
    return kinds[kind].name;
}

const char *imap_kind_stage(enum imap_kind kind)
{
    return kinds[kind].stage;
}

bool imap_kind_changes(enum imap_kind kind)
{
    return kinds[kind].changes;
}

static void write_mailbox(struct imap_client *c, struct slice name, bool pattern)
{
    struct writer *w = &c->writer;
    struct buffer encoded;
    buffer_init(&encoded, IMAP_TEXT_MAX);
    int ret = imap_mailbox_encode(name, &encoded);
    struct slice wire = buffer_slice(&encoded);
    if (ret < 0)
        w->error = w->error ? w->error : ret == -EMSGSIZE ? -EINVAL : ret;
    else if (pattern)
        writer_string(w, wire);
    else
        writer_astring(w, wire);
    buffer_done(&encoded);
}

static void write_items(struct writer *w, const struct imap_command *cmd, bool parentheses)
{
    if (cmd->n_items == 0 && cmd->kind != IMAP_SETQUOTA)
        w->error = w->error ? w->error : -EINVAL;
    if (parentheses)
        writer_char(w, '(');
    for (size_t i = 0; i < cmd->n_items; i++) {
        if (i)
            writer_char(w, ' ');
        if (cmd->kind != IMAP_FETCH)
            writer_atom(w, cmd->items[i]);
        else if (imap_item_is_valid(cmd->items[i]))
            writer_raw(w, cmd->items[i]);
        else
            w->error = w->error ? w->error : -EINVAL;
    }
    if (parentheses)
        writer_char(w, ')');
    if (cmd->kind == IMAP_FETCH && cmd->modseq) {
        writer_raw_str(w, " (CHANGEDSINCE ");
        writer_number(w, cmd->modseq);
        writer_char(w, ')');
    }
}

static void write_flag_list(struct writer *w, const struct slice *flags, size_t n)
{
    writer_char(w, '(');
    for (size_t i = 0; i < n; i++) {
        if (i)
            writer_char(w, ' ');
        writer_flag(w, flags[i]);
    }
    writer_char(w, ')');
}

static void write_store(struct writer *w, const struct imap_command *cmd)
{
    static const char *const names[] = {"FLAGS", "+FLAGS", "-FLAGS"};
    if (cmd->modseq) {
        writer_raw_str(w, "(UNCHANGEDSINCE ");
        writer_number(w, cmd->modseq);
        writer_raw_str(w, ") ");
    }
    writer_raw_str(w, names[cmd->store]);
    if (cmd->silent)
        writer_raw_str(w, ".SILENT");
    writer_char(w, ' ');
    write_flag_list(w, cmd->items, cmd->n_items);
}

static void write_append(struct writer *w, const struct imap_command *cmd)
{
    enum writer_literals literals = w->literals;
    if (cmd->n_items) {
        write_flag_list(w, cmd->items, cmd->n_items);
        writer_char(w, ' ');
    }
    if (cmd->date.len) {
        writer_quoted(w, cmd->date);
        writer_char(w, ' ');
    }
    /* The round trip is worth it: the server can refuse before the message is sent, and a connection that has died
     * unnoticed has certainly stored nothing. */
    w->literals = WRITER_LITERAL_SYNC;
    writer_literal_announce(w, cmd->body_size, NULL);
    w->literals = literals;
}

static void write_id(struct writer *w, const struct imap_command *cmd)
{
    if (cmd->n_items == 0) {
        writer_raw_str(w, "NIL");
        return;
    }
    writer_char(w, '(');
    for (size_t i = 0; i < cmd->n_items; i++) {
        if (i)
            writer_char(w, ' ');
        if (i % 2 && !cmd->items[i].data)
            writer_raw_str(w, "NIL");
        else
            writer_string(w, cmd->items[i]);
    }
    writer_char(w, ')');
}

/* --- SEARCH --- */

/* How many strings follow a search key. */
static unsigned strings_of_key(struct slice key)
{
    static const struct slice ones[] = {SLICE("BCC"),  SLICE("BODY"), SLICE("CC"),       SLICE("FROM"), SLICE("SUBJECT"),
                                        SLICE("TEXT"), SLICE("TO"),   SLICE("X-GM-RAW"), SLICE("X-GM-LABELS")};
    if (slice_eq_ci(key, SLICE("HEADER")))
        return 2;
    for (size_t i = 0; i < ARRAY_LEN(ones); i++)
        if (slice_eq_ci(key, ones[i]))
            return 1;
    return 0;
}

struct search {
    struct writer *w;
    unsigned strings; /* that are due */
    unsigned depth;
    bool first;
};

/* A sequence set, a number, "$": what is no atom and yet a search key. */
static bool is_set(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_digit(s.data[i]) && s.data[i] != ':' && s.data[i] != ',' && s.data[i] != '*')
            return false;
    return s.len > 0;
}

static void search_word(struct search *s, struct slice word, bool quoted)
{
    if (!s->first)
        writer_char(s->w, ' ');
    s->first = false;
    if (s->strings > 0) {
        s->strings--;
        writer_astring(s->w, word);
        return;
    }
    if (quoted)
        writer_string(s->w, word);
    else if (is_set(word))
        writer_raw(s->w, word);
    else
        writer_atom(s->w, word);
    if (!quoted)
        s->strings = strings_of_key(word);
}

static void search_parenthesis(struct search *s, bool open)
{
    if (open) {
        if (!s->first)
            writer_char(s->w, ' ');
        writer_char(s->w, '(');
        s->depth++;
    } else {
        writer_char(s->w, ')');
        if (s->depth-- == 0)
            s->w->error = s->w->error ? s->w->error : -EINVAL;
    }
    s->first = open;
    if (s->strings > 0 || s->depth > IMAP_DEPTH_MAX)
        s->w->error = s->w->error ? s->w->error : -EINVAL;
}

/* A query as people write it: words, "quoted strings", parentheses. */
static void search_text(struct search *s, struct slice text)
{
    struct buffer scratch;
    buffer_init(&scratch, 1024 * 1024);
    while (s->w->error == 0) {
        enum imap_token_type type = IMAP_TOKEN_END;
        struct imap_value v = {.type = IMAP_NIL};
        struct slice word;
        buffer_clear(&scratch);
        if (imap_token_next(&text, &type, &v) < 0) {
            s->w->error = -EINVAL;
            break;
        }
        if (type == IMAP_TOKEN_END)
            break;
        if (type != IMAP_TOKEN_VALUE) {
            search_parenthesis(s, type == IMAP_TOKEN_OPEN);
            continue;
        }
        if (v.type == IMAP_NIL)
            v.type = IMAP_ATOM;
        int ret = imap_value_text(&v, &scratch, &word);
        if (ret < 0)
            s->w->error = ret == -ENOMEM ? ret : -EINVAL;
        else
            search_word(s, word, v.type != IMAP_ATOM);
    }
    buffer_done(&scratch);
}

static bool has_eight_bit(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] >= 128)
            return true;
    return false;
}

static void write_search(struct imap_client *c, const struct imap_command *cmd)
{
    struct writer *w = &c->writer;
    struct search s = {.w = w, .first = true};
    bool eight_bit = has_eight_bit(cmd->text);
    for (size_t i = 0; i < cmd->n_terms; i++)
        eight_bit = eight_bit || has_eight_bit(cmd->terms[i].text);
    if (imap_has(c, IMAP_CAP_ESEARCH))
        writer_raw_str(w, "RETURN (ALL) ");
    if (eight_bit)
        writer_raw_str(w, "CHARSET UTF-8 ");
    if (!cmd->terms)
        search_text(&s, cmd->text);
    for (size_t i = 0; i < cmd->n_terms && w->error == 0; i++) {
        const struct imap_term *t = &cmd->terms[i];
        if (t->kind == IMAP_TERM_OPEN || t->kind == IMAP_TERM_CLOSE)
            search_parenthesis(&s, t->kind == IMAP_TERM_OPEN);
        else if (t->kind == IMAP_TERM_WORD && s.strings == 0)
            search_text(&s, t->text); /* "SINCE 1-Jan-2026" may be one word */
        else
            search_word(&s, t->text, t->kind == IMAP_TERM_STRING);
    }
    if (s.depth > 0 || s.strings > 0)
        w->error = w->error ? w->error : -EINVAL;
    if (s.first)
        writer_raw_str(w, "ALL");
}

/* A line that announces a literal would make the server take the next command for its bytes. */
static void write_generic(struct writer *w, struct slice text)
{
    uint64_t n;
    size_t len;
    if (text.len == 0 || imap_literal_at_end(text, UINT64_MAX, &n, &len) != 0)
        w->error = w->error ? w->error : -EINVAL;
    else
        writer_raw(w, text);
}

static void write_strings(struct writer *w, const struct imap_command *cmd, bool parentheses)
{
    if (parentheses)
        writer_char(w, '(');
    for (size_t i = 0; i < cmd->n_items; i++) {
        if (i)
            writer_char(w, ' ');
        writer_astring(w, cmd->items[i]);
    }
    if (parentheses)
        writer_char(w, ')');
}

/* RFC 5464 section 4.2.1 and 4.2.2. */
static void write_metadata_options(struct writer *w, const struct imap_command *cmd)
{
    writer_char(w, '(');
    if (cmd->modseq) {
        writer_raw_str(w, "MAXSIZE ");
        writer_number(w, cmd->modseq);
    }
    if (cmd->text.len) {
        writer_raw_str(w, cmd->modseq ? " DEPTH " : "DEPTH ");
        writer_atom(w, cmd->text);
    }
    writer_char(w, ')');
}

static void write_argument(struct imap_client *c, const struct imap_command *cmd, char argument)
{
    struct writer *w = &c->writer;
    switch (argument) {
    case 'm':
        write_mailbox(c, cmd->mailbox, false);
        break;
    case 'o':
        write_mailbox(c, cmd->other, false);
        break;
    case 'p':
        write_mailbox(c, cmd->other, true);
        break;
    case 'S':
        imap_set_write(cmd->set, w);
        break;
    case 'I':
        write_items(w, cmd, true);
        break;
    case 'i':
        write_items(w, cmd, false);
        break;
    case 'F':
        write_store(w, cmd);
        break;
    case 'Q':
        write_search(c, cmd);
        break;
    case 'N':
        write_id(w, cmd);
        break;
    case 'A':
        write_append(w, cmd);
        break;
    case 'a':
        write_strings(w, cmd, false);
        break;
    case 'e':
        write_strings(w, cmd, true);
        break;
    case 't':
        writer_astring(w, cmd->text);
        break;
    case 'O':
        write_metadata_options(w, cmd);
        break;
    case 'g':
        write_generic(w, cmd->text);
        break;
    }
}

int imap_command_write(struct imap_client *c, struct imap_command *cmd)
{
    struct writer *w = &c->writer;
    writer_begin(w);
    writer_raw_str(w, cmd->tag);
    if (!cmd->numbers && (cmd->set || cmd->kind == IMAP_SEARCH))
        writer_raw_str(w, " UID");
    if (kinds[cmd->kind].name[0]) {
        writer_char(w, ' ');
        writer_raw_str(w, kinds[cmd->kind].name);
    }
    for (const char *a = kinds[cmd->kind].arguments; *a; a++) {
        if (*a == 'S' && !cmd->set)
            continue; /* EXPUNGE of all */
        if (*a == 'O' && !cmd->modseq && !cmd->text.len)
            continue;
        writer_char(w, ' ');
        write_argument(c, cmd, *a);
    }
    return cmd->kind == IMAP_APPEND ? writer_finish(w) : writer_end(w);
}

static int check_extensions(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault)
{
    int cap = kinds[cmd->kind].needs;
    if (cmd->kind == IMAP_EXPUNGE && cmd->set)
        cap = IMAP_CAP_UIDPLUS;
    if ((cmd->kind == IMAP_FETCH || cmd->kind == IMAP_STORE) && cmd->modseq)
        cap = IMAP_CAP_CONDSTORE;
    if (cap == IMAP_CAP_COUNT || imap_has(c, (enum imap_cap) cap))
        return 0;
    /* RFC 9051 made these part of the protocol. */
    if (imap_has(c, IMAP_CAP_IMAP4REV2) && cap != IMAP_CAP_CONDSTORE)
        return 0;
    fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, kinds[cmd->kind].stage, "the server does not offer %s",
              imap_cap_name((enum imap_cap) cap));
    return -ENOTSUP;
}

/* Writes the command where nobody sees it, so that what goes out later cannot be refused. */
int imap_command_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault)
{
    const char *stage = kinds[cmd->kind].stage;
    bool set_needed = cmd->kind == IMAP_FETCH || cmd->kind == IMAP_STORE || cmd->kind == IMAP_COPY || cmd->kind == IMAP_MOVE;
    int ret = check_extensions(c, cmd, fault);
    if (ret < 0)
        return ret;
    if ((set_needed || cmd->set) && (!cmd->set || imap_set_is_empty(cmd->set)))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "no message is named");
    struct imap_client dry = {.caps = c->caps, .config = c->config};
    struct imap_command copy = *cmd;
    writer_init(&dry.writer, IMAP_OUTPUT_MAX / 2);
    dry.writer.literals = c->writer.literals;
    dry.writer.utf8 = c->writer.utf8;
    copy.tag[0] = '\0';
    ret = imap_command_write(&dry, &copy);
    writer_done(&dry.writer);
    if (ret == -ENOMEM)
        return fault_set(fault, ret, FAULT_INTERNAL, stage, "out of memory");
    if (ret == -EMSGSIZE)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "the command is too long");
    if (ret < 0)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "a value may not stand in %s",
                         kinds[cmd->kind].name[0] ? kinds[cmd->kind].name : "a command");
    return 0;
}
