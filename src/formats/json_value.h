/*
 * json_value.h
 *		JSON tokens to Datums: what lies below a record's fields.
 */
#ifndef FEATHUB_FORMATS_JSON_VALUE_H
#define FEATHUB_FORMATS_JSON_VALUE_H

#include "utils/jsonb.h"

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

/* The whole of a jsonb as a value to look around in; it points into it. */
extern void FeathubJsonbRoot(Jsonb *jsonb, JsonbValue *result);

/*
 * FeathubJsonDocument
 *		All of the text, UTF-8, as a document to look around in, palloc'd.
 *
 * For descriptions in JSON, not for records.  Strings in it are in the server's
 * encoding.
 */
extern bool FeathubJsonDocument(const char *s, Size len, JsonbValue *result,
								FeathubDecodeError *error);

/* Look around: is it an object or array; an object's member or NULL. */
extern bool FeathubJsonIsObject(const JsonbValue *value);
extern bool FeathubJsonIsArray(const JsonbValue *value);
extern JsonbValue *FeathubJsonMember(const JsonbValue *object, const char *key);

/* The member's text, palloc'd, or NULL if it is missing or no string. */
extern char *FeathubJsonStringMember(const JsonbValue *object, const char *key);

/* Its number; false if it is missing or no int. */
extern bool FeathubJsonIntMember(const JsonbValue *object, const char *key, int *result);

/* Is all of the text one JSON value? */
extern bool FeathubJsonTextCheck(const char *s, Size len, FeathubDecodeError *error);

#endif							/* FEATHUB_FORMATS_JSON_VALUE_H */
