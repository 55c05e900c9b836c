/*
 * mysql_charset.h
 *		Character sets of the server, by the number of a collation.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_CHARSET_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_CHARSET_H

/* What has to be done to have a column's text in UTF-8. */
typedef enum MysqlCharsetKind
{
	MYSQL_CHARSET_UNKNOWN,		/* the number is of no collation we know */
	MYSQL_CHARSET_BINARY,		/* bytes */
	MYSQL_CHARSET_UTF8,			/* nothing: UTF-8, ASCII */
	MYSQL_CHARSET_LATIN1,
	MYSQL_CHARSET_UTF16,		/* and UCS-2 */
	MYSQL_CHARSET_UTF16LE,
	MYSQL_CHARSET_UTF32,
	MYSQL_CHARSET_OTHER			/* by the C library's iconv */
} MysqlCharsetKind;

typedef struct MysqlCharset
{
	const char *name;			/* the server's */
	MysqlCharsetKind kind;
	const char *iconv;			/* its name for iconv */
	int			min_bytes;		/* of a character */
} MysqlCharset;

/* Never NULL; of kind MYSQL_CHARSET_UNKNOWN if there is none. */
extern const MysqlCharset *FeathubMysqlCharset(int collation);

/*
 * Text in UTF-8.  Returns false if the bytes are none of the character set, or
 * if the C library does not know it (*error is set, palloc'd).  *out is the
 * text itself if nothing was to be done, else palloc'd.
 */
extern bool FeathubMysqlCharsetToUtf8(const MysqlCharset *charset, const char *data, Size len,
									  const char **out, Size *out_len, char **error);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_CHARSET_H */
