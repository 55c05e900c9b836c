/*
 * csv_format.c
 *		Format csv: one record of comma-separated values, with COPY's options.
 *
 * As COPY's csv, for a record that stands alone: fields follow the columns in
 * their order, one line terminator at the end is dropped, and what COPY says
 * of a file (header, freeze, \.) does not apply.  An unquoted field equal to
 * option "null" is NULL; a quoted one is not, unless force_null says so.  An
 * unquoted field equal to option "default" is the column's default value.  An
 * empty record is one empty field.
 */
#include "postgres.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "access/table.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "port/pg_bitutils.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "formats/convert.h"
#include "formats/format_private.h"
#include "formats/infer.h"

typedef struct CsvOptions
{
	char		delimiter;
	char		quote;
	char		escape;
	char	   *null;
	char	   *default_marker; /* NULL: none */
	char	   *encoding;
	char	   *timezone;
	bool		force_null;		/* of a column */
	bool		force_not_null; /* of a column */
	bool		force_quote;	/* of a column */
} CsvOptions;

typedef struct CsvColumn
{
	FeathubConverter *converter;
	FmgrInfo	output;
	ExprState  *default_value;	/* NULL: the default value is NULL */
	int16		typlen;			/* of default_value */
	bool		typbyval;
	bool		force_null;
	bool		force_not_null;
	bool		force_quote;
} CsvColumn;

typedef struct CsvDecoder
{
	FeathubDecoder base;
	CsvOptions *options;
	int			encoding;
	Size		null_len;
	Size		default_len;	/* SIZE_MAX, as no field, if there is no marker */
	ExprContext *econtext;		/* of default values */
	CsvColumn  *columns;
	FeathubConvertSettings settings;
	StringInfoData field;		/* of a quoted field, without its quotes */
	int			nneeded;
	int		   *needed;			/* numbers of the columns not ignored */
	uint32	   *ends;			/* of a plain record's fields */
} CsvDecoder;

typedef struct CsvEncoder
{
	FeathubEncoder base;
	CsvOptions *options;
	int			encoding;
	CsvColumn  *columns;
	FeathubConvertSettings settings;
	MemoryContext scratch;
} CsvEncoder;

static const FeathubOption csv_options[] = {
	{
		"default", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(CsvOptions, default_marker),
		.description = "The text, without quotes, that stands for the column's default value when read."
	},
	{
		"delimiter", FEATHUB_ON_TABLE, FEATHUB_OPTION_CHAR,
		.offset = offsetof(CsvOptions, delimiter), .default_value = ",",
		.description = "The character between fields."
	},
	{
		"encoding", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(CsvOptions, encoding), .check = FeathubEncodingCheck,
		.default_value = "UTF8",
		.description = "The encoding of the records."
	},
	{
		"escape", FEATHUB_ON_TABLE, FEATHUB_OPTION_CHAR,
		.offset = offsetof(CsvOptions, escape),
		.description = "The character before a quote within quotes; by default the quote itself."
	},
	{
		"force_not_null", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.offset = offsetof(CsvOptions, force_not_null),
		.description = "Do not read the column's fields as NULL."
	},
	{
		"force_null", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.offset = offsetof(CsvOptions, force_null),
		.description = "Read the column's fields as NULL also if they are quoted."
	},
	{
		"force_quote", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.offset = offsetof(CsvOptions, force_quote),
		.description = "Write the column's values in quotes always."
	},
	{
		"null", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(CsvOptions, null), .default_value = "",
		.description = "The text that stands for NULL."
	},
	{
		"quote", FEATHUB_ON_TABLE, FEATHUB_OPTION_CHAR,
		.offset = offsetof(CsvOptions, quote), .default_value = "\"",
		.description = "The character around fields that hold others of these."
	},
	{
		"timezone", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(CsvOptions, timezone), .check = FeathubTimezoneCheck,
		.default_value = "UTC",
		.description = "The zone of times without an offset."
	},
	{.name = NULL}
};

static void
check_default_marker(const CsvOptions *options)
{
	if (strpbrk(options->default_marker, "\r\n") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"default\" of format csv cannot hold newline or carriage return")));
	if (strchr(options->default_marker, options->delimiter) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"delimiter\" of format csv must not appear in option \"default\"")));
	if (strchr(options->default_marker, options->quote) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"quote\" of format csv must not appear in option \"default\"")));
	if (strcmp(options->default_marker, options->null) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"default\" and \"null\" of format csv must differ")));
}

