/*
 * kafka_modify.c
 *		INSERT and COPY into topics.
 *
 * A row is a message.  Its value is what the table's format makes of the
 * columns; no value (format raw and a NULL column) is a tombstone.  Columns
 * with metadata key, headers, timestamp and partition are written too, where
 * they are not NULL: without key_format the key is the bytes of that column,
 * without timestamp the message has the time of its sending, and without
 * partition the key decides.  The offset is the broker's affair.
 *
 * A statement is over when the broker has confirmed every message of it
 * (kafka_producer.c); rows to one partition arrive in their order.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka_producer.h"

/* A buffer larger than this is not kept for the next row. */
#define BUFFER_KEEP		(1024 * 1024)

/* The message that a row becomes, for formats that add headers to it. */
typedef struct ModifyMessage
{
	FeathubMessage base;		/* must be first */
	MemoryContext context;		/* of the row */
	List	   *headers;		/* AddedHeader * */
} ModifyMessage;

typedef struct AddedHeader
{
	char	   *name;
	char	   *data;
	Size		len;
} AddedHeader;

typedef struct KafkaModifyState
{
	FeathubRelation *rel;
	KafkaColumns columns;
	List	   *topics;			/* of char *: names in option "topic" */
	FeathubEncoder *key_encoder;	/* NULL: without key_format */
	FeathubEncoder *value_encoder;
	StringInfoData key;
	StringInfoData value;
	KafkaDelivery *delivery;
	ModifyMessage message;
} KafkaModifyState;

static FeathubEncoder *make_encoder(FeathubRelation *rel, const FeathubFormat *format,
									int ncolumns, FeathubColumn *columns, void *options);
static void send_row(KafkaModifyState *state, TupleTableSlot *slot);
static bool metadata_datum(KafkaModifyState *state, TupleTableSlot *slot,
						   KafkaMetadata kind, Datum *value);
static const char *column_name(KafkaModifyState *state, KafkaMetadata kind);
static const char *topic_of_row(KafkaModifyState *state, TupleTableSlot *slot);
static int32 partition_of_row(KafkaModifyState *state, TupleTableSlot *slot);
static int64 timestamp_of_row(KafkaModifyState *state, TupleTableSlot *slot);
static void put_header(FeathubMessage *base, const char *name, const char *data, Size len);
static rd_kafka_headers_t *add_headers(KafkaModifyState *state, rd_kafka_headers_t *headers);
static const char *key_of_row(KafkaModifyState *state, TupleTableSlot *slot, Size *len);
static void empty_buffer(StringInfo buffer);

void
FeathubKafkaBeginModify(FeathubModify *modify)
{
	FeathubRelation *rel = modify->rel;
	KafkaOptions *options = rel->options;
	KafkaModifyState *state;
	KafkaColumns *columns;

	if (FeathubKafkaIsPattern(options->topic))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into foreign table \"%s\", whose topic is a pattern",
						rel->relname)));

	state = palloc0(sizeof(KafkaModifyState));
	columns = &state->columns;
	state->rel = rel;
	state->topics = FeathubKafkaTopicList(options->topic);
	FeathubKafkaColumnsOf(rel, NULL, columns);
	if (list_length(state->topics) > 1 && FeathubKafkaUpserts(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to foreign table \"%s\", which has several topics and write_mode \"upsert\"",
						rel->relname)));
	if (list_length(state->topics) > 1 && columns->metadata[KAFKA_META_TOPIC] == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into foreign table \"%s\", which has several topics",
						rel->relname),
				 errhint("Add a column with the option metadata 'topic', which says where a row goes.")));

	state->value_encoder = make_encoder(rel, rel->format, columns->nvalue,
										columns->value, rel->format_options);
	if (columns->key_format != NULL)
		state->key_encoder = make_encoder(rel, columns->key_format, columns->nkey,
										  columns->key, columns->key_options);
	state->message.base.put_header = put_header;
	state->value_encoder->message = &state->message.base;
	if (state->key_encoder)
		state->key_encoder->message = &state->message.base;
	initStringInfo(&state->key);
	initStringInfo(&state->value);
	modify->batch_size = options->batch_size;
	modify->state = state;
}

void
FeathubKafkaInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots)
{
	KafkaModifyState *state = modify->state;
	MemoryContext old = MemoryContextSwitchTo(modify->context);

	if (state->delivery == NULL)
		state->delivery = FeathubKafkaDeliveryBegin(modify->rel);

	MemoryContextSwitchTo(modify->row_context);
	for (int i = 0; i < nslots; i++)
	{
		CHECK_FOR_INTERRUPTS();
		send_row(state, slots[i]);
	}
	MemoryContextSwitchTo(old);
	FeathubKafkaDeliveryCheck(state->delivery);
}

/* What formats are told of the message that comes next. */
static void
begin_message(KafkaModifyState *state, const char *topic)
{
	state->message.base.topic = topic;
	state->message.context = CurrentMemoryContext;
	state->message.headers = NIL;
}

