/* SPDX-License-Identifier: MIT */
/* Writes postern.conf(5) and postern-account(5) from the table of keys: gen_config_man conf|account VERSION */
#include "imap_quirks.h"
#include "config_keys.h"

#include <stdio.h>
#include <stdlib.h>

static const char account_head[] =
    ".SH NAME\n"
    "postern\\-account \\- an account of the Postern mail gateway\n"
    ".SH SYNOPSIS\n"
    ".IR /etc/postern/accounts.d/ NAME .conf\n"
    ".SH DESCRIPTION\n"
    "Each account of\n"
    ".BR posternd (8)\n"
    "has a file, in the folder\n"
    ".I accounts.d\n"
    "beside\n"
    ".BR postern.conf (5).\n"
    "The name of that file without\n"
    ".I .conf\n"
    "is the name of the account everywhere: letters, digits, \\(lq.\\(rq, \\(lq_\\(rq and \\(lq-\\(rq, at most 64 characters, "
    "the first one a letter or a digit.\n"
    "A file whose name does not end in\n"
    ".I .conf\n"
    "is not looked at.\n"
    ".B postern account add\n"
    "writes such a file and tries it first.\n"
    ".PP\n"
    "Lines and values are as\n"
    ".BR postern.conf (5)\n"
    "says.\n"
    ".SS Inline options\n"
    "Callers that\n.B allow_inline\nlists may give the keys of [auth] and of a protocol in a call's\n.I options\n"
    "in the place of an account, with values of JSON's types: durations are numbers of milliseconds, sizes numbers of "
    "bytes, "
    "lists strings or arrays of strings.\n"
    "Keys that name a file or a command are refused there.\n";

static const char conf_head[] =
    ".SH NAME\n"
    "postern.conf \\- configuration of the Postern mail gateway\n"
    ".SH SYNOPSIS\n"
    ".I /etc/postern/postern.conf\n"
    ".SH DESCRIPTION\n"
    ".BR posternd (8)\n"
    "reads the settings of the daemon from\n"
    ".IR postern.conf .\n"
    "Accounts are files of their own, in the folder\n"
    ".I accounts.d\n"
    "beside it:\n"
    ".BR postern\\-account (5).\n"
    "What is said here of lines and values holds for them, too.\n"
    ".PP\n"
    "A line is\n"
    ".IR \"key \" = \" value\" ,\n"
    "a section in brackets, empty, or a comment that begins in the first column with # or ;.\n"
    "A value goes to the end of its line; there is no quoting and no continuation.\n"
    "The text is UTF-8.\n"
    "Unknown and repeated keys and sections are errors, and a configuration with an error is refused whole:\n"
    "at the start the daemon ends, on a reload the configuration in force stays.\n"
    ".B posternd \\-\\-test\\-config\n"
    "prints all that is wrong.\n"
    ".PP\n"
    "A file that holds a secret, and each file that a key for secrets names, must not be readable by others.\n"
    "A file must belong to root or to the user of the daemon, and not be writable by everybody.\n"
    "Relative paths begin in the folder of the file that they stand in.\n"
    ".SS Values\n"
    ".TP\n.I duration\nA whole number with its unit: 300ms, 30s, 10min, 1h, 1d.\n"
    ".TP\n.I size\nBytes, or a whole number with K, M or G (powers of 1024).\n"
    ".TP\n.I boolean\nyes, true, on, 1 or no, false, off, 0.\n"
    ".TP\n.I list\nWords with spaces or commas between them.\n"
    ".TP\n.I principals\nA list of\n.BI user: NAME\nand\n.BI group: NAME\\fR.\n"
    "A number stands for itself where nobody has it for a name.\n"
    "Names are looked up when the configuration is read.\n"
    ".TP\n.I rate\nA number and a time, as 100/min (s, min, h, d).\n";


static const char tail[] = ".SH EXAMPLE\n"
                           "An account in\n"
                           ".IR accounts.d/work.conf :\n"
                           ".PP\n.nf\n.RS\n"
                           "[account]\n"
                           "email = ann@example.com\n"
                           "allow = user:ann group:staff\n"
                           "allow_send = user:www-data\n"
                           "senders.user:www-data = shop@example.com\n"
                           "\n"
                           "[auth]\n"
                           "username = ann\n"
                           "password_file = work.password\n"
                           "\n"
                           "[smtp]\n"
                           "host = smtp.example.com\n"
                           "\n"
                           "[imap]\n"
                           "host = imap.example.com\n"
                           ".RE\n.fi\n"
                           ".SH SEE ALSO\n"
                           ".BR postern.conf (5),\n"
                           ".BR posternd (8),\n"
                           ".BR postern (1)\n";

/* With what troff takes for itself made plain. */
static void put_text(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            fputs("\\e", stdout);
        else if (*p == '-')
            fputs("\\-", stdout);
        else if (p == text && (*p == '.' || *p == '\''))
            printf("\\&%c", *p);
        else
            putchar(*p);
    }
}

/* A sentence a line would be better troff; what counts is that no line begins with a control character. Words in
 * backquotes become bold. */
