/* Bearer tokens: the key set with the thread that keeps it fresh, and the check itself. */
#include "shared/http/auth.h"
#include "shared/base/clock.h"
#include "shared/base/id.h"
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/http/jwks.h"
#include "shared/http/jws.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TOKEN_MAX_BYTES 8192
#define FETCH_TIMEOUT_MS 2000
#define REFRESH_MS (5 * 60 * 1000)
#define UNKNOWN_KID_FETCH_MS 1000 /* at most one fetch in this time for kids that are not known */
#define FIRST_RETRY_MS 100        /* while there are no keys: doubled up to the next */
#define MAX_RETRY_MS 5000

/* Shared by the checks in progress; freed with the last of them. */
struct key_set {
    atomic_int references;
    struct jwks jwks;
};

struct auth {
    struct http_authenticator for_http;
    char *jwks_url; /* NULL: keys are given by auth_set_jwks */
    char *issuer;
    char *audience;
    int leeway_s;
    pthread_t thread;
    bool thread_started;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* the thread: something is wanted */
    pthread_cond_t done;  /* waiters: a fetch has ended */
    struct key_set *keys; /* NULL: none yet */
    bool stopping, wanted, fetching;
    unsigned fetches; /* that have ended */
    int64_t last_fetch_ms;
    int retry_ms;
};

/* ---- keys ---- */

static void key_set_unref(struct key_set *keys)
{
    if (!keys || atomic_fetch_sub(&keys->references, 1) > 1)
        return;
    jwks_release(&keys->jwks);
    free(keys);
}

static void cleanup_key_set(struct key_set **keys)
{
    key_set_unref(*keys);
}

/* A reference to the keys of now; NULL when there are none. */
static struct key_set *key_set_ref(struct auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    struct key_set *keys = auth->keys;
    if (keys)
        atomic_fetch_add(&keys->references, 1);
    pthread_mutex_unlock(&auth->lock);
    return keys;
}

int auth_set_jwks(struct auth *auth, const char *jwks_json)
{
    struct key_set *keys = calloc(1, sizeof(*keys));
    if (!keys || jwks_parse(jwks_json, &keys->jwks) < 0) {
        free(keys);
        return -EINVAL;
    }
    atomic_init(&keys->references, 1);
    pthread_mutex_lock(&auth->lock);
    struct key_set *old = auth->keys;
    auth->keys = keys;
    pthread_mutex_unlock(&auth->lock);
    key_set_unref(old);
    return 0;
}

bool auth_ready(struct auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    bool ready = auth->keys != NULL;
    pthread_mutex_unlock(&auth->lock);
    return ready;
}

/* Fetches and takes the keys; those there are stay when that fails. */
static bool refresh(struct auth *auth)
{
    AUTO_FREE char *json = NULL;
    char cause[160] = "it has no usable key";
    if (jwks_fetch(auth->jwks_url, FETCH_TIMEOUT_MS, &json, cause, sizeof(cause)) == 0 &&
        auth_set_jwks(auth, json) == 0)
        return true;
    log_debug("cannot fetch the JWKS", LOG_TEXT("url", auth->jwks_url), LOG_TEXT("error", cause));
    return false;
}

/* When the thread fetches next, unless asked before. */
static int64_t next_fetch_ms(const struct auth *auth)
{
    if (auth->fetches == 0)
        return 0;
    return auth->last_fetch_ms + (auth->keys ? REFRESH_MS : auth->retry_ms);
}

static void fetch_once(struct auth *auth)
{
    auth->wanted = false;
    auth->fetching = true;
    auth->last_fetch_ms = clock_ms();
    pthread_mutex_unlock(&auth->lock);
    bool fetched = refresh(auth);
    pthread_mutex_lock(&auth->lock);
    auth->fetching = false;
    auth->fetches++;
    if (fetched)
        auth->retry_ms = FIRST_RETRY_MS;
    else if (auth->retry_ms < MAX_RETRY_MS)
        auth->retry_ms *= 2;
    pthread_cond_broadcast(&auth->done);
}

static void *keep_fresh(void *context)
{
    struct auth *auth = context;
    pthread_mutex_lock(&auth->lock);
    while (!auth->stopping) {
        int64_t due_ms = next_fetch_ms(auth);
        if (auth->wanted || clock_ms() >= due_ms) {
            fetch_once(auth);
            continue;
        }
        clock_wait(&auth->wake, &auth->lock, due_ms);
    }
    pthread_mutex_unlock(&auth->lock);
    return NULL;
}

