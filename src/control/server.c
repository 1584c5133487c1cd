/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/server.h"

/* Headers, and a piece of the body at a time. Browsers send what cookies localhost has. */
#define SERVER_MEMORY_PER_CONNECTION (32 * 1024)

/* How often overdue connections are looked for, while there are any connections. */
#define SERVER_SWEEP_MS 500

/* What one turn of the loop counts for at most, against the time that clients have. */
#define SERVER_TURN_MS 1000

/* Connections that have been dropped or closed and are still to be taken down. */
#define SERVER_CLOSING_MAX 128

/* Descriptors left to the rest of the program. */
#define SERVER_OTHER_FDS 256

/* The fewest connections that we start with. */
#define SERVER_CONNECTIONS_MIN 16

static int __attribute__((format(printf, 3, 4)))
fail(char **ret_message, int error, const char *format, ...)
{
	char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	*ret_message = message;
	return error;
}

static int load_token(struct access *access, const char *path, char **ret_message)
{
	int r = access_read_token(path, &access->token);

	if (r == -ENODATA)
		return fail(ret_message, -EINVAL, "the token file %s is empty: put a token in it",
			    path);
	if (r == -EILSEQ)
		return fail(ret_message, -EINVAL,
			    "the token in %s is not one word of printable ASCII", path);
	if (r == -E2BIG)
		return fail(ret_message, -EINVAL, "the token file %s is larger than %d bytes", path,
			    ACCESS_TOKEN_FILE_BYTES);
	if (r < 0)
		return fail(ret_message, r, "cannot read the token file %s: %s", path,
			    strerror(-r));
	return 0;
}

static int take_address(struct control *control, char **ret_message)
{
	const char *text = control->address.text;
	int r = address_listen(&control->address, &control->socket);

	if (r == -ENOTSOCK)
		return fail(ret_message, -EADDRINUSE,
			    "cannot listen on %s: there is a file that is not a socket (remove it, "
			    "or choose another path with --listen)",
			    text);
	if (r == -EADDRINUSE)
		return fail(ret_message, r,
			    "cannot listen on %s: %s (another monitor? choose another address "
			    "with --listen, or --no-api)",
			    text, strerror(-r));
	if (r < 0)
		return fail(ret_message, r,
			    "cannot listen on %s: %s (choose another address with --listen, or "
			    "--no-api)",
			    text, strerror(-r));
	return 0;
}

/* On loopback everything hangs on the kernel's word, so it is tried out now. */
static int try_netlink(struct control *control, char **ret_message)
{
	int r = 0;

	if (!control->address.is_loopback)
		return 0;
	r = caller_open(&control->netlink);
	if (r == 0)
		r = caller_probe(&control->netlink, &control->address.socket.any);
	if (r < 0)
		return fail(ret_message, r,
			    "the kernel does not tell who calls on %s (sock_diag: %s): load its "
			    "module tcp_diag, listen on a unix socket with --listen "
			    "unix:/run/trapline.sock, or --no-api",
			    control->address.text, strerror(-r));
	return 0;
}

static int open_parts(struct control *control, const struct control_config *config,
		      char **ret_message)
{
	struct address *address = &control->address;
	struct access *access = &control->access;

	if (address_parse(config->listen, address) < 0)
		return fail(ret_message, -EINVAL,
			    "cannot listen on \"%s\": not an address such as 127.0.0.1:8080, "
			    "[::1]:8080 or unix:/run/trapline.sock",
			    config->listen);
	access->by_uid = address->is_loopback || address->socket.any.sa_family == AF_UNIX;
	access->address = address->text;
	if (!access->by_uid && !config->token_file)
		return fail(ret_message, -EPERM,
			    "refusing to listen on %s, which other machines can reach, without a "
			    "token: give one with --token-file, or listen on 127.0.0.1",
			    address->text);
	access_init_uids(access, getenv("SUDO_UID"), config->allowed_uids,
			 config->allowed_uid_count);
	int r = config->token_file ? load_token(access, config->token_file, ret_message) : 0;
	if (r == 0)
		r = take_address(control, ret_message);
	if (r == 0)
		r = try_netlink(control, ret_message);
	return r;
}

int control_open(const struct control_config *config, struct control **ret_control,
		 char **ret_message)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return fail(ret_message, -ENOMEM, "no memory for the API");
	control->socket.fd = -1;
	control->netlink.fd = -1;
	control->stop_fd = -1;
	/* A name that is cut is no name. */
	if (gethostname(control->hostname, sizeof(control->hostname)) < 0 ||
	    !memchr(control->hostname, '\0', sizeof(control->hostname)))
		control->hostname[0] = '\0';
	int r = open_parts(control, config, ret_message);
	if (r < 0) {
		control_close(control);
		return r;
	}
	*ret_control = control;
	return 0;
}

