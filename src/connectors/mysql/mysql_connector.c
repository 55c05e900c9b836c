/*
 * mysql_connector.c
 *		The MySQL connector's table of callbacks.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_remote.h"

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

	.get_join_paths = FeathubMysqlGetJoinPaths,
	.get_upper_paths = FeathubMysqlGetUpperPaths,
	.plan_remote = FeathubMysqlPlanRemote,
	.plan_direct = FeathubMysqlPlanDirect,
	.run_direct = FeathubMysqlRunDirect,

	.plan_lookup = FeathubMysqlPlanLookup,
	.begin_lookup = FeathubMysqlBeginLookup,
	.send_keys = FeathubMysqlSendKeys,
	.next_found = FeathubMysqlNextFound,
	.end_lookup = FeathubMysqlEndLookup,
	.explain_lookup = FeathubMysqlExplainLookup,

	.begin_modify = FeathubMysqlBeginModify,
	.insert_rows = FeathubMysqlInsertRows,
	.end_modify = FeathubMysqlEndModify,
	.update_row = FeathubMysqlUpdateRow,
	.delete_row = FeathubMysqlDeleteRow,
	.upserts = FeathubMysqlUpserts,
	.load_positions = FeathubMysqlLoadPositions,
	.save_positions = FeathubMysqlSavePositions,
	.truncate = FeathubMysqlTruncate,
	.explain_modify = FeathubMysqlExplainModify,

	.open_stream = FeathubMysqlOpenStream,
	.follows = FeathubMysqlFollows,
	.streams_deletions = FeathubMysqlStreamsDeletions,
	.list_partitions = FeathubMysqlListPartitions,
	.start_stream = FeathubMysqlStartStream,
	.poll = FeathubMysqlPoll,
	.decode_record = FeathubMysqlDecodeRecord,
	.release_records = FeathubMysqlReleaseRecords,
	.commit_positions = FeathubMysqlCommitPositions,
	.partition_status = FeathubMysqlPartitionStatus,
	.close_stream = FeathubMysqlCloseStream,
	.seek_position = FeathubMysqlSeekPosition,
	.compare_positions = FeathubMysqlComparePositions,
	.record_position = FeathubMysqlRecordPosition,
	.record_identity = FeathubMysqlRecordIdentity,
	.describe_record = FeathubMysqlDescribeRecord,
	.record_headers = FeathubMysqlRecordHeaders,
	.record_value = FeathubMysqlRecordValue,
	.decode_stored = FeathubMysqlDecodeStored,

	.import_options = FeathubMysqlImportOptions,
	.import_schema = FeathubMysqlImportSchema,
	.sample_rows = FeathubMysqlSampleRows,
};
