/*
 * convert.c
 *		Text of one value to a Datum: types, strings, bytes, domains.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "core/compat.h"
#include "core/hex.h"
#include "formats/convert.h"
#include "formats/format_private.h"
#include "formats/json_value.h"

/* Bytes of a bad value that a message shows. */
#define SHOW_BYTES 100

static FeathubConvertKind
kind_of(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return FEATHUB_CONVERT_BOOL;
		case INT2OID:
			return FEATHUB_CONVERT_INT2;
		case INT4OID:
			return FEATHUB_CONVERT_INT4;
		case INT8OID:
			return FEATHUB_CONVERT_INT8;
		case FLOAT4OID:
			return FEATHUB_CONVERT_FLOAT4;
		case FLOAT8OID:
			return FEATHUB_CONVERT_FLOAT8;
		case NUMERICOID:
			return FEATHUB_CONVERT_NUMERIC;
		case TEXTOID:
			return FEATHUB_CONVERT_TEXT;
		case VARCHAROID:
			return FEATHUB_CONVERT_VARCHAR;
		case BPCHAROID:
			return FEATHUB_CONVERT_BPCHAR;
		case BYTEAOID:
			return FEATHUB_CONVERT_BYTEA;
		case DATEOID:
			return FEATHUB_CONVERT_DATE;
		case TIMESTAMPOID:
			return FEATHUB_CONVERT_TIMESTAMP;
		case TIMESTAMPTZOID:
			return FEATHUB_CONVERT_TIMESTAMPTZ;
		case UUIDOID:
			return FEATHUB_CONVERT_UUID;
		case JSONOID:
			return FEATHUB_CONVERT_JSON;
		case JSONBOID:
			return FEATHUB_CONVERT_JSONB;
		default:
			break;
	}
	if (OidIsValid(get_element_type(type)) && get_typlen(type) == -1)
		return FEATHUB_CONVERT_ARRAY;
	switch (get_typtype(type))
	{
		case TYPTYPE_ENUM:
			return FEATHUB_CONVERT_ENUM;
		case TYPTYPE_COMPOSITE:
			return FEATHUB_CONVERT_COMPOSITE;
		default:
			return FEATHUB_CONVERT_OTHER;
	}
}

static void
init_composite(FeathubConverter *converter)
{
	TupleDesc	tupdesc = lookup_rowtype_tupdesc_copy(converter->base, -1);

	converter->tupdesc = tupdesc;
	converter->attributes = palloc0(sizeof(FeathubConverter *) * Max(tupdesc->natts, 1));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);

		if (!attr->attisdropped)
			converter->attributes[i] = FeathubConverterMake(attr->atttypid, attr->atttypmod,
															converter->settings);
	}
}

FeathubConverter *
FeathubConverterMake(Oid typid, int32 typmod, const FeathubConvertSettings *settings)
{
	FeathubConverter *converter = palloc0(sizeof(FeathubConverter));
	Oid			input;

	converter->typid = typid;
	converter->typmod = typmod;
	converter->base = getBaseTypeAndTypmod(typid, &converter->typmod);
	converter->is_domain = converter->base != typid;
	converter->context = CurrentMemoryContext;
	converter->settings = settings;
	converter->kind = kind_of(converter->base);
	getTypeInputInfo(converter->base, &input, &converter->ioparam);
	fmgr_info(input, &converter->input);

	switch (converter->kind)
	{
		case FEATHUB_CONVERT_NUMERIC:
			FeathubConvertNumericInit(converter);
			break;
		case FEATHUB_CONVERT_ARRAY:
			converter->element = FeathubConverterMake(get_element_type(converter->base),
													  converter->typmod, settings);
			get_typlenbyvalalign(converter->element->typid, &converter->elmlen,
								 &converter->elmbyval, &converter->elmalign);
			break;
		case FEATHUB_CONVERT_COMPOSITE:
			check_stack_depth();
			init_composite(converter);
			break;
		default:
			break;
	}
	return converter;
}

char *
FeathubConvertShow(const char *s, Size len)
{
	if (len <= SHOW_BYTES)
		return pnstrdup(s, len);
	return psprintf("%.*s...", pg_mbcliplen(s, (int) Min(len, SHOW_BYTES * 2), SHOW_BYTES), s);
}

bool
FeathubConvertInvalid(FeathubConverter *converter, const char *s, Size len,
					  FeathubDecodeError *error)
{
	int			code = ERRCODE_INVALID_TEXT_REPRESENTATION;

	if (converter->kind == FEATHUB_CONVERT_DATE ||
		converter->kind == FEATHUB_CONVERT_TIMESTAMP ||
		converter->kind == FEATHUB_CONVERT_TIMESTAMPTZ)
		code = ERRCODE_INVALID_DATETIME_FORMAT;
	return FeathubDecodeFail(error, code, "invalid input syntax for type %s: \"%s\"",
							 format_type_be(converter->base), FeathubConvertShow(s, len));
}

