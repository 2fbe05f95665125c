/* SPDX-License-Identifier: MIT */
/* The same works by GMime, where it is installed. It has no way to read a header alone: the whole message is parsed. */
#include <gmime/gmime.h>
#include <stdbool.h>

#include "mime_work.h"

static struct bench_set set;

static GMimeMessage *parse(const char *data, size_t len)
{
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(data, len);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    g_object_unref(parser);
    g_object_unref(stream);
    return message;
}

static size_t work_structure(const char *data, size_t len)
{
    GMimeMessage *message = parse(data, len);
    if (message)
        g_object_unref(message);
    return message != NULL;
}

static size_t read_fields(GMimeMessage *message)
{
    GMimeHeaderList *list = g_mime_object_get_header_list(GMIME_OBJECT(message));
    size_t n = 0;
    for (int i = 0, count = g_mime_header_list_get_count(list); i < count; i++) {
        const char *value = g_mime_header_get_value(g_mime_header_list_get_header_at(list, i));
        n += value ? strlen(value) : 0;
    }
    g_mime_message_get_date(message);
    for (int kind = GMIME_ADDRESS_TYPE_SENDER; kind <= GMIME_ADDRESS_TYPE_BCC; kind++)
        n += (size_t) internet_address_list_length(g_mime_message_get_addresses(message, (GMimeAddressType) kind));
    return n;
}

static size_t work_headers(const char *data, size_t len)
{
    GMimeMessage *message = parse(data, len);
    size_t n = message ? read_fields(message) : 0;
    if (message)
        g_object_unref(message);
    return n;
}

static void read_part(GMimeObject *parent, GMimeObject *part, gpointer data)
{
    size_t *n = data;
    (void) parent;
    if (GMIME_IS_TEXT_PART(part) && !g_mime_part_is_attachment(GMIME_PART(part))) {
        char *text = g_mime_text_part_get_text(GMIME_TEXT_PART(part));
        *n += text ? strlen(text) : 0;
        g_free(text);
    } else if (GMIME_IS_PART(part)) {
        GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(part));
        GMimeStream *to = g_mime_stream_null_new();
        if (content)
            *n += (size_t) g_mime_data_wrapper_write_to_stream(content, to);
        g_object_unref(to);
    }
}

static size_t work_whole(const char *data, size_t len)
{
    GMimeMessage *message = parse(data, len);
    size_t n = 0;
    if (!message)
        return 0;
    n = read_fields(message) ? 0 : 1;
    g_mime_message_foreach(message, read_part, &n);
    g_object_unref(message);
    return n;
}

static GMimeObject *text_part(const char *subtype, const char *text)
{
    GMimeTextPart *part = g_mime_text_part_new_with_subtype(subtype);
    g_mime_text_part_set_charset(part, "utf-8");
    g_mime_text_part_set_text(part, text);
    return GMIME_OBJECT(part);
}

static void add(GMimeMultipart *to, GMimeObject *part)
{
    g_mime_multipart_add(to, part);
    g_object_unref(part);
}

static size_t work_build(const char *data, size_t len)
{
    GMimeMessage *message = g_mime_message_new(TRUE);
    GMimeMultipart *mixed = g_mime_multipart_new_with_subtype("mixed"), *texts = g_mime_multipart_new_with_subtype("alternative");
    GMimePart *file = g_mime_part_new_with_type("application", "octet-stream");
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(data, len), *to = g_mime_stream_null_new();
    GMimeDataWrapper *content = g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT);
    GMimeFormatOptions *format = g_mime_format_options_new();

    g_mime_message_add_mailbox(message, GMIME_ADDRESS_TYPE_FROM, "Zoë Müller", "zoe@example.com");
    g_mime_message_add_mailbox(message, GMIME_ADDRESS_TYPE_TO, "Ann", "ann@example.com");
    g_mime_message_set_subject(message, "Grüße aus Köln", "utf-8");
    g_mime_message_set_message_id(message, "1@example.com");
    add(texts, text_part("plain", "Grüße, und eine Zeile dazu.\n"));
    add(texts, text_part("html", "<p>Grüße, und eine Zeile dazu.</p>\n"));
    add(mixed, GMIME_OBJECT(texts));
    g_mime_part_set_filename(file, "datei ä.bin");
    g_mime_part_set_content_encoding(file, GMIME_CONTENT_ENCODING_BASE64);
    g_mime_part_set_content(file, content);
    add(mixed, GMIME_OBJECT(file));
    g_mime_message_set_mime_part(message, GMIME_OBJECT(mixed));
    g_object_unref(mixed);
    g_mime_object_encode(GMIME_OBJECT(message), GMIME_ENCODING_CONSTRAINT_7BIT);
    g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
    ssize_t n = g_mime_object_write_to_stream(GMIME_OBJECT(message), format, to);
    g_mime_format_options_free(format);
    g_object_unref(content);
    g_object_unref(stream);
    g_object_unref(to);
    g_object_unref(message);
    return n > 0 ? (size_t) n : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_work works[] = {
        {"structure", work_structure}, {"headers", work_headers}, {"whole", work_whole}, {"build", work_build}};
    g_mime_init();
    return bench_main(works, sizeof(works) / sizeof(works[0]), &set, argc, argv);
}
