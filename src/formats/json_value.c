/*
 * json_value.c
 *		JSON tokens to Datums: scalars, arrays, composite types, json and jsonb.
 *
 * What is only needed on the way lives in the settings' scratch context, so
 * that a caller who keeps rows for long keeps nothing else.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "formats/format_private.h"
#include "formats/json_value.h"

/* Bytes of JSON that may become one jsonb: its offsets have 28 bits. */
#define MAX_JSONB_TEXT JENTRY_OFFLENMASK

bool
FeathubJsonCheck(FeathubJsonStatus status, FeathubDecodeError *error)
{
	int			code = ERRCODE_INVALID_TEXT_REPRESENTATION;
	const char *message;

	switch (status)
	{
		case FEATHUB_JSON_OK:
			return true;
		case FEATHUB_JSON_EMPTY:
			message = "empty value is not valid JSON";
			break;
		case FEATHUB_JSON_TRUNCATED:
			message = "JSON ends unexpectedly";
			break;
		case FEATHUB_JSON_TRAILING:
			message = "unexpected text behind the JSON value";
			break;
		case FEATHUB_JSON_NOT_OBJECT:
			message = "record is not a JSON object";
			break;
		case FEATHUB_JSON_TOO_DEEP:
			code = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			message = "JSON is nested too deeply";
			break;
		case FEATHUB_JSON_BAD_ENCODING:
			code = ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
			message = "invalid byte sequence for encoding \"UTF8\" in JSON";
			break;
		case FEATHUB_JSON_BAD_ESCAPE:
			message = "invalid escape sequence in JSON string";
			break;
		case FEATHUB_JSON_NUL_ESCAPE:
			code = ERRCODE_UNTRANSLATABLE_CHARACTER;
			message = "\\u0000 in JSON string cannot be converted to text";
			break;
		case FEATHUB_JSON_CONTROL_CHARACTER:
			message = "control character in JSON string must be escaped";
			break;
		case FEATHUB_JSON_NO_MEMORY:
			code = ERRCODE_OUT_OF_MEMORY;
			message = "out of memory while reading JSON";
			break;
		default:
			message = "invalid JSON syntax";
			break;
	}
	return FeathubDecodeFail(error, code, "%s", message);
}

/* The string's text, in the server's encoding; not always NUL-terminated. */
static bool
string_text(const FeathubConvertSettings *settings, const FeathubJsonToken *token,
			const char **text, Size *len, FeathubDecodeError *error)
{
	*text = token->start;
	*len = token->len;
	if (token->escaped)
	{
		char	   *buffer = MemoryContextAllocExtended(settings->scratch, token->len + 1,
														MCXT_ALLOC_HUGE);

		if (!FeathubJsonCheck(FeathubJsonUnescape(token, buffer, len), error))
			return false;
		*text = buffer;
	}
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		MemoryContext old = MemoryContextSwitchTo(settings->scratch);
		char	   *converted = pg_any_to_server(*text, (int) *len, PG_UTF8);

		if (converted != *text)
		{
			*text = converted;
			*len = strlen(converted);
		}
		MemoryContextSwitchTo(old);
	}
	return true;
}

/* The text of a token as it stands in the record, quotes included. */
static void
raw_text(const FeathubConvertSettings *settings, const FeathubJsonToken *token,
		 const char **text, Size *len)
{
	FeathubJsonToken raw = *token;

	raw.escaped = false;
	if (token->kind == FEATHUB_JSON_STRING)
	{
		raw.start--;
		raw.len += 2;
	}
	/* cannot fail: nothing to unescape */
	(void) string_text(settings, &raw, text, len, NULL);
}

/* Read a scalar at *p of checked JSON into a JsonbValue. */
static bool
jsonb_scalar(const char **p, const char *end, const FeathubConvertSettings *settings,
			 JsonbValue *value, FeathubDecodeError *error)
{
	FeathubConverter numeric = {.kind = FEATHUB_CONVERT_NUMERIC, .base = NUMERICOID};
	FeathubJsonToken token;
	const char *text;
	Size		len;
	Datum		number;

	if (!FeathubJsonCheck(FeathubJsonScanValue(p, end, &token), error))
		return false;
	switch (token.kind)
	{
		case FEATHUB_JSON_NULL:
			value->type = jbvNull;
			return true;
		case FEATHUB_JSON_TRUE:
		case FEATHUB_JSON_FALSE:
			value->type = jbvBool;
			value->val.boolean = token.kind == FEATHUB_JSON_TRUE;
			return true;
		case FEATHUB_JSON_NUMBER:
			if (!FeathubConvertNumeric(&numeric, token.start, token.len, true, &number, error))
				return false;
			value->type = jbvNumeric;
			value->val.numeric = DatumGetNumeric(number);
			return true;
		default:
			if (!string_text(settings, &token, &text, &len, error))
				return false;
			value->type = jbvString;
			value->val.string.val = unconstify(char *, text);
			value->val.string.len = (int) len;
			return true;
	}
}

