/*
 * convert.h
 *		Text of one value to a Datum of a column's type: what csv, json and raw
 *		share.
 *
 * Usual types are converted here, without the function manager and with bad
 * input reported by value; unusual ones go through their input function.  What
 * is accepted, and what it means, is what the type's input function makes of
 * the same text in a session with DateStyle ISO, MDY and the zone that the
 * settings give, except that now, today, tomorrow and yesterday are refused:
 * decoding a record again must give the same row.
 */
#ifndef FEATHUB_FORMATS_CONVERT_H
#define FEATHUB_FORMATS_CONVERT_H

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/numeric.h"

#include "formats/format.h"

typedef enum FeathubByteaEncoding
{
	FEATHUB_BYTEA_INPUT,		/* as the type's input function: hex or escape */
	FEATHUB_BYTEA_BASE64,
	FEATHUB_BYTEA_HEX,			/* with or without \x */
	FEATHUB_BYTEA_ESCAPE
} FeathubByteaEncoding;

typedef enum FeathubTimestampFormat
{
	FEATHUB_TIMESTAMP_ISO8601,
	FEATHUB_TIMESTAMP_EPOCH_SECONDS,
	FEATHUB_TIMESTAMP_EPOCH_MILLIS,
	FEATHUB_TIMESTAMP_EPOCH_MICROS,
	FEATHUB_TIMESTAMP_EPOCH_DAYS
} FeathubTimestampFormat;

typedef struct FeathubConvertSettings
{
	int			bytea_encoding; /* FeathubByteaEncoding */
	int			timestamp_format;	/* FeathubTimestampFormat */
	pg_tz	   *zone;			/* of times without offset; NULL: UTC */
	MemoryContext scratch;		/* the owner resets it after each record */
} FeathubConvertSettings;

typedef enum FeathubConvertKind
{
	FEATHUB_CONVERT_OTHER,		/* by the input function */
	FEATHUB_CONVERT_BOOL,
	FEATHUB_CONVERT_INT2,
	FEATHUB_CONVERT_INT4,
	FEATHUB_CONVERT_INT8,
	FEATHUB_CONVERT_FLOAT4,
	FEATHUB_CONVERT_FLOAT8,
	FEATHUB_CONVERT_NUMERIC,
	FEATHUB_CONVERT_TEXT,
	FEATHUB_CONVERT_VARCHAR,
	FEATHUB_CONVERT_BPCHAR,
	FEATHUB_CONVERT_BYTEA,
	FEATHUB_CONVERT_DATE,
	FEATHUB_CONVERT_TIMESTAMP,
	FEATHUB_CONVERT_TIMESTAMPTZ,
	FEATHUB_CONVERT_UUID,
	FEATHUB_CONVERT_JSON,
	FEATHUB_CONVERT_JSONB,
	FEATHUB_CONVERT_ENUM,
	FEATHUB_CONVERT_ARRAY,		/* text: by the input function */
	FEATHUB_CONVERT_COMPOSITE	/* text: by the input function */
} FeathubConvertKind;

static inline bool
FeathubKindIsInteger(FeathubConvertKind kind)
{
	return kind == FEATHUB_CONVERT_INT2 || kind == FEATHUB_CONVERT_INT4 ||
		kind == FEATHUB_CONVERT_INT8;
}

static inline bool
FeathubKindIsFloat(FeathubConvertKind kind)
{
	return kind == FEATHUB_CONVERT_FLOAT4 || kind == FEATHUB_CONVERT_FLOAT8;
}

static inline bool
FeathubKindIsNumber(FeathubConvertKind kind)
{
	return FeathubKindIsInteger(kind) || FeathubKindIsFloat(kind) ||
		kind == FEATHUB_CONVERT_NUMERIC;
}

static inline bool
FeathubKindIsText(FeathubConvertKind kind)
{
	return kind == FEATHUB_CONVERT_TEXT || kind == FEATHUB_CONVERT_VARCHAR ||
		kind == FEATHUB_CONVERT_BPCHAR;
}

static inline bool
FeathubKindIsJson(FeathubConvertKind kind)
{
	return kind == FEATHUB_CONVERT_JSON || kind == FEATHUB_CONVERT_JSONB;
}

/* What converting to one type needs; made once for each column. */
typedef struct FeathubConverter FeathubConverter;
struct FeathubConverter
{
	FeathubConvertKind kind;	/* of the base type */
	Oid			typid;			/* as declared */
	Oid			base;			/* a domain's base type, else typid */
	int32		typmod;			/* of the base type */
	bool		is_domain;
	void	   *domain_state;	/* of domain_check */
	MemoryContext context;
	const FeathubConvertSettings *settings;

	FmgrInfo	input;			/* the base type's input function */
	Oid			ioparam;

	/* numeric with a typmod */
	bool		has_limit;
	int			scale;
	Datum		limit;			/* absolute values are less */

	/* arrays */
	FeathubConverter *element;
	int16		elmlen;
	bool		elmbyval;
	char		elmalign;

	/* composite types; one converter for each attribute, NULL if dropped */
	TupleDesc	tupdesc;
	FeathubConverter **attributes;
	void	   *fields;			/* json's way to find the attributes */
};

