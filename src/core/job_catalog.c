/*
 * job_catalog.c
 *		The metadata of jobs: definition, state, what may run.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/compat.h"

void		(*FeathubJobsChangedHook) (void) = NULL;
void		(*FeathubJobInterruptHook) (int64 job_id) = NULL;

#define JOB_COLUMNS \
	"SELECT job_id, name, owner::oid, source::oid, sink::oid, query, workers, on_error, " \
	"max_dead_letters, (SELECT coalesce(sum(p.dead_letters), 0)::int8 FROM feathub.job_position AS p " \
	"WHERE p.job_id = job.job_id) - dead_letters_before, start, on_gap, synchronous_commit, state, " \
	"reason, epoch, system_identifier, database_oid, further_sinks::oid[] FROM feathub.job "

static FeathubJob *job_from_tuple(HeapTuple tuple, TupleDesc desc);
static List *collect_jobs(MemoryContext caller);
static FeathubOnError on_error_from_name(const char *name);
static void check_job_table(const FeathubJob *job, Oid relid, const char *role);
pg_noreturn static void report_unknown_job(const char *name);

/*
 * Reading
 */

FeathubJob *
FeathubJobLoad(int64 job_id)
{
	static FeathubStatement statement = {
		.sql = JOB_COLUMNS "WHERE job_id = $1", .nargs = 1, .argtypes = {INT8OID},
		.fresh = true
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[1] = {Int64GetDatum(job_id)};
	List	   *jobs;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	jobs = collect_jobs(caller);
	FeathubCatalogLeave(&scope);
	return jobs == NIL ? NULL : (FeathubJob *) linitial(jobs);
}

FeathubJob *
FeathubJobByName(const char *name, bool missing_ok)
{
	static FeathubStatement statement = {
		.sql = JOB_COLUMNS "WHERE name = $1", .nargs = 1, .argtypes = {TEXTOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[1] = {CStringGetTextDatum(name)};
	List	   *jobs;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	jobs = collect_jobs(caller);
	FeathubCatalogLeave(&scope);
	if (jobs == NIL && !missing_ok)
		report_unknown_job(name);
	return jobs == NIL ? NULL : (FeathubJob *) linitial(jobs);
}

FeathubJob *
FeathubJobLock(const char *name)
{
	static FeathubStatement statement = {
		.sql = JOB_COLUMNS "WHERE name = $1 FOR NO KEY UPDATE", .nargs = 1, .argtypes = {TEXTOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[1] = {CStringGetTextDatum(name)};
	List	   *jobs;

	/*
	 * Ownership is looked at before the lock is taken, so that nobody can make
	 * a stranger's job wait, and again in the locked row.
	 */
	FeathubJobCheckOwner(FeathubJobByName(name, false));

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	jobs = collect_jobs(caller);
	FeathubCatalogLeave(&scope);
	if (jobs == NIL)
		report_unknown_job(name);
	FeathubJobCheckOwner((FeathubJob *) linitial(jobs));
	return (FeathubJob *) linitial(jobs);
}

List *
FeathubJobsAll(void)
{
	static FeathubStatement statement = {.sql = JOB_COLUMNS "ORDER BY job_id"};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	List	   *jobs;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, NULL, NULL);
	jobs = collect_jobs(caller);
	FeathubCatalogLeave(&scope);
	return jobs;
}

List *
FeathubJobsOfSink(Oid sink, bool lock)
{
	static FeathubStatement plain = {
		.sql = JOB_COLUMNS "WHERE sink = $1 OR $1 = ANY (further_sinks) ORDER BY job_id",
		.nargs = 1, .argtypes = {REGCLASSOID}
	};
	static FeathubStatement locking = {
		.sql = JOB_COLUMNS "WHERE sink = $1 OR $1 = ANY (further_sinks) ORDER BY job_id FOR NO KEY UPDATE",
		.nargs = 1, .argtypes = {REGCLASSOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[1] = {ObjectIdGetDatum(sink)};
	List	   *jobs;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(lock ? &locking : &plain, values, NULL);
	jobs = collect_jobs(caller);
	FeathubCatalogLeave(&scope);
	return jobs;
}

List *
FeathubJobsOfRelations(Datum relations)
{
	static FeathubStatement statement = {
		.sql = JOB_COLUMNS "WHERE source::oid = ANY ($1) OR sink::oid = ANY ($1) "
		"OR further_sinks::oid[] && $1 ORDER BY job_id FOR UPDATE",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	List	   *jobs;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, &relations, NULL);
	jobs = collect_jobs(caller);
	FeathubCatalogLeave(&scope);
	return jobs;
}

/* The jobs that the last statement returned, in the caller's context. */
static List *
collect_jobs(MemoryContext caller)
{
	MemoryContext old = MemoryContextSwitchTo(caller);
	List	   *jobs = NIL;

	for (uint64 i = 0; i < SPI_processed; i++)
		jobs = lappend(jobs, job_from_tuple(SPI_tuptable->vals[i],
											SPI_tuptable->tupdesc));
	MemoryContextSwitchTo(old);
	return jobs;
}

static FeathubJob *
job_from_tuple(HeapTuple tuple, TupleDesc desc)
{
	FeathubJob *job = (FeathubJob *) palloc0(sizeof(FeathubJob));
	bool		isnull;
	Datum	   *sinks;
	int			nsinks;

	job->job_id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	job->name = FeathubTupleString(tuple, desc, 2);
	job->owner = FeathubTupleOid(tuple, desc, 3);
	job->source = FeathubTupleOid(tuple, desc, 4);
	job->sink = FeathubTupleOid(tuple, desc, 5);
	job->query = FeathubTupleString(tuple, desc, 6);
	job->workers = DatumGetInt32(SPI_getbinval(tuple, desc, 7, &isnull));
	job->on_error = on_error_from_name(FeathubTupleString(tuple, desc, 8));
	job->max_dead_letters = DatumGetInt32(SPI_getbinval(tuple, desc, 9, &isnull));
	job->dead_letters = DatumGetInt64(SPI_getbinval(tuple, desc, 10, &isnull));
	job->start = FeathubTupleString(tuple, desc, 11);
	job->on_gap = FeathubTupleString(tuple, desc, 12);
	job->synchronous_commit = DatumGetBool(SPI_getbinval(tuple, desc, 13, &isnull));
	job->state = FeathubTupleString(tuple, desc, 14);
	job->reason = FeathubTupleString(tuple, desc, 15);
	job->epoch = DatumGetInt64(SPI_getbinval(tuple, desc, 16, &isnull));
	job->is_local =
		DatumGetInt64(SPI_getbinval(tuple, desc, 17, &isnull)) == (int64) GetSystemIdentifier() &&
		DatumGetObjectId(SPI_getbinval(tuple, desc, 18, &isnull)) == MyDatabaseId;
	job->sinks = list_make1_oid(job->sink);
	deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(tuple, desc, 19, &isnull)), OIDOID,
					  sizeof(Oid), true, TYPALIGN_INT, &sinks, NULL, &nsinks);
	for (int i = 0; i < nsinks; i++)
		job->sinks = lappend_oid(job->sinks, DatumGetObjectId(sinks[i]));
	return job;
}

static FeathubOnError
on_error_from_name(const char *name)
{
	if (strcmp(name, "stop") == 0)
		return FEATHUB_ON_ERROR_STOP;
	if (strcmp(name, "skip") == 0)
		return FEATHUB_ON_ERROR_SKIP;
	return FEATHUB_ON_ERROR_DEAD_LETTER;
}

/* Raise an error; hint at the closest name among the jobs the user may see. */
static void
report_unknown_job(const char *name)
{
	List	   *jobs = FeathubJobsAll();
	const char *closest = NULL;
	int			distance = 4;	/* farther than that is no typing mistake */
	ListCell   *lc;

	foreach(lc, jobs)
	{
		FeathubJob *job = (FeathubJob *) lfirst(lc);
		int			d;

		if (!has_privs_of_role(GetUserId(), job->owner) ||
			strlen(name) > NAMEDATALEN || strlen(job->name) > NAMEDATALEN)
			continue;
		d = varstr_levenshtein_less_equal(name, strlen(name),
										  job->name, strlen(job->name),
										  1, 1, 1, distance, true);
		if (d < distance && d <= (int) strlen(name) / 2)
		{
			distance = d;
			closest = job->name;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("job \"%s\" does not exist", name),
			 closest ? errhint("Perhaps you meant the job \"%s\".", closest) : 0));
	pg_unreachable();
}

/*
 * Rights
 */

/* Who owns the job's sink now; InvalidOid if it is gone. */
static Oid
sink_owner(const FeathubJob *job)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(job->sink));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * The job goes with its sink: where that was given to another role (REASSIGN
 * OWNED), the new owner may drop the job, or resume it as its own.
 */
void
FeathubJobCheckOwner(const FeathubJob *job)
{
	Oid			owner = sink_owner(job);

	if (has_privs_of_role(GetUserId(), job->owner) ||
		(OidIsValid(owner) && has_privs_of_role(GetUserId(), owner)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of job \"%s\"", job->name)));
}

void
FeathubJobCheckRunnable(const FeathubJob *job)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(job->owner));
	bool		can_login;
	char	   *owner;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("owner of job \"%s\" does not exist", job->name),
				 errhint("The owner of its sink can call feathub.resume_job.")));
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	owner = pstrdup(NameStr(((Form_pg_authid) GETSTRUCT(tuple))->rolname));
	ReleaseSysCache(tuple);

	if (FEATHUB_OWNER_NEEDS_LOGIN && !can_login)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("owner of job \"%s\" is not permitted to log in", job->name),
				 errdetail("Before PostgreSQL 17, background workers can only run as roles that may log in."),
				 errhint("Use ALTER ROLE %s LOGIN.", quote_identifier(owner))));
	if (object_aclcheck(DatabaseRelationId, MyDatabaseId, job->owner,
						ACL_CONNECT) != ACLCHECK_OK)
	{
		char	   *database = get_database_name(MyDatabaseId);

		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("owner of job \"%s\" is not permitted to connect to database \"%s\"",
						job->name, database),
				 errhint("Use GRANT CONNECT ON DATABASE %s TO %s.",
						 quote_identifier(database), quote_identifier(owner))));
	}

	foreach(lc, job->sinks)
	{
		FeathubGroup *group;

		check_job_table(job, lfirst_oid(lc), "sink");
		group = FeathubGroupLoad(lfirst_oid(lc));
		if (group != NULL && OidIsValid(group->online))
			check_job_table(job, group->online, "online table");
		if (group != NULL && OidIsValid(group->tombstone))
			check_job_table(job, group->tombstone, "tombstone table");
		if (group != NULL && OidIsValid(group->store))
			check_job_table(job, group->store, "online store");
	}

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(job->source)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("source of job \"%s\" does not exist", job->name)));
	if (pg_class_aclcheck(job->source, job->owner, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("owner of job \"%s\" has no right to read its source \"%s\"",
						job->name, get_rel_name(job->source)),
				 errhint("Use GRANT SELECT ON %s TO %s.",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(job->source)),
													get_rel_name(job->source)),
						 quote_identifier(owner))));
}

