/* SPDX-License-Identifier: MIT */
/* Sends a mail with a file:  send ACCOUNT TO SUBJECT [FILE] <TEXT
 * cc -o send send.c $(pkg-config --cflags --libs postern) */
#include <fcntl.h>
#include <postern.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char text[65536];
    struct postern_error error = POSTERN_ERROR_INIT;
    struct postern *gateway = NULL;
    if (argc < 4)
        return 64;
    size_t len = fread(text, 1, sizeof(text) - 1, stdin);
    json_t *message = json_pack("{s:s,s:s,s:s%}", "to", argv[2], "subject", argv[3], "text", text, len);
    json_t *params = json_pack("{s:s,s:o}", "account", argv[1], "message", message);

    if (postern_open(&gateway, NULL, 5000, &error) < 0) {
        fprintf(stderr, "no gateway: %s\n", error.message);
        return 69;
    }
    /* The account's own address is the sender; it is in account.list. */
    json_t *list = NULL, *account;
    size_t i;
    postern_call(gateway, "account.list", NULL, &list, NULL);
    json_array_foreach(json_object_get(list, "accounts"), i, account)
        if (json_equal(json_object_get(account, "name"), json_object_get(params, "account")))
            json_object_set(message, "from", json_object_get(account, "email"));

    struct postern_request *request = postern_request_new(gateway, "smtp.send", params);
    if (argc > 4) { /* The file travels as a descriptor, whatever its size. */
        int fd = open(argv[4], O_RDONLY | O_CLOEXEC);
        json_t *one = json_pack("{s:o,s:s}", "content", postern_content_new_fd(postern_request_add_fd(request, fd)),
                                "filename", argv[4]);
        json_object_set_new(message, "attachments", json_pack("[o]", one));
        close(fd);
    }
    int status = 0;
    if (postern_request_start(request, NULL) < 0 || postern_request_wait(request, 60000) < 0 ||
        postern_request_status(request) != 0) {
        const struct postern_error *why = postern_request_error(request);
        fprintf(stderr, "not sent: %s%s\n", why ? why->message : "no answer",
                why && why->outcome == POSTERN_OUTCOME_UNKNOWN ? " (it may have been sent)" : "");
        status = 75;
    } else {
        printf("sent as %s\n",
               json_string_value(json_object_get(postern_request_result(request), "message_id")));
    }
    postern_request_free(request);
    json_decref(params);
    json_decref(list);
    postern_close(gateway);
    postern_error_done(&error);
    return status;
}
