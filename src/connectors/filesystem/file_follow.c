/*
 * file_follow.c
 *		Reading files that jobs follow: lines, compressed files, whole files.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "connectors/filesystem/file_stream.h"

/* Identity, size and time of an open file. */
void
FeathubFileFollowStat(FileStream *state, const char *path, int fd, FileIdentity *identity, struct stat *st)
{
	struct statx more;

	if (fstat(fd, st) != 0)
	{
		int			save_errno = errno;

		close(fd);
		errno = save_errno;
		FeathubFileError(state->place, path, "stat file");
	}
	memset(identity, 0, sizeof(FileIdentity));
	identity->inode = st->st_ino;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0 && (more.stx_mask & STATX_BTIME))
		identity->born = (int64) more.stx_btime.tv_sec * INT64CONST(1000000000) +
			more.stx_btime.tv_nsec;
}

/* Have the file open; false if it is no longer where it was. */
bool
FeathubFileFollowOpen(FileStream *state, StreamFile *file)
{
	FileIdentity identity;
	MemoryContext old;
	struct stat st;
	int			slot = 0;
	int			fd;

	file->used = ++state->clock;
	if (file->open)
		return true;
	fd = FeathubFileOpen(state->place, file->path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0 && errno != ENOENT)
		FeathubFileError(state->place, file->path, "open file");
	if (fd >= 0)
		FeathubFileFollowStat(state, file->path, fd, &identity, &st);
	if (fd < 0 || memcmp(&identity, &file->identity, sizeof(identity)) != 0)
	{
		if (fd >= 0)
			close(fd);
		/* the next list will tell */
		file->lost = true;
		state->list_due = true;
		return false;
	}
	for (int i = 0; i < MAX_OPEN; i++)
	{
		if (state->open[i] == NULL)
		{
			slot = i;
			break;
		}
		if (state->open[i]->used < state->open[slot]->used)
			slot = i;
	}
	if (state->open[slot])
		FeathubFileFollowClose(state, state->open[slot]);
	file->open_context = AllocSetContextCreate(state->stream->context, "feathub open file",
											   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(file->open_context);
	file->open = FeathubFileHandle(fd);
	MemoryContextSwitchTo(old);
	state->open[slot] = file;
	return true;
}

void
FeathubFileFollowClose(FileStream *state, StreamFile *file)
{
	if (file->open == NULL)
		return;
	for (int i = 0; i < MAX_OPEN; i++)
		if (state->open[i] == file)
			state->open[i] = NULL;
	FeathubFileHandleClose(file->open);
	MemoryContextDelete(file->open_context);
	file->open = NULL;
}

/* Read from an open file; less than len at its end only. */
Size
FeathubFileFollowRead(FileStream *state, StreamFile *file, int64 offset, char *buffer, Size len)
{
	Size		done = 0;

	while (done < len)
	{
		ssize_t		n = pread(file->open->fd, buffer + done, len - done, offset + done);

		CHECK_FOR_INTERRUPTS();
		if (n == 0)
			break;
		if (n > 0)
			done += n;
		else if (errno != EINTR && errno != EAGAIN)
			FeathubFileError(state->place, file->path, "read file");
	}
	return done;
}

uint64
FeathubFileFollowHash(FileStream *state, StreamFile *file, int len)
{
	char		buffer[MARK_BYTES];

	len = (int) FeathubFileFollowRead(state, file, 0, buffer, len);
	return hash_bytes_extended((unsigned char *) buffer, len, 0);
}

/* The file is not the one that was read: stop, or begin again with it. */
static void
written_anew(FeathubStream *stream, StreamFile *file, const char *detail)
{
	FileStream *state = stream->state;
	char	   *name = FeathubFileFullName(state->place, file->path);
	bool		done = file->packed && file->next == OFFSET_DONE;

	if (!stream->skip_gaps)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 done ? errmsg("file \"%s\" was changed after it had been read as a whole", name) :
				 errmsg("file \"%s\" was truncated or written anew after it had been read up to byte " INT64_FORMAT,
						name, file->next),
				 errdetail_internal("%s", detail),
				 done ? errhint("Only plain files of lines may grow: write others under another name, and rename them when they are complete. To read what is there now, call feathub.rewind_job and feathub.resume_job, or make the job with on_gap 'skip'.") :
				 errhint("To read what is there now, call feathub.rewind_job and feathub.resume_job, or make the job with on_gap 'skip'.")));
	ereport(WARNING,
			(done ? errmsg("file \"%s\" was changed after it had been read as a whole: reading it again",
						   name) :
			 errmsg("file \"%s\" was truncated or written anew after it had been read up to byte " INT64_FORMAT ": reading it from its begin",
					name, file->next),
			 errdetail_internal("%s", detail)));
	pfree(name);
	stream->partitions[file->index].gap++;
	file->life++;
	file->next = 0;
	file->line = file->packed ? 0 : 1;
	file->unit = file->unit_rows = 0;
	file->waiting = -1;
	file->hash_len = 0;
	file->dirty = true;
	if (state->whole == file)
		state->whole = NULL;
	if (state->packed == file)
		state->packed = NULL;
}

