/*
 * avro_json.c
 *		JSON values to Avro's binary ones: columns of type jsonb, and the
 *		defaults of schemas.
 *
 * The way back is avro_decode.c's: an object is a record or a map, bytes are
 * base64, dates and times are text.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "formats/avro.h"

static void
refuse(const FeathubAvroNode *node, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("cannot write a JSON value of column \"%s\" as its Avro schema says", column),
			 errdetail("The schema has %s there.", FeathubShapeText(node->shape))));
}

static bool
is_text_of(const JsonbValue *value, const char *text)
{
	return value->val.string.len == strlen(text) &&
		memcmp(value->val.string.val, text, value->val.string.len) == 0;
}

static bool
as_integer(const JsonbValue *value, int64 *result)
{
	Datum		number;
	Numeric		rounded;

	if (value->type != jbvNumeric || numeric_is_nan(value->val.numeric) ||
		numeric_is_inf(value->val.numeric))
		return false;
	number = NumericGetDatum(value->val.numeric);
	rounded = DatumGetNumeric(DirectFunctionCall2(numeric_trunc, number, Int32GetDatum(0)));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, number, NumericGetDatum(rounded))) ||
		DatumGetBool(DirectFunctionCall2(numeric_gt, number,
										 NumericGetDatum(int64_to_numeric(PG_INT64_MAX)))) ||
		DatumGetBool(DirectFunctionCall2(numeric_lt, number,
										 NumericGetDatum(int64_to_numeric(PG_INT64_MIN)))))
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
	return true;
}

/* Could the value be of that node, at a first look? */
static bool
fits(const FeathubAvroNode *node, const JsonbValue *value)
{
	int64		integer;

	switch (node->type)
	{
		case AVRO_NULL:
			return value->type == jbvNull;
		case AVRO_BOOLEAN:
			return value->type == jbvBool;
		case AVRO_INT:
		case AVRO_LONG:
			if (value->type == jbvString)
				return node->shape->kind != FEATHUB_SHAPE_INT;
			return as_integer(value, &integer) &&
				(node->type == AVRO_LONG || (integer >= PG_INT32_MIN && integer <= PG_INT32_MAX));
		case AVRO_FLOAT:
		case AVRO_DOUBLE:
			return value->type == jbvNumeric ||
				(value->type == jbvString && (is_text_of(value, "NaN") ||
											  is_text_of(value, "Infinity") ||
											  is_text_of(value, "-Infinity")));
		case AVRO_BYTES:
		case AVRO_FIXED:
			return value->type == jbvString ||
				(value->type == jbvNumeric && node->shape->kind == FEATHUB_SHAPE_DECIMAL);
		case AVRO_STRING:
			return value->type == jbvString;
		case AVRO_ENUM:
			for (int i = 0; value->type == jbvString && i < node->nsymbols; i++)
			{
				if (is_text_of(value, node->symbols[i]))
					return true;
			}
			return false;
		case AVRO_ARRAY:
			return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
		case AVRO_MAP:
			return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
		case AVRO_RECORD:
			if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
				return false;
			/* one of several records: that whose fields are there */
			for (int i = 0; i < node->nchildren; i++)
			{
				const FeathubAvroNode *child = node->children[i];

				if (getKeyJsonValueFromContainer(value->val.binary.data, node->fields[i],
												 strlen(node->fields[i]), NULL) == NULL &&
					node->defaults[i] == NULL && child->type != AVRO_NULL &&
					!(child->type == AVRO_UNION && child->null_branch >= 0))
					return false;
			}
			return true;
		default:
			return false;
	}
}

static void write_json(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
					   const char *column, StringInfo out);

/* By the type that a column for the node would have. */
static void
write_typed(const FeathubAvroNode *node, const JsonbValue *value, const char *column,
			StringInfo out)
{
	FeathubConvertSettings settings = {.scratch = CurrentMemoryContext};
	FeathubDecodeError error = {0};
	TypeName   *name = FeathubShapeTypeName(node->shape);
	FeathubConverter *type = FeathubConverterMake(name->typeOid, -1, &settings);
	Datum		datum;

	if (value->type == jbvNumeric)
	{
		type = FeathubConverterMake(NUMERICOID, -1, &settings);
		datum = NumericGetDatum(value->val.numeric);
	}
	else if (!FeathubConvertText(type, value->val.string.val, value->val.string.len, &datum,
								 &error))
		ereport(ERROR,
				(errcode(error.sqlerrcode),
				 errmsg("column \"%s\": %s", column, error.message)));
	FeathubAvroWriteValue(FeathubAvroWriterMake(node, type, column), datum, false, column, out);
}

