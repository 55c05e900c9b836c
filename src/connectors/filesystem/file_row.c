/*
 * file_row.c
 *		Rows of one file after the other.
 *
 * Columns come from the file's records or units, from the parts of its path
 * (partition columns), and from what is known of file and record (metadata).
 *
 * Option on_error says what becomes of a bad record: an error that names file
 * and line, a notice, or a row that has nothing but the bad record.  Unless it is
 * an error, all columns are read whatever the query needs, so that every query
 * sees the same rows.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "connectors/filesystem/file_row.h"
#include "core/compat.h"
#include "formats/convert.h"

/* Notices of skipped records; the rest is only counted. */
#define MAX_NOTICES		10

static bool ends_with_carriage(FileReader *reader);
static void fill_fixed(FileReader *reader);
static bool next_record(FileReader *reader, Datum *values, bool *isnull);
static bool next_of_unit(FileReader *reader, Datum *values, bool *isnull);
static bool decode(FileReader *reader, const char *record, Size len, int64 line,
				   Datum *values, bool *isnull, FeathubDecodeError *error);
static bool decode_guarded(FileReader *reader, const char *record, Size len,
						   Datum *values, bool *isnull, FeathubDecodeError *error);
static bool reject(FileReader *reader, const char *record, Size len, int64 line,
				   Datum *values, bool *isnull, const FeathubDecodeError *error);
static bool may_raise(FileReader *reader);
static void record_error_context(void *arg);
static Size read_input(FeathubInput *input, int64 offset, void *buffer, Size len);

typedef struct ErrorPlace
{
	FileReader *reader;
	int64		line;
} ErrorPlace;

FileReader *
FeathubFileRowsBegin(FeathubRelation *rel, const FilePlace *place, Bitmapset *needed)
{
	FileReader *reader = palloc0(sizeof(FileReader));
	FileOptions *options = rel->options;
	int			natts = Max(rel->tupdesc->natts, 1);

	reader->rel = rel;
	reader->place = place;
	reader->context = CurrentMemoryContext;
	if (options->on_error != FILE_ON_ERROR_STOP)
		needed = NULL;
	FeathubFileColumnsOf(rel, needed, &reader->columns);
	reader->partitions = FeathubFilePartitions(&reader->columns);
	reader->found = palloc0(sizeof(bool) * Max(reader->columns.npartitions, 1));
	reader->values = palloc0(sizeof(Datum) * natts);
	reader->isnull = palloc(sizeof(bool) * natts);
	reader->file_context = AllocSetContextCreate(CurrentMemoryContext, "feathub file",
												 ALLOCSET_DEFAULT_SIZES);
	reader->lines.context = CurrentMemoryContext;
	if (rel->format->container == NULL)
	{
		reader->decoder = FeathubDecoderBegin(rel->format, rel->tupdesc, reader->columns.nfields,
											  reader->columns.fields, rel->format_options);
		FeathubFileFramingOf(rel, &reader->lines.framing);
	}
	reader->may_raise = options->on_error != FILE_ON_ERROR_STOP && may_raise(reader);
	return reader;
}

void
FeathubFileRowsOpen(FileReader *reader, const char *name)
{
	FileOptions *options = reader->rel->options;
	const FeathubFormat *format = reader->rel->format;
	MemoryContext old;

	FeathubFileRowsClose(reader);
	old = MemoryContextSwitchTo(reader->file_context);
	reader->full_name = FeathubFileFullName(reader->place, name);
	reader->source = FeathubFileSourceOpen(reader->place, name,
										   format->container ? FILE_COMPRESSION_NONE :
										   options->compression);
	fill_fixed(reader);
	reader->ending_known = false;
	reader->unit = -1;
	if (format->container != NULL)
	{
		reader->input.name = reader->full_name;
		reader->input.size = reader->source->stat.st_size;
		reader->input.read_at = read_input;
		reader->input.state = reader->source;
		reader->container = FeathubFileReaderOpen(format, &reader->input, reader->rel->tupdesc,
													 reader->columns.nfields,
													 reader->columns.fields,
													 reader->rel->format_options);
	}
	MemoryContextSwitchTo(old);
}

