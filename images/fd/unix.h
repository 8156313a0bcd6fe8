#ifndef IMAGES_FD_UNIX_H
#define IMAGES_FD_UNIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "images/fd/sockopt.h"

/* What the files unix*.c share: the record of a unix socket. */

struct Pb__UnixMessage;
struct Pb__UnixSock;
struct arena;
struct diag_unix;
struct err;
struct fd_make;
struct fd_seen;
struct snap;
struct snap_ofd;

enum { UNIX_NAME_MAX = 108 };

/* sun_path without a final NUL; abstract ones begin with NUL. len 0: no name. */
struct unix_name {
	uint8_t bytes[UNIX_NAME_MAX];
	size_t len;
};

enum unix_state {
	UNIX_IDLE, /* neither listens nor is connected */
	UNIX_LISTEN,
	UNIX_PEER,    /* connected to a socket of the dump */
	UNIX_ORPHAN,  /* connected to a socket that was closed since */
	UNIX_OUTSIDE, /* datagrams only: connected by name to a socket of somebody else (syslog) */
	UNIX_PENDING, /* connected to a listener of the dump, which has not accepted it yet */
};

enum unix_place {
	UNIX_NO_FILE, /* abstract or not bound */
	UNIX_AT_NAME, /* the socket file is where bind(2) made it */
	UNIX_MOVED,   /* it was renamed since */
	UNIX_UNLINKED,
};

struct unix_file {
	enum unix_place place;
	char *path;              /* UNIX_MOVED: where it is now, absolute */
	char *dir;               /* the name is relative: to this directory; else NULL */
	uint32_t mode, uid, gid; /* permission bits and owner; not for UNIX_UNLINKED */
	char **links;            /* its other names, absolute: link(2) */
	size_t nr_links;
	/* While it is made: its file by a descriptor, plus 1; what way_make() gave for it. */
	int held;
	size_t way;
	bool aside; /* its file is gone already: unix_aside.c */
};

/* SCM_CREDENTIALS or SO_PEERCRED; pid 0: none. */
struct unix_creds {
	int32_t pid; /* as the target sees it */
	uint32_t uid, gid;
	bool has_groups;  /* SO_PEERGROUPS, never of SCM_CREDENTIALS: */
	uint32_t *groups; /* supplementary ones */
	size_t nr_groups;
};

struct unix_msg {
	uint8_t *data;
	size_t len;
	struct unix_name from; /* datagrams: the sender's name */
	uint32_t *fds;         /* SCM_RIGHTS: ofds */
	size_t nr_fds;
	struct unix_creds creds;
	enum unix_urgent {
		UNIX_NOT_URGENT,
		UNIX_URGENT,      /* one byte sent with MSG_OOB */
		UNIX_URGENT_READ, /* what it leaves when it was read: a mark */
	} urgent;
};

enum { UNIX_SHUT_RCV = 1, UNIX_SHUT_SEND = 2 }; /* RCV_SHUTDOWN, SEND_SHUTDOWN of the kernel */

/* A connection that its listener has not accepted yet. */
struct unix_waiting {
	uint32_t client; /* the ofd that connected, UNIX_PENDING; ID_NONE: closed since */
	bool known;      /* it was looked at from the listener's side: */
	struct unix_name client_name;
	struct unix_creds creds; /* who connected */
	struct unix_msg *queue;  /* what was sent over it */
	size_t nr_queue;
	/* While dumping: inode of what connected, 0: closed. While making: a client that is closed
	 * again, plus 1. */
	uint32_t ino;
	int far_end;
};

struct unix_sock {
	int type;
	enum unix_state state;
	struct unix_name name, peer_name;
	struct unix_file file;
	uint32_t backlog;
	uint32_t peer; /* UNIX_PEER: ofd at the other end; else ID_NONE */
	uint32_t shutdown;
	struct unix_creds peercred; /* SO_PEERCRED: who connected, listened or made the pair */
	bool reset;                 /* UNIX_ORPHAN: ECONNRESET is pending */
	struct unix_msg *queue;
	size_t nr_queue;
	struct unix_waiting *waiting; /* UNIX_LISTEN: in order */
	size_t nr_waiting;
	struct sock_options options;
	/* While dumping: inodes of both ends; peer_ino 0: none. */
	uint32_t ino, peer_ino;
};

static inline bool unix_is_path(const struct unix_name *name)
{
	return name->len > 0 && name->bytes[0] != '\0';
}

/* ---- unix_name.c ----------------------------------------------------------------------------- */

enum { UNIX_NAME_TEXT = 4 * UNIX_NAME_MAX + 2 };

