/* SPDX-License-Identifier: MIT */
/* What commands do to the selection: which mailbox is open, since which command, and when it is no more. */
#include "imap_internal.h"

#include "imap_generic.h"
#include "imap_mailbox.h"

#include <errno.h>

static enum imap_effect effect_of(const struct imap_command *cmd)
{
    if (cmd->kind == IMAP_GENERIC)
        return imap_generic_effect(cmd->text, NULL);
    if (cmd->kind == IMAP_SELECT)
        return IMAP_EFFECT_SELECTS;
    if (cmd->kind == IMAP_EXAMINE)
        return IMAP_EFFECT_EXAMINES;
    if (cmd->kind == IMAP_CLOSE || cmd->kind == IMAP_UNSELECT)
        return IMAP_EFFECT_CLOSES;
    return cmd->kind == IMAP_DELETE || cmd->kind == IMAP_RENAME ? IMAP_EFFECT_RENAMES : IMAP_EFFECT_READS;
}

/* The mailbox that the command names, in UTF-8. */
static int take_name(const struct imap_client *c, const struct imap_command *cmd, struct buffer *ret)
{
    struct buffer wire;
    bool odd;
    if (cmd->kind != IMAP_GENERIC)
        return buffer_append_slice(ret, cmd->mailbox);
    buffer_init(&wire, IMAP_TEXT_MAX);
    int r = imap_generic_mailbox(cmd->text, &wire);
    if (r == 0)
        r = imap_mailbox_take(buffer_slice(&wire), c->utf8, ret, &odd);
    buffer_done(&wire);
    return r;
}

void imap_selected_written(struct imap_client *c, struct imap_command *cmd)
{
    enum imap_effect effect = effect_of(cmd);
    if (effect != IMAP_EFFECT_SELECTS && effect != IMAP_EFFECT_EXAMINES)
        return;
    /* Whatever it answers, what was selected before is no more. */
    c->box.by = cmd;
    c->box.stamp = cmd->stamp;
    c->box.selected = false;
    c->box.uidvalidity = c->box.uidnext = c->box.exists = c->box.recent = 0;
    c->box.highestmodseq = 0;
    buffer_clear(&c->box.flags);
    buffer_clear(&c->box.permanentflags);
}

static int opened(struct imap_client *c, const struct imap_command *cmd, const struct imap_response *r, bool examined)
{
    buffer_clear(&c->box.mailbox);
    int ret = take_name(c, cmd, &c->box.mailbox);
    if (ret == -ENOMEM)
        return imap_fail_io(c, ret);
    c->box.selected = ret == 0;
    c->box.readonly = examined || slice_eq_ci(r->code.name, SLICE("READ-ONLY"));
    return 0;
}

/* The name may soon stand for another mailbox. */
static int renamed(struct imap_client *c, const struct imap_command *cmd)
{
    struct buffer name;
    buffer_init(&name, IMAP_TEXT_MAX);
    int ret = take_name(c, cmd, &name);
    if (ret == 0 && imap_mailbox_eq(buffer_slice(&name), buffer_slice(&c->box.mailbox)))
        c->box.selected = false;
    buffer_done(&name);
    return ret == -ENOMEM ? imap_fail_io(c, ret) : 0;
}

int imap_selected_done(struct imap_client *c, struct imap_command *cmd, const struct imap_response *r)
{
    enum imap_effect effect = effect_of(cmd);
    if (c->box.by == cmd)
        c->box.by = NULL;
    if (effect == IMAP_EFFECT_UNKNOWN)
        c->spent = true; /* whoever has the connection next would not know what it says */
    if (r->status != IMAP_OK)
        return 0; /* after SELECT or EXAMINE nothing is selected now */
    if (effect == IMAP_EFFECT_SELECTS || effect == IMAP_EFFECT_EXAMINES) {
        int ret = opened(c, cmd, r, effect == IMAP_EFFECT_EXAMINES);
        buffer_fit(&c->box.mailbox);
        buffer_fit(&c->box.flags);
        buffer_fit(&c->box.permanentflags);
        return ret;
    }
    if (effect == IMAP_EFFECT_CLOSES)
        c->box.selected = false;
    return effect == IMAP_EFFECT_RENAMES ? renamed(c, cmd) : 0;
}

uint64_t imap_client_planned_stamp(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    uint64_t stamp = c->box.stamp;
    struct engine_request *r;
    list_foreach (&c->engine.requests, r, struct engine_request, link) {
        const struct imap_command *cmd = imap_command_of(r);
        if (cmd->kind == IMAP_SELECT || cmd->kind == IMAP_EXAMINE)
            stamp = cmd->stamp;
    }
    return stamp;
}
