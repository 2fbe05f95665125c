/* SPDX-License-Identifier: MIT */
/* Events: what happens in mailboxes that clients have subscribed to.
 *
 *   subscription ─▶ watch (one a mailbox of an account, whoever subscribes) ─▶ line (a connection, or a visit of a pooled one)
 *
 * A *line* opens the mailbox with EXAMINE and idles. What the server says meanwhile is a hint and nothing more: EXISTS,
 * EXPUNGE, FETCH and VANISHED only make the line ask what has changed since the place up to which all is known. That is a
 * *round*: UID FETCH with CHANGEDSINCE (and VANISHED), a UID SEARCH where counts differ; without CONDSTORE all flags. A
 * round's answers are judged for each subscription by its own place, so that one that comes with a cursor, one whose
 * connection was down and one that did not read for a while all are served by the same round: they only stand further
 * back. Nothing is queued for anybody, a hundred thousand hints cost one round, and no message can be told under another's
 * UID, since numbers are never looked at.
 *
 * Whoever stands too far back to be told everything is told `resync`.
 *
 * Where a server has no IDLE, refuses it or never agrees, and where no connection can be spared (lease.watch in pool.h), the
 * mailbox is looked at from time to time on a connection of the pool, between others' calls.
 *
 * Objects: a watch lives as long as it has subscriptions; its line may outlive it by the time that its connection needs
 * to end. Loop thread only. */
#ifndef POSTERN_EVENT_H
#define POSTERN_EVENT_H

#include "event_cursor.h"
#include "imap_client.h"
#include "op.h"

#define EVENT_ROUND_MESSAGES 10000          /* more than these at once: list again */
#define EVENT_ROUND_TEXT (2u * 1024 * 1024) /* likewise, bytes of JSON */
#define EVENT_SET_RANGES 200000u
#define EVENT_FLAGS_MAX 20000               /* without CONDSTORE: flags of larger mailboxes are not looked at */
#define EVENT_ITEMS_MAX 16
#define EVENT_GATHER_MS 50 /* what happens together is looked at together */

struct event_watch;
struct watch_line;
struct event_notifier;

struct event_sub {
    struct list link, client_link;
    struct event_watch *watch;
    struct client *client;
    struct event_sub **owner; /* the op's, until it has ended: cleared when this goes */
    struct op *op;      /* event.subscribe, while it waits; NULL: it was answered */
    bool open;          /* the answer is out: events may follow */
    char id[17];
    struct event_place place;
    bool placed;        /* `place` counts: there was a cursor, or the mailbox has been looked at since */
    bool down;          /* what it was told last */
    const char *resync; /* due, and why; static */
    char *items;        /* what it wants of new messages beside flags: names separated by spaces; "": nothing */
    /* For the round under way. */
    bool takes_part;
    uint64_t sum;       /* flags of what it knew */
};

enum event_mode { EVENT_MODE_IDLE = 0, EVENT_MODE_NOTIFY, EVENT_MODE_POLL };

enum watch_state {
    WATCH_REST = 0, /* no line; the timer says when there will be one */
    WATCH_OPENING,  /* a line that has not opened the mailbox yet */
    WATCH_LOOKING,  /* a round is under way */
    WATCH_IDLING,
    WATCH_STATE_COUNT
};

struct event_watch {
    struct list link; /* gateway->watches */
    struct gateway *gateway;
    struct account *account;
    char *mailbox;
    struct list subs;
    enum watch_state state;
    enum event_mode mode;
    struct watch_line *line;
    struct loop_timer timer; /* what it is for follows from the state */
    struct loop_task look;
    bool up, known;      /* known: `place` and `uids` are what was there once */
    struct event_notifier *notifier; /* tells when it is to be looked at; NULL: nobody does */
    bool offers_notify;  /* the server of `line` */
    uint64_t notify_after_ms; /* not before that: it was refused, lost at once, or says nothing of this mailbox */
    enum { NOTIFY_NOT_ASKED = 0, NOTIFY_ASKED, NOTIFY_HEARD } notify;
    bool poked;          /* the notifier has told something, or is gone */
    bool no_idle;        /* this server has none, or does not want it now */
    unsigned failures;
    uint64_t up_ms;
    uint64_t hint_ms, renew_ms, round_ms, idle_again_ms; /* loop times; 0: none */
    struct event_place place;
    struct imap_set uids;
    struct fault *fault; /* why it is down; NULL: it is not */
};

/* --- event_watch.c --- */
/* Makes a subscription for the op, which waits until the mailbox is open. `cursor` NULL: from now on; its uidvalidity 0: one that
 * cannot be understood any more. <0 with op->fault. */
int event_subscribe(struct op *op, struct client *client, struct slice mailbox, const struct event_place *cursor, const char *items,
                    struct event_sub **ret) ATTR_WARN_UNUSED;
