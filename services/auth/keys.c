/* The signing keys and the thread that keeps them fresh. */
#include "services/auth/keys.h"

#include "services/auth/rsa.h"
#include "services/auth/secret.h"
#include "services/auth/settings.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define LOCK_KEY 7116205 /* of pg_advisory_xact_lock; arbitrary, nothing else in auth uses it */

/* No key of the right age that isn't to be replaced: $1 is the age in days, 0 for any. */
#define SUCCESSOR_DUE \
    "not exists (select 1 from signing_key where not retiring" \
    " and ($1::int = 0 or signs_from > now() - $1::int * interval '1 day'))"

/* Some newer key has signed for the longest life that a token may have (the maximum of JWT_TTL_S, a
 * day) and an hour for clocks and for keys still loaded elsewhere. Until then the key stays
 * published. */
#define SUPERSEDED \
    "exists (select 1 from signing_key newer where newer.signs_from > k.signs_from" \
    " and newer.signs_from < now() - interval '25 hours')"

static const struct db_statement LOAD = {"signing_key_load",
    "select (select jsonb_build_object('keys', jsonb_agg(public_jwk order by signs_from desc))"
    "        from signing_key),"
    " signer.kid, signer.private_key, " SUCCESSOR_DUE ","
    " exists (select 1 from signing_key k where " SUPERSEDED ")"
    " from (select) one left join lateral ("
    "   select kid, private_key from signing_key where signs_from <= now()"
    "   order by signs_from desc, created_at desc limit 1) signer on true"};

static const struct db_statement LOCK = {"signing_key_lock", "select pg_advisory_xact_lock($1)"};

/* The first key signs at once; a successor only when all replicas have read it. Looks again whether
 * it is due, since another replica may have had the lock before. */
static const struct db_statement INSERT = {"signing_key_insert",
    "insert into signing_key (kid, private_key, public_jwk, signs_from)"
    " select $2::text, $3::text, $4::jsonb, now() + case when exists (select 1 from signing_key)"
    " then $5::int else 0 end * interval '1 second'"
    " where " SUCCESSOR_DUE " returning kid"};

static const struct db_statement PURGE = {
    "signing_key_purge", "delete from signing_key k where " SUPERSEDED};

static struct db_pool *pool;
static struct auth *auth;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_asked; /* for clock_wait */
static pthread_t thread;
static bool stopping; /* under lock */

/* Under lock; NULL until loaded. */
static char *signer_kid, *jwks;
static EVP_PKEY *signer_key;

struct new_key {
    struct rsa_key rsa;
    bool used; /* false: another replica was first */
};

void keys_configure(struct db_pool *keys_pool, struct auth *keys_auth)
{
    pool = keys_pool;
    auth = keys_auth;
}

static int store_new_key(struct db *tx, void *context)
{
    struct new_key *key = context;
    int error = db_query(tx, &LOCK, DB_PARAMS(DB_INT(LOCK_KEY)), NULL);
    if (error < 0)
        return error;
    const struct auth_service_settings *settings = &auth_service_settings;
    AUTO_RESULT PGresult *row = NULL;
    error = db_query(tx, &INSERT,
        DB_PARAMS(DB_INT(settings->key_rotation_days), DB_TEXT(key->rsa.kid),
            DB_TEXT(key->rsa.private_pem), DB_TEXT(key->rsa.public_jwk),
            DB_INT(2 * settings->key_reload_s)),
        &row);
    if (error < 0)
        return error;
    key->used = PQntuples(row) == 1;
    return 0;
}

/* The pair is made before the lock is taken: it takes some 100 ms. */
static int make_key(void)
{
    struct new_key key = {0};
    int error = rsa_key_generate(&key.rsa);
    if (error < 0)
        return error;
    error = db_transact(pool, store_new_key, &key);
    if (error == 0 && key.used)
        log_info("signing key created", LOG_TEXT("kid", key.rsa.kid));
    rsa_key_release(&key.rsa);
    return error;
}

static int load(PGresult **ret_row)
{
    return db_query_pooled(
        pool, &LOAD, DB_PARAMS(DB_INT(auth_service_settings.key_rotation_days)), ret_row);
}

