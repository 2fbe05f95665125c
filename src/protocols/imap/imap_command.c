/* SPDX-License-Identifier: MIT */
/* Commands onto the wire: what each kind looks like, and what may not stand in it. */
#include "imap_internal.h"

#include "imap_generic.h"
#include "imap_mailbox.h"

#include <errno.h>

/* What a command consists of behind its name, in order:
 * m mailbox, o the other mailbox, p list pattern, S set, I items in parentheses, i the same without, F flags, Q search, X where to, q its keys, C their charset,
 * N names and values, a items as strings, e the same in parentheses, t `text` as a string, O METADATA's
 * options, K SELECT's, L and R LIST's, U CREATE's use (left out where there are none), n NOTIFY's events, g the generic text; a command with a set is preceded by UID unless it takes numbers. */
static const struct {
    const char *name, *stage, *arguments;
    int needs; /* capability; IMAP_CAP_COUNT: none */
    bool changes;
} kinds[IMAP_KIND_COUNT] = {
    [IMAP_SELECT] = {"SELECT", "select", "mK", IMAP_CAP_COUNT},
    [IMAP_EXAMINE] = {"EXAMINE", "examine", "mK", IMAP_CAP_COUNT},
    [IMAP_LIST_COMMAND] = {"LIST", "list", "LmpR", IMAP_CAP_COUNT},
    [IMAP_LSUB] = {"LSUB", "lsub", "mp", IMAP_CAP_COUNT},
    [IMAP_STATUS] = {"STATUS", "status", "mI", IMAP_CAP_COUNT},
    [IMAP_FETCH] = {"FETCH", "fetch", "SI", IMAP_CAP_COUNT},
    [IMAP_SEARCH] = {"SEARCH", "search", "Q", IMAP_CAP_COUNT},
    [IMAP_MULTISEARCH] = {"ESEARCH", "search", "XQ", IMAP_CAP_MULTISEARCH},
    [IMAP_SORT] = {"SORT", "sort", "ICq", IMAP_CAP_SORT},
    [IMAP_THREAD] = {"THREAD", "thread", "iCq", IMAP_CAP_COUNT},
    [IMAP_STORE] = {"STORE", "store", "SF", IMAP_CAP_COUNT, true},
    [IMAP_COPY] = {"COPY", "copy", "So", IMAP_CAP_COUNT, true},
    [IMAP_MOVE] = {"MOVE", "move", "So", IMAP_CAP_MOVE, true},
    [IMAP_EXPUNGE] = {"EXPUNGE", "expunge", "S", IMAP_CAP_COUNT, true},
    [IMAP_APPEND] = {"APPEND", "append", "m", IMAP_CAP_COUNT, true},
    [IMAP_REPLACE] = {"REPLACE", "replace", "Sm", IMAP_CAP_REPLACE, true},
    [IMAP_NOOP] = {"NOOP", "noop", "", IMAP_CAP_COUNT},
    [IMAP_CHECK] = {"CHECK", "check", "", IMAP_CAP_COUNT},
    [IMAP_CLOSE] = {"CLOSE", "close", "", IMAP_CAP_COUNT, true},
    [IMAP_UNSELECT] = {"UNSELECT", "unselect", "", IMAP_CAP_UNSELECT},
    [IMAP_UNAUTHENTICATE] = {"UNAUTHENTICATE", "unauthenticate", "", IMAP_CAP_UNAUTHENTICATE},
    [IMAP_CREATE] = {"CREATE", "create", "mU", IMAP_CAP_COUNT, true},
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
    [IMAP_IDLE] = {"IDLE", "idle", "", IMAP_CAP_IDLE},
    [IMAP_NOTIFY] = {"NOTIFY", "notify", "n", IMAP_CAP_NOTIFY},
    [IMAP_STARTTLS] = {"STARTTLS", "tls", "", IMAP_CAP_COUNT},
    [IMAP_LOGIN] = {"LOGIN", "auth", "", IMAP_CAP_COUNT},
    [IMAP_AUTHENTICATE] = {"AUTHENTICATE", "auth", "", IMAP_CAP_COUNT},
    [IMAP_PROXYAUTH] = {"PROXYAUTH", "proxyauth", "", IMAP_CAP_COUNT},
    [IMAP_RAW_SEND] = {"", "send", "", IMAP_CAP_COUNT, true},
    [IMAP_RAW_READ] = {"", "read", "", IMAP_CAP_COUNT},
    [IMAP_RAW_LINE] = {"", "readline", "", IMAP_CAP_COUNT},
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

int imap_kind_needs(enum imap_kind kind)
{
    return kinds[kind].needs;
}

bool imap_kind_changes(enum imap_kind kind)
{
    return kinds[kind].changes;
}

bool imap_command_changes(const struct imap_command *cmd)
{
    if (cmd->kind != IMAP_GENERIC)
        return kinds[cmd->kind].changes;
    enum imap_effect effect = imap_generic_effect(cmd->text, NULL);
    return effect != IMAP_EFFECT_READS && effect != IMAP_EFFECT_SELECTS && effect != IMAP_EFFECT_EXAMINES;
}

static void write_mailbox(struct imap_client *c, struct slice name, bool pattern)
{
    struct writer *w = &c->writer;
    struct buffer encoded;
    buffer_init(&encoded, IMAP_TEXT_MAX);
    int ret = imap_mailbox_give(name, c->utf8, &encoded);
    struct slice wire = buffer_slice(&encoded);
    if (ret < 0)
        w->error = w->error ? w->error : ret == -EMSGSIZE ? -EINVAL : ret;
    else if (pattern)
        writer_string(w, wire);
    else
        writer_astring(w, wire);
    buffer_done(&encoded);
}

/* What is asked for in place of an item. */
static struct slice item_for(const struct imap_client *c, struct slice item)
{
    static const struct slice same[][2] = {{SLICE("RFC822"), SLICE("BODY[]")},
                                           {SLICE("RFC822.HEADER"), SLICE("BODY.PEEK[HEADER]")},
                                           {SLICE("RFC822.TEXT"), SLICE("BODY[TEXT]")}};
    for (size_t i = 0; i < ARRAY_LEN(same) && imap_has_quirk(c, IMAP_QUIRK_ICLOUD_RFC822); i++)
        if (slice_eq_ci(item, same[i][0]))
            return same[i][1];
    return item;
}

static void write_items(struct imap_client *c, const struct imap_command *cmd, bool parentheses)
{
    struct writer *w = &c->writer;
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
            writer_raw(w, item_for(c, cmd->items[i]));
        else
            w->error = w->error ? w->error : -EINVAL;
    }
    if (parentheses)
        writer_char(w, ')');
    if (cmd->kind == IMAP_FETCH && (cmd->modseq || cmd->partial.len)) {
        writer_raw_str(w, " (");
        if (cmd->modseq) {
            writer_raw_str(w, "CHANGEDSINCE ");
            writer_number(w, cmd->modseq);
            if (cmd->vanished)
                writer_raw_str(w, " VANISHED");
        }
        if (cmd->partial.len) {
            writer_raw_str(w, cmd->modseq ? " PARTIAL " : "PARTIAL ");
            writer_atom(w, cmd->partial);
        }
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

static void write_store(struct imap_client *c, const struct imap_command *cmd)
{
    static const char *const names[] = {"FLAGS", "+FLAGS", "-FLAGS", "X-GM-LABELS", "+X-GM-LABELS", "-X-GM-LABELS"};
    struct writer *w = &c->writer;
    if (cmd->conditional) {
        writer_raw_str(w, "(UNCHANGEDSINCE ");
        writer_number(w, cmd->modseq);
        writer_raw_str(w, ") ");
    }
    writer_raw_str(w, names[cmd->store + (cmd->labels ? 3 : 0)]);
    if (cmd->silent)
        writer_raw_str(w, ".SILENT");
    writer_char(w, ' ');
    if (!cmd->labels) {
        write_flag_list(w, cmd->items, cmd->n_items);
        return;
    }
    writer_char(w, '(');
    for (size_t i = 0; i < cmd->n_items; i++) {
        if (i)
            writer_char(w, ' ');
        /* "\\Inbox" and its like are flags there, all else are names. */
        if (cmd->items[i].len && cmd->items[i].data[0] == '\\')
            writer_flag(w, cmd->items[i]);
        else
            write_mailbox(c, cmd->items[i], false);
    }
    writer_char(w, ')');
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
    struct imap_client *c;
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
    else if (is_set(word) || slice_eq(word, SLICE("$")))
        writer_raw(s->w, word);
    else
        writer_atom(s->w, word);
    if (!quoted) {
        s->strings = strings_of_key(word);
        s->c->needed |= imap_caps_of_search_key(word);
    }
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

static void write_returns(struct writer *w, const struct imap_command *cmd)
{
    static const char *const names[] = {"ALL", "MIN", "MAX", "COUNT", "SAVE", "PARTIAL"};
    unsigned returns = cmd->returns ? cmd->returns : IMAP_RETURN_ALL;
    bool first = true;
    writer_raw_str(w, "RETURN (");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!(returns & (1u << i)))
            continue;
        if (!first)
            writer_char(w, ' ');
        writer_raw_str(w, names[i]);
        first = false;
    }
    if (returns & IMAP_RETURN_PARTIAL) {
        writer_char(w, ' ');
        writer_atom(w, cmd->partial);
    }
    writer_raw_str(w, ") ");
}

static bool is_eight_bit(const struct imap_command *cmd)
{
    bool eight_bit = has_eight_bit(cmd->text);
    for (size_t i = 0; i < cmd->n_terms; i++)
        eight_bit = eight_bit || has_eight_bit(cmd->terms[i].text);
    return eight_bit;
}

/* search-key *(SP search-key) */
static void write_keys(struct imap_client *c, const struct imap_command *cmd)
{
    struct writer *w = &c->writer;
    struct search s = {.c = c, .w = w, .first = true};
    c->needed = 0;
    if (cmd->set) {
        writer_raw_str(w, "UID ");
        imap_set_write(cmd->set, w);
        s.first = false;
    }
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

static void write_search(struct imap_client *c, const struct imap_command *cmd)
{
    struct writer *w = &c->writer;
    if (imap_has(c, IMAP_CAP_ESEARCH) || cmd->kind == IMAP_MULTISEARCH)
        write_returns(w, cmd);
    if (is_eight_bit(cmd) && !c->utf8) /* RFC 6855 section 3: nothing else is possible there */
        writer_raw_str(w, "CHARSET UTF-8 ");
    write_keys(c, cmd);
}

/* scope-filter = "IN (" source-mbox ")" */
static void write_scope(struct imap_client *c, const struct imap_command *cmd)
{
    struct writer *w = &c->writer;
    writer_raw_str(w, "IN (");
    writer_atom(w, cmd->other);
    for (size_t i = 0; i < cmd->n_items; i++) {
        writer_raw_str(w, i ? " " : " (");
        write_mailbox(c, cmd->items[i], false);
    }
    writer_raw_str(w, cmd->n_items ? "))" : ")");
}

static void write_generic(struct writer *w, struct slice rest)
{
    struct slice text, literal;
    int got = rest.len ? 0 : -EINVAL;
    while (got >= 0 && (got = imap_generic_piece(&rest, &text, &literal)) > 0) {
        writer_raw(w, text);
        if (literal.data)
            writer_literal(w, literal);
    }
    if (got < 0)
        w->error = w->error ? w->error : -EINVAL;
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

/* RFC 5465 section 3.1: messages that come, go or change, in these mailboxes; each is told of as it is now, at once. */
static void write_notify(struct imap_client *c, const struct imap_command *cmd)
{
    struct writer *w = &c->writer;
    if (cmd->n_items == 0) {
        writer_raw_str(w, "NONE");
        return;
    }
    writer_raw_str(w, "SET STATUS (mailboxes (");
    for (size_t i = 0; i < cmd->n_items; i++) {
        if (i)
            writer_char(w, ' ');
        write_mailbox(c, cmd->items[i], false);
    }
    writer_raw_str(w, ") (MessageNew MessageExpunge FlagChange))");
}

/* Names of the bits, with a space between them. */
static bool write_bits(struct writer *w, unsigned bits)
{
    static const char *const names[] = {"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE", "CHILDREN", "MYRIGHTS"};
    bool any = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!(bits & (1u << i)))
            continue;
        if (any)
            writer_char(w, ' ');
        writer_raw_str(w, names[i]);
        any = true;
    }
    return any;
}

static void write_patterns(struct imap_client *c, const struct imap_command *cmd)
{
    if (!cmd->list || !cmd->list->n_patterns) {
        write_mailbox(c, cmd->other, true);
        return;
    }
    writer_char(&c->writer, '(');
    write_mailbox(c, cmd->other, true);
    for (size_t i = 0; i < cmd->list->n_patterns; i++) {
        writer_char(&c->writer, ' ');
        write_mailbox(c, cmd->list->patterns[i], true);
    }
    writer_char(&c->writer, ')');
}

static void write_list_returns(struct writer *w, const struct imap_list_options *list)
{
    writer_raw_str(w, "RETURN (");
    bool any = write_bits(w, list->tell);
    if (list->n_status) {
        writer_raw_str(w, any ? " STATUS (" : "STATUS (");
        for (size_t i = 0; i < list->n_status; i++) {
            if (i)
                writer_char(w, ' ');
            writer_atom(w, list->status[i]);
        }
        writer_char(w, ')');
        any = true;
    }
    if (list->n_metadata) {
        writer_raw_str(w, any ? " METADATA (" : "METADATA (");
        for (size_t i = 0; i < list->n_metadata; i++) {
            if (i)
                writer_char(w, ' ');
            writer_astring(w, list->metadata[i]);
        }
        writer_char(w, ')');
    }
    writer_char(w, ')');
}

/* select-param */
static void write_select_options(struct writer *w, const struct imap_command *cmd)
{
    if (!cmd->known) {
        writer_raw_str(w, "(CONDSTORE)");
        return;
    }
    writer_raw_str(w, "(QRESYNC (");
    writer_number(w, cmd->known->uidvalidity);
    writer_char(w, ' ');
    writer_number(w, cmd->known->modseq);
    if (cmd->known->uids) {
        writer_char(w, ' ');
        imap_set_write(cmd->known->uids, w);
    }
    writer_raw_str(w, "))");
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
        write_patterns(c, cmd);
        break;
    case 'L':
        writer_char(w, '(');
        write_bits(w, cmd->list->select);
        writer_char(w, ')');
        break;
    case 'R':
        write_list_returns(w, cmd->list);
        break;
    case 'U':
        writer_raw_str(w, "(USE (");
        writer_flag(w, cmd->text);
        writer_raw_str(w, "))");
        break;
    case 'S':
        imap_set_write(cmd->set, w);
        break;
    case 'I':
        write_items(c, cmd, true);
        break;
    case 'i':
        write_items(c, cmd, false);
        break;
    case 'F':
        write_store(c, cmd);
        break;
    case 'X':
        write_scope(c, cmd);
        break;
    case 'Q':
        write_search(c, cmd);
        break;
    case 'q':
        write_keys(c, cmd);
        break;
    case 'C':
        writer_raw_str(w, is_eight_bit(cmd) || c->utf8 ? "UTF-8" : "US-ASCII");
        break;
    case 'N':
        write_id(w, cmd);
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
    case 'K':
        write_select_options(w, cmd);
        break;
    case 'n':
        write_notify(c, cmd);
        break;
    case 'g':
        write_generic(w, cmd->text);
        break;
    }
}

