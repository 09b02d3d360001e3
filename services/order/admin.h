/* Admins' view of the orders of all users. */
#ifndef ORDER_ADMIN_H
#define ORDER_ADMIN_H

#include "shared/http/http.h"

/* GET /orders?id=&userId=&status=&totalFrom=&totalTo=&sort=&paging.page=&paging.size= -> [{orderId,
 * userId, status, total}], with the count of all in X-Total-Count. */
http_handler admin_list;

/* POST /orders/find-by-filter {id[], userId[], status[], totalFrom, totalTo, sort[], paging: {page,
 * size}} -> {page: {pageNumber, pageSize, count}, items}. */
http_handler admin_find;

#endif
