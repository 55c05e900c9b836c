/*
 * avro_schema.c
 *		Avro schemas: from JSON to nodes, and from columns to JSON.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "formats/avro.h"
#include "formats/format_private.h"
#include "formats/json_value.h"

/* Types inside each other. */
#define MAX_DEPTH 100

/* A fixed type of more bytes is damage. */
#define MAX_FIXED (64 * 1024 * 1024)

typedef struct Parser
{
	int			code;
	const char *where;
	List	   *named;			/* FeathubAvroNode * */
	List	   *seen;			/* FeathubRegistrySchema * that have been parsed */
	int			depth;
} Parser;

static FeathubAvroNode *parse_type(Parser *parser, JsonbValue *value, const char *space);

static void
fail(Parser *parser, const char *detail)
{
	ereport(ERROR,
			(errcode(parser->code),
			 errmsg("invalid Avro schema in %s", parser->where),
			 errdetail_internal("%s", detail)));
}

static char *
string_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static JsonbValue *
array_member(Parser *parser, JsonbValue *object, const char *key)
{
	JsonbValue *value = FeathubJsonMember(object, key);

	if (value == NULL || !FeathubJsonIsArray(value))
		fail(parser, psprintf("\"%s\" must be an array.", key));
	return value;
}

static FeathubAvroNode *
make_node(FeathubAvroType type, FeathubShapeKind kind)
{
	FeathubAvroNode *node = palloc0(sizeof(FeathubAvroNode));

	node->type = type;
	node->shape = FeathubShapeMake(kind);
	node->multiply = node->divide = 1;
	node->null_branch = node->value_branch = -1;
	return node;
}

static FeathubAvroNode *
primitive(const char *name)
{
	FeathubAvroNode *node;

	if (strcmp(name, "null") == 0)
		return make_node(AVRO_NULL, FEATHUB_SHAPE_NULL);
	if (strcmp(name, "boolean") == 0)
		return make_node(AVRO_BOOLEAN, FEATHUB_SHAPE_BOOL);
	if (strcmp(name, "int") == 0 || strcmp(name, "long") == 0)
	{
		node = make_node(name[0] == 'i' ? AVRO_INT : AVRO_LONG, FEATHUB_SHAPE_INT);
		node->shape->bits = name[0] == 'i' ? 32 : 64;
		return node;
	}
	if (strcmp(name, "float") == 0 || strcmp(name, "double") == 0)
	{
		node = make_node(name[0] == 'f' ? AVRO_FLOAT : AVRO_DOUBLE, FEATHUB_SHAPE_FLOAT);
		node->shape->bits = name[0] == 'f' ? 32 : 64;
		return node;
	}
	if (strcmp(name, "bytes") == 0)
		return make_node(AVRO_BYTES, FEATHUB_SHAPE_BYTES);
	if (strcmp(name, "string") == 0)
		return make_node(AVRO_STRING, FEATHUB_SHAPE_TEXT);
	return NULL;
}

/* A name with its namespace. */
static char *
full_name(const char *name, const char *space)
{
	if (strchr(name, '.') != NULL || space == NULL || *space == '\0')
		return pstrdup(name);
	return psprintf("%s.%s", space, name);
}

static FeathubAvroNode *
find_named(Parser *parser, const char *name, const char *space)
{
	const char *full = full_name(name, space);
	ListCell   *lc;

	for (int pass = 0; pass < 2; pass++)
	{
		foreach(lc, parser->named)
		{
			if (strcmp(((FeathubAvroNode *) lfirst(lc))->name, pass == 0 ? full : name) == 0)
				return lfirst(lc);
		}
	}
	return NULL;
}

/* Name a type that has just been made, and tell the namespace of what is in it. */
static const char *
define_name(Parser *parser, FeathubAvroNode *node, JsonbValue *object, const char *space)
{
	char	   *name = FeathubJsonStringMember(object, "name");
	char	   *own = FeathubJsonStringMember(object, "namespace");
	char	   *dot;

	if (name == NULL || *name == '\0')
		fail(parser, "A type has no name.");
	node->name = full_name(name, own ? own : space);
	if (find_named(parser, node->name, NULL) != NULL)
		fail(parser, psprintf("Type \"%s\" is defined twice.", node->name));
	parser->named = lappend(parser->named, node);
	dot = strrchr(node->name, '.');
	return dot == NULL ? NULL : pnstrdup(node->name, dot - node->name);
}

