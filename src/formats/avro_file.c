/*
 * avro_file.c
 *		Format avro: options, object container files, and single records.
 *
 * A file has a header with the schema and a marker of 16 bytes, which stands
 * behind each block as well.  Where blocks are is told nowhere, and a large
 * file has a million of them, so a unit is a range of bytes: the blocks whose
 * marker before them begins in it, the first of which is found by its marker.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/compat.h"
#include "core/guc.h"
#include "formats/avro.h"
#include "formats/format_private.h"

#define SYNC_LEN 16

/* Bytes of a unit, of a read, and the longest header. */
#define UNIT_BYTES (16 * 1024 * 1024)
#define READ_BYTES (256 * 1024)
#define MAX_HEADER (16 * 1024 * 1024)

typedef struct AvroOptions
{
	char	   *schema;
	int64		block_bytes;
	int			codec;			/* FeathubAvroCodec */
	char	   *column_name;	/* of a column */
	int			missing_columns;
	char	   *timezone;
} AvroOptions;

enum
{
	MISSING_NULL,
	MISSING_ERROR
};

static void check_schema(const char *option, const char *value);

static const FeathubOptionValue missing_values[] = {
	{"null", MISSING_NULL},
	{"error", MISSING_ERROR},
	{NULL, 0}
};

static const FeathubOptionValue codec_values[] = {
	{"null", FEATHUB_AVRO_NULL},
	{"deflate", FEATHUB_AVRO_DEFLATE},
	{"snappy", FEATHUB_AVRO_SNAPPY},
	{"zstandard", FEATHUB_AVRO_ZSTANDARD},
	{"xz", FEATHUB_AVRO_XZ},
	{NULL, 0}
};

static const FeathubOption avro_options[] = {
	{
		"avro_schema", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(AvroOptions, schema), .check = check_schema,
		.description = "The schema to write with, as JSON; without it one is made from the columns. Messages need it to be read as well."
	},
	{
		"block_bytes", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT64,
		.offset = offsetof(AvroOptions, block_bytes), .min = 1024, .max = 256 * 1024 * 1024,
		.default_value = "65536",
		.description = "Bytes of records, before compression, after which a block of a file ends."
	},
	{
		"codec", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(AvroOptions, codec), .values = codec_values,
		.default_value = "deflate",
		.description = "Compression of the blocks of files that are written."
	},
	{
		"column_name", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(AvroOptions, column_name),
		.description = "The column's name in the schema, if it is not the same."
	},
	{
		"missing_columns", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(AvroOptions, missing_columns), .values = missing_values,
		.default_value = "null",
		.description = "What a column is that a schema does not have: null in every row, or an error."
	},
	{
		"timezone", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(AvroOptions, timezone), .check = FeathubTimezoneCheck,
		.default_value = "UTC",
		.description = "The zone in which times without zone are read by columns with one, and the other way round."
	},
	{.name = NULL}
};

/* The records of one schema, as rows. */
typedef struct RecordReader
{
	const FeathubAvroNode *root;
	bool		is_record;		/* or any other type: one field, "value" */
	int			nfields;
	FeathubAvroReader **readers;	/* by field; NULL: not wanted */
	const FeathubColumn **columns;
	int			nmissing;
	AttrNumber *missing;		/* columns that are always null */
	FeathubConvertSettings *settings;	/* of each column */
} RecordReader;

typedef struct AvroReader
{
	FeathubFileReader base;
	FeathubInput *input;
	MemoryContext context;
	char	   *schema;			/* of the header */
	Size		schema_len;
	FeathubAvroCodec codec;
	unsigned char sync[SYNC_LEN];
	int64		header_end;		/* where the first marker begins */
	RecordReader records;

	int64		unit_end;		/* markers from here on are of another unit */
	int64		marker;			/* the marker before the next block */
	StringInfoData raw;			/* a block as it is in the file */
	StringInfoData block;		/* decompressed */
	int64		left;			/* records of the block */
	FeathubAvroCursor cursor;
	MemoryContext block_context;
	MemoryContext row_context;
} AvroReader;

