/*
 * mysql_shippable.c
 *		What the server may be asked to evaluate: the list of types and
 *		operators for which it gives our answer.
 *
 * Not on it, and why: arithmetic on int2 and int4 (no overflow there), on
 * numeric (other scales), division by what may be zero (null there); order of
 * text but in collation "C"; regular expressions, ILIKE, upper and lower
 * (collations); intervals (months); timestamptz with date or timestamp (our
 * TimeZone); json, arrays, ranges, network types.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "connectors/mysql/mysql_deparse.h"
#include "core/compat.h"

static bool is_number(MysqlClass class);

MysqlClass
FeathubMysqlTypeClass(Oid type)
{
	type = getBaseType(type);
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return MYSQL_CLASS_INTEGER;
		case NUMERICOID:
			return MYSQL_CLASS_NUMERIC;
		case FLOAT4OID:
		case FLOAT8OID:
			return MYSQL_CLASS_FLOAT;
		case BOOLOID:
			return MYSQL_CLASS_BOOL;
		case TEXTOID:
		case VARCHAROID:
			return MYSQL_CLASS_TEXT;
		case BPCHAROID:
			return MYSQL_CLASS_BPCHAR;
		case BYTEAOID:
			return MYSQL_CLASS_BYTEA;
		case DATEOID:
			return MYSQL_CLASS_DATE;
		case TIMESTAMPOID:
			return MYSQL_CLASS_TIMESTAMP;
		case TIMESTAMPTZOID:
			return MYSQL_CLASS_TIMESTAMPTZ;
		case TIMEOID:
			return MYSQL_CLASS_TIME;
		default:
			return type_is_enum(type) ? MYSQL_CLASS_ENUM : MYSQL_CLASS_NONE;
	}
}

const char *
FeathubMysqlOperatorName(Oid opno)
{
	/* those of extensions may have the same names and other meanings */
	return opno < FirstGenbkiObjectId ? get_opname(opno) : NULL;
}

bool
FeathubMysqlComparable(const char *name, MysqlClass left, MysqlClass right, Oid collation)
{
	bool		equality = strcmp(name, "=") == 0 || strcmp(name, "<>") == 0;

	if (!equality && strcmp(name, "<") != 0 && strcmp(name, "<=") != 0 &&
		strcmp(name, ">") != 0 && strcmp(name, ">=") != 0)
		return false;
	if (is_number(left) && is_number(right))
		return true;
	if (left != right)
		return (left == MYSQL_CLASS_DATE && right == MYSQL_CLASS_TIMESTAMP) ||
			(left == MYSQL_CLASS_TIMESTAMP && right == MYSQL_CLASS_DATE);
	switch (left)
	{
		case MYSQL_CLASS_TEXT:
			if (equality)
				return FeathubMysqlSameText(collation);

			/* byte by byte, here as there */
			return OidIsValid(collation) && feathub_collation_is_c(collation);
		case MYSQL_CLASS_BPCHAR:
			return equality && FeathubMysqlSameText(collation);
		case MYSQL_CLASS_ENUM:
			return equality;
		case MYSQL_CLASS_BOOL:
		case MYSQL_CLASS_BYTEA:
		case MYSQL_CLASS_DATE:
		case MYSQL_CLASS_TIMESTAMP:
		case MYSQL_CLASS_TIMESTAMPTZ:
		case MYSQL_CLASS_TIME:
			return true;
		default:
			return false;
	}
}

/* Are texts equal in the collation only if their bytes are? */
bool
FeathubMysqlSameText(Oid collation)
{
	return OidIsValid(collation) &&
		(collation == DEFAULT_COLLATION_OID || get_collation_isdeterministic(collation));
}

static bool
is_number(MysqlClass class)
{
	return class == MYSQL_CLASS_INTEGER || class == MYSQL_CLASS_NUMERIC ||
		class == MYSQL_CLASS_FLOAT;
}
