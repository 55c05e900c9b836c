/*
 * avro.h
 *		Apache Avro: schemas, and binary values to Datums and back.
 *
 * Written anew rather than on avro-c: that has no logical types, reads files by
 * FILE pointers only, and asserts where data is damaged.
 */
#ifndef FEATHUB_FORMATS_AVRO_H
#define FEATHUB_FORMATS_AVRO_H

#include "formats/container.h"
#include "formats/schema_registry.h"
#include "formats/shape.h"

typedef enum FeathubAvroType
{
	AVRO_NULL,
	AVRO_BOOLEAN,
	AVRO_INT,
	AVRO_LONG,
	AVRO_FLOAT,
	AVRO_DOUBLE,
	AVRO_BYTES,
	AVRO_STRING,
	AVRO_FIXED,
	AVRO_ENUM,
	AVRO_ARRAY,
	AVRO_MAP,
	AVRO_RECORD,
	AVRO_UNION
} FeathubAvroType;

/* A type of a schema.  Named types that are used twice are one node. */
typedef struct FeathubAvroNode FeathubAvroNode;
struct FeathubAvroNode
{
	FeathubAvroType type;
	FeathubShape *shape;		/* of a union with null: of its other branch */
	char	   *name;			/* of a named type, with its namespace */
	int			size;			/* of FIXED */
	int			nsymbols;		/* of ENUM */
	char	  **symbols;
	int64		multiply;		/* of times: to microseconds */
	int64		divide;
	int			nchildren;		/* fields; branches; 1 of ARRAY and MAP */
	FeathubAvroNode **children;
	char	  **fields;			/* of RECORD: names */
	JsonbValue **defaults;		/* of RECORD: of each field, or NULL */
	int			null_branch;	/* of UNION, or -1 */
	int			value_branch;	/* of UNION: the only one that is not null, or -1 */
};

/* A node and the type of the Datums that it becomes. */
typedef struct FeathubAvroReader FeathubAvroReader;
struct FeathubAvroReader
{
	const FeathubAvroNode *node;
	FeathubConverter *type;
	FeathubAvroReader *element; /* of an array: its values that are no lists */
	int			ndims;
	FeathubAvroReader **attributes; /* of a struct: by field, NULL: not wanted */
	int		   *positions;		/* of a struct: index of each field's attribute */
};

typedef struct FeathubAvroCursor
{
	const unsigned char *p;
	const unsigned char *end;
	bool		damaged;		/* nothing behind can be read */
	int			depth;
	int			empty;			/* values of the record that had no bytes */
} FeathubAvroCursor;

/* How Datums of one type are written as a node. */
typedef struct FeathubAvroWriter FeathubAvroWriter;
struct FeathubAvroWriter
{
	const FeathubAvroNode *node;
	FeathubConverter *type;		/* NULL: always null */
	FmgrInfo	output;
	bool		as_json;		/* a document, by avro_json.c */
	int			column;			/* of a top-level field: attnum - 1, or -1 */
	int			nchildren;
	FeathubAvroWriter **children;	/* of RECORD: by field; of ARRAY: items */
	int			branch;			/* of UNION: that of values; children[0] writes it */
	int			levels;			/* of ARRAY: dimensions from here on */
};

/* avro_schema.c */

/*
 * FeathubAvroParseSchema
 *		A schema's JSON text, UTF-8, as nodes, palloc'd.
 *
 * Raises DATA_CORRUPTED or FDW_INVALID_ATTRIBUTE_VALUE, whichever code says,
 * for a schema that is none; where is "file \"x\"" or "option \"y\"".
 */
extern FeathubAvroNode *FeathubAvroParseSchema(const char *json, Size len, int code,
											   const char *where);

/* The same of a registry's schema, with the types of those that it refers to. */
extern FeathubAvroNode *FeathubAvroParseRegistered(const FeathubRegistrySchema *schema, int code,
												   const char *where);

