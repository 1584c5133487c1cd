/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernel side hands to user space through the transport: fixed-width records, length and
 * version first, no padding left to the compiler. Times are CLOCK_BOOTTIME in ns. PIDs are those
 * of the initial PID namespace. Both sides are built from this file, so a version never has to be
 * negotiated; it is there to catch a stray reader.
 */
#ifndef TL_ABI_RECORD_H
#define TL_ABI_RECORD_H

#include <linux/types.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

#define TL_RECORD_VERSION 1
#define TL_COMM_BYTES 16       /* TASK_COMM_LEN of include/linux/sched.h */
#define TL_FILENAME_BYTES 4096 /* PATH_MAX, the longest name that execve takes */

enum tl_record_type {
	TL_RECORD_CALL = 1, /* struct tl_call_record: a call was entered */
	TL_RECORD_EXEC = 2, /* struct tl_exec_record */
	TL_RECORD_EXIT = 3, /* struct tl_exit_record */
};

/* Which system call table a call number belongs to. */
enum tl_abi {
	TL_ABI_NATIVE = 0,
	TL_ABI_COMPAT = 1, /* 32-bit calls on a 64-bit kernel: i386, arm */
	TL_ABI_COUNT = 2,
};

#define TL_RECORD_CUT 0x1u	  /* a string is longer than what was captured */
#define TL_RECORD_UNREADABLE 0x2u /* a string could not be read */

struct tl_record {
	__u16 length; /* of the whole record, in bytes, a multiple of 8 */
	__u8 version;
	__u8 type; /* enum tl_record_type */
	__u16 cpu;
	__u16 flags; /* TL_RECORD_* */
	__u64 time_ns;
	__u32 tgid;
	__u32 tid;
	__u32 generation; /* of the aim that picked it */
	__u16 call;	  /* index of the call in the table of calls */
	__u16 abi;	  /* enum tl_abi */
};

struct tl_call_record {
	struct tl_record head;
	char comm[TL_COMM_BYTES];
};

struct tl_exec_record {
	struct tl_record head;
	__u32 ppid;
	__u32 filename_bytes; /* without a terminating NUL */
	char comm[TL_COMM_BYTES];
	/* the file name follows, padded to a multiple of 8 */
};

struct tl_exit_record {
	struct tl_record head;
	__u64 exec_ns; /* when it last exec'ed; 0 where that is not known */
	__u32 ppid;
	__u32 status; /* as waitpid(2) gives it */
	char comm[TL_COMM_BYTES];
};

_Static_assert(sizeof(struct tl_record) == 32, "tl_record");
_Static_assert(sizeof(struct tl_call_record) == 48, "tl_call_record");
_Static_assert(sizeof(struct tl_exec_record) == 56, "tl_exec_record");
_Static_assert(sizeof(struct tl_exit_record) == 64, "tl_exit_record");

#pragma GCC diagnostic pop

#endif
