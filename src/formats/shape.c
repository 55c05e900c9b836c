/*
 * shape.c
 *		Types of file formats and types of PostgreSQL: which fits into which.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "formats/shape.h"

/* A decimal of more digits has no place in decimal256. */
#define MAX_DECIMAL_PRECISION 76

FeathubShape *
FeathubShapeMake(FeathubShapeKind kind)
{
	FeathubShape *shape = palloc0(sizeof(FeathubShape));

	shape->kind = kind;
	return shape;
}

char *
FeathubShapeText(const FeathubShape *shape)
{
	switch (shape->kind)
	{
		case FEATHUB_SHAPE_NULL:
			return "null";
		case FEATHUB_SHAPE_BOOL:
			return "boolean";
		case FEATHUB_SHAPE_INT:
			return psprintf("%sint%d", shape->is_unsigned ? "u" : "", shape->bits);
		case FEATHUB_SHAPE_FLOAT:
			return psprintf("float%d", shape->bits);
		case FEATHUB_SHAPE_DECIMAL:
			return psprintf("decimal(%d,%d)", shape->precision, shape->scale);
		case FEATHUB_SHAPE_TEXT:
			return "string";
		case FEATHUB_SHAPE_ENUM:
			return "enum";
		case FEATHUB_SHAPE_JSON:
			return "json";
		case FEATHUB_SHAPE_BYTES:
			return "binary";
		case FEATHUB_SHAPE_UUID:
			return "uuid";
		case FEATHUB_SHAPE_DATE:
			return "date";
		case FEATHUB_SHAPE_TIME:
			return "time";
		case FEATHUB_SHAPE_TIMESTAMP:
			return "timestamp";
		case FEATHUB_SHAPE_INSTANT:
			return "timestamp with time zone";
		case FEATHUB_SHAPE_INTERVAL:
			return "interval";
		case FEATHUB_SHAPE_LIST:
			return psprintf("list of %s", FeathubShapeText(shape->children[0]));
		case FEATHUB_SHAPE_STRUCT:
			return "struct";
		case FEATHUB_SHAPE_UNION:
			return "union";
		case FEATHUB_SHAPE_MAP:
			return psprintf("map of %s to %s", FeathubShapeText(shape->children[0]),
							FeathubShapeText(shape->children[1]));
	}
	return "unknown";
}

static Oid
shape_type(const FeathubShape *shape, int32 *typmod)
{
	*typmod = -1;
	switch (shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			return BOOLOID;
		case FEATHUB_SHAPE_INT:
			if (shape->is_unsigned)
				return shape->bits <= 8 ? INT2OID : shape->bits <= 16 ? INT4OID :
					shape->bits <= 32 ? INT8OID : NUMERICOID;
			return shape->bits <= 16 ? INT2OID : shape->bits <= 32 ? INT4OID : INT8OID;
		case FEATHUB_SHAPE_FLOAT:
			return shape->bits <= 32 ? FLOAT4OID : FLOAT8OID;
		case FEATHUB_SHAPE_DECIMAL:
			if (shape->precision >= 1 && shape->precision <= NUMERIC_MAX_PRECISION &&
				shape->scale >= 0 && shape->scale <= shape->precision)
				*typmod = ((shape->precision << 16) | shape->scale) + VARHDRSZ;
			return NUMERICOID;
		case FEATHUB_SHAPE_BYTES:
			return BYTEAOID;
		case FEATHUB_SHAPE_UUID:
			return UUIDOID;
		case FEATHUB_SHAPE_DATE:
			return DATEOID;
		case FEATHUB_SHAPE_TIME:
			return TIMEOID;
		case FEATHUB_SHAPE_TIMESTAMP:
			return TIMESTAMPOID;
		case FEATHUB_SHAPE_INSTANT:
			return TIMESTAMPTZOID;
		case FEATHUB_SHAPE_INTERVAL:
			return INTERVALOID;
		case FEATHUB_SHAPE_JSON:
		case FEATHUB_SHAPE_STRUCT:
		case FEATHUB_SHAPE_MAP:
		case FEATHUB_SHAPE_UNION:
			return JSONBOID;
		default:
			return TEXTOID;
	}
}

TypeName *
FeathubShapeTypeName(const FeathubShape *shape)
{
	const FeathubShape *element = shape;
	int32		typmod;
	Oid			type;
	Oid			array;

	/* lists of lists are arrays of more dimensions, but may be ragged */
	while (element->kind == FEATHUB_SHAPE_LIST)
		element = element->children[0];
	type = shape_type(element, &typmod);
	if (element == shape)
		return makeTypeNameFromOid(type, typmod);
	if (shape->children[0] != element)
		return makeTypeNameFromOid(JSONBOID, -1);
	if (type == JSONBOID && element->kind != FEATHUB_SHAPE_JSON)
		return makeTypeNameFromOid(JSONBOID, -1);
	array = get_array_type(type);
	return makeTypeNameFromOid(array, typmod);
}