typedef struct AvroDecoder
{
	FeathubDecoder base;
	RecordReader records;
	MemoryContext scratch;
} AvroDecoder;

/* Writes rows as records of a schema. */
typedef struct RecordWriter
{
	char	   *schema;
	int			nfields;
	FeathubAvroWriter **writers;
	const char **names;			/* columns, or fields that have none */
} RecordWriter;

typedef struct AvroEncoder
{
	FeathubEncoder base;
	RecordWriter records;
	MemoryContext scratch;
} AvroEncoder;

typedef struct AvroWriter
{
	FeathubFileWriter base;
	FeathubOutput *output;
	AvroOptions *options;
	MemoryContext context;
	RecordWriter records;
	unsigned char sync[SYNC_LEN];
	StringInfoData block;
	StringInfoData compressed;
	int64		count;			/* records of the block */
	MemoryContext row_context;
} AvroWriter;

static void
check_schema(const char *option, const char *value)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub avro schema",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	(void) FeathubAvroParseSchema(value, strlen(value), ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
								  psprintf("option \"%s\"", option));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
damaged(const char *file, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read Avro file \"%s\"", file),
			 errdetail_internal("%s", detail)));
}

static AvroOptions *
column_options(const void *options, const FeathubColumn *column)
{
	AvroOptions *own = FeathubFormatColumnOptions(&FeathubAvroFormat, options, column);

	if (own->column_name == NULL)
		own->column_name = pstrdup(column->name);
	return own;
}

/* Match columns with the fields of a schema. */
static void
make_record_reader(RecordReader *records, const FeathubAvroNode *root, int ncolumns,
				   FeathubColumn *columns, void *options, const char *name, const char *where,
				   MemoryContext scratch)
{
	records->root = root;
	records->is_record = root->type == AVRO_RECORD;
	records->nfields = records->is_record ? root->nchildren : 1;
	records->readers = palloc0(sizeof(FeathubAvroReader *) * Max(records->nfields, 1));
	records->columns = palloc0(sizeof(FeathubColumn *) * Max(records->nfields, 1));
	records->missing = palloc0(sizeof(AttrNumber) * Max(ncolumns, 1));
	records->settings = palloc0(sizeof(FeathubConvertSettings) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
	{
		AvroOptions *own = column_options(options, &columns[i]);
		FeathubConvertSettings *settings = &records->settings[i];
		FeathubConverter *type;
		FeathubDecodeError error;
		FeathubShape shape;
		int			field;

		settings->zone = FeathubTimezone(own->timezone);
		settings->scratch = scratch;
		type = FeathubConverterMake(columns[i].typid, columns[i].typmod, settings);
		if (records->is_record)
			field = FeathubAvroFindField(root, own->column_name, where);
		else
			field = strcmp(own->column_name, "value") == 0 ? 0 : -1;
		if (field < 0)
		{
			if (own->missing_columns == MISSING_ERROR)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
						 errmsg("%s has no field for column \"%s\"", where, columns[i].name)));
			if (!FeathubConvertNull(type, &error))
				ereport(ERROR,
						(errcode(error.sqlerrcode),
						 errmsg("%s has no field for column \"%s\": %s", where, columns[i].name,
								error.message)));
			records->missing[records->nmissing++] = columns[i].attnum;
			continue;
		}
		if (records->readers[field] != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
					 errmsg("columns \"%s\" and \"%s\" are the same field of %s",
							records->columns[field]->name, columns[i].name, where)));
		shape = records->is_record ? *root->shape->children[field] : *root->shape;
		shape.name = own->column_name;
		FeathubShapeCheckFits(&shape, type, name, &columns[i]);
		records->readers[field] = FeathubAvroReaderMake(records->is_record ?
														root->children[field] : root, type);
		records->columns[field] = &columns[i];
	}
}

/*
 * One record.  Returns false if a value is bad (the rest has been read all the
 * same, and the first one is told) or the data damaged.
 */
