/*
 * convert_number.c
 *		Decimal numbers to integers, floating-point numbers and numeric.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "core/compat.h"
#include "formats/convert.h"
#include "formats/format_private.h"
#include "formats/json_scan.h"

/* What numeric can hold: digits before and behind the point. */
#define NUMERIC_DIGITS_BEFORE 131072
#define NUMERIC_DIGITS_BEHIND 16383

/* numeric_in's own; beyond any number of digits. */
#define MAX_EXPONENT (INT_MAX / 2)

/* A decimal number taken apart; digits are in [digits, digits_end), with perhaps a point. */
typedef struct Decimal
{
	bool		negative;
	const char *digits;			/* behind leading zeros */
	const char *digits_end;
	int			ndigits;		/* without the point, without leading zeros */
	int			nfraction;		/* digits behind the point, all */
	int			exponent;		/* clamped to MAX_EXPONENT */
	int			point;			/* digits before the decimal point, exponent
								 * applied; may be negative */
} Decimal;

static bool
decimal_parse(const char *s, Size len, bool json, Decimal *decimal)
{
	const char *p = s;
	const char *end = s + len;
	const char *begin;
	int			nbefore = 0;
	int			nbehind = 0;
	int			nzeros = 0;		/* leading ones */
	bool		leading = true;
	bool		behind = false;

	if (len >= 100000000)
		return false;
	if (json && !FeathubJsonIsNumber(s, len))
		return false;

	decimal->negative = false;
	if (p < end && (*p == '-' || *p == '+'))
		decimal->negative = *p++ == '-';
	begin = p;
	decimal->digits = p;
	for (; p < end; p++)
	{
		if (*p == '.')
		{
			if (behind)
				return false;
			behind = true;
			continue;
		}
		if (*p < '0' || *p > '9')
			break;
		if (leading && *p == '0')
			nzeros++;
		else if (leading)
		{
			leading = false;
			decimal->digits = p;
		}
		if (behind)
			nbehind++;
		else
			nbefore++;
	}
	if (nbefore + nbehind == 0)
		return false;
	decimal->digits_end = p;
	if (leading)
		decimal->digits = begin;
	decimal->ndigits = nbefore + nbehind - nzeros;
	decimal->nfraction = nbehind;
	decimal->exponent = 0;
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		bool		negative = false;
		int64		exponent = 0;

		p++;
		if (p < end && (*p == '-' || *p == '+'))
			negative = *p++ == '-';
		if (p >= end)
			return false;
		for (; p < end && *p >= '0' && *p <= '9'; p++)
			exponent = Min(exponent * 10 + (*p - '0'), MAX_EXPONENT);
		decimal->exponent = (int) (negative ? -exponent : exponent);
		if (p[-1] < '0' || p[-1] > '9')
			return false;
	}
	decimal->point = decimal->ndigits - nbehind + decimal->exponent;
	return p == end;
}

FeathubNumberStatus
FeathubNumberToInt64(const char *s, Size len, int shift, bool json, int64 *result)
{
	Decimal		decimal;
	const char *p;
	uint64		value = 0;
	int			point;
	int			seen = 0;
	bool		inexact = false;
	bool		round_up = false;

	if (!decimal_parse(s, len, json, &decimal))
		return FEATHUB_NUMBER_SYNTAX;
	point = decimal.point + shift;
	if (decimal.ndigits == 0)
	{
		*result = 0;
		return FEATHUB_NUMBER_OK;
	}
	if (point > 19)
		return FEATHUB_NUMBER_RANGE;

	for (p = decimal.digits; p < decimal.digits_end; p++)
	{
		if (*p == '.')
			continue;
		if (seen < point)
		{
			if (value > (PG_UINT64_MAX - (*p - '0')) / 10)
				return FEATHUB_NUMBER_RANGE;
			value = value * 10 + (*p - '0');
		}
		else
		{
			if (seen == point && *p >= '5')
				round_up = true;
			if (*p != '0')
				inexact = true;
		}
		seen++;
	}
	for (; seen < point; seen++)
	{
		if (value > PG_UINT64_MAX / 10)
			return FEATHUB_NUMBER_RANGE;
		value *= 10;
	}
	if (round_up)
		value++;				/* cannot wrap: checked next, and 19 digits */
	if (value > (uint64) PG_INT64_MAX + (decimal.negative ? 1 : 0))
		return FEATHUB_NUMBER_RANGE;
	*result = decimal.negative ? (int64) (0 - value) : (int64) value;
	return inexact ? FEATHUB_NUMBER_INEXACT : FEATHUB_NUMBER_OK;
}

