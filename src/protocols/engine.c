/* SPDX-License-Identifier: MIT */
#include "engine.h"

const char *protocol_name(enum protocol p)
{
    static const char *const names[] = {[PROTOCOL_SMTP] = "smtp", [PROTOCOL_IMAP] = "imap", [PROTOCOL_POP3] = "pop3"};
    _Static_assert(ARRAY_LEN(names) == PROTOCOL_COUNT, "every protocol has a name");
    return (unsigned) p < PROTOCOL_COUNT ? names[p] : "?";
}
