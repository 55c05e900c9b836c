/*
 * redis_connector.c
 *		The Redis connector's table of callbacks.
 */
#include "postgres.h"

#include "connectors/redis/redis.h"
#include "connectors/redis/redis_stream.h"

extern const FeathubConnector FeathubRedisConnector;

const FeathubConnector FeathubRedisConnector = {
	.name = "redis",
	.options = FeathubRedisOptions,
	.options_size = sizeof(RedisOptions),
	.has_formats = true,
	.default_format = "json",
	.needs_user_mapping = true,
	.sees_own_writes = true,
	.check_relation = FeathubRedisCheckRelation,

	.estimate = FeathubRedisEstimate,
	.plan_scan = FeathubRedisPlanScan,
	.lookup_columns = FeathubRedisLookupColumns,
	.lookup_saves = FeathubRedisLookupSaves,
	.begin_scan = FeathubRedisBeginScan,
	.rescan = FeathubRedisRescan,
	.next_row = FeathubRedisNextRow,
	.end_scan = FeathubRedisEndScan,
	.explain_scan = FeathubRedisExplainScan,

	.plan_lookup = FeathubRedisPlanLookup,
	.begin_lookup = FeathubRedisBeginLookup,
	.send_keys = FeathubRedisSendKeys,
	.next_found = FeathubRedisNextFound,
	.end_lookup = FeathubRedisEndLookup,
	.explain_lookup = FeathubRedisExplainLookup,

	.begin_modify = FeathubRedisBeginModify,
	.insert_rows = FeathubRedisInsertRows,
	.end_modify = FeathubRedisEndModify,
	.key_columns = FeathubRedisKeyColumns,
	.update_row = FeathubRedisUpdateRow,
	.delete_row = FeathubRedisDeleteRow,
	.upserts = FeathubRedisUpserts,
	.event_time = FeathubRedisEventTime,
	.truncate = FeathubRedisTruncate,
	.explain_modify = FeathubRedisExplainModify,

	.import_options = FeathubRedisImportOptions,
	.import_schema = FeathubRedisImportSchema,
	.sample_rows = FeathubRedisSampleRows,

	.follows = FeathubRedisFollows,
	.open_stream = FeathubRedisOpenStream,
	.list_partitions = FeathubRedisListPartitions,
	.start_stream = FeathubRedisStartStream,
	.poll = FeathubRedisPoll,
	.decode_record = FeathubRedisDecodeRecord,
	.release_records = FeathubRedisReleaseRecords,
	.commit_positions = FeathubRedisCommitPositions,
	.partition_status = FeathubRedisPartitionStatus,
	.close_stream = FeathubRedisCloseStream,
	.seek_position = FeathubRedisSeekPosition,
	.compare_positions = FeathubRedisComparePositions,
	.describe_record = FeathubRedisDescribeRecord,
	.record_headers = FeathubRedisRecordHeaders,
	.decode_stored = FeathubRedisDecodeStored,
};
