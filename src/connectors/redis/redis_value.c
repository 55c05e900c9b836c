/*
 * redis_value.c
 *		Values of columns as Redis has them: bytes.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "connectors/redis/redis_value.h"
#include "core/compat.h"

static RedisType *parse_type(const char **p);
static RedisBytes float_text(RedisCodec *codec, Datum value);

FeathubConvertSettings *
FeathubRedisSettingsMake(void)
{
	FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));

	settings->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub redis value",
											  ALLOCSET_SMALL_SIZES);
	return settings;
}

RedisCodec *
FeathubRedisCodecMake(Oid typid, int32 typmod, bool elements,
					  const FeathubConvertSettings *settings)
{
	RedisCodec *codec = palloc0(sizeof(RedisCodec));
	Oid			output;
	bool		varlena;

	codec->converter = FeathubConverterMake(typid, typmod, settings);
	codec->base = codec->converter->base;
	if (elements)
	{
		Oid			elemtype = get_element_type(codec->base);

		codec->element = FeathubRedisCodecMake(elemtype, codec->converter->typmod, false, settings);
		get_typlenbyvalalign(elemtype, &codec->elmlen, &codec->elmbyval, &codec->elmalign);
	}
	switch (codec->base)
	{
		case BYTEAOID:
			codec->kind = REDIS_CODEC_BYTEA;
			break;
		case TEXTOID:
		case VARCHAROID:
			codec->kind = REDIS_CODEC_TEXT;
			codec->plain = codec->converter->typmod < 0 && !codec->converter->is_domain;
			break;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			codec->kind = REDIS_CODEC_INT;
			break;
		case FLOAT4OID:
		case FLOAT8OID:
			codec->kind = REDIS_CODEC_FLOAT;
			break;
		case BOOLOID:
			codec->kind = REDIS_CODEC_BOOL;
			break;
		default:
			codec->kind = REDIS_CODEC_OTHER;
			break;
	}
	getTypeOutputInfo(codec->base, &output, &varlena);
	fmgr_info(output, &codec->output);
	return codec;
}

bool
FeathubRedisDecode(RedisCodec *codec, const char *data, Size len, Datum *value,
				   FeathubDecodeError *error)
{
	const FeathubConvertSettings *settings = codec->converter->settings;

	if (len > MaxAllocSize - VARHDRSZ)
	{
		error->sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		error->message = psprintf("value of %zu bytes is too long", len);
		return false;
	}
	if (codec->kind == REDIS_CODEC_BYTEA)
	{
		*value = PointerGetDatum(cstring_to_text_with_len(data, (int) len));
		return FeathubConvertDomain(codec->converter, *value, false, error);
	}
	if (codec->kind == REDIS_CODEC_INT || codec->kind == REDIS_CODEC_FLOAT)
		return FeathubConvertText(codec->converter, data, len, value, error);
	if (MemoryContextMemAllocated(settings->scratch, false) > 8 * 1024)
		MemoryContextReset(settings->scratch);
	if (!FeathubServerText(PG_UTF8, settings->scratch, &data, &len, error))
		return false;
	if (codec->plain)
	{
		*value = PointerGetDatum(cstring_to_text_with_len(data, (int) len));
		return true;
	}
	return FeathubConvertText(codec->converter, data, len, value, error);
}

RedisBytes
FeathubRedisEncode(RedisCodec *codec, Datum value)
{
	RedisBytes	result;
	struct varlena *bytes;
	char	   *text;

	switch (codec->kind)
	{
		case REDIS_CODEC_BYTEA:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			result.data = VARDATA_ANY(bytes);
			result.len = VARSIZE_ANY_EXHDR(bytes);
			return result;
		case REDIS_CODEC_TEXT:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			result.len = VARSIZE_ANY_EXHDR(bytes);
			text = pg_server_to_any(VARDATA_ANY(bytes), (int) result.len, PG_UTF8);
			if (text != VARDATA_ANY(bytes))
				result.len = strlen(text);
			result.data = text;
			return result;
		case REDIS_CODEC_INT:
			text = palloc(MAXINT8LEN + 1);
			result.len = pg_lltoa(codec->base == INT2OID ? DatumGetInt16(value) :
								  codec->base == INT4OID ? DatumGetInt32(value) :
								  DatumGetInt64(value), text);
			result.data = text;
			return result;
		case REDIS_CODEC_BOOL:
			result.data = DatumGetBool(value) ? "true" : "false";
			result.len = strlen(result.data);
			return result;
		case REDIS_CODEC_FLOAT:
			return float_text(codec, value);
		default:
			break;
	}
	text = OutputFunctionCall(&codec->output, value);
	result.data = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	result.len = strlen(result.data);
	return result;
}

/* All digits that it takes, whatever the session says. */
static RedisBytes
float_text(RedisCodec *codec, Datum value)
{
	RedisBytes	result;
	char	   *text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN + 2);
	double		number = codec->base == FLOAT4OID ? DatumGetFloat4(value) : DatumGetFloat8(value);

	if (isnan(number) || isinf(number))
		strcpy(text, isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
	else
	{
		if (codec->base == FLOAT4OID)
			float_to_shortest_decimal_buf(DatumGetFloat4(value), text);
		else
			double_to_shortest_decimal_buf(number, text);
		if (codec->feathub && strspn(text, "-0123456789") == strlen(text))
			strcat(text, ".0");
	}
	result.data = text;
	result.len = strlen(text);
	return result;
}

