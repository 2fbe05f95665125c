/* SPDX-License-Identifier: MIT */
/* A small line protocol behind engine_ops, for tests of what drives engines. It stands in for all three protocols: the
 * program that links it has no other engines.
 *
 *   server: +greeting            client: TLS (asked for by policy) ─▶ +go      AUTH password ─▶ +ok, -refused, ~later
 *   any request is one line, answered by lines beginning with "=" (a piece of data) and at last one with "+" or "-"
 *   PUT: the body follows, ended by a line "."                  NOOP: proof of life      QUIT
 *   "*text" is a notice at any time, "!text" a goodbye */
#ifndef POSTERN_LINE_ENGINE_H
#define POSTERN_LINE_ENGINE_H

#include "engine.h"

struct line_request {
    struct engine_request base;
    const char *line; /* without its end; "PUT" has a body */
};

struct line_event {
    struct engine_event base;
    struct slice text; /* the line behind its first character */
    bool ok;           /* DONE: "+" */
    struct fault fault; /* DONE: "~N": the server asks to be left alone for N ms */
};

/* Engines that were made and not yet freed. */
extern int line_engines_alive;
/* Submits; the end of the request's text commits it. */
int line_engine_submit(struct engine *e, struct line_request *r, struct fault *fault);

#endif
