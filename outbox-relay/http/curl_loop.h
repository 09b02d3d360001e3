/* libcurl's multi handle in the loop, and the jobs in it. */
#ifndef RELAY_CURL_LOOP_H
#define RELAY_CURL_LOOP_H

#include "outbox-relay/base/loop.h"
#include "outbox-relay/http/exchange.h"
#include "shared/base/cleanup.h"

#include <curl/curl.h>

struct curl_loop;

/* Borrows both. Errors: -ENOMEM. */
MUST_CHECK int curl_loop_new(
    struct loop *loop, const struct transport_settings *settings, struct curl_loop **ret_curl);
/* After all its jobs have been released. Accepts NULL. */
void curl_loop_free(struct curl_loop *curl);

/* Something libcurl does: a whole request, or only a connection. Embedded in its owner. */
struct curl_job {
    CURL *easy;
    bool running;
    void (*ended)(void *context, CURLcode code); /* the job is still in the multi handle */
    void *context;
    char error[CURL_ERROR_SIZE]; /* "": libcurl says no more than its code does */
};

/* Gives the job an easy handle with the options that both kinds have. Errors: -ENOMEM. */
MUST_CHECK int curl_job_init(struct curl_loop *curl, struct curl_job *job);
void curl_job_release(struct curl_loop *curl, struct curl_job *job);
/* Errors: -ENOMEM, -EINVAL. */
MUST_CHECK int curl_job_start(struct curl_loop *curl, struct curl_job *job);
/* Takes it out of the multi handle, also while it is under way. */
void curl_job_end(struct curl_loop *curl, struct curl_job *job);
/* What went wrong; valid as long as the job is not started again or gone. */
const char *curl_job_error(const struct curl_job *job, CURLcode code);

#endif
