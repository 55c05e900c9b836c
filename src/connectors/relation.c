/*
 * relation.c
 *		A foreign table's options, resolved for one user.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "connectors/connector.h"

static void check_format_name(const char *name, const char *value);
static void resolve_options(FeathubRelation *rel);
static void resolve_format(FeathubRelation *rel);
static void resolve_columns(FeathubRelation *rel);

const FeathubOption FeathubFormatOption[] = {
	{
		"format", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.check = check_format_name,
		.description = "How a record is encoded."
	},
	{.name = NULL}
};

FeathubRelation *
FeathubRelationOpen(Oid relid, Oid userid)
{
	FeathubRelation *rel = palloc0(sizeof(FeathubRelation));
	Relation	relation;
	Oid			owner;

	rel->relid = relid;
	rel->userid = userid;
	rel->table = GetForeignTable(relid);
	rel->server = GetForeignServer(rel->table->serverid);
	rel->connector = FeathubConnectorByWrapper(GetForeignDataWrapper(rel->server->fdwid)->fdwname);

	relation = table_open(relid, NoLock);
	rel->relname = pstrdup(RelationGetRelationName(relation));
	rel->tupdesc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	owner = relation->rd_rel->relowner;
	table_close(relation, NoLock);

	/* GetUserMapping's own error is the one people know */
	if (rel->connector->needs_user_mapping)
		rel->user = GetUserMapping(userid, rel->server->serverid);
	else
		rel->user = FeathubUserMapping(userid, rel->server->serverid);

	resolve_options(rel);
	resolve_format(rel);
	resolve_columns(rel);
	FeathubConnectorCheckServerFiles(rel->connector, rel->server, rel->user);
	FeathubConnectorCheckFiles(rel->connector, FEATHUB_ON_TABLE,
							   rel->table->options, owner);
	if (rel->connector->check_relation)
		rel->connector->check_relation(rel);
	return rel;
}

const char *
FeathubRelationColumnOption(FeathubRelation *rel, AttrNumber attnum, const char *name)
{
	if (attnum < 1 || attnum > rel->tupdesc->natts)
		return NULL;
	return FeathubOptionsGet(rel->column_options[attnum - 1], name);
}

UserMapping *
FeathubUserMapping(Oid userid, Oid serverid)
{
	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER,
							   ObjectIdGetDatum(userid),
							   ObjectIdGetDatum(serverid)) &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER,
							   ObjectIdGetDatum(InvalidOid),
							   ObjectIdGetDatum(serverid)))
		return NULL;
	return GetUserMapping(userid, serverid);
}

const FeathubOption *
FeathubConnectorFindOption(const FeathubConnector *connector,
						   List *formats, uint32 where, const char *name)
{
	const FeathubOption *option;
	ListCell   *lc;

	option = FeathubOptionsFind(connector->options, where, name);
	if (option == NULL && connector->has_formats)
		option = FeathubOptionsFind(FeathubFormatOption, where, name);
	foreach(lc, formats)
	{
		const FeathubFormat *format = lfirst(lc);

		if (option == NULL)
			option = FeathubOptionsFind(format->options, where, name);
	}
	if (option == NULL && connector->find_property)
		option = connector->find_property(name, where);
	return option;
}

List *
FeathubConnectorFormats(const FeathubConnector *connector, List *table_options)
{
	const char *name = FeathubOptionsGet(table_options, "format");
	List	   *formats = NIL;

	if (!connector->has_formats)
		return NIL;
	if (name == NULL)
		name = connector->default_format;
	if (name)
		formats = lappend(formats, (void *) FeathubFormatByName(name));

	for (const FeathubOption *option = connector->options; option && option->name; option++)
	{
		const char *suffix = strrchr(option->name, '_');

		if (suffix == NULL || strcmp(suffix, "_format") != 0 ||
			option->type != FEATHUB_OPTION_STRING)
			continue;
		name = FeathubOptionsGet(table_options, option->name);
		if (name)
			formats = list_append_unique_ptr(formats, (void *) FeathubFormatByName(name));
	}
	return formats;
}

