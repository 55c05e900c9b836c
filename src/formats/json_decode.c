/*
 * json_decode.c
 *		Format json: one JSON object.
 */
#include "postgres.h"

#include "formats/format_private.h"

static FeathubDecoder *
json_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return (FeathubDecoder *) palloc0(sizeof(FeathubDecoder));
}

static bool
json_decode(FeathubDecoder *decoder, const char *data, Size len,
		   Datum *values, bool *isnull, FeathubDecodeError *error)
{
	return FeathubDecodeFail(error, ERRCODE_FEATURE_NOT_SUPPORTED, "not yet");
}

const FeathubFormat FeathubJsonFormat = {
	.name = "json",
	.begin_decode = json_begin_decode,
	.decode = json_decode,
};
