/*
 * fuzz_targets.c
 *		What is fuzzed: decoders, converters and parsers of options.
 *
 * Where PostgreSQL has a function for the same thing, both must agree: the
 * fuzzer looks for differences, not only for crashes.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/filesystem/file_lines.h"
#include "connectors/kafka/kafka.h"
#include "formats/avro.h"
#include "formats/container.h"
#include "formats/convert.h"
#include "formats/format_private.h"
#include "formats/json_path.h"
#include "formats/json_scan.h"
#include "formats/json_value.h"
#include "fuzz.h"

/* The target's own, set by its init. */
static FeathubDecoder *decoder;
static FeathubEncoder *encoder;
static Datum *values;
static bool *nulls;
static FeathubConvertSettings settings;

static void
init_coders(Oid rowtype, const char *format, int noptions, char **options)
{
	FuzzColumns *columns = FuzzColumnsMake(rowtype, format, noptions, options);

	/* positional formats have a column for each field */
	if (strcmp(format, "raw") == 0)
		columns->ncolumns = 1;
	decoder = FeathubDecoderBegin(columns->format, columns->tupdesc, columns->ncolumns,
								  columns->columns, columns->options);
	if (columns->format->begin_encode)
		encoder = FeathubEncoderBegin(columns->format, columns->tupdesc, columns->ncolumns,
									  columns->columns, columns->options);
	values = palloc0(sizeof(Datum) * columns->tupdesc->natts);
	nulls = palloc(sizeof(bool) * columns->tupdesc->natts);
}

/* The row's text, with the columns that were not decoded NULL. */
static char *
row_text(void)
{
	static FmgrInfo record_out_info;

	if (record_out_info.fn_oid == InvalidOid)
		fmgr_info_cxt(F_RECORD_OUT, &record_out_info, TopMemoryContext);
	return OutputFunctionCall(&record_out_info,
							  heap_copy_tuple_as_datum(heap_form_tuple(decoder->tupdesc, values, nulls),
													   decoder->tupdesc));
}

/* Decode; what decodes must also encode, and decode again to the same row. */
static void
run_coders(const char *data, Size len)
{
	FeathubDecodeError error = {0};
	StringInfoData out;
	char	   *first;
	char	   *second;

	memset(nulls, true, decoder->tupdesc->natts);
	if (!FeathubDecode(decoder, data, len, values, nulls, &error))
	{
		if (error.message == NULL || error.sqlerrcode == 0)
			fuzz_fail("an error without message or code");
		return;
	}
	first = row_text();

	initStringInfo(&out);
	if (!FeathubEncode(encoder, values, nulls, &out))
		return;
	memset(nulls, true, decoder->tupdesc->natts);
	if (!FeathubDecode(decoder, out.data, out.len, values, nulls, &error))
		fuzz_fail("what was written does not read: %s: %s", error.message, out.data);
	second = row_text();
	if (strcmp(first, second) != 0)
		fuzz_fail("another row was read than written: %s: %s", first, second);
}

static void
json_init(Oid rowtype)
{
	init_coders(rowtype, "json", 0, NULL);
}

static void
json_epoch_init(Oid rowtype)
{
	char	   *options[] = {"timestamp_format=epoch_millis", "timezone=Europe/Berlin",
		"bytea_encoding=escape", "i4.path=q.b", "t.path=q.c.\"d e\""};

	init_coders(rowtype, "json", lengthof(options), options);
}

/* A changelog is only read; whatever it says, the decoder must have set it. */
static void
changelog_run(const char *data, Size len)
{
	FeathubDecodeError error = {0};

	memset(nulls, true, decoder->tupdesc->natts);
	if (FeathubDecode(decoder, data, len, values, nulls, &error))
		(void) row_text();
	else if (error.message == NULL || error.sqlerrcode == 0)
		fuzz_fail("an error without message or code");
}

static void
debezium_init(Oid rowtype)
{
	char	   *options[] = {"timestamp_format=epoch_days", "t.envelope=source.table"};

	init_coders(rowtype, "debezium-json", lengthof(options), options);
}

