/*
 * kafka_row.c
 *		Messages to rows, and headers to jsonb and back.
 *
 * The path of a message without metadata columns is the format's decoder and
 * little else.  What does not change from message to message (the topic's name
 * as text) is kept in the decoder.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka.h"

/* The message in hand, for formats that look at more than its bytes. */
typedef struct RowMessage
{
	FeathubMessage base;		/* must be first */
	rd_kafka_message_t *message;	/* NULL: of a dead letter */
	Jsonb	   *headers;		/* of a dead letter, or NULL */
} RowMessage;

struct KafkaRowDecoder
{
	int			natts;
	KafkaColumns columns;
	FeathubDecoder *value;		/* NULL: no column comes from the value */
	FeathubDecoder *key;		/* NULL: none from the key */
	bool		has_metadata;	/* is any metadata column wanted? */
	bool		changelog;		/* does the value tell what happened to a row? */
	bool		key_is_text;	/* the metadata column key is text, not bytea */
	MemoryContext context;
	RowMessage	message;

	/* Kept texts */
	char	   *topic_name;		/* of the last message, or NULL */
	Datum		topic;			/* the same as text */
	Datum		create_time;
	Datum		log_append_time;
};

/* A header on its way into a message. */
typedef struct Header
{
	char	   *name;
	int			name_len;
	char	   *value;			/* NULL: null */
	int			value_len;
} Header;

static List *headers_of_jsonb(Jsonb *jsonb);

/* The last of a dead letter's headers of that name. */
static bool
get_stored_header(Jsonb *headers, const char *name, const char **data, Size *len)
{
	bool		found = false;
	ListCell   *lc;

	foreach(lc, headers_of_jsonb(headers))
	{
		Header	   *header = lfirst(lc);

		if (header->name_len == strlen(name) && memcmp(header->name, name, strlen(name)) == 0)
		{
			*data = header->value;
			*len = header->value_len;
			found = true;
		}
	}
	return found;
}

