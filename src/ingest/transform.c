/*
 * transform.c
 *		A job's query: SQL over "batch", run once per batch.
 *
 * "batch" is an ephemeral named relation, as a trigger's transition table is.
 * The rows that the query gives must keep the order in which their records
 * arrived, whatever join the planner chooses.  So "batch" has one more column,
 * the record's number, and where the query is row-wise that column is added to
 * its select list: in the parse tree, before analysis, never in the text.
 *
 * The plan cache holds the query, so it is planned once and analysed again
 * when an object changes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "ingest/transform.h"

struct FeathubTransform
{
	char	   *query;
	TupleDesc	input;			/* batch's columns and the arrival */
	TupleDesc	output;			/* without the arrival */
	int		   *columns;		/* output's columns among those of the plan */
	int			arrival;		/* the arrival among those of the plan, or -1 */
	bool		row_wise;
	CachedPlanSource *source;
	MemoryContext context;
	MemoryContextCallback reset;
};

/* Receives the rows of a run. */
typedef struct TransformDest
{
	DestReceiver pub;
	FeathubTransform *transform;
	FeathubTransformReceiver receive;
	void	   *arg;
	Datum	   *values;
	bool	   *isnull;
} TransformDest;

static RawStmt *parse_query(const char *query);
static QueryEnvironment *make_environment(FeathubTransform *transform,
										  Tuplestorestate *batch, double nrows);
static bool add_arrival(RawStmt *stmt);
static void describe_output(FeathubTransform *transform);
static void drop_source(void *arg);

FeathubTransform *
FeathubTransformBegin(const char *query, TupleDesc batch)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "feathub transform",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubTransform *transform = palloc0(sizeof(FeathubTransform));
	RawStmt    *stmt = parse_query(query);
	QueryEnvironment *env;
	Query	   *analysed;
	List	   *queries;

	transform->context = context;
	transform->query = pstrdup(query);
	transform->input = CreateTemplateTupleDesc(batch->natts + 1);
	for (int i = 1; i <= batch->natts; i++)
	{
		TupleDescCopyEntry(transform->input, i, batch, i);
		TupleDescAttr(transform->input, i - 1)->attisdropped =
			TupleDescAttr(batch, i - 1)->attisdropped;
	}
	TupleDescInitEntry(transform->input, batch->natts + 1, FEATHUB_ARRIVAL_COLUMN,
					   INT8OID, -1, 0);
	env = make_environment(transform, NULL, 0);

	/* As the user wrote it: is it what we run, and is it row-wise? */
	analysed = parse_analyze_fixedparams(copyObject(stmt), query, NULL, 0, env);
	if (analysed->commandType != CMD_SELECT || analysed->utilityStmt)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of a job must be a SELECT")));
	if (analysed->hasModifyingCTE || analysed->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a job cannot modify or lock rows")));
	transform->row_wise = !analysed->hasAggs && !analysed->hasWindowFuncs &&
		!analysed->hasDistinctOn && analysed->groupClause == NIL &&
		analysed->groupingSets == NIL && analysed->distinctClause == NIL &&
		analysed->setOperations == NULL && analysed->havingQual == NULL &&
		add_arrival(stmt);

	transform->source = CreateCachedPlan(stmt, transform->query, CMDTAG_SELECT);
	queries = pg_analyze_and_rewrite_fixedparams(stmt, query, NULL, 0, env);
	CompleteCachedPlan(transform->source, queries, NULL, NULL, 0, NULL, NULL, 0, true);

	describe_output(transform);
	SaveCachedPlan(transform->source);
	transform->reset.func = drop_source;
	transform->reset.arg = transform;
	MemoryContextRegisterResetCallback(context, &transform->reset);
	MemoryContextSwitchTo(old);
	return transform;
}

TupleDesc
FeathubTransformOutput(FeathubTransform *transform)
{
	return transform->output;
}

TupleDesc
FeathubTransformInput(FeathubTransform *transform)
{
	return transform->input;
}

bool
FeathubTransformIsRowWise(FeathubTransform *transform)
{
	return transform->row_wise;
}

void
FeathubTransformEnd(FeathubTransform *transform)
{
	MemoryContextDelete(transform->context);
}

