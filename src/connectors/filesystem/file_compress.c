/*
 * file_compress.c
 *		Writing a new file, compressed or not.
 */
#include "postgres.h"

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
#include "storage/fd.h"
#include "utils/memutils.h"

#include "connectors/filesystem/filesystem.h"

/* Bytes of input collected before they are written or compressed. */
#define BUFFER_SIZE		(128 * 1024)

static void begin_encoder(FileSink *sink, int level);
static void free_encoder(void *arg);
static void flush_buffer(FileSink *sink, bool finish);
static void put(FileSink *sink, const char *data, Size len);
pg_noreturn static void failed(FileSink *sink, const char *reason) pg_attribute_unused();

FileSink *
FeathubFileSinkBegin(int fd, const char *name, FileCompression compression, int level)
{
	FileSink   *sink = palloc0(sizeof(FileSink));

	sink->handle = FeathubFileHandle(fd);
	sink->name = pstrdup(name);
	sink->compression = compression;
	sink->buffer = palloc(BUFFER_SIZE);
	sink->callback.func = free_encoder;
	sink->callback.arg = sink;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &sink->callback);
	begin_encoder(sink, level);
	return sink;
}

void
FeathubFileSinkWrite(FileSink *sink, const char *data, Size len)
{
	while (len > 0)
	{
		Size		n = Min(len, BUFFER_SIZE - sink->buffer_len);

		memcpy(sink->buffer + sink->buffer_len, data, n);
		sink->buffer_len += n;
		data += n;
		len -= n;
		if (sink->buffer_len == BUFFER_SIZE)
			flush_buffer(sink, false);
	}
}

void
FeathubFileSinkFinish(FileSink *sink)
{
	flush_buffer(sink, true);
	if (pg_fsync(sink->handle->fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", sink->name)));
	free_encoder(sink);
	FeathubFileHandleClose(sink->handle);
}

static void
failed(FileSink *sink, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("could not compress file \"%s\": %s", sink->name, reason)));
}

pg_attribute_unused() static void
no_support(FileSink *sink, const char *library)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot write file \"%s\", because this build of feathub lacks %s",
					sink->name, library)));
}

