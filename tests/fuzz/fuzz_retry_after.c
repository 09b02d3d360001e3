/* The two forms of Retry-After: never a wait in the past, never more than the number says. */
#include "outbox-relay/base/backoff.h"
#include "outbox-relay/http/retry_after.h"
#include "tests/fuzz/fuzz.h"

#define NOW INT64_C(1800000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {(const char *)data, size};
    AUTO_FREE char *text = fuzz_text(&input);
    int64_t wait_s = retry_after_parse(text, NOW);
    REQUIRE(wait_s >= -1);
    REQUIRE(text[0] != '\0' || wait_s == -1);
    if (text[0] != '\0' && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text))
        REQUIRE(wait_s == strtoll(text, NULL, 10));
    int64_t probe_ms = probe_wait_ms(100, 1000, 3, wait_s, fuzz_hash(data, size));
    REQUIRE(probe_ms >= 0 && probe_ms <= INT64_C(86400000));
    return 0;
}
