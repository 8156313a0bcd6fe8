#ifndef IMAGES_FD_PIPE_H
#define IMAGES_FD_PIPE_H

#include <fcntl.h>

#include "images/fd/kind.h"

/* What pipe.c and pipe_make.c share, and what dump/ asks. */

struct pipe_buffer;

struct pipe_priv {
	uint64_t dev, ino;           /* which pipe: the same for all its ends */
	uint32_t file;               /* FIFO with a name, else ID_NONE */
	char *path;                  /* FIFO whose name was removed, else NULL */
	uint32_t mode;               /* of that: permission bits */
	uint32_t size;               /* F_GETPIPE_SZ */
	bool hup;                    /* can be read, and all writers have gone */
	struct pipe_buffer *buffers; /* only one of the ends has the contents */
	size_t nr_buffers;
	uint32_t like; /* inherited ofd to open again, else ID_NONE */
};

/* The next end of the same pipe with an id of at least `from`; NULL: no more. */
struct snap_ofd *pipe_next(const struct snap *snap, const struct pipe_priv *priv, uint32_t from);
/* Nobody has the other end of this pipe, neither inside nor outside. */
bool pipe_is_broken(int fd);
/* The kind's make. */
int pipe_make(const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err);

static inline bool pipe_can_read(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_WRONLY;
}

static inline bool pipe_can_write(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

#endif
