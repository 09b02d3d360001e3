/* POST /login, GET /refresh-token. */
#include "services/auth/login.h"

#include "services/auth/credential.h"
#include "services/auth/password.h"
#include "services/auth/replies.h"
#include "services/auth/secret.h"
#include "services/auth/token.h"
#include "shared/base/log.h"
#include "shared/http/fields.h"

#include <errno.h>

/* Brings the stored hash to today's parameters while the password is at hand. A failure costs
 * nothing but another try at the next login. */
static void rehash_if_outdated(
    struct http_request *request, const struct credential *credential, const char *password)
{
    if (!password_hash_outdated(credential->password_hash))
        return;
    char hash[PASSWORD_HASH_SIZE];
    int error = password_hash(password, hash);
    if (error == 0)
        error = credential_rehash(http_pool(request), credential, hash);
    if (error < 0)
        log_warn("could not rehash the password", LOG_INT("userId", credential->id),
            LOG_INT("errno", -error));
}

static int login_with(struct http_request *request, const char *username, const char *password)
{
    struct credential credential = {0};
    int error = credential_find(http_pool(request), username, &credential);
    if (error < 0 && error != -ENOENT)
        return reply_failure(request, error);
    bool known = error == 0, matches = false;
    error = password_verify(known ? credential.password_hash : NULL, password, &matches);
    if (error < 0)
        return reply_failure(request, error);
    if (!matches)
        return reply_unauthorized(
            request, "wrong_credentials", "the username or the password is wrong");
    rehash_if_outdated(request, &credential, password);
    return token_reply(request, &credential);
}

int login_by_password(struct http_request *request)
{
    const char *username = NULL, *password = NULL;
    const struct field fields[] = {
        {"username", FIELD_TEXT, .min = 1, .max = USERNAME_MAX_CHARS, .target = &username},
        {"password", FIELD_TEXT, .min = 1, .max = PASSWORD_MAX_CHARS, .target = &password},
    };
    int status = fields_body(request, false, fields, ARRAY_SIZE(fields));
    if (status == 0)
        status = login_with(request, username, password);
    secret_wipe(password);
    return status;
}

int login_refresh(struct http_request *request)
{
    const struct auth_claims *claims = http_claims(request);
    struct credential credential = {0};
    int error = credential_find_by_id(http_pool(request), claims->user_id, &credential);
    if (error == -ENOENT)
        return reply_unauthorized(request, "unauthorized", "the user no longer exists");
    if (error < 0)
        return reply_failure(request, error);
    if (claims->issued_at < credential.tokens_from_s)
        return reply_unauthorized(
            request, "unauthorized", "the password was changed after the token was issued");
    return token_reply(request, &credential);
}