/* The input functions of numbers and their like ignore white space around. */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline void
trim(const char **s, Size *len)
{
	while (*len > 0 && is_space(**s))
		(*s)++, (*len)--;
	while (*len > 0 && is_space((*s)[*len - 1]))
		(*len)--;
}

/* text, varchar(n) and char(n), with the checks of an assignment. */
static bool
convert_string(FeathubConverter *converter, const char *s, Size len,
			   Datum *result, FeathubDecodeError *error)
{
	int			limit = converter->typmod - VARHDRSZ;
	Size		pad = 0;
	text	   *out;

	if (len > MaxAllocSize - VARHDRSZ)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "value of %zu bytes is too long", len);
	if (converter->kind != FEATHUB_CONVERT_TEXT && converter->typmod >= (int32) VARHDRSZ)
	{
		/* as many characters as bytes at most */
		int			chars = len > limit || converter->kind == FEATHUB_CONVERT_BPCHAR ?
			pg_mbstrlen_with_len(s, (int) len) : 0;

		if (chars > limit)
		{
			Size		keep = pg_mbcharcliplen(s, (int) len, limit);

			for (Size i = keep; i < len; i++)
			{
				if (s[i] != ' ')
					return FeathubDecodeFail(error, ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
											 "value too long for type %s(%d)",
											 converter->kind == FEATHUB_CONVERT_BPCHAR ?
											 "character" : "character varying", limit);
			}
			len = keep;
		}
		else if (converter->kind == FEATHUB_CONVERT_BPCHAR)
			pad = limit - chars;
	}

	out = palloc(VARHDRSZ + len + pad);
	SET_VARSIZE(out, VARHDRSZ + len + pad);
	memcpy(VARDATA(out), s, len);
	if (pad > 0)
		memset(VARDATA(out) + len, ' ', pad);
	*result = PointerGetDatum(out);
	return true;
}

/* Two hexadecimal digits a byte; white space between the pairs is ignored. */
static bool
decode_hex(const char *s, Size len, char *out, Size *out_len)
{
	char	   *p = out;

	for (Size i = 0; i < len; i++)
	{
		int			high;
		int			low;

		if (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r')
			continue;
		high = FeathubHexDigit(s[i]);
		low = i + 1 < len ? FeathubHexDigit(s[i + 1]) : -1;
		if (high < 0 || low < 0)
			return false;
		*p++ = (char) (high << 4 | low);
		i++;
	}
	*out_len = p - out;
	return true;
}

static bool
decode_escape(const char *s, Size len, char *out, Size *out_len)
{
	const char *end = s + len;
	char	   *p = out;

	while (s < end)
	{
		if (*s != '\\')
			*p++ = *s++;
		else if (end - s >= 2 && s[1] == '\\')
		{
			*p++ = '\\';
			s += 2;
		}
		else if (end - s >= 4 && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
				 s[3] >= '0' && s[3] <= '7')
		{
			*p++ = (char) ((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		}
		else
			return false;
	}
	*out_len = p - out;
	return true;
}

static bool
convert_bytea(FeathubConverter *converter, const char *s, Size len,
			  Datum *result, FeathubDecodeError *error)
{
	static const char *const names[] = {
		[FEATHUB_BYTEA_BASE64] = "base64",
		[FEATHUB_BYTEA_HEX] = "hexadecimal",
		[FEATHUB_BYTEA_ESCAPE] = "escape"
	};
	int			encoding = converter->settings->bytea_encoding;
	bool		has_prefix = len >= 2 && s[0] == '\\' && s[1] == 'x';
	bytea	   *out;
	Size		out_len = 0;
	bool		ok;

	if (len > MaxAllocSize - VARHDRSZ)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "value of %zu bytes is too long", len);
	if (encoding == FEATHUB_BYTEA_INPUT)
		encoding = has_prefix ? FEATHUB_BYTEA_HEX : FEATHUB_BYTEA_ESCAPE;

	out = palloc(VARHDRSZ + len);	/* no encoding makes it longer */
	switch (encoding)
	{
		case FEATHUB_BYTEA_BASE64:
			{
				int			n = pg_b64_decode(s, (int) len, (void *) VARDATA(out), (int) len);

				ok = n >= 0;
				out_len = ok ? n : 0;
				break;
			}
		case FEATHUB_BYTEA_HEX:
			if (has_prefix)
				ok = decode_hex(s + 2, len - 2, VARDATA(out), &out_len);
			else
				ok = decode_hex(s, len, VARDATA(out), &out_len);
			break;
		default:
			ok = decode_escape(s, len, VARDATA(out), &out_len);
			break;
	}
	if (!ok)
		return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
								 "invalid %s for type bytea: \"%s\"",
								 names[encoding], FeathubConvertShow(s, len));
	SET_VARSIZE(out, VARHDRSZ + out_len);
	*result = PointerGetDatum(out);
	return true;
}

/* As uuid_in: braces around and a hyphen behind each four digits are optional. */
static bool
convert_uuid(FeathubConverter *converter, const char *s, Size len,
			 Datum *result, FeathubDecodeError *error)
{
	const char *p = s;
	const char *end = s + len;
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));
	bool		braces = len > 0 && *s == '{';

	p += braces;
	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high = p < end ? FeathubHexDigit(*p) : -1;
		int			low = end - p >= 2 ? FeathubHexDigit(p[1]) : -1;

		if (high < 0 || low < 0)
			return FeathubConvertInvalid(converter, s, len, error);
		uuid->data[i] = (unsigned char) (high << 4 | low);
		p += 2;
		if (p < end && *p == '-' && i % 2 == 1 && i < UUID_LEN - 1)
			p++;
	}
	if (braces && (p >= end || *p++ != '}'))
		return FeathubConvertInvalid(converter, s, len, error);
	if (p != end)
		return FeathubConvertInvalid(converter, s, len, error);
	*result = UUIDPGetDatum(uuid);
	return true;
}

