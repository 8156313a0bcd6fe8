/* Pseudo-terminals <-> their message; see pty.h. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "images/fd/kinds.h"
#include "images/fd/message.h"
#include "images/fd/pty.h"

/* Highest index the kernel gives out (NR_UNIX98_PTY_MAX); most that a queue may hold. */
enum { INDEX_MOST = (1 << 20) - 1, QUEUE_MOST = 1 << 20 };

/* ---- terminal attributes -------------------------------------------------------------------- */

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
	return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)data };
}

static Pb__Termios *termios_pack(struct arena *arena, const struct termios2 *t)
{
	Pb__Termios *m = arena_alloc(arena, sizeof *m);

	pb__termios__init(m);
	m->has_iflag = m->has_oflag = m->has_cflag = m->has_lflag = m->has_line = true;
	m->has_ispeed = m->has_ospeed = m->has_cc = true;
	m->iflag = t->c_iflag;
	m->oflag = t->c_oflag;
	m->cflag = t->c_cflag;
	m->lflag = t->c_lflag;
	m->line = t->c_line;
	m->cc = bytes_of(t->c_cc, sizeof t->c_cc);
	m->ispeed = t->c_ispeed;
	m->ospeed = t->c_ospeed;
	return m;
}

static int termios_unpack(const Pb__Termios *m, struct termios2 *t, struct err *err)
{
	if (!m)
		return err_set(err, EBADMSG, "pty: terminal attributes are missing");
	if (m->cc.len != sizeof t->c_cc || m->line > UINT8_MAX)
		return err_set(err, EBADMSG, "pty: %zu control characters", m->cc.len);
	t->c_iflag = m->iflag;
	t->c_oflag = m->oflag;
	t->c_cflag = m->cflag;
	t->c_lflag = m->lflag;
	t->c_line = (cc_t)m->line;
	memcpy(t->c_cc, m->cc.data, sizeof t->c_cc);
	t->c_ispeed = m->ispeed;
	t->c_ospeed = m->ospeed;
	return 0;
}

/* The locked bits have no speeds; else it is the same structure. */
static struct termios2 lock_widen(const struct termios *lock)
{
	struct termios2 t = { .c_iflag = lock->c_iflag,
		.c_oflag = lock->c_oflag,
		.c_cflag = lock->c_cflag,
		.c_lflag = lock->c_lflag,
		.c_line = lock->c_line };

	memcpy(t.c_cc, lock->c_cc, sizeof t.c_cc);
	return t;
}

static struct termios lock_narrow(const struct termios2 *t)
{
	struct termios lock = { .c_iflag = t->c_iflag,
		.c_oflag = t->c_oflag,
		.c_cflag = t->c_cflag,
		.c_lflag = t->c_lflag,
		.c_line = t->c_line };

	memcpy(lock.c_cc, t->c_cc, sizeof lock.c_cc);
	return lock;
}

/* ---- the pair ------------------------------------------------------------------------------- */

static void queues_pack(struct arena *arena, const struct pty_state *state, Pb__PtyPair *m)
{
	m->n_lines = state->nr_lines;
	m->lines = arena_array(arena, state->nr_lines, sizeof *m->lines);
	for (size_t i = 0; i < state->nr_lines; i++)
		m->lines[i] = bytes_of(state->lines[i].data, state->lines[i].len);
	m->has_input = state->input.len > 0;
	m->input = bytes_of(state->input.data, state->input.len);
	m->has_written = state->written.len > 0;
	m->written = bytes_of(state->written.data, state->written.len);
}

static Pb__PtyPair *pair_pack(struct arena *arena, const struct pty_state *state)
{
	Pb__PtyPair *m = arena_alloc(arena, sizeof *m);
	struct termios2 lock = lock_widen(&state->lock);

	pb__pty_pair__init(m);
	m->termios = termios_pack(arena, &state->termios);
	m->lock = pty_has_lock(&state->lock)
			  ? termios_pack(arena, arena_copy(arena, &lock, sizeof lock))
			  : NULL;
	m->has_rows = m->has_cols = m->has_xpixel = m->has_ypixel = true;
	m->rows = state->winsize.ws_row;
	m->cols = state->winsize.ws_col;
	m->xpixel = state->winsize.ws_xpixel;
	m->ypixel = state->winsize.ws_ypixel;
	m->has_slaves = m->has_mode = m->has_uid = m->has_gid = true;
	m->slaves = state->slaves;
	m->mode = state->mode;
	m->uid = state->uid;
	m->gid = state->gid;
	m->has_locked = m->locked = state->locked;
	m->has_packet = m->packet = state->packet;
	m->has_packet_status = (m->packet_status = state->packet_status) != 0;
	m->has_slave_exclusive = m->slave_exclusive = state->exclusive[0];
	m->has_master_exclusive = m->master_exclusive = state->exclusive[1];
	m->has_output_flow = (m->output_flow = state->output) != 0;
	m->has_input_stopped = m->input_stopped = state->input_stopped;
	queues_pack(arena, state, m);
	return m;
}

static int queue_unpack(
	struct arena *arena, const ProtobufCBinaryData *in, struct pty_bytes *out, struct err *err)
{
	if (in->len > QUEUE_MOST)
		return err_set(err, EBADMSG, "pty: %zu bytes are queued", in->len);
	out->len = in->len;
	out->data = in->len ? arena_copy(arena, in->data, in->len) : NULL;
	return 0;
}

