/*
 * mysql_stream_position.c
 *		The text of a position in a table that is followed by a column.
 *
 *		17:'2024-01-01 00:00:00.000001',42
 *
 * is the number of rows taken and, behind the colon, the last row's stream
 * column and key; "<" in place of the colon means just before that row.
 * Positions are compared by their values, not by the number: that starts again
 * when a job is rewound, and rows read twice may have been joined by others.
 *
 * Text of a key that the server sorts without regard to case has an i before
 * it, bytes are x'hex'.  Text is compared here by its bytes; that this is not
 * the order of every collation matters only to waits, between rows of the same
 * time.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "connectors/mysql/mysql_cdc.h"

static const char *parse_value(const char *p, MysqlPositionValue *value);
static int	compare_values(const MysqlPositionValue *a, const MysqlPositionValue *b);
static int	compare_numbers(const char *a, const char *b);

bool
FeathubMysqlPositionParse(const char *text, MysqlPosition *position)
{
	Size		len = strspn(text, "0123456789");
	const char *p = text + len;

	memset(position, 0, sizeof(MysqlPosition));
	if (len == 0 || len > 18 || (*p != ':' && *p != '<'))
		return false;
	position->number = strtoll(text, NULL, 10);
	position->before = *p++ == '<';
	if (*p == '\0')
		return true;
	for (;;)
	{
		if (position->nvalues == MYSQL_POSITION_VALUES)
			return false;
		p = parse_value(p, &position->values[position->nvalues++]);
		if (p == NULL || (*p != ',' && *p != '\0'))
			return false;
		if (*p++ == '\0')
			return true;
	}
}

/* One value; returns what is behind it, or NULL. */
static const char *
parse_value(const char *p, MysqlPositionValue *value)
{
	StringInfoData text;

	if (*p == '-' || (*p >= '0' && *p <= '9'))
	{
		Size		len = 1 + strspn(p + 1, "0123456789.");

		if (*p == '-' && len == 1)
			return NULL;
		value->tag = 'n';
		value->text = pnstrdup(p, len);
		return p + len;
	}
	value->tag = *p == '\'' ? 'q' : *p++;
	if ((value->tag != 'q' && value->tag != 'i' && value->tag != 'x') || *p++ != '\'')
		return NULL;
	initStringInfo(&text);
	for (; *p != '\'' || p[1] == '\''; p++)
	{
		if (*p == '\0' || (value->tag == 'x' && !isxdigit((unsigned char) *p)))
			return NULL;
		appendStringInfoChar(&text, *p);
		p += *p == '\'';
	}
	value->text = text.data;
	return p + 1;
}

void
FeathubMysqlPositionAppend(StringInfo out, const MysqlPosition *position)
{
	appendStringInfo(out, INT64_FORMAT "%c", position->number, position->before ? '<' : ':');
	for (int i = 0; i < position->nvalues; i++)
	{
		const MysqlPositionValue *value = &position->values[i];

		if (i > 0)
			appendStringInfoChar(out, ',');
		if (value->tag == 'n')
		{
			appendStringInfoString(out, value->text);
			continue;
		}
		if (value->tag != 'q')
			appendStringInfoChar(out, value->tag);
		appendStringInfoChar(out, '\'');
		for (const char *p = value->text; *p; p++)
		{
			if (*p == '\'')
				appendStringInfoChar(out, '\'');
			appendStringInfoChar(out, *p);
		}
		appendStringInfoChar(out, '\'');
	}
}

void
FeathubMysqlPositionValue(MysqlPositionValue *value, MysqlOrderKind kind,
						  const char *data, Size len)
{
	static const char digits[] = "0123456789abcdef";

	switch (kind)
	{
		case MYSQL_ORDER_INTEGER:
		case MYSQL_ORDER_DECIMAL:
			value->tag = 'n';
			break;
		case MYSQL_ORDER_TEXT_CI:
			value->tag = 'i';
			break;
		case MYSQL_ORDER_BINARY:
			value->tag = 'x';
			break;
		default:
			value->tag = 'q';
			break;
	}

	/* text that ours cannot hold, or could only in a transaction */
	if ((kind == MYSQL_ORDER_TEXT || kind == MYSQL_ORDER_TEXT_CI) &&
		(GetDatabaseEncoding() != PG_UTF8 || memchr(data, '\0', len) != NULL))
		value->tag = 'x';
	if (value->tag != 'x')
	{
		value->text = pnstrdup(data, len);
		return;
	}
	value->text = palloc(len * 2 + 1);
	for (Size i = 0; i < len; i++)
	{
		value->text[i * 2] = digits[(unsigned char) data[i] >> 4];
		value->text[i * 2 + 1] = digits[(unsigned char) data[i] & 15];
	}
	value->text[len * 2] = '\0';
}

