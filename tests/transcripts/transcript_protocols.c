/* SPDX-License-Identifier: MIT */
#include "transcript.h"

const struct transcript_protocol *const transcript_protocols[] = {
    &transcript_imap,
    &transcript_pop3,
    &transcript_smtp,
    NULL,
};
