/*
 * mysql_ddl.c
 *		What a statement in the binary log does to the table that is followed.
 *
 * Only what takes rows away without telling which (DROP, TRUNCATE, partitions)
 * or puts another table in the table's place has to be found here; changes of
 * columns are seen by the next event.  No grammar is needed for that: words,
 * names and commas are.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_cdc.h"

typedef enum TokenKind
{
	TOKEN_END,
	TOKEN_WORD,					/* unquoted: a keyword or a name */
	TOKEN_NAME,					/* quoted */
	TOKEN_STRING,
	TOKEN_OTHER					/* one character */
} TokenKind;

typedef struct Scanner
{
	const char *p;
	const char *end;
	const char *default_database;
	const char *database;
	const char *table;
	bool		ignore_case;

	/* the token at hand */
	TokenKind	kind;
	char	   *text;			/* without quotes */
} Scanner;

static bool
is_word_char(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' || (c & 0x80);
}

/* Blanks and comments; what is in an executable comment is read. */
static void
skip_blanks(Scanner *scanner)
{
	const char *p = scanner->p;
	const char *end = scanner->end;

	while (p < end)
	{
		if (isspace((unsigned char) *p))
			p++;
		else if (*p == '#' || (*p == '-' && end - p > 2 && p[1] == '-' &&
							   isspace((unsigned char) p[2])))
		{
			while (p < end && *p != '\n')
				p++;
		}
		else if (*p == '/' && end - p > 2 && p[1] == '*' &&
				 (p[2] == '!' || (p[2] == 'M' && end - p > 3 && p[3] == '!')))
		{
			p += p[2] == 'M' ? 4 : 3;
			while (p < end && isdigit((unsigned char) *p))
				p++;
		}
		else if (*p == '/' && end - p > 1 && p[1] == '*')
		{
			for (p += 2; p < end && !(*p == '*' && end - p > 1 && p[1] == '/'); p++)
				;
			p = end - p > 2 ? p + 2 : end;
		}
		else if (*p == '*' && end - p > 1 && p[1] == '/')
			p += 2;				/* of an executable comment */
		else
			break;
	}
	scanner->p = p;
}

static void
next_token(Scanner *scanner)
{
	StringInfoData text;
	char		c;

	skip_blanks(scanner);
	initStringInfo(&text);
	scanner->text = text.data;
	if (scanner->p >= scanner->end)
	{
		scanner->kind = TOKEN_END;
		return;
	}
	c = *scanner->p++;
	if (c == '`' || c == '"' || c == '\'')
	{
		scanner->kind = c == '\'' ? TOKEN_STRING : TOKEN_NAME;
		while (scanner->p < scanner->end)
		{
			if (*scanner->p == c)
			{
				if (scanner->end - scanner->p < 2 || scanner->p[1] != c)
					break;
				scanner->p++;
			}
			else if (*scanner->p == '\\' && c == '\'' && scanner->end - scanner->p > 1)
				scanner->p++;
			appendStringInfoChar(&text, *scanner->p++);
		}
		scanner->p = Min(scanner->p + 1, scanner->end);
	}
	else if (is_word_char(c))
	{
		scanner->kind = TOKEN_WORD;
		appendStringInfoChar(&text, c);
		while (scanner->p < scanner->end && is_word_char(*scanner->p))
			appendStringInfoChar(&text, *scanner->p++);
	}
	else
	{
		scanner->kind = TOKEN_OTHER;
		appendStringInfoChar(&text, c);
	}
	scanner->text = text.data;
}

/* The keyword is at hand: step over it. */
static bool
take_word(Scanner *scanner, const char *word)
{
	if (scanner->kind != TOKEN_WORD || pg_strcasecmp(scanner->text, word) != 0)
		return false;
	next_token(scanner);
	return true;
}

static bool
take_char(Scanner *scanner, char c)
{
	if (scanner->kind != TOKEN_OTHER || scanner->text[0] != c)
		return false;
	next_token(scanner);
	return true;
}

