/*
 * redis_socket.h
 *		A non-blocking socket, with or without TLS.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_SOCKET_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_SOCKET_H

#include "utils/timestamp.h"

#include "connectors/redis/redis_client.h"

/*
 * FeathubRedisSocketOpen
 *		Connect, and shake hands if TLS is asked for.
 *
 * host NULL: the server's unix socket.  Returns NULL, with a palloc'd reason,
 * if that does not work before the deadline.  The memory is the current
 * context's; the socket itself stays until FeathubRedisSocketClose.  Cancelled
 * by an interrupt it leaves nothing behind.
 */
extern RedisSocket *FeathubRedisSocketOpen(const RedisOptions *options,
										   const char *host, int port,
										   TimestampTz deadline, char **reason);
extern void FeathubRedisSocketClose(RedisSocket *socket);

/*
 * Read or write what is possible now: the number of bytes, 0 if it would block,
 * -1 if the connection is lost (FeathubRedisSocketReason says why).
 */
extern ssize_t FeathubRedisSocketRead(RedisSocket *socket, char *buffer, Size size);
extern ssize_t FeathubRedisSocketWrite(RedisSocket *socket, const char *data, Size size);
extern const char *FeathubRedisSocketReason(RedisSocket *socket);

/*
 * Sleep until the socket can be read (or written, if asked for), the timeout in
 * milliseconds has passed or an interrupt was served, which may raise an error.
 */
extern void FeathubRedisSocketWait(RedisSocket *socket, bool for_write, long timeout);

/* Has the other side closed an idle connection, or sent what nobody asked for? */
extern bool FeathubRedisSocketIsStale(RedisSocket *socket);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_SOCKET_H */
