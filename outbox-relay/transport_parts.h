/* What the files behind transport.h share: the multi handle, and the two ways of a request. */
#ifndef RELAY_TRANSPORT_PARTS_H
#define RELAY_TRANSPORT_PARTS_H

#include "outbox-relay/transport.h"
#include "shared/base/cleanup.h"

#include <curl/curl.h>

#define RECEIVE_SIZE 16384
/* A container that comes back may have another address: not the 60 s of curl's default. */
#define DNS_CACHE_S 3L

struct transport {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
    struct socket_watch *watches; /* those in use */
    struct transport_settings settings;
    size_t answer_bytes;         /* kept of the answers under way */
    char received[RECEIVE_SIZE]; /* of one read, for plain.c */
};

/* Something libcurl does in the multi handle: a whole request, or only a connection. */
struct job {
    CURL *easy;
    bool running;
    void (*ended)(void *context, CURLcode code); /* the job is still in the multi handle */
    void *context;
};

/* Gives the job an easy handle with the options that both kinds have. Errors: -ENOMEM. */
MUST_CHECK int job_init(struct transport *transport, struct job *job, char error[CURL_ERROR_SIZE]);
void job_release(struct transport *transport, struct job *job);
/* Errors: -ENOMEM, -EINVAL. */
MUST_CHECK int job_start(struct transport *transport, struct job *job);
/* Takes it out of the multi handle, also while it is under way. */
void job_end(struct transport *transport, struct job *job);

struct transfer {
    struct transport *transport;
    bool running;
    bool cut;  /* the answer is longer than what is kept of it */
    char *url; /* of the latest request */
    char error[CURL_ERROR_SIZE];
    struct buffer body;               /* of the answer */
    struct plain *plain;              /* NULL: the URL needs libcurl */
    struct curl_transfer *by_libcurl; /* NULL: not needed so far */
    void (*done)(void *context, const struct response *response);
    void *context;
};

/* Keeps a part of the answer's body. */
void transfer_add_body(struct transfer *transfer, const char *data, size_t length);
/* Tells the owner. The transfer may be started again, or be gone, when this returns. */
void transfer_end(struct transfer *transfer, struct response *response);

/* The way of https and of proxies: libcurl does all. */
struct curl_transfer;
MUST_CHECK int curl_transfer_new(struct transfer *transfer, struct curl_transfer **ret_curl);
void curl_transfer_free(struct curl_transfer *curl); /* accepts NULL */
MUST_CHECK int curl_transfer_start(struct curl_transfer *curl, const struct request *request);

/* The way of http:// URLs; see plain.c. */
struct plain;
/* Errors: -ENOTSUP, the URL needs libcurl; -ENOMEM. */
MUST_CHECK int plain_new(struct transfer *transfer, const char *url, struct plain **ret_plain);
void plain_free(struct plain *plain); /* accepts NULL */
MUST_CHECK int plain_start(struct plain *plain, const struct request *request);

#endif