/* Has the thread fetch the keys once more, and waits for it, unless it did so a moment ago: a kid
 * that nobody knows costs at most one fetch a second, whoever sends how many. */
static void fetch_for_unknown_kid(struct auth *auth)
{
    if (!auth->jwks_url)
        return;
    pthread_mutex_lock(&auth->lock);
    if (auth->fetching || clock_ms() - auth->last_fetch_ms >= UNKNOWN_KID_FETCH_MS) {
        unsigned before = auth->fetches;
        int64_t until_ms = clock_ms() + FETCH_TIMEOUT_MS;
        if (!auth->fetching) {
            auth->wanted = true;
            pthread_cond_signal(&auth->wake);
        }
        int waited = 0;
        while (auth->fetches == before && !auth->stopping && waited == 0)
            waited = clock_wait(&auth->done, &auth->lock, until_ms);
    }
    pthread_mutex_unlock(&auth->lock);
}

/* ---- the token ---- */

static int refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return -EACCES;
}

/* The token of "Bearer <token>"; NULL when it is something else. */
static const char *bearer_token(const char *authorization)
{
    static const char scheme[] = "Bearer ";
    if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
        return NULL;
    return authorization + sizeof(scheme) - 1;
}

/* The kid of a token whose header says literally RS256 and asks for no extensions (crit). This
 * comes before any key is touched, so that a token can't choose how it is checked. Borrowed; NULL:
 * refused.
 */
static const char *read_kid(const struct jws *jws, const char **ret_reason)
{
    const char *alg = json_string_value(json_object_get(jws->header, "alg"));
    const char *kid = json_string_value(json_object_get(jws->header, "kid"));
    if (!alg)
        *ret_reason = "the token is malformed";
    else if (strcmp(alg, "RS256") != 0 || json_object_get(jws->header, "crit"))
        *ret_reason = "the token's algorithm is not RS256";
    else if (!kid || strlen(kid) >= JWKS_KID_SIZE)
        *ret_reason = "the token names no key";
    else
        return kid;
    return NULL;
}

/* `aud` may be one text or a list of them. */
static bool names_audience(const json_t *aud, const char *audience)
{
    if (json_is_string(aud))
        return strcmp(json_string_value(aud), audience) == 0;
    size_t i;
    const json_t *item;
    json_array_foreach(aud, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), audience) == 0)
            return true;
    }
    return false;
}

/* An optional time claim: absent, or an integer that is not later than now. */
static bool not_in_future(const json_t *claims, const char *name, int64_t now_s)
{
    const json_t *value = json_object_get(claims, name);
    return !value || (json_is_integer(value) && json_integer_value(value) <= now_s);
}

static int check_validity(const struct auth *auth, const json_t *claims, const char **ret_reason)
{
    int64_t now_s = (int64_t)time(NULL);
    const json_t *exp = json_object_get(claims, "exp");
    const char *iss = json_string_value(json_object_get(claims, "iss"));
    if (!json_is_integer(exp))
        return refuse(ret_reason, "the token has no expiry");
    if (json_integer_value(exp) <= now_s - auth->leeway_s)
        return refuse(ret_reason, "the token has expired");
    if (!not_in_future(claims, "nbf", now_s + auth->leeway_s) ||
        !not_in_future(claims, "iat", now_s + auth->leeway_s))
        return refuse(ret_reason, "the token is not valid yet");
    if (!iss || strcmp(iss, auth->issuer) != 0)
        return refuse(ret_reason, "the token is from another issuer");
    if (!names_audience(json_object_get(claims, "aud"), auth->audience))
        return refuse(ret_reason, "the token is for another audience");
    return 0;
}

static int read_claims(
    const json_t *claims, struct auth_claims *ret_claims, const char **ret_reason)
{
    struct auth_claims read = {
        .issued_at = json_integer_value(json_object_get(claims, "iat")), /* 0: absent */
        .expires_at = json_integer_value(json_object_get(claims, "exp")),
    };
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    const char *role = json_string_value(json_object_get(claims, "auth_role"));
    const char *username = json_string_value(json_object_get(claims, "auth_username"));
    if (!subject || id_parse(subject, strlen(subject), &read.user_id) < 0)
        return refuse(ret_reason, "the token's subject is not a user id");
    if (!role || (strcmp(role, "USER") != 0 && strcmp(role, "ADMIN") != 0))
        return refuse(ret_reason, "the token's role is unknown");
    if (!username || strlen(username) >= sizeof(read.username))
        return refuse(ret_reason, "the token names no user");
    read.role = role[0] == 'A' ? AUTH_ROLE_ADMIN : AUTH_ROLE_USER;
    snprintf(read.username, sizeof(read.username), "%s", username);
    *ret_claims = read;
    return 0;
}