/*
 * Raise an error unless the job's owner is the very owner of the table: code
 * that a table's owner attaches to it runs as the job's owner, so membership
 * in the table's owner is not enough.
 */
static void
check_job_table(const FeathubJob *job, Oid relid, const char *role)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;
	char		persistence;
	char	   *relname;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("%s of job \"%s\" does not exist", role, job->name)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	persistence = ((Form_pg_class) GETSTRUCT(tuple))->relpersistence;
	relname = pstrdup(NameStr(((Form_pg_class) GETSTRUCT(tuple))->relname));
	ReleaseSysCache(tuple);

	if (persistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s \"%s\" of job \"%s\" is unlogged", role, relname, job->name),
				 errdetail("It is emptied by a crash, while the job's positions remain."),
				 errhint("Use ALTER TABLE ... SET LOGGED and feathub.resume_job.")));

	if (owner != job->owner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s \"%s\" does not belong to the owner of job \"%s\"",
						role, relname, job->name),
				 errdetail("A job runs as its owner, who must own every table it writes.")));
}

/*
 * Writing
 */

static const char *const on_error_names[] = {"dead_letter", "stop", "skip"};

/* All sinks but the first, as regclass[]. */
static Datum
further_sinks(const FeathubJob *job)
{
	int			n = list_length(job->sinks) - 1;
	Datum	   *sinks = palloc(sizeof(Datum) * (n + 1));

	for (int i = 0; i < n; i++)
		sinks[i] = ObjectIdGetDatum(list_nth_oid(job->sinks, i + 1));
	return PointerGetDatum(construct_array(sinks, n, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT));
}

