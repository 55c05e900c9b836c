/*
 * options.c
 *		Options of servers, user mappings, foreign tables and columns.
 *
 * One table per connector and format says everything about an option; this
 * file reads the tables.  A secret's value never gets into a message, so all
 * messages about values are made here.
 */
#include "postgres.h"

#include <math.h>

#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "core/options.h"

/* Names longer than this are not compared: varstr_levenshtein refuses them. */
#define MAX_COMPARED_NAME 255

/* Farther than this many edits apart, a name is no hint. */
#define MAX_NAME_DISTANCE 4

/* A parsed value, before it goes into its field. */
typedef union OptionValue
{
	bool		boolean;
	int64		integer;
	double		real;
	const char *string;
	char		character;
} OptionValue;

static void parse_value(const FeathubOption *option, const char *value,
						OptionValue *result);
static int64 parse_integer(const FeathubOption *option, const char *value);
static double parse_float(const FeathubOption *option, const char *value);
static int	parse_enum(const FeathubOption *option, const char *value);
static void check_range(const FeathubOption *option, double value);
static void store_value(const FeathubOption *option, const char *value, void *target);
static void reject_value(const FeathubOption *option, const char *value,
						 const char *expected) __attribute__((noreturn));
static char *describe_places(uint32 where);
static char *list_names(const FeathubOption *const *tables, uint32 where);

void
FeathubOptionsDefaults(const FeathubOption *options, uint32 where, void *target)
{
	const FeathubOption *option;

	for (option = options; option && option->name; option++)
	{
		if (where != 0 && (option->where & where) == 0)
			continue;
		if (option->default_value)
			store_value(option, option->default_value, target);
	}
}

void
FeathubOptionsParse(const FeathubOption *options, uint32 where,
					List *deflist, void *target)
{
	ListCell   *lc;

	foreach(lc, deflist)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		const FeathubOption *option;

		option = FeathubOptionsFind(options, where, def->defname);
		if (option)
			store_value(option, defGetString(def), target);
	}
}

void
FeathubOptionsCheckRequired(const FeathubOption *options, uint32 where,
							List *deflist, const char *object)
{
	const uint32 elsewhere = ~(where | FEATHUB_ON_COLUMN | FEATHUB_ON_IMPORT);
	const FeathubOption *option;

	for (option = options; option && option->name; option++)
	{
		if ((option->flags & FEATHUB_OPTION_REQUIRED) == 0 ||
			(option->where & where) == 0 ||
			(option->where & elsewhere) != 0)
			continue;
		if (FeathubOptionsGet(deflist, option->name) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
					 errmsg("option \"%s\" is required for %s",
							option->name, object),
					 option->description ?
					 errdetail_internal("%s", option->description) : 0));
	}
}

const FeathubOption *
FeathubOptionsFind(const FeathubOption *options, uint32 where, const char *name)
{
	const FeathubOption *option;

	for (option = options; option && option->name; option++)
	{
		if ((where == 0 || (option->where & where) != 0) &&
			strcmp(option->name, name) == 0)
			return option;
	}
	return NULL;
}

void
FeathubOptionsCheckValue(const FeathubOption *option, const char *value)
{
	OptionValue parsed;

	parse_value(option, value, &parsed);
}

const char *
FeathubOptionsClosest(const FeathubOption *const *tables, uint32 where,
					  const char *name)
{
	int			name_len = strlen(name);
	int			best = MAX_NAME_DISTANCE + 1;
	const char *closest = NULL;

	if (name_len == 0 || name_len > MAX_COMPARED_NAME)
		return NULL;

	for (; *tables; tables++)
	{
		const FeathubOption *option;

		for (option = *tables; option->name; option++)
		{
			int			distance;

			if (where != 0 && (option->where & where) == 0)
				continue;
			distance = varstr_levenshtein_less_equal(name, name_len,
													 option->name,
													 strlen(option->name),
													 1, 1, 1,
													 MAX_NAME_DISTANCE, true);
			/* as getClosestMatch: half of the name must be right */
			if (distance < best && distance <= name_len / 2)
			{
				best = distance;
				closest = option->name;
			}
		}
	}
	return closest;
}

