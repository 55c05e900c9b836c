/*
 * transform.c
 *		A job's query: SQL over "batch", run once per batch.
 *
 * "batch" is an ephemeral named relation, as a trigger's transition table is.
 * The rows that the query gives must keep the order in which their records
 * arrived, whatever join the planner chooses.  So the tuplestore has one more
 * column, the record's number, which the query cannot see: not by name, not in
 * a star and not in a whole row.  Where the query is row-wise, its analysed
 * form is changed: "batch" becomes a subquery that has the number as one more
 * column, and the number is added to the target list, by way of the subqueries
 * and CTEs through which "batch" is read.  Where whole rows of these are used,
 * they are made without the number.  The planner pulls the subquery up.
 *
 * The plan cache holds the query, so it is planned once for full batches and
 * once for small ones.  When an object it
 * reads changes, it is made again here: the cache would analyse the query as
 * the user wrote it, without the number.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
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

/*
 * A plan is kept, so it is made for the size of batches, not for that of the
 * first one: a job that has caught up has small ones, for which a big table
 * beside them is not to be read whole.
 */
enum
{
	PLAN_FULL,
	PLAN_SMALL,
	PLANS
};
static const double planned_rows[PLANS] = {10000, 100};

/* Batches of up to that many rows are small. */
#define SMALL_ROWS 1000

struct FeathubTransform
{
	char	   *query;
	TupleDesc	batch;			/* the columns that the query sees */
	TupleDesc	input;			/* the same and the arrival */
	TupleDesc	output;			/* without the arrival, which the plan has last */
	bool		row_wise;
	CachedPlanSource *sources[PLANS];	/* NULL: not needed yet */
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
} TransformDest;

/* A query and those that it is in, for CTEs of further out. */
typedef struct QueryLevel
{
	Query	   *query;
	struct QueryLevel *outer;
} QueryLevel;

/* The name of the relation that has the arrival, which no query can mention. */
#define NUMBERED_BATCH "batch with " FEATHUB_ARRIVAL_COLUMN

static RawStmt *parse_query(const char *query);
static QueryEnvironment *make_environment(FeathubTransform *transform,
										  Tuplestorestate *batch, double nrows);
static void prepare_query(FeathubTransform *transform, int which);
static CachedPlan *get_plan(FeathubTransform *transform, int which, QueryEnvironment *env);
static bool add_arrival(QueryLevel *outer, Query *query, TupleDesc input, double nrows);
static void describe_output(FeathubTransform *transform);
static void check_output(FeathubTransform *transform, TupleDesc result);
static void drop_source(void *arg);

FeathubTransform *
FeathubTransformBegin(const char *query, TupleDesc batch)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "feathub transform",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubTransform *transform = palloc0(sizeof(FeathubTransform));

	transform->context = context;
	transform->query = pstrdup(query);
	transform->batch = CreateTupleDescCopy(batch);
	transform->input = CreateTemplateTupleDesc(batch->natts + 1);
	for (int i = 1; i <= batch->natts; i++)
		TupleDescCopyEntry(transform->input, i, batch, i);
	TupleDescInitEntry(transform->input, batch->natts + 1, FEATHUB_ARRIVAL_COLUMN,
					   INT8OID, -1, 0);
	transform->reset.func = drop_source;
	transform->reset.arg = transform;
	MemoryContextRegisterResetCallback(context, &transform->reset);
	prepare_query(transform, PLAN_FULL);
	describe_output(transform);
	MemoryContextSwitchTo(old);
	return transform;
}

/* Analyse the query and keep it in the plan cache. */
static void
prepare_query(FeathubTransform *transform, int which)
{
	RawStmt    *stmt = parse_query(transform->query);
	QueryEnvironment *env = make_environment(transform, NULL, planned_rows[which]);
	CachedPlanSource *source = CreateCachedPlan(stmt, transform->query, CMDTAG_SELECT);
	List	   *queries = pg_analyze_and_rewrite_fixedparams(stmt, transform->query, NULL, 0, env);
	Query	   *query = linitial_node(Query, queries);

	if (list_length(queries) != 1 || query->commandType != CMD_SELECT || query->utilityStmt)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of a job must be a SELECT")));
	if (query->hasModifyingCTE || query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a job cannot modify or lock rows")));
	transform->row_wise = add_arrival(NULL, query, transform->input, planned_rows[which]);

	CompleteCachedPlan(source, queries, NULL, NULL, 0, NULL, NULL, 0, false);
	SaveCachedPlan(source);
	if (transform->sources[which])
		DropCachedPlan(transform->sources[which]);
	transform->sources[which] = source;
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
	int			last = transform->output->natts;
	int64		arrival = -1;

	slot_getallattrs(slot);
	if (transform->row_wise && !slot->tts_isnull[last])
		arrival = DatumGetInt64(slot->tts_values[last]);
	dest->receive(dest->arg, arrival, slot->tts_values, slot->tts_isnull);
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
	int			which = nrows > SMALL_ROWS ? PLAN_FULL : PLAN_SMALL;
	QueryEnvironment *env = make_environment(transform, batch, planned_rows[which]);
	CachedPlan *plan = get_plan(transform, which, env);
	QueryDesc  *desc;
	TransformDest dest = {
		.pub = {.receiveSlot = receive_row, .rStartup = start_rows,
			.rShutdown = end_rows, .rDestroy = end_rows, .mydest = DestNone},
		.transform = transform,.receive = receive,.arg = arg
	};

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

/*
 * The plan for full or for small batches, prepared again if need be.  The
 * caller releases it.
 */
static CachedPlan *
get_plan(FeathubTransform *transform, int which, QueryEnvironment *env)
{
	CachedPlan *plan;

	for (;;)
	{
		CachedPlanSource *source = transform->sources[which];

		if (source == NULL || !source->is_valid)
		{
			MemoryContext old = MemoryContextSwitchTo(transform->context);

			prepare_query(transform, which);
			MemoryContextSwitchTo(old);
			source = transform->sources[which];
		}
		plan = GetCachedPlan(source, NULL, CurrentResourceOwner, env);
		if (source->resultDesc->natts == transform->output->natts + transform->row_wise)
		{
			check_output(transform, source->resultDesc);
			return plan;
		}
		/* it went stale in between, and the cache has analysed it itself */
		ReleaseCachedPlan(plan, CurrentResourceOwner);
		source->is_valid = false;
		CHECK_FOR_INTERRUPTS();
	}
}

void
FeathubTransformExplain(FeathubTransform *transform, double nrows, ExplainState *es)
{
	int			which = nrows > SMALL_ROWS ? PLAN_FULL : PLAN_SMALL;
	Tuplestorestate *batch = tuplestore_begin_heap(false, false, work_mem);
	QueryEnvironment *env = make_environment(transform, batch, planned_rows[which]);
	CachedPlan *plan = get_plan(transform, which, env);

	feathub_explain_one_plan(linitial_node(PlannedStmt, plan->stmt_list), es,
							 transform->query, env);
	ReleaseCachedPlan(plan, CurrentResourceOwner);
	tuplestore_end(batch);
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

/* Make a relation known by a name in an environment. */
static void
add_relation(QueryEnvironment *env, const char *name, TupleDesc desc,
			 Tuplestorestate *batch, double nrows)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = pstrdup(name);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = nrows;
	enr->reldata = batch;
	register_ENR(env, enr);
}

/*
 * An environment in which "batch" is known, and the same with the arrival.
 * Both read one tuplestore: a tuple may have more columns than asked for.
 */
static QueryEnvironment *
make_environment(FeathubTransform *transform, Tuplestorestate *batch, double nrows)
{
	QueryEnvironment *env = create_queryEnv();

	add_relation(env, "batch", transform->batch, batch, nrows);
	add_relation(env, NUMBERED_BATCH, transform->input, batch, nrows);
	return env;
}

/* Does each row of the query belong to one of those in its FROM? */
static bool
is_row_wise(const Query *query)
{
	return !query->hasAggs && !query->hasWindowFuncs &&
		!query->hasDistinctOn && query->groupClause == NIL &&
		query->groupingSets == NIL && query->distinctClause == NIL &&
		query->setOperations == NULL && query->havingQual == NULL &&
		query->limitCount == NULL && query->limitOffset == NULL;
}

/* SELECT everything FROM an item, which is the only one. */
static Query *
make_select(RangeTblEntry *rte)
{
	Query	   *query = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);

	rte->inFromCl = true;
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	return query;
}

/* Add a column behind those that a query gives, in front of its junk. */
static void
add_column(Query *query, Expr *expr, const char *name)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, query->targetList)
		if (lfirst_node(TargetEntry, lc)->resjunk)
			lfirst_node(TargetEntry, lc)->resno++;
		else
			n++;
	query->targetList = list_insert_nth(query->targetList, n,
										makeTargetEntry(expr, n + 1, pstrdup(name), false));
}

/* How many columns a query gives. */
static int
count_columns(const Query *query)
{
	return ExecCleanTargetListLength(query->targetList);
}

/* SELECT all columns FROM the numbered batch, with the arrival. */
static Query *
make_numbered_batch(TupleDesc input, double nrows)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Query	   *query = make_select(rte);

	rte->rtekind = RTE_NAMEDTUPLESTORE;
	rte->enrname = pstrdup(NUMBERED_BATCH);
	rte->enrtuples = nrows;
	rte->eref = makeAlias("batch", NIL);
	for (int i = 0; i < input->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(input, i);
		Var		   *var = makeVar(1, i + 1, att->atttypid, att->atttypmod, att->attcollation, 0);

		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(NameStr(att->attname))));
		rte->coltypes = lappend_oid(rte->coltypes, att->atttypid);
		rte->coltypmods = lappend_int(rte->coltypmods, att->atttypmod);
		rte->colcollations = lappend_oid(rte->colcollations, att->attcollation);
		add_column(query, (Expr *) var, NameStr(att->attname));
	}
	return query;
}

/*
 * SELECT all columns FROM a subquery and, as one more, a row of all of them but
 * the last, the arrival.  names has the names of the row's fields.
 */
static Query *
select_with_row(Query *subquery, List *names)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Query	   *query = make_select(rte);
	RowExpr    *row = makeNode(RowExpr);
	int			n = count_columns(subquery);
	ListCell   *lc;

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subquery;
	rte->eref = makeAlias("batch", NIL);
	IncrementVarSublevelsUp((Node *) subquery, 1, 1);	/* one level further in */
	foreach(lc, subquery->targetList)
	{
		TargetEntry *tle = lfirst(lc);
		Var		   *var;

		if (tle->resjunk)
			continue;
		var = makeVarFromTargetEntry(1, tle);
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(tle->resname ? tle->resname : "")));
		add_column(query, (Expr *) var, tle->resname ? tle->resname : "");
		if (tle->resno < n)
			row->args = lappend(row->args, copyObject(var));
	}
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->colnames = list_truncate(copyObject(names), n - 1);
	row->location = -1;
	add_column(query, (Expr *) row, "");
	return query;
}

/* Whole rows of the FROM item index, at a level of a query. */
typedef struct WholeRows
{
	Index		index;
	Index		levelsup;
	AttrNumber	column;			/* put in their place, or 0 */
	bool		found;
} WholeRows;

static bool
whole_rows_walker(Node *node, void *arg)
{
	WholeRows  *rows = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == rows->index && var->varlevelsup == rows->levelsup &&
			var->varattno == InvalidAttrNumber)
		{
			var->varattno = rows->column;
			rows->found = true;
		}
		return false;
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, whole_rows_walker, arg);
	rows->levelsup++;
	(void) query_tree_walker((Query *) node, whole_rows_walker, arg, 0);
	rows->levelsup--;
	return false;
}

/* See to it that whole rows of a FROM item that has the arrival are without it. */
static void
hide_arrival(Query *query, Index index)
{
	RangeTblEntry *rte = rt_fetch(index, query->rtable);
	WholeRows	rows = {.index = index};

	(void) query_tree_walker(query, whole_rows_walker, &rows, 0);
	if (!rows.found)
		return;
	rte->subquery = select_with_row(rte->subquery, rte->eref->colnames);
	rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup("")));
	rows.column = count_columns(rte->subquery);
	(void) query_tree_walker(query, whole_rows_walker, &rows, 0);
}

/* The CTE that an item of FROM reads. */
static CommonTableExpr *
find_cte(const QueryLevel *level, const RangeTblEntry *rte)
{
	ListCell   *lc;

	for (Index up = rte->ctelevelsup; up > 0 && level; up--)
		level = level->outer;
	if (level == NULL)
		return NULL;
	foreach(lc, level->query->cteList)
		if (strcmp(lfirst_node(CommonTableExpr, lc)->ctename, rte->ctename) == 0)
			return lfirst(lc);
	return NULL;
}

/*
 * Have an item of FROM carry the arrival, as the last column of a subquery in
 * its place: "batch" itself, a subquery that reads it, or a CTE that does and
 * is used nowhere else, which the planner would put here as well.  False, with
 * nothing changed, if its rows belong to no records.
 */
