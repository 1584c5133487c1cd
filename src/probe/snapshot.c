/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reading the iterators. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "probe/internal.h"

/* More than this of rows is not read: 4 million open files. */
#define MAX_SNAPSHOT_BYTES (640u << 20)

static int read_all(int fd, char **ret_bytes, size_t *ret_length)
{
	_cleanup_free_ char *bytes = NULL;
	size_t used = 0, room = 0;

	for (;;) {
		if (room - used < 65536) {
			size_t wanted = room ? room * 2 : 256 * 1024;
			char *larger = wanted > MAX_SNAPSHOT_BYTES ? NULL : realloc(bytes, wanted);

			if (!larger)
				return -ENOMEM;
			bytes = larger;
			room = wanted;
		}
		ssize_t got = read(fd, bytes + used, room - used);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*ret_bytes = TAKE_PTR(bytes);
	*ret_length = used;
	return 0;
}

static int read_link(struct bpf_link *link, char **ret_bytes, size_t *ret_length)
{
	_cleanup_close_ int fd = bpf_iter_create(bpf_link__fd(link));

	return fd < 0 ? fd : read_all(fd, ret_bytes, ret_length);
}

static int read_iterator(struct bpf_program *program, struct bpf_link **link, char **ret_bytes,
			 size_t *ret_length)
{
	if (!*link)
		*link = bpf_program__attach_iter(program, NULL);
	return *link ? read_link(*link, ret_bytes, ret_length) : -errno;
}

int probe_list_tasks(struct probe *probe, struct tl_task_row **ret_rows, size_t *ret_count)
{
	char *bytes = NULL;
	size_t length = 0;
	int r =
	    read_iterator(probe->skel->progs.list_tasks, &probe->task_iterator, &bytes, &length);

	if (r < 0)
		return r;
	*ret_rows = (struct tl_task_row *)bytes;
	*ret_count = length / sizeof(**ret_rows);
	return 0;
}

int probe_find_task(struct probe *probe, uint32_t pid, struct tl_task_row *ret_row)
{
	/* Kernels that cannot narrow an iterator (before 6.1) ignore this and list all. */
	union bpf_iter_link_info info = { .task = { .tid = pid } };
	DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &info,
			    .link_info_len = sizeof(info));
	struct bpf_link *link = bpf_program__attach_iter(probe->skel->progs.list_tasks, &options);
	_cleanup_free_ char *bytes = NULL;
	size_t length = 0;
	int r = link ? read_link(link, &bytes, &length) : -errno;

	bpf_link__destroy(link);
	if (r < 0)
		return r;
	const struct tl_task_row *rows = (const struct tl_task_row *)bytes;
	for (size_t i = 0; i < length / sizeof(*rows); i++) {
		if (rows[i].tgid != pid)
			continue;
		*ret_row = rows[i];
		return 0;
	}
	return -ESRCH;
}

int probe_list_files(struct probe *probe, struct tl_file_row **ret_rows, size_t *ret_count)
{
	char *bytes = NULL;
	size_t length = 0;
	int r =
	    read_iterator(probe->skel->progs.list_files, &probe->file_iterator, &bytes, &length);

	if (r < 0)
		return r;
	*ret_rows = (struct tl_file_row *)bytes;
	*ret_count = length / sizeof(**ret_rows);
	return 0;
}

int probe_seed_processes(struct probe *probe)
{
	_cleanup_free_ struct tl_task_row *rows = NULL;
	size_t count = 0;
	int fd = bpf_map__fd(probe->skel->maps.exec_start);
	int r;

	probe->skel->bss->procs_since_ns = clock_boot_ns();
	r = probe_list_tasks(probe, &rows, &count);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct tl_process process = {
			.start_boottime_ns = rows[i].start_boottime_ns,
			.ppid = rows[i].ppid,
		};

		/* What the kernel side has seen since is newer; a full table it counts itself. */
		if (rows[i].alive)
			bpf_map_update_elem(fd, &rows[i].tgid, &process, BPF_NOEXIST);
	}
	return r;
}
