#ifndef IMAGES_FD_NETLINK_H
#define IMAGES_FD_NETLINK_H

#include <stdbool.h>

struct fd_seen;

/*
 * Does the kernel keep something for the port number of this netlink socket, which a new one would
 * not have? True also where it does not say.
 */
bool netlink_audit_is_registered(const struct fd_seen *seen);
bool netlink_netfilter_is_registered(const struct fd_seen *seen);

#endif
