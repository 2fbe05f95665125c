/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "salted_keys.h"

#include <stdio.h>

static struct engine_derive job(const char *password, const char *salt, unsigned iterations, const char *hash, size_t key_len)
{
    return (struct engine_derive){hash, slice_of_str(password), slice_of_str(salt), iterations, key_len};
}

/* Only the very same four things find a key. */
START_TEST(rows)
{
    struct salted_keys *k = salted_keys_new();
    struct engine_derive d = job("geheim", "salt", 4096, "SHA256", 32);
    struct engine_derive others[] = {
        job("geheim2", "salt", 4096, "SHA256", 32), job("geheim", "salt2", 4096, "SHA256", 32), job("geheims", "alt", 4096, "SHA256", 32),
        job("geheim", "salt", 4097, "SHA256", 32),  job("geheim", "salt", 4096, "SHA1", 32),    job("geheim", "salt", 4096, "SHA256", 20),
        job("", "salt", 4096, "SHA256", 32),        job("geheim", "", 4096, "SHA256", 32),      job("geheim", "salt", 4096, "SHA256", 65),
    };

    ck_assert_ptr_nonnull(k);
    ck_assert_ptr_null(salted_keys_find(k, &d));
    salted_keys_add(k, &d, "0123456789abcdef0123456789abcdef");
    ck_assert_mem_eq(salted_keys_find(k, &d), "0123456789abcdef0123456789abcdef", 32);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_ptr_null(salted_keys_find(k, &others[i]));
    salted_keys_add(k, &d, "x123456789abcdef0123456789abcdef");
    ck_assert_mem_eq(salted_keys_find(k, &d), "x123456789abcdef0123456789abcdef", 32);
    salted_keys_add(k, &others[8], "much too long");
    ck_assert_ptr_null(salted_keys_find(k, &others[8]));
    ck_assert_ptr_null(salted_keys_find(NULL, &d));
    salted_keys_add(NULL, &d, "x");
    salted_keys_free(k);
    salted_keys_free(NULL);
}
END_TEST

/* A server that says another salt each time pushes out what is not used, and nothing else. */
START_TEST(bounded)
{
    struct salted_keys *k = salted_keys_new();
    struct engine_derive mine = job("geheim", "mine", 4096, "SHA256", 4);
    char salt[16];

    salted_keys_add(k, &mine, "mine");
    for (unsigned i = 0; i < 3 * SALTED_KEYS_MAX; i++) {
        snprintf(salt, sizeof(salt), "%u", i);
        struct engine_derive other = job("geheim", salt, 4096, "SHA256", 4);
        salted_keys_add(k, &other, "them");
        ck_assert_mem_eq(salted_keys_find(k, &mine), "mine", 4);
        ck_assert_mem_eq(salted_keys_find(k, &other), "them", 4);
    }
    struct engine_derive first = job("geheim", "0", 4096, "SHA256", 4);
    ck_assert_ptr_null(salted_keys_find(k, &first));
    salted_keys_free(k);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("salted_keys");
    TCase *t = tcase_create("salted_keys");

    tcase_add_test(t, rows);
    tcase_add_test(t, bounded);
    suite_add_tcase(s, t);
    return unit_run(s);
}
