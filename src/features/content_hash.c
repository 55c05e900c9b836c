/*
 * content_hash.c
 *		feathub.content_hash: a hash of rows that does not depend on their order.
 *
 * Each row has a 128-bit hash of its values, and those of all rows are added.
 * Values of the server's types are hashed as they are stored, detoasted; those
 * of types whose image has OIDs in it (enums, composites, and what others
 * define) as text, which is why sessions must agree on TimeZone and so on.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "core/compat.h"

typedef struct ColumnHash
{
	bool		as_text;
	FmgrInfo	output;
} ColumnHash;

typedef struct ContentHash
{
	uint64		sum[2];
	uint64		rows;
	Oid			type;			/* of the rows, for which columns are prepared */
	int32		typmod;
	TupleDesc	desc;
	ColumnHash *columns;
	Datum	   *values;
	bool	   *nulls;
	StringInfoData bytes;		/* of the row at hand */
	MemoryContext row_context;
} ContentHash;

static void prepare_columns(ContentHash *state, HeapTupleHeader row);
static void append_value(ContentHash *state, int column, Datum value);

PG_FUNCTION_INFO_V1(feathub_content_hash_step);
PG_FUNCTION_INFO_V1(feathub_content_hash_end);

Datum
feathub_content_hash_step(PG_FUNCTION_ARGS)
{
	ContentHash *state = PG_ARGISNULL(0) ? NULL : (ContentHash *) PG_GETARG_POINTER(0);
	MemoryContext context;
	MemoryContext old;
	HeapTupleHeader row;
	HeapTupleData tuple;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function was called outside of its aggregate")));
	old = MemoryContextSwitchTo(context);
	if (state == NULL)
	{
		state = (ContentHash *) palloc0(sizeof(ContentHash));
		initStringInfo(&state->bytes);
		state->row_context = AllocSetContextCreate(context, "feathub content hash", ALLOCSET_DEFAULT_SIZES);
	}
	if (PG_ARGISNULL(1))
	{
		MemoryContextSwitchTo(old);
		PG_RETURN_POINTER(state);
	}
	row = PG_GETARG_HEAPTUPLEHEADER(1);
	if (state->desc == NULL || state->type != HeapTupleHeaderGetTypeId(row) ||
		state->typmod != HeapTupleHeaderGetTypMod(row))
		prepare_columns(state, row);

	MemoryContextSwitchTo(state->row_context);
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	tuple.t_data = row;
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	heap_deform_tuple(&tuple, state->desc, state->values, state->nulls);
	resetStringInfo(&state->bytes);
	for (int i = 0; i < state->desc->natts; i++)
	{
		if (TupleDescAttr(state->desc, i)->attisdropped)
			continue;
		appendStringInfoChar(&state->bytes, state->nulls[i] ? 0 : 1);
		if (!state->nulls[i])
			append_value(state, i, state->values[i]);
	}
	for (int i = 0; i < 2; i++)
		state->sum[i] += hash_bytes_extended((const unsigned char *) state->bytes.data,
											 state->bytes.len, i + 1);
	state->rows++;
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->row_context);
	PG_RETURN_POINTER(state);
}

static void
prepare_columns(ContentHash *state, HeapTupleHeader row)
{
	state->type = HeapTupleHeaderGetTypeId(row);
	state->typmod = HeapTupleHeaderGetTypMod(row);
	state->desc = lookup_rowtype_tupdesc_copy(state->type, state->typmod);
	state->columns = (ColumnHash *) palloc0(sizeof(ColumnHash) * (state->desc->natts + 1));
	state->values = (Datum *) palloc(sizeof(Datum) * (state->desc->natts + 1));
	state->nulls = (bool *) palloc(sizeof(bool) * (state->desc->natts + 1));
	for (int i = 0; i < state->desc->natts; i++)
	{
		Oid			type = getBaseType(TupleDescAttr(state->desc, i)->atttypid);
		Oid			output;
		bool		isvarlena;

		if (TupleDescAttr(state->desc, i)->attisdropped)
			continue;
		state->columns[i].as_text = type >= FirstNormalObjectId || type == RECORDOID ||
			get_element_type(type) == RECORDOID;
		getTypeOutputInfo(type, &output, &isvarlena);
		fmgr_info(output, &state->columns[i].output);
	}
}

/* Length and bytes, so that neighbours cannot run into each other. */
static void
append_value(ContentHash *state, int column, Datum value)
{
	Form_pg_attribute attr = TupleDescAttr(state->desc, column);
	const char *bytes;
	uint32		length;

	if (state->columns[column].as_text)
	{
		bytes = OutputFunctionCall(&state->columns[column].output, value);
		length = strlen(bytes);
	}
	else if (attr->attlen == -1)
	{
		struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);

		bytes = VARDATA_ANY(packed);
		length = VARSIZE_ANY_EXHDR(packed);
	}
	else if (attr->attlen == -2)
	{
		bytes = DatumGetCString(value);
		length = strlen(bytes);
	}
	else if (attr->attbyval)
	{
		bytes = (const char *) &value;
		length = sizeof(Datum);
	}
	else
	{
		bytes = (const char *) DatumGetPointer(value);
		length = attr->attlen;
	}
	appendBinaryStringInfo(&state->bytes, (const char *) &length, sizeof(length));
	appendBinaryStringInfo(&state->bytes, bytes, length);
}

Datum
feathub_content_hash_end(PG_FUNCTION_ARGS)
{
	ContentHash *state = PG_ARGISNULL(0) ? NULL : (ContentHash *) PG_GETARG_POINTER(0);

	if (state == NULL)
		PG_RETURN_TEXT_P(cstring_to_text("00000000000000000000000000000000"));
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%016llx%016llx",
											  (unsigned long long) state->sum[0],
											  (unsigned long long) state->sum[1])));
}
