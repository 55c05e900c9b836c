/*
 * file_source.c
 *		The uncompressed bytes of a file: plain, gzip, zstd or lz4.
 *
 * Files of several gzip members, zstd frames or lz4 frames are read to their
 * end, as the tools do; a file that ends within one of them is damaged.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>
#ifdef FEATHUB_WITH_ZLIB
#include <zlib.h>
#endif
#ifdef FEATHUB_WITH_ZSTD
#include <zstd.h>
#endif
#ifdef FEATHUB_WITH_LZ4
#include <lz4frame.h>
#endif

#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/filesystem/filesystem.h"

/* Compressed bytes read at a time. */
#define INPUT_SIZE	(128 * 1024)

static void begin_decoder(FileSource *source);
static void free_decoder(void *arg);
static bool fill_input(FileSource *source) pg_attribute_unused();
static Size read_gzip(FileSource *source, char *buffer, Size len);
static Size read_zstd(FileSource *source, char *buffer, Size len);
static Size read_lz4(FileSource *source, char *buffer, Size len);
pg_noreturn static void damaged(FileSource *source, const char *reason);

static const struct
{
	const char *suffix;
	FileCompression compression;
}			suffixes[] =
{
	{".gz", FILE_COMPRESSION_GZIP},
	{".gzip", FILE_COMPRESSION_GZIP},
	{".zst", FILE_COMPRESSION_ZSTD},
	{".zstd", FILE_COMPRESSION_ZSTD},
	{".lz4", FILE_COMPRESSION_LZ4},
};

FileCompression
FeathubFileCompressionOf(const char *name)
{
	Size		len = strlen(name);

	for (int i = 0; i < lengthof(suffixes); i++)
	{
		Size		n = strlen(suffixes[i].suffix);

		if (len > n && pg_strcasecmp(name + len - n, suffixes[i].suffix) == 0)
			return suffixes[i].compression;
	}
	return FILE_COMPRESSION_NONE;
}

const char *
FeathubFileCompressionSuffix(FileCompression compression)
{
	for (int i = 0; i < lengthof(suffixes); i++)
	{
		if (suffixes[i].compression == compression)
			return suffixes[i].suffix;
	}
	return "";
}

FileSource *
FeathubFileSourceOpen(const FilePlace *place, const char *name, FileCompression compression)
{
	FileSource *source = palloc0(sizeof(FileSource));
	int			fd;

	/* not to hang on a pipe, which is refused next */
	fd = FeathubFileOpen(place, name, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		FeathubFileError(place, name, "open file");
	source->handle = FeathubFileHandle(fd);
	source->name = FeathubFileFullName(place, name);
	if (fstat(fd, &source->stat) < 0)
		FeathubFileError(place, name, "stat file");
	if (!S_ISREG(source->stat.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", source->name)));
	source->compression = compression == FILE_COMPRESSION_AUTO ?
		FeathubFileCompressionOf(name) : compression;
	if (source->compression == FILE_COMPRESSION_NONE)
		(void) posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	else
	{
		source->input = palloc(INPUT_SIZE);
		source->callback.func = free_decoder;
		source->callback.arg = source;
		MemoryContextRegisterResetCallback(CurrentMemoryContext, &source->callback);
		begin_decoder(source);
	}
	return source;
}

Size
FeathubFileSourceRead(FileSource *source, char *buffer, Size len)
{
	Size		n;

	if (source->eof)
		return 0;
	CHECK_FOR_INTERRUPTS();
	switch (source->compression)
	{
		case FILE_COMPRESSION_GZIP:
			n = read_gzip(source, buffer, len);
			break;
		case FILE_COMPRESSION_ZSTD:
			n = read_zstd(source, buffer, len);
			break;
		case FILE_COMPRESSION_LZ4:
			n = read_lz4(source, buffer, len);
			break;
		default:
			n = FeathubFileSourceReadAt(source, source->position, buffer, len);
			source->position += n;
			break;
	}
	if (n == 0)
		source->eof = true;
	return n;
}

Size
FeathubFileSourceReadAt(FileSource *source, int64 offset, char *buffer, Size len)
{
	for (;;)
	{
		ssize_t		n = pread(source->handle->fd, buffer, Min(len, MaxAllocSize), offset);

		CHECK_FOR_INTERRUPTS();
		if (n >= 0)
		{
			source->read += n;
			return n;
		}
		if (errno != EINTR && errno != EAGAIN)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", source->name)));
	}
}

void
FeathubFileSourceClose(FileSource *source)
{
	free_decoder(source);
	FeathubFileHandleClose(source->handle);
}

/* More compressed bytes; false at the end of the file. */
static bool
fill_input(FileSource *source)
{
	if (source->input_begin < source->input_end)
		return true;
	source->input_begin = 0;
	source->input_end = FeathubFileSourceReadAt(source, source->position, source->input,
												INPUT_SIZE);
	source->position += source->input_end;
	if (source->input_end == 0 && source->frame_open)
		damaged(source, "unexpected end of file");
	return source->input_end > 0;
}

static void
damaged(FileSource *source, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not decompress file \"%s\": %s", source->name, reason)));
}