static bool
carry_arrival(QueryLevel *level, RangeTblEntry *rte, TupleDesc input, double nrows)
{
	CommonTableExpr *cte = NULL;
	Query	   *subquery;

	if (rte->rtekind == RTE_NAMEDTUPLESTORE && strcmp(rte->enrname, "batch") == 0)
		subquery = make_numbered_batch(input, nrows);
	else if (rte->rtekind == RTE_SUBQUERY)
	{
		subquery = rte->subquery;
		if (!add_arrival(level, subquery, input, nrows))
			return false;
	}
	else if (rte->rtekind == RTE_CTE && !rte->self_reference)
	{
		cte = find_cte(level, rte);
		if (cte == NULL || cte->cterefcount != 1 || cte->cterecursive)
			return false;
		subquery = copyObject(castNode(Query, cte->ctequery));
		IncrementVarSublevelsUp((Node *) subquery, rte->ctelevelsup, 1);
		if (!add_arrival(level, subquery, input, nrows))
			return false;
		if (cte->ctematerialized == CTEMaterializeAlways)	/* stay apart: OFFSET 0 */
			subquery->limitOffset = (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
													   Int64GetDatum(0), false, FLOAT8PASSBYVAL);
		cte->cterefcount = 0;	/* the planner leaves it out */
	}
	else
		return false;

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subquery;
	rte->enrname = NULL;
	rte->enrtuples = 0;
	rte->ctename = NULL;
	rte->ctelevelsup = 0;
	rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
	/* where it is not pulled up, the planner takes the number of columns from here */
	while (list_length(rte->eref->colnames) < count_columns(subquery))
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup("")));
	return true;
}

/*
 * The range table index of what carries the arrival below an item of FROM, or
 * 0.  Adds to *nulling the outer joins that may make its columns NULL.
 */
static Index
find_arrival(QueryLevel *level, Node *item, TupleDesc input, double nrows, Bitmapset **nulling)
{
	ListCell   *lc;
	Index		found = 0;

	check_stack_depth();
	if (item == NULL)
		return 0;
	if (IsA(item, RangeTblRef))
	{
		Index		index = ((RangeTblRef *) item)->rtindex;

		return carry_arrival(level, rt_fetch(index, level->query->rtable), input, nrows) ? index : 0;
	}
	if (IsA(item, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) item;
		JoinType	nulled_by = JOIN_RIGHT; /* beside JOIN_FULL */

		found = find_arrival(level, join->larg, input, nrows, nulling);
		if (found == 0)
		{
			found = find_arrival(level, join->rarg, input, nrows, nulling);
			nulled_by = JOIN_LEFT;
		}
		if (found && (join->jointype == nulled_by || join->jointype == JOIN_FULL))
			*nulling = bms_add_member(*nulling, join->rtindex);
		return found;
	}
	foreach(lc, castNode(FromExpr, item)->fromlist)
		if (found == 0)
			found = find_arrival(level, lfirst(lc), input, nrows, nulling);
	return found;
}

/*
 * Add the arrival as a query's last column.  False, with nothing changed, if the
 * query is not row-wise.
 */
static bool
add_arrival(QueryLevel *outer, Query *query, TupleDesc input, double nrows)
{
	QueryLevel	level = {.query = query,.outer = outer};
	Bitmapset  *nulling = NULL;
	Index		index;
	Var		   *var;

	if (query->commandType != CMD_SELECT || !is_row_wise(query))
		return false;
	index = find_arrival(&level, (Node *) query->jointree, input, nrows, &nulling);
	if (index == 0)
		return false;
	var = makeVar(index, count_columns(rt_fetch(index, query->rtable)->subquery),
				  INT8OID, -1, InvalidOid, 0);
	feathub_set_nullingrels(var, nulling);
	hide_arrival(query, index);
	add_column(query, (Expr *) var, FEATHUB_ARRIVAL_COLUMN);
	return true;
}

/* The columns that the user asked for; their names are all different. */
static void
describe_output(FeathubTransform *transform)
{
	TupleDesc	all = transform->sources[PLAN_FULL]->resultDesc;
	int			n = all->natts - (transform->row_wise ? 1 : 0);

	transform->output = CreateTemplateTupleDesc(n);
	for (int i = 0; i < n; i++)
		TupleDescCopyEntry(transform->output, i + 1, all, i + 1);
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

/* Analysed again, the query must still give columns of the same types. */
static void
check_output(FeathubTransform *transform, TupleDesc result)
{
	for (int i = 0; i < transform->output->natts; i++)
	{
		Form_pg_attribute old = TupleDescAttr(transform->output, i);
		Form_pg_attribute new = TupleDescAttr(result, i);

		if (old->atttypid != new->atttypid || old->atttypmod != new->atttypmod ||
			strcmp(NameStr(old->attname), NameStr(new->attname)) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("the query of the job gives other columns than before")));
	}
}

static void
drop_source(void *arg)
{
	FeathubTransform *transform = arg;

	for (int i = 0; i < PLANS; i++)
		if (transform->sources[i])
			DropCachedPlan(transform->sources[i]);
}
