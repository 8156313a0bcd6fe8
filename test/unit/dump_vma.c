/* dump/vma and dump/build_id: what a mapping is, and which file it came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/build_id.h"
#include "base/err.h"
#include "base/fd.h"
#include "dump/dumping.h"
#include "dump/shared.h"
#include "dump/vma.h"
#include "images/snap.h"

static void letters_become_flags(void **state)
{
	(void)state;
	assert_int_equal(vma_flags("rd wr mr mw me ac sd"),
		VMF_MAYREAD | VMF_MAYWRITE | VMF_MAYEXEC | VMF_ACCOUNT);
	assert_int_equal(vma_flags(" rd mr gd lo lf wf dd hg"),
		VMF_MAYREAD | VMF_GROWSDOWN | VMF_LOCKED | VMF_LOCKONFAULT | VMF_WIPEONFORK |
			VMF_DONTDUMP | VMF_HUGEPAGE);
	assert_int_equal(vma_flags(""), 0);
}

static struct dumping *fresh_dumping(struct dumping *d)
{
	*d = (struct dumping){ .snap = snap_create() };
	d->mems = mem_table_create(d, NULL);
	assert_non_null(d->mems);
	return d;
}

static void assert_refused(const char *path, const char *flags, uint64_t ino, const char *words)
{
	struct proc_vma vma = { .start = 0x1000, .end = 0x2000, .path = (char *)path, .ino = ino };
	struct dumping d;
	struct err err = { 0 };

	strcpy(vma.vmflags, flags);
	assert_int_equal(vma_check(fresh_dumping(&d), &vma, &err), -ENOTSUP);
	if (!strstr(err.msg, words) || !strstr(err.msg, "1000-2000") || !err.hint[0])
		fail_msg("\"%s\" (%s) lacks \"%s\"", err.msg, err.hint, words);
	snap_destroy(d.snap);
}

static void refuses_in_words(void **state)
{
	(void)state;
	assert_refused("anon_inode:[perf_event]", "rd sh", 5, "perf");
	assert_refused("/mnt/huge/file (deleted)", "rd wr ht", 5, "a file of hugetlbfs");
	assert_refused(
		"/SYSV00000000 (deleted)", "rd wr ht", 5, "a System V segment of huge pages");
	assert_refused("", "rd wr um", 0, "userfaultfd");
	assert_refused("", "rd wr ss", 0, "shadow stack");
	assert_refused("/dev/mem", "rd wr io pf", 9, "device memory");
	assert_refused("/secretmem (deleted)", "rd wr sh", 5, "secret memory");
	assert_refused("socket:[77]", "rd sh", 77, "packet socket");
}

static void accepts_ordinary_mappings(void **state)
{
	static const char *const paths[] = { "", "[heap]", "[stack]", "[vdso]", "[vvar]",
		"[vsyscall]", "/lib/x.so", "/lib/x.so (deleted)", "[anon:name]" };
	struct dumping d;

	(void)state;
	fresh_dumping(&d);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct proc_vma vma = { .path = (char *)paths[i],
			.ino = paths[i][0] == '/' ? 7 : 0 };

		strcpy(vma.vmflags, i >= 3 && i <= 5 ? "rd io pf" : "rd wr");
		assert_int_equal(vma_check(&d, &vma, NULL), 0);
	}
	snap_destroy(d.snap);
}

static void memory_objects_are_told_by_their_mount(void **state)
{
	int fd = memfd_create("x", MFD_CLOEXEC);
	struct proc_vma vma = { .path = "/memfd:x (deleted)" };
	struct err err = { 0 };
	struct dumping d;
	struct stat st;

	(void)state;
	fresh_dumping(&d);
	assert_int_equal(fstat(fd, &st), 0);
	vma.dev = st.st_dev;
	vma.ino = st.st_ino;
	assert_true(shared_is_object(&d, &vma));
	assert_int_equal(vma_check(&d, &vma, NULL), 0);
	vma.path = "/drm mm object (deleted)";
	assert_int_equal(vma_check(&d, &vma, &err), -ENOTSUP);
	vma.dev++;
	assert_false(shared_is_object(&d, &vma));
	close(fd);
	snap_destroy(d.snap);
}

/* An ELF header, one note segment, and the note, in a memfd. */
static int elf_with_note(const uint8_t id[20], uint64_t note_size, uint32_t name_size)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
		Elf64_Nhdr note;
		char name[4];
		uint8_t id[20];
	} elf = { .name = "GNU" };
	int fd = memfd_create("elf", MFD_CLOEXEC);

	memcpy(elf.header.e_ident, ELFMAG, SELFMAG);
	elf.header.e_ident[EI_CLASS] = ELFCLASS64;
	elf.header.e_phentsize = sizeof elf.segment;
	elf.header.e_phnum = 1;
	elf.header.e_phoff = offsetof(__typeof__(elf), segment);
	elf.segment.p_type = PT_NOTE;
	elf.segment.p_offset = offsetof(__typeof__(elf), note);
	elf.segment.p_filesz = note_size;
	elf.note.n_type = NT_GNU_BUILD_ID;
	elf.note.n_namesz = name_size;
	elf.note.n_descsz = 20;
	memcpy(elf.id, id, 20);
	assert_int_equal(fd_write_all(fd, &elf, sizeof elf, NULL), 0);
	return fd;
}

static void build_id_is_read_and_lies_are_survived(void **state)
{
	const uint8_t id[20] = { 1, 2, 3, [19] = 20 };
	uint8_t got[20];
	int fd = elf_with_note(id, 36, 4);

	(void)state;
	assert_int_equal(build_id_read(fd, got), 20);
	assert_memory_equal(got, id, 20);
	for (off_t len = 0; len < 160; len++) {
		assert_int_equal(ftruncate(fd, len), 0);
		assert_int_equal(build_id_read(fd, got), 0);
	}
	close(fd);
	fd = elf_with_note(id, UINT64_MAX, UINT32_MAX);
	assert_int_equal(build_id_read(fd, got), 0);
	close(fd);
	fd = elf_with_note(id, 20, 4);
	assert_int_equal(build_id_read(fd, got), 0);
	close(fd);
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_int_equal(build_id_read(fd, got), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(letters_become_flags),
		cmocka_unit_test(refuses_in_words),
		cmocka_unit_test(accepts_ordinary_mappings),
		cmocka_unit_test(memory_objects_are_told_by_their_mount),
		cmocka_unit_test(build_id_is_read_and_lies_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
