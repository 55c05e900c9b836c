/*
 * mysql_gtid.c
 *		Global transaction identifiers of MySQL and MariaDB, and sets of them.
 *
 * A set of MySQL has a source for each UUID and tag, in order, with the
 * intervals of numbers, in order, disjoint and not adjacent.  One of MariaDB has
 * an entry for each domain, in order.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/memutils.h"

#include "connectors/mysql/mysql_gtid.h"
#include "core/hex.h"

#define UUID_TEXT_LEN	36
#define MAX_NUMBER		((uint64) PG_INT64_MAX - 1) /* as on the server */

/* Both ends are in it. */
typedef struct Interval
{
	uint64		first;
	uint64		last;
} Interval;

typedef struct Source
{
	uint8		uuid[MYSQL_GTID_UUID_LEN];
	char		tag[MYSQL_GTID_TAG_LEN + 1];
	int			nintervals;
	int			max_intervals;
	Interval   *intervals;
} Source;

struct MysqlGtidSet
{
	bool		mariadb;
	MemoryContext context;

	/* MySQL */
	int			nsources;
	int			max_sources;
	Source	   *sources;

	/* MariaDB */
	int			ndomains;
	int			max_domains;
	MysqlGtid  *domains;
};

static Source *find_source(const MysqlGtidSet *set, const uint8 *uuid, const char *tag, int *place);
static Source *get_source(MysqlGtidSet *set, const uint8 *uuid, const char *tag);
static bool add_interval(MysqlGtidSet *set, Source *source, uint64 first, uint64 last);
static bool parse_mysql(MysqlGtidSet *set, const char *text, char **error);
static bool parse_mariadb(MysqlGtidSet *set, const char *text, char **error);
static void append_uuid(StringInfo out, const uint8 *uuid);

/* Single identifiers */

/* Not by the locale: the server knows ASCII only here. */
static bool
is_tag_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

bool
FeathubMysqlGtidValidTag(const char *data, Size len)
{
	if (len > MYSQL_GTID_TAG_LEN)
		return false;
	for (Size i = 0; i < len; i++)
	{
		if (!is_tag_char(data[i], i == 0))
			return false;
	}
	return true;
}

void
FeathubMysqlGtidAppend(StringInfo out, const MysqlGtid *gtid)
{
	switch (gtid->kind)
	{
		case MYSQL_GTID_NONE:
			appendStringInfoString(out, "ANONYMOUS");
			break;
		case MYSQL_GTID_MYSQL:
			append_uuid(out, gtid->uuid);
			appendStringInfo(out, "%s%s:" UINT64_FORMAT, gtid->tag[0] ? ":" : "", gtid->tag,
							 gtid->number);
			break;
		case MYSQL_GTID_MARIADB:
			appendStringInfo(out, "%u-%u-" UINT64_FORMAT, gtid->domain, gtid->server,
							 gtid->number);
			break;
	}
}

