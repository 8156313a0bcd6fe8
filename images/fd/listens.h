#ifndef IMAGES_FD_LISTENS_H
#define IMAGES_FD_LISTENS_H

struct snap;

/*
 * Where the programs of a snap can be reached: "127.0.0.1:7777, 0.0.0.0:53/udp, /run/x.sock,
 * @abstract". In the snap's arena; NULL if nowhere. For info.listens.
 */
char *sock_listens(const struct snap *snap);

#endif
