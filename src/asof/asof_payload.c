/*
 * asof_payload.c
 *		What is kept of inner rows.
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/expandeddatum.h"

#include "asof/asof_private.h"
#include "core/compat.h"

static Size value_size(Datum value, int16 len);
static Datum put_value(char **to, Datum value, int16 len);

/* Keep an inner row.  into is overwritten if it is large enough, or NULL. */
FeathubAsofPayload *
FeathubAsofStore(FeathubAsofState *state, FeathubAsofPayload *into, const FeathubAsofStaged *row)
{
	Datum		time = row->time;
	bool	   *nulls;
	Size		size = 0;
	char	   *data;

	if (state->payload_flat)
	{
		if (into == NULL)
		{
			into = (FeathubAsofPayload *) FeathubAsofAlloc(&state->table.payloads, state->payload_size);
			into->capacity = 0;
		}
		into->time = time;
		nulls = feathub_asof_nulls(state, into);
		for (int i = 0; i < state->npayload; i++)
		{
			into->values[i] = row->values[i];
			nulls[i] = row->nulls[i];
		}
		return into;
	}

	if (!state->time.byval)
		size += value_size(time, state->time.len);
	for (int i = 0; i < state->npayload; i++)
		if (!state->payload_byval[i] && !row->nulls[i])
			size += value_size(row->values[i], state->payload_len[i]);
	if (into == NULL || into->capacity < size)
	{
		/* a row that replaces another may be replaced again, by a longer one */
		Size		capacity = into == NULL ? size : size + size / 4;

		into = (FeathubAsofPayload *) FeathubAsofAlloc(&state->table.payloads, state->payload_size + capacity);
		into->capacity = (uint32) capacity;
	}
	nulls = feathub_asof_nulls(state, into);
	data = (char *) into + state->payload_size;
	into->time = state->time.byval ? time : put_value(&data, time, state->time.len);
	for (int i = 0; i < state->npayload; i++)
	{
		nulls[i] = row->nulls[i];
		if (nulls[i] || state->payload_byval[i])
			into->values[i] = row->values[i];
		else
			into->values[i] = put_value(&data, row->values[i], state->payload_len[i]);
	}
	return into;
}

/* A copy in another arena. */
FeathubAsofPayload *
FeathubAsofMovePayload(FeathubAsofState *state, FeathubAsofArena *arena, FeathubAsofPayload *payload)
{
	Size		size = state->payload_size + payload->capacity;
	FeathubAsofPayload *copy = (FeathubAsofPayload *) FeathubAsofAlloc(arena, size);
	ptrdiff_t	moved = (char *) copy - (char *) payload;

	memcpy(copy, payload, size);
	if (state->payload_flat)
		return copy;
	if (!state->time.byval)
		copy->time = PointerGetDatum(DatumGetPointer(copy->time) + moved);
	for (int i = 0; i < state->npayload; i++)
		if (!state->payload_byval[i] && !feathub_asof_nulls(state, copy)[i])
			copy->values[i] = PointerGetDatum(DatumGetPointer(copy->values[i]) + moved);
	return copy;
}

/* Bytes of a value by reference, aligned. */
static Size
value_size(Datum value, int16 len)
{
	if (len == -1 && VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value)))
		return MAXALIGN(EOH_get_flat_size(DatumGetEOHP(value)));
	return MAXALIGN(datumGetSize(value, false, len));
}

static Datum
put_value(char **to, Datum value, int16 len)
{
	Datum		result = PointerGetDatum(*to);

	if (len == -1 && VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value)))
	{
		ExpandedObjectHeader *header = DatumGetEOHP(value);
		Size		size = EOH_get_flat_size(header);

		EOH_flatten_into(header, *to, size);
		*to += MAXALIGN(size);
	}
	else
	{
		Size		size = datumGetSize(value, false, len);

		memcpy(*to, DatumGetPointer(value), size);
		*to += MAXALIGN(size);
	}
	return result;
}

/*
 * Is an inner row to be taken rather than one of the same time?  Rows
 * that ORDER BY does not tell apart: the one that came later.
 */
bool
FeathubAsofIsBetter(FeathubAsofState *state, const FeathubAsofStaged *row, const FeathubAsofPayload *than)
{
	const bool *nulls = feathub_asof_nulls(state, than);

	for (int i = 0; i < state->nties; i++)
	{
		int			value = state->tie_values[i];
		int			order;

		order = ApplySortComparator(row->values[value], row->nulls[value],
									than->values[value], nulls[value], &state->ties[i]);
		if (order != 0)
			return order < 0;
	}
	return true;
}

/* Negative if ORDER BY has a before b. */
int
FeathubAsofCompareTies(FeathubAsofState *state, const FeathubAsofPayload *a, const FeathubAsofPayload *b)
{
	for (int i = 0; i < state->nties; i++)
	{
		int			value = state->tie_values[i];
		int			order;

		order = ApplySortComparator(a->values[value], feathub_asof_nulls(state, a)[value],
									b->values[value], feathub_asof_nulls(state, b)[value], &state->ties[i]);
		if (order != 0)
			return order;
	}
	return 0;
}