/* FeathubMessage.put_header */
static void
put_header(FeathubMessage *base, const char *name, const char *data, Size len)
{
	ModifyMessage *message = (ModifyMessage *) base;
	MemoryContext old = MemoryContextSwitchTo(message->context);
	AddedHeader *header = palloc(sizeof(AddedHeader));

	header->name = pstrdup(name);
	header->data = pnstrdup(data, len);
	header->len = len;
	message->headers = lappend(message->headers, header);
	MemoryContextSwitchTo(old);
}

/* The row's headers, and those of the format that it does not have. */
static rd_kafka_headers_t *
add_headers(KafkaModifyState *state, rd_kafka_headers_t *headers)
{
	ListCell   *lc;

	foreach(lc, state->message.headers)
	{
		AddedHeader *header = lfirst(lc);
		const void *value;
		size_t		size;

		if (headers == NULL)
			headers = rd_kafka_headers_new(list_length(state->message.headers));
		else if (rd_kafka_header_get_last(headers, header->name, &value, &size) ==
				 RD_KAFKA_RESP_ERR_NO_ERROR)
			continue;
		(void) rd_kafka_header_add(headers, header->name, -1, header->data, header->len);
	}
	return headers;
}

/*
 * A tombstone for the key.  Whether the topic has a row of it, nobody knows
 * without reading it: that there was one is taken on trust.
 */
bool
FeathubKafkaDeleteRow(FeathubModify *modify, Datum *key, bool *key_isnull)
{
	KafkaModifyState *state = modify->state;
	int			natts = modify->rel->tupdesc->natts;
	Datum	   *values = palloc0(sizeof(Datum) * natts);
	bool	   *isnull = palloc(sizeof(bool) * natts);
	const char *body = NULL;
	ListCell   *lc;

	if (state->delivery == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(modify->context);

		state->delivery = FeathubKafkaDeliveryBegin(modify->rel);
		MemoryContextSwitchTo(old);
	}
	memset(isnull, true, sizeof(bool) * natts);
	foreach(lc, modify->key_attrs)
	{
		int			i = foreach_current_index(lc);

		values[lfirst_int(lc) - 1] = key[i];
		isnull[lfirst_int(lc) - 1] = key_isnull[i];
	}
	empty_buffer(&state->key);
	begin_message(state, linitial(state->topics));
	(void) FeathubEncode(state->key_encoder, values, isnull, &state->key);
	if (state->value_encoder->format->encodes_deletes)
	{
		empty_buffer(&state->value);
		state->value_encoder->change = FEATHUB_CHANGE_DELETE;
		(void) FeathubEncode(state->value_encoder, values, isnull, &state->value);
		state->value_encoder->change = FEATHUB_CHANGE_UPSERT;
		body = state->value.data;
	}
	FeathubKafkaDeliverySend(state->delivery, linitial(state->topics), RD_KAFKA_PARTITION_UA,
							 state->key.data, state->key.len, body, body ? state->value.len : 0, 0,
							 add_headers(state, NULL));
	FeathubKafkaDeliveryCheck(state->delivery);
	return true;
}

void
FeathubKafkaEndModify(FeathubModify *modify)
{
	KafkaModifyState *state = modify->state;

	if (state != NULL && state->delivery != NULL)
		FeathubKafkaDeliveryFinish(state->delivery);
}

static FeathubEncoder *
make_encoder(FeathubRelation *rel, const FeathubFormat *format, int ncolumns,
			 FeathubColumn *columns, void *options)
{
	if (format->begin_encode == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into foreign table \"%s\", because format \"%s\" cannot be written",
						rel->relname, format->name)));
	return FeathubEncoderBegin(format, rel->tupdesc, ncolumns, columns, options);
}

/* Encode a row and queue its message. */
static void
send_row(KafkaModifyState *state, TupleTableSlot *slot)
{
	rd_kafka_headers_t *headers = NULL;
	const char *topic;
	const char *key;
	const char *value = NULL;
	Size		key_len;
	int32		partition;
	int64		timestamp;
	Datum		datum;

	slot_getallattrs(slot);
	topic = topic_of_row(state, slot);
	partition = partition_of_row(state, slot);
	timestamp = timestamp_of_row(state, slot);
	if (metadata_datum(state, slot, KAFKA_META_OFFSET, &datum))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into column \"%s\" of foreign table \"%s\"",
						column_name(state, KAFKA_META_OFFSET), state->rel->relname),
				 errdetail("The broker assigns offsets.")));

	empty_buffer(&state->key);
	empty_buffer(&state->value);
	begin_message(state, topic);
	key = key_of_row(state, slot, &key_len);
	if (FeathubEncode(state->value_encoder, slot->tts_values, slot->tts_isnull,
					  &state->value))
		value = state->value.data;

	/* last: nothing may fail between making the headers and handing them over */
	if (metadata_datum(state, slot, KAFKA_META_HEADERS, &datum))
		headers = FeathubKafkaHeadersFromJsonb(DatumGetJsonbP(datum));
	headers = add_headers(state, headers);

	FeathubKafkaDeliverySend(state->delivery, topic, partition, key, key_len,
							 value, value != NULL ? state->value.len : 0,
							 timestamp, headers);
}

