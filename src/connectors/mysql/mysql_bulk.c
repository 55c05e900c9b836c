/*
 * mysql_bulk.c
 *		An INSERT of many rows in MariaDB's protocol for that.
 *
 * A statement is prepared once and executed with the values of many rows in one
 * packet.  The server need not parse them: measured, a row costs it a third less
 * than as text.  MySQL does not know the protocol, MariaDB not with every setting
 * (binlog_format = STATEMENT), and something that stands between may not pass it
 * on: the first packet on a connection is waited for, and if it is refused as such,
 * the connection does without.
 *
 * Values are those of literals (mysql_literal.c), in the types that the literals
 * have, so that the server makes the same of them.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_library.h"

#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_deparse.h"

/* Rows of one packet, if more would fit. */
#define MAX_ROWS	10000

/* Fewer rows do not pay for preparing a statement. */
#define MIN_ROWS	16

/* What a packet and a value in it have beside the bytes of text, at most. */
#define PACKET_BYTES	64
#define TYPE_BYTES		2
#define VALUE_BYTES		16

/* Errors of a server that does not take the packet, whatever is in it. */
#define ER_UNKNOWN_COM_ERROR			1047
#define ER_UNSUPPORTED_PS				1295
#define ER_MAX_PREPARED_STMT_COUNT		1461
#define ER_BINLOG_NON_SUPPORTED_BULK	4033

/* The values of a column, of all rows. */
typedef struct BulkColumn
{
	AttrNumber	attnum;
	MysqlWriter *writer;
	MysqlValueKind kind;
	char	   *indicators;		/* STMT_INDICATOR_* */
	unsigned long *lengths;
	union
	{
		int64	   *integers;
		double	   *numbers;
		const char **texts;
		MYSQL_TIME **times;
		void	   *all;
	}			values;
} BulkColumn;

struct MysqlBulk
{
	char	   *sql;
	int			ncolumns;
	BulkColumn *columns;
	MYSQL_BIND *params;			/* of the columns */
	int			max_rows;
	Size		max_bytes;
	int			n;				/* rows that wait to be sent */
	Size		bytes;			/* and what they will take */
};

static void make_column(MysqlBulk *bulk, int i);
static Size add_row(MysqlBulk *bulk, TupleTableSlot *slot);
static Size read_value(BulkColumn *column, int row, Datum value);
static bool send_rows(MysqlBulk *bulk, MysqlConnection *conn);

MysqlBulk *
FeathubMysqlBulkMake(FeathubRelation *rel, List *attrs, const char *sql, int max_rows,
					 Size max_bytes)
{
	MysqlBulk  *bulk = palloc0(sizeof(MysqlBulk));
	ListCell   *lc;

	bulk->sql = pstrdup(sql);
	bulk->columns = palloc0(sizeof(BulkColumn) * (list_length(attrs) + 1));
	bulk->params = palloc0(sizeof(MYSQL_BIND) * (list_length(attrs) + 1));
	bulk->max_rows = Min(max_rows, MAX_ROWS);
	bulk->max_bytes = max_bytes;
	foreach(lc, attrs)
	{
		BulkColumn *column = &bulk->columns[bulk->ncolumns];
		AttrNumber	attnum = lfirst_int(lc);

		column->attnum = attnum;
		column->writer = FeathubMysqlWriterMake(TupleDescAttr(rel->tupdesc, attnum - 1)->atttypid);
		column->kind = FeathubMysqlWriterKind(column->writer);
		/* the protocol has no bits, and a shape is made by a function */
		if (column->kind == MYSQL_VALUE_BITS || FeathubMysqlColumnFlag(rel, attnum, "wkt"))
			return NULL;
		make_column(bulk, bulk->ncolumns++);
	}
	return bulk->ncolumns > 0 ? bulk : NULL;
}

int
FeathubMysqlBulkInsert(MysqlBulk *bulk, MysqlConnection *conn, TupleTableSlot **slots, int nslots)
{
	int			sent = 0;

	if (conn->bulk == MYSQL_BULK_REFUSED || nslots < MIN_ROWS)
		return 0;
	bulk->n = 0;
	for (int i = 0; i < nslots; i++)
	{
		Size		bytes = add_row(bulk, slots[i]);

		if (bulk->n > 0 && (bulk->n == bulk->max_rows || bulk->bytes + bytes > bulk->max_bytes))
		{
			if (!send_rows(bulk, conn))
				return sent;
			sent = i;
			bytes = add_row(bulk, slots[i]);
		}
		bulk->n++;
		bulk->bytes += bytes;
	}
	return send_rows(bulk, conn) ? nslots : sent;
}