/* An image of the row in an envelope, whose schema has some of the columns. */
static void
debezium_avro_init(Oid rowtype)
{
	char	   *options[] = {
		"avro_schema={\"type\":\"record\",\"name\":\"e\",\"fields\":[{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"v\",\"fields\":["
		"{\"name\":\"i4\",\"type\":\"int\"},{\"name\":\"t\",\"type\":[\"null\",\"string\"]},{\"name\":\"jb\",\"type\":[\"null\",\"v\"]}]}]},"
		"{\"name\":\"after\",\"type\":[\"null\",\"v\"]},{\"name\":\"op\",\"type\":[\"null\",\"string\",{\"type\":\"enum\",\"name\":\"o\",\"symbols\":[\"c\",\"d\"]}]},"
		"{\"name\":\"source\",\"type\":{\"type\":\"record\",\"name\":\"s\",\"fields\":[{\"name\":\"ts_ms\",\"type\":[\"null\",\"long\"]}]}}]}",
		"i8.envelope=source.ts_ms"
	};

	init_coders(rowtype, "debezium-avro", lengthof(options), options);
}

static void
maxwell_init(Oid rowtype)
{
	init_coders(rowtype, "maxwell-json", 0, NULL);
}

static void
csv_init(Oid rowtype)
{
	init_coders(rowtype, "csv", 0, NULL);
}

static void
csv_escape_init(Oid rowtype)
{
	char	   *options[] = {"delimiter=;", "escape=\\", "null=N", "t.force_null=true"};

	init_coders(rowtype, "csv", lengthof(options), options);
}

static void
raw_init(Oid rowtype)
{
	init_coders(rowtype, "raw", 0, NULL);
}

/* A record of the schema that the row type's columns give. */
/* The schema that is made from the columns, for both ways. */
static void
init_avro(Oid rowtype, const char *format)
{
	FuzzColumns *columns = FuzzColumnsMake(rowtype, "avro", 0, NULL);
	char	  **names = palloc(sizeof(char *) * columns->ncolumns);
	char	   *option;

	for (int i = 0; i < columns->ncolumns; i++)
		names[i] = pstrdup(columns->columns[i].name);
	option = psprintf("avro_schema=%s",
					  FeathubAvroMakeSchema(columns->tupdesc, columns->ncolumns,
											columns->columns, names, "row"));
	init_coders(rowtype, format, 1, &option);
}

static void
avro_init(Oid rowtype)
{
	init_avro(rowtype, "avro");
}

static void
hopsworks_init(Oid rowtype)
{
	init_avro(rowtype, "hopsworks-avro");
}

/* A file of any schema; its columns are those of its own names. */
static FuzzColumns *file_columns;
static const char *file_data;

static Size
file_read_at(FeathubInput *input, int64 offset, void *buffer, Size len)
{
	if (offset < 0 || offset > input->size)
		fuzz_fail("read at byte %lld of %lld", (long long) offset, (long long) input->size);
	len = Min(len, (Size) (input->size - offset));
	memcpy(buffer, file_data + offset, len);
	return len;
}

static void
avro_file_init(Oid rowtype)
{
	file_columns = FuzzColumnsMake(rowtype, "avro", 0, NULL);
	values = palloc0(sizeof(Datum) * file_columns->tupdesc->natts);
	nulls = palloc(sizeof(bool) * file_columns->tupdesc->natts);
}

static void
avro_file_run(const char *data, Size len)
{
	FeathubInput input = {.name = "fuzz", .size = (int64) len, .read_at = file_read_at};
	const FeathubContainer *container = file_columns->format->container;
	FeathubFileReader *reader;
	FeathubDecodeError error = {0};
	int			rows = 0;

	file_data = data;
	(void) container->describe(&input, file_columns->options);
	reader = FeathubFileReaderOpen(file_columns->format, &input, file_columns->tupdesc,
								   file_columns->ncolumns, file_columns->columns,
								   file_columns->options);
	memset(nulls, true, file_columns->tupdesc->natts);
	for (int unit = 0; unit < container->count_units(reader); unit++)
	{
		container->start_unit(reader, unit);
		/* records may have no bytes at all */
		while (rows++ < 1000 && container->read_row(reader, values, nulls, &error))
		{
			if (error.message == NULL)
				(void) heap_form_tuple(file_columns->tupdesc, values, nulls);
			else if (error.sqlerrcode == 0)
				fuzz_fail("an error without code");
		}
	}
	container->close_reader(reader);
}

