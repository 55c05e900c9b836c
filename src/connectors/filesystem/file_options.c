/*
 * file_options.c
 *		Options of the filesystem connector, and where columns come from.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "access/sysattr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "connectors/filesystem/file_lines.h"
#include "core/folders.h"

static void check_folder(const char *name, const char *value);
static void check_path(const char *name, const char *value);
static void check_size(const char *name, const char *value);
static void check_prefix(const char *name, const char *value);
static int	column_metadata(FeathubRelation *rel, AttrNumber attnum);
static bool column_is_partition(FeathubRelation *rel, AttrNumber attnum);

static const FeathubOptionValue file_header_values[] = {
	{"false", FILE_HEADER_NONE},
	{"true", FILE_HEADER_SKIP},
	{"match", FILE_HEADER_MATCH},
	{NULL}
};

static const FeathubOptionValue file_compression_values[] = {
	{"auto", FILE_COMPRESSION_AUTO},
	{"none", FILE_COMPRESSION_NONE},
	{"gzip", FILE_COMPRESSION_GZIP},
	{"zstd", FILE_COMPRESSION_ZSTD},
	{"lz4", FILE_COMPRESSION_LZ4},
	{NULL}
};

static const FeathubOptionValue file_on_error_values[] = {
	{"stop", FILE_ON_ERROR_STOP},
	{"skip", FILE_ON_ERROR_SKIP},
	{"reject", FILE_ON_ERROR_REJECT},
	{NULL}
};

static const FeathubOptionValue file_metadata_values[] = {
	{"path", FILE_META_PATH},
	{"line", FILE_META_LINE},
	{"modified", FILE_META_MODIFIED},
	{"size", FILE_META_SIZE},
	{"reject_record", FILE_META_RECORD},
	{"reject_reason", FILE_META_REASON},
	{NULL}
};

/* Types that a metadata column may have. */
static const Oid metadata_types[FILE_META_COUNT][2] = {
	[FILE_META_PATH] = {TEXTOID, VARCHAROID},
	[FILE_META_LINE] = {INT8OID, InvalidOid},
	[FILE_META_MODIFIED] = {TIMESTAMPTZOID, InvalidOid},
	[FILE_META_SIZE] = {INT8OID, InvalidOid},
	[FILE_META_RECORD] = {TEXTOID, BYTEAOID},
	[FILE_META_REASON] = {TEXTOID, InvalidOid},
};

const FeathubOption FeathubFileOptions[] = {
	{
		"folder", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileOptions, folder), .check = check_folder,
		.description = "Where relative paths of the server's tables begin."
	},
	{
		"path", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_REQUIRED | FEATHUB_OPTION_READS_FILE | FEATHUB_OPTION_IN_FOLDERS,
		.offset = offsetof(FileOptions, path), .check = check_path,
		.description = "A file, a folder with all files below it, or a pattern (* ? [...], and ** for folders of any depth)."
	},
	{
		"header", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.values = file_header_values,
		.offset = offsetof(FileOptions, header), .default_value = "false",
		.description = "Whether each file of format csv begins with the columns' names; match: they are compared."
	},
	{
		"compression", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.values = file_compression_values,
		.offset = offsetof(FileOptions, compression), .default_value = "auto",
		.description = "How files are compressed; auto: as each name's ending says (.gz, .zst, .lz4)."
	},
	{
		"compression_level", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.min = -1, .max = 22,
		.offset = offsetof(FileOptions, compression_level), .default_value = "-1",
		.description = "The level of compression of new files; -1: the library's default."
	},
	{
		"on_error", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.values = file_on_error_values,
		.offset = offsetof(FileOptions, on_error), .default_value = "stop",
		.description = "What becomes of a bad record: the query stops, it is skipped with a notice, or it is a row of the columns with metadata reject_record and reject_reason."
	},
	{
		"reject_limit", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT64,
		.min = -1, .max = PG_INT64_MAX,
		.offset = offsetof(FileOptions, reject_limit), .default_value = "-1",
		.description = "Bad records that one scan bears; -1: any number."
	},
	{
		"max_file_size", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileOptions, max_file_size), .check = check_size,
		.description = "The size at which a new file is finished and another begun, such as 100MB."
	},
	{
		"max_file_rows", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT64,
		.min = 0, .max = PG_INT64_MAX,
		.offset = offsetof(FileOptions, max_file_rows), .default_value = "0",
		.description = "The number of rows at which a new file is finished and another begun; 0: any number."
	},
	{
		"file_prefix", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(FileOptions, file_prefix), .check = check_prefix,
		.default_value = "part",
		.description = "What the names of new files begin with."
	},
	{
		"metadata", FEATHUB_ON_COLUMN, FEATHUB_OPTION_ENUM,
		.values = file_metadata_values,
		.description = "What of the file or the bad record the column shows, instead of a field."
	},
	{
		"partition", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.description = "Whether the column's value is in the names of folders, as in year=2013/month=1."
	},
	{.name = NULL}
};

