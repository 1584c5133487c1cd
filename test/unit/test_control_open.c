/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Taking the address: what is refused before anything else has begun, and what the user reads. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "control/control.h"

static char folder[] = "/tmp/test_control_open.XXXXXX";
static char socket_path[64];
static char socket_address[80];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
	snprintf(socket_address, sizeof(socket_address), "unix:%s", socket_path);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(socket_path);
	return rmdir(folder);
}

static struct control *opened(const char *listen)
{
	struct control_config config = { .listen = listen };
	struct control *control = NULL;
	char *message = NULL;

	if (control_open(&config, &control, &message) < 0)
		fail_msg("%s", message);
	assert_null(message);
	return control;
}

static void refused(const char *listen, const char *token_file, int error, const char *said)
{
	struct control_config config = { .listen = listen, .token_file = token_file };
	_cleanup_free_ char *message = NULL;
	struct control *control = NULL;

	assert_int_equal(control_open(&config, &control, &message), error);
	assert_null(control);
	assert_non_null(message);
	if (!strstr(message, said))
		fail_msg("%s", message);
}

/* A port that nobody has, and that stays free for a moment. */
static unsigned int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t bytes = sizeof(address);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	return ntohs(address.sin_port);
}

static void test_port(void **state)
{
	unsigned int port = free_port();
	char given[64];
	char shown[64];

	(void)state;
	snprintf(given, sizeof(given), "127.0.0.1:%u", port);
	snprintf(shown, sizeof(shown), "localhost:%u", port);
	struct control *control = opened(given);
	assert_string_equal(control_address(control), shown);
	refused(given, NULL, -EADDRINUSE, "Address already in use (another monitor?");
	refused(given, NULL, -EADDRINUSE, shown);
	control_close(control);
	control_close(opened(given));
	control_close(NULL);
}

static void test_bad_config(void **state)
{
	FILE *file = fopen(socket_path, "w");

	(void)state;
	assert_non_null(file);
	fputs("s3cret\n", file);
	fclose(file);
	assert_int_equal(chmod(socket_path, 0600), 0);
	refused("nonsense", NULL, -EINVAL, "unix:/run/trapline.sock");
	refused("0.0.0.0:1", NULL, -EPERM, "--token-file");
	refused("[::]:1", NULL, -EPERM, "--token-file");
	refused("0.0.0.0:1", "/nonexistent/token", -ENOENT, "/nonexistent/token");
	refused("0.0.0.0:1", "/dev/null", -EINVAL, "empty");
	refused("0.0.0.0:1", "/dev/zero", -EINVAL, "larger than 4096 bytes");
	refused("192.0.2.1:9", socket_path, -EADDRNOTAVAIL, "192.0.2.1:9");
	assert_int_equal(unlink(socket_path), 0);
	refused("unix:/nonexistent/s", NULL, -ENOENT, "No such file");
}

static void test_unix_socket(void **state)
{
	struct stat status;

	(void)state;
	struct control *control = opened(socket_address);
	assert_string_equal(control_address(control), socket_address);
	assert_int_equal(stat(socket_path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0666);
	refused(socket_address, NULL, -EADDRINUSE, "already in use");
	control_close(control);
	assert_int_equal(stat(socket_path, &status), -1);
}

static int bind_unix(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_stale_unix_socket(void **state)
{
	(void)state;
	close(bind_unix());
	control_close(opened(socket_address));
	assert_int_equal(access(socket_path, F_OK), -1);
}

/* A successor may have taken the path while we were still there. */
static void test_foreign_unix_socket(void **state)
{
	struct control *control = opened(socket_address);

	(void)state;
	assert_int_equal(unlink(socket_path), 0);
	close(bind_unix());
	control_close(control);
	assert_int_equal(access(socket_path, F_OK), 0);
	assert_int_equal(unlink(socket_path), 0);
}

static void test_not_a_socket(void **state)
{
	FILE *file = fopen(socket_path, "w");

	(void)state;
	assert_non_null(file);
	fclose(file);
	refused(socket_address, NULL, -EADDRINUSE, "not a socket");
	assert_int_equal(access(socket_path, F_OK), 0);
	assert_int_equal(unlink(socket_path), 0);
	assert_int_equal(symlink("/nonexistent", socket_path), 0);
	refused(socket_address, NULL, -EADDRINUSE, "not a socket");
	assert_int_equal(unlink(socket_path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_bad_config),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_stale_unix_socket),
		cmocka_unit_test(test_foreign_unix_socket),
		cmocka_unit_test(test_not_a_socket),
	};

	return cmocka_run_group_tests_name("control_open", tests, make_folder, remove_folder);
}
