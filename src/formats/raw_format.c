/*
 * raw_format.c
 *		Format raw: the whole value is one column, bytea or text.
 *
 * An empty value is an empty bytea or text.  A table may also have no value
 * column at all, only metadata columns.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "formats/format_private.h"

typedef struct RawOptions
{
	char	   *encoding;
} RawOptions;

typedef struct RawDecoder
{
	FeathubDecoder base;
} RawDecoder;

static bool
raw_decode(FeathubDecoder *decoder, const char *data, Size len,
		   Datum *values, bool *isnull, FeathubDecodeError *error)
{
	if (decoder->ncolumns == 0)
		return true;
	if (len > MaxAllocSize - VARHDRSZ)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "value of %zu bytes is too long", len);
	if (decoder->columns[0].typid != BYTEAOID &&
		!pg_verify_mbstr(GetDatabaseEncoding(), data, len, true))
		return FeathubDecodeFail(error, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
								 "invalid byte sequence for encoding \"%s\"",
								 GetDatabaseEncodingName());
	values[decoder->columns[0].attnum - 1] = PointerGetDatum(cstring_to_text_with_len(data, len));
	isnull[decoder->columns[0].attnum - 1] = false;
	return true;
}

static void
raw_check(void *options, int ncolumns, FeathubColumn *columns)
{
}

static FeathubDecoder *
raw_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return (FeathubDecoder *) palloc0(sizeof(RawDecoder));
}

const FeathubFormat FeathubRawFormat = {
	.name = "raw",
	.options_size = sizeof(RawOptions),
	.positional = true,
	.check = raw_check,
	.begin_decode = raw_begin_decode,
	.decode = raw_decode,
};