ColumnDef *
FeathubShapeColumnDef(const FeathubShape *shape)
{
	ColumnDef  *def = makeNode(ColumnDef);

	/* names may be longer in files */
	def->colname = pnstrdup(shape->name,
							pg_mbcliplen(shape->name, strlen(shape->name), NAMEDATALEN - 1));
	if (strcmp(def->colname, shape->name) != 0)
		def->fdwoptions = list_make1(makeDefElem("column_name",
												 (Node *) makeString(pstrdup(shape->name)), -1));
	def->typeName = FeathubShapeTypeName(shape);
	def->is_local = true;
	return def;
}

/* Fields of the struct that have an attribute must fit it. */
static bool
struct_fits(const FeathubShape *shape, const FeathubConverter *type)
{
	for (int i = 0; i < shape->nchildren; i++)
	{
		for (int j = 0; j < type->tupdesc->natts; j++)
		{
			if (type->attributes[j] != NULL &&
				strcmp(NameStr(TupleDescAttr(type->tupdesc, j)->attname),
					   shape->children[i]->name) == 0 &&
				!FeathubShapeFits(shape->children[i], type->attributes[j]))
				return false;
		}
	}
	return true;
}

bool
FeathubShapeFits(const FeathubShape *shape, const FeathubConverter *type)
{
	FeathubConvertKind kind = type->kind;

	check_stack_depth();
	if (shape->kind == FEATHUB_SHAPE_NULL)
		return true;
	/* everything has a text and a place in a document */
	if (FeathubKindIsText(kind) || FeathubKindIsJson(kind))
		return true;
	switch (shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			return kind == FEATHUB_CONVERT_BOOL;
		case FEATHUB_SHAPE_INT:
			return FeathubKindIsInteger(kind) || FeathubKindIsFloat(kind) || kind == FEATHUB_CONVERT_NUMERIC ||
				type->base == OIDOID;
		case FEATHUB_SHAPE_FLOAT:
			return FeathubKindIsFloat(kind) || kind == FEATHUB_CONVERT_NUMERIC;
		case FEATHUB_SHAPE_DECIMAL:
			return FeathubKindIsFloat(kind) || kind == FEATHUB_CONVERT_NUMERIC ||
				(FeathubKindIsInteger(kind) && shape->scale <= 0);
		case FEATHUB_SHAPE_TEXT:
		case FEATHUB_SHAPE_ENUM:
		case FEATHUB_SHAPE_JSON:
			/* by the type's input function where there is no other way */
			return kind == FEATHUB_CONVERT_ENUM || kind == FEATHUB_CONVERT_UUID ||
				kind == FEATHUB_CONVERT_NUMERIC || kind == FEATHUB_CONVERT_BYTEA ||
				kind == FEATHUB_CONVERT_DATE || kind == FEATHUB_CONVERT_TIMESTAMP ||
				kind == FEATHUB_CONVERT_TIMESTAMPTZ || kind == FEATHUB_CONVERT_OTHER;
		case FEATHUB_SHAPE_BYTES:
			return kind == FEATHUB_CONVERT_BYTEA || kind == FEATHUB_CONVERT_UUID ||
				kind == FEATHUB_CONVERT_ENUM || type->base == INTERVALOID;
		case FEATHUB_SHAPE_UUID:
			return kind == FEATHUB_CONVERT_UUID || kind == FEATHUB_CONVERT_BYTEA;
		case FEATHUB_SHAPE_DATE:
			return kind == FEATHUB_CONVERT_DATE || kind == FEATHUB_CONVERT_TIMESTAMP;
		case FEATHUB_SHAPE_TIME:
			return type->base == TIMEOID;
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
			return kind == FEATHUB_CONVERT_TIMESTAMP || kind == FEATHUB_CONVERT_TIMESTAMPTZ;
		case FEATHUB_SHAPE_INTERVAL:
			return type->base == INTERVALOID;
		case FEATHUB_SHAPE_LIST:
			if (kind != FEATHUB_CONVERT_ARRAY)
				return false;
			/* a list of lists is an array of two dimensions */
			while (shape->kind == FEATHUB_SHAPE_LIST)
				shape = shape->children[0];
			return FeathubShapeFits(shape, type->element);
		case FEATHUB_SHAPE_STRUCT:
			return kind == FEATHUB_CONVERT_COMPOSITE && struct_fits(shape, type);
		case FEATHUB_SHAPE_MAP:
			return false;
		default:
			return false;
	}
}

