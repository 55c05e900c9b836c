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
#include "core/folders.h"
#include "formats/schema_registry.h"

/* Where options of a relation may stand, but for those of its columns. */
#define ALL_PLACES (FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING | FEATHUB_ON_TABLE)

static bool is_in_folders(const char *path, Oid roleid);
static void check_format_name(const char *name, const char *value);
static FeathubRelation *describe(Oid relid, Oid *owner);
static void resolve_options(FeathubRelation *rel);
static void check_required(FeathubRelation *rel);
static void resolve_format(FeathubRelation *rel);
static void resolve_columns(FeathubRelation *rel);
static void check_columns(FeathubRelation *rel);

const FeathubOption FeathubFormatOption[] = {
	{
		"format", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.check = check_format_name,
		.description = "How a record is encoded."
	},
	{.name = NULL}
};

/* Their names, places and defaults are those of postgres_fdw. */
static const FeathubOption common_options[] = {
	{
		"updatable", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_BOOL,
		.offset = offsetof(FeathubCommonOptions, updatable), .default_value = "true",
		.description = "Whether INSERT, UPDATE and DELETE are allowed."
	},
	{
		"truncatable", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_BOOL,
		.offset = offsetof(FeathubCommonOptions, truncatable), .default_value = "true",
		.description = "Whether TRUNCATE is allowed."
	},
	{
		"key", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.description = "Whether the column is one of those that name a row, for UPDATE and DELETE."
	},
	{.name = NULL}
};

FeathubRelation *
FeathubRelationOpen(Oid relid, Oid userid)
{
	FeathubRelation *rel;
	Oid			owner;

	rel = describe(relid, &owner);
	rel->userid = userid;

	/* GetUserMapping's own error is the one people know */
	if (rel->connector->needs_user_mapping)
		rel->user = GetUserMapping(userid, rel->server->serverid);
	else
		rel->user = FeathubUserMapping(userid, rel->server->serverid);

	resolve_options(rel);
	check_required(rel);
	resolve_format(rel);
	resolve_columns(rel);
	check_columns(rel);
	FeathubConnectorCheckServerFiles(rel->connector, rel->server, rel->user);
	FeathubConnectorCheckFiles(rel->connector, FEATHUB_ON_TABLE,
							   rel->table->options, owner);
	if (rel->connector->check_relation)
		rel->connector->check_relation(rel);
	return rel;
}

FeathubRelation *
FeathubRelationDescribe(Oid relid)
{
	FeathubRelation *rel;
	Oid			owner;

	rel = describe(relid, &owner);
	resolve_options(rel);
	if (rel->connector->default_format ||
		FeathubOptionsGet(rel->table->options, "format"))
		resolve_format(rel);
	resolve_columns(rel);
	return rel;
}

List *
FeathubRelationKeyColumns(FeathubRelation *rel)
{
	List	   *attnums = NIL;

	if (rel->connector->key_columns)
		return rel->connector->key_columns(rel);
	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		const char *value = FeathubRelationColumnOption(rel, attnum, "key");
		bool		is_key;

		if (value && parse_bool(value, &is_key) && is_key)
			attnums = lappend_int(attnums, attnum);
	}
	return attnums;
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
	if (option == NULL && connector->has_registry)
		option = FeathubOptionsFind(FeathubSchemaRegistryOptions, where, name);
	if (option == NULL)
		option = FeathubOptionsFind(FeathubConnectorCommonOptions(connector), where, name);
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

const FeathubOption *
FeathubConnectorCommonOptions(const FeathubConnector *connector)
{
	FeathubOption *options = palloc0(sizeof(common_options));
	int			n = 0;

	for (const FeathubOption *option = common_options; option->name; option++)
	{
		bool		applies;

		if (strcmp(option->name, "truncatable") == 0)
			applies = connector->truncate != NULL;
		else if (strcmp(option->name, "key") == 0)
			applies = connector->key_columns == NULL &&
				(connector->update_row != NULL || connector->delete_row != NULL);
		else
			applies = connector->insert_rows != NULL;
		if (applies && FeathubOptionsFind(connector->options, option->where, option->name) == NULL)
			options[n++] = *option;
	}
	return options;
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
	List	   *formats = NIL;
	ListCell   *lc;

	if (has_privs_of_role(roleid, ROLE_PG_READ_SERVER_FILES))
		return;

	if ((where & FEATHUB_ON_TABLE) != 0)
		formats = FeathubConnectorFormats(connector, deflist);
	foreach(lc, deflist)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const FeathubOption *option;

		option = FeathubConnectorFindOption(connector, formats, where, def->defname);
		if (option == NULL || (option->flags & FEATHUB_OPTION_READS_FILE) == 0)
			continue;
		if ((option->flags & FEATHUB_OPTION_IN_FOLDERS) == 0 ||
			!is_in_folders(defGetString(def), roleid))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for option \"%s\"", def->defname),
					 errdetail("Role \"%s\" must have the privileges of role \"%s\", because the option makes the server read a file.",
							   GetUserNameFromId(roleid, false),
							   "pg_read_server_files"),
					 option->flags & FEATHUB_OPTION_IN_FOLDERS ?
					 errhint("Or a superuser lists a folder for it in setting \"%s\".",
							 "feathub.allowed_folders") : 0));
	}
}

