/* See failing.h. */
#include "tests/support/failing.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned calls, failing_call; /* counted from 1; 0: none fails */

/* Whether this allocation is the one that fails. */
static bool fails(void)
{
    return failing_call > 0 && ++calls == failing_call;
}

bool failing_has_failed(void)
{
    return failing_call > 0 && calls >= failing_call;
}

/* What the programs call ----- the linker puts these in place of the C library's. */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
int __real_vasprintf(char **text, const char *format, va_list arguments);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_vasprintf(char **text, const char *format, va_list arguments);
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...);
int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list arguments);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
    return fails() ? NULL : __real_strndup(text, length);
}

int __wrap_vasprintf(char **text, const char *format, va_list arguments)
{
    return fails() ? -1 : __real_vasprintf(text, format, arguments);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = __wrap_vasprintf(text, format, arguments);
    va_end(arguments);
    return length;
}

/* The names that the C library's headers give them with _FORTIFY_SOURCE. */

int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list arguments)
{
    (void)flag;
    return __wrap_vasprintf(text, format, arguments);
}

int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
    (void)flag;
    va_list arguments;
    va_start(arguments, format);
    int length = __wrap_vasprintf(text, format, arguments);
    va_end(arguments);
    return length;
}

/* Runs ---------------------------------------------------------------------------------------- */

unsigned failing_each(void (*scenario)(void))
{
    static bool libraries_told;
    if (!libraries_told) {
        json_set_alloc_funcs(__wrap_malloc, free);
        curl_global_init_mem(
            CURL_GLOBAL_DEFAULT, __wrap_malloc, free, __wrap_realloc, __wrap_strdup, __wrap_calloc);
        libraries_told = true;
    }
    unsigned number = 0;
    bool failed;
    do {
        calls = 0;
        failing_call = ++number;
        scenario();
        failed = failing_has_failed();
        failing_call = 0;
    } while (failed);
    return number - 1;
}
