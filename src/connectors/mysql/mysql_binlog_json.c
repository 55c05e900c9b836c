/*
 * mysql_binlog_json.c
 *		MySQL's binary JSON, to the text that the server would send.
 *
 * A value is a type and bytes.  Objects and arrays begin with the number of
 * their members and their size; then come entries of fixed size with the places
 * of keys and values, so that small values are in the entries themselves.  The
 * small kind has places of two bytes, the large kind of four.
 *
 * Places are not trusted: several entries may claim the same bytes, which could
 * make a text without end, so that its length is bounded by that of the bytes.
 *
 * Changes (PARTIAL_UPDATE_ROWS) are a list of an operation, a path and a value.
 * Containers on the path are turned into nodes; all else stays bytes.
 */
#include "postgres.h"

#include "common/base64.h"
#include "utils/builtins.h"

#include "connectors/mysql/mysql_binlog_reader.h"
#include "core/hex.h"

enum
{
	JSON_SMALL_OBJECT,
	JSON_LARGE_OBJECT,
	JSON_SMALL_ARRAY,
	JSON_LARGE_ARRAY,
	JSON_LITERAL,
	JSON_INT16,
	JSON_UINT16,
	JSON_INT32,
	JSON_UINT32,
	JSON_INT64,
	JSON_UINT64,
	JSON_DOUBLE,
	JSON_STRING,
	JSON_OPAQUE = 15,

	/* not in the bytes: a container that was changed */
	JSON_NODE = 256
};

#define MAX_DEPTH		100		/* the server's own limit */
#define BASE64_LINE		76		/* characters, then the server breaks the line */

/* A value in bytes, or a node. */
typedef struct JsonValue
{
	int			type;
	const uint8 *data;
	Size		len;			/* up to the end of the container: enough or more */
	struct JsonNode *node;
} JsonValue;

typedef struct JsonMember
{
	MysqlBinlogString key;		/* of objects */
	JsonValue	value;
} JsonMember;

typedef struct JsonNode
{
	bool		is_object;
	int			nmembers;
	int			max_members;
	JsonMember *members;
} JsonNode;

/* An object or array in bytes, its header read. */
typedef struct JsonContainer
{
	bool		is_object;
	int			width;			/* of places */
	uint32		count;
	const uint8 *data;
	Size		len;
	Size		keys;			/* place of the entries of keys */
	Size		values;			/* and of values */
} JsonContainer;

static bool append_value(StringInfo out, const JsonValue *value, Size max, int depth);

static bool
is_container(int type)
{
	return type <= JSON_LARGE_ARRAY;
}

static bool
open_container(const JsonValue *value, JsonContainer *container)
{
	uint64		size;
	Size		entry;

	container->is_object = value->type <= JSON_LARGE_OBJECT;
	container->width = value->type == JSON_LARGE_OBJECT || value->type == JSON_LARGE_ARRAY ? 4 : 2;
	if (value->len < 2 * container->width)
		return false;
	container->count = get_little_endian(value->data, container->width);
	size = get_little_endian(value->data + container->width, container->width);
	if (size > value->len)
		return false;
	container->data = value->data;
	container->len = size;
	container->keys = 2 * container->width;
	entry = container->is_object ? container->width + 2 : 0;
	container->values = container->keys + (Size) container->count * entry;
	return container->values + (Size) container->count * (1 + container->width) <= size;
}

static bool
get_key(const JsonContainer *container, uint32 i, MysqlBinlogString *key)
{
	const uint8 *entry = container->data + container->keys + (Size) i * (container->width + 2);
	uint64		place = get_little_endian(entry, container->width);

	key->len = get_little_endian(entry + container->width, 2);
	key->data = (const char *) container->data + place;
	return place <= container->len && key->len <= container->len - place;
}

static bool
get_member(const JsonContainer *container, uint32 i, JsonValue *value)
{
	const uint8 *entry = container->data + container->values + (Size) i * (1 + container->width);
	uint64		place;

	value->type = *entry++;
	value->node = NULL;
	/* what fits is in the entry */
	if (value->type == JSON_LITERAL || value->type == JSON_INT16 || value->type == JSON_UINT16 ||
		(container->width == 4 && (value->type == JSON_INT32 || value->type == JSON_UINT32)))
	{
		value->data = entry;
		value->len = container->width;
		return true;
	}
	place = get_little_endian(entry, container->width);
	/* behind the entries, or a container could be its own member */
	if (place < container->values + (Size) container->count * (1 + container->width) ||
		place > container->len)
		return false;
	value->data = container->data + place;
	value->len = container->len - place;
	return true;
}

