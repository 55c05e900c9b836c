/*
 * json_parse.cpp
 *		The top level of a JSON record by simdjson's On-Demand parser, and
 *		floating-point numbers by <charconv>: the only C++ in the extension.
 *
 * Nothing here calls PostgreSQL, so no longjmp crosses a C++ frame, and nothing
 * throws: it is built with -fno-exceptions, allocates with nothrow new, and
 * reports by value.
 *
 * The tokenizer takes simdjson's index of a record's structural characters
 * (which also checks UTF-8 and quotes) to find where fields begin; values that
 * are not wanted are still read by json_scan.c, so that a bad record is bad
 * whichever of its fields a query needs.
 */
#include "formats/json_scan.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

/* a backend must not abort on a bad record, however this is built */
#ifndef NDEBUG
#define NDEBUG 1
#endif
#define SIMDJSON_DEVELOPMENT_CHECKS 0
#include <simdjson.h>

using namespace simdjson;

struct FeathubJsonParser
{
	ondemand::parser parser{FEATHUB_JSON_MAX_INDEXED + 1};
	char	   *buffer = nullptr;	/* the record and its padding */
	size_t		capacity = 0;	/* of buffer, without the padding */
};

FeathubJsonParser *
FeathubJsonParserCreate(void)
{
	return new (std::nothrow) FeathubJsonParser;
}

void
FeathubJsonParserFree(FeathubJsonParser *parser)
{
	if (parser != nullptr)
	{
		free(parser->buffer);
		delete parser;
	}
}

static FeathubJsonStatus
status_of(error_code error)
{
	switch (error)
	{
		case SUCCESS:
			return FEATHUB_JSON_OK;
		case EMPTY:
			return FEATHUB_JSON_EMPTY;
		case UTF8_ERROR:
			return FEATHUB_JSON_BAD_ENCODING;
		case UNESCAPED_CHARS:
			return FEATHUB_JSON_CONTROL_CHARACTER;
		case UNCLOSED_STRING:
		case INCOMPLETE_ARRAY_OR_OBJECT:
			return FEATHUB_JSON_TRUNCATED;
		case DEPTH_ERROR:
			return FEATHUB_JSON_TOO_DEEP;
		case INCORRECT_TYPE:
			return FEATHUB_JSON_NOT_OBJECT;
		case MEMALLOC:
			return FEATHUB_JSON_NO_MEMORY;
		default:
			return FEATHUB_JSON_SYNTAX;
	}
}

/* Room for a record of this length, twice as much as asked when it grows. */
static bool
reserve(FeathubJsonParser *parser, size_t len)
{
	if (parser->capacity >= len && parser->buffer != nullptr)
		return true;

	size_t		capacity = 4096;

	while (capacity < len)
		capacity *= 2;

	char	   *buffer = static_cast<char *>(realloc(parser->buffer,
													 capacity + SIMDJSON_PADDING));

	if (buffer == nullptr)
		return false;
	parser->buffer = buffer;
	parser->capacity = capacity;
	return parser->parser.allocate(capacity) == SUCCESS;
}

/*
 * The index of the field that a key names, or -1.  Records of one source have
 * their fields in the same order, so the last record's field at this place is
 * compared first.
 */
static inline int
find_field(FeathubJsonFields *fields, int place, const char *key, const char *end,
		   FeathubJsonStatus *status)
{
	int			expected = place < fields->norder ? fields->order[place] : -1;

	if (expected >= 0)
	{
		const FeathubJsonField *field = &fields->fields[expected];

		if (field->plain && static_cast<size_t>(end - key) > field->key_len &&
			key[field->key_len] == '"' && memcmp(key, field->key, field->key_len) == 0)
			return expected;
	}

	/* simdjson has seen the closing quote, but not checked the escapes */
	FeathubJsonToken token;
	const char *p = key - 1;

	*status = FeathubJsonScanValue(&p, end, &token);
	if (*status != FEATHUB_JSON_OK)
		return -1;

	int			found = FeathubJsonFieldsFind(fields, &token);

	if (place < static_cast<int>(sizeof(fields->order) / sizeof(fields->order[0])))
	{
		while (fields->norder < place)
			fields->order[fields->norder++] = -1;
		fields->order[place] = found;
		if (fields->norder == place)
			fields->norder++;
	}
	return found;
}

