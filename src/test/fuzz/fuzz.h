/*
 * fuzz.h
 *		Formats without a foreign table: for the fuzzers and for tests.
 */
#ifndef FEATHUB_TEST_FUZZ_H
#define FEATHUB_TEST_FUZZ_H

#include "formats/format.h"

/*
 * The columns of a row type, and options from "name=value" or, of a column,
 * "column.name=value".  Everything is palloc'd in the current context.
 */
typedef struct FuzzColumns
{
	TupleDesc	tupdesc;
	int			ncolumns;
	FeathubColumn *columns;
	const FeathubFormat *format;
	void	   *options;
} FuzzColumns;

extern FuzzColumns *FuzzColumnsMake(Oid rowtype, const char *format, int noptions,
									char **options);

#endif							/* FEATHUB_TEST_FUZZ_H */