int64
FeathubJobInsert(const FeathubJob *job)
{
	static FeathubStatement statement = {
		.sql = "INSERT INTO feathub.job (name, owner, source, sink, query, workers, on_error, "
		"max_dead_letters, start, on_gap, synchronous_commit, system_identifier, database_oid, "
		"further_sinks) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) "
		"ON CONFLICT (name) DO NOTHING RETURNING job_id",
		.nargs = 14,
		.argtypes = {TEXTOID, REGROLEOID, REGCLASSOID, REGCLASSOID, TEXTOID, INT4OID, TEXTOID,
		INT4OID, TEXTOID, TEXTOID, BOOLOID, INT8OID, OIDOID, REGCLASSARRAYOID}
	};
	FeathubRoleScope scope;
	Datum		values[14];
	char		nulls[15] = "              ";
	int64		job_id;
	bool		isnull;

	FEATHUB_PARAMETER(0, false, CStringGetTextDatum(job->name));
	FEATHUB_PARAMETER(1, false, ObjectIdGetDatum(job->owner));
	FEATHUB_PARAMETER(2, false, ObjectIdGetDatum(job->source));
	FEATHUB_PARAMETER(3, false, ObjectIdGetDatum(job->sink));
	FEATHUB_PARAMETER(4, job->query == NULL, CStringGetTextDatum(job->query));
	FEATHUB_PARAMETER(5, false, Int32GetDatum(job->workers));
	FEATHUB_PARAMETER(6, false, CStringGetTextDatum(on_error_names[job->on_error]));
	FEATHUB_PARAMETER(7, false, Int32GetDatum(job->max_dead_letters));
	FEATHUB_PARAMETER(8, false, CStringGetTextDatum(job->start));
	FEATHUB_PARAMETER(9, false, CStringGetTextDatum(job->on_gap));
	FEATHUB_PARAMETER(10, false, BoolGetDatum(job->synchronous_commit));
	FEATHUB_PARAMETER(11, false, Int64GetDatum((int64) GetSystemIdentifier()));
	FEATHUB_PARAMETER(12, false, ObjectIdGetDatum(MyDatabaseId));
	FEATHUB_PARAMETER(13, false, further_sinks(job));

	FeathubCatalogEnter(&scope);
	if (FeathubCatalogExecute(&statement, values, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("job \"%s\" already exists", job->name)));
	job_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	FeathubCatalogLeave(&scope);
	FeathubJobsChanged();
	return job_id;
}

