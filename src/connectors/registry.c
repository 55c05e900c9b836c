/*
 * registry.c
 *		The list of all connectors: one line for each.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/lsyscache.h"

#include "connectors/connector.h"

extern const FeathubConnector FeathubFilesystemConnector;
extern const FeathubConnector FeathubKafkaConnector;
#ifdef FEATHUB_WITH_MYSQL
extern const FeathubConnector FeathubMysqlConnector;
#endif
#ifdef FEATHUB_WITH_REDIS
extern const FeathubConnector FeathubRedisConnector;
#endif

const FeathubConnector *const FeathubConnectors[] = {
	&FeathubFilesystemConnector,
	&FeathubKafkaConnector,
#ifdef FEATHUB_WITH_MYSQL
	&FeathubMysqlConnector,
#endif
#ifdef FEATHUB_WITH_REDIS
	&FeathubRedisConnector,
#endif
	NULL
};

/* Wrappers whose connectors this build lacks, and what they need. */
static const struct
{
	const char *wrapper;
	const char *library;
}			left_out[] = {
#ifndef FEATHUB_WITH_MYSQL
	{"feathub_mysql", "libmariadb"},
#endif
#ifndef FEATHUB_WITH_REDIS
	{"feathub_redis", "hiredis and OpenSSL"},
#endif
	{NULL, NULL}
};

#define WRAPPER_PREFIX "feathub_"

static const FeathubConnector *find_connector(const char *fdwname);

void
FeathubConnectorsInit(void)
{
	for (int i = 0; FeathubConnectors[i]; i++)
	{
		if (FeathubConnectors[i]->init)
			FeathubConnectors[i]->init();
	}
}

const FeathubConnector *
FeathubConnectorByWrapper(const char *fdwname)
{
	const FeathubConnector *connector = find_connector(fdwname);

	for (int i = 0; connector == NULL && left_out[i].wrapper; i++)
		if (strcmp(left_out[i].wrapper, fdwname) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("this build of feathub has no connector for foreign-data wrapper \"%s\"", fdwname),
					 errhint("Build it where the headers of %s are.", left_out[i].library)));
	if (connector == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("there is no connector for foreign-data wrapper \"%s\"", fdwname),
				 errdetail("A wrapper is named after its connector, and this build of feathub may lack some.")));
	return connector;
}

const FeathubConnector *
FeathubConnectorOfTable(Oid relid)
{
	ForeignDataWrapper *fdw;
	char	   *handler;
	char	   *nspname;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return NULL;
	fdw = GetForeignDataWrapper(GetForeignServer(GetForeignTable(relid)->serverid)->fdwid);

	/* the name alone may be another extension's */
	if (!OidIsValid(fdw->fdwhandler))
		return NULL;
	handler = get_func_name(fdw->fdwhandler);
	nspname = get_namespace_name(get_func_namespace(fdw->fdwhandler));
	if (handler == NULL || strcmp(handler, "fdw_handler") != 0 ||
		nspname == NULL || strcmp(nspname, "feathub") != 0)
		return NULL;
	return find_connector(fdw->fdwname);
}

const FeathubConnector *
FeathubConnectorOfSource(Oid relid)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);

	if (connector == NULL || connector->open_stream == NULL)
		return NULL;
	if (connector->follows && !connector->follows(FeathubRelationDescribe(relid)))
		return NULL;
	return connector;
}

static const FeathubConnector *
find_connector(const char *fdwname)
{
	if (strncmp(fdwname, WRAPPER_PREFIX, strlen(WRAPPER_PREFIX)) != 0)
		return NULL;
	fdwname += strlen(WRAPPER_PREFIX);
	for (int i = 0; FeathubConnectors[i]; i++)
	{
		if (strcmp(FeathubConnectors[i]->name, fdwname) == 0)
			return FeathubConnectors[i];
	}
	return NULL;
}

int
FeathubComparePositionNumbers(const char *a, const char *b)
{
	int64		x = strtoll(a, NULL, 10);
	int64		y = strtoll(b, NULL, 10);

	return (x > y) - (x < y);
}
