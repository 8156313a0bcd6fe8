/* The line on the terminal that says how far the work is; see progress.h. */
#include "base/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

enum { FIRST_MS = 1000, EVERY_MS = 200, WIDTH = 80, WIDEST = 240 };

/* To the beginning of the line, and nothing from there on: ECMA-48 CR, EL. */
#define CLEAN "\r\033[K"

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, int fd)
{
	*p = (struct progress){ .fd = fd };
	p->begun_ms = now_ms();
	p->first_ms = FIRST_MS;
	p->every_ms = EVERY_MS;
	p->next_ms = p->begun_ms + FIRST_MS;
}

void progress_at_once(struct progress *p)
{
	p->first_ms = p->every_ms = 0;
	p->next_ms = 0;
}

void progress_phase(struct progress *p, const char *name, uint64_t total)
{
	if (!p)
		return;
	p->done = 0;
	p->total = total;
	p->phase_ms = now_ms();
	p->phase = name;
	progress_tick(p);
}

void progress_add(struct progress *p, uint64_t bytes)
{
	if (!p)
		return;
	p->done += bytes;
	progress_tick(p);
}

/* "reading memory: 1.2 GiB of 3.0 GiB (40%), 410.0 MiB/s" */
static void line_make(
	const struct progress *p, const char *phase, uint64_t now, char *line, size_t len)
{
	uint64_t done = p->done, total = p->total, ms = now - p->phase_ms;
	char size[32], whole[48] = "", rate[48] = "", sizes[2][32];

	if (total)
		snprintf(whole, sizeof whole, " of %s (%u%%)",
			text_size(total, sizes[0], sizeof sizes[0]),
			done < total ? (unsigned)(done * 100 / total) : 100);
	if (ms)
		snprintf(rate, sizeof rate, ", %s/s",
			text_size(done * 1000 / ms, sizes[1], sizeof sizes[1]));
	if (done)
		snprintf(line, len, "snapctl: %s: %s%s%s", phase,
			text_size(done, size, sizeof size), whole, rate);
	else if (ms >= 1000)
		snprintf(line, len, "snapctl: %s, for %u s", phase, (unsigned)(ms / 1000));
	else
		snprintf(line, len, "snapctl: %s", phase);
}

static void line_show(struct progress *p, const char *phase, uint64_t now)
{
	char line[WIDEST], out[WIDEST + sizeof CLEAN];
	struct winsize size;
	size_t width = WIDTH;
	int len;

	line_make(p, phase, now, line, sizeof line);
	if (ioctl(p->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		width = size.ws_col;
	/* Not into the last column: some terminals are then on the next line. */
	len = snprintf(out, sizeof out, CLEAN "%.*s", (int)(width - 1), line);
	p->shown = true;
	if (write(p->fd, out, (size_t)len) < 0)
		p->tty = -1;
}

void progress_tick(struct progress *p)
{
	const char *phase = p ? p->phase : NULL;
	uint64_t now, next;

	if (!phase || p->tty < 0)
		return;
	now = now_ms();
	next = p->next_ms;
	/* One of many threads and processes shows it. */
	if (now < next || !atomic_compare_exchange_strong(&p->next_ms, &next, now + p->every_ms))
		return;
	if (!p->tty)
		p->tty = isatty(p->fd) ? 1 : -1;
	if (p->tty > 0)
		line_show(p, phase, now);
}

void progress_end(struct progress *p)
{
	if (!p)
		return;
	p->phase = NULL;
	if (atomic_exchange(&p->shown, false) && write(p->fd, CLEAN, sizeof CLEAN - 1) < 0)
		p->tty = -1;
}

double progress_took(const struct progress *p)
{
	uint64_t ms = p ? now_ms() - p->begun_ms : 0;

	return p && ms >= p->first_ms && p->tty >= 0 && isatty(p->fd) ? (double)ms / 1000 : 0;
}

const char *progress_cleaner(const struct progress *p)
{
	return p && p->phase && p->tty > 0 ? CLEAN : "";
}
