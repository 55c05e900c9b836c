/*
 * partition.c
 *		Maintenance of a feature group's tables: time partitions and retention.
 *
 * An offline table with a partition_interval is partitioned by ranges of its
 * event time and has a default partition, so that no row is ever refused.
 * Maintenance makes the partitions in which rows are expected (the one before
 * the current one, the current one, the next two) and those for which there
 * are rows in the default partition, which it moves.  A row whose time is far
 * out of range stays in the default partition: a range more than 1000
 * intervals in the past or 10 in the future gets a partition only if it has
 * 1000 rows, and none beyond 200 years.
 *
 * With a retention, partitions that have ended before it are dropped; rows
 * before it in the default partition, or in a table that is not partitioned by
 * event time, are deleted.  Online rows stay: ttl only says whether they are
 * served.
 *
 * Locks.  Maintenance runs in the caller's transaction.  It first takes SHARE
 * UPDATE EXCLUSIVE on the offline table, which reads and writes do not notice
 * and another run of maintenance does.  A new partition is made as a table of
 * its own and attached, so the offline table needs no more than that; the
 * default partition is locked against writes while its rows move, and
 * exclusively for the moment of attaching.  Dropping takes an exclusive lock on
 * the offline table, last.  None of these is waited for in the lock queue,
 * where it would hold up everybody else and could deadlock: we look for two
 * seconds whether it can be had, or else leave the work for the next call.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/describe.h"
#include "features/partition.h"
#include "features/partition_range.h"

#define LOCK_PATIENCE	2000	/* ms for what must be had */
#define LOCK_COURTESY	500		/* ms for what had better be had */
#define SMALL_DEFAULT	1000	/* pages whose rows are quickly moved */
#define MAX_PARTITIONS	200		/* made or dropped in one call: locks are few */
#define AHEAD			2		/* intervals */
#define NEAR_PAST		1000	/* intervals in which one row makes a partition */
#define NEAR_FUTURE		10
#define FAR_ROWS		1000	/* rows that make one elsewhere */
#define FAR_TIME		(INT64CONST(200) * 365 * USECS_PER_DAY)
#define AS_OF_LIMIT		(INT64CONST(500) * 365 * USECS_PER_DAY)
#define EXPIRE_ROWS		1000000 /* in one statement */

/* A run of maintenance. */
typedef struct Maintenance
{
	FeathubGroup *group;
	Oid			relid;			/* the offline table */
	char		relkind;
	Oid			namespace;
	char	   *name;			/* qualified and quoted */
	char	   *event_time;		/* quoted column name, or NULL */
	Oid			event_time_type;	/* its base type */
	char	   *columns;		/* what rows are moved by: quoted, in order */
	char	   *tablespace;		/* quoted, or NULL */
	bool		by_time;		/* partitioned by ranges of event time alone */
	Oid			default_partition;
	List	   *ranges;			/* FeathubPartitionRange *, ascending */
	Timestamp	as_of;
	Timestamp	since;			/* DT_NOEND: none */
	Timestamp	cutoff;			/* of retention; DT_NOBEGIN: none */
	FeathubMaintenance *result;
} Maintenance;

static void check_owner(Oid relid);
static void read_table(Maintenance *m);
static void read_ranges(Maintenance *m, Relation rel);
static void run_maintenance(Maintenance *m);
static List *ranges_to_make(Maintenance *m);
static bool make_partitions(Maintenance *m, List *gaps);
static bool try_make_partitions(Maintenance *m, List *gaps);
static void expire_rows(Maintenance *m);
static void drop_partitions(Maintenance *m);

PG_FUNCTION_INFO_V1(feathub_maintain_feature_group);

/*
 * feathub.maintain_feature_group(feature_group regclass, as_of timestamptz,
 *		since timestamptz, OUT partitions_created, OUT partitions_dropped,
 *		OUT rows_moved, OUT rows_expired)
 */
