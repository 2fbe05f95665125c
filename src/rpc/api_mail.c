/* SPDX-License-Identifier: MIT */
/* Rows of mail.*, and the objects of messages that other areas share. */
#include "api_mail.h"

#include "rpc_methods.h"

/* ---- a message to be built ---------------------------------------------------------------------------------- */

static const char *const disposition_names[] = {"inline", "attachment", NULL};

static const char *const priority_names[] = {"high", "normal", "low", NULL};

static const struct rpc_field attachment_fields[] = {
    {"content", RPC_CONTENT, RPC_AT(api_attachment, content), .flags = RPC_REQUIRED, .doc = "The bytes."},
    {"filename", RPC_STRING, RPC_AT(api_attachment, filename), .flags = RPC_LINE | RPC_NULLABLE,
     .doc = "The name under which it is to be saved."},
    {"content_type", RPC_STRING, RPC_AT(api_attachment, content_type), .flags = RPC_LINE | RPC_NULLABLE,
     .doc = "The media type; by default from the name's ending."},
    {"content_id", RPC_STRING, RPC_AT(api_attachment, content_id), .flags = RPC_LINE | RPC_NULLABLE,
     .doc = "The id by which HTML refers to it (cid:), without angle brackets."},
    {"disposition", RPC_ENUM, RPC_AT(api_attachment, disposition), .flags = RPC_NULLABLE, .names = disposition_names,
     .doc = "`attachment`, or `inline`, which is the default where content_id is given."},
};
static const struct rpc_object attachment_object = {.name = "Attachment",
                                                    .doc = "A file that goes with a message.",
                                                    RPC_FIELDS(attachment_fields),
                                                    .size = sizeof(struct api_attachment)};

#define ADDRESSES(member, text)                                                                                        \
    {                                                                                                                  \
        #member, RPC_ADDRESSES, RPC_AT(api_message, member), .flags = RPC_LINE | RPC_NULLABLE, .doc = text             \
    }

static const struct rpc_field message_fields[] = {
    ADDRESSES(from, "The author, or authors."),
    ADDRESSES(sender, "Who sends it for the authors."),
    ADDRESSES(to, "The recipients."),
    ADDRESSES(cc, "Who gets a copy."),
    ADDRESSES(bcc, "Who gets a copy without the others seeing it: in the envelope only."),
    ADDRESSES(reply_to, "Where answers are to go."),
    {"subject", RPC_STRING, RPC_AT(api_message, subject), .flags = RPC_LINE | RPC_NULLABLE, .doc = "The subject."},
    {"text", RPC_STRING, RPC_AT(api_message, text), .flags = RPC_NULLABLE, .doc = "The body as plain text."},
    {"html", RPC_STRING, RPC_AT(api_message, html), .flags = RPC_NULLABLE,
     .doc = "The body as HTML; with `text`, an alternative to it."},
    {"calendar", RPC_STRING, RPC_AT(api_message, calendar), .flags = RPC_NULLABLE,
     .doc = "An invitation or an answer to one as iCalendar: an alternative to the texts for programs that understand it."},
    {"calendar_method", RPC_STRING, RPC_AT(api_message, calendar_method), .flags = RPC_LINE | RPC_NULLABLE, .max = 64,
     .doc = "Its METHOD, such as `REQUEST`, `REPLY` or `CANCEL`, which stands in the calendar as well."},
    {"attachments", RPC_OBJECTS, RPC_AT(api_message, attachments), .flags = RPC_NULLABLE, .max = 1000,
     .object = &attachment_object, .doc = "Files that go with it."},
    {"headers", RPC_MAP, RPC_AT(api_message, headers), .flags = RPC_LINE | RPC_NULLABLE | RPC_MAP_LISTS,
     .doc = "Further header fields by name; a value is a string, or an array of strings for a repeated field."},
    {"date", RPC_STRING, RPC_AT(api_message, date), .flags = RPC_LINE | RPC_NULLABLE, .max = 64,
     .doc = "The date as ISO 8601; by default, now."},
    {"message_id", RPC_STRING, RPC_AT(api_message, message_id), .flags = RPC_LINE | RPC_NULLABLE, .max = 900,
     .doc = "The message's id, without angle brackets; by default, a new one."},
    {"in_reply_to", RPC_STRINGS, RPC_AT(api_message, in_reply_to), .flags = RPC_LINE | RPC_ONE | RPC_NULLABLE,
     .doc = "Ids of the messages that this one answers, without angle brackets."},
    {"references", RPC_STRINGS, RPC_AT(api_message, references), .flags = RPC_LINE | RPC_ONE | RPC_NULLABLE,
     .doc = "Ids of the thread's messages, without angle brackets."},
    {"list_unsubscribe", RPC_STRINGS, RPC_AT(api_message, list_unsubscribe), .flags = RPC_LINE | RPC_ONE | RPC_NULLABLE, .max = 20,
     .doc = "URIs (`https:`, `mailto:`) where the recipient can leave the list."},
    {"one_click", RPC_BOOL, RPC_AT(api_message, one_click), .initial = "false",
     .doc = "A POST to the `https:` one of them is enough (RFC 8058)."},
    {"priority", RPC_ENUM, RPC_AT(api_message, priority), .flags = RPC_NULLABLE, .names = priority_names,
     .doc = "How urgent it is, for programs that show that: written as `Importance` and `X-Priority`."},
};
const struct rpc_object api_message_object = {.name = "Message",
                                              .doc = "A message to be built. Every member is optional.",
                                              RPC_FIELDS(message_fields),
                                              .size = sizeof(struct api_message)};

