/*
 * json_decode.c
 *		Format json: one JSON object to the columns of a row.
 *
 * The columns' paths make a tree.  Its root holds the record's own fields,
 * which are found by one pass over the record (json_parse.cpp); where a column
 * lies deeper, the field's text is read again by json_scan.c.
 *
 * Of a name that an object has twice the last one counts.  Fields that nobody
 * wants are checked and ignored.  A field that is missing, or whose path meets
 * a value that is no object or array, gives NULL unless option on_missing says
 * otherwise; so does null.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "formats/format_private.h"
#include "formats/json_path.h"
#include "formats/json_value.h"
#include "formats/schema_registry.h"

/* What a column needs. */
typedef struct JsonColumn
{
	const FeathubColumn *column;
	FeathubConverter *converter;
	bool		missing_is_error;
	bool		empty_as_null;
	const char *path;			/* for messages */
	struct JsonColumn *next;	/* another column with the same path */
} JsonColumn;

/* A place in the record. */
typedef struct JsonNode
{
	JsonColumn *columns;		/* read here */
	FeathubJsonFields fields;	/* of an object */
	struct JsonNode **children; /* by index in fields */
	int			nelements;		/* of an array */
	int		   *subscripts;
	FeathubJsonToken *elements;
	struct JsonNode **element_nodes;
} JsonNode;

typedef struct JsonDecoder
{
	FeathubDecoder base;
	JsonNode   *root;
	FeathubJsonParser *parser;
	MemoryContext scratch;
} JsonDecoder;

static void
free_parser(void *arg)
{
	FeathubJsonParserFree(arg);
}

/* Does the name stand in JSON as it is? */
static bool
is_plain(const char *key)
{
	for (; *key != '\0'; key++)
	{
		if (*key == '"' || *key == '\\' || (unsigned char) *key < 0x20)
			return false;
	}
	return true;
}

/* The child of a node for one step of a path, made if need be. */
static JsonNode *
child_node(JsonNode *node, const FeathubJsonStep *step)
{
	FeathubJsonFields *fields = &node->fields;
	JsonNode   *child = palloc0(sizeof(JsonNode));

	if (step->key == NULL)
	{
		int			n = node->nelements;

		for (int i = 0; i < n; i++)
		{
			if (node->subscripts[i] == step->subscript)
				return node->element_nodes[i];
		}
		if (n == 0)
		{
			node->subscripts = palloc(sizeof(int));
			node->elements = palloc(sizeof(FeathubJsonToken));
			node->element_nodes = palloc(sizeof(JsonNode *));
		}
		else
		{
			node->subscripts = repalloc(node->subscripts, sizeof(int) * (n + 1));
			node->elements = repalloc(node->elements, sizeof(FeathubJsonToken) * (n + 1));
			node->element_nodes = repalloc(node->element_nodes, sizeof(JsonNode *) * (n + 1));
		}
		node->subscripts[n] = step->subscript;
		node->element_nodes[n] = child;
		node->nelements++;
		return child;
	}

	for (int i = 0; i < fields->nfields; i++)
	{
		if (fields->fields[i].key_len == step->key_len &&
			memcmp(fields->fields[i].key, step->key, step->key_len) == 0)
			return node->children[i];
	}
	if (fields->nfields == 0)
	{
		fields->fields = palloc0(sizeof(FeathubJsonField));
		node->children = palloc(sizeof(JsonNode *));
	}
	else
	{
		fields->fields = repalloc(fields->fields,
								  sizeof(FeathubJsonField) * (fields->nfields + 1));
		node->children = repalloc(node->children, sizeof(JsonNode *) * (fields->nfields + 1));
	}
	fields->fields[fields->nfields] = (FeathubJsonField)
	{
		.key = step->key, .key_len = step->key_len, .plain = is_plain(step->key)
	};
	node->children[fields->nfields++] = child;
	return child;
}

void
FeathubJsonFieldsPrepare(FeathubJsonFields *fields)
{
	fields->hash_mask = 3;
	while (fields->hash_mask < fields->nfields * 2)
		fields->hash_mask = fields->hash_mask * 2 + 1;
	fields->hash = palloc(sizeof(int) * (fields->hash_mask + 1));
	FeathubJsonFieldsHash(fields);
}

/* Build the hashes, once all paths are in the tree. */
static void
finish_node(JsonNode *node)
{
	FeathubJsonFields *fields = &node->fields;

	FeathubJsonFieldsPrepare(fields);
	for (int i = 0; i < fields->nfields; i++)
		finish_node(node->children[i]);
	for (int i = 0; i < node->nelements; i++)
		finish_node(node->element_nodes[i]);
}

FeathubJsonParser *
FeathubJsonParserMake(void)
{
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	FeathubJsonParser *parser = FeathubJsonParserCreate();

	if (parser == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	callback->func = free_parser;
	callback->arg = parser;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return parser;
}

FeathubDecoder *
FeathubJsonBeginDecode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	JsonDecoder *decoder = palloc0(sizeof(JsonDecoder));

	decoder->root = palloc0(sizeof(JsonNode));
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub json record",
											 ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < ncolumns; i++)
	{
		FeathubJsonOptions *column_options = FeathubFormatColumnOptions(&FeathubJsonFormat,
																		options, &columns[i]);
		JsonColumn *column = palloc0(sizeof(JsonColumn));
		JsonNode   *node = decoder->root;
		ListCell   *lc;

		column->column = &columns[i];
		column->converter =
			FeathubConverterMake(columns[i].typid, columns[i].typmod,
								 FeathubJsonSettings(column_options, decoder->scratch));
		column->missing_is_error = column_options->on_missing == FEATHUB_JSON_MISSING_ERROR;
		column->empty_as_null = column_options->empty_as_null;
		column->path = column_options->path ? column_options->path : columns[i].name;
		foreach(lc, FeathubJsonColumnPath(&columns[i], column_options))
			node = child_node(node, lfirst(lc));
		column->next = node->columns;
		node->columns = column;
	}
	finish_node(decoder->root);

	decoder->parser = FeathubJsonParserMake();
	return &decoder->base;
}

