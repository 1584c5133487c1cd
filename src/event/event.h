/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * An event as the rest of the program sees it, decoded and checked. Strings are borrowed from the
 * record: they live as long as the call that hands the event on. No threads.
 */
#ifndef TL_EVENT_EVENT_H
#define TL_EVENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_type {
	EVENT_CALL, /* a call was entered */
	EVENT_EXEC,
	EVENT_EXIT,
};

struct event {
	enum event_type type;
	uint64_t boot_ns; /* CLOCK_BOOTTIME of the kernel */
	int64_t wall_ns;  /* the same instant since 1970 */
	uint32_t pid;	  /* of the process (tgid), initial PID namespace */
	uint32_t tid;
	uint32_t ppid;	     /* exec and exit: the parent at fork */
	uint32_t generation; /* of the aim */
	unsigned int cpu;
	const char *comm;
	size_t comm_bytes;
	const char *call; /* EVENT_CALL: "read" */
	const char *filename;
	size_t filename_bytes;
	bool filename_cut; /* longer than the kernel side captures */
	bool filename_unreadable;
	uint32_t status;      /* EVENT_EXIT: as waitpid(2) gives it */
	bool has_duration;    /* EVENT_EXIT: when it exec'ed is known */
	uint64_t duration_ns; /* from exec to exit */
};

/*
 * Decodes the record of length bytes. wall_minus_boot_ns turns boot time into wall time. Returns 0
 * or -EBADMSG where it is not a whole record of a known version and type.
 */
int event_decode(const void *record, size_t length, int64_t wall_minus_boot_ns,
		 struct event *ret_event);

#endif
