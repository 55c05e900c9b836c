/*
 * file_lines.c
 *		Framing: where a record of a text file begins and ends.
 *
 * A record ends with a line feed, in format csv also with a carriage return
 * alone if the first record does.  In format csv one within quotes does not count; quotes begin and end anywhere, as the decoder has it, so that a quote
 * is open behind an odd number of them, if they are their own escape.  That
 * makes it cheap to tell how a range in the middle of a file begins.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "connectors/filesystem/file_lines.h"

#define READ_SIZE		(256 * 1024)

static const char byte_order_mark[3] = {'\xef', '\xbb', '\xbf'};

static bool read_more(FileLines *lines);
static int64 count_byte(const char *data, Size len, char byte);

const char *
FeathubFrameEnd(const FileFraming *framing, FileFrame *frame, const char *data, const char *end)
{
	const char *p = data;
	const char *line_feed;
	const char	line_end = framing->carriage ? '\r' : '\n';

	if (!framing->quoted)
	{
		line_feed = memchr(p, '\n', end - p);
		return line_feed ? line_feed + 1 : NULL;
	}
	while (p < end)
	{
		const char *quote;

		if (!frame->in_quotes)
		{
			line_feed = memchr(p, line_end, end - p);
			quote = memchr(p, framing->quote, (line_feed ? line_feed : end) - p);
			if (quote == NULL)
				return line_feed ? line_feed + 1 : NULL;
			frame->in_quotes = true;
			p = quote + 1;
		}
		else if (framing->escape == framing->quote)
		{
			quote = memchr(p, framing->quote, end - p);
			frame->lines += count_byte(p, (quote ? quote : end) - p, line_end);
			if (quote == NULL)
				return NULL;
			frame->in_quotes = false;
			p = quote + 1;
		}
		else
		{
			if (frame->escaped && (*p == framing->quote || *p == framing->escape))
			{
				frame->escaped = false;
				p++;
				continue;
			}
			frame->escaped = *p == framing->escape;
			if (*p == framing->quote)
				frame->in_quotes = false;
			else if (*p == line_end)
				frame->lines++;
			p++;
		}
	}
	return NULL;
}

bool
FeathubFrameIsCarriage(const FileFraming *framing, const char *data, Size len, bool complete)
{
	FileFraming other = *framing;
	FileFrame	frame = {0};
	const char *end = data + len;
	const char *found;

	if (!framing->quoted || memchr(data, '\r', len) == NULL)
		return false;
	other.carriage = true;
	found = FeathubFrameEnd(&other, &frame, data, end);
	if (found == NULL || (found < end ? *found == '\n' : !complete))
		return false;
	other.carriage = false;
	memset(&frame, 0, sizeof(FileFrame));
	return FeathubFrameEnd(&other, &frame, data, found) == NULL;
}

void
FeathubFrameCount(const FileFraming *framing, const char *data, Size len,
				  FileFrameCount *count)
{
	count->lines = count_byte(data, len, '\n');
	count->quotes_odd = framing->quoted && count_byte(data, len, framing->quote) % 2 == 1;
}

void
FeathubFileLinesStart(FileLines *lines, FileSource *source)
{
	lines->source = source;
	lines->begin = lines->end = lines->scanned = 0;
	memset(&lines->frame, 0, sizeof(FileFrame));
	lines->framing.carriage = false;
	lines->eof = false;
	lines->offset = 0;
	lines->stop = PG_INT64_MAX;
	lines->line = 1;
	while (lines->end < sizeof(byte_order_mark) && read_more(lines))
		;
	if (lines->end >= sizeof(byte_order_mark) &&
		memcmp(lines->buffer, byte_order_mark, sizeof(byte_order_mark)) == 0)
		lines->begin = lines->scanned = sizeof(byte_order_mark);
	if (lines->framing.quoted)
	{
		while (lines->end < FILE_FRAME_SAMPLE && read_more(lines))
			;
		lines->framing.carriage =
			FeathubFrameIsCarriage(&lines->framing, lines->buffer + lines->begin,
								   Min(lines->end, FILE_FRAME_SAMPLE) - lines->begin,
								   lines->end <= FILE_FRAME_SAMPLE && lines->eof);
	}
}

void
FeathubFileLinesLoad(FileLines *lines, FileSource *source, int64 offset, Size len)
{
	lines->source = source;
	lines->begin = lines->end = lines->scanned = 0;
	memset(&lines->frame, 0, sizeof(FileFrame));
	lines->framing.carriage = false;
	lines->eof = false;
	lines->offset = offset;
	lines->stop = offset + len;
	source->position = offset;
	source->eof = false;
	if (lines->allocated < len + READ_SIZE)
	{
		if (lines->buffer)
			pfree(lines->buffer);
		lines->buffer = NULL;
		lines->allocated = 0;
		lines->buffer = MemoryContextAllocHuge(lines->context, len + READ_SIZE);
		lines->allocated = len + READ_SIZE;
	}
	while (lines->end < len)
	{
		Size		n = FeathubFileSourceRead(source, lines->buffer + lines->end,
											  len - lines->end);

		if (n == 0)
		{
			lines->eof = true;
			break;
		}
		lines->end += n;
	}
}

void
FeathubFileLinesRange(FileLines *lines, bool in_quotes, bool at_start, int64 line)
{
	FileFrame	frame = {.in_quotes = in_quotes};
	const char *found = NULL;

	lines->line = line;
	if (lines->offset == 0)
	{
		if (lines->end >= sizeof(byte_order_mark) &&
			memcmp(lines->buffer, byte_order_mark, sizeof(byte_order_mark)) == 0)
			lines->begin = lines->scanned = sizeof(byte_order_mark);
		return;
	}
	if (at_start)
		return;

	/* the rest of a record that began before is another range's */
	found = FeathubFrameEnd(&lines->framing, &frame, lines->buffer, lines->buffer + lines->end);
	lines->line += frame.lines + 1;
	lines->begin = found ? found - lines->buffer : lines->end;
	lines->scanned = lines->begin;
	if (found == NULL)
		lines->stop = lines->offset;
}