const char *control_address(const struct control *control)
{
	return control->address.text;
}

/* Raises the limit of open files toward what we need, and makes do with what there is. */
static size_t allowed_connections(void)
{
	const rlim_t spare = SERVER_CLOSING_MAX + LINGER_MAX + SERVER_OTHER_FDS;
	const rlim_t wanted = CONNECTIONS_MAX + spare;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return SERVER_CONNECTIONS_MIN;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
			return SERVER_CONNECTIONS_MIN;
	}
	if (limit.rlim_cur >= wanted)
		return CONNECTIONS_MAX;
	return limit.rlim_cur > spare + SERVER_CONNECTIONS_MIN ? limit.rlim_cur - spare
							       : SERVER_CONNECTIONS_MIN;
}

static void __attribute__((format(printf, 2, 0)))
log_library(void *cls, const char *format, va_list args)
{
	char text[512];

	(void)cls;
	if (!log_is_verbose())
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http: %s", text);
}

static int wait_ms(struct control *control)
{
	unsigned long long library_ms = 0;

	if (MHD_get_timeout(control->daemon, &library_ms) == MHD_YES && library_ms == 0)
		return 0;
	return control->connections.total || control->linger.count ? SERVER_SWEEP_MS : -1;
}

static void *serve(void *argument)
{
	struct control *control = argument;
	int library_fd = MHD_get_daemon_info(control->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	uint64_t last_ns = clock_boot_ns();
	uint64_t swept_ms = 0;

	for (;;) {
		struct pollfd polls[2 + LINGER_MAX] = {
			{ .fd = control->stop_fd, .events = POLLIN },
			{ .fd = library_fd, .events = POLLIN },
		};

		linger_poll(&control->linger, polls + 2);
		poll(polls, 2 + control->linger.count, wait_ms(control));
		if (polls[0].revents)
			return NULL;
		uint64_t now_ns = clock_boot_ns();
		uint64_t passed_ms = (now_ns - last_ns) / CLOCK_NS_PER_MS;
		last_ns += passed_ms * CLOCK_NS_PER_MS;
		control->now_ms += passed_ms < SERVER_TURN_MS ? passed_ms : SERVER_TURN_MS;
		MHD_run(control->daemon);
		linger_drain(&control->linger, control->now_ms);
		if (control->now_ms - swept_ms < SERVER_SWEEP_MS)
			continue;
		connections_sweep(&control->connections, control->now_ms);
		swept_ms = control->now_ms;
	}
}

/*
 * The library drives its connections, but the loop is ours: it alone would wait for ever on a
 * client that sends a byte now and then.
 */
static int start_daemon(struct control *control)
{
	unsigned int limit = 0;
	int fd = fcntl(control->socket.fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	control->connections.max = allowed_connections();
	limit = (unsigned int)control->connections.max + SERVER_CLOSING_MAX;
	control->daemon = MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, request_handle, control,
	    MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)SERVER_MEMORY_PER_CONNECTION, MHD_OPTION_NOTIFY_CONNECTION, client_notify,
	    control, MHD_OPTION_NOTIFY_COMPLETED, request_completed, control, MHD_OPTION_END);
	/* fd is the library's from here on, also on failure. */
	return control->daemon ? 0 : -EIO;
}

int control_start(struct control *control, const struct control_ops *ops, void *run)
{
	sigset_t all;
	sigset_t before;

	control->ops = ops;
	control->run = run;
	control->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->stop_fd < 0)
		return -errno;
	int r = start_daemon(control);
	if (r < 0)
		return r;
	/* The thread inherits the mask: signals are the main program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&control->thread, NULL, serve, control);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	control->thread_runs = true;
	pthread_setname_np(control->thread, "http");
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	if (control->thread_runs) {
		eventfd_write(control->stop_fd, 1);
		pthread_join(control->thread, NULL);
	}
	if (control->daemon)
		MHD_stop_daemon(control->daemon);
	linger_close(&control->linger);
	address_unlisten(&control->address, &control->socket);
	cleanup_close(&control->netlink.fd);
	cleanup_close(&control->stop_fd);
	if (control->access.token)
		explicit_bzero(control->access.token, strlen(control->access.token));
	free(control->access.token);
	free(control);
}
