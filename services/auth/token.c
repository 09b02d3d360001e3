/* Makes tokens: JWT, RS256, with the key that signs now. */
#include "services/auth/token.h"

#include "services/auth/keys.h"
#include "services/auth/replies.h"
#include "services/auth/settings.h"
#include "shared/base/json.h"
#include "shared/http/jws.h"
#include "shared/service/service.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>

static char *header_text(const char *kid)
{
    AUTO_JSON json_t *header =
        json_pack("{s:s, s:s, s:s}", "alg", "RS256", "typ", "JWT", "kid", kid);
    return header ? json_dumps(header, JSON_COMPACT) : NULL;
}

static char *claims_text(const struct credential *credential, int64_t issued_at, int64_t expires_at)
{
    char subject[24];
    snprintf(subject, sizeof(subject), "%" PRId64, credential->id);
    AUTO_JSON json_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "sub", subject,
        "iss", service_jwt_issuer(), "aud", service_jwt_audience(), "iat", (json_int_t)issued_at,
        "exp", (json_int_t)expires_at, "auth_id", (json_int_t)credential->id, "auth_username",
        credential->username, "auth_role", credential->role);
    return claims ? json_dumps(claims, JSON_COMPACT) : NULL;
}

static int make_token(
    const struct credential *credential, int64_t issued_at, int64_t expires_at, char **ret_token)
{
    AUTO_FREE char *kid = NULL;
    EVP_PKEY *key = NULL;
    int error = keys_signer(&kid, &key);
    if (error < 0)
        return error;
    AUTO_FREE char *header = header_text(kid);
    AUTO_FREE char *claims = claims_text(credential, issued_at, expires_at);
    char *token = header && claims ? jws_sign_rs256(header, claims, key) : NULL;
    EVP_PKEY_free(key);
    if (!token)
        return -EIO;
    *ret_token = token;
    return 0;
}

int token_reply(struct http_request *request, const struct credential *credential)
{
    /* `iat` has whole seconds: a token made in the second of a change of password is dated to the
     * next one, so that it can't be taken for one made before. */
    int64_t now = time(NULL);
    int64_t issued_at = now > credential->tokens_from_s ? now : credential->tokens_from_s;
    int64_t expires_at = now + auth_service_settings.jwt_ttl_s;
    AUTO_FREE char *token = NULL;
    int error = make_token(credential, issued_at, expires_at, &token);
    if (error < 0)
        return reply_failure(request, error);
    char expire[32];
    struct tm utc;
    strftime(expire, sizeof(expire), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&expires_at, &utc));
    http_reply_header(request, "Cache-Control", "no-store");
    return http_reply_json(
        request, 200, json_pack("{s:i, s:s, s:s}", "code", 200, "token", token, "expire", expire));
}