void
FeathubOptionsReject(const FeathubOption *const *tables, uint32 where,
					 const char *name)
{
	const FeathubOption *const *table;
	const FeathubOption *option = NULL;
	const char *closest;
	char	   *names;

	for (table = tables; *table && option == NULL; table++)
		option = FeathubOptionsFind(*table, 0, name);
	if (option)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", name),
				 errhint("Option \"%s\" belongs to %s.",
						 name, describe_places(option->where))));

	closest = FeathubOptionsClosest(tables, where, name);
	names = list_names(tables, where);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 closest ?
			 errhint("Perhaps you meant the option \"%s\".", closest) :
			 names[0] != '\0' ?
			 errhint("Valid options in this context are: %s.", names) :
			 errhint("There are no valid options in this context.")));
}

const char *
FeathubOptionsGet(List *deflist, const char *name)
{
	ListCell   *lc;

	foreach(lc, deflist)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

/* Read a value by the option's type, or raise an error. */
static void
parse_value(const FeathubOption *option, const char *value, OptionValue *result)
{
	memset(result, 0, sizeof(*result));
	switch (option->type)
	{
		case FEATHUB_OPTION_BOOL:
			if (!parse_bool(value, &result->boolean))
				reject_value(option, value, "a Boolean value");
			break;
		case FEATHUB_OPTION_INT:
		case FEATHUB_OPTION_INT64:
			result->integer = parse_integer(option, value);
			break;
		case FEATHUB_OPTION_FLOAT:
			result->real = parse_float(option, value);
			break;
		case FEATHUB_OPTION_STRING:
			result->string = value;
			break;
		case FEATHUB_OPTION_CHAR:
			if (strlen(value) != 1)
				reject_value(option, value, "a single one-byte character");
			result->character = value[0];
			break;
		case FEATHUB_OPTION_ENUM:
			result->integer = parse_enum(option, value);
			break;
	}
	if (option->check)
		option->check(option->name, value);
}

static int64
parse_integer(const FeathubOption *option, const char *value)
{
	char	   *end;
	int64		result;

	errno = 0;
	result = strtoi64(value, &end, 10);
	if (end > value)
		end += strspn(end, " \t\n\r\f\v");
	if (end == value || *end != '\0')
		reject_value(option, value, "an integer");
	if (errno == ERANGE ||
		(option->type == FEATHUB_OPTION_INT &&
		 (result < PG_INT32_MIN || result > PG_INT32_MAX)))
	{
		/* the limits, if there are any, say more than "out of range" */
		check_range(option, strchr(value, '-') ? -INFINITY : INFINITY);
		reject_value(option, value, option->type == FEATHUB_OPTION_INT ?
					 "an integer of 32 bits" : "an integer of 64 bits");
	}
	if (option->min != 0 || option->max != 0)
	{
		if (result < option->min)
			check_range(option, -INFINITY);
		if (result > option->max)
			check_range(option, INFINITY);
	}
	return result;
}

static double
parse_float(const FeathubOption *option, const char *value)
{
	char	   *end;
	double		result;

	errno = 0;
	result = strtod(value, &end);
	if (end > value)
		end += strspn(end, " \t\n\r\f\v");
	if (end == value || *end != '\0' || isnan(result) || isinf(result) ||
		errno == ERANGE)
		reject_value(option, value, "a number");
	check_range(option, result);
	return result;
}

static int
parse_enum(const FeathubOption *option, const char *value)
{
	const FeathubOptionValue *v;
	StringInfoData names;

	for (v = option->values; v->name; v++)
	{
		if (pg_strcasecmp(v->name, value) == 0)
			return v->value;
	}

	initStringInfo(&names);
	for (v = option->values; v->name; v++)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", v->name);
	if (option->flags & FEATHUB_OPTION_SECRET)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("unrecognized value for option \"%s\"", option->name),
				 errhint("Valid values are: %s.", names.data)));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("unrecognized value for option \"%s\": \"%s\"",
					option->name, value),
			 errhint("Valid values are: %s.", names.data)));
	return 0;					/* keep compiler quiet */
}