/*
 * May the role use the path by its allowed folders?  One that is not absolute
 * is looked at again when the server's folder is known.
 */
static bool
is_in_folders(const char *path, Oid roleid)
{
	List	   *folders = FeathubFoldersOf(roleid);
	char	   *simple = pstrdup(path);

	FeathubFoldersCheckPath(path);
	canonicalize_path(simple);
	return is_absolute_path(path) ? FeathubFoldersFind(folders, simple) != NULL : folders != NIL;
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

/* What the catalog says of a table; the caller holds a lock on it. */
static FeathubRelation *
describe(Oid relid, Oid *owner)
{
	FeathubRelation *rel = palloc0(sizeof(FeathubRelation));
	Relation	relation;

	rel->relid = relid;
	rel->table = GetForeignTable(relid);
	rel->server = GetForeignServer(rel->table->serverid);
	rel->connector = FeathubConnectorByWrapper(GetForeignDataWrapper(rel->server->fdwid)->fdwname);

	relation = table_open(relid, NoLock);
	rel->relname = pstrdup(RelationGetRelationName(relation));
	rel->tupdesc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	*owner = relation->rd_rel->relowner;
	table_close(relation, NoLock);
	return rel;
}

/* Merge defaults, server, user mapping and table into the connector's struct. */
static void
resolve_options(FeathubRelation *rel)
{
	const FeathubOption *options = rel->connector->options;
	List	   *user_options = rel->user ? rel->user->options : NIL;

	rel->options = palloc0(rel->connector->options_size);
	FeathubOptionsDefaults(options, ALL_PLACES, rel->options);
	FeathubOptionsParse(options, FEATHUB_ON_SERVER, rel->server->options, rel->options);
	FeathubOptionsParse(options, FEATHUB_ON_USER_MAPPING, user_options, rel->options);
	FeathubOptionsParse(options, FEATHUB_ON_TABLE, rel->table->options, rel->options);

	FeathubOptionsDefaults(common_options, ALL_PLACES, &rel->common);
	FeathubOptionsParse(common_options, FEATHUB_ON_SERVER, rel->server->options, &rel->common);
	FeathubOptionsParse(common_options, FEATHUB_ON_TABLE, rel->table->options, &rel->common);
}

/* Raise an error for a required option that stands nowhere. */
static void
check_required(FeathubRelation *rel)
{
	List	   *given;

	given = list_concat_copy(rel->server->options, rel->user ? rel->user->options : NIL);
	given = list_concat(given, rel->table->options);
	FeathubOptionsCheckRequired(rel->connector->options, ALL_PLACES, given,
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
	rel->format_options = FeathubFormatParseOptions(rel->format, rel->table->options,
													FeathubRelationCarrier(rel, false));
}

FeathubCarrier *
FeathubRelationCarrier(FeathubRelation *rel, bool is_key)
{
	FeathubCarrier *carrier = palloc0(sizeof(FeathubCarrier));

	carrier->is_key = is_key;
	carrier->relname = rel->relname;
	if (rel->connector->has_registry)
		carrier->registry = FeathubSchemaRegistryOpen(rel->server->options,
													  rel->user ? rel->user->options : NIL);
	return carrier;
}

/* Read the columns' options. */
static void
resolve_columns(FeathubRelation *rel)
{
	rel->column_options = palloc0(sizeof(List *) * Max(rel->tupdesc->natts, 1));
	for (int i = 0; i < rel->tupdesc->natts; i++)
	{
		if (!TupleDescAttr(rel->tupdesc, i)->attisdropped)
			rel->column_options[i] = GetForeignColumnOptions(rel->relid, i + 1);
	}
}

/*
 * Check the columns' options.  The validator saw them one column at a time,
 * without the table: only here is it known whether they go with the format.
 */
static void
check_columns(FeathubRelation *rel)
{
	List	   *formats = FeathubConnectorFormats(rel->connector, rel->table->options);

	for (int i = 0; i < rel->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, i);
		ListCell   *lc;

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

List *
FeathubConnectorUpsertKey(Oid relid, bool *deletes)
{
	FeathubRelation *rel;
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);
	List	   *names = NIL;
	ListCell   *lc;

	*deletes = false;
	if (connector == NULL)
		return NIL;
	rel = FeathubRelationDescribe(relid);
	if (connector->upserts == NULL || !connector->upserts(rel))
		return NIL;
	foreach(lc, FeathubRelationKeyColumns(rel))
		names = lappend(names, pstrdup(NameStr(TupleDescAttr(rel->tupdesc,
															 lfirst_int(lc) - 1)->attname)));
	*deletes = names != NIL && connector->delete_row != NULL;
	return names;
}
