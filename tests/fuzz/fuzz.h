/* What fuzz targets share. Each target reads what strangers send, as the programs do, and requires
 * what must hold for any bytes at all; libFuzzer looks for bytes that reach new code. make fuzz
 * runs them. What it has found becomes a unit test. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "shared/base/cleanup.h"
#include "shared/base/hash.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts, which libFuzzer reports with the input. */
#define REQUIRE(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* The bytes that are left of an input. */
struct input {
    const char *data;
    size_t length;
};

/* A copy of exactly so many bytes, so that reading beyond them is seen. Free it. */
static inline char *fuzz_copy(const char *data, size_t length)
{
    char *copy = malloc(length ? length : 1);
    REQUIRE(copy);
    memcpy(copy, data, length);
    return copy;
}

/* Takes the bytes up to a NUL, or all, as a text. Free it. */
static inline char *fuzz_text(struct input *input)
{
    const char *end = input->length ? memchr(input->data, '\0', input->length) : NULL;
    size_t length = end ? (size_t)(end - input->data) : input->length;
    char *text = malloc(length + 1);
    REQUIRE(text);
    memcpy(text, input->data, length);
    text[length] = '\0';
    input->data += length + (end != NULL);
    input->length -= length + (end != NULL);
    return text;
}

/* A number that depends on all bytes (FNV-1a): for choices that an input need not spell. */
static inline uint64_t fuzz_hash(const uint8_t *data, size_t size)
{
    return hash_bytes(HASH_START, data, size);
}

#endif
