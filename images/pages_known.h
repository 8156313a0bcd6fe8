#ifndef IMAGES_PAGES_KNOWN_H
#define IMAGES_PAGES_KNOWN_H

#include <stdint.h>

/*
 * Which contents have been stored of which address, so that processes that descend from each other
 * find a page again that they share by copy on write, whoever of them it was stored for.
 */

struct err;
struct pages_known;

struct known_page {
	uint64_t addr;
	uint64_t hash; /* of the contents: a hint, since programs choose what they hold */
	uint32_t mem;  /* memory object that it was stored for */
	uint32_t frame, offset;
};

struct pages_known *pages_known_create(struct err *err); /* NULL: no memory */
void pages_known_destroy(struct pages_known *k);         /* NULL is fine */

uint64_t pages_known_hash(const void *page);
int pages_known_add(struct pages_known *k, const struct known_page *page, struct err *err);
/* The next one behind `last` (NULL: the first) with this address and hash; NULL: there is none.
 * Valid until the next one is added. */
const struct known_page *pages_known_find(
	const struct pages_known *k, uint64_t addr, uint64_t hash, const struct known_page *last);

#endif