void
FeathubFileRowsClose(FileReader *reader)
{
	if (reader->full_name == NULL)
		return;
	if (reader->container)
		reader->rel->format->container->close_reader(reader->container);
	reader->counts.bytes += reader->source->read;
	FeathubFileSourceClose(reader->source);
	reader->container = NULL;
	reader->source = NULL;
	reader->full_name = NULL;
	MemoryContextReset(reader->file_context);
}

bool
FeathubFileRowsIsSplittable(FileReader *reader)
{
	const FileFraming *framing = &reader->lines.framing;

	return reader->container == NULL &&
		reader->source->compression == FILE_COMPRESSION_NONE &&
		(!framing->quoted || (framing->escape == framing->quote && !ends_with_carriage(reader)));
}

/* Do records end with carriage returns alone?  Looks into the file once. */
static bool
ends_with_carriage(FileReader *reader)
{
	FileSource *source = reader->source;
	char	   *sample;
	Size		len = 0;
	Size		n;

	if (reader->ending_known)
		return reader->carriage;
	sample = palloc(FILE_FRAME_SAMPLE);
	source->position = 0;
	source->eof = false;
	while (len < FILE_FRAME_SAMPLE &&
		   (n = FeathubFileSourceRead(source, sample + len, FILE_FRAME_SAMPLE - len)) > 0)
		len += n;
	source->position = 0;
	source->eof = false;
	source->read -= len;
	reader->carriage = FeathubFrameIsCarriage(&reader->lines.framing, sample, len,
											  len < FILE_FRAME_SAMPLE);
	reader->ending_known = true;
	pfree(sample);
	return reader->carriage;
}

void
FeathubFileRowsStart(FileReader *reader)
{
	FeathubFileLinesStart(&reader->lines, reader->source);
	FeathubFileRowsSkipHeader(reader);
}

void
FeathubFileRowsSkipHeader(FileReader *reader)
{
	FileOptions *options = reader->rel->options;
	const char *record;
	Size		len;
	int64		line;

	if (options->header == FILE_HEADER_NONE ||
		reader->lines.offset + (int64) reader->lines.begin > 3)
		return;
	if (FeathubFileLinesNext(&reader->lines, &record, &len, &line) &&
		options->header == FILE_HEADER_MATCH)
		FeathubFileRowsCheckHeader(reader, reader->full_name, record, len);
}

int
FeathubFileRowsUnits(FileReader *reader)
{
	return reader->rel->format->container->count_units(reader->container);
}

bool
FeathubFileRowsStartUnit(FileReader *reader, int unit)
{
	const FeathubContainer *container = reader->rel->format->container;

	if (reader->nbounds > 0 && container->unit_may_match &&
		!container->unit_may_match(reader->container, unit, reader->nbounds, reader->bounds))
	{
		reader->counts.units_skipped++;
		return false;
	}
	reader->counts.units++;
	reader->unit = unit;
	container->start_unit(reader->container, unit);
	return true;
}

bool
FeathubFileRowsNext(FileReader *reader, Datum *values, bool *isnull)
{
	const FileColumns *columns = &reader->columns;
	bool		found;

	found = reader->container ? next_of_unit(reader, values, isnull) :
		next_record(reader, values, isnull);
	if (!found)
		return false;
	for (int i = 0; i < columns->npartitions; i++)
	{
		int			index = columns->partitions[i].attnum - 1;

		values[index] = reader->values[index];
		isnull[index] = reader->isnull[index];
	}
	for (int i = 0; i < FILE_META_COUNT; i++)
	{
		int			index = columns->metadata[i] - 1;

		if (index < 0 || i == FILE_META_LINE || i == FILE_META_RECORD || i == FILE_META_REASON)
			continue;
		values[index] = reader->values[index];
		isnull[index] = reader->isnull[index];
	}
	return true;
}

