/*
 * fuzz_protobuf.c
 *		Targets on Protocol Buffers' messages, by a schema that is made here:
 *		the library that reads schemas is not needed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#include "formats/protobuf.h"
#include "fuzz.h"

/* Places of message types in the schema. */
enum
{
	ROW, TIMESTAMP, DURATION, DECIMAL, DATE, PAIR, TREE, ENTRY, VALUE, INT64_VALUE, MESSAGES
};

/* what a field says of itself stands behind what all of them are */
#pragma clang diagnostic ignored "-Winitializer-overrides"
#define FIELD(n, type_, ...) {.name = n, .number = __COUNTER__ - BASE, .type = FEATHUB_PROTOBUF_##type_, \
	.oneof = -1, .message = -1, .enumeration = -1, __VA_ARGS__}
#define OPTIONAL .has_presence = true
#define REPEATED .is_repeated = true
#define IN(m) .message = m, .has_presence = true
#define MANY(m) .message = m, .is_repeated = true

/* The columns of the row type that run.sh makes. */
enum
{
	BASE_ROW = __COUNTER__
};
#define BASE BASE_ROW
static FeathubProtobufField row_fields[] = {
	FIELD("t", STRING), FIELD("i4", SINT32), FIELD("i2", INT32), FIELD("f8", DOUBLE),
	FIELD("tz", MESSAGE, IN(TIMESTAMP)), FIELD("i8", SFIXED64, OPTIONAL), FIELD("f4", FLOAT),
	FIELD("n", MESSAGE, IN(DECIMAL)), FIELD("n2", UINT64), FIELD("b", BOOL, OPTIONAL),
	FIELD("v", STRING, OPTIONAL), FIELD("c", STRING, OPTIONAL), FIELD("by", BYTES),
	FIELD("d", MESSAGE, IN(DATE)), FIELD("ts", MESSAGE, IN(TIMESTAMP)),
	FIELD("u", BYTES, OPTIONAL), FIELD("jb", MESSAGE, IN(TREE)),
	FIELD("a", SINT32, REPEATED, .is_packed = true), FIELD("ta", STRING, REPEATED),
	FIELD("ct", MESSAGE, IN(PAIR)), FIELD("ca", GROUP, MANY(PAIR)),
	FIELD("e", ENUM, .enumeration = 0), FIELD("p", UINT32, OPTIONAL),
	FIELD("iv", MESSAGE, IN(DURATION)), FIELD("da", MESSAGE, MANY(DATE)),
};
#undef BASE

#define PLAIN(n, i, type_, ...) {.name = n, .number = i, .type = FEATHUB_PROTOBUF_##type_, \
	.oneof = -1, .message = -1, .enumeration = -1, __VA_ARGS__}
static FeathubProtobufField time_fields[] = {PLAIN("seconds", 1, INT64), PLAIN("nanos", 2, INT32)};
static FeathubProtobufField decimal_fields[] = {
	PLAIN("value", 1, BYTES), PLAIN("precision", 2, UINT32), PLAIN("scale", 3, INT32)
};
static FeathubProtobufField date_fields[] = {
	PLAIN("year", 1, INT32), PLAIN("month", 2, INT32), PLAIN("day", 3, INT32)
};
static FeathubProtobufField pair_fields[] = {
	PLAIN("x", 1, FIXED32, OPTIONAL), PLAIN("y", 2, STRING, REPEATED)
};
static FeathubProtobufField tree_fields[] = {
	PLAIN("name", 1, STRING, .oneof = 0, OPTIONAL), PLAIN("number", 2, DOUBLE, .oneof = 0, OPTIONAL),
	PLAIN("children", 3, MESSAGE, MANY(TREE)),
	PLAIN("map", 4, MESSAGE, MANY(ENTRY), .is_map = true), PLAIN("any", 5, MESSAGE, IN(VALUE)),
	PLAIN("bytes", 6, BYTES), PLAIN("moods", 7, ENUM, REPEATED, .enumeration = 1),
	PLAIN("wrapped", 8, MESSAGE, IN(INT64_VALUE)), PLAIN("level", 9, SINT64, OPTIONAL,
														 .has_default = true, .default_bits = (uint64_t) -7),
};
static FeathubProtobufField entry_fields[] = {
	PLAIN("key", 1, SINT64), PLAIN("value", 2, MESSAGE, IN(PAIR))
};
static FeathubProtobufField value_fields[] = {PLAIN("null_value", 1, INT32)};
static FeathubProtobufField int64_fields[] = {PLAIN("value", 1, INT64)};

