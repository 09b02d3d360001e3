/* See partial.h. */
#include "outbox-relay/partial.h"
#include "shared/base/hex.h"

#include <string.h>

/* 32 hexadecimal digits with hyphens anywhere between bytes. */
static bool parse_uuid(const char *text, unsigned char uuid[16])
{
    for (int i = 0; i < 16; i++) {
        while (*text == '-')
            text++;
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0)
            return false;
        uuid[i] = (unsigned char)(high << 4 | low);
        text += 2;
    }
    return *text == '\0';
}

static bool read_entry(const json_t *value, struct partial_entry *entry)
{
    const char *id = json_string_value(json_object_get(value, "id"));
    const char *error = json_string_value(json_object_get(value, "error"));
    if (!id || !parse_uuid(id, entry->uuid))
        return false;
    entry->error = error ? error : "refused without a reason";
    entry->permanent = json_is_true(json_object_get(value, "permanent"));
    return true;
}

static bool read_list(const json_t *failed, struct partial *partial)
{
    size_t count = json_array_size(failed);
    if (!json_is_array(failed))
        return false;
    partial->entries = calloc(count + 1, sizeof(struct partial_entry));
    if (!partial->entries)
        return false;
    for (; partial->count < count; partial->count++)
        if (!read_entry(json_array_get(failed, partial->count), &partial->entries[partial->count]))
            return false;
    return true;
}

/* The word is somewhere else in the answer, or stands there with a count of the receiver's own. */
static bool says_none(const json_t *failed)
{
    return !failed || json_is_null(failed) || json_is_false(failed) ||
           (json_is_integer(failed) && json_integer_value(failed) == 0);
}

void partial_release(struct partial *partial)
{
    free(partial->entries);
    json_decref(partial->json);
    *partial = (struct partial){0};
}

static bool has(const struct response *response, const char *word)
{
    return memmem(response->body, response->body_length, word, strlen(word)) != NULL;
}

/* Whether it looks like an answer with the list: its name stands there, perhaps with letters
 * written as escapes, or an object was cut that may have had it later on. */
static bool seems_to_have_list(const struct response *response)
{
    char first = response->body[strspn(response->body, " \t\r\n")];
    return has(response, "\"failed\"") || has(response, "\\u006") ||
           (response->cut && (first == '{' || first == '\0'));
}

enum verdict partial_parse(
    const struct response *response, struct partial *ret_partial, enum verdict verdict)
{
    /* Nearly every answer is empty or says nothing of this: no parser then. */
    if (!seems_to_have_list(response))
        return verdict;
    struct partial partial = {
        .json = json_loadb(response->body, response->body_length, JSON_REJECT_DUPLICATES, NULL)};
    const json_t *failed = json_object_get(partial.json, "failed");
    if (partial.json && says_none(failed)) {
        partial_release(&partial);
        return verdict;
    }
    bool readable = read_list(failed, &partial);
    if (!readable || (verdict == VERDICT_REFUSED && partial.count == 0)) {
        partial_release(&partial);
        return VERDICT_REFUSED;
    }
    *ret_partial = partial;
    return VERDICT_DELIVERED;
}

const struct partial_entry *partial_find(
    const struct partial *partial, const unsigned char uuid[16])
{
    for (size_t i = 0; i < partial->count; i++)
        if (memcmp(partial->entries[i].uuid, uuid, sizeof(partial->entries[i].uuid)) == 0)
            return &partial->entries[i];
    return NULL;
}
