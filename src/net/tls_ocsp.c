/* SPDX-License-Identifier: MIT */
/* The OCSP response that a server staples to its handshake (RFC 6066 section 8, RFC 6960). Nothing is fetched: what is not stapled
 * is not asked for, unless the certificate itself says that it always comes with one (RFC 7633, "must-staple"). */
#include "tls_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#define SKEW_S 300
#define UNDATED_MAX_S (7 * 24 * 3600L) /* of a response without nextUpdate */
#define STATUS_REQUEST 5               /* the feature of RFC 7633 section 4 that is RFC 6066's extension */

static bool must_staple(X509 *cert)
{
    TLS_FEATURE *features = X509_get_ext_d2i(cert, NID_tlsfeature, NULL, NULL);
    bool found = false;
    for (int i = 0; features && i < sk_ASN1_INTEGER_num(features); i++)
        found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == STATUS_REQUEST;
    TLS_FEATURE_free(features);
    return found;
}

/* Is that entry about the certificate? Its hashes may be of any kind. */
static bool is_about(const OCSP_SINGLERESP *single, X509 *cert, X509 *issuer)
{
    ASN1_OBJECT *hash = NULL;
    OCSP_CERTID *id = (OCSP_CERTID *) OCSP_SINGLERESP_get0_id(single); /* only read */
    OCSP_id_get0_info(NULL, &hash, NULL, NULL, id);
    const EVP_MD *md = hash ? EVP_get_digestbyobj(hash) : NULL;
    OCSP_CERTID *ours = md ? OCSP_cert_to_id(md, cert, issuer) : NULL;
    bool same = ours && OCSP_id_cmp(ours, id) == 0;
    OCSP_CERTID_free(ours);
    return same;
}

/* What a signed response says of the certificate: NULL: it is good; else why the response is of no use. *ret_revoked_at: it is
 * revoked, however old the news. */
static const char *judge(OCSP_BASICRESP *basic, X509 *cert, X509 *issuer, const ASN1_GENERALIZEDTIME **ret_revoked_at)
{
    const char *why = "it is about another certificate";
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *until = NULL;
        int reason;
        if (!is_about(single, cert, issuer))
            continue;
        int status = OCSP_single_get0_status(single, &reason, &revoked, &from, &until);
        if (status == V_OCSP_CERTSTATUS_REVOKED) {
            *ret_revoked_at = revoked;
            return NULL;
        }
        if (status != V_OCSP_CERTSTATUS_GOOD)
            why = "the authority does not know the certificate";
        else if (OCSP_check_validity(from, until, SKEW_S, until ? -1L : UNDATED_MAX_S) != 1)
            why = "it is out of date";
        else
            return NULL;
    }
    return why;
}

/* The same of what came. */
static const char *look(struct tls_stage *t, X509 *cert, const unsigned char *der, long len, OCSP_BASICRESP **ret_basic,
                        const ASN1_GENERALIZEDTIME **ret_revoked_at)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &der, len);
    const char *why = NULL;

    if (!response || !chain || sk_X509_num(chain) == 0)
        why = "it cannot be read";
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        why = OCSP_response_status_str(OCSP_response_status(response));
    else if (!(*ret_basic = OCSP_response_get1_basic(response)))
        why = "it cannot be read";
    else if (OCSP_basic_verify(*ret_basic, chain, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(t->ssl)), 0) != 1)
        why = "it is not signed by the certificate's authority";
    else
        why = judge(*ret_basic, cert, sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0), ret_revoked_at);
    OCSP_RESPONSE_free(response);
    return why;
}

void tls_ocsp_request(struct tls_stage *t)
{
    if (t->config.verify_peer && !t->config.fingerprints)
        SSL_set_tlsext_status_type(t->ssl, TLSEXT_STATUSTYPE_ocsp);
}

void tls_ocsp_check(struct tls_stage *t, X509 *cert, struct fault *fault)
{
    unsigned char *der = NULL;
    OCSP_BASICRESP *basic = NULL;
    const ASN1_GENERALIZEDTIME *revoked_at = NULL;
    struct tm tm;
    char when[40] = "an unreadable date";

    /* None comes with a resumed session: that of the first one was looked at. */
    if (!t->config.verify_peer || SSL_session_reused(t->ssl))
        return;
    long len = SSL_get_tlsext_status_ocsp_resp(t->ssl, &der);
    const char *why = der && len > 0 ? look(t, cert, der, len, &basic, &revoked_at) : "there is none";
    if (revoked_at) {
        if (ASN1_TIME_to_tm(revoked_at, &tm) == 1)
            strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
        fault_set(fault, -EPROTO, FAULT_TLS, "tls", "certificate was revoked on %s", when);
    } else if (why && must_staple(cert)) {
        fault_set(fault, -EPROTO, FAULT_TLS, "tls", "certificate demands a stapled OCSP response: %s", why);
    }
    OCSP_BASICRESP_free(basic);
    ERR_clear_error();
}