static bool
read_record(RecordReader *records, FeathubAvroCursor *cursor, Datum *values, bool *isnull,
			FeathubDecodeError *error)
{
	bool		ok = true;

	for (int i = 0; i < records->nmissing; i++)
		isnull[records->missing[i] - 1] = true;
	for (int i = 0; i < records->nfields; i++)
	{
		FeathubDecodeError problem;
		int			at;

		if (records->readers[i] == NULL)
		{
			if (!FeathubAvroSkipValue(cursor, records->root->type == AVRO_RECORD ?
									  records->root->children[i] : records->root, error))
				return false;
			continue;
		}
		at = records->columns[i]->attnum - 1;
		if (FeathubAvroReadValue(cursor, records->readers[i], &values[at], &isnull[at], &problem))
			continue;
		if (ok || cursor->damaged)
		{
			*error = problem;
			(void) FeathubDecodeFailColumn(error, records->columns[i]);
		}
		ok = false;
		if (cursor->damaged)
			return false;
	}
	return ok;
}

/* Read len bytes at offset into buf, which has been emptied. */
static void
read_at(AvroReader *reader, int64 offset, Size len, StringInfo buf)
{
	Size		done = 0;

	enlargeStringInfo(buf, (int) len);
	while (done < len)
	{
		Size		n = reader->input->read_at(reader->input, offset + done, buf->data + buf->len,
											   len - done);

		if (n == 0)
			damaged(reader->input->name, "It ends unexpectedly.");
		done += n;
		buf->len += (int) n;
	}
}

/* The header's key-value pairs; false if there must be more bytes to read. */
static bool
parse_header(AvroReader *reader, StringInfo buf)
{
	FeathubAvroCursor cursor = {
		.p = (unsigned char *) buf->data + 4, .end = (unsigned char *) buf->data + buf->len
	};
	FeathubDecodeError error;
	int64		count;
	int64		len;

	reader->codec = FEATHUB_AVRO_NULL;
	for (;;)
	{
		if (!FeathubAvroReadLong(&cursor, &count, &error))
			return false;
		if (count == 0)
			break;
		if (count < 0 && (count == PG_INT64_MIN || !FeathubAvroReadLong(&cursor, &len, &error)))
			return false;
		for (count = Abs(count); count > 0; count--)
		{
			const char *parts[2];
			int64		lens[2];

			for (int i = 0; i < 2; i++)
			{
				if (!FeathubAvroReadLong(&cursor, &lens[i], &error) || lens[i] < 0 ||
					lens[i] > cursor.end - cursor.p)
					return false;
				parts[i] = (const char *) cursor.p;
				cursor.p += lens[i];
			}
			if (lens[0] == 11 && memcmp(parts[0], "avro.schema", 11) == 0)
			{
				reader->schema = pnstrdup(parts[1], lens[1]);
				reader->schema_len = lens[1];
			}
			if (lens[0] == 10 && memcmp(parts[0], "avro.codec", 10) == 0)
			{
				int			codec = FeathubAvroCodecByName(parts[1], lens[1]);

				if (codec < 0)
					ereport(ERROR,
							(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							 errmsg("codec of Avro file \"%s\" is not supported",
									reader->input->name),
							 errdetail("It is \"%s\".", FeathubConvertShow(parts[1], lens[1])),
							 errhint("Codecs are null, deflate, snappy, zstandard and xz.")));
				reader->codec = codec;
			}
		}
	}
	if (cursor.end - cursor.p < SYNC_LEN)
		return false;
	memcpy(reader->sync, cursor.p, SYNC_LEN);
	reader->header_end = (char *) cursor.p - buf->data;
	return true;
}

