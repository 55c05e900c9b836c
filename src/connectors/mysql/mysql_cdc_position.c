/*
 * mysql_cdc_position.c
 *		The text of a position in a server's binary log; mysql_cdc.h shows it.
 *
 * Positions are compared by what was executed before them, and how much of the
 * next transaction, where that is known, as a place in the log is a server's own
 * and means nothing on another one to which a job was switched; else by the place.
 * A position within the first copy is before all that have it behind them.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_cdc.h"

/* Written where something is not known, and where a set is known to be empty. */
#define UNKNOWN "-"
#define EMPTY_SET "empty"

/* What XA transactions follow. */
#define XA_WORD "xa:"

/* The word that begins at *p; moves on behind the blank after it. */
static char *
next_word(const char **p)
{
	Size		len = strcspn(*p, " ");
	char	   *word = pnstrdup(*p, len);

	*p += len;
	if (**p == ' ')
		(*p)++;
	return word;
}

static bool
parse_number(const char *text, Size len, uint64 *number)
{
	if (len == 0 || len > 19 || strspn(text, "0123456789") < len)
		return false;
	*number = strtou64(pnstrdup(text, len), NULL, 10);
	return true;
}

bool
FeathubMysqlCdcPlaceParse(const char *text, char **file, uint64 *position)
{
	const char *colon = strrchr(text, ':');

	if (colon == NULL || colon == text || strchr(text, ' ') || strchr(text, ',') ||
		!parse_number(colon + 1, strlen(colon + 1), position))
		return false;
	*file = pnstrdup(text, colon - text);
	return strchr(*file, '.') != NULL;
}

/* file:position+rows@transaction */
static bool
parse_place(char *word, MysqlCdcPosition *position)
{
	char	   *plus = strrchr(word, '+');
	uint64		rows = 0;

	if (strcmp(word, UNKNOWN) == 0)
		return true;
	if (plus)
	{
		char	   *at = strchr(plus, '@');

		*plus++ = '\0';
		if (at)
		{
			*at = '\0';
			position->transaction = at + 1;
		}
		if (!parse_number(plus, strlen(plus), &rows))
			return false;
		position->rows = rows;
	}
	return FeathubMysqlCdcPlaceParse(word, &position->file, &position->position);
}

bool
FeathubMysqlCdcPositionParse(const char *text, MysqlCdcPosition *position)
{
	const char *p = text;
	char	   *number = next_word(&p);
	char	   *place = next_word(&p);
	char	   *gtids = next_word(&p);
	uint64		value;

	memset(position, 0, sizeof(MysqlCdcPosition));
	if (!parse_number(number, strlen(number), &value) || *place == '\0' || *gtids == '\0' ||
		!parse_place(place, position))
		return false;
	position->number = value;
	if (strcmp(gtids, EMPTY_SET) == 0)
		position->gtids = "";
	else if (strcmp(gtids, UNKNOWN) != 0)
		position->gtids = gtids;
	if (strncmp(p, XA_WORD, strlen(XA_WORD)) == 0 &&
		!FeathubMysqlCdcXaParse(next_word(&p) + strlen(XA_WORD), &position->xa))
		return false;
	if (*p == '\0')
		return true;
	position->snapshot = true;
	return strncmp(p, "snapshot ", 9) == 0 &&
		FeathubMysqlPositionParse(p + 9, &position->cursor);
}

void
FeathubMysqlCdcPositionAppend(StringInfo out, const MysqlCdcPosition *position)
{
	appendStringInfo(out, INT64_FORMAT " ", position->number);
	if (position->file == NULL)
		appendStringInfoString(out, UNKNOWN);
	else
		appendStringInfo(out, "%s:" UINT64_FORMAT, position->file, position->position);
	if (position->rows > 0)
		appendStringInfo(out, "+" INT64_FORMAT, position->rows);
	else if (position->transaction)
		appendStringInfoString(out, "+0");
	if (position->transaction)
		appendStringInfo(out, "@%s", position->transaction);
	appendStringInfo(out, " %s", position->gtids == NULL ? UNKNOWN :
					 position->gtids[0] == '\0' ? EMPTY_SET : position->gtids);
	if (position->xa != NIL)
	{
		appendStringInfoString(out, " " XA_WORD);
		FeathubMysqlCdcXaAppend(out, position->xa);
	}
	if (position->snapshot)
	{
		appendStringInfoString(out, " snapshot ");
		FeathubMysqlPositionAppend(out, &position->cursor);
	}
}

int
FeathubMysqlCdcComparePlaces(const char *file_a, uint64 position_a,
							 const char *file_b, uint64 position_b)
{
	const char *dot_a = strrchr(file_a, '.');
	const char *dot_b = strrchr(file_b, '.');
	uint64		a = dot_a ? strtou64(dot_a + 1, NULL, 10) : 0;
	uint64		b = dot_b ? strtou64(dot_b + 1, NULL, 10) : 0;

	if (a != b)
		return a < b ? -1 : 1;
	return position_a == position_b ? 0 : position_a < position_b ? -1 : 1;
}