bool
FeathubJobSetState(int64 job_id, int64 epoch, const char *state, const char *reason)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.job SET state = $3, reason = $4, changed_at = pg_catalog.now() "
		"WHERE job_id = $1 AND epoch = $2",
		.nargs = 4, .argtypes = {INT8OID, INT8OID, TEXTOID, TEXTOID}
	};
	FeathubRoleScope scope;
	Datum		values[4] = {Int64GetDatum(job_id), Int64GetDatum(epoch),
		CStringGetTextDatum(state), reason ? CStringGetTextDatum(reason) : (Datum) 0};
	const char *nulls = reason ? "    " : "   n";
	bool		found;

	FeathubCatalogEnter(&scope);
	found = FeathubCatalogExecute(&statement, values, nulls) > 0;
	FeathubCatalogLeave(&scope);
	if (found)
		FeathubJobsChanged();
	return found;
}

static void
interrupt_workers(int64 job_id)
{
	if (FeathubJobInterruptHook != NULL)
		FeathubJobInterruptHook(job_id);
}

/*
 * Run a statement on a job, whose first parameter is its id, and wake
 * schedulers.  The job's positions take over its epoch, so that a batch of the
 * former one cannot commit any more: those that there are now, however old the
 * transaction's snapshot is.
 */
static void
change_job(FeathubStatement *statement, Datum *values, const char *nulls)
{
	static FeathubStatement positions = {
		.sql = "UPDATE feathub.job_position AS p SET epoch = j.epoch FROM feathub.job AS j "
		"WHERE p.job_id = $1 AND j.job_id = p.job_id AND p.epoch <> j.epoch",
		.nargs = 1, .argtypes = {INT8OID}, .fresh = true
	};
	FeathubRoleScope scope;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(statement, values, nulls);
	(void) FeathubCatalogExecute(&positions, values, NULL);
	FeathubCatalogLeave(&scope);
	FeathubJobsChanged();
}

