/*
 * file_import.c
 *		IMPORT FOREIGN SCHEMA of a folder: a table for each file and each folder
 *		in it.
 *
 * The remote schema is the folder's path, absolute or below option "folder" of
 * the server.  A table is named after its file without endings.  The format
 * follows from the ending unless an option says it; files whose format nobody
 * knows are left out with a notice.  Columns come from the file's schema, from
 * the header of csv, or from a sample of records; of a folder from the first
 * file in it, and from the names of its folders (year=2013).
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "connectors/filesystem/file_lines.h"
#include "formats/infer.h"

/* Files of a folder that tell the types of partition columns. */
#define MAX_PARTITION_FILES 200

typedef struct FileImport
{
	char	   *folder;
	char	   *format;
	int			header;			/* FileHeader */
	int			sample_size;
	char	   *delimiter;
	char	   *quote;
	char	   *escape;
	char	   *null;
	char	   *encoding;
} FileImport;

static const FeathubOptionValue file_import_header_values[] = {
	{"false", FILE_HEADER_NONE},
	{"true", FILE_HEADER_SKIP},
	{"match", FILE_HEADER_MATCH},
	{NULL}
};

const FeathubOption FeathubFileImportOptions[] = {
	{
		"folder", FEATHUB_ON_IMPORT, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileImport, folder),
		.description = "The folder, if its path is too long for the name of a schema."
	},
	{
		"format", FEATHUB_ON_IMPORT, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileImport, format),
		.description = "The format of all files; by default each name's ending says it."
	},
	{
		"header", FEATHUB_ON_IMPORT, FEATHUB_OPTION_ENUM,
		.values = file_import_header_values,
		.offset = offsetof(FileImport, header), .default_value = "true",
		.description = "Whether files of format csv begin with the columns' names."
	},
	{
		"sample_size", FEATHUB_ON_IMPORT, FEATHUB_OPTION_INT,
		.offset = offsetof(FileImport, sample_size),
		.min = 1, .max = 1000000, .default_value = "1000",
		.description = "Records at the beginning of each file that types of columns are inferred from."
	},
	{
		"delimiter", FEATHUB_ON_IMPORT, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileImport, delimiter),
		.description = "Option of the tables of format csv."
	},
	{
		"quote", FEATHUB_ON_IMPORT, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileImport, quote),
		.description = "Option of the tables of format csv."
	},
	{
		"escape", FEATHUB_ON_IMPORT, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileImport, escape),
		.description = "Option of the tables of format csv."
	},
	{
		"null", FEATHUB_ON_IMPORT, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileImport, null),
		.description = "Option of the tables of format csv."
	},
	{
		"encoding", FEATHUB_ON_IMPORT, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileImport, encoding),
		.description = "Option of the tables of format csv."
	},
	{.name = NULL}
};

/* Endings of names beside the formats' own names. */
static const struct
{
	const char *ending;
	const char *format;
	const char *delimiter;
}			endings[] =
{
	{"jsonl", "json", NULL},
	{"ndjson", "json", NULL},
	{"tsv", "csv", "\t"},
	{"txt", "raw", NULL},
	{"log", "raw", NULL},
	{"pq", "parquet", NULL},
};

/* One table to be. */
typedef struct ImportTable
{
	char	   *name;
	char	   *path;			/* relative to the place's base */
	bool		is_folder;
	char	   *sample;			/* the file that columns are from, likewise */
	const FeathubFormat *format;
	List	   *options;		/* of the format and the connector, of DefElem */
	List	   *partitions;		/* names (char *) */
	List	   *partition_values;	/* of List of char * */
} ImportTable;

/* A column of it: name, type and the options clause, or "". */
typedef struct ImportColumn
{
	char	   *name;
	const char *field;			/* its name in the file, if the format has an option for it */
	const char *type;
	char	   *options;
} ImportColumn;

static List *list_entries(FilePlace *place);
static int	compare_names(const ListCell *a, const ListCell *b);
static bool look_into(FilePlace *place, ImportTable *table, const FileImport *import);
static const FeathubFormat *format_of_name(const char *name, const char **delimiter);
static char *name_without_endings(const char *name);
static void note_partitions(ImportTable *table, const char *name);
static List *columns_of(FilePlace *place, ImportTable *table, const FileImport *import);
static List *columns_of_container(FilePlace *place, ImportTable *table, void *options);
static List *columns_of_records(FilePlace *place, ImportTable *table, void *options,
								const FileImport *import);
static char *escape_pattern(const char *path);
static char *make_statement(ForeignServer *server, FilePlace *place, ImportTable *table,
							List *columns);
