/* SPDX-License-Identifier: MIT */
/* What the programs that measure MIME share: the files in memory, and rounds over all of them until the time is up. The
 * fastest round by processor time counts: other programs on the machine make rounds slower, none makes them faster. */
#ifndef POSTERN_MIME_WORK_H
#define POSTERN_MIME_WORK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct bench_file {
    char *data;
    size_t len;
};

struct bench_work {
    const char *name;
    size_t (*work)(const char *data, size_t len); /* what it gives does not matter, but that it is used */
};

struct bench_set {
    struct bench_file *files;
    size_t n, bytes, longest;
};

static inline double bench_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static inline void bench_load(struct bench_file *file, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) < 0) {
        perror(path);
        exit(1);
    }
    size_t len = (size_t) ftell(f);
    rewind(f);
    file->data = malloc(len + 1);
    file->len = file->data ? fread(file->data, 1, len, f) : 0;
    fclose(f);
}

/* One work once over all files. Not inlined: what is counted by instructions is what happens in here. */
__attribute__((noinline)) size_t bench_round(const struct bench_work *work, const struct bench_set *set);
size_t bench_round(const struct bench_work *work, const struct bench_set *set)
{
    size_t sum = 0;
    for (size_t i = 0; i < set->n; i++)
        sum += work->work(set->files[i].data, set->files[i].len);
    return sum;
}

/* Prints {"work", "best": seconds, "rounds", "count", "bytes", "made", "rss"}. No seconds: one round. */
static inline void bench_measure(const struct bench_work *work, const struct bench_set *set, double seconds)
{
    double start = bench_clock(CLOCK_MONOTONIC), best = 0;
    size_t rounds = 0, made = 0;
    struct rusage usage;
    do {
        double cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
        made = bench_round(work, set);
        cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        if (!rounds || cpu < best)
            best = cpu;
        rounds++;
    } while (bench_clock(CLOCK_MONOTONIC) - start < seconds);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"work\":\"%s\",\"best\":%.9f,\"rounds\":%zu,\"count\":%zu,\"bytes\":%zu,\"made\":%zu,\"rss\":%ld}\n", work->name,
           best, rounds, set->n, set->bytes, made, usage.ru_maxrss * 1024);
    fflush(stdout);
}

/* PROGRAM SECONDS WORK,WORK… FILE… */
static inline int bench_main(const struct bench_work *works, size_t n_works, struct bench_set *set, int argc, char **argv)
{
    set->n = argc > 3 ? (size_t) argc - 3 : 0;
    set->files = calloc(set->n + 1, sizeof(*set->files));
    if (!set->n || !set->files) {
        fprintf(stderr, "usage: %s SECONDS WORK[,WORK…] FILE…\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < set->n; i++) {
        bench_load(&set->files[i], argv[i + 3]);
        set->bytes += set->files[i].len;
        set->longest = set->files[i].len > set->longest ? set->files[i].len : set->longest;
    }
    for (size_t i = 0; i < n_works; i++) {
        const char *at = strstr(argv[2], works[i].name);
        size_t len = strlen(works[i].name);
        if (at && (at == argv[2] || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            bench_measure(&works[i], set, strtod(argv[1], NULL));
    }
    for (size_t i = 0; i < set->n; i++)
        free(set->files[i].data);
    free(set->files);
    return 0;
}

#endif
