#ifndef IMAGES_FD_SOCKOPT_TABLE_H
#define IMAGES_FD_SOCKOPT_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* The socket options we know; one line each in sockopt_table.c. */

enum sockopt_form {
	SOCKOPT_BYTES,   /* exactly `size` bytes that mean nothing to us: int, linger, timeval */
	SOCKOPT_UPTO,    /* up to `size` bytes: texts, keys */
	SOCKOPT_BUFFER,  /* int of SO_RCVBUF, SO_SNDBUF: twice what was asked for, may be capped */
	SOCKOPT_IFINDEX, /* int; travels as the name of the interface */
	SOCKOPT_IFINDEX_BE, /* the same, in network byte order */
	SOCKOPT_FILTER,     /* classic BPF program */
};

enum sockopt_flag {
	SOCKOPT_LATE = 1, /* set when all else is done: it changes how the socket works meanwhile */
	SOCKOPT_DRIFTS = 2,  /* changes by itself once connected: not the program's doing then */
	SOCKOPT_DGRAM = 4,   /* of internet sockets: streams cannot set it */
	SOCKOPT_SETTLES = 8, /* int; takes the machine's default once it listens, unless set to 0 */
};

/* linux/in.h, since Linux 6.3 */
enum { X_IP_LOCAL_PORT_RANGE = 51 };

enum { SOCKOPT_MAX = 256, SOCKOPT_MAX_FILTER = 4096 * 8 /* BPF_MAXINSNS struct sock_filter */ };

struct sockopt_desc {
	int level, name;
	const char *text;
	enum sockopt_form form;
	uint32_t size;
	unsigned flags;
};

extern const struct sockopt_desc sockopt_table[];
extern const size_t sockopt_table_len;

/* NULL if there is none. */
const struct sockopt_desc *sockopt_find(uint32_t level, uint32_t name);

#endif
