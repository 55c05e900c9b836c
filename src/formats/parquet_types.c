/*
 * parquet_types.c
 *		Columns of the Arrow C data interface as Datums: Arrow's formats, and
 *		the general way for one value.
 *
 * parquet_fast.c has loops over whole columns for the usual pairs of types.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "formats/format_private.h"
#include "formats/parquet_fast.h"
#include "formats/parquet_types.h"

/* The letters after "t", "v" and "+" tell more than the first one. */
static void
unsupported(const char *name, const char *format)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("type of field \"%s\" is not supported", name),
			 errdetail("Its Arrow format is \"%s\".", format)));
}

/* Text from a file, UTF-8, in the server's encoding. */
static char *
server_name(const char *name)
{
	int			len = name ? strlen(name) : 0;

	if (len == 0)
		return "";
	if (pg_encoding_verifymbstr(PG_UTF8, name, len) != len)
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("name of a field is not valid UTF-8")));
	return pstrdup(pg_any_to_server(name, len, PG_UTF8));
}

/* Does the field's metadata name that extension type? */
static bool
is_extension(const struct ArrowSchema *schema, const char *extension)
{
	static const char key[] = "ARROW:extension:name";
	const char *p = schema->metadata;
	int32		n;

	if (p == NULL)
		return false;
	memcpy(&n, p, sizeof(n));
	p += sizeof(n);
	for (int i = 0; i < n; i++)
	{
		int32		key_len;
		int32		value_len;
		const char *name;

		memcpy(&key_len, p, sizeof(key_len));
		name = p + sizeof(key_len);
		p = name + key_len;
		memcpy(&value_len, p, sizeof(value_len));
		p += sizeof(value_len);
		if (key_len == sizeof(key) - 1 && memcmp(name, key, key_len) == 0)
			return value_len == strlen(extension) && memcmp(p, extension, value_len) == 0;
		p += value_len;
	}
	return false;
}

static void
set_int(FeathubArrowNode *node, char format)
{
	static const char formats[] = "cCsSiIlL";
	int			which = strchr(formats, format) - formats;

	node->shape->kind = FEATHUB_SHAPE_INT;
	node->shape->bits = 8 << (which / 2);
	node->shape->is_unsigned = which % 2 == 1;
	node->width = 1 << (which / 2);
}

/* s, m, u, n: how many microseconds a unit is, or how many are one. */
static bool
set_unit(FeathubArrowNode *node, char unit)
{
	node->multiply = unit == 's' ? USECS_PER_SEC : unit == 'm' ? 1000 : 1;
	node->divide = unit == 'n' ? 1000 : 1;
	return unit == 's' || unit == 'm' || unit == 'u' || unit == 'n';
}

/* Formats that begin with t: times. */
static bool
set_time(FeathubArrowNode *node, const char *format)
{
	FeathubShape *shape = node->shape;

	node->width = 8;
	node->multiply = node->divide = 1;
	switch (format[1])
	{
		case 'd':
			shape->kind = FEATHUB_SHAPE_DATE;
			if (format[2] == 'D')
				node->width = 4;
			else
				node->divide = SECS_PER_DAY * INT64CONST(1000);
			return format[2] == 'D' || format[2] == 'm';
		case 't':
			shape->kind = FEATHUB_SHAPE_TIME;
			if (format[2] == 's' || format[2] == 'm')
				node->width = 4;
			return set_unit(node, format[2]);
		case 's':
			shape->kind = format[3] == ':' && format[4] != '\0' ? FEATHUB_SHAPE_INSTANT :
				FEATHUB_SHAPE_TIMESTAMP;
			return set_unit(node, format[2]);
		case 'D':
			shape->kind = FEATHUB_SHAPE_INTERVAL;
			node->code = ARROW_DURATION;
			return set_unit(node, format[2]);
		case 'i':
			shape->kind = FEATHUB_SHAPE_INTERVAL;
			node->code = format[2] == 'M' ? ARROW_MONTHS : format[2] == 'D' ? ARROW_DAY_TIME :
				ARROW_MONTH_DAY_NANO;
			node->width = format[2] == 'M' ? 4 : format[2] == 'D' ? 8 : 16;
			return format[2] == 'M' || format[2] == 'D' || format[2] == 'n';
		default:
			return false;
	}
}