Datum
feathub_maintain_feature_group(PG_FUNCTION_ARGS)
{
	FeathubMaintenance result;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("feature_group must not be null")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	FeathubMaintain(PG_GETARG_OID(0),
					PG_ARGISNULL(1) ? GetCurrentTransactionStartTimestamp() : PG_GETARG_TIMESTAMPTZ(1),
					PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2),
					&result);
	values[0] = Int64GetDatum(result.partitions_created);
	values[1] = Int64GetDatum(result.partitions_dropped);
	values[2] = Int64GetDatum(result.rows_moved);
	values[3] = Int64GetDatum(result.rows_expired);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

void
FeathubPartitionsMaintain(Oid offline)
{
	FeathubGroup *group = FeathubGroupLoad(offline);
	FeathubMaintenance result;

	if (group == NULL || group->partition_interval == NULL)
		return;
	FeathubMaintain(offline, GetCurrentTransactionStartTimestamp(), DT_NOEND, &result);
}

void
FeathubMaintain(Oid offline, TimestampTz as_of, TimestampTz since,
				FeathubMaintenance *result)
{
	Maintenance m = {0};
	Relation	rel;
	FeathubRoleScope scope;

	memset(result, 0, sizeof(FeathubMaintenance));
	if (as_of < -AS_OF_LIMIT || as_of > AS_OF_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("as_of is out of range"),
				 errdetail("It must be within 500 years of the year 2000.")));
	if (since != DT_NOEND && (since < as_of - FAR_TIME || since > as_of))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("since is out of range"),
				 errdetail("It must be at most 200 years before as_of, and not after it.")));

	if (!FeathubExtensionLock())
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"feathub\" does not exist")));
	check_owner(offline);		/* before the lock: nobody else may hold it */
	rel = try_relation_open(offline, ShareUpdateExclusiveLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", offline)));
	check_owner(offline);

	m.group = FeathubGroupLoad(offline);
	if (m.group == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation \"%s\" is not a feature group", RelationGetRelationName(rel)),
				 errhint("Make it one with feathub.create_feature_group.")));
	if (m.group->external)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("feature group \"%s\" is external and has no history to maintain",
						RelationGetRelationName(rel))));
	m.relid = offline;
	m.as_of = as_of;
	m.since = since;
	m.result = result;
	m.relkind = rel->rd_rel->relkind;

	FeathubRoleEnter(&scope, rel->rd_rel->relowner, SECURITY_RESTRICTED_OPERATION,
					 FEATHUB_SAFE_SEARCH_PATH);
	relation_close(rel, NoLock);

	if (m.relkind == RELKIND_RELATION || m.relkind == RELKIND_PARTITIONED_TABLE)
	{
		SPI_connect();
		run_maintenance(&m);
		SPI_finish();
	}

	FeathubRoleLeave(&scope);
}

/* Raise an error unless the current user has the rights of the table's owner. */
static void
check_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (!has_privs_of_role(GetUserId(), form->relowner))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(form->relkind),
					   NameStr(form->relname));
	ReleaseSysCache(tuple);
}

/* Run a statement that returns nothing; the rows it processed. */
static uint64
run(const char *fmt,...) pg_attribute_printf(1, 2);