/* DestReceiver: one row of the query. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	TransformDest *dest = (TransformDest *) self;
	FeathubTransform *transform = dest->transform;
	int64		arrival = -1;

	slot_getallattrs(slot);
	if (transform->arrival >= 0 && !slot->tts_isnull[transform->arrival])
		arrival = DatumGetInt64(slot->tts_values[transform->arrival]);
	for (int i = 0; i < transform->output->natts; i++)
	{
		dest->values[i] = slot->tts_values[transform->columns[i]];
		dest->isnull[i] = slot->tts_isnull[transform->columns[i]];
	}
	dest->receive(dest->arg, arrival, dest->values, dest->isnull);
	return true;
}

static void
start_rows(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
end_rows(DestReceiver *self)
{
}

void
FeathubTransformRun(FeathubTransform *transform, Tuplestorestate *batch, double nrows,
					FeathubTransformReceiver receive, void *arg)
{
	QueryEnvironment *env = make_environment(transform, batch, nrows);
	CachedPlan *plan;
	QueryDesc  *desc;
	TransformDest dest = {
		.pub = {.receiveSlot = receive_row, .rStartup = start_rows,
			.rShutdown = end_rows, .rDestroy = end_rows, .mydest = DestNone},
		.transform = transform,.receive = receive,.arg = arg,
		.values = palloc(sizeof(Datum) * transform->output->natts),
		.isnull = palloc(sizeof(bool) * transform->output->natts)
	};

	plan = GetCachedPlan(transform->source, NULL, CurrentResourceOwner, env);
	PushActiveSnapshot(GetTransactionSnapshot());
	desc = feathub_create_query_desc(linitial_node(PlannedStmt, plan->stmt_list), plan,
									 transform->query, GetActiveSnapshot(),
									 &dest.pub, env);
	ExecutorStart(desc, 0);
	feathub_executor_run(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	ReleaseCachedPlan(plan, CurrentResourceOwner);
}

/* The one statement of a query. */
static RawStmt *
parse_query(const char *query)
{
	List	   *statements = pg_parse_query(query);

	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of a job must be one statement")));
	if (!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of a job must be a SELECT")));
	return linitial_node(RawStmt, statements);
}

/* An environment in which "batch" is known. */
static QueryEnvironment *
make_environment(FeathubTransform *transform, Tuplestorestate *batch, double nrows)
{
	QueryEnvironment *env = create_queryEnv();
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = pstrdup("batch");
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = transform->input;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = Max(nrows, 1000);	/* the plan is kept */
	enr->reldata = batch;
	register_ENR(env, enr);
	return env;
}

/* The alias under which a FROM item reads "batch", or NULL. */
static const char *
find_batch(Node *item)
{
	if (IsA(item, RangeVar))
	{
		RangeVar   *var = (RangeVar *) item;

		if (var->schemaname == NULL && strcmp(var->relname, "batch") == 0)
			return var->alias ? var->alias->aliasname : var->relname;
	}
	else if (IsA(item, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) item;
		const char *found;

		if (join->alias)
			return NULL;		/* its inner names cannot be seen */
		found = find_batch(join->larg);
		return found ? found : find_batch(join->rarg);
	}
	return NULL;
}

/* Add the arrival to the select list.  False if "batch" is not in its FROM. */
static bool
add_arrival(RawStmt *stmt)
{
	SelectStmt *select = castNode(SelectStmt, stmt->stmt);
	const char *alias = NULL;
	ColumnRef  *column;
	ResTarget  *target;
	ListCell   *lc;

	foreach(lc, select->fromClause)
		if (alias == NULL)
			alias = find_batch(lfirst(lc));
	if (alias == NULL)
		return false;
	column = makeNode(ColumnRef);
	column->fields = list_make2(makeString(pstrdup(alias)),
								makeString(pstrdup(FEATHUB_ARRIVAL_COLUMN)));
	column->location = -1;
	target = makeNode(ResTarget);
	target->name = pstrdup(FEATHUB_ARRIVAL_COLUMN);
	target->val = (Node *) column;
	target->location = -1;
	select->targetList = lappend(select->targetList, target);
	return true;
}

/* The columns that the user asked for: a star gives the arrival once more. */
static void
describe_output(FeathubTransform *transform)
{
	TupleDesc	all = transform->source->resultDesc;
	int			n = 0;

	transform->arrival = transform->row_wise ? all->natts - 1 : -1;
	transform->columns = palloc(sizeof(int) * all->natts);
	for (int i = 0; i < all->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(all, i)->attname), FEATHUB_ARRIVAL_COLUMN) != 0)
			transform->columns[n++] = i;
	transform->output = CreateTemplateTupleDesc(n);
	for (int i = 0; i < n; i++)
		TupleDescCopyEntry(transform->output, i + 1, all, transform->columns[i] + 1);
	for (int i = 0; i < n; i++)
		for (int j = i + 1; j < n; j++)
			if (strcmp(NameStr(TupleDescAttr(transform->output, i)->attname),
					   NameStr(TupleDescAttr(transform->output, j)->attname)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" occurs more than once in the query of a job",
								NameStr(TupleDescAttr(transform->output, i)->attname)),
						 errhint("Name the columns apart with AS.")));
}

static void
drop_source(void *arg)
{
	FeathubTransform *transform = arg;

	DropCachedPlan(transform->source);
}
