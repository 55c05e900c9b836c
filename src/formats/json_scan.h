/*
 * json_scan.h
 *		Tokens of JSON text: what C and C++ share.  Knows nothing of PostgreSQL.
 *
 * Everything here is strict RFC 8259, allocates nothing, raises nothing and
 * reads no byte past the end it is given.  UTF-8 is checked elsewhere, for the
 * whole record.
 */
#ifndef FEATHUB_FORMATS_JSON_SCAN_H
#define FEATHUB_FORMATS_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C"
{
#endif

/* Arrays and objects inside each other: deeper ones are refused. */
#define FEATHUB_JSON_MAX_DEPTH 1024

/* Records above this size do without simdjson, whose index takes their size again. */
#define FEATHUB_JSON_MAX_INDEXED (1024 * 1024)

typedef enum FeathubJsonKind
{
	FEATHUB_JSON_MISSING = 0,
	FEATHUB_JSON_NULL,
	FEATHUB_JSON_TRUE,
	FEATHUB_JSON_FALSE,
	FEATHUB_JSON_NUMBER,
	FEATHUB_JSON_STRING,
	FEATHUB_JSON_OBJECT,
	FEATHUB_JSON_ARRAY
} FeathubJsonKind;

/* A value: of a string what is between its quotes, else its whole text. */
typedef struct FeathubJsonToken
{
	const char *start;
	size_t		len;
	uint8_t		kind;			/* FeathubJsonKind */
	bool		escaped;		/* a string with backslashes */
} FeathubJsonToken;

typedef enum FeathubJsonStatus
{
	FEATHUB_JSON_OK = 0,
	FEATHUB_JSON_EMPTY,			/* nothing but white space */
	FEATHUB_JSON_TRUNCATED,		/* ends too early */
	FEATHUB_JSON_SYNTAX,
	FEATHUB_JSON_TRAILING,		/* something behind the value */
	FEATHUB_JSON_NOT_OBJECT,
	FEATHUB_JSON_TOO_DEEP,
	FEATHUB_JSON_BAD_ENCODING,	/* not UTF-8 */
	FEATHUB_JSON_BAD_ESCAPE,	/* \x, \u12, half a surrogate pair */
	FEATHUB_JSON_NUL_ESCAPE,	/* \u0000 */
	FEATHUB_JSON_CONTROL_CHARACTER,
	FEATHUB_JSON_NO_MEMORY
} FeathubJsonStatus;

/* A field of an object that somebody wants. */
typedef struct FeathubJsonField
{
	const char *key;			/* UTF-8 */
	size_t		key_len;
	bool		plain;			/* key needs no escapes in JSON */
	FeathubJsonToken token;		/* set for each record; MISSING if absent */
} FeathubJsonField;

/* Fields, and a hash of their names for those that come out of order. */
typedef struct FeathubJsonFields
{
	int			nfields;
	FeathubJsonField *fields;
	uint32_t	hash_mask;		/* size of hash - 1, a power of two */
	int		   *hash;			/* indexes of fields, -1: empty */
	int			norder;			/* fields seen in the last record */
	int			order[64];		/* their indexes in that order; -1: unwanted */
} FeathubJsonFields;

/* json_scan.c */

/* Read one value from *p on, behind white space, and move *p behind it. */
extern FeathubJsonStatus FeathubJsonScanValue(const char **p, const char *end,
											  FeathubJsonToken *token);

/*
 * FeathubJsonScanBegin, FeathubJsonScanNext
 *		Iterate over the members of an object or array token.
 *
 * Next returns FEATHUB_JSON_OK with more set to false behind the last member.
 * key is NULL for arrays.
 */
typedef struct FeathubJsonScan
{
	const char *p;
	const char *end;
	bool		is_object;
	bool		first;
} FeathubJsonScan;
extern void FeathubJsonScanBegin(FeathubJsonScan *scan, const FeathubJsonToken *token);
extern FeathubJsonStatus FeathubJsonScanNext(FeathubJsonScan *scan, bool *more,
											 FeathubJsonToken *key,
											 FeathubJsonToken *value);

/*
 * FeathubJsonUnescape
 *		Resolve the escapes of a string token into dst, of token->len bytes.
 */
extern FeathubJsonStatus FeathubJsonUnescape(const FeathubJsonToken *token, char *dst,
											 size_t *dst_len);

/* Is the string token, escapes resolved, this name? */
extern bool FeathubJsonEquals(const FeathubJsonToken *token, const char *name, size_t len);

/* Does all of it follow the grammar of JSON's numbers? */
extern bool FeathubJsonIsNumber(const char *s, size_t len);

/* Build the hash over fields; hash has room for hash_mask + 1 entries. */
extern void FeathubJsonFieldsHash(FeathubJsonFields *fields);

/* The index of the field that a key token names, or -1. */
extern int	FeathubJsonFieldsFind(const FeathubJsonFields *fields,
								  const FeathubJsonToken *key);

/* Fill the fields from an object's text without an index: any size. */
extern FeathubJsonStatus FeathubJsonScanFields(const char *data, size_t len,
											   FeathubJsonFields *fields);

/* The same for one object token. */
extern FeathubJsonStatus FeathubJsonTokenFields(const FeathubJsonToken *object,
												FeathubJsonFields *fields);

/* json_parse.cpp */

typedef struct FeathubJsonParser FeathubJsonParser;

/* NULL if there is no memory.  Holds at most 8 bytes per indexed byte. */
extern FeathubJsonParser *FeathubJsonParserCreate(void);
extern void FeathubJsonParserFree(FeathubJsonParser *parser);

/*
 * FeathubJsonParse
 *		Fill the fields from a record of at most FEATHUB_JSON_MAX_INDEXED bytes.
 *
 * Tokens point into the parser's copy of the record, until the next call.  Of
 * a field's number only the extent is known, not that its grammar is right:
 * who converts it checks that.  Checks UTF-8.
 */
extern FeathubJsonStatus FeathubJsonParse(FeathubJsonParser *parser, const char *data,
										  size_t len, FeathubJsonFields *fields);

/*
 * FeathubParseDouble, FeathubParseFloat
 *		The nearest number to a decimal one, as strtod but without a locale.
 *
 * All of s must be digits with optional sign, point and exponent; false if not.
 * Too great gives infinity, too small zero.
 */
extern bool FeathubParseDouble(const char *s, size_t len, double *result);
extern bool FeathubParseFloat(const char *s, size_t len, float *result);

#ifdef __cplusplus
}
#endif

#endif							/* FEATHUB_FORMATS_JSON_SCAN_H */