bool
FeathubMysqlPositionFits(const MysqlPositionValue *value, MysqlOrderKind kind)
{
	switch (kind)
	{
		case MYSQL_ORDER_INTEGER:
			return value->tag == 'n' && strchr(value->text, '.') == NULL;
		case MYSQL_ORDER_DECIMAL:
			return value->tag == 'n';
		case MYSQL_ORDER_DATE:
		case MYSQL_ORDER_DATETIME:
		case MYSQL_ORDER_TIMESTAMP:
			return value->tag == 'q' &&
				value->text[strspn(value->text, "0123456789-:. ")] == '\0';
		case MYSQL_ORDER_TEXT:
		case MYSQL_ORDER_TEXT_CI:
			return value->tag != 'n';
		case MYSQL_ORDER_BINARY:
			return value->tag == 'x';
		case MYSQL_ORDER_NONE:
			break;
	}
	return false;
}

void
FeathubMysqlPositionLiteral(StringInfo out, const MysqlPositionValue *value, MysqlOrderKind kind)
{
	if (value->tag == 'n')
	{
		appendStringInfoString(out, value->text);
		return;
	}
	if (value->tag == 'x')
	{
		appendStringInfo(out, "%s x'%s'", kind == MYSQL_ORDER_BINARY ? "_binary" : "_utf8mb4",
						 value->text);
		return;
	}
	if (kind == MYSQL_ORDER_DATE)
		appendStringInfoString(out, "DATE");
	else if (kind == MYSQL_ORDER_DATETIME || kind == MYSQL_ORDER_TIMESTAMP)
		appendStringInfoString(out, "TIMESTAMP");
	FeathubMysqlQuoteString(out, value->text, strlen(value->text));
}

int
FeathubMysqlComparePositions(const char *a, const char *b)
{
	MysqlCdcPosition log_x;
	MysqlCdcPosition log_y;
	MysqlPosition x;
	MysqlPosition y;
	int			result;

	/* a bare number is the sequence of a record */
	if (a[strspn(a, "0123456789")] == '\0' || b[strspn(b, "0123456789")] == '\0')
	{
		int64		i = strtoll(a, NULL, 10);
		int64		j = strtoll(b, NULL, 10);

		return (i > j) - (i < j);
	}
	if (!FeathubMysqlPositionParse(a, &x) || !FeathubMysqlPositionParse(b, &y))
	{
		bool		known_x = FeathubMysqlCdcPositionParse(a, &log_x);
		bool		known_y = FeathubMysqlCdcPositionParse(b, &log_y);

		return known_x && known_y ? FeathubMysqlCdcCompare(&log_x, &log_y) :
			(int) known_x - (int) known_y;
	}
	result = FeathubMysqlComparePositionValues(&x, &y);
	return result ? result : (int) y.before - (int) x.before;
}

int
FeathubMysqlComparePositionValues(const MysqlPosition *x, const MysqlPosition *y)
{
	int			n = Min(x->nvalues, y->nvalues);

	for (int i = 0; i < n; i++)
	{
		int			result = compare_values(&x->values[i], &y->values[i]);

		if (result != 0)
			return result;
	}
	if (x->nvalues != y->nvalues)
		return x->nvalues < y->nvalues ? -1 : 1;
	return 0;
}

static int
compare_values(const MysqlPositionValue *a, const MysqlPositionValue *b)
{
	if (a->tag == 'n' && b->tag == 'n')
		return compare_numbers(a->text, b->text);
	if (a->tag == 'i' && b->tag == 'i')
		return pg_strcasecmp(a->text, b->text);
	return strcmp(a->text, b->text);
}

/* Decimal numbers of any length. */
static int
compare_numbers(const char *a, const char *b)
{
	int			sign = *a == '-' ? -1 : 1;
	Size		m;
	Size		n;
	int			result;

	if ((*a == '-') != (*b == '-'))
		return sign;
	a += *a == '-';
	b += *b == '-';
	a += strspn(a, "0");
	b += strspn(b, "0");
	m = strspn(a, "0123456789");
	n = strspn(b, "0123456789");
	if (m != n)
		return m < n ? -sign : sign;
	result = strncmp(a, b, m);
	/* the scale of a column is always the same */
	if (result == 0)
		result = strcmp(a + m, b + n);
	return result == 0 ? 0 : result < 0 ? -sign : sign;
}
