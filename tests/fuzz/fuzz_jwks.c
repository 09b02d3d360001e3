/* Key sets: what is taken is a named RSA key of a proper size, each name once. */
#include "shared/http/jwks.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    AUTO_FREE char *text = fuzz_text(&input);
    struct jwks jwks = {0};
    if (jwks_parse(text, &jwks) < 0)
        return 0;
    REQUIRE(jwks.count > 0 && jwks.count <= JWKS_MAX_KEYS);
    for (size_t i = 0; i < jwks.count; i++) {
        const struct jwks_key *key = &jwks.keys[i];
        REQUIRE(*key->kid && strlen(key->kid) < JWKS_KID_SIZE);
        REQUIRE(jwks_find(&jwks, key->kid) == key);
        REQUIRE(EVP_PKEY_is_a(key->key, "RSA"));
        REQUIRE(EVP_PKEY_get_bits(key->key) >= 2048 && EVP_PKEY_get_bits(key->key) <= 8192);
    }
    jwks_release(&jwks);
    return 0;
}
