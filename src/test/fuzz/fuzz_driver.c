/*
 * fuzz_driver.c
 *		feathub_test_fuzz(row anyelement, target text, arguments text[]) runs
 *		libFuzzer inside a backend, on the code as it is.
 *
 * Each input runs in a subtransaction, so that an error cleans up as it does
 * for a user.  Errors that say "the data is bad" are what targets are there
 * for; an internal error is a finding, as are a crash and what the sanitizers
 * see.  libFuzzer ends the process itself: call it from postgres --single.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "fuzz.h"

PG_FUNCTION_INFO_V1(feathub_test_fuzz);

/* libclang_rt.fuzzer_no_main */
extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*callback) (const uint8_t *data, size_t size));

static const FuzzTarget *target;
static MemoryContext input_context;

void
fuzz_fail(const char *fmt,...)
{
	va_list		args;

	fprintf(stderr, "fuzz target %s: ", target->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

/* Is it an error that a user's input may give? */
static bool
is_expected(int sqlerrcode)
{
	if (sqlerrcode == ERRCODE_INTERNAL_ERROR || sqlerrcode == ERRCODE_INDEX_CORRUPTED)
		return false;
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):	/* data exception */
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'):	/* constraint */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'):	/* unknown name */
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'):	/* program limit */
		case MAKE_SQLSTATE('H', 'V', '0', '0', '0'):	/* option */
		case MAKE_SQLSTATE('0', 'A', '0', '0', '0'):	/* not supported */
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):	/* memory of a file */
		case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):	/* damaged file */
			return true;
		default:
			return false;
	}
}

static int
run_input(const uint8_t *data, size_t size)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(input_context);
	PG_TRY();
	{
		target->run((const char *) data, size);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(input_context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!is_expected(error->sqlerrcode))
			fuzz_fail("error %s: %s", unpack_sql_state(error->sqlerrcode), error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	MemoryContextReset(input_context);
	return 0;
}

Datum
feathub_test_fuzz(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Datum	   *arguments;
	int			narguments;
	int			argc;
	char	  **argv;

	for (target = FuzzTargets; target->name != NULL; target++)
	{
		if (strcmp(target->name, name) == 0)
			break;
	}
	if (target->name == NULL)
		elog(ERROR, "no fuzz target \"%s\"", name);

	MemoryContextSwitchTo(TopMemoryContext);
	input_context = AllocSetContextCreate(TopMemoryContext, "feathub fuzz input",
										  ALLOCSET_DEFAULT_SIZES);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT,
					  &arguments, NULL, &narguments);
	argc = narguments + 1;
	argv = palloc0(sizeof(char *) * (argc + 1));
	argv[0] = pstrdup("feathub_test_fuzz");
	for (int i = 0; i < narguments; i++)
		argv[i + 1] = TextDatumGetCString(arguments[i]);
	if (target->init)
		target->init(get_fn_expr_argtype(fcinfo->flinfo, 0));
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &argv, run_input));
}
