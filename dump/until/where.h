#ifndef DUMP_UNTIL_WHERE_H
#define DUMP_UNTIL_WHERE_H

struct arena;
struct tracee_note;

/*
 * Where a thread is about to make a system call, in words, in the arena: "openat64+0x44
 * (libc.so.6), called from main+0x1f (server)". Callers are found through frame pointers and
 * return addresses, functions through the symbols of their files; what is not known is an offset.
 */
char *where_words(const struct tracee_note *note, struct arena *a);

#endif
