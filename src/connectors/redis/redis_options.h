/*
 * redis_options.h
 *		Options of Redis servers, user mappings and tables.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_OPTIONS_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_OPTIONS_H

#include "foreign/foreign.h"

#include "core/options.h"

typedef enum RedisMode
{
	REDIS_STANDALONE,
	REDIS_CLUSTER,
	REDIS_SENTINEL
} RedisMode;

typedef enum RedisTlsVerify
{
	REDIS_VERIFY_FULL,			/* the chain and the name */
	REDIS_VERIFY_CA,			/* the chain */
	REDIS_VERIFY_NONE
} RedisTlsVerify;

/* What a table's keys hold. */
typedef enum RedisKind
{
	REDIS_KIND_STRING,			/* one column is the value */
	REDIS_KIND_VALUE,			/* a record of the table's format in a string */
	REDIS_KIND_HASH,
	REDIS_KIND_LIST,
	REDIS_KIND_SET,
	REDIS_KIND_ZSET,
	REDIS_KIND_STREAM,
	REDIS_KIND_FEATURES			/* FeatHub's layout: a key for each column */
} RedisKind;

typedef enum RedisWriteMode
{
	REDIS_WRITE_INSERT,			/* an error if the key exists */
	REDIS_WRITE_UPSERT
} RedisWriteMode;

/* From when on a time to live is counted. */
typedef enum RedisTtlFrom
{
	REDIS_TTL_WRITE,
	REDIS_TTL_EVENT_TIME
} RedisTtlFrom;

/* A stream's entry whose id is not greater than the last one's. */
typedef enum RedisOldId
{
	REDIS_OLD_ID_ERROR,
	REDIS_OLD_ID_SKIP
} RedisOldId;

typedef enum RedisInvalidKeys
{
	REDIS_INVALID_ERROR,
	REDIS_INVALID_SKIP
} RedisInvalidKeys;

/* Column option "metadata". */
typedef enum RedisMetadata
{
	REDIS_META_TTL,				/* time left to live */
	REDIS_META_SCORE,			/* of a sorted set's member */
	REDIS_META_INDEX,			/* of a list's element */
	REDIS_META_FIELD,			/* name of a hash's field: a row for each */
	REDIS_META_ID,				/* of a stream's entry */
	REDIS_META_TIME,			/* of a stream's entry: in its id */
	REDIS_META_EVENT_TIME,		/* guards the row, kept beside it */
	REDIS_META_COUNT
} RedisMetadata;

typedef struct RedisOptions
{
	/* server */
	char	   *host;
	int			port;
	char	   *unix_socket;	/* or NULL */
	int			mode;			/* RedisMode */
	char	   *nodes;			/* of a cluster, or the sentinels; or NULL */
	char	   *master_name;	/* that the sentinels know, or NULL */
	int			database;		/* of the table too */
	int			connect_timeout;	/* s */
	int			command_timeout;	/* s */
	bool		keep_connections;
	bool		tls;
	int			tls_verify;		/* RedisTlsVerify */
	char	   *tls_ca_file;
	char	   *tls_server_name;
	char	   *tls_cert_file;	/* of the user mapping too */
	char	   *tls_key_file;

	/* user mapping */
	char	   *username;
	char	   *password;
	char	   *sentinel_username;
	char	   *sentinel_password;

	/* table */
	int			kind;			/* RedisKind */
	char	   *prefix;
	char	   *key_pattern;
	char	   *key_set;
	char	   *singleton_key;
	char	   *name_space;		/* option "namespace", of kind features */
	int			invalid_keys;	/* RedisInvalidKeys */
	int			fetch_size;		/* keys asked for at a time */
	int			fetch_memory;	/* kB of replies at a time */
	double		row_estimate;

	/* table, writing */
	int			write_mode;		/* RedisWriteMode */
	double		ttl;			/* s; 0: keys stay */
	int			ttl_from;		/* RedisTtlFrom */
	char	   *guard_prefix;	/* of the keys that hold event times */
	double		tombstone_ttl;	/* s that a deletion is remembered; 0: forever */
	int			on_old_id;		/* RedisOldId */
	int			min_replicas;	/* that must have what was written */
	int			batch_size;		/* rows sent at a time */
	bool		hash_partial_update;	/* of kind features */
} RedisOptions;

extern const FeathubOption FeathubRedisOptions[];
extern const FeathubOption FeathubRedisImportOptions[];

/* Names of kinds, for messages, EXPLAIN and statements that are generated. */
extern const char *FeathubRedisKindName(RedisKind kind);

/* The kind that TYPE's answer means, or -1; and that answer for a kind. */
extern int	FeathubRedisKindOfType(const char *type);
extern const char *FeathubRedisTypeOfKind(RedisKind kind);

/* A column's metadata option by its name, or -1. */
extern int	FeathubRedisMetadataByName(const char *name);
extern const char *FeathubRedisMetadataName(RedisMetadata kind);

/* The options of a server alone, for IMPORT FOREIGN SCHEMA. */
extern RedisOptions *FeathubRedisServerOptions(ForeignServer *server, UserMapping *user);

/* Raise an error for options of the server that do not go together. */
extern void FeathubRedisCheckServer(const RedisOptions *options, const char *server);

/* The hosts and ports of option "nodes" or, if there are none, of host and port. */
typedef struct RedisAddress
{
	char	   *host;			/* NULL: the unix socket */
	int			port;
} RedisAddress;

extern List *FeathubRedisAddresses(const RedisOptions *options);	/* of RedisAddress */

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_OPTIONS_H */
