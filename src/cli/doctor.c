/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "app/doctor.h"

#include <stdbool.h>

#include "base/log.h"
#include "cli/cli.h"

#define NAME "trapline doctor"

static const struct argp_option options[] = {
	{ "verbose", 'v', NULL, 0, "show what libbpf says", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	if (key == 'v') {
		log_set_verbose(true);
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		cli_usage_error(NAME, "unexpected argument '%s'", argument);
	return cli_parse_common(key, state);
}

int cli_doctor(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Tries for real what this kernel offers, and tells what trapline would use. "
		       "The "
		       "exit status is 1 where trapline cannot run here.",
	};

	cli_parse(&argp, NAME, argc, argv, NULL);
	return doctor_run();
}