static int check_signed(struct auth *auth, const struct jwks_key *key, const struct jws *jws,
    struct auth_claims *ret_claims, const char **ret_reason)
{
    if (!jws_verify_rs256(jws, key->key))
        return refuse(ret_reason, "the token's signature is wrong");
    AUTO_JSON json_t *claims = jws_payload(jws);
    if (!claims)
        return refuse(ret_reason, "the token is malformed");
    int error = check_validity(auth, claims, ret_reason);
    return error < 0 ? error : read_claims(claims, ret_claims, ret_reason);
}

static int check_parsed(struct auth *auth, const struct jws *jws, struct auth_claims *ret_claims,
    const char **ret_reason)
{
    const char *kid = read_kid(jws, ret_reason);
    if (!kid)
        return -EACCES;
    __attribute__((cleanup(cleanup_key_set))) struct key_set *keys = key_set_ref(auth);
    const struct jwks_key *key = keys ? jwks_find(&keys->jwks, kid) : NULL;
    if (!key) {
        key_set_unref(keys);
        fetch_for_unknown_kid(auth);
        keys = key_set_ref(auth);
        key = keys ? jwks_find(&keys->jwks, kid) : NULL;
    }
    if (!keys)
        return -ENOTCONN;
    if (!key)
        return refuse(ret_reason, "the token's key is unknown");
    return check_signed(auth, key, jws, ret_claims, ret_reason);
}

int auth_check(struct auth *auth, const char *authorization, struct auth_claims *ret_claims,
    const char **ret_reason)
{
    const char *token = authorization ? bearer_token(authorization) : NULL;
    struct jws jws;
    if (!token)
        return refuse(ret_reason, "a bearer token is required");
    if (strnlen(token, TOKEN_MAX_BYTES + 1) > TOKEN_MAX_BYTES)
        return refuse(ret_reason, "the token is too long");
    if (jws_parse(token, &jws) < 0)
        return refuse(ret_reason, "the token is malformed");
    int error = check_parsed(auth, &jws, ret_claims, ret_reason);
    jws_release(&jws);
    return error;
}

/* ---- for the HTTP server ---- */

static int check_for_http(void *context, const char *authorization, struct auth_claims *ret_claims,
    const char **ret_reason)
{
    return auth_check(context, authorization, ret_claims, ret_reason);
}

static bool ready_for_http(void *context)
{
    return auth_ready(context);
}

const struct http_authenticator *auth_for_http(const struct auth *auth)
{
    return &auth->for_http;
}

/* ---- life ---- */

static char *copy(const char *text)
{
    return strdup(text ? text : "");
}

struct auth *auth_new(const struct auth_settings *settings)
{
    struct auth *auth = calloc(1, sizeof(*auth));
    if (!auth)
        return NULL;
    pthread_mutex_init(&auth->lock, NULL);
    clock_condition_init(&auth->wake);
    clock_condition_init(&auth->done);
    auth->for_http = (struct http_authenticator){auth, check_for_http, ready_for_http};
    auth->retry_ms = FIRST_RETRY_MS;
    auth->leeway_s = settings->leeway_s;
    auth->issuer = copy(settings->issuer);
    auth->audience = copy(settings->audience);
    auth->jwks_url = settings->jwks_url ? strdup(settings->jwks_url) : NULL;
    bool complete = auth->issuer && auth->audience && (auth->jwks_url || !settings->jwks_url);
    if (complete && auth->jwks_url)
        auth->thread_started = pthread_create(&auth->thread, NULL, keep_fresh, auth) == 0;
    if (!complete || (auth->jwks_url && !auth->thread_started)) {
        auth_free(auth);
        return NULL;
    }
    return auth;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    pthread_mutex_lock(&auth->lock);
    auth->stopping = true;
    pthread_cond_broadcast(&auth->wake);
    pthread_cond_broadcast(&auth->done);
    pthread_mutex_unlock(&auth->lock);
    if (auth->thread_started)
        pthread_join(auth->thread, NULL);
    key_set_unref(auth->keys);
    pthread_cond_destroy(&auth->done);
    pthread_cond_destroy(&auth->wake);
    pthread_mutex_destroy(&auth->lock);
    free(auth->jwks_url);
    free(auth->issuer);
    free(auth->audience);
    free(auth);
}