static void
read_header(AvroReader *reader)
{
	StringInfoData buf;
	Size		want = Min(reader->input->size, 16 * 1024);

	initStringInfo(&buf);
	for (;;)
	{
		if (reader->input->size < 4)
			damaged(reader->input->name, "It is too short to be one.");
		read_at(reader, buf.len, want - buf.len, &buf);
		if (memcmp(buf.data, "Obj\001", 4) != 0)
			damaged(reader->input->name, "It does not begin as an Avro file does.");
		if (parse_header(reader, &buf))
			break;
		if (want >= reader->input->size || want >= MAX_HEADER)
			damaged(reader->input->name, "Its header is damaged.");
		want = Min(reader->input->size, Min(want * 4, MAX_HEADER));
	}
	if (reader->schema == NULL)
		damaged(reader->input->name, "Its header has no schema.");
	FeathubAvroCodecCheck(reader->codec);
	pfree(buf.data);
}

static AvroReader *
open_file(FeathubInput *input, const FeathubAvroNode **root)
{
	AvroReader *reader = palloc0(sizeof(AvroReader));

	reader->input = input;
	reader->context = CurrentMemoryContext;
	read_header(reader);
	*root = FeathubAvroParseSchema(reader->schema, reader->schema_len, ERRCODE_DATA_CORRUPTED,
								   psprintf("file \"%s\"", input->name));
	return reader;
}

static FeathubFileReader *
avro_open_reader(FeathubInput *input, TupleDesc tupdesc, int ncolumns, FeathubColumn *columns,
				 void *options)
{
	const FeathubAvroNode *root;
	AvroReader *reader = open_file(input, &root);

	reader->block_context = AllocSetContextCreate(CurrentMemoryContext, "feathub avro block",
												  ALLOCSET_SMALL_SIZES);
	reader->row_context = AllocSetContextCreate(CurrentMemoryContext, "feathub avro row",
												ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&reader->raw);
	initStringInfo(&reader->block);
	make_record_reader(&reader->records, root, ncolumns, columns, options, input->name,
					   psprintf("file \"%s\"", input->name), reader->row_context);
	return &reader->base;
}

static int
avro_count_units(FeathubFileReader *base)
{
	AvroReader *reader = (AvroReader *) base;

	return (int) ((reader->input->size + UNIT_BYTES - 1) / UNIT_BYTES);
}

static int64
avro_count_rows(FeathubFileReader *base)
{
	return -1;
}

/* The first marker that begins between from and to, or -1. */
static int64
find_marker(AvroReader *reader, int64 from, int64 to)
{
	int64		end = Min(to - 1 + SYNC_LEN, reader->input->size);

	while (from + SYNC_LEN <= end)
	{
		Size		len = Min(end - from, READ_BYTES);
		char	   *p;

		CHECK_FOR_INTERRUPTS();
		resetStringInfo(&reader->raw);
		read_at(reader, from, len, &reader->raw);
		for (p = reader->raw.data;; p++)
		{
			p = memchr(p, reader->sync[0], reader->raw.data + len - p);
			if (p == NULL || reader->raw.data + len - p < SYNC_LEN)
				break;
			if (memcmp(p, reader->sync, SYNC_LEN) == 0)
				return from + (p - reader->raw.data);
		}
		from += len - (SYNC_LEN - 1);
	}
	return -1;
}

static void
avro_start_unit(FeathubFileReader *base, int unit)
{
	AvroReader *reader = (AvroReader *) base;
	int64		from = (int64) unit * UNIT_BYTES;

	reader->left = 0;
	reader->unit_end = from + UNIT_BYTES;
	if (reader->header_end >= reader->unit_end)
		reader->marker = -1;
	else if (reader->header_end >= from)
		reader->marker = reader->header_end;
	else
		reader->marker = find_marker(reader, from, reader->unit_end);
}

