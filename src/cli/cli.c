/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command cli_commands[] = {
	{ "monitor", "show reads and writes of processes as they happen (the default)",
	  cli_monitor },
	{ "procs", "show processes as they start and end", cli_procs },
	{ "doctor", "tell what this kernel offers and what trapline would use", cli_doctor },
	{ "help", "list the commands", cli_help },
	{ "version", "print the version", cli_version },
	{ 0 },
};

static const struct command *find_command(const char *name)
{
	for (const struct command *command = cli_commands; command->name; command++)
		if (strcmp(name, command->name) == 0)
			return command;
	return NULL;
}

void cli_usage_error(const char *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "trapline: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (see %s --help)\n", command);
	exit(CLI_EXIT_USAGE);
}

error_t cli_parse_common(int key, struct argp_state *state)
{
	static FILE *nowhere;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	/* getopt has said in one line what is wrong: argp's second line is not wanted. */
	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	if (nowhere)
		state->err_stream = nowhere;
	return 0;
}

void cli_parse(const struct argp *argp, const char *command, int argc, char **argv, void *input)
{
	argv[0] = (char *)command; /* what messages and --help call the program */
	if (argp_parse(argp, argc, argv, 0, NULL, input) != 0)
		exit(CLI_EXIT_USAGE);
}

int cli_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("Usage: trapline [COMMAND] [OPTION...]\n\n"
	       "A live monitor of system calls and of the life of processes.\n\n"
	       "Commands:\n");
	for (const struct command *command = cli_commands; command->name; command++)
		printf("  %-9s %s\n", command->name, command->summary);
	printf("\n`trapline COMMAND --help` lists a command's options. Without a command, monitor\n"
	       "runs. The manual is trapline(8).\n");
	return fflush(stdout) ? 1 : 0;
}

int cli_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("trapline %s\n", TRAPLINE_VERSION);
	return fflush(stdout) ? 1 : 0;
}

int cli_main(int argc, char **argv)
{
	static char monitor[] = "monitor";
	const struct command *command;

	argp_err_exit_status = CLI_EXIT_USAGE;
	if (argc < 2 || argv[1][0] == '-') {
		if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
			return cli_version(argc, argv);
		if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
			cli_help(argc, argv);
			printf("\n");
			fflush(stdout);
		}
		argv[0] = monitor;
		return cli_monitor(argc, argv);
	}
	command = find_command(argv[1]);
	if (!command)
		cli_usage_error("trapline", "unknown command '%s'", argv[1]);
	return command->run(argc - 1, argv + 1);
}