static uint64
run(const char *fmt,...)
{
	StringInfoData sql;
	int			needed;
	int			rc;

	initStringInfo(&sql);
	for (;;)
	{
		va_list		args;

		va_start(args, fmt);
		needed = appendStringInfoVA(&sql, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&sql, needed);
	}
	rc = SPI_execute(sql.data, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute failed: %s: %s", SPI_result_code_string(rc), sql.data);
	pfree(sql.data);
	return SPI_processed;
}

/* Have a lock within some time, without a place in the queue; true if so. */
static bool
lock_within(Oid relid, LOCKMODE mode, int milliseconds)
{
	TimestampTz start = FeathubClock();

	while (!ConditionalLockRelationOid(relid, mode))
	{
		if (TimestampDifferenceExceeds(start, FeathubClock(), milliseconds))
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 10, FEATHUB_WAIT_EVENT("FeathubMaintenanceLock"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

static bool
lock_patiently(Oid relid, LOCKMODE mode)
{
	return lock_within(relid, mode, LOCK_PATIENCE);
}

/* A name for a relation of the offline table's schema that is still free. */
static char *
free_name(Maintenance *m, const char *label)
{
	for (int i = 0;; i++)
	{
		char	   *name = makeObjectName(get_rel_name(m->relid), NULL,
										  i == 0 ? label : psprintf("%s_%d", label, i));

		if (!OidIsValid(get_relname_relid(name, m->namespace)) &&
			!SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name),
								   ObjectIdGetDatum(m->namespace)))
			return quote_qualified_identifier(get_namespace_name(m->namespace), name);
	}
}

static void
run_maintenance(Maintenance *m)
{
	Interval   *interval = m->group->partition_interval;

	read_table(m);
	if (m->event_time == NULL)
		return;
	if (interval)
	{
		FeathubPartitionIntervalCheck(interval, m->event_time_type);
		if (!m->by_time)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("table \"%s\" is not partitioned by ranges of its event time \"%s\"",
							get_rel_name(m->relid), m->group->event_time),
					 errhint("Make the table with PARTITION BY RANGE (%s), or the feature group without partition_interval.",
							 m->event_time)));
	}
	if (m->group->retention)
		m->cutoff = DatumGetTimestamp(DirectFunctionCall2(timestamp_mi_interval,
														  TimestampGetDatum(m->as_of),
														  IntervalPGetDatum(m->group->retention)));
	else
		m->cutoff = DT_NOBEGIN;

	/* what takes long comes before what locks */
	expire_rows(m);
	if (interval)
	{
		List	   *gaps = ranges_to_make(m);

		if ((gaps != NIL || !OidIsValid(m->default_partition)) &&
			!make_partitions(m, gaps))
			ereport(WARNING,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not make partitions of table \"%s\": could not lock its default partition",
							get_rel_name(m->relid)),
					 errhint("Its rows are in use; the next call of feathub.maintain_feature_group tries again.")));
	}
	drop_partitions(m);
}

/* Describe the offline table in *m. */
static void
read_table(Maintenance *m)
{
	Relation	rel = relation_open(m->relid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData columns;

	m->namespace = RelationGetNamespace(rel);
	m->name = FeathubQualifiedName(m->relid);
	if (OidIsValid(rel->rd_rel->reltablespace))
	{
		char	   *tablespace = get_tablespace_name(rel->rd_rel->reltablespace);

		m->tablespace = tablespace ? pstrdup(quote_identifier(tablespace)) : NULL;
	}

	initStringInfo(&columns);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (m->group->event_time && namestrcmp(&att->attname, m->group->event_time) == 0)
		{
			m->event_time = pstrdup(quote_identifier(NameStr(att->attname)));
			m->event_time_type = getBaseType(att->atttypid);
		}
		if (!att->attgenerated)
			appendStringInfo(&columns, "%s%s", columns.len ? ", " : "",
							 quote_identifier(NameStr(att->attname)));
	}
	m->columns = columns.data;
	if (m->event_time && m->relkind == RELKIND_PARTITIONED_TABLE)
		read_ranges(m, rel);
	relation_close(rel, NoLock);
}

/* A partition bound as an instant. */
static Timestamp
bound_instant(Maintenance *m, PartitionBoundInfo info, int i)
{
	DateADT		date;

	if (info->kind[i][0] == PARTITION_RANGE_DATUM_MINVALUE)
		return DT_NOBEGIN;
	if (info->kind[i][0] == PARTITION_RANGE_DATUM_MAXVALUE)
		return DT_NOEND;
	if (m->event_time_type != DATEOID)
		return DatumGetTimestamp(info->datums[i][0]);
	date = DatumGetDateADT(info->datums[i][0]);
	if (DATE_IS_NOBEGIN(date))
		return DT_NOBEGIN;
	if (DATE_IS_NOEND(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return DT_NOEND;
	return (Timestamp) date * USECS_PER_DAY;
}

/* Find the partitions and their ranges. */
static void
read_ranges(Maintenance *m, Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);
	PartitionDesc parts = RelationGetPartitionDesc(rel, true);
	PartitionBoundInfo info = parts->boundinfo;

	if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 ||
		key->partattrs[0] != get_attnum(m->relid, m->group->event_time))
		return;
	m->by_time = true;
	if (info == NULL)
		return;
	if (partition_bound_has_default(info))
		m->default_partition = parts->oids[info->default_index];
	for (int i = 1; i < info->ndatums; i++)
	{
		FeathubPartitionRange *range;

		if (info->indexes[i] < 0)
			continue;
		range = palloc(sizeof(FeathubPartitionRange));
		range->lower = bound_instant(m, info, i - 1);
		range->upper = bound_instant(m, info, i);
		range->relid = parts->oids[info->indexes[i]];
		m->ranges = lappend(m->ranges, range);
	}
}

