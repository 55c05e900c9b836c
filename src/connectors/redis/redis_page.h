/*
 * redis_page.h
 *		Tables with a row for each element of a key, page by page.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_PAGE_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_PAGE_H

#include "connectors/redis/redis_row.h"

/* Add the command for the first page of a key. */
extern void FeathubRedisPageFirst(RedisWindow *window, RedisRequest *request,
								  const char *key, Size len);

/* The next row of the entry, without its key columns; false if there is none. */
extern bool FeathubRedisPageRow(RedisWindow *window, RedisEntry *entry,
								Datum *values, bool *isnull);

/* Forget the page that the window is at. */
extern void FeathubRedisPageReset(RedisWindow *window);

/* Of redis_row.c */
extern RedisReply *FeathubRedisWindowReply(RedisWindow *window, int command);
extern void FeathubRedisFillTtl(RedisWindow *window, int64 ms, Datum *values, bool *isnull);
extern void FeathubRedisFillColumn(RedisWindow *window, RedisEntry *entry, RedisColumn *column,
								   const char *data, Size len, Datum *values, bool *isnull);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_PAGE_H */