/* Is the open file what has been read so far? */
static void
check_file(FeathubStream *stream, StreamFile *file)
{
	FileStream *state = stream->state;
	struct stat st;

	if (fstat(file->open->fd, &st) != 0)
		FeathubFileError(state->place, file->path, "stat file");
	file->size = st.st_size;
	file->modified = st.st_mtim;
	file->doubtful = false;
	if (file->packed && file->next == OFFSET_DONE)
	{
		if (file->line > 0 && file->size != file->line)
			written_anew(stream, file,
						 psprintf("It had " INT64_FORMAT " bytes, and has " INT64_FORMAT " now.",
								  file->line, file->size));
		else if (file->line > 0 && file->hash_len > 0 &&
				 FeathubFileFollowHash(state, file, file->hash_len) != file->hash)
			written_anew(stream, file, "It begins with other bytes than before.");
		return;
	}
	if (!file->packed && file->size < file->next)
		written_anew(stream, file,
					 psprintf("It has " INT64_FORMAT " bytes now.", file->size));
	else if (file->hash_len > 0 &&
			 FeathubFileFollowHash(state, file, file->hash_len) != file->hash)
		written_anew(stream, file, "It begins with other bytes than before.");
}

static void
add_record(FeathubStream *stream, StreamFile *file, FilePoll *poll, char *data, Size len, int64 lines)
{
	FeathubRecord *record = &poll->records[poll->n++];
	RecordInfo *info = MemoryContextAllocZero(((FileStream *) stream->state)->record_context,
											  sizeof(RecordInfo));

	info->file = file;
	info->line = file->line;
	memset(record, 0, sizeof(FeathubRecord));
	record->partition = file->index;
	record->sequence = (file->life << LIFE_BITS) + file->next;
	record->value = data;
	record->value_len = len;
	record->timestamp = time_t_to_timestamptz(file->modified.tv_sec) +
		file->modified.tv_nsec / 1000;
	record->raw = info;
	poll->bytes += len;
}

/* A line without its end. */
static Size
line_length(const char *begin, const char *end)
{
	Size		len = end - begin;

	if (len > 0 && begin[len - 1] == '\n')
		len--;
	if (len > 0 && begin[len - 1] == '\r')
		len--;
	return len;
}

/* Is the record at hand the header?  It is checked then. */
static bool
take_header(FeathubStream *stream, StreamFile *file, const char *data, Size len)
{
	FileStream *state = stream->state;
	FileOptions *options = stream->rel->options;

	if (options->header == FILE_HEADER_NONE)
		return false;
	if (options->header == FILE_HEADER_MATCH)
	{
		char	   *name = FeathubFileFullName(state->place, file->path);

		FeathubFileRowsCheckHeader(state->reader, name, data, len);
		pfree(name);
	}
	return true;
}