/* Do all collations order the texts by the place where they first differ? */
static bool
order_is_known(const char *a, const char *b)
{
	while (*a && pg_tolower((unsigned char) *a) == pg_tolower((unsigned char) *b))
	{
		a++;
		b++;
	}
	return !IS_HIGHBIT_SET(*a) && !IS_HIGHBIT_SET(*b) &&
		(*a == '\0' || isalnum((unsigned char) *a)) && (*b == '\0' || isalnum((unsigned char) *b));
}

/*
 * The order of keys is that of the server's collation, which we do not have.
 * Where it is not sure, the first one counts as behind the other: who asks
 * whether a row was written before does it again then, and none is left out.
 */
static int
compare_cursors(const MysqlPosition *a, const MysqlPosition *b)
{
	for (int i = 0; i < Min(a->nvalues, b->nvalues); i++)
	{
		const MysqlPositionValue *x = &a->values[i];
		const MysqlPositionValue *y = &b->values[i];

		if (x->tag != 'i' || y->tag != 'i')
		{
			if (strcmp(x->text, y->text) != 0)
				break;
		}
		else if (pg_strcasecmp(x->text, y->text) != 0)
		{
			if (!order_is_known(x->text, y->text))
				return 1;
			break;
		}
	}
	return FeathubMysqlComparePositionValues(a, b);
}

/* The set of what was executed, or NULL if the text is none. */
static MysqlGtidSet *
parse_executed(const char *gtids, bool mariadb)
{
	MysqlGtidSet *set = FeathubMysqlGtidSetMake(mariadb);
	char	   *error;

	return FeathubMysqlGtidSetParse(set, gtids, &error) ? set : NULL;
}

/* Which one has more behind it, as far as transactions tell?  "same": neither has. */
static int
compare_executed(const MysqlCdcPosition *a, const MysqlCdcPosition *b, bool *same)
{
	/* domain-server-number, or uuid:interval */
	bool		mariadb = strchr(a->gtids, ':') == NULL && strchr(b->gtids, ':') == NULL;
	MysqlGtidSet *set_a;
	MysqlGtidSet *set_b;
	bool		in_a;
	bool		in_b;

	*same = strcmp(a->gtids, b->gtids) == 0;
	if (*same ||
		(set_a = parse_executed(a->gtids, mariadb)) == NULL ||
		(set_b = parse_executed(b->gtids, mariadb)) == NULL)
		return 0;
	in_a = FeathubMysqlGtidSetIncludes(set_a, set_b);
	in_b = FeathubMysqlGtidSetIncludes(set_b, set_a);
	*same = in_a && in_b;
	return (int) in_a - (int) in_b;
}

/* Is a record before a position, by its transaction?  0: it does not tell, or is "same". */
static int
compare_record(const MysqlCdcPosition *record, const MysqlCdcPosition *b, bool *same)
{
	bool		mariadb = strchr(record->transaction, ':') == NULL;
	MysqlGtidSet *own;
	MysqlGtidSet *set;

	if (b->transaction && strcmp(record->transaction, b->transaction) == 0)
	{
		*same = record->rows == b->rows;
		return *same ? 0 : record->rows < b->rows ? -1 : 1;
	}
	own = parse_executed(record->transaction, mariadb);
	set = parse_executed(b->gtids, mariadb);
	return own && set ? (FeathubMysqlGtidSetIncludes(set, own) ? -1 : 1) : 0;
}

int
FeathubMysqlCdcCompare(const MysqlCdcPosition *a, const MysqlCdcPosition *b)
{
	int			result = 0;
	bool		same = false;

	if (a->snapshot != b->snapshot)
		return a->snapshot ? -1 : 1;

	/* a row of the first copy comes again at another place of the log */
	if (a->snapshot && (a->cursor.before || b->cursor.before))
	{
		result = compare_cursors(&a->cursor, &b->cursor);
		return result ? result : (int) b->cursor.before - (int) a->cursor.before;
	}
	if (a->gtids && b->gtids)
		result = compare_executed(a, b, &same);
	else if (a->gtids == NULL && a->transaction && b->gtids)
		result = compare_record(a, b, &same);
	else if (b->gtids == NULL && b->transaction && a->gtids)
		result = -compare_record(b, a, &same);
	if (result != 0)
		return result;
	if (!same && (a->file == NULL || b->file == NULL))
		return (a->file != NULL) - (b->file != NULL);
	if (!same)
		result = FeathubMysqlCdcComparePlaces(a->file, a->position, b->file, b->position);
	if (result != 0)
		return result;
	if (a->rows != b->rows)
		return a->rows < b->rows ? -1 : 1;
	return compare_cursors(&a->cursor, &b->cursor);
}

void
FeathubMysqlCdcCopyCursor(MysqlPosition *to, const MysqlPosition *from)
{
	MysqlPosition copy = *from;

	for (int i = 0; i < copy.nvalues; i++)
		copy.values[i].text = pstrdup(copy.values[i].text);
	for (int i = 0; i < to->nvalues; i++)
		pfree(to->values[i].text);
	*to = copy;
}