/* One checked value to jsonb.  Runs in the scratch context. */
static bool
build_jsonb(const char *p, const char *end, const FeathubConvertSettings *settings,
			JsonbValue **result, FeathubDecodeError *error)
{
	bool		objects[FEATHUB_JSON_MAX_DEPTH];
	JsonbParseState *state = NULL;
	int			depth = 0;
	bool		want_key = false;
	JsonbValue	value;

	if (*p != '{' && *p != '[')
	{
		JsonbValue	array = {.type = jbvArray};

		array.val.array.rawScalar = true;
		array.val.array.nElems = 1;
		if (!jsonb_scalar(&p, end, settings, &value, error))
			return false;
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, &array);
		pushJsonbValue(&state, WJB_ELEM, &value);
		*result = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
		return true;
	}

	do
	{
		bool		in_object = depth > 0 && objects[depth - 1];

		switch (*p)
		{
			case ' ':
			case '\t':
			case '\n':
			case '\r':
			case ':':
				p++;
				break;
			case ',':
				want_key = in_object;
				p++;
				break;
			case '{':
			case '[':
				want_key = *p == '{';
				objects[depth++] = want_key;
				pushJsonbValue(&state, want_key ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
				p++;
				break;
			case '}':
			case ']':
				*result = pushJsonbValue(&state, in_object ? WJB_END_OBJECT : WJB_END_ARRAY,
										 NULL);
				depth--;
				p++;
				break;
			default:
				if (!jsonb_scalar(&p, end, settings, &value, error))
					return false;
				pushJsonbValue(&state, want_key ? WJB_KEY :
							   in_object ? WJB_VALUE : WJB_ELEM, &value);
				want_key = false;
				break;
		}
	} while (depth > 0);
	return true;
}

static bool
make_jsonb(const char *s, Size len, const FeathubConvertSettings *settings,
		   Datum *result, FeathubDecodeError *error)
{
	MemoryContext old;
	JsonbValue *value = NULL;
	bool		ok;

	if (len > MAX_JSONB_TEXT)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "value of %zu bytes is too long for type jsonb", len);
	old = MemoryContextSwitchTo(settings->scratch);
	ok = build_jsonb(s, s + len, settings, &value, error);
	MemoryContextSwitchTo(old);
	if (ok)
		*result = JsonbPGetDatum(JsonbValueToJsonb(value));
	else
		error->message = MemoryContextStrdup(old, error->message);
	return ok;
}

bool
FeathubJsonTextCheck(const char *s, Size len, FeathubDecodeError *error)
{
	const char *p = s;
	const char *end = s + len;
	FeathubJsonToken token;

	if (!FeathubJsonCheck(FeathubJsonScanValue(&p, end, &token), error))
		return false;
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p == end || FeathubJsonCheck(FEATHUB_JSON_TRAILING, error);
}

bool
FeathubJsonbFromText(FeathubConverter *converter, const char *s, Size len, Datum *result,
					 FeathubDecodeError *error)
{
	const char *p = s;
	FeathubJsonToken token;

	if (!FeathubJsonTextCheck(s, len, error))
		return false;
	(void) FeathubJsonScanValue(&p, s + len, &token);
	s = token.kind == FEATHUB_JSON_STRING ? token.start - 1 : token.start;
	return make_jsonb(s, p - s, converter->settings, result, error);
}

bool
FeathubJsonDocument(const char *s, Size len, JsonbValue *result, FeathubDecodeError *error)
{
	FeathubConvertSettings settings = {.scratch = CurrentMemoryContext};
	FeathubConverter type = {
		.kind = FEATHUB_CONVERT_JSONB, .typid = JSONBOID, .base = JSONBOID, .typmod = -1,
		.settings = &settings
	};
	Datum		datum;

	if (pg_encoding_verifymbstr(PG_UTF8, s, (int) Min(len, PG_INT32_MAX)) != len)
		return FeathubDecodeFail(error, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
								 "invalid byte sequence for encoding \"UTF8\"");
	if (!FeathubJsonbFromText(&type, s, len, &datum, error))
		return false;
	FeathubJsonbRoot(DatumGetJsonbP(datum), result);
	return true;
}

