/*
 * convert_datetime.c
 *		Text and epoch numbers to date, timestamp and timestamp with time zone.
 *
 * ISO 8601 is read here; what it does not cover goes through PostgreSQL's own
 * parser, with the session's DateStyle and TimeZone out of the way.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "formats/convert.h"
#include "formats/format_private.h"

#define EPOCH_SHIFT_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

/* Longer than any time, with white space and all. */
#define MAX_TEXT 512

/* A time read: days since 2000-01-01, microseconds of the day, offset. */
typedef struct IsoTime
{
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			micros;
	bool		has_offset;
	int			offset;			/* seconds east of UTC */
} IsoTime;

pg_tz *
FeathubTimezone(const char *name)
{
	pg_tz	   *zone;

	if (pg_strcasecmp(name, "UTC") == 0 || pg_strcasecmp(name, "GMT") == 0)
		return NULL;
	zone = pg_tzset(name);
	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("time zone \"%s\" not recognized", name)));
	return zone;
}

void
FeathubTimezoneCheck(const char *option, const char *value)
{
	pg_tz	   *zone = pg_tzset(value);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
				 errhint("View pg_timezone_names has the valid names.")));
}

void
FeathubTextModesSet(FeathubTextModes *save, pg_tz *zone)
{
	save->date_style = DateStyle;
	save->date_order = DateOrder;
	save->interval_style = IntervalStyle;
	save->extra_float_digits = extra_float_digits;
	save->zone = session_timezone;

	DateStyle = USE_ISO_DATES;
	DateOrder = DATEORDER_MDY;
	IntervalStyle = INTSTYLE_POSTGRES;
	extra_float_digits = 1;
	session_timezone = zone ? zone : pg_tzset("GMT");
}

void
FeathubTextModesRestore(const FeathubTextModes *save)
{
	DateStyle = save->date_style;
	DateOrder = save->date_order;
	IntervalStyle = save->interval_style;
	extra_float_digits = save->extra_float_digits;
	session_timezone = save->zone;
}

/* Two digits at p, or a value above 99. */
static inline int
two_digits(const char *p)
{
	unsigned	tens = (unsigned char) p[0] - '0';
	unsigned	ones = (unsigned char) p[1] - '0';

	return tens > 9 || ones > 9 ? 1000 : (int) (tens * 10 + ones);
}

/*
 * Read YYYY-MM-DD[(T| )HH:MM[:SS[.ffffff]][Z|(+|-)HH[[:]MM]]].  False: perhaps
 * something else, ask PostgreSQL.
 */
static bool
iso_parse(const char *s, Size len, IsoTime *iso)
{
	static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const char *end = s + len;

	memset(iso, 0, sizeof(IsoTime));
	if (len < 10 || s[4] != '-' || s[7] != '-')
		return false;
	if (two_digits(s + 2) > 99)
		return false;
	iso->year = two_digits(s) * 100 + two_digits(s + 2);
	iso->month = two_digits(s + 5);
	iso->day = two_digits(s + 8);
	if (iso->year < 1 || iso->year > 9999 || iso->month < 1 || iso->month > 12 ||
		iso->day < 1 || iso->day > month_days[iso->month - 1] ||
		(iso->day == 29 && iso->month == 2 && !isleap(iso->year)))
		return false;
	s += 10;
	if (s == end)
		return true;

	if ((*s != 'T' && *s != ' ') || end - s < 6 || s[3] != ':')
		return false;
	iso->hour = two_digits(s + 1);
	iso->minute = two_digits(s + 4);
	if (iso->hour > 23 || iso->minute > 59)
		return false;
	s += 6;
	if (end - s >= 3 && *s == ':')
	{
		iso->second = two_digits(s + 1);
		if (iso->second > 59)
			return false;
		s += 3;
		if (s < end && *s == '.')
		{
			int			unit = 100000;

			for (s++; s < end && (unsigned char) (*s - '0') <= 9; s++)
			{
				if (unit == 0)
					return false;	/* more than microseconds: rounded there */
				iso->micros += (*s - '0') * unit;
				unit /= 10;
			}
			if (s[-1] == '.')
				return false;
		}
	}
	if (s == end)
		return true;

	iso->has_offset = true;
	if (*s == 'Z')
		return s + 1 == end;
	if ((*s == '+' || *s == '-') && (end - s == 3 || end - s == 5 || end - s == 6))
	{
		int			hour = two_digits(s + 1);
		int			minute = 0;

		if (end - s == 6 && s[3] != ':')
			return false;
		if (end - s > 3)
			minute = two_digits(end - 2);
		if (hour > MAX_TZDISP_HOUR || minute > 59)
			return false;
		iso->offset = (hour * 60 + minute) * 60;
		if (*s == '-')
			iso->offset = -iso->offset;
		return true;
	}
	return false;
}

