/*
 * infer.h
 *		The columns of records, from a sample of them: for IMPORT FOREIGN SCHEMA.
 */
#ifndef FEATHUB_FORMATS_INFER_H
#define FEATHUB_FORMATS_INFER_H

#include "nodes/pg_list.h"

#include "formats/format.h"

typedef struct FeathubInference FeathubInference;

/* A member or field, and the type that takes all its values. */
typedef struct FeathubInferred
{
	char	   *name;			/* in the server's encoding */
	const char *type;
} FeathubInferred;

/* Made in the current context, where it keeps what it learns. */
extern FeathubInference *FeathubInferBegin(void);

/* Look at a record's value; one that is no JSON object is counted apart. */
extern void FeathubInferRecord(FeathubInference *inference, const char *value, Size len);

/*
 * FeathubInferFields
 *		The members (FeathubInferred *) in the order in which they were first seen.
 *
 * NIL if there was no record or one that is no JSON object: the topic's values
 * are something else.
 */
extern List *FeathubInferFields(FeathubInference *inference);

/* csv_infer.c: the same for records of csv; in the server's encoding. */
typedef struct FeathubCsvInference FeathubCsvInference;

/* options as of the format; header: the first record has the names. */
extern FeathubCsvInference *FeathubCsvInferBegin(void *options, bool header);
extern void FeathubCsvInferRecord(FeathubCsvInference *inference, const char *data, Size len);
extern List *FeathubCsvInferFields(FeathubCsvInference *inference);

/*
 * The fields of a record of csv (char *, NULL for null), without its line end,
 * palloc'd; false with *error filled for a bad record.
 */
extern bool FeathubCsvFields(void *options, const char *data, Size len, List **fields,
							 FeathubDecodeError *error);

/* The narrowest type of the texts, of which some may be NULL. */
extern const char *FeathubInferTextType(List *texts);

/* Takes n digits whose value lies between min and max, and moves *s behind them. */
extern bool FeathubInferTakeNumber(const char **s, int n, int min, int max);

/* A valid and new column name, the given one if possible. */
extern char *FeathubInferColumnName(const char *name, List *used);
extern bool FeathubInferIsUsed(const char *name, List *used);

/* A path of one step: the name in double quotes. */
extern char *FeathubInferJsonPath(const char *name);

#endif							/* FEATHUB_FORMATS_INFER_H */