/* Arrays for a column's values, and the parameter that points to them. */
static void
make_column(MysqlBulk *bulk, int i)
{
	BulkColumn *column = &bulk->columns[i];
	MYSQL_BIND *param = &bulk->params[i];
	/* one more, for the row that does not fit any more */
	Size		rows = bulk->max_rows + 1;
	MYSQL_TIME *times;

	column->indicators = palloc0(rows);
	param->u.indicator = column->indicators;
	column->values.all = palloc0(sizeof(int64) * rows);
	param->buffer = column->values.all;
	switch (column->kind)
	{
		case MYSQL_VALUE_INTEGER:
			param->buffer_type = MYSQL_TYPE_LONGLONG;
			return;
		case MYSQL_VALUE_DOUBLE:
			param->buffer_type = MYSQL_TYPE_DOUBLE;
			return;
		case MYSQL_VALUE_DATE:
		case MYSQL_VALUE_DATETIME:
		case MYSQL_VALUE_TIME:
			param->buffer_type = column->kind == MYSQL_VALUE_DATE ? MYSQL_TYPE_DATE :
				column->kind == MYSQL_VALUE_TIME ? MYSQL_TYPE_TIME : MYSQL_TYPE_DATETIME;
			times = palloc0(sizeof(MYSQL_TIME) * rows);
			for (Size row = 0; row < rows; row++)
				column->values.times[row] = &times[row];
			return;
		default:
			param->buffer_type = column->kind == MYSQL_VALUE_DECIMAL ? MYSQL_TYPE_NEWDECIMAL :
				column->kind == MYSQL_VALUE_BYTES ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
			column->lengths = palloc0(sizeof(unsigned long) * rows);
			param->length = column->lengths;
			return;
	}
}

/* Put a row behind those that wait.  Returns the bytes that it takes. */
static Size
add_row(MysqlBulk *bulk, TupleTableSlot *slot)
{
	Size		bytes = 0;

	if (bulk->n == 0)
		bulk->bytes = PACKET_BYTES + TYPE_BYTES * bulk->ncolumns;
	for (int i = 0; i < bulk->ncolumns; i++)
	{
		BulkColumn *column = &bulk->columns[i];
		int			col = column->attnum - 1;

		column->indicators[bulk->n] = slot->tts_isnull[col] ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
		bytes += VALUE_BYTES;
		if (!slot->tts_isnull[col])
			bytes += read_value(column, bulk->n, slot->tts_values[col]);
	}
	return bytes;
}

/* Put a value into its column.  Returns the bytes of its text. */
static Size
read_value(BulkColumn *column, int row, Datum datum)
{
	MysqlValue	value;

	/* what it allocates goes with the row context */
	FeathubMysqlReadValue(column->writer, datum, &value);
	switch (column->kind)
	{
		case MYSQL_VALUE_INTEGER:
			column->values.integers[row] = value.integer;
			return 0;
		case MYSQL_VALUE_DOUBLE:
			column->values.numbers[row] = value.number;
			return 0;
		case MYSQL_VALUE_DATE:
		case MYSQL_VALUE_DATETIME:
		case MYSQL_VALUE_TIME:
			{
				MYSQL_TIME *time = column->values.times[row];

				time->neg = value.time.negative;
				time->year = value.time.year;
				time->month = value.time.month;
				/* there, a TIME has days */
				time->day = value.time.day + value.time.hour / 24;
				time->hour = value.time.hour % 24;
				time->minute = value.time.minute;
				time->second = value.time.second;
				time->second_part = value.time.micros;
				time->time_type = column->kind == MYSQL_VALUE_DATE ? MYSQL_TIMESTAMP_DATE :
					column->kind == MYSQL_VALUE_TIME ? MYSQL_TIMESTAMP_TIME : MYSQL_TIMESTAMP_DATETIME;
				return 0;
			}
		default:
			column->values.texts[row] = value.data;
			column->lengths[row] = value.len;
			return value.len;
	}
}

/*
 * Send the rows that wait; the answer is read before whatever comes next.  False,
 * with nothing done, if the connection has to do without.
 */
static bool
send_rows(MysqlBulk *bulk, MysqlConnection *conn)
{
	unsigned int error;

	if (!FeathubMysqlPrepare(conn, bulk->sql))
		error = mysql_errno(conn->mysql);
	else
	{
		FeathubMysqlSendRows(conn, bulk->params, bulk->n, bulk->bytes);
		bulk->n = 0;
		if (conn->bulk == MYSQL_BULK_WORKS)
			return true;
		error = FeathubMysqlAnswer(conn);
		FeathubMysqlForget(conn);
	}
	switch (error)
	{
		case 0:
			conn->bulk = MYSQL_BULK_WORKS;
			return true;
		case ER_UNKNOWN_COM_ERROR:
		case ER_UNSUPPORTED_PS:
		case ER_MAX_PREPARED_STMT_COUNT:
		case ER_BINLOG_NON_SUPPORTED_BULK:
			conn->bulk = MYSQL_BULK_REFUSED;
			return false;
		default:
			FeathubMysqlReportError(conn, bulk->sql);
	}
}