/* Times and their like. */
static void
set_logical(FeathubAvroNode *node, JsonbValue *object)
{
	static const struct
	{
		const char *name;
		FeathubAvroType type;
		FeathubShapeKind kind;
		int64		multiply;
		int64		divide;
	}			times[] =
	{
		{"date", AVRO_INT, FEATHUB_SHAPE_DATE, 1, 1},
		{"time-millis", AVRO_INT, FEATHUB_SHAPE_TIME, 1000, 1},
		{"time-micros", AVRO_LONG, FEATHUB_SHAPE_TIME, 1, 1},
		{"timestamp-millis", AVRO_LONG, FEATHUB_SHAPE_INSTANT, 1000, 1},
		{"timestamp-micros", AVRO_LONG, FEATHUB_SHAPE_INSTANT, 1, 1},
		{"timestamp-nanos", AVRO_LONG, FEATHUB_SHAPE_INSTANT, 1, 1000},
		{"local-timestamp-millis", AVRO_LONG, FEATHUB_SHAPE_TIMESTAMP, 1000, 1},
		{"local-timestamp-micros", AVRO_LONG, FEATHUB_SHAPE_TIMESTAMP, 1, 1},
		{"local-timestamp-nanos", AVRO_LONG, FEATHUB_SHAPE_TIMESTAMP, 1, 1000},

		/* Debezium's, which have no logical type */
		{"io.debezium.time.Date", AVRO_INT, FEATHUB_SHAPE_DATE, 1, 1},
		{"io.debezium.time.Time", AVRO_INT, FEATHUB_SHAPE_TIME, 1000, 1},
		{"io.debezium.time.MicroTime", AVRO_LONG, FEATHUB_SHAPE_TIME, 1, 1},
		{"io.debezium.time.NanoTime", AVRO_LONG, FEATHUB_SHAPE_TIME, 1, 1000},
		{"io.debezium.time.Timestamp", AVRO_LONG, FEATHUB_SHAPE_TIMESTAMP, 1000, 1},
		{"io.debezium.time.MicroTimestamp", AVRO_LONG, FEATHUB_SHAPE_TIMESTAMP, 1, 1},
		{"io.debezium.time.NanoTimestamp", AVRO_LONG, FEATHUB_SHAPE_TIMESTAMP, 1, 1000},
	};
	char	   *logical = FeathubJsonStringMember(object, "logicalType");
	FeathubShape *shape = node->shape;

	/* one that is unknown or does not fit its type means nothing */
	if (logical == NULL)
		logical = FeathubJsonStringMember(object, "connect.name");
	if (logical == NULL)
		return;
	for (int i = 0; i < lengthof(times); i++)
	{
		if (strcmp(times[i].name, logical) == 0 && times[i].type == node->type)
		{
			shape->kind = times[i].kind;
			node->multiply = times[i].multiply;
			node->divide = times[i].divide;
		}
	}
	if (strcmp(logical, "decimal") == 0 &&
		(node->type == AVRO_BYTES || node->type == AVRO_FIXED) &&
		FeathubJsonIntMember(object, "precision", &shape->precision) && shape->precision > 0 &&
		shape->precision <= 10000)
	{
		if (!FeathubJsonIntMember(object, "scale", &shape->scale))
			shape->scale = 0;
		if (shape->scale >= 0 && shape->scale <= shape->precision)
			shape->kind = FEATHUB_SHAPE_DECIMAL;
	}
	if (strcmp(logical, "uuid") == 0 &&
		(node->type == AVRO_STRING || (node->type == AVRO_FIXED && node->size == 16)))
		shape->kind = FEATHUB_SHAPE_UUID;
	if (node->type == AVRO_STRING && strcmp(logical, "io.debezium.data.Uuid") == 0)
		shape->kind = FEATHUB_SHAPE_UUID;
	if (node->type == AVRO_STRING && strcmp(logical, "io.debezium.data.Json") == 0)
		shape->kind = FEATHUB_SHAPE_JSON;
	if (strcmp(logical, "duration") == 0 && node->type == AVRO_FIXED && node->size == 12)
		shape->kind = FEATHUB_SHAPE_INTERVAL;
}