static void
take_if_exists(Scanner *scanner)
{
	if (take_word(scanner, "IF"))
	{
		(void) take_word(scanner, "NOT");
		(void) take_word(scanner, "EXISTS");
	}
}

static bool
same_name(const Scanner *scanner, const char *a, const char *b)
{
	return (scanner->ignore_case ? pg_strcasecmp(a, b) : strcmp(a, b)) == 0;
}

/* Step over the name of a table: is it ours? */
static bool
take_table(Scanner *scanner)
{
	const char *database = scanner->default_database;
	char	   *name = scanner->text;

	if (scanner->kind != TOKEN_WORD && scanner->kind != TOKEN_NAME)
		return false;
	next_token(scanner);
	if (take_char(scanner, '.'))
	{
		database = name;
		name = scanner->text;
		next_token(scanner);
	}
	return same_name(scanner, name, scanner->table) &&
		same_name(scanner, database, scanner->database);
}

static const char *
drop_ends(Scanner *scanner)
{
	if (take_word(scanner, "DATABASE") || take_word(scanner, "SCHEMA"))
	{
		take_if_exists(scanner);
		return same_name(scanner, scanner->text, scanner->database) ? "was dropped" : NULL;
	}
	if (!take_word(scanner, "TABLE") && !take_word(scanner, "TABLES"))
		return NULL;
	take_if_exists(scanner);
	do
	{
		if (take_table(scanner))
			return "was dropped";
	} while (take_char(scanner, ','));
	return NULL;
}

static const char *
rename_ends(Scanner *scanner)
{
	if (!take_word(scanner, "TABLE") && !take_word(scanner, "TABLES"))
		return NULL;
	take_if_exists(scanner);
	do
	{
		if (take_table(scanner))
			return "was renamed";
		while (scanner->kind != TOKEN_END && !take_word(scanner, "TO"))
			next_token(scanner);	/* WAIT n, NOWAIT */
		if (take_table(scanner))
			return "was replaced by another one";
	} while (take_char(scanner, ','));
	return NULL;
}

/* ALTER TABLE: what it does is in the words outside of parentheses. */
static const char *
alter_ends(Scanner *scanner)
{
	bool		ours;
	int			depth = 0;

	while (take_word(scanner, "ONLINE") || take_word(scanner, "IGNORE"))
		;
	if (!take_word(scanner, "TABLE"))
		return NULL;
	take_if_exists(scanner);
	ours = take_table(scanner);
	while (scanner->kind != TOKEN_END)
	{
		if (scanner->kind == TOKEN_OTHER)
			depth += scanner->text[0] == '(' ? 1 : scanner->text[0] == ')' ? -1 : 0;
		if (depth > 0)
			next_token(scanner);
		else if (take_word(scanner, "RENAME"))
		{
			if (take_word(scanner, "COLUMN") || take_word(scanner, "INDEX") ||
				take_word(scanner, "KEY"))
				continue;
			if (ours)
				return "was renamed";
			if (!take_word(scanner, "TO") && !take_word(scanner, "AS"))
				(void) take_char(scanner, '=');
			if (take_table(scanner))
				return "was replaced by another one";
		}
		else if (take_word(scanner, "DROP") || take_word(scanner, "TRUNCATE"))
		{
			if (ours && take_word(scanner, "PARTITION"))
				return "lost a partition with its rows";
		}
		else if (take_word(scanner, "EXCHANGE"))
		{
			if (ours)
				return "exchanged a partition";
			while (scanner->kind != TOKEN_END && !take_word(scanner, "TABLE"))
				next_token(scanner);
			if (take_table(scanner))
				return "was exchanged with a partition";
		}
		else if (ours && (take_word(scanner, "DISCARD") || take_word(scanner, "IMPORT")))
			return "got other files";
		else
			next_token(scanner);
	}
	return NULL;
}