/* FeatHub's types */

RedisType *
FeathubRedisTypeParse(const char *text)
{
	const char *p = text;
	RedisType  *type = parse_type(&p);

	while (type && *p == ' ')
		p++;
	if (type == NULL || *p != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", "type", text),
				 errhint("Types are string, integer, bigint, float, double, boolean, array<...> and map<string,...>.")));
	return type;
}

static RedisType *
parse_type(const char **p)
{
	static const struct
	{
		const char *name;
		RedisTypeKind kind;
	}			names[] =
	{
		{"string", REDIS_TYPE_STRING}, {"text", REDIS_TYPE_STRING},
		{"timestamp", REDIS_TYPE_STRING}, {"integer", REDIS_TYPE_NUMBER},
		{"int", REDIS_TYPE_NUMBER}, {"bigint", REDIS_TYPE_NUMBER},
		{"float", REDIS_TYPE_FLOAT}, {"double", REDIS_TYPE_FLOAT},
		{"boolean", REDIS_TYPE_BOOLEAN}, {"bool", REDIS_TYPE_BOOLEAN},
		{"array", REDIS_TYPE_ARRAY}, {"map", REDIS_TYPE_MAP}, {NULL}
	};
	RedisType  *type = palloc0(sizeof(RedisType));
	Size		len;
	int			i;

	check_stack_depth();
	while (**p == ' ')
		(*p)++;
	len = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	for (i = 0; names[i].name; i++)
	{
		if (strlen(names[i].name) == len && pg_strncasecmp(names[i].name, *p, len) == 0)
			break;
	}
	if (names[i].name == NULL)
		return NULL;
	type->kind = names[i].kind;
	*p += len;
	if (type->kind != REDIS_TYPE_ARRAY && type->kind != REDIS_TYPE_MAP)
		return type;
	if (*(*p)++ != '<')
		return NULL;
	if (type->kind == REDIS_TYPE_MAP)
	{
		RedisType  *key = parse_type(p);

		if (key == NULL || key->kind == REDIS_TYPE_ARRAY || key->kind == REDIS_TYPE_MAP ||
			*(*p)++ != ',')
			return NULL;
	}
	type->element = parse_type(p);
	if (type->element == NULL || *(*p)++ != '>')
		return NULL;
	return type;
}
