/*
 * json_infer.c
 *		The columns of records that are JSON objects, from a sample of them.
 *
 * The type of a member is the narrowest that takes all values seen:
 *		only true and false						boolean
 *		only whole numbers in its range			bigint
 *		only numbers of up to 15 digits			double precision
 *		only numbers							numeric
 *		only strings, all ISO 8601 timestamps	timestamp with time zone
 *		objects or arrays among the values		jsonb
 *		anything else, and nothing but null		text
 * A member's values are judged by the server's JSON parser, which tells of
 * tokens through callbacks.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/heap.h"
#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "parser/scansup.h"
#include "utils/hsearch.h"
#include "utils/jsonfuncs.h"
#include "utils/memutils.h"

#include "core/compat.h"
#include "formats/infer.h"

/* Members of more different names are not columns but data. */
#define MAX_FIELDS		1000

/* Digits that double precision keeps. */
#define DOUBLE_DIGITS	15

/* What values of a member have been, a bit each */
#define SEEN_BOOL		0x01
#define SEEN_INTEGER	0x02
#define SEEN_DOUBLE		0x04
#define SEEN_NUMERIC	0x08
#define SEEN_TIMESTAMP	0x10
#define SEEN_TEXT		0x20
#define SEEN_NESTED		0x40

#define SEEN_NUMBERS	(SEEN_INTEGER | SEEN_DOUBLE | SEEN_NUMERIC)

typedef struct InferField
{
	char	   *name;			/* as in the records: UTF-8 */
	int			seen;
} InferField;

struct FeathubInference
{
	MemoryContext context;
	List	   *fields;			/* of InferField */
	int64		objects;
	int64		others;			/* records that are no object */
};

/* While one record is parsed. */
typedef struct InferParse
{
	FeathubInference *inference;
	JsonLexContext *lex;
	InferField *field;			/* member of the outermost object */
	bool		is_object;
} InferParse;

static bool parse_record(FeathubInference *inference, const char *value, Size len);
static InferField *get_field(FeathubInference *inference, const char *name);
static FeathubJsonResult object_start(void *arg);
static FeathubJsonResult array_start(void *arg);
static FeathubJsonResult field_start(void *arg, char *name, bool isnull);
static FeathubJsonResult scalar(void *arg, char *token, JsonTokenType type);
static int	kind_of_number(const char *token);
static bool is_timestamp(const char *s);
static const char *type_of(int seen);

FeathubInference *
FeathubInferBegin(void)
{
	FeathubInference *inference = palloc0(sizeof(FeathubInference));

	inference->context = CurrentMemoryContext;
	return inference;
}

void
FeathubInferRecord(FeathubInference *inference, const char *value, Size len)
{
	MemoryContext context = AllocSetContextCreate(inference->context,
												  "feathub inference",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	if (parse_record(inference, value, len))
		inference->objects++;
	else
		inference->others++;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

List *
FeathubInferFields(FeathubInference *inference)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (inference->objects == 0 || inference->others > 0)
		return NIL;
	foreach(lc, inference->fields)
	{
		InferField *from = lfirst(lc);
		FeathubInferred *to = palloc(sizeof(FeathubInferred));

		to->name = pg_any_to_server(from->name, strlen(from->name), PG_UTF8);
		to->type = type_of(from->seen);
		result = lappend(result, to);
	}
	return result;
}

/* Names */

char *
FeathubInferJsonPath(const char *name)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoChar(&path, '"');
	for (; *name != '\0'; name++)
	{
		if (*name == '"')
			appendStringInfoChar(&path, '"');
		appendStringInfoChar(&path, *name);
	}
	appendStringInfoChar(&path, '"');
	return path.data;
}

char *
FeathubInferColumnName(const char *name, List *used)
{
	char	   *base = pstrdup(name[0] == '\0' ? "column" : name);
	char	   *result;

	truncate_identifier(base, strlen(base), false);
	result = base;
	for (int i = 1; FeathubInferIsUsed(result, used) || SystemAttributeByName(result) != NULL; i++)
	{
		char		suffix[16];
		int			len;

		snprintf(suffix, sizeof(suffix), "_%d", i);
		len = pg_mbcliplen(base, strlen(base), NAMEDATALEN - 1 - strlen(suffix));
		result = psprintf("%.*s%s", len, base, suffix);
	}
	return result;
}

