/* SPDX-License-Identifier: MIT */
/* What every unit test program shares: one suite, one main. */
#ifndef POSTERN_UNIT_H
#define POSTERN_UNIT_H

#include "slice.h"

#include <check.h>
#include <stdlib.h>

/* Compares a slice with a C string. */
#define ck_slice_eq(s, text)                                                                                           \
    do {                                                                                                               \
        struct slice ck_s_ = (s);                                                                                      \
        const char *ck_t_ = (text);                                                                                    \
        ck_assert_msg(slice_eq(ck_s_, slice_of_str(ck_t_)), "'%.*s' is not '%s'", (int) ck_s_.len,                     \
                      ck_s_.data ? ck_s_.data : "", ck_t_);                                                            \
    } while (0)

/* Runs the suite; CK_FORK=no in the environment makes gdb and valgrind pleasant. */
static inline int unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