/* A length in groups of seven bits, the least significant first. */
static bool
read_length(const uint8 **data, Size *len, uint64 *result)
{
	*result = 0;
	for (int i = 0; i < 5 && i < *len; i++)
	{
		*result |= (uint64) ((*data)[i] & 0x7f) << (7 * i);
		if (((*data)[i] & 0x80) == 0)
		{
			*data += i + 1;
			*len -= i + 1;
			return *result <= *len;
		}
	}
	return false;
}

/* Text */

static void
append_string(StringInfo out, const char *data, Size len)
{
	Size		begin = 0;

	appendStringInfoCharMacro(out, '"');
	for (Size i = 0; i < len; i++)
	{
		unsigned char c = data[i];
		const char *escape = NULL;

		if (likely(c >= ' ' && c != '"' && c != '\\'))
			continue;
		appendBinaryStringInfo(out, data + begin, i - begin);
		begin = i + 1;
		switch (c)
		{
			case '"':
				escape = "\\\"";
				break;
			case '\\':
				escape = "\\\\";
				break;
			case '\b':
				escape = "\\b";
				break;
			case '\f':
				escape = "\\f";
				break;
			case '\n':
				escape = "\\n";
				break;
			case '\r':
				escape = "\\r";
				break;
			case '\t':
				escape = "\\t";
				break;
			default:
				appendStringInfo(out, "\\u%04x", c);
		}
		if (escape)
			appendStringInfoString(out, escape);
	}
	appendBinaryStringInfo(out, data + begin, len - begin);
	appendStringInfoCharMacro(out, '"');
}

/* A time: microseconds and the parts above them, in one number. */
static void
append_time(StringInfo out, int type, int64 packed)
{
	char		text[64];
	int			len = 0;
	bool		negative = packed < 0;
	uint64		value = negative ? -(uint64) packed : packed;
	int			micros = (value & 0xffffff) % 1000000;

	value >>= 24;
	if (type == MYSQL_BINLOG_TIME)
		len = FeathubMysqlBinlogWriteTime(text, negative, (value >> 12) & 0x3ff,
										  (value >> 6) & 0x3f, value & 0x3f, micros, 6);
	else
	{
		int			year_month = (value >> 22) & 0x1ffff;

		len = FeathubMysqlBinlogWriteDate(text, year_month / 13 % 10000, year_month % 13,
										  (value >> 17) & 0x1f);
		if (type != MYSQL_BINLOG_DATE)
		{
			text[len++] = ' ';
			len += FeathubMysqlBinlogWriteTime(text + len, false, (value >> 12) & 0x1f,
											   (value >> 6) & 0x3f, value & 0x3f, micros, 6);
		}
	}
	appendStringInfoCharMacro(out, '"');
	appendBinaryStringInfo(out, text, len);
	appendStringInfoCharMacro(out, '"');
}

/* A value of a type that JSON does not have. */
static bool
append_opaque(StringInfo out, const uint8 *data, Size len)
{
	int			type;
	uint64		size;
	char	   *text;
	int			text_len;

	if (len < 1)
		return false;
	type = *data++;
	len--;
	if (!read_length(&data, &len, &size))
		return false;
	switch (type)
	{
		case MYSQL_BINLOG_DECIMAL:
			{
				char		number[80];

				if (size < 2 || data[0] < 1 || data[0] > 65 || data[1] > 38 || data[1] > data[0] ||
					FeathubMysqlBinlogDecimalSize(data[0], data[1]) > size - 2)
					return false;
				text_len = FeathubMysqlBinlogWriteDecimal(number, data + 2, data[0], data[1]);
				appendBinaryStringInfo(out, number, text_len);
				return true;
			}
		case MYSQL_BINLOG_DATE:
		case MYSQL_BINLOG_TIME:
		case MYSQL_BINLOG_DATETIME:
		case MYSQL_BINLOG_TIMESTAMP:
			if (size < 8)
				return false;
			append_time(out, type, (int64) get_little_endian(data, 8));
			return true;
		default:
			break;
	}
	if (size > MaxAllocSize / 2)
		return false;
	appendStringInfo(out, "\"base64:type%d:", type);
	text = palloc(pg_b64_enc_len(size) + 1);
	text_len = pg_b64_encode((const void *) data, size, text, pg_b64_enc_len(size) + 1);
	for (int i = 0; i < text_len; i += BASE64_LINE)
	{
		if (i > 0)
			appendStringInfoString(out, "\\n");
		appendBinaryStringInfo(out, text + i, Min(BASE64_LINE, text_len - i));
	}
	appendStringInfoCharMacro(out, '"');
	return true;
}