bool
FeathubFileLinesNext(FileLines *lines, const char **record, Size *len, int64 *line)
{
	const char *end;

	if (lines->offset + (int64) lines->begin >= lines->stop)
		return false;
	for (;;)
	{
		end = FeathubFrameEnd(&lines->framing, &lines->frame,
							  lines->buffer + lines->scanned, lines->buffer + lines->end);
		if (end != NULL)
			break;
		lines->scanned = lines->end;
		if (!read_more(lines))
		{
			/* the last line may lack its end */
			if (lines->begin == lines->end)
				return false;
			end = lines->buffer + lines->end;
			break;
		}
	}

	*record = lines->buffer + lines->begin;
	*len = end - *record;
	*line = lines->line;
	lines->line += lines->frame.lines + 1;
	lines->begin = lines->scanned = end - lines->buffer;
	memset(&lines->frame, 0, sizeof(FileFrame));
	if (lines->framing.carriage)
	{
		if (*len > 0 && end[-1] == '\r')
			(*len)--;
		return true;
	}
	if (*len > 0 && end[-1] == '\n')
		(*len)--;
	if (*len > 0 && (*record)[*len - 1] == '\r')
		(*len)--;
	return true;
}

/* Read on behind what there is of the record; false at the end of the file. */
static bool
read_more(FileLines *lines)
{
	Size		n;

	if (lines->eof)
		return false;
	if (lines->begin > 0)
	{
		memmove(lines->buffer, lines->buffer + lines->begin, lines->end - lines->begin);
		lines->offset += lines->begin;
		lines->end -= lines->begin;
		lines->scanned -= lines->begin;
		lines->begin = 0;
	}
	if (lines->end >= FILE_RECORD_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("record in line %lld of file \"%s\" is longer than %zu bytes",
						(long long) lines->line, lines->source->name, FILE_RECORD_MAX),
				 lines->framing.quoted ?
				 errhint("Look for a quote that is not closed.") : 0));
	if (lines->allocated - lines->end < READ_SIZE / 2)
	{
		Size		wanted = Max(lines->allocated * 2, (Size) READ_SIZE);

		if (lines->buffer == NULL)
			lines->buffer = MemoryContextAllocHuge(lines->context, wanted);
		else
			lines->buffer = repalloc_huge(lines->buffer, wanted);
		lines->allocated = wanted;
	}
	n = FeathubFileSourceRead(lines->source, lines->buffer + lines->end,
							  Min(lines->allocated - lines->end, READ_SIZE * 4));
	lines->end += n;
	if (n == 0)
		lines->eof = true;
	return n > 0;
}

/* The compiler makes vector instructions of it. */
static int64
count_byte(const char *data, Size len, char byte)
{
	int64		total = 0;

	while (len > 0)
	{
		/* a sum of bytes that cannot overflow */
		Size		n = Min(len, 255 * 16);
		uint32		sum = 0;
		Size		i = 0;

		for (; i + 16 <= n; i += 16)
		{
			uint8		part = 0;

			for (int j = 0; j < 16; j++)
				part += data[i + j] == byte;
			sum += part;
		}
		for (; i < n; i++)
			sum += data[i] == byte;
		total += sum;
		data += n;
		len -= n;
	}
	return total;
}
