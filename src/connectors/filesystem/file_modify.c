/*
 * file_modify.c
 *		INSERT and COPY: new files.
 *
 * A statement writes files of its own, one for each combination of values of
 * the partition columns and another whenever one is large enough.  They get
 * their names when the transaction commits (file_pending.c); files that were
 * there before are never touched.  Where the path is a folder, or is to be one,
 * their names are made up so that no two are alike:
 *		<file_prefix>-<16 random hexadecimal digits>-<number>.<format>
 * A path that does not exist and ends as files of the format do is one new file.
 */
#include "postgres.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "connectors/filesystem/file_pending.h"
#include "core/compat.h"
#include "formats/convert.h"

/* Files that are open at a time; one more closes the one not used longest. */
#define MAX_OPEN		64
#define MAX_OPEN_CONTAINERS 8

/* A buffer larger than this is not kept for the next row. */
#define BUFFER_KEEP		(1024 * 1024)

typedef struct NewFile
{
	char	   *folder;			/* relative to the place's base */
	char	   *name;
	FileSink   *sink;
	FeathubOutput output;		/* of a container */
	FeathubFileWriter *writer;
	int64		rows;
	uint64		used;			/* when, for the choice of what to close */
	MemoryContext context;
	struct NewFile *next;
} NewFile;

typedef struct FileModifyState
{
	FeathubRelation *rel;
	FilePlace  *place;
	FileColumns columns;
	char	   *single;			/* the path is this one file, or NULL */
	char	   *folder;
	FileCompression compression;
	int64		max_size;		/* 0: no limit */
	FeathubEncoder *encoder;	/* NULL: a container */
	FeathubEncoder *header;		/* NULL: none is written */
	FmgrInfo   *partition_output;
	StringInfoData record;
	StringInfoData path;		/* of the row's partition */
	NewFile    *files;			/* open ones */
	int			nfiles;
	uint64		clock;
	uint64		random;			/* in the names */
	int			number;			/* of the last file */
	int64		nwritten;		/* files finished */
	MemoryContext context;
} FileModifyState;

static void find_target(FileModifyState *state);
static void begin_header(FileModifyState *state);
static void write_row(FileModifyState *state, TupleTableSlot *slot);
static void set_partition(FileModifyState *state, TupleTableSlot *slot);
static NewFile *file_of_row(FileModifyState *state);
static NewFile *open_file(FileModifyState *state);
static void finish_file(FileModifyState *state, NewFile *file);
static void write_header(FileModifyState *state, NewFile *file);
static void check_record(FileModifyState *state);
static void write_output(FeathubOutput *output, const void *data, Size len);

void
FeathubFileBeginModify(FeathubModify *modify)
{
	FeathubRelation *rel = modify->rel;
	FileOptions *options = rel->options;
	FileModifyState *state = palloc0(sizeof(FileModifyState));

	state->rel = rel;
	state->context = modify->context;
	state->place = FeathubFilePlaceOf(rel, true);
	FeathubFileColumnsOf(rel, NULL, &state->columns);
	state->compression = options->compression;
	if (options->max_file_size)
		state->max_size = FeathubFileParseSize("max_file_size", options->max_file_size);
	if (rel->format->container != NULL)
	{
		if (rel->format->container->open_writer == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot insert into foreign table \"%s\", because format \"%s\" cannot be written",
							rel->relname, rel->format->name)));
	}
	else
	{
		if (rel->format->begin_encode == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot insert into foreign table \"%s\", because format \"%s\" cannot be written",
							rel->relname, rel->format->name)));
		state->encoder = FeathubEncoderBegin(rel->format, rel->tupdesc, state->columns.nfields,
											 state->columns.fields, rel->format_options);
		if (options->header != FILE_HEADER_NONE)
			begin_header(state);
	}
	state->partition_output = palloc0(sizeof(FmgrInfo) * Max(state->columns.npartitions, 1));
	for (int i = 0; i < state->columns.npartitions; i++)
	{
		FeathubColumn *column = &state->columns.partitions[i];
		Oid			output;
		bool		varlena;

		if (strpbrk(column->name, "/=") != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
					 errmsg("partition column \"%s\" of foreign table \"%s\" cannot be written",
							column->name, rel->relname),
					 errdetail("Its name cannot be part of a folder's name.")));
		getTypeOutputInfo(column->typid, &output, &varlena);
		fmgr_info(output, &state->partition_output[i]);
	}
	find_target(state);
	initStringInfo(&state->record);
	initStringInfo(&state->path);
	if (!pg_strong_random(&state->random, sizeof(state->random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	modify->state = state;
}

void
FeathubFileInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots)
{
	FileModifyState *state = modify->state;

	for (int i = 0; i < nslots; i++)
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slots[i]);
		write_row(state, slots[i]);
	}
}

void
FeathubFileEndModify(FeathubModify *modify)
{
	FileModifyState *state = modify->state;

	while (state != NULL && state->files != NULL)
		finish_file(state, state->files);
}

