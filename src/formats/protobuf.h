/*
 * protobuf.h
 *		Protocol Buffers: messages to Datums and back.
 *
 * Schemas are read by Google's library (protobuf_descriptor.h), the bytes of
 * messages here, by what it tells of their fields: only those that a column
 * wants are looked into.
 */
#ifndef FEATHUB_FORMATS_PROTOBUF_H
#define FEATHUB_FORMATS_PROTOBUF_H

#include "formats/format.h"
#include "formats/protobuf_descriptor.h"
#include "formats/shape.h"

/* Messages inside each other that are read or written. */
#define FEATHUB_PROTO_MAX_DEPTH 100

/* Message types that mean more than their fields. */
typedef enum FeathubProtoKnown
{
	PROTO_PLAIN,
	PROTO_TIMESTAMP,			/* google.protobuf: */
	PROTO_DURATION,
	PROTO_WRAPPER,				/* DoubleValue and its like: a value or none */
	PROTO_STRUCT,
	PROTO_VALUE,
	PROTO_LIST_VALUE,
	PROTO_DATE,					/* google.type: */
	PROTO_TIME_OF_DAY,
	PROTO_DECIMAL				/* confluent.type */
} FeathubProtoKnown;

typedef struct FeathubProtoMessage FeathubProtoMessage;

typedef struct FeathubProtoField
{
	const FeathubProtobufField *def;
	const char *name;			/* in def */
	FeathubShape *shape;		/* of one value */
	FeathubShape *whole;		/* of all of them: a list, a map, or the same */
	FeathubProtoMessage *message;	/* of messages and groups */
	const FeathubProtobufEnum *enumeration;
} FeathubProtoField;

struct FeathubProtoMessage
{
	const FeathubProtobufMessage *def;
	const FeathubProtobufSchema *schema;	/* of the root */
	FeathubProtoKnown known;
	FeathubShape *shape;
	bool		has_required;
	int			nfields;
	FeathubProtoField *fields;	/* by number */
};

/* protobuf_schema.c */

/* Has this build the library?  Load it at first use, or an error. */
extern bool FeathubProtobufAvailable(void);
extern const FeathubProtobufApi *FeathubProtobufLoad(void);

/*
 * FeathubProtobufCompile
 *		The message type that inputs define, in the current memory context.
 *
 * Which one it is: protobuf_descriptor.h says it of compile().  Raises
 * FDW_INVALID_ATTRIBUTE_VALUE for a schema that is none or lacks the message;
 * option is the one that names it, where is "option \"x\"" or the like.  NULL if there is no message at path.
 */
extern FeathubProtoMessage *FeathubProtobufCompile(int ninputs,
												   const FeathubProtobufInput *inputs,
												   const char *name, int npath, const int *path,
												   bool first, const char *option,
												   const char *where);

/* The nodes of a schema, which must live as long. */
extern FeathubProtoMessage *FeathubProtobufBind(const FeathubProtobufSchema *schema);

/* The field of that number; NULL: none. */
extern const FeathubProtoField *FeathubProtobufFieldByNumber(const FeathubProtoMessage *message,
															 uint32 number);

/*
 * The field of that name, without regard to case if there is none with; NULL if
 * there is none at all.
 */
extern const FeathubProtoField *FeathubProtobufFieldByName(const FeathubProtoMessage *message,
														   const char *name);

/* A number's name, or NULL. */
extern const char *FeathubProtobufEnumName(const FeathubProtobufEnum *type, int32 number);

/* Does the wire have a length before values of that type? */
static inline bool
FeathubProtobufIsLengthDelimited(FeathubProtobufType type)
{
	return type == FEATHUB_PROTOBUF_STRING || type == FEATHUB_PROTOBUF_BYTES ||
		type == FEATHUB_PROTOBUF_MESSAGE;
}

static inline bool
FeathubProtobufIsInteger(FeathubProtobufType type)
{
	return type != FEATHUB_PROTOBUF_DOUBLE && type != FEATHUB_PROTOBUF_FLOAT &&
		type != FEATHUB_PROTOBUF_BOOL && type != FEATHUB_PROTOBUF_ENUM &&
		type != FEATHUB_PROTOBUF_GROUP && !FeathubProtobufIsLengthDelimited(type);
}

