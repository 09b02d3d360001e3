/* See failed_list.h. */
#include "outbox-relay/event/failed_list.h"
#include "shared/base/hex.h"

#include <stdlib.h>
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

static bool read_entry(const json_t *value, struct failed_event *entry)
{
    const char *id = json_string_value(json_object_get(value, "id"));
    const char *error = json_string_value(json_object_get(value, "error"));
    if (!id || !parse_uuid(id, entry->uuid))
        return false;
    entry->error = error ? error : "refused without a reason";
    entry->permanent = json_is_true(json_object_get(value, "permanent"));
    return true;
}

static bool read_list(const json_t *failed, struct failed_list *list)
{
    size_t count = json_array_size(failed);
    if (!json_is_array(failed))
        return false;
    list->entries = calloc(count + 1, sizeof(struct failed_event));
    if (!list->entries)
        return false;
    for (; list->count < count; list->count++)
        if (!read_entry(json_array_get(failed, list->count), &list->entries[list->count]))
            return false;
    return true;
}

/* The word is somewhere else in the answer, or stands there with a count of the receiver's own. */
static bool says_none(const json_t *failed)
{
    return !failed || json_is_null(failed) || json_is_false(failed) ||
           (json_is_integer(failed) && json_integer_value(failed) == 0);
}

void failed_list_release(struct failed_list *list)
{
    free(list->entries);
    json_decref(list->json);
    *list = (struct failed_list){0};
}

static bool has(const char *body, size_t length, const char *word)
{
    return memmem(body, length, word, strlen(word)) != NULL;
}

/* Whether it looks like an answer with the list: its name stands there, perhaps with letters
 * written as escapes, or an object was cut that may have had it later on. */
static bool seems_to_have_list(const char *body, size_t length, bool cut)
{
    char first = body[strspn(body, " \t\r\n")];
    return has(body, length, "\"failed\"") || has(body, length, "\\u006") ||
           (cut && (first == '{' || first == '\0'));
}

enum failed_list_outcome failed_list_parse(
    const char *body, size_t length, bool cut, struct failed_list *ret_list)
{
    /* Nearly every answer is empty or says nothing of this: no parser then. */
    if (!seems_to_have_list(body, length, cut))
        return FAILED_LIST_NONE;
    struct failed_list list = {.json = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL)};
    const json_t *failed = json_object_get(list.json, "failed");
    bool none = list.json && says_none(failed);
    if (none || !read_list(failed, &list)) {
        failed_list_release(&list);
        return none ? FAILED_LIST_NONE : FAILED_LIST_UNREADABLE;
    }
    *ret_list = list;
    return FAILED_LIST_READ;
}

const struct failed_event *failed_list_find(
    const struct failed_list *list, const unsigned char uuid[16])
{
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(list->entries[i].uuid, uuid, sizeof(list->entries[i].uuid)) == 0)
            return &list->entries[i];
    return NULL;
}