/* FeathubConnector.explain_modify */
void
FeathubFileExplainModify(FeathubModify *modify, ExplainState *es)
{
	FileOptions *options = modify->rel->options;
	FileModifyState *state = modify->state;

	ExplainPropertyText("Path", options->path, es);
	ExplainPropertyText("Format", modify->rel->format->name, es);
	if (es->analyze && state != NULL)
		ExplainPropertyInteger("Files Written", NULL, state->nwritten + state->nfiles, es);
}

/* Is the path a folder, or one file to be made? */
static void
find_target(FileModifyState *state)
{
	const FilePlace *place = state->place;
	FileOptions *options = state->rel->options;
	struct stat st;
	int			fd;

	if (FeathubFileIsPattern(place->pattern))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into foreign table \"%s\", whose path is a pattern",
						state->rel->relname),
				 errhint("Use a foreign table whose path is a folder.")));
	state->folder = place->pattern;
	fd = FeathubFileOpen(place, place->pattern, O_RDONLY | O_NONBLOCK, 0);
	if (fd >= 0)
	{
		int			status = fstat(fd, &st);

		close(fd);
		if (status == 0 && S_ISDIR(st.st_mode))
			return;
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("cannot insert into foreign table \"%s\", because file \"%s\" exists",
						state->rel->relname, FeathubFileFullName(place, place->pattern)),
				 errhint("Files are never changed: use a path that is a folder.")));
	}
	if (errno != ENOENT)
		FeathubFileError(place, place->pattern, "open");

	/* a name with an ending is that of a file */
	if (state->columns.npartitions == 0 && place->pattern[0] != '\0')
	{
		const char *name = strrchr(place->pattern, '/');

		name = name ? name + 1 : place->pattern;
		if (strchr(name, '.') != NULL)
		{
			state->single = pstrdup(name);
			state->folder = pnstrdup(place->pattern, Max(name - place->pattern - 1, 0));
			if (options->compression == FILE_COMPRESSION_AUTO && state->encoder)
				state->compression = FeathubFileCompressionOf(name);
		}
	}
}

/* The header is a record of the columns' names. */
static void
begin_header(FileModifyState *state)
{
	FileColumns *columns = &state->columns;
	FeathubColumn *names = palloc0(sizeof(FeathubColumn) * Max(columns->nfields, 1));

	for (int i = 0; i < columns->nfields; i++)
	{
		names[i].attnum = columns->fields[i].attnum;
		names[i].name = columns->fields[i].name;
		names[i].typid = TEXTOID;
		names[i].typmod = -1;
	}
	state->header = FeathubEncoderBegin(state->rel->format, state->rel->tupdesc,
										columns->nfields, names, state->rel->format_options);
}

static void
write_row(FileModifyState *state, TupleTableSlot *slot)
{
	FileOptions *options = state->rel->options;
	NewFile    *file;

	for (int i = 0; i < FILE_META_COUNT; i++)
	{
		AttrNumber	attnum = state->columns.metadata[i];

		if (attnum > 0 && !slot->tts_isnull[attnum - 1])
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot insert into column \"%s\" of foreign table \"%s\"",
							NameStr(TupleDescAttr(state->rel->tupdesc, attnum - 1)->attname),
							state->rel->relname),
					 errdetail("Columns with option \"metadata\" tell about files.")));
	}
	set_partition(state, slot);
	file = file_of_row(state);
	if (file->writer)
		state->rel->format->container->write_row(file->writer, slot->tts_values,
												 slot->tts_isnull);
	else
	{
		if (state->record.maxlen > BUFFER_KEEP)
		{
			MemoryContext old = MemoryContextSwitchTo(state->context);

			pfree(state->record.data);
			initStringInfo(&state->record);
			MemoryContextSwitchTo(old);
		}
		resetStringInfo(&state->record);
		if (!FeathubEncode(state->encoder, slot->tts_values, slot->tts_isnull, &state->record))
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("cannot write NULL in format \"%s\" to foreign table \"%s\"",
							state->rel->format->name, state->rel->relname)));
		check_record(state);
		appendStringInfoChar(&state->record, '\n');
		FeathubFileSinkWrite(file->sink, state->record.data, state->record.len);
	}
	file->rows++;
	file->used = ++state->clock;
	if (state->single == NULL &&
		((options->max_file_rows > 0 && file->rows >= options->max_file_rows) ||
		 (state->max_size > 0 && file->sink->written + (int64) file->sink->buffer_len >= state->max_size)))
		finish_file(state, file);
}

