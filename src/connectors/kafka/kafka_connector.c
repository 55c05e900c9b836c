/*
 * kafka_connector.c
 *		The Kafka connector's table of callbacks.
 */
#include "postgres.h"

#include "connectors/kafka/kafka.h"

extern const FeathubConnector FeathubKafkaConnector;

const FeathubConnector FeathubKafkaConnector = {
	.name = "kafka",
	.options = FeathubKafkaOptions,
	.options_size = sizeof(KafkaOptions),
	.has_formats = true,
	.has_registry = true,
	.default_format = "json",
	.needs_user_mapping = false,
	.find_property = FeathubKafkaFindProperty,
	.properties = FeathubKafkaProperties,
	.check_relation = FeathubKafkaCheckRelation,

	.estimate = FeathubKafkaEstimate,
	.plan_scan = FeathubKafkaPlanScan,
	.lookup_columns = FeathubKafkaLookupColumns,
	.begin_scan = FeathubKafkaBeginScan,
	.rescan = FeathubKafkaRescan,
	.next_row = FeathubKafkaNextRow,
	.end_scan = FeathubKafkaEndScan,
	.explain_scan = FeathubKafkaExplainScan,
	.parallel_size = FeathubKafkaParallelSize,
	.begin_parallel = FeathubKafkaBeginParallel,
	.rescan_parallel = FeathubKafkaRescanParallel,
	.join_parallel = FeathubKafkaJoinParallel,

	.begin_modify = FeathubKafkaBeginModify,
	.insert_rows = FeathubKafkaInsertRows,
	.end_modify = FeathubKafkaEndModify,
	.key_columns = FeathubKafkaKeyColumns,
	.delete_row = FeathubKafkaDeleteRow,
	.upserts = FeathubKafkaUpserts,
	.keeps_positions = FeathubKafkaKeepsPositions,
	.no_savepoints = true,
	.load_positions = FeathubKafkaLoadPositions,
	.save_positions = FeathubKafkaSavePositions,
	.explain_modify = FeathubKafkaExplainModify,

	.import_options = FeathubKafkaImportOptions,
	.import_schema = FeathubKafkaImportSchema,
	.sample_rows = FeathubKafkaSampleRows,

	.open_stream = FeathubKafkaOpenStream,
	.list_partitions = FeathubKafkaListPartitions,
	.start_stream = FeathubKafkaStartStream,
	.poll = FeathubKafkaPoll,
	.decode_record = FeathubKafkaDecodeRecord,
	.release_records = FeathubKafkaReleaseRecords,
	.commit_positions = FeathubKafkaCommitPositions,
	.partition_status = FeathubKafkaPartitionStatus,
	.close_stream = FeathubKafkaCloseStream,
	.seek_position = FeathubKafkaSeekPosition,
	.compare_positions = FeathubComparePositionNumbers,
	.describe_record = FeathubKafkaDescribeRecord,
	.record_headers = FeathubKafkaRecordHeaders,
	.decode_stored = FeathubKafkaDecodeStored,

	.init = FeathubKafkaBrokerInit,
};
