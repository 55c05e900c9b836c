/*
 * schema_registry.c
 *		A client of schema registries with Confluent's REST interface.
 *
 * What an id stands for never changes, so schemas are kept for the rest of the
 * session, each with all that it refers to; keys of the cache are the registry,
 * with whoever asks it, and the id.  That there is no such id is kept for a
 * moment only: one record too many must not cost a request each.
 *
 * Redirects are followed to the same host and port only: credentials are meant
 * for the one in the option, and so is trust.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/clock.h"
#include "formats/format_private.h"
#include "formats/http_client.h"
#include "formats/json_value.h"
#include "formats/schema_registry.h"

/* The longest answer, and what the cache may hold, in bytes of text. */
#define MAX_ANSWER (16 * 1024 * 1024)
#define MAX_CACHE_BYTES (16 * 1024 * 1024)
#define MAX_CACHE_ENTRIES 2000

/* ms for which it is believed that there is no such schema */
#define ABSENT_MS 5000

/* Schemas that one may refer to, in all, and how deeply. */
#define MAX_REFERENCES 500
#define MAX_REFERENCE_DEPTH 50

#define MAX_REDIRECTS 3

/* The registry's own codes of "not found". */
#define CODE_SUBJECT_NOT_FOUND 40401
#define CODE_VERSION_NOT_FOUND 40402
#define CODE_SCHEMA_NOT_FOUND 40403

struct FeathubSchemaRegistry
{
	char	   *url;			/* one, or several with commas between */
	char	   *username;
	char	   *password;
	char	   *token;
	char	   *ca_file;
	char	   *ca_pem;
	char	   *cert_file;
	char	   *key_file;
	char	   *key_password;
	bool		verify;
	int			timeout;		/* s */

	/* Not options */
	List	   *urls;			/* char *, without a slash at the end */
	char	   *identity;		/* all of the above, as a key */
};

#define FIELD(name) .offset = offsetof(FeathubSchemaRegistry, name)

static void check_urls(const char *option, const char *value);
static void check_header(const char *option, const char *value);

const FeathubOption FeathubSchemaRegistryOptions[] = {
	{
		"schema_registry_url", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(url),
		.check = check_urls,
		.description = "Where the schema registry is, with its path if it has one; several, separated by commas, are tried in turn."
	},
	{
		"schema_registry_username", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(username),
		.description = "User name for the schema registry (basic authentication)."
	},
	{
		"schema_registry_password", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(password),
		.flags = FEATHUB_OPTION_SECRET,
		.description = "Password for the schema registry."
	},
	{
		"schema_registry_token", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(token),
		.flags = FEATHUB_OPTION_SECRET, .check = check_header,
		.description = "Bearer token for the schema registry, in place of a user name."
	},
	{
		"schema_registry_ca_file", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(ca_file),
		.flags = FEATHUB_OPTION_READS_FILE,
		.description = "File with the certificates that the registry's is verified with; else the system's."
	},
	{
		"schema_registry_ca_pem", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(ca_pem),
		.description = "The same certificates as text in PEM format."
	},
	{
		"schema_registry_cert_file", FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING,
		FEATHUB_OPTION_STRING, FIELD(cert_file), .flags = FEATHUB_OPTION_READS_FILE,
		.description = "File with the certificate shown to the registry."
	},
	{
		"schema_registry_key_file", FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING,
		FEATHUB_OPTION_STRING, FIELD(key_file), .flags = FEATHUB_OPTION_READS_FILE,
		.description = "File with that certificate's private key."
	},
	{
		"schema_registry_key_password", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING,
		FIELD(key_password), .flags = FEATHUB_OPTION_SECRET,
		.description = "Password of the private key."
	},
	{
		"schema_registry_verify", FEATHUB_ON_SERVER, FEATHUB_OPTION_BOOL, FIELD(verify),
		.default_value = "true",
		.description = "Whether the registry's certificate and name are verified."
	},
	{
		"schema_registry_timeout", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT, FIELD(timeout),
		.min = 1, .max = 600, .default_value = "10",
		.description = "Seconds that a request to the registry may take."
	},
	{.name = NULL}
};