static void
parse_fields(Parser *parser, FeathubAvroNode *node, JsonbValue *object, const char *space)
{
	JsonbValue *fields = array_member(parser, object, "fields");
	JsonbContainer *container = fields->val.binary.data;
	int			n = JsonContainerSize(container);

	node->children = palloc0(sizeof(FeathubAvroNode *) * Max(n, 1));
	node->fields = palloc0(sizeof(char *) * Max(n, 1));
	node->defaults = palloc0(sizeof(JsonbValue *) * Max(n, 1));
	node->shape->children = palloc0(sizeof(FeathubShape *) * Max(n, 1));
	node->shape->nchildren = n;
	for (int i = 0; i < n; i++)
		node->shape->children[i] = FeathubShapeMake(FEATHUB_SHAPE_NULL);
	for (int i = 0; i < n; i++)
	{
		JsonbValue *field = getIthJsonbValueFromContainer(container, i);
		JsonbValue *type = NULL;
		char	   *name = NULL;

		if (!FeathubJsonIsObject(field) ||
			(name = FeathubJsonStringMember(field, "name")) == NULL ||
			(type = FeathubJsonMember(field, "type")) == NULL)
			fail(parser, psprintf("Field %d of record \"%s\" has no name or no type.", i + 1,
								  node->name));
		node->fields[i] = name;
		node->defaults[i] = FeathubJsonMember(field, "default");
		node->children[i] = parse_type(parser, type, space);
		node->nchildren = i + 1;
	}
}

static FeathubAvroNode *
parse_union(Parser *parser, JsonbValue *value, const char *space)
{
	JsonbContainer *container = value->val.binary.data;
	int			n = JsonContainerSize(container);
	FeathubAvroNode *node = make_node(AVRO_UNION, FEATHUB_SHAPE_UNION);
	int			others = 0;

	if (n == 0)
		fail(parser, "A union has no branches.");
	node->nchildren = n;
	node->children = palloc0(sizeof(FeathubAvroNode *) * n);
	for (int i = 0; i < n; i++)
	{
		node->children[i] = parse_type(parser, getIthJsonbValueFromContainer(container, i), space);
		if (node->children[i]->type == AVRO_UNION)
			fail(parser, "A union is a branch of another.");
		if (node->children[i]->type == AVRO_NULL)
			node->null_branch = i;
		else
		{
			node->value_branch = i;
			others++;
		}
	}
	if (others == 0)
		node->shape->kind = FEATHUB_SHAPE_NULL;
	else if (others == 1)
		node->shape = node->children[node->value_branch]->shape;
	else
		node->value_branch = -1;
	return node;
}

static FeathubAvroNode *
parse_array(Parser *parser, JsonbValue *object, const char *space, bool is_map)
{
	FeathubAvroNode *node = make_node(is_map ? AVRO_MAP : AVRO_ARRAY,
									  is_map ? FEATHUB_SHAPE_MAP : FEATHUB_SHAPE_LIST);
	JsonbValue *items = FeathubJsonMember(object, is_map ? "values" : "items");

	if (items == NULL)
		fail(parser, is_map ? "A map has no \"values\"." : "An array has no \"items\".");
	node->nchildren = 1;
	node->children = palloc0(sizeof(FeathubAvroNode *));
	node->children[0] = parse_type(parser, items, space);
	node->shape->children = palloc0(sizeof(FeathubShape *) * 2);
	if (is_map)
		node->shape->children[node->shape->nchildren++] = FeathubShapeMake(FEATHUB_SHAPE_TEXT);
	node->shape->children[node->shape->nchildren++] = node->children[0]->shape;
	return node;
}