static bool
fill_column(const JsonColumn *column, const FeathubJsonToken *token,
			Datum *values, bool *isnull, FeathubDecodeError *error)
{
	int			i = column->column->attnum - 1;
	bool		ok;

	if (token->kind == FEATHUB_JSON_MISSING ||
		(column->empty_as_null && token->kind == FEATHUB_JSON_STRING && token->len == 0))
	{
		values[i] = (Datum) 0;
		isnull[i] = true;
		if (token->kind == FEATHUB_JSON_MISSING && column->missing_is_error)
			ok = FeathubDecodeFail(error, ERRCODE_NULL_VALUE_NOT_ALLOWED,
								   "field \"%s\" is missing", column->path);
		else
			ok = FeathubConvertNull(column->converter, error);
	}
	else
		ok = FeathubJsonConvert(column->converter, token, &values[i], &isnull[i], error);
	return ok || FeathubDecodeFailColumn(error, column->column);
}

static bool fill_node(JsonNode *node, const FeathubJsonToken *token,
					  Datum *values, bool *isnull, FeathubDecodeError *error);

/* The fields of a node's object have been found. */
static bool
fill_fields(JsonNode *node, Datum *values, bool *isnull, FeathubDecodeError *error)
{
	for (int i = 0; i < node->fields.nfields; i++)
	{
		if (!fill_node(node->children[i], &node->fields.fields[i].token,
					   values, isnull, error))
			return false;
	}
	return true;
}

static bool
find_elements(JsonNode *node, const FeathubJsonToken *array, FeathubDecodeError *error)
{
	FeathubJsonScan scan;
	int			index = 0;

	FeathubJsonScanBegin(&scan, array);
	for (;; index++)
	{
		FeathubJsonToken key;
		FeathubJsonToken token;
		bool		more;

		if (!FeathubJsonCheck(FeathubJsonScanNext(&scan, &more, &key, &token), error))
			return false;
		if (!more)
			return true;
		for (int i = 0; i < node->nelements; i++)
		{
			if (node->subscripts[i] == index)
				node->elements[i] = token;
		}
	}
}

/* What the columns at and below a node get from its token. */
static bool
fill_node(JsonNode *node, const FeathubJsonToken *token,
		  Datum *values, bool *isnull, FeathubDecodeError *error)
{
	for (const JsonColumn *column = node->columns; column != NULL; column = column->next)
	{
		if (!fill_column(column, token, values, isnull, error))
			return false;
	}
	if (node->fields.nfields > 0)
	{
		if (token->kind == FEATHUB_JSON_OBJECT)
		{
			if (!FeathubJsonCheck(FeathubJsonTokenFields(token, &node->fields), error))
				return false;
		}
		else
		{
			for (int i = 0; i < node->fields.nfields; i++)
				node->fields.fields[i].token.kind = FEATHUB_JSON_MISSING;
		}
		if (!fill_fields(node, values, isnull, error))
			return false;
	}
	if (node->nelements > 0)
	{
		for (int i = 0; i < node->nelements; i++)
			node->elements[i].kind = FEATHUB_JSON_MISSING;
		if (token->kind == FEATHUB_JSON_ARRAY && !find_elements(node, token, error))
			return false;
		for (int i = 0; i < node->nelements; i++)
		{
			if (!fill_node(node->element_nodes[i], &node->elements[i], values, isnull, error))
				return false;
		}
	}
	return true;
}

/* Records too large for an index of them. */
static bool
find_fields_slowly(const char *data, Size len, FeathubJsonFields *fields,
				   FeathubDecodeError *error)
{
	if (len > MaxAllocSize)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "record of %zu bytes is too long", len);
	if (!FeathubJsonCheck(FeathubJsonScanFields(data, len, fields), error))
		return false;
	if (pg_encoding_verifymbstr(PG_UTF8, data, (int) len) != (int) len)
		return FeathubJsonCheck(FEATHUB_JSON_BAD_ENCODING, error);
	return true;
}

bool
FeathubJsonFindFields(FeathubJsonParser *parser, const char *data, Size len,
					  FeathubJsonFields *fields, FeathubDecodeError *error)
{
	if (likely(len <= FEATHUB_JSON_MAX_INDEXED))
		return FeathubJsonCheck(FeathubJsonParse(parser, data, len, fields), error);
	return find_fields_slowly(data, len, fields, error);
}

bool
FeathubJsonDecode(FeathubDecoder *base, const char *data, Size len,
				  Datum *values, bool *isnull, FeathubDecodeError *error)
{
	JsonDecoder *decoder = (JsonDecoder *) base;

	/* what serializers of JSON Schema write has the schema's id in front */
	FeathubSchemaSkipHeader(&data, &len);
	MemoryContextReset(decoder->scratch);
	return FeathubJsonFindFields(decoder->parser, data, len, &decoder->root->fields, error) &&
		fill_fields(decoder->root, values, isnull, error);
}

bool
FeathubJsonDecodeObject(FeathubDecoder *base, const FeathubJsonToken *object,
						Datum *values, bool *isnull, FeathubDecodeError *error)
{
	JsonDecoder *decoder = (JsonDecoder *) base;

	MemoryContextReset(decoder->scratch);
	return FeathubJsonCheck(FeathubJsonTokenFields(object, &decoder->root->fields), error) &&
		fill_fields(decoder->root, values, isnull, error);
}
