/* SPDX-License-Identifier: MIT */
/* Files within a winmail.dat (MS-OXTNEF, application/ms-tnef): what stands in it as attachments, in pieces, without ever
 * holding more than a name. Nothing is believed of what it says about lengths: each only counts down what is there. An
 * object of one attachment, no state beside it. Linear in its input. */
#ifndef POSTERN_MIME_TNEF_H
#define POSTERN_MIME_TNEF_H

#include "mime_message.h"

#define MIME_TNEF_FILES_MAX 1000 /* of a message */
#define MIME_TNEF_TEXT_MAX 1024  /* bytes of a name that are kept */

enum mime_tnef_event {
    MIME_TNEF_MORE,  /* all input is used up; at the end: nothing follows */
    MIME_TNEF_BEGIN, /* a file */
    MIME_TNEF_DATA,  /* a piece of it, borrowed until the next call */
    MIME_TNEF_END,   /* of the file: what it is called is known now */
};

enum mime_tnef_text { TNEF_TITLE, TNEF_TRANSPORT_NAME, TNEF_SHORT_NAME, TNEF_LONG_NAME, TNEF_TYPE, TNEF_ID, MIME_TNEF_TEXTS };

struct mime_tnef {
    enum {
        TNEF_SIGNATURE,
        TNEF_ATTRIBUTE,
        TNEF_SKIP, /* from here to TNEF_PROPS: within an attribute */
        TNEF_CODEPAGE,
        TNEF_COLLECT,
        TNEF_FILE,
        TNEF_PROPS,
        TNEF_CHECKSUM,
        TNEF_OVER /* what follows is not understood */
    } state;
    enum { PROP_COUNT, PROP_HEAD, PROP_NAMED, PROP_VALUES, PROP_LEN, PROP_OBJECT, PROP_VALUE, PROP_SKIP } prop;
    enum { THEN_VALUES, THEN_VALUE, THEN_PROP } then; /* behind what is skipped */
    unsigned char held[24]; /* a piece of fixed size that is not whole yet */
    size_t n_held;
    uint32_t left;         /* bytes of the attribute */
    uint32_t props_left, values_left, value_left, padding;
    uint64_t skip_left;
    uint16_t prop_type, prop_id;
    uint16_t sum;          /* of the attribute's bytes */
    uint32_t attribute;
    bool of_file;          /* the attribute is one of an attachment */
    unsigned codepage;     /* of texts that are not Unicode */
    bool begun;            /* the attribute has just begun: nothing is told for it yet */
    bool is_open;          /* BEGIN was told, END was not */
    bool is_new;           /* by this very attribute */
    bool is_message;       /* the file is a message in this same form */
    bool has_data;         /* as an attribute of its own */
    bool again;            /* its properties hold another content */
    size_t n_files, max_files;
    int text;              /* the one that is collected, or -1 */
    struct mime_tnef_string {
        char bytes[MIME_TNEF_TEXT_MAX];
        size_t n;
        bool utf16;
    } texts[MIME_TNEF_TEXTS];
    bool no_tnef;  /* it does not begin like one */
    bool broken;   /* a checksum is wrong, or a property cannot be understood */
    bool cut;      /* it ends too early */
    bool too_many; /* files beyond the limit were passed over */
};

void mime_tnef_init(struct mime_tnef *t, size_t max_files);
/* Takes from *in what it needs; `last`: nothing comes behind *in. After MORE with `last`, it is over. */
enum mime_tnef_event mime_tnef_next(struct mime_tnef *t, struct slice *in, bool last, struct slice *ret);
/* At END: the name, media type and content id of the file; data NULL where there is none. -ENOMEM. */
int mime_tnef_file(const struct mime_tnef *t, struct mime_decoder *d, struct slice *ret_name, struct slice *ret_type,
                   struct slice *ret_id) ATTR_WARN_UNUSED;
/* Whether a part says that it is such a file. */
bool mime_part_is_tnef(const struct mime_part *part);

#endif