static void
append_uuid(StringInfo out, const uint8 *uuid)
{
	for (int i = 0; i < MYSQL_GTID_UUID_LEN; i++)
		appendStringInfo(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

/* Sets */

MysqlGtidSet *
FeathubMysqlGtidSetMake(bool mariadb)
{
	MysqlGtidSet *set = palloc0(sizeof(MysqlGtidSet));

	set->mariadb = mariadb;
	set->context = CurrentMemoryContext;
	return set;
}

void
FeathubMysqlGtidSetFree(MysqlGtidSet *set)
{
	for (int i = 0; i < set->nsources; i++)
		pfree(set->sources[i].intervals);
	if (set->sources)
		pfree(set->sources);
	if (set->domains)
		pfree(set->domains);
	pfree(set);
}

bool
FeathubMysqlGtidSetIsEmpty(const MysqlGtidSet *set)
{
	return set->nsources == 0 && set->ndomains == 0;
}

/* Room for one more element of an array that doubles. */
static void *
make_room(MysqlGtidSet *set, void *array, int n, int *max, Size size)
{
	if (n < *max)
		return array;
	*max = *max ? *max * 2 : 4;
	if (array == NULL)
		return MemoryContextAlloc(set->context, *max * size);
	return repalloc(array, *max * size);
}

static int
compare_source(const Source *source, const uint8 *uuid, const char *tag)
{
	int			order = memcmp(source->uuid, uuid, MYSQL_GTID_UUID_LEN);

	return order ? order : strcmp(source->tag, tag);
}

/* The source, or NULL and the place where it belongs. */
static Source *
find_source(const MysqlGtidSet *set, const uint8 *uuid, const char *tag, int *place)
{
	int			low = 0;
	int			high = set->nsources;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = compare_source(&set->sources[middle], uuid, tag);

		if (order == 0)
			return &set->sources[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (place)
		*place = low;
	return NULL;
}

static Source *
get_source(MysqlGtidSet *set, const uint8 *uuid, const char *tag)
{
	int			place;
	Source	   *source = find_source(set, uuid, tag, &place);

	if (source)
		return source;
	set->sources = make_room(set, set->sources, set->nsources, &set->max_sources, sizeof(Source));
	source = &set->sources[place];
	memmove(source + 1, source, sizeof(Source) * (set->nsources - place));
	set->nsources++;
	memset(source, 0, sizeof(Source));
	memcpy(source->uuid, uuid, MYSQL_GTID_UUID_LEN);
	strlcpy(source->tag, tag, sizeof(source->tag));
	source->intervals = make_room(set, NULL, 0, &source->max_intervals, sizeof(Interval));
	return source;
}

/* The first interval that does not end before "number". */
static int
find_interval(const Source *source, uint64 number)
{
	int			low = 0;
	int			high = source->nintervals;

	/* the usual case: the last one grows */
	if (high > 0 && source->intervals[high - 1].first <= number)
		return source->intervals[high - 1].last >= number ? high - 1 : high;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (source->intervals[middle].last < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Add numbers; false if all were there. */
static bool
add_interval(MysqlGtidSet *set, Source *source, uint64 first, uint64 last)
{
	/* the first one that touches, and the first one behind that does not */
	int			begin = find_interval(source, first - 1);
	int			end = begin;

	if (begin < source->nintervals && source->intervals[begin].first <= first &&
		source->intervals[begin].last >= last)
		return false;
	while (end < source->nintervals && source->intervals[end].first <= last + 1)
		end++;
	if (begin == end)
	{
		source->intervals = make_room(set, source->intervals, source->nintervals,
									  &source->max_intervals, sizeof(Interval));
		memmove(&source->intervals[begin + 1], &source->intervals[begin],
				sizeof(Interval) * (source->nintervals - begin));
		source->nintervals++;
	}
	else
	{
		first = Min(first, source->intervals[begin].first);
		last = Max(last, source->intervals[end - 1].last);
		memmove(&source->intervals[begin + 1], &source->intervals[end],
				sizeof(Interval) * (source->nintervals - end));
		source->nintervals -= end - begin - 1;
	}
	source->intervals[begin].first = first;
	source->intervals[begin].last = last;
	return true;
}

/* The domain's entry, or NULL and the place where it belongs. */
static MysqlGtid *
find_domain(const MysqlGtidSet *set, uint32 domain, int *place)
{
	int			i = 0;

	while (i < set->ndomains && set->domains[i].domain < domain)
		i++;
	if (place)
		*place = i;
	return i < set->ndomains && set->domains[i].domain == domain ? &set->domains[i] : NULL;
}

bool
FeathubMysqlGtidSetAdd(MysqlGtidSet *set, const MysqlGtid *gtid)
{
	MysqlGtid  *found;
	int			place;

	if (gtid->kind == MYSQL_GTID_MYSQL && !set->mariadb)
		return FeathubMysqlGtidSetAddRange(set, gtid->uuid, gtid->tag, gtid->number, gtid->number);
	if (gtid->kind != MYSQL_GTID_MARIADB || !set->mariadb)
		return false;
	found = find_domain(set, gtid->domain, &place);
	if (found)
	{
		bool		same = found->number == gtid->number && found->server == gtid->server;

		*found = *gtid;
		return !same;
	}
	set->domains = make_room(set, set->domains, set->ndomains, &set->max_domains, sizeof(MysqlGtid));
	memmove(&set->domains[place + 1], &set->domains[place],
			sizeof(MysqlGtid) * (set->ndomains - place));
	set->ndomains++;
	set->domains[place] = *gtid;
	return true;
}

bool
FeathubMysqlGtidSetAddRange(MysqlGtidSet *set, const uint8 *uuid, const char *tag,
							uint64 first, uint64 last)
{
	if (set->mariadb || first < 1 || last < first || last > MAX_NUMBER)
		return false;
	return add_interval(set, get_source(set, uuid, tag), first, last);
}

/* Are all these numbers there? */
static bool
has_range(const Source *source, uint64 first, uint64 last)
{
	int			i = find_interval(source, first);

	return i < source->nintervals && source->intervals[i].first <= first &&
		source->intervals[i].last >= last;
}

bool
FeathubMysqlGtidSetContains(const MysqlGtidSet *set, const MysqlGtid *gtid)
{
	if (gtid->kind == MYSQL_GTID_MYSQL && !set->mariadb)
	{
		Source	   *source = find_source(set, gtid->uuid, gtid->tag, NULL);

		return source && has_range(source, gtid->number, gtid->number);
	}
	if (gtid->kind == MYSQL_GTID_MARIADB && set->mariadb)
	{
		MysqlGtid  *found = find_domain(set, gtid->domain, NULL);

		return found && gtid->number <= found->number;
	}
	return false;
}

bool
FeathubMysqlGtidSetIncludes(const MysqlGtidSet *set, const MysqlGtidSet *part)
{
	if (set->mariadb != part->mariadb)
		return false;
	for (int i = 0; i < part->ndomains; i++)
	{
		if (!FeathubMysqlGtidSetContains(set, &part->domains[i]))
			return false;
	}
	for (int i = 0; i < part->nsources; i++)
	{
		const Source *source = &part->sources[i];
		const Source *ours = find_source(set, source->uuid, source->tag, NULL);

		for (int j = 0; j < source->nintervals; j++)
		{
			if (!ours || !has_range(ours, source->intervals[j].first, source->intervals[j].last))
				return false;
		}
	}
	return true;
}

void
FeathubMysqlGtidSetUnion(MysqlGtidSet *set, const MysqlGtidSet *other)
{
	for (int i = 0; i < other->ndomains; i++)
	{
		MysqlGtid  *found = find_domain(set, other->domains[i].domain, NULL);

		if (!found || found->number < other->domains[i].number)
			(void) FeathubMysqlGtidSetAdd(set, &other->domains[i]);
	}
	for (int i = 0; i < other->nsources; i++)
	{
		const Source *source = &other->sources[i];

		for (int j = 0; j < source->nintervals; j++)
			(void) FeathubMysqlGtidSetAddRange(set, source->uuid, source->tag,
											   source->intervals[j].first,
											   source->intervals[j].last);
	}
}

/* Text */

void
FeathubMysqlGtidSetAppend(StringInfo out, const MysqlGtidSet *set)
{
	for (int i = 0; i < set->ndomains; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		FeathubMysqlGtidAppend(out, &set->domains[i]);
	}
	for (int i = 0; i < set->nsources; i++)
	{
		const Source *source = &set->sources[i];

		/* tags of one UUID follow each other */
		if (i == 0 || memcmp(source[-1].uuid, source->uuid, MYSQL_GTID_UUID_LEN) != 0)
		{
			if (i > 0)
				appendStringInfoChar(out, ',');
			append_uuid(out, source->uuid);
		}
		if (source->tag[0])
			appendStringInfo(out, ":%s", source->tag);
		for (int j = 0; j < source->nintervals; j++)
		{
			const Interval *interval = &source->intervals[j];

			appendStringInfo(out, ":" UINT64_FORMAT, interval->first);
			if (interval->last > interval->first)
				appendStringInfo(out, "-" UINT64_FORMAT, interval->last);
		}
	}
}

static const char *
skip_space(const char *p)
{
	while (isspace((unsigned char) *p))
		p++;
	return p;
}

static bool
fail(char **error, const char *message, const char *place)
{
	*error = psprintf("%s at \"%.60s\"", message, place);
	return false;
}

/* A decimal number up to "max"; moves *p behind it. */
static bool
parse_number(const char **p, uint64 max, uint64 *number)
{
	const char *s = skip_space(*p);
	uint64		n = 0;

	if (!isdigit((unsigned char) *s))
		return false;
	for (; isdigit((unsigned char) *s); s++)
	{
		unsigned	digit = *s - '0';

		if (n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*number = n;
	*p = skip_space(s);
	return true;
}

/* With or without hyphens, as the server takes it. */
static bool
parse_uuid(const char **p, uint8 *uuid)
{
	const char *s = *p;
	bool		hyphens = strnlen(s, 9) == 9 && s[8] == '-';

	for (int i = 0; i < MYSQL_GTID_UUID_LEN; i++)
	{
		int			high;
		int			low;

		if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
			return false;
		high = FeathubHexDigit(s[0]);
		low = high < 0 ? -1 : FeathubHexDigit(s[1]);
		if (low < 0)
			return false;
		uuid[i] = high << 4 | low;
		s += 2;
	}
	*p = skip_space(s);
	return true;
}

/* A tag, of any case. */
static bool
parse_tag(const char **p, char *tag)
{
	const char *s = *p;
	int			len = 0;

	for (; is_tag_char(pg_ascii_tolower(*s), len == 0); s++)
	{
		if (len == MYSQL_GTID_TAG_LEN)
			return false;
		tag[len++] = pg_ascii_tolower(*s);
	}
	if (len == 0)
		return false;
	tag[len] = '\0';
	*p = skip_space(s);
	return true;
}

bool
FeathubMysqlGtidSetParse(MysqlGtidSet *set, const char *text, char **error)
{
	return set->mariadb ? parse_mariadb(set, text, error) : parse_mysql(set, text, error);
}

/* uuid[:[tag:]first[-last]]..., with commas between UUIDs. */
static bool
parse_mysql(MysqlGtidSet *set, const char *text, char **error)
{
	const char *p = skip_space(text);

	while (*p)
	{
		uint8		uuid[MYSQL_GTID_UUID_LEN];
		char		tag[MYSQL_GTID_TAG_LEN + 1] = "";
		bool		numbers = false;

		if (*p == ',')
		{
			p = skip_space(p + 1);
			continue;
		}
		if (!parse_uuid(&p, uuid))
			return fail(error, "UUID expected", p);
		while (*p == ':')
		{
			uint64		first;
			uint64		last;

			p = skip_space(p + 1);
			if (parse_tag(&p, tag))
			{
				numbers = false;
				if (*p != ':')
					return fail(error, "number expected", p);
				continue;
			}
			if (!parse_number(&p, MAX_NUMBER, &first) || first == 0)
				return fail(error, "number expected", p);
			last = first;
			if (*p == '-')
			{
				p++;
				if (!parse_number(&p, MAX_NUMBER, &last))
					return fail(error, "number expected", p);
			}
			numbers = true;
			/* the server takes an interval that ends before it begins as none */
			if (last >= first)
				(void) FeathubMysqlGtidSetAddRange(set, uuid, tag, first, last);
		}
		if (!numbers)
			return fail(error, "number expected", p);
		if (*p != '\0' && *p != ',')
			return fail(error, "comma expected", p);
	}
	return true;
}

/* domain-server-number, with commas between. */
static bool
parse_mariadb(MysqlGtidSet *set, const char *text, char **error)
{
	const char *p = skip_space(text);

	while (*p)
	{
		MysqlGtid	gtid = {.kind = MYSQL_GTID_MARIADB};
		uint64		domain;
		uint64		server;
		const char *begin = p;

		if (!parse_number(&p, PG_UINT32_MAX, &domain) || *p++ != '-' ||
			!parse_number(&p, PG_UINT32_MAX, &server) || *p++ != '-' ||
			!parse_number(&p, PG_UINT64_MAX, &gtid.number))
			return fail(error, "domain-server-number expected", begin);
		gtid.domain = domain;
		gtid.server = server;
		if (find_domain(set, gtid.domain, NULL))
			return fail(error, "second entry of a domain", begin);
		(void) FeathubMysqlGtidSetAdd(set, &gtid);
		if (*p == ',')
		{
			p = skip_space(p + 1);
			if (*p == '\0')
				return fail(error, "domain-server-number expected", p);
		}
		else if (*p != '\0')
			return fail(error, "comma expected", p);
	}
	return true;
}

/* Bytes */

static void
append_uint64(StringInfo out, uint64 value)
{
	char		bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (char) (value >> (8 * i));
	appendBinaryStringInfo(out, bytes, 8);
}

static uint64
get_uint64(const char *data)
{
	uint64		value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | (uint8) data[i];
	return value;
}

/*
 * The number of sources, then of each: UUID, tag (with tags only: twice its
 * length as a byte, then itself), the number of intervals, and of each interval
 * the first number and the one behind the last.  With tags, the number of
 * sources stands between two bytes of 1.
 */
void
FeathubMysqlGtidSetEncode(StringInfo out, const MysqlGtidSet *set)
{
	bool		tagged = false;

	for (int i = 0; i < set->nsources; i++)
		tagged |= set->sources[i].tag[0] != '\0';
	append_uint64(out, tagged ? UINT64CONST(1) << 56 | (uint64) set->nsources << 8 | 1 :
				  (uint64) set->nsources);
	for (int i = 0; i < set->nsources; i++)
	{
		const Source *source = &set->sources[i];

		appendBinaryStringInfo(out, (const char *) source->uuid, MYSQL_GTID_UUID_LEN);
		if (tagged)
		{
			appendStringInfoChar(out, (char) (strlen(source->tag) << 1));
			appendStringInfoString(out, source->tag);
		}
		append_uint64(out, source->nintervals);
		for (int j = 0; j < source->nintervals; j++)
		{
			append_uint64(out, source->intervals[j].first);
			append_uint64(out, source->intervals[j].last + 1);
		}
	}
}

bool
FeathubMysqlGtidSetDecode(MysqlGtidSet *set, const char *data, Size len, char **error)
{
	const char *end = data + len;
	uint64		header;
	uint64		nsources;
	bool		tagged;

	*error = NULL;
	if (len < 8)
		goto bad;
	header = get_uint64(data);
	data += 8;
	if (header >> 56 > 1)
	{
		*error = psprintf("unknown format " UINT64_FORMAT " of a GTID set", header >> 56);
		return false;
	}
	tagged = header >> 56 == 1;
	nsources = tagged ? (header << 8) >> 16 : header;

	/* each loop takes bytes, so claimed numbers do no harm */
	while (nsources-- > 0)
	{
		uint8		uuid[MYSQL_GTID_UUID_LEN];
		char		tag[MYSQL_GTID_TAG_LEN + 1] = "";
		uint64		nintervals;
		uint64		before = 0;

		if (end - data < MYSQL_GTID_UUID_LEN)
			goto bad;
		memcpy(uuid, data, MYSQL_GTID_UUID_LEN);
		data += MYSQL_GTID_UUID_LEN;
		if (tagged)
		{
			int			taglen;

			if (data == end || (*data & 1) || (taglen = (uint8) *data >> 1) > end - data - 1 ||
				!FeathubMysqlGtidValidTag(data + 1, taglen))
				goto bad;
			memcpy(tag, data + 1, taglen);
			data += 1 + taglen;
		}
		if (end - data < 8)
			goto bad;
		nintervals = get_uint64(data);
		data += 8;
		while (nintervals-- > 0)
		{
			uint64		first;
			uint64		behind;

			if (end - data < 16)
				goto bad;
			first = get_uint64(data);
			behind = get_uint64(data + 8);
			data += 16;
			if (first <= before || behind <= first || behind - 1 > MAX_NUMBER)
				goto bad;
			before = behind;
			(void) FeathubMysqlGtidSetAddRange(set, uuid, tag, first, behind - 1);
		}
	}
	if (data == end)
		return true;
bad:
	*error = pstrdup("malformed GTID set");
	return false;
}