const FeathubOptionValue FeathubSubjectStrategies[] = {
	{"topic", FEATHUB_SUBJECT_TOPIC},
	{"record", FEATHUB_SUBJECT_RECORD},
	{"topic_record", FEATHUB_SUBJECT_TOPIC_RECORD},
	{NULL, 0}
};

/* The cache.  All of it is in cache_context, and goes with it. */
typedef struct CacheKey
{
	int			registry;		/* index in cache_registries */
	int32		id;
} CacheKey;

typedef struct CacheEntry
{
	CacheKey	key;
	FeathubRegistrySchema *schema;	/* NULL: there is none */
	char	   *reason;			/* then: the registry's words */
	TimestampTz until;			/* and how long that is believed */
} CacheEntry;

static MemoryContext cache_context;
static HTAB *cache;
static List *cache_registries;	/* identities, char * */
static Size cache_bytes;		/* of texts */

/* An answer of the registry, as far as it is the same for all requests. */
typedef struct Answer
{
	long		status;
	JsonbValue	json;			/* of a 200, or of an error that has some */
	bool		has_json;
	int			code;			/* of an error: error_code, or 0 */
	char	   *message;		/* of an error, in the server's encoding */
	const char *url;			/* that gave it: the option's */
} Answer;

/* Schemas that have been read for one, by subject and version. */
typedef struct Resolver
{
	FeathubSchemaRegistry *registry;
	List	   *known;			/* FeathubRegistrySchema * */
	int			depth;
} Resolver;

/* Names like those that libcurl would take for itself are refused here. */
static void
check_url(const char *option, const char *url)
{
	const char *host;
	const char *problem = NULL;

	if (pg_strncasecmp(url, "http://", 7) == 0)
		host = url + 7;
	else if (pg_strncasecmp(url, "https://", 8) == 0)
		host = url + 8;
	else
	{
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", option),
				 errhint("A URL must begin with https:// or http://.")));
		return;
	}
	if (host[strcspn(host, "@")] != '\0')
		problem = "It must have no user name and no password: they belong to the user mapping.";
	else if (host[strcspn(host, "?#")] != '\0')
		problem = "It must end with the path: no query, no fragment.";
	else if (*host == '\0' || *host == '/' || *host == ':')
		problem = "It must have a host.";
	for (const char *p = url; *p && problem == NULL; p++)
	{
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			problem = "It must have no spaces and only ASCII characters.";
	}
	/* what is wrong may be a password */
	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", option),
				 errdetail_internal("%s", problem)));
}

/* The URLs of the option, without the slashes that they end with. */
static List *
split_urls(const char *value)
{
	List	   *urls = NIL;

	while (*value)
	{
		Size		len = strcspn(value, ",");
		const char *begin = value;
		const char *end = value + len;

		value = *end ? end + 1 : end;
		while (begin < end && isspace((unsigned char) *begin))
			begin++;
		while (end > begin && (isspace((unsigned char) end[-1]) || end[-1] == '/'))
			end--;
		if (end > begin)
			urls = lappend(urls, pnstrdup(begin, end - begin));
	}
	return urls;
}

static void
check_urls(const char *option, const char *value)
{
	List	   *urls = split_urls(value);
	ListCell   *lc;

	if (urls == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("value for option \"%s\" must not be empty", option)));
	foreach(lc, urls)
		check_url(option, lfirst(lc));
}

/* It becomes a part of a header. */
static void
check_header(const char *option, const char *value)
{
	for (const char *p = value; *p; p++)
	{
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("invalid value for option \"%s\"", option)));
	}
}

