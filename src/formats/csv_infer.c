/*
 * csv_infer.c
 *		The columns of records of csv, from a sample of them.
 *
 * The type of a field is the narrowest that takes all texts seen:
 *		only true and false, t and f			boolean
 *		only whole numbers in its range			bigint
 *		only numbers of up to 15 digits			double precision
 *		only numbers							numeric
 *		only ISO 8601 dates, or timestamps		date, timestamp without or with
 *												time zone
 *		anything else, and nothing but null		text
 * Numbers with leading zeros are keys rather than numbers, hence text.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/memutils.h"

#include "formats/infer.h"

/* Digits that double precision keeps. */
#define DOUBLE_DIGITS	15

/* What texts have been, a bit each */
#define SEEN_BOOL		0x01
#define SEEN_INTEGER	0x02
#define SEEN_DOUBLE		0x04
#define SEEN_NUMERIC	0x08
#define SEEN_DATE		0x10
#define SEEN_TIMESTAMP	0x20
#define SEEN_INSTANT	0x40
#define SEEN_TEXT		0x80

typedef struct CsvField
{
	char	   *name;
	int			seen;
} CsvField;

struct FeathubCsvInference
{
	MemoryContext context;
	void	   *options;
	bool		header;			/* the next record has the names */
	List	   *fields;			/* of CsvField */
};

static int	kind_of_text(const char *s);
static int	kind_of_number(const char *s);
static int	kind_of_time(const char *s);
static const char *type_of(int seen);

FeathubCsvInference *
FeathubCsvInferBegin(void *options, bool header)
{
	FeathubCsvInference *inference = palloc0(sizeof(FeathubCsvInference));

	inference->context = CurrentMemoryContext;
	inference->options = options;
	inference->header = header;
	return inference;
}

void
FeathubCsvInferRecord(FeathubCsvInference *inference, const char *data, Size len)
{
	MemoryContext context = AllocSetContextCreate(inference->context, "feathub inference",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubDecodeError error = {0};
	List	   *texts = NIL;
	ListCell   *lc;

	if (FeathubCsvFields(inference->options, data, len, &texts, &error))
	{
		MemoryContextSwitchTo(inference->context);
		foreach(lc, texts)
		{
			int			i = foreach_current_index(lc);
			const char *text = lfirst(lc);
			CsvField   *field;

			if (i >= list_length(inference->fields))
			{
				/* only what the header names, if there is one */
				if (!inference->header && inference->fields != NIL && i > 0 &&
					((CsvField *) linitial(inference->fields))->name != NULL)
					break;
				field = palloc0(sizeof(CsvField));
				inference->fields = lappend(inference->fields, field);
			}
			field = list_nth(inference->fields, i);
			if (inference->header)
				field->name = pstrdup(text ? text : "");
			else if (text != NULL)
				field->seen |= kind_of_text(text);
		}
		inference->header = false;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

List *
FeathubCsvInferFields(FeathubCsvInference *inference)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, inference->fields)
	{
		CsvField   *from = lfirst(lc);
		FeathubInferred *to = palloc(sizeof(FeathubInferred));

		to->name = from->name && from->name[0] != '\0' ? from->name :
			psprintf("column%d", foreach_current_index(lc) + 1);
		to->type = type_of(from->seen);
		result = lappend(result, to);
	}
	return result;
}

const char *
FeathubInferTextType(List *texts)
{
	int			seen = 0;
	ListCell   *lc;

	foreach(lc, texts)
	{
		if (lfirst(lc) != NULL)
			seen |= kind_of_text(lfirst(lc));
	}
	return type_of(seen);
}

static int
kind_of_text(const char *s)
{
	int			kind;

	if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0 ||
		strcmp(s, "t") == 0 || strcmp(s, "f") == 0)
		return SEEN_BOOL;
	kind = kind_of_number(s);
	if (kind == 0)
		kind = kind_of_time(s);
	return kind != 0 ? kind : SEEN_TEXT;
}

