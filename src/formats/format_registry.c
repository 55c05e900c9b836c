/*
 * format_registry.c
 *		The formats there are, and what they share: finding one by name, its
 *		options, making decoders and encoders, reporting bad records.
 */
#include "postgres.h"

#include "formats/container.h"
#include "formats/format_private.h"

const FeathubFormat *const FeathubFormats[] = {
	&FeathubAvroFormat,
	&FeathubCsvFormat,
	&FeathubDebeziumAvroFormat,
	&FeathubDebeziumJsonFormat,
	&FeathubHopsworksAvroFormat,
	&FeathubJsonFormat,
	&FeathubMaxwellJsonFormat,
	&FeathubParquetFormat,
	&FeathubProtobufFormat,
	&FeathubRawFormat,
	NULL
};

const FeathubFormat *
FeathubFormatByName(const char *name)
{
	StringInfoData valid;

	for (int i = 0; FeathubFormats[i] != NULL; i++)
	{
		if (strcmp(FeathubFormats[i]->name, name) == 0)
			return FeathubFormats[i];
	}

	initStringInfo(&valid);
	for (int i = 0; FeathubFormats[i] != NULL; i++)
		appendStringInfo(&valid, "%s%s", i > 0 ? ", " : "", FeathubFormats[i]->name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("unrecognized format: \"%s\"", name),
			 errhint("Valid formats are: %s.", valid.data)));
	return NULL;				/* keep compiler quiet */
}

void *
FeathubFormatParseOptions(const FeathubFormat *format, List *table_options,
						  const FeathubCarrier *carrier)
{
	void	   *options = palloc0(Max(format->options_size, sizeof(void *)));

	if (format->options != NULL)
	{
		FeathubOptionsDefaults(format->options, FEATHUB_ON_TABLE, options);
		FeathubOptionsParse(format->options, FEATHUB_ON_TABLE, table_options, options);
	}
	if (format->uses_carrier)
		*(const FeathubCarrier **) options = carrier;
	return options;
}

void *
FeathubFormatColumnOptions(const FeathubFormat *format, const void *table_options,
						   const FeathubColumn *column)
{
	void	   *options = palloc0(Max(format->options_size, sizeof(void *)));

	if (format->options_size > 0)
		memcpy(options, table_options, format->options_size);
	if (format->options != NULL)
		FeathubOptionsParse(format->options, FEATHUB_ON_COLUMN, column->options, options);
	return options;
}

FeathubDecoder *
FeathubDecoderBegin(const FeathubFormat *format, TupleDesc tupdesc,
					int ncolumns, FeathubColumn *columns, void *options)
{
	FeathubDecoder *decoder;

	if (format->begin_decode == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("format \"%s\" is a format of whole files", format->name),
				 errhint("Use it with files of feathub_filesystem.")));
	if (format->check)
		format->check(options, ncolumns, columns);
	decoder = format->begin_decode(tupdesc, ncolumns, columns, options);
	decoder->format = format;
	decoder->tupdesc = tupdesc;
	decoder->ncolumns = ncolumns;
	decoder->columns = columns;
	decoder->options = options;
	decoder->context = CurrentMemoryContext;
	return decoder;
}

FeathubEncoder *
FeathubEncoderBegin(const FeathubFormat *format, TupleDesc tupdesc,
					int ncolumns, FeathubColumn *columns, void *options)
{
	FeathubEncoder *encoder;

	if (format->begin_encode == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write format \"%s\"", format->name)));
	if (format->check)
		format->check(options, ncolumns, columns);
	encoder = format->begin_encode(tupdesc, ncolumns, columns, options);
	encoder->format = format;
	encoder->tupdesc = tupdesc;
	encoder->ncolumns = ncolumns;
	encoder->columns = columns;
	encoder->options = options;
	encoder->context = CurrentMemoryContext;
	return encoder;
}

FeathubFileReader *
FeathubFileReaderOpen(const FeathubFormat *format, FeathubInput *input, TupleDesc tupdesc,
					  int ncolumns, FeathubColumn *columns, void *options)
{
	FeathubFileReader *reader;

	if (format->check)
		format->check(options, ncolumns, columns);
	reader = format->container->open_reader(input, tupdesc, ncolumns, columns, options);
	reader->format = format;
	reader->input = input;
	reader->tupdesc = tupdesc;
	reader->ncolumns = ncolumns;
	reader->columns = columns;
	reader->options = options;
	reader->context = CurrentMemoryContext;
	return reader;
}

FeathubFileWriter *
FeathubFileWriterOpen(const FeathubFormat *format, FeathubOutput *output, TupleDesc tupdesc,
					  int ncolumns, FeathubColumn *columns, void *options)
{
	FeathubFileWriter *writer;

	if (format->container->open_writer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write format \"%s\"", format->name)));
	if (format->check)
		format->check(options, ncolumns, columns);
	writer = format->container->open_writer(output, tupdesc, ncolumns, columns, options);
	writer->format = format;
	writer->output = output;
	writer->tupdesc = tupdesc;
	writer->ncolumns = ncolumns;
	writer->columns = columns;
	writer->options = options;
	writer->context = CurrentMemoryContext;
	return writer;
}

bool
FeathubDecodeFail(FeathubDecodeError *error, int sqlerrcode, const char *fmt,...)
{
	StringInfoData buf;
	int			save_errno = errno;

	initStringInfo(&buf);
	for (;;)
	{
		va_list		args;
		int			needed;

		errno = save_errno;
		va_start(args, fmt);
		needed = appendStringInfoVA(&buf, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	error->sqlerrcode = sqlerrcode;
	error->message = buf.data;
	error->attnum = 0;
	return false;
}

bool
FeathubDecodeFailColumn(FeathubDecodeError *error, const FeathubColumn *column)
{
	error->message = psprintf("column \"%s\": %s", column->name, error->message);
	error->attnum = column->attnum;
	return false;
}
