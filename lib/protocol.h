#ifndef SNAPCTL_PROTOCOL_H
#define SNAPCTL_PROTOCOL_H

#include <stdint.h>

/*
 * What libsnapctl and snapctl say to each other. Contract between lib/ on one side, dump/ and
 * restore/ on the other: libraries of any age meet snapctls of any age, so nothing here changes its
 * meaning; what is new is a new version.
 *
 * A program that checks in sends one struct snapctl_hello through a SOCK_SEQPACKET socket: the
 * inherited one that SNAPCTL_READY names as "NUMBER:TOKEN", or one that asks for a dump. It then
 * waits until `state` in its area is something else than SNAPCTL_ASKING. The area is memory of the
 * program, into which snapctl writes from outside; that way nothing of the conversation (no
 * descriptor, no bytes on their way) is in the image.
 */

#define SNAPCTL_READY_ENV   "SNAPCTL_READY"
#define SNAPCTL_HELLO_MAGIC "snapctl1"
#define SNAPCTL_AREA_MAGIC  0x3161657261637073ull /* "spcarea1" */

enum {
	SNAPCTL_TOKEN_LEN = 32, /* lower-case hexadecimal digits: 128 bits */
	SNAPCTL_AREA_LEN = 65536,
	SNAPCTL_WORDS_LEN = 192,
};

enum snapctl_kind {
	SNAPCTL_CHECKS_IN = 1,
	SNAPCTL_HOOK_FAILED = 2, /* words: whose, and why */
};

struct snapctl_hello {
	char magic[8];
	char token[SNAPCTL_TOKEN_LEN]; /* zeroes where asked through a socket */
	uint32_t kind;
	uint32_t reserved;
	uint64_t area; /* address of the area in the sender's memory, page-aligned */
	char words[SNAPCTL_WORDS_LEN];
};

enum snapctl_state {
	SNAPCTL_IDLE = 0,
	SNAPCTL_RESTORED = 1,
	SNAPCTL_WENT_ON = 2, /* the original, after a dump that let it run */
	SNAPCTL_REFUSED = 3, /* wrong token */
	SNAPCTL_FAILED = 4,  /* there was no dump */
	SNAPCTL_ASKING = 5,  /* has sent its hello, and waits for one of the others */
};

/*
 * At the beginning of SNAPCTL_AREA_LEN bytes of private anonymous memory. It is at this address
 * unless something else is: dumps look there where nobody has checked in, so that a restore can
 * leave word for whoever has loaded the library. In the middle of nowhere: above the heaps of Go,
 * ZGC and the shadows of ASan, below executables, stacks and libraries.
 */
#define SNAPCTL_AREA_ADDR 0x2eca00000000ull

struct snapctl_area {
	uint64_t magic;
	uint32_t len;           /* of the area */
	uint32_t state;         /* a futex(2) word */
	uint8_t generation[16]; /* another one after each restore; zeroes before the first */
	/* Behind the struct, after a restore: nr_args and then nr_env texts, each with its NUL. */
	uint32_t nr_args, nr_env;
};

#endif