/* Formats that begin with +: types with children. */
static bool
set_nested(FeathubArrowNode *node, const char *format)
{
	FeathubShape *shape = node->shape;

	switch (format[1])
	{
		case 'l':
			node->code = ARROW_LIST;
			shape->kind = FEATHUB_SHAPE_LIST;
			return node->nchildren == 1;
		case 'L':
			node->code = ARROW_LARGE_LIST;
			shape->kind = FEATHUB_SHAPE_LIST;
			return node->nchildren == 1;
		case 'w':
			node->code = ARROW_FIXED_LIST;
			node->width = atoi(format + 3);
			shape->kind = FEATHUB_SHAPE_LIST;
			return node->nchildren == 1 && node->width >= 0;
		case 'v':
			node->code = format[2] == 'l' ? ARROW_LIST_VIEW : ARROW_LARGE_LIST_VIEW;
			shape->kind = FEATHUB_SHAPE_LIST;
			return node->nchildren == 1;
		case 's':
			node->code = ARROW_STRUCT;
			shape->kind = FEATHUB_SHAPE_STRUCT;
			return true;
		case 'm':
			node->code = ARROW_MAP;
			shape->kind = FEATHUB_SHAPE_MAP;
			return node->nchildren == 1 && node->children[0]->nchildren == 2;
		default:
			return false;
	}
}

static bool
set_format(FeathubArrowNode *node, const char *format, bool is_interval)
{
	FeathubShape *shape = node->shape;
	int			bits = 128;

	node->code = format[0];
	switch (format[0])
	{
		case 'n':
			shape->kind = FEATHUB_SHAPE_NULL;
			return true;
		case 'b':
			shape->kind = FEATHUB_SHAPE_BOOL;
			return true;
		case 'c':
		case 'C':
		case 's':
		case 'S':
		case 'i':
		case 'I':
		case 'l':
		case 'L':
			set_int(node, format[0]);
			return true;
		case 'e':
		case 'f':
		case 'g':
			shape->kind = FEATHUB_SHAPE_FLOAT;
			node->width = format[0] == 'e' ? 2 : format[0] == 'f' ? 4 : 8;
			shape->bits = node->width * 8;
			return true;
		case 'u':
		case 'U':
			shape->kind = FEATHUB_SHAPE_TEXT;
			return true;
		case 'z':
		case 'Z':
			shape->kind = FEATHUB_SHAPE_BYTES;
			return true;
		case 'v':
			node->code = ARROW_VIEW;
			shape->kind = format[1] == 'u' ? FEATHUB_SHAPE_TEXT : FEATHUB_SHAPE_BYTES;
			return format[1] == 'u' || format[1] == 'z';
		case 'w':
			shape->kind = FEATHUB_SHAPE_BYTES;
			node->width = atoi(format + 2);
			if (is_interval && node->width == 12)
			{
				shape->kind = FEATHUB_SHAPE_INTERVAL;
				node->code = ARROW_PARQUET_INTERVAL;
			}
			return node->width >= 0;
		case 'd':
			shape->kind = FEATHUB_SHAPE_DECIMAL;
			if (sscanf(format, "d:%d,%d,%d", &shape->precision, &shape->scale, &bits) < 2)
				return false;
			node->width = bits / 8;
			return bits == 32 || bits == 64 || bits == 128 || bits == 256;
		case 't':
			return set_time(node, format);
		case '+':
			return set_nested(node, format);
		default:
			return false;
	}
}

