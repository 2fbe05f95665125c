/* SPDX-License-Identifier: MIT */
/* What a server says it takes at most (RFC 9422): MAILMAX transactions and RCPTDOMAINMAX domains of recipients on a connection,
 * RCPTMAX recipients in a transaction. */
#include "smtp_private.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>

static bool forgets_mails(const struct smtp_client *c)
{
    return c->caps.mail_max == 0;
}

/* Of what a server allows, no more is looked after than these: who allows more has no such limit. */
static size_t domain_max(const struct smtp_client *c)
{
    return c->caps.rcpt_domain_max && c->caps.rcpt_domain_max <= SMTP_DOMAINS_MAX ? (size_t) c->caps.rcpt_domain_max : 0;
}

/* Case does not matter in a domain; that two of them share a number costs a connection, or a refusal. */
static uint64_t domain_number(struct slice address)
{
    char lower[256];
    size_t at = address.len;

    while (at > 0 && address.data[at - 1] != '@')
        at--;
    struct slice domain = slice_to(slice_from(address, at), sizeof(lower));
    for (size_t i = 0; i < domain.len; i++)
        lower[i] = ascii_lower(domain.data[i]);
    return hash_bytes(lower, domain.len);
}

static bool is_among(const uint64_t *numbers, size_t n, uint64_t one)
{
    for (size_t i = 0; i < n; i++)
        if (numbers[i] == one)
            return true;
    return false;
}

bool smtp_limits_reached(const struct smtp_client *c)
{
    size_t most = domain_max(c);

    return (!forgets_mails(c) && c->mails >= c->caps.mail_max) || (most && c->n_domains >= most);
}

size_t smtp_client_room(const struct engine *e, const struct smtp_recipient *recipients, size_t n)
{
    const struct smtp_client *c = smtp_of_const(e);
    uint64_t fresh[SMTP_DOMAINS_MAX];
    size_t most = domain_max(c), n_fresh = 0;

    if (smtp_limits_reached(c))
        return 0;
    if (c->caps.rcpt_max && n > c->caps.rcpt_max)
        n = (size_t) c->caps.rcpt_max;
    for (size_t i = 0; most && i < n; i++) {
        uint64_t number = domain_number(recipients[i].address);
        if (is_among(c->domains, c->n_domains, number) || is_among(fresh, n_fresh, number))
            continue;
        if (c->n_domains + n_fresh == most)
            return i;
        fresh[n_fresh++] = number;
    }
    return n;
}

int smtp_limits_count(struct smtp_client *c, const struct smtp_transaction *t)
{
    size_t most = domain_max(c);

    c->mails++;
    if (most && !c->domains && !(c->domains = calloc(most, sizeof(*c->domains))))
        return -ENOMEM;
    for (size_t i = 0; most && i < t->n_recipients && c->n_domains < most; i++) {
        uint64_t number = domain_number(t->recipients[i].address);
        if (!is_among(c->domains, c->n_domains, number))
            c->domains[c->n_domains++] = number;
    }
    return 0;
}
