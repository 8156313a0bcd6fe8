#ifndef IMAGES_FD_SOCKOPT_H
#define IMAGES_FD_SOCKOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Options of sockets. Only those that differ from a fresh socket of the same kind are recorded,
 * because each of them is a system call at restore.
 */

struct Pb__SockOption;
struct arena;
struct err;
struct fd_dump;
struct snap;
struct sockopt_desc;

struct sock_option {
	const struct sockopt_desc *desc;
	uint32_t len;
	uint8_t *value;
};

/* In the order of sockopt_table. */
struct sock_options {
	struct sock_option *opts;
	size_t nr;
};

struct sockopt_who {
	int domain, type, protocol;
	bool connected; /* values that the kernel moves by itself are left alone */
};

/* SO_DOMAIN, SO_TYPE, SO_PROTOCOL of a socket; the rest stays false. */
int sockopt_who_of(int fd, struct sockopt_who *who, struct err *err);

/* What socket fd has that a fresh one has not, in the snap's arena. Fresh values are kept in
 * d->socks. */
int sockopt_save(struct fd_dump *d, int fd, const struct sockopt_who *who, struct sock_options *out,
	struct err *err);

/* One more int option of a saved socket, which is not among them. */
void sockopt_add(struct arena *arena, struct sock_options *options, int level, int name, int value);

/* Set all early options (before bind) or all late ones (when the socket is as it should be). */
int sockopt_make(int fd, const struct sock_options *options, bool late, struct err *err);

/* The recorded filter (SO_ATTACH_FILTER) already now; nothing where there is none. */
int sockopt_make_filter(int fd, const struct sock_options *options, struct err *err);

/* A recorded option, NULL where it is not recorded. */
const struct sock_option *sockopt_get(const struct sock_options *options, int level, int name);
/* The recorded value of an int option, or what is given where it is not recorded. */
int sockopt_int(const struct sock_options *options, int level, int name, int otherwise);

void sockopt_pack(const struct snap *snap, const struct sock_options *options,
	struct Pb__SockOption ***msgs, size_t *nr);
/* Refuses unknown options, wrong sizes, repetitions. */
int sockopt_unpack(struct snap *snap, struct Pb__SockOption *const *msgs, size_t nr,
	struct sock_options *out, struct err *err);

#endif
