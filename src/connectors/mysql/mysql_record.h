/*
 * mysql_record.h
 *		Rows of a table that a job follows, as records: the text that the server
 *		sends, and what its columns are.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_RECORD_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_RECORD_H

#include "connectors/mysql/mysql_connector.h"

/* What the columns of rows are; rows point to it. */
typedef struct MysqlFields
{
	int			nfields;		/* at least the columns that are read */
	MysqlField	fields[FLEXIBLE_ARRAY_MEMBER];
} MysqlFields;

/* How rows of a foreign table become records. */
typedef struct MysqlRecords
{
	TupleDesc	tupdesc;
	int			ncolumns;		/* columns that are read */
	AttrNumber *attnums;
	char	  **json_names;		/* as keys of JSON, in UTF-8 */
	MysqlDecoder *decoder;
	const MysqlFields *bound;	/* what decoder was bound to */
} MysqlRecords;

/* In the current memory context; in a transaction. */
extern MysqlRecords *FeathubMysqlRecordsMake(FeathubRelation *rel);
/* Room for n fields. */
extern MysqlFields *FeathubMysqlFieldsMake(int n);

/*
 * A row as JSON in UTF-8, for dead letters: {"id": "1", "name": null}.  All
 * values are the text that the server sent; bytes that are none {"hex": "00ff"}.
 */
extern void FeathubMysqlRecordsJson(MysqlRecords *records, StringInfo out,
									char *const *values, const unsigned long *lengths);
/* What the columns are there, by which their text is read again: "mysql": {...} */
extern void FeathubMysqlRecordsHeader(MysqlRecords *records, StringInfo out,
									  const MysqlFields *fields);
extern void FeathubMysqlRecordsDecode(MysqlRecords *records, const MysqlFields *fields,
									  char **values, unsigned long *lengths,
									  Datum *out, bool *isnull);
/* A dead letter's row, from its JSON and headers. */
extern void FeathubMysqlRecordsDecodeStored(MysqlRecords *records, const FeathubRecord *record,
											Datum headers, bool headers_isnull,
											Datum *values, bool *isnull);

/* The string in a member of an object of headers, or NULL. */
extern char *FeathubMysqlHeaderString(Datum headers, bool headers_isnull, const char *name);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_RECORD_H */
