/* GET /users/{id}. */
#include "services/auth/users.h"

static const struct db_statement FIND = {"credential_public",
    "select jsonb_build_object('id', id, 'username', username) from credential where id = $1"};

int users_get(struct http_request *request)
{
    return http_reply_query(
        request, "not_found", &FIND, DB_PARAMS(DB_INT(http_path_id(request, 0))));
}