void
FeathubJobRestart(int64 job_id)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.job SET epoch = epoch + 1, changed_at = pg_catalog.now() "
		"WHERE job_id = $1",
		.nargs = 1, .argtypes = {INT8OID}
	};
	Datum		values[1] = {Int64GetDatum(job_id)};

	interrupt_workers(job_id);
	change_job(&statement, values, NULL);
}

void
FeathubJobDelete(int64 job_id)
{
	static FeathubStatement statement = {
		.sql = "DELETE FROM feathub.job WHERE job_id = $1", .nargs = 1, .argtypes = {INT8OID}
	};
	static FeathubStatement positions = {
		.sql = "DELETE FROM feathub.job_position WHERE job_id = $1", .nargs = 1, .argtypes = {INT8OID},
		.fresh = true
	};
	static FeathubStatement finished = {
		.sql = "DELETE FROM feathub.job_finished_partition WHERE job_id = $1", .nargs = 1, .argtypes = {INT8OID},
		.fresh = true
	};
	static FeathubStatement letters = {
		.sql = "DELETE FROM feathub.dead_letter_record WHERE job_id = $1", .nargs = 1, .argtypes = {INT8OID},
		.fresh = true
	};
	FeathubRoleScope scope;
	Datum		values[1] = {Int64GetDatum(job_id)};

	/*
	 * In this order: a batch under way holds its positions' rows and ends
	 * first, so that its dead letters are seen here; none can begin after it,
	 * since new positions need the job's row.
	 */
	interrupt_workers(job_id);
	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	(void) FeathubCatalogExecute(&positions, values, NULL);
	(void) FeathubCatalogExecute(&finished, values, NULL);
	(void) FeathubCatalogExecute(&letters, values, NULL);
	FeathubCatalogLeave(&scope);
	FeathubJobsChanged();
}

void
FeathubJobPause(int64 job_id, const char *reason)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.job SET state = 'paused', reason = $2, epoch = epoch + 1, "
		"changed_at = pg_catalog.now() WHERE job_id = $1",
		.nargs = 2, .argtypes = {INT8OID, TEXTOID}
	};
	Datum		values[2] = {Int64GetDatum(job_id), reason ? CStringGetTextDatum(reason) : (Datum) 0};

	interrupt_workers(job_id);
	change_job(&statement, values, reason ? NULL : " n");
}