/* The rules of COPY (ProcessCopyOptions). */
static void
csv_check(void *arg, int ncolumns, FeathubColumn *columns)
{
	CsvOptions *options = arg;

	if (options->escape == '\0')
		options->escape = options->quote;
	if (options->delimiter == '\n' || options->delimiter == '\r' ||
		options->quote == '\n' || options->quote == '\r')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"delimiter\" and \"quote\" of format csv cannot be newline or carriage return")));
	if (options->delimiter == options->quote)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"delimiter\" and \"quote\" of format csv must differ")));
	if (strpbrk(options->null, "\r\n") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"null\" of format csv cannot hold newline or carriage return")));
	if (strchr(options->null, options->delimiter) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"delimiter\" of format csv must not appear in option \"null\"")));
	if (strchr(options->null, options->quote) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"quote\" of format csv must not appear in option \"null\"")));
	if (options->default_marker != NULL)
		check_default_marker(options);
}

static void
init_column(CsvColumn *column, const FeathubColumn *definition, CsvOptions *table_options,
			MemoryContext scratch)
{
	CsvOptions *options = FeathubFormatColumnOptions(&FeathubCsvFormat, table_options,
													 definition);
	FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));
	Oid			output;
	bool		varlena;

	settings->bytea_encoding = FEATHUB_BYTEA_INPUT;
	settings->timestamp_format = FEATHUB_TIMESTAMP_ISO8601;
	settings->zone = FeathubTimezone(options->timezone);
	settings->scratch = scratch;
	column->converter = FeathubConverterMake(definition->typid, definition->typmod, settings);
	column->force_null = options->force_null;
	column->force_not_null = options->force_not_null;
	column->force_quote = options->force_quote;
	getTypeOutputInfo(column->converter->base, &output, &varlena);
	fmgr_info(output, &column->output);
}

/*
 * Prepare the columns' default values.  A descriptor that is not of a table, as
 * for a header, has none: the marker is a text as others are.
 */
static void
init_defaults(CsvDecoder *decoder, TupleDesc tupdesc, int ncolumns, FeathubColumn *columns)
{
	Oid			relid = get_typ_typrelid(tupdesc->tdtypeid);
	Relation	relation;

	if (!OidIsValid(relid))
		return;
	decoder->default_len = strlen(decoder->options->default_marker);
	decoder->econtext = CreateStandaloneExprContext();
	relation = table_open(relid, AccessShareLock);
	for (int i = 0; i < ncolumns; i++)
	{
		CsvColumn  *column = &decoder->columns[i];
		Expr	   *expr;

		if (columns[i].ignored)
			continue;
		expr = (Expr *) build_column_default(relation, columns[i].attnum);
		if (expr == NULL)
			continue;
		column->default_value = ExecInitExpr(expression_planner(expr), NULL);
		get_typlenbyval(columns[i].typid, &column->typlen, &column->typbyval);
	}
	table_close(relation, NoLock);
}

static bool
csv_parallel_safe(List *table_options, Oid relid)
{
	bool		safe = true;
	Relation	relation;

	if (FeathubOptionsGet(table_options, "default") == NULL)
		return true;
	relation = table_open(relid, AccessShareLock);
	for (int i = 0; i < RelationGetNumberOfAttributes(relation) && safe; i++)
	{
		Node	   *expr;

		if (TupleDescAttr(RelationGetDescr(relation), i)->attisdropped)
			continue;
		/* walks over any node, whatever its argument is called */
		expr = build_column_default(relation, i + 1);
		safe = expr == NULL || max_parallel_hazard((Query *) expr) == PROPARALLEL_SAFE;
	}
	table_close(relation, NoLock);
	return safe;
}

