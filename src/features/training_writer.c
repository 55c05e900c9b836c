/*
 * training_writer.c
 *		Writing the rows of a query to a table just made.
 *
 * As CREATE TABLE AS does it, by a receiver of rows, so that the query may run
 * in parallel, and that progress can be told.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "features/training_progress.h"
#include "features/training_writer.h"

/* Rows between two reports of progress. */
#define REPORT_ROWS 1000

typedef struct TrainingReceiver
{
	DestReceiver pub;			/* first, so that it can be cast */
	Relation	rel;
	CommandId	cid;
	BulkInsertState bistate;
	int64		rows;
} TrainingReceiver;

static void receiver_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void receiver_shutdown(DestReceiver *self);
static void receiver_destroy(DestReceiver *self);

int64
FeathubTrainingWrite(Oid relid, const char *sql)
{
	TrainingReceiver receiver = {
		.pub = {receive_row, receiver_startup, receiver_shutdown, receiver_destroy, DestIntoRel}
	};
	SPIExecuteOptions options = {.dest = &receiver.pub};
	int			rc;

	receiver.rel = table_open(relid, RowExclusiveLock);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute_extended(sql, &options);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not run the query of training data: %s", SPI_result_code_string(rc));
	SPI_finish();
	FeathubTrainingProgressRows(receiver.rows);
	table_close(receiver.rel, NoLock);
	CommandCounterIncrement();
	return receiver.rows;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	TrainingReceiver *receiver = (TrainingReceiver *) self;

	if (desc->natts != RelationGetDescr(receiver->rel)->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("columns of table \"%s\" have been changed while it was made",
						RelationGetRelationName(receiver->rel))));
	/* before the executor enters parallel mode, which can assign neither */
	(void) GetCurrentTransactionId();
	receiver->cid = GetCurrentCommandId(true);
	receiver->bistate = GetBulkInsertState();
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	TrainingReceiver *receiver = (TrainingReceiver *) self;

	table_tuple_insert(receiver->rel, slot, receiver->cid, TABLE_INSERT_SKIP_FSM, receiver->bistate);
	if (++receiver->rows % REPORT_ROWS == 0)
		FeathubTrainingProgressRows(receiver->rows);
	return true;
}

static void
receiver_shutdown(DestReceiver *self)
{
	TrainingReceiver *receiver = (TrainingReceiver *) self;

	FreeBulkInsertState(receiver->bistate);
	table_finish_bulk_insert(receiver->rel, TABLE_INSERT_SKIP_FSM);
}

static void
receiver_destroy(DestReceiver *self)
{
}
