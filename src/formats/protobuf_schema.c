/*
 * protobuf_schema.c
 *		Protocol Buffers' schemas: the library that reads them, and their message
 *		types as nodes with shapes.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "fmgr.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "core/compat.h"
#include "formats/protobuf.h"

/* Run a call into the library, with all signals blocked while it lasts. */
#define LIBRARY_CALL(call) \
	do { \
		sigset_t	save_; \
		sigprocmask(SIG_BLOCK, &BlockSig, &save_); \
		call; \
		sigprocmask(SIG_SETMASK, &save_, NULL); \
	} while (0)

/* A compiled schema, freed with the context it belongs to. */
typedef struct SchemaHandle
{
	const FeathubProtobufApi *api;
	const FeathubProtobufSchema *schema;
	MemoryContextCallback callback;
} SchemaHandle;

/* Known message types, and the shape of those that are a value. */
static const struct
{
	const char *name;
	FeathubProtoKnown known;
	FeathubShapeKind shape;
}			known_messages[] =
{
	{"google.protobuf.Timestamp", PROTO_TIMESTAMP, FEATHUB_SHAPE_INSTANT},
	{"google.protobuf.Duration", PROTO_DURATION, FEATHUB_SHAPE_INTERVAL},
	{"google.protobuf.DoubleValue", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.FloatValue", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.Int64Value", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.UInt64Value", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.Int32Value", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.UInt32Value", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.BoolValue", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.StringValue", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.BytesValue", PROTO_WRAPPER, FEATHUB_SHAPE_NULL},
	{"google.protobuf.Struct", PROTO_STRUCT, FEATHUB_SHAPE_JSON},
	{"google.protobuf.Value", PROTO_VALUE, FEATHUB_SHAPE_JSON},
	{"google.protobuf.ListValue", PROTO_LIST_VALUE, FEATHUB_SHAPE_JSON},
	{"google.type.Date", PROTO_DATE, FEATHUB_SHAPE_DATE},
	{"google.type.TimeOfDay", PROTO_TIME_OF_DAY, FEATHUB_SHAPE_TIME},
	{"confluent.type.Decimal", PROTO_DECIMAL, FEATHUB_SHAPE_DECIMAL},
};

static void
library_path(char *path)
{
	snprintf(path, MAXPGPATH, "%s/feathub_protobuf%s", pkglib_path, DLSUFFIX);
}

bool
FeathubProtobufAvailable(void)
{
	char		path[MAXPGPATH];

	library_path(path);
	return access(path, F_OK) == 0;
}

const FeathubProtobufApi *
FeathubProtobufLoad(void)
{
	static const FeathubProtobufApi *api = NULL;
	const FeathubProtobufApi *(*volatile get) (void) = NULL;
	char		path[MAXPGPATH];
	sigset_t	save;

	if (api != NULL)
		return api;
	library_path(path);
	if (!FeathubProtobufAvailable())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this build of feathub has no protobuf"),
				 errdetail("File \"%s\" does not exist.", path),
				 errhint("Install the development files of Protocol Buffers and of its compiler, and build feathub again.")));
	/* threads that libraries start at load time do not take the server's signals */
	sigprocmask(SIG_BLOCK, &BlockSig, &save);
	PG_TRY();
	{
		get = (const FeathubProtobufApi *(*) (void))
			load_external_function(path, "feathub_protobuf_api", true, NULL);
	}
	PG_FINALLY();
	{
		sigprocmask(SIG_SETMASK, &save, NULL);
	}
	PG_END_TRY();
	if (get()->version != FEATHUB_PROTOBUF_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("library \"%s\" is of another version of feathub", path)));
	api = get();
	return api;
}

static void
release_schema(void *arg)
{
	SchemaHandle *handle = arg;

	if (handle->schema)
		LIBRARY_CALL(handle->api->release(handle->schema));
	handle->schema = NULL;
}

/* The library's words may quote what is no text of the server's encoding. */
static char *
clean_message(const char *message)
{
	char	   *result = pstrdup(message);

	for (char *p = result; *p != '\0'; p++)
	{
		if (IS_HIGHBIT_SET(*p) || *p == '\n')
			*p = *p == '\n' ? ' ' : '?';
	}
	return result;
}

static void
raise_status(const FeathubProtobufStatus *status, const char *name, const char *option,
			 const char *where)
{
	char	   *message = clean_message(status->message);

	switch (status->code)
	{
		case FEATHUB_PROTOBUF_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("not enough memory to read the Protocol Buffers schema of %s", where)));
			break;
		case FEATHUB_PROTOBUF_NO_MESSAGE:
			if (name == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						 errmsg("option \"%s\" is required", option),
						 errdetail("The schema of %s has several messages or none.", where),
						 *message == '\0' ? 0 : errhint("Messages are: %s.", message)));
			else
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						 errmsg("the Protocol Buffers schema of %s has no message \"%s\"", where,
								name),
						 *message == '\0' ? 0 : errhint("Messages are: %s.", message)));
			break;
		default:
			ereport(ERROR,
					(errcode(status->code == FEATHUB_PROTOBUF_INVALID ?
							 ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE : ERRCODE_FDW_ERROR),
					 errmsg("invalid Protocol Buffers schema in %s", where),
					 errdetail_internal("%s", message)));
			break;
	}
}

