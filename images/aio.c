/* Rings of asynchronous I/O; see aio.h. */
#include "images/aio.h"

#include <assert.h>

#include "images/pages.h"

/* fs/aio.c: AIO_RING_MAGIC and what goes with it. */
enum { MAGIC = 0xa10a10a1, COMPAT = 1, INCOMPAT = 0, PER_PAGE = PAGES_PAGE / 32 };

static_assert(sizeof(struct aio_head) == 32 && sizeof(struct aio_event) == 32, "fs/aio.c");

bool aio_head_is_sound(const struct aio_head *head, size_t len)
{
	return len && len % PAGES_PAGE == 0 && head->magic == (uint32_t)MAGIC &&
	       head->compat == COMPAT && head->incompat == INCOMPAT && head->len == sizeof *head &&
	       head->nr == len / sizeof(struct aio_event) - 1 && head->head < head->nr &&
	       head->tail < head->nr;
}

uint32_t aio_between(const struct aio_head *head, uint32_t from, uint32_t to)
{
	return (to + head->nr - from) % head->nr;
}

/* ioctx_alloc() makes room for twice as many events, and aio_setup_ring() for two more and the
 * head, in whole pages. */
uint32_t aio_requests(const struct aio_head *head)
{
	uint32_t pages = (head->nr + 1) / PER_PAGE;

	return pages < 2 ? 1 : ((pages - 1) * PER_PAGE - 3) / 2 + 1;
}