/* By the type's input function, which may raise its error. */
static bool
convert_other(FeathubConverter *converter, const char *s, Size len,
			  Datum *result, FeathubDecodeError *error)
{
	FeathubTextModes save;
	char	   *text;
	int			code = 0;
	char	   *message = NULL;
	volatile bool ok = false;

	if (len >= MaxAllocSize)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "value of %zu bytes is too long", len);
	text = pnstrdup(s, len);
	FeathubTextModesSet(&save, converter->settings->zone);
	PG_TRY();
	{
		ok = feathub_input_function_safe(&converter->input, text, converter->ioparam,
										 converter->typmod, result, &code, &message);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&save);
	}
	PG_END_TRY();
	pfree(text);
	return ok || FeathubDecodeFail(error, code, "%s", message);
}

static bool
convert_enum(FeathubConverter *converter, const char *s, Size len,
			 Datum *result, FeathubDecodeError *error)
{
	char	   *label = pnstrdup(s, len);

	/* enum_in would raise it */
	if (len >= NAMEDATALEN ||
		!SearchSysCacheExists2(ENUMTYPOIDNAME, ObjectIdGetDatum(converter->base),
							   CStringGetDatum(label)))
		return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
								 "invalid input value for enum %s: \"%s\"",
								 format_type_be(converter->base), FeathubConvertShow(s, len));
	*result = InputFunctionCall(&converter->input, label, converter->ioparam, -1);
	pfree(label);
	return true;
}

/* The only dates that are no numbers where an epoch is the format. */
static bool
is_infinity(const char *s, Size len)
{
	return (len == 8 && memcmp(s, "infinity", 8) == 0) ||
		(len == 9 && memcmp(s, "-infinity", 9) == 0);
}

static bool
convert_base(FeathubConverter *converter, const char *s, Size len,
			 Datum *result, FeathubDecodeError *error)
{
	bool		value;

	switch (converter->kind)
	{
		case FEATHUB_CONVERT_BOOL:
			trim(&s, &len);
			if (len == 0 || !parse_bool_with_len(s, len, &value))
				return FeathubConvertInvalid(converter, s, len, error);
			*result = BoolGetDatum(value);
			return true;
		case FEATHUB_CONVERT_INT2:
		case FEATHUB_CONVERT_INT4:
		case FEATHUB_CONVERT_INT8:
			trim(&s, &len);
			return FeathubConvertInteger(converter, s, len, false, result, error);
		case FEATHUB_CONVERT_FLOAT4:
		case FEATHUB_CONVERT_FLOAT8:
			trim(&s, &len);
			return FeathubConvertFloat(converter, s, len, false, result, error);
		case FEATHUB_CONVERT_NUMERIC:
			trim(&s, &len);
			return FeathubConvertNumeric(converter, s, len, false, result, error);
		case FEATHUB_CONVERT_TEXT:
		case FEATHUB_CONVERT_VARCHAR:
		case FEATHUB_CONVERT_BPCHAR:
			return convert_string(converter, s, len, result, error);
		case FEATHUB_CONVERT_BYTEA:
			return convert_bytea(converter, s, len, result, error);
		case FEATHUB_CONVERT_DATE:
		case FEATHUB_CONVERT_TIMESTAMP:
		case FEATHUB_CONVERT_TIMESTAMPTZ:
			if (converter->settings->timestamp_format != FEATHUB_TIMESTAMP_ISO8601 &&
				!is_infinity(s, len))
				return FeathubConvertEpoch(converter, s, len, false, result, error);
			return FeathubConvertDatetime(converter, s, len, result, error);
		case FEATHUB_CONVERT_UUID:
			return convert_uuid(converter, s, len, result, error);
		case FEATHUB_CONVERT_JSON:
			return FeathubJsonTextCheck(s, len, error) &&
				convert_string(converter, s, len, result, error);
		case FEATHUB_CONVERT_JSONB:
			if (GetDatabaseEncoding() != PG_UTF8)
				return convert_other(converter, s, len, result, error);
			return FeathubJsonbFromText(converter, s, len, result, error);
		case FEATHUB_CONVERT_ENUM:
			return convert_enum(converter, s, len, result, error);
		default:
			return convert_other(converter, s, len, result, error);
	}
}

