/* SPDX-License-Identifier: MIT */
/* APPEND and REPLACE: messages between which the server may have to say that it takes the next. */
#include "imap_internal.h"

/* Behind the first literal, which has shown that the server takes literals at all, short ones need no round trip. */
#define UNASKED_MAX 65536u

bool imap_has_body(const struct imap_command *cmd)
{
    return cmd->kind == IMAP_APPEND || cmd->kind == IMAP_REPLACE;
}

static struct imap_append_message message_at(const struct imap_command *cmd, size_t i)
{
    return cmd->messages ? cmd->messages[i]
                         : (struct imap_append_message){
                               .flags = cmd->items, .n_flags = cmd->n_items, .date = cmd->date, .size = cmd->body_size};
}

static void announce(struct writer *w, bool first, bool binary, uint64_t size)
{
    enum writer_literals literals = w->literals;
    /* The round trip is worth it: the server can refuse before the message is sent, and a connection that has died
     * unnoticed has certainly stored nothing. */
    if (first || size > UNASKED_MAX)
        w->literals = WRITER_LITERAL_SYNC;
    if (binary)
        writer_char(w, '~');
    writer_literal_announce(w, size, NULL);
    w->literals = literals;
}

static void write_head(struct writer *w, const struct imap_append_message *m)
{
    if (m->n_flags) {
        writer_char(w, '(');
        for (size_t i = 0; i < m->n_flags; i++) {
            if (i)
                writer_char(w, ' ');
            writer_flag(w, m->flags[i]);
        }
        writer_raw_str(w, ") ");
    }
    if (m->date.len) {
        writer_quoted(w, m->date);
        writer_char(w, ' ');
    }
    if (m->parts)
        writer_raw_str(w, "CATENATE (");
    else if (m->utf8)
        writer_raw_str(w, "UTF8 (");
}

bool imap_append_on(struct writer *w, struct imap_command *cmd)
{
    bool first = cmd->at_message == 0 && cmd->at_part == 0;
    for (; cmd->at_message < (cmd->messages ? cmd->n_messages : 1); cmd->at_message++, cmd->at_part = 0) {
        struct imap_append_message m = message_at(cmd, cmd->at_message);
        if (cmd->at_part == 0) {
            if (cmd->at_message > 0)
                writer_char(w, ' ');
            write_head(w, &m);
        }
        while (cmd->at_part < (m.parts ? m.n_parts : 1)) {
            const struct imap_append_part *part = m.parts ? &m.parts[cmd->at_part] : NULL;
            if (cmd->at_part++ > 0)
                writer_char(w, ' ');
            if (part && part->url.data) {
                writer_raw_str(w, "URL ");
                writer_astring(w, part->url);
                continue;
            }
            if (part)
                writer_raw_str(w, "TEXT ");
            cmd->body_left = part ? part->size : m.size;
            announce(w, first, m.binary || m.utf8, cmd->body_left);
            return true;
        }
        if (m.parts || m.utf8)
            writer_char(w, ')');
    }
    return false;
}

uint64_t imap_append_needs(const struct imap_command *cmd)
{
    uint64_t mask = cmd->kind == IMAP_REPLACE ? IMAP_CAP_BIT(IMAP_CAP_REPLACE) : 0;
    if (cmd->n_messages > 1)
        mask |= IMAP_CAP_BIT(IMAP_CAP_MULTIAPPEND);
    for (size_t i = 0; i < cmd->n_messages; i++) {
        mask |= cmd->messages[i].binary ? IMAP_CAP_BIT(IMAP_CAP_BINARY) : 0;
        mask |= cmd->messages[i].utf8 ? IMAP_CAP_BIT(IMAP_CAP_UTF8_ACCEPT) : 0;
        mask |= cmd->messages[i].parts ? IMAP_CAP_BIT(IMAP_CAP_CATENATE) : 0;
    }
    return mask;
}
