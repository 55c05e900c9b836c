/*
 * json_path.c
 *		Format json: its options and the paths of its columns.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "formats/format_private.h"
#include "formats/json_path.h"

/* Steps of a path at most; also keeps a decoder's recursion short. */
#define MAX_STEPS 100

const FeathubOptionValue FeathubTimestampFormats[] = {
	{"iso8601", FEATHUB_TIMESTAMP_ISO8601},
	{"epoch_seconds", FEATHUB_TIMESTAMP_EPOCH_SECONDS},
	{"epoch_millis", FEATHUB_TIMESTAMP_EPOCH_MILLIS},
	{"epoch_micros", FEATHUB_TIMESTAMP_EPOCH_MICROS},
	{"epoch_days", FEATHUB_TIMESTAMP_EPOCH_DAYS},
	{NULL, 0}
};

static const FeathubOptionValue bytea_encodings[] = {
	{"base64", FEATHUB_BYTEA_BASE64},
	{"hex", FEATHUB_BYTEA_HEX},
	{"escape", FEATHUB_BYTEA_ESCAPE},
	{NULL, 0}
};

static const FeathubOptionValue on_missing_values[] = {
	{"null", FEATHUB_JSON_MISSING_NULL},
	{"error", FEATHUB_JSON_MISSING_ERROR},
	{NULL, 0}
};

static const FeathubOptionValue null_fields_values[] = {
	{"include", FEATHUB_JSON_NULLS_INCLUDE},
	{"omit", FEATHUB_JSON_NULLS_OMIT},
	{NULL, 0}
};

/* Rows that begin the tables of json and of the changelogs in json. */
#define JSON_OPTIONS \
	{ \
		"bytea_encoding", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_ENUM, \
		.offset = offsetof(FeathubJsonOptions, bytea_encoding), \
		.values = bytea_encodings, .default_value = "base64", \
		.description = "How a string holds the bytes of a bytea column." \
	}, \
	{ \
		"empty_as_null", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL, \
		.offset = offsetof(FeathubJsonOptions, empty_as_null), .default_value = "false", \
		.description = "Read an empty string as NULL." \
	}, \
	{ \
		"on_missing", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_ENUM, \
		.offset = offsetof(FeathubJsonOptions, on_missing), \
		.values = on_missing_values, .default_value = "null", \
		.description = "Read a field that the record lacks as NULL, or refuse the record." \
	}, \
	{ \
		"path", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING, \
		.offset = offsetof(FeathubJsonOptions, path), .check = FeathubJsonPathCheck, \
		.description = "Where the value is, such as a.b, tags[0] or \"odd.name\"; by default the field with the column's name." \
	}, \
	{ \
		"timestamp_format", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_ENUM, \
		.offset = offsetof(FeathubJsonOptions, timestamp_format), \
		.values = FeathubTimestampFormats, .default_value = "iso8601", \
		.description = "How dates and timestamps are written: text, or numbers since 1970-01-01 00:00:00 UTC." \
	}, \
	{ \
		"timezone", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING, \
		.offset = offsetof(FeathubJsonOptions, timezone), .check = FeathubTimezoneCheck, \
		.default_value = "UTC", \
		.description = "The zone of times without an offset, and of columns without time zone that are read from numbers." \
	}

static const FeathubOption json_options[] = {
	JSON_OPTIONS,
	{
		"null_fields", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubJsonOptions, null_fields),
		.values = null_fields_values, .default_value = "include",
		.description = "Write a NULL as null, or omit the field."
	},
	{.name = NULL}
};

const FeathubOption FeathubChangelogOptions[] = {
	JSON_OPTIONS,
	{
		"envelope", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubChangelogJsonOptions, envelope), .check = FeathubJsonPathCheck,
		.description = "Where the value is in the message around the row's image, such as op or source.ts_ms."
	},
	{.name = NULL}
};