FeathubProtoMessage *
FeathubProtobufCompile(int ninputs, const FeathubProtobufInput *inputs, const char *name,
					   int npath, const int *path, bool first, const char *option, const char *where)
{
	SchemaHandle *handle = palloc0(sizeof(SchemaHandle));
	FeathubProtobufStatus status;

	handle->api = FeathubProtobufLoad();
	handle->callback.func = release_schema;
	handle->callback.arg = handle;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &handle->callback);
	LIBRARY_CALL(handle->schema = handle->api->compile(ninputs, inputs, name, npath, path, first,
													   &status));
	if (handle->schema == NULL && status.code == FEATHUB_PROTOBUF_NO_MESSAGE && npath > 0 &&
		name == NULL)
		return NULL;
	if (handle->schema == NULL)
		raise_status(&status, name, option, where);
	return FeathubProtobufBind(handle->schema);
}

static FeathubShape *
int_shape(int bits, bool is_unsigned)
{
	FeathubShape *shape = FeathubShapeMake(FEATHUB_SHAPE_INT);

	shape->bits = bits;
	shape->is_unsigned = is_unsigned;
	return shape;
}

static FeathubShape *
float_shape(int bits)
{
	FeathubShape *shape = FeathubShapeMake(FEATHUB_SHAPE_FLOAT);

	shape->bits = bits;
	return shape;
}

/* The shape of one value of a field. */
static FeathubShape *
shape_of(const FeathubProtoField *field)
{
	FeathubShape *shape;

	switch (field->def->type)
	{
		case FEATHUB_PROTOBUF_DOUBLE:
			return float_shape(64);
		case FEATHUB_PROTOBUF_FLOAT:
			return float_shape(32);
		case FEATHUB_PROTOBUF_INT64:
		case FEATHUB_PROTOBUF_SFIXED64:
		case FEATHUB_PROTOBUF_SINT64:
			return int_shape(64, false);
		case FEATHUB_PROTOBUF_UINT64:
		case FEATHUB_PROTOBUF_FIXED64:
			return int_shape(64, true);
		case FEATHUB_PROTOBUF_INT32:
		case FEATHUB_PROTOBUF_SFIXED32:
		case FEATHUB_PROTOBUF_SINT32:
			return int_shape(32, false);
		case FEATHUB_PROTOBUF_UINT32:
		case FEATHUB_PROTOBUF_FIXED32:
			return int_shape(32, true);
		case FEATHUB_PROTOBUF_BOOL:
			return FeathubShapeMake(FEATHUB_SHAPE_BOOL);
		case FEATHUB_PROTOBUF_STRING:
			return FeathubShapeMake(FEATHUB_SHAPE_TEXT);
		case FEATHUB_PROTOBUF_BYTES:
			return FeathubShapeMake(FEATHUB_SHAPE_BYTES);
		case FEATHUB_PROTOBUF_ENUM:
			return FeathubShapeMake(FEATHUB_SHAPE_ENUM);
		default:
			/* a type's shape is one, the fields of it have names */
			shape = palloc(sizeof(FeathubShape));
			*shape = *field->message->shape;
			return shape;
	}
}

/* What a message means, and its shape as far as it needs no fields. */
static void
start_message(FeathubProtoMessage *message)
{
	const FeathubProtobufMessage *def = message->def;

	message->nfields = def->nfields;
	message->fields = palloc0(sizeof(FeathubProtoField) * Max(def->nfields, 1));
	message->shape = FeathubShapeMake(FEATHUB_SHAPE_STRUCT);
	for (int i = 0; i < lengthof(known_messages); i++)
	{
		if (strcmp(known_messages[i].name, def->full_name) != 0)
			continue;
		message->known = known_messages[i].known;
		message->shape->kind = known_messages[i].shape;
	}
	/* a message of that name that is another one's */
	if (message->known == PROTO_WRAPPER &&
		(def->nfields != 1 || def->fields[0].number != 1 || def->fields[0].is_repeated ||
		 def->fields[0].message >= 0 || def->fields[0].enumeration >= 0))
	{
		message->known = PROTO_PLAIN;
		message->shape->kind = FEATHUB_SHAPE_STRUCT;
	}
	if (message->shape->kind == FEATHUB_SHAPE_STRUCT)
	{
		message->shape->nchildren = def->nfields;
		message->shape->children = palloc0(sizeof(FeathubShape *) * Max(def->nfields, 1));
	}
}