static int queues_unpack(
	struct arena *arena, const Pb__PtyPair *m, struct pty_state *state, struct err *err)
{
	state->nr_lines = m->n_lines;
	state->lines = arena_array(arena, m->n_lines, sizeof *state->lines);
	for (size_t i = 0; i < m->n_lines; i++)
		if (queue_unpack(arena, &m->lines[i], &state->lines[i], err) < 0)
			return -err->code;
	if (queue_unpack(arena, &m->input, &state->input, err) < 0)
		return -err->code;
	return queue_unpack(arena, &m->written, &state->written, err);
}

static int pair_check(const Pb__PtyPair *m, struct err *err)
{
	bool data = m->n_lines || m->input.len || m->written.len;

	if (m->rows > UINT16_MAX || m->cols > UINT16_MAX || m->xpixel > UINT16_MAX ||
		m->ypixel > UINT16_MAX)
		return err_set(err, EBADMSG, "pty: a window of %ux%u", m->cols, m->rows);
	if (m->slaves >= PTY_SLAVES_END || m->output_flow >= PTY_FLOW_END ||
		m->packet_status > UINT8_MAX || m->mode > 07777)
		return err_set(err, EBADMSG, "pty: impossible state");
	if (m->slaves == PTY_NEVER_OPENED && (data || m->packet_status || m->output_flow))
		return err_set(err, EBADMSG, "pty: data of a slave that was never opened");
	return 0;
}

static int pair_unpack(
	struct arena *arena, const Pb__PtyPair *m, struct pty_state *state, struct err *err)
{
	struct termios2 lock = { 0 };

	if (pair_check(m, err) < 0 || termios_unpack(m->termios, &state->termios, err) < 0 ||
		(m->lock && termios_unpack(m->lock, &lock, err) < 0))
		return -err->code;
	state->lock = lock_narrow(&lock);
	state->winsize = (struct winsize){
		.ws_row = (unsigned short)m->rows,
		.ws_col = (unsigned short)m->cols,
		.ws_xpixel = (unsigned short)m->xpixel,
		.ws_ypixel = (unsigned short)m->ypixel,
	};
	state->slaves = (enum pty_slaves)m->slaves;
	state->locked = m->locked;
	state->packet = m->packet;
	state->packet_status = (uint8_t)m->packet_status;
	state->exclusive[0] = m->slave_exclusive;
	state->exclusive[1] = m->master_exclusive;
	state->output = (enum pty_flow)m->output_flow;
	state->input_stopped = m->input_stopped;
	state->mode = m->mode;
	state->uid = m->uid;
	state->gid = m->gid;
	return queues_unpack(arena, m, state, err);
}

/* ---- one end -------------------------------------------------------------------------------- */

int pty_pack(const struct snap *snap, const struct snap_ofd *ofd, Pb__Ofd *msg, struct err *err)
{
	const struct pty_priv *priv = ofd->priv;
	Pb__PtyFd *m = arena_alloc(snap->arena, sizeof *m);

	(void)err;
	pb__pty_fd__init(m);
	m->has_index = m->has_path = true;
	m->index = priv->index;
	m->path = message_path(priv->path);
	m->has_hung_up = m->hung_up = priv->hung_up;
	m->has_master = priv->pair != ID_NONE;
	m->master = priv->pair;
	m->pair = priv->master ? pair_pack(snap->arena, priv->state) : NULL;
	msg->pty = m;
	return 0;
}

/* Of the other ofds only the kind is known by now, so that they are masters is seen at the end. */
static int slave_check(
	const struct snap *snap, const Pb__PtyFd *m, const struct snap_ofd *ofd, struct err *err)
{
	if (!m->has_master)
		return m->hung_up ? 0 : err_set(err, EBADMSG, "pty: a slave without master");
	if (message_id_check(m->master, snap->nr_ofds, "pty: master", err) < 0)
		return -err->code;
	if (snap->ofds[m->master].kind != &fd_pty || snap->ofds[m->master].inherited >= 0 ||
		m->master == ofd->id)
		return err_set(err, EBADMSG, "pty: descriptor %u is no master", m->master);
	return 0;
}

int pty_unpack(struct snap *snap, const Pb__Ofd *msg, struct snap_ofd *ofd, struct err *err)
{
	struct pty_priv *priv = arena_alloc(snap->arena, sizeof *priv);
	const Pb__PtyFd *m = msg->pty;

	if (!m)
		return message_missing("pty", err);
	if (m->index > INDEX_MOST)
		return err_set(err, EBADMSG, "pty: terminal %u", m->index);
	if (message_path_read(snap, &m->path, "pty", &priv->path, err) < 0 ||
		(!m->pair && slave_check(snap, m, ofd, err) < 0))
		return -err->code;
	priv->master = m->pair;
	priv->index = m->index;
	priv->hung_up = m->hung_up && !priv->master;
	priv->pair = m->has_master && !priv->master ? m->master : ID_NONE;
	ofd->priv = priv;
	if (!priv->master)
		return 0;
	priv->state = arena_alloc(snap->arena, sizeof *priv->state);
	return pair_unpack(snap->arena, m->pair, priv->state, err);
}
