/*
 * schema_registry.h
 *		A client of schema registries with Confluent's REST interface.
 *
 * A server of messages may name a registry (FeathubSchemaRegistryOptions, on
 * the foreign server and the user mapping).  FeathubSchemaRegistryOpen gathers
 * what they say and asks nothing; the other functions look in the backend's
 * cache first, then ask.  They wait with the process latch, are cancelled at
 * once, and give up after option schema_registry_timeout.
 *
 * Errors.  A registry that cannot be reached, refuses or answers nonsense is
 * raised with an SQLSTATE of class HV: a job tries again, no record is to
 * blame.  Only what the registry does not know by its own word is returned.
 */
#ifndef FEATHUB_FORMATS_SCHEMA_REGISTRY_H
#define FEATHUB_FORMATS_SCHEMA_REGISTRY_H

#include "lib/stringinfo.h"

#include "core/options.h"
#include "formats/format.h"

/* Options on the server and on the user mapping, for connectors with registry. */
extern const FeathubOption FeathubSchemaRegistryOptions[];

/* How to ask a registry; opaque.  The struct behind FeathubCarrier.registry. */
typedef struct FeathubSchemaRegistry FeathubSchemaRegistry;

typedef enum FeathubSchemaType
{
	FEATHUB_SCHEMA_AVRO,
	FEATHUB_SCHEMA_PROTOBUF,
	FEATHUB_SCHEMA_JSON,
	FEATHUB_SCHEMA_OTHER		/* a type that only the registry knows */
} FeathubSchemaType;

typedef struct FeathubRegistrySchema FeathubRegistrySchema;

/* Another schema that one refers to. */
typedef struct FeathubSchemaReference
{
	char	   *name;			/* as the schema has it: a record's full name, an
								 * imported file */
	char	   *subject;
	int			version;
	FeathubRegistrySchema *schema;	/* with its own references */
} FeathubSchemaReference;

/* A schema as the registry has it; palloc'd in the caller's context. */
struct FeathubRegistrySchema
{
	int32		id;
	FeathubSchemaType type;
	char	   *text;			/* UTF-8, NUL-terminated */
	Size		len;
	char	   *subject;		/* asked by subject; else NULL */
	int			version;		/* likewise; else 0 */
	int			nreferences;
	FeathubSchemaReference *references;
};

/*
 * FeathubSchemaRegistryOpen
 *		The registry of a server for a user; NULL if the server names none.
 *
 * Lives in the current context.  user_options may be NIL.
 */
extern FeathubSchemaRegistry *FeathubSchemaRegistryOpen(List *server_options,
														List *user_options);

/* The server's option, or NULL: for messages. */
extern const char *FeathubSchemaRegistryUrl(const FeathubSchemaRegistry *registry);

/*
 * FeathubSchemaById
 *		The schema with that id, its references resolved.
 *
 * NULL, with *error filled, if the registry says that there is none: the
 * record that has the id is bad.
 */
extern FeathubRegistrySchema *FeathubSchemaById(FeathubSchemaRegistry *registry, int32 id,
												FeathubDecodeError *error);

/*
 * FeathubSchemaBySubject
 *		A version of a subject, 0: the latest, its references resolved.
 *
 * NULL if the registry says that there is none.  Not cached: keep it.
 */
extern FeathubRegistrySchema *FeathubSchemaBySubject(FeathubSchemaRegistry *registry,
													 const char *subject, int version);

/*
 * FeathubSchemaRegister
 *		The id of a schema under a subject, where it is registered if need be.
 *
 * references (name, subject, version) may be NULL.  One that the registry
 * refuses, being invalid or incompatible, raises FDW_ERROR with its reason.
 */
extern int32 FeathubSchemaRegister(FeathubSchemaRegistry *registry, const char *subject,
								   FeathubSchemaType type, const char *text,
								   const FeathubSchemaReference *references, int nreferences);

/* The id that the schema has under the subject, or -1: nothing is registered. */
extern int32 FeathubSchemaLookup(FeathubSchemaRegistry *registry, const char *subject,
								 FeathubSchemaType type, const char *text,
								 const FeathubSchemaReference *references, int nreferences);

/* Names (char *) of all subjects. */
extern List *FeathubSchemaSubjects(FeathubSchemaRegistry *registry);

/*
 * The wire format of messages: a zero byte and the schema's id, big-endian.
 * Read returns false, with *error filled, for bytes that do not begin so; then
 * *data and *len are those behind the id.
 */
#define FEATHUB_SCHEMA_HEADER_LEN 5
extern bool FeathubSchemaReadHeader(const char **data, Size *len, int32 *id,
									FeathubDecodeError *error);
extern void FeathubSchemaWriteHeader(int32 id, StringInfo out);

/*
 * Pass over such a header if there is one, in a format whose records never
 * begin with a zero byte and that needs no schema to read them.
 */
static inline void
FeathubSchemaSkipHeader(const char **data, Size *len)
{
	if (unlikely(*len >= FEATHUB_SCHEMA_HEADER_LEN && **data == '\0'))
	{
		*data += FEATHUB_SCHEMA_HEADER_LEN;
		*len -= FEATHUB_SCHEMA_HEADER_LEN;
	}
}

/* Which subject a message's schema has. */
typedef enum FeathubSubjectStrategy
{
	FEATHUB_SUBJECT_TOPIC,		/* topic-value, topic-key */
	FEATHUB_SUBJECT_RECORD,		/* the record's full name */
	FEATHUB_SUBJECT_TOPIC_RECORD	/* topic-fullname */
} FeathubSubjectStrategy;

/* For options that name one. */
extern const FeathubOptionValue FeathubSubjectStrategies[];

/* The subject's name, palloc'd; record may be NULL with FEATHUB_SUBJECT_TOPIC. */
extern char *FeathubSchemaSubjectName(FeathubSubjectStrategy strategy, const char *topic,
									  bool is_key, const char *record);

#endif							/* FEATHUB_FORMATS_SCHEMA_REGISTRY_H */