/* Round to the digits of a type's typmod, as AdjustTimestampForTypmod does. */
static Timestamp
round_timestamp(Timestamp time, int32 typmod)
{
	static const int64 scales[] = {1000000, 100000, 10000, 1000, 100, 10};
	int64		scale;

	if (TIMESTAMP_NOT_FINITE(time) || typmod < 0 || typmod >= MAX_TIMESTAMP_PRECISION)
		return time;
	scale = scales[typmod];
	if (time >= 0)
		return (time + scale / 2) / scale * scale;
	return -((-time + scale / 2) / scale * scale);
}

static bool
out_of_range(FeathubConverter *converter, const char *s, Size len, FeathubDecodeError *error)
{
	return FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
							 "date/time field value out of range: \"%s\"",
							 FeathubConvertShow(s, len));
}

/* What the words for moments of now mean changes: refused. */
static bool
is_moving_word(const char *word)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};

	for (int i = 0; i < lengthof(words); i++)
	{
		if (pg_strcasecmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

/* The session's zone is the settings' one here. */
static bool
parse_with_postgres(FeathubConverter *converter, const char *s, Size len,
					struct pg_tm *tm, fsec_t *fsec, int *tz, int *dtype,
					FeathubDecodeError *error)
{
	char		text[MAX_TEXT + 1];
	char		work[MAXDATELEN + MAXDATEFIELDS];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nfields;
	int			status;

	if (len > MAX_TEXT)
		return FeathubConvertInvalid(converter, s, len, error);
	memcpy(text, s, len);
	text[len] = '\0';

	/* the buffers of the input functions, which may be too small */
	status = ParseDateTime(text, work, converter->kind == FEATHUB_CONVERT_DATE ?
						   MAXDATELEN + 1 : sizeof(work), field, ftype, MAXDATEFIELDS, &nfields);
	for (int i = 0; status == 0 && i < nfields; i++)
	{
		if (is_moving_word(field[i]))
			return FeathubConvertInvalid(converter, s, len, error);
	}
	if (status == 0)
		status = feathub_decode_datetime(field, ftype, nfields, dtype, tm, fsec, tz);
	switch (status)
	{
		case 0:
			return true;
		case DTERR_FIELD_OVERFLOW:
		case DTERR_MD_FIELD_OVERFLOW:
			return out_of_range(converter, s, len, error);
		case DTERR_TZDISP_OVERFLOW:
			return FeathubDecodeFail(error, ERRCODE_INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
									 "time zone displacement out of range: \"%s\"",
									 FeathubConvertShow(s, len));
		default:
			return FeathubConvertInvalid(converter, s, len, error);
	}
}

/* Anything that is not ISO 8601, as the types' input functions read it. */
static bool
convert_slowly(FeathubConverter *converter, const char *s, Size len,
			   Datum *result, FeathubDecodeError *error)
{
	FeathubTextModes save;
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz = 0;
	int			dtype = 0;
	volatile bool ok = false;
	Timestamp	time;
	DateADT		date;

	FeathubTextModesSet(&save, converter->settings->zone);
	PG_TRY();
	{
		ok = parse_with_postgres(converter, s, len, &tm, &fsec, &tz, &dtype, error);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&save);
	}
	PG_END_TRY();
	if (!ok)
		return false;

	switch (dtype)
	{
		case DTK_DATE:
			break;
		case DTK_EPOCH:
			GetEpochTime(&tm);
			fsec = 0;
			tz = 0;
			break;
		case DTK_LATE:
			if (converter->kind == FEATHUB_CONVERT_DATE)
				*result = DateADTGetDatum(DATEVAL_NOEND);
			else
				*result = TimestampTzGetDatum(DT_NOEND);
			return true;
		case DTK_EARLY:
			if (converter->kind == FEATHUB_CONVERT_DATE)
				*result = DateADTGetDatum(DATEVAL_NOBEGIN);
			else
				*result = TimestampTzGetDatum(DT_NOBEGIN);
			return true;
		default:
			return FeathubConvertInvalid(converter, s, len, error);
	}

	if (converter->kind == FEATHUB_CONVERT_DATE)
	{
		if (!IS_VALID_JULIAN(tm.tm_year, tm.tm_mon, tm.tm_mday))
			return out_of_range(converter, s, len, error);
		date = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
		if (!IS_VALID_DATE(date))
			return out_of_range(converter, s, len, error);
		*result = DateADTGetDatum(date);
		return true;
	}
	if (tm2timestamp(&tm, fsec, converter->kind == FEATHUB_CONVERT_TIMESTAMPTZ ? &tz : NULL,
					 &time) != 0)
		return out_of_range(converter, s, len, error);
	time = round_timestamp(time, converter->typmod);
	if (!IS_VALID_TIMESTAMP(time))
		return out_of_range(converter, s, len, error);
	*result = TimestampTzGetDatum(time);
	return true;
}

/* Seconds east of UTC of a local time in the settings' zone. */
static int
zone_offset(const IsoTime *iso, pg_tz *zone)
{
	struct pg_tm tm = {
		.tm_year = iso->year, .tm_mon = iso->month, .tm_mday = iso->day,
		.tm_hour = iso->hour, .tm_min = iso->minute, .tm_sec = iso->second,
		.tm_isdst = -1
	};

	return -DetermineTimeZoneOffset(&tm, zone);
}

bool
FeathubConvertDatetime(FeathubConverter *converter, const char *s, Size len,
					   Datum *result, FeathubDecodeError *error)
{
	IsoTime		iso;
	int			days;
	Timestamp	time;

	if (!iso_parse(s, len, &iso))
		return convert_slowly(converter, s, len, result, error);

	days = date2j(iso.year, iso.month, iso.day) - POSTGRES_EPOCH_JDATE;
	if (converter->kind == FEATHUB_CONVERT_DATE)
	{
		*result = DateADTGetDatum(days);
		return true;
	}

	/* years 1 to 9999: no overflow anywhere */
	time = days * USECS_PER_DAY +
		(iso.hour * 3600 + iso.minute * 60 + iso.second) * USECS_PER_SEC + iso.micros;
	if (converter->kind == FEATHUB_CONVERT_TIMESTAMPTZ)
	{
		if (!iso.has_offset && converter->settings->zone != NULL)
			iso.offset = zone_offset(&iso, converter->settings->zone);
		time -= iso.offset * USECS_PER_SEC;
	}
	*result = TimestampTzGetDatum(round_timestamp(time, converter->typmod));
	return true;
}

bool
FeathubConvertEpoch(FeathubConverter *converter, const char *s, Size len, bool json,
					Datum *result, FeathubDecodeError *error)
{
	static const int shifts[] = {
		[FEATHUB_TIMESTAMP_EPOCH_SECONDS] = 6,
		[FEATHUB_TIMESTAMP_EPOCH_MILLIS] = 3,
		[FEATHUB_TIMESTAMP_EPOCH_MICROS] = 0,
		[FEATHUB_TIMESTAMP_EPOCH_DAYS] = 6	/* a millionth of a day is a unit */
	};
	int64		micros;
	Timestamp	time;

	switch (FeathubNumberToInt64(s, len, shifts[converter->settings->timestamp_format],
								 json, &micros))
	{
		case FEATHUB_NUMBER_SYNTAX:
			return FeathubConvertInvalid(converter, s, len, error);
		case FEATHUB_NUMBER_RANGE:
			return out_of_range(converter, s, len, error);
		default:
			break;
	}
	if (converter->settings->timestamp_format == FEATHUB_TIMESTAMP_EPOCH_DAYS &&
		pg_mul_s64_overflow(micros, SECS_PER_DAY, &micros))
		return out_of_range(converter, s, len, error);
	if (pg_sub_s64_overflow(micros, EPOCH_SHIFT_DAYS * USECS_PER_DAY, &time) ||
		!IS_VALID_TIMESTAMP(time))
		return out_of_range(converter, s, len, error);

	/* the wall clock of the settings' zone */
	if (converter->kind != FEATHUB_CONVERT_TIMESTAMPTZ && converter->settings->zone != NULL)
	{
		struct pg_tm tm;
		fsec_t		fsec;
		int			tz;

		if (timestamp2tm(time, &tz, &tm, &fsec, NULL, converter->settings->zone) != 0 ||
			tm2timestamp(&tm, fsec, NULL, &time) != 0)
			return out_of_range(converter, s, len, error);
	}
	if (converter->kind == FEATHUB_CONVERT_DATE)
	{
		int64		days = time / USECS_PER_DAY;

		if (time < 0 && days * USECS_PER_DAY != time)
			days--;
		*result = DateADTGetDatum((DateADT) days);
		return true;
	}
	time = round_timestamp(time, converter->typmod);
	if (!IS_VALID_TIMESTAMP(time))
		return out_of_range(converter, s, len, error);
	*result = TimestampTzGetDatum(time);
	return true;
}

Timestamp
FeathubLocalToUtc(Timestamp time, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (zone == NULL || timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0)
		return time;
	return time + DetermineTimeZoneOffset(&tm, zone) * USECS_PER_SEC;
}