static FeathubDecoder *
csv_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	CsvDecoder *decoder = palloc0(sizeof(CsvDecoder));

	decoder->options = options;
	decoder->encoding = pg_char_to_encoding(decoder->options->encoding);
	decoder->null_len = strlen(decoder->options->null);
	decoder->settings.scratch = AllocSetContextCreate(CurrentMemoryContext,
													  "feathub csv record",
													  ALLOCSET_SMALL_SIZES);
	decoder->columns = palloc0(sizeof(CsvColumn) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
		init_column(&decoder->columns[i], &columns[i], decoder->options,
					decoder->settings.scratch);
	decoder->default_len = SIZE_MAX;
	if (decoder->options->default_marker != NULL)
		init_defaults(decoder, tupdesc, ncolumns, columns);
	initStringInfo(&decoder->field);
	decoder->needed = palloc(sizeof(int) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
	{
		if (!columns[i].ignored)
			decoder->needed[decoder->nneeded++] = i;
	}
	decoder->ends = palloc(sizeof(uint32) * (ncolumns + 1));
	return &decoder->base;
}

/*
 * Find the ends of all fields of a record without quotes and line feeds.  False
 * if it has some, or another number of fields than there are columns.
 */
#ifdef __SSE2__
static bool
split_plain(CsvDecoder *decoder, const char *data, Size len)
{
	const __m128i delimiter = _mm_set1_epi8(decoder->options->delimiter);
	const __m128i quote = _mm_set1_epi8(decoder->options->quote);
	const __m128i line_feed = _mm_set1_epi8('\n');
	const __m128i carriage_return = _mm_set1_epi8('\r');
	__m128i		special = _mm_setzero_si128();
	uint32	   *ends = decoder->ends;
	int			ncolumns = decoder->base.ncolumns;
	int			n = 0;

	for (Size i = 0; i < len; i += 16)
	{
		__m128i		block;
		uint32		mask;

		if (likely(len - i >= 16))
			block = _mm_loadu_si128((const __m128i *) (data + i));
		else
		{
			char		rest[16] = {0};

			memcpy(rest, data + i, len - i);
			block = _mm_loadu_si128((const __m128i *) rest);
		}
		special = _mm_or_si128(special, _mm_cmpeq_epi8(block, quote));
		special = _mm_or_si128(special, _mm_cmpeq_epi8(block, line_feed));
		special = _mm_or_si128(special, _mm_cmpeq_epi8(block, carriage_return));
		mask = _mm_movemask_epi8(_mm_cmpeq_epi8(block, delimiter));
		for (; mask != 0; mask &= mask - 1)
		{
			if (n >= ncolumns - 1)
				return false;
			ends[n++] = i + pg_rightmost_one_pos32(mask);
		}
	}
	if (n != ncolumns - 1 || _mm_movemask_epi8(special) != 0)
		return false;
	ends[n] = len;
	return true;
}
#else
static bool
split_plain(CsvDecoder *decoder, const char *data, Size len)
{
	const char *p = data;
	const char *end = data + len;
	int			last = decoder->base.ncolumns - 1;

	if (memchr(data, decoder->options->quote, len) || memchr(data, '\n', len) ||
		memchr(data, '\r', len))
		return false;
	for (int i = 0; i < last; i++)
	{
		p = memchr(p, decoder->options->delimiter, end - p);
		if (p == NULL)
			return false;
		decoder->ends[i] = p - data;
		p++;
	}
	decoder->ends[last] = len;
	return memchr(p, decoder->options->delimiter, end - p) == NULL;
}
#endif

/*
 * Read one field at *p.  Its text is in the record or, if there were quotes,
 * in decoder->field.
 */
static bool
read_field(CsvDecoder *decoder, const char **p, const char *end, const char **text,
		   Size *len, bool *quoted, FeathubDecodeError *error)
{
	const char	delimiter = decoder->options->delimiter;
	const char	quote = decoder->options->quote;
	const char	escape = decoder->options->escape;
	const char *s = *p;

	*quoted = false;
	*text = s;
	while (s < end && *s != delimiter && *s != quote && *s != '\n' && *s != '\r')
		s++;
	if (s == end || *s == delimiter)
	{
		*len = s - *text;
		*p = s;
		return true;
	}

	/* quotes may begin and end anywhere in a field */
	resetStringInfo(&decoder->field);
	appendBinaryStringInfo(&decoder->field, *text, s - *text);
	for (;;)
	{
		const char *begin = s;

		while (s < end && *s != delimiter && *s != quote && *s != '\n' && *s != '\r')
			s++;
		appendBinaryStringInfo(&decoder->field, begin, s - begin);
		if (s == end || *s == delimiter)
			break;
		if (*s != quote)
			return FeathubDecodeFail(error, ERRCODE_BAD_COPY_FILE_FORMAT,
									 "unquoted %s found in csv record",
									 *s == '\n' ? "newline" : "carriage return");
		*quoted = true;
		for (s++;; s++)
		{
			begin = s;
			while (s < end && *s != quote && *s != escape)
				s++;
			appendBinaryStringInfo(&decoder->field, begin, s - begin);
			if (s == end)
				return FeathubDecodeFail(error, ERRCODE_BAD_COPY_FILE_FORMAT,
										 "unterminated quoted field in csv record");
			if (*s == escape && s + 1 < end && (s[1] == quote || s[1] == escape))
				appendStringInfoCharMacro(&decoder->field, *++s);
			else if (*s == quote)
				break;
			else
				appendStringInfoCharMacro(&decoder->field, *s);
		}
		s++;
	}
	*text = decoder->field.data;
	*len = decoder->field.len;
	*p = s;
	return true;
}

/*
 * The column's default value, computed anew each time: it may be volatile, and
 * the decoder may outlive the transaction that its now() belongs to.
 */
static bool
store_default(CsvDecoder *decoder, CsvColumn *column, Datum *value, bool *isnull,
			  FeathubDecodeError *error)
{
	bool		need_snapshot = !ActiveSnapshotSet();

	*value = (Datum) 0;
	*isnull = true;
	if (column->default_value != NULL)
	{
		if (need_snapshot)
			PushActiveSnapshot(GetTransactionSnapshot());
		*value = ExecEvalExprSwitchContext(column->default_value, decoder->econtext, isnull);
		if (!*isnull)
			*value = datumCopy(*value, column->typbyval, column->typlen);
		if (need_snapshot)
			PopActiveSnapshot();
		ReScanExprContext(decoder->econtext);
	}
	return !*isnull || FeathubConvertNull(column->converter, error);
}

static bool
store_field(CsvDecoder *decoder, int i, const char *text, Size len, bool quoted,
			Datum *values, bool *isnull, FeathubDecodeError *error)
{
	CsvColumn  *column = &decoder->columns[i];
	int			index = decoder->base.columns[i].attnum - 1;
	bool		ok;

	if (decoder->base.columns[i].ignored)
		return true;
	if (len == decoder->null_len && memcmp(text, decoder->options->null, len) == 0 &&
		(quoted ? column->force_null : !column->force_not_null))
	{
		values[index] = (Datum) 0;
		isnull[index] = true;
		ok = FeathubConvertNull(column->converter, error);
	}
	else if (len == decoder->default_len && !quoted &&
			 memcmp(text, decoder->options->default_marker, len) == 0)
		ok = store_default(decoder, column, &values[index], &isnull[index], error);
	else
	{
		isnull[index] = false;
		ok = FeathubConvertText(column->converter, text, len, &values[index], error);
	}
	return ok || FeathubDecodeFailColumn(error, &decoder->base.columns[i]);
}

static bool
csv_decode(FeathubDecoder *base, const char *data, Size len,
		   Datum *values, bool *isnull, FeathubDecodeError *error)
{
	CsvDecoder *decoder = (CsvDecoder *) base;
	const char *p;
	const char *end;
	int			i = 0;

	MemoryContextReset(decoder->settings.scratch);
	if (base->ncolumns == 0)
		return true;
	if (!FeathubServerText(decoder->encoding, decoder->settings.scratch, &data, &len, error))
		return false;
	p = data;
	end = data + len;
	if (p < end && end[-1] == '\n')
		end--;
	if (p < end && end[-1] == '\r')
		end--;

	/* most records have nothing special: all their fields are found at once */
	if (likely(end - p < PG_UINT32_MAX) && split_plain(decoder, p, end - p))
	{
		for (int j = 0; j < decoder->nneeded; j++)
		{
			uint32		begin;

			i = decoder->needed[j];
			begin = i == 0 ? 0 : decoder->ends[i - 1] + 1;
			if (!store_field(decoder, i, p + begin, decoder->ends[i] - begin, false,
							 values, isnull, error))
				return false;
		}
		return true;
	}

	for (;;)
	{
		const char *text;
		Size		text_len = 0;
		bool		quoted;

		if (!read_field(decoder, &p, end, &text, &text_len, &quoted, error))
			return false;
		if (i >= base->ncolumns)
			return FeathubDecodeFail(error, ERRCODE_BAD_COPY_FILE_FORMAT,
									 "extra data after the last column of %d", base->ncolumns);
		if (!store_field(decoder, i, text, text_len, quoted, values, isnull, error))
			return false;
		i++;
		if (p == end)
			break;
		p++;
	}
	if (i < base->ncolumns)
	{
		FeathubDecodeFail(error, ERRCODE_BAD_COPY_FILE_FORMAT,
						  "missing data for column \"%s\"", base->columns[i].name);
		error->attnum = base->columns[i].attnum;
		return false;
	}
	return true;
}

bool
FeathubCsvFields(void *options, const char *data, Size len, List **fields,
				 FeathubDecodeError *error)
{
	CsvDecoder	decoder = {0};
	const char *end = data + len;
	int			encoding;

	csv_check(options, 0, NULL);
	decoder.options = options;
	encoding = pg_char_to_encoding(decoder.options->encoding);
	initStringInfo(&decoder.field);
	*fields = NIL;
	if (!FeathubServerText(encoding, CurrentMemoryContext, &data, &len, error))
		return false;
	end = data + len;
	for (;;)
	{
		const char *text;
		Size		text_len = 0;
		bool		quoted;
		char	   *field;

		if (!read_field(&decoder, &data, end, &text, &text_len, &quoted, error))
			return false;
		field = pnstrdup(text, text_len);
		if (!quoted && (strcmp(field, decoder.options->null) == 0 ||
						(decoder.options->default_marker != NULL &&
						 strcmp(field, decoder.options->default_marker) == 0)))
			field = NULL;
		*fields = lappend(*fields, field);
		if (data == end)
			return true;
		data++;
	}
}

static FeathubEncoder *
csv_begin_encode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	CsvEncoder *encoder = palloc0(sizeof(CsvEncoder));

	encoder->options = options;
	encoder->encoding = pg_char_to_encoding(encoder->options->encoding);
	encoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub csv record",
											 ALLOCSET_SMALL_SIZES);
	encoder->settings.zone = FeathubTimezone(encoder->options->timezone);
	encoder->columns = palloc0(sizeof(CsvColumn) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
		init_column(&encoder->columns[i], &columns[i], encoder->options, encoder->scratch);
	return &encoder->base;
}