static void
finish_field(FeathubProtoField *field)
{
	FeathubShape *whole;

	field->shape = shape_of(field);
	field->shape->name = field->name;
	field->whole = field->shape;
	if (!field->def->is_repeated)
		return;
	whole = FeathubShapeMake(field->def->is_map ? FEATHUB_SHAPE_MAP : FEATHUB_SHAPE_LIST);
	whole->name = field->name;
	whole->children = palloc0(sizeof(FeathubShape *) * 2);
	if (field->def->is_map)
	{
		whole->nchildren = 2;
		for (int i = 0; i < 2; i++)
			whole->children[i] = shape_of(&field->message->fields[i]);
	}
	else
	{
		whole->nchildren = 1;
		whole->children[0] = field->shape;
	}
	field->whole = whole;
}

FeathubProtoMessage *
FeathubProtobufBind(const FeathubProtobufSchema *schema)
{
	FeathubProtoMessage *messages = palloc0(sizeof(FeathubProtoMessage) * schema->nmessages);

	for (int i = 0; i < schema->nmessages; i++)
	{
		messages[i].def = &schema->messages[i];
		start_message(&messages[i]);
		for (int k = 0; k < messages[i].nfields; k++)
		{
			const FeathubProtobufField *def = &schema->messages[i].fields[k];
			FeathubProtoField *field = &messages[i].fields[k];

			field->def = def;
			field->name = def->name;
			field->message = def->message < 0 ? NULL : &messages[def->message];
			field->enumeration = def->enumeration < 0 ? NULL : &schema->enums[def->enumeration];
			messages[i].has_required |= def->is_required;
		}
	}
	/* wrappers are what is in them, before others take their shape */
	for (int i = 0; i < schema->nmessages; i++)
	{
		if (messages[i].known == PROTO_WRAPPER)
			messages[i].shape = shape_of(&messages[i].fields[0]);
	}
	for (int i = 0; i < schema->nmessages; i++)
	{
		for (int k = 0; k < messages[i].nfields; k++)
		{
			FeathubProtoField *field = &messages[i].fields[k];

			finish_field(field);
			if (messages[i].shape->kind == FEATHUB_SHAPE_STRUCT)
				messages[i].shape->children[k] = field->whole;
		}
	}
	messages[schema->root].schema = schema;
	return &messages[schema->root];
}

const FeathubProtoField *
FeathubProtobufFieldByNumber(const FeathubProtoMessage *message, uint32 number)
{
	int			low = 0;
	int			high = message->nfields - 1;

	/* most messages number their fields from 1 on, without holes */
	if (number >= 1 && number <= message->nfields &&
		message->fields[number - 1].def->number == number)
		return &message->fields[number - 1];
	while (low <= high)
	{
		int			mid = (low + high) / 2;
		uint32		found = message->fields[mid].def->number;

		if (found == number)
			return &message->fields[mid];
		if (found < number)
			low = mid + 1;
		else
			high = mid - 1;
	}
	return NULL;
}

const FeathubProtoField *
FeathubProtobufFieldByName(const FeathubProtoMessage *message, const char *name)
{
	const FeathubProtoField *found = NULL;
	int			matches = 0;

	for (int pass = 0; pass < 2 && matches == 0; pass++)
	{
		for (int i = 0; i < message->nfields; i++)
		{
			if (pass == 0 ? strcmp(message->fields[i].name, name) != 0 :
				pg_strcasecmp(message->fields[i].name, name) != 0)
				continue;
			found = &message->fields[i];
			matches++;
		}
	}
	if (matches > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("field \"%s\" is ambiguous in message \"%s\"", name,
						message->def->full_name)));
	return found;
}

const char *
FeathubProtobufEnumName(const FeathubProtobufEnum *type, int32 number)
{
	/* most enums number their names from 0 on, without holes */
	if (number >= 0 && number < type->nvalues && type->values[number].number == number)
		return type->values[number].name;
	for (int i = 0; i < type->nvalues; i++)
	{
		if (type->values[i].number == number)
			return type->values[i].name;
	}
	return NULL;
}

bool
FeathubProtobufIsTimeColumn(const FeathubProtoField *field, const FeathubConverter *type)
{
	if (type->kind != FEATHUB_CONVERT_DATE && type->kind != FEATHUB_CONVERT_TIMESTAMP &&
		type->kind != FEATHUB_CONVERT_TIMESTAMPTZ)
		return false;
	if (field->def->type == FEATHUB_PROTOBUF_STRING)
		return true;
	return FeathubProtobufIsInteger(field->def->type) &&
		type->settings->timestamp_format != FEATHUB_TIMESTAMP_ISO8601;
}
