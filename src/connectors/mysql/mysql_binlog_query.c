/*
 * mysql_binlog_query.c
 *		Statements in binary logs, and where transactions begin and end.
 *
 * Of a statement only its first words are looked at: they tell whether it is
 * the server's own bracket around rows, a change of tables, or rows that were
 * logged as a statement.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"

#define QUERY_POST_HEADER		13
#define LOAD_QUERY_POST_HEADER	26

/* Status variables before the client's character set, and that. */
#define STATUS_FLAGS			0
#define STATUS_SQL_MODE			1
#define STATUS_CATALOG			2
#define STATUS_AUTO_INCREMENT	3
#define STATUS_CHARSET			4
#define STATUS_CATALOG_NZ		6

/* A place in a statement's text. */
typedef struct Words
{
	const char *p;
	const char *end;
} Words;

static const struct
{
	const char *word;
	MysqlBinlogQueryType type;
}			first_words[] = {
	{"ALTER", MYSQL_BINLOG_QUERY_DDL},
	{"ANALYZE", MYSQL_BINLOG_QUERY_OTHER},
	{"CACHE", MYSQL_BINLOG_QUERY_OTHER},
	{"CHANGE", MYSQL_BINLOG_QUERY_OTHER},
	{"CHECK", MYSQL_BINLOG_QUERY_OTHER},
	{"CHECKSUM", MYSQL_BINLOG_QUERY_OTHER},
	{"CREATE", MYSQL_BINLOG_QUERY_DDL},
	{"DROP", MYSQL_BINLOG_QUERY_DDL},
	{"FLUSH", MYSQL_BINLOG_QUERY_OTHER},
	{"GRANT", MYSQL_BINLOG_QUERY_OTHER},
	{"INSTALL", MYSQL_BINLOG_QUERY_OTHER},
	{"KILL", MYSQL_BINLOG_QUERY_OTHER},
	{"LOCK", MYSQL_BINLOG_QUERY_OTHER},
	{"OPTIMIZE", MYSQL_BINLOG_QUERY_OTHER},
	{"PURGE", MYSQL_BINLOG_QUERY_OTHER},
	{"RELEASE", MYSQL_BINLOG_QUERY_OTHER},	/* SAVEPOINT */
	{"RENAME", MYSQL_BINLOG_QUERY_DDL},
	{"REPAIR", MYSQL_BINLOG_QUERY_OTHER},
	{"RESET", MYSQL_BINLOG_QUERY_OTHER},
	{"REVOKE", MYSQL_BINLOG_QUERY_OTHER},
	{"SET", MYSQL_BINLOG_QUERY_OTHER},
	{"TRUNCATE", MYSQL_BINLOG_QUERY_DDL},
	{"UNINSTALL", MYSQL_BINLOG_QUERY_OTHER},
	{"UNLOCK", MYSQL_BINLOG_QUERY_OTHER},
	{"USE", MYSQL_BINLOG_QUERY_OTHER},
	{"XA", MYSQL_BINLOG_QUERY_OTHER},	/* END */
	/* any other word: rows, perhaps */
};

static bool take_query(MysqlBinlogReader *reader, MysqlBinlogString database, MysqlBinlogString query);
static bool add_query(MysqlBinlogReader *reader, MysqlBinlogString database,
					  MysqlBinlogString query, MysqlBinlogQueryType type, MysqlBinlogString xid);
static int	client_collation(BinlogCursor status);

/* Transactions */

/* A transaction begins; its GTID, if it has one, was announced before. */
bool
FeathubMysqlBinlogBegin(MysqlBinlogReader *reader)
{
	if (reader->state == BINLOG_OPEN)
		return FeathubMysqlBinlogFail(reader, "a transaction begins before the last one has ended");
	if (reader->state == BINLOG_IDLE)
	{
		memset(&reader->transaction, 0, sizeof(reader->transaction));
		reader->transaction.commit_time = (int64) reader->event.timestamp * USECS_PER_SEC;
		reader->transaction.original_commit_time = reader->transaction.commit_time;
		reader->transaction.start_position = reader->position.event_position;
		reader->xid.len = 0;
	}
	reader->state = BINLOG_OPEN;
	reader->row_number = 0;
	FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_BEGIN);
	return true;
}

bool
FeathubMysqlBinlogFinish(MysqlBinlogReader *reader, MysqlBinlogItemType type)
{
	if (reader->state != BINLOG_OPEN)
		return FeathubMysqlBinlogFail(reader, "a transaction ends that has not begun");
	FeathubMysqlBinlogAddItem(reader, type);
	FeathubMysqlBinlogEndStatement(reader);
	reader->state = BINLOG_IDLE;
	return true;
}

void
FeathubMysqlBinlogSetXid(MysqlBinlogReader *reader, const char *text, Size len)
{
	reader->xid.data = reader->xid_text;
	reader->xid.len = Min(len, sizeof(reader->xid_text));
	memcpy(reader->xid_text, text, reader->xid.len);
}