/* Fill state->path from the partition columns of a row. */
static void
set_partition(FileModifyState *state, TupleTableSlot *slot)
{
	FeathubTextModes save;

	resetStringInfo(&state->path);
	appendStringInfoString(&state->path, state->folder);
	if (state->columns.npartitions == 0)
		return;
	FeathubTextModesSet(&save, NULL);
	PG_TRY();
	{
		for (int i = 0; i < state->columns.npartitions; i++)
		{
			FeathubColumn *column = &state->columns.partitions[i];
			char	   *value;

			if (state->path.len > 0)
				appendStringInfoChar(&state->path, '/');
			appendStringInfo(&state->path, "%s=", column->name);
			if (slot->tts_isnull[column->attnum - 1])
			{
				appendStringInfoString(&state->path, FILE_HIVE_NULL);
				continue;
			}
			value = OutputFunctionCall(&state->partition_output[i],
									   slot->tts_values[column->attnum - 1]);
			if (strcmp(value, FILE_HIVE_NULL) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("cannot write \"%s\" to partition column \"%s\", because it stands for NULL",
								value, column->name)));
			for (const char *p = value; *p != '\0'; p++)
			{
				if (IS_HIGHBIT_SET(*p) || isalnum((unsigned char) *p) || strchr("_-.+ ", *p) != NULL)
					appendStringInfoChar(&state->path, *p);
				else
					appendStringInfo(&state->path, "%%%02X", (unsigned char) *p);
			}
		}
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&save);
	}
	PG_END_TRY();
}

/* The open file of the row's partition. */
static NewFile *
file_of_row(FileModifyState *state)
{
	NewFile    *oldest = NULL;

	for (NewFile *file = state->files; file != NULL; file = file->next)
	{
		if (strcmp(file->folder, state->path.data) == 0)
			return file;
		if (oldest == NULL || file->used < oldest->used)
			oldest = file;
	}
	if (state->nfiles >= (state->encoder ? MAX_OPEN : MAX_OPEN_CONTAINERS))
		finish_file(state, oldest);
	return open_file(state);
}

static NewFile *
open_file(FileModifyState *state)
{
	FileOptions *options = state->rel->options;
	MemoryContext context = AllocSetContextCreate(state->context, "feathub new file",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	NewFile    *file = palloc0(sizeof(NewFile));
	char	   *full;

	file->context = context;
	file->folder = pstrdup(state->path.data);
	if (state->single)
		file->name = pstrdup(state->single);
	else
		file->name = psprintf("%s-%016llx-%05d.%s%s", options->file_prefix,
							  (unsigned long long) state->random, ++state->number,
							  state->rel->format->name,
							  state->encoder ? FeathubFileCompressionSuffix(state->compression) : "");
	full = FeathubFileFullName(state->place,
							   psprintf("%s%s%s", file->folder, file->folder[0] ? "/" : "",
										file->name));
	file->sink = FeathubFileSinkBegin(FeathubFilePendingOpen(state->place, file->folder, file->name),
									  full, state->encoder ? state->compression : FILE_COMPRESSION_NONE,
									  options->compression_level);
	if (state->encoder == NULL)
	{
		file->output.name = full;
		file->output.write = write_output;
		file->output.state = file->sink;
		file->writer = FeathubFileWriterOpen(state->rel->format, &file->output,
											 state->rel->tupdesc, state->columns.nfields,
											 state->columns.fields, state->rel->format_options);
	}
	else if (state->header)
		write_header(state, file);
	MemoryContextSwitchTo(old);
	file->next = state->files;
	state->files = file;
	state->nfiles++;
	return file;
}

static void
finish_file(FileModifyState *state, NewFile *file)
{
	MemoryContext old = MemoryContextSwitchTo(file->context);

	if (file->writer)
		state->rel->format->container->finish_writer(file->writer);
	FeathubFileSinkFinish(file->sink);
	MemoryContextSwitchTo(old);
	for (NewFile **link = &state->files; *link != NULL; link = &(*link)->next)
	{
		if (*link == file)
		{
			*link = file->next;
			break;
		}
	}
	state->nfiles--;
	state->nwritten++;
	MemoryContextDelete(file->context);
}

static void
write_header(FileModifyState *state, NewFile *file)
{
	int			natts = Max(state->rel->tupdesc->natts, 1);
	Datum	   *values = palloc0(sizeof(Datum) * natts);
	bool	   *isnull = palloc0(sizeof(bool) * natts);
	StringInfoData record;

	for (int i = 0; i < state->columns.nfields; i++)
		values[state->columns.fields[i].attnum - 1] =
			CStringGetTextDatum(state->columns.fields[i].name);
	initStringInfo(&record);
	(void) FeathubEncode(state->header, values, isnull, &record);
	appendStringInfoChar(&record, '\n');
	FeathubFileSinkWrite(file->sink, record.data, record.len);
}

/* A record that is a line must not hold line feeds. */
static void
check_record(FileModifyState *state)
{
	StringInfo	record = &state->record;

	if (state->rel->format->quoting ||
		(memchr(record->data, '\n', record->len) == NULL &&
		 memchr(record->data, '\r', record->len) == NULL))
		return;
	if (state->rel->format->positional)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot write a line feed or carriage return in format \"%s\" to foreign table \"%s\"",
						state->rel->format->name, state->rel->relname)));
	/* in json it is white space: within strings it is escaped */
	for (int i = 0; i < record->len; i++)
	{
		if (record->data[i] == '\n' || record->data[i] == '\r')
			record->data[i] = ' ';
	}
}

static void
write_output(FeathubOutput *output, const void *data, Size len)
{
	FeathubFileSinkWrite(output->state, data, len);
	output->written += len;
}
