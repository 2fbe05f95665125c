/* SPDX-License-Identifier: MIT */
/* Whether a command may be sent at all: what it needs of the server, and what may not stand in it. */
#include "imap_internal.h"

#include "imap_generic.h"

#include <errno.h>
#include <stdio.h>

static uint64_t needs_of_list(const struct imap_list_options *list)
{
    uint64_t mask = 0;
    if ((list->select & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_REMOTE | IMAP_LIST_RECURSIVEMATCH)) ||
        (list->tell & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_CHILDREN)) || list->n_patterns)
        mask |= IMAP_CAP_BIT(IMAP_CAP_LIST_EXTENDED);
    if ((list->select | list->tell) & IMAP_LIST_SPECIAL_USE)
        mask |= IMAP_CAP_BIT(IMAP_CAP_SPECIAL_USE) | IMAP_CAP_BIT(IMAP_CAP_LIST_EXTENDED);
    if (list->tell & IMAP_LIST_MYRIGHTS)
        mask |= IMAP_CAP_BIT(IMAP_CAP_LIST_MYRIGHTS);
    if (list->n_status)
        mask |= IMAP_CAP_BIT(IMAP_CAP_LIST_STATUS);
    if (list->n_metadata)
        mask |= IMAP_CAP_BIT(IMAP_CAP_LIST_METADATA);
    for (size_t i = 0; i < list->n_status; i++)
        mask |= imap_caps_of_status_item(list->status[i]);
    return mask;
}

static uint64_t needs(const struct imap_command *cmd)
{
    uint64_t mask = imap_kind_needs(cmd->kind) == IMAP_CAP_COUNT ? 0 : IMAP_CAP_BIT(imap_kind_needs(cmd->kind));
    mask |= imap_append_needs(cmd);
    if (cmd->kind == IMAP_EXPUNGE && cmd->set)
        mask |= IMAP_CAP_BIT(IMAP_CAP_UIDPLUS);
    if (cmd->list)
        mask |= needs_of_list(cmd->list);
    if (cmd->kind == IMAP_CREATE && cmd->text.len)
        mask |= IMAP_CAP_BIT(IMAP_CAP_CREATE_SPECIAL_USE);
    if (cmd->labels)
        mask |= IMAP_CAP_BIT(IMAP_CAP_GMAIL);
    if (cmd->condstore)
        mask |= IMAP_CAP_BIT(IMAP_CAP_CONDSTORE);
    if (cmd->known)
        mask |= IMAP_CAP_BIT(IMAP_CAP_QRESYNC);
    for (size_t i = 0; i < cmd->n_items && cmd->kind == IMAP_FETCH; i++)
        mask |= imap_caps_of_fetch_item(cmd->items[i]);
    for (size_t i = 0; i < cmd->n_items && cmd->kind == IMAP_STATUS; i++)
        mask |= imap_caps_of_status_item(cmd->items[i]);
    if ((cmd->kind == IMAP_FETCH && cmd->modseq) || cmd->conditional)
        mask |= IMAP_CAP_BIT(cmd->vanished ? IMAP_CAP_QRESYNC : IMAP_CAP_CONDSTORE);
    if (cmd->set && cmd->set->saved)
        mask |= IMAP_CAP_BIT(IMAP_CAP_SEARCHRES);
    if (cmd->kind == IMAP_FETCH && cmd->partial.len)
        mask |= IMAP_CAP_BIT(IMAP_CAP_PARTIAL);
    if (cmd->returns & IMAP_RETURN_SAVE)
        mask |= IMAP_CAP_BIT(IMAP_CAP_SEARCHRES) | IMAP_CAP_BIT(IMAP_CAP_ESEARCH);
    if (cmd->returns & IMAP_RETURN_PARTIAL)
        mask |= IMAP_CAP_BIT(IMAP_CAP_PARTIAL) | IMAP_CAP_BIT(IMAP_CAP_ESEARCH);
    return mask;
}

static int check_extensions(const struct imap_client *c, const struct imap_command *cmd, uint64_t needed, struct fault *fault)
{
    uint64_t missing = needed & ~c->caps;
    /* RFC 5464 section 1: annotations of the server alone. */
    if ((cmd->kind == IMAP_GETMETADATA || cmd->kind == IMAP_SETMETADATA) && cmd->mailbox.len == 0 &&
        imap_has(c, IMAP_CAP_METADATA_SERVER))
        missing &= ~IMAP_CAP_BIT(IMAP_CAP_METADATA);
    char names[256] = "";
    size_t len = 0;
    if (!missing)
        return 0;
    for (unsigned cap = 0; cap < IMAP_CAP_COUNT && len < sizeof(names); cap++)
        if (missing & IMAP_CAP_BIT(cap))
            len += (size_t) snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "", imap_cap_name((enum imap_cap) cap));
    return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, imap_kind_stage(cmd->kind), "the server does not offer %s", names);
}

/* Writes the command where nobody sees it, so that what goes out later cannot be refused. */
int imap_command_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault)
{
    const char *stage = imap_kind_stage(cmd->kind);
    bool set_needed = cmd->kind == IMAP_FETCH || cmd->kind == IMAP_STORE || cmd->kind == IMAP_COPY || cmd->kind == IMAP_MOVE;
    int ret = imap_raw_check(c, cmd, fault);
    if (ret == 0 && (imap_is_step(cmd->kind) || c->state == IMAP_STATE_CHALLENGED))
        ret = imap_step_check(c, cmd, fault);
    if (ret < 0 || imap_is_step(cmd->kind) || imap_is_raw(cmd->kind))
        return ret;
    ret = check_extensions(c, cmd, needs(cmd), fault);
    if (ret < 0)
        return ret;
    if (cmd->kind == IMAP_GENERIC && imap_generic_effect(cmd->text, NULL) == IMAP_EFFECT_OWN)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "the engine could not follow that command");
    if ((set_needed || cmd->set) && (!cmd->set || imap_set_is_empty(cmd->set)))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "no message is named");
    struct imap_client dry = {.caps = c->caps, .quirks = c->quirks, .config = c->config, .rev2 = c->rev2, .utf8 = c->utf8};
    struct imap_command copy = *cmd;
    writer_init(&dry.writer, IMAP_OUTPUT_MAX / 2);
    dry.writer.literals = c->writer.literals;
    dry.writer.utf8 = c->writer.utf8;
    copy.tag[0] = '\0';
    ret = imap_command_write(&dry, &copy);
    while (ret == 0 && imap_has_body(&copy) && copy.literal_due) {
        writer_begin(&dry.writer);
        copy.literal_due = imap_append_on(&dry.writer, &copy);
        ret = writer_finish(&dry.writer);
    }
    writer_done(&dry.writer);
    if (ret == -ENOMEM)
        return fault_set(fault, ret, FAULT_INTERNAL, stage, "out of memory");
    if (ret == -EMSGSIZE)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "the command is too long");
    if (ret < 0)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "a value may not stand in %s",
                         imap_kind_name(cmd->kind)[0] ? imap_kind_name(cmd->kind) : "a command");
    return check_extensions(c, cmd, dry.needed, fault);
}