FeathubArrowNode *
FeathubArrowNodeMake(const struct ArrowSchema *schema, bool is_interval)
{
	FeathubArrowNode *node = palloc0(sizeof(FeathubArrowNode));
	FeathubShape *shape = FeathubShapeMake(FEATHUB_SHAPE_NULL);
	const FeathubArrowNode *source = node;

	check_stack_depth();
	node->shape = shape;
	node->nchildren = (int) schema->n_children;
	node->children = palloc(sizeof(FeathubArrowNode *) * Max(node->nchildren, 1));
	for (int i = 0; i < node->nchildren; i++)
		node->children[i] = FeathubArrowNodeMake(schema->children[i], false);
	if (!set_format(node, schema->format, is_interval))
		unsupported(schema->name ? schema->name : "", schema->format);

	/* the shape is the values', not the index's */
	if (schema->dictionary != NULL)
	{
		node->dictionary = FeathubArrowNodeMake(schema->dictionary, false);
		node->shape = shape = node->dictionary->shape;
	}
	if (source->code == ARROW_MAP)
		source = node->children[0];
	shape->nchildren = source->nchildren;
	shape->children = palloc(sizeof(FeathubShape *) * Max(source->nchildren, 1));
	for (int i = 0; i < source->nchildren; i++)
		shape->children[i] = source->children[i]->shape;
	shape->name = server_name(schema->name);

	if (shape->kind == FEATHUB_SHAPE_TEXT && is_extension(schema, "arrow.json"))
		shape->kind = FEATHUB_SHAPE_JSON;
	if (shape->kind == FEATHUB_SHAPE_BYTES && node->width == 16 &&
		is_extension(schema, "arrow.uuid"))
		shape->kind = FEATHUB_SHAPE_UUID;
	return node;
}

/* Find the child for each attribute of a composite type. */
static void
bind_struct(FeathubArrowNode *node, FeathubConverter *type)
{
	node->fields = palloc(sizeof(int) * Max(type->tupdesc->natts, 1));
	for (int i = 0; i < type->tupdesc->natts; i++)
	{
		node->fields[i] = -1;
		for (int j = 0; type->attributes[i] != NULL && j < node->nchildren; j++)
		{
			if (strcmp(node->children[j]->shape->name,
					   NameStr(TupleDescAttr(type->tupdesc, i)->attname)) != 0)
				continue;
			node->fields[i] = j;
			FeathubArrowNodeBind(node->children[j], type->attributes[i]);
			break;
		}
	}
}

void
FeathubArrowNodeBind(FeathubArrowNode *node, FeathubConverter *type)
{
	FeathubArrowNode *child;

	node->type = type;
	if (node->dictionary)
		FeathubArrowNodeBind(node->dictionary, type);
	if (type->kind == FEATHUB_CONVERT_ARRAY && node->shape->kind == FEATHUB_SHAPE_LIST)
	{
		child = node->children[0];
		while (child->shape->kind == FEATHUB_SHAPE_LIST)
			child = child->children[0];
		FeathubArrowNodeBind(child, type->element);
	}
	else if (type->kind == FEATHUB_CONVERT_COMPOSITE &&
			 node->shape->kind == FEATHUB_SHAPE_STRUCT)
		bind_struct(node, type);
	else if (!type->is_domain && node->dictionary == NULL)
		node->fast = FeathubArrowFastFor(node, type);
}

bool
FeathubArrowKeepsOrder(const FeathubArrowNode *node)
{
	FeathubConvertKind kind = node->type->kind;

	switch (node->shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
		case FEATHUB_SHAPE_DATE:
		case FEATHUB_SHAPE_TIME:
		case FEATHUB_SHAPE_INT:
		case FEATHUB_SHAPE_FLOAT:
		case FEATHUB_SHAPE_DECIMAL:
			/* but not their text */
			return kind != FEATHUB_CONVERT_TEXT && kind != FEATHUB_CONVERT_VARCHAR &&
				kind != FEATHUB_CONVERT_BPCHAR && kind != FEATHUB_CONVERT_JSON &&
				kind != FEATHUB_CONVERT_JSONB;
		case FEATHUB_SHAPE_UUID:
			return kind == FEATHUB_CONVERT_UUID || kind == FEATHUB_CONVERT_BYTEA;
		case FEATHUB_SHAPE_TIMESTAMP:
			/* clocks go back in zones with summer time */
			return kind == FEATHUB_CONVERT_TIMESTAMP ||
				(kind == FEATHUB_CONVERT_TIMESTAMPTZ && node->type->settings->zone == NULL);
		case FEATHUB_SHAPE_INSTANT:
			return kind == FEATHUB_CONVERT_TIMESTAMPTZ ||
				(kind == FEATHUB_CONVERT_TIMESTAMP && node->type->settings->zone == NULL);
		case FEATHUB_SHAPE_TEXT:
		case FEATHUB_SHAPE_ENUM:
			return (kind == FEATHUB_CONVERT_TEXT || kind == FEATHUB_CONVERT_VARCHAR) &&
				GetDatabaseEncoding() == PG_UTF8;
		case FEATHUB_SHAPE_BYTES:
			return kind == FEATHUB_CONVERT_BYTEA;
		default:
			return false;
	}
}