FeathubSchemaRegistry *
FeathubSchemaRegistryOpen(List *server_options, List *user_options)
{
	FeathubSchemaRegistry *registry = palloc0(sizeof(FeathubSchemaRegistry));
	const char *parts[9];
	StringInfoData identity;

	FeathubOptionsDefaults(FeathubSchemaRegistryOptions,
						   FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING, registry);
	FeathubOptionsParse(FeathubSchemaRegistryOptions, FEATHUB_ON_SERVER, server_options, registry);
	FeathubOptionsParse(FeathubSchemaRegistryOptions, FEATHUB_ON_USER_MAPPING, user_options,
						registry);
	if (registry->url == NULL)
	{
		pfree(registry);
		return NULL;
	}
	registry->urls = split_urls(registry->url);

	/* a user's rights are a part of it: what one may see, another may not */
	parts[0] = registry->url;
	parts[1] = registry->username;
	parts[2] = registry->password;
	parts[3] = registry->token;
	parts[4] = registry->ca_file;
	parts[5] = registry->ca_pem;
	parts[6] = registry->cert_file;
	parts[7] = registry->key_file;
	parts[8] = registry->key_password;
	initStringInfo(&identity);
	appendStringInfo(&identity, "%d", registry->verify);
	for (int i = 0; i < lengthof(parts); i++)
		appendStringInfo(&identity, "%c%s", parts[i] ? '\001' : '\002', parts[i] ? parts[i] : "");
	registry->identity = identity.data;
	return registry;
}

const char *
FeathubSchemaRegistryUrl(const FeathubSchemaRegistry *registry)
{
	return registry->url;
}

/* Requests */

/* Does a redirect stay at scheme, host and port of the URL? */
static bool
same_origin(const char *url, const char *other)
{
	const char *path = strchr(strstr(url, "://") + 3, '/');
	Size		len = path ? path - url : strlen(url);

	return pg_strncasecmp(url, other, len) == 0 && (other[len] == '/' || other[len] == '\0');
}

/* For messages: another's words may be no text of any encoding. */
static char *
clean_url(const char *url)
{
	char	   *result = pstrdup(url);

	for (char *p = result; *p; p++)
	{
		if ((unsigned char) *p <= ' ' || (unsigned char) *p >= 0x7f)
			*p = '?';
	}
	return result;
}

/*
 * Ask one registry; false if there is no answer, with the reason.  A server
 * that is not well (5xx) is no answer either.
 */
static bool
ask_one(FeathubSchemaRegistry *registry, const char *base, const char *path, const char *body,
		FeathubHttpResponse *response, char **reason)
{
	FeathubHttpRequest request = {
		.url = psprintf("%s%s", base, path), .body = body,
		.content_type = "application/vnd.schemaregistry.v1+json, application/json",
		.username = registry->username, .password = registry->password,
		.token = registry->token, .ca_file = registry->ca_file, .ca_pem = registry->ca_pem,
		.cert_file = registry->cert_file, .key_file = registry->key_file,
		.key_password = registry->key_password, .verify = registry->verify,
		.timeout = registry->timeout * 1000, .limit = MAX_ANSWER
	};

	if (body)
		request.content_type = "application/vnd.schemaregistry.v1+json";
	for (int i = 0;; i++)
	{
		if (!FeathubHttpPerform(&request, response))
		{
			*reason = response->reason;
			return false;
		}
		if (response->status >= 500)
		{
			*reason = psprintf("it answered with status %ld", response->status);
			return false;
		}
		if (response->status < 300 || response->status >= 400 || response->redirect == NULL)
			return true;
		if (!same_origin(base, response->redirect))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("schema registry \"%s\" redirects to another host", base),
					 errdetail("It points to \"%s\".", clean_url(response->redirect)),
					 errhint("Name that place in option \"%s\", if it is to be trusted.",
							 "schema_registry_url")));
		if (i >= MAX_REDIRECTS)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("schema registry \"%s\" redirects too often", base)));
		request.url = response->redirect;
	}
}

