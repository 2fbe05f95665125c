/* SPDX-License-Identifier: MIT */
/* Content types of files by their names. Internal to the room. */
#ifndef POSTERN_MIME_TYPES_H
#define POSTERN_MIME_TYPES_H

#include "slice.h"

/* "application/octet-stream" where the name says nothing. Static. */
struct slice mime_type_of_name(struct slice filename);

#endif
