/* What a receiver says about single events of a batch: an answer that names failed events is never
 * taken for one that says all were delivered, however it is spelled. */
#include "outbox-relay/engine/verdict.h"
#include "shared/base/json.h"
#include "tests/fuzz/fuzz.h"

/* Whether it is JSON whose member "failed" is more than none: no list, or a list of somebody. */
static bool names_failures(const char *body, size_t length)
{
    AUTO_JSON json_t *json = json_loadb(body, length, 0, NULL);
    const json_t *failed = json_object_get(json, "failed");
    bool is_zero = json_is_integer(failed) && json_integer_value(failed) == 0;
    bool is_empty = json_is_array(failed) && json_array_size(failed) == 0;
    return failed && !json_is_null(failed) && !json_is_false(failed) && !is_zero && !is_empty;
}

static void require_entries(const struct failed_list *failed)
{
    REQUIRE(failed->count <= json_array_size(json_object_get(failed->json, "failed")));
    for (size_t i = 0; i < failed->count; i++) {
        const struct failed_event *entry = &failed->entries[i];
        REQUIRE(entry->error && strlen(entry->error) < SIZE_MAX);
        REQUIRE(failed_list_find(failed, entry->uuid));
    }
}

static void try_body(const char *body, size_t length, bool cut, enum verdict verdict)
{
    struct failed_list failed = {0};
    struct response response = {
        .outcome = RESPONSE_STATUS, .body = body, .body_length = length, .cut = cut};
    enum verdict read = judge_failed_list(&response, verdict, &failed);
    REQUIRE(read == VERDICT_DELIVERED || read == VERDICT_REFUSED);
    if (read == VERDICT_REFUSED)
        REQUIRE(failed.count == 0 && !failed.entries && !failed.json);
    else if (names_failures(body, length))
        REQUIRE(failed.count > 0);
    require_entries(&failed);
    failed_list_release(&failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *body = malloc(size + 1);
    REQUIRE(body);
    memcpy(body, data, size);
    body[size] = '\0';
    for (int cut = 0; cut < 2; cut++) {
        try_body(body, size, cut, VERDICT_DELIVERED);
        try_body(body, size, cut, VERDICT_REFUSED);
    }
    return 0;
}