/* The words of an error, for messages: on one line, not too many. */
static char *
clean_message(const char *text)
{
	char	   *result = pnstrdup(text, pg_mbcliplen(text, (int) strlen(text), 1000));

	for (char *p = result; *p; p++)
	{
		if ((unsigned char) *p < ' ')
			*p = ' ';
	}
	return result;
}

/*
 * Ask the registries in turn.  Returns answers that say something of what was
 * asked: 200, 404, 409, 422; others are errors.
 */
static void
ask(FeathubSchemaRegistry *registry, const char *path, const char *body, Answer *answer)
{
	FeathubHttpResponse response;
	FeathubDecodeError error;
	StringInfoData reasons;
	const char *base = NULL;
	ListCell   *lc;

	initStringInfo(&reasons);
	foreach(lc, registry->urls)
	{
		char	   *reason;

		if (ask_one(registry, lfirst(lc), path, body, &response, &reason))
		{
			base = lfirst(lc);
			break;
		}
		appendStringInfo(&reasons, "%s%s: %s.", reasons.len > 0 ? "\n" : "",
						 (char *) lfirst(lc), reason);
	}
	if (base == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not ask schema registry \"%s\"", registry->url),
				 errdetail_internal("%s", reasons.data)));

	memset(answer, 0, sizeof(Answer));
	answer->status = response.status;
	answer->url = base;
	answer->has_json = FeathubJsonDocument(response.data, response.len, &answer->json, &error);
	if (answer->has_json)
	{
		char	   *message = FeathubJsonStringMember(&answer->json, "message");

		(void) FeathubJsonIntMember(&answer->json, "error_code", &answer->code);
		answer->message = message ? clean_message(message) : NULL;
	}
	if (response.status == 401 || response.status == 403)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("schema registry \"%s\" refuses access with status %ld", base,
						response.status),
				 answer->message ? errdetail_internal("%s", answer->message) : 0,
				 errhint("Credentials are options of the user mapping: \"%s\" and \"%s\", or \"%s\".",
						 "schema_registry_username", "schema_registry_password",
						 "schema_registry_token")));
	if (response.status != 200 && response.status != 404 && response.status != 409 &&
		response.status != 422)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("schema registry \"%s\" answered with status %ld", base, response.status),
				 answer->message ? errdetail_internal("%s", answer->message) : 0));
	if (!answer->has_json || (response.status == 404 && answer->code == 0))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("\"%s\" did not answer as a schema registry does", base),
				 errdetail("The answer to \"%s\" has status %ld.", path, response.status),
				 errhint("Does option \"%s\" have the right path?", "schema_registry_url")));
}

/* What a registry should not have said. */
static void
bad_answer(FeathubSchemaRegistry *registry, const char *path, const Answer *answer)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("could not understand the answer of schema registry \"%s\"", answer->url),
			 errdetail("It was asked for \"%s\".", path)));
}

/* A subject's name as a part of a path. */
static char *
escape(const char *name)
{
	StringInfoData out;
	const char *utf8 = pg_server_to_any(name, (int) strlen(name), PG_UTF8);

	initStringInfo(&out);
	for (const unsigned char *p = (const unsigned char *) utf8; *p; p++)
	{
		if (*p < 0x80 && (isalnum(*p) || strchr("-_.~", *p)))
			appendStringInfoChar(&out, *p);
		else
			appendStringInfo(&out, "%%%02X", *p);
	}
	return out.data;
}

/* Schemas */

static FeathubSchemaType
schema_type(const JsonbValue *json)
{
	char	   *type = FeathubJsonStringMember(json, "schemaType");

	if (type == NULL || strcmp(type, "AVRO") == 0)
		return FEATHUB_SCHEMA_AVRO;
	if (strcmp(type, "PROTOBUF") == 0)
		return FEATHUB_SCHEMA_PROTOBUF;
	if (strcmp(type, "JSON") == 0)
		return FEATHUB_SCHEMA_JSON;
	return FEATHUB_SCHEMA_OTHER;
}