static bool is_left_out(const struct imap_command *cmd, char argument)
{
    switch (argument) {
    case 'S':
        return !cmd->set; /* EXPUNGE of all */
    case 'O':
        return !cmd->modseq && !cmd->text.len;
    case 'K':
        return !cmd->condstore && !cmd->known;
    case 'L':
        return !cmd->list || !cmd->list->select;
    case 'R':
        return !cmd->list || (!cmd->list->tell && !cmd->list->n_status && !cmd->list->n_metadata);
    case 'U':
        return !cmd->text.len;
    }
    return false;
}

int imap_command_write(struct imap_client *c, struct imap_command *cmd)
{
    struct writer *w = &c->writer;
    writer_begin(w);
    writer_raw_str(w, cmd->tag);
    if (!cmd->numbers && (cmd->set || cmd->kind == IMAP_SEARCH || cmd->kind == IMAP_SORT || cmd->kind == IMAP_THREAD))
        writer_raw_str(w, " UID");
    if (cmd->kind == IMAP_LSUB && c->rev2) {
        writer_raw_str(w, " LIST (SUBSCRIBED)");
    } else if (kinds[cmd->kind].name[0]) {
        writer_char(w, ' ');
        writer_raw_str(w, kinds[cmd->kind].name);
    }
    for (const char *a = kinds[cmd->kind].arguments; *a; a++) {
        if (is_left_out(cmd, *a))
            continue;
        writer_char(w, ' ');
        write_argument(c, cmd, *a);
    }
    if (imap_has_body(cmd)) {
        writer_char(w, ' ');
        cmd->at_message = cmd->at_part = 0;
        cmd->literal_due = imap_append_on(w, cmd);
        if (cmd->literal_due)
            return writer_finish(w);
    }
    return writer_end(w);
}