void
FeathubJsonbRoot(Jsonb *jsonb, JsonbValue *result)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
		*result = *getIthJsonbValueFromContainer(&jsonb->root, 0);
	else
	{
		result->type = jbvBinary;
		result->val.binary.data = &jsonb->root;
		result->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
	}
}

bool
FeathubJsonIsObject(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

bool
FeathubJsonIsArray(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
}

JsonbValue *
FeathubJsonMember(const JsonbValue *object, const char *key)
{
	if (!FeathubJsonIsObject(object))
		return NULL;
	return getKeyJsonValueFromContainer(object->val.binary.data, key, strlen(key), NULL);
}

char *
FeathubJsonStringMember(const JsonbValue *object, const char *key)
{
	JsonbValue *value = FeathubJsonMember(object, key);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

bool
FeathubJsonIntMember(const JsonbValue *object, const char *key, int *result)
{
	JsonbValue *value = FeathubJsonMember(object, key);
	bool		error;

	if (value == NULL || value->type != jbvNumeric ||
		numeric_is_nan(value->val.numeric) || numeric_is_inf(value->val.numeric))
		return false;
	*result = numeric_int4_opt_error(value->val.numeric, &error);
	return !error;
}

/* The elements of an array on their way. */
typedef struct ArrayElements
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			allocated;
	int			ndims;
	int			dims[MAXDIM];	/* -1: not known yet */
} ArrayElements;

static bool
add_element(FeathubConverter *element, ArrayElements *elements,
			const FeathubJsonToken *token, FeathubDecodeError *error)
{
	if (elements->n >= elements->allocated)
	{
		if (elements->allocated >= MaxAllocSize / sizeof(Datum) / 2)
			return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
									 "array has too many elements");
		elements->allocated *= 2;
		elements->values = repalloc(elements->values, sizeof(Datum) * elements->allocated);
		elements->nulls = repalloc(elements->nulls, sizeof(bool) * elements->allocated);
	}
	elements->values[elements->n] = (Datum) 0;
	if (!FeathubJsonConvert(element, token, &elements->values[elements->n],
							&elements->nulls[elements->n], error))
		return false;
	elements->n++;
	return true;
}

/* How many arrays begin at the first element's first element's ... */
static int
count_dimensions(const FeathubJsonToken *array)
{
	const char *p = array->start;
	const char *end = p + array->len;
	int			n = 0;

	for (; p < end && n <= MAXDIM; p++)
	{
		if (*p == '[')
			n++;
		else if (*p != ' ' && *p != '\t' && *p != '\n' && *p != '\r')
			break;
	}
	return n;
}

static bool
add_dimension(FeathubConverter *converter, ArrayElements *elements, int dimension,
			  const FeathubJsonToken *array, FeathubDecodeError *error)
{
	FeathubJsonScan scan;
	int			count = 0;

	FeathubJsonScanBegin(&scan, array);
	for (;; count++)
	{
		FeathubJsonToken key;
		FeathubJsonToken token;
		bool		more;

		if (!FeathubJsonCheck(FeathubJsonScanNext(&scan, &more, &key, &token), error))
			return false;
		if (!more)
			break;
		if (dimension + 1 == elements->ndims)
		{
			if (!add_element(converter->element, elements, &token, error))
				return false;
		}
		else if (token.kind != FEATHUB_JSON_ARRAY)
			return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
									 "JSON array mixes arrays and other values");
		else if (!add_dimension(converter, elements, dimension + 1, &token, error))
			return false;
	}
	if (elements->dims[dimension] < 0)
		elements->dims[dimension] = count;
	else if (elements->dims[dimension] != count)
		return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
								 "arrays inside a JSON array differ in length");
	return true;
}