/* The pages of a relation; many, if it is not a plain table. */
static BlockNumber
blocks_of(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	BlockNumber result = MaxBlockNumber;

	if (rel->rd_rel->relkind == RELKIND_RELATION)
		result = RelationGetNumberOfBlocks(rel);
	relation_close(rel, NoLock);
	return result;
}

/* The default partition, if rows can be moved out of it. */
static Oid
movable_default(Maintenance *m)
{
	if (!OidIsValid(m->default_partition) ||
		get_rel_relkind(m->default_partition) == RELKIND_FOREIGN_TABLE ||
		blocks_of(m->default_partition) == 0)
		return InvalidOid;
	return m->default_partition;
}

/*
 * Add to gaps what no partition covers of the range from lower, and count it
 * as covered.  False once there are enough.
 */
static bool
want_range(Maintenance *m, List **gaps, Timestamp lower)
{
	Timestamp	upper = FeathubPartitionStep(m->group->partition_interval, lower, 1);
	List	   *found;
	ListCell   *lc;

	if (upper <= m->cutoff)
		return true;			/* it would be dropped at once */
	found = FeathubPartitionGaps(NIL, m->ranges, lower, upper);
	foreach(lc, found)
	{
		FeathubPartitionRange *gap = lfirst(lc);
		int			pos = 0;

		if (list_length(*gaps) >= MAX_PARTITIONS)
			return false;
		while (pos < list_length(m->ranges) &&
			   ((FeathubPartitionRange *) list_nth(m->ranges, pos))->lower < gap->lower)
			pos++;
		m->ranges = list_insert_nth(m->ranges, pos, gap);
		*gaps = lappend(*gaps, gap);
	}
	CHECK_FOR_INTERRUPTS();
	return true;
}

/* Want the ranges for which the default partition has rows, newest first. */
static bool
want_default_ranges(Maintenance *m, List **gaps)
{
	Interval   *interval = m->group->partition_interval;
	bool		zoned = m->event_time_type == TIMESTAMPTZOID;
	Oid			type = zoned ? TIMESTAMPTZOID : TIMESTAMPOID;
	Oid			types[7] = {type, type, type, type, INT8OID, INTERVALOID, TIMESTAMPOID};
	Datum		values[7];
	Timestamp	current = FeathubPartitionAlign(interval, m->as_of);
	Timestamp	oldest = m->as_of - FAR_TIME;
	int64		length = FeathubPartitionLength(interval);
	char	   *utc;
	char	   *sql;
	int			rc;

	if (!OidIsValid(movable_default(m)))
		return true;
	utc = zoned ? psprintf("(%s AT TIME ZONE 'UTC')", m->event_time) :
		psprintf("%s::timestamp", m->event_time);
	/* a bucket need not be exact: what counts is the range of its lower end */
	sql = psprintf("SELECT %s FROM %s WHERE %s >= $1 AND %s < $2 GROUP BY 1"
				   " HAVING (min(%s) >= $3 AND min(%s) < $4) OR count(*) >= $5"
				   " ORDER BY 1 DESC LIMIT %d",
				   interval->month != 0 ?
				   psprintf("date_trunc('month', %s)", utc) :
				   psprintf("date_bin($6, %s, $7)", utc),
				   FeathubQualifiedName(m->default_partition),
				   m->event_time, m->event_time, m->event_time, m->event_time,
				   10 * MAX_PARTITIONS);
	values[0] = TimestampGetDatum(Max(oldest, m->cutoff));
	values[1] = TimestampGetDatum(m->as_of + FAR_TIME);
	values[2] = TimestampGetDatum(Max(oldest, length > FAR_TIME / NEAR_PAST ? oldest :
									  current - NEAR_PAST * length));
	values[3] = TimestampGetDatum(Min(m->as_of + FAR_TIME,
									  current + (NEAR_FUTURE + 1) * Min(length, FAR_TIME / NEAR_FUTURE)));
	values[4] = Int64GetDatum(FAR_ROWS);
	values[5] = IntervalPGetDatum(interval);
	values[6] = TimestampGetDatum(FEATHUB_PARTITION_ORIGIN);
	rc = SPI_execute_with_args(sql, 7, types, values, NULL, false, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(rc));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Timestamp	lower = DatumGetTimestamp(SPI_getbinval(SPI_tuptable->vals[i],
															SPI_tuptable->tupdesc, 1, &isnull));

		if (!want_range(m, gaps, FeathubPartitionAlign(interval, lower)))
			return false;
	}
	return true;
}