static const char *
schema_type_name(FeathubSchemaType type)
{
	return type == FEATHUB_SCHEMA_PROTOBUF ? "PROTOBUF" :
		type == FEATHUB_SCHEMA_JSON ? "JSON" : "AVRO";
}

static void resolve_references(Resolver *resolver, FeathubRegistrySchema *schema);

/* A schema out of an answer; false if it has none. */
static bool
read_schema(const Answer *answer, FeathubRegistrySchema *schema)
{
	char	   *text = FeathubJsonStringMember(&answer->json, "schema");
	JsonbValue *references = FeathubJsonMember(&answer->json, "references");
	char	   *utf8;

	if (text == NULL)
		return false;
	utf8 = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	schema->text = utf8;
	schema->len = strlen(utf8);
	schema->type = schema_type(&answer->json);
	(void) FeathubJsonIntMember(&answer->json, "id", &schema->id);
	(void) FeathubJsonIntMember(&answer->json, "version", &schema->version);
	schema->subject = FeathubJsonStringMember(&answer->json, "subject");
	if (references == NULL || references->type == jbvNull)
		return true;
	if (!FeathubJsonIsArray(references))
		return false;
	schema->nreferences = JsonContainerSize(references->val.binary.data);
	if (schema->nreferences > MAX_REFERENCES)
		return false;
	schema->references = palloc0(sizeof(FeathubSchemaReference) * Max(schema->nreferences, 1));
	for (int i = 0; i < schema->nreferences; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(references->val.binary.data, i);
		FeathubSchemaReference *reference = &schema->references[i];

		reference->name = FeathubJsonStringMember(value, "name");
		reference->subject = FeathubJsonStringMember(value, "subject");
		if (reference->name == NULL || reference->subject == NULL ||
			!FeathubJsonIntMember(value, "version", &reference->version))
			return false;
	}
	return true;
}

static FeathubRegistrySchema *
fetch_version(Resolver *resolver, const char *subject, int version)
{
	FeathubRegistrySchema *schema = palloc0(sizeof(FeathubRegistrySchema));
	char	   *path = version > 0 ?
		psprintf("/subjects/%s/versions/%d", escape(subject), version) :
		psprintf("/subjects/%s/versions/latest", escape(subject));
	Answer		answer;

	ask(resolver->registry, path, NULL, &answer);
	if (answer.status == 404)
		return NULL;
	if (answer.status != 200 || !read_schema(&answer, schema) || schema->version <= 0)
		bad_answer(resolver->registry, path, &answer);
	if (schema->subject == NULL)
		schema->subject = pstrdup(subject);
	resolver->known = lappend(resolver->known, schema);
	resolve_references(resolver, schema);
	return schema;
}

static void
resolve_references(Resolver *resolver, FeathubRegistrySchema *schema)
{
	const char *url = resolver->registry->url;

	CHECK_FOR_INTERRUPTS();
	if (++resolver->depth > MAX_REFERENCE_DEPTH || list_length(resolver->known) > MAX_REFERENCES)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("a schema in schema registry \"%s\" refers to too many others", url)));
	for (int i = 0; i < schema->nreferences; i++)
	{
		FeathubSchemaReference *reference = &schema->references[i];
		ListCell   *lc;

		foreach(lc, resolver->known)
		{
			FeathubRegistrySchema *known = lfirst(lc);

			if (known->version == reference->version && known->subject &&
				strcmp(known->subject, reference->subject) == 0)
				reference->schema = known;
		}
		if (reference->schema == NULL)
			reference->schema = fetch_version(resolver, reference->subject, reference->version);
		if (reference->schema == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("schema registry \"%s\" has no version %d of subject \"%s\", which a schema refers to",
							url, reference->version, reference->subject)));
	}
	resolver->depth--;
}

