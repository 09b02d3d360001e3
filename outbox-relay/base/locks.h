/* The advisory locks of the outbox in a database, for SQL; sql/outbox/002_emit.sql explains them,
 * and native/outbox_emit.c takes the first. */
#ifndef RELAY_LOCKS_H
#define RELAY_LOCKS_H

#define LOCK_NAMESPACE "1329747032" /* the letters OBTX */

#define WAKE_LOCK LOCK_NAMESPACE ", 1"
#define LEASE_LOCK LOCK_NAMESPACE ", 2"
#define MAINTENANCE_LOCK LOCK_NAMESPACE ", 3"

#endif
