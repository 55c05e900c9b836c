/*
 * raw_format.c
 *		Format raw: the whole value is one column, bytea or text.
 *
 * An empty value is an empty bytea or text; NULL is written as no value.  A
 * table may also have no value column at all, only metadata columns.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/compat.h"
#include "formats/convert.h"
#include "formats/format_private.h"

typedef struct RawOptions
{
	char	   *encoding;
} RawOptions;

typedef struct RawDecoder
{
	FeathubDecoder base;
	FeathubConverter *converter;	/* NULL without a column */
	int			encoding;
	FeathubConvertSettings settings;
} RawDecoder;

typedef struct RawEncoder
{
	FeathubEncoder base;
	bool		is_bytea;
	int			encoding;
	MemoryContext scratch;
} RawEncoder;

static const FeathubOption raw_options[] = {
	{
		"encoding", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(RawOptions, encoding), .check = FeathubEncodingCheck,
		.default_value = "UTF8",
		.description = "The encoding of the value of a text column."
	},
	{.name = NULL}
};

static bool
is_raw_kind(FeathubConvertKind kind)
{
	return kind == FEATHUB_CONVERT_BYTEA || FeathubKindIsText(kind);
}

static void
raw_check(void *options, int ncolumns, FeathubColumn *columns)
{
	FeathubConvertSettings settings = {0};

	if (ncolumns > 1)
	{
		StringInfoData names;

		initStringInfo(&names);
		for (int i = 0; i < ncolumns; i++)
			appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "", columns[i].name);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("format \"raw\" takes one value column, not %d", ncolumns),
				 errdetail("The value columns are %s.", names.data)));
	}
	if (ncolumns == 1 &&
		!is_raw_kind(FeathubConverterMake(columns[0].typid, columns[0].typmod,
										  &settings)->kind))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("format \"raw\" cannot take column \"%s\" of type %s",
						columns[0].name,
						format_type_with_typemod(columns[0].typid, columns[0].typmod)),
				 errhint("Its type must be bytea or text.")));
}

static FeathubDecoder *
raw_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	RawDecoder *decoder = palloc0(sizeof(RawDecoder));

	decoder->encoding = pg_char_to_encoding(((RawOptions *) options)->encoding);
	decoder->settings.scratch = AllocSetContextCreate(CurrentMemoryContext,
													  "feathub raw record",
													  ALLOCSET_SMALL_SIZES);
	if (ncolumns > 0)
		decoder->converter = FeathubConverterMake(columns[0].typid, columns[0].typmod,
												  &decoder->settings);
	return &decoder->base;
}

static bool
raw_decode(FeathubDecoder *base, const char *data, Size len,
		   Datum *values, bool *isnull, FeathubDecodeError *error)
{
	RawDecoder *decoder = (RawDecoder *) base;
	const FeathubColumn *column = base->columns;
	Datum	   *value;
	bool		ok;

	if (base->ncolumns == 0 || column->ignored)
		return true;
	value = &values[column->attnum - 1];
	isnull[column->attnum - 1] = false;
	if (len > MaxAllocSize - VARHDRSZ)
		ok = FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							   "value of %zu bytes is too long", len);
	else if (decoder->converter->kind == FEATHUB_CONVERT_BYTEA)
	{
		*value = PointerGetDatum(cstring_to_text_with_len(data, (int) len));
		ok = FeathubConvertDomain(decoder->converter, *value, false, error);
	}
	else
	{
		MemoryContextReset(decoder->settings.scratch);
		ok = FeathubServerText(decoder->encoding, decoder->settings.scratch,
							   &data, &len, error) &&
			FeathubConvertText(decoder->converter, data, len, value, error);
	}
	return ok || FeathubDecodeFailColumn(error, column);
}

static FeathubEncoder *
raw_begin_encode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	RawEncoder *encoder = palloc0(sizeof(RawEncoder));
	FeathubConvertSettings settings = {0};

	encoder->encoding = pg_char_to_encoding(((RawOptions *) options)->encoding);
	encoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub raw record",
											 ALLOCSET_SMALL_SIZES);
	if (ncolumns > 0)
		encoder->is_bytea = FeathubConverterMake(columns[0].typid, columns[0].typmod,
												 &settings)->kind == FEATHUB_CONVERT_BYTEA;
	return &encoder->base;
}

static bool
raw_encode(FeathubEncoder *base, Datum *values, bool *isnull, StringInfo out)
{
	RawEncoder *encoder = (RawEncoder *) base;
	MemoryContext old;
	text	   *value;
	char	   *data;
	int			len;

	if (base->ncolumns == 0 || isnull[base->columns[0].attnum - 1])
		return false;
	MemoryContextReset(encoder->scratch);
	old = MemoryContextSwitchTo(encoder->scratch);
	value = DatumGetTextPP(values[base->columns[0].attnum - 1]);
	data = VARDATA_ANY(value);
	len = VARSIZE_ANY_EXHDR(value);
	if (!encoder->is_bytea)
	{
		char	   *converted = pg_server_to_any(data, len, encoder->encoding);

		if (converted != data)
		{
			data = converted;
			len = strlen(converted);
		}
	}
	appendBinaryStringInfo(out, data, len);
	MemoryContextSwitchTo(old);
	return true;
}

const FeathubFormat FeathubRawFormat = {
	.name = "raw",
	.options = raw_options,
	.options_size = sizeof(RawOptions),
	.positional = true,
	.check = raw_check,
	.begin_decode = raw_begin_decode,
	.decode = raw_decode,
	.begin_encode = raw_begin_encode,
	.encode = raw_encode,
};