/* A decimal number, with an exponent or not; 0: none. */
static int
kind_of_number(const char *s)
{
	const char *p = s;
	int			digits = 0;
	bool		whole = true;
	bool		leading = true;

	if (*p == '-' || *p == '+')
		p++;
	if (p[0] == '0' && isdigit((unsigned char) p[1]))
		return 0;
	if (!isdigit((unsigned char) *p) && !(*p == '.' && isdigit((unsigned char) p[1])))
		return 0;
	for (; isdigit((unsigned char) *p) || (*p == '.' && whole); p++)
	{
		if (*p == '.')
			whole = false;
		else
		{
			leading &= *p == '0';
			digits += !leading;
		}
	}
	if (*p == 'e' || *p == 'E')
	{
		whole = false;
		p++;
		if (*p == '-' || *p == '+')
			p++;
		if (!isdigit((unsigned char) *p))
			return 0;
		while (isdigit((unsigned char) *p))
			p++;
	}
	if (*p != '\0')
		return 0;
	if (whole)
	{
		errno = 0;
		(void) strtoll(s, NULL, 10);
		return errno == 0 ? SEEN_INTEGER : SEEN_NUMERIC;
	}
	return digits <= DOUBLE_DIGITS ? SEEN_DOUBLE : SEEN_NUMERIC;
}

/* 2013-01-01, 2013-01-01T05:00:00.123Z, the fraction and the zone optional */
static int
kind_of_time(const char *s)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const char *month;

	if (!FeathubInferTakeNumber(&s, 4, 1, 9999) || *s++ != '-')
		return 0;
	month = s;
	if (!FeathubInferTakeNumber(&s, 2, 1, 12) || *s++ != '-' ||
		!FeathubInferTakeNumber(&s, 2, 1, days[(month[0] - '0') * 10 + month[1] - '1']))
		return 0;
	if (*s == '\0')
		return SEEN_DATE;
	if (*s != 'T' && *s != ' ')
		return 0;
	s++;
	if (!FeathubInferTakeNumber(&s, 2, 0, 23) || *s++ != ':' || !FeathubInferTakeNumber(&s, 2, 0, 59))
		return 0;
	if (*s == ':')
	{
		s++;
		if (!FeathubInferTakeNumber(&s, 2, 0, 60))
			return 0;
		if (*s == '.')
		{
			s++;
			if (!isdigit((unsigned char) *s))
				return 0;
			while (isdigit((unsigned char) *s))
				s++;
		}
	}
	if (*s == '\0')
		return SEEN_TIMESTAMP;
	if (*s == 'Z' && s[1] == '\0')
		return SEEN_INSTANT;
	if (*s != '+' && *s != '-')
		return 0;
	s++;
	if (!FeathubInferTakeNumber(&s, 2, 0, 15))
		return 0;
	if (*s == ':')
		s++;
	if (*s != '\0' && !FeathubInferTakeNumber(&s, 2, 0, 59))
		return 0;
	return *s == '\0' ? SEEN_INSTANT : 0;
}

static const char *
type_of(int seen)
{
	const int	numbers = SEEN_INTEGER | SEEN_DOUBLE | SEEN_NUMERIC;

	if (seen == SEEN_BOOL)
		return "pg_catalog.bool";
	if (seen == SEEN_INTEGER)
		return "pg_catalog.int8";
	if (seen != 0 && (seen & ~(SEEN_INTEGER | SEEN_DOUBLE)) == 0)
		return "pg_catalog.float8";
	if (seen != 0 && (seen & ~numbers) == 0)
		return "pg_catalog.\"numeric\"";
	if (seen == SEEN_DATE)
		return "pg_catalog.date";
	if (seen != 0 && (seen & ~(SEEN_DATE | SEEN_TIMESTAMP)) == 0)
		return "pg_catalog.\"timestamp\"";
	if (seen != 0 && (seen & ~(SEEN_DATE | SEEN_TIMESTAMP | SEEN_INSTANT)) == 0)
		return "pg_catalog.timestamptz";
	return "pg_catalog.text";
}