void
FeathubJobAdopt(FeathubJob *job)
{
	Oid			owner = sink_owner(job);

	if (OidIsValid(owner) && owner != job->owner && has_privs_of_role(GetUserId(), owner))
		job->owner = owner;
}

void
FeathubJobResume(const FeathubJob *job, bool keep_state)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.job SET owner = $5, state = CASE WHEN $4 THEN state ELSE 'running' END, "
		"reason = CASE WHEN $4 THEN reason END, "
		"dead_letters_before = CASE WHEN $4 THEN dead_letters_before ELSE ("
		"SELECT coalesce(sum(p.dead_letters), 0) FROM feathub.job_position AS p WHERE p.job_id = $1) END, "
		"epoch = epoch + 1, system_identifier = $2, database_oid = $3, "
		"changed_at = pg_catalog.now() WHERE job_id = $1",
		.nargs = 5, .argtypes = {INT8OID, INT8OID, OIDOID, BOOLOID, REGROLEOID}
	};
	Datum		values[5] = {Int64GetDatum(job->job_id), Int64GetDatum((int64) GetSystemIdentifier()),
		ObjectIdGetDatum(MyDatabaseId), BoolGetDatum(keep_state),
		ObjectIdGetDatum(job->owner)};

	interrupt_workers(job->job_id);
	change_job(&statement, values, NULL);
}

void
FeathubJobUpdate(const FeathubJob *job)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.job SET sink = $2, further_sinks = $3, query = $4, workers = $5, "
		"on_error = $6, max_dead_letters = $7, on_gap = $8, synchronous_commit = $9, "
		"epoch = epoch + 1, changed_at = pg_catalog.now() WHERE job_id = $1",
		.nargs = 9, .argtypes = {INT8OID, REGCLASSOID, REGCLASSARRAYOID, TEXTOID, INT4OID, TEXTOID,
		INT4OID, TEXTOID, BOOLOID}
	};
	Datum		values[9];
	char		nulls[10] = "         ";

	FEATHUB_PARAMETER(0, false, Int64GetDatum(job->job_id));
	FEATHUB_PARAMETER(1, false, ObjectIdGetDatum(linitial_oid(job->sinks)));
	FEATHUB_PARAMETER(2, false, further_sinks(job));
	FEATHUB_PARAMETER(3, job->query == NULL, CStringGetTextDatum(job->query));
	FEATHUB_PARAMETER(4, false, Int32GetDatum(job->workers));
	FEATHUB_PARAMETER(5, false, CStringGetTextDatum(on_error_names[job->on_error]));
	FEATHUB_PARAMETER(6, false, Int32GetDatum(job->max_dead_letters));
	FEATHUB_PARAMETER(7, false, CStringGetTextDatum(job->on_gap));
	FEATHUB_PARAMETER(8, false, BoolGetDatum(job->synchronous_commit));
	interrupt_workers(job->job_id);
	change_job(&statement, values, nulls);
}

bool
FeathubJobForgetSink(FeathubJob *job, Oid sink)
{
	if (list_length(job->sinks) < 2 || !list_member_oid(job->sinks, sink))
		return false;
	job->sinks = list_delete_oid(job->sinks, sink);
	job->sink = linitial_oid(job->sinks);
	FeathubJobUpdate(job);
	return true;
}

int64
FeathubDeadLettersDelete(int64 job_id, TimestampTz before)
{
	static FeathubStatement statement = {
		.sql = "DELETE FROM feathub.dead_letter_record WHERE job_id = $1 AND created_at < $2",
		.nargs = 2, .argtypes = {INT8OID, TIMESTAMPTZOID}
	};
	FeathubRoleScope scope;
	Datum		values[2] = {Int64GetDatum(job_id), TimestampTzGetDatum(before)};
	int64		count;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	count = (int64) SPI_processed;
	FeathubCatalogLeave(&scope);
	return count;
}

void
FeathubJobsChanged(void)
{
	if (FeathubJobsChangedHook != NULL)
		FeathubJobsChangedHook();
}
