/*
 * json_encode.c
 *		Format json: a row to one JSON object.
 */
#include "postgres.h"

#include "formats/format_private.h"
#include "formats/json_path.h"

FeathubEncoder *
FeathubJsonBeginEncode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return NULL;
}

bool
FeathubJsonEncode(FeathubEncoder *encoder, Datum *values, bool *isnull, StringInfo out)
{
	return false;
}
