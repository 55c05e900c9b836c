/*
 * avro_codec.c
 *		Compression of the blocks of Avro files.
 *
 * A codec whose library is missing at build time is known, and refused by
 * name.
 */
#include "postgres.h"

#ifdef FEATHUB_WITH_ZLIB
#include <zlib.h>
#endif
#ifdef FEATHUB_WITH_SNAPPY
#include <snappy-c.h>
#endif
#ifdef FEATHUB_WITH_ZSTD
#include <zstd.h>
#endif
#ifdef FEATHUB_WITH_LZMA
#include <lzma.h>
#endif

#include "miscadmin.h"
#include "utils/memutils.h"

#include "formats/avro.h"

/* The level at which blocks are compressed, as other writers have it. */
#define ZSTD_LEVEL 3
#define XZ_LEVEL 6

static const struct
{
	const char *name;
	bool		available;
}			codecs[] =
{
	[FEATHUB_AVRO_NULL] = {"null", true},
#ifdef FEATHUB_WITH_ZLIB
	[FEATHUB_AVRO_DEFLATE] = {"deflate", true},
#else
	[FEATHUB_AVRO_DEFLATE] = {"deflate", false},
#endif
#ifdef FEATHUB_WITH_SNAPPY
	[FEATHUB_AVRO_SNAPPY] = {"snappy", true},
#else
	[FEATHUB_AVRO_SNAPPY] = {"snappy", false},
#endif
#ifdef FEATHUB_WITH_ZSTD
	[FEATHUB_AVRO_ZSTANDARD] = {"zstandard", true},
#else
	[FEATHUB_AVRO_ZSTANDARD] = {"zstandard", false},
#endif
#ifdef FEATHUB_WITH_LZMA
	[FEATHUB_AVRO_XZ] = {"xz", true},
#else
	[FEATHUB_AVRO_XZ] = {"xz", false},
#endif
};

int
FeathubAvroCodecByName(const char *name, Size len)
{
	for (int i = 0; i < lengthof(codecs); i++)
	{
		if (strlen(codecs[i].name) == len && memcmp(codecs[i].name, name, len) == 0)
			return i;
	}
	return -1;
}

const char *
FeathubAvroCodecName(FeathubAvroCodec codec)
{
	return codecs[codec].name;
}

void
FeathubAvroCodecCheck(FeathubAvroCodec codec)
{
	if (!codecs[codec].available)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this build of feathub has no Avro codec \"%s\"", codecs[codec].name)));
}

static void
too_large(Size limit, const char *file)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("not enough memory to read Avro file \"%s\"", file),
			 errdetail("A block has more than %zu bytes.", limit),
			 errhint("Raise feathub.file_memory, unless the file is damaged.")));
}

/* More room, up to limit.  (Unused where no library of a codec is there.) */
static pg_attribute_unused() void
more_room(StringInfo out, Size limit, const char *file)
{
	Size		free = out->maxlen - out->len - 1;

	limit = Min(limit, MaxAllocSize - 2);
	if (out->len >= limit)
		too_large(limit, file);
	if (free == 0)
		enlargeStringInfo(out, (int) Min((Size) Max(out->len, 64 * 1024), limit - out->len));
}

#ifdef FEATHUB_WITH_ZLIB
static void *
zlib_alloc(void *context, unsigned int n, unsigned int size)
{
	return MemoryContextAllocExtended(context, (Size) n * size, MCXT_ALLOC_NO_OOM);
}

static void
zlib_free(void *context, void *p)
{
	pfree(p);
}

static bool
inflate_block(const char *data, Size len, StringInfo out, Size limit, const char *file)
{
	z_stream	z = {0};
	int			status = Z_OK;

	/* memory of the context: an error frees it */
	z.zalloc = zlib_alloc;
	z.zfree = zlib_free;
	z.opaque = CurrentMemoryContext;
	z.next_in = (Bytef *) data;
	z.avail_in = (uInt) len;
	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	while (status == Z_OK)
	{
		CHECK_FOR_INTERRUPTS();
		more_room(out, limit, file);
		z.next_out = (Bytef *) out->data + out->len;
		z.avail_out = out->maxlen - out->len - 1;
		status = inflate(&z, Z_NO_FLUSH);
		out->len = (char *) z.next_out - out->data;
	}
	inflateEnd(&z);
	return status == Z_STREAM_END;
}