/* What to make partitions for: FeathubPartitionRange *, relid InvalidOid. */
static List *
ranges_to_make(Maintenance *m)
{
	Interval   *interval = m->group->partition_interval;
	Timestamp	current = FeathubPartitionAlign(interval, m->as_of);
	List	   *gaps = NIL;
	bool		all = true;

	for (int i = -1; i <= AHEAD; i++)
		all = want_range(m, &gaps, FeathubPartitionStep(interval, current, i)) && all;
	if (m->since != DT_NOEND)
		for (Timestamp lower = FeathubPartitionAlign(interval, Max(m->since, m->cutoff));
			 all && lower < current;
			 lower = FeathubPartitionStep(interval, lower, 1))
			all = want_range(m, &gaps, lower);
	all = all && want_default_ranges(m, &gaps);
	if (!all)
		ereport(NOTICE,
				(errmsg("more than %d partitions of table \"%s\" are wanted",
						MAX_PARTITIONS, get_rel_name(m->relid)),
				 errhint("The next call of feathub.maintain_feature_group makes more of them.")));
	return gaps;
}

/* In PG_CATCH: roll the subtransaction back; the error, which may go on. */
static ErrorData *
leave_subtransaction(MemoryContext context, ResourceOwner owner)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * Make partitions for the given ranges, in a subtransaction: all or, for want
 * of a lock, none (false).
 */
static bool
make_partitions(Maintenance *m, List *gaps)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	FeathubMaintenance before = *m->result;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = try_make_partitions(m, gaps);
		if (done)
			ReleaseCurrentSubTransaction();
		else
		{
			RollbackAndReleaseCurrentSubTransaction();
			*m->result = before;
		}
	}
	PG_CATCH();
	{
		ReThrowError(leave_subtransaction(context, owner));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return done;
}

/* Make a table like the offline table, to be attached to it. */
static char *
make_table(Maintenance *m, const char *label)
{
	char	   *name = free_name(m, label);

	run("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED"
		" INCLUDING INDEXES INCLUDING STORAGE INCLUDING COMPRESSION)%s%s",
		name, m->name, m->tablespace ? " TABLESPACE " : "", m->tablespace ? m->tablespace : "");
	return name;
}

/*
 * One condition per run of adjoining ranges: with inside, that the
 * event time is in it; else, that it is not.
 */
static char *
range_condition(Maintenance *m, List *gaps, bool inside)
{
	List	   *sorted = NIL;
	StringInfoData sql;
	ListCell   *lc;

	/* m->ranges is in order and has the gaps among it */
	foreach(lc, m->ranges)
		if (list_member_ptr(gaps, lfirst(lc)))
			sorted = lappend(sorted, lfirst(lc));
	initStringInfo(&sql);
	for (int i = 0; i < list_length(sorted);)
	{
		FeathubPartitionRange *first = list_nth(sorted, i);
		Timestamp	upper = first->upper;

		while (++i < list_length(sorted) &&
			   ((FeathubPartitionRange *) list_nth(sorted, i))->lower == upper)
			upper = ((FeathubPartitionRange *) list_nth(sorted, i))->upper;
		appendStringInfo(&sql, inside ? "%s(%s >= %s AND %s < %s)" : "%s(%s < %s OR %s >= %s)",
						 sql.len == 0 ? "" : inside ? " OR " : " AND ",
						 m->event_time, FeathubPartitionBound(first->lower, m->event_time_type),
						 m->event_time, FeathubPartitionBound(upper, m->event_time_type));
	}
	return sql.data;
}