/* ---- what parsing gives ------------------------------------------------------------------------------------- */

static const struct rpc_field address_fields[] = {
    {"name", RPC_STRING, .flags = RPC_NULLABLE, .doc = "The display name."},
    {"address", RPC_STRING, .doc = "The address; absent for a group."},
    {"group", RPC_STRING, .doc = "The group's name, in place of name and address."},
    {"members", RPC_OBJECTS, .object = &api_address_result, .doc = "The group's addresses."},
};
const struct rpc_object api_address_result = {
    .name = "Address", .doc = "An address ({name, address}) or a group ({group, members}).", RPC_FIELDS(address_fields)};

static const struct rpc_field reply_fields[] = {
    {"code", RPC_INT, .doc = "SMTP's code."},
    {"enhanced", RPC_STRING, .doc = "SMTP's enhanced status code."},
    {"status", RPC_STRING, .doc = "IMAP's NO, BAD or BYE, POP3's -ERR."},
    {"response_code", RPC_STRING, .doc = "IMAP's and POP3's response code, without brackets."},
    {"text", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The text."},
};
const struct rpc_object api_reply_result = {.name = "Reply", .doc = "What a server said.", RPC_FIELDS(reply_fields)};

static const struct rpc_field body_fields[] = {
    {"text", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The text/plain parts, as UTF-8 with LF, joined by LF."},
    {"html", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The text/html parts likewise."},
    {"text_parts", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Numbers of the parts that a reader of plain text shows."},
    {"html_parts", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Numbers of the parts that a reader of HTML shows."},
};
static const struct rpc_object body_object = {
    .name = "Body", .doc = "What is to be read of a message (RFC 8621 section 4.1.4).", RPC_FIELDS(body_fields)};

static const struct rpc_field parsed_attachment_fields[] = {
    {"part", RPC_STRING, .flags = RPC_REQUIRED, .doc = "IMAP's section number."},
    {"content_type", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The media type, in lower case."},
    {"disposition", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "`attachment`, `inline` or what else is there."},
    {"filename", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The name, decoded."},
    {"content_id", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The id, without angle brackets."},
    {"charset", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The charset parameter."},
    {"inline", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether it is shown within the body."},
    {"headers", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "The part's header fields, as in the message."},
    {"size", RPC_INT, .flags = RPC_REQUIRED, .doc = "Bytes, decoded."},
    {"content", RPC_CONTENT, .doc = "The bytes, decoded."},
};
static const struct rpc_object parsed_attachment_object = {
    .name = "ParsedAttachment", .doc = "An attachment of a message that was parsed.", RPC_FIELDS(parsed_attachment_fields)};

static const struct rpc_object structure_object;
static const struct rpc_field structure_fields[] = {
    {"part", RPC_STRING, .flags = RPC_REQUIRED, .doc = "IMAP's section number."},
    {"content_type", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The media type, in lower case."},
    {"params", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "Its parameters, decoded."},
    {"disposition", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The disposition."},
    {"filename", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The name, decoded."},
    {"content_id", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The id, without angle brackets."},
    {"encoding", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The transfer encoding."},
    {"size", RPC_INT, .flags = RPC_REQUIRED, .doc = "Bytes, decoded."},
    {"children", RPC_OBJECTS, .object = &structure_object, .doc = "The parts of a multipart or of an enclosed message."},
};
static const struct rpc_object structure_object = {
    .name = "Structure", .doc = "A part of a message, with its parts.", RPC_FIELDS(structure_fields)};

#define PARSED_ADDRESSES(field, text)                                                                                  \
    {                                                                                                                  \
        field, RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &api_address_result, .doc = text                          \
    }

#define REPORTED(field, text)                                                                                          \
    {                                                                                                                  \
        field, RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = text                                           \
    }

static const struct rpc_field reported_fields[] = {
    REPORTED("final_recipient", "The address as the reporting system had it."),
    REPORTED("original_recipient", "The address as the sender gave it."),
    REPORTED("action", "`failed`, `delayed`, `delivered`, `relayed` or `expanded`."),
    REPORTED("status", "The enhanced status code."),
    REPORTED("remote_mta", "Who refused it, or took it."),
    REPORTED("diagnostic", "What was said then."),
    REPORTED("disposition", "Of a read receipt: what became of the message."),
};
static const struct rpc_object reported_object = {
    .name = "ReportedRecipient", .doc = "What a report says about one recipient.", RPC_FIELDS(reported_fields)};

static const struct rpc_field report_fields[] = {
    {"type", RPC_STRING, .flags = RPC_REQUIRED,
     .doc = "`delivery-status`, `disposition-notification` (a read receipt) or `feedback-report` (a complaint)."},
    {"part", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The part that says so."},
    {"original", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The part that is the message it is about, or its header."},
    {"original_message_id", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "That message's id, without angle brackets."},
    {"recipients", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &reported_object, .doc = "What it says about each recipient."},
};
static const struct rpc_object report_object = {
    .name = "Report", .doc = "What a mail system says about a message (RFC 3464, 8098, 5965).", RPC_FIELDS(report_fields)};

static const struct rpc_field parse_result[] = {
    {"headers", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "Lower-case name to an array of decoded values, in order."},
    {"subject", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The subject."},
    PARSED_ADDRESSES("from", "The authors."),
    PARSED_ADDRESSES("sender", "Who sent it for them."),
    PARSED_ADDRESSES("reply_to", "Where answers are to go."),
    PARSED_ADDRESSES("to", "The recipients."),
    PARSED_ADDRESSES("cc", "Who got a copy."),
    PARSED_ADDRESSES("bcc", "Who got a copy, where it still says so."),
    {"date", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "ISO 8601 with its offset; null if it is unusable."},
    {"message_id", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "Without angle brackets."},
    {"in_reply_to", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Ids without angle brackets."},
    {"references", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Ids without angle brackets."},
    {"body", RPC_OBJECT, .flags = RPC_REQUIRED, .object = &body_object, .doc = "What is to be read."},
    {"attachments", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &parsed_attachment_object,
     .doc = "The other parts, in the message's order."},
    {"structure", RPC_OBJECT, .flags = RPC_REQUIRED, .object = &structure_object, .doc = "The tree of parts."},
    {"report", RPC_OBJECT, .flags = RPC_REQUIRED | RPC_NULLABLE, .object = &report_object,
     .doc = "What it reports, where it is a report."},
    {"size", RPC_INT, .flags = RPC_REQUIRED, .doc = "Bytes of the whole message."},
    {"defects", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "What is wrong with it, in words."},
};
static const struct rpc_object parse_object = {
    .name = "Mail", .doc = "A message that was parsed.", RPC_FIELDS(parse_result)};

/* ---- methods ------------------------------------------------------------------------------------------------ */

static const struct rpc_field parse_params[] = {
    {"raw", RPC_CONTENT, RPC_AT(api_mail_parse_params, raw), .flags = RPC_REQUIRED, .doc = "The message."},
    {"attachments", RPC_BOOL, RPC_AT(api_mail_parse_params, attachments), .initial = "true",
     .doc = "Whether the answer holds the attachments' bytes."},
    {"flowed", RPC_BOOL, RPC_AT(api_mail_parse_params, flowed), .initial = "false",
     .doc = "Put the paragraphs of format=flowed texts together."},
    {"encoded_text", RPC_BOOL, RPC_AT(api_mail_parse_params, encoded_text), .initial = "false",
     .doc = "Take files that stand in plain texts of the body as uuencode (also in base64) or yEnc out of `body.text`, and list them among "
            "the attachments: with the number of the part they stand in, their name, and no header fields. At most a "
            "thousand of a message."},
    {"tnef", RPC_BOOL, RPC_AT(api_mail_parse_params, tnef), .initial = "false",
     .doc = "List the files in a winmail.dat (application/ms-tnef) behind it among the attachments: with its part's number, "
            "their own name, type and id, and no header fields. At most a thousand of a message."},
};
static const struct rpc_object parse_params_object = {RPC_FIELDS(parse_params),
                                                      .size = sizeof(struct api_mail_parse_params)};

const struct rpc_method api_mail_parse = {
    .name = "mail.parse",
    .permission = RPC_ALLOW_PEER,
    .flags = RPC_CONTENTS,
    .summary = "Take a message apart",
    .doc = "Gives header fields, addresses, bodies and attachments decoded, and the structure. Nothing that a message "
           "contains makes it fail: what is wrong is said in `defects`.",
    .params = &parse_params_object,
    .result = &parse_object,
    .errors = RPC_ERROR(LIMIT) | RPC_ERROR(BAD_MESSAGE) | RPC_ERROR(TIMEOUT),
};

static const char *const transport_names[] = {"7bit", "8bit", "binary", NULL};

static const struct rpc_field build_params[] = {
    {"message", RPC_OBJECT, RPC_AT(api_mail_build_params, message), .flags = RPC_REQUIRED, .object = &api_message_object,
     .doc = "The message."},
    {"transport", RPC_ENUM, RPC_AT(api_mail_build_params, transport), .names = transport_names, .initial = "\"7bit\"",
     .doc = "What the way to the recipient can carry: bodies are encoded for it."},
    {"utf8", RPC_BOOL, RPC_AT(api_mail_build_params, utf8), .initial = "false",
     .doc = "Write header fields in UTF-8 (RFC 6532) in place of encoded words."},
};
static const struct rpc_object build_params_object = {RPC_FIELDS(build_params),
                                                      .size = sizeof(struct api_mail_build_params)};

static const struct rpc_field envelope_fields[] = {
    {"from", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The sender's address."},
    {"to", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "The recipients' addresses: to, cc and bcc."},
};
static const struct rpc_object envelope_object = {
    .name = "EnvelopeOf", .doc = "The envelope that belongs to a message.", RPC_FIELDS(envelope_fields)};

static const struct rpc_field build_result[] = {
    {"raw", RPC_CONTENT, .flags = RPC_REQUIRED, .doc = "The message, with CRLF lines."},
    {"message_id", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Its id, without angle brackets."},
    {"size", RPC_INT, .flags = RPC_REQUIRED, .doc = "Bytes of `raw`."},
    {"envelope", RPC_OBJECT, .flags = RPC_REQUIRED, .object = &envelope_object, .doc = "Its envelope."},
};
static const struct rpc_object build_object = {RPC_FIELDS(build_result)};

const struct rpc_method api_mail_build = {
    .name = "mail.build",
    .permission = RPC_ALLOW_PEER,
    .flags = RPC_CONTENTS,
    .summary = "Make a message",
    .doc = "Writes header fields, bodies and attachments as RFC 5322, 2045, 2047 and 2231 want them.",
    .params = &build_params_object,
    .result = &build_object,
    .errors = RPC_ERROR(LIMIT) | RPC_ERROR(BAD_MESSAGE) | RPC_ERROR(TIMEOUT),
};
