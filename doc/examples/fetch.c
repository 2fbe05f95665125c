/* SPDX-License-Identifier: MIT */
/* Lists the subjects of a mailbox, one by one as they come:  fetch ACCOUNT [MAILBOX]
 * cc -o fetch fetch.c $(pkg-config --cflags --libs postern) */
#include <postern.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct postern_error error = POSTERN_ERROR_INIT;
    struct postern *gateway = NULL;
    json_t *message = NULL;
    if (argc < 2)
        return 64;
    if (postern_open(&gateway, NULL, 5000, &error) < 0) {
        fprintf(stderr, "no gateway: %s\n", error.message);
        return 69;
    }
    json_t *params = json_pack("{s:s,s:s,s:s,s:[s],s:b}", "account", argv[1], "mailbox", argc > 2 ? argv[2] : "INBOX",
                               "uids", "1:*", "items", "ENVELOPE", "stream", 1);
    struct postern_request *request = postern_request_new(gateway, "imap.fetch", params);
    int r = postern_request_start(request, &error);
    while (r == 0 && postern_request_next_item(request, 60000, &message, NULL, NULL) > 0) {
        const char *subject = json_string_value(json_object_get(json_object_get(message, "envelope"), "subject"));
        printf("%6lld  %s\n", (long long) json_integer_value(json_object_get(message, "uid")), subject ? subject : "");
        json_decref(message);
    }
    const struct postern_error *why = postern_request_error(request);
    if (why)
        fprintf(stderr, "%s\n", why->message);
    int status = postern_request_status(request) == 0 ? 0 : 75;
    postern_request_free(request);
    json_decref(params);
    postern_close(gateway);
    postern_error_done(&error);
    return status;
}
