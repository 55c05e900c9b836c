/*
 * file_stream_row.c
 *		Rows of followed files' records, and of those kept as dead letters.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "connectors/filesystem/file_stream.h"

/* Decode a line and fill the columns that come from elsewhere.  path may be NULL. */
static bool
decode_line(FileStream *state, FeathubRecord *record, HeapTuple tuple, const char *path,
			int64 line, const StreamFile *file, Datum *values, bool *isnull,
			FeathubDecodeError *error)
{
	FileReader *reader = state->reader;
	const FileColumns *columns = &reader->columns;
	const AttrNumber *metadata = columns->metadata;

	memset(isnull, true, sizeof(bool) * state->stream->rel->tupdesc->natts);
	if (tuple != NULL)
		heap_deform_tuple(tuple, state->stream->rel->tupdesc, values, isnull);
	else if (!FeathubDecode(reader->decoder, record->value, record->value_len, values, isnull,
							error))
		return false;
	if (tuple == NULL && reader->decoder->format->changelog)
	{
		record->change = reader->decoder->change;
		record->change_time = reader->decoder->change_time;
	}
	if (columns->npartitions > 0 && path != NULL)
	{
		memset(reader->found, 0, sizeof(bool) * columns->npartitions);
		(void) FeathubFilePartitionValues(reader->partitions, path, values, isnull, reader->found);
		for (int i = 0; i < columns->npartitions; i++)
		{
			if (reader->found[i])
				continue;
			error->sqlerrcode = ERRCODE_FDW_ERROR;
			error->message = psprintf("path \"%s\" has no value for partition column \"%s\"",
									  path, columns->partitions[i].name);
			return false;
		}
	}
	if (metadata[FILE_META_PATH] > 0 && path != NULL && pg_verifymbstr(path, strlen(path), true))
	{
		values[metadata[FILE_META_PATH] - 1] = CStringGetTextDatum(path);
		isnull[metadata[FILE_META_PATH] - 1] = false;
	}
	if (metadata[FILE_META_LINE] > 0 && line > 0)
	{
		values[metadata[FILE_META_LINE] - 1] = Int64GetDatum(line);
		isnull[metadata[FILE_META_LINE] - 1] = false;
	}
	if (metadata[FILE_META_MODIFIED] > 0 && record->timestamp != DT_NOBEGIN)
	{
		values[metadata[FILE_META_MODIFIED] - 1] = TimestampTzGetDatum(record->timestamp);
		isnull[metadata[FILE_META_MODIFIED] - 1] = false;
	}
	if (metadata[FILE_META_SIZE] > 0 && file != NULL)
	{
		values[metadata[FILE_META_SIZE] - 1] = Int64GetDatum(file->size);
		isnull[metadata[FILE_META_SIZE] - 1] = false;
	}
	return true;
}

bool
FeathubFileDecodeRecord(FeathubStream *stream, FeathubRecord *record,
						Datum *values, bool *isnull, FeathubDecodeError *error)
{
	FileStream *state = stream->state;
	RecordInfo *info = record->raw;
	const FileColumns *columns = &state->reader->columns;
	char	   *path = NULL;

	if (info->error.message != NULL)
	{
		*error = info->error;
		error->message = pstrdup(info->error.message);
		return false;
	}
	if (columns->npartitions > 0 || columns->metadata[FILE_META_PATH] > 0)
		path = FeathubFileFullName(state->place, info->file->path);
	return decode_line(state, record, info->tuple, path, info->line, info->file, values, isnull,
					   error);
}

static bool
no_such_row(FeathubDecodeError *error, char *message)
{
	error->sqlerrcode = ERRCODE_UNDEFINED_FILE;
	error->message = message;
	error->attnum = 0;
	return false;
}

