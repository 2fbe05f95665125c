/* SPDX-License-Identifier: MIT */
#include "library.h"

#include "base64.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

json_t *postern_content_new(const void *bytes, size_t len)
{
    struct slice s = slice_of(len ? bytes : "", len);
    json_t *content = json_object(), *value;
    const char *name = "text";
    if (utf8_is_valid(s) && !memchr(s.data, 0, s.len)) {
        value = json_stringn(s.data, s.len);
    } else {
        char *encoded = malloc(base64_encoded_len(len));
        name = "base64";
        value = encoded ? json_stringn_nocheck(encoded, base64_encode(bytes, len, encoded)) : NULL;
        free(encoded);
    }
    /* Releases the value in any case, without an object too. */
    if (json_object_set_new(content, name, value) < 0) {
        json_decref(content);
        return NULL;
    }
    return content;
}

json_t *postern_content_new_fd(int index)
{
    json_t *content = json_object();
    if (!content || json_object_set_new(content, "fd", json_integer(index)) < 0) {
        json_decref(content);
        return NULL;
    }
    return content;
}

static int give(const void *bytes, size_t len, char **ret, size_t *ret_len)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, bytes, len);
    copy[len] = 0;
    *ret = copy;
    *ret_len = len;
    return 0;
}

static int read_fd(int fd, char **ret, size_t *ret_len)
{
    struct buffer b;
    int r = 0;
    ssize_t n = 1;
    bool is_file = lseek(fd, 0, SEEK_CUR) >= 0;
    buffer_init(&b, SIZE_MAX / 4);
    while (r == 0 && n > 0) {
        char *room;
        r = buffer_reserve(&b, 65536, &room);
        if (r < 0)
            break;
        /* A memory file is read by position: others may hold the same open file. */
        n = is_file ? pread(fd, room, 65536, (off_t) buffer_len(&b)) : read(fd, room, 65536);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            r = -errno;
        else
            buffer_commit(&b, (size_t) n);
    }
    if (r == 0) {
        char *all = buffer_len(&b) ? buffer_steal(&b, ret_len) : NULL;
        if (all)
            *ret = all;
        else
            r = give("", 0, ret, ret_len);
    }
    buffer_done(&b);
    return r;
}

int postern_content_read(const json_t *content, const int *fds, size_t n_fds, char **ret, size_t *ret_len)
{
    const json_t *text = json_is_string(content) ? content : json_object_get(content, "text");
    const json_t *base64 = json_object_get(content, "base64"), *fd = json_object_get(content, "fd");
    if (text)
        return json_is_string(text) ? give(json_string_value(text), json_string_length(text), ret, ret_len) : -EINVAL;
    if (base64) {
        if (!json_is_string(base64))
            return -EINVAL;
        size_t len = json_string_length(base64), out_len;
        char *out = malloc(base64_decoded_max(len) + 1);
        if (!out)
            return -ENOMEM;
        int r = base64_decode(json_string_value(base64), len, out, &out_len);
        if (r < 0) {
            free(out);
            return r;
        }
        out[out_len] = 0;
        *ret = out;
        *ret_len = out_len;
        return 0;
    }
    json_int_t index = json_integer_value(fd);
    if (!json_is_integer(fd) || index < 0 || (uint64_t) index >= n_fds || fds[index] < 0)
        return -EINVAL;
    return read_fd(fds[index], ret, ret_len);
}