/*
 * Move the rows of the given ranges from the default partition to their new
 * tables.  One pass over the default partition does it for all: the tables are
 * for a moment partitions of a table that routes the rows.
 */
static void
move_rows(Maintenance *m, List *gaps, List *tables)
{
	char	   *router = free_name(m, "moving");
	ListCell   *lc;
	ListCell   *lt;

	run("CREATE TABLE %s (LIKE %s INCLUDING GENERATED) PARTITION BY RANGE (%s)",
		router, m->name, m->event_time);
	forboth(lc, gaps, lt, tables)
	{
		FeathubPartitionRange *gap = lfirst(lc);

		run("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
			router, (char *) lfirst(lt),
			FeathubPartitionBound(gap->lower, m->event_time_type),
			FeathubPartitionBound(gap->upper, m->event_time_type));
	}
	m->result->rows_moved +=
		run("WITH moved AS (DELETE FROM %s WHERE %s RETURNING %s)"
			" INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM moved",
			FeathubQualifiedName(m->default_partition), range_condition(m, gaps, true), m->columns,
			router, m->columns, m->columns);
	foreach(lt, tables)
		run("ALTER TABLE %s DETACH PARTITION %s", router, (char *) lfirst(lt));
	run("DROP TABLE %s", router);
}

static bool
try_make_partitions(Maintenance *m, List *gaps)
{
	Oid			filled = InvalidOid;	/* the default partition, if it has rows */
	char	   *default_name = NULL;
	List	   *tables = NIL;
	ListCell   *lc;
	ListCell   *lt;

	if (OidIsValid(m->default_partition))
	{
		default_name = FeathubQualifiedName(m->default_partition);

		/*
		 * Somebody who has found that his row belongs in the default partition
		 * and waits for it will fail once it does not any more.  So have all
		 * writers wait before they look, if that is soon over and they let us.
		 */
		if (blocks_of(m->default_partition) < SMALL_DEFAULT)
			(void) lock_within(m->relid, ShareRowExclusiveLock, LOCK_COURTESY);
		/* no more writes: what we see is what there is to move */
		if (!lock_patiently(m->default_partition, ShareRowExclusiveLock))
			return false;
		filled = movable_default(m);
	}
	foreach(lc, gaps)
		tables = lappend(tables, make_table(m, FeathubPartitionLabel(((FeathubPartitionRange *) lfirst(lc))->lower)));
	if (OidIsValid(filled))
		move_rows(m, gaps, tables);

	if (OidIsValid(m->default_partition) &&
		!lock_patiently(m->default_partition, AccessExclusiveLock))
		return false;
	/* attaching checks the default partition's rows, unless this proves it */
	if (OidIsValid(filled) && list_length(gaps) > 1)
		run("ALTER TABLE %s ADD CONSTRAINT feathub_maintenance CHECK (%s)",
			default_name, range_condition(m, gaps, false));
	forboth(lc, gaps, lt, tables)
	{
		FeathubPartitionRange *gap = lfirst(lc);

		run("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
			m->name, (char *) lfirst(lt),
			FeathubPartitionBound(gap->lower, m->event_time_type),
			FeathubPartitionBound(gap->upper, m->event_time_type));
		m->result->partitions_created++;
	}
	if (OidIsValid(filled) && list_length(gaps) > 1)
		run("ALTER TABLE %s DROP CONSTRAINT feathub_maintenance", default_name);
	if (!OidIsValid(m->default_partition))
	{
		run("ALTER TABLE %s ATTACH PARTITION %s DEFAULT", m->name, make_table(m, "default"));
		m->result->partitions_created++;
	}
	return true;
}