/* IEEE half precision. */
static double
half_to_double(uint16 half)
{
	int			exponent = (half >> 10) & 0x1f;
	int			fraction = half & 0x3ff;
	double		value;

	if (exponent == 0x1f)
		value = fraction ? NAN : INFINITY;
	else if (exponent == 0)
		value = ldexp(fraction, -24);
	else
		value = ldexp(fraction | 0x400, exponent - 25);
	return half & 0x8000 ? -value : value;
}

static int64
integer_at(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i)
{
	const void *data = array->buffers[1];
	int64		at = array->offset + i;
	bool		is_unsigned = node->code >= 'A' && node->code <= 'Z' && node->code != ARROW_DURATION;

	switch (node->width)
	{
		case 1:
			return is_unsigned ? ((const uint8 *) data)[at] : ((const int8 *) data)[at];
		case 2:
			return is_unsigned ? ((const uint16 *) data)[at] : ((const int16 *) data)[at];
		case 4:
			return is_unsigned ? (int64) ((const uint32 *) data)[at] :
				(int64) ((const int32 *) data)[at];
		default:
			return ((const int64 *) data)[at];
	}
}

/* In microseconds, or days: rounded down. */
static bool
scaled_at(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i, int64 *result,
		  FeathubDecodeError *error)
{
	int64		value = integer_at(node, array, i);

	if (pg_mul_s64_overflow(value, node->multiply, result))
		return FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
								 "date or time out of range");
	if (node->divide > 1)
	{
		*result = value / node->divide;
		if (value < 0 && *result * node->divide != value)
			(*result)--;
	}
	return true;
}

static bool
interval_at(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
			Interval *interval, FeathubDecodeError *error)
{
	const char *p = array->buffers[1];
	int32		parts[4];
	int64		nanos;

	memset(interval, 0, sizeof(Interval));
	if (node->code == ARROW_DURATION)
		return scaled_at(node, array, i, &interval->time, error);
	p += (array->offset + i) * node->width;
	memcpy(parts, p, node->width);
	switch (node->code)
	{
		case ARROW_MONTHS:
			interval->month = parts[0];
			break;
		case ARROW_DAY_TIME:
			interval->day = parts[0];
			interval->time = parts[1] * INT64CONST(1000);
			break;
		case ARROW_MONTH_DAY_NANO:
			interval->month = parts[0];
			interval->day = parts[1];
			memcpy(&nanos, p + 8, sizeof(nanos));
			interval->time = nanos / 1000;
			break;
		default:				/* parquet's own: unsigned months, days, milliseconds */
			if (parts[0] < 0 || parts[1] < 0)
				return FeathubDecodeFail(error, ERRCODE_INTERVAL_FIELD_OVERFLOW,
										 "interval out of range");
			interval->month = parts[0];
			interval->day = parts[1];
			interval->time = (uint32) parts[2] * INT64CONST(1000);
			break;
	}
	return true;
}