static void
begin_encoder(FileSink *sink, int level)
{
	switch (sink->compression)
	{
		case FILE_COMPRESSION_GZIP:
#ifdef FEATHUB_WITH_ZLIB
			{
				z_stream   *stream = palloc0(sizeof(z_stream));

				if (deflateInit2(stream, level < 0 ? Z_DEFAULT_COMPRESSION : Min(level, 9),
								 Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
					failed(sink, "out of memory");
				sink->encoder = stream;
				sink->output_size = BUFFER_SIZE;
			}
#else
			no_support(sink, "zlib");
#endif
			break;
		case FILE_COMPRESSION_ZSTD:
#ifdef FEATHUB_WITH_ZSTD
			sink->encoder = ZSTD_createCCtx();
			if (sink->encoder == NULL)
				failed(sink, "out of memory");
			if (level >= 0)
				ZSTD_CCtx_setParameter(sink->encoder, ZSTD_c_compressionLevel, level);
			ZSTD_CCtx_setParameter(sink->encoder, ZSTD_c_checksumFlag, 1);
			sink->output_size = BUFFER_SIZE;
#else
			no_support(sink, "libzstd");
#endif
			break;
		case FILE_COMPRESSION_LZ4:
#ifdef FEATHUB_WITH_LZ4
			{
				LZ4F_cctx  *context;
				size_t		n;

				if (LZ4F_isError(LZ4F_createCompressionContext(&context, LZ4F_VERSION)))
					failed(sink, "out of memory");
				sink->encoder = context;
				sink->preferences = palloc0(sizeof(LZ4F_preferences_t));
				((LZ4F_preferences_t *) sink->preferences)->compressionLevel = Max(level, 0);
				((LZ4F_preferences_t *) sink->preferences)->frameInfo.contentChecksumFlag =
					LZ4F_contentChecksumEnabled;
				sink->output_size = LZ4F_compressBound(BUFFER_SIZE, sink->preferences) + LZ4F_HEADER_SIZE_MAX;
				sink->output = palloc(sink->output_size);
				n = LZ4F_compressBegin(context, sink->output, sink->output_size,
									   sink->preferences);
				if (LZ4F_isError(n))
					failed(sink, LZ4F_getErrorName(n));
				put(sink, sink->output, n);
			}
#else
			no_support(sink, "liblz4");
#endif
			break;
		default:
			return;
	}
	if (sink->output == NULL)
		sink->output = palloc(sink->output_size);
}

static void
free_encoder(void *arg)
{
	FileSink   *sink = arg;

	if (sink->encoder == NULL)
		return;
	switch (sink->compression)
	{
#ifdef FEATHUB_WITH_ZLIB
		case FILE_COMPRESSION_GZIP:
			deflateEnd(sink->encoder);
			break;
#endif
#ifdef FEATHUB_WITH_ZSTD
		case FILE_COMPRESSION_ZSTD:
			ZSTD_freeCCtx(sink->encoder);
			break;
#endif
#ifdef FEATHUB_WITH_LZ4
		case FILE_COMPRESSION_LZ4:
			LZ4F_freeCompressionContext(sink->encoder);
			break;
#endif
		default:
			break;
	}
	sink->encoder = NULL;
}

/* Write or compress what is in the buffer; at the end also what the library holds. */
static void
flush_buffer(FileSink *sink, bool finish)
{
	CHECK_FOR_INTERRUPTS();
	switch (sink->compression)
	{
#ifdef FEATHUB_WITH_ZLIB
		case FILE_COMPRESSION_GZIP:
			{
				z_stream   *stream = sink->encoder;
				int			status;

				stream->next_in = (Bytef *) sink->buffer;
				stream->avail_in = sink->buffer_len;
				do
				{
					stream->next_out = (Bytef *) sink->output;
					stream->avail_out = sink->output_size;
					status = deflate(stream, finish ? Z_FINISH : Z_NO_FLUSH);
					if (status == Z_STREAM_ERROR)
						failed(sink, stream->msg ? stream->msg : "stream error");
					put(sink, sink->output, sink->output_size - stream->avail_out);
				} while (stream->avail_out == 0);
			}
			break;
#endif
#ifdef FEATHUB_WITH_ZSTD
		case FILE_COMPRESSION_ZSTD:
			{
				ZSTD_inBuffer in = {sink->buffer, sink->buffer_len, 0};
				size_t		left;

				do
				{
					ZSTD_outBuffer out = {sink->output, sink->output_size, 0};

					left = ZSTD_compressStream2(sink->encoder, &out, &in,
												finish ? ZSTD_e_end : ZSTD_e_continue);
					if (ZSTD_isError(left))
						failed(sink, ZSTD_getErrorName(left));
					put(sink, sink->output, out.pos);
				} while (finish ? left > 0 : in.pos < in.size);
			}
			break;
#endif
#ifdef FEATHUB_WITH_LZ4
		case FILE_COMPRESSION_LZ4:
			{
				size_t		n = LZ4F_compressUpdate(sink->encoder, sink->output, sink->output_size,
													sink->buffer, sink->buffer_len, NULL);

				if (LZ4F_isError(n))
					failed(sink, LZ4F_getErrorName(n));
				put(sink, sink->output, n);
				if (finish)
				{
					n = LZ4F_compressEnd(sink->encoder, sink->output, sink->output_size, NULL);
					if (LZ4F_isError(n))
						failed(sink, LZ4F_getErrorName(n));
					put(sink, sink->output, n);
				}
			}
			break;
#endif
		default:
			put(sink, sink->buffer, sink->buffer_len);
			break;
	}
	sink->buffer_len = 0;
}

static void
put(FileSink *sink, const char *data, Size len)
{
	while (len > 0)
	{
		ssize_t		n;

		errno = 0;
		n = write(sink->handle->fd, data, len);
		if (n <= 0)
		{
			if (errno == EINTR)
			{
				CHECK_FOR_INTERRUPTS();
				continue;
			}
			/* if write didn't set errno, assume the problem is no disk space */
			if (errno == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write to file \"%s\": %m", sink->name)));
		}
		data += n;
		len -= n;
		sink->written += n;
	}
}
