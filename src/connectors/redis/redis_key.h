/*
 * redis_key.h
 *		How keys are made of columns, and columns of keys.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_KEY_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_KEY_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* Bytes with a length; data NULL: not known. */
typedef struct RedisBytes
{
	const char *data;
	Size		len;
} RedisBytes;

/* A part of a key: text, or the value of a column. */
typedef struct RedisPiece
{
	int			column;			/* index among the key columns, or -1: text */
	char	   *text;
	Size		len;
} RedisPiece;

typedef struct RedisTemplate
{
	int			npieces;
	RedisPiece *pieces;
	int			ncolumns;		/* key columns in it */
} RedisTemplate;

/* A part of a pattern as the user wrote it. */
typedef struct RedisPatternItem
{
	bool		is_name;		/* between braces */
	char	   *text;
} RedisPatternItem;

/* The parts of a pattern (RedisPatternItem *); an error if it is not one. */
extern List *FeathubRedisPatternParse(const char *pattern);
extern void FeathubRedisPatternCheck(const char *pattern);

/* Append the key of these values. */
extern void FeathubRedisKeyRender(const RedisTemplate *template, const RedisBytes *values,
								  StringInfo out);

/*
 * FeathubRedisKeyMatch
 *		Take a key apart: false if it is not of this template.
 *
 * A value ends where the text behind it first occurs; the last takes the rest.
 * parts point into the key.
 */
extern bool FeathubRedisKeyMatch(const RedisTemplate *template, const char *key, Size len,
								 RedisBytes *parts);

/*
 * Append the pattern for MATCH: values that are known literally, * for the
 * others.  values may be NULL.
 */
extern void FeathubRedisKeyGlob(const RedisTemplate *template, const RedisBytes *values,
								StringInfo out);

/* Append text with the characters escaped that a pattern gives a meaning. */
extern void FeathubRedisGlobEscape(StringInfo out, const char *text, Size len);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_KEY_H */
