/* Tokens: taken apart without harm, put together again the same, and never valid, for nobody has
 * the key. */
#include "shared/base/json.h"
#include "shared/http/jws.h"
#include "tests/fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static EVP_PKEY *key;
    struct input input = {(const char *)data, size};
    AUTO_FREE char *text = fuzz_text(&input);
    struct jws jws = {0};
    if (!key)
        key = EVP_RSA_gen(2048U);
    REQUIRE(key);
    if (jws_parse(text, &jws) < 0)
        return 0;
    REQUIRE(json_is_object(jws.header));
    REQUIRE(jws.signature_length <= sizeof(jws.signature));
    REQUIRE(jws.text == text && text[jws.signed_length] == '.');
    REQUIRE(jws.payload > text && jws.payload + jws.payload_length == text + jws.signed_length);
    REQUIRE(!strchr(text + jws.signed_length + 1, '.'));
    REQUIRE(!jws_verify_rs256(&jws, key));
    AUTO_JSON json_t *payload = jws_payload(&jws);
    REQUIRE(!payload || json_is_object(payload));
    jws_release(&jws);
    return 0;
}