/* Take lines of a plain file; false if there is no whole one. */
bool
FeathubFileFollowLines(FeathubStream *stream, StreamFile *file, FilePoll *poll)
{
	FileStream *state = stream->state;
	bool		skip_empty = !stream->rel->format->positional;
	Size		chunk = CHUNK_SIZE;

	if (!FeathubFileFollowOpen(state, file))
		return false;
	check_file(stream, file);
	for (;;)
	{
		Size		want = Min(chunk, (Size) (file->size - file->next));
		char	   *buffer = MemoryContextAllocHuge(state->record_context, want + 1);
		Size		got = FeathubFileFollowRead(state, file, file->next, buffer, want);
		char	   *p = buffer;
		char	   *limit = buffer + got;
		int64		begin = file->next;
		bool		first = begin == 0;

		if (first && got >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		{
			p += 3;
			file->next += 3;
		}
		while (p < limit && poll->n < poll->max &&
			   (poll->n == 0 || poll->bytes < poll->max_bytes))
		{
			FileFrame	frame = {0};
			char	   *end = unconstify(char *, FeathubFrameEnd(&state->framing, &frame, p, limit));
			Size		len;

			if (end == NULL)
				break;
			len = line_length(p, end);
			if (!(first && take_header(stream, file, p, len)) && !(len == 0 && skip_empty))
				add_record(stream, file, poll, p, len, frame.lines);
			first = false;
			file->next += end - p;
			if (file->line > 0)
				file->line += frame.lines + 1;
			p = end;
		}
		if (p > buffer && !first)
		{
			file->dirty = true;
			return true;
		}
		file->next = begin;
		pfree(buffer);
		if (poll->n >= poll->max || (poll->n > 0 && poll->bytes >= poll->max_bytes))
			return false;
		if (got < want || want == (Size) (file->size - file->next))
		{
			/* the last line goes on */
			file->waiting = file->size;
			return file->dirty;
		}
		if (chunk >= FILE_RECORD_MAX / 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("record at byte " INT64_FORMAT " of file \"%s\" is too long",
							file->next, FeathubFileFullName(state->place, file->path)),
					 state->framing.quoted ?
					 errhint("Look for a quote that is not closed.") : 0));
		chunk *= 4;
	}
}

/* Go to the position in a compressed file. */
static void
start_packed(FeathubStream *stream, StreamFile *file)
{
	FileStream *state = stream->state;
	FileOptions *options = stream->rel->options;
	MemoryContext old;
	const char *data;
	Size		len;
	int64		line;

	state->packed = NULL;
	MemoryContextReset(state->packed_context);
	memset(&state->packed_lines, 0, sizeof(FileLines));
	old = MemoryContextSwitchTo(state->packed_context);
	state->packed_lines.context = state->packed_context;
	state->packed_lines.framing = state->framing;
	FeathubFileLinesStart(&state->packed_lines,
						  FeathubFileSourceOpen(state->place, file->path, options->compression));
	while (state->packed_lines.offset + (int64) state->packed_lines.begin < file->next)
	{
		CHECK_FOR_INTERRUPTS();
		if (!FeathubFileLinesNext(&state->packed_lines, &data, &len, &line))
			break;
	}
	MemoryContextSwitchTo(old);
	state->packed = file;
}

/* The same of a compressed file, which is complete. */
bool
FeathubFileFollowPacked(FeathubStream *stream, StreamFile *file, FilePoll *poll)
{
	FileStream *state = stream->state;
	FileLines  *lines = &state->packed_lines;
	bool		skip_empty = !stream->rel->format->positional;
	bool		first;
	const char *data;
	Size		len;
	int64		line;

	if (!FeathubFileFollowOpen(state, file))
		return false;
	check_file(stream, file);
	/* not even the begin of a compressed file; or the same as it was */
	if (file->size == 0 || file->next == OFFSET_DONE)
		return file->dirty;
	first = file->next == 0;
	if (state->packed != file || first)
		start_packed(stream, file);
	while (poll->n < poll->max && (poll->n == 0 || poll->bytes < poll->max_bytes))
	{
		if (!FeathubFileLinesNext(lines, &data, &len, &line))
		{
			file->next = OFFSET_DONE;
			file->line = file->size;
			file->dirty = true;
			state->packed = NULL;
			MemoryContextReset(state->packed_context);
			break;
		}
		file->line = line;
		if (!(first && take_header(stream, file, data, len)) && !(len == 0 && skip_empty))
		{
			char	   *copy = MemoryContextAllocHuge(state->record_context, len + 1);

			memcpy(copy, data, len);
			add_record(stream, file, poll, copy, len, 0);
		}
		first = false;
		file->next = lines->offset + lines->begin;
		file->line = lines->line;
		file->dirty = true;
	}
	return file->dirty;
}