static FeathubAvroNode *
parse_object(Parser *parser, JsonbValue *object, const char *space)
{
	JsonbValue *type = FeathubJsonMember(object, "type");
	FeathubAvroNode *node;
	char	   *name;

	if (type == NULL)
		fail(parser, "A type has no \"type\".");
	if (type->type != jbvString)
		return parse_type(parser, type, space);
	name = string_of(type);
	node = primitive(name);
	if (node != NULL)
	{
		set_logical(node, object);
		return node;
	}
	if (strcmp(name, "record") == 0 || strcmp(name, "error") == 0)
	{
		node = make_node(AVRO_RECORD, FEATHUB_SHAPE_STRUCT);
		space = define_name(parser, node, object, space);
		parse_fields(parser, node, object, space);
		return node;
	}
	if (strcmp(name, "enum") == 0)
	{
		JsonbContainer *symbols;

		node = make_node(AVRO_ENUM, FEATHUB_SHAPE_ENUM);
		define_name(parser, node, object, space);
		symbols = array_member(parser, object, "symbols")->val.binary.data;
		node->nsymbols = JsonContainerSize(symbols);
		node->symbols = palloc0(sizeof(char *) * Max(node->nsymbols, 1));
		for (int i = 0; i < node->nsymbols; i++)
		{
			JsonbValue *symbol = getIthJsonbValueFromContainer(symbols, i);

			if (symbol->type != jbvString)
				fail(parser, psprintf("A symbol of enum \"%s\" is no string.", node->name));
			node->symbols[i] = string_of(symbol);
		}
		return node;
	}
	if (strcmp(name, "fixed") == 0)
	{
		node = make_node(AVRO_FIXED, FEATHUB_SHAPE_BYTES);
		define_name(parser, node, object, space);
		if (!FeathubJsonIntMember(object, "size", &node->size) || node->size < 0 || node->size > MAX_FIXED)
			fail(parser, psprintf("Type \"%s\" has no valid size.", node->name));
		set_logical(node, object);
		return node;
	}
	if (strcmp(name, "array") == 0 || strcmp(name, "map") == 0)
		return parse_array(parser, object, space, name[0] == 'm');
	node = find_named(parser, name, space);
	if (node == NULL)
		fail(parser, psprintf("Type \"%s\" is not defined.", name));
	return node;
}

static FeathubAvroNode *
parse_type(Parser *parser, JsonbValue *value, const char *space)
{
	FeathubAvroNode *node = NULL;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (++parser->depth > MAX_DEPTH)
		fail(parser, "Its types are nested too deeply.");
	if (value->type == jbvString)
	{
		char	   *name = string_of(value);

		node = primitive(name);
		if (node == NULL)
			node = find_named(parser, name, space);
		if (node == NULL)
			fail(parser, psprintf("Type \"%s\" is not defined.", name));
	}
	else if (FeathubJsonIsArray(value))
		node = parse_union(parser, value, space);
	else if (FeathubJsonIsObject(value))
		node = parse_object(parser, value, space);
	else
		fail(parser, "A type is neither a name nor an object nor a union.");
	parser->depth--;
	return node;
}

/*
 * Give records the shapes of their fields, which may be of the record itself,
 * so that all types must be known before.
 */
static FeathubAvroNode *
finish_shapes(Parser *parser, FeathubAvroNode *root)
{
	ListCell   *lc;

	foreach(lc, parser->named)
	{
		FeathubAvroNode *node = lfirst(lc);

		for (int i = 0; node->type == AVRO_RECORD && i < node->nchildren; i++)
		{
			/* the shape of a named type may have several names */
			FeathubShape *shape = node->shape->children[i];

			*shape = *node->children[i]->shape;
			shape->name = node->fields[i];
		}
	}
	return root;
}

FeathubAvroNode *
FeathubAvroParseSchema(const char *json, Size len, int code, const char *where)
{
	Parser		parser = {.code = code, .where = where};
	FeathubDecodeError error = {0};
	JsonbValue	value;

	/* names may be of another schema's: "string" is one without quotes too */
	if (!FeathubJsonDocument(json, len, &value, &error))
		fail(&parser, psprintf("%s.", error.message));
	return finish_shapes(&parser, parse_type(&parser, &value, NULL));
}

/* What a schema refers to, and then itself; a type is defined once. */
static FeathubAvroNode *
parse_registered(Parser *parser, const FeathubRegistrySchema *schema)
{
	FeathubDecodeError error = {0};
	JsonbValue	value;

	check_stack_depth();
	parser->seen = lappend(parser->seen, unconstify(FeathubRegistrySchema *, schema));
	for (int i = 0; i < schema->nreferences; i++)
	{
		FeathubRegistrySchema *other = schema->references[i].schema;

		if (!list_member_ptr(parser->seen, other))
			(void) parse_registered(parser, other);
	}
	if (!FeathubJsonDocument(schema->text, schema->len, &value, &error))
		fail(parser, psprintf("%s.", error.message));
	return parse_type(parser, &value, NULL);
}