const FeathubFormat FeathubJsonFormat = {
	.name = "json",
	.options = json_options,
	.options_size = sizeof(FeathubJsonOptions),
	.begin_decode = FeathubJsonBeginDecode,
	.decode = FeathubJsonDecode,
	.begin_encode = FeathubJsonBeginEncode,
	.encode = FeathubJsonEncode,
};

/* Append a step that names a field. */
static List *
add_key(List *steps, const char *key, Size len)
{
	FeathubJsonStep *step = palloc0(sizeof(FeathubJsonStep));

	step->key = pg_server_to_any(pnstrdup(key, len), (int) len, PG_UTF8);
	step->key_len = strlen(step->key);
	return lappend(steps, step);
}

/* A name in quotes; *p is at the first of them. */
static List *
quoted_key(List *steps, const char **p, const char **problem)
{
	StringInfoData key;

	initStringInfo(&key);
	for (const char *q = *p + 1; *q != '\0'; q++)
	{
		if (*q == '"' && q[1] == '"')
			q++;
		else if (*q == '"')
		{
			*p = q + 1;
			return add_key(steps, key.data, key.len);
		}
		appendStringInfoChar(&key, *q);
	}
	*problem = "a quote is not closed";
	return NIL;
}

/* A subscript; *p is at its bracket. */
static List *
subscript(List *steps, const char **p, const char **problem)
{
	FeathubJsonStep *step = palloc0(sizeof(FeathubJsonStep));
	const char *q = *p + 1;
	int64		value = 0;

	for (; *q >= '0' && *q <= '9' && value <= PG_INT32_MAX; q++)
		value = value * 10 + (*q - '0');
	if (q == *p + 1 || *q != ']' || value > PG_INT32_MAX)
	{
		*problem = "a subscript is a number from 0, in brackets";
		return NIL;
	}
	step->subscript = (int) value;
	*p = q + 1;
	return lappend(steps, step);
}

List *
FeathubJsonPathParse(const char *path, const char **problem)
{
	const char *p = path;
	List	   *steps = NIL;

	*problem = NULL;
	for (;;)
	{
		if (*p == '"')
		{
			steps = quoted_key(steps, &p, problem);
			if (*problem != NULL)
				return NIL;
		}
		else
		{
			Size		len = strcspn(p, ".[]\"");

			if (len == 0)
			{
				*problem = "a name is empty";
				return NIL;
			}
			steps = add_key(steps, p, len);
			p += len;
		}
		while (*p == '[')
		{
			steps = subscript(steps, &p, problem);
			if (*problem != NULL)
				return NIL;
		}
		if (list_length(steps) > MAX_STEPS)
		{
			*problem = "it has too many steps";
			return NIL;
		}
		if (*p == '\0')
			return steps;
		if (*p != '.')
		{
			*problem = "names are joined by dots; others need quotes";
			return NIL;
		}
		p++;
	}
}

void
FeathubJsonPathCheck(const char *option, const char *value)
{
	const char *problem;

	if (FeathubJsonPathParse(value, &problem) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
				 errdetail("This is not a path: %s.", problem),
				 errhint("A path looks like a.b, tags[0] or \"odd.name\".x.")));
}

List *
FeathubJsonColumnPath(const FeathubColumn *column, const FeathubJsonOptions *options)
{
	const char *problem;
	List	   *steps;

	if (options->path == NULL)
		return add_key(NIL, column->name, strlen(column->name));
	steps = FeathubJsonPathParse(options->path, &problem);
	if (steps == NIL)
		FeathubJsonPathCheck("path", options->path);
	return steps;
}

FeathubConvertSettings *
FeathubJsonSettings(const FeathubJsonOptions *options, MemoryContext scratch)
{
	FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));

	settings->bytea_encoding = options->bytea_encoding;
	settings->timestamp_format = options->timestamp_format;
	settings->zone = FeathubTimezone(options->timezone);
	settings->scratch = scratch;
	return settings;
}