static void
avro_schema_run(const char *data, Size len)
{
	FeathubAvroNode *node = FeathubAvroParseSchema(data, len, ERRCODE_DATA_CORRUPTED, "fuzz");
	FeathubAvroCursor cursor = {.p = (const unsigned char *) data,
	.end = (const unsigned char *) data + len};
	FeathubDecodeError error = {0};

	(void) FeathubShapeText(node->shape);
	(void) FeathubShapeTypeName(node->shape);
	(void) FeathubAvroFingerprint(node);
	if (!FeathubAvroSkipValue(&cursor, node, &error) && error.message == NULL)
		fuzz_fail("an error without message");
}

/* A document as a schema of many types has it: what is written can be read. */
static FeathubAvroNode *json_node;

static void
avro_json_init(Oid rowtype)
{
	static const char schema[] =
		"{\"type\":\"record\",\"name\":\"r\",\"fields\":["
		"{\"name\":\"a\",\"type\":[\"null\",\"long\",\"double\",\"boolean\",\"string\",{\"type\":\"array\",\"items\":\"r\"},\"r\"],\"default\":null},"
		"{\"name\":\"b\",\"type\":[\"null\",{\"type\":\"map\",\"values\":[\"null\",{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":3},\"bytes\"]}],\"default\":null},"
		"{\"name\":\"c\",\"type\":[\"null\",{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}],\"default\":null},"
		"{\"name\":\"d\",\"type\":{\"type\":\"fixed\",\"name\":\"f\",\"size\":2},\"default\":\"\\u0001\\u00ff\"},"
		"{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]},\"default\":\"A\"}]}";

	json_node = FeathubAvroParseSchema(schema, strlen(schema), ERRCODE_DATA_CORRUPTED, "fuzz");
}

static void
avro_json_run(const char *data, Size len)
{
	FeathubDecodeError error = {0};
	FeathubAvroCursor cursor = {0};
	StringInfoData out;
	JsonbValue	value;

	if (!FeathubJsonDocument(data, len, &value, &error))
		return;
	initStringInfo(&out);
	FeathubAvroWriteJson(json_node, &value, false, "fuzz", &out);
	cursor.p = (unsigned char *) out.data;
	cursor.end = cursor.p + out.len;
	if (!FeathubAvroSkipValue(&cursor, json_node, &error))
	{
		if (strstr(error.message, "too deeply") == NULL)
			fuzz_fail("what was written does not read: %s", error.message);
	}
	else if (cursor.p != cursor.end)
		fuzz_fail("there are bytes behind what was written");
}

/* simdjson's index and the scanner find the same fields. */
static FeathubJsonParser *parser;
static FeathubJsonFields fields;

static void
index_init(Oid rowtype)
{
	static const char *const keys[] = {"a", "b", "key", "\xc3\xa9"};

	parser = FeathubJsonParserCreate();
	fields.nfields = lengthof(keys);
	fields.fields = palloc0(sizeof(FeathubJsonField) * lengthof(keys));
	fields.hash_mask = 7;
	fields.hash = palloc(sizeof(int) * 8);
	for (int i = 0; i < lengthof(keys); i++)
	{
		fields.fields[i].key = keys[i];
		fields.fields[i].key_len = strlen(keys[i]);
		fields.fields[i].plain = true;
	}
	FeathubJsonFieldsHash(&fields);
}