/* Takes what the row holds in use, when there is a key. */
static int install(const PGresult *row)
{
    if (!db_text(row, 0, 1))
        return -ENOTCONN;
    char *new_jwks = strdup(db_text(row, 0, 0));
    char *new_kid = strdup(db_text(row, 0, 1));
    EVP_PKEY *new_key = rsa_key_read(db_text(row, 0, 2));
    secret_wipe(db_text(row, 0, 2));
    if (!new_jwks || !new_kid || !new_key || auth_set_jwks(auth, new_jwks) < 0) {
        free(new_jwks);
        free(new_kid);
        EVP_PKEY_free(new_key);
        return -EIO;
    }
    pthread_mutex_lock(&lock);
    free(jwks);
    free(signer_kid);
    EVP_PKEY_free(signer_key);
    jwks = new_jwks;
    signer_kid = new_kid;
    signer_key = new_key;
    pthread_mutex_unlock(&lock);
    return 0;
}

int keys_refresh(void)
{
    AUTO_RESULT PGresult *row = NULL;
    int error = load(&row);
    if (error == 0 && db_bool(row, 0, 3)) {
        error = make_key();
        PQclear(row);
        row = NULL;
        if (error == 0)
            error = load(&row);
    }
    if (error == 0)
        error = install(row);
    if (error == 0 && db_bool(row, 0, 4))
        error = db_query_pooled(pool, &PURGE, DB_PARAMS(), NULL);
    return error;
}

/* Waits, at most `seconds`; returns false when the thread is to end. */
static bool wait_s(int64_t seconds)
{
    int64_t until_ms = clock_ms() + seconds * 1000;
    pthread_mutex_lock(&lock);
    while (!stopping && clock_wait(&stop_asked, &lock, until_ms) != ETIMEDOUT)
        ;
    bool go_on = !stopping;
    pthread_mutex_unlock(&lock);
    return go_on;
}

/* After a first failure the next try comes in a second, then in twice as long each time, at most
 * `reload_s`. */
static int64_t delay_after(int error, bool failing, int64_t delay_s, int64_t reload_s)
{
    if (error == 0)
        return reload_s;
    if (!failing)
        return 1;
    return 2 * delay_s < reload_s ? 2 * delay_s : reload_s;
}

static void *keep_fresh(void *unused)
{
    (void)unused;
    int64_t reload_s = auth_service_settings.key_reload_s, delay_s = reload_s;
    bool failing = false;
    do {
        int error = keys_refresh();
        if (error < 0 && !failing)
            log_warn("cannot read the signing keys; retrying", LOG_INT("errno", -error));
        else if (error == 0 && failing)
            log_info("signing keys are readable again");
        delay_s = delay_after(error, failing, delay_s, reload_s);
        failing = error < 0;
    } while (wait_s(delay_s));
    return NULL;
}

int keys_start(void)
{
    clock_condition_init(&stop_asked);
    stopping = false;

    sigset_t all, before; /* signals are for the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = -pthread_create(&thread, NULL, keep_fresh, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

void keys_stop(void)
{
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_signal(&stop_asked);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    free(jwks);
    free(signer_kid);
    EVP_PKEY_free(signer_key);
    jwks = signer_kid = NULL;
    signer_key = NULL;
}

int keys_signer(char **ret_kid, EVP_PKEY **ret_key)
{
    pthread_mutex_lock(&lock);
    EVP_PKEY *key = signer_key;
    char *kid = key ? strdup(signer_kid) : NULL;
    if (kid)
        EVP_PKEY_up_ref(key);
    pthread_mutex_unlock(&lock);
    if (!kid)
        return key ? -ENOMEM : -ENOTCONN;
    *ret_kid = kid;
    *ret_key = key;
    return 0;
}

int keys_jwks(char **ret_jwks)
{
    pthread_mutex_lock(&lock);
    bool loaded = jwks;
    char *copy = loaded ? strdup(jwks) : NULL;
    pthread_mutex_unlock(&lock);
    if (!copy)
        return loaded ? -ENOMEM : -ENOTCONN;
    *ret_jwks = copy;
    return 0;
}