/* Make a converter in the current context.  settings must live as long. */
extern FeathubConverter *FeathubConverterMake(Oid typid, int32 typmod,
											  const FeathubConvertSettings *settings);

/*
 * FeathubConvertText
 *		Convert text, in the server's encoding and without NUL, to a Datum.
 *
 * The result is palloc'd in the current context.  Returns false, with *error
 * filled, for bad input; what the input function of an unusual type, or a
 * domain's constraint, raises instead is a data exception.
 */
extern bool FeathubConvertText(FeathubConverter *converter, const char *s, Size len,
							   Datum *result, FeathubDecodeError *error);

/* The same for a null: false if the type is a domain that refuses it. */
extern bool FeathubConvertNull(FeathubConverter *converter, FeathubDecodeError *error);

/*
 * The other way round: a value of a type that is a number (or oid) as one of C.
 * Of the first, integers only; numeric goes into a double as by a cast.
 */
extern int64 FeathubNumberToInteger(const FeathubConverter *type, Datum value);
extern double FeathubNumberToReal(const FeathubConverter *type, Datum value);
extern Numeric FeathubNumberToNumeric(const FeathubConverter *type, Datum value);

/*
 * FeathubConvertNumber
 *		Convert a number in JSON's notation, which the caller need not have
 *		checked.  For types that take numbers; others read it as text.
 */
extern bool FeathubConvertNumber(FeathubConverter *converter, const char *s, Size len,
								 Datum *result, FeathubDecodeError *error);

/* Check the domain of a value made elsewhere (arrays, composite types). */
extern bool FeathubConvertDomain(FeathubConverter *converter, Datum value, bool isnull,
								 FeathubDecodeError *error);

/* A value for a message: clipped, palloc'd. */
extern char *FeathubConvertShow(const char *s, Size len);

/* The error that a type's input function gives for text it cannot read. */
extern bool FeathubConvertInvalid(FeathubConverter *converter, const char *s, Size len,
								  FeathubDecodeError *error);

/*
 * FeathubServerText
 *		A record's text, of an encoding, in the server's.
 *
 * False for invalid bytes and NUL.  Replaces *data and *len by a copy in the
 * context if need be; characters that the server's encoding lacks are raised.
 */
extern bool FeathubServerText(int encoding, MemoryContext context, const char **data,
							  Size *len, FeathubDecodeError *error);

/* Raises an error unless the option's value is an encoding. */
extern void FeathubEncodingCheck(const char *option, const char *value);

/* convert_number.c */

typedef enum FeathubNumberStatus
{
	FEATHUB_NUMBER_OK,
	FEATHUB_NUMBER_SYNTAX,
	FEATHUB_NUMBER_RANGE,
	FEATHUB_NUMBER_INEXACT		/* has a fraction; rounded all the same */
} FeathubNumberStatus;

/*
 * FeathubNumberToInt64
 *		The decimal number s times ten to the power of "shift".
 *
 * Rounds half away from zero, and says so.  json: leading zeros, a plus sign
 * and a bare point are refused.
 */
extern FeathubNumberStatus FeathubNumberToInt64(const char *s, Size len, int shift,
												bool json, int64 *result);
extern bool FeathubConvertInteger(FeathubConverter *converter, const char *s, Size len,
								  bool json, Datum *result, FeathubDecodeError *error);
extern bool FeathubConvertFloat(FeathubConverter *converter, const char *s, Size len,
								bool json, Datum *result, FeathubDecodeError *error);
extern bool FeathubConvertNumeric(FeathubConverter *converter, const char *s, Size len,
								  bool json, Datum *result, FeathubDecodeError *error);
/* Look up what a numeric type's typmod limits. */
extern void FeathubConvertNumericInit(FeathubConverter *converter);

/* convert_datetime.c */

/* Text to date, timestamp or timestamp with time zone. */
extern bool FeathubConvertDatetime(FeathubConverter *converter, const char *s, Size len,
								   Datum *result, FeathubDecodeError *error);

/* A number to one of them, in the unit of the settings' timestamp_format. */
extern bool FeathubConvertEpoch(FeathubConverter *converter, const char *s, Size len,
								bool json, Datum *result, FeathubDecodeError *error);

/* The instant of a wall clock's time in a zone, which may be NULL: UTC. */
extern Timestamp FeathubLocalToUtc(Timestamp time, pg_tz *zone);

/*
 * FeathubTextModesSet, FeathubTextModesRestore
 *		Make input and output functions of times and intervals independent of
 *		the session: ISO 8601, the zone given, all digits.
 *
 * Callers restore in PG_FINALLY.
 */
typedef struct FeathubTextModes
{
	int			date_style;
	int			date_order;
	int			interval_style;
	int			extra_float_digits;
	pg_tz	   *zone;
} FeathubTextModes;
extern void FeathubTextModesSet(FeathubTextModes *save, pg_tz *zone);
extern void FeathubTextModesRestore(const FeathubTextModes *save);

/* The zone of that name, NULL for UTC, or an error. */
extern pg_tz *FeathubTimezone(const char *name);

/* Raises an error unless the option's value is a time zone. */
extern void FeathubTimezoneCheck(const char *option, const char *value);

#endif							/* FEATHUB_FORMATS_CONVERT_H */
