/*
 * json_value.h
 *		JSON tokens to Datums: what lies below a record's fields.
 */
#ifndef FEATHUB_FORMATS_JSON_VALUE_H
#define FEATHUB_FORMATS_JSON_VALUE_H

#include "formats/convert.h"
#include "formats/json_scan.h"

/* Fill *error from a scanner's status; returns false, or true if it is OK. */
extern bool FeathubJsonCheck(FeathubJsonStatus status, FeathubDecodeError *error);

/*
 * FeathubJsonConvert
 *		Convert a token, in UTF-8, to a Datum of the converter's type.
 *
 * null gives *isnull; a MISSING token is not for here.  Result and promises
 * are those of FeathubConvertText.
 */
extern bool FeathubJsonConvert(FeathubConverter *converter, const FeathubJsonToken *token,
							   Datum *result, bool *isnull, FeathubDecodeError *error);

/* All of the text as one value to jsonb; the text is in the server's encoding. */
extern bool FeathubJsonbFromText(FeathubConverter *converter, const char *s, Size len,
								 Datum *result, FeathubDecodeError *error);

/* Is all of the text one JSON value? */
extern bool FeathubJsonTextCheck(const char *s, Size len, FeathubDecodeError *error);

#endif							/* FEATHUB_FORMATS_JSON_VALUE_H */