/* Delete a table's rows before an instant; rows that others hold stay. */
static int64
delete_before(Oid relid, const char *column, Oid type, Timestamp cutoff)
{
	char	   *name = FeathubQualifiedName(relid);
	char	   *sql;
	Oid			types[1] = {type == TIMESTAMPTZOID ? TIMESTAMPTZOID : TIMESTAMPOID};
	Datum		values[1] = {TimestampGetDatum(cutoff)};
	int64		total = 0;
	SPIPlanPtr	plan;

	sql = psprintf("DELETE FROM ONLY %s WHERE ctid = ANY (ARRAY("
				   "SELECT ctid FROM ONLY %s WHERE %s < $1 LIMIT %d FOR UPDATE SKIP LOCKED))",
				   name, name, column, EXPIRE_ROWS);
	plan = SPI_prepare(sql, 1, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	do
	{
		int			rc = SPI_execute_plan(plan, values, NULL, false, 0);

		if (rc != SPI_OK_DELETE)
			elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
		total += SPI_processed;
	} while (SPI_processed == EXPIRE_ROWS);
	SPI_freeplan(plan);
	return total;
}

/*
 * Delete rows older than the retention where no partition can be dropped, and
 * deletions that only concern such rows.
 */
static void
expire_rows(Maintenance *m)
{
	List	   *relids = NIL;
	ListCell   *lc;

	if (m->cutoff == DT_NOBEGIN)
		return;
	if (!m->by_time)
		relids = find_all_inheritors(m->relid, AccessShareLock, NULL);
	else if (OidIsValid(m->default_partition))
		relids = find_all_inheritors(m->default_partition, AccessShareLock, NULL);
	foreach(lc, relids)
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION && blocks_of(lfirst_oid(lc)) > 0)
			m->result->rows_expired += delete_before(lfirst_oid(lc), m->event_time,
													 m->event_time_type, m->cutoff);

	if (OidIsValid(m->group->tombstone))
	{
		AttrNumber	attnum = get_attnum(m->group->tombstone, "deleted_at");

		/* a day more: workers count the months of a retention in their zone */
		if (attnum != InvalidAttrNumber)
			(void) delete_before(m->group->tombstone, "deleted_at",
								 getBaseType(get_atttype(m->group->tombstone, attnum)),
								 m->cutoff - USECS_PER_DAY);
	}
}

/* Drop a partition; false with a warning if something depends on it. */
static bool
drop_partition(Oid relid)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *name = FeathubQualifiedName(relid);
	volatile bool dropped = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run("DROP TABLE %s", name);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error = leave_subtransaction(context, owner);

		if (error->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST)
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not drop expired partition %s: %s", name, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0));
		dropped = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return dropped;
}

/* Drop the partitions that ended before the retention. */
static void
drop_partitions(Maintenance *m)
{
	int			seen = 0;
	ListCell   *lc;

	if (m->cutoff == DT_NOBEGIN)
		return;
	foreach(lc, m->ranges)
	{
		FeathubPartitionRange *range = lfirst(lc);
		char		relkind;

		if (!OidIsValid(range->relid) || range->upper > m->cutoff)
			continue;
		relkind = get_rel_relkind(range->relid);
		if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
			continue;			/* a foreign table is not ours to drop */
		if (seen++ >= MAX_PARTITIONS)
			break;
		/* in the order in which DROP TABLE takes them */
		if (!lock_patiently(m->relid, AccessExclusiveLock) ||
			(OidIsValid(m->default_partition) &&
			 !lock_patiently(m->default_partition, AccessExclusiveLock)) ||
			!lock_patiently(range->relid, AccessExclusiveLock))
		{
			ereport(WARNING,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not drop expired partitions of table \"%s\": could not lock them",
							get_rel_name(m->relid)),
					 errhint("They are in use; the next call of feathub.maintain_feature_group tries again.")));
			break;
		}
		if (drop_partition(range->relid))
			m->result->partitions_dropped++;
	}
}