static void
deflate_block(const char *data, Size len, StringInfo out)
{
	z_stream	z = {0};
	Size		bound;

	z.zalloc = zlib_alloc;
	z.zfree = zlib_free;
	z.opaque = CurrentMemoryContext;
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
					 Z_DEFAULT_STRATEGY) != Z_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	bound = deflateBound(&z, len);
	enlargeStringInfo(out, (int) bound);
	z.next_in = (Bytef *) data;
	z.avail_in = (uInt) len;
	z.next_out = (Bytef *) out->data + out->len;
	z.avail_out = (uInt) bound;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		elog(ERROR, "could not compress a block");
	out->len = (char *) z.next_out - out->data;
	deflateEnd(&z);
}
#endif

#ifdef FEATHUB_WITH_SNAPPY
/* The checksum behind a snappy block, of what was compressed: that of zlib. */
static uint32
block_crc(const char *data, Size len)
{
#ifdef FEATHUB_WITH_ZLIB
	return (uint32) crc32(0, (const Bytef *) data, (uInt) len);
#else
	uint32		crc = 0xffffffff;

	for (Size i = 0; i < len; i++)
	{
		crc ^= (unsigned char) data[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
	}
	return ~crc;
#endif
}

static bool
unsnappy_block(const char *data, Size len, StringInfo out, Size limit, const char *file)
{
	const unsigned char *tail;
	size_t		size;

	if (len < 4 || snappy_uncompressed_length(data, len - 4, &size) != SNAPPY_OK)
		return false;
	limit = Min(limit, MaxAllocSize - 2);
	if (size > limit)
		too_large(limit, file);
	enlargeStringInfo(out, (int) size);
	if (snappy_uncompress(data, len - 4, out->data, &size) != SNAPPY_OK)
		return false;
	out->len = (int) size;
	tail = (const unsigned char *) data + len - 4;
	return block_crc(out->data, size) ==
		((uint32) tail[0] << 24 | tail[1] << 16 | tail[2] << 8 | tail[3]);
}

static void
snappy_block(const char *data, Size len, StringInfo out)
{
	size_t		size = snappy_max_compressed_length(len);
	uint32		crc = block_crc(data, len);

	enlargeStringInfo(out, (int) size + 4);
	if (snappy_compress(data, len, out->data + out->len, &size) != SNAPPY_OK)
		elog(ERROR, "could not compress a block");
	out->len += (int) size;
	for (int i = 3; i >= 0; i--)
		appendStringInfoCharMacro(out, (char) (crc >> (8 * i)));
}
#endif

#ifdef FEATHUB_WITH_ZSTD
static void
free_zstd(void *arg)
{
	ZSTD_freeDStream(arg);
}

static bool
unzstd_block(const char *data, Size len, StringInfo out, Size limit, const char *file)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub avro block",
												  ALLOCSET_SMALL_SIZES);
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = {data, len, 0};
	size_t		status = 1;

	if (stream == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	callback->func = free_zstd;
	callback->arg = stream;
	MemoryContextRegisterResetCallback(context, callback);
	while (status != 0 && !ZSTD_isError(status))
	{
		ZSTD_outBuffer to;
		size_t		before = in.pos;

		CHECK_FOR_INTERRUPTS();
		more_room(out, limit, file);
		to.dst = out->data + out->len;
		to.size = out->maxlen - out->len - 1;
		to.pos = 0;
		status = ZSTD_decompressStream(stream, &to, &in);
		out->len += (int) to.pos;
		/* the frame is cut off */
		if (status != 0 && in.pos == in.size && in.pos == before && to.pos < to.size)
			break;
	}
	MemoryContextDelete(context);
	return status == 0;
}

