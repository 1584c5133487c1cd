/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The aim as the kernel side holds it. One word decides: it is stored at once, and a program loads
 * it once for an event, so that an event is taken under one generation and never under half of
 * two. Entries of the lists carry the generation they were added for and the epoch of their list;
 * an entry counts when its epoch is the word's and its generation is not after the word's.
 * Clearing a list is therefore one store (the next epoch), whatever its length.
 */
#ifndef TL_ABI_AIM_H
#define TL_ABI_AIM_H

#include <linux/types.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

#define TL_AIM_GENERATION_MASK 0xffffffffULL
#define TL_AIM_PIDS_EPOCH_SHIFT 32
#define TL_AIM_IPS_EPOCH_SHIFT 40
#define TL_AIM_PRINT_ALL (1ULL << 48)
#define TL_AIM_HAS_PIDS (1ULL << 49)
#define TL_AIM_HAS_IPS (1ULL << 50)
#define TL_AIM_ANY (TL_AIM_PRINT_ALL | TL_AIM_HAS_PIDS | TL_AIM_HAS_IPS)

#define TL_MAX_TARGETS 65536
#define TL_MAX_IPS 65536
#define TL_MAX_SKIPPED 4096
#define TL_MAX_PROCESSES 131072 /* processes whose exec time is kept */
#define TL_MAX_CALL_NUMBER 512	/* numbers of both tables lie below it */
#define TL_MAX_OWN_INODES 4

/* target_pids: PID to who is meant by it. */
struct tl_target {
	__u64 start_boottime_ns; /* of the process; 0 until one has the number */
	__u32 generation;
	__u32 epoch;
};

/* skip_pid: PID to the process that is never shown, and why. */
struct tl_skipped {
	__u64 start_boottime_ns;
	__u32 reason; /* enum tl_skip_reason */
	__u32 reserved;
};

enum tl_skip_reason {
	TL_SKIP_SELF = 1,
	TL_SKIP_READER = 2,	  /* found by following what we write to */
	TL_SKIP_SEEN_READING = 3, /* caught by the kernel side as it read what we write */
};

/* target_ips: longest prefix match over the family and the address. */
struct tl_ip_key {
	__u32 prefix_bits; /* TL_IP_FAMILY_BITS and those of the address */
	__u8 family;	   /* 4 or 6 */
	__u8 address[16];  /* network order; IPv4 in the first four bytes */
	__u8 reserved[3];
};

#define TL_IP_FAMILY_BITS 8

struct tl_ip_entry {
	__u32 generation;
	__u32 epoch;
};

/* exec_start: process to when it last exec'ed and who its parent was at fork. */
struct tl_process {
	__u64 exec_ns; /* 0: not since it was forked, or not known */
	__u64 start_boottime_ns;
	__u32 ppid;
	__u32 reserved;
};

/* config_map */
struct tl_config {
	__u32 verbose;
};

_Static_assert(sizeof(struct tl_target) == 16, "tl_target");
_Static_assert(sizeof(struct tl_skipped) == 16, "tl_skipped");
_Static_assert(sizeof(struct tl_ip_key) == 24, "tl_ip_key");
_Static_assert(sizeof(struct tl_process) == 24, "tl_process");

#pragma GCC diagnostic pop

#endif