/* May columns of the type be epochs or text of times that this field has? */
extern bool FeathubProtobufIsTimeColumn(const FeathubProtoField *field,
										const FeathubConverter *type);

/* protobuf_wire.c: the bytes of a message, field by field */
typedef struct FeathubProtoWire
{
	const unsigned char *p;
	const unsigned char *end;
} FeathubProtoWire;

typedef enum FeathubProtoWireType
{
	PROTO_WIRE_VARINT = 0,
	PROTO_WIRE_64 = 1,
	PROTO_WIRE_BYTES = 2,
	PROTO_WIRE_GROUP = 3,
	PROTO_WIRE_END_GROUP = 4,
	PROTO_WIRE_32 = 5
} FeathubProtoWireType;

typedef struct FeathubProtoRaw
{
	uint32		number;
	FeathubProtoWireType wire;
	uint64		bits;			/* VARINT, 64, 32 */
	const unsigned char *p;		/* BYTES, GROUP: what is in it */
	Size		len;
} FeathubProtoRaw;

/*
 * FeathubProtobufNext
 *		The next field of a message.
 *
 * Returns false at the end, and with error->message set if the bytes are
 * damaged (it is NULL otherwise).
 */
extern bool FeathubProtobufNext(FeathubProtoWire *wire, FeathubProtoRaw *raw,
								FeathubDecodeError *error);
extern bool FeathubProtobufReadVarint(FeathubProtoWire *wire, uint64 *value);

/* How values of that type are on the wire, not packed. */
extern FeathubProtoWireType FeathubProtobufWireType(FeathubProtobufType type);

extern void FeathubProtobufPutVarint(uint64 value, StringInfo out);
extern void FeathubProtobufPutTag(int number, FeathubProtoWireType wire, StringInfo out);

/* protobuf_value.c: what a message has of a field, and single values */

/* What a message has of one field. */
typedef struct FeathubProtoState
{
	bool		present;
	FeathubProtoRaw raw;		/* not repeated: the last one; messages merged */
	StringInfo	merged;			/* what raw points into, or NULL */
	int			nchunks;		/* repeated: values, or runs of packed ones */
	int			allocated;
	FeathubProtoRaw *chunks;
} FeathubProtoState;

/*
 * FeathubProtobufCollect
 *		Sort the fields of a message's bytes into a state for each, palloc'd in
 *		the context, by their place in message->fields.
 *
 * wanted says of which fields more than presence matters; NULL: of all.  The
 * last member of a oneof wins.  NULL, with *error filled, if the bytes are
 * damaged or lack a required field.
 */
extern FeathubProtoState *FeathubProtobufCollect(const FeathubProtoMessage *message,
												 const bool *wanted,
												 const FeathubProtoRaw *raw,
												 MemoryContext context,
												 FeathubDecodeError *error);

/* Free states, but not what raw of messages that were merged points into. */
extern void FeathubProtobufForget(const FeathubProtoMessage *message, FeathubProtoState *states);

/* Goes over the values of a repeated field. */
typedef struct FeathubProtoElements
{
	const FeathubProtoField *field;
	const FeathubProtoState *state;
	int			next;			/* chunk */
	FeathubProtoWire packed;	/* what is left of a packed one */
} FeathubProtoElements;

/* The next value; false at the end, with error->message set if it is damaged. */
extern bool FeathubProtobufNextElement(FeathubProtoElements *elements, FeathubProtoRaw *raw,
									   FeathubDecodeError *error);

/*
 * What a field that is not repeated has: its value or its default.  False if it
 * is null.
 */
extern bool FeathubProtobufValueOf(const FeathubProtoField *field, const FeathubProtoState *state,
								   FeathubProtoRaw *raw);

/* The number of an integer, bool or enum. */
extern int64 FeathubProtobufInteger(FeathubProtobufType type, uint64 bits);

/*
 * FeathubProtobufScalar
 *		A raw value of a field whose shape has no children and is not JSON.
 *
 * text: room for what has no bytes of its own, of 32 bytes.
 */
extern bool FeathubProtobufScalar(const FeathubProtoField *field, const FeathubProtoRaw *raw,
								  FeathubScalar *scalar, char *text, FeathubDecodeError *error);

