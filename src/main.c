/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <fcntl.h>
#include <stdlib.h>

#include "cli/cli.h"

/* Descriptors 0 to 2 are taken: nothing that is opened later can be mistaken for them. */
static void take_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
	take_standard_descriptors();
	return cli_main(argc, argv);
}
