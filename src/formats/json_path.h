/*
 * json_path.h
 *		Column option "path": where a column's value is in a JSON record, and
 *		the options that json's decoder and encoder share.
 *
 * A path is names joined by dots, each with subscripts if it is an array:
 * a.b, tags[0], "odd.name".x; inside quotes a quote is doubled.
 */
#ifndef FEATHUB_FORMATS_JSON_PATH_H
#define FEATHUB_FORMATS_JSON_PATH_H

#include "nodes/pg_list.h"

#include "formats/convert.h"
#include "formats/format.h"
#include "formats/json_scan.h"

typedef struct FeathubJsonStep
{
	char	   *key;			/* UTF-8; NULL: a subscript */
	Size		key_len;
	int			subscript;		/* from 0 */
} FeathubJsonStep;

/* Values of option on_missing and of null_fields. */
typedef enum FeathubJsonOnMissing
{
	FEATHUB_JSON_MISSING_NULL,
	FEATHUB_JSON_MISSING_ERROR
} FeathubJsonOnMissing;
typedef enum FeathubJsonNullFields
{
	FEATHUB_JSON_NULLS_INCLUDE,
	FEATHUB_JSON_NULLS_OMIT
} FeathubJsonNullFields;

/* Format json's options, of a table or of one column. */
typedef struct FeathubJsonOptions
{
	int			timestamp_format;
	char	   *timezone;
	int			bytea_encoding;
	int			on_missing;
	int			null_fields;
	bool		empty_as_null;
	char	   *path;			/* of a column */
} FeathubJsonOptions;

/* Options of the changelogs in json: those of json, and one of columns. */
typedef struct FeathubChangelogJsonOptions
{
	FeathubJsonOptions json;
	char	   *envelope;		/* of a column: its path, outside of the row's image */
} FeathubChangelogJsonOptions;

/* json_path.c */

extern const FeathubOption FeathubChangelogOptions[];

/* Of option timestamp_format. */
extern const FeathubOptionValue FeathubTimestampFormats[];

/*
 * FeathubJsonPathParse
 *		The steps (FeathubJsonStep *) of a path, or NIL with *problem set.
 */
extern List *FeathubJsonPathParse(const char *path, const char **problem);

/* The steps of a column's path, which by default is its name. */
extern List *FeathubJsonColumnPath(const FeathubColumn *column,
								   const FeathubJsonOptions *options);

/* Raises an error unless the value is a path; an option's check function. */
extern void FeathubJsonPathCheck(const char *option, const char *value);

/* The settings for conversion that a column's options give, palloc'd. */
extern FeathubConvertSettings *FeathubJsonSettings(const FeathubJsonOptions *options,
												   MemoryContext scratch);

/* json_decode.c */
extern FeathubDecoder *FeathubJsonBeginDecode(TupleDesc tupdesc, int ncolumns,
											  FeathubColumn *columns, void *options);
extern bool FeathubJsonDecode(FeathubDecoder *decoder, const char *data, Size len,
							  Datum *values, bool *isnull, FeathubDecodeError *error);

/*
 * FeathubJsonDecodeObject
 *		The same from an object that has been found in a record already.
 */
extern bool FeathubJsonDecodeObject(FeathubDecoder *decoder, const FeathubJsonToken *object,
									Datum *values, bool *isnull, FeathubDecodeError *error);

/*
 * FeathubJsonFindFields
 *		Find the fields of a record of any size.  Tokens are valid until the next
 *		call.  Returns false with *error filled if the record is bad.
 */
extern bool FeathubJsonFindFields(FeathubJsonParser *parser, const char *data, Size len,
								  FeathubJsonFields *fields, FeathubDecodeError *error);

/* Build the hash over the fields' names, palloc'd; then they can be found. */
extern void FeathubJsonFieldsPrepare(FeathubJsonFields *fields);

/* A parser that lives as long as the current memory context, or an error. */
extern FeathubJsonParser *FeathubJsonParserMake(void);

/* json_encode.c */
extern FeathubEncoder *FeathubJsonBeginEncode(TupleDesc tupdesc, int ncolumns,
											  FeathubColumn *columns, void *options);
extern bool FeathubJsonEncode(FeathubEncoder *encoder, Datum *values, bool *isnull,
							  StringInfo out);

/* A date or timestamp as JSON: a string, with its quotes, or a number. */
extern void FeathubJsonTimeText(const FeathubConverter *type, Datum value, StringInfo out);

#endif							/* FEATHUB_FORMATS_JSON_PATH_H */
