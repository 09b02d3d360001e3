/* Makes tokens: JWT, RS256, with the key that signs now. */
#include "services/auth/token.h"

#include "services/auth/keys.h"
#include "services/auth/replies.h"
#include "services/auth/secret.h"
#include "services/auth/settings.h"
#include "shared/service/service.h"

#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Returns 0 or a positive errno, as libjwt does. */
static int add_claims(
    jwt_t *jwt, const struct credential *credential, int64_t issued_at, int64_t expires_at)
{
    char subject[24];
    int error;

    snprintf(subject, sizeof(subject), "%lld", (long long)credential->id);
    error = jwt_add_grant(jwt, "sub", subject);
    if (error == 0)
        error = jwt_add_grant(jwt, "iss", service_jwt_issuer());
    if (error == 0)
        error = jwt_add_grant(jwt, "aud", service_jwt_audience());
    if (error == 0)
        error = jwt_add_grant_int(jwt, "iat", issued_at);
    if (error == 0)
        error = jwt_add_grant_int(jwt, "exp", expires_at);
    if (error == 0)
        error = jwt_add_grant_int(jwt, "auth_id", credential->id);
    if (error == 0)
        error = jwt_add_grant(jwt, "auth_username", credential->username);
    if (error == 0)
        error = jwt_add_grant(jwt, "auth_role", credential->role);
    return error;
}

static int sign(jwt_t *jwt, char **ret_token)
{
    char *kid, *pem, *token;
    int error, ret = keys_signer(&kid, &pem);

    if (ret < 0)
        return ret;
    error = jwt_add_header(jwt, "kid", kid);
    if (error == 0)
        error = jwt_set_alg(jwt, JWT_ALG_RS256, (const unsigned char *)pem, (int)strlen(pem));
    token = error == 0 ? jwt_encode_str(jwt) : NULL;
    free(kid);
    secret_free(pem);
    if (token == NULL)
        return -EIO;
    *ret_token = token;
    return 0;
}

static int make_token(
    const struct credential *credential, int64_t issued_at, int64_t expires_at, char **ret_token)
{
    jwt_t *jwt;
    int ret;

    if (jwt_new(&jwt) != 0)
        return -ENOMEM;
    ret = add_claims(jwt, credential, issued_at, expires_at) == 0 ? sign(jwt, ret_token) : -EIO;
    jwt_free(jwt);
    return ret;
}

int token_reply(struct http_request *request, const struct credential *credential)
{
    /* `iat` has whole seconds: a token made in the second of a change of password is dated to the
     * next one, so that it can't be taken for one made before. */
    int64_t now = time(NULL);
    int64_t issued_at = now > credential->tokens_from_s ? now : credential->tokens_from_s;
    int64_t expires_at = now + auth_service_settings.jwt_ttl_s;
    AUTO_FREE char *token = NULL;
    char expire[32];
    struct tm utc;
    int ret = make_token(credential, issued_at, expires_at, &token);

    if (ret < 0)
        return reply_failure(request, ret);
    strftime(expire, sizeof(expire), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&expires_at, &utc));
    http_reply_header(request, "Cache-Control", "no-store");
    return http_reply_json(
        request, 200, json_pack("{s:i, s:s, s:s}", "code", 200, "token", token, "expire", expire));
}
