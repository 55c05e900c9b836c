/*
 * avro_message.h
 *		Messages in avro: which schema one has, and what reads it.
 */
#ifndef FEATHUB_FORMATS_AVRO_MESSAGE_H
#define FEATHUB_FORMATS_AVRO_MESSAGE_H

#include "formats/avro_record.h"

/*
 * Makes what a format reads messages of one schema with, in the current
 * context, which lives as long.  Returns NULL with *error filled if columns and
 * schema do not go together; with error NULL that is raised.  where names the
 * schema in messages.
 */
typedef void *(*FeathubAvroMakeReader) (FeathubDecoder *decoder, const FeathubAvroNode *root,
										const char *where, FeathubDecodeError *error);

/* The schemas that a decoder has met. */
typedef struct FeathubAvroSchemas FeathubAvroSchemas;

/*
 * FeathubAvroSchemasBegin
 *		In begin_decode: the common fields of the decoder must be there.
 *
 * Raises an error if the options do not tell where schemas come from; encoding
 * is one that AUTO has been replaced in.
 */
extern FeathubAvroSchemas *FeathubAvroSchemasBegin(FeathubDecoder *decoder,
												   FeathubAvroEncoding encoding,
												   FeathubAvroMakeReader make);

/* The encoding that the options say. */
extern FeathubAvroEncoding FeathubAvroEncodingOf(const FeathubAvroOptions *options);

/*
 * FeathubAvroSchemasOpen
 *		What reads the message at the cursor, which moves behind its header.
 *
 * NULL with *error filled if the message has no header or one of a schema that
 * cannot be had or does not go with the columns.
 */
extern void *FeathubAvroSchemasOpen(FeathubAvroSchemas *schemas, FeathubAvroCursor *cursor,
									FeathubDecodeError *error);

/* The same by the schema's id in the registry. */
extern void *FeathubAvroSchemasById(FeathubAvroSchemas *schemas, int32 id,
									FeathubDecodeError *error);

/* What reads messages of the schema in the options, or NULL if there is none. */
extern void *FeathubAvroSchemasGiven(FeathubAvroSchemas *schemas);

/* Fill a decoder's common fields before FeathubDecoderBegin does. */
extern void FeathubAvroDecoderInit(FeathubDecoder *decoder, const FeathubFormat *format,
								   TupleDesc tupdesc, int ncolumns, FeathubColumn *columns,
								   void *options);

/* Is it the schema of Debezium's messages: an envelope, or a flat one? */
extern bool FeathubAvroIsChangelog(const FeathubAvroNode *root, const FeathubAvroNode **row);

/* Format avro's. */
extern List *FeathubAvroDescribe(const FeathubRegistrySchema *schema, bool *is_record);
extern FeathubDecoder *FeathubAvroBeginDecode(TupleDesc tupdesc, int ncolumns,
											  FeathubColumn *columns, void *options);
extern bool FeathubAvroDecode(FeathubDecoder *decoder, const char *data, Size len,
							  Datum *values, bool *isnull, FeathubDecodeError *error);
extern FeathubEncoder *FeathubAvroBeginEncode(TupleDesc tupdesc, int ncolumns,
											  FeathubColumn *columns, void *options);
extern bool FeathubAvroEncode(FeathubEncoder *encoder, Datum *values, bool *isnull,
							  StringInfo out);

#endif							/* FEATHUB_FORMATS_AVRO_MESSAGE_H */