static void
index_run(const char *data, Size len)
{
	FeathubJsonToken indexed[4];
	FeathubJsonStatus by_index = FeathubJsonParse(parser, data, len, &fields);
	FeathubJsonStatus by_scan;

	for (int i = 0; i < fields.nfields; i++)
	{
		indexed[i] = fields.fields[i].token;
		/* who converts a number checks it */
		if (by_index == FEATHUB_JSON_OK && indexed[i].kind == FEATHUB_JSON_NUMBER &&
			!FeathubJsonIsNumber(indexed[i].start, indexed[i].len))
			by_index = FEATHUB_JSON_SYNTAX;
	}
	by_scan = FeathubJsonScanFields(data, len, &fields);
	if (by_scan == FEATHUB_JSON_OK && pg_encoding_verifymbstr(PG_UTF8, data, (int) len) != (int) len)
		by_scan = FEATHUB_JSON_BAD_ENCODING;

	/* an unwanted earlier duplicate may hold a bad number: the index lets it pass */
	if ((by_index == FEATHUB_JSON_OK) != (by_scan == FEATHUB_JSON_OK) &&
		!(by_index == FEATHUB_JSON_OK && by_scan == FEATHUB_JSON_SYNTAX))
		fuzz_fail("index says %d, scanner %d: %.*s", by_index, by_scan, (int) len, data);
	for (int i = 0; by_index == FEATHUB_JSON_OK && by_scan == FEATHUB_JSON_OK &&
		 i < fields.nfields; i++)
	{
		FeathubJsonToken *token = &fields.fields[i].token;

		if (token->kind != indexed[i].kind ||
			(token->kind != FEATHUB_JSON_MISSING &&
			 (token->len != indexed[i].len || token->escaped != indexed[i].escaped ||
			  memcmp(token->start, indexed[i].start, token->len) != 0)))
			fuzz_fail("index and scanner differ in field %d: %.*s", i, (int) len, data);
	}
}

/*
 * Compare a conversion of ours with the type's input function.  strict: what
 * PostgreSQL refuses we refuse, too.
 */
static void
compare_with_input(FeathubConverter *converter, const char *data, Size len, bool strict,
				   bool byval, int typlen)
{
	FeathubDecodeError error = {0};
	MemoryContext context = CurrentMemoryContext;
	char	   *text;
	Datum		ours = (Datum) 0;
	Datum		theirs = (Datum) 0;
	bool		our_ok;
	volatile bool their_ok = true;

	if (len > 500 || memchr(data, '\0', len) != NULL || !pg_verifymbstr(data, (int) len, true))
		return;
	text = pnstrdup(data, len);
	our_ok = FeathubConvertText(converter, data, len, &ours, &error);
	PG_TRY();
	{
		theirs = InputFunctionCall(&converter->input, text, converter->ioparam,
								   converter->typmod);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		their_ok = false;
	}
	PG_END_TRY();
	if (our_ok && strict && !their_ok)
		fuzz_fail("we take \"%s\" as %s, PostgreSQL does not", text,
				  format_type_be(converter->typid));
	if (our_ok != their_ok && their_ok)
	{
		/*
		 * Words for now, hexadecimal floats and the like are refused on
		 * purpose; so is the white space that numeric_in takes behind an e.
		 */
		const char *e = strpbrk(text, "eE");

		if (strpbrk(text, "xXnNoOwWdDyYpP") == NULL &&
			!(e != NULL && isspace((unsigned char) e[1])))
			fuzz_fail("we do not take \"%s\" as %s: %s", text,
					  format_type_be(converter->typid), error.message);
		return;
	}
	if (our_ok && their_ok && !datumIsEqual(ours, theirs, byval, typlen))
		fuzz_fail("\"%s\" is not the same %s here and in PostgreSQL", text,
				  format_type_be(converter->typid));
}

/* The first byte chooses the type. */
static FeathubConverter *converters[12];

