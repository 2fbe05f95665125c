/* SPDX-License-Identifier: MIT */
/* libcurl's multi interface with connections that are used again; the task as JSON on standard input (frame.py). */
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct upload {
    size_t at;
};

static const char *message;
static size_t message_len;
static long n_sent, n_begun;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "mail_curl: %s\n", what);
    exit(1);
}

static size_t give(char *to, size_t size, size_t n, void *arg)
{
    struct upload *u = arg;
    size_t len = message_len - u->at < size * n ? message_len - u->at : size * n;
    memcpy(to, message + u->at, len);
    u->at += len;
    return len;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* The peak since exec: that of getrusage() has the parent's in it. */
static long peak_rss(void)
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

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void begin_one(CURLM *multi, CURL *easy)
{
    struct upload *u;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &u);
    u->at = 0;
    n_begun++;
    curl_multi_add_handle(multi, easy);
}

static void run(CURLM *multi, CURL **easy, int n_easy, long count)
{
    n_sent = n_begun = 0;
    for (int i = 0; i < n_easy && n_begun < count; i++)
        begin_one(multi, easy[i]);
    while (n_sent < count) {
        int running, left;
        CURLMsg *msg;
        curl_multi_perform(multi, &running);
        while ((msg = curl_multi_info_read(multi, &left))) {
            if (msg->msg != CURLMSG_DONE)
                continue;
            CURL *done = msg->easy_handle;
            if (msg->data.result != CURLE_OK)
                die(curl_easy_strerror(msg->data.result));
            curl_multi_remove_handle(multi, done);
            n_sent++;
            if (n_begun < count)
                begin_one(multi, done);
        }
        if (n_sent < count && n_begun - n_sent == running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

int main(void)
{
    json_error_t error;
    const char *host, *user, *password, *ca, *from, *to;
    int port, connections, tls;
    long count;
    json_int_t wanted;
    json_t *task = json_loadf(stdin, 0, &error);
    if (!task || json_unpack(task, "{s:s,s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:I,s:b}", "host", &host, "port", &port, "user", &user,
                             "password", &password, "ca_file", &ca, "from", &from, "to", &to, "message", &message, "connections",
                             &connections, "count", &wanted, "tls", &tls) < 0)
        die("not the task");
    message_len = strlen(message);
    count = (long) wanted;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    CURL *easy[64];
    char url[200];
    if (!multi || connections > 64)
        die("no multi handle");
    snprintf(url, sizeof(url), "%s://%s:%d", tls ? "smtps" : "smtp", host, port);
    struct curl_slist *rcpt = curl_slist_append(NULL, to);
    for (int i = 0; i < connections; i++) {
        struct upload *u = calloc(1, sizeof(*u));
        easy[i] = curl_easy_init();
        if (!easy[i] || !u)
            die("out of memory");
        curl_easy_setopt(easy[i], CURLOPT_URL, url);
        curl_easy_setopt(easy[i], CURLOPT_USERNAME, user);
        curl_easy_setopt(easy[i], CURLOPT_PASSWORD, password);
        curl_easy_setopt(easy[i], CURLOPT_CAINFO, ca);
        curl_easy_setopt(easy[i], CURLOPT_MAIL_FROM, from);
        curl_easy_setopt(easy[i], CURLOPT_MAIL_RCPT, rcpt);
        curl_easy_setopt(easy[i], CURLOPT_READFUNCTION, give);
        curl_easy_setopt(easy[i], CURLOPT_READDATA, u);
        curl_easy_setopt(easy[i], CURLOPT_PRIVATE, u);
        curl_easy_setopt(easy[i], CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy[i], CURLOPT_TCP_NODELAY, 1L);
    }
    run(multi, easy, connections, connections);
    double wall = now_s(), cpu = cpu_s();
    run(multi, easy, connections, count);
    wall = now_s() - wall;
    cpu = cpu_s() - cpu;
    printf("{\"count\": %ld, \"wall\": %.6f, \"cpu\": %.6f, \"rss\": %ld}\n", count, wall, cpu, peak_rss());
    return 0;
}
