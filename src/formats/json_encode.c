/*
 * json_encode.c
 *		Format json: a row to one JSON object.
 *
 * Columns come in their order; a path with dots makes objects inside each
 * other.  What is written here reads back as the same value, except that the
 * lower bounds of arrays are lost and jsonb's null reads as NULL.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "common/base64.h"
#include "common/int.h"
#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "formats/format_private.h"
#include "formats/json_path.h"

/* How values of one type are written. */
typedef struct JsonWriter
{
	FeathubConverter *type;		/* its kind, element and attributes */
	FmgrInfo	output;
	struct JsonWriter *element; /* of an array */
	struct JsonWriter **attributes; /* of a composite type; NULL if dropped */
	char	  **names;			/* of the attributes: "name": with quotes */
} JsonWriter;

/* A field of the record: a column's value, or an object. */
typedef struct JsonOutField
{
	char	   *key;			/* UTF-8 */
	char	   *name;			/* "key": with quotes and colon */
	int			column;			/* attnum - 1, or -1: an object */
	JsonWriter *writer;
	List	   *fields;			/* JsonOutField *, of an object */
} JsonOutField;

typedef struct JsonEncoder
{
	FeathubEncoder base;
	JsonOutField root;
	bool		omit_nulls;
	bool		uses_output;	/* some type goes through its output function */
	MemoryContext scratch;
} JsonEncoder;

static void put_value(JsonWriter *writer, Datum value, StringInfo out);

/* A string with its quotes; s is UTF-8. */
static void
put_string(StringInfo out, const char *s, Size len)
{
	const char *end = s + len;

	appendStringInfoCharMacro(out, '"');
	while (s < end)
	{
		const char *begin = s;

		while (s < end && (unsigned char) *s >= 0x20 && *s != '"' && *s != '\\')
			s++;
		appendBinaryStringInfo(out, begin, s - begin);
		if (s == end)
			break;
		switch (*s)
		{
			case '"':
				appendStringInfoString(out, "\\\"");
				break;
			case '\\':
				appendStringInfoString(out, "\\\\");
				break;
			case '\b':
				appendStringInfoString(out, "\\b");
				break;
			case '\f':
				appendStringInfoString(out, "\\f");
				break;
			case '\n':
				appendStringInfoString(out, "\\n");
				break;
			case '\r':
				appendStringInfoString(out, "\\r");
				break;
			case '\t':
				appendStringInfoString(out, "\\t");
				break;
			default:
				appendStringInfo(out, "\\u%04x", (unsigned char) *s);
				break;
		}
		s++;
	}
	appendStringInfoCharMacro(out, '"');
}

/* Text of the server's encoding as UTF-8. */
static const char *
to_utf8(const char *s, Size *len)
{
	char	   *converted;

	if (GetDatabaseEncoding() == PG_UTF8)
		return s;
	converted = pg_server_to_any(s, (int) *len, PG_UTF8);
	if (converted != s)
		*len = strlen(converted);
	return converted;
}

static void
put_server_string(StringInfo out, const char *s, Size len)
{
	s = to_utf8(s, &len);
	put_string(out, s, len);
}

/* "name": for a field. */
static char *
quoted_name(const char *key)
{
	StringInfoData name;

	initStringInfo(&name);
	put_string(&name, key, strlen(key));
	appendStringInfoChar(&name, ':');
	return name.data;
}

static JsonWriter *
make_writer(FeathubConverter *type, bool *uses_output)
{
	JsonWriter *writer = palloc0(sizeof(JsonWriter));
	Oid			output;
	bool		varlena;

	check_stack_depth();
	writer->type = type;
	getTypeOutputInfo(type->base, &output, &varlena);
	fmgr_info(output, &writer->output);
	if (type->kind == FEATHUB_CONVERT_OTHER)
		*uses_output = true;
	if (type->kind == FEATHUB_CONVERT_ARRAY)
		writer->element = make_writer(type->element, uses_output);
	if (type->kind == FEATHUB_CONVERT_COMPOSITE)
	{
		int			natts = type->tupdesc->natts;

		writer->attributes = palloc0(sizeof(JsonWriter *) * Max(natts, 1));
		writer->names = palloc0(sizeof(char *) * Max(natts, 1));
		for (int i = 0; i < natts; i++)
		{
			char	   *key = NameStr(TupleDescAttr(type->tupdesc, i)->attname);

			if (type->attributes[i] == NULL)
				continue;
			writer->attributes[i] = make_writer(type->attributes[i], uses_output);
			writer->names[i] = quoted_name(pg_server_to_any(key, strlen(key), PG_UTF8));
		}
	}
	return writer;
}

