/* SPDX-License-Identifier: MIT */
/* Waits for new mail with poll(2), as a program with a loop of its own would:  watch ACCOUNT [HOW-MANY-EVENTS]
 * cc -o watch watch.c $(pkg-config --cflags --libs postern) */
#include <poll.h>
#include <postern.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void notified(struct postern *gateway, const char *method, json_t *params, void *arg)
{
    int *left = arg;
    const char *kind = json_string_value(json_object_get(params, "kind"));
    (void) gateway;
    if (strcmp(method, "event") != 0 || !kind)
        return;
    printf("%s %s\n", kind, json_string_value(json_object_get(params, "uids")) ?: "");
    fflush(stdout);
    if (strcmp(kind, "new") == 0 && *left > 0)
        --*left;
}

static void subscribed(struct postern_request *request, void *arg)
{
    (void) arg;
    if (postern_request_error(request))
        fprintf(stderr, "%s\n", postern_request_error(request)->message);
    else
        fprintf(stderr, "watching\n");
}

int main(int argc, char **argv)
{
    struct postern_error error = POSTERN_ERROR_INIT;
    struct postern *gateway = NULL;
    int left = argc > 2 ? (int) strtol(argv[2], NULL, 10) : -1;
    if (argc < 2)
        return 64;
    if (postern_open(&gateway, NULL, 5000, &error) < 0) {
        fprintf(stderr, "no gateway: %s\n", error.message);
        return 69;
    }
    postern_on_notification(gateway, notified, &left);
    json_t *params = json_pack("{s:s}", "account", argv[1]);
    struct postern_request *request = postern_request_new(gateway, "event.subscribe", params);
    postern_request_on_done(request, subscribed, NULL);
    postern_request_start(request, NULL);
    int r = 0;
    while (left != 0 && r >= 0 && (!postern_request_is_done(request) || postern_request_status(request) == 0)) {
        struct pollfd one = {.fd = postern_get_fd(gateway), .events = postern_get_events(gateway)};
        poll(&one, 1, postern_get_timeout(gateway));
        r = postern_process(gateway);
    }
    postern_request_free(request);
    json_decref(params);
    postern_close(gateway);
    postern_error_done(&error);
    return left == 0 ? 0 : 75;
}
