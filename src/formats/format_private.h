/*
 * format_private.h
 *		What the formats share among themselves; no other folder includes it.
 */
#ifndef FEATHUB_FORMATS_FORMAT_PRIVATE_H
#define FEATHUB_FORMATS_FORMAT_PRIVATE_H

#include "formats/format.h"

extern const FeathubFormat FeathubAvroFormat;
extern const FeathubFormat FeathubCsvFormat;
extern const FeathubFormat FeathubDebeziumAvroFormat;
extern const FeathubFormat FeathubDebeziumJsonFormat;
extern const FeathubFormat FeathubHopsworksAvroFormat;
extern const FeathubFormat FeathubJsonFormat;
extern const FeathubFormat FeathubMaxwellJsonFormat;
extern const FeathubFormat FeathubParquetFormat;
extern const FeathubFormat FeathubProtobufFormat;
extern const FeathubFormat FeathubRawFormat;

/*
 * FeathubFormatColumnOptions
 *		The table's option struct with the column's own options laid over it.
 */
extern void *FeathubFormatColumnOptions(const FeathubFormat *format,
										const void *table_options,
										const FeathubColumn *column);

/* Fill *error, with no column; returns false, for use in a return statement. */
extern bool FeathubDecodeFail(FeathubDecodeError *error, int sqlerrcode,
							  const char *fmt,...) pg_attribute_printf(3, 4);

/* Name the column in an *error filled before; returns false as well. */
extern bool FeathubDecodeFailColumn(FeathubDecodeError *error,
									const FeathubColumn *column);

#endif							/* FEATHUB_FORMATS_FORMAT_PRIVATE_H */
