/* SPDX-License-Identifier: MIT */
/* A reader of messages that is GMime's: on standard input the length of a message, a line feed and its bytes; on standard output
 * what it finds, one JSON object a line (see readers.py). */
#include <gmime/gmime.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_of(const char *s)
{
    json_t *text = json_string(s ? s : "");
    return text ? text : json_string("(no UTF-8)");
}

static json_t *addresses(InternetAddressList *list)
{
    json_t *all = json_array();
    for (int i = 0, n = list ? internet_address_list_length(list) : 0; i < n; i++) {
        InternetAddress *a = internet_address_list_get_address(list, i);
        json_t *name = text_of(internet_address_get_name(a)), *value;
        if (INTERNET_ADDRESS_IS_GROUP(a))
            value = addresses(internet_address_group_get_members(INTERNET_ADDRESS_GROUP(a)));
        else
            value = text_of(internet_address_mailbox_get_idn_addr(INTERNET_ADDRESS_MAILBOX(a)));
        json_array_append_new(all, json_pack("[o, o]", name, value));
    }
    return all;
}

static json_t *header_of(GMimeObject *object, bool all)
{
    json_t *fields = json_object();
    GMimeHeaderList *list = g_mime_object_get_header_list(object);
    for (int i = 0, n = all ? g_mime_header_list_get_count(list) : 0; i < n; i++) {
        GMimeHeader *h = g_mime_header_list_get_header_at(list, i);
        char *name = g_ascii_strdown(g_mime_header_get_name(h), -1);
        json_t *values = json_object_get(fields, name);
        if (!values) {
            values = json_array();
            json_object_set_new(fields, name, values);
        }
        json_array_append_new(values, text_of(g_mime_header_get_value(h)));
        g_free(name);
    }
    return fields;
}

static json_t *ids(GMimeObject *object, const char *name)
{
    json_t *all = json_array();
    const char *value = g_mime_object_get_header(object, name);
    GMimeReferences *list = value ? g_mime_references_parse(NULL, value) : NULL;
    for (int i = 0; list && i < g_mime_references_length(list); i++)
        json_array_append_new(all, text_of(g_mime_references_get_message_id(list, i)));
    if (list)
        g_mime_references_free(list);
    return all;
}

struct found {
    json_t *attachments;
    GString *text, *html;
};

static json_t *bytes_of(GMimeObject *part)
{
    GMimeStream *stream = g_mime_stream_mem_new();
    if (GMIME_IS_MESSAGE_PART(part)) {
        GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(part));
        GMimeFormatOptions *format = g_mime_format_options_new();
        g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
        if (inner)
            g_mime_object_write_to_stream(GMIME_OBJECT(inner), format, stream);
        g_mime_format_options_free(format);
    } else if (GMIME_IS_PART(part)) {
        GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(part));
        if (content)
            g_mime_data_wrapper_write_to_stream(content, stream);
    }
    GByteArray *data = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
    char *base64 = g_base64_encode(data->data, data->len);
    json_t *text = json_string(base64);
    g_free(base64);
    g_object_unref(stream);
    return text;
}

static void take_part(struct found *f, GMimeObject *part)
{
    GMimeContentDisposition *disposition = g_mime_object_get_content_disposition(part);
    GMimeContentType *type = g_mime_object_get_content_type(part);
    if (GMIME_IS_MULTIPART(part)) {
        for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(part)); i++)
            take_part(f, g_mime_multipart_get_part(GMIME_MULTIPART(part), i));
        return;
    }
    bool html = g_mime_content_type_is_type(type, "text", "html");
    if (GMIME_IS_TEXT_PART(part) && !disposition && (html || g_mime_content_type_is_type(type, "text", "plain"))) {
        char *text = g_mime_text_part_get_text(GMIME_TEXT_PART(part));
        g_string_append(html ? f->html : f->text, text ? text : "");
        g_free(text);
        return;
    }
    const char *name = GMIME_IS_PART(part)     ? g_mime_part_get_filename(GMIME_PART(part))
                       : disposition ? g_mime_content_disposition_get_parameter(disposition, "filename")
                                     : NULL;
    char *mime = g_ascii_strdown(g_mime_content_type_get_media_type(type), -1);
    char *full = g_strdup_printf("%s/%s", mime, g_mime_content_type_get_media_subtype(type));
    json_array_append_new(f->attachments,
                          json_pack("{so, ss, so, ss, so}", "filename", text_of(name), "disposition",
                                    disposition ? g_mime_content_disposition_get_disposition(disposition) : "", "content_id",
                                    text_of(g_mime_object_get_content_id(part)), "type", full, "bytes", bytes_of(part)));
    g_free(full);
    g_free(mime);
}

static json_t *message_of(GMimeMessage *m)
{
    struct found f = {json_array(), g_string_new(NULL), g_string_new(NULL)};
    GDateTime *date = g_mime_message_get_date(m);
    json_t *all = json_object();
    take_part(&f, g_mime_message_get_mime_part(m));
    json_object_set_new(all, "from", addresses(g_mime_message_get_from(m)));
    json_object_set_new(all, "sender", addresses(g_mime_message_get_sender(m)));
    json_object_set_new(all, "reply_to", addresses(g_mime_message_get_reply_to(m)));
    json_object_set_new(all, "to", addresses(g_mime_message_get_to(m)));
    json_object_set_new(all, "cc", addresses(g_mime_message_get_cc(m)));
    json_object_set_new(all, "subject", text_of(g_mime_message_get_subject(m)));
    json_object_set_new(all, "date", json_integer(date ? g_date_time_to_unix(date) : 0));
    json_object_set_new(all, "message_id", text_of(g_mime_message_get_message_id(m)));
    json_object_set_new(all, "in_reply_to", ids(GMIME_OBJECT(m), "In-Reply-To"));
    json_object_set_new(all, "references", ids(GMIME_OBJECT(m), "References"));
    json_object_set_new(all, "headers", header_of(GMIME_OBJECT(m), true));
    json_object_set_new(all, "text", text_of(f.text->str));
    json_object_set_new(all, "html", text_of(f.html->str));
    json_object_set_new(all, "attachments", f.attachments);
    g_string_free(f.text, TRUE);
    g_string_free(f.html, TRUE);
    return all;
}

int main(void)
{
    size_t len;
    g_mime_init();
    while (scanf("%zu", &len) == 1 && getchar() == '\n') {
        char *raw = malloc(len + 1);
        if (!raw || fread(raw, 1, len, stdin) != len)
            return 1;
        GMimeStream *stream = g_mime_stream_mem_new_with_buffer(raw, len);
        GMimeParser *parser = g_mime_parser_new_with_stream(stream);
        GMimeMessage *m = g_mime_parser_construct_message(parser, NULL);
        json_t *found = m ? message_of(m) : json_object();
        if (json_dumpf(found, stdout, JSON_COMPACT) < 0)
            return 1;
        putchar('\n');
        fflush(stdout);
        json_decref(found);
        if (m)
            g_object_unref(m);
        g_object_unref(parser);
        g_object_unref(stream);
        free(raw);
    }
    return 0;
}
