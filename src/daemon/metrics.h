/* SPDX-License-Identifier: MIT */
/* What is counted of calls, and all that is counted as OpenMetrics 1.0 text. Loop thread only. */
#ifndef POSTERN_METRICS_H
#define POSTERN_METRICS_H

#include "fault.h"
#include "rpc_methods.h"

struct buffer;
struct gateway;
struct metrics;

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* NULL when out of memory. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* accepts NULL */
/* A call is over. `m` may be NULL: nothing is counted. */
void metrics_count_call(struct metrics *m, enum rpc_method_id id, enum fault_kind outcome, uint64_t took_ms);
/* A notification of that kind goes to a subscriber. `m` may be NULL; kinds that are not known count nothing. */
void metrics_count_event(struct metrics *m, const char *kind);
/* Everything; 0, or <0 when `out` has no room for it. */
int metrics_write(const struct gateway *g, struct buffer *out) ATTR_WARN_UNUSED;

#endif