/* Schemas that lead to themselves could not be read by anybody. */
static void
check_circles(const FeathubRegistrySchema *schema, List **path, List **done, const char *url)
{
	if (list_member_ptr(*done, schema))
		return;
	if (list_member_ptr(*path, schema))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("schemas in schema registry \"%s\" refer to each other in a circle", url),
				 schema->subject ? errdetail("One is of subject \"%s\".", schema->subject) : 0));
	*path = lappend(*path, unconstify(FeathubRegistrySchema *, schema));
	for (int i = 0; i < schema->nreferences; i++)
		check_circles(schema->references[i].schema, path, done, url);
	*path = list_delete_last(*path);
	*done = lappend(*done, unconstify(FeathubRegistrySchema *, schema));
}

static void
finish_schema(FeathubSchemaRegistry *registry, FeathubRegistrySchema *schema)
{
	Resolver	resolver = {.registry = registry};
	List	   *path = NIL;
	List	   *done = NIL;

	if (schema->subject && schema->version > 0)
		resolver.known = list_make1(schema);
	resolve_references(&resolver, schema);
	check_circles(schema, &path, &done, registry->url);
}

/*
 * A schema with all that it refers to, in the current context.  copies: pairs
 * of original and copy, so that what is shared stays shared.
 */
static FeathubRegistrySchema *
copy_schema(const FeathubRegistrySchema *schema, List **copies)
{
	FeathubRegistrySchema *copy;

	for (int i = 0; i < list_length(*copies); i += 2)
	{
		if (list_nth(*copies, i) == schema)
			return list_nth(*copies, i + 1);
	}
	copy = palloc(sizeof(FeathubRegistrySchema));
	*copy = *schema;
	*copies = lappend(lappend(*copies, unconstify(FeathubRegistrySchema *, schema)), copy);
	copy->text = pstrdup(schema->text);
	copy->subject = schema->subject ? pstrdup(schema->subject) : NULL;
	copy->references = palloc0(sizeof(FeathubSchemaReference) * Max(schema->nreferences, 1));
	for (int i = 0; i < schema->nreferences; i++)
	{
		FeathubSchemaReference *reference = &copy->references[i];

		*reference = schema->references[i];
		reference->name = pstrdup(reference->name);
		reference->subject = pstrdup(reference->subject);
		reference->schema = copy_schema(reference->schema, copies);
	}
	return copy;
}

/* The cache */

