/*
 * kafka_infer.h
 *		The columns of a topic of JSON objects, from a sample of its records.
 */
#ifndef FEATHUB_CONNECTORS_KAFKA_KAFKA_INFER_H
#define FEATHUB_CONNECTORS_KAFKA_KAFKA_INFER_H

#include "nodes/pg_list.h"

typedef struct KafkaInference KafkaInference;

/* A member of the objects, and the type that takes all its values. */
typedef struct KafkaField
{
	char	   *name;			/* in the server's encoding */
	const char *type;
} KafkaField;

/* Made in the current context, where it keeps what it learns. */
extern KafkaInference *FeathubKafkaInferBegin(void);

/* Look at a record's value; one that is no JSON object is counted apart. */
extern void FeathubKafkaInferRecord(KafkaInference *inference, const char *value, Size len);

/*
 * FeathubKafkaInferFields
 *		The members (KafkaField *) in the order in which they were first seen.
 *
 * NIL if there was no record or one that is no JSON object: the topic's values
 * are something else.
 */
extern List *FeathubKafkaInferFields(KafkaInference *inference);

#endif							/* FEATHUB_CONNECTORS_KAFKA_KAFKA_INFER_H */