/* The next block of the unit; false if there is none. */
static bool
next_block(AvroReader *reader)
{
	FeathubInput *input = reader->input;
	FeathubDecodeError error;
	int64		at;
	int64		size = 0;
	Size		limit = (Size) feathub_file_memory * 1024;
	MemoryContext old;
	bool		ok;

	CHECK_FOR_INTERRUPTS();
	if (reader->marker < 0 || reader->marker >= reader->unit_end)
		return false;
	at = reader->marker + SYNC_LEN;
	if (at >= input->size)
		return false;

	/* two numbers of ten bytes at most */
	resetStringInfo(&reader->raw);
	read_at(reader, at, Min(input->size - at, 20), &reader->raw);
	reader->cursor.p = (unsigned char *) reader->raw.data;
	reader->cursor.end = reader->cursor.p + reader->raw.len;
	reader->cursor.damaged = false;
	if (!FeathubAvroReadLong(&reader->cursor, &reader->left, &error) ||
		!FeathubAvroReadLong(&reader->cursor, &size, &error) || reader->left < 0 || size < 0)
		damaged(input->name, psprintf("The block at byte " INT64_FORMAT " has no valid size.", at));
	at += reader->cursor.p - (unsigned char *) reader->raw.data;
	if (size > input->size - at - SYNC_LEN)
		damaged(input->name, psprintf("The block before byte " INT64_FORMAT " is cut off.", at));
	if (size > limit || size > MaxAllocSize - 1024)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("not enough memory to read Avro file \"%s\"", input->name),
				 errdetail("A block has " INT64_FORMAT " bytes.", size),
				 errhint("Raise feathub.file_memory, unless the file is damaged.")));

	resetStringInfo(&reader->raw);
	read_at(reader, at, size + SYNC_LEN, &reader->raw);
	if (memcmp(reader->raw.data + size, reader->sync, SYNC_LEN) != 0)
		damaged(input->name, psprintf("There is no marker behind the block at byte " INT64_FORMAT ".",
									  at));
	reader->marker = at + size;
	resetStringInfo(&reader->block);
	old = MemoryContextSwitchTo(reader->block_context);
	ok = FeathubAvroDecompress(reader->codec, reader->raw.data, size, &reader->block, limit,
							   input->name);
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->block_context);
	if (!ok)
		damaged(input->name, psprintf("The block at byte " INT64_FORMAT " cannot be decompressed.",
									  at));
	reader->cursor.p = (unsigned char *) reader->block.data;
	reader->cursor.end = reader->cursor.p + reader->block.len;
	return true;
}

static bool
avro_read_row(FeathubFileReader *base, Datum *values, bool *isnull, FeathubDecodeError *error)
{
	AvroReader *reader = (AvroReader *) base;
	MemoryContext old;
	bool		ok;

	error->message = NULL;
	while (reader->left == 0)
	{
		if (!next_block(reader))
			return false;
		if (reader->left == 0 && reader->block.len > 0)
			damaged(reader->input->name, "A block without records has bytes.");
	}
	reader->left--;
	reader->cursor.depth = 0;
	MemoryContextReset(reader->row_context);
	old = MemoryContextSwitchTo(reader->row_context);
	ok = read_record(&reader->records, &reader->cursor, values, isnull, error);
	MemoryContextSwitchTo(old);
	if (!ok && reader->cursor.damaged)
		damaged(reader->input->name, psprintf("%s.", error->message));
	if (!ok)
		error->message = pstrdup(error->message);
	if (reader->left == 0 && reader->cursor.p != reader->cursor.end)
		damaged(reader->input->name, "A block has bytes behind its records.");
	return true;
}

static void
avro_close_reader(FeathubFileReader *base)
{
	AvroReader *reader = (AvroReader *) base;

	pfree(reader->raw.data);
	pfree(reader->block.data);
	MemoryContextDelete(reader->row_context);
	MemoryContextDelete(reader->block_context);
}

static List *
avro_describe(FeathubInput *input, void *options)
{
	const FeathubAvroNode *root;
	List	   *result = NIL;

	(void) open_file(input, &root);
	if (root->type != AVRO_RECORD)
	{
		FeathubShape shape = *root->shape;

		shape.name = "value";
		return list_make1(FeathubShapeColumnDef(&shape));
	}
	for (int i = 0; i < root->nchildren; i++)
		result = lappend(result, FeathubShapeColumnDef(root->shape->children[i]));
	return result;
}