static bool
convert_array(FeathubConverter *converter, const FeathubJsonToken *array,
			  Datum *result, FeathubDecodeError *error)
{
	FeathubConverter *element = converter->element;
	ArrayElements elements = {.allocated = 16};
	MemoryContext old = MemoryContextSwitchTo(converter->settings->scratch);
	int			lower[MAXDIM];
	bool		ok;

	elements.values = palloc(sizeof(Datum) * elements.allocated);
	elements.nulls = palloc(sizeof(bool) * elements.allocated);

	/* an array is itself a value for json: one dimension then */
	elements.ndims = element->kind == FEATHUB_CONVERT_JSON ||
		element->kind == FEATHUB_CONVERT_JSONB ? 1 : count_dimensions(array);
	if (elements.ndims > MAXDIM)
		ok = FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							   "number of array dimensions exceeds the maximum allowed (%d)",
							   MAXDIM);
	else
	{
		for (int i = 0; i < MAXDIM; i++)
		{
			elements.dims[i] = -1;
			lower[i] = 1;
		}
		ok = add_dimension(converter, &elements, 0, array, error);
	}
	MemoryContextSwitchTo(old);
	if (!ok)
	{
		error->message = pstrdup(error->message);
		return false;
	}
	if (elements.n == 0)
		*result = PointerGetDatum(construct_empty_array(element->typid));
	else
		*result = PointerGetDatum(construct_md_array(elements.values, elements.nulls,
													 elements.ndims, elements.dims, lower,
													 element->typid, converter->elmlen,
													 converter->elmbyval, converter->elmalign));
	return true;
}

/* How to find the attributes of a composite type; made at first use. */
static FeathubJsonFields *
composite_fields(FeathubConverter *converter)
{
	MemoryContext old;
	FeathubJsonFields *fields;
	TupleDesc	tupdesc = converter->tupdesc;

	if (converter->fields != NULL)
		return converter->fields;

	old = MemoryContextSwitchTo(converter->context);
	fields = palloc0(sizeof(FeathubJsonFields));
	fields->fields = palloc0(sizeof(FeathubJsonField) * Max(tupdesc->natts, 1));
	fields->hash_mask = 3;
	while (fields->hash_mask < tupdesc->natts * 2)
		fields->hash_mask = fields->hash_mask * 2 + 1;
	fields->hash = palloc(sizeof(int) * (fields->hash_mask + 1));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);

		if (attr->attisdropped)
			continue;
		fields->fields[fields->nfields].key = pg_server_to_any(pstrdup(NameStr(attr->attname)),
															   strlen(NameStr(attr->attname)),
															   PG_UTF8);
		fields->fields[fields->nfields].key_len = strlen(fields->fields[fields->nfields].key);
		fields->nfields++;
	}
	FeathubJsonFieldsHash(fields);
	MemoryContextSwitchTo(old);
	converter->fields = fields;
	return fields;
}

static bool
fill_composite(FeathubConverter *converter, const FeathubJsonToken *object,
			   HeapTuple *tuple, FeathubDecodeError *error)
{
	FeathubJsonFields *fields = composite_fields(converter);
	TupleDesc	tupdesc = converter->tupdesc;
	Datum	   *values = palloc0(sizeof(Datum) * Max(tupdesc->natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(tupdesc->natts, 1));
	int			field = 0;

	if (!FeathubJsonCheck(FeathubJsonTokenFields(object, fields), error))
		return false;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		FeathubConverter *attribute = converter->attributes[i];
		FeathubJsonToken *token;
		bool		ok;

		nulls[i] = true;
		if (attribute == NULL)
			continue;
		token = &fields->fields[field++].token;
		if (token->kind == FEATHUB_JSON_MISSING)
			ok = FeathubConvertNull(attribute, error);
		else
			ok = FeathubJsonConvert(attribute, token, &values[i], &nulls[i], error);
		if (!ok)
		{
			error->message = psprintf("attribute \"%s\": %s",
									  NameStr(TupleDescAttr(tupdesc, i)->attname),
									  error->message);
			return false;
		}
	}
	*tuple = heap_form_tuple(tupdesc, values, nulls);
	return true;
}

static bool
convert_composite(FeathubConverter *converter, const FeathubJsonToken *object,
				  Datum *result, FeathubDecodeError *error)
{
	MemoryContext old = MemoryContextSwitchTo(converter->settings->scratch);
	HeapTuple	tuple = NULL;
	bool		ok = fill_composite(converter, object, &tuple, error);

	MemoryContextSwitchTo(old);
	if (!ok)
	{
		error->message = pstrdup(error->message);
		return false;
	}
	*result = heap_copy_tuple_as_datum(tuple, converter->tupdesc);
	return true;
}

