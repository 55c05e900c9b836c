/*
 * partition_range.c
 *		The arithmetic of time partitions: intervals, aligned ranges, bounds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "features/partition_range.h"

#define MAX_PARTITION_MONTHS	(100 * MONTHS_PER_YEAR)
#define MAX_PARTITION_DAYS		36525

static void
refuse_interval(const Interval *interval, const char *detail)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(interval_out,
														   IntervalPGetDatum(interval)));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid partition interval: \"%s\"", text),
			 errdetail_internal("%s", detail),
			 errhint("Use for instance '1 day', '7 days' or '1 month'.")));
}

void
FeathubPartitionIntervalCheck(const Interval *interval, Oid event_time_type)
{
	if (interval->month != 0 && (interval->day != 0 || interval->time != 0))
		refuse_interval(interval, "It mixes months with days or a time, so its length varies.");
	if (interval->month < 0 || interval->day < 0 || interval->time < 0 ||
		(interval->month == 0 && interval->day == 0 && interval->time == 0))
		refuse_interval(interval, "It must be greater than zero.");
	if (interval->month > MAX_PARTITION_MONTHS || interval->day > MAX_PARTITION_DAYS ||
		interval->time > MAX_PARTITION_DAYS * USECS_PER_DAY ||
		interval->day + interval->time / USECS_PER_DAY > MAX_PARTITION_DAYS)
		refuse_interval(interval, "It must not be longer than 100 years.");
	if (interval->time % USECS_PER_MINUTE != 0)
		refuse_interval(interval, "It must be of whole minutes.");
	if (event_time_type == DATEOID && interval->time % USECS_PER_DAY != 0)
		refuse_interval(interval, "It must be of whole days, for the event time is of type date.");
}

int64
FeathubPartitionLength(const Interval *interval)
{
	return interval->time +
		((int64) interval->month * DAYS_PER_MONTH + interval->day) * USECS_PER_DAY;
}

/* Months since January of the year 0. */
static int64
month_number(Timestamp at)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return (int64) tm.tm_year * MONTHS_PER_YEAR + tm.tm_mon - 1;
}

/* The first instant of a month. */
static Timestamp
month_start(int64 number)
{
	struct pg_tm tm = {0};
	Timestamp	result;

	tm.tm_year = number / MONTHS_PER_YEAR;
	tm.tm_mon = number % MONTHS_PER_YEAR + 1;
	tm.tm_mday = 1;
	if (number < 0 || tm2timestamp(&tm, 0, NULL, &result) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return result;
}

Timestamp
FeathubPartitionAlign(const Interval *interval, Timestamp at)
{
	int64		since;

	if (interval->month != 0)
	{
		since = month_number(at);
		return month_start(since - since % interval->month);
	}
	since = at - FEATHUB_PARTITION_ORIGIN;	/* not below zero: year 1 or later */
	return at - since % FeathubPartitionLength(interval);
}

Timestamp
FeathubPartitionStep(const Interval *interval, Timestamp lower, int64 n)
{
	if (interval->month != 0)
		return month_start(month_number(lower) + n * interval->month);
	return lower + n * FeathubPartitionLength(interval);
}

List *
FeathubPartitionGaps(List *gaps, List *existing, Timestamp lower, Timestamp upper)
{
	ListCell   *lc;

	foreach(lc, existing)
	{
		FeathubPartitionRange *range = lfirst(lc);

		if (range->upper <= lower)
			continue;
		if (range->lower >= upper || lower >= upper)
			break;
		if (lower < range->lower)
		{
			FeathubPartitionRange *gap = palloc0(sizeof(FeathubPartitionRange));

			gap->lower = lower;
			gap->upper = range->lower;
			gaps = lappend(gaps, gap);
		}
		lower = range->upper;
	}
	if (lower < upper)
	{
		FeathubPartitionRange *gap = palloc0(sizeof(FeathubPartitionRange));

		gap->lower = lower;
		gap->upper = upper;
		gaps = lappend(gaps, gap);
	}
	return gaps;
}

char *
FeathubPartitionBound(Timestamp bound, Oid event_time_type)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (TIMESTAMP_IS_NOBEGIN(bound))
		return pstrdup("MINVALUE");
	if (TIMESTAMP_IS_NOEND(bound))
		return pstrdup("MAXVALUE");
	if (timestamp2tm(bound, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	if (event_time_type == DATEOID)
		EncodeDateOnly(&tm, USE_ISO_DATES, text);
	else
		EncodeDateTime(&tm, fsec, false, 0, NULL, USE_ISO_DATES, text);
	return psprintf("'%s%s'", text, event_time_type == TIMESTAMPTZOID ? "+00" : "");
}

char *
FeathubPartitionLabel(Timestamp lower)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char	   *date;

	if (timestamp2tm(lower, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	date = psprintf("p%04d%02d%02d", tm.tm_year, tm.tm_mon, tm.tm_mday);
	if (tm.tm_sec != 0 || fsec != 0)
		return psprintf("%st%02d%02d%02d", date, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (tm.tm_hour != 0 || tm.tm_min != 0)
		return psprintf("%st%02d%02d", date, tm.tm_hour, tm.tm_min);
	return date;
}