static void
types_init(Oid rowtype)
{
	static const struct
	{
		Oid			type;
		int32		typmod;
	}			types[] = {
		{INT2OID, -1}, {INT4OID, -1}, {INT8OID, -1}, {FLOAT4OID, -1}, {FLOAT8OID, -1},
		{NUMERICOID, -1}, {NUMERICOID, ((8 << 16) | 3) + VARHDRSZ}, {BOOLOID, -1},
		{UUIDOID, -1}, {VARCHAROID, 5 + VARHDRSZ}, {BPCHAROID, 5 + VARHDRSZ}, {BYTEAOID, -1}
	};

	settings.scratch = AllocSetContextCreate(CurrentMemoryContext, "scratch",
											 ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < lengthof(types); i++)
		converters[i] = FeathubConverterMake(types[i].type, types[i].typmod, &settings);
}

static void
types_run(const char *data, Size len)
{
	FeathubConverter *converter;

	if (len == 0)
		return;
	converter = converters[(unsigned char) data[0] % lengthof(converters)];
	switch (converter->kind)
	{
		case FEATHUB_CONVERT_INT2:
			/* we take 1.0 and 1e3 as well */
			compare_with_input(converter, data + 1, len - 1, false, true, 2);
			break;
		case FEATHUB_CONVERT_INT4:
			compare_with_input(converter, data + 1, len - 1, false, true, 4);
			break;
		case FEATHUB_CONVERT_INT8:
			compare_with_input(converter, data + 1, len - 1, false, true, 8);
			break;
		case FEATHUB_CONVERT_FLOAT4:
			compare_with_input(converter, data + 1, len - 1, true, true, 4);
			break;
		case FEATHUB_CONVERT_FLOAT8:
			compare_with_input(converter, data + 1, len - 1, true, true, 8);
			break;
		case FEATHUB_CONVERT_BOOL:
			compare_with_input(converter, data + 1, len - 1, true, true, 1);
			break;
		case FEATHUB_CONVERT_UUID:
			compare_with_input(converter, data + 1, len - 1, true, false, 16);
			break;
		default:
			compare_with_input(converter, data + 1, len - 1, true, false, -1);
			break;
	}
	MemoryContextReset(settings.scratch);
}

static void
timestamp_init(Oid rowtype)
{
	static const struct
	{
		Oid			type;
		int32		typmod;
	}			types[] = {
		{TIMESTAMPTZOID, -1}, {TIMESTAMPOID, -1}, {DATEOID, -1}, {TIMESTAMPTZOID, 2}
	};

	for (int i = 0; i < lengthof(types); i++)
		converters[i] = FeathubConverterMake(types[i].type, types[i].typmod, &settings);
	session_timezone = pg_tzset("GMT");
	DateStyle = USE_ISO_DATES;
	DateOrder = DATEORDER_MDY;
}

static void
timestamp_run(const char *data, Size len)
{
	FeathubConverter *converter;

	if (len == 0)
		return;
	converter = converters[(unsigned char) data[0] % 4];
	compare_with_input(converter, data + 1, len - 1, true, true,
					   converter->kind == FEATHUB_CONVERT_DATE ? 4 : 8);
}

static void
epoch_run(const char *data, Size len)
{
	FeathubDecodeError error = {0};
	int64		seconds;
	int64		micros;
	FeathubNumberStatus status;

	if (memchr(data, '\0', len) != NULL || len > 1000)
		return;
	status = FeathubNumberToInt64(data, len, 0, false, &seconds);
	if (status == FEATHUB_NUMBER_OK && seconds > -1000000000000 && seconds < 1000000000000 &&
		(FeathubNumberToInt64(data, len, 6, false, &micros) != FEATHUB_NUMBER_OK ||
		 micros != seconds * 1000000))
		fuzz_fail("shifted number differs: %.*s", (int) len, data);
	for (int format = FEATHUB_TIMESTAMP_EPOCH_SECONDS;
		 format <= FEATHUB_TIMESTAMP_EPOCH_DAYS; format++)
	{
		Datum		result;

		settings.timestamp_format = format;
		for (int i = 0; i < 4; i++)
		{
			(void) FeathubConvertNumber(converters[i], data, len, &result, &error);
			(void) FeathubConvertText(converters[i], data, len, &result, &error);
		}
	}
}

