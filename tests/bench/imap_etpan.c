/* SPDX-License-Identifier: MIT */
/* The same works as imap_raw.c by libetpan; "single" is one after the other, since it knows no other way. */
#include "peer.h"

#include <jansson.h>
#include <libetpan/libetpan.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what, int err)
{
    fprintf(stderr, "imap_etpan: %s: %d\n", what, err);
    exit(1);
}

static struct mailimap_fetch_type *list_items(void)
{
    struct mailimap_fetch_type *type = mailimap_fetch_type_new_fetch_att_list_empty();
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_uid());
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_flags());
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_envelope());
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_bodystructure());
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_internaldate());
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_rfc822_size());
    return type;
}

static struct mailimap_fetch_type *body_items(void)
{
    struct mailimap_fetch_type *type = mailimap_fetch_type_new_fetch_att_list_empty();
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_uid());
    mailimap_fetch_type_new_fetch_att_list_add(type, mailimap_fetch_att_new_body_peek_section(mailimap_section_new(NULL)));
    return type;
}

static void fetch(mailimap *imap, struct mailimap_fetch_type *type, uint32_t first, uint32_t last)
{
    struct mailimap_set *set = mailimap_set_new_interval(first, last);
    clist *found = NULL;
    int r = mailimap_uid_fetch(imap, set, type, &found);
    if (r != MAILIMAP_NO_ERROR || (uint32_t) clist_count(found) != last - first + 1)
        die("fetch", r);
    mailimap_fetch_list_free(found);
    mailimap_set_free(set);
    mailimap_fetch_type_free(type);
}

static void search(mailimap *imap, const char *words)
{
    struct mailimap_search_key *key = mailimap_search_key_new_body(strdup(words));
    clist *found = NULL;
    int r = mailimap_uid_search(imap, NULL, key, &found);
    if (r != MAILIMAP_NO_ERROR || clist_isempty(found))
        die("search", r);
    mailimap_search_result_free(found);
    mailimap_search_key_free(key);
}

int main(void)
{
    json_error_t error;
    const char *work, *user, *password, *words = "";
    int port, count;
    json_t *task = json_loadf(stdin, 0, &error);
    if (!task || json_unpack(task, "{s:s,s:i,s:s,s:s,s:i,s?s}", "work", &work, "port", &port, "user", &user, "password", &password,
                             "count", &count, "words", &words) < 0)
        die("not the task", 0);
    mailimap *imap = mailimap_new(0, NULL);
    int r = imap ? mailimap_ssl_connect(imap, "localhost", (uint16_t) port) : MAILIMAP_ERROR_MEMORY;
    if (r == MAILIMAP_NO_ERROR_NON_AUTHENTICATED)
        r = mailimap_login(imap, user, password);
    if (r == MAILIMAP_NO_ERROR)
        r = mailimap_examine(imap, "INBOX");
    if (r != MAILIMAP_NO_ERROR)
        die("cannot log in", r);
    struct peer_clock begun = peer_begin();
    if (strcmp(work, "list") == 0)
        fetch(imap, list_items(), 1, (uint32_t) count);
    else if (strcmp(work, "fetch") == 0)
        fetch(imap, body_items(), 1, (uint32_t) count);
    else
        for (int i = 1; i <= count; i++)
            if (strcmp(work, "single") == 0)
                fetch(imap, body_items(), (uint32_t) i, (uint32_t) i);
            else
                search(imap, words);
    peer_end(begun, count);
    return 0;
}