/* protobuf_jsonb.c */

/* A value of a field as a part of a jsonb; its strings are palloc'd. */
extern bool FeathubProtobufPush(const FeathubProtoField *field, const FeathubProtoRaw *raw,
								FeathubConverter *type, JsonbParseState **state,
								JsonbIteratorToken token, JsonbValue **result, int depth,
								FeathubDecodeError *error);

/* All values of a repeated field: an array, or (a map) an object. */
extern bool FeathubProtobufPushRepeated(FeathubProtoElements *elements, FeathubConverter *type,
										JsonbParseState **state, JsonbValue **result,
										int depth, FeathubDecodeError *error);

/* protobuf_decode.c */

/* What of a message is wanted, and where to. */
typedef struct FeathubProtoReader FeathubProtoReader;

/* A reader of messages of that type, that reads nothing yet. */
extern FeathubProtoReader *FeathubProtobufReaderMake(const FeathubProtoMessage *message,
													 MemoryContext scratch);

/*
 * FeathubProtobufReaderAdd
 *		Read what is at a path of fields into a slot of the Datums.
 *
 * column is for messages, or NULL.  False if there is nothing at the path; an
 * error (FDW_INVALID_DATA_TYPE) if the type cannot take it or the path leads
 * through a repeated field.
 */
extern bool FeathubProtobufReaderAdd(FeathubProtoReader *reader, int npath, char **path,
									 int slot, FeathubConverter *type,
									 const FeathubColumn *column);

/* Returns false, with *error filled, if the message is bad. */
extern bool FeathubProtobufRead(const FeathubProtoReader *reader, const char *data, Size len,
								Datum *values, bool *isnull, FeathubDecodeError *error);

/* protobuf_encode.c */
typedef struct FeathubProtoWriter FeathubProtoWriter;

extern FeathubProtoWriter *FeathubProtobufWriterMake(const FeathubProtoMessage *message);

/*
 * FeathubProtobufWriterAdd
 *		Write a slot of the Datums to the field at a path.
 *
 * column is for messages.  False if there is none; an error
 * (FDW_INVALID_DATA_TYPE) if the field cannot take the type.
 */
extern bool FeathubProtobufWriterAdd(FeathubProtoWriter *writer, int npath, char **path, int slot,
									 FeathubConverter *type, const char *column);

/* Raises an error unless each required field is written. */
extern void FeathubProtobufWriterCheck(const FeathubProtoWriter *writer);
extern void FeathubProtobufWrite(const FeathubProtoWriter *writer, const Datum *values,
								 const bool *isnull, StringInfo out);

/* Append a value, with its tag unless it is one of a packed field. */
extern void FeathubProtobufEmit(const FeathubProtoField *field, const FeathubProtoRaw *raw,
								bool tagged, StringInfo out);

/*
 * FeathubProtobufFrom...
 *		Values to raw ones of a field.  They raise what it cannot take.
 */
extern void FeathubProtobufFromInteger(const FeathubProtoField *field, int64 value,
									   const char *column, FeathubProtoRaw *raw);
extern void FeathubProtobufFromNumeric(const FeathubProtoField *field, Numeric value,
									   const char *column, FeathubProtoRaw *raw);
extern void FeathubProtobufFromReal(const FeathubProtoField *field, double value,
									const char *column, FeathubProtoRaw *raw);
extern void FeathubProtobufFromName(const FeathubProtoField *field, const char *name, Size len,
									const char *column, FeathubProtoRaw *raw);

/*
 * FeathubProtobufFromDatum
 *		A value of a scalar field, or of a message of a known type.
 *
 * output is the type's output function.
 */
extern void FeathubProtobufFromDatum(const FeathubProtoField *field, FeathubConverter *type,
									 FmgrInfo *output, Datum value, const char *column,
									 FeathubProtoRaw *raw);

/* protobuf_write_jsonb.c */

/* A part of a jsonb as all that a field has, with tags. */
extern void FeathubProtobufWriteJsonb(const FeathubProtoField *field, const JsonbValue *value,
									  const char *column, int depth, StringInfo out);

#endif							/* FEATHUB_FORMATS_PROTOBUF_H */