/* The schema in which rows with these columns are written: a record of that name. */
extern char *FeathubAvroMakeSchema(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns,
								   char **names, const char *record);

/* Is it made of the characters that Avro's names have? */
extern bool FeathubAvroValidName(const char *name);

/*
 * The field of a record of that name, without regard to case if there is
 * none with; -1 if there is none at all, -2 if there are several.
 */
extern int	FeathubAvroFindField(const FeathubAvroNode *record, const char *name);

/* The fingerprint (CRC-64-AVRO) of a schema's canonical form. */
extern uint64 FeathubAvroFingerprint(const FeathubAvroNode *root);

/* The branch of a union that is not null, if there is one only; else the node. */
static inline const FeathubAvroNode *
FeathubAvroValueNode(const FeathubAvroNode *node)
{
	return node->type == AVRO_UNION && node->value_branch >= 0 ?
		node->children[node->value_branch] : node;
}

/* avro_decode.c */
extern FeathubAvroReader *FeathubAvroReaderMake(const FeathubAvroNode *node,
												FeathubConverter *type);

/*
 * FeathubAvroReadValue
 *		The value at the cursor, which moves behind it.
 *
 * Returns false, with *error filled, if it cannot be a Datum of the type; then
 * the cursor has moved all the same, unless cursor->damaged.
 */
extern bool FeathubAvroReadValue(FeathubAvroCursor *cursor, const FeathubAvroReader *reader,
								 Datum *value, bool *isnull, FeathubDecodeError *error);
extern bool FeathubAvroSkipValue(FeathubAvroCursor *cursor, const FeathubAvroNode *node,
								 FeathubDecodeError *error);
extern bool FeathubAvroReadLong(FeathubAvroCursor *cursor, int64 *value,
								FeathubDecodeError *error);

/* avro_encode.c */

/* Raises an error that names the column if values cannot be written so. */
extern FeathubAvroWriter *FeathubAvroWriterMake(const FeathubAvroNode *node,
												FeathubConverter *type, const char *column);
extern void FeathubAvroWriteValue(const FeathubAvroWriter *writer, Datum value, bool isnull,
								  const char *column, StringInfo out);
extern void FeathubAvroWriteLong(int64 value, StringInfo out);

/* avro_json.c */

/*
 * FeathubAvroWriteJson
 *		A JSON value as a node says; column is for messages.
 *
 * Objects are records and maps, numbers also times and dates as Avro keeps
 * them, strings also what else has a text.  Of a union the first branch that
 * the value fits.  is_default: it stands in a schema, where a character of
 * a string is a byte.  Raises an error for a value that fits nowhere.
 */
extern void FeathubAvroWriteJson(const FeathubAvroNode *node, const JsonbValue *value,
								 bool is_default, const char *column, StringInfo out);

/* avro_codec.c */
typedef enum FeathubAvroCodec
{
	FEATHUB_AVRO_NULL,
	FEATHUB_AVRO_DEFLATE,
	FEATHUB_AVRO_SNAPPY,
	FEATHUB_AVRO_ZSTANDARD,
	FEATHUB_AVRO_XZ
} FeathubAvroCodec;

/* The codec of that name in a file's header, or -1. */
extern int	FeathubAvroCodecByName(const char *name, Size len);
extern const char *FeathubAvroCodecName(FeathubAvroCodec codec);

/* Raises FEATURE_NOT_SUPPORTED if this build lacks the codec. */
extern void FeathubAvroCodecCheck(FeathubAvroCodec codec);

/*
 * Decompress a block into out, which has been emptied; false if it is damaged.
 * Raises OUT_OF_MEMORY beyond limit bytes.
 */
extern bool FeathubAvroDecompress(FeathubAvroCodec codec, const char *data, Size len,
								  StringInfo out, Size limit, const char *file);
extern void FeathubAvroCompress(FeathubAvroCodec codec, const char *data, Size len,
								StringInfo out);

#endif							/* FEATHUB_FORMATS_AVRO_H */
