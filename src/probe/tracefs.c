/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "probe/tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

/* An instance of tracefs that is in nobody's mount tree: it goes with its descriptor. */
static int tracefs_open(void)
{
	static const char *const mounted[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	_cleanup_close_ int context = -1;

	for (size_t i = 0; i < ARRAY_SIZE(mounted); i++) {
		char events[64];

		snprintf(events, sizeof(events), "%s/events", mounted[i]);
		if (access(events, R_OK) == 0)
			return open(mounted[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	context = fsopen("tracefs", FSOPEN_CLOEXEC);
	if (context < 0)
		return -1;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(context, FSMOUNT_CLOEXEC, 0);
}

int tracefs_event_id(const char *category, const char *name)
{
	_cleanup_close_ int root = tracefs_open();
	_cleanup_close_ int fd = -1;
	char path[256], text[32];
	uint64_t id = 0;

	if (root < 0)
		return -errno;
	snprintf(path, sizeof(path), "events/%s/%s/id", category, name);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	if (got < 0)
		return -errno;
	text[got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, 1, INT32_MAX, &id) < 0 ? -EBADMSG : (int)id;
}