/* The registry's number in the cache, which is made or emptied if need be. */
static int
cache_registry(FeathubSchemaRegistry *registry)
{
	HASHCTL		ctl = {.keysize = sizeof(CacheKey), .entrysize = sizeof(CacheEntry)};
	MemoryContext old;
	ListCell   *lc;

	if (cache != NULL && (cache_bytes > MAX_CACHE_BYTES ||
						  hash_get_num_entries(cache) > MAX_CACHE_ENTRIES ||
						  list_length(cache_registries) > MAX_CACHE_ENTRIES))
	{
		cache = NULL;
		MemoryContextDelete(cache_context);
	}
	if (cache == NULL)
	{
		cache_registries = NIL;
		cache_bytes = 0;
		cache_context = AllocSetContextCreate(CacheMemoryContext, "feathub schema registry",
											  ALLOCSET_SMALL_SIZES);
		ctl.hcxt = cache_context;
		cache = hash_create("feathub schemas", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	foreach(lc, cache_registries)
	{
		if (strcmp(lfirst(lc), registry->identity) == 0)
			return foreach_current_index(lc);
	}
	old = MemoryContextSwitchTo(cache_context);
	cache_registries = lappend(cache_registries, pstrdup(registry->identity));
	MemoryContextSwitchTo(old);
	return list_length(cache_registries) - 1;
}

/* Keep a schema, or why there is none. */
static void
cache_schema(FeathubSchemaRegistry *registry, int32 id, const FeathubRegistrySchema *schema,
			 const char *reason)
{
	MemoryContext old;
	CacheKey	key = {.id = id};
	CacheEntry *entry;
	FeathubRegistrySchema *kept = NULL;
	char	   *kept_reason = NULL;
	List	   *copies = NIL;

	key.registry = cache_registry(registry);
	old = MemoryContextSwitchTo(cache_context);
	if (schema)
		kept = copy_schema(schema, &copies);
	else
		kept_reason = pstrdup(reason);
	for (int i = 1; i < list_length(copies); i += 2)
		cache_bytes += ((FeathubRegistrySchema *) list_nth(copies, i))->len + 500;
	list_free(copies);
	cache_bytes += kept_reason ? strlen(kept_reason) : 0;
	MemoryContextSwitchTo(old);
	entry = hash_search(cache, &key, HASH_ENTER, NULL);
	entry->schema = kept;
	entry->reason = kept_reason;
	entry->until = schema ? DT_NOEND :
		TimestampTzPlusMilliseconds(FeathubClock(), ABSENT_MS);
}

FeathubRegistrySchema *
FeathubSchemaById(FeathubSchemaRegistry *registry, int32 id, FeathubDecodeError *error)
{
	CacheKey	key = {.id = id};
	CacheEntry *entry;
	FeathubRegistrySchema *schema;
	Answer		answer;
	char	   *path;
	char	   *reason;
	List	   *copies = NIL;

	key.registry = cache_registry(registry);
	entry = hash_search(cache, &key, HASH_FIND, NULL);
	if (entry && entry->schema)
		return copy_schema(entry->schema, &copies);
	if (entry && FeathubClock() < entry->until)
	{
		(void) FeathubDecodeFail(error, ERRCODE_INVALID_PARAMETER_VALUE, "%s", entry->reason);
		return NULL;
	}

	path = psprintf("/schemas/ids/%d", id);
	ask(registry, path, NULL, &answer);
	if (answer.status == 404 && answer.code == CODE_SCHEMA_NOT_FOUND)
	{
		reason = psprintf("schema registry \"%s\" has no schema with id %d", registry->url, id);
		cache_schema(registry, id, NULL, reason);
		(void) FeathubDecodeFail(error, ERRCODE_INVALID_PARAMETER_VALUE, "%s", reason);
		return NULL;
	}
	schema = palloc0(sizeof(FeathubRegistrySchema));
	if (answer.status != 200 || !read_schema(&answer, schema))
		bad_answer(registry, path, &answer);
	schema->id = id;
	finish_schema(registry, schema);
	cache_schema(registry, id, schema, NULL);
	return schema;
}

FeathubRegistrySchema *
FeathubSchemaBySubject(FeathubSchemaRegistry *registry, const char *subject, int version)
{
	Resolver	resolver = {.registry = registry};
	FeathubRegistrySchema *schema = fetch_version(&resolver, subject, version);
	List	   *path = NIL;
	List	   *done = NIL;

	if (schema)
		check_circles(schema, &path, &done, registry->url);
	return schema;
}

/* A schema as the body of a request. */
static char *
schema_body(FeathubSchemaType type, const char *text,
			const FeathubSchemaReference *references, int nreferences)
{
	StringInfoData out;
	char	   *own = pg_any_to_server(text, (int) strlen(text), PG_UTF8);

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"schema\":");
	escape_json(&out, own);
	/* older registries know no types, so it is said only where it is needed */
	if (type != FEATHUB_SCHEMA_AVRO)
		appendStringInfo(&out, ",\"schemaType\":\"%s\"", schema_type_name(type));
	for (int i = 0; i < nreferences; i++)
	{
		appendStringInfoString(&out, i == 0 ? ",\"references\":[" : ",");
		appendStringInfoString(&out, "{\"name\":");
		escape_json(&out, references[i].name);
		appendStringInfoString(&out, ",\"subject\":");
		escape_json(&out, references[i].subject);
		appendStringInfo(&out, ",\"version\":%d}", references[i].version);
	}
	if (nreferences > 0)
		appendStringInfoChar(&out, ']');
	appendStringInfoChar(&out, '}');
	return pg_server_to_any(out.data, out.len, PG_UTF8);
}

int32
FeathubSchemaRegister(FeathubSchemaRegistry *registry, const char *subject,
					  FeathubSchemaType type, const char *text,
					  const FeathubSchemaReference *references, int nreferences)
{
	char	   *path = psprintf("/subjects/%s/versions", escape(subject));
	Answer		answer;
	int			id = -1;

	ask(registry, path, schema_body(type, text, references, nreferences), &answer);
	if (answer.status == 409 || answer.status == 422)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 answer.status == 409 ?
				 errmsg("schema for subject \"%s\" is not compatible with the one in schema registry \"%s\"",
						subject, answer.url) :
				 errmsg("schema for subject \"%s\" is not accepted by schema registry \"%s\"",
						subject, answer.url),
				 answer.message ? errdetail_internal("%s", answer.message) : 0));
	if (answer.status != 200 || !FeathubJsonIntMember(&answer.json, "id", &id))
		bad_answer(registry, path, &answer);
	return id;
}

