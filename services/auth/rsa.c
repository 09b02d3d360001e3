/* RSA key pairs for RS256, as PEM and as JSON Web Key. */
#include "services/auth/rsa.h"

#include "services/auth/secret.h"
#include "shared/base/base64.h"
#include "shared/base/sha256.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#define KEY_BITS 2048

/* In base64url; the caller frees it. NULL: out of memory. */
static char *encode(const unsigned char *bytes, size_t length)
{
    char *text = malloc(BASE64_ENCODED_SIZE(length));
    if (text)
        base64url_encode(bytes, length, text);
    return text;
}

/* A parameter of the key (modulus, exponent) as RFC 7518 writes it: big-endian, base64url. */
static char *key_parameter(const EVP_PKEY *pkey, const char *name)
{
    unsigned char bytes[KEY_BITS / 8];
    BIGNUM *number = NULL;
    char *text = NULL;
    if (EVP_PKEY_get_bn_param(pkey, name, &number) == 1 &&
        BN_num_bytes(number) <= (int)sizeof(bytes))
        text = encode(bytes, (size_t)BN_bn2bin(number, bytes));
    BN_free(number);
    return text;
}

static char *private_pem(const EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    if (bio && PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1) {
        char *data = NULL;
        long length = BIO_get_mem_data(bio, &data);
        text = length > 0 ? strndup(data, (size_t)length) : NULL;
    }
    BIO_free(bio);
    return text;
}

/* RFC 7638: the required members in lexical order, without white space. */
static char *thumbprint(const char *n, const char *e)
{
    AUTO_FREE char *canonical = NULL;
    if (asprintf(&canonical, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", e, n) < 0) {
        canonical = NULL;
        return NULL;
    }
    unsigned char digest[SHA256_SIZE];
    if (sha256(canonical, strlen(canonical), digest) < 0)
        return NULL;
    return encode(digest, sizeof(digest));
}

/* Fills `key`, which the caller releases in any case. */
static int describe(const EVP_PKEY *pkey, struct rsa_key *key)
{
    AUTO_FREE char *n = key_parameter(pkey, OSSL_PKEY_PARAM_RSA_N);
    AUTO_FREE char *e = key_parameter(pkey, OSSL_PKEY_PARAM_RSA_E);
    key->private_pem = private_pem(pkey);
    if (!n || !e || !key->private_pem)
        return -EIO;
    key->kid = thumbprint(n, e);
    if (!key->kid)
        return -EIO;
    if (asprintf(&key->public_jwk,
            "{\"kty\":\"RSA\",\"use\":\"sig\",\"alg\":\"RS256\","
            "\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"}",
            key->kid, n, e) < 0) {
        key->public_jwk = NULL;
        return -ENOMEM;
    }
    return 0;
}

int rsa_key_generate(struct rsa_key *ret_key)
{
    EVP_PKEY *pkey = EVP_RSA_gen(KEY_BITS);
    if (!pkey)
        return -EIO;
    struct rsa_key key = {0};
    int error = describe(pkey, &key);
    EVP_PKEY_free(pkey);
    if (error < 0) {
        rsa_key_release(&key);
        return error;
    }
    *ret_key = key;
    return 0;
}

EVP_PKEY *rsa_key_read(const char *private_pem)
{
    BIO *bio = BIO_new_mem_buf(private_pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

void rsa_key_release(struct rsa_key *key)
{
    free(key->kid);
    free(key->public_jwk);
    secret_free(key->private_pem);
    *key = (struct rsa_key){0};
}
