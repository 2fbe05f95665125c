/* SPDX-License-Identifier: MIT */
/* Servers of well-known mail providers, and what their users have to know. */
#ifndef POSTERN_CLI_PROVIDER_H
#define POSTERN_CLI_PROVIDER_H

#include <stdbool.h>

struct cli_provider {
    const char *domains;          /* separated by blanks */
    const char *smtp, *imap, *pop3; /* hosts; NULL: not offered */
    bool smtp_upgrades;           /* port 587 and STARTTLS instead of 465 */
    const char *note;             /* NULL: none */
};
/* The provider of that domain; NULL: not known. */
const struct cli_provider *cli_provider_find(const char *domain);

#endif
