/* SPDX-License-Identifier: MIT */
#include "cli_provider.h"

#include "slice.h"

#define APP_PASSWORD "It takes an app password, made in the account's security settings, not that of the web site."
#define OAUTH "It takes no passwords: OAuth2 is needed (--token-command)."

static const struct cli_provider providers[] = {
    {"gmail.com googlemail.com", "smtp.gmail.com", "imap.gmail.com", "pop.gmail.com", false, APP_PASSWORD},
    {"outlook.com hotmail.com live.com msn.com", "smtp-mail.outlook.com", "outlook.office365.com", "outlook.office365.com",
     true, OAUTH},
    {"yahoo.com yahoo.de yahoo.co.uk yahoo.fr ymail.com", "smtp.mail.yahoo.com", "imap.mail.yahoo.com",
     "pop.mail.yahoo.com", false, APP_PASSWORD},
    {"aol.com", "smtp.aol.com", "imap.aol.com", "pop.aol.com", false, APP_PASSWORD},
    {"icloud.com me.com mac.com", "smtp.mail.me.com", "imap.mail.me.com", NULL, true, APP_PASSWORD},
    {"gmx.de gmx.net gmx.at gmx.ch", "mail.gmx.net", "imap.gmx.net", "pop.gmx.net", false,
     "IMAP and POP3 have to be switched on in the settings of the web site first."},
    {"gmx.com", "mail.gmx.com", "imap.gmx.com", "pop.gmx.com", false,
     "IMAP and POP3 have to be switched on in the settings of the web site first."},
    {"web.de", "smtp.web.de", "imap.web.de", "pop3.web.de", false,
     "IMAP and POP3 have to be switched on in the settings of the web site first."},
    {"t-online.de magenta.de", "securesmtp.t-online.de", "secureimap.t-online.de", "securepop.t-online.de", false,
     "It takes a password for mail programs, made in the customer centre."},
    {"posteo.de posteo.net", "posteo.de", "posteo.de", "posteo.de", false, NULL},
    {"mailbox.org", "smtp.mailbox.org", "imap.mailbox.org", "pop3.mailbox.org", false, NULL},
    {"fastmail.com fastmail.fm", "smtp.fastmail.com", "imap.fastmail.com", "pop.fastmail.com", false, APP_PASSWORD},
    {"zoho.com zohomail.com", "smtp.zoho.com", "imap.zoho.com", "pop.zoho.com", false, NULL},
    {"zoho.eu", "smtp.zoho.eu", "imap.zoho.eu", "pop.zoho.eu", false, NULL},
    {"yandex.ru yandex.com", "smtp.yandex.com", "imap.yandex.com", "pop.yandex.com", false, APP_PASSWORD},
    {"mail.ru bk.ru list.ru inbox.ru", "smtp.mail.ru", "imap.mail.ru", "pop.mail.ru", false, APP_PASSWORD},
    {"163.com", "smtp.163.com", "imap.163.com", "pop.163.com", false, "It takes an authorisation code, made in the settings."},
    {"qq.com", "smtp.qq.com", "imap.qq.com", "pop.qq.com", false, "It takes an authorisation code, made in the settings."},
    {"free.fr", "smtp.free.fr", "imap.free.fr", "pop.free.fr", false, NULL},
    {"orange.fr wanadoo.fr", "smtp.orange.fr", "imap.orange.fr", "pop.orange.fr", false, NULL},
    {"libero.it", "smtp.libero.it", "imapmail.libero.it", "popmail.libero.it", false, NULL},
};

const struct cli_provider *cli_provider_find(const char *domain)
{
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++) {
        struct slice rest = slice_of_str(providers[i].domains);
        while (rest.len) {
            size_t n = slice_find(rest, ' ');
            if (slice_eq_ci(slice_to(rest, n), slice_of_str(domain)))
                return &providers[i];
            rest = slice_from(rest, n < rest.len ? n + 1 : n);
        }
    }
    return NULL;
}
