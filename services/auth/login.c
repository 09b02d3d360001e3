/* POST /login and GET /refresh-token. */
#include "services/auth/credential.h"
#include "services/auth/handlers.h"
#include "services/auth/password.h"
#include "services/auth/token.h"
#include "shared/base/log.h"
#include "shared/http/fields.h"

#include <errno.h>

/* Brings the stored hash to today's parameters while the password is at hand. A failure costs
 * nothing but another try at the next login. */
static void rehash_if_outdated(
    struct http_request *request, const struct credential *credential, const char *password)
{
    char hash[PASSWORD_HASH_SIZE];
    int ret;

    if (!password_hash_outdated(credential->password_hash))
        return;
    ret = password_hash(password, hash);
    if (ret == 0)
        ret = credential_rehash(http_pool(request), credential, hash);
    if (ret < 0)
        log_warn(
            "password not hashed anew", LOG_INT("userId", credential->id), LOG_INT("errno", -ret));
}

static int login_with(struct http_request *request, const char *username, const char *password)
{
    struct credential credential;
    bool matches, known;
    int ret = credential_find(http_pool(request), username, &credential);

    if (ret < 0 && ret != -ENOENT)
        return reply_failure(request, ret);
    known = ret == 0;
    ret = password_verify(known ? credential.password_hash : NULL, password, &matches);
    if (ret < 0)
        return reply_failure(request, ret);
    if (!matches)
        return reply_unauthorized(
            request, "wrong_credentials", "the username or the password is wrong");
    rehash_if_outdated(request, &credential, password);
    return token_reply(request, &credential);
}

int login(struct http_request *request)
{
    const char *username = NULL, *password = NULL;
    const struct field fields[] = {
        {"username", FIELD_TEXT, false, 1, USERNAME_MAX_CHARS, &username},
        {"password", FIELD_TEXT, false, 1, PASSWORD_MAX_CHARS, &password},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status == 0)
        status = login_with(request, username, password);
    wipe_text(password);
    return status;
}

int refresh_token(struct http_request *request)
{
    const struct auth_claims *claims = http_claims(request);
    struct credential credential;
    int ret = credential_find_by_id(http_pool(request), claims->user_id, &credential);

    if (ret == -ENOENT)
        return reply_unauthorized(request, "unauthorized", "the user does not exist any more");
    if (ret < 0)
        return reply_failure(request, ret);
    if (claims->issued_at < credential.tokens_from_s)
        return reply_unauthorized(
            request, "unauthorized", "the password was changed after the token was issued");
    return token_reply(request, &credential);
}
