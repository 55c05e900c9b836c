/*
 * fuzz_module.c
 *		SQL functions that decode and encode one record, without a carrier.
 *
 * feathub_test_decode(row anyelement, format text, options text[], record bytea)
 *		returns the row; a refused record is an error with detail "soft".
 * feathub_test_encode(row anyelement, format text, options text[])
 *		returns bytea, NULL if the row has no value.
 * feathub_test_decode_speed(row, format, options, records bytea[], loops int)
 *		returns records per CPU second.
 */
#include "postgres.h"

#include <sys/resource.h>

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "fuzz.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(feathub_test_decode);
PG_FUNCTION_INFO_V1(feathub_test_decode_speed);
PG_FUNCTION_INFO_V1(feathub_test_encode);

/* A call's decoder or encoder, kept from row to row of one statement. */
typedef struct Coder
{
	text	   *format;			/* made for these arguments */
	ArrayType  *options;
	FuzzColumns *columns;
	FeathubDecoder *decoder;
	FeathubEncoder *encoder;
	MemoryContext row_context;
	Datum	   *values;
	bool	   *nulls;
} Coder;

static Coder *
get_coder(FunctionCallInfo fcinfo, bool encode)
{
	Coder	   *coder = fcinfo->flinfo->fn_extra;
	MemoryContext context;
	MemoryContext old;
	Datum	   *options;
	char	  **strings;
	int			noptions;

	if (coder != NULL &&
		DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, PG_GETARG_DATUM(1),
											 PointerGetDatum(coder->format))) &&
		VARSIZE(PG_GETARG_ARRAYTYPE_P(2)) == VARSIZE(coder->options) &&
		memcmp(PG_GETARG_ARRAYTYPE_P(2), coder->options, VARSIZE(coder->options)) == 0)
		return coder;

	context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "feathub test coder",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	coder = palloc0(sizeof(Coder));
	coder->format = PG_GETARG_TEXT_P_COPY(1);
	coder->options = PG_GETARG_ARRAYTYPE_P_COPY(2);
	deconstruct_array(coder->options, TEXTOID, -1, false, TYPALIGN_INT,
					  &options, NULL, &noptions);
	strings = palloc(sizeof(char *) * Max(noptions, 1));
	for (int i = 0; i < noptions; i++)
		strings[i] = TextDatumGetCString(options[i]);
	coder->columns = FuzzColumnsMake(get_fn_expr_argtype(fcinfo->flinfo, 0),
									 text_to_cstring(PG_GETARG_TEXT_PP(1)),
									 noptions, strings);
	if (encode)
		coder->encoder = FeathubEncoderBegin(coder->columns->format, coder->columns->tupdesc,
											 coder->columns->ncolumns, coder->columns->columns,
											 coder->columns->options);
	else
		coder->decoder = FeathubDecoderBegin(coder->columns->format, coder->columns->tupdesc,
											 coder->columns->ncolumns, coder->columns->columns,
											 coder->columns->options);
	coder->row_context = AllocSetContextCreate(context, "feathub test row",
											   ALLOCSET_DEFAULT_SIZES);
	coder->values = palloc0(sizeof(Datum) * Max(coder->columns->tupdesc->natts, 1));
	coder->nulls = palloc(sizeof(bool) * Max(coder->columns->tupdesc->natts, 1));
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = coder;
	return coder;
}

Datum
feathub_test_decode(PG_FUNCTION_ARGS)
{
	Coder	   *coder = get_coder(fcinfo, false);
	bytea	   *record = PG_GETARG_BYTEA_PP(3);
	char	   *exact = palloc_extended(Max(VARSIZE_ANY_EXHDR(record), 1), MCXT_ALLOC_HUGE);
	FeathubDecodeError error = {0};

	/* no NUL behind it */
	memcpy(exact, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record));
	memset(coder->nulls, true, coder->columns->tupdesc->natts);
	if (!FeathubDecode(coder->decoder, exact, VARSIZE_ANY_EXHDR(record),
					   coder->values, coder->nulls, &error))
		ereport(ERROR,
				(errcode(error.sqlerrcode),
				 errmsg("%s", error.message),
				 errdetail("soft")));
	PG_RETURN_DATUM(heap_copy_tuple_as_datum(heap_form_tuple(coder->columns->tupdesc,
															 coder->values, coder->nulls),
											 coder->columns->tupdesc));
}

Datum
feathub_test_encode(PG_FUNCTION_ARGS)
{
	Coder	   *coder = get_coder(fcinfo, true);
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	StringInfoData out;

	initStringInfo(&out);
	heap_deform_tuple(&tuple, coder->columns->tupdesc, coder->values, coder->nulls);
	if (!FeathubEncode(coder->encoder, coder->values, coder->nulls, &out))
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(out.data, out.len));
}

Datum
feathub_test_decode_speed(PG_FUNCTION_ARGS)
{
	Coder	   *coder = get_coder(fcinfo, false);
	Datum	   *records;
	int			nrecords;
	int			loops = PG_GETARG_INT32(4);
	struct rusage begin;
	struct rusage end;
	double		seconds;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), BYTEAOID, -1, false, TYPALIGN_INT,
					  &records, NULL, &nrecords);
	getrusage(RUSAGE_SELF, &begin);
	for (int loop = 0; loop < loops; loop++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < nrecords; i++)
		{
			bytea	   *record = DatumGetByteaPP(records[i]);
			FeathubDecodeError error = {0};
			MemoryContext old = MemoryContextSwitchTo(coder->row_context);

			if (!FeathubDecode(coder->decoder, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record),
							   coder->values, coder->nulls, &error))
				ereport(ERROR, (errcode(error.sqlerrcode), errmsg("%s", error.message)));
			MemoryContextSwitchTo(old);
			if (i % 1000 == 999)
				MemoryContextReset(coder->row_context);
		}
	}
	getrusage(RUSAGE_SELF, &end);
	seconds = (end.ru_utime.tv_sec - begin.ru_utime.tv_sec) +
		(end.ru_stime.tv_sec - begin.ru_stime.tv_sec) +
		((end.ru_utime.tv_usec - begin.ru_utime.tv_usec) +
		 (end.ru_stime.tv_usec - begin.ru_stime.tv_usec)) / 1e6;
	PG_RETURN_FLOAT8((double) loops * nrecords / seconds);
}