pg_attribute_unused() static void
no_support(FileSource *source, const char *library)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot read file \"%s\", because this build of feathub lacks %s",
					source->name, library)));
}

static void
begin_decoder(FileSource *source)
{
	switch (source->compression)
	{
		case FILE_COMPRESSION_GZIP:
#ifdef FEATHUB_WITH_ZLIB
			{
				z_stream   *stream = MemoryContextAllocZero(CurrentMemoryContext,
															sizeof(z_stream));

				if (inflateInit2(stream, 15 + 32) != Z_OK)
					damaged(source, "out of memory");
				source->decoder = stream;
			}
#else
			no_support(source, "zlib");
#endif
			break;
		case FILE_COMPRESSION_ZSTD:
#ifdef FEATHUB_WITH_ZSTD
			source->decoder = ZSTD_createDCtx();
			if (source->decoder == NULL)
				damaged(source, "out of memory");
#else
			no_support(source, "libzstd");
#endif
			break;
		case FILE_COMPRESSION_LZ4:
#ifdef FEATHUB_WITH_LZ4
			{
				LZ4F_dctx  *context;

				if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
					damaged(source, "out of memory");
				source->decoder = context;
			}
#else
			no_support(source, "liblz4");
#endif
			break;
		default:
			break;
	}
}

static void
free_decoder(void *arg)
{
	FileSource *source = arg;

	if (source->decoder == NULL)
		return;
	switch (source->compression)
	{
#ifdef FEATHUB_WITH_ZLIB
		case FILE_COMPRESSION_GZIP:
			inflateEnd(source->decoder);
			break;
#endif
#ifdef FEATHUB_WITH_ZSTD
		case FILE_COMPRESSION_ZSTD:
			ZSTD_freeDCtx(source->decoder);
			break;
#endif
#ifdef FEATHUB_WITH_LZ4
		case FILE_COMPRESSION_LZ4:
			LZ4F_freeDecompressionContext(source->decoder);
			break;
#endif
		default:
			break;
	}
	source->decoder = NULL;
}

static Size
read_gzip(FileSource *source, char *buffer, Size len)
{
#ifdef FEATHUB_WITH_ZLIB
	z_stream   *stream = source->decoder;

	stream->next_out = (Bytef *) buffer;
	stream->avail_out = Min(len, UINT_MAX);
	while ((char *) stream->next_out == buffer)
	{
		int			status;

		if (!fill_input(source))
			return 0;
		if (!source->frame_open)
		{
			inflateReset(stream);
			source->frame_open = true;
		}
		stream->next_in = (Bytef *) source->input + source->input_begin;
		stream->avail_in = source->input_end - source->input_begin;
		status = inflate(stream, Z_NO_FLUSH);
		source->input_begin = source->input_end - stream->avail_in;
		if (status == Z_STREAM_END)
			source->frame_open = false;
		else if (status != Z_OK && status != Z_BUF_ERROR)
			damaged(source, stream->msg ? stream->msg : "damaged gzip data");
		CHECK_FOR_INTERRUPTS();
	}
	return (char *) stream->next_out - buffer;
#else
	return 0;
#endif
}

static Size
read_zstd(FileSource *source, char *buffer, Size len)
{
#ifdef FEATHUB_WITH_ZSTD
	ZSTD_outBuffer out = {buffer, len, 0};

	while (out.pos == 0)
	{
		ZSTD_inBuffer in;
		size_t		status;

		/* what is left of a frame may come without more input */
		if (!fill_input(source))
			return 0;
		in.src = source->input + source->input_begin;
		in.size = source->input_end - source->input_begin;
		in.pos = 0;
		status = ZSTD_decompressStream(source->decoder, &out, &in);
		if (ZSTD_isError(status))
			damaged(source, ZSTD_getErrorName(status));
		source->input_begin += in.pos;
		source->frame_open = status != 0;
		CHECK_FOR_INTERRUPTS();
	}
	return out.pos;
#else
	return 0;
#endif
}

static Size
read_lz4(FileSource *source, char *buffer, Size len)
{
#ifdef FEATHUB_WITH_LZ4
	for (;;)
	{
		size_t		in_len;
		size_t		out_len = len;
		size_t		status;

		if (!fill_input(source))
			return 0;
		in_len = source->input_end - source->input_begin;
		status = LZ4F_decompress(source->decoder, buffer, &out_len,
								 source->input + source->input_begin, &in_len, NULL);
		if (LZ4F_isError(status))
			damaged(source, LZ4F_getErrorName(status));
		source->input_begin += in_len;
		source->frame_open = status != 0;
		CHECK_FOR_INTERRUPTS();
		if (out_len > 0)
			return out_len;
	}
#else
	return 0;
#endif
}