/* A row of a whole file once more, by where it is; not of another file there. */
static bool
read_stored_row(FileStream *state, const char *partition, const char *path, int64 row,
				HeapTuple *tuple, FeathubDecodeError *error)
{
	const char *base = strcmp(state->place->base, "/") == 0 ? "" : state->place->base;
	Size		len = strlen(base);
	StreamFile *file;

	if (path == NULL || strncmp(path, base, len) != 0 || path[len] != '/')
		return no_such_row(error, pstrdup("the file of the row is not known any more"));
	if (!FeathubFileFollowFind(state, path + len + 1) || (file = FeathubFileFollowByName(state, partition)) == NULL ||
		strcmp(file->path, path + len + 1) != 0)
		return no_such_row(error, psprintf("file \"%s\", which had the row, is gone", path));
	state->whole = NULL;
	FeathubFileRowsOpen(state->reader, path + len + 1);
	state->units = FeathubFileRowsUnits(state->reader);
	state->unit = state->row = state->unit_rows = 0;
	if (state->units > 0)
		state->container->start_unit(state->reader->container, 0);
	while (state->row <= row)
	{
		if (!FeathubFileFollowNextRow(state, error))
			return no_such_row(error, psprintf("file \"%s\" has no row " INT64_FORMAT, path, row + 1));
	}
	if (error->message != NULL)
		return false;
	*tuple = heap_form_tuple(state->stream->rel->tupdesc, state->values, state->isnull);
	return true;
}

/* A text of a dead letter's headers, or NULL. */
static char *
header_text(Jsonb *headers, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&headers->root, name, strlen(name), NULL);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

bool
FeathubFileDecodeStored(FeathubStream *stream, const char *partition,
						FeathubRecord *record, Datum headers,
						bool headers_isnull, Datum *values, bool *isnull,
						FeathubDecodeError *error)
{
	Jsonb	   *object = headers_isnull ? NULL : DatumGetJsonbP(headers);
	char	   *path = object && JB_ROOT_IS_OBJECT(object) ? header_text(object, "path") : NULL;
	char	   *line = object && JB_ROOT_IS_OBJECT(object) ? header_text(object, "line") : NULL;
	FileStream *state = stream->state;
	HeapTuple	tuple = NULL;
	bool		ok = true;

	if (state->container != NULL)
		ok = read_stored_row(state, partition, path, record->sequence & OFFSET_MASK, &tuple,
							 error);
	ok = ok && decode_line(state, record, tuple, path, line ? strtoll(line, NULL, 10) : 0, NULL,
						   values, isnull, error);
	if (state->container != NULL)
		FeathubFileRowsClose(state->reader);
	return ok;
}

void
FeathubFileDescribeRecord(FeathubStream *stream, const FeathubRecord *record, StringInfo out)
{
	FileStream *state = stream->state;
	RecordInfo *info = record->raw;

	if (state->container != NULL)
		appendStringInfo(out, "row " INT64_FORMAT, (record->sequence & OFFSET_MASK) + 1);
	else
		appendStringInfo(out, "byte " INT64_FORMAT, record->sequence & OFFSET_MASK);
	if (info->line > 0)
		appendStringInfo(out, " (line " INT64_FORMAT ")", info->line);
	appendStringInfo(out, " of file \"%s\"", FeathubFileFullName(state->place, info->file->path));
}

/* Where the record is: dead letters are decoded again with it. */
Datum
FeathubFileRecordHeaders(FeathubStream *stream, const FeathubRecord *record, bool *isnull)
{
	FileStream *state = stream->state;
	RecordInfo *info = record->raw;
	char	   *path = FeathubFileFullName(state->place, info->file->path);
	StringInfoData text;

	*isnull = !pg_verifymbstr(path, strlen(path), true);
	if (*isnull)
		return (Datum) 0;
	initStringInfo(&text);
	appendStringInfoString(&text, "{\"path\": ");
	escape_json(&text, path);
	if (info->line > 0)
		appendStringInfo(&text, ", \"line\": \"" INT64_FORMAT "\"", info->line);
	appendStringInfoChar(&text, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}
