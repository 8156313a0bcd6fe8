/* A hash table with linear probing, at most half full; see pages_known.h. */
#include "images/pages_known.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/err.h"
#include "images/pages.h"

enum { ROOM_FIRST = 4096 };

struct pages_known {
	struct known_page *all; /* an entry without hash is free */
	size_t room, nr;        /* room is a power of two */
};

struct pages_known *pages_known_create(struct err *err)
{
	struct pages_known *k = calloc(1, sizeof *k);

	if (k)
		k->all = calloc(ROOM_FIRST, sizeof *k->all);
	if (k && k->all) {
		k->room = ROOM_FIRST;
		return k;
	}
	free(k);
	err_nomem(err);
	return NULL;
}

void pages_known_destroy(struct pages_known *k)
{
	if (k)
		free(k->all);
	free(k);
}

uint64_t pages_known_hash(const void *page)
{
	uint64_t hash = XXH3_64bits(page, PAGES_PAGE);

	return hash ? hash : 1;
}

/* Those of one address and one hash lie behind each other, with others between. */
static size_t known_begin(const struct pages_known *k, uint64_t addr, uint64_t hash)
{
	return (hash ^ (addr / PAGES_PAGE * UINT64_C(0x9e3779b97f4a7c15))) & (k->room - 1);
}

static void known_put(struct pages_known *k, const struct known_page *page)
{
	size_t i = known_begin(k, page->addr, page->hash);

	while (k->all[i].hash)
		i = (i + 1) & (k->room - 1);
	k->all[i] = *page;
	k->nr++;
}

static int known_grow(struct pages_known *k, struct err *err)
{
	struct pages_known more = { calloc(2 * k->room, sizeof *k->all), 2 * k->room, 0 };

	if (!more.all)
		return err_nomem(err);
	for (size_t i = 0; i < k->room; i++)
		if (k->all[i].hash)
			known_put(&more, &k->all[i]);
	free(k->all);
	*k = more;
	return 0;
}

int pages_known_add(struct pages_known *k, const struct known_page *page, struct err *err)
{
	if (2 * (k->nr + 1) > k->room && known_grow(k, err) < 0)
		return -err->code;
	known_put(k, page);
	return 0;
}

const struct known_page *pages_known_find(
	const struct pages_known *k, uint64_t addr, uint64_t hash, const struct known_page *last)
{
	size_t i = last ? ((size_t)(last - k->all) + 1) & (k->room - 1)
			: known_begin(k, addr, hash);

	for (; k->all[i].hash; i = (i + 1) & (k->room - 1))
		if (k->all[i].hash == hash && k->all[i].addr == addr)
			return &k->all[i];
	return NULL;
}