static void
append_double(StringInfo out, const uint8 *data)
{
	uint64		bits = get_little_endian(data, 8);
	double		value;
	char		text[64];
	int			len;

	memcpy(&value, &bits, 8);
	len = FeathubMysqlBinlogWriteDouble(text, value);
	appendBinaryStringInfo(out, text, len);
	if (memchr(text, '.', len) == NULL && memchr(text, 'e', len) == NULL)
		appendStringInfoString(out, ".0");
}

static bool
append_container(StringInfo out, const JsonValue *value, Size max, int depth)
{
	JsonContainer container;

	if (!open_container(value, &container))
		return false;
	appendStringInfoCharMacro(out, container.is_object ? '{' : '[');
	for (uint32 i = 0; i < container.count; i++)
	{
		JsonValue	member;

		if (i > 0)
			appendBinaryStringInfo(out, ", ", 2);
		if (container.is_object)
		{
			MysqlBinlogString key;

			if (!get_key(&container, i, &key))
				return false;
			append_string(out, key.data, key.len);
			appendBinaryStringInfo(out, ": ", 2);
		}
		if (!get_member(&container, i, &member) || !append_value(out, &member, max, depth + 1))
			return false;
	}
	appendStringInfoCharMacro(out, container.is_object ? '}' : ']');
	return true;
}

static bool
append_node(StringInfo out, const JsonNode *node, Size max, int depth)
{
	appendStringInfoCharMacro(out, node->is_object ? '{' : '[');
	for (int i = 0; i < node->nmembers; i++)
	{
		if (i > 0)
			appendBinaryStringInfo(out, ", ", 2);
		if (node->is_object)
		{
			append_string(out, node->members[i].key.data, node->members[i].key.len);
			appendBinaryStringInfo(out, ": ", 2);
		}
		if (!append_value(out, &node->members[i].value, max, depth + 1))
			return false;
	}
	appendStringInfoCharMacro(out, node->is_object ? '}' : ']');
	return true;
}

static bool
append_value(StringInfo out, const JsonValue *value, Size max, int depth)
{
	static const uint8 sizes[] = {[JSON_LITERAL] = 1,[JSON_INT16] = 2,[JSON_UINT16] = 2,
		[JSON_INT32] = 4,[JSON_UINT32] = 4,[JSON_INT64] = 8,[JSON_UINT64] = 8,[JSON_DOUBLE] = 8};
	const uint8 *data = value->data;
	Size		len = value->len;
	uint64		size;

	if (out->len > max || depth > MAX_DEPTH)
		return false;
	if (value->type == JSON_NODE)
		return append_node(out, value->node, max, depth);
	if (is_container(value->type))
		return append_container(out, value, max, depth);
	if (value->type <= JSON_DOUBLE && len < sizes[value->type])
		return false;
	switch (value->type)
	{
		case JSON_LITERAL:
			if (data[0] > 2)
				return false;
			appendStringInfoString(out, data[0] == 0 ? "null" : data[0] == 1 ? "true" : "false");
			return true;
		case JSON_INT16:
			appendStringInfo(out, "%d", (int16) get_little_endian(data, 2));
			return true;
		case JSON_UINT16:
			appendStringInfo(out, "%u", (unsigned) get_little_endian(data, 2));
			return true;
		case JSON_INT32:
			appendStringInfo(out, "%d", (int32) get_little_endian(data, 4));
			return true;
		case JSON_UINT32:
			appendStringInfo(out, "%u", (uint32) get_little_endian(data, 4));
			return true;
		case JSON_INT64:
			appendStringInfo(out, INT64_FORMAT, (int64) get_little_endian(data, 8));
			return true;
		case JSON_UINT64:
			appendStringInfo(out, UINT64_FORMAT, get_little_endian(data, 8));
			return true;
		case JSON_DOUBLE:
			append_double(out, data);
			return true;
		case JSON_STRING:
			if (!read_length(&data, &len, &size))
				return false;
			append_string(out, (const char *) data, size);
			return true;
		case JSON_OPAQUE:
			return append_opaque(out, data, len);
		default:
			return false;
	}
}