/* Put a column where its path says. */
static void
add_column(JsonOutField *root, const FeathubColumn *column, List *path, JsonWriter *writer)
{
	JsonOutField *parent = root;
	ListCell   *lc;

	foreach(lc, path)
	{
		FeathubJsonStep *step = lfirst(lc);
		bool		last = lnext(path, lc) == NULL;
		JsonOutField *field = NULL;
		ListCell   *lc2;

		if (step->key == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot write column \"%s\"", column->name),
					 errdetail("Its option \"path\" leads into an array.")));
		foreach(lc2, parent->fields)
		{
			if (strcmp(((JsonOutField *) lfirst(lc2))->key, step->key) == 0)
				field = lfirst(lc2);
		}
		if (field != NULL && (last || field->column >= 0))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("cannot write column \"%s\"", column->name),
					 errdetail("Its option \"path\" leads to or into the field of another column.")));
		if (field == NULL)
		{
			field = palloc0(sizeof(JsonOutField));
			field->key = step->key;
			field->name = quoted_name(step->key);
			field->column = last ? column->attnum - 1 : -1;
			field->writer = last ? writer : NULL;
			parent->fields = lappend(parent->fields, field);
		}
		parent = field;
	}
}

FeathubEncoder *
FeathubJsonBeginEncode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	JsonEncoder *encoder = palloc0(sizeof(JsonEncoder));

	encoder->root.column = -1;
	encoder->omit_nulls =
		((FeathubJsonOptions *) options)->null_fields == FEATHUB_JSON_NULLS_OMIT;
	encoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub json record",
											 ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < ncolumns; i++)
	{
		FeathubJsonOptions *column_options = FeathubFormatColumnOptions(&FeathubJsonFormat,
																		options, &columns[i]);
		FeathubConverter *type = FeathubConverterMake(columns[i].typid, columns[i].typmod,
													  FeathubJsonSettings(column_options,
																		  encoder->scratch));

		add_column(&encoder->root, &columns[i],
				   FeathubJsonColumnPath(&columns[i], column_options),
				   make_writer(type, &encoder->uses_output));
	}
	return &encoder->base;
}

/* JSON has no notation for these. */
static bool
put_not_finite(double value, StringInfo out)
{
	if (isnan(value))
		appendStringInfoString(out, "\"NaN\"");
	else if (isinf(value))
		appendStringInfoString(out, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else
		return false;
	return true;
}

static void
put_numeric(Datum value, StringInfo out)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));

	if (text[0] == 'N' || text[0] == 'I' || text[1] == 'I')
		put_string(out, text, strlen(text));
	else
		appendStringInfoString(out, text);
}

static void
put_bytea(JsonWriter *writer, Datum value, StringInfo out)
{
	bytea	   *bytes = DatumGetByteaPP(value);
	const char *data = VARDATA_ANY(bytes);
	int			len = VARSIZE_ANY_EXHDR(bytes);

	appendStringInfoCharMacro(out, '"');
	switch (writer->type->settings->bytea_encoding)
	{
		case FEATHUB_BYTEA_HEX:
			enlargeStringInfo(out, len <= MaxAllocSize / 2 ? len * 2 : (int) MaxAllocSize);
			out->len += hex_encode(data, len, out->data + out->len);
			out->data[out->len] = '\0';
			break;
		case FEATHUB_BYTEA_ESCAPE:
			for (int i = 0; i < len; i++)
			{
				unsigned char c = (unsigned char) data[i];

				if (c == '\\')
					appendStringInfoString(out, "\\\\\\\\");
				else if (c == '"')
					appendStringInfoString(out, "\\\"");
				else if (c < 0x20 || c > 0x7e)
					appendStringInfo(out, "\\\\%03o", c);
				else
					appendStringInfoCharMacro(out, c);
			}
			break;
		default:
			{
				int			size = pg_b64_enc_len(len);

				enlargeStringInfo(out, size);
				size = pg_b64_encode((const void *) data, len, out->data + out->len, size);
				Assert(size >= 0);
				out->len += size;
				out->data[out->len] = '\0';
				break;
			}
	}
	appendStringInfoCharMacro(out, '"');
}