static void
jsonb_init(Oid rowtype)
{
	settings.scratch = AllocSetContextCreate(CurrentMemoryContext, "scratch",
											 ALLOCSET_SMALL_SIZES);
	converters[0] = FeathubConverterMake(JSONBOID, -1, &settings);
	converters[1] = FeathubConverterMake(JSONOID, -1, &settings);
}

static void
jsonb_run(const char *data, Size len)
{
	for (int i = 0; i < 2; i++)
	{
		converters[i]->input.fn_extra = NULL;
		/* deeper than ours, json and jsonb go as far as the stack */
		compare_with_input(converters[i], data, len, true, false, -1);
		MemoryContextReset(settings.scratch);
	}
}

static void
path_run(const char *data, Size len)
{
	char	   *path = pnstrdup(data, len);
	const char *problem;
	List	   *steps = FeathubJsonPathParse(path, &problem);
	StringInfoData again;
	List	   *steps2;

	if (steps == NIL)
	{
		if (problem == NULL)
			fuzz_fail("no path and no problem: %s", path);
		return;
	}
	initStringInfo(&again);
	for (int i = 0; i < list_length(steps); i++)
	{
		FeathubJsonStep *step = list_nth(steps, i);

		if (step->key == NULL)
			appendStringInfo(&again, "[%d]", step->subscript);
		else
			appendStringInfo(&again, "%s%s", i > 0 ? "." : "", quote_identifier(step->key));
	}
	steps2 = FeathubJsonPathParse(again.data, &problem);
	if (list_length(steps) != list_length(steps2) && strstr(again.data, "\"\"") == NULL)
		fuzz_fail("path %s is not path %s", path, again.data);
}

static void
topics_run(const char *data, Size len)
{
	char	   *topics = pnstrdup(data, len);
	List	   *names;

	if (FeathubKafkaIsPattern(topics))
		return;					/* the rest is PostgreSQL's regular expressions */
	names = FeathubKafkaTopicList(topics);
	for (int i = 1; i < list_length(names); i++)
	{
		if (strcmp(list_nth(names, i - 1), list_nth(names, i)) >= 0)
			fuzz_fail("topics are not sorted: %s", topics);
	}
	FeathubOptionsCheckValue(FeathubOptionsFind(FeathubKafkaOptions, 0, "topic"), topics);
}

/* name=value for every table of options there is */
static void
options_run(const char *data, Size len)
{
	const FeathubOption *tables[] = {
		FeathubKafkaOptions, FeathubAvroFormat.options, FeathubCsvFormat.options,
		FeathubJsonFormat.options, FeathubParquetFormat.options,
		FeathubRawFormat.options, NULL
	};
	char	   *name = pnstrdup(data, len);
	char	   *value = strchr(name, '=');

	if (value == NULL)
		return;
	*value++ = '\0';
	(void) FeathubOptionsClosest(tables, 0, name);
	for (int i = 0; tables[i] != NULL; i++)
	{
		const FeathubOption *option = FeathubOptionsFind(tables[i], 0, name);

		if (option != NULL && value[0] != '^')
			FeathubOptionsCheckValue(option, value);
	}
}

/*
 * Framing of files: a file read in one go, and in ranges each of which knows
 * only the counts of those before it, has the same records.
 */
static const char *file_data;
static Size file_len;
static Size file_step;

/* In place of a file: what is fuzzed, some bytes at a time. */
Size
FeathubFileSourceRead(FileSource *source, char *buffer, Size len)
{
	Size		n = Min(Min(len, file_step), file_len - source->position);

	memcpy(buffer, file_data + source->position, n);
	source->position += n;
	return n;
}

static void
append_record(StringInfo out, const char *record, Size len, int64 line)
{
	appendStringInfo(out, "%lld:%zu:", (long long) line, len);
	appendBinaryStringInfo(out, record, len);
	appendStringInfoChar(out, '\n');
}