/* A string or some bytes. */
static void
bytes_at(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
		 FeathubScalar *scalar)
{
	int64		at = array->offset + i;

	switch (node->code)
	{
		case 'w':
			scalar->u.bytes.data = (const char *) array->buffers[1] + at * node->width;
			scalar->u.bytes.len = node->width;
			break;
		case 'U':
		case 'Z':
			{
				const int64 *offsets = array->buffers[1];

				scalar->u.bytes.data = (const char *) array->buffers[2] + offsets[at];
				scalar->u.bytes.len = offsets[at + 1] - offsets[at];
				break;
			}
		case ARROW_VIEW:
			{
				const char *view = (const char *) array->buffers[1] + at * 16;
				int32		len;
				int32		where[2];	/* buffer, offset */

				memcpy(&len, view, sizeof(len));
				scalar->u.bytes.len = len;
				scalar->u.bytes.data = view + 4;
				if (len > 12)
				{
					memcpy(where, view + 8, sizeof(where));
					scalar->u.bytes.data = (const char *) array->buffers[2 + where[0]] + where[1];
				}
				break;
			}
		default:
			{
				const int32 *offsets = array->buffers[1];

				scalar->u.bytes.data = (const char *) array->buffers[2] + offsets[at];
				scalar->u.bytes.len = offsets[at + 1] - offsets[at];
				break;
			}
	}
	/* an array of empty strings has no buffer */
	if (scalar->u.bytes.len == 0)
		scalar->u.bytes.data = "";
}

/* One value, not null, of a node without children. */
static bool
scalar_at(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
		  FeathubScalar *scalar, FeathubDecodeError *error)
{
	int64		at = array->offset + i;
	const void *data = array->buffers[1];

	switch (node->shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			scalar->u.boolean = (((const uint8 *) data)[at / 8] >> (at % 8)) & 1;
			return true;
		case FEATHUB_SHAPE_INT:
			scalar->u.integer = integer_at(node, array, i);
			return true;
		case FEATHUB_SHAPE_FLOAT:
			scalar->u.real = node->width == 2 ? half_to_double(((const uint16 *) data)[at]) :
				node->width == 4 ? ((const float *) data)[at] : ((const double *) data)[at];
			return true;
		case FEATHUB_SHAPE_DECIMAL:
			{
				unsigned char bytes[32];
				const unsigned char *p = (const unsigned char *) data + at * node->width;

				for (int k = 0; k < node->width; k++)
					bytes[node->width - 1 - k] = p[k];
				scalar->u.numeric = FeathubDecimalToNumeric(bytes, node->width,
															node->shape->scale);
				return true;
			}
		case FEATHUB_SHAPE_DATE:
		case FEATHUB_SHAPE_TIME:
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
			return scaled_at(node, array, i, &scalar->u.integer, error);
		case FEATHUB_SHAPE_INTERVAL:
			return interval_at(node, array, i, &scalar->u.interval, error);
		default:
			bytes_at(node, array, i, scalar);
			return true;
	}
}

static inline bool
is_null(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i)
{
	const uint8 *valid = array->n_buffers > 0 ? array->buffers[0] : NULL;
	int64		at = array->offset + i;

	if (node->shape->kind == FEATHUB_SHAPE_NULL)
		return true;
	return valid != NULL && ((valid[at / 8] >> (at % 8)) & 1) == 0;
}

/* Index in the dictionary, or an error if the file's is wrong. */
static int64
dictionary_index(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i)
{
	int64		index = integer_at(node, array, i);

	if (index < 0 || index >= array->dictionary->length)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("index of a dictionary is out of range")));
	return index;
}

/* Where the elements of a list are. */
static void
list_at(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
		int64 *begin, int64 *end)
{
	int64		at = array->offset + i;
	const void *data = array->buffers[array->n_buffers > 1 ? 1 : 0];

	switch (node->code)
	{
		case ARROW_FIXED_LIST:
			*begin = at * node->width;
			*end = *begin + node->width;
			break;
		case ARROW_LARGE_LIST:
			*begin = ((const int64 *) data)[at];
			*end = ((const int64 *) data)[at + 1];
			break;
		case ARROW_LIST_VIEW:
			*begin = ((const int32 *) data)[at];
			*end = *begin + ((const int32 *) array->buffers[2])[at];
			break;
		case ARROW_LARGE_LIST_VIEW:
			*begin = ((const int64 *) data)[at];
			*end = *begin + ((const int64 *) array->buffers[2])[at];
			break;
		default:				/* lists and maps */
			*begin = ((const int32 *) data)[at];
			*end = ((const int32 *) data)[at + 1];
			break;
	}
}

static bool push_value(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
					   FeathubConverter *type, JsonbParseState **state,
					   JsonbIteratorToken token, JsonbValue **result,
					   FeathubDecodeError *error);

