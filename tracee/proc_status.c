/* /proc/PID/status: keys and values, by name because their order and number changes with the
 * kernel. */
#include "tracee/proc.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

/* Up to `max` numbers on the line of key; how many there were is returned. */
static size_t status_numbers(const char *text, const char *key, uint32_t *numbers, size_t max)
{
	struct text t = { text_field(text, key) };
	uint64_t value;
	size_t nr = 0;

	while (t.at && text_dec(&t, &value)) {
		if (nr < max)
			numbers[nr] = (uint32_t)value;
		nr++;
		text_blanks(&t);
	}
	return nr;
}

/* The last number of "NStgid:\t1234\t7\n": the id in the innermost namespace. */
static int32_t status_innermost(const char *text, const char *key, uint32_t *depth)
{
	uint32_t ids[32] = { 0 }; /* MAX_PID_NS_LEVEL */
	size_t nr = status_numbers(text, key, ids, 32);

	if (depth)
		*depth = (uint32_t)nr;
	return nr > 0 && nr <= 32 ? (int32_t)ids[nr - 1] : 0;
}

static int32_t status_id(const char *text, const char *key)
{
	uint64_t value = 0;

	text_field_dec(text, key, &value);
	return (int32_t)value;
}

static uint64_t status_bits(const char *text, const char *key)
{
	uint64_t value = 0;

	text_field_hex(text, key, &value);
	return value;
}

static void status_ids(const char *text, struct arena *a, struct proc_status *s)
{
	status_numbers(text, "Uid", s->uid, 4);
	status_numbers(text, "Gid", s->gid, 4);
	s->nr_groups = status_numbers(text, "Groups", NULL, 0);
	s->groups = arena_array(a, s->nr_groups, sizeof *s->groups);
	status_numbers(text, "Groups", s->groups, s->nr_groups);
	s->tgid = status_id(text, "Tgid");
	s->pid = status_id(text, "Pid");
	s->ppid = status_id(text, "PPid");
	s->tracer = status_id(text, "TracerPid");
	s->nstgid = status_innermost(text, "NStgid", NULL);
	s->nspid = status_innermost(text, "NSpid", &s->nr_ns);
	s->nspgid = status_innermost(text, "NSpgid", NULL);
	s->nssid = status_innermost(text, "NSsid", NULL);
}

static void status_rights(const char *text, struct proc_status *s)
{
	s->cap_inh = status_bits(text, "CapInh");
	s->cap_prm = status_bits(text, "CapPrm");
	s->cap_eff = status_bits(text, "CapEff");
	s->cap_bnd = status_bits(text, "CapBnd");
	s->cap_amb = status_bits(text, "CapAmb");
	s->no_new_privs = status_id(text, "NoNewPrivs");
	s->seccomp = (uint32_t)status_id(text, "Seccomp");
	s->seccomp_filters = (uint32_t)status_id(text, "Seccomp_filters");
}

static void status_signals(const char *text, struct proc_status *s)
{
	s->sig_pending = status_bits(text, "SigPnd");
	s->shd_pending = status_bits(text, "ShdPnd");
	s->sig_blocked = status_bits(text, "SigBlk");
	s->sig_ignored = status_bits(text, "SigIgn");
	s->sig_caught = status_bits(text, "SigCgt");
}

/* "x86_Thread_features:\tshstk wrss \n" */
static bool status_has_word(const char *text, const char *key, const char *word)
{
	const char *value = text_field(text, key), *hit;

	hit = value ? strstr(value, word) : NULL;
	return hit && hit < strchrnul(value, '\n');
}

int proc_status(
	int procfd, const char *name, struct arena *a, struct proc_status *out, struct err *err)
{
	struct proc_status s = { 0 };
	uint64_t mask = 0;
	char *text;
	const char *state;
	int ret = proc_text(procfd, name, a, &text, NULL, err);

	if (ret < 0)
		return ret;
	state = text_field(text, "State");
	if (!state)
		return err_set(err, EPROTO, "%s: there is no State", name);
	s.state = *state;
	text_field_oct(text, "Umask", &mask);
	s.umask = (uint32_t)mask;
	s.threads = (uint32_t)status_id(text, "Threads");
	s.thp_enabled = status_id(text, "THP_enabled");
	s.shadow_stack = status_has_word(text, "x86_Thread_features", "shstk");
	s.tagged = text_field(text, "untag_mask") &&
		   !status_has_word(text, "untag_mask", "0xffffffffffffffff");
	s.kthread = status_id(text, "Kthread");
	status_ids(text, a, &s);
	status_rights(text, &s);
	status_signals(text, &s);
	*out = s;
	return 0;
}