FeathubAvroNode *
FeathubAvroParseRegistered(const FeathubRegistrySchema *schema, int code, const char *where)
{
	Parser		parser = {.code = code, .where = where};

	return finish_shapes(&parser, parse_registered(&parser, schema));
}

int
FeathubAvroFindField(const FeathubAvroNode *record, const char *name)
{
	int			found = -1;
	int			matches = 0;

	for (int pass = 0; pass < 2 && matches == 0; pass++)
	{
		for (int i = 0; i < record->nchildren; i++)
		{
			if (pass == 0 ? strcmp(record->fields[i], name) != 0 :
				pg_strcasecmp(record->fields[i], name) != 0)
				continue;
			found = i;
			matches++;
		}
	}
	return matches > 1 ? -2 : found;
}

bool
FeathubAvroValidName(const char *name)
{
	if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_'))
		return false;
	for (; *name != '\0'; name++)
	{
		if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
			  (*name >= '0' && *name <= '9') || *name == '_'))
			return false;
	}
	return true;
}

static void
check_name(const char *name, const char *column)
{
	if (FeathubAvroValidName(name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
			 errmsg("\"%s\" cannot be the name of an Avro field", name),
			 errdetail("Column \"%s\" would be written so; names have letters, digits and underscores only.",
					   column),
			 errhint("Give the column another name in files by option \"column_name\".")));
}

/* records: how many have been named before, so that each gets its own name. */
static void
put_type(StringInfo out, const FeathubShape *shape, const char *column, int *records)
{
	check_stack_depth();
	appendStringInfoString(out, "[\"null\",");
	switch (shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			appendStringInfoString(out, "\"boolean\"");
			break;
		case FEATHUB_SHAPE_INT:
			appendStringInfoString(out, shape->bits <= 32 ? "\"int\"" : "\"long\"");
			break;
		case FEATHUB_SHAPE_FLOAT:
			appendStringInfoString(out, shape->bits <= 32 ? "\"float\"" : "\"double\"");
			break;
		case FEATHUB_SHAPE_DECIMAL:
			appendStringInfo(out, "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":%d,\"scale\":%d}",
							 shape->precision, shape->scale);
			break;
		case FEATHUB_SHAPE_BYTES:
			appendStringInfoString(out, "\"bytes\"");
			break;
		case FEATHUB_SHAPE_UUID:
			appendStringInfoString(out, "{\"type\":\"string\",\"logicalType\":\"uuid\"}");
			break;
		case FEATHUB_SHAPE_DATE:
			appendStringInfoString(out, "{\"type\":\"int\",\"logicalType\":\"date\"}");
			break;
		case FEATHUB_SHAPE_TIME:
			appendStringInfoString(out, "{\"type\":\"long\",\"logicalType\":\"time-micros\"}");
			break;
		case FEATHUB_SHAPE_TIMESTAMP:
			appendStringInfoString(out, "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}");
			break;
		case FEATHUB_SHAPE_INSTANT:
			appendStringInfoString(out, "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}");
			break;
		case FEATHUB_SHAPE_LIST:
			appendStringInfoString(out, "{\"type\":\"array\",\"items\":");
			put_type(out, shape->children[0], column, records);
			appendStringInfoChar(out, '}');
			break;
		case FEATHUB_SHAPE_STRUCT:
			appendStringInfo(out, "{\"type\":\"record\",\"name\":\"record_%d\",\"fields\":[",
							 ++(*records));
			for (int i = 0; i < shape->nchildren; i++)
			{
				check_name(shape->children[i]->name, column);
				appendStringInfo(out, "%s{\"name\":\"%s\",\"type\":", i > 0 ? "," : "",
								 shape->children[i]->name);
				put_type(out, shape->children[i], column, records);
				appendStringInfoChar(out, '}');
			}
			appendStringInfoString(out, "]}");
			break;
		default:
			appendStringInfoString(out, "\"string\"");
			break;
	}
	appendStringInfoChar(out, ']');
}