void
FeathubFileRowsReport(FileReader *reader)
{
	FileOptions *options = reader->rel->options;

	if (options->on_error == FILE_ON_ERROR_SKIP && reader->rejected > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld bad record of foreign table \"%s\" was skipped",
							   "%lld bad records of foreign table \"%s\" were skipped",
							   reader->rejected,
							   (long long) reader->rejected, reader->rel->relname)));
}

/* What is the same for all rows of the file. */
static void
fill_fixed(FileReader *reader)
{
	const FileColumns *columns = &reader->columns;
	const struct stat *st = &reader->source->stat;
	const AttrNumber *metadata = columns->metadata;

	FeathubFilePartitionValues(reader->partitions, reader->full_name, reader->values,
							   reader->isnull, reader->found);
	for (int i = 0; i < columns->npartitions; i++)
	{
		if (!reader->found[i])
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("path \"%s\" has no value for partition column \"%s\"",
							reader->full_name, columns->partitions[i].name),
					 errdetail("A folder named \"%s=value\" is expected.",
							   columns->partitions[i].name)));
	}
	if (metadata[FILE_META_PATH] > 0)
	{
		if (!pg_verifymbstr(reader->full_name, strlen(reader->full_name), true))
			ereport(ERROR,
					(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
					 errmsg("name of file \"%s\" is not valid in encoding \"%s\"",
							pg_any_to_server(reader->full_name, strlen(reader->full_name),
											 PG_SQL_ASCII), GetDatabaseEncodingName())));
		reader->values[metadata[FILE_META_PATH] - 1] = CStringGetTextDatum(reader->full_name);
		reader->isnull[metadata[FILE_META_PATH] - 1] = false;
	}
	if (metadata[FILE_META_MODIFIED] > 0)
	{
		TimestampTz modified = time_t_to_timestamptz(st->st_mtime) +
			st->st_mtim.tv_nsec / 1000;

		reader->values[metadata[FILE_META_MODIFIED] - 1] = TimestampTzGetDatum(modified);
		reader->isnull[metadata[FILE_META_MODIFIED] - 1] = false;
	}
	if (metadata[FILE_META_SIZE] > 0)
	{
		reader->values[metadata[FILE_META_SIZE] - 1] = Int64GetDatum(st->st_size);
		reader->isnull[metadata[FILE_META_SIZE] - 1] = false;
	}
}

void
FeathubFileRowsPrepareHeader(FileReader *reader)
{
	FeathubRelation *rel = reader->rel;
	FileOptions *options = rel->options;
	MemoryContext old;
	FileColumns columns;
	FeathubColumn *names;
	TupleDesc	tupdesc;

	if (reader->header_decoder != NULL || options->header != FILE_HEADER_MATCH)
		return;
	old = MemoryContextSwitchTo(reader->context);
	FeathubFileColumnsOf(rel, NULL, &columns);
	/* the names are texts of no table, whose columns' defaults they never are */
	tupdesc = CreateTupleDescCopy(rel->tupdesc);
	tupdesc->tdtypeid = RECORDOID;
	names = palloc0(sizeof(FeathubColumn) * Max(columns.nfields, 1));
	for (int i = 0; i < columns.nfields; i++)
	{
		names[i].attnum = columns.fields[i].attnum;
		names[i].name = columns.fields[i].name;
		names[i].typid = TEXTOID;
		names[i].typmod = -1;
	}
	reader->header_decoder = FeathubDecoderBegin(rel->format, tupdesc, columns.nfields,
												 names, rel->format_options);
	MemoryContextSwitchTo(old);
}

