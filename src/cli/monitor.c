/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/run.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"

#define NAME "trapline monitor"
#define DEFAULT_LISTEN "127.0.0.1:8080"
#define DEFAULT_LOG "syscalls.log"
#define MAX_PID_OPTIONS TL_MAX_TARGETS

enum option_key {
	KEY_ALL = 256,
	KEY_HOOK,
	KEY_TRANSPORT,
	KEY_RING,
	KEY_LISTEN,
	KEY_NO_API,
	KEY_ALLOW_UID,
	KEY_TOKEN_FILE,
	KEY_LOG,
	KEY_NO_SKIP_READERS,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What to watch:", 1 },
	{ "all", KEY_ALL, NULL, 0, "begin with every process (print_all)", 1 },
	{ "pid", 'p', "PID", 0, "begin with this process; may be given again", 1 },
	{ "no-skip-readers", KEY_NO_SKIP_READERS, NULL, 0,
	  "also show processes that read what this monitor writes", 1 },
	{ NULL, 0, NULL, 0, "Where it goes:", 2 },
	{ "log", KEY_LOG, "FILE", OPTION_ARG_OPTIONAL,
	  "append a detailed line for each call to FILE (" DEFAULT_LOG ")", 2 },
	{ "quiet", 'q', NULL, 0, "no lines for calls on standard output", 2 },
	{ "verbose", 'v', NULL, 0,
	  "log from the kernel side (trace_pipe), and show what libbpf says", 2 },
	{ NULL, 0, NULL, 0, "The API:", 3 },
	{ "listen", KEY_LISTEN, "ADDRESS", 0,
	  "HOST:PORT, [HOST]:PORT or unix:PATH (" DEFAULT_LISTEN ")", 3 },
	{ "no-api", KEY_NO_API, NULL, 0, "serve no API", 3 },
	{ "allow-uid", KEY_ALLOW_UID, "UID", 0,
	  "also answer this user; may be given again (root, the monitor's own user and "
	  "SUDO_UID are answered)",
	  3 },
	{ "token-file", KEY_TOKEN_FILE, "FILE", 0,
	  "require \"Authorization: Bearer TOKEN\" with the token in FILE", 3 },
	{ NULL, 0, NULL, 0, "How the kernel is asked:", 4 },
	{ "hook", KEY_HOOK, "HOOK", 0, "auto, fentry, kprobe, tp_btf, raw_tp or tracepoint (auto)",
	  4 },
	{ "transport", KEY_TRANSPORT, "NAME", 0, "auto, ringbuf or perfbuf (auto)", 4 },
	{ "ring", KEY_RING, "SIZE", 0,
	  "bytes between kernel and monitor, all CPUs together; suffix K, M or G (16M)", 4 },
	{ 0 },
};

struct monitor_options {
	struct run_config config;
	uint32_t *pids;
	size_t pid_count;
};

static void add_pid(struct monitor_options *monitor, const char *text)
{
	uint32_t pid = 0;

	if (parse_pid(text, &pid) < 0)
		cli_usage_error(NAME, "bad PID '%s': a number from 1 to %u is needed", text,
				PARSE_PID_MAX);
	if (monitor->pid_count == MAX_PID_OPTIONS)
		cli_usage_error(NAME, "more than %d PIDs", MAX_PID_OPTIONS);
	uint32_t *larger =
	    reallocarray(monitor->pids, monitor->pid_count + 1, sizeof(*monitor->pids));
	if (!larger) {
		log_line("out of memory");
		exit(1);
	}
	monitor->pids = larger;
	monitor->pids[monitor->pid_count++] = pid;
}

static void add_uid(struct control_config *control, const char *text)
{
	uint64_t uid = 0;

	if (parse_u64(text, 0, UINT32_MAX - 1, &uid) < 0)
		cli_usage_error(NAME, "bad user ID '%s': a number is needed", text);
	if (control->allowed_uid_count == CONTROL_MAX_ALLOWED_UIDS)
		cli_usage_error(NAME, "more than %d users", CONTROL_MAX_ALLOWED_UIDS);
	control->allowed_uids[control->allowed_uid_count++] = (uid_t)uid;
}

static void set_ring(struct probe_config *probe, const char *text)
{
	if (parse_bytes(text, PROBE_RING_BYTES_MIN, PROBE_RING_BYTES_MAX, &probe->ring_bytes) < 0)
		cli_usage_error(NAME, "bad size '%s': from 64K to 1G is needed", text);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct monitor_options *monitor = state->input;
	struct run_config *config = &monitor->config;

	switch (key) {
	case KEY_ALL:
		config->print_all = true;
		return 0;
	case 'p':
		add_pid(monitor, argument);
		return 0;
	case KEY_NO_SKIP_READERS:
		config->skip_readers = false;
		return 0;
	case KEY_LOG:
		config->log_path = argument ? argument : DEFAULT_LOG;
		if (!*config->log_path)
			cli_usage_error(NAME, "bad log file: its name is empty");
		return 0;
	case 'q':
		config->quiet = true;
		return 0;
	case 'v':
		config->probe.verbose = true;
		return 0;
	case KEY_LISTEN:
		config->control.listen = argument;
		return 0;
	case KEY_NO_API:
		config->serve_api = false;
		return 0;
	case KEY_ALLOW_UID:
		add_uid(&config->control, argument);
		return 0;
	case KEY_TOKEN_FILE:
		config->control.token_file = argument;
		return 0;
	case KEY_HOOK:
		if (probe_hook_from_name(argument, &config->probe.hook) < 0)
			cli_usage_error(NAME, "unknown hook '%s'", argument);
		return 0;
	case KEY_TRANSPORT:
		if (probe_transport_from_name(argument, &config->probe.transport) < 0)
			cli_usage_error(NAME, "unknown transport '%s'", argument);
		return 0;
	case KEY_RING:
		set_ring(&config->probe, argument);
		return 0;
	case ARGP_KEY_ARG:
		cli_usage_error(NAME, "unexpected argument '%s'", argument);
	default:
		return cli_parse_common(key, state);
	}
}

int cli_monitor(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Shows reads and writes of processes as they happen, a line a call. What is "
		       "watched is changed while it runs, through the HTTP API.\v"
		       "The manual is trapline(8).",
	};
	struct monitor_options monitor = {
		.config = {
			.probe = { .ring_bytes = PROBE_RING_BYTES_DEFAULT, .calls = true },
			.skip_readers = true,
			.serve_api = true,
			.control = { .listen = DEFAULT_LISTEN },
		},
	};

	cli_parse(&argp, NAME, argc, argv, &monitor);
	monitor.config.pids = monitor.pids;
	monitor.config.pid_count = monitor.pid_count;
	log_set_verbose(monitor.config.probe.verbose);
	int status = run_monitor(&monitor.config);
	free(monitor.pids);
	return status;
}