int32
FeathubSchemaLookup(FeathubSchemaRegistry *registry, const char *subject, FeathubSchemaType type,
					const char *text, const FeathubSchemaReference *references, int nreferences)
{
	char	   *path = psprintf("/subjects/%s", escape(subject));
	Answer		answer;
	int			id = -1;

	ask(registry, path, schema_body(type, text, references, nreferences), &answer);
	if (answer.status == 404)
		return -1;
	if (answer.status != 200 || !FeathubJsonIntMember(&answer.json, "id", &id))
		bad_answer(registry, path, &answer);
	return id;
}

List *
FeathubSchemaSubjects(FeathubSchemaRegistry *registry)
{
	List	   *names = NIL;
	Answer		answer;

	ask(registry, "/subjects", NULL, &answer);
	if (answer.status != 200 || !FeathubJsonIsArray(&answer.json))
		bad_answer(registry, "/subjects", &answer);
	for (int i = 0; i < JsonContainerSize(answer.json.val.binary.data); i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(answer.json.val.binary.data, i);

		if (value->type == jbvString)
			names = lappend(names, pnstrdup(value->val.string.val, value->val.string.len));
	}
	return names;
}

/* The wire format */

bool
FeathubSchemaReadHeader(const char **data, Size *len, int32 *id, FeathubDecodeError *error)
{
	const unsigned char *p = (const unsigned char *) *data;

	if (*len < FEATHUB_SCHEMA_HEADER_LEN || p[0] != 0)
		return FeathubDecodeFail(error, ERRCODE_INVALID_PARAMETER_VALUE,
								 "message does not begin with a zero byte and the id of its schema");
	*id = (int32) ((uint32) p[1] << 24 | (uint32) p[2] << 16 | (uint32) p[3] << 8 | p[4]);
	*data += FEATHUB_SCHEMA_HEADER_LEN;
	*len -= FEATHUB_SCHEMA_HEADER_LEN;
	return true;
}

void
FeathubSchemaWriteHeader(int32 id, StringInfo out)
{
	char		header[FEATHUB_SCHEMA_HEADER_LEN] = {
		0, (char) ((uint32) id >> 24), (char) ((uint32) id >> 16), (char) ((uint32) id >> 8),
		(char) id
	};

	appendBinaryStringInfo(out, header, sizeof(header));
}

char *
FeathubSchemaSubjectName(FeathubSubjectStrategy strategy, const char *topic, bool is_key,
						 const char *record)
{
	switch (strategy)
	{
		case FEATHUB_SUBJECT_RECORD:
			return pstrdup(record);
		case FEATHUB_SUBJECT_TOPIC_RECORD:
			return psprintf("%s-%s", topic, record);
		default:
			return psprintf("%s-%s", topic, is_key ? "key" : "value");
	}
}
