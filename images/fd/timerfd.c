/*
 * timerfd_create(2): a clock, what is left until it expires, and how often it expired since the
 * last read.
 *
 * A timer set to a time of its clock (TFD_TIMER_ABSTIME) is kept as that time, any other as what is
 * left of it: so the one rings when the clock says so, and the other after the rest of its time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"

/* linux/timerfd.h; sys/timerfd.h does not have it, and both together do not compile. */
#define IOC_SET_TICKS _IOW('T', 0, uint64_t)

enum { NS = 1000000000, FDINFO_LIMIT = 64 * 1024 };

struct timerfd_priv {
	int32_t clock;
	uint32_t settime_flags; /* TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET */
	uint64_t value;         /* ns: left, or time of the clock; 0: not armed */
	uint64_t interval;      /* ns */
	uint64_t ticks;
};

static bool timerfd_is(const struct fd_seen *seen)
{
	return !strcmp(seen->link, "anon_inode:[timerfd]");
}

/* ---- alive -> record ------------------------------------------------------------------------ */

static uint64_t to_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static struct timespec from_ns(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS), .tv_nsec = (long)(ns % NS) };
}

/* Clocks that wake the machine up tell the time of the plain ones. */
static clockid_t readable_clock(int32_t clock)
{
	if (clock == CLOCK_REALTIME_ALARM)
		return CLOCK_REALTIME;
	return clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock;
}

/*
 * A periodic timer that nobody reads stands still after its first expiration and is only brought up
 * to date when somebody asks; timerfd_gettime(2) does that, so the ticks have to be read after it.
 */
static int ticks_read(int fd, uint64_t *ticks, struct err *err)
{
	char path[40];
	OWNED_FD info = -1;
	char *text;
	size_t len;
	bool found;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return err_sys(err, "open %s", path);
	if (fd_read_text(info, FDINFO_LIMIT, &text, &len, err) < 0)
		return err_wrap(err, "%s", path);
	found = text_field_dec(text, "ticks", ticks);
	free(text);
	return found ? 0 : err_set(err, EPROTO, "timerfd: no ticks in fdinfo");
}

static int value_read(int fd, struct timerfd_priv *priv, struct err *err)
{
	struct itimerspec left;
	struct timespec now;

	if (timerfd_gettime(fd, &left) < 0)
		return err_sys(err, "timerfd_gettime");
	if (clock_gettime(readable_clock(priv->clock), &now) < 0)
		return err_sys(err, "time of clock %d", priv->clock);
	priv->value = to_ns(left.it_value);
	priv->interval = to_ns(left.it_interval);
	if (priv->value && (priv->settime_flags & TFD_TIMER_ABSTIME))
		priv->value += to_ns(now);
	return 0;
}

static int timerfd_save(const struct fd_seen *seen, struct snap_ofd *ofd, struct err *err)
{
	struct timerfd_priv *priv = arena_alloc(seen->dump->snap->arena, sizeof *priv);
	uint64_t clock, flags;

	if (!text_field_dec(seen->fdinfo, "clockid", &clock) ||
		!text_field_oct(seen->fdinfo, "settime flags", &flags))
		return err_set(err, EPROTO, "timerfd: no clock or flags in fdinfo");
	priv->clock = (int32_t)clock;
	priv->settime_flags = (uint32_t)flags;
	if (value_read(seen->fd, priv, err) < 0 || ticks_read(seen->fd, &priv->ticks, err) < 0)
		return -err->code;
	ofd->priv = priv;
	return 0;
}

/* ---- record <-> message --------------------------------------------------------------------- */

static int timerfd_pack(
	const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct timerfd_priv *priv = ofd->priv;
	Pb__TimerFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__timer_fd__init(m);
	m->has_clock = m->has_settime_flags = m->has_value = m->has_interval = m->has_ticks = true;
	m->clock = priv->clock;
	m->settime_flags = priv->settime_flags;
	m->value = priv->value;
	m->interval = priv->interval;
	m->ticks = priv->ticks;
	msg->timerfd = m;
	return 0;
}