static void
begin_scan(Scanner *scanner, const char *query, Size len, const char *default_database,
		   const char *database, const char *table, bool ignore_case)
{
	memset(scanner, 0, sizeof(Scanner));
	scanner->p = query;
	scanner->end = query + len;
	scanner->default_database = default_database;
	scanner->database = database;
	scanner->table = table;
	scanner->ignore_case = ignore_case;
	next_token(scanner);
}

const char *
FeathubMysqlDdlEnds(const char *query, Size len, const char *default_database,
					const char *database, const char *table, bool ignore_case)
{
	Scanner		scanner;

	begin_scan(&scanner, query, len, default_database, database, table, ignore_case);
	/* MariaDB: SET STATEMENT ... FOR ... */
	if (take_word(&scanner, "SET"))
		while (scanner.kind != TOKEN_END && !take_word(&scanner, "FOR"))
			next_token(&scanner);
	if (take_word(&scanner, "DROP"))
		return drop_ends(&scanner);
	if (take_word(&scanner, "TRUNCATE"))
	{
		(void) take_word(&scanner, "TABLE");
		return take_table(&scanner) ? "was truncated" : NULL;
	}
	if (take_word(&scanner, "RENAME"))
		return rename_ends(&scanner);
	if (take_word(&scanner, "ALTER"))
		return alter_ends(&scanner);
	if (take_word(&scanner, "CREATE") && take_word(&scanner, "OR") &&
		take_word(&scanner, "REPLACE") && take_word(&scanner, "TABLE"))
	{
		take_if_exists(&scanner);
		return take_table(&scanner) ? "was replaced by another one" : NULL;
	}
	return NULL;
}

/* DROP of something that is no column. */
static bool
drops_no_column(Scanner *scanner)
{
	static const char *const things[] = {
		"CHECK", "CONSTRAINT", "DEFAULT", "FOREIGN", "INDEX", "KEY", "PARTITION", "PERIOD",
		"PRIMARY", "SYSTEM"
	};

	for (int i = 0; i < lengthof(things); i++)
		if (scanner->kind == TOKEN_WORD && pg_strcasecmp(scanner->text, things[i]) == 0)
			return true;
	return false;
}

bool
FeathubMysqlDdlMovesColumns(const char *query, Size len, const char *default_database,
							const char *database, const char *table, bool ignore_case)
{
	Scanner		scanner;
	int			depth = 0;

	begin_scan(&scanner, query, len, default_database, database, table, ignore_case);
	if (take_word(&scanner, "SET"))
		while (scanner.kind != TOKEN_END && !take_word(&scanner, "FOR"))
			next_token(&scanner);
	if (!take_word(&scanner, "ALTER"))
		return false;
	while (take_word(&scanner, "ONLINE") || take_word(&scanner, "IGNORE"))
		;
	if (!take_word(&scanner, "TABLE"))
		return false;
	take_if_exists(&scanner);
	if (!take_table(&scanner))
		return false;
	while (scanner.kind != TOKEN_END)
	{
		if (scanner.kind == TOKEN_OTHER)
			depth += scanner.text[0] == '(' ? 1 : scanner.text[0] == ')' ? -1 : 0;
		if (depth > 0)
			next_token(&scanner);
		else if (take_word(&scanner, "DROP"))
		{
			if (!drops_no_column(&scanner))
				return true;
		}
		else if (take_word(&scanner, "RENAME"))
		{
			if (take_word(&scanner, "COLUMN"))
				return true;
		}
		else if (take_word(&scanner, "MODIFY") || take_word(&scanner, "CHANGE"))
			return true;
		else
			next_token(&scanner);
	}
	return false;
}

bool
FeathubMysqlDdlIsForeignDelete(const char *query, Size len, const char *default_database,
							   const char *database, const char *table, bool ignore_case)
{
	Scanner		scanner;

	begin_scan(&scanner, query, len, default_database, database, table, ignore_case);
	return (take_word(&scanner, "DELETE") ? take_word(&scanner, "FROM") :
			take_word(&scanner, "TRUNCATE") && take_word(&scanner, "TABLE")) &&
		!take_table(&scanner) && scanner.kind == TOKEN_END;
}
