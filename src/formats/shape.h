/*
 * shape.h
 *		Values of file formats with types of their own (parquet, avro), and the
 *		types of PostgreSQL: which fits into which, and how.
 *
 * A shape is the type of a file's field, without how its bytes lie; a scalar is
 * one value of it.  Formats translate their schema to shapes and their values
 * to scalars, or shapes of table columns to their schema.
 */
#ifndef FEATHUB_FORMATS_SHAPE_H
#define FEATHUB_FORMATS_SHAPE_H

#include "nodes/parsenodes.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "formats/convert.h"
#include "formats/format.h"

typedef enum FeathubShapeKind
{
	FEATHUB_SHAPE_NULL,			/* nothing but nulls */
	FEATHUB_SHAPE_BOOL,
	FEATHUB_SHAPE_INT,			/* bits, is_unsigned */
	FEATHUB_SHAPE_FLOAT,		/* bits */
	FEATHUB_SHAPE_DECIMAL,		/* precision, scale */
	FEATHUB_SHAPE_TEXT,
	FEATHUB_SHAPE_ENUM,			/* text, one of few */
	FEATHUB_SHAPE_JSON,
	FEATHUB_SHAPE_BYTES,
	FEATHUB_SHAPE_UUID,
	FEATHUB_SHAPE_DATE,
	FEATHUB_SHAPE_TIME,
	FEATHUB_SHAPE_TIMESTAMP,	/* without time zone */
	FEATHUB_SHAPE_INSTANT,		/* with */
	FEATHUB_SHAPE_INTERVAL,
	FEATHUB_SHAPE_LIST,			/* one child */
	FEATHUB_SHAPE_STRUCT,		/* children with names */
	FEATHUB_SHAPE_MAP,			/* two children: key, value */
	FEATHUB_SHAPE_UNION			/* one of several types */
} FeathubShapeKind;

typedef struct FeathubShape FeathubShape;
struct FeathubShape
{
	FeathubShapeKind kind;
	const char *name;			/* in the server's encoding, or NULL */
	int			bits;
	bool		is_unsigned;
	int			precision;
	int			scale;
	int			nchildren;
	FeathubShape **children;
};

/* One value, not null, of a shape without children. */
typedef struct FeathubScalar
{
	union
	{
		bool		boolean;
		int64		integer;	/* INT; DATE: days; TIME, TIMESTAMP, INSTANT:
								 * microseconds; all since 1970 */
		uint64		natural;	/* INT, is_unsigned */
		double		real;
		Numeric		numeric;	/* DECIMAL */
		Interval	interval;
		struct
		{
			const char *data;	/* TEXT, ENUM, JSON: UTF-8, unchecked */
			Size		len;
		}			bytes;		/* UUID: 16 */
	}			u;
} FeathubScalar;

extern FeathubShape *FeathubShapeMake(FeathubShapeKind kind);

/* For messages: "list of timestamp". */
extern char *FeathubShapeText(const FeathubShape *shape);

/* The type that a column for it should have. */
extern TypeName *FeathubShapeTypeName(const FeathubShape *shape);

/* A column of that name and type, for IMPORT FOREIGN SCHEMA. */
extern ColumnDef *FeathubShapeColumnDef(const FeathubShape *shape);

/* Can values of it be values of the type, if they are not out of its range? */
extern bool FeathubShapeFits(const FeathubShape *shape, const FeathubConverter *type);

/* Raises FDW_INVALID_DATA_TYPE, naming file and column, unless it fits. */
extern void FeathubShapeCheckFits(const FeathubShape *shape, const FeathubConverter *type,
								  const char *file, const FeathubColumn *column);

/*
 * The shape in which values of a type are written.  dimensions: of an array, as
 * its column declares them (1 if unknown).
 */
extern FeathubShape *FeathubShapeOfType(const FeathubConverter *type, int dimensions);

/*
 * FeathubScalarConvert
 *		A scalar of a shape that fits the type to a Datum, palloc'd.
 *
 * Domains are checked.  Returns false, with *error filled, for values that the
 * type cannot take.
 */
extern bool FeathubScalarConvert(const FeathubShape *shape, const FeathubScalar *scalar,
								 FeathubConverter *type, Datum *result,
								 FeathubDecodeError *error);

/* A scalar as a part of a jsonb, palloc'd. */
extern bool FeathubScalarJsonb(const FeathubShape *shape, const FeathubScalar *scalar,
							   FeathubConverter *type, JsonbValue *result,
							   FeathubDecodeError *error);

/* A finished jsonb as a value of type json or jsonb, or what its text gives. */
extern bool FeathubJsonbConvert(JsonbValue *value, FeathubConverter *type, Datum *result,
								FeathubDecodeError *error);

/* Microseconds since 1970 to the server's; false if out of range. */
static inline bool
FeathubTimestampFromUnix(int64 micros, Timestamp *result)
{
	if (micros < MIN_TIMESTAMP + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY ||
		micros >= END_TIMESTAMP)
		return false;
	*result = micros - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return IS_VALID_TIMESTAMP(*result);
}

/* A two's complement integer, most significant byte first, divided by 10^scale. */
extern Numeric FeathubDecimalToNumeric(const unsigned char *bytes, int len, int scale);

/*
 * FeathubNumericToDecimal
 *		The other way, into exactly len bytes.
 *
 * Raises NUMERIC_VALUE_OUT_OF_RANGE if the value is NaN or infinite or does not
 * fit precision and scale; what names the column.
 */
extern void FeathubNumericToDecimal(Numeric value, int precision, int scale,
									unsigned char *bytes, int len, const char *what);

/* Bytes that a decimal of so many digits needs. */
extern int	FeathubDecimalBytes(int precision);

/* Values for writing; what names the column.  They raise what cannot be written. */
extern int32 FeathubDateToUnix(Datum value, const char *what);
extern int64 FeathubTimestampToUnix(Datum value, const char *what);

/* What a TEXT, ENUM or JSON shape has for a value of any type: UTF-8, palloc'd. */
extern void FeathubValueText(const FeathubConverter *type, FmgrInfo *output, Datum value,
							 const char **data, Size *len);

#endif							/* FEATHUB_FORMATS_SHAPE_H */