/* header 'match': the names of the columns, in their order. */
void
FeathubFileRowsCheckHeader(FileReader *reader, const char *full_name,
						   const char *record, Size len)
{
	FeathubRelation *rel = reader->rel;
	FileColumns columns;
	MemoryContext old;
	Datum	   *values;
	bool	   *isnull;
	FeathubDecodeError error = {0};

	FeathubFileRowsPrepareHeader(reader);
	old = MemoryContextSwitchTo(reader->file_context);
	FeathubFileColumnsOf(rel, NULL, &columns);
	values = palloc0(sizeof(Datum) * Max(rel->tupdesc->natts, 1));
	isnull = palloc0(sizeof(bool) * Max(rel->tupdesc->natts, 1));
	if (!FeathubDecode(reader->header_decoder, record, len, values, isnull, &error))
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("header of file \"%s\" does not fit foreign table \"%s\": %s",
						full_name, rel->relname, error.message)));
	for (int i = 0; i < columns.nfields; i++)
	{
		int			index = columns.fields[i].attnum - 1;
		char	   *name = isnull[index] ? NULL : TextDatumGetCString(values[index]);

		if (name == NULL || strcmp(name, columns.fields[i].name) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
					 errmsg("column name mismatch in header of file \"%s\", field %d: got %s%s%s, expected \"%s\"",
							full_name, i + 1, name ? "\"" : "",
							name ? name : "null value", name ? "\"" : "",
							columns.fields[i].name)));
	}
	MemoryContextSwitchTo(old);
}

static bool
next_record(FileReader *reader, Datum *values, bool *isnull)
{
	AttrNumber	line_column = reader->columns.metadata[FILE_META_LINE];
	const char *record;
	Size		len;
	int64		line;

	for (;;)
	{
		FeathubDecodeError error = {0};

		if (!FeathubFileLinesNext(&reader->lines, &record, &len, &line))
			return false;
		reader->counts.records++;
		/* between records of json, empty lines are white space */
		if (len == 0 && !reader->rel->format->positional)
			continue;
		if (!decode(reader, record, len, line, values, isnull, &error) &&
			!reject(reader, record, len, line, values, isnull, &error))
			continue;
		if (line_column > 0)
		{
			values[line_column - 1] = Int64GetDatum(line);
			isnull[line_column - 1] = false;
		}
		return true;
	}
}

static bool
next_of_unit(FileReader *reader, Datum *values, bool *isnull)
{
	const FeathubContainer *container = reader->rel->format->container;

	if (reader->unit < 0)
		return false;
	for (;;)
	{
		FeathubDecodeError error = {0};

		CHECK_FOR_INTERRUPTS();
		if (!container->read_row(reader->container, values, isnull, &error))
		{
			reader->unit = -1;
			return false;
		}
		if (error.message == NULL || reject(reader, NULL, 0, 0, values, isnull, &error))
			return true;
	}
}

static bool
decode(FileReader *reader, const char *record, Size len, int64 line,
	   Datum *values, bool *isnull, FeathubDecodeError *error)
{
	ErrorContextCallback callback;
	ErrorPlace	place = {reader, line};
	bool		ok;

	callback.callback = record_error_context;
	callback.arg = &place;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	/* a worker cannot begin a subtransaction: there such an error stands */
	if (reader->may_raise && !IsInParallelMode())
		ok = decode_guarded(reader, record, len, values, isnull, error);
	else
		ok = FeathubDecode(reader->decoder, record, len, values, isnull, error);
	error_context_stack = callback.previous;
	return ok;
}