/* A number of the unit, with the digits that microseconds need. */
static void
put_epoch(JsonWriter *writer, Timestamp time, StringInfo out)
{
	int64		micros;
	int			digits;
	int64		unit;
	int64		rest;

	/* the last thirty years of timestamp's range */
	if (pg_add_s64_overflow(time, (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY,
							&micros))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range for a number of microseconds since 1970")));
	switch (writer->type->settings->timestamp_format)
	{
		case FEATHUB_TIMESTAMP_EPOCH_SECONDS:
			unit = USECS_PER_SEC;
			digits = 6;
			break;
		case FEATHUB_TIMESTAMP_EPOCH_MILLIS:
			unit = 1000;
			digits = 3;
			break;
		case FEATHUB_TIMESTAMP_EPOCH_DAYS:
			if (micros % USECS_PER_DAY != 0)
				ereport(ERROR,
						(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						 errmsg("timestamp with a time of day cannot be written as a number of days since 1970")));
			appendStringInfo(out, INT64_FORMAT, micros / USECS_PER_DAY);
			return;
		default:
			appendStringInfo(out, INT64_FORMAT, micros);
			return;
	}
	if (micros < 0)
		appendStringInfoCharMacro(out, '-');
	rest = Abs(micros % unit);
	appendStringInfo(out, INT64_FORMAT, Abs(micros / unit));
	if (rest != 0)
		appendStringInfo(out, ".%0*d", digits, (int) rest);
}

static inline char *
two_digits(char *p, int value)
{
	*p++ = '0' + value / 10;
	*p++ = '0' + value % 10;
	return p;
}

/* ISO 8601 with microseconds; z is "Z" or "". */
static void
put_iso(Timestamp time, const char *z, StringInfo out)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		buffer[MAXDATELEN + 1];
	char	   *p = buffer;

	if (timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	if (tm.tm_year < 1 || tm.tm_year > 9999)
	{
		char	   *era;

		EncodeDateTime(&tm, fsec, false, 0, NULL, USE_XSD_DATES, buffer);
		era = strchr(buffer, ' ');
		appendStringInfo(out, "\"%.*s%s%s\"",
						 (int) (era ? era - buffer : strlen(buffer)), buffer, z, era ? era : "");
		return;
	}
	p = two_digits(p, tm.tm_year / 100);
	p = two_digits(p, tm.tm_year % 100);
	*p++ = '-';
	p = two_digits(p, tm.tm_mon);
	*p++ = '-';
	p = two_digits(p, tm.tm_mday);
	*p++ = 'T';
	p = two_digits(p, tm.tm_hour);
	*p++ = ':';
	p = two_digits(p, tm.tm_min);
	*p++ = ':';
	p = two_digits(p, tm.tm_sec);
	*p++ = '.';
	p = two_digits(p, fsec / 10000);
	p = two_digits(p, fsec / 100 % 100);
	p = two_digits(p, fsec % 100);
	*p = '\0';
	appendStringInfo(out, "\"%s%s\"", buffer, z);
}

static void
put_date(JsonWriter *writer, DateADT date, StringInfo out)
{
	struct pg_tm tm;
	char		buffer[MAXDATELEN + 1];

	if (DATE_NOT_FINITE(date))
		appendStringInfoString(out, DATE_IS_NOBEGIN(date) ? "\"-infinity\"" : "\"infinity\"");
	else if (writer->type->settings->timestamp_format != FEATHUB_TIMESTAMP_ISO8601)
	{
		if (date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("date out of range for timestamp")));
		put_epoch(writer, FeathubLocalToUtc(date * USECS_PER_DAY, writer->type->settings->zone), out);
	}
	else
	{
		j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
		EncodeDateOnly(&tm, USE_ISO_DATES, buffer);
		appendStringInfo(out, "\"%s\"", buffer);
	}
}

