#ifndef TEST_TARGETS_TOOLS_H
#define TEST_TARGETS_TOOLS_H

/*
 * What the tests do all the time, and a shell slowly or not at all:
 *
 *     target --wait-line FILE TEXT SECONDS   a line of FILE begins with TEXT; prints it
 *     target --wait-exit PID SECONDS         process PID has ended
 *     target --reap COMMAND...               runs COMMAND, and waits for orphans of its descendants
 *     target --alone HOME [NAME=VALUE...] COMMAND...
 *                                            is COMMAND, in HOME: no descriptors of ours but the
 *                                            standard ones, of the environment PATH alone
 */

/* The exit status, or -1: argv names none of them. */
int tool_run(int argc, char **argv);

#endif