/* FeathubMessage.get_header */
static bool
get_header(FeathubMessage *base, const char *name, const char **data, Size *len)
{
	RowMessage *message = (RowMessage *) base;
	rd_kafka_headers_t *headers;
	const void *value;
	size_t		size;

	if (message->message == NULL)
		return message->headers && get_stored_header(message->headers, name, data, len);
	if (rd_kafka_message_headers(message->message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	*data = value;
	*len = size;
	return true;
}

KafkaRowDecoder *
FeathubKafkaRowBegin(FeathubRelation *rel, Bitmapset *needed)
{
	KafkaRowDecoder *decoder = palloc0(sizeof(KafkaRowDecoder));
	KafkaColumns *columns = &decoder->columns;

	decoder->natts = rel->tupdesc->natts;
	decoder->context = CurrentMemoryContext;
	FeathubKafkaColumnsOf(rel, needed, columns);
	/* of a changelog also to know what happened */
	if (columns->nvalue > 0 || rel->format->changelog)
		decoder->value = FeathubDecoderBegin(rel->format, rel->tupdesc, columns->nvalue,
											 columns->value, rel->format_options);
	if (columns->nkey > 0)
		decoder->key = FeathubDecoderBegin(columns->key_format, rel->tupdesc, columns->nkey,
										   columns->key, columns->key_options);
	decoder->message.base.get_header = get_header;
	if (decoder->value)
		decoder->value->message = &decoder->message.base;
	if (decoder->key)
		decoder->key->message = &decoder->message.base;
	for (int i = 0; i < KAFKA_META_COUNT; i++)
		decoder->has_metadata |= columns->metadata[i] != 0;
	if (columns->metadata[KAFKA_META_KEY] != 0)
		decoder->key_is_text =
			TupleDescAttr(rel->tupdesc, columns->metadata[KAFKA_META_KEY] - 1)->atttypid != BYTEAOID;
	decoder->changelog = rel->format->changelog;
	decoder->create_time = CStringGetTextDatum("create_time");
	decoder->log_append_time = CStringGetTextDatum("log_append_time");
	return decoder;
}

/* The text of a message's topic. */
static Datum
topic_datum(KafkaRowDecoder *decoder, const char *name)
{
	if (decoder->topic_name == NULL || strcmp(decoder->topic_name, name) != 0)
	{
		MemoryContext old = MemoryContextSwitchTo(decoder->context);

		/* not freed: a row of this batch may still point there */
		decoder->topic_name = pstrdup(name);
		decoder->topic = CStringGetTextDatum(name);
		MemoryContextSwitchTo(old);
	}
	return decoder->topic;
}

/* The key as text or bytea; false if it is no text. */
static bool
key_datum(KafkaRowDecoder *decoder, const char *key, Size len, Datum *value,
		  FeathubDecodeError *error)
{
	if (!decoder->key_is_text)
	{
		bytea	   *result = palloc(VARHDRSZ + len);

		SET_VARSIZE(result, VARHDRSZ + len);
		memcpy(VARDATA(result), key, len);
		*value = PointerGetDatum(result);
		return true;
	}
	if (!pg_verify_mbstr(PG_UTF8, key, len, true))
	{
		error->sqlerrcode = ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
		error->message = pstrdup("message key is not valid UTF-8 text");
		error->attnum = decoder->columns.metadata[KAFKA_META_KEY];
		return false;
	}
	if (GetDatabaseEncoding() == PG_UTF8)
		*value = PointerGetDatum(cstring_to_text_with_len(key, len));
	else
	{
		char	   *converted = pg_any_to_server(key, len, PG_UTF8);

		*value = PointerGetDatum(converted == key ? cstring_to_text_with_len(key, len) :
								 cstring_to_text(converted));
	}
	return true;
}

/* The columns that key and value fill. */
static inline bool
decode_body(KafkaRowDecoder *decoder, const char *key, Size key_len,
			const char *value, Size value_len, Datum *values, bool *isnull,
			FeathubDecodeError *error)
{
	memset(isnull, true, decoder->natts * sizeof(bool));
	if (decoder->changelog && !value && decoder->value)
		decoder->value->change = FEATHUB_CHANGE_NONE;
	if (value && decoder->value &&
		!FeathubDecode(decoder->value, value, value_len, values, isnull, error))
		return false;
	if (key && decoder->key &&
		!FeathubDecode(decoder->key, key, key_len, values, isnull, error))
		return false;
	return true;
}

/* A metadata column, if it is wanted. */
static inline void
set_metadata(KafkaRowDecoder *decoder, KafkaMetadata kind, Datum value,
			 Datum *values, bool *isnull)
{
	AttrNumber	attnum = decoder->columns.metadata[kind];

	if (attnum != 0)
	{
		values[attnum - 1] = value;
		isnull[attnum - 1] = false;
	}
}

/* Metadata that every record has, stored ones too. */
static bool
decode_metadata(KafkaRowDecoder *decoder, const char *topic, int32 partition,
				int64 offset, const char *key, Size key_len,
				Datum *values, bool *isnull, FeathubDecodeError *error)
{
	const AttrNumber *metadata = decoder->columns.metadata;
	Datum		datum;

	set_metadata(decoder, KAFKA_META_PARTITION, Int32GetDatum(partition), values, isnull);
	set_metadata(decoder, KAFKA_META_OFFSET, Int64GetDatum(offset), values, isnull);
	if (metadata[KAFKA_META_TOPIC] != 0)
		set_metadata(decoder, KAFKA_META_TOPIC, topic_datum(decoder, topic), values, isnull);
	if (metadata[KAFKA_META_KEY] != 0 && key)
	{
		if (!key_datum(decoder, key, key_len, &datum, error))
			return false;
		set_metadata(decoder, KAFKA_META_KEY, datum, values, isnull);
	}
	return true;
}

bool
FeathubKafkaRowDecode(KafkaRowDecoder *decoder, rd_kafka_message_t *message,
					  Datum *values, bool *isnull, FeathubDecodeError *error)
{
	const AttrNumber *metadata = decoder->columns.metadata;

	decoder->message.message = message;
	if (!decode_body(decoder, message->key, message->key_len,
					 message->payload, message->len, values, isnull, error))
		return false;
	if (!decoder->has_metadata)
		return true;
	if (!decode_metadata(decoder, rd_kafka_topic_name(message->rkt), message->partition,
						 message->offset, message->key, message->key_len,
						 values, isnull, error))
		return false;
	if (metadata[KAFKA_META_TIMESTAMP] != 0 || metadata[KAFKA_META_TIMESTAMP_TYPE] != 0)
	{
		rd_kafka_timestamp_type_t type;
		int64		ms = rd_kafka_message_timestamp(message, &type);

		if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && ms >= 0)
		{
			set_metadata(decoder, KAFKA_META_TIMESTAMP,
						 TimestampTzGetDatum(FeathubKafkaTimestamp(ms)), values, isnull);
			set_metadata(decoder, KAFKA_META_TIMESTAMP_TYPE,
						 type == RD_KAFKA_TIMESTAMP_CREATE_TIME ?
						 decoder->create_time : decoder->log_append_time, values, isnull);
		}
	}
	if (metadata[KAFKA_META_HEADERS] != 0)
	{
		Jsonb	   *headers = FeathubKafkaHeadersToJsonb(message);

		if (headers)
			set_metadata(decoder, KAFKA_META_HEADERS, JsonbPGetDatum(headers), values, isnull);
	}
	return true;
}

bool
FeathubKafkaRowDecodeStored(KafkaRowDecoder *decoder, const char *topic,
							int32 partition, const FeathubRecord *record,
							Datum headers, bool headers_isnull,
							Datum *values, bool *isnull, FeathubDecodeError *error)
{
	decoder->message.message = NULL;
	decoder->message.headers = headers_isnull ? NULL : DatumGetJsonbP(headers);
	if (!decode_body(decoder, record->key, record->key_len,
					 record->value, record->value_len, values, isnull, error))
		return false;
	if (!decoder->has_metadata)
		return true;
	if (!decode_metadata(decoder, topic, partition, record->sequence,
						 record->key, record->key_len, values, isnull, error))
		return false;
	/* the type of the timestamp has not been kept; nearly all are this one */
	if (!TIMESTAMP_IS_NOBEGIN(record->timestamp))
	{
		set_metadata(decoder, KAFKA_META_TIMESTAMP,
					 TimestampTzGetDatum(record->timestamp), values, isnull);
		set_metadata(decoder, KAFKA_META_TIMESTAMP_TYPE, decoder->create_time,
					 values, isnull);
	}
	if (!headers_isnull)
		set_metadata(decoder, KAFKA_META_HEADERS, headers, values, isnull);
	return true;
}

FeathubChange
FeathubKafkaRowChange(const KafkaRowDecoder *decoder, TimestampTz *change_time)
{
	*change_time = DT_NOBEGIN;
	if (!decoder->changelog || decoder->value == NULL)
		return FEATHUB_CHANGE_UPSERT;
	*change_time = decoder->value->change_time;
	return decoder->value->change;
}

/* Headers */

/* Is it text that jsonb can hold in this database? */
static bool
is_text(const char *data, Size len)
{
	if (!pg_verify_mbstr(PG_UTF8, data, len, true))
		return false;
	if (GetDatabaseEncoding() != PG_UTF8)
	{
		for (Size i = 0; i < len; i++)
		{
			if (IS_HIGHBIT_SET(data[i]))
				return false;
		}
	}
	return true;
}

static void
push_string(JsonbParseState **state, JsonbIteratorToken token, const char *data, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, data);
	value.val.string.len = len;
	(void) pushJsonbValue(state, token, &value);
}