static Size read_input(FeathubInput *input, int64 offset, void *buffer, Size len);

List *
FeathubFileImportSchema(ForeignServer *server, UserMapping *user, ImportForeignSchemaStmt *stmt)
{
	FileImport	import = {0};
	FilePlace  *place;
	List	   *result = NIL;
	List	   *names = NIL;
	ListCell   *lc;

	FeathubOptionsDefaults(FeathubFileImportOptions, FEATHUB_ON_IMPORT, &import);
	FeathubOptionsParse(FeathubFileImportOptions, FEATHUB_ON_IMPORT, stmt->options, &import);
	place = FeathubFilePlace(FeathubOptionsGet(server->options, "folder"),
							 import.folder ? import.folder : stmt->remote_schema,
							 GetUserId(), false);
	foreach(lc, list_entries(place))
	{
		char	   *entry = lfirst(lc);
		ImportTable table = {0};
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub file import",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		table.is_folder = entry[strlen(entry) - 1] == '/';
		if (table.is_folder)
			entry[strlen(entry) - 1] = '\0';
		table.path = psprintf("%s%s%s", place->pattern, place->pattern[0] ? "/" : "", entry);
		table.name = FeathubInferColumnName(table.is_folder ? entry : name_without_endings(entry),
											names);
		if (IsImportableForeignTable(table.name, stmt) && look_into(place, &table, &import))
		{
			List	   *columns = columns_of(place, &table, &import);
			char	   *sql = make_statement(server, place, &table, columns);

			MemoryContextSwitchTo(old);
			result = lappend(result, pstrdup(sql));
			names = lappend(names, pstrdup(table.name));
		}
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
	return result;
}

/* Names (char *) in the folder, sorted, those of folders with a slash behind. */
static List *
list_entries(FilePlace *place)
{
	List	   *entries = NIL;
	FileHandle *handle;
	struct dirent *de;
	int			fd = FeathubFileOpen(place, place->pattern, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		FeathubFileError(place, place->pattern, "open folder");
	handle = FeathubFileHandle(fd);
	handle->dir = fdopendir(fd);
	if (handle->dir == NULL)
		FeathubFileError(place, place->pattern, "open folder");
	while (errno = 0, (de = readdir(handle->dir)) != NULL)
	{
		struct stat st;

		CHECK_FOR_INTERRUPTS();
		if (de->d_name[0] == '.' || de->d_name[0] == '_' ||
			!pg_verifymbstr(de->d_name, strlen(de->d_name), true) ||
			fstatat(fd, de->d_name, &st, place->confined ? AT_SYMLINK_NOFOLLOW : 0) != 0)
			continue;
		if (S_ISREG(st.st_mode))
			entries = lappend(entries, pstrdup(de->d_name));
		else if (S_ISDIR(st.st_mode))
			entries = lappend(entries, psprintf("%s/", de->d_name));
	}
	if (errno != 0)
		FeathubFileError(place, place->pattern, "read folder");
	FeathubFileHandleClose(handle);
	list_sort(entries, compare_names);
	return entries;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* Find the file that tells the columns, and the format; false: leave it out. */
static bool
look_into(FilePlace *place, ImportTable *table, const FileImport *import)
{
	const char *delimiter = NULL;

	if (table->is_folder)
	{
		FilePlace	below = *place;
		FileList   *list;
		const char *name;
		int			n = 0;

		below.pattern = table->path;
		list = FeathubFileListBegin(&below, NULL);
		while (n++ < MAX_PARTITION_FILES && (name = FeathubFileListNext(list)) != NULL)
		{
			if (table->sample == NULL)
				table->sample = pstrdup(name);
			note_partitions(table, name + strlen(table->path));
		}
		FeathubFileListEnd(list);
		if (table->sample == NULL)
			return false;
	}
	else
		table->sample = table->path;

	table->format = format_of_name(table->sample, &delimiter);
	if (import->format)
		table->format = FeathubFormatByName(import->format);
	if (table->format == NULL)
	{
		ereport(NOTICE,
				(errmsg("leaving out \"%s\", because its name does not tell its format",
						last_dir_separator(table->path) ? last_dir_separator(table->path) + 1 : table->path),
				 errhint("Set option \"format\".")));
		return false;
	}
	if (table->format->quoting)
	{
		const char *values[] = {import->delimiter ? import->delimiter : delimiter,
			import->quote, import->escape, import->null};
		const char *names[] = {"delimiter", "quote", "escape", "null"};

		for (int i = 0; i < lengthof(names); i++)
		{
			if (values[i])
				table->options = lappend(table->options,
										 makeDefElem(pstrdup(names[i]),
													 (Node *) makeString(pstrdup(values[i])), -1));
		}
	}
	if (import->encoding && FeathubOptionsFind(table->format->options, FEATHUB_ON_TABLE, "encoding"))
		table->options = lappend(table->options,
								 makeDefElem("encoding", (Node *) makeString(import->encoding), -1));
	return true;
}

/* The format that the ending of a name says, or NULL. */
static const FeathubFormat *
format_of_name(const char *name, const char **delimiter)
{
	char	   *stem = pstrdup(name);
	const char *suffix = FeathubFileCompressionSuffix(FeathubFileCompressionOf(name));
	char	   *dot;

	if (suffix[0] != '\0')
		*strrchr(stem, '.') = '\0';
	dot = strrchr(stem, '.');
	if (dot == NULL)
		return NULL;
	for (int i = 0; FeathubFormats[i] != NULL; i++)
	{
		if (pg_strcasecmp(FeathubFormats[i]->name, dot + 1) == 0)
			return FeathubFormats[i];
	}
	for (int i = 0; i < lengthof(endings); i++)
	{
		if (pg_strcasecmp(endings[i].ending, dot + 1) == 0)
		{
			*delimiter = endings[i].delimiter;
			for (int j = 0; FeathubFormats[j] != NULL; j++)
			{
				if (strcmp(FeathubFormats[j]->name, endings[i].format) == 0)
					return FeathubFormats[j];
			}
		}
	}
	return NULL;
}

static char *
name_without_endings(const char *name)
{
	char	   *stem = pstrdup(name);
	const char *delimiter;

	if (FeathubFileCompressionOf(stem) != FILE_COMPRESSION_NONE)
		*strrchr(stem, '.') = '\0';
	if (format_of_name(stem, &delimiter) != NULL)
		*strrchr(stem, '.') = '\0';
	return stem;
}

/* Remember the name=value parts of a file's name. */
static void
note_partitions(ImportTable *table, const char *name)
{
	const char *p = name;
	const char *slash;

	for (; (slash = strchr(p, '/')) != NULL; p = slash + 1)
	{
		const char *equals = memchr(p, '=', slash - p);
		char	   *key;
		char	   *value;
		int			i = 0;
		ListCell   *lc;

		if (equals == NULL || equals == p)
			continue;
		key = pnstrdup(p, equals - p);
		value = pnstrdup(equals + 1, slash - equals - 1);
		if (strcmp(value, FILE_HIVE_NULL) == 0)
			value = NULL;
		foreach(lc, table->partitions)
		{
			if (strcmp(lfirst(lc), key) == 0)
				break;
			i++;
		}
		if (lc == NULL)
		{
			table->partitions = lappend(table->partitions, key);
			table->partition_values = lappend(table->partition_values, list_make1(value));
		}
		else
		{
			lc = list_nth_cell(table->partition_values, i);
			lfirst(lc) = lappend(lfirst(lc), value);
		}
	}
}

static List *
columns_of(FilePlace *place, ImportTable *table, const FileImport *import)
{
	void	   *options = FeathubFormatParseOptions(table->format, table->options, NULL);
	List	   *columns;
	List	   *result = NIL;
	List	   *used = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	if (table->format->check)
		table->format->check(options, 0, NULL);
	columns = table->format->container ? columns_of_container(place, table, options) :
		columns_of_records(place, table, options, import);

	/* a field of the name of a folder's part gives way to it */
	foreach(lc, columns)
	{
		ImportColumn *column = lfirst(lc);

		if (FeathubInferIsUsed(column->name, table->partitions) && !table->format->positional)
			continue;
		column->name = FeathubInferColumnName(column->name, list_concat_copy(used, table->partitions));
		/* letters' case does not matter where a field is looked for */
		if (column->field && pg_strcasecmp(column->field, column->name) != 0)
			column->options = psprintf("OPTIONS (column_name %s)", quote_literal_cstr(column->field));
		used = lappend(used, column->name);
		result = lappend(result, column);
	}
	forboth(lc, table->partitions, lc2, table->partition_values)
	{
		ImportColumn *column = palloc0(sizeof(ImportColumn));

		column->name = lfirst(lc);
		column->type = FeathubInferTextType(lfirst(lc2));
		column->options = "OPTIONS (partition 'true')";
		result = lappend(result, column);
	}
	return result;
}

static List *
columns_of_container(FilePlace *place, ImportTable *table, void *options)
{
	FileSource *source = FeathubFileSourceOpen(place, table->sample, FILE_COMPRESSION_NONE);
	FeathubInput input = {0};
	List	   *result = NIL;
	ListCell   *lc;

	input.name = source->name;
	input.size = source->stat.st_size;
	input.read_at = read_input;
	input.state = source;
	foreach(lc, table->format->container->describe(&input, options))
	{
		ColumnDef  *def = lfirst_node(ColumnDef, lc);
		ImportColumn *column = palloc0(sizeof(ImportColumn));
		Oid			type;
		int32		typmod;

		typenameTypeIdAndMod(NULL, def->typeName, &type, &typmod);
		column->name = def->colname;
		if (FeathubOptionsFind(table->format->options, FEATHUB_ON_COLUMN, "column_name"))
			column->field = def->fdwoptions == NIL ? def->colname :
				defGetString(linitial_node(DefElem, def->fdwoptions));
		column->type = format_type_extended(type, typmod,
											FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
		column->options = "";
		result = lappend(result, column);
	}
	FeathubFileSourceClose(source);
	return result;
}

static List *
columns_of_records(FilePlace *place, ImportTable *table, void *options, const FileImport *import)
{
	FileSource *source = FeathubFileSourceOpen(place, table->sample, FILE_COMPRESSION_AUTO);
	FileLines	lines = {0};
	FeathubInference *inference = FeathubInferBegin();
	FeathubCsvInference *csv = NULL;
	List	   *fields;
	List	   *result = NIL;
	const char *record;
	Size		len;
	int64		line;
	ListCell   *lc;

	lines.context = CurrentMemoryContext;
	if (table->format->quoting)
	{
		lines.framing.quoted = true;
		table->format->quoting(options, &lines.framing.quote, &lines.framing.escape);
		csv = FeathubCsvInferBegin(options, import->header != FILE_HEADER_NONE);
	}
	FeathubFileLinesStart(&lines, source);
	for (int i = 0; i <= import->sample_size; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!FeathubFileLinesNext(&lines, &record, &len, &line))
			break;
		if (csv)
			FeathubCsvInferRecord(csv, record, len);
		else if (!table->format->positional && len > 0)
			FeathubInferRecord(inference, record, len);
	}
	FeathubFileSourceClose(source);

	fields = csv ? FeathubCsvInferFields(csv) : FeathubInferFields(inference);
	foreach(lc, fields)
	{
		FeathubInferred *field = lfirst(lc);
		ImportColumn *column = palloc0(sizeof(ImportColumn));
		char	   *name = pstrdup(field->name);

		truncate_identifier(name, strlen(name), false);
		column->name = field->name;
		column->type = field->type;
		column->options = "";
		if (csv == NULL && strcmp(name, field->name) != 0)
			column->options = psprintf("OPTIONS (path %s)",
									   quote_literal_cstr(FeathubInferJsonPath(field->name)));
		result = lappend(result, column);
	}
	if (table->format->positional && csv == NULL)
	{
		ImportColumn *column = palloc0(sizeof(ImportColumn));

		column->name = "value";
		column->type = "pg_catalog.text";
		column->options = "";
		result = lappend(result, column);
	}
	if (csv && import->header != FILE_HEADER_NONE)
		table->options = lappend(table->options,
								 makeDefElem("header",
											 (Node *) makeString(import->header == FILE_HEADER_MATCH ?
																 "match" : "true"), -1));
	return result;
}

/* A path that matches nothing but itself. */
static char *
escape_pattern(const char *path)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *path != '\0'; path++)
	{
		if (strchr("*?[\\", *path) != NULL)
			appendStringInfoChar(&out, '\\');
		appendStringInfoChar(&out, *path);
	}
	return out.data;
}

static char *
make_statement(ForeignServer *server, FilePlace *place, ImportTable *table, List *columns)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_identifier(table->name));
	foreach(lc, columns)
	{
		ImportColumn *column = lfirst(lc);

		appendStringInfo(&sql, "%s\n  %s %s%s%s", foreach_current_index(lc) > 0 ? "," : "",
						 quote_identifier(column->name), column->type,
						 column->options[0] ? " " : "", column->options);
	}
	appendStringInfo(&sql, "\n) SERVER %s OPTIONS (path %s, format %s",
					 quote_identifier(server->servername),
					 quote_literal_cstr(escape_pattern(FeathubFileFullName(place, table->path))),
					 quote_literal_cstr(table->format->name));
	foreach(lc, table->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		appendStringInfo(&sql, ", %s %s", quote_identifier(def->defname),
						 quote_literal_cstr(defGetString(def)));
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

static Size
read_input(FeathubInput *input, int64 offset, void *buffer, Size len)
{
	return FeathubFileSourceReadAt(input->state, offset, buffer, len);
}