/* The value of a metadata column; false if there is no column or it is NULL. */
static bool
metadata_datum(KafkaModifyState *state, TupleTableSlot *slot, KafkaMetadata kind,
			   Datum *value)
{
	AttrNumber	attnum = state->columns.metadata[kind];

	if (attnum == 0 || slot->tts_isnull[attnum - 1])
		return false;
	*value = slot->tts_values[attnum - 1];
	return true;
}

static const char *
column_name(KafkaModifyState *state, KafkaMetadata kind)
{
	return NameStr(TupleDescAttr(state->rel->tupdesc,
								 state->columns.metadata[kind] - 1)->attname);
}

static const char *
topic_of_row(KafkaModifyState *state, TupleTableSlot *slot)
{
	Datum		datum;
	char	   *name;
	ListCell   *lc;

	if (!metadata_datum(state, slot, KAFKA_META_TOPIC, &datum))
	{
		if (list_length(state->topics) == 1)
			return linitial(state->topics);
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of foreign table \"%s\" must say to which topic the row goes",
						column_name(state, KAFKA_META_TOPIC), state->rel->relname)));
	}
	name = TextDatumGetCString(datum);
	foreach(lc, state->topics)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return lfirst(lc);
	}
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("topic \"%s\" is not one of foreign table \"%s\"",
					name, state->rel->relname)));
}

static int32
partition_of_row(KafkaModifyState *state, TupleTableSlot *slot)
{
	AttrNumber	attnum = state->columns.metadata[KAFKA_META_PARTITION];
	Datum		datum;
	int64		partition;

	if (!metadata_datum(state, slot, KAFKA_META_PARTITION, &datum))
		return RD_KAFKA_PARTITION_UA;
	if (TupleDescAttr(state->rel->tupdesc, attnum - 1)->atttypid == INT4OID)
		partition = DatumGetInt32(datum);
	else
		partition = DatumGetInt64(datum);
	if (partition < 0 || partition > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("partition %lld is out of range", (long long) partition)));
	return (int32) partition;
}

/* Milliseconds since 1970; 0: the time of sending. */
static int64
timestamp_of_row(KafkaModifyState *state, TupleTableSlot *slot)
{
	const TimestampTz epoch = (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	Datum		datum;
	TimestampTz time;

	if (!metadata_datum(state, slot, KAFKA_META_TIMESTAMP, &datum))
		return 0;
	time = DatumGetTimestampTz(datum);
	/* in the protocol 0 and less are no times */
	if (TIMESTAMP_NOT_FINITE(time) || time < epoch + 1000)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("timestamp %s is out of range for Kafka", timestamptz_to_str(time)),
				 errdetail("A message's timestamp must be after 1970-01-01 00:00:00 UTC.")));
	return (time - epoch) / 1000;
}

/* A row that replaces another must say which. */
static void
check_key(KafkaModifyState *state, TupleTableSlot *slot)
{
	for (int i = 0; i < state->columns.nkey; i++)
	{
		const FeathubColumn *column = &state->columns.key[i];

		if (slot->tts_isnull[column->attnum - 1])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in key column \"%s\" of foreign table \"%s\"",
							column->name, state->rel->relname)));
	}
}

/* The key's bytes, or NULL. */
static const char *
key_of_row(KafkaModifyState *state, TupleTableSlot *slot, Size *len)
{
	Datum		datum;

	*len = 0;
	if (metadata_datum(state, slot, KAFKA_META_KEY, &datum))
	{
		/* text and bytea alike; text is written as UTF-8 */
		AttrNumber	attnum = state->columns.metadata[KAFKA_META_KEY];
		struct varlena *bytes = PG_DETOAST_DATUM_PACKED(datum);
		char	   *data = VARDATA_ANY(bytes);
		char	   *utf8;

		*len = VARSIZE_ANY_EXHDR(bytes);
		if (TupleDescAttr(state->rel->tupdesc, attnum - 1)->atttypid == BYTEAOID)
			return data;
		utf8 = pg_server_to_any(data, *len, PG_UTF8);
		if (utf8 != data)
			*len = strlen(utf8);
		return utf8;
	}
	if (state->key_encoder != NULL && FeathubKafkaUpserts(state->rel))
		check_key(state, slot);
	if (state->key_encoder != NULL &&
		FeathubEncode(state->key_encoder, slot->tts_values, slot->tts_isnull, &state->key))
	{
		*len = state->key.len;
		return state->key.data;
	}
	return NULL;
}

static void
empty_buffer(StringInfo buffer)
{
	if (buffer->maxlen > BUFFER_KEEP)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(buffer->data));

		pfree(buffer->data);
		initStringInfo(buffer);
		MemoryContextSwitchTo(old);
	}
	else
		resetStringInfo(buffer);
}
