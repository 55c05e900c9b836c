/*
 * mysql_connector.c
 *		The MySQL connector's table of callbacks.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_connector.h"

extern const FeathubConnector FeathubMysqlConnector;

const FeathubConnector FeathubMysqlConnector = {
	.name = "mysql",
	.options = FeathubMysqlOptions,
	.options_size = sizeof(MysqlOptions),
	.has_formats = false,
	.needs_user_mapping = true,
	.check_relation = FeathubMysqlCheckRelation,

	.estimate = FeathubMysqlEstimate,
	.plan_scan = FeathubMysqlPlanScan,
	.lookup_columns = FeathubMysqlLookupColumns,
	.begin_scan = FeathubMysqlBeginScan,
	.rescan = FeathubMysqlRescan,
	.next_row = FeathubMysqlNextRow,
	.end_scan = FeathubMysqlEndScan,
	.explain_scan = FeathubMysqlExplainScan,

	.import_options = FeathubMysqlImportOptions,
	.import_schema = FeathubMysqlImportSchema,
	.sample_rows = FeathubMysqlSampleRows,
};
