/* dump/until: the parts that need no program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dump/dump.h"
#include "dump/until/count.h"
#include "dump/until/relay.h"
#include "dump/until/sieve.h"
#include "dump/until/symbol.h"

/* ---- what is asked for -------------------------------------------------------------------- */

static void test_conditions(void **state)
{
	static const char *const good[] = { "quiescent", "ready", "listen", "listen=1",
		"listen=65535", "listen=/x", "listen=./x", "listen=@x", "output=^a|b$",
		"probe=true", "syscall=openat", "syscall=openat:7", "exec", "exec=2", "signal=USR1",
		"signal=sigusr1", "signal=RTMIN+3", "signal=10", "after=1", "after=0.5s",
		"after=3m", "after=20ms" };
	static const char *const bad[] = { "", "=", "read", "readyy", "ready=1", "listen=0",
		"listen=65536", "listen=1x", "listen=", "output", "output=[", "probe", "syscall",
		"syscall=", "syscall=nope", "syscall=read:", "syscall=read:0", "syscall=read:-1",
		"exec=", "exec=0", "exec=1x", "signal", "signal=", "signal=65", "signal=0",
		"signal=KILL", "signal=9", "signal=RTMIN+99", "after", "after=", "after=-1",
		"after=inf", "after=1h" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct err err = { 0 };

		if (dump_until_check(good[i], &err) != 0)
			fail_msg("%s: %s", good[i], err.msg);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err err = { 0 };

		if (dump_until_check(bad[i], &err) != -EINVAL || !err.msg[0])
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void test_ordinals(void **state)
{
	static const struct {
		const char *text, *ordinal;
	} all[] = { { NULL, "1st" }, { "2", "2nd" }, { "3", "3rd" }, { "4", "4th" },
		{ "10", "10th" }, { "11", "11th" }, { "12", "12th" }, { "13", "13th" },
		{ "21", "21st" }, { "111", "111th" }, { "122", "122nd" } };

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct count c;

		assert_int_equal(count_parse(&c, "exec", all[i].text, NULL), 0);
		assert_string_equal(count_ordinal(&c), all[i].ordinal);
	}
}

static void test_count_up(void **state)
{
	struct buf words = BUF_EMPTY;
	struct count c;

	(void)state;
	assert_int_equal(count_parse(&c, "exec", "3", NULL), 0);
	count_so_far(&c, &words);
	assert_int_equal(words.len, 0);
	assert_false(count_up(&c));
	assert_false(count_up(&c));
	count_so_far(&c, &words);
	assert_string_equal(words.data, " (2 so far)");
	assert_true(count_up(&c));
	assert_false(count_up(&c)); /* only that one */
	buf_finish(&words);
}

/* ---- the filter --------------------------------------------------------------------------- */

/* seccomp(2), as far as this filter goes. */
static uint32_t filter_run(const struct sock_fprog *p, uint32_t arch, uint32_t nr)
{
	uint32_t acc = 0;

	for (size_t pc = 0; pc < p->len; pc++) {
		const struct sock_filter *i = &p->filter[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			acc = i->k == offsetof(struct seccomp_data, arch) ? arch : nr;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += acc == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += acc >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			fail_msg("instruction %zu: code %x", pc, i->code);
		}
	}
	fail_msg("no answer for %u", nr);
	return 0;
}

static bool wants_some(const void *arg, int64_t nr)
{
	return ((nr % 7 < 3) ^ (nr % 64 == 5)) || nr == (nr < 1000 ? *(const int *)arg : nr);
}

static bool wants_none(const void *arg, int64_t nr)
{
	(void)arg, (void)nr;
	return false;
}

static void test_sieve(void **state)
{
	struct arena *a = arena_create();
	struct sock_fprog p;
	int one = 999;

	(void)state;
	sieve_make(&p, a, wants_some, &one);
	for (uint32_t nr = 0; nr < 3000; nr++) {
		bool wanted = wants_some(&one, nr < 1024 ? nr : 1024);

		assert_int_equal(filter_run(&p, AUDIT_ARCH_X86_64, nr),
			wanted ? SECCOMP_RET_TRACE : SECCOMP_RET_ALLOW);
		assert_int_equal(filter_run(&p, AUDIT_ARCH_I386, nr), SECCOMP_RET_TRACE);
	}
	assert_int_equal(
		filter_run(&p, AUDIT_ARCH_X86_64, 0x40000000), SECCOMP_RET_TRACE); /* x32 */
	sieve_make(&p, a, wants_none, NULL);
	assert_int_equal(p.len, 5);
	assert_int_equal(filter_run(&p, AUDIT_ARCH_X86_64, 1), SECCOMP_RET_ALLOW);
	arena_destroy(a);
}

/* ---- symbols ------------------------------------------------------------------------------ */

static int elf_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Where a function of ours lies in our file. */
static uint64_t file_offset(const void *function)
{
	unsigned long start, end, offset;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 &&
			(uintptr_t)function >= start && (uintptr_t)function < end) {
			fclose(maps);
			return (uintptr_t)function - start + offset;
		}
	}
	fail_msg("not mapped");
	return 0;
}

