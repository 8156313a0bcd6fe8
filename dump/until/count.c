/* The Nth time of something; see count.h. */
#include "dump/until/count.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"

/* 1st, 2nd, 3rd, 4th, 11th, 12th, 13th, 21st. */
static const char *suffix(unsigned long n)
{
	if (n / 10 % 10 == 1 || n % 10 == 0 || n % 10 > 3)
		return "th";
	return n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : "rd";
}

int count_parse(struct count *c, const char *condition, const char *text, struct err *err)
{
	char *end = NULL;

	*c = (struct count){ .wanted = 1 };
	errno = 0;
	if (text)
		c->wanted = strtoul(text, &end, 10);
	if (text && (!isdigit((unsigned char)*text) || *end || errno || !c->wanted))
		return err_set(err, EINVAL, "--until: %s: '%s' is not a number from 1 on",
			condition, text);
	snprintf(c->ordinal, sizeof c->ordinal, "%lu%s", c->wanted, suffix(c->wanted));
	return 0;
}

bool count_up(struct count *c)
{
	return ++c->seen == c->wanted;
}

const char *count_ordinal(const struct count *c)
{
	return c->ordinal;
}

void count_so_far(const struct count *c, struct buf *out)
{
	if (c->seen)
		buf_printf(out, " (%lu so far)", c->seen);
}
