/*
 * redis_value.h
 *		Values of columns as Redis has them: bytes.
 *
 * A value is the text of the column's type, in UTF-8, times in ISO 8601 and UTC;
 * of a bytea column it is the bytes themselves.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_VALUE_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_VALUE_H

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "connectors/redis/redis_key.h"
#include "formats/convert.h"

/* FeatHub's types, as far as the layout of values depends on them. */
typedef enum RedisTypeKind
{
	REDIS_TYPE_STRING,
	REDIS_TYPE_NUMBER,			/* integers */
	REDIS_TYPE_FLOAT,
	REDIS_TYPE_BOOLEAN,
	REDIS_TYPE_ARRAY,
	REDIS_TYPE_MAP
} RedisTypeKind;

typedef struct RedisType RedisType;
struct RedisType
{
	RedisTypeKind kind;
	RedisType  *element;		/* of arrays and maps */
};

/* Parse "map<string,array<double>>"; an error if it is none of FeatHub's types. */
extern RedisType *FeathubRedisTypeParse(const char *text);

typedef enum RedisCodecKind
{
	REDIS_CODEC_BYTEA,
	REDIS_CODEC_TEXT,			/* text, varchar without a rule of its own */
	REDIS_CODEC_INT,			/* int2, int4, int8 */
	REDIS_CODEC_FLOAT,
	REDIS_CODEC_BOOL,
	REDIS_CODEC_OTHER
} RedisCodecKind;

/* What it takes to read and write one type. */
typedef struct RedisCodec
{
	RedisCodecKind kind;
	bool		feathub;		/* write floats as FeatHub does: 1.0 */
	Oid			base;			/* a domain's base type, else the type */
	FeathubConverter *converter;
	FmgrInfo	output;
	bool		plain;			/* text whose value is its bytes */
	/* arrays, where they are lists or sets: */
	struct RedisCodec *element;
	int16		elmlen;
	bool		elmbyval;
	char		elmalign;
} RedisCodec;

/* Made in the current context; settings must live as long. */
extern RedisCodec *FeathubRedisCodecMake(Oid typid, int32 typmod, bool elements,
										 const FeathubConvertSettings *settings);

/* Settings for codecs, with a scratch context of their own. */
extern FeathubConvertSettings *FeathubRedisSettingsMake(void);

/* Bytes to a Datum in the current context; false, with *error, for bad ones. */
extern bool FeathubRedisDecode(RedisCodec *codec, const char *data, Size len,
							   Datum *value, FeathubDecodeError *error);

/*
 * A Datum's bytes, palloc'd in the current context or its own.  Times and
 * numbers are as between FeathubTextModesSet and Restore.
 */
extern RedisBytes FeathubRedisEncode(RedisCodec *codec, Datum value);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_VALUE_H */
