#ifndef IMAGES_PLACE_H
#define IMAGES_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Where something new shall appear, whole or not at all (DESIGN D5): it is made beside its final
 * name, under a name that is locked as long as its maker lives, and renamed in the end.
 */

struct err;

/* Room for the name of what is being made. */
enum { PLACE_TMP_NAME = 256 };

struct place {
	char *path;       /* as the user gave it, without slashes at its end */
	const char *base; /* its last part, in path */
	int parentfd;
};

/* Finds the directory it shall be in; `what` is for messages ("an image"). */
int place_open(const char *path, const char *what, struct place *out, struct err *err);
void place_close(struct place *place); /* of a zeroed or opened one */
/* Puts the path in front of an error, and adds what people can do about file systems that do not
 * let us write. */
int place_refused(const struct place *place, struct err *err);

/* ".BASE.<random>.tmp"; -1: no random numbers (errno). */
int place_tmp_name(const char *base, char name[PLACE_TMP_NAME]);
bool place_is_tmp_name(const char *name, const char *base);

/* ---- a file ---------------------------------------------------------------------------------- */

/* Does the file bear the mark of those that may be replaced? Says what it is to be in *what. */
typedef bool place_ours(int fd);

struct newfile {
	struct place place;
	char tmp[PLACE_TMP_NAME]; /* "": nothing there */
	int fd;                   /* write here; mode 0600 as yet */
	bool replaces;            /* an old one is there and may go */
	place_ours *ours;
	const char *what; /* "a packed image" */
};

/* An existing path is refused, unless it is a file of the caller that is `ours` and force is given.
 * Removes what writers that were killed have left. */
int newfile_create(const char *path, bool force, place_ours *ours, const char *what,
	struct newfile *out, struct err *err);
/* Bring it to the disk, and let it appear with that mode. */
int newfile_commit(struct newfile *file, mode_t mode, struct err *err);
/* Without a commit before: removes it. Of a zeroed one, too. */
void newfile_finish(struct newfile *file);

#endif
