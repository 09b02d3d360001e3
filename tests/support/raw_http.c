/* A client that sends any bytes at all. */
#include "tests/support/raw_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Returns the connection, or a negative errno. */
static int try_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int raw_connect(uint16_t port)
{
    int fd = try_connect(port);
    assert_true(fd >= 0);
    return fd;
}

int raw_is_refused(uint16_t port)
{
    int fd = try_connect(port);
    if (fd >= 0)
        close(fd);
    return fd == -ECONNREFUSED;
}

size_t raw_send(int fd, const char *bytes, size_t length)
{
    size_t sent = 0;
    while (sent < length) {
        ssize_t now = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (now < 0 && errno == EINTR)
            continue;
        if (now <= 0)
            break;
        sent += (size_t)now;
    }
    return sent;
}

size_t raw_send_text(int fd, const char *text)
{
    return raw_send(fd, text, strlen(text));
}

/* Reads what there is, at most `size`; 0 at the end, on a reset and after the timeout. */
static size_t receive_some(int fd, char *to, size_t size)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};
    if (poll(&event, 1, RAW_TIMEOUT_MS) <= 0)
        return 0;
    ssize_t length = recv(fd, to, size, 0);
    return length > 0 ? (size_t)length : 0;
}

/* Reads byte by byte up to the empty line, so that nothing of the next response is taken. */
static int receive_head(int fd, struct raw_response *response)
{
    size_t length = 0;
    while (length < sizeof response->head - 1) {
        if (receive_some(fd, response->head + length, 1) == 0)
            return -1;
        response->head[++length] = '\0';
        if (length >= 4 && strcmp(response->head + length - 4, "\r\n\r\n") == 0)
            return 0;
    }
    return -1;
}

void raw_receive(int fd, int head_only, struct raw_response *ret_response)
{
    char text[32];
    ret_response->status = 0;
    ret_response->head[0] = ret_response->body[0] = '\0';
    ret_response->length = 0;
    if (receive_head(fd, ret_response) || strncmp(ret_response->head, "HTTP/1.", 7) != 0)
        return;
    int status = (int)strtol(ret_response->head + 9, NULL, 10);
    const char *announced = raw_header(ret_response, "Content-Length", text, sizeof text);
    size_t length = announced && !head_only ? strtoul(announced, NULL, 10) : 0;
    assert_true(length < sizeof ret_response->body);
    while (ret_response->length < length) {
        size_t now = receive_some(
            fd, ret_response->body + ret_response->length, length - ret_response->length);
        if (now == 0)
            return;
        ret_response->length += now;
    }
    ret_response->body[length] = '\0';
    ret_response->status = status;
}

int raw_is_closed(int fd)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&event, 1, RAW_TIMEOUT_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

const char *raw_header(
    const struct raw_response *response, const char *name, char *value, size_t size)
{
    size_t name_length = strlen(name);
    for (const char *line = strstr(response->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, name_length) != 0 || line[2 + name_length] != ':')
            continue;
        const char *from = line + 2 + name_length + 1;
        from += strspn(from, " ");
        snprintf(value, size, "%.*s", (int)strcspn(from, "\r"), from);
        return value;
    }
    return NULL;
}

int raw_exchange(uint16_t port, const char *request, struct raw_response *ret_response)
{
    int fd = raw_connect(port);
    raw_send_text(fd, request);
    raw_receive(fd, strncmp(request, "HEAD ", 5) == 0, ret_response);
    close(fd);
    return ret_response->status;
}