static void
framing_run(const char *data, Size len)
{
	FileLines	lines = {0};
	FileSource	source = {0};
	StringInfoData whole;
	StringInfoData ranges;
	const char *record;
	Size		record_len;
	Size		range;
	int64		line;
	int64		lines_before = 0;
	bool		in_quotes = false;
	bool		at_start = true;

	if (len < 2)
		return;
	lines.framing.quoted = data[0] & 1;
	lines.framing.quote = lines.framing.escape = '"';
	range = 4 + (unsigned char) data[1] % 60;
	file_step = 1 + (unsigned char) data[0] % 7;
	file_data = data + 2;
	file_len = len - 2;
	lines.context = CurrentMemoryContext;
	source.name = "fuzz";
	initStringInfo(&whole);
	initStringInfo(&ranges);

	FeathubFileLinesStart(&lines, &source);
	if (lines.framing.carriage)
		return;					/* such files are not read in ranges */
	while (FeathubFileLinesNext(&lines, &record, &record_len, &line))
		append_record(&whole, record, record_len, line);

	for (Size offset = 0; offset < file_len; offset += range)
	{
		Size		n = Min(range, file_len - offset);
		FileFrameCount count = {0};

		FeathubFileLinesLoad(&lines, &source, offset, n);
		FeathubFrameCount(&lines.framing, lines.buffer, lines.end, &count);
		if (lines.end != n)
			fuzz_fail("range has %zu bytes instead of %zu", lines.end, n);
		FeathubFileLinesRange(&lines, in_quotes, at_start && !in_quotes, lines_before + 1);
		while (FeathubFileLinesNext(&lines, &record, &record_len, &line))
			append_record(&ranges, record, record_len, line);
		in_quotes ^= count.quotes_odd;
		at_start = file_data[offset + n - 1] == '\n' && !in_quotes;
		lines_before += count.lines;
	}
	if (strcmp(whole.data, ranges.data) != 0 || whole.len != ranges.len)
		fuzz_fail("in one go \"%s\", in ranges \"%s\"", whole.data, ranges.data);
}

/* kafka_options.c asks for a relation's columns and carrier; there are none here. */
const char *
FeathubRelationColumnOption(FeathubRelation *rel, AttrNumber attnum, const char *name)
{
	return NULL;
}

FeathubCarrier *
FeathubRelationCarrier(FeathubRelation *rel, bool is_key)
{
	return NULL;
}

const FuzzTarget FuzzTargets[] = {
	{"avro", avro_init, run_coders},
	{"avro_file", avro_file_init, avro_file_run},
	{"avro_json", avro_json_init, avro_json_run},
	{"avro_schema", NULL, avro_schema_run},
	{"binlog", NULL, FuzzBinlogRun},
	{"binlog_gtid", NULL, FuzzBinlogGtidRun},
	{"binlog_json", NULL, FuzzBinlogJsonRun},
	{"debezium", debezium_init, changelog_run},
	{"debezium_avro", debezium_avro_init, changelog_run},
	{"hopsworks", hopsworks_init, run_coders},
	{"framing", NULL, framing_run},
	{"json", json_init, run_coders},
	{"json_epoch", json_epoch_init, run_coders},
	{"json_index", index_init, index_run},
	{"jsonb", jsonb_init, jsonb_run},
	{"maxwell", maxwell_init, changelog_run},
	{"csv", csv_init, run_coders},
	{"csv_escape", csv_escape_init, run_coders},
	{"protobuf", FuzzProtobufInit, FuzzProtobufRun},
	{"raw", raw_init, run_coders},
	{"types", types_init, types_run},
	{"timestamp", timestamp_init, timestamp_run},
	{"epoch", timestamp_init, epoch_run},
	{"path", NULL, path_run},
	{"topics", NULL, topics_run},
	{"redis_entry", FuzzRedisEntryInit, FuzzRedisEntryRun},
	{"redis_feature", FuzzRedisFeatureInit, FuzzRedisFeatureRun},
	{"redis_id", NULL, FuzzRedisIdRun},
	{"redis_key", NULL, FuzzRedisKeyRun},
	{"redis_value", FuzzRedisValueInit, FuzzRedisValueRun},
	{"options", NULL, options_run},
	{NULL}
};