/* The members of an object: of a struct, or of a map. */
static bool
push_object(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
			FeathubConverter *type, JsonbParseState **state, FeathubDecodeError *error)
{
	JsonbValue	key;
	JsonbValue *ignored;

	if (node->code == ARROW_STRUCT)
	{
		for (int k = 0; k < node->nchildren; k++)
		{
			key.type = jbvString;
			key.val.string.val = unconstify(char *, node->children[k]->shape->name);
			key.val.string.len = strlen(key.val.string.val);
			pushJsonbValue(state, WJB_KEY, &key);
			if (!push_value(node->children[k], array->children[k], array->offset + i, type,
							state, WJB_VALUE, &ignored, error))
				return false;
		}
		return true;
	}
	else
	{
		const FeathubArrowNode *entries = node->children[0];
		const struct ArrowArray *pairs = array->children[0];
		FeathubConvertSettings settings = *type->settings;
		FeathubConverter text_type = {
			.kind = FEATHUB_CONVERT_TEXT, .typid = TEXTOID, .base = TEXTOID, .typmod = -1,
			.settings = &settings
		};
		int64		begin;
		int64		end;

		list_at(node, array, i, &begin, &end);
		for (int64 k = begin; k < end; k++)
		{
			const FeathubArrowNode *key_node = entries->children[0];
			const struct ArrowArray *keys = pairs->children[0];
			int64		at = pairs->offset + k;
			FeathubScalar scalar;
			Datum		datum;

			if (is_null(key_node, keys, at) || key_node->shape->nchildren > 0)
				return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
										 "key of a map cannot be a key of a JSON object");
			if (key_node->dictionary)
			{
				at = dictionary_index(key_node, keys, at);
				keys = keys->dictionary;
				key_node = key_node->dictionary;
			}
			if (!scalar_at(key_node, keys, at, &scalar, error) ||
				!FeathubScalarConvert(key_node->shape, &scalar, &text_type, &datum, error))
				return false;
			key.type = jbvString;
			key.val.string.val = VARDATA_ANY(DatumGetPointer(datum));
			key.val.string.len = VARSIZE_ANY_EXHDR(DatumGetPointer(datum));
			pushJsonbValue(state, WJB_KEY, &key);
			if (!push_value(entries->children[1], pairs->children[1], pairs->offset + k, type,
							state, WJB_VALUE, &ignored, error))
				return false;
		}
		return true;
	}
}

static bool
push_value(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
		   FeathubConverter *type, JsonbParseState **state, JsonbIteratorToken token,
		   JsonbValue **result, FeathubDecodeError *error)
{
	JsonbValue	value;

	check_stack_depth();
	if (is_null(node, array, i))
	{
		value.type = jbvNull;
		*result = pushJsonbValue(state, token, &value);
		return true;
	}
	if (node->dictionary)
		return push_value(node->dictionary, array->dictionary,
						  dictionary_index(node, array, i), type, state, token, result, error);
	if (node->shape->kind == FEATHUB_SHAPE_LIST)
	{
		int64		begin;
		int64		end;

		list_at(node, array, i, &begin, &end);
		pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		for (int64 k = begin; k < end; k++)
		{
			if (!push_value(node->children[0], array->children[0], k, type, state, WJB_ELEM,
							result, error))
				return false;
		}
		*result = pushJsonbValue(state, WJB_END_ARRAY, NULL);
		return true;
	}
	if (node->shape->kind == FEATHUB_SHAPE_STRUCT || node->shape->kind == FEATHUB_SHAPE_MAP)
	{
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		if (!push_object(node, array, i, type, state, error))
			return false;
		*result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
		return true;
	}
	else
	{
		FeathubScalar scalar;

		if (!scalar_at(node, array, i, &scalar, error) ||
			!FeathubScalarJsonb(node->shape, &scalar, type, &value, error))
			return false;
		*result = pushJsonbValue(state, token, &value);
		return true;
	}
}

