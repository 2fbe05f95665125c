/* SPDX-License-Identifier: MIT */
/* The `postern` command: what its files share. Exit statuses are those of sysexits.h. */
#ifndef POSTERN_CLI_H
#define POSTERN_CLI_H

#include "buffer.h"
#include "postern.h"
#include "rpc_methods.h"

#include <stdbool.h>
#include <stdio.h>
#include <sysexits.h>
#include <time.h>

struct cli {
    const char *name;    /* of the program, for messages */
    const char *socket;  /* --socket; NULL: search */
    const char *account; /* --account */
    const char *output;  /* --output: a file for the content of the answer; NULL: none */
    uint64_t timeout_ms; /* --timeout; 0: none */
    bool json;           /* --json, or stdout is no terminal */
    bool raw;            /* --raw: bytes go to the terminal as they are */
    bool quiet;
    bool progress; /* stderr is a terminal */
    const char *forgiven; /* errors of this kind are not printed: cli_call() gives CLI_FORGIVEN; NULL: none */
    struct postern *connection;
};

#define CLI_FORGIVEN 1 /* no exit status */

/* 500ms, 30s, 5min, 1h; a bare number is seconds. */
bool cli_read_time(const char *text, uint64_t *ret_ms);
/* A message to stderr, with control characters neutralised; returns `status`. */
int cli_fail(const struct cli *cli, int status, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* The same for an error of the library or the gateway, with the server's reply and the outcome. */
int cli_fail_error(const struct cli *cli, const struct postern_error *error);
int cli_exit_status(const struct postern_error *error);
/* A server's reply as one line: "550 5.1.1 no such user", "NO [NONEXISTENT] …"; empty where there is none. */
void cli_reply_text(const json_t *reply, char *out, size_t size);
/* Connects unless it is done; 0 or an exit status. */
int cli_connect(struct cli *cli);

/* --- parameters --- */

/* Parameters from NAME=VALUE words, and the descriptors that they name. */
struct cli_params {
    json_t *object;
    int fds[64]; /* ours */
    size_t n_fds;
    bool stdin_taken;
};
int cli_params_init(const struct cli *cli, struct cli_params *p);
void cli_params_done(struct cli_params *p);
/* `name=value`, `name:=json` or `name=@file`, typed by the row (NULL: all values are strings or, with :=, JSON). */
int cli_params_add(const struct cli *cli, struct cli_params *p, const struct rpc_method *row, const char *word);
/* A Content for an open file; *ret_content is owned. The descriptor is duplicated. */
int cli_params_add_fd(const struct cli *cli, struct cli_params *p, int fd, json_t **ret_content);
/* Opens a file of the user's for reading; "-" is stdin. The descriptor, or a negative exit status (printed). */
int cli_open_file(const struct cli *cli, const char *path);

/* --- calls --- */

/* Calls a method with progress shown; `params` are used up. Contents that come as descriptors are put into the result
 * as text or base64, or into --output. 0 and *ret_result (owned), or an exit status (printed). `on_item` prints
 * streamed items; NULL: none are expected. */
typedef void cli_item_fn(const struct cli *cli, json_t *item);
int cli_call(struct cli *cli, const char *method, struct cli_params *params, cli_item_fn *on_item, json_t **ret_result);
/* A call without descriptors; `object` (may be NULL) is used up. */
int cli_call_simple(struct cli *cli, const char *method, json_t *object, json_t **ret_result);
/* What an account is wanted for. */
enum cli_use {
    CLI_SENDS, /* SMTP, and the right to send */
    CLI_READS, /* IMAP, and the right to read */
};
/* The account for that, malloc'ed: --account, $POSTERN_ACCOUNT, the one whose address is `from`, else `sender` (both may
 * be NULL), the one that is this user's by default, or the only one that will do. *ret_email (malloc'ed, untouched where it has none) is its address; NULL: not
 * wanted. Both are NULL before. 0 or an exit status. */
int cli_choose_account(struct cli *cli, enum cli_use use, const char *from, const char *sender, char **ret_account,
                       char **ret_email);

/* A string's bytes; "" for what is no string. */
static inline const char *cli_string(const json_t *value)
{
    return json_is_string(value) ? json_string_value(value) : "";
}

/* A date of the gateway's, 2026-03-02T10:00:00+01:00, as seconds since 1970; false where it is none. */
bool cli_parse_date(const char *iso, time_t *ret);

/* --- printing --- */

/* As JSON with a line end. On a terminal, what could disturb it is written as \u escapes, and it is indented where asked for;
 * elsewhere it is one line. 0 or an exit status. */
int cli_print_json(const json_t *value, bool indented);
/* The value for people, or as JSON. 0, or EX_IOERR when it cannot be written. */
int cli_print(const struct cli *cli, const json_t *value);
void cli_print_item(const struct cli *cli, json_t *item);
/* Text with control characters, escapes and changes of direction shown as what they are. `lines`: LF and HT may stay.
 */
void cli_print_text(FILE *out, const char *text, size_t len, bool lines);
/* One cell of a table: the text neutralised, cut to `width` columns (with an ellipsis), padded to it unless `last`. */
void cli_print_cell(const char *text, size_t width, bool last);
/* Columns and lines of the terminal; 80 by 24 where there is none. */
void cli_terminal_size(size_t *ret_columns, size_t *ret_lines);
/* On a terminal, what goes to stdout passes through the user's pager from now on; cli_pager_end() waits for it. */
void cli_pager_begin(const struct cli *cli);
void cli_pager_end(void);
/* HTML as text to be read: no tags, no styles, lines where blocks end. malloc'ed; NULL when out of memory. */
char *cli_html_text(const char *html, size_t len);

/* --- advice --- */

/* What account.test says of a protocol that does not work; texts are borrowed, never NULL. */
struct cli_failure {
    const char *account, *protocol, *host;
    const char *kind, *stage, *message, *reply;
    int port;
    bool implicit_tls;
};
/* Its cause and what to do, in plain words, where they are known. */
void cli_print_advice(FILE *out, const struct cli_failure *f);

/* --- files --- */

/* A file of that mode, and of that group unless it is (gid_t) -1, in the place of what has the name in the folder: readers see the
 * old one or the new one, never a part. 0, or an exit status (printed). */
int cli_replace_file(const struct cli *cli, int dir_fd, const char *name, const char *text, mode_t mode, gid_t group);
/* Writes bytes to a new file in the folder `dir_fd` under a name that a stranger chose: only its last component, without
 * controls, never hidden, never an option, never over a file that is there (a number is added). The name that it got
 * goes to `ret`. 0, or an exit status (printed). */
#define CLI_NAME_MAX 200
int cli_save_file(const struct cli *cli, int dir_fd, const char *wanted, const void *bytes, size_t len,
                  char ret[CLI_NAME_MAX + 1]);

/* --- commands --- */

int cli_send(struct cli *cli, int argc, char **argv);
int cli_sendmail(struct cli *cli, int argc, char **argv);
/* ls, search, read, fetch: by argv[0] */
int cli_list(struct cli *cli, int argc, char **argv);
int cli_read(struct cli *cli, int argc, char **argv);
int cli_account(struct cli *cli, int argc, char **argv);
int cli_status(struct cli *cli, int argc, char **argv);
int cli_metrics(struct cli *cli, int argc, char **argv);
int cli_doctor(struct cli *cli, int argc, char **argv);
/* watch, wait */
int cli_watch(struct cli *cli, int argc, char **argv);

#endif
