/* See curl_transfer.h. The easy handle, its header list and its texts are used again. */
#include "outbox-relay/http/curl_transfer.h"
#include "outbox-relay/http/answer_body.h"
#include "outbox-relay/http/curl_loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HEADER_SIZE 400

enum header { CONTENT_TYPE, WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE, EXPECT, HEADERS };

struct curl_transfer {
    struct exchange exchange;
    struct curl_job job;
    struct curl_slist headers[HEADERS]; /* linked once; the texts are rewritten in place */
    char header_text[HEADERS][HEADER_SIZE];
    char *url; /* as it is set */
    int64_t timeout_ms;
};

static void on_ended(void *context, CURLcode code);

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    answer_body_add(context, data, size * count);
    return size * count;
}

static void set_options(struct curl_transfer *transfer)
{
    const struct transport_settings *settings = transfer->exchange.settings;
    CURL *easy = transfer->job.easy;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    if (*settings->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, settings->user_agent);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer->exchange.body);
}

int curl_transfer_new(const struct exchange *exchange, struct curl_transfer **ret_transfer)
{
    struct curl_transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->exchange = *exchange;
    transfer->job = (struct curl_job){.ended = on_ended, .context = transfer};
    if (curl_job_init(exchange->curl, &transfer->job) < 0) {
        free(transfer);
        return -ENOMEM;
    }
    for (int i = 0; i < HEADERS; i++)
        transfer->headers[i] = (struct curl_slist){.data = transfer->header_text[i],
            .next = i + 1 < HEADERS ? &transfer->headers[i + 1] : NULL};
    strcpy(transfer->header_text[EXPECT], "Expect:"); /* never wait for 100 Continue */
    set_options(transfer);
    *ret_transfer = transfer;
    return 0;
}

void curl_transfer_free(struct curl_transfer *transfer)
{
    if (!transfer)
        return;
    curl_job_release(transfer->exchange.curl, &transfer->job);
    free(transfer->url);
    free(transfer);
}

static int set_url(struct curl_transfer *transfer, const char *url)
{
    if (transfer->url && strcmp(transfer->url, url) == 0)
        return 0;
    char *copy = strdup(url);
    if (!copy)
        return -ENOMEM;
    free(transfer->url);
    transfer->url = copy;
    return curl_easy_setopt(transfer->job.easy, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

static void write_header(
    struct curl_transfer *transfer, enum header header, const char *name, const char *value)
{
    char *text = transfer->header_text[header];
    size_t name_length = strlen(name), length = strlen(value);
    if (name_length + length >= HEADER_SIZE)
        length = HEADER_SIZE - 1 - name_length;
    memcpy(text, name, name_length);
    memcpy(text + name_length, value, length);
    text[name_length + length] = '\0';
}

int curl_transfer_start(struct curl_transfer *transfer, const struct request *request)
{
    CURL *easy = transfer->job.easy;
    int ret = set_url(transfer, request->url);
    if (ret < 0)
        return ret;
    write_header(transfer, CONTENT_TYPE, "Content-Type: ", request->content_type);
    write_header(transfer, WEBHOOK_ID, "webhook-id: ", request->webhook_id);
    write_header(transfer, WEBHOOK_TIMESTAMP, "webhook-timestamp: ", request->webhook_timestamp);
    write_header(transfer, WEBHOOK_SIGNATURE, "webhook-signature: ", request->webhook_signature);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
    if (transfer->timeout_ms != request->timeout_ms) {
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
        transfer->timeout_ms = request->timeout_ms;
    }
    return curl_job_start(transfer->exchange.curl, &transfer->job);
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
    struct curl_transfer *transfer = context;
    CURL *easy = transfer->job.easy;
    curl_off_t retry_after = 0;
    long status = 0;
    curl_job_end(transfer->exchange.curl, &transfer->job);
    struct response response = {.outcome = outcome_of(easy, code), .retry_after_s = -1};
    if (response.outcome == RESPONSE_STATUS) {
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        response.status = (int)status;
        curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0)
            response.retry_after_s = retry_after;
    } else {
        response.error = curl_job_error(&transfer->job, code);
    }
    transfer->exchange.done(transfer->exchange.context, &response);
}