/* Bytes: base64, but in the default of a schema each character is one. */
static void
write_bytes(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
			const char *column, StringInfo out)
{
	int			len = value->val.string.len;
	int			size = Max(pg_b64_dec_len(len), len) + 1;
	char	   *bytes = palloc(size);
	int			n = 0;

	if (is_default)
	{
		const unsigned char *p = (unsigned char *) pg_server_to_any(value->val.string.val, len,
																	PG_UTF8);
		const unsigned char *end = p + (p == (unsigned char *) value->val.string.val ? len :
										strlen((const char *) p));

		while (p < end)
		{
			int			width = pg_utf_mblen(p);

			if (width > 2 || p + width > end || (width == 2 && p[0] > 0xc3))
				refuse(node, column);
			bytes[n++] = width == 1 ? (char) p[0] : (char) ((p[0] & 3) << 6 | (p[1] & 0x3f));
			p += width;
		}
	}
	else
		n = pg_b64_decode(value->val.string.val, len, (void *) bytes, size);
	if (n < 0 || (node->type == AVRO_FIXED && n != node->size))
		refuse(node, column);
	if (node->type != AVRO_FIXED)
		FeathubAvroWriteLong(n, out);
	appendBinaryStringInfo(out, bytes, n);
}

static void
write_array(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
			const char *column, StringInfo out)
{
	JsonbContainer *container = value->val.binary.data;
	int			n = JsonContainerSize(container);

	if (n > 0)
		FeathubAvroWriteLong(n, out);
	for (int i = 0; i < n; i++)
		write_json(node->children[0], getIthJsonbValueFromContainer(container, i), is_default,
				   column, out);
	FeathubAvroWriteLong(0, out);
}

static void
write_string(const char *text, int len, StringInfo out)
{
	char	   *utf8 = pg_server_to_any(text, len, PG_UTF8);

	if (utf8 != text)
		len = (int) strlen(utf8);
	FeathubAvroWriteLong(len, out);
	appendBinaryStringInfo(out, utf8, len);
}

static void
write_map(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
		  const char *column, StringInfo out)
{
	JsonbIterator *it = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	part;

	if (JsonContainerSize(value->val.binary.data) > 0)
		FeathubAvroWriteLong(JsonContainerSize(value->val.binary.data), out);
	while ((token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			write_string(part.val.string.val, part.val.string.len, out);
		else if (token == WJB_VALUE)
			write_json(node->children[0], &part, is_default, column, out);
	}
	FeathubAvroWriteLong(0, out);
}

static void
write_record(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
			 const char *column, StringInfo out)
{
	JsonbValue	null = {.type = jbvNull};

	for (int i = 0; i < node->nchildren; i++)
	{
		const JsonbValue *member = getKeyJsonValueFromContainer(value->val.binary.data,
																node->fields[i],
																strlen(node->fields[i]), NULL);

		if (member == NULL && node->defaults[i])
			write_json(node->children[i], node->defaults[i], true, column, out);
		else
			write_json(node->children[i], member ? member : &null, is_default, column, out);
	}
}

static void
write_union(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
			const char *column, StringInfo out)
{
	for (int i = 0; i < node->nchildren; i++)
	{
		if (!fits(node->children[i], value))
			continue;
		FeathubAvroWriteLong(i, out);
		write_json(node->children[i], value, is_default, column, out);
		return;
	}
	refuse(node, column);
}

static void
write_json(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
		   const char *column, StringInfo out)
{
	int64		integer;

	check_stack_depth();
	if (node->type == AVRO_UNION)
	{
		write_union(node, value, is_default, column, out);
		return;
	}
	if (!fits(node, value))
		refuse(node, column);
	switch (node->type)
	{
		case AVRO_NULL:
			break;
		case AVRO_BOOLEAN:
			appendStringInfoChar(out, value->val.boolean ? 1 : 0);
			break;
		case AVRO_INT:
		case AVRO_LONG:
			if (as_integer(value, &integer))
				FeathubAvroWriteLong(integer, out);
			else
				write_typed(node, value, column, out);
			break;
		case AVRO_STRING:
			write_string(value->val.string.val, value->val.string.len, out);
			break;
		case AVRO_ENUM:
			for (int i = 0; i < node->nsymbols; i++)
			{
				if (is_text_of(value, node->symbols[i]))
				{
					FeathubAvroWriteLong(i, out);
					return;
				}
			}
			break;
		case AVRO_BYTES:
		case AVRO_FIXED:
			if (value->type == jbvString && (is_default || node->shape->kind == FEATHUB_SHAPE_BYTES))
				write_bytes(node, value, is_default, column, out);
			else
				write_typed(node, value, column, out);
			break;
		case AVRO_ARRAY:
			write_array(node, value, is_default, column, out);
			break;
		case AVRO_MAP:
			write_map(node, value, is_default, column, out);
			break;
		case AVRO_RECORD:
			write_record(node, value, is_default, column, out);
			break;
		default:
			write_typed(node, value, column, out);
			break;
	}
}

void
FeathubAvroWriteJson(const FeathubAvroNode *node, const JsonbValue *value, bool is_default,
					 const char *column, StringInfo out)
{
	write_json(node, value, is_default, column, out);
}
