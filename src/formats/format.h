/*
 * format.h
 *		How a record is encoded: bytes to Datums and back.
 *
 * A format knows nothing of the system that carries its bytes, and a connector
 * nothing of the bytes: a Kafka message, a line of a file and a Redis value go
 * through the same callbacks.
 */
#ifndef FEATHUB_FORMATS_FORMAT_H
#define FEATHUB_FORMATS_FORMAT_H

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

#include "core/options.h"

/*
 * Why a record was refused.  A bad record is an everyday event, so a decoder
 * reports it by returning false, without the cost of an ereport; it fills this
 * struct.  message is palloc'd in the current context.
 */
typedef struct FeathubDecodeError
{
	int			sqlerrcode;		/* MAKE_SQLSTATE form */
	char	   *message;		/* primary message, error style */
	AttrNumber	attnum;			/* column concerned, or 0 */
} FeathubDecodeError;

/*
 * The columns that a decoder fills or an encoder writes: a subset of a tuple
 * descriptor.  Columns that are dropped, generated, not needed by the query or
 * filled from a message's metadata are not in it.
 */
typedef struct FeathubColumn
{
	AttrNumber	attnum;			/* 1-based, in tupdesc and in values[] */
	const char *name;			/* the column's name */
	Oid			typid;
	int32		typmod;
	List	   *options;		/* the column's DefElems */
	bool		ignored;		/* of a positional format: its field is passed
								 * over, the column is left alone */
} FeathubColumn;

typedef struct FeathubFormat FeathubFormat;
struct FeathubRegistrySchema;	/* schema_registry.h */
struct FeathubSchemaRegistry;

/*
 * What carries a format's bytes, for formats that need to know: their option
 * struct begins with a const FeathubCarrier *, NULL if nobody has told.
 */
typedef struct FeathubCarrier
{
	struct FeathubSchemaRegistry *registry; /* schema_registry.h; NULL: there is none */
	bool		is_key;			/* the bytes are a message's key */
	const char *relname;		/* of the foreign table, for messages */
} FeathubCarrier;

/*
 * The message around the bytes of the record in hand, set by the connector
 * before decode and encode; NULL in a decoder or encoder if there is none.
 */
typedef struct FeathubMessage FeathubMessage;
struct FeathubMessage
{
	const char *topic;

	/* The last header of that name (data NULL: a null); false if there is none. */
	bool		(*get_header) (FeathubMessage *message, const char *name,
							   const char **data, Size *len);

	/* Writing: add a header, unless the row itself brings one of that name. */
	void		(*put_header) (FeathubMessage *message, const char *name,
							   const char *data, Size len);
};

/* What a record of a changelog does to the row that its columns describe. */
typedef enum FeathubChange
{
	FEATHUB_CHANGE_UPSERT,		/* the row is new or changed: its new image */
	FEATHUB_CHANGE_DELETE,		/* the row is gone: its last image, or its key */
	FEATHUB_CHANGE_NONE			/* says nothing of a row: heartbeats and the like */
} FeathubChange;

/* A format's own structs begin with these. */
typedef struct FeathubDecoder
{
	const FeathubFormat *format;
	TupleDesc	tupdesc;
	int			ncolumns;
	FeathubColumn *columns;
	void	   *options;		/* the format's option struct */
	MemoryContext context;		/* lives as long as the decoder */
	FeathubMessage *message;	/* set by the caller, or NULL */

	/* Set by decode of a changelog format, for the record just decoded. */
	FeathubChange change;
	TimestampTz change_time;	/* in the database it comes from, or DT_NOBEGIN */
} FeathubDecoder;

typedef struct FeathubEncoder
{
	const FeathubFormat *format;
	TupleDesc	tupdesc;
	int			ncolumns;
	FeathubColumn *columns;
	void	   *options;
	MemoryContext context;
	FeathubMessage *message;	/* set by the caller, or NULL */
	FeathubChange change;		/* likewise, where the format encodes_deletes */
} FeathubEncoder;

struct FeathubFormat
{
	const char *name;			/* "json": the value of option "format" */
	const FeathubOption *options;	/* for tables and columns */
	size_t		options_size;	/* of the struct that "offset" points into */
	bool		uses_carrier;	/* the struct begins with a FeathubCarrier pointer */

	/*
	 * Fields are known by their position (csv, raw): the caller then passes all
	 * of the record's columns, also those that the query does not need.
	 */
	bool		positional;

