/* GET /users/{id} and GET /jwk. */
#include "services/auth/handlers.h"
#include "services/auth/keys.h"

#include <string.h>

static const struct db_statement FIND = {"credential_public",
    "select jsonb_build_object('id', id, 'username', username) from credential where id = $1"};

int user_get(struct http_request *request)
{
    return http_reply_query(
        request, "not_found", &FIND, DB_PARAMS(DB_INT(http_path_id(request, 0))));
}

int jwk_get(struct http_request *request)
{
    AUTO_FREE char *jwks = NULL;
    int ret = keys_jwks(&jwks);

    if (ret < 0)
        return reply_failure(request, ret);
    return http_reply(request, 200, "application/jwk-set+json", jwks, strlen(jwks));
}
