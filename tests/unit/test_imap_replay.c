/* SPDX-License-Identifier: MIT */
/* Response lines collected from other projects' tests, found beside POSTERN_CORPUS: each goes through the engine whole and
 * byte by byte, and those on whose parse several readers agree must give that parse. Skipped without the lines. */
#include "base64.h"
#include "imap_exercise.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned checked, trees, failures;

/* The engine takes the response as data in the middle of a FETCH of everything; events are looked at by all parsers. */
static int replay(struct slice raw, size_t step)
{
    struct engine_config config = {.tls = TLS_POLICY_NONE};
    struct engine *e = imap_client_new(&config);
    struct engine_event *event;
    struct imap_set set;
    struct imap_command fetch = {.kind = IMAP_FETCH, .set = &set, .items = &SLICE("BODY[]"), .n_items = 1};
    static const char greeting[] = "* OK [CAPABILITY IMAP4rev1] x\r\n";
    struct fault fault = {.kind = FAULT_NONE};
    imap_set_init(&set, 10);
    int ret = e ? imap_set_parse(&set, SLICE("1:*")) : -ENOMEM;
    if (ret == 0)
        ret = e->ops->feed(e, greeting, sizeof(greeting) - 1);
    while (ret == 0 && e->ops->next(e, &event) > 0)
        if (event->type == ENGINE_EVENT_READY)
            ret = imap_client_submit(e, &fetch, &fault);
    for (size_t at = 0; at < raw.len && ret == 0; at += step) {
        size_t n = MIN(step, raw.len - at);
        char *window = malloc(n);
        memcpy(window, raw.data + at, n);
        ret = e->ops->feed(e, window, n);
        while (ret == 0 && (ret = e->ops->next(e, &event)) > 0) {
            exercise_event((struct imap_event *) event);
            ret = 0;
        }
        free(window);
    }
    engine_free(e);
    imap_set_done(&set);
    return ret;
}

/* Names of sections are compared without case and without quotes. */
static bool same_text(struct slice a, struct slice b)
{
    if (slice_find(a, '[') == a.len)
        return slice_eq(a, b);
    size_t i = 0, j = 0;
    while (i < a.len && j < b.len) {
        if (a.data[i] == '"')
            i++;
        else if (ascii_lower(a.data[i++]) != ascii_lower(b.data[j++]))
            return false;
    }
    while (i < a.len && a.data[i] == '"')
        i++;
    return i == a.len && j == b.len;
}

/* What the tree holds as UTF-8 of latin-1, as bytes. */
static struct slice latin1(const json_t *s, char *out)
{
    const unsigned char *p = (const unsigned char *) json_string_value(s);
    size_t n = 0;
    for (size_t len = json_string_length(s), i = 0; i < len; i++)
        out[n++] = p[i] >= 0xc0 && i + 1 < len ? (char) (((p[i] & 3) << 6) | (p[i + 1] & 0x3f)) : (char) p[i], i += p[i] >= 0xc0;
    return slice_of(out, n);
}

static bool same_list(struct slice text, const json_t *list);

static bool same_value(const struct imap_value *v, const json_t *want)
{
    if (json_is_null(want) || json_is_array(want))
        return json_is_array(want) ? v->type == IMAP_LIST && same_list(v->bytes, want) : v->type == IMAP_NIL;
    char *bytes = malloc(json_string_length(want) + 1);
    struct buffer scratch;
    struct slice text;
    buffer_init(&scratch, 1 << 20);
    bool same = v->type != IMAP_LIST && imap_value_text(v, &scratch, &text) == 0 && 
                (v->type == IMAP_ATOM ? same_text(text, latin1(want, bytes)) : slice_eq(text, latin1(want, bytes)));
    buffer_done(&scratch);
    free(bytes);
    return same;
}

static bool same_list(struct slice text, const json_t *list)
{
    size_t i = 0;
    struct imap_value v;
    int got;
    while ((got = imap_value_next(&text, &v)) > 0)
        if (i >= json_array_size(list) || !same_value(&v, json_array_get(list, i++)))
            return false;
    return got == 0 && i == json_array_size(list);
}

static void complain(const char *what, const json_t *row)
{
    printf("%s: %s: %s\n", what, json_string_value(json_object_get(row, "kind")),
           json_string_value(json_object_get(row, "raw")));
    failures++;
}

static void check_row(const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "raw"));
    const char *expect = json_string_value(json_object_get(row, "expect"));
    const json_t *tree = json_object_get(row, "ast");
    if (!text)
        return;
    size_t n = 0;
    char *raw = malloc(strlen(text) + 1);
    if (base64_decode(text, strlen(text), raw, &n) < 0)
        complain("bad row", row);
    int whole = replay(slice_of(raw, n), n ? n : 1), bytewise = replay(slice_of(raw, n), 1);
    checked++;
    if (whole != bytewise)
        complain("the split matters", row);
    /* A second greeting is a fault wherever it comes. */
    if (expect && strcmp(expect, "parse") == 0 && whole < 0 && slice_starts(slice_of(raw, n), SLICE("* ")) &&
        !slice_starts(slice_of(raw, n), SLICE("* PREAUTH")))
        complain("refused", row);
    if (tree) {
        struct slice line = slice_trim(slice_of(raw, n));
        trees++;
        if (!same_list(slice_from(line, 2), tree))
            complain("another tree", row);
    }
    free(raw);
}

int main(void)
{
    static const char *const files[] = {"ast.jsonl", "imap-codec.jsonl", "net-imap.jsonl"};
    const char *corpus = getenv("POSTERN_CORPUS");
    for (size_t i = 0; corpus && i < ARRAY_LEN(files); i++) {
        char path[4096], *line = NULL;
        size_t cap = 0;
        snprintf(path, sizeof(path), "%s/../imap-responses/%s", corpus, files[i]);
        FILE *f = fopen(path, "r");
        while (f && getline(&line, &cap, f) > 0) {
            json_t *row = json_loads(line, 0, NULL);
            check_row(row);
            json_decref(row);
        }
        free(line);
        if (f)
            fclose(f);
    }
    printf("%u responses, %u trees, %u failures\n", checked, trees, failures);
    if (checked == 0)
        return 77;
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