/* The value that a document is; one without bytes is null, as on the server. */
static JsonValue
whole_document(const uint8 *data, Size len)
{
	static const uint8 null_literal = 0;
	JsonValue	value = {JSON_LITERAL, &null_literal, 1, NULL};

	if (len > 0)
	{
		value.type = data[0];
		value.data = data + 1;
		value.len = len - 1;
	}
	return value;
}

/* Text for so many bytes is never longer: an escape is of six, a number of 25. */
static Size
max_text(Size len)
{
	return len > MaxAllocSize / 16 ? MaxAllocSize : len * 16 + 1024;
}

bool
FeathubMysqlJsonToText(StringInfo out, const uint8 *data, Size len)
{
	JsonValue	value = whole_document(data, len);

	/* room at once for what is usual */
	enlargeStringInfo(out, Min(len * 2, 1000000));
	return append_value(out, &value, out->len + max_text(len), 1);
}

/* Changes */

/* Turn a container in bytes into a node; false: it is malformed, or none. */
static bool
make_node(JsonValue *value)
{
	JsonContainer container;
	JsonNode   *node;

	if (value->type == JSON_NODE)
		return true;
	if (!is_container(value->type) || !open_container(value, &container))
		return false;
	node = palloc0(sizeof(JsonNode));
	node->is_object = container.is_object;
	node->nmembers = container.count;
	node->max_members = container.count + 4;
	node->members = palloc_extended(sizeof(JsonMember) * node->max_members, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < container.count; i++)
	{
		if (!get_member(&container, i, &node->members[i].value) ||
			(container.is_object && !get_key(&container, i, &node->members[i].key)))
			return false;
	}
	value->type = JSON_NODE;
	value->node = node;
	return true;
}

/* A quoted key of a path; *p is behind its first quote. */
static bool
read_quoted_key(const char **p, const char *end, MysqlBinlogString *key)
{
	StringInfoData text;

	initStringInfo(&text);
	while (*p < end && **p != '"')
	{
		char		c = *(*p)++;

		if (c == '\\')
		{
			if (*p == end)
				return false;
			c = *(*p)++;
			switch (c)
			{
				case 'b':
					c = '\b';
					break;
				case 'f':
					c = '\f';
					break;
				case 'n':
					c = '\n';
					break;
				case 'r':
					c = '\r';
					break;
				case 't':
					c = '\t';
					break;
				case 'u':
					{
						int			code = 0;

						/* the server writes control characters so, and no others */
						if (end - *p < 4)
							return false;
						for (int i = 0; i < 4; i++)
						{
							int			digit = FeathubHexDigit(*(*p)++);

							if (digit < 0)
								return false;
							code = code << 4 | digit;
						}
						if (code > 0x7f)
							return false;
						c = code;
						break;
					}
				default:
					break;
			}
		}
		appendStringInfoChar(&text, c);
	}
	if (*p == end)
		return false;
	(*p)++;
	key->data = text.data;
	key->len = text.len;
	return true;
}

/* A step of a path: a key, or a place in an array. */
typedef struct PathStep
{
	bool		is_key;
	MysqlBinlogString key;
	uint64		place;
	bool		from_end;		/* place counts from the last one */
} PathStep;

static bool
read_step(const char **p, const char *end, PathStep *step)
{
	const char *begin;

	memset(step, 0, sizeof(PathStep));
	if (**p == '.')
	{
		(*p)++;
		step->is_key = true;
		if (*p < end && **p == '"')
		{
			(*p)++;
			return read_quoted_key(p, end, &step->key);
		}
		begin = *p;
		while (*p < end && **p != '.' && **p != '[')
			(*p)++;
		step->key.data = begin;
		step->key.len = *p - begin;
		return step->key.len > 0;
	}
	if (**p != '[')
		return false;
	(*p)++;
	if (end - *p >= 4 && strncmp(*p, "last", 4) == 0)
	{
		step->from_end = true;
		*p += 4;
		if (*p < end && **p == '-')
			(*p)++;
	}
	while (*p < end && **p >= '0' && **p <= '9')
	{
		if (step->place > PG_UINT32_MAX)
			return false;
		step->place = step->place * 10 + (*(*p)++ - '0');
	}
	if (*p == end || **p != ']')
		return false;
	(*p)++;
	return true;
}