static int timerfd_unpack(
	struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	const Pb__TimerFd *m = msg->timerfd;
	struct timerfd_priv *priv = arena_alloc(snap->arena, sizeof *priv);

	if (!m)
		return message_missing("timerfd", err);
	if (m->settime_flags & ~(uint32_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
		return err_set(err, EBADMSG, "timerfd: unknown flags %#x", m->settime_flags);
	if (m->value > INT64_MAX || m->interval > INT64_MAX)
		return err_set(err, EBADMSG, "timerfd: a time beyond all clocks");
	priv->clock = m->clock;
	priv->settime_flags = m->settime_flags;
	priv->value = m->value;
	priv->interval = m->interval;
	priv->ticks = m->ticks;
	ofd->priv = priv;
	return 0;
}

/* ---- record -> alive ------------------------------------------------------------------------ */

/* Who shares our memory, as after vfork(2), enters the time namespace with its exec only. */
static bool enters_later(void)
{
	struct stat now, later;

	return stat("/proc/self/ns/time", &now) == 0 &&
	       stat("/proc/self/ns/time_for_children", &later) == 0 && now.st_ino != later.st_ino;
}

/* The moment a timer is set to, on the clock that is here while it is made. */
static uint64_t value_here(const struct fd_make *m, const struct timerfd_priv *priv)
{
	bool monotonic = priv->clock == CLOCK_MONOTONIC;
	uint64_t ahead = monotonic                                       ? m->monotonic_ahead
			 : readable_clock(priv->clock) == CLOCK_BOOTTIME ? m->boottime_ahead
									 : 0;

	if (!ahead || !priv->value || !(priv->settime_flags & TFD_TIMER_ABSTIME) || !enters_later())
		return priv->value;
	return priv->value > ahead ? priv->value - ahead : 1;
}

static int timer_set(
	const struct fd_make *m, const struct timerfd_priv *priv, int fd, struct err *err)
{
	struct itimerspec spec = {
		.it_value = from_ns(value_here(m, priv)),
		.it_interval = from_ns(priv->interval),
	};

	/* A disarmed timer keeps interval and flags, which fdinfo shows. */
	if ((priv->value || priv->interval || priv->settime_flags) &&
		timerfd_settime(fd, (int)priv->settime_flags, &spec, NULL) < 0)
		return err_sys(err, "timerfd_settime");
	/* After settime, which begins to count anew. */
	if (priv->ticks && ioctl(fd, IOC_SET_TICKS, &priv->ticks) < 0)
		return err_sys(
			err, "timerfd: set %llu expirations", (unsigned long long)priv->ticks);
	return 0;
}

static int timerfd_make(
	const struct fd_make *m, const struct snap_ofd *ofd, int *fd, struct err *err)
{
	const struct timerfd_priv *priv = ofd->priv;
	OWNED_FD fresh = timerfd_create(priv->clock, TFD_CLOEXEC | (ofd->flags & TFD_NONBLOCK));

	if (fresh < 0) {
		err_sys(err, "timerfd_create of clock %d", priv->clock);
		if (err->code == EPERM)
			err_hint(err, "a timer that wakes the machine up needs CAP_WAKE_ALARM");
		return -err->code;
	}
	if (timer_set(m, priv, fresh, err) < 0)
		return -err->code;
	*fd = take_fd(&fresh);
	return 0;
}

/* ---- for people ----------------------------------------------------------------------------- */

static const char *clock_name(int32_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return "realtime";
	case CLOCK_MONOTONIC:
		return "monotonic";
	case CLOCK_BOOTTIME:
		return "boottime";
	case CLOCK_REALTIME_ALARM:
		return "realtime alarm";
	case CLOCK_BOOTTIME_ALARM:
		return "boottime alarm";
	default:
		return "unknown clock";
	}
}

static char *timerfd_describe(
	const struct snap *snap, const struct snap_ofd *ofd, struct arena *arena)
{
	const struct timerfd_priv *priv = ofd->priv;
	const char *when = priv->settime_flags & TFD_TIMER_ABSTIME ? "at" : "in";
	char *text = arena_strdup(arena, clock_name(priv->clock));

	(void)snap;
	if (priv->value)
		text = arena_printf(arena, "%s, %s %.3f s", text, when, (double)priv->value / NS);
	else
		text = arena_printf(arena, "%s, off", text);
	if (priv->interval)
		text = arena_printf(arena, "%s, every %.3f s", text, (double)priv->interval / NS);
	if (priv->ticks)
		text = arena_printf(
			arena, "%s, %llu unread", text, (unsigned long long)priv->ticks);
	return text;
}

const struct fd_kind fd_timerfd = {
	.name = "timerfd",
	.is = timerfd_is,
	.save = timerfd_save,
	.pack = timerfd_pack,
	.unpack = timerfd_unpack,
	.make = timerfd_make,
	.describe = timerfd_describe,
};
