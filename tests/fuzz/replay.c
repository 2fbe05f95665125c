/* SPDX-License-Identifier: MIT */
/* Runs the inputs of a fuzz target: files, or folders of files, named as arguments; without arguments those in
 * $srcdir/tests/fuzz/corpus/TARGET. Each input that somebody gave a name is also run cut short and with bytes changed, in a
 * way that is the same every time; those that fuzzing found are called by their hashes. */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (1024 * 1024)

static unsigned inputs;

static bool is_hash(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return strlen(name) == 40 && strspn(name, "0123456789abcdef") == 40;
}

static void run_variants(uint8_t *data, size_t size, unsigned variants)
{
    uint32_t random = 1;
    fuzz_one(data, size);
    for (unsigned i = 0; i < variants && size > 0; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = (random >> 8) % size;
        uint8_t was = data[at];
        fuzz_one(data, at);
        data[at] = (uint8_t) (random >> 24);
        fuzz_one(data, size);
        data[at] = was;
    }
    inputs++;
}

static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        perror(path);
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        struct dirent **names;
        int n = scandir(path, &names, NULL, alphasort), ret = n < 0 ? -1 : 0;
        for (int i = 0; i < n; i++) {
            char inner[4096];
            snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
            if (names[i]->d_name[0] != '.' && run_path(inner) < 0)
                ret = -1;
            free(names[i]);
        }
        if (n >= 0)
            free(names);
        return ret;
    }
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    if (!f || !data) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    run_variants(data, fread(data, 1, INPUT_MAX, f), is_hash(path) ? 0 : 200);
    fclose(f);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int ret = 0;
    for (int i = 1; i < argc; i++)
        ret |= run_path(argv[i]);
    if (argc == 1) {
        const char *name = strrchr(argv[0], '/'), *srcdir = getenv("srcdir");
        char path[4096];
        name = name ? name + 1 : argv[0];
        if (strncmp(name, "lt-", 3) == 0)
            name += 3;
        if (strncmp(name, "fuzz_", 5) == 0)
            name += 5;
        snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".", name);
        ret = run_path(path);
    }
    printf("%u inputs\n", inputs);
    return ret || inputs == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