#define TYPE(name, list, ...) {name, lengthof(list), list, __VA_ARGS__}
static FeathubProtobufMessage messages[MESSAGES] = {
	[ROW] = TYPE("Row", row_fields, 0),
	[TIMESTAMP] = TYPE("google.protobuf.Timestamp", time_fields, 0),
	[DURATION] = TYPE("google.protobuf.Duration", time_fields, 0),
	[DECIMAL] = TYPE("confluent.type.Decimal", decimal_fields, 0),
	[DATE] = TYPE("google.type.Date", date_fields, 0),
	[PAIR] = TYPE("Pair", pair_fields, 0),
	[TREE] = TYPE("Tree", tree_fields, 1),
	[ENTRY] = TYPE("Entry", entry_fields, 0),
	[VALUE] = TYPE("google.protobuf.Value", value_fields, 0),
	[INT64_VALUE] = TYPE("google.protobuf.Int64Value", int64_fields, 0),
};

static FeathubProtobufValue colors[] = {{"red", 0}, {"green", 1}};
static FeathubProtobufValue moods[] = {{"GOOD", 1}, {"BAD", -1}};
static FeathubProtobufEnum enums[] = {
	{"Color", false, lengthof(colors), colors}, {"Mood", true, lengthof(moods), moods}
};
static const FeathubProtobufSchema schema = {
	.root = ROW, .npath = 1, .nmessages = MESSAGES, .messages = messages,
	.nenums = lengthof(enums), .enums = enums
};

static FuzzColumns *columns;
static FeathubProtoReader *reader;
static FeathubProtoWriter *writer;
static MemoryContext scratch;
static Datum *values;
static bool *nulls;

void
FuzzProtobufInit(Oid rowtype)
{
	static FeathubConvertSettings settings;
	FeathubProtoMessage *row = FeathubProtobufBind(&schema);

	columns = FuzzColumnsMake(rowtype, "json", 0, NULL);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "fuzz protobuf", ALLOCSET_SMALL_SIZES);
	settings.scratch = scratch;
	reader = FeathubProtobufReaderMake(row, scratch);
	writer = FeathubProtobufWriterMake(row);
	for (int i = 0; i < columns->ncolumns; i++)
	{
		FeathubColumn *column = &columns->columns[i];
		FeathubConverter *type = FeathubConverterMake(column->typid, column->typmod, &settings);
		char	   *name = pstrdup(column->name);

		if (!FeathubProtobufReaderAdd(reader, 1, &name, column->attnum - 1, type, column) ||
			!FeathubProtobufWriterAdd(writer, 1, &name, column->attnum - 1, type, column->name))
			elog(ERROR, "no field for column \"%s\"", column->name);
	}
	values = palloc0(sizeof(Datum) * columns->tupdesc->natts);
	nulls = palloc(columns->tupdesc->natts);
}

static char *
row_text(void)
{
	static FmgrInfo record_out_info;

	if (record_out_info.fn_oid == InvalidOid)
		fmgr_info_cxt(F_RECORD_OUT, &record_out_info, TopMemoryContext);
	return OutputFunctionCall(&record_out_info,
							  heap_copy_tuple_as_datum(heap_form_tuple(columns->tupdesc, values, nulls),
													   columns->tupdesc));
}

/* What reads must also be written, and read again as the same row. */
void
FuzzProtobufRun(const char *data, Size len)
{
	FeathubDecodeError error = {0};
	StringInfoData out;
	char	   *first;
	char	   *second;

	MemoryContextReset(scratch);
	memset(nulls, true, columns->tupdesc->natts);
	if (!FeathubProtobufRead(reader, data, len, values, nulls, &error))
	{
		if (error.message == NULL || error.sqlerrcode == 0)
			fuzz_fail("an error without message or code");
		return;
	}
	first = row_text();
	initStringInfo(&out);
	FeathubProtobufWrite(writer, values, nulls, &out);
	memset(nulls, true, columns->tupdesc->natts);
	if (!FeathubProtobufRead(reader, out.data, out.len, values, nulls, &error))
		fuzz_fail("what was written does not read: %s: %s", error.message, first);
	second = row_text();
	if (strcmp(first, second) != 0)
		fuzz_fail("another row was read than written: %s: %s", first, second);
}