/* Bytes as a member's value: text, {"base64": text} or null. */
static void
push_bytes(JsonbParseState **state, const char *data, Size len)
{
	JsonbValue	null = {.type = jbvNull};
	char	   *encoded;
	int			size;

	if (data == NULL)
	{
		(void) pushJsonbValue(state, WJB_VALUE, &null);
		return;
	}
	if (is_text(data, len))
	{
		push_string(state, WJB_VALUE, data, (int) len);
		return;
	}
	size = pg_b64_enc_len((int) len);
	encoded = palloc(size + 1);
	size = pg_b64_encode((const void *) data, (int) len, encoded, size);
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_string(state, WJB_KEY, "base64", 6);
	push_string(state, WJB_VALUE, encoded, Max(size, 0));
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

Jsonb *
FeathubKafkaHeadersToJsonb(rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers;
	JsonbParseState *state = NULL;
	const char *name;
	const void *data;
	size_t		len;
	size_t		i = 0;

	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	while (rd_kafka_header_get_all(headers, i++, &name, &data, &len) == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_string(&state, WJB_KEY, "key", 3);
		push_bytes(&state, name, strlen(name));
		push_string(&state, WJB_KEY, "value", 5);
		push_bytes(&state, data, len);
		(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static void
bad_headers(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid message headers"),
			 errdetail_internal("%s", detail),
			 errhint("Headers are [{\"key\": \"name\", \"value\": \"text\"}, ...] or {\"name\": \"text\", ...}; a value may be null or {\"base64\": \"...\"}.")));
}

/* The bytes of a string, an object {"base64": ...} or null. */
static void
get_bytes(JsonbValue *from, char **data, int *len)
{
	JsonbValue *encoded;
	int			size;

	*data = NULL;
	*len = 0;
	if (from == NULL || from->type == jbvNull)
		return;
	if (from->type == jbvString)
	{
		char	   *text = pnstrdup(from->val.string.val, from->val.string.len);

		*data = pg_server_to_any(text, from->val.string.len, PG_UTF8);
		*len = *data == text ? from->val.string.len : strlen(*data);
		return;
	}
	if (from->type != jbvBinary || !JsonContainerIsObject(from->val.binary.data))
		bad_headers("A value is neither a string nor null.");
	encoded = getKeyJsonValueFromContainer(from->val.binary.data, "base64", 6, NULL);
	if (encoded == NULL || encoded->type != jbvString)
		bad_headers("A value is an object without \"base64\".");
	size = pg_b64_dec_len(encoded->val.string.len);
	*data = palloc(size + 1);
	*len = pg_b64_decode(encoded->val.string.val, encoded->val.string.len,
						 (void *) *data, size);
	if (*len < 0)
		bad_headers("A value is not valid base64.");
}

/* [{"key": ..., "value": ...}, ...] */
static List *
headers_of_array(JsonbContainer *array)
{
	List	   *result = NIL;
	int			n = JsonContainerSize(array);

	for (int i = 0; i < n; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);
		Header	   *header = palloc0(sizeof(Header));
		JsonbValue *name;

		if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
			bad_headers("An element is not an object.");
		name = getKeyJsonValueFromContainer(element->val.binary.data, "key", 3, NULL);
		get_bytes(name, &header->name, &header->name_len);
		if (header->name == NULL)
			bad_headers("An element has no \"key\".");
		get_bytes(getKeyJsonValueFromContainer(element->val.binary.data, "value", 5, NULL),
				  &header->value, &header->value_len);
		result = lappend(result, header);
	}
	return result;
}

/* {"name": value, ...} */
static List *
headers_of_object(JsonbContainer *object)
{
	List	   *result = NIL;
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	value;
	Header	   *header = NULL;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			header = palloc0(sizeof(Header));
			get_bytes(&value, &header->name, &header->name_len);
		}
		else if (token == WJB_VALUE)
		{
			get_bytes(&value, &header->value, &header->value_len);
			result = lappend(result, header);
		}
	}
	return result;
}

/* Headers (Header *) in either notation. */
static List *
headers_of_jsonb(Jsonb *jsonb)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
		bad_headers("They are neither an array nor an object.");
	return JB_ROOT_IS_ARRAY(jsonb) ? headers_of_array(&jsonb->root) :
		headers_of_object(&jsonb->root);
}

rd_kafka_headers_t *
FeathubKafkaHeadersFromJsonb(Jsonb *jsonb)
{
	List	   *list = headers_of_jsonb(jsonb);
	rd_kafka_headers_t *headers;
	ListCell   *lc;

	/* no error can come any more */
	headers = rd_kafka_headers_new(Max(list_length(list), 1));
	foreach(lc, list)
	{
		Header	   *header = lfirst(lc);

		(void) rd_kafka_header_add(headers, header->name, header->name_len,
								   header->value, header->value_len);
	}
	return headers;
}