/* The elements of an array of several dimensions. */
typedef struct ArrayBuild
{
	FeathubConverter *type;
	Datum	   *values;
	bool	   *nulls;
	int64		n;
	int64		allocated;
	int			ndims;
	int			dims[MAXDIM];	/* -1: not known yet */
} ArrayBuild;

static bool
gather(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i, int level,
	   ArrayBuild *build, FeathubDecodeError *error)
{
	const FeathubArrowNode *child = node->children[0];
	int64		begin;
	int64		end;

	if (is_null(node, array, i))
		return FeathubDecodeFail(error, ERRCODE_NULL_VALUE_NOT_ALLOWED,
								 "null in place of a list inside a list");
	list_at(node, array, i, &begin, &end);
	if (build->dims[level] < 0)
		build->dims[level] = (int) (end - begin);
	else if (build->dims[level] != end - begin)
		return FeathubDecodeFail(error, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
								 "lists inside a list differ in length");
	if (level + 1 < build->ndims)
	{
		for (int64 k = begin; k < end; k++)
		{
			if (!gather(child, array->children[0], k, level + 1, build, error))
				return false;
		}
		return true;
	}
	if (build->n + (end - begin) > MaxArraySize)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "list has too many elements");
	if (build->n + (end - begin) > build->allocated)
	{
		build->allocated = (build->n + (end - begin)) * 2;
		build->values = repalloc_huge(build->values, sizeof(Datum) * build->allocated);
		build->nulls = repalloc_huge(build->nulls, build->allocated);
	}
	if (!FeathubArrowConvert(child, array->children[0], begin, end - begin,
							 build->values + build->n, build->nulls + build->n, error))
		return false;
	build->n += end - begin;
	return true;
}

static bool
convert_list(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
			 ArrayBuild *build, Datum *result, FeathubDecodeError *error)
{
	FeathubConverter *element = node->type->element;
	int			lower[MAXDIM];

	build->n = 0;
	for (int k = 0; k < MAXDIM; k++)
	{
		build->dims[k] = -1;
		lower[k] = 1;
	}
	if (!gather(node, array, i, 0, build, error))
		return false;
	*result = build->n == 0 ? PointerGetDatum(construct_empty_array(element->typid)) :
		PointerGetDatum(construct_md_array(build->values, build->nulls, build->ndims, build->dims,
										   lower, element->typid, node->type->elmlen,
										   node->type->elmbyval, node->type->elmalign));
	return true;
}

static bool
convert_lists(const FeathubArrowNode *node, const struct ArrowArray *array, int64 from, int64 n,
			  Datum *values, const bool *nulls, FeathubDecodeError *error)
{
	ArrayBuild	build = {.type = node->type, .allocated = 16};

	for (const FeathubArrowNode *p = node; p->shape->kind == FEATHUB_SHAPE_LIST;
		 p = p->children[0])
		build.ndims++;
	if (build.ndims > MAXDIM)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "number of array dimensions exceeds the maximum allowed (%d)",
								 MAXDIM);
	build.values = palloc(sizeof(Datum) * build.allocated);
	build.nulls = palloc(build.allocated);
	for (int64 i = 0; i < n; i++)
	{
		if (!nulls[i] && !convert_list(node, array, from + i, &build, &values[i], error))
			return false;
	}
	return true;
}

static bool
convert_structs(const FeathubArrowNode *node, const struct ArrowArray *array, int64 from, int64 n,
				Datum *values, const bool *nulls, FeathubDecodeError *error)
{
	TupleDesc	tupdesc = node->type->tupdesc;
	int			natts = tupdesc->natts;
	Datum	   *fields = palloc0(sizeof(Datum) * Max(natts, 1));
	bool	   *isnull = palloc(Max(natts, 1));

	/* one after the other: fields of a null struct have no meaning */
	for (int64 i = 0; i < n; i++)
	{
		HeapTuple	tuple;

		if (nulls[i])
			continue;
		for (int k = 0; k < natts; k++)
		{
			int			child = node->fields[k];

			isnull[k] = true;
			if (node->type->attributes[k] == NULL)
				continue;
			if (child < 0 ? !FeathubConvertNull(node->type->attributes[k], error) :
				!FeathubArrowConvert(node->children[child], array->children[child],
									 array->offset + from + i, 1, &fields[k], &isnull[k], error))
			{
				error->message = psprintf("attribute \"%s\": %s",
										  NameStr(TupleDescAttr(tupdesc, k)->attname),
										  error->message);
				return false;
			}
		}
		tuple = heap_form_tuple(tupdesc, fields, isnull);
		values[i] = heap_copy_tuple_as_datum(tuple, tupdesc);
		heap_freetuple(tuple);
	}
	return true;
}