/* So many digits fit an int64, whatever they are. */
#define MAX_QUICK_DIGITS 18

/* Digits with a sign, as most integers are; false: ask the slow way. */
static inline bool
quick_integer(const char *s, Size len, int64 *result)
{
	const char *end = s + len;
	bool		negative = len > 0 && *s == '-';
	uint64		value = 0;

	s += negative;
	if (s >= end || end - s > MAX_QUICK_DIGITS || (*s == '0' && end - s > 1))
		return false;
	for (; s < end; s++)
	{
		unsigned	digit = (unsigned char) *s - '0';

		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*result = negative ? -(int64) value : (int64) value;
	return true;
}

bool
FeathubConvertInteger(FeathubConverter *converter, const char *s, Size len, bool json,
					  Datum *result, FeathubDecodeError *error)
{
	int64		value;
	const char *type = "bigint";
	FeathubNumberStatus status = FEATHUB_NUMBER_OK;

	if (!quick_integer(s, len, &value))
		status = FeathubNumberToInt64(s, len, 0, json, &value);
	if (status == FEATHUB_NUMBER_SYNTAX)
		return FeathubConvertInvalid(converter, s, len, error);

	switch (converter->kind)
	{
		case FEATHUB_CONVERT_INT2:
			type = "smallint";
			if (status != FEATHUB_NUMBER_RANGE && (value < PG_INT16_MIN || value > PG_INT16_MAX))
				status = FEATHUB_NUMBER_RANGE;
			*result = Int16GetDatum((int16) value);
			break;
		case FEATHUB_CONVERT_INT4:
			type = "integer";
			if (status != FEATHUB_NUMBER_RANGE && (value < PG_INT32_MIN || value > PG_INT32_MAX))
				status = FEATHUB_NUMBER_RANGE;
			*result = Int32GetDatum((int32) value);
			break;
		default:
			*result = Int64GetDatum(value);
			break;
	}
	if (status == FEATHUB_NUMBER_RANGE)
		return FeathubDecodeFail(error, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
								 "value \"%s\" is out of range for type %s",
								 FeathubConvertShow(s, len), type);
	if (status == FEATHUB_NUMBER_INEXACT)
		return FeathubConvertInvalid(converter, s, len, error);
	return true;
}

/*
 * The exact double or float of a number with few digits: a product or quotient
 * of two numbers that are themselves exact is rounded once.  False: too many
 * digits, or not a plain number.
 */
static inline bool
quick_float(const char *s, Size len, bool is_float4, double *result)
{
	static const double powers[] = {
		1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
	};
	const char *end = s + len;
	bool		negative = len > 0 && *s == '-';
	uint64		mantissa = 0;
	int			nbehind = 0;
	const char *begin;

	if (FLT_EVAL_METHOD != 0 || len > 17)
		return false;
	s += negative;
	begin = s;
	for (; s < end && (unsigned char) (*s - '0') <= 9; s++)
		mantissa = mantissa * 10 + (*s - '0');
	if (s == begin || (*begin == '0' && s - begin > 1))
		return false;
	if (s < end && *s == '.')
	{
		const char *point = s++;

		for (; s < end && (unsigned char) (*s - '0') <= 9; s++)
			mantissa = mantissa * 10 + (*s - '0');
		nbehind = s - point - 1;
		if (nbehind == 0)
			return false;
	}
	if (s != end)
		return false;
	if (is_float4)
	{
		float		value;

		if (mantissa > (1 << 24) || nbehind > 10)
			return false;
		value = (float) mantissa / (float) powers[nbehind];
		*result = negative ? -value : value;
	}
	else
	{
		double		value;

		if (mantissa > (UINT64CONST(1) << 53))
			return false;
		value = (double) mantissa / powers[nbehind];
		*result = negative ? -value : value;
	}
	return true;
}

/* The names of what is no number, as float8in takes them. */
static bool
float_word(const char *s, Size len, double *result)
{
	static const struct
	{
		const char *word;
		double		sign;		/* 0: NaN */
	}			words[] = {
		{"nan", 0}, {"infinity", 1}, {"+infinity", 1}, {"-infinity", -1},
		{"inf", 1}, {"+inf", 1}, {"-inf", -1}
	};

	/* a number, which the callers ask about far more often */
	if (len == 0 || (unsigned char) (s[len - 1] - '0') <= 9)
		return false;
	for (int i = 0; i < lengthof(words); i++)
	{
		if (strlen(words[i].word) == len && pg_strncasecmp(s, words[i].word, len) == 0)
		{
			*result = words[i].sign == 0 ? get_float8_nan() :
				words[i].sign * get_float8_infinity();
			return true;
		}
	}
	return false;
}

bool
FeathubConvertFloat(FeathubConverter *converter, const char *s, Size len, bool json,
					Datum *result, FeathubDecodeError *error)
{
	bool		is_float4 = converter->kind == FEATHUB_CONVERT_FLOAT4;
	double		value;

	if (!quick_float(s, len, is_float4, &value))
	{
		Decimal		decimal;
		float		value4 = 0;

		if (!json && float_word(s, len, &value))
			;
		else if (!decimal_parse(s, len, json, &decimal))
			return FeathubConvertInvalid(converter, s, len, error);
		else
		{
			if (is_float4 ? !FeathubParseFloat(s, len, &value4) :
				!FeathubParseDouble(s, len, &value))
				return FeathubConvertInvalid(converter, s, len, error);
			if (is_float4)
				value = value4;
			if (isinf(value) || (value == 0 && decimal.ndigits > 0))
				return FeathubDecodeFail(error, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
										 "\"%s\" is out of range for type %s",
										 FeathubConvertShow(s, len),
										 is_float4 ? "real" : "double precision");
		}
	}
	*result = is_float4 ? Float4GetDatum((float4) value) : Float8GetDatum(value);
	return true;
}

void
FeathubConvertNumericInit(FeathubConverter *converter)
{
	int32		typmod = converter->typmod - VARHDRSZ;
	int			precision;
	char		limit[32];

	if (converter->typmod < (int32) VARHDRSZ)
		return;
	precision = (typmod >> 16) & 0xffff;
	converter->scale = ((typmod & 0x7ff) ^ 1024) - 1024;
	converter->has_limit = true;
	snprintf(limit, sizeof(limit), "1e%d", precision - converter->scale);
	converter->limit = DirectFunctionCall3(numeric_in, CStringGetDatum(limit),
										   ObjectIdGetDatum(InvalidOid),
										   Int32GetDatum(-1));
}

/* Round to the type's scale and check its precision. */
static bool
apply_limit(FeathubConverter *converter, const char *s, Size len,
			Datum *result, FeathubDecodeError *error)
{
	Numeric		value = DatumGetNumeric(*result);

	if (numeric_is_nan(value))
		return true;
	if (!numeric_is_inf(value))
	{
		/* also pads with zeros up to the scale */
		*result = DirectFunctionCall2(numeric_round, *result,
									  Int32GetDatum(converter->scale));
		if (DatumGetBool(DirectFunctionCall2(numeric_lt,
											 DirectFunctionCall1(numeric_abs, *result),
											 converter->limit)))
			return true;
	}
	return FeathubDecodeFail(error, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
							 "numeric field overflow: \"%s\"",
							 FeathubConvertShow(s, len));
}

/*
 * A number of few digits, as most are, that needs no rounding and is within the
 * type's limits; false: ask the slow way.
 */
static bool
quick_numeric(FeathubConverter *converter, const char *s, Size len, Datum *result)
{
	const char *end = s + len;
	const char *point;
	bool		negative = len > 0 && *s == '-';
	int			scale;
	uint64		value = 0;

	s += negative;
	if (end - s > MAX_QUICK_DIGITS + 1 || s >= end || (*s == '0' && s + 1 < end && s[1] != '.'))
		return false;
	point = end;
	for (const char *p = s; p < end; p++)
	{
		unsigned	digit = (unsigned char) *p - '0';

		if (digit <= 9)
			value = value * 10 + digit;
		else if (*p == '.' && point == end && p > s && p + 1 < end)
			point = p;
		else
			return false;
	}
	scale = point == end ? 0 : end - point - 1;
	if (converter->has_limit)
	{
		int			precision = ((converter->typmod - VARHDRSZ) >> 16) & 0xffff;

		/* zeros are added up to the type's scale */
		if (scale > converter->scale ||
			(point - s) + converter->scale > Min(precision, MAX_QUICK_DIGITS))
			return false;
		for (; scale < converter->scale; scale++)
			value *= 10;
	}
	else if ((point - s) + scale > MAX_QUICK_DIGITS)
		return false;
	*result = NumericGetDatum(int64_div_fast_to_numeric(negative ? -(int64) value : (int64) value,
														scale));
	return true;
}

bool
FeathubConvertNumeric(FeathubConverter *converter, const char *s, Size len, bool json,
					  Datum *result, FeathubDecodeError *error)
{
	int64		integer;

	if (quick_numeric(converter, s, len, result))
		return true;
	if (quick_integer(s, len, &integer))
		*result = NumericGetDatum(int64_to_numeric(integer));
	else
	{
		Decimal		decimal;
		double		word;
		char		local[128];
		char	   *text;
		int32		typmod = -1;

		if (!json && float_word(s, len, &word))
			;
		else if (!decimal_parse(s, len, json, &decimal))
			return FeathubConvertInvalid(converter, s, len, error);
		else if (decimal.ndigits == 0 && decimal.exponent >= decimal.nfraction &&
				 decimal.exponent < MAX_EXPONENT)
		{
			s = "0";			/* whatever the exponent */
			len = 1;
		}
		else if (converter->has_limit && abs(decimal.exponent) < MAX_EXPONENT &&
				 decimal.nfraction - decimal.exponent > NUMERIC_DIGITS_BEHIND)
			typmod = converter->typmod; /* rounded in time, but may raise an error */
		else if ((decimal.ndigits > 0 && decimal.point > NUMERIC_DIGITS_BEFORE) ||
				 decimal.nfraction - decimal.exponent > NUMERIC_DIGITS_BEHIND ||
				 abs(decimal.exponent) >= MAX_EXPONENT)
			return FeathubDecodeFail(error, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
									 "value overflows numeric format");

		text = len < sizeof(local) ? local : palloc(len + 1);
		memcpy(text, s, len);
		text[len] = '\0';
		*result = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
									  ObjectIdGetDatum(InvalidOid), Int32GetDatum(typmod));
		if (text != local)
			pfree(text);
	}
	return !converter->has_limit || apply_limit(converter, s, len, result, error);
}

