/*
 * fuzz_columns.c
 *		The columns of a row type for a format, with options.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "core/guc.h"
#include "fuzz.h"

/* A setting of the extension, which is not loaded. */
int			feathub_file_memory = 16 * 1024;

/* Checked as the wrapper's validator does. */
static List *
add_option(List *list, const FeathubFormat *format, uint32 where, char *name, char *value)
{
	const FeathubOption *option = FeathubOptionsFind(format->options, where, name);

	if (option == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", name)));
	FeathubOptionsCheckValue(option, value);
	return lappend(list, makeDefElem(name, (Node *) makeString(value), -1));
}

FuzzColumns *
FuzzColumnsMake(Oid rowtype, const char *format, int noptions, char **options)
{
	FuzzColumns *result = palloc0(sizeof(FuzzColumns));
	List	   *table_options = NIL;

	result->format = FeathubFormatByName(format);
	result->tupdesc = lookup_rowtype_tupdesc_copy(rowtype, -1);
	result->columns = palloc0(sizeof(FeathubColumn) * Max(result->tupdesc->natts, 1));
	for (int i = 0; i < result->tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(result->tupdesc, i);
		FeathubColumn *column = &result->columns[result->ncolumns];

		if (attr->attisdropped)
			continue;
		column->attnum = attr->attnum;
		column->name = NameStr(attr->attname);
		column->typid = attr->atttypid;
		column->typmod = attr->atttypmod;
		result->ncolumns++;
	}

	for (int i = 0; i < noptions; i++)
	{
		char	   *name = pstrdup(options[i]);
		char	   *value = strchr(name, '=');
		char	   *dot;
		FeathubColumn *column = NULL;

		if (value == NULL)
			elog(ERROR, "option without value: \"%s\"", name);
		*value++ = '\0';
		dot = strchr(name, '.');
		for (int j = 0; dot != NULL && j < result->ncolumns; j++)
		{
			if (strncmp(result->columns[j].name, name, dot - name) == 0 &&
				result->columns[j].name[dot - name] == '\0')
				column = &result->columns[j];
		}
		if (column)
			column->options = add_option(column->options, result->format,
										 FEATHUB_ON_COLUMN, dot + 1, value);
		else
			table_options = add_option(table_options, result->format,
									   FEATHUB_ON_TABLE, name, value);
	}
	result->options = FeathubFormatParseOptions(result->format, table_options, NULL);
	return result;
}