/* Convert the dictionary once if that is less work than each value. */
static bool
convert_dictionary(const FeathubArrowNode *node, const struct ArrowArray *array, int64 from,
				   int64 n, Datum *values, bool *nulls, FeathubDecodeError *error)
{
	const struct ArrowArray *dictionary = array->dictionary;
	Datum	   *entries;
	bool	   *entry_nulls;

	if (dictionary->length > n)
	{
		for (int64 i = 0; i < n; i++)
		{
			if (!nulls[i] &&
				!FeathubArrowConvert(node->dictionary, dictionary,
									 dictionary_index(node, array, from + i), 1,
									 &values[i], &nulls[i], error))
				return false;
		}
		return true;
	}

	entries = palloc(sizeof(Datum) * Max(dictionary->length, 1));
	entry_nulls = palloc(Max(dictionary->length, 1));
	if (!FeathubArrowConvert(node->dictionary, dictionary, 0, dictionary->length,
							 entries, entry_nulls, error))
		return false;
	for (int64 i = 0; i < n; i++)
	{
		int64		index;

		if (nulls[i])
			continue;
		index = dictionary_index(node, array, from + i);
		values[i] = entries[index];
		nulls[i] = entry_nulls[index];
	}
	return true;
}

static bool
convert_general(const FeathubArrowNode *node, const struct ArrowArray *array, int64 i,
				Datum *value, FeathubDecodeError *error)
{
	FeathubScalar scalar;

	if (node->shape->nchildren > 0 || node->shape->kind == FEATHUB_SHAPE_STRUCT)
	{
		JsonbParseState *state = NULL;
		JsonbValue *jsonb = NULL;

		return push_value(node, array, i, node->type, &state, WJB_ELEM, &jsonb, error) &&
			FeathubJsonbConvert(jsonb, node->type, value, error);
	}
	return scalar_at(node, array, i, &scalar, error) &&
		FeathubScalarConvert(node->shape, &scalar, node->type, value, error);
}

bool
FeathubArrowConvert(const FeathubArrowNode *node, const struct ArrowArray *array, int64 from,
					int64 n, Datum *values, bool *nulls, FeathubDecodeError *error)
{
	FeathubConverter *type = node->type;
	bool		ok = true;

	if (n == 0)
		return true;
	if (node->shape->kind == FEATHUB_SHAPE_NULL)
		memset(nulls, true, n);
	else
		FeathubArrowNulls(array, from, n, nulls);

	if (node->dictionary)
		ok = convert_dictionary(node, array, from, n, values, nulls, error);
	else if (node->fast)
	{
		if (node->fast(node, array, from, n, values, nulls))
			return true;
		/* one of them needs a closer look, or is bad */
		for (int64 i = 0; ok && i < n; i++)
			ok = nulls[i] || convert_general(node, array, from + i, &values[i], error);
		return ok;
	}
	else if (type->kind == FEATHUB_CONVERT_ARRAY && node->shape->kind == FEATHUB_SHAPE_LIST)
		ok = convert_lists(node, array, from, n, values, nulls, error);
	else if (type->kind == FEATHUB_CONVERT_COMPOSITE &&
			 node->shape->kind == FEATHUB_SHAPE_STRUCT)
		ok = convert_structs(node, array, from, n, values, nulls, error);
	else
	{
		for (int64 i = 0; ok && i < n; i++)
			ok = nulls[i] ? FeathubConvertNull(type, error) :
				convert_general(node, array, from + i, &values[i], error);
		return ok;
	}

	for (int64 i = 0; ok && type->is_domain && i < n; i++)
		ok = FeathubConvertDomain(type, values[i], nulls[i], error);
	return ok;
}