/* Values of numbers */

int64
FeathubNumberToInteger(const FeathubConverter *type, Datum value)
{
	switch (type->kind)
	{
		case FEATHUB_CONVERT_INT2:
			return DatumGetInt16(value);
		case FEATHUB_CONVERT_INT4:
			return DatumGetInt32(value);
		case FEATHUB_CONVERT_INT8:
			return DatumGetInt64(value);
		default:
			return DatumGetObjectId(value);
	}
}

double
FeathubNumberToReal(const FeathubConverter *type, Datum value)
{
	switch (type->kind)
	{
		case FEATHUB_CONVERT_FLOAT4:
			return DatumGetFloat4(value);
		case FEATHUB_CONVERT_FLOAT8:
			return DatumGetFloat8(value);
		case FEATHUB_CONVERT_NUMERIC:
			return DatumGetFloat8(DirectFunctionCall1(numeric_float8, value));
		default:
			return (double) FeathubNumberToInteger(type, value);
	}
}

Numeric
FeathubNumberToNumeric(const FeathubConverter *type, Datum value)
{
	switch (type->kind)
	{
		case FEATHUB_CONVERT_NUMERIC:
			return DatumGetNumeric(value);
		case FEATHUB_CONVERT_FLOAT4:
			return DatumGetNumeric(DirectFunctionCall1(float4_numeric, value));
		case FEATHUB_CONVERT_FLOAT8:
			return DatumGetNumeric(DirectFunctionCall1(float8_numeric, value));
		default:
			return int64_to_numeric(FeathubNumberToInteger(type, value));
	}
}
