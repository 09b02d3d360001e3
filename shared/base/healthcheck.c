/* A program asks its own running instance whether it is ready. */
#include "shared/base/healthcheck.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define HEALTHCHECK_TIMEOUT_MS 2000L

static size_t discard(char *data, size_t size, size_t count, void *context)
{
    (void)data, (void)context;
    return size * count;
}

static const char *reachable(const char *address)
{
    if (strcmp(address, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(address, "::") == 0 ? "::1" : address;
}

int healthcheck(const char *program, const char *address, uint16_t port)
{
    char url[256];
    char reason[CURL_ERROR_SIZE] = "cannot create an HTTP client";
    long status = 0;

    bool v6 = strchr(address, ':');
    snprintf(url, sizeof url, "http://%s%s%s:%u/readyz", v6 ? "[" : "", reachable(address),
        v6 ? "]" : "", (unsigned)port);
    CURL *curl = curl_easy_init();
    if (curl) {
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, HEALTHCHECK_TIMEOUT_MS);
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
        if (curl_easy_perform(curl) == CURLE_OK) {
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
            snprintf(reason, sizeof reason, "it answers %ld", status);
        }
        curl_easy_cleanup(curl);
    }
    if (status == 200)
        return 0;
    fprintf(stderr, "%s: not ready at %s: %s\n", program, url, reason);
    return 1;
}
