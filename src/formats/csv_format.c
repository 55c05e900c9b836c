/*
 * csv_format.c
 *		Format csv: one record of comma-separated values, with COPY's options.
 */
#include "postgres.h"

#include "formats/format_private.h"

static FeathubDecoder *
csv_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return (FeathubDecoder *) palloc0(sizeof(FeathubDecoder));
}

static bool
csv_decode(FeathubDecoder *decoder, const char *data, Size len,
		   Datum *values, bool *isnull, FeathubDecodeError *error)
{
	return FeathubDecodeFail(error, ERRCODE_FEATURE_NOT_SUPPORTED, "not yet");
}

const FeathubFormat FeathubCsvFormat = {
	.name = "csv",
	.positional = true,
	.begin_decode = csv_begin_decode,
	.decode = csv_decode,
};
