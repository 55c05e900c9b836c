/*
 * avro_record.h
 *		Rows and records of a schema: columns matched with fields by name; and
 *		the options of the formats on avro.
 */
#ifndef FEATHUB_FORMATS_AVRO_RECORD_H
#define FEATHUB_FORMATS_AVRO_RECORD_H

#include "formats/avro.h"

/* How a message tells its schema. */
typedef enum FeathubAvroEncoding
{
	FEATHUB_AVRO_AUTO,			/* CONFLUENT if there is a registry, else PLAIN */
	FEATHUB_AVRO_PLAIN,			/* not at all: the options do */
	FEATHUB_AVRO_CONFLUENT,		/* by its id in a registry */
	FEATHUB_AVRO_SINGLE_OBJECT	/* by its fingerprint */
} FeathubAvroEncoding;

typedef enum FeathubAvroMissing
{
	FEATHUB_AVRO_MISSING_NULL,
	FEATHUB_AVRO_MISSING_ERROR
} FeathubAvroMissing;

/* Which messages of Hopsworks' clients are for us. */
typedef enum FeathubHopsworksStorage
{
	FEATHUB_HOPSWORKS_ANY,
	FEATHUB_HOPSWORKS_ONLINE,
	FEATHUB_HOPSWORKS_OFFLINE
} FeathubHopsworksStorage;

/* Options of all formats on avro, of a table or of one column. */
typedef struct FeathubAvroOptions
{
	const FeathubCarrier *carrier;	/* must be first */
	char	   *schema;
	char	   *key_schema;
	int			encoding;		/* FeathubAvroEncoding */
	char	   *column_name;	/* of a column */
	int			missing_columns;	/* FeathubAvroMissing */
	char	   *timezone;

	/* Writing to a registry */
	bool		auto_register;
	int			subject_strategy;	/* FeathubSubjectStrategy */

	/* Files */
	int64		block_bytes;
	int			codec;			/* FeathubAvroCodec */

	/* debezium-avro */
	char	   *envelope;		/* of a column */

	/* hopsworks-avro: what headers say, or NULL */
	char	   *project_id;
	char	   *feature_group_id;
	char	   *subject_id;
	int			storage;		/* FeathubHopsworksStorage */
} FeathubAvroOptions;

/* avro_options.c: the tables of the formats avro, debezium-avro, hopsworks-avro */
extern const FeathubOption FeathubAvroFileOptions[];
extern const FeathubOption FeathubDebeziumAvroOptions[];
extern const FeathubOption FeathubHopsworksAvroOptions[];

/* A column's own options over the table's; column_name is never NULL. */
extern FeathubAvroOptions *FeathubAvroColumnOptions(const FeathubFormat *format,
													const void *options,
													const FeathubColumn *column);

/* The records of one schema, as rows. */
typedef struct FeathubAvroRecordReader
{
	const FeathubAvroNode *root;
	bool		is_record;		/* or any other type: one field, "value" */
	bool		nested;			/* set before matching: fields of complex types
								 * are bytes, with such a value inside */
	int			nfields;
	FeathubAvroReader **readers;	/* by field; NULL: not wanted */
	const FeathubColumn **columns;
	int			nmissing;
	AttrNumber *missing;		/* columns that no field has */
	Datum	   *defaults;		/* and what they are */
	bool	   *default_isnull;
	FeathubConvertSettings *settings;	/* of each column */
} FeathubAvroRecordReader;

/*
 * FeathubAvroMatchRecords
 *		Match columns with the fields of a schema.
 *
 * *records has been zeroed.  file and where are for messages; scratch is for
 * what a value needs on its way.  A schema that does not go with the columns is
 * an error, or with error not NULL a false.
 */
extern bool FeathubAvroMatchRecords(FeathubAvroRecordReader *records, const FeathubFormat *format,
									const FeathubAvroNode *root, int ncolumns,
									FeathubColumn *columns, const void *options,
									const char *file, const char *where, MemoryContext scratch,
									FeathubDecodeError *error);

/*
 * FeathubAvroReadRecord
 *		One record.
 *
 * Returns false if a value is bad (the rest has been read all the same, and the
 * first one is told) or the data damaged.
 */
extern bool FeathubAvroReadRecord(FeathubAvroRecordReader *records, FeathubAvroCursor *cursor,
								  Datum *values, bool *isnull, FeathubDecodeError *error);

/* Writes rows as records of a schema. */
typedef struct FeathubAvroRecordWriter
{
	char	   *schema;			/* its text */
	const FeathubAvroNode *root;
	bool		nested;			/* set before, as in a reader */
	int			nfields;
	FeathubAvroWriter **writers;
	const char **names;			/* columns, or fields that have none */
	int		   *columns;		/* attnum - 1 of each field, or -1 */
	StringInfoData *defaults;	/* of fields without column: the schema's, or
								 * data NULL */
} FeathubAvroRecordWriter;

/*
 * FeathubAvroMakeRecordWriter
 *		Match the fields of a schema to write with the columns.
 *
 * The schema is registered's, the option's, or one made from the columns.  Every
 * column must have a field; raises an error if not.  *records has been zeroed.
 */
extern void FeathubAvroMakeRecordWriter(FeathubAvroRecordWriter *records,
										const FeathubFormat *format,
										const FeathubRegistrySchema *registered,
										TupleDesc tupdesc, int ncolumns,
										FeathubColumn *columns, const void *options);
extern void FeathubAvroWriteRecord(const FeathubAvroRecordWriter *records, Datum *values,
								   bool *isnull, StringInfo out);

/* Columns (ColumnDef) for the fields of a schema, or for the value that it has. */
extern List *FeathubAvroColumnDefs(const FeathubAvroNode *root);

/* The option that has the schema, in UTF-8: "avro_schema", or of keys "avro_key_schema". */
extern const char *FeathubAvroSchemaOption(const FeathubAvroOptions *options, char **schema);

#endif							/* FEATHUB_FORMATS_AVRO_RECORD_H */
