/*
 * redis_feature.c
 *		Maps and arrays of FeatHub's layout, as jsonb.
 *
 * FeatHub writes a map as a hash and an array as a list.  What is nested in
 * them is JSON whose leaves are strings: {"key":"true"}.  The type of a leaf is
 * lost in Redis; column option "type" says it, else leaves are strings.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "connectors/redis/redis_write.h"

static bool is_list(const RedisColumn *column);
static const RedisType *element_type(const RedisColumn *column);
static bool append_text(const RedisType *type, const RedisReply *item, StringInfo out,
						FeathubDecodeError *error);
static bool bad_leaf(const char *wanted, const char *text, Size len,
					 FeathubDecodeError *error);
static bool append_leaf(const RedisType *type, const char *text, Size len, StringInfo out,
						FeathubDecodeError *error);
static bool append_value(const RedisType *type, JsonbValue *value, StringInfo out,
						 FeathubDecodeError *error);
static bool append_container(const RedisType *type, JsonbContainer *container,
							 StringInfo out, FeathubDecodeError *error);
static char *leaf_text(const RedisType *type, JsonbValue *value);
static void write_strings(const RedisType *type, JsonbValue *value, StringInfo out);

const char *
FeathubRedisFeatureCommand(const RedisColumn *column)
{
	if (column->elements)
		return "LRANGE";
	if (!column->map)
		return "GET";
	return is_list(column) ? "LRANGE" : "HGETALL";
}

bool
FeathubRedisFeatureIsList(const RedisColumn *column)
{
	return is_list(column);
}

bool
FeathubRedisFeatureDecode(RedisColumn *column, const RedisReply *reply, Datum *value,
						  FeathubDecodeError *error)
{
	const RedisType *type = element_type(column);
	bool		list = is_list(column);
	StringInfoData json;
	bool		ok = true;

	initStringInfo(&json);
	appendStringInfoChar(&json, list ? '[' : '{');
	for (int i = 0; i < reply->n && ok; i++)
	{
		if (i > 0)
			appendStringInfoChar(&json, ',');
		if (!list)
		{
			ok = append_leaf(NULL, reply->elements[i].str, reply->elements[i].len, &json, error);
			appendStringInfoChar(&json, ':');
			if (++i >= reply->n)
				break;
		}
		ok = ok && append_text(type, &reply->elements[i], &json, error);
	}
	appendStringInfoChar(&json, list ? ']' : '}');
	return ok && FeathubConvertText(column->codec->converter, json.data, json.len, value, error);
}

int
FeathubRedisFeatureWords(RedisColumn *column, Datum value, RedisWordFunction add, void *arg)
{
	bool		list = is_list(column);
	const RedisType *type = element_type(column);
	Jsonb	   *jsonb;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	int			n = 0;

	if (column->codec->base == JSONOID)
		jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
												   CStringGetDatum(TextDatumGetCString(value))));
	else
		jsonb = DatumGetJsonbP(value);
	if (list ? !JB_ROOT_IS_ARRAY(jsonb) || JB_ROOT_IS_SCALAR(jsonb) : !JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value of column \"%s\" is not a JSON %s", column->attname,
						list ? "array" : "object")));
	it = JsonbIteratorInit(&jsonb->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *text;

		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		text = token == WJB_KEY ? pnstrdup(v.val.string.val, v.val.string.len) :
			leaf_text(type, &v);
		if (text == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null element in column \"%s\"", column->attname),
					 errdetail("Redis has no nulls in hashes and lists.")));
		text = pg_server_to_any(text, strlen(text), PG_UTF8);
		add(arg, text, strlen(text));
		n++;
	}
	return n;
}

static bool
is_list(const RedisColumn *column)
{
	return column->type && column->type->kind == REDIS_TYPE_ARRAY;
}

static const RedisType *
element_type(const RedisColumn *column)
{
	return column->type ? column->type->element : NULL;
}

/* An element as Redis has it: a leaf's text, or JSON. */
static bool
append_text(const RedisType *type, const RedisReply *item, StringInfo out,
			FeathubDecodeError *error)
{
	Jsonb	   *jsonb;
	char	   *text;

	if (type == NULL || (type->kind != REDIS_TYPE_ARRAY && type->kind != REDIS_TYPE_MAP))
		return append_leaf(type, item->str, item->len, out, error);
	text = pg_any_to_server(item->str, item->len, PG_UTF8);
	jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	if (JB_ROOT_IS_SCALAR(jsonb))
		return bad_leaf(type->kind == REDIS_TYPE_ARRAY ? "array" : "map",
						item->str, item->len, error);
	return append_container(type, &jsonb->root, out, error);
}