/* Match the fields of the schema to write with the columns. */
static void
make_record_writer(RecordWriter *records, TupleDesc tupdesc, int ncolumns,
				   FeathubColumn *columns, AvroOptions *options)
{
	FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));
	char	  **names = palloc(sizeof(char *) * Max(ncolumns, 1));
	bool	   *used = palloc0(Max(ncolumns, 1));
	const FeathubAvroNode *root;

	for (int i = 0; i < ncolumns; i++)
		names[i] = column_options(options, &columns[i])->column_name;
	records->schema = options->schema ? options->schema :
		FeathubAvroMakeSchema(tupdesc, ncolumns, columns, names);
	root = FeathubAvroParseSchema(records->schema, strlen(records->schema),
								  ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, "option \"avro_schema\"");
	if (root->type != AVRO_RECORD)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("the schema of option \"avro_schema\" must be a record")));
	records->nfields = root->nchildren;
	records->writers = palloc0(sizeof(FeathubAvroWriter *) * Max(root->nchildren, 1));
	records->names = palloc0(sizeof(char *) * Max(root->nchildren, 1));
	for (int i = 0; i < root->nchildren; i++)
	{
		int			found = -1;

		for (int k = 0; k < ncolumns; k++)
		{
			if (FeathubAvroFindField(root, names[k], "option \"avro_schema\"") == i)
				found = k;
		}
		records->names[i] = found < 0 ? root->fields[i] : columns[found].name;
		records->writers[i] =
			FeathubAvroWriterMake(root->children[i],
								  found < 0 ? NULL : FeathubConverterMake(columns[found].typid,
																		  columns[found].typmod,
																		  settings),
								  records->names[i]);
		if (found >= 0)
		{
			used[found] = true;
			records->writers[i]->column = columns[found].attnum - 1;
		}
	}
	for (int i = 0; i < ncolumns; i++)
	{
		if (!used[i])
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("option \"avro_schema\" has no field for column \"%s\"",
							columns[i].name)));
	}
}

static void
write_record(const RecordWriter *records, Datum *values, bool *isnull, StringInfo out)
{
	for (int i = 0; i < records->nfields; i++)
	{
		int			at = records->writers[i]->column;

		FeathubAvroWriteValue(records->writers[i], at < 0 ? (Datum) 0 : values[at],
							  at < 0 || isnull[at], records->names[i], out);
	}
}

static void
put_pair(StringInfo out, const char *key, const char *value)
{
	FeathubAvroWriteLong(strlen(key), out);
	appendStringInfoString(out, key);
	FeathubAvroWriteLong(strlen(value), out);
	appendStringInfoString(out, value);
}