char *
FeathubAvroMakeSchema(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, char **names,
					  const char *record)
{
	FeathubConvertSettings settings = {0};
	StringInfoData out;
	int			records = 0;

	initStringInfo(&out);
	appendStringInfo(&out, "{\"type\":\"record\",\"name\":\"%s\",\"fields\":[", record);
	for (int i = 0; i < ncolumns; i++)
	{
		FeathubConverter *type = FeathubConverterMake(columns[i].typid, columns[i].typmod,
													  &settings);
		int			dimensions = TupleDescAttr(tupdesc, columns[i].attnum - 1)->attndims;

		check_name(names[i], columns[i].name);
		appendStringInfo(&out, "%s{\"name\":\"%s\",\"type\":", i > 0 ? "," : "", names[i]);
		put_type(&out, FeathubShapeOfType(type, dimensions), columns[i].name, &records);
		appendStringInfoString(&out, ",\"default\":null}");
	}
	appendStringInfoString(&out, "]}");
	return out.data;
}

/* A schema without what does not matter for reading: Parsing Canonical Form. */
static void
put_canonical(StringInfo out, const FeathubAvroNode *node, List **named)
{
	static const char *const names[] = {
		[AVRO_NULL] = "null", [AVRO_BOOLEAN] = "boolean", [AVRO_INT] = "int", [AVRO_LONG] = "long",
		[AVRO_FLOAT] = "float", [AVRO_DOUBLE] = "double", [AVRO_BYTES] = "bytes",
		[AVRO_STRING] = "string", [AVRO_FIXED] = "fixed", [AVRO_ENUM] = "enum",
		[AVRO_ARRAY] = "array", [AVRO_MAP] = "map", [AVRO_RECORD] = "record"
	};

	check_stack_depth();
	if (node->type == AVRO_UNION)
	{
		for (int i = 0; i < node->nchildren; i++)
		{
			appendStringInfoChar(out, i == 0 ? '[' : ',');
			put_canonical(out, node->children[i], named);
		}
		appendStringInfoChar(out, ']');
		return;
	}
	if (node->name != NULL && list_member_ptr(*named, node))
	{
		appendStringInfo(out, "\"%s\"", node->name);
		return;
	}
	if (node->name == NULL && node->nchildren == 0)
	{
		appendStringInfo(out, "\"%s\"", names[node->type]);
		return;
	}
	appendStringInfoChar(out, '{');
	if (node->name != NULL)
	{
		*named = lappend(*named, unconstify(FeathubAvroNode *, node));
		appendStringInfo(out, "\"name\":\"%s\",", node->name);
	}
	appendStringInfo(out, "\"type\":\"%s\"", names[node->type]);
	switch (node->type)
	{
		case AVRO_RECORD:
			appendStringInfoString(out, ",\"fields\":[");
			for (int i = 0; i < node->nchildren; i++)
			{
				appendStringInfo(out, "%s{\"name\":\"%s\",\"type\":", i > 0 ? "," : "",
								 node->fields[i]);
				put_canonical(out, node->children[i], named);
				appendStringInfoChar(out, '}');
			}
			appendStringInfoChar(out, ']');
			break;
		case AVRO_ENUM:
			appendStringInfoString(out, ",\"symbols\":[");
			for (int i = 0; i < node->nsymbols; i++)
				appendStringInfo(out, "%s\"%s\"", i > 0 ? "," : "", node->symbols[i]);
			appendStringInfoChar(out, ']');
			break;
		case AVRO_FIXED:
			appendStringInfo(out, ",\"size\":%d", node->size);
			break;
		default:
			appendStringInfo(out, ",\"%s\":", node->type == AVRO_MAP ? "values" : "items");
			put_canonical(out, node->children[0], named);
			break;
	}
	appendStringInfoChar(out, '}');
}

uint64
FeathubAvroFingerprint(const FeathubAvroNode *root)
{
	const uint64 empty = UINT64CONST(0xc15d213aa4d7a795);
	uint64		table[256];
	uint64		result = empty;
	List	   *named = NIL;
	StringInfoData out;

	initStringInfo(&out);
	put_canonical(&out, root, &named);
	for (int i = 0; i < 256; i++)
	{
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = (table[i] >> 1) ^ (empty & -(table[i] & 1));
	}
	for (int i = 0; i < out.len; i++)
		result = (result >> 8) ^ table[(result ^ (unsigned char) out.data[i]) & 0xff];
	return result;
}
