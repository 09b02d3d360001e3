/* Rows of the table credential. */
#include "services/auth/credential.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SELECT \
    "select id, username, role, password_hash, password_version," \
    " ceil(extract(epoch from password_changed_at))::bigint from credential"

static const struct db_statement FIND_BY_NAME = {
    "credential_find", SELECT " where username_key = lower(normalize($1, nfkc) collate \"C\")"};

static const struct db_statement FIND_BY_ID = {"credential_find_by_id", SELECT " where id = $1"};

static const struct db_statement REHASH = {"credential_rehash",
    "update credential set password_hash = $3 where id = $1 and password_hash = $2"};

static int find(struct db_pool *pool, const struct db_statement *statement, struct db_param key,
    struct credential *ret_credential)
{
    AUTO_RESULT PGresult *row = NULL;
    int error = db_query_pooled(pool, statement, DB_PARAMS(key), &row);
    if (error < 0)
        return error;
    if (PQntuples(row) == 0)
        return -ENOENT;
    *ret_credential = (struct credential){
        .id = db_int(row, 0, 0),
        .role = strcmp(db_text(row, 0, 2), "ADMIN") == 0 ? "ADMIN" : "USER",
        .password_version = db_int(row, 0, 4),
        .tokens_from_s = db_int(row, 0, 5),
    };
    snprintf(ret_credential->username, sizeof(ret_credential->username), "%s", db_text(row, 0, 1));
    snprintf(ret_credential->password_hash, sizeof(ret_credential->password_hash), "%s",
        db_text(row, 0, 3));
    return 0;
}

int credential_find(struct db_pool *pool, const char *username, struct credential *ret_credential)
{
    return find(pool, &FIND_BY_NAME, DB_TEXT(username), ret_credential);
}

int credential_find_by_id(struct db_pool *pool, int64_t id, struct credential *ret_credential)
{
    return find(pool, &FIND_BY_ID, DB_INT(id), ret_credential);
}

int credential_rehash(
    struct db_pool *pool, const struct credential *credential, const char *new_hash)
{
    return db_query_pooled(pool, &REHASH,
        DB_PARAMS(DB_INT(credential->id), DB_TEXT(credential->password_hash), DB_TEXT(new_hash)),
        NULL);
}