static void
put_timestamp(JsonWriter *writer, Timestamp time, StringInfo out)
{
	bool		zoned = writer->type->kind == FEATHUB_CONVERT_TIMESTAMPTZ;

	if (TIMESTAMP_NOT_FINITE(time))
		appendStringInfoString(out, TIMESTAMP_IS_NOBEGIN(time) ?
							   "\"-infinity\"" : "\"infinity\"");
	else if (writer->type->settings->timestamp_format == FEATHUB_TIMESTAMP_ISO8601)
		put_iso(time, zoned ? "Z" : "", out);
	else
		put_epoch(writer, zoned ? time : FeathubLocalToUtc(time, writer->type->settings->zone), out);
}

void
FeathubJsonTimeText(const FeathubConverter *type, Datum value, StringInfo out)
{
	JsonWriter	writer = {.type = unconstify(FeathubConverter *, type)};

	if (type->kind == FEATHUB_CONVERT_DATE)
		put_date(&writer, DatumGetDateADT(value), out);
	else
		put_timestamp(&writer, DatumGetTimestamp(value), out);
}

/* One dimension of an array; *index runs over all elements. */
static void
put_dimension(JsonWriter *writer, int ndims, const int *dims, Datum *values, bool *nulls,
			  int *index, StringInfo out)
{
	appendStringInfoCharMacro(out, '[');
	for (int i = 0; i < dims[0]; i++)
	{
		if (i > 0)
			appendStringInfoCharMacro(out, ',');
		if (ndims > 1)
			put_dimension(writer, ndims - 1, dims + 1, values, nulls, index, out);
		else
		{
			if (nulls[*index])
				appendStringInfoString(out, "null");
			else
				put_value(writer, values[*index], out);
			(*index)++;
		}
	}
	appendStringInfoCharMacro(out, ']');
}

static void
put_array(JsonWriter *writer, Datum value, StringInfo out)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			index = 0;

	if (ARR_NDIM(array) == 0)
	{
		appendStringInfoString(out, "[]");
		return;
	}
	deconstruct_array(array, ARR_ELEMTYPE(array), writer->type->elmlen,
					  writer->type->elmbyval, writer->type->elmalign, &values, &nulls, &n);
	put_dimension(writer->element, ARR_NDIM(array), ARR_DIMS(array), values, nulls, &index, out);
}

static void
put_composite(JsonWriter *writer, Datum value, StringInfo out)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	TupleDesc	tupdesc = writer->type->tupdesc;
	Datum	   *values = palloc(sizeof(Datum) * Max(tupdesc->natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(tupdesc->natts, 1));
	bool		first = true;

	heap_deform_tuple(&tuple, tupdesc, values, nulls);
	appendStringInfoCharMacro(out, '{');
	for (int i = 0; i < tupdesc->natts; i++)
	{
		if (writer->attributes[i] == NULL)
			continue;
		if (!first)
			appendStringInfoCharMacro(out, ',');
		first = false;
		appendStringInfoString(out, writer->names[i]);
		if (nulls[i])
			appendStringInfoString(out, "null");
		else
			put_value(writer->attributes[i], values[i], out);
	}
	appendStringInfoCharMacro(out, '}');
}

