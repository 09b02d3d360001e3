/* SHA-256, by OpenSSL. */
#include "shared/base/sha256.h"

#include <errno.h>
#include <openssl/evp.h>

int sha256(const void *bytes, size_t length, unsigned char ret_digest[SHA256_SIZE])
{
    const void *some = length > 0 ? bytes : "";
    return EVP_Digest(some, length, ret_digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}
