/* SPDX-License-Identifier: MIT */
/* Compiler attributes and the few macros that every room uses. */
#ifndef POSTERN_MACROS_H
#define POSTERN_MACROS_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The object that `ptr` is the member `member` of. */
#define container_of(ptr, type, member) ((type *) (void *) ((char *) (ptr) -offsetof(type, member)))

#define ATTR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATTR_UNUSED __attribute__((unused))
#define ATTR_WARN_UNUSED __attribute__((warn_unused_result))
#define ATTR_COLD __attribute__((cold))
#define ATTR_FALLTHROUGH __attribute__((fallthrough))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_CLEANUP(f) __attribute__((cleanup(f)))

/* Hands the pointer on and leaves NULL behind, so that a cleanup attribute has nothing left to free. */
#define TAKE_PTR(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) *taken_from_ = &(p);                                                                             \
        __typeof__(p) taken_ = *taken_from_;                                                                           \
        *taken_from_ = NULL;                                                                                           \
        taken_;                                                                                                        \
    })

#endif
