#ifndef TOPICS_H
#define TOPICS_H

#include <stdio.h>

/* What `snapctl help TOPIC` explains that belongs to no single command; the words are in topics.c.
 */

struct topic {
	const char *name, *summary, *text;
	void (*more)(FILE *out); /* what is known from other tables, behind the text; or NULL */
};

extern const struct topic topics[]; /* ends with a NULL name */

const struct topic *topic_find(const char *name);
void topic_print(const struct topic *t, FILE *out);

#endif
