/* Pipes and FIFOs with both, one or no ends inside, and what is in them. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "test/unit/fd_fake.h"

static char dir[] = "/tmp/snapctl-fd-pipe-XXXXXX";

static const char *fifo_path(void)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/fifo", dir);
	return path;
}

static int group_setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	return mkdtemp(dir) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	unlink(fifo_path());
	return rmdir(dir);
}

static void fresh_fifo(void)
{
	unlink(fifo_path());
	assert_int_equal(mkfifo(fifo_path(), 0600), 0);
}

static short events(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

static int unread(int fd)
{
	int len = -1;

	assert_int_equal(ioctl(fd, FIONREAD, &len), 0);
	return len;
}

static void expect_read(int fd, const char *text)
{
	char buf[256] = "";

	assert_int_equal(read(fd, buf, sizeof buf), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

/* Saves all, carries and makes them. */
static struct fake *round_trip(const int *fds, size_t nr)
{
	struct fake *f = fake_create();

	for (size_t i = 0; i < nr; i++)
		fake_add(f, fds[i]);
	for (size_t i = 0; i < nr; i++)
		fake_save(f, fds[i], &fd_pipe);
	fake_carry(f);
	fake_make(f);
	return f;
}

/* ---- pipe(2) -------------------------------------------------------------------------------- */

static void both_ends_and_contents(void **state)
{
	struct arena *arena = arena_create();
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 8192) == 8192);
	assert_int_equal(write(ends[1], "hello", 5), 5);
	f = round_trip(ends, 2);
	assert_int_equal(fcntl(ends[0], F_GETFL), O_RDONLY);
	assert_int_equal(fcntl(ends[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	assert_int_equal(fcntl(ends[0], F_GETPIPE_SZ), 8192);
	assert_string_equal(fake_link(ends[0], arena), fake_link(ends[1], arena));
	assert_string_equal(fd_pipe.describe(f->snap, &f->snap->ofds[1], f->snap->arena),
		"write end, 5 of 8192 bytes used");
	expect_read(ends[0], "hello");
	assert_int_equal(write(ends[1], "more", 4), 4);
	expect_read(ends[0], "more");
	close(f->made[1]);
	f->made[1] = -1;
	close(ends[1]);
	f->slots[1] = -1;
	assert_int_equal(events(ends[0]), POLLHUP);
	arena_destroy(arena);
	fake_destroy(f);
}

static void saving_leaves_it_alone(void **state)
{
	struct fake *f = fake_create();
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "hello", 5), 5);
	fake_add(f, ends[1]);
	fake_save(f, ends[0], &fd_pipe);
	fake_save(f, ends[1], &fd_pipe);
	expect_read(ends[0], "hello");
	fake_destroy(f);
}

static void packets_stay_packets(void **state)
{
	static char page[4096];
	char start[4110];
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	/* A whole slot: a packet would be merged into a slot with room. */
	assert_int_equal(write(ends[1], page, sizeof page), sizeof page);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_DIRECT | O_NONBLOCK), 0);
	assert_int_equal(write(ends[1], "one", 3), 3);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(write(ends[1], "three", 5), 5);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(write(ends[1], "end", 3), 3);
	f = round_trip(ends, 2);
	/* read(2) goes over from plain bytes to the packet behind them, and stops there. */
	assert_int_equal(read(ends[0], start, sizeof start), 4096 + 3);
	assert_memory_equal(start + 4096, "one", 3);
	expect_read(ends[0], "x");
	expect_read(ends[0], "three");
	expect_read(ends[0], "end");
	fake_destroy(f);
}

static void packet_mode_survives(void **state)
{
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_DIRECT), 0);
	f = round_trip(ends, 2);
	assert_int_equal(fcntl(ends[1], F_GETFL), O_WRONLY | O_DIRECT);
	assert_int_equal(write(ends[1], "a", 1), 1);
	assert_int_equal(write(ends[1], "b", 1), 1);
	expect_read(ends[0], "a");
	fake_destroy(f);
}