	/*
	 * Records are changes of rows (insert, update, delete): decode tells which
	 * in the decoder's fields.  A record without value says nothing then.
	 */
	bool		changelog;

	/* Records may have any byte, so that no line of a file can hold one. */
	bool		binary;

	/*
	 * Deletions are written by encode as well, from a row that has the key's
	 * columns only.  Otherwise a deletion is a message without value.
	 */
	bool		encodes_deletes;

	/*
	 * In a file, the characters around and within fields that may hold line
	 * feeds.  NULL: a record is a line.
	 */
	void		(*quoting) (const void *options, char *quote, char *escape);

	/*
	 * Refuse options that do not fit together or columns that the format
	 * cannot take.  Called when a decoder or encoder is made.  Optional.
	 */
	void		(*check) (void *options, int ncolumns, FeathubColumn *columns);

	/*
	 * Whether parallel workers may decode records of that table.  Called by the
	 * planner, before the options are parsed.  Optional: they may.
	 */
	bool		(*parallel_safe) (List *table_options, Oid relid);

	/*
	 * Make a decoder in the current memory context: allocate the format's own
	 * struct and look up what each column's type needs.  The caller fills the
	 * common fields afterwards from the same arguments.
	 */
	FeathubDecoder *(*begin_decode) (TupleDesc tupdesc, int ncolumns,
									 FeathubColumn *columns, void *options);

	/*
	 * Decode one record into values[] and isnull[], indexed by attnum - 1, for
	 * the decoder's columns only.  data is not NUL-terminated and may hold any
	 * byte; it is valid during the call only, so by-reference results are
	 * copies in the current memory context.  Returns false, with *error
	 * filled, if the record is bad.  The input function of an unusual type may
	 * still ereport (data exceptions, classes 22 and 23 and their like): a
	 * caller that must go on catches that in a subtransaction.  data is never
	 * NULL: a missing value (tombstone) is the caller's affair.
	 */
	bool		(*decode) (FeathubDecoder *decoder, const char *data, Size len,
						   Datum *values, bool *isnull, FeathubDecodeError *error);

	/* Make an encoder, as begin_decode.  NULL if the format is read-only. */
	FeathubEncoder *(*begin_encode) (TupleDesc tupdesc, int ncolumns,
									 FeathubColumn *columns, void *options);

	/*
	 * Append one record to out.  Returns false if the row has no value at all
	 * (format raw with a NULL column): the record's value is then NULL.
	 */
	bool		(*encode) (FeathubEncoder *encoder, Datum *values, bool *isnull,
						   StringInfo out);

	/*
	 * The columns (ColumnDef, with the options that the format needs) of
	 * messages whose schema is this one of a registry; NIL if it is not for
	 * this format.  *is_record: columns are fields, not the value itself.
	 * Optional.
	 */
	List	   *(*describe_schema) (const struct FeathubRegistrySchema *schema,
									bool *is_record);

	/*
	 * A format of whole files, whose records cannot be found without the file
	 * around them (parquet, avro), or NULL.  Such a format may lack decode and
	 * encode; then messages and values cannot have it.
	 */
	const struct FeathubContainer *container;
};

/* format_registry.c: all formats, in alphabetical order */
extern const FeathubFormat *const FeathubFormats[];	/* ends with NULL */

/* The format of that name, or an error that lists the valid ones. */
extern const FeathubFormat *FeathubFormatByName(const char *name);

/*
 * Parse the format's options of a table.  The result is palloc'd; carrier must
 * live as long, or is NULL.
 */
extern void *FeathubFormatParseOptions(const FeathubFormat *format, List *table_options,
									   const FeathubCarrier *carrier);

extern FeathubDecoder *FeathubDecoderBegin(const FeathubFormat *format, TupleDesc tupdesc,
										   int ncolumns, FeathubColumn *columns,
										   void *options);
extern FeathubEncoder *FeathubEncoderBegin(const FeathubFormat *format, TupleDesc tupdesc,
										   int ncolumns, FeathubColumn *columns,
										   void *options);

#define FeathubDecode(decoder, data, len, values, isnull, error) \
	((decoder)->format->decode((decoder), (data), (len), (values), (isnull), (error)))
#define FeathubEncode(encoder, values, isnull, out) \
	((encoder)->format->encode((encoder), (values), (isnull), (out)))

#endif							/* FEATHUB_FORMATS_FORMAT_H */