void
FeathubFileCheckRelation(FeathubRelation *rel)
{
	FileOptions *options = rel->options;
	bool		seen[FILE_META_COUNT] = {0};

	if (options->header != FILE_HEADER_NONE && rel->format->quoting == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" of foreign table \"%s\" does not go with format \"%s\"",
						"header", rel->relname, rel->format->name)));
	if (rel->format->container != NULL &&
		options->compression != FILE_COMPRESSION_AUTO &&
		options->compression != FILE_COMPRESSION_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" of foreign table \"%s\" does not go with format \"%s\"",
						"compression", rel->relname, rel->format->name),
				 errdetail("The format compresses what is within its files.")));
	if (rel->format->container == NULL &&
		(rel->format->begin_decode == NULL || rel->format->binary))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("format \"%s\" cannot be read from files", rel->format->name)));

	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, attnum - 1);
		int			kind = column_metadata(rel, attnum);

		if (kind < 0 || att->attisdropped)
			continue;
		if (column_is_partition(rel, attnum))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("column \"%s\" of foreign table \"%s\" cannot have both options \"%s\" and \"%s\"",
							NameStr(att->attname), rel->relname, "metadata", "partition")));
		if (seen[kind])
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("foreign table \"%s\" has more than one column with metadata '%s'",
							rel->relname, file_metadata_values[kind].name)));
		seen[kind] = true;
		if (att->atttypid != metadata_types[kind][0] &&
			(!OidIsValid(metadata_types[kind][1]) || att->atttypid != metadata_types[kind][1]))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					 errmsg("column \"%s\" of foreign table \"%s\" with metadata '%s' must have type %s",
							NameStr(att->attname), rel->relname, file_metadata_values[kind].name,
							format_type_be(metadata_types[kind][0]))));
	}
	if (options->on_error == FILE_ON_ERROR_REJECT &&
		!seen[FILE_META_RECORD] && !seen[FILE_META_REASON])
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has no column for rejected records", rel->relname),
				 errhint("Give one the option metadata 'reject_record' or 'reject_reason'.")));
}

void
FeathubFileColumnsOf(FeathubRelation *rel, Bitmapset *needed, FileColumns *columns)
{
	TupleDesc	tupdesc = rel->tupdesc;

	memset(columns, 0, sizeof(FileColumns));
	columns->fields = palloc0(sizeof(FeathubColumn) * Max(tupdesc->natts, 1));
	columns->partitions = palloc0(sizeof(FeathubColumn) * Max(tupdesc->natts, 1));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		AttrNumber	attnum = i + 1;
		FeathubColumn column = {0};
		int			kind;
		bool		wanted = needed == NULL ||
			bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, needed);

		if (att->attisdropped || att->attgenerated)
			continue;
		kind = column_metadata(rel, attnum);
		if (kind >= 0)
		{
			if (wanted)
				columns->metadata[kind] = attnum;
			continue;
		}
		column.attnum = attnum;
		column.name = pstrdup(NameStr(att->attname));
		column.typid = att->atttypid;
		column.typmod = att->atttypmod;
		column.options = rel->column_options ? rel->column_options[i] : NIL;
		if (column_is_partition(rel, attnum))
		{
			if (wanted)
				columns->partitions[columns->npartitions++] = column;
			continue;
		}
		column.ignored = !wanted;
		if (wanted || rel->format->positional)
			columns->fields[columns->nfields++] = column;
	}
}

void
FeathubFileFramingOf(FeathubRelation *rel, FileFraming *framing)
{
	memset(framing, 0, sizeof(FileFraming));
	if (rel->format->quoting)
	{
		framing->quoted = true;
		rel->format->quoting(rel->format_options, &framing->quote, &framing->escape);
	}
}

int64
FeathubFileParseSize(const char *option, const char *value)
{
	const char *hint = NULL;
	int			kilobytes;

	if (!parse_int(value, &kilobytes, GUC_UNIT_KB, &hint) || kilobytes <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
				 hint ? errhint("%s", hint) :
				 errhint("It must be a size of at least a kilobyte, such as 100MB.")));
	return (int64) kilobytes * 1024;
}

static void
check_folder(const char *name, const char *value)
{
	if (!is_absolute_path(value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("It must be an absolute path.")));
	FeathubFoldersCheckPath(value);
}

static void
check_path(const char *name, const char *value)
{
	if (value[0] == '\0' || strlen(value) >= MAXPGPATH)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("It must be a path of less than %d bytes.", MAXPGPATH)));
	FeathubFoldersCheckPath(value);
}

static void
check_size(const char *name, const char *value)
{
	(void) FeathubFileParseSize(name, value);
}

static void
check_prefix(const char *name, const char *value)
{
	if (value[0] == '\0' || value[0] == '.' || value[0] == '_' || strlen(value) > 100 ||
		strpbrk(value, "/\\*?[") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("It must be the beginning of a file name, not with \".\" or \"_\".")));
}

/* The column's metadata option, or -1. */
static int
column_metadata(FeathubRelation *rel, AttrNumber attnum)
{
	const char *value = FeathubRelationColumnOption(rel, attnum, "metadata");

	for (int i = 0; value && file_metadata_values[i].name; i++)
	{
		if (strcmp(value, file_metadata_values[i].name) == 0)
			return file_metadata_values[i].value;
	}
	return -1;
}

static bool
column_is_partition(FeathubRelation *rel, AttrNumber attnum)
{
	const char *value = FeathubRelationColumnOption(rel, attnum, "partition");
	bool		result = false;

	return value && parse_bool(value, &result) && result;
}
