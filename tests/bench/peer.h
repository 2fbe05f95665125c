/* SPDX-License-Identifier: MIT */
/* What the programs in C beside the daemon measure of themselves; each includes it once. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

static double peer_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static double peer_cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* The peak since exec: that of getrusage() has the parent's in it. */
static long peer_peak_rss(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

/* Around the work: begin, work, end, which prints the peer's answer (frame.py). */
struct peer_clock {
    double wall, cpu;
};

static struct peer_clock peer_begin(void)
{
    return (struct peer_clock){peer_now_s(), peer_cpu_s()};
}

static void peer_end(struct peer_clock begun, int count)
{
    printf("{\"count\": %d, \"wall\": %.6f, \"cpu\": %.6f, \"rss\": %ld}\n", count, peer_now_s() - begun.wall,
           peer_cpu_s() - begun.cpu, peer_peak_rss());
}

#endif
