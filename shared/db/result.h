/* A result of libpq's that is cleared with its scope. */
#ifndef SHARED_RESULT_H
#define SHARED_RESULT_H

#include <libpq-fe.h>

static inline void cleanup_result(PGresult **result)
{
    PQclear(*result);
}

#define AUTO_RESULT __attribute__((cleanup(cleanup_result)))

#endif