/* Open a whole file where it has been left; false if it is no longer there. */
static bool
start_whole(FileStream *state, StreamFile *file)
{
	FileReader *reader = state->reader;

	state->whole = NULL;
	FeathubFileRowsOpen(reader, file->path);
	if (reader->source->stat.st_ino != file->identity.inode)
	{
		FeathubFileRowsClose(reader);
		return false;
	}
	state->units = FeathubFileRowsUnits(reader);
	state->unit = file->unit;
	state->row = state->unit_rows = file->unit_rows;
	if (state->unit < state->units)
		state->container->start_unit(reader->container, (int) state->unit);
	state->whole = file;
	return true;
}

/* The next row of the whole file that is open; false at its end. */
bool
FeathubFileFollowNextRow(FileStream *state, FeathubDecodeError *error)
{
	FileReader *reader = state->reader;
	int			natts = state->stream->rel->tupdesc->natts;

	while (state->unit < state->units)
	{
		CHECK_FOR_INTERRUPTS();
		memset(state->isnull, true, natts);
		if (state->container->read_row(reader->container, state->values, state->isnull, error))
		{
			state->row++;
			return true;
		}
		state->unit_rows = state->row;
		if (++state->unit < state->units)
			state->container->start_unit(reader->container, (int) state->unit);
	}
	return false;
}

/* Hand out the row that has just been read. */
static void
add_row(FeathubStream *stream, StreamFile *file, FilePoll *poll, const FeathubDecodeError *error)
{
	FileStream *state = stream->state;
	MemoryContext old = MemoryContextSwitchTo(state->record_context);
	FeathubRecord *record = &poll->records[poll->n];
	RecordInfo *info;
	HeapTuple	tuple = NULL;

	/* what may fail comes first: a record that is handed out is whole */
	if (error->message == NULL)
		tuple = heap_form_tuple(stream->rel->tupdesc, state->values, state->isnull);
	/* there are no bytes that are the record: what is kept is where it is */
	add_record(stream, file, poll, "", 0, 0);
	info = record->raw;
	info->line = 0;
	info->tuple = tuple;
	if (tuple != NULL)
		poll->bytes += tuple->t_len;
	else
	{
		info->error = *error;
		info->error.message = pstrdup(error->message);
	}
	file->next = state->row;
	file->unit = state->unit;
	file->unit_rows = state->unit_rows;
	/* at once: the next row may be one that cannot be read */
	file->dirty = true;
	MemoryContextSwitchTo(old);
}

/* Take rows of a file that is read as a whole. */
bool
FeathubFileFollowWhole(FeathubStream *stream, StreamFile *file, FilePoll *poll)
{
	FileStream *state = stream->state;
	FeathubDecodeError error = {0};
	bool		moved = false;

	if (!FeathubFileFollowOpen(state, file))
		return false;
	check_file(stream, file);
	/* not even the begin of one; or the same as it was */
	if (file->size == 0 || file->next == OFFSET_DONE)
		return file->dirty;

	/* types and their constraints are looked up in the catalog */
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(state->record_context);
	if ((state->whole == file && state->row == file->next) || start_whole(state, file))
	{
		while (state->row < file->next && FeathubFileFollowNextRow(state, &error))
			;
		while (poll->n < poll->max && (poll->n == 0 || poll->bytes < poll->max_bytes))
		{
			if (!FeathubFileFollowNextRow(state, &error))
			{
				file->next = OFFSET_DONE;
				file->line = file->size;
				file->dirty = true;
				state->whole = NULL;
				FeathubFileRowsClose(state->reader);
				moved = true;
				break;
			}
			add_row(stream, file, poll, &error);
			moved = true;
		}
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(stream->context);
	return moved;
}