void
FeathubShapeCheckFits(const FeathubShape *shape, const FeathubConverter *type,
					  const char *file, const FeathubColumn *column)
{
	if (FeathubShapeFits(shape, type))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("column \"%s\" of type %s cannot take what file \"%s\" has", column->name,
					format_type_with_typemod(column->typid, column->typmod), file),
			 errdetail("Field \"%s\" of the file is of type %s.", shape->name,
					   FeathubShapeText(shape))));
}

static FeathubShape *
shape_of_composite(const FeathubConverter *type)
{
	FeathubShape *shape = FeathubShapeMake(FEATHUB_SHAPE_STRUCT);

	shape->children = palloc0(sizeof(FeathubShape *) * Max(type->tupdesc->natts, 1));
	for (int i = 0; i < type->tupdesc->natts; i++)
	{
		if (type->attributes[i] == NULL)
			continue;
		shape->children[shape->nchildren] =
			FeathubShapeOfType(type->attributes[i],
							   TupleDescAttr(type->tupdesc, i)->attndims);
		shape->children[shape->nchildren++]->name =
			pstrdup(NameStr(TupleDescAttr(type->tupdesc, i)->attname));
	}
	return shape;
}

FeathubShape *
FeathubShapeOfType(const FeathubConverter *type, int dimensions)
{
	FeathubShape *shape = FeathubShapeMake(FEATHUB_SHAPE_TEXT);

	check_stack_depth();
	switch (type->kind)
	{
		case FEATHUB_CONVERT_BOOL:
			shape->kind = FEATHUB_SHAPE_BOOL;
			break;
		case FEATHUB_CONVERT_INT2:
		case FEATHUB_CONVERT_INT4:
		case FEATHUB_CONVERT_INT8:
			shape->kind = FEATHUB_SHAPE_INT;
			shape->bits = type->kind == FEATHUB_CONVERT_INT2 ? 16 :
				type->kind == FEATHUB_CONVERT_INT4 ? 32 : 64;
			break;
		case FEATHUB_CONVERT_FLOAT4:
		case FEATHUB_CONVERT_FLOAT8:
			shape->kind = FEATHUB_SHAPE_FLOAT;
			shape->bits = type->kind == FEATHUB_CONVERT_FLOAT4 ? 32 : 64;
			break;
		case FEATHUB_CONVERT_NUMERIC:
			/* without limits only text holds every value */
			if (type->typmod >= (int32) VARHDRSZ)
			{
				int			precision = ((type->typmod - VARHDRSZ) >> 16) & 0xffff;

				if (precision <= MAX_DECIMAL_PRECISION && type->scale >= 0 &&
					type->scale <= precision)
				{
					shape->kind = FEATHUB_SHAPE_DECIMAL;
					shape->precision = precision;
					shape->scale = type->scale;
				}
			}
			break;
		case FEATHUB_CONVERT_BYTEA:
			shape->kind = FEATHUB_SHAPE_BYTES;
			break;
		case FEATHUB_CONVERT_DATE:
			shape->kind = FEATHUB_SHAPE_DATE;
			break;
		case FEATHUB_CONVERT_TIMESTAMP:
			shape->kind = FEATHUB_SHAPE_TIMESTAMP;
			break;
		case FEATHUB_CONVERT_TIMESTAMPTZ:
			shape->kind = FEATHUB_SHAPE_INSTANT;
			break;
		case FEATHUB_CONVERT_UUID:
			shape->kind = FEATHUB_SHAPE_UUID;
			break;
		case FEATHUB_CONVERT_JSON:
		case FEATHUB_CONVERT_JSONB:
			shape->kind = FEATHUB_SHAPE_JSON;
			break;
		case FEATHUB_CONVERT_ENUM:
			shape->kind = FEATHUB_SHAPE_ENUM;
			break;
		case FEATHUB_CONVERT_ARRAY:
			shape->kind = FEATHUB_SHAPE_LIST;
			shape->nchildren = 1;
			shape->children = palloc(sizeof(FeathubShape *));
			/* the same converter again for each further dimension */
			shape->children[0] = dimensions > 1 ? FeathubShapeOfType(type, dimensions - 1) :
				FeathubShapeOfType(type->element, 1);
			shape->children[0]->name = "element";
			break;
		case FEATHUB_CONVERT_COMPOSITE:
			return shape_of_composite(type);
		default:
			if (type->base == TIMEOID)
				shape->kind = FEATHUB_SHAPE_TIME;
			break;
	}
	return shape;
}
