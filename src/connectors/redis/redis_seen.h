/*
 * redis_seen.h
 *		What a scan has seen: SCAN may give a key more than once.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_SEEN_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_SEEN_H

typedef struct RedisSeen RedisSeen;

/*
 * Made in the current context.  It remembers items in work_mem; what comes when
 * that is full goes to a sort, on disk if need be.  With "all" it remembers
 * all of them whatever that takes: 32 bytes or so for each.
 */
extern RedisSeen *FeathubRedisSeenMake(bool all);
extern void FeathubRedisSeenReset(RedisSeen *seen);

/*
 * FeathubRedisSeenAdd
 *		Is this item new?
 *
 * False: it was seen, or it was put off.  Those put off come out of
 * FeathubRedisSeenLater, each once, when nothing is added any more.
 */
extern bool FeathubRedisSeenAdd(RedisSeen *seen, const char *data, Size len);
extern bool FeathubRedisSeenHas(RedisSeen *seen, const char *data, Size len);
extern bool FeathubRedisSeenLater(RedisSeen *seen, const char **data, Size *len);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_SEEN_H */
