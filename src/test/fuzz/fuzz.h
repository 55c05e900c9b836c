/*
 * fuzz.h
 *		Formats without a foreign table, for the fuzzers and for tests.
 */
#ifndef FEATHUB_TEST_FUZZ_H
#define FEATHUB_TEST_FUZZ_H

#include "core/compat.h"
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

/*
 * What the fuzzer feeds with bytes.  init runs once, with the row type that
 * run.sh made, in a context that lives as long as the process; run is called
 * in a short-lived one, inside a subtransaction.  A broken promise is reported
 * with fuzz_fail.
 */
typedef struct FuzzTarget
{
	const char *name;
	void		(*init) (Oid rowtype);
	void		(*run) (const char *data, Size len);
} FuzzTarget;

extern const FuzzTarget FuzzTargets[];	/* ends with a NULL name */

/* fuzz_binlog.c */
extern void FuzzBinlogRun(const char *data, Size len);
extern void FuzzBinlogGtidRun(const char *data, Size len);
extern void FuzzBinlogJsonRun(const char *data, Size len);

/* fuzz_protobuf.c */
extern void FuzzProtobufInit(Oid rowtype);
extern void FuzzProtobufRun(const char *data, Size len);

/* fuzz_redis.c */
extern void FuzzRedisEntryInit(Oid rowtype);
extern void FuzzRedisEntryRun(const char *data, Size len);
extern void FuzzRedisFeatureInit(Oid rowtype);
extern void FuzzRedisFeatureRun(const char *data, Size len);
extern void FuzzRedisIdRun(const char *data, Size len);
extern void FuzzRedisKeyRun(const char *data, Size len);
extern void FuzzRedisValueInit(Oid rowtype);
extern void FuzzRedisValueRun(const char *data, Size len);

pg_noreturn extern void fuzz_fail(const char *fmt,...) pg_attribute_printf(1, 2);

#endif							/* FEATHUB_TEST_FUZZ_H */