static bool
bad_leaf(const char *wanted, const char *text, Size len, FeathubDecodeError *error)
{
	error->sqlerrcode = ERRCODE_INVALID_TEXT_REPRESENTATION;
	error->message = psprintf("invalid %s: \"%s\"", wanted, FeathubConvertShow(text, len));
	return false;
}

/* A leaf's text as JSON of its type. */
static bool
append_leaf(const RedisType *type, const char *text, Size len, StringInfo out,
			FeathubDecodeError *error)
{
	const char *server = text;
	Size		server_len = len;
	char	   *copy;
	char	   *end;

	if (!FeathubServerText(PG_UTF8, CurrentMemoryContext, &server, &server_len, error))
		return false;
	copy = pnstrdup(server, server_len);
	switch (type ? type->kind : REDIS_TYPE_STRING)
	{
		case REDIS_TYPE_BOOLEAN:
			if (pg_strcasecmp(copy, "true") == 0 || pg_strcasecmp(copy, "false") == 0)
				appendStringInfoString(out, pg_strcasecmp(copy, "true") == 0 ? "true" : "false");
			else
				return bad_leaf("boolean", text, len, error);
			break;
		case REDIS_TYPE_NUMBER:
		case REDIS_TYPE_FLOAT:
			/* the name of a float that JSON does not know stays text */
			(void) strtod(copy, &end);
			if (copy[0] == '\0' || *end != '\0')
				return bad_leaf("number", text, len, error);
			if (strspn(copy, "-0123456789.eE+") != strlen(copy))
				escape_json(out, copy);
			else
				appendStringInfoString(out, copy);
			break;
		default:
			escape_json(out, copy);
			break;
	}
	return true;
}

static bool
append_value(const RedisType *type, JsonbValue *value, StringInfo out,
			 FeathubDecodeError *error)
{
	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(out, "null");
			return true;
		case jbvBinary:
			return append_container(type, value->val.binary.data, out, error);
		default:
			{
				char	   *text = leaf_text(type, value);

				text = pg_server_to_any(text, strlen(text), PG_UTF8);
				return append_leaf(type, text, strlen(text), out, error);
			}
	}
}

/* A nested object or array, its leaves by their type. */
static bool
append_container(const RedisType *type, JsonbContainer *container, StringInfo out,
				 FeathubDecodeError *error)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	v;
	bool		first = true;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				appendStringInfoChar(out, token == WJB_BEGIN_ARRAY ? '[' : '{');
				break;
			case WJB_END_ARRAY:
			case WJB_END_OBJECT:
				appendStringInfoChar(out, token == WJB_END_ARRAY ? ']' : '}');
				break;
			case WJB_KEY:
				if (!first)
					appendStringInfoChar(out, ',');
				first = false;
				escape_json(out, pnstrdup(v.val.string.val, v.val.string.len));
				appendStringInfoChar(out, ':');
				break;
			default:
				if (token == WJB_ELEM && !first)
					appendStringInfoChar(out, ',');
				first = false;
				if (!append_value(type ? type->element : NULL, &v, out, error))
					return false;
				break;
		}
	}
	return true;
}

/* A value as FeatHub writes it into a hash or list; NULL for null. */
static char *
leaf_text(const RedisType *type, JsonbValue *value)
{
	StringInfoData out;

	switch (value->type)
	{
		case jbvNull:
			return NULL;
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		case jbvNumeric:
			{
				char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
																	   NumericGetDatum(value->val.numeric)));

				if (type && type->kind == REDIS_TYPE_FLOAT && strchr(text, '.') == NULL)
					text = psprintf("%s.0", text);
				return text;
			}
		default:
			initStringInfo(&out);
			write_strings(type, value, &out);
			return out.data;
	}
}

/* Nested values: JSON without spaces, every leaf a string. */
static void
write_strings(const RedisType *type, JsonbValue *value, StringInfo out)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	bool		first = true;

	check_stack_depth();
	if (value->type != jbvBinary)
	{
		char	   *text = leaf_text(type, value);

		if (text)
			escape_json(out, text);
		else
			appendStringInfoString(out, "null");
		return;
	}
	it = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				appendStringInfoChar(out, token == WJB_BEGIN_ARRAY ? '[' : '{');
				break;
			case WJB_END_ARRAY:
			case WJB_END_OBJECT:
				appendStringInfoChar(out, token == WJB_END_ARRAY ? ']' : '}');
				break;
			default:
				if (!first && token != WJB_VALUE)
					appendStringInfoChar(out, ',');
				first = false;
				if (token == WJB_KEY)
				{
					escape_json(out, pnstrdup(v.val.string.val, v.val.string.len));
					appendStringInfoChar(out, ':');
				}
				else
					write_strings(type ? type->element : NULL, &v, out);
				break;
		}
	}
}