/* 16 slots of 3000 bytes are full, though they are far from 65536 bytes. */
static void full_by_slots_stays_full(void **state)
{
	static char data[3000];
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], data, sizeof data) == sizeof data)
		;
	assert_int_equal(events(ends[1]), 0);
	f = round_trip(ends, 2);
	assert_int_equal(events(ends[1]), 0);
	assert_int_equal(write(ends[1], data, sizeof data), -1);
	fake_destroy(f);
}

static void full_to_the_last_byte(void **state)
{
	char data[4096], back[4096];
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	for (int i = 0; i < 16; i++) {
		memset(data, 'a' + i, sizeof data);
		assert_int_equal(write(ends[1], data, sizeof data), sizeof data);
	}
	f = round_trip(ends, 2);
	assert_int_equal(unread(ends[0]), 65536);
	for (int i = 0; i < 16; i++) {
		memset(data, 'a' + i, sizeof data);
		assert_int_equal(read(ends[0], back, sizeof back), sizeof back);
		assert_memory_equal(back, data, sizeof data);
	}
	fake_destroy(f);
}

/* A small write goes on in the last slot, as it would have before. */
static void last_slot_can_be_gone_on_with(void **state)
{
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	f = round_trip(ends, 2);
	for (int i = 0; i < 4095; i++)
		assert_int_equal(write(ends[1], "y", 1), 1);
	/* All in one slot: 15 more have room. */
	for (int i = 0; i < 15; i++)
		assert_int_equal(write(ends[1], (char[4096]){ 0 }, 4096), 4096);
	assert_int_equal(write(ends[1], "z", 1), -1);
	fake_destroy(f);
}

static void several_of_each_end(void **state)
{
	int fds[4], ends[2];
	struct fake *f;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fds[1] = ends[0];
	fds[3] = ends[1];
	assert_int_equal(ofd_reopen(ends[0], O_RDONLY | O_NONBLOCK, &fds[0], NULL), 0);
	assert_int_equal(ofd_reopen(ends[0], O_RDWR, &fds[2], NULL), 0);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	f = round_trip(fds, 4);
	assert_int_equal(fcntl(fds[0], F_GETFL), 0100000 | O_RDONLY | O_NONBLOCK);
	assert_int_equal(fcntl(fds[1], F_GETFL), O_RDONLY);
	assert_int_equal(fcntl(fds[2], F_GETFL), 0100000 | O_RDWR);
	assert_int_equal(fcntl(fds[3], F_GETFL), O_WRONLY);
	expect_read(fds[0], "abc");
	assert_int_equal(write(fds[2], "def", 3), 3);
	expect_read(fds[1], "def");
	fake_destroy(f);
}

static void reader_without_writers(void **state)
{
	struct fake *f;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "rest", 4), 4);
	close(ends[1]);
	f = round_trip(ends, 1);
	assert_int_equal(events(ends[0]), POLLIN | POLLHUP);
	expect_read(ends[0], "rest");
	expect_read(ends[0], "");
	fake_destroy(f);
}

