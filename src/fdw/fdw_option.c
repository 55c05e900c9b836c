/*
 * fdw_option.c
 *		The wrappers' validators.
 *
 * The server calls them with the complete list of an object's options, on
 * CREATE and on ALTER, but does not say which object it is.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "core/compat.h"
#include "fdw/fdw_option.h"
#include "formats/schema_registry.h"

/* A bit that no option has: foreign-data wrappers take none. */
#define ON_WRAPPER 0x80

/* Tables to look for hints in: the connector's, "format", every format's. */
#define MAX_OPTION_TABLES 32

/* One validator for each wrapper. */
#define FEATHUB_VALIDATOR(function, wrapper) \
	PG_FUNCTION_INFO_V1(function); \
	Datum \
	function(PG_FUNCTION_ARGS) \
	{ \
		validate(wrapper, PG_GETARG_DATUM(0), PG_GETARG_OID(1)); \
		PG_RETURN_VOID(); \
	} \
	extern Datum function(PG_FUNCTION_ARGS)

static void validate(const char *wrapper, Datum options, Oid catalog);
static void check_option(const FeathubConnector *connector,
						 List *formats, uint32 where, DefElem *def);
static bool check_column_format_option(const FeathubConnector *connector,
									   DefElem *def);
pg_noreturn static void reject_option(const FeathubConnector *connector,
						  List *formats, uint32 where,
						  const char *name);
static bool takes_options(const FeathubOption *const *tables, uint32 where);
static void check_required(const FeathubConnector *connector,
						   List *formats, uint32 where,
						   List *deflist);

FEATHUB_VALIDATOR(feathub_filesystem_validator, "feathub_filesystem");
FEATHUB_VALIDATOR(feathub_kafka_validator, "feathub_kafka");
FEATHUB_VALIDATOR(feathub_mysql_validator, "feathub_mysql");
FEATHUB_VALIDATOR(feathub_redis_validator, "feathub_redis");

void
FeathubFdwCheckOptions(const FeathubConnector *connector, uint32 where, List *deflist)
{
	List	   *formats = NIL;
	ListCell   *lc;

	if (where == FEATHUB_ON_TABLE)
		formats = FeathubConnectorFormats(connector, deflist);

	foreach(lc, deflist)
		check_option(connector, formats, where, lfirst_node(DefElem, lc));
	check_required(connector, formats, where, deflist);
	FeathubConnectorCheckFiles(connector, where, deflist, GetUserId());
}

void
FeathubFdwCheckImportOptions(const FeathubConnector *connector, List *deflist)
{
	static const FeathubOption no_options[] = {{.name = NULL}};
	const FeathubOption *tables[2] = {connector->import_options, NULL};
	ListCell   *lc;

	if (tables[0] == NULL)
		tables[0] = no_options;
	foreach(lc, deflist)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const FeathubOption *option;

		option = FeathubOptionsFind(tables[0], FEATHUB_ON_IMPORT, def->defname);
		if (option == NULL)
			FeathubOptionsReject(tables, FEATHUB_ON_IMPORT, def->defname);
		FeathubOptionsCheckValue(option, defGetString(def));

		/* unlike those of CREATE, nobody has looked for duplicates */
		for (int i = 0; i < foreach_current_index(lc); i++)
		{
			if (strcmp(list_nth_node(DefElem, deflist, i)->defname, def->defname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_OBJECT),
						 errmsg("option \"%s\" provided more than once", def->defname)));
		}
	}
	FeathubOptionsCheckRequired(tables[0], FEATHUB_ON_IMPORT, deflist,
								"IMPORT FOREIGN SCHEMA");
}

/* What every validator does. */
static void
validate(const char *wrapper, Datum options, Oid catalog)
{
	List	   *deflist = untransformRelOptions(options);
	uint32		where;

	switch (catalog)
	{
		case ForeignServerRelationId:
			where = FEATHUB_ON_SERVER;
			break;
		case UserMappingRelationId:
			where = FEATHUB_ON_USER_MAPPING;
			break;
		case ForeignTableRelationId:
			where = FEATHUB_ON_TABLE;
			break;
		case AttributeRelationId:
			where = FEATHUB_ON_COLUMN;
			break;
		default:
			where = ON_WRAPPER;
			break;
	}
	/* the extension has the wrappers of all connectors, whatever the build has */
	if (where == ON_WRAPPER && deflist == NIL)
		return;
	FeathubFdwCheckOptions(FeathubConnectorByWrapper(wrapper), where, deflist);
}