bool unix_name_equal(const struct unix_name *a, const struct unix_name *b);
void unix_name_from(const struct sockaddr_storage *sa, socklen_t len, struct unix_name *out);
socklen_t unix_name_to(const struct unix_name *name, struct sockaddr_storage *sa);
/* "/run/x.sock", "@abstract" with odd bytes escaped; returns buf. */
const char *unix_name_text(const struct unix_name *name, char buf[UNIX_NAME_TEXT]);
/* Absolute path of a path name; dir is where relative ones start. */
char *unix_name_path(struct arena *arena, const struct unix_name *name, const char *dir);
/* The unix socket of a snap's ofd, NULL if it is something else or not ours to make. */
struct unix_sock *unix_of(const struct snap *snap, uint32_t ofd);

/* ---- while dumping: unix_save.c, unix_file.c, unix_queue.c ----------------------------------- */

/* What stands against a dump as things are now, without touching what is queued. */
int unix_sock_check(const struct fd_seen *seen, struct err *err);
/* SO_PEERCRED and SO_PEERGROUPS. */
int unix_peercred_save(struct arena *arena, int fd, struct unix_creds *out, struct err *err);
int unix_sock_save(const struct fd_seen *seen, struct unix_sock *out, struct err *err);
int unix_sock_link(
	const struct fd_seen *seen, uint32_t own, struct unix_sock *sock, struct err *err);
/* Where the file of a bound path is by now. */
int unix_file_save(const struct fd_seen *seen, const struct unix_name *name,
	const struct diag_unix *diag, struct unix_file *out, struct err *err);
/*
 * What waits to be read, without taking it. eof: nothing more will come. Descriptors in it may be
 * new ofds: pointers into the snap's table have to be taken anew afterwards.
 */
int unix_queue_save(const struct fd_seen *seen, bool eof, struct unix_sock *sock, struct err *err);

/* ---- unix_waiting.c, unix_pending.c: connections that wait to be accepted ---------------------
 */

/* Who waits at this listener. */
int unix_waiting_save(const struct fd_seen *seen, struct unix_sock *listener, struct err *err);
/*
 * What was sent over connections that wait nobody can look at without accepting them, which is for
 * good. EAGAIN: not of a program that runs on, and not where descriptors were sent.
 */
int unix_waiting_check(
	const struct fd_seen *seen, const struct unix_sock *listener, struct err *err);
/* Of a program that was launched for the dump: at once. */
int unix_waiting_look(const struct fd_seen *seen, struct unix_sock *listener, struct err *err);
/* Of any other: fd_kind.save_last. */
int unix_waiting_finish(
	const struct fd_seen *seen, struct unix_sock *listener, size_t *bytes, struct err *err);
/* Inodes of the waiting -> ofds; refused if one is outside, unless it may still turn up in a queue.
 */
int unix_pending_link(
	const struct fd_seen *seen, struct unix_sock *listener, bool may_turn_up, struct err *err);
/* Does the socket with this inode wait at a listener of the dump? */
bool unix_pending_at(const struct snap *snap, uint32_t ino);
/*
 * If so, that is its state. One that was shut down looks like the rest of a closed connection until
 * then, and one whose connection was looked at like one to outside.
 */
int unix_pending_find(const struct fd_seen *seen, struct unix_sock *sock, struct err *err);

/* ---- unix_peek.c ----------------------------------------------------------------------------- */

struct fd_dump;
/*
 * Is anything queued in a unix socket of the dump? Then descriptors may be in flight that nobody
 * knows of before the queues are saved, and what is missing so far may still turn up.
 */
bool unix_queues_hold(struct fd_dump *d);
/* Descriptors in flight to a socket, or to a listener over connections that wait: its fdinfo. */
uint64_t unix_rights_waiting(const char *fdinfo);

enum { UNIX_MAX_FDS = 253 /* SCM_MAX_FD */ };

/* One look at a queue, and what came along. */
struct unix_look {
	struct unix_name from;
	struct unix_creds creds;
	int fds[UNIX_MAX_FDS]; /* ours: unix_look_finish closes them */
	size_t nr_fds;
	bool had_fds;
	const char *refused; /* something came along that cannot travel: what */
};

/* As recvmsg(2) with MSG_PEEK and flags; >= 0: bytes, or with MSG_TRUNC the whole length. */
ssize_t unix_look(int fd, void *data, size_t len, int flags, struct unix_look *out);
void unix_look_finish(struct unix_look *look);

/* ---- unix_urgent.c ----------------------------------------------------------------------------
 */

/*
 * Where the mark of an urgent byte stands in a stream of len bytes that wait, *at, and whether it
 * was read already. SO_OOBINLINE is on, SO_PEEK_OFF on.
 */