static void
zstd_block(const char *data, Size len, StringInfo out)
{
	size_t		bound = ZSTD_compressBound(len);
	size_t		size;

	enlargeStringInfo(out, (int) bound);
	size = ZSTD_compress(out->data + out->len, bound, data, len, ZSTD_LEVEL);
	if (ZSTD_isError(size))
		elog(ERROR, "could not compress a block: %s", ZSTD_getErrorName(size));
	out->len += (int) size;
}
#endif

#ifdef FEATHUB_WITH_LZMA
static bool
unxz_block(const char *data, Size len, StringInfo out, Size limit, const char *file)
{
	lzma_ret	status = LZMA_BUF_ERROR;

	/* by whole attempts: a block has one buffer, and no state to free */
	for (Size room = Max(len * 4, 64 * 1024); status == LZMA_BUF_ERROR; room *= 4)
	{
		uint64_t	memory = limit;
		size_t		in_pos = 0;
		size_t		out_pos = 0;

		CHECK_FOR_INTERRUPTS();
		limit = Min(limit, MaxAllocSize - 2);
		room = Min(room, limit);
		resetStringInfo(out);
		enlargeStringInfo(out, (int) room);
		status = lzma_stream_buffer_decode(&memory, 0, NULL, (const uint8_t *) data, &in_pos, len,
										   (uint8_t *) out->data, &out_pos, room);
		out->len = (int) out_pos;
		if (status == LZMA_BUF_ERROR && room == limit)
			too_large(limit, file);
		if (status == LZMA_MEM_ERROR || status == LZMA_MEMLIMIT_ERROR)
			too_large(limit, file);
	}
	return status == LZMA_OK;
}

static void
xz_block(const char *data, Size len, StringInfo out)
{
	size_t		bound = lzma_stream_buffer_bound(len);
	size_t		size = 0;

	enlargeStringInfo(out, (int) bound);
	if (lzma_easy_buffer_encode(XZ_LEVEL, LZMA_CHECK_CRC64, NULL, (const uint8_t *) data, len,
								(uint8_t *) out->data + out->len, &size, bound) != LZMA_OK)
		elog(ERROR, "could not compress a block");
	out->len += (int) size;
}
#endif

bool
FeathubAvroDecompress(FeathubAvroCodec codec, const char *data, Size len, StringInfo out,
					  Size limit, const char *file)
{
	switch (codec)
	{
#ifdef FEATHUB_WITH_ZLIB
		case FEATHUB_AVRO_DEFLATE:
			return inflate_block(data, len, out, limit, file);
#endif
#ifdef FEATHUB_WITH_SNAPPY
		case FEATHUB_AVRO_SNAPPY:
			return unsnappy_block(data, len, out, limit, file);
#endif
#ifdef FEATHUB_WITH_ZSTD
		case FEATHUB_AVRO_ZSTANDARD:
			return unzstd_block(data, len, out, limit, file);
#endif
#ifdef FEATHUB_WITH_LZMA
		case FEATHUB_AVRO_XZ:
			return unxz_block(data, len, out, limit, file);
#endif
		default:
			appendBinaryStringInfo(out, data, (int) len);
			return true;
	}
}

void
FeathubAvroCompress(FeathubAvroCodec codec, const char *data, Size len, StringInfo out)
{
	switch (codec)
	{
#ifdef FEATHUB_WITH_ZLIB
		case FEATHUB_AVRO_DEFLATE:
			deflate_block(data, len, out);
			break;
#endif
#ifdef FEATHUB_WITH_SNAPPY
		case FEATHUB_AVRO_SNAPPY:
			snappy_block(data, len, out);
			break;
#endif
#ifdef FEATHUB_WITH_ZSTD
		case FEATHUB_AVRO_ZSTANDARD:
			zstd_block(data, len, out);
			break;
#endif
#ifdef FEATHUB_WITH_LZMA
		case FEATHUB_AVRO_XZ:
			xz_block(data, len, out);
			break;
#endif
		default:
			appendBinaryStringInfo(out, data, (int) len);
			break;
	}
}