/* The value whose first structural token is raw; end is that of the record. */
static inline FeathubJsonStatus
read_value(std::string_view raw, const char *end, bool wanted, FeathubJsonToken *token)
{
	const char *start = raw.data();
	size_t		len = raw.size();

	while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\n' ||
					   start[len - 1] == '\r' || start[len - 1] == '\t'))
		len--;
	if (len == 0)
		return FEATHUB_JSON_SYNTAX;

	if (start[0] == '"' && len >= 2 && start[len - 1] == '"' &&
		memchr(start, '\\', len) == nullptr)
	{
		token->kind = FEATHUB_JSON_STRING;
		token->start = start + 1;
		token->len = len - 2;
		token->escaped = false;
		return FEATHUB_JSON_OK;
	}
	if (wanted && (start[0] == '-' || (start[0] >= '0' && start[0] <= '9')))
	{
		token->kind = FEATHUB_JSON_NUMBER;
		token->start = start;
		token->len = len;
		token->escaped = false;
		return FEATHUB_JSON_OK;
	}

	FeathubJsonStatus status;
	bool		container = start[0] == '{' || start[0] == '[';

	status = FeathubJsonScanValue(&start, container ? end : start + len, token);
	if (status != FEATHUB_JSON_OK)
		return status == FEATHUB_JSON_TRUNCATED && !container ? FEATHUB_JSON_SYNTAX : status;
	if (!container && start != raw.data() + len)
		return FEATHUB_JSON_SYNTAX;
	return FEATHUB_JSON_OK;
}

FeathubJsonStatus
FeathubJsonParse(FeathubJsonParser *parser, const char *data, size_t len,
				 FeathubJsonFields *fields)
{
	if (!reserve(parser, len))
		return FEATHUB_JSON_NO_MEMORY;
	memcpy(parser->buffer, data, len);
	memset(parser->buffer + len, ' ', SIMDJSON_PADDING);

	const char *end = parser->buffer + len;
	ondemand::document document;
	ondemand::object object;
	error_code	error;

	for (int i = 0; i < fields->nfields; i++)
		fields->fields[i].token.kind = FEATHUB_JSON_MISSING;

	error = parser->parser.iterate(parser->buffer, len, len + SIMDJSON_PADDING).get(document);
	if (error == SUCCESS)
		error = document.get_object().get(object);
	if (error != SUCCESS)
		return status_of(error);

	int			place = 0;

	for (auto result : object)
	{
		ondemand::field field;
		FeathubJsonStatus status = FEATHUB_JSON_OK;
		FeathubJsonToken token;

		error = std::move(result).get(field);
		if (error != SUCCESS)
			return status_of(error);

		int			i = find_field(fields, place, field.key().raw(), end, &status);

		if (status != FEATHUB_JSON_OK)
			return status;
		std::string_view raw = field.value().raw_json_token();

		status = read_value(raw, end, i >= 0, &token);
		if (status != FEATHUB_JSON_OK)
			return status;
		if (token.kind == FEATHUB_JSON_STRING)
		{
			/* step over it: skipping would take a string before a colon for a key */
			ondemand::raw_json_string string;

			if (field.value().get_raw_json_string().get(string) != SUCCESS)
				return FEATHUB_JSON_SYNTAX;
		}
		if (i >= 0)
			fields->fields[i].token = token;	/* the last one wins */
		place++;
	}

	const char *behind;

	if (document.current_location().get(behind) == SUCCESS)
		return FEATHUB_JSON_TRAILING;
	return FEATHUB_JSON_OK;
}

template <typename T>
static bool
parse_float(const char *s, size_t len, T *result)
{
	const char *end = s + len;
	T			value = 0;

	if (s < end && *s == '+')
	{
		s++;
		if (s < end && *s == '-')
			return false;
	}
	/* neither a hexadecimal number nor a name of infinity */
	for (const char *p = s; p < end; p++)
	{
		if (!((*p >= '0' && *p <= '9') || *p == '.' || *p == '-' || *p == '+' ||
			  *p == 'e' || *p == 'E'))
			return false;
	}

	auto		answer = std::from_chars(s, end, value);

	if (answer.ptr != end || answer.ec == std::errc::invalid_argument)
		return false;
	if (answer.ec == std::errc::result_out_of_range)
	{
		/* the standard leaves value alone: tell great from small as strtod does */
		char		buffer[512];

		value = 0;
		if (len < sizeof(buffer))
		{
			memcpy(buffer, s, end - s);
			buffer[end - s] = '\0';
			value = sizeof(T) == sizeof(float) ? static_cast<T>(strtof(buffer, nullptr)) :
				static_cast<T>(strtod(buffer, nullptr));
		}
	}
	*result = value;
	return true;
}

bool
FeathubParseDouble(const char *s, size_t len, double *result)
{
	return parse_float(s, len, result);
}

bool
FeathubParseFloat(const char *s, size_t len, float *result)
{
	return parse_float(s, len, result);
}
