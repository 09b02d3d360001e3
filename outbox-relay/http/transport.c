/* See transport.h. A transfer keeps what it has made for a URL, so that a request allocates next to
 * nothing. */
#include "outbox-relay/http/transport.h"
#include "outbox-relay/base/buffer.h"
#include "outbox-relay/http/answer_body.h"
#include "outbox-relay/http/curl_loop.h"
#include "outbox-relay/http/curl_transfer.h"
#include "outbox-relay/http/http1_transfer.h"

#include <errno.h>
#include <string.h>

struct transport {
    struct loop *loop;
    struct curl_loop *curl;
    struct transport_settings settings;
    size_t answer_bytes; /* kept of the answers under way */
};

struct transfer {
    struct transport *transport;
    bool running;
    char *url;                        /* of the latest request */
    struct http1_transfer *by_http1;  /* NULL: the URL needs libcurl */
    struct curl_transfer *by_libcurl; /* NULL: not needed yet */
    struct answer_body body;
    void (*done)(void *context, const struct response *response);
    void *context;
};

int transport_new(
    struct loop *loop, const struct transport_settings *settings, struct transport **ret_transport)
{
    struct transport *transport = calloc(1, sizeof(*transport));
    if (!transport)
        return -ENOMEM;
    transport->loop = loop;
    transport->settings = *settings;
    int ret = curl_loop_new(loop, &transport->settings, &transport->curl);
    if (ret < 0) {
        free(transport);
        return ret;
    }
    *ret_transport = transport;
    return 0;
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    curl_loop_free(transport->curl);
    free(transport);
}

int transfer_new(struct transport *transport,
    void (*done)(void *context, const struct response *response), void *context,
    struct transfer **ret_transfer)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->transport = transport;
    transfer->body.all_bytes = &transport->answer_bytes;
    transfer->done = done;
    transfer->context = context;
    *ret_transfer = transfer;
    return 0;
}

void transfer_free(struct transfer *transfer)
{
    if (!transfer)
        return;
    http1_transfer_free(transfer->by_http1);
    curl_transfer_free(transfer->by_libcurl);
    free(transfer->url);
    answer_body_release(&transfer->body);
    free(transfer);
}

/* Either way has ended. The transfer may be started again, or be gone, when `done` returns. */
static void on_done(void *context, struct response *response)
{
    struct transfer *transfer = context;
    struct buffer large;
    transfer->running = false;
    answer_body_end(&transfer->body, response, &large);
    transfer->done(transfer->context, response);
    buffer_release(&large);
}

static int choose_way(struct transfer *transfer, const char *url, struct http1_transfer **ret_http1)
{
    struct transport *transport = transfer->transport;
    const struct exchange exchange = {
        .loop = transport->loop,
        .curl = transport->curl,
        .settings = &transport->settings,
        .body = &transfer->body,
        .done = on_done,
        .context = transfer,
    };
    int ret = *transport->settings.proxy ? -ENOTSUP : http1_transfer_new(&exchange, url, ret_http1);
    if (ret == -ENOTSUP)
        ret = transfer->by_libcurl ? 0 : curl_transfer_new(&exchange, &transfer->by_libcurl);
    return ret;
}

/* For a URL that is another than before. */
static int set_url(struct transfer *transfer, const char *url)
{
    struct http1_transfer *http1 = NULL;
    char *copy = strdup(url);
    int ret = copy ? choose_way(transfer, copy, &http1) : -ENOMEM;
    if (ret < 0) {
        free(copy);
        return ret;
    }
    http1_transfer_free(transfer->by_http1);
    transfer->by_http1 = http1;
    free(transfer->url);
    transfer->url = copy;
    return 0;
}

int transfer_start(struct transfer *transfer, const struct request *request)
{
    if (transfer->running)
        return -EBUSY;
    if (!transfer->url || strcmp(transfer->url, request->url) != 0) {
        int ret = set_url(transfer, request->url);
        if (ret < 0)
            return ret;
    }
    int ret = transfer->by_http1 ? http1_transfer_start(transfer->by_http1, request)
                                 : curl_transfer_start(transfer->by_libcurl, request);
    transfer->running = ret == 0;
    return ret;
}
