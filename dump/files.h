#ifndef DUMP_FILES_H
#define DUMP_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/*
 * The registry of files: every path that something mapped, opened, ran or stood in gets one
 * snap_file, with what restore has to compare (DESIGN D13). Files without a name travel inside the
 * image.
 */

struct dumping;
struct dumping_proc;
struct err;
struct proc_vma;

struct file_table *file_table_create(struct dumping *d);

/*
 * Register what fd (any open mode, O_PATH too) refers to; link is its name as /proc shows it, with
 * " (deleted)". A file that has lost its name, or whose name now belongs to another file, travels:
 * its contents become a memory object. Gives the snap_file id.
 */
int files_add(struct dumping *d, int fd, const char *link, uint32_t *id, struct err *err);
/* Its contents travel if it may be gone at the restore; fd is the program's. */
int files_open_travels(struct dumping *d, int fd, uint32_t id, struct err *err);
/* The same for a link below /proc/PID that can be followed: "exe", "cwd". */
int files_add_link(struct dumping_proc *p, const char *name, uint32_t *id, struct err *err);
/* Likewise below any directory of /proc, as that of a thread. */
int files_add_link_at(
	struct dumping *d, int procfd, const char *name, uint32_t *id, struct err *err);
/*
 * The file of a mapping. Read through /proc/PID/map_files by root, else by its name, or through a
 * descriptor of the target for the same file.
 */
int files_add_mapped(
	struct dumping_proc *p, const struct proc_vma *vma, uint32_t *id, struct err *err);

/* Whether files_add_mapped() would find the file: 0, or -ENOTSUP with words. Changes nothing. */
int files_check_mapped(struct dumping_proc *p, const struct proc_vma *vma, struct err *err);

#endif