/* Runs in the scratch context. */
static void
put_value(JsonWriter *writer, Datum value, StringInfo out)
{
	char		buffer[64];
	const char *s;
	Size		len;

	switch (writer->type->kind)
	{
		case FEATHUB_CONVERT_BOOL:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case FEATHUB_CONVERT_INT2:
			appendBinaryStringInfo(out, buffer, pg_ltoa(DatumGetInt16(value), buffer));
			break;
		case FEATHUB_CONVERT_INT4:
			appendBinaryStringInfo(out, buffer, pg_ltoa(DatumGetInt32(value), buffer));
			break;
		case FEATHUB_CONVERT_INT8:
			appendBinaryStringInfo(out, buffer, pg_lltoa(DatumGetInt64(value), buffer));
			break;
		case FEATHUB_CONVERT_FLOAT4:
			if (!put_not_finite(DatumGetFloat4(value), out))
				appendBinaryStringInfo(out, buffer,
									   float_to_shortest_decimal_buf(DatumGetFloat4(value), buffer));
			break;
		case FEATHUB_CONVERT_FLOAT8:
			if (!put_not_finite(DatumGetFloat8(value), out))
				appendBinaryStringInfo(out, buffer,
									   double_to_shortest_decimal_buf(DatumGetFloat8(value), buffer));
			break;
		case FEATHUB_CONVERT_NUMERIC:
			put_numeric(value, out);
			break;
		case FEATHUB_CONVERT_TEXT:
		case FEATHUB_CONVERT_VARCHAR:
		case FEATHUB_CONVERT_BPCHAR:
			{
				text	   *t = DatumGetTextPP(value);

				put_server_string(out, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
				break;
			}
		case FEATHUB_CONVERT_BYTEA:
			put_bytea(writer, value, out);
			break;
		case FEATHUB_CONVERT_DATE:
			put_date(writer, DatumGetDateADT(value), out);
			break;
		case FEATHUB_CONVERT_TIMESTAMP:
		case FEATHUB_CONVERT_TIMESTAMPTZ:
			put_timestamp(writer, DatumGetTimestamp(value), out);
			break;
		case FEATHUB_CONVERT_JSON:
			{
				text	   *t = DatumGetTextPP(value);

				len = VARSIZE_ANY_EXHDR(t);
				s = to_utf8(VARDATA_ANY(t), &len);
				appendBinaryStringInfo(out, s, (int) len);
				break;
			}
		case FEATHUB_CONVERT_JSONB:
			{
				Jsonb	   *jsonb = DatumGetJsonbP(value);

				s = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
				len = strlen(s);
				s = to_utf8(s, &len);
				appendBinaryStringInfo(out, s, (int) len);
				break;
			}
		case FEATHUB_CONVERT_ARRAY:
			put_array(writer, value, out);
			break;
		case FEATHUB_CONVERT_COMPOSITE:
			put_composite(writer, value, out);
			break;
		default:
			s = OutputFunctionCall(&writer->output, value);
			put_server_string(out, s, strlen(s));
			break;
	}
}

/* The members of an object; false if none was written. */
static bool
put_fields(JsonEncoder *encoder, JsonOutField *object, Datum *values, bool *isnull,
		   StringInfo out)
{
	bool		first = true;
	ListCell   *lc;

	foreach(lc, object->fields)
	{
		JsonOutField *field = lfirst(lc);
		int			begin = out->len;

		if (field->column >= 0 && isnull[field->column] && encoder->omit_nulls)
			continue;
		if (!first)
			appendStringInfoCharMacro(out, ',');
		appendStringInfoString(out, field->name);
		if (field->column < 0)
		{
			appendStringInfoCharMacro(out, '{');
			if (!put_fields(encoder, field, values, isnull, out) && encoder->omit_nulls)
			{
				out->len = begin;
				out->data[begin] = '\0';
				continue;
			}
			appendStringInfoCharMacro(out, '}');
		}
		else if (isnull[field->column])
			appendStringInfoString(out, "null");
		else
			put_value(field->writer, values[field->column], out);
		first = false;
	}
	return !first;
}

static void
put_row(JsonEncoder *encoder, Datum *values, bool *isnull, StringInfo out)
{
	MemoryContext old = MemoryContextSwitchTo(encoder->scratch);

	appendStringInfoCharMacro(out, '{');
	(void) put_fields(encoder, &encoder->root, values, isnull, out);
	appendStringInfoCharMacro(out, '}');
	MemoryContextSwitchTo(old);
}

bool
FeathubJsonEncode(FeathubEncoder *base, Datum *values, bool *isnull, StringInfo out)
{
	JsonEncoder *encoder = (JsonEncoder *) base;

	MemoryContextReset(encoder->scratch);
	if (encoder->uses_output)
	{
		FeathubTextModes save;

		FeathubTextModesSet(&save, NULL);
		PG_TRY();
		{
			put_row(encoder, values, isnull, out);
		}
		PG_FINALLY();
		{
			FeathubTextModesRestore(&save);
		}
		PG_END_TRY();
	}
	else
		put_row(encoder, values, isnull, out);
	return true;
}