static void writer_without_readers(void **state)
{
	struct fake *f;
	int ends[2], reader;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "lost", 4), 4);
	close(ends[0]);
	f = round_trip(ends + 1, 1);
	assert_true(events(ends[1]) & POLLERR);
	assert_int_equal(write(ends[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	/* Lost but for those who open it again. */
	assert_int_equal(ofd_reopen(ends[1], O_RDONLY, &reader, NULL), 0);
	expect_read(reader, "lost");
	close(reader);
	fake_destroy(f);
}

static void partner_outside_is_refused(void **state)
{
	int ends[2];

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct fake *f = fake_create();

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		fake_expect_words(f, fake_try_save(f, ends[side]), ENOTSUP, "outside the dump");
		close(ends[!side]);
		fake_destroy(f);
	}
}

/* Two read ends inside are no partners; the check before the freeze does not look that far. */
static void second_reader_is_no_partner(void **state)
{
	struct fake *f = fake_create();
	int ends[2], again;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(ofd_reopen(ends[0], O_RDONLY, &again, NULL), 0);
	fake_add(f, again);
	fake_save(f, ends[0], &fd_pipe);
	fake_save(f, again, &fd_pipe);
	fake_expect_words(f, fake_try_save_links(f), ENOTSUP, "outside the dump");
	close(ends[1]);
	fake_destroy(f);
}

/* /dev/stdout opened by a program whose standard output came from the launcher. */
static void pipe_of_the_caller_is_opened_again(void **state)
{
	struct fake *f = fake_create();
	struct snap_ofd *inherited = snap_add_ofd(f->snap);
	int ends[2], again;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	inherited->inherited = 1;
	inherited->label = fake_link(ends[1], f->snap->arena);
	assert_int_equal(ofd_reopen(ends[1], O_WRONLY | O_APPEND, &again, NULL), 0);
	assert_int_equal(fake_save(f, again, &fd_pipe), 1);
	fake_carry(f);
	f->made[0] = ends[1];
	fake_make(f);
	assert_int_equal(write(again, "x", 1), 1);
	expect_read(ends[0], "x");
	close(ends[0]);
	fake_destroy(f);
}

/* ---- FIFOs ---------------------------------------------------------------------------------- */

static void fifo_with_both_ends(void **state)
{
	int fds[3];
	struct fake *f;

	(void)state;
	fresh_fifo();
	fds[0] = open(fifo_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	fds[1] = open(fifo_path(), O_WRONLY | O_CLOEXEC);
	fds[2] = open(fifo_path(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	f = round_trip(fds, 3);
	assert_int_equal(fcntl(fds[0], F_GETFL), 0100000 | O_RDONLY);
	assert_int_equal(fcntl(fds[2], F_GETFL), 0100000 | O_RDWR | O_NOFOLLOW);
	expect_read(fds[0], "abc");
	fake_destroy(f);
}

/* Its partner is free to come later, and has not to be there at restore. */
static void fifo_with_one_end(void **state)
{
	struct fake *f;
	int reader, writer;

	(void)state;
	fresh_fifo();
	reader = open(fifo_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writer = open(fifo_path(), O_WRONLY | O_CLOEXEC);
	f = round_trip(&writer, 1);
	assert_int_equal(fcntl(writer, F_GETFL), 0100000 | O_WRONLY);
	assert_int_equal(write(writer, "abc", 3), 3);
	expect_read(reader, "abc");
	close(reader);
	fake_destroy(f);
}

static void fifo_that_never_saw_a_writer(void **state)
{
	struct fake *f;
	int reader;

	(void)state;
	fresh_fifo();
	reader = open(fifo_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(events(reader), 0);
	f = round_trip(&reader, 1);
	assert_int_equal(events(reader), 0);
	fake_destroy(f);
}

static void fifo_whose_writers_have_gone(void **state)
{
	struct fake *f;
	int reader;

	(void)state;
	fresh_fifo();
	reader = open(fifo_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	close(open(fifo_path(), O_WRONLY | O_CLOEXEC));
	assert_int_equal(events(reader), POLLHUP);
	f = round_trip(&reader, 1);
	assert_int_equal(events(reader), POLLHUP);
	fake_destroy(f);
}

/* Somebody outside kept it open, with what was in it: nothing is put in twice. */
static void fifo_that_lives_on_outside(void **state)
{
	int reader, outside;
	struct fake *f;

	(void)state;
	fresh_fifo();
	reader = open(fifo_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	outside = open(fifo_path(), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(outside, "abc", 3), 3);
	f = round_trip(&reader, 1);
	expect_read(reader, "abc");
	assert_int_equal(unread(reader), 0);
	close(outside);
	fake_destroy(f);
}

static void fifo_without_a_name(void **state)
{
	int fds[2];
	struct fake *f;
	struct arena *arena = arena_create();
	char *link;

	(void)state;
	fresh_fifo();
	fds[0] = open(fifo_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	fds[1] = open(fifo_path(), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	unlink(fifo_path());
	link = fake_link(fds[0], arena);
	f = round_trip(fds, 2);
	assert_string_equal(fake_link(fds[0], arena), link);
	assert_int_equal(access(fifo_path(), F_OK), -1);
	expect_read(fds[0], "abc");
	arena_destroy(arena);
	fake_destroy(f);
}

/* ---- messages ------------------------------------------------------------------------------- */

static void damaged_messages(void **state)
{
	struct fake *f = fake_create();
	int ends[2], fifo;
	Pb__Ofd *msg;

	(void)state;
	fresh_fifo();
	fifo = open(fifo_path(), O_RDWR | O_CLOEXEC);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	fake_save(f, fifo, &fd_pipe);
	fake_add(f, ends[0]);
	fake_add(f, ends[1]);
	fake_save(f, ends[0], &fd_pipe);
	fake_save(f, ends[1], &fd_pipe);
	msg = fake_message(f, 1);
	msg->pipe->size = 100;
	fake_expect_bad(f, &fd_pipe, msg, "100 bytes large");
	msg = fake_message(f, 1);
	msg->pipe->buffers[0]->data.len = 0;
	fake_expect_bad(f, &fd_pipe, msg, "empty buffer");
	msg = fake_message(f, 1);
	msg->pipe->has_like = true;
	msg->pipe->like = 3;
	fake_expect_bad(f, &fd_pipe, msg, "descriptor 3 does not exist");
	msg = fake_message(f, 1);
	msg->pipe->has_like = true;
	fake_expect_bad(f, &fd_pipe, msg, "not inherited");
	msg = fake_message(f, 0);
	msg->pipe->file = 1;
	fake_expect_bad(f, &fd_pipe, msg, "file 1 does not exist");
	msg = fake_message(f, 0);
	f->snap->files[0].mode = S_IFREG;
	fake_expect_bad(f, &fd_pipe, msg, "no FIFO");
	msg = fake_message(f, 0);
	pb__pipe_fd__free_unpacked(msg->pipe, NULL);
	msg->pipe = NULL;
	fake_expect_bad(f, &fd_pipe, msg, "missing");
	fake_destroy(f);
}

static void too_much_for_its_size(void **state)
{
	struct fake *f = fake_create();
	Pb__Ofd *msg;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], (char[8192]){ 0 }, 8192), 8192);
	fake_add(f, ends[0]);
	fake_add(f, ends[1]);
	fake_save(f, ends[0], &fd_pipe);
	msg = fake_message(f, 0);
	msg->pipe->size = 4096;
	fake_expect_bad(f, &fd_pipe, msg, "2 pages in a pipe of 4096 bytes");
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_and_contents),
		cmocka_unit_test(saving_leaves_it_alone),
		cmocka_unit_test(packets_stay_packets),
		cmocka_unit_test(packet_mode_survives),
		cmocka_unit_test(full_by_slots_stays_full),
		cmocka_unit_test(full_to_the_last_byte),
		cmocka_unit_test(last_slot_can_be_gone_on_with),
		cmocka_unit_test(several_of_each_end),
		cmocka_unit_test(reader_without_writers),
		cmocka_unit_test(writer_without_readers),
		cmocka_unit_test(partner_outside_is_refused),
		cmocka_unit_test(second_reader_is_no_partner),
		cmocka_unit_test(pipe_of_the_caller_is_opened_again),
		cmocka_unit_test(fifo_with_both_ends),
		cmocka_unit_test(fifo_with_one_end),
		cmocka_unit_test(fifo_that_never_saw_a_writer),
		cmocka_unit_test(fifo_whose_writers_have_gone),
		cmocka_unit_test(fifo_that_lives_on_outside),
		cmocka_unit_test(fifo_without_a_name),
		cmocka_unit_test(damaged_messages),
		cmocka_unit_test(too_much_for_its_size),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
