#ifndef IMAGES_FD_SOCK_DIAG_NL_H
#define IMAGES_FD_SOCK_DIAG_NL_H

#include <linux/netlink.h>
#include <stddef.h>

/* Transport of sock_diag requests. Private to sock_diag*.c. */

struct err;

/*
 * Send one request with this body and give every answer that is no error to each() until it says
 * no. The kernel's answer "no" comes back as err with its errno.
 */
int diag_ask(int type, int flags, const void *body, size_t len,
	void (*each)(const struct nlmsghdr *h, void *arg), void *arg, struct err *err);

#endif