/* Ends it. */
void event_sub_free(struct event_sub *s);
/* The answer to event.subscribe is out. */
void event_sub_open(struct event_sub *s);
struct event_sub *event_sub_find(struct client *c, struct slice id);
/* The client has gone; its output has gone below the low mark. */
void events_client_gone(struct client *c);
void events_client_drained(struct client *c);
/* A configuration came into force: accounts and rights may be others. */
void events_reload(struct gateway *g);

/* There may be something to do. */
void watch_look(struct event_watch *w);
void watch_set_state(struct event_watch *w, enum watch_state state);
bool watch_same_account(const struct account *a, const struct account *b);
/* After how long IDLE is asked for anew. */
uint64_t watch_renew_after(const struct endpoint *e);
const char *watch_mode_name(const struct event_watch *w);
/* A subscription that is not served by a round that begins now: it takes nothing, or stands where the mailbox is. */
bool sub_is_slow(const struct event_sub *s);
bool sub_is_current(const struct event_sub *s);
/* The line has opened the mailbox / is over, with why (kind NONE: as it should be). */
void watch_opened(struct event_watch *w, const struct imap_mailbox_state *box);
void watch_line_over(struct event_watch *w, const struct fault *fault);
/* Who waits for an answer gets it. */
void watch_answer(struct event_watch *w);

/* --- event_line.c --- */
/* NULL with *fault where there can be none now. `leased`: a connection of its own; else one visit of a pooled one. */
struct watch_line *line_new(struct event_watch *w, struct pool *pool, bool leased, struct fault *fault);
/* The watch has no use for it any more; it ends by itself. */
void line_drop(struct watch_line *l);
/* IDLING: ends it, to look or to ask for it anew. */
void line_wake(struct watch_line *l);

/* --- event_notify.c --- */
/* Has the account's connection with NOTIFY tell of this mailbox, if there is one or may be. */
bool notify_join(struct event_watch *w, struct pool *pool);
void notify_leave(struct event_watch *w);

/* --- event_round.c --- */
struct event_message {
    uint32_t uid;
    uint32_t at, len; /* its members in round.text */
    uint64_t modseq;
};

struct event_round {
    struct event_message *messages;
    size_t n, cap;
    struct buffer text;
    bool overflow;           /* not all of them are there */
    bool doubtful;           /* it contradicted itself: look again */
    struct imap_set found, vanished; /* by FETCH and VANISHED */
    struct imap_set listed;  /* by SEARCH */
    bool has_list;
    bool whole;              /* flags of all messages were asked for */
    uint32_t new_from;       /* then: messages below this need not be remembered */
    uint64_t since;          /* CHANGEDSINCE; 0: not used */
    uint64_t top_modseq;
    uint64_t unknown_from;   /* MODSEQ of a change that was not told in full; 0: none */
    uint32_t top_uid;
    uint64_t sum;            /* of the flags of what the watch knew */
    uint64_t sum_new;        /* of the others */
};
void round_init(struct event_round *r);
void round_clear(struct event_round *r);
void round_done(struct event_round *r);
/* A message's answer; -ENOMEM, -E2BIG. */
int round_take(struct event_round *r, struct event_watch *w, struct slice items) ATTR_WARN_UNUSED;
/* All UIDs there are now, as far as the round and the watch know. -ENOMEM, -E2BIG. */
int round_known(const struct event_round *r, const struct event_watch *w, struct imap_set *ret) ATTR_WARN_UNUSED;
/* The round is complete: makes the watch's picture what it found. The old UIDs go to *ret_before. */
int round_adopt(struct event_round *r, struct event_watch *w, struct imap_set *ret_before, struct event_place *ret_place)
    ATTR_WARN_UNUSED;

/* Sets: a without b; those of a below `limit`. -ENOMEM, -E2BIG. */
int set_minus(const struct imap_set *a, const struct imap_set *b, struct imap_set *ret) ATTR_WARN_UNUSED;
int set_below(const struct imap_set *a, uint32_t limit, struct imap_set *ret) ATTR_WARN_UNUSED;

/* --- event_details.c --- */
/* More of new messages, in JSON: by UID. */
struct event_details {
    struct event_message *messages;
    size_t n, cap;
    struct buffer text;
};
void event_details_init(struct event_details *d);
void event_details_done(struct event_details *d);
void event_details_clear(struct event_details *d);
/* What a FETCH says of a message; what cannot be understood of it is left out. -ENOMEM. Where there is no room for more,
 * *ret_overflow becomes true, else it is left as it is. */
struct imap_json;
int event_details_take(struct event_details *d, struct imap_json *json, struct slice items, bool *ret_overflow) ATTR_WARN_UNUSED;
/* Behind the last one: by UID, as event_tell_round() wants them. */
void event_details_sort(struct event_details *d);

/* --- event_tell.c --- */
/* What the round means for this subscription, which afterwards stands at the watch's place. `before`: the UIDs that the watch
 * knew before; `details` may be NULL. */
void event_tell_round(struct event_sub *s, const struct event_round *r, const struct imap_set *before,
                      const struct event_place *was, const struct event_details *details);
/* down, up, resync. */
void event_tell_state(struct event_sub *s, const char *kind, const char *reason);

#endif
