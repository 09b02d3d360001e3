/* A request that libcurl does as a whole: for https, proxies and whatever else plain.c leaves
 * alone. The easy handle, its header list and its texts are used again. */
#include "outbox-relay/retry.h"
#include "outbox-relay/transport_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEADER_SIZE 400

enum header { CONTENT_TYPE, WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE, EXPECT, HEADERS };

struct curl_transfer {
    struct transfer *transfer;
    struct job job;
    struct curl_slist headers[HEADERS]; /* linked once; the texts are rewritten in place */
    char header_text[HEADERS][HEADER_SIZE];
    char *url; /* as it is set */
    int64_t timeout_ms;
};

static void on_ended(void *context, CURLcode code);

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    transfer_add_body(context, data, size * count);
    return size * count;
}

static void set_options(struct curl_transfer *curl)
{
    const struct transport_settings *settings = &curl->transfer->transport->settings;
    CURL *easy = curl->job.easy;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    if (*settings->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, settings->user_agent);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, curl->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, curl->transfer);
}

int curl_transfer_new(struct transfer *transfer, struct curl_transfer **ret_curl)
{
    struct curl_transfer *curl = calloc(1, sizeof(*curl));
    if (!curl)
        return -ENOMEM;
    curl->transfer = transfer;
    curl->job = (struct job){.ended = on_ended, .context = curl};
    if (job_init(transfer->transport, &curl->job, transfer->error) < 0) {
        free(curl);
        return -ENOMEM;
    }
    for (int i = 0; i < HEADERS; i++)
        curl->headers[i] = (struct curl_slist){
            .data = curl->header_text[i], .next = i + 1 < HEADERS ? &curl->headers[i + 1] : NULL};
    strcpy(curl->header_text[EXPECT], "Expect:"); /* never wait for 100 Continue */
    set_options(curl);
    *ret_curl = curl;
    return 0;
}

void curl_transfer_free(struct curl_transfer *curl)
{
    if (!curl)
        return;
    job_release(curl->transfer->transport, &curl->job);
    free(curl->url);
    free(curl);
}

static int set_url(struct curl_transfer *curl, const char *url)
{
    if (curl->url && strcmp(curl->url, url) == 0)
        return 0;
    char *copy = strdup(url);
    if (!copy)
        return -ENOMEM;
    free(curl->url);
    curl->url = copy;
    return curl_easy_setopt(curl->job.easy, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

static void write_header(
    struct curl_transfer *curl, enum header header, const char *name, const char *value)
{
    char *text = curl->header_text[header];
    size_t name_length = strlen(name), length = strlen(value);
    if (name_length + length >= HEADER_SIZE)
        length = HEADER_SIZE - 1 - name_length;
    memcpy(text, name, name_length);
    memcpy(text + name_length, value, length);
    text[name_length + length] = '\0';
}

int curl_transfer_start(struct curl_transfer *curl, const struct request *request)
{
    CURL *easy = curl->job.easy;
    int ret = set_url(curl, request->url);
    if (ret < 0)
        return ret;
    write_header(curl, CONTENT_TYPE, "Content-Type: ", request->content_type);
    write_header(curl, WEBHOOK_ID, "webhook-id: ", request->webhook_id);
    write_header(curl, WEBHOOK_TIMESTAMP, "webhook-timestamp: ", request->webhook_timestamp);
    write_header(curl, WEBHOOK_SIGNATURE, "webhook-signature: ", request->webhook_signature);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
    if (curl->timeout_ms != request->timeout_ms) {
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
        curl->timeout_ms = request->timeout_ms;
    }
    return job_start(curl->transfer->transport, &curl->job);
}

static enum response_outcome outcome_of(CURL *easy, CURLcode code)
{
    curl_off_t sent = 0;
    if (code == CURLE_OK)
        return RESPONSE_STATUS;
    curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (sent == 0)
        return RESPONSE_NO_CONNECT;
    return code == CURLE_OPERATION_TIMEDOUT ? RESPONSE_TIMEOUT : RESPONSE_BROKEN;
}

static void on_ended(void *context, CURLcode code)
{
    struct curl_transfer *curl = context;
    struct transfer *transfer = curl->transfer;
    CURL *easy = curl->job.easy;
    curl_off_t retry_after = 0;
    long status = 0;
    job_end(transfer->transport, &curl->job);
    struct response response = {.outcome = outcome_of(easy, code), .retry_after_s = -1};
    if (response.outcome == RESPONSE_STATUS) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        response.status = (int)status;
        if (judge(&response) == VERDICT_DOWN)
            curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0)
            response.retry_after_s = retry_after;
    } else {
        response.error = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
    }
    transfer_end(transfer, &response);
}