/* An XA transaction's name as the server writes it: X'6131',X'',1 */
MysqlBinlogString
FeathubMysqlBinlogXid(MysqlBinlogReader *reader, uint32 format, const uint8 *data,
					  int gtrid_len, int bqual_len)
{
	char	   *text = MemoryContextAlloc(reader->event_context, 2 * (gtrid_len + bqual_len) + 32);
	char	   *p = text;
	MysqlBinlogString xid = {text, 0};

	p += sprintf(p, "X'");
	p += hex_encode((const char *) data, gtrid_len, p);
	p += sprintf(p, "',X'");
	p += hex_encode((const char *) data + gtrid_len, bqual_len, p);
	p += sprintf(p, "',%u", format);
	xid.len = p - text;
	return xid;
}

/* Statements */

bool
FeathubMysqlBinlogReadQuery(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	int			post_header = reader->post_header[reader->event.type];
	int			database_len;
	int			status_len;
	BinlogCursor status = {NULL, NULL, false};
	MysqlBinlogString database;
	MysqlBinlogString query;
	const MysqlCharset *charset;
	char	   *error;

	cursor_number(body, 8);		/* session, duration */
	database_len = cursor_number(body, 1);
	cursor_number(body, 2);		/* error code */
	status_len = cursor_number(body, 2);
	if (reader->event.type == BINLOG_EXECUTE_LOAD_QUERY)
		cursor_bytes(body, LOAD_QUERY_POST_HEADER - QUERY_POST_HEADER);
	else if (post_header > QUERY_POST_HEADER)
		cursor_bytes(body, post_header - QUERY_POST_HEADER);
	status.p = cursor_bytes(body, status_len);
	status.end = status.p ? status.p + status_len : NULL;
	database = cursor_string(body, database_len);
	cursor_bytes(body, 1);
	if (body->bad)
		return FeathubMysqlBinlogFail(reader, "event is malformed");
	if (reader->event.type == BINLOG_QUERY_COMPRESSED &&
		!FeathubMysqlBinlogInflateEvent(reader, body))
		return false;
	query = cursor_string(body, cursor_left(body));

	/* the everyday ones are short, and ASCII */
	charset = FeathubMysqlCharset(client_collation(status));
	if (charset->kind != MYSQL_CHARSET_UNKNOWN && charset->kind != MYSQL_CHARSET_UTF8)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->event_context);
		const char *out;
		Size		len;

		/* what does not convert is shown as it is */
		if (FeathubMysqlCharsetToUtf8(charset, query.data, query.len, &out, &len, &error))
		{
			query.data = out;
			query.len = len;
		}
		MemoryContextSwitchTo(old);
	}
	return take_query(reader, database, query);
}

/* The collation of the session's character set, or 0. */
static int
client_collation(BinlogCursor status)
{
	while (!status.bad && cursor_left(&status) > 0)
	{
		switch (cursor_number(&status, 1))
		{
			case STATUS_FLAGS:
			case STATUS_AUTO_INCREMENT:
				cursor_bytes(&status, 4);
				break;
			case STATUS_SQL_MODE:
				cursor_bytes(&status, 8);
				break;
			case STATUS_CATALOG_NZ:
				cursor_bytes(&status, cursor_number(&status, 1));
				break;
			case STATUS_CATALOG:
				cursor_bytes(&status, cursor_number(&status, 1) + 1);
				break;
			case STATUS_CHARSET:
				return cursor_number(&status, 2);
			default:
				return 0;
		}
	}
	return 0;
}

/* Pass over blanks and comments; those with a version are code. */
static void
skip_blanks(Words *words)
{
	while (words->p < words->end)
	{
		const char *p = words->p;
		Size		left = words->end - p;

		if (isspace((unsigned char) *p) || *p == '(')
			words->p++;
		else if (left >= 3 && p[0] == '/' && p[1] == '*' &&
				 (p[2] == '!' || (left >= 4 && p[2] == 'M' && p[3] == '!')))
		{
			words->p += p[2] == '!' ? 3 : 4;
			while (words->p < words->end && isdigit((unsigned char) *words->p))
				words->p++;
		}
		else if (left >= 2 && p[0] == '/' && p[1] == '*')
		{
			for (p += 2; p + 1 < words->end && !(p[0] == '*' && p[1] == '/'); p++)
				;
			words->p = p + 1 < words->end ? p + 2 : words->end;
		}
		else if (left >= 2 && p[0] == '*' && p[1] == '/')
			words->p += 2;
		else if (*p == '#' || (left >= 3 && p[0] == '-' && p[1] == '-' && isspace((unsigned char) p[2])))
		{
			p = memchr(p, '\n', left);
			words->p = p ? p + 1 : words->end;
		}
		else
			break;
	}
}

/* Is this the next word?  Moves behind it if so. */
static bool
take_word(Words *words, const char *word)
{
	Size		len = strlen(word);
	const char *p = words->p;

	if (words->end - p < len || pg_strncasecmp(p, word, len) != 0)
		return false;
	p += len;
	if (p < words->end && (isalnum((unsigned char) *p) || *p == '_'))
		return false;
	words->p = p;
	skip_blanks(words);
	return true;
}

