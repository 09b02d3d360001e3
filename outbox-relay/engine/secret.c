/* See secret.h. */
#include "outbox-relay/engine/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 256

static int read_file(const char *path, char text[TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold up the loop */
    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, TEXT_MAX - 1);
    int ret = length < 0 ? -errno : 0;
    close(fd);
    if (ret < 0)
        return ret;
    text[length] = '\0';
    text[strcspn(text, " \t\r\n")] = '\0';
    return 0;
}

int secret_resolve(const char *value, struct webhook_key *ret_key)
{
    char text[TEXT_MAX];
    if (strncmp(value, "file:", 5) == 0) {
        int ret = read_file(value + 5, text);
        if (ret < 0)
            return ret;
        ret = webhook_key_parse(text, ret_key);
        explicit_bzero(text, sizeof(text));
        return ret;
    }
    if (strncmp(value, "env:", 4) == 0) {
        const char *variable = getenv(value + 4);
        return variable ? webhook_key_parse(variable, ret_key) : -ENOENT;
    }
    return webhook_key_parse(value, ret_key);
}