/* Raise an error if a number is outside the option's limits. */
static void
check_range(const FeathubOption *option, double value)
{
	if (option->min == 0 && option->max == 0)
		return;
	if (value >= (double) option->min && value <= (double) option->max)
		return;
	if (option->max == PG_INT32_MAX || option->max == PG_INT64_MAX)
	{
		if (value < (double) option->min)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("value for option \"%s\" must be greater than or equal to %lld",
							option->name, (long long) option->min)));
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("value for option \"%s\" must be between %lld and %lld",
					option->name, (long long) option->min,
					(long long) option->max)));
}

/* Parse a value and put it into its field of target. */
static void
store_value(const FeathubOption *option, const char *value, void *target)
{
	char	   *field = (char *) target + option->offset;
	OptionValue parsed;

	parse_value(option, value, &parsed);
	switch (option->type)
	{
		case FEATHUB_OPTION_BOOL:
			*(bool *) field = parsed.boolean;
			break;
		case FEATHUB_OPTION_INT:
		case FEATHUB_OPTION_ENUM:
			*(int *) field = (int) parsed.integer;
			break;
		case FEATHUB_OPTION_INT64:
			*(int64 *) field = parsed.integer;
			break;
		case FEATHUB_OPTION_FLOAT:
			*(double *) field = parsed.real;
			break;
		case FEATHUB_OPTION_STRING:
			*(char **) field = pstrdup(parsed.string);
			break;
		case FEATHUB_OPTION_CHAR:
			*field = parsed.character;
			break;
	}
}

static void
reject_value(const FeathubOption *option, const char *value, const char *expected)
{
	if (option->flags & FEATHUB_OPTION_SECRET)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", option->name),
				 errdetail("The value must be %s.", expected)));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option->name, value),
			 errdetail("The value must be %s.", expected)));
}

/* "a server or a foreign table", for the hint about a misplaced option. */
static char *
describe_places(uint32 where)
{
	static const struct
	{
		uint32		where;
		const char *name;
	}			places[] = {
		{FEATHUB_ON_SERVER, "a server"},
		{FEATHUB_ON_USER_MAPPING, "a user mapping"},
		{FEATHUB_ON_TABLE, "a foreign table"},
		{FEATHUB_ON_COLUMN, "a column of a foreign table"},
		{FEATHUB_ON_IMPORT, "IMPORT FOREIGN SCHEMA"}
	};
	StringInfoData result;
	uint32		left = where;

	initStringInfo(&result);
	for (int i = 0; i < lengthof(places); i++)
	{
		if ((where & places[i].where) == 0)
			continue;
		left &= ~places[i].where;
		if (result.len > 0)
			appendStringInfoString(&result, left ? ", " : " or ");
		appendStringInfoString(&result, places[i].name);
	}
	return result.data;
}

/* All names allowed at "where", for a hint; empty if there are none. */
static char *
list_names(const FeathubOption *const *tables, uint32 where)
{
	StringInfoData result;

	initStringInfo(&result);
	for (const FeathubOption *const *table = tables; *table; table++)
	{
		for (const FeathubOption *option = *table; option->name; option++)
		{
			const FeathubOption *const *before = tables;

			if (where != 0 && (option->where & where) == 0)
				continue;
			/* formats share options */
			while (before < table && FeathubOptionsFind(*before, where, option->name) == NULL)
				before++;
			if (before == table)
				appendStringInfo(&result, "%s%s", result.len > 0 ? ", " : "", option->name);
		}
	}
	return result.data;
}
