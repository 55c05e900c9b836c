/*
 * protobuf_descriptor.h
 *		The edge between feathub and Google's Protocol Buffers library.
 *
 * Plain C on both sides: the C++ behind it (protobuf_descriptor.cpp) is a
 * library of its own, loaded at first use, that knows nothing of PostgreSQL.  It
 * reads and checks schemas only; messages are read and written in C by what it
 * tells of them.  No exception leaves a function below.
 */
#ifndef FEATHUB_FORMATS_PROTOBUF_DESCRIPTOR_H
#define FEATHUB_FORMATS_PROTOBUF_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C"
{
#endif

/* Changes whenever something below does: both sides must agree. */
#define FEATHUB_PROTOBUF_VERSION 1

/* Message types that are defined inside each other. */
#define FEATHUB_PROTOBUF_MAX_PATH 32

/* Types of fields, with the numbers that descriptors have for them. */
typedef enum FeathubProtobufType
{
	FEATHUB_PROTOBUF_DOUBLE = 1,
	FEATHUB_PROTOBUF_FLOAT,
	FEATHUB_PROTOBUF_INT64,
	FEATHUB_PROTOBUF_UINT64,
	FEATHUB_PROTOBUF_INT32,
	FEATHUB_PROTOBUF_FIXED64,
	FEATHUB_PROTOBUF_FIXED32,
	FEATHUB_PROTOBUF_BOOL,
	FEATHUB_PROTOBUF_STRING,
	FEATHUB_PROTOBUF_GROUP,
	FEATHUB_PROTOBUF_MESSAGE,
	FEATHUB_PROTOBUF_BYTES,
	FEATHUB_PROTOBUF_UINT32,
	FEATHUB_PROTOBUF_ENUM,
	FEATHUB_PROTOBUF_SFIXED32,
	FEATHUB_PROTOBUF_SFIXED64,
	FEATHUB_PROTOBUF_SINT32,
	FEATHUB_PROTOBUF_SINT64
} FeathubProtobufType;

/* Names consist of ASCII letters, digits, underscores and dots. */
typedef struct FeathubProtobufField
{
	const char *name;
	int			number;
	FeathubProtobufType type;
	bool		is_repeated;
	bool		is_map;			/* a repeated message of two fields */
	bool		is_packed;		/* when written */
	bool		is_required;
	bool		has_presence;	/* absent is not the same as the default */
	bool		has_default;	/* that the schema states */
	int			oneof;			/* index in its message, or -1 */
	int			message;		/* of the schema's messages, or -1 */
	int			enumeration;	/* of the schema's enums, or -1 */
	uint64_t	default_bits;	/* numbers, as they are on the wire but not
								 * zigzag; of an enum its number */
	const char *default_bytes;	/* strings and bytes */
	size_t		default_len;
} FeathubProtobufField;

typedef struct FeathubProtobufMessage
{
	const char *full_name;
	int			nfields;
	FeathubProtobufField *fields;	/* by number, ascending */
	int			noneofs;
} FeathubProtobufMessage;

typedef struct FeathubProtobufValue
{
	const char *name;
	int32_t		number;
} FeathubProtobufValue;

typedef struct FeathubProtobufEnum
{
	const char *full_name;
	bool		is_closed;		/* other numbers are unknown fields */
	int			nvalues;
	FeathubProtobufValue *values;	/* as declared */
} FeathubProtobufEnum;

/* A message type, and all types that it reaches. */
typedef struct FeathubProtobufSchema
{
	int			root;			/* of messages */
	int			npath;			/* where it is in its file: indexes of messages */
	int			path[FEATHUB_PROTOBUF_MAX_PATH];	/* inside each other */
	int			nmessages;
	FeathubProtobufMessage *messages;
	int			nenums;
	FeathubProtobufEnum *enums;
} FeathubProtobufSchema;

typedef enum FeathubProtobufKind
{
	FEATHUB_PROTOBUF_SOURCE,	/* the text of a .proto file */
	FEATHUB_PROTOBUF_FILE,		/* a FileDescriptorProto */
	FEATHUB_PROTOBUF_SET		/* a FileDescriptorSet */
} FeathubProtobufKind;

typedef struct FeathubProtobufInput
{
	FeathubProtobufKind kind;
	const char *name;			/* by which other inputs import it */
	const char *data;
	size_t		len;
} FeathubProtobufInput;

typedef enum FeathubProtobufCode
{
	FEATHUB_PROTOBUF_OK,
	FEATHUB_PROTOBUF_INVALID,	/* the schema is none */
	FEATHUB_PROTOBUF_NO_MESSAGE,	/* it has no such message */
	FEATHUB_PROTOBUF_MEMORY,
	FEATHUB_PROTOBUF_FAILED		/* anything else */
} FeathubProtobufCode;

typedef struct FeathubProtobufStatus
{
	FeathubProtobufCode code;
	char		message[1024];	/* the library's words; for NO_MESSAGE the names
								 * that there are */
} FeathubProtobufStatus;

typedef struct FeathubProtobufApi
{
	int			version;		/* FEATHUB_PROTOBUF_VERSION */
	const char *library;		/* name and version, for people */

	/*
	 * Read schemas and find a message type in them: that of a full name, else
	 * that at path (indexes of messages inside each other, npath > 0), else the
	 * only one of the last input's last file, or the first one if first is true.
	 * What the inputs import must be among them or be one of those files that
	 * come with the library.  Returns NULL after filling *status.
	 */
	const FeathubProtobufSchema *(*compile) (int ninputs, const FeathubProtobufInput *inputs,
											 const char *name, int npath, const int *path,
											 bool first, FeathubProtobufStatus *status);
	void		(*release) (const FeathubProtobufSchema *schema);
} FeathubProtobufApi;

/* The library's only symbol. */
extern const FeathubProtobufApi *feathub_protobuf_api(void);

#ifdef __cplusplus
}
#endif

#endif							/* FEATHUB_FORMATS_PROTOBUF_DESCRIPTOR_H */