static void put_doc(const char *text)
{
    bool bold = false;
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (const char *p = text; *p; p++) {
        if (*p == '`') {
            fputs(bold ? "\\fR" : "\\fB", stdout);
            bold = !bold;
        } else if (*p == '\\') {
            fputs("\\e", stdout);
        } else if (*p == '-') {
            fputs("\\-", stdout);
        } else {
            putchar(*p);
        }
    }
    putchar('\n');
}

static const char *type_name(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_BOOL:
        return "boolean";
    case CONFIG_UINT:
    case CONFIG_PORT:
        return "number";
    case CONFIG_MODE:
        return "mode";
    case CONFIG_DURATION:
        return "duration";
    case CONFIG_SIZE:
        return "size";
    case CONFIG_RATE:
        return "rate";
    case CONFIG_ENUM:
        return "word";
    case CONFIG_STRING:
    case CONFIG_SECRET:
        return "text";
    case CONFIG_ADDRESS:
        return "address";
    case CONFIG_HOST:
        return "host";
    case CONFIG_IP:
        return "numeric address";
    case CONFIG_FILE:
        return "path";
    case CONFIG_NAME:
        return "name";
    case CONFIG_LIST:
    case CONFIG_UPPER_LIST:
    case CONFIG_METHODS:
    case CONFIG_NO_PROXY:
    case CONFIG_DIGESTS:
    case CONFIG_RIGHTS:
        return "list";
    case CONFIG_SENDERS:
        return "addresses";
    case CONFIG_PRINCIPALS:
        return "principals";
    case CONFIG_PROXY:
        return "scheme://host:port";
    }
    return "";
}

/* "[smtp]: 60s; [imap]: 25min": rows of one name differ by protocol. */
static void put_defaults(const struct config_key *key)
{
    const struct config_key *end = config_keys + config_n_keys;
    if (key->protocols == CONFIG_FOR_ALL) {
        if (key->fallback) {
            fputs("Default: ", stdout);
            put_text(key->fallback);
            puts(".");
        }
        return;
    }
    fputs("Default: ", stdout);
    for (const struct config_key *k = key; k < end && strcmp(k->name, key->name) == 0; k++)
        for (int p = 0; p < PROTOCOL_COUNT; p++)
            if (k->protocols & 1u << p)
                printf("%s%s in [%s]", k == key && !(k->protocols & ((1u << p) - 1)) ? "" : ", ", k->fallback,
                       protocol_name((enum protocol) p));
    puts(".");
}

static void put_group(enum config_group group, const char *title, const char *intro)
{
    printf(".SH %s\n%s", title, intro);
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++) {
        if (key->group != group || (key > config_keys && strcmp(key[-1].name, key->name) == 0))
            continue;
        fputs(".TP\n.BI ", stdout);
        put_text(key->name);
        if (key->flags & CONFIG_PREFIX)
            fputs("user:NAME", stdout);
        printf(" \" = \" \"%s\"\n", type_name(key));
        put_doc(key->doc);
        put_defaults(key);
        if (key->flags & CONFIG_INLINE_ONLY)
            puts("Inline options only.");
    }
}

static void put_quirks(void)
{
    puts(".SH QUIRKS\n"
         "What IMAP servers are known to do in their own way, and what is done about it.\n"
         "Each is on where the server's host name, greeting, capabilities or answer to ID tell, or where\n"
         ".B quirks\n"
         "in [imap] names it; with\n"
         ".B \\-\n"
         "before its name it is off.\n"
         "Of values that are odd in a way listed here the daemon makes what it can on any server, and says so in\n"
         ".BR defects ;\n"
         "where the quirk is on they are taken as usual, and where it is switched off they are null.\n"
         ".B account.test\n"
         "shows which are on.\n"
         "SMTP and POP3 have none.");
    for (unsigned i = 0; i < IMAP_QUIRK_COUNT; i++) {
        fputs(".TP\n.B ", stdout);
        put_text(imap_quirk_name((enum imap_quirk) i));
        putchar('\n');
        put_doc(imap_quirk_text((enum imap_quirk) i));
    }
}

static void put_conf(const char *version)
{
    printf(".TH POSTERN.CONF 5 \"\" \"Postern %s\" \"File formats\"\n%s", version, conf_head);
    put_group(CONFIG_IN_DAEMON, "THE SECTION [daemon]", "");
    put_group(CONFIG_IN_HOST, "SECTIONS [host NAME]", "They limit what all accounts together do to a host.\n");
    puts(".SH SEE ALSO\n.BR postern\\-account (5),\n.BR posternd (8),\n.BR postern (1)");
}

static void put_account(const char *version)
{
    printf(".TH POSTERN-ACCOUNT 5 \"\" \"Postern %s\" \"File formats\"\n%s", version, account_head);
    put_group(CONFIG_IN_ACCOUNT, "THE SECTION [account]", "");
    put_group(CONFIG_IN_AUTH, "THE SECTION [auth]",
              "These keys hold for all protocols of the account; the section of a protocol may give its own.\n"
              "Of the keys that say where the secret comes from one only may be used in a section.\n");
    put_group(CONFIG_IN_PROTOCOL, "THE SECTIONS [smtp], [imap] AND [pop3]",
              "An account has those protocols whose section is there.\n");
    put_quirks();
    fputs(tail, stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return EXIT_FAILURE;
    if (strcmp(argv[1], "account") == 0)
        put_account(argv[2]);
    else
        put_conf(argv[2]);
    return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}