bool
FeathubInferIsUsed(const char *name, List *used)
{
	ListCell   *lc;

	foreach(lc, used)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* Note the members of one record; false if it is no JSON object. */
static bool
parse_record(FeathubInference *inference, const char *value, Size len)
{
	JsonSemAction action = {0};
	InferParse	parse = {inference};

	if (len > MaxAllocSize / 2 || memchr(value, '\0', len) != NULL ||
		!pg_verify_mbstr(PG_UTF8, value, len, true))
		return false;

	/* names and strings are unescaped into UTF-8 where that is the encoding */
	parse.lex = feathub_make_json_lex(pnstrdup(value, len), len, true);
	action.semstate = &parse;
	action.object_start = object_start;
	action.array_start = array_start;
	action.object_field_start = field_start;
	action.scalar = scalar;
	return pg_parse_json(parse.lex, &action) == JSON_SUCCESS && parse.is_object;
}

static InferField *
get_field(FeathubInference *inference, const char *name)
{
	MemoryContext old;
	InferField *field;
	ListCell   *lc;

	foreach(lc, inference->fields)
	{
		field = lfirst(lc);
		if (strcmp(field->name, name) == 0)
			return field;
	}
	if (list_length(inference->fields) >= MAX_FIELDS)
		return NULL;

	old = MemoryContextSwitchTo(inference->context);
	field = palloc0(sizeof(InferField));
	field->name = pstrdup(name);
	inference->fields = lappend(inference->fields, field);
	MemoryContextSwitchTo(old);
	return field;
}

/* Callbacks of the parser; level 1 is inside the outermost object. */

static FeathubJsonResult
object_start(void *arg)
{
	InferParse *parse = arg;

	if (parse->lex->lex_level == 0)
		parse->is_object = true;
	else if (parse->lex->lex_level == 1 && parse->field != NULL)
		parse->field->seen |= SEEN_NESTED;
	FEATHUB_JSON_CONTINUE;
}

static FeathubJsonResult
array_start(void *arg)
{
	InferParse *parse = arg;

	if (parse->lex->lex_level == 1 && parse->field != NULL)
		parse->field->seen |= SEEN_NESTED;
	FEATHUB_JSON_CONTINUE;
}

static FeathubJsonResult
field_start(void *arg, char *name, bool isnull)
{
	InferParse *parse = arg;

	/* an array outermost has objects at level 1 and members at level 2 */
	if (parse->lex->lex_level == 1 && parse->is_object)
		parse->field = get_field(parse->inference, name);
	FEATHUB_JSON_CONTINUE;
}

static FeathubJsonResult
scalar(void *arg, char *token, JsonTokenType type)
{
	InferParse *parse = arg;

	if (parse->lex->lex_level == 1 && parse->is_object && parse->field != NULL)
	{
		switch (type)
		{
			case JSON_TOKEN_TRUE:
			case JSON_TOKEN_FALSE:
				parse->field->seen |= SEEN_BOOL;
				break;
			case JSON_TOKEN_NUMBER:
				parse->field->seen |= kind_of_number(token);
				break;
			case JSON_TOKEN_STRING:
				parse->field->seen |= is_timestamp(token) ? SEEN_TIMESTAMP : SEEN_TEXT;
				break;
			default:
				break;
		}
	}
	FEATHUB_JSON_CONTINUE;
}

/* Types */

static int
kind_of_number(const char *token)
{
	bool		whole = strpbrk(token, ".eE") == NULL;
	int			digits = 0;
	bool		leading = true;

	if (whole)
	{
		errno = 0;
		(void) strtoll(token, NULL, 10);
		return errno == 0 ? SEEN_INTEGER : SEEN_NUMERIC;
	}
	for (const char *p = token; *p != '\0' && *p != 'e' && *p != 'E'; p++)
	{
		leading &= *p == '0' || *p == '.' || *p == '-';
		if (isdigit((unsigned char) *p) && !leading)
			digits++;
	}
	return digits <= DOUBLE_DIGITS ? SEEN_DOUBLE : SEEN_NUMERIC;
}

bool
FeathubInferTakeNumber(const char **s, int n, int min, int max)
{
	int			value = 0;

	for (int i = 0; i < n; i++, (*s)++)
	{
		if (!isdigit((unsigned char) **s))
			return false;
		value = value * 10 + **s - '0';
	}
	return value >= min && value <= max;
}

/* 2013-01-01T05:00:00.123Z, the fraction and the zone optional */
static bool
is_timestamp(const char *s)
{
	if (!FeathubInferTakeNumber(&s, 4, 1, 9999) || *s++ != '-' ||
		!FeathubInferTakeNumber(&s, 2, 1, 12) || *s++ != '-' ||
		!FeathubInferTakeNumber(&s, 2, 1, 31))
		return false;
	if (*s != 'T' && *s != ' ')
		return false;
	s++;
	if (!FeathubInferTakeNumber(&s, 2, 0, 23) || *s++ != ':' || !FeathubInferTakeNumber(&s, 2, 0, 59))
		return false;
	if (*s == ':')
	{
		s++;
		if (!FeathubInferTakeNumber(&s, 2, 0, 60))
			return false;
		if (*s == '.')
		{
			s++;
			if (!isdigit((unsigned char) *s))
				return false;
			while (isdigit((unsigned char) *s))
				s++;
		}
	}
	if (*s == 'Z')
		s++;
	else if (*s == '+' || *s == '-')
	{
		s++;
		if (!FeathubInferTakeNumber(&s, 2, 0, 15))
			return false;
		if (*s == ':')
			s++;
		if (*s != '\0' && !FeathubInferTakeNumber(&s, 2, 0, 59))
			return false;
	}
	return *s == '\0';
}

static const char *
type_of(int seen)
{
	if (seen & SEEN_NESTED)
		return "pg_catalog.jsonb";
	if (seen == SEEN_BOOL)
		return "pg_catalog.bool";
	if (seen == SEEN_TIMESTAMP)
		return "pg_catalog.timestamptz";
	if (seen == SEEN_INTEGER)
		return "pg_catalog.int8";
	if (seen != 0 && (seen & ~(SEEN_INTEGER | SEEN_DOUBLE)) == 0)
		return "pg_catalog.float8";
	if (seen != 0 && (seen & ~SEEN_NUMBERS) == 0)
		return "pg_catalog.\"numeric\"";
	return "pg_catalog.text";
}
