/* Ids in text. */
#include "shared/base/id.h"

#include <errno.h>

int id_parse(const char *text, size_t length, int64_t *ret_id)
{
    if (length == 0 || length > 19 || text[0] == '0')
        return -EINVAL;
    uint64_t id = 0; /* 19 digits fit */
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        id = id * 10 + (uint64_t)(text[i] - '0');
    }
    if (id > INT64_MAX)
        return -EINVAL;
    *ret_id = (int64_t)id;
    return 0;
}
