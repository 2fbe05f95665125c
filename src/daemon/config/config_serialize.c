/* SPDX-License-Identifier: MIT */
#include "config_keys.h"

#include <errno.h>

/* How many bytes the value takes in its struct. */
static size_t value_size(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_PORT:
        return sizeof(uint16_t);
    case CONFIG_UINT:
    case CONFIG_MODE:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return sizeof(uint64_t);
    case CONFIG_RATE:
        return sizeof(struct config_rate);
    case CONFIG_ENUM:
        return sizeof(int);
    case CONFIG_STRING:
    case CONFIG_ADDRESS:
    case CONFIG_HOST:
    case CONFIG_IP:
    case CONFIG_FILE:
    case CONFIG_NAME:
        return sizeof(char *);
    case CONFIG_SECRET:
        return sizeof(struct secret *);
    case CONFIG_LIST:
    case CONFIG_UPPER_LIST:
    case CONFIG_METHODS:
    case CONFIG_SENDERS:
    case CONFIG_NO_PROXY:
    case CONFIG_DIGESTS:
        return sizeof(struct config_list);
    case CONFIG_PRINCIPALS:
        return sizeof(struct principals);
    case CONFIG_RIGHTS:
        return sizeof(unsigned);
    case CONFIG_PROXY:
        return sizeof(struct config_proxy);
    }
    return 0;
}

int config_value_default(const struct config_key *key, void *base, struct config_source *source)
{
    if (key->fallback)
        return config_value_read(key, slice_of_str(key->fallback), base, source);
    memset((char *) base + key->offset, 0, value_size(key->type));
    return 0;
}

/* A length before every string, so that no two values run into the same bytes. */
static int put_string(struct buffer *out, struct slice s)
{
    int r = buffer_append_u64(out, s.len);
    r = r < 0 ? r : buffer_append_char(out, ':');
    return r < 0 ? r : buffer_append_slice(out, s);
}

static int put_list(struct buffer *out, const struct config_list *list)
{
    int r = buffer_append_u64(out, list->n);
    for (size_t i = 0; i < list->n && r == 0; i++)
        r = put_string(out, slice_of_str(list->items[i]));
    return r;
}

static int put_principals(struct buffer *out, const struct principals *list)
{
    int r = 0;
    for (size_t i = 0; i < list->n && r == 0; i++)
        r = buffer_printf(out, "%c%u,", list->items[i].is_group ? 'g' : 'u', list->items[i].id);
    return r;
}

static int put_narrowings(struct buffer *out, const struct sender_narrowings *list)
{
    int r = 0;
    for (size_t i = 0; i < list->n && r == 0; i++) {
        r = put_principals(out, &(struct principals){&list->items[i].who, 1});
        r = r < 0 ? r : put_list(out, &list->items[i].senders);
    }
    return r;
}

static int put_value(const struct config_key *key, const void *value, struct buffer *out)
{
    int word;
    const struct config_rate *rate;
    const struct config_proxy *proxy;
    switch (key->type) {
    case CONFIG_BOOL:
        return buffer_append_char(out, *(const bool *) value ? '1' : '0');
    case CONFIG_PORT:
        return buffer_append_u64(out, *(const uint16_t *) value);
    case CONFIG_UINT:
    case CONFIG_MODE:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return buffer_append_u64(out, *(const uint64_t *) value);
    case CONFIG_RATE:
        rate = value;
        return buffer_printf(out, "%u/%llu", rate->count, (unsigned long long) rate->per_ms);
    case CONFIG_ENUM:
        memcpy(&word, value, sizeof(word));
        return buffer_printf(out, "%d", word);
    case CONFIG_STRING:
    case CONFIG_ADDRESS:
    case CONFIG_HOST:
    case CONFIG_IP:
    case CONFIG_FILE:
    case CONFIG_NAME: {
        const char *s = *(const char *const *) value;
        return s ? put_string(out, slice_of_str(s)) : 0;
    }
    case CONFIG_SECRET: {
        const struct secret *s = *(struct secret *const *) value;
        return s ? put_string(out, secret_expose(s)) : 0;
    }
    case CONFIG_LIST:
    case CONFIG_UPPER_LIST:
    case CONFIG_METHODS:
    case CONFIG_NO_PROXY:
    case CONFIG_DIGESTS:
        return put_list(out, value);
    case CONFIG_SENDERS:
        return key->flags & CONFIG_PREFIX ? put_narrowings(out, value) : put_list(out, value);
    case CONFIG_PRINCIPALS:
        return put_principals(out, value);
    case CONFIG_RIGHTS:
        return buffer_append_u64(out, *(const unsigned *) value);
    case CONFIG_PROXY:
        proxy = value;
        return buffer_printf(out, "%d/%s/%u", proxy->kind, proxy->host ? proxy->host : "", proxy->port);
    }
    return -EINVAL;
}

int config_value_serialize(const struct config_key *key, const void *base, struct buffer *out)
{
    int r = put_string(out, slice_of_str(key->name));
    r = r < 0 ? r : put_value(key, (const char *) base + key->offset, out);
    return r < 0 ? r : buffer_append_char(out, '\n');
}

void config_value_release(const struct config_key *key, void *base)
{
    if (key->type != CONFIG_SECRET)
        return;
    struct secret **s = (struct secret **) (void *) ((char *) base + key->offset);
    *s = secret_unref(*s);
}