/* What is left, without blanks and a semicolon at its end. */
static MysqlBinlogString
rest_of(const Words *words)
{
	MysqlBinlogString rest = {words->p, words->end - words->p};

	while (rest.len > 0 && (isspace((unsigned char) rest.data[rest.len - 1]) ||
							rest.data[rest.len - 1] == ';'))
		rest.len--;
	return rest;
}

/* A savepoint's name without its quotes. */
static MysqlBinlogString
name_of(MysqlBinlogReader *reader, const Words *words)
{
	MysqlBinlogString name = rest_of(words);
	char	   *text;
	char	   *p;

	if (name.len < 2 || name.data[0] != '`' || name.data[name.len - 1] != '`')
		return name;
	p = text = MemoryContextAlloc(reader->event_context, name.len);
	for (Size i = 1; i < name.len - 1; i++)
	{
		if (name.data[i] == '`' && i + 1 < name.len - 1 && name.data[i + 1] == '`')
			i++;
		*p++ = name.data[i];
	}
	name.data = text;
	name.len = p - text;
	return name;
}

/* XA START, END, COMMIT, ROLLBACK; XA PREPARE is an event of its own. */
static bool
take_xa(MysqlBinlogReader *reader, Words *words, MysqlBinlogString database,
		MysqlBinlogString query)
{
	MysqlBinlogString xid = {NULL, 0};

	if (take_word(words, "START") || take_word(words, "BEGIN"))
	{
		if (!FeathubMysqlBinlogBegin(reader))
			return false;
		xid = rest_of(words);
		FeathubMysqlBinlogSetXid(reader, xid.data, xid.len);
		reader->pending[reader->npending - 1].xid = reader->xid;
		return true;
	}
	if (take_word(words, "END"))
		return true;
	if (take_word(words, "COMMIT"))
	{
		xid = rest_of(words);
		return add_query(reader, database, query, MYSQL_BINLOG_QUERY_XA_COMMIT, xid);
	}
	if (take_word(words, "ROLLBACK"))
	{
		xid = rest_of(words);
		return add_query(reader, database, query, MYSQL_BINLOG_QUERY_XA_ROLLBACK, xid);
	}
	return add_query(reader, database, query, MYSQL_BINLOG_QUERY_DML, xid);
}

static bool
take_query(MysqlBinlogReader *reader, MysqlBinlogString database, MysqlBinlogString query)
{
	Words		words = {query.data, query.data + query.len};
	MysqlBinlogString none = {NULL, 0};
	MysqlBinlogQueryType type = MYSQL_BINLOG_QUERY_DML;
	Words		second;

	skip_blanks(&words);
	second = words;
	if (take_word(&second, "BEGIN") && second.p == second.end)
		return FeathubMysqlBinlogBegin(reader);
	if (take_word(&second, "COMMIT"))
		return FeathubMysqlBinlogFinish(reader, MYSQL_BINLOG_COMMIT);
	if (take_word(&second, "ROLLBACK"))
	{
		if (!take_word(&second, "TO"))
			return FeathubMysqlBinlogFinish(reader, MYSQL_BINLOG_ROLLBACK);
		take_word(&second, "SAVEPOINT");
		FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_ROLLBACK_TO)->name = name_of(reader, &second);
		return true;
	}
	if (take_word(&second, "SAVEPOINT"))
	{
		MysqlBinlogItem *item = FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_SAVEPOINT);

		item->name = name_of(reader, &second);
		item->row_number = reader->row_number;
		return true;
	}
	if (take_word(&second, "XA"))
		return take_xa(reader, &second, database, query);

	/* MariaDB: SET STATEMENT a=1,b=2 FOR the statement */
	if (take_word(&second, "SET") && take_word(&second, "STATEMENT"))
	{
		while (second.p < second.end && !take_word(&second, "FOR"))
		{
			second.p++;
			skip_blanks(&second);
		}
		words = second;
	}
	for (int i = 0; i < lengthof(first_words); i++)
	{
		second = words;
		if (take_word(&second, first_words[i].word))
		{
			type = first_words[i].type;
			break;
		}
	}
	return add_query(reader, database, query, type, none);
}

/* A statement; outside of a transaction it is one of its own. */
static bool
add_query(MysqlBinlogReader *reader, MysqlBinlogString database, MysqlBinlogString query,
		  MysqlBinlogQueryType type, MysqlBinlogString xid)
{
	bool		alone = reader->state != BINLOG_OPEN;
	MysqlBinlogItem *item;

	if (alone && !FeathubMysqlBinlogBegin(reader))
		return false;
	item = FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_QUERY);
	item->database = database;
	item->query = query;
	item->query_type = type;
	item->xid = xid;
	return !alone || FeathubMysqlBinlogFinish(reader, MYSQL_BINLOG_COMMIT);
}