/* The member that a step leads to: its number; -1: none, and *place is where it belongs. */
static int
find_member(const JsonNode *node, const PathStep *step, int *place)
{
	*place = node->nmembers;
	if (step->is_key != node->is_object)
		return -1;
	if (!step->is_key)
	{
		uint64		i = step->place;

		if (step->from_end)
			i = i < node->nmembers ? node->nmembers - 1 - i : PG_UINT32_MAX;
		if (i < node->nmembers)
			*place = i;
		return i < node->nmembers ? (int) i : -1;
	}
	/* by length, then by bytes */
	for (int i = 0; i < node->nmembers; i++)
	{
		const MysqlBinlogString *key = &node->members[i].key;
		int			order = key->len < step->key.len ? -1 : key->len > step->key.len ? 1 :
			memcmp(key->data, step->key.data, key->len);

		if (order == 0)
			return i;
		if (order > 0)
		{
			*place = i;
			break;
		}
	}
	return -1;
}

static void
insert_member(JsonNode *node, int place, const PathStep *step, const JsonValue *value)
{
	if (node->nmembers == node->max_members)
	{
		node->max_members *= 2;
		node->members = repalloc_huge(node->members, sizeof(JsonMember) * node->max_members);
	}
	memmove(&node->members[place + 1], &node->members[place],
			sizeof(JsonMember) * (node->nmembers - place));
	node->nmembers++;
	node->members[place].key = step->key;
	node->members[place].value = *value;
}

static bool
change_member(JsonNode *node, int operation, const PathStep *step, const JsonValue *value)
{
	enum
	{
		REPLACE, INSERT, REMOVE
	};
	int			place;
	int			found;

	if (step->is_key != node->is_object)
		return false;
	found = find_member(node, step, &place);
	switch (operation)
	{
		case REPLACE:
			if (found >= 0)
				node->members[found].value = *value;
			return found >= 0;
		case INSERT:
			/* a place of an array moves those behind it */
			if (step->is_key && found >= 0)
				return false;
			insert_member(node, place, step, value);
			return true;
		case REMOVE:
			if (found < 0)
				return false;
			memmove(&node->members[found], &node->members[found + 1],
					sizeof(JsonMember) * (node->nmembers - found - 1));
			node->nmembers--;
			return true;
		default:
			return false;
	}
}

/* Follow the path "$.a[1].b" to its last step, and change there. */
static bool
apply_change(JsonValue *document, int operation, MysqlBinlogString path, const JsonValue *value)
{
	const char *p = path.data;
	const char *end = p + path.len;
	JsonValue  *current = document;

	if (p == end || *p++ != '$' || p == end)
		return false;
	while (p < end)
	{
		PathStep	step;
		int			place;
		int			found;

		if (!read_step(&p, end, &step) || !make_node(current))
			return false;
		if (p == end)
			return change_member(current->node, operation, &step, value);
		found = find_member(current->node, &step, &place);
		if (found < 0)
			return false;
		current = &current->node->members[found].value;
	}
	return false;
}

bool
FeathubMysqlJsonApply(StringInfo out, const uint8 *data, Size len,
					  const uint8 *diffs, Size diffs_len)
{
	BinlogCursor cursor = {diffs, diffs + diffs_len, false};
	JsonValue	document = whole_document(data, len);

	while (cursor_left(&cursor) > 0)
	{
		int			operation = cursor_number(&cursor, 1);
		MysqlBinlogString path = cursor_string(&cursor, cursor_packed(&cursor));
		JsonValue	value = whole_document(NULL, 0);

		if (cursor.bad || operation > 2)
			return false;
		if (operation < 2)
		{
			MysqlBinlogString bytes = cursor_string(&cursor, cursor_packed(&cursor));

			if (cursor.bad)
				return false;
			value = whole_document((const uint8 *) bytes.data, bytes.len);
		}
		if (!apply_change(&document, operation, path, &value))
			return false;
	}
	return append_value(out, &document, max_text(len + diffs_len), 1);
}