int unix_urgent_find(int fd, size_t len, enum unix_urgent *what, size_t *at, struct err *err);
/* The byte of UNIX_URGENT_READ was just sent to `fd`, and is read. */
int unix_urgent_read(int fd, struct err *err);

/* ---- unix_message.c -------------------------------------------------------------------------- */

void unix_queue_pack(const struct snap *snap, const struct unix_sock *sock,
	struct Pb__UnixMessage ***msgs, size_t *nr);
int unix_queue_unpack(struct snap *snap, struct Pb__UnixMessage *const *msgs, size_t nr,
	struct unix_sock *sock, struct err *err);
int unix_creds_unpack(struct arena *arena, int32_t pid, uint32_t uid, uint32_t gid, bool has_groups,
	const uint32_t *groups, size_t nr_groups, struct unix_creds *out, struct err *err);
/* The connections that wait at a listener. */
void unix_waiting_pack(
	const struct snap *snap, const struct unix_sock *listener, struct Pb__UnixSock *m);
/* Whether their ofds say the same is seen when all are known: unix_pending.c. */
int unix_waiting_unpack(struct snap *snap, const struct Pb__UnixSock *m, struct unix_sock *listener,
	struct err *err);
/* has: the message has this field. */
int unix_name_unpack(
	bool has, const uint8_t *data, size_t len, struct unix_name *out, struct err *err);

/* ---- while restoring: unix_make.c, unix_fill.c, unix_bind.c ---------------------------------- */

/* Make all unix sockets of the snap that are not made yet, into m->made: they refer to each other.
 */
int unix_make_all(const struct fd_make *m, struct err *err);
/*
 * Send a message of sock's queue from `fd`, whose peer it is; or to address `to`, if that has a
 * length. Descriptors that go with it are made now, if they are not yet.
 */
int unix_queue_make(const struct fd_make *m, int fd, const struct unix_msg *msg,
	const struct sockaddr_storage *to, socklen_t to_len, struct err *err);
/* unix_creds.c: sendmsg(2) with these credentials, as far as they can be had. */
ssize_t unix_send_as(const struct fd_make *m, int fd, const struct msghdr *msg,
	const struct unix_creds *creds, int flags);

/* unix_as.c: a call that notes for SO_PEERCRED who makes it. */
struct unix_call {
	enum { UNIX_CALL_PAIR, UNIX_CALL_LISTEN, UNIX_CALL_CONNECT } what;
	int type, pair[2];          /* pair: its type, both ends (O_CLOEXEC) */
	int fd, backlog;            /* listen, connect */
	struct sockaddr_storage to; /* connect */
	socklen_t to_len;
	int error; /* errno, or 0 */
	pid_t pid; /* who made it after all */
};
/* By these, as far as it can be had; creds->pid 0: by ourselves. */
void unix_call_as(const struct fd_make *m, const struct unix_creds *creds, struct unix_call *call);
/* Processes of the dump have other ids now, if they were restored with new ones. */
pid_t unix_creds_pid(const struct fd_make *m, int32_t recorded);

/*
 * Give a new socket its name, with the socket file where it was and as it was. A stale file of a
 * socket that nobody has any more is replaced, and nothing else. Unlinked files stay until
 * unix_bind_finish, so that others can connect. The socket file belongs to the process: umask and
 * directory are changed for a moment, and are those of all threads.
 */
int unix_bind(struct arena *arena, int fd, struct unix_sock *sock, struct err *err);
/*
 * Before unix_bind_finish() removes its file because another one needs the name: it can still be
 * reached, until it is forgotten.
 */
int unix_bind_hold(struct arena *arena, struct unix_sock *sock, struct err *err);
void unix_bind_forget(struct unix_sock *sock);
int unix_bind_finish(struct arena *arena, const struct unix_sock *sock, struct err *err);
/*
 * Connect to the socket that unix_bind has just put in its place, by these; *by (if not NULL) is
 * who did it after all.
 */
int unix_connect(const struct fd_make *m, int fd, const struct unix_sock *to,
	const struct unix_creds *creds, pid_t *by, struct err *err);
/*
 * unix_aside.c: only the name, with a file that nobody sees; *held reaches it (may be -1). For
 * sockets that were unlinked and whose place is taken, and for those that are closed again at once.
 */
int unix_bind_aside(
	struct arena *arena, int fd, const struct unix_name *name, int *held, struct err *err);
/* The name of a socket that is there no more, for one that stands in for it. */
void unix_bind_lost(struct arena *arena, int fd, const struct unix_name *name);
/* Its address for connect and sendto; *held (may be -1) has to stay open while it is used. */
int unix_address(struct arena *arena, const struct unix_sock *to, struct sockaddr_storage *sa,
	socklen_t *len, int *held, struct err *err);

#endif