/* Decode where an input function may raise an error of the record. */
static bool
decode_guarded(FileReader *reader, const char *record, Size len,
			   Datum *values, bool *isnull, FeathubDecodeError *error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		ok = FeathubDecode(reader->decoder, record, len, values, isnull, error);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *data;

		MemoryContextSwitchTo(context);
		data = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		/* only what the record is to blame for */
		if (ERRCODE_TO_CATEGORY(data->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
			ERRCODE_TO_CATEGORY(data->sqlerrcode) != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
			ReThrowError(data);
		error->sqlerrcode = data->sqlerrcode;
		error->message = data->message;
		ok = false;
	}
	PG_END_TRY();
	return ok;
}

/*
 * A bad record: an error, a notice, or a row.  True if there is a row.
 * record is NULL for one of a container.
 */
static bool
reject(FileReader *reader, const char *record, Size len, int64 line,
	   Datum *values, bool *isnull, const FeathubDecodeError *error)
{
	FileOptions *options = reader->rel->options;
	const AttrNumber *metadata = reader->columns.metadata;
	ErrorContextCallback callback;
	ErrorPlace	place = {reader, line};
	int64		total;

	if (reader->quiet)
		return false;
	if (options->on_error == FILE_ON_ERROR_STOP)
	{
		callback.callback = record_error_context;
		callback.arg = &place;
		callback.previous = error_context_stack;
		error_context_stack = &callback;
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg_internal("%s", error->message)));
	}

	reader->counts.rejected++;
	total = ++reader->rejected;
	if (reader->all_rejected != NULL)
		total = pg_atomic_add_fetch_u64(reader->all_rejected, 1);
	if (options->reject_limit >= 0 && total > options->reject_limit)
	{
		callback.callback = record_error_context;
		callback.arg = &place;
		callback.previous = error_context_stack;
		error_context_stack = &callback;
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("foreign table \"%s\" has more than %lld bad records",
						reader->rel->relname, (long long) options->reject_limit),
				 errdetail("The last of them: %s", error->message),
				 errhint("Raise option \"reject_limit\", or mend the files.")));
	}

	if (options->on_error == FILE_ON_ERROR_SKIP)
	{
		if (reader->rejected <= MAX_NOTICES)
			ereport(NOTICE,
					(errcode(error->sqlerrcode),
					 record == NULL ?
					 errmsg("skipping row of file \"%s\": %s", reader->full_name, error->message) :
					 errmsg("skipping line %lld of file \"%s\": %s", (long long) line,
							reader->full_name, error->message)));
		return false;
	}

	memset(isnull, true, sizeof(bool) * reader->rel->tupdesc->natts);
	if (metadata[FILE_META_REASON] > 0)
	{
		values[metadata[FILE_META_REASON] - 1] = CStringGetTextDatum(error->message);
		isnull[metadata[FILE_META_REASON] - 1] = false;
	}
	if (metadata[FILE_META_RECORD] > 0 && record != NULL)
	{
		AttrNumber	attnum = metadata[FILE_META_RECORD];
		Oid			type = TupleDescAttr(reader->rel->tupdesc, attnum - 1)->atttypid;

		/* text as far as it is text: bytes that are not show as in a bytea */
		if (type == BYTEAOID || (pg_verifymbstr(record, len, true) && memchr(record, '\0', len) == NULL))
			values[attnum - 1] = PointerGetDatum(cstring_to_text_with_len(record, len));
		else
		{
			Datum		bytes = PointerGetDatum(cstring_to_text_with_len(record, len));

			values[attnum - 1] = DirectFunctionCall2(binary_encode, bytes,
													 CStringGetTextDatum("escape"));
		}
		isnull[attnum - 1] = false;
	}
	return true;
}

/* Has a column a type whose input function reports bad input by an error? */
static bool
may_raise(FileReader *reader)
{
	FeathubConvertSettings settings = {0};

	for (int i = 0; i < reader->columns.nfields; i++)
	{
		FeathubConverter *converter = FeathubConverterMake(reader->columns.fields[i].typid,
														   reader->columns.fields[i].typmod,
														   &settings);

		if (converter->is_domain || converter->kind == FEATHUB_CONVERT_OTHER ||
			converter->kind == FEATHUB_CONVERT_ARRAY ||
			converter->kind == FEATHUB_CONVERT_COMPOSITE ||
			FeathubKindIsJson(converter->kind))
			return true;
	}
	return false;
}

static void
record_error_context(void *arg)
{
	ErrorPlace *place = arg;

	if (place->line > 0)
		errcontext("line %lld of file \"%s\" of foreign table \"%s\"",
				   (long long) place->line, place->reader->full_name,
				   place->reader->rel->relname);
	else
		errcontext("file \"%s\" of foreign table \"%s\"", place->reader->full_name,
				   place->reader->rel->relname);
}

static Size
read_input(FeathubInput *input, int64 offset, void *buffer, Size len)
{
	return FeathubFileSourceReadAt(input->state, offset, buffer, len);
}
