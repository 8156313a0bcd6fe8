#ifndef IMAGES_STATE_H
#define IMAGES_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "images/pages.h"
#include "images/snap.h"

/*
 * The file "state", concept by concept. Each file (info.c, files.c, mm.c, task.c, proc.c, ofd.c,
 * index.c) knows how its part of the model is packed, unpacked, and what must hold in it. Unpacking
 * copies and keeps to the arrays it was given; checking happens afterwards on the complete model,
 * so that ids may be followed in any direction.
 */

typedef struct Pb__State Pb__State;
typedef struct Pb__Proc Pb__Proc;
typedef struct Pb__Task Pb__Task;
typedef struct Pb__Ofd Pb__Ofd;

/* The highest address of a user mapping with four page-table levels: TASK_SIZE_MAX of the kernel.
 */
#define USER_END UINT64_C(0x7ffffffff000)

/* Give an optional field of a message its value; 0 is left out, being what an absent one reads as.
 */
#define PUT(m, field, value) ((m)->has_##field = ((m)->field = (value)) != 0)
/* The same for ids, where 0 is a value and ID_NONE is absent. */
#define PUT_ID(m, field, id) ((m)->field = (id), (m)->has_##field = (m)->field != ID_NONE)
#define GET_ID(m, field)     ((m)->has_##field ? (m)->field : ID_NONE)
/* Texts and blobs; NULL is absent. */
#define PUT_TEXT(m, field, s)     ((m)->field = pb_text(s), (m)->has_##field = (s) != NULL)
#define PUT_BYTES(m, field, p, n) ((m)->field = pb_bytes(p, n), (m)->has_##field = (n) > 0)

/* Borrowed, not copied: the model outlives the message. */
ProtobufCBinaryData pb_bytes(const void *data, size_t len);
ProtobufCBinaryData pb_text(const char *s);

/* ---- packing: nr messages in arena ----------------------------------------------------------- */

/* All of it but the index of pages. The message borrows from snap, and has parts in its arena. */
int state_message(const struct snap *snap, Pb__State *m, struct err *err);
void info_pack(const struct snap *snap, Pb__State *m);
void files_pack(const struct snap *snap, Pb__State *m);
void mems_pack(const struct snap *snap, Pb__State *m);
void mms_pack(const struct snap *snap, Pb__State *m);
void procs_pack(const struct snap *snap, Pb__State *m);
void zombies_pack(const struct snap *snap, Pb__State *m);
void terminal_pack(const struct snap *snap, Pb__State *m);
void tasks_pack(const struct snap *snap, const struct snap_proc *proc, Pb__Proc *m);
int ofds_pack(const struct snap *snap, Pb__State *m, struct err *err);
void index_pack(const struct snap *snap, const struct page_index *index, Pb__State *m);
void seccomp_pack(const struct snap *snap, Pb__State *m);
void ipc_pack(const struct snap *snap, Pb__State *m);
void sem_undos_pack(const struct snap *snap, const struct snap_proc *proc, Pb__Proc *m);
/* A queue of pending signals, as array of blobs in arena. */
ProtobufCBinaryData *siginfos_pack(
	const struct snap *snap, const struct snap_siginfo *infos, size_t nr);

/* ---- unpacking: into snap, in its arena ------------------------------------------------------ */

int info_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int files_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int mems_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int mms_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int procs_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int zombies_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int terminal_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int tasks_unpack(struct snap *snap, const Pb__Proc *m, struct snap_proc *proc, struct err *err);
/* All but what the kinds know, and the kinds' part, for which the other tables must be complete. */
int ofds_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int ofds_unpack_kinds(struct snap *snap, const Pb__State *m, struct err *err);
int index_unpack(struct snap *snap, const Pb__State *m, struct page_index *index, struct err *err);
int seccomp_unpack(struct snap *snap, const Pb__State *m, struct err *err);
int ipc_unpack(struct snap *snap, const Pb__State *m, struct err *err);
void sem_undos_unpack(struct snap *snap, const Pb__Proc *m, struct snap_proc *proc);
int siginfos_unpack(struct snap *snap, const ProtobufCBinaryData *in, size_t nr,
	struct snap_siginfo **out, struct err *err);

/* A copy of a text from the message in *out; NULL where absent. Refuses more than max bytes and
 * NUL. */
int text_unpack(struct snap *snap, bool has, const ProtobufCBinaryData *in, size_t max,
	const char *what, char **out, struct err *err);
int texts_unpack(struct snap *snap, const ProtobufCBinaryData *in, size_t nr, size_t max,
	const char *what, char ***out, struct err *err);

/* ---- checking the model ---------------------------------------------------------------------- */

/* Something in the model is wrong. */
#define BAD(err, ...) err_set(err, EBADMSG, __VA_ARGS__)

int info_check(const struct snap *snap, struct err *err);
int files_check(const struct snap *snap, struct err *err);
int mems_check(const struct snap *snap, struct err *err);
int mms_check(const struct snap *snap, struct err *err);
int zombies_check(const struct snap *snap, struct err *err);
int procs_check(const struct snap *snap, struct err *err);
int task_check(const struct snap *snap, const struct snap_task *task, struct err *err);
int ofds_check(const struct snap *snap, struct err *err);
int seccomp_check(const struct snap *snap, struct err *err);
int ipc_check(const struct snap *snap, struct err *err);
int areas_check(const struct snap *snap, struct err *err);
int index_check(const struct snap *snap, const struct page_index *index, struct err *err);
int siginfos_check(const struct snap_siginfo *infos, size_t nr, struct err *err);
/* Is [start, end) mapped without a hole? *at is where to begin looking, and is moved on: 0 at
 * first. */
bool mm_covers(const struct snap_mm *mm, uint64_t start, uint64_t end, size_t *at);

#endif