static bool
wrong_kind(FeathubConverter *converter, const FeathubJsonToken *token,
		   FeathubDecodeError *error)
{
	static const char *const names[] = {
		[FEATHUB_JSON_MISSING] = "nothing",
		[FEATHUB_JSON_NULL] = "null",
		[FEATHUB_JSON_TRUE] = "boolean",
		[FEATHUB_JSON_FALSE] = "boolean",
		[FEATHUB_JSON_NUMBER] = "number",
		[FEATHUB_JSON_STRING] = "string",
		[FEATHUB_JSON_OBJECT] = "object",
		[FEATHUB_JSON_ARRAY] = "array"
	};

	return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
							 "JSON %s cannot be converted to type %s",
							 names[token->kind], format_type_be(converter->base));
}

/* An object or array to a type that is neither json, array nor composite. */
static bool
convert_container_text(FeathubConverter *converter, const FeathubJsonToken *token,
					   Datum *result, FeathubDecodeError *error)
{
	const char *text;
	Size		len;

	switch (converter->kind)
	{
		case FEATHUB_CONVERT_TEXT:
		case FEATHUB_CONVERT_VARCHAR:
		case FEATHUB_CONVERT_BPCHAR:
		case FEATHUB_CONVERT_OTHER:
			raw_text(converter->settings, token, &text, &len);
			return FeathubConvertText(converter, text, len, result, error);
		default:
			return wrong_kind(converter, token, error);
	}
}

/* json and jsonb take any token as it is. */
static bool
convert_json(FeathubConverter *converter, const FeathubJsonToken *token,
			 Datum *result, FeathubDecodeError *error)
{
	const char *text = token->start;
	Size		len = token->len;

	if (token->kind == FEATHUB_JSON_NUMBER && !FeathubJsonIsNumber(text, len))
		return FeathubJsonCheck(FEATHUB_JSON_SYNTAX, error);
	if (converter->kind == FEATHUB_CONVERT_JSON)
	{
		raw_text(converter->settings, token, &text, &len);
		*result = PointerGetDatum(cstring_to_text_with_len(text, (int) len));
		return true;
	}
	if (token->kind == FEATHUB_JSON_STRING)
	{
		text--;
		len += 2;
	}
	return make_jsonb(text, len, converter->settings, result, error);
}

bool
FeathubJsonConvert(FeathubConverter *converter, const FeathubJsonToken *token,
				   Datum *result, bool *isnull, FeathubDecodeError *error)
{
	const char *text;
	Size		len;

	if (token->kind == FEATHUB_JSON_NULL)
	{
		*isnull = true;
		return FeathubConvertNull(converter, error);
	}
	*isnull = false;
	if (FeathubKindIsJson(converter->kind))
		return convert_json(converter, token, result, error) &&
			FeathubConvertDomain(converter, *result, false, error);

	switch (token->kind)
	{
		case FEATHUB_JSON_STRING:
			return string_text(converter->settings, token, &text, &len, error) &&
				FeathubConvertText(converter, text, len, result, error);
		case FEATHUB_JSON_NUMBER:
			if (converter->kind == FEATHUB_CONVERT_BYTEA)
				return wrong_kind(converter, token, error);
			return FeathubConvertNumber(converter, token->start, token->len, result, error);
		case FEATHUB_JSON_TRUE:
		case FEATHUB_JSON_FALSE:
			if (converter->kind == FEATHUB_CONVERT_BOOL && !converter->is_domain)
			{
				*result = BoolGetDatum(token->kind == FEATHUB_JSON_TRUE);
				return true;
			}
			if (converter->kind != FEATHUB_CONVERT_BOOL &&
				converter->kind != FEATHUB_CONVERT_TEXT &&
				converter->kind != FEATHUB_CONVERT_VARCHAR &&
				converter->kind != FEATHUB_CONVERT_BPCHAR &&
				converter->kind != FEATHUB_CONVERT_OTHER &&
				converter->kind != FEATHUB_CONVERT_ENUM)
				return wrong_kind(converter, token, error);
			return FeathubConvertText(converter, token->start, token->len, result, error);
		case FEATHUB_JSON_ARRAY:
			if (converter->kind != FEATHUB_CONVERT_ARRAY)
				return convert_container_text(converter, token, result, error);
			return convert_array(converter, token, result, error) &&
				FeathubConvertDomain(converter, *result, false, error);
		case FEATHUB_JSON_OBJECT:
			if (converter->kind != FEATHUB_CONVERT_COMPOSITE)
				return convert_container_text(converter, token, result, error);
			return convert_composite(converter, token, result, error) &&
				FeathubConvertDomain(converter, *result, false, error);
		default:
			return wrong_kind(converter, token, error);
	}
}