static void
check_option(const FeathubConnector *connector, List *formats,
			 uint32 where, DefElem *def)
{
	const FeathubOption *option;

	option = FeathubConnectorFindOption(connector, formats, where, def->defname);
	if (option == NULL)
	{
		if (where == FEATHUB_ON_COLUMN && check_column_format_option(connector, def))
			return;
		reject_option(connector, formats, where, def->defname);
	}

	/* a property is found wherever it is given; secrets have one place only */
	if ((option->where & where) == 0 ||
		((option->flags & FEATHUB_OPTION_SECRET) && where != FEATHUB_ON_USER_MAPPING))
	{
		FeathubOption described[2] = {*option, {.name = NULL}};
		const FeathubOption *tables[2] = {described, NULL};

		described[0].name = def->defname;
		if (option->flags & FEATHUB_OPTION_SECRET)
			described[0].where = FEATHUB_ON_USER_MAPPING;
		FeathubOptionsReject(tables, where, def->defname);
	}
	FeathubOptionsCheckValue(option, defGetString(def));
	if ((option->flags & FEATHUB_OPTION_SUPERUSER) && !superuser() &&
		(option->default_value == NULL ||
		 strcmp(defGetString(def), option->default_value) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for option \"%s\"", def->defname),
				 errdetail("Only superusers may set it.")));
}

/*
 * Is it some format's option for columns?  The table's format is not known
 * here, FeathubRelationOpen looks again when it is; so a value is checked only
 * if all formats that have the option take the same values.
 */
static bool
check_column_format_option(const FeathubConnector *connector, DefElem *def)
{
	const FeathubOption *found = NULL;
	bool		alike = true;

	if (!connector->has_formats)
		return false;
	for (int i = 0; FeathubFormats[i]; i++)
	{
		const FeathubOption *option;

		option = FeathubOptionsFind(FeathubFormats[i]->options, FEATHUB_ON_COLUMN,
									def->defname);
		if (option == NULL)
			continue;
		alike = found == NULL ||
			(alike && option->type == found->type && option->values == found->values &&
			 option->check == found->check);
		found = option;
	}
	if (found && alike)
		FeathubOptionsCheckValue(found, defGetString(def));
	return found != NULL;
}

static void
reject_option(const FeathubConnector *connector, List *formats,
			  uint32 where, const char *name)
{
	const FeathubOption *tables[MAX_OPTION_TABLES] = {0};
	const FeathubOption *registry[2] = {FeathubSchemaRegistryOptions, NULL};
	int			ntables = 0;

	if (connector->options)
		tables[ntables++] = connector->options;
	tables[ntables++] = FeathubConnectorCommonOptions(connector);
	if (connector->has_formats)
	{
		tables[ntables++] = FeathubFormatOption;
		for (int i = 0; FeathubFormats[i] && ntables < MAX_OPTION_TABLES - 1; i++)
		{
			const FeathubOption *options = FeathubFormats[i]->options;

			if (options == NULL)
				continue;
			if (where == FEATHUB_ON_TABLE && !list_member_ptr(formats, FeathubFormats[i]))
			{
				if (FeathubOptionsFind(options, FEATHUB_ON_TABLE, name))
					ereport(ERROR,
							(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							 errmsg("invalid option \"%s\"", name),
							 errdetail("Option \"%s\" belongs to format \"%s\", which the foreign table does not use.",
									   name, FeathubFormats[i]->name)));
				continue;
			}
			tables[ntables++] = options;
		}
	}

	/* properties are many: they are a hint if nothing else is close */
	if (connector->has_registry &&
		(FeathubOptionsFind(FeathubSchemaRegistryOptions, 0, name) != NULL ||
		 FeathubOptionsClosest(registry, where, name) != NULL))
		tables[ntables++] = FeathubSchemaRegistryOptions;
	else if (connector->properties &&
		FeathubOptionsClosest(tables, where, name) == NULL)
	{
		const FeathubOption *properties[2] = {connector->properties, NULL};
		bool		any = false;

		for (int i = 0; i < ntables && !any; i++)
			any = FeathubOptionsFind(tables[i], 0, name) != NULL;
		if (!any && (FeathubOptionsClosest(properties, where, name) != NULL ||
					 !takes_options(tables, where)))
			FeathubOptionsReject(properties, where, name);
	}
	FeathubOptionsReject(tables, where, name);
}

/* Does any option belong there? */
static bool
takes_options(const FeathubOption *const *tables, uint32 where)
{
	for (; *tables; tables++)
	{
		for (const FeathubOption *option = *tables; option->name; option++)
		{
			if (option->where & where)
				return true;
		}
	}
	return false;
}

/* Raise an error for a required option that this very object must have. */
static void
check_required(const FeathubConnector *connector, List *formats,
			   uint32 where, List *deflist)
{
	const char *object = where == FEATHUB_ON_SERVER ? "a server" :
		where == FEATHUB_ON_USER_MAPPING ? "a user mapping" : "a foreign table";
	ListCell   *lc;

	if (where != FEATHUB_ON_SERVER && where != FEATHUB_ON_USER_MAPPING &&
		where != FEATHUB_ON_TABLE)
		return;
	object = psprintf("%s of wrapper \"feathub_%s\"", object, connector->name);
	FeathubOptionsCheckRequired(connector->options, where, deflist, object);
	if (where != FEATHUB_ON_TABLE || !connector->has_formats)
		return;
	if (connector->default_format == NULL && FeathubOptionsGet(deflist, "format") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required for %s", "format", object)));
	foreach(lc, formats)
	{
		const FeathubFormat *format = lfirst(lc);

		FeathubOptionsCheckRequired(format->options, where, deflist,
									psprintf("format \"%s\"", format->name));
	}
}
