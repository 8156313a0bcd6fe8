#ifndef COMPLETE_H
#define COMPLETE_H

#include <stdio.h>

/*
 * What the shells' completions (completion/) ask: `snapctl __complete WORD...` with the words
 * behind "snapctl" up to the one that is being typed, which may be empty. Says what may stand
 * there, one line each, with a tab and a few words of explanation; then a line for what the shell
 * knows better:
 *
 *     :words        nothing else
 *     :directories  the words are directories, or files
 *     :files        any file
 *     :program N    a program and its arguments, from the Nth word (counted from 0) on
 *
 * Everything comes from the tables of commands, options, conditions and topics.
 */
struct command;

void complete(const struct command *commands, int nr_words, char **words, FILE *out);

#endif