static void
put_field(const CsvOptions *options, const char *text, bool force_quote, bool alone,
		  StringInfo out)
{
	/* alone in its line, nothing is an empty line, and \. the end of COPY's data */
	bool		quote = force_quote || strcmp(text, options->null) == 0 ||
		(options->default_marker != NULL && strcmp(text, options->default_marker) == 0) ||
		(alone && (text[0] == '\0' || strcmp(text, "\\.") == 0));

	for (const char *s = text; *s != '\0' && !quote; s++)
		quote = *s == options->delimiter || *s == options->quote || *s == '\n' || *s == '\r';
	if (!quote)
	{
		appendStringInfoString(out, text);
		return;
	}
	appendStringInfoCharMacro(out, options->quote);
	for (const char *s = text; *s != '\0'; s++)
	{
		if (*s == options->quote || *s == options->escape)
			appendStringInfoCharMacro(out, options->escape);
		appendStringInfoCharMacro(out, *s);
	}
	appendStringInfoCharMacro(out, options->quote);
}

/* Runs in the scratch context, with the session's styles set aside. */
static void
put_row(CsvEncoder *encoder, Datum *values, bool *isnull, StringInfo out)
{
	int			begin = out->len;
	char	   *converted;

	for (int i = 0; i < encoder->base.ncolumns; i++)
	{
		CsvColumn  *column = &encoder->columns[i];
		int			index = encoder->base.columns[i].attnum - 1;

		if (i > 0)
			appendStringInfoCharMacro(out, encoder->options->delimiter);
		if (isnull[index])
			appendStringInfoString(out, encoder->options->null);
		else
			put_field(encoder->options, OutputFunctionCall(&column->output, values[index]),
					  column->force_quote, encoder->base.ncolumns == 1, out);
	}

	converted = pg_server_to_any(out->data + begin, out->len - begin, encoder->encoding);
	if (converted != out->data + begin)
	{
		out->len = begin;
		appendStringInfoString(out, converted);
	}
}

static bool
csv_encode(FeathubEncoder *base, Datum *values, bool *isnull, StringInfo out)
{
	CsvEncoder *encoder = (CsvEncoder *) base;
	FeathubTextModes save;
	MemoryContext old;

	MemoryContextReset(encoder->scratch);
	old = MemoryContextSwitchTo(encoder->scratch);
	FeathubTextModesSet(&save, encoder->settings.zone);
	PG_TRY();
	{
		put_row(encoder, values, isnull, out);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&save);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	return true;
}

static void
csv_quoting(const void *arg, char *quote, char *escape)
{
	const CsvOptions *options = arg;

	*quote = options->quote;
	*escape = options->escape != '\0' ? options->escape : options->quote;
}

const FeathubFormat FeathubCsvFormat = {
	.name = "csv",
	.options = csv_options,
	.options_size = sizeof(CsvOptions),
	.positional = true,
	.quoting = csv_quoting,
	.check = csv_check,
	.parallel_safe = csv_parallel_safe,
	.begin_decode = csv_begin_decode,
	.decode = csv_decode,
	.begin_encode = csv_begin_encode,
	.encode = csv_encode,
};
