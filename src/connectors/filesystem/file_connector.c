/*
 * file_connector.c
 *		The filesystem connector's table of callbacks.
 */
#include "postgres.h"

#include "connectors/filesystem/file_stream.h"

extern const FeathubConnector FeathubFilesystemConnector;

const FeathubConnector FeathubFilesystemConnector = {
	.name = "filesystem",
	.options = FeathubFileOptions,
	.options_size = sizeof(FileOptions),
	.has_formats = true,
	.default_format = NULL,
	.needs_user_mapping = false,
	.check_relation = FeathubFileCheckRelation,

	.estimate = FeathubFileEstimate,
	.plan_scan = FeathubFilePlanScan,
	.lookup_columns = FeathubFileLookupColumns,
	.begin_scan = FeathubFileBeginScan,
	.rescan = FeathubFileRescan,
	.next_row = FeathubFileNextRow,
	.end_scan = FeathubFileEndScan,
	.explain_scan = FeathubFileExplainScan,
	.parallel_size = FeathubFileParallelSize,
	.begin_parallel = FeathubFileBeginParallel,
	.rescan_parallel = FeathubFileRescanParallel,
	.join_parallel = FeathubFileJoinParallel,
	.shutdown_scan = FeathubFileShutdownScan,

	.begin_modify = FeathubFileBeginModify,
	.insert_rows = FeathubFileInsertRows,
	.end_modify = FeathubFileEndModify,
	.explain_modify = FeathubFileExplainModify,
	.load_positions = FeathubFileLoadPositions,
	.save_positions = FeathubFileSavePositions,

	.import_options = FeathubFileImportOptions,
	.import_schema = FeathubFileImportSchema,
	.sample_rows = FeathubFileSampleRows,

	.open_stream = FeathubFileOpenStream,
	.summary_partition = FILE_FOLDER_PARTITION,
	.know_position = FeathubFileKnowPosition,
	.forget_partition = FeathubFileForgetPartition,
	.list_partitions = FeathubFileListPartitions,
	.start_stream = FeathubFileStartStream,
	.poll = FeathubFilePoll,
	.decode_record = FeathubFileDecodeRecord,
	.release_records = FeathubFileReleaseRecords,
	.commit_positions = FeathubFileCommitPositions,
	.partition_status = FeathubFilePartitionStatus,
	.close_stream = FeathubFileCloseStream,
	.seek_position = FeathubFileSeekPosition,
	.compare_positions = FeathubComparePositionNumbers,
	.describe_record = FeathubFileDescribeRecord,
	.record_headers = FeathubFileRecordHeaders,
	.decode_stored = FeathubFileDecodeStored,
};