bool
FeathubConvertDomain(FeathubConverter *converter, Datum value, bool isnull,
					 FeathubDecodeError *error)
{
	int			code;
	char	   *message;

	if (!converter->is_domain ||
		feathub_domain_check_safe(value, isnull, converter->typid, &converter->domain_state,
								  converter->context, &code, &message))
		return true;
	return FeathubDecodeFail(error, code, "%s", message);
}

bool
FeathubConvertText(FeathubConverter *converter, const char *s, Size len,
				   Datum *result, FeathubDecodeError *error)
{
	return convert_base(converter, s, len, result, error) &&
		(!converter->is_domain || FeathubConvertDomain(converter, *result, false, error));
}

bool
FeathubConvertNull(FeathubConverter *converter, FeathubDecodeError *error)
{
	return !converter->is_domain || FeathubConvertDomain(converter, (Datum) 0, true, error);
}

bool
FeathubConvertNumber(FeathubConverter *converter, const char *s, Size len,
					 Datum *result, FeathubDecodeError *error)
{
	bool		ok;

	switch (converter->kind)
	{
		case FEATHUB_CONVERT_INT2:
		case FEATHUB_CONVERT_INT4:
		case FEATHUB_CONVERT_INT8:
			ok = FeathubConvertInteger(converter, s, len, true, result, error);
			break;
		case FEATHUB_CONVERT_FLOAT4:
		case FEATHUB_CONVERT_FLOAT8:
			ok = FeathubConvertFloat(converter, s, len, true, result, error);
			break;
		case FEATHUB_CONVERT_NUMERIC:
			ok = FeathubConvertNumeric(converter, s, len, true, result, error);
			break;
		case FEATHUB_CONVERT_DATE:
		case FEATHUB_CONVERT_TIMESTAMP:
		case FEATHUB_CONVERT_TIMESTAMPTZ:
			if (converter->settings->timestamp_format == FEATHUB_TIMESTAMP_ISO8601)
				return FeathubDecodeFail(error, ERRCODE_INVALID_DATETIME_FORMAT,
										 "number %s for type %s needs option \"timestamp_format\" to be epoch_seconds, epoch_millis or epoch_micros",
										 FeathubConvertShow(s, len),
										 format_type_be(converter->base));
			ok = FeathubConvertEpoch(converter, s, len, true, result, error);
			break;
		default:
			if (!FeathubJsonIsNumber(s, len))
				return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
										 "invalid JSON number: \"%s\"",
										 FeathubConvertShow(s, len));
			return FeathubConvertText(converter, s, len, result, error);
	}
	return ok && (!converter->is_domain ||
				  FeathubConvertDomain(converter, *result, false, error));
}

bool
FeathubServerText(int encoding, MemoryContext context, const char **data, Size *len,
				  FeathubDecodeError *error)
{
	MemoryContext old;
	char	   *converted;

	if (*len > MaxAllocSize - 1)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "value of %zu bytes is too long", *len);
	if (pg_encoding_verifymbstr(encoding, *data, (int) *len) != (int) *len ||
		memchr(*data, '\0', *len) != NULL)
		return FeathubDecodeFail(error, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
								 "invalid byte sequence for encoding \"%s\"",
								 pg_encoding_to_char(encoding));
	if (encoding == GetDatabaseEncoding() || *len == 0)
		return true;
	old = MemoryContextSwitchTo(context);
	converted = pg_any_to_server(*data, (int) *len, encoding);
	MemoryContextSwitchTo(old);
	if (converted != *data)
	{
		*data = converted;
		*len = strlen(converted);
	}
	return true;
}

void
FeathubEncodingCheck(const char *option, const char *value)
{
	if (pg_char_to_encoding(value) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
				 errhint("It must be the name of an encoding, such as UTF8 or LATIN1.")));
}
