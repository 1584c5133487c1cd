/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The subcommands: one row each in a table, one file each. */
#ifndef TL_CLI_CLI_H
#define TL_CLI_CLI_H

#include <argp.h>

#define CLI_EXIT_USAGE 2

struct command {
	const char *name;
	const char *summary;
	/* argv[0] is the command's name. Returns the exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct command cli_commands[];

/* Finds the command that argv names, or monitor where it names none, and runs it. */
int cli_main(int argc, char **argv);

/* One line on standard error, then exit with CLI_EXIT_USAGE. */
void cli_usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/*
 * Parses options; what is wrong with them is said in one line, and ends the program. command is
 * what messages and --help call it.
 */
void cli_parse(const struct argp *argp, const char *command, int argc, char **argv, void *input);

/* What each command's parser does with the keys that it does not know. */
error_t cli_parse_common(int key, struct argp_state *state);

int cli_monitor(int argc, char **argv);
int cli_procs(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_help(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif
