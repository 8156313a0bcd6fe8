#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

struct err;

/* Closes *fd unless it is negative, and keeps errno: on many returns it still has to be reported.
 */
void fd_close(int *fd);

/* A descriptor that is closed on every return from its scope, unless taken. -1 holds none. */
#define OWNED_FD __attribute__((cleanup(fd_close))) int

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/*
 * /dev/null in the place of each standard descriptor that is closed, for the wrong direction: else
 * the next file that we open, maybe one of the image, is what messages are written to. O_CLOEXEC:
 * for programs they stay closed.
 */
void fd_hold_standard(void);
/*
 * The same without a system call where nothing is to do: fd is the first that was opened (or -1),
 * and tells. Gives its new number.
 */
int fd_above_standard(int fd);

/*
 * What fd (O_PATH too) is, opened once more, where its mode keeps even its owner out: for a moment
 * it does not. -1 and errno if that may not be; never with set-id bits, which it could cost the
 * file.
 */
int fd_open_closed(int fd, int flags);

/* All of len bytes or an error; EINTR and short transfers are handled. */
int fd_write_all(int fd, const void *data, size_t len, struct err *err);
int fd_pread_all(int fd, void *data, size_t len, off_t offset, struct err *err);

/*
 * Whole contents of a (pseudo) file of unknown size, NUL-terminated, to be freed by the caller.
 * limit guards against files that never end; more than that is EFBIG.
 */
int fd_read_text(int fd, size_t limit, char **text, size_t *len, struct err *err);

#endif
