/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rows that the iterators write: one for each process, and one for each open file that can carry
 * what we print from one process to another. Pointers are kernel addresses, used as names only.
 */
#ifndef TL_ABI_SNAPSHOT_H
#define TL_ABI_SNAPSHOT_H

#include <linux/types.h>

#include "abi/record.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

struct tl_task_row {
	__u64 start_boottime_ns;
	__u32 tgid;
	__u32 ppid;
	__u32 alive; /* a thread of it has not exited */
	__u32 reserved;
};

enum tl_file_kind {
	TL_FILE_PIPE = 1,   /* object: the pipe */
	TL_FILE_REGULAR,    /* object: the inode */
	TL_FILE_PTY_SLAVE,  /* object: the terminal */
	TL_FILE_PTY_MASTER, /* object: the terminal of its slave */
	TL_FILE_UNIX,	    /* object: the socket, peer: the other end or 0 */
	TL_FILE_TCP,	    /* object: the socket; local and remote say the rest */
};

#define TL_FILE_READ 0x1u
#define TL_FILE_WRITE 0x2u
#define TL_FILE_LISTENS 0x4u
#define TL_FILE_NAMED 0x8u	 /* the socket has an address of its own: it accepted */
#define TL_FILE_PEER_NAMED 0x10u /* the peer has one: this end connected to it */
#define TL_FILE_NAME_BYTES 32

struct tl_file_row {
	__u64 start_boottime_ns;
	__u64 file; /* the open file description */
	__u64 inode;
	__u64 object;
	__u64 peer;
	__u32 tgid;
	__u32 ppid;
	__u32 fd;
	__u32 kind;  /* enum tl_file_kind */
	__u32 flags; /* TL_FILE_* */
	__u16 local_port;
	__u16 remote_port;
	__u8 local[16]; /* IPv6, or IPv4 as a mapped address */
	__u8 remote[16];
	char peer_name[TL_FILE_NAME_BYTES]; /* the beginning of the address of a unix peer */
	char comm[TL_COMM_BYTES];
};

_Static_assert(sizeof(struct tl_task_row) == 24, "tl_task_row");
_Static_assert(sizeof(struct tl_file_row) == 144, "tl_file_row");

#pragma GCC diagnostic pop

#endif
