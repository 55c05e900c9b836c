/*
 * avro_file.c
 *		Format avro: object container files.  (Messages are in avro_message.c.)
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
#include "formats/avro_message.h"
#include "formats/format_private.h"

#define SYNC_LEN 16

/* Bytes of a unit, of a read, and the longest header. */
#define UNIT_BYTES (16 * 1024 * 1024)
#define READ_BYTES (256 * 1024)
#define MAX_HEADER (16 * 1024 * 1024)

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
	FeathubAvroRecordReader records;

	int64		unit_end;		/* markers from here on are of another unit */
	int64		marker;			/* the marker before the next block */
	StringInfoData raw;			/* a block as it is in the file */
	StringInfoData block;		/* decompressed */
	int64		left;			/* records of the block */
	FeathubAvroCursor cursor;
	MemoryContext block_context;
	MemoryContext row_context;
} AvroReader;

typedef struct AvroWriter
{
	FeathubFileWriter base;
	FeathubOutput *output;
	FeathubAvroOptions *options;
	MemoryContext context;
	FeathubAvroRecordWriter records;
	unsigned char sync[SYNC_LEN];
	StringInfoData block;
	StringInfoData compressed;
	int64		count;			/* records of the block */
	MemoryContext row_context;
} AvroWriter;

static void
damaged(const char *file, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not read Avro file \"%s\"", file),
			 errdetail_internal("%s", detail)));
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
	(void) FeathubAvroMatchRecords(&reader->records, &FeathubAvroFormat, root, ncolumns, columns,
								   options, input->name, psprintf("file \"%s\"", input->name),
								   reader->row_context, NULL);
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
	ok = FeathubAvroReadRecord(&reader->records, &reader->cursor, values, isnull, error);
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

	(void) open_file(input, &root);
	return FeathubAvroColumnDefs(root);
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
	FeathubAvroMakeRecordWriter(&writer->records, &FeathubAvroFormat, NULL, tupdesc, ncolumns,
								columns, options);
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

	FeathubAvroWriteRecord(&writer->records, values, isnull, &writer->block);
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
	.options = FeathubAvroFileOptions,
	.options_size = sizeof(FeathubAvroOptions),
	.uses_carrier = true,
	.begin_decode = FeathubAvroBeginDecode,
	.decode = FeathubAvroDecode,
	.begin_encode = FeathubAvroBeginEncode,
	.encode = FeathubAvroEncode,
	.describe_schema = FeathubAvroDescribe,
	.container = &avro_container,
};
