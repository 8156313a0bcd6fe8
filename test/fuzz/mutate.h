#ifndef TEST_FUZZ_MUTATE_H
#define TEST_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Damage that the format cannot see: a `state` is taken apart into its fields, a few of them become
 * what nobody would have written (huge, negative, of something else, missing, twice, a thousand
 * times), and it is put together again.
 */

struct buf;

/* A number below; the same ones for the same seed. */
typedef uint64_t mutate_random(void *arg, uint64_t below);

/* Appends a mutant of a state that can be parsed to out. */
void mutate_state(const void *bytes, size_t len, unsigned nr_changes, mutate_random *random,
	void *arg, struct buf *out);

#endif