static void test_symbol(void **state)
{
	uint64_t offset = file_offset(test_symbol);
	struct symbol symbol;
	int fd = elf_self();

	(void)state;
	assert_true(symbol_find(fd, offset + 5, &symbol));
	assert_string_equal(symbol.name, "test_symbol");
	assert_int_equal(symbol.into, 5);
	assert_false(symbol_find(fd, UINT64_MAX, &symbol));
	assert_false(symbol_find(fd, 0, &symbol)); /* the header is no function */
	close(fd);
}

/* Whatever is damaged is not read beyond its end: ASan and the kernel would say so. */
static void test_symbol_damaged(void **state)
{
	uint64_t offset = file_offset(test_symbol_damaged);
	int fd = elf_self(), copy = memfd_create("damaged", MFD_CLOEXEC);
	off_t len = lseek(fd, 0, SEEK_END);
	struct symbol symbol;
	char *bytes = malloc((size_t)len);

	(void)state;
	assert_int_equal(pread(fd, bytes, (size_t)len, 0), len);
	assert_int_equal(pwrite(copy, bytes, (size_t)len, 0), len);
	srand(1);
	for (int round = 0; round < 400; round++) {
		off_t at = round < 64 ? round : rand() % len;
		char byte = (char)rand();

		if (round % 2) /* the section headers lie at the end */
			at = len - 1 - rand() % 3000;
		pwrite(copy, &byte, 1, at);
		symbol_find(copy, offset, &symbol);
		pwrite(copy, bytes + at, 1, at);
	}
	for (off_t cut = 0; cut < len; cut += len / 50) {
		assert_int_equal(ftruncate(copy, cut), 0);
		symbol_find(copy, offset, &symbol);
	}
	free(bytes);
	close(copy);
	close(fd);
}

/* ---- the relay ---------------------------------------------------------------------------- */

static void note_line(void *arg, const char *line)
{
	buf_printf(arg, "[%s]", line);
}

/* In a child, whose standard output is a pipe of the test: what comes out, and the lines seen. */
static void test_relay(void **state)
{
	static const char text[] = "one\ntwo\r\n\nlast";
	struct buf lines = BUF_EMPTY;
	int outside[2], before = dup(STDOUT_FILENO);
	char out[64] = "";
	struct relay r;

	(void)state;
	fflush(stdout);
	assert_int_equal(pipe2(outside, O_CLOEXEC), 0);
	dup2(outside[1], STDOUT_FILENO);
	assert_int_equal(relay_open(&r, STDOUT_FILENO, NULL), 0);
	assert_int_equal(write(r.inner, text, sizeof text - 1), sizeof text - 1);
	assert_true(relay_pass(&r, note_line, &lines)); /* closes r.inner: this is the end */
	dup2(before, STDOUT_FILENO);
	close(before);
	close(outside[1]);
	assert_int_equal(read(outside[0], out, sizeof out), sizeof text - 1);
	assert_string_equal(out, text);
	assert_string_equal(lines.data, "[one][two][][last]");
	assert_int_equal(r.from, -1);
	relay_finish(&r);
	close(outside[0]);
	buf_finish(&lines);
}

/* A reader that is gone is the program's to find out. */
static void test_relay_broken(void **state)
{
	int outside[2], before = dup(STDOUT_FILENO), inner;
	struct relay r;

	(void)state;
	fflush(stdout);
	assert_int_equal(pipe2(outside, O_CLOEXEC), 0);
	dup2(outside[1], STDOUT_FILENO);
	close(outside[1]);
	close(outside[0]);
	assert_int_equal(relay_open(&r, STDOUT_FILENO, NULL), 0);
	inner = dup(r.inner);
	assert_int_equal(write(inner, "x", 1), 1);
	relay_pass(&r, NULL, NULL);
	dup2(before, STDOUT_FILENO);
	close(before);
	assert_int_equal(r.from, -1);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(write(inner, "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(inner);
	relay_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_ordinals),
		cmocka_unit_test(test_count_up),
		cmocka_unit_test(test_sieve),
		cmocka_unit_test(test_symbol),
		cmocka_unit_test(test_symbol_damaged),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_relay_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