static FeathubFileWriter *
avro_open_writer(FeathubOutput *output, TupleDesc tupdesc, int ncolumns, FeathubColumn *columns,
				 void *options)
{
	AvroWriter *writer = palloc0(sizeof(AvroWriter));

	writer->output = output;
	writer->options = options;
	writer->context = CurrentMemoryContext;
	FeathubAvroCodecCheck(writer->options->codec);
	make_record_writer(&writer->records, tupdesc, ncolumns, columns, options);
	if (!pg_strong_random(writer->sync, SYNC_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	writer->row_context = AllocSetContextCreate(CurrentMemoryContext, "feathub avro row",
												ALLOCSET_SMALL_SIZES);
	initStringInfo(&writer->block);
	initStringInfo(&writer->compressed);

	appendBinaryStringInfo(&writer->compressed, "Obj\001", 4);
	FeathubAvroWriteLong(2, &writer->compressed);
	put_pair(&writer->compressed, "avro.schema", writer->records.schema);
	put_pair(&writer->compressed, "avro.codec", FeathubAvroCodecName(writer->options->codec));
	FeathubAvroWriteLong(0, &writer->compressed);
	appendBinaryStringInfo(&writer->compressed, (char *) writer->sync, SYNC_LEN);
	output->write(output, writer->compressed.data, writer->compressed.len);
	return &writer->base;
}

static void
flush_block(AvroWriter *writer)
{
	StringInfoData head;
	MemoryContext old;

	if (writer->count == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	old = MemoryContextSwitchTo(writer->row_context);
	resetStringInfo(&writer->compressed);
	FeathubAvroCompress(writer->options->codec, writer->block.data, writer->block.len,
						&writer->compressed);
	initStringInfo(&head);
	FeathubAvroWriteLong(writer->count, &head);
	FeathubAvroWriteLong(writer->compressed.len, &head);
	appendBinaryStringInfo(&writer->compressed, (char *) writer->sync, SYNC_LEN);
	MemoryContextSwitchTo(old);
	writer->output->write(writer->output, head.data, head.len);
	writer->output->write(writer->output, writer->compressed.data, writer->compressed.len);
	MemoryContextReset(writer->row_context);
	resetStringInfo(&writer->block);
	writer->count = 0;
}

static void
avro_write_row(FeathubFileWriter *base, Datum *values, bool *isnull)
{
	AvroWriter *writer = (AvroWriter *) base;
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);

	write_record(&writer->records, values, isnull, &writer->block);
	writer->count++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->row_context);
	if (writer->block.len >= writer->options->block_bytes)
		flush_block(writer);
}

static void
avro_finish_writer(FeathubFileWriter *base)
{
	AvroWriter *writer = (AvroWriter *) base;

	flush_block(writer);
	MemoryContextDelete(writer->row_context);
	pfree(writer->block.data);
	pfree(writer->compressed.data);
}

/* Messages: one record each, without a schema of their own. */
static FeathubDecoder *
avro_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	AvroDecoder *decoder = palloc0(sizeof(AvroDecoder));
	AvroOptions *own = options;

	if (own->schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"avro_schema\" is required to read messages of format \"avro\"")));
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub avro record",
											 ALLOCSET_SMALL_SIZES);
	make_record_reader(&decoder->records,
					   FeathubAvroParseSchema(own->schema, strlen(own->schema),
											  ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
											  "option \"avro_schema\""),
					   ncolumns, columns, options, "avro_schema", "option \"avro_schema\"",
					   decoder->scratch);
	return &decoder->base;
}

static bool
avro_decode(FeathubDecoder *base, const char *data, Size len, Datum *values, bool *isnull,
			FeathubDecodeError *error)
{
	AvroDecoder *decoder = (AvroDecoder *) base;
	FeathubAvroCursor cursor = {
		.p = (const unsigned char *) data, .end = (const unsigned char *) data + len
	};

	MemoryContextReset(decoder->scratch);
	if (!read_record(&decoder->records, &cursor, values, isnull, error))
		return false;
	if (cursor.p != cursor.end)
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "there are %zu bytes behind the Avro record",
								 (Size) (cursor.end - cursor.p));
	return true;
}

static FeathubEncoder *
avro_begin_encode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	AvroEncoder *encoder = palloc0(sizeof(AvroEncoder));

	make_record_writer(&encoder->records, tupdesc, ncolumns, columns, options);
	encoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub avro record",
											 ALLOCSET_SMALL_SIZES);
	return &encoder->base;
}

static bool
avro_encode(FeathubEncoder *base, Datum *values, bool *isnull, StringInfo out)
{
	AvroEncoder *encoder = (AvroEncoder *) base;
	MemoryContext old = MemoryContextSwitchTo(encoder->scratch);

	write_record(&encoder->records, values, isnull, out);
	MemoryContextSwitchTo(old);
	MemoryContextReset(encoder->scratch);
	return true;
}

static const FeathubContainer avro_container = {
	.open_reader = avro_open_reader,
	.count_units = avro_count_units,
	.count_rows = avro_count_rows,
	.start_unit = avro_start_unit,
	.read_row = avro_read_row,
	.close_reader = avro_close_reader,
	.describe = avro_describe,
	.open_writer = avro_open_writer,
	.write_row = avro_write_row,
	.finish_writer = avro_finish_writer,
};

const FeathubFormat FeathubAvroFormat = {
	.name = "avro",
	.options = avro_options,
	.options_size = sizeof(AvroOptions),
	.begin_decode = avro_begin_decode,
	.decode = avro_decode,
	.begin_encode = avro_begin_encode,
	.encode = avro_encode,
	.container = &avro_container,
};