void
FeathubConnectorCheckFiles(const FeathubConnector *connector, uint32 where,
						   List *deflist, Oid roleid)
{
	ListCell   *lc;

	if (has_privs_of_role(roleid, ROLE_PG_READ_SERVER_FILES))
		return;

	foreach(lc, deflist)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const FeathubOption *option;

		option = FeathubConnectorFindOption(connector, NIL, where, def->defname);
		if (option && (option->flags & FEATHUB_OPTION_READS_FILE))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for option \"%s\"", def->defname),
					 errdetail("Role \"%s\" must have the privileges of role \"%s\", because the option makes the server read a file.",
							   GetUserNameFromId(roleid, false),
							   "pg_read_server_files")));
	}
}

void
FeathubConnectorCheckServerFiles(const FeathubConnector *connector,
								 ForeignServer *server, UserMapping *user)
{
	/* each list answers for whoever wrote it: that role may have lost the right */
	FeathubConnectorCheckFiles(connector, FEATHUB_ON_SERVER,
							   server->options, server->owner);
	if (user)
	{
		/* the mapping for PUBLIC is the server owner's work */
		bool		own = SearchSysCacheExists2(USERMAPPINGUSERSERVER,
												ObjectIdGetDatum(user->userid),
												ObjectIdGetDatum(server->serverid));

		FeathubConnectorCheckFiles(connector, FEATHUB_ON_USER_MAPPING, user->options,
								   own ? user->userid : server->owner);
	}
}

/* Merge defaults, server, user mapping and table into the connector's struct. */
static void
resolve_options(FeathubRelation *rel)
{
	const FeathubOption *options = rel->connector->options;
	const uint32 places = FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING | FEATHUB_ON_TABLE;
	List	   *user_options = rel->user ? rel->user->options : NIL;
	List	   *given;

	rel->options = palloc0(rel->connector->options_size);
	FeathubOptionsDefaults(options, places, rel->options);
	FeathubOptionsParse(options, FEATHUB_ON_SERVER, rel->server->options, rel->options);
	FeathubOptionsParse(options, FEATHUB_ON_USER_MAPPING, user_options, rel->options);
	FeathubOptionsParse(options, FEATHUB_ON_TABLE, rel->table->options, rel->options);

	given = list_concat_copy(rel->server->options, user_options);
	given = list_concat(given, rel->table->options);
	FeathubOptionsCheckRequired(options, places, given,
								psprintf("foreign table \"%s\"", rel->relname));
	list_free(given);
}

static void
resolve_format(FeathubRelation *rel)
{
	List	   *formats;

	if (!rel->connector->has_formats)
		return;
	formats = FeathubConnectorFormats(rel->connector, rel->table->options);
	if (FeathubOptionsGet(rel->table->options, "format") == NULL &&
		rel->connector->default_format == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required for foreign table \"%s\"",
						"format", rel->relname)));
	rel->format = linitial(formats);
	rel->format_options = FeathubFormatParseOptions(rel->format, rel->table->options);
}

/*
 * Read the columns' options.  The validator saw them one column at a time,
 * without the table: only here is it known whether they go with the format.
 */
static void
resolve_columns(FeathubRelation *rel)
{
	List	   *formats = FeathubConnectorFormats(rel->connector, rel->table->options);

	rel->column_options = palloc0(sizeof(List *) * Max(rel->tupdesc->natts, 1));
	for (int i = 0; i < rel->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, i);
		ListCell   *lc;

		if (att->attisdropped)
			continue;
		rel->column_options[i] = GetForeignColumnOptions(rel->relid, i + 1);
		foreach(lc, rel->column_options[i])
		{
			DefElem    *def = lfirst_node(DefElem, lc);
			const FeathubOption *option;

			option = FeathubConnectorFindOption(rel->connector, formats,
												FEATHUB_ON_COLUMN, def->defname);
			if (option == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						 errmsg("invalid option \"%s\" of column \"%s\" of foreign table \"%s\"",
								def->defname, NameStr(att->attname), rel->relname),
						 rel->format ?
						 errdetail("Format \"%s\" has no such option for columns.",
								   rel->format->name) : 0));
			FeathubOptionsCheckValue(option, defGetString(def));
		}
	}
}

/* Option check: there is a format of that name. */
static void
check_format_name(const char *name, const char *value)
{
	(void) FeathubFormatByName(value);
}
