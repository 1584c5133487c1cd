/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every map and every shared variable. Sizes that depend on the run are set by user space before
 * the object is loaded. Names are part of what the program promises: `bpftool map dump name X`.
 */
#ifndef TL_BPF_MAPS_H
#define TL_BPF_MAPS_H

#include "abi/aim.h"
#include "abi/record.h"
#include "abi/tally.h"
#include "bpf/kernel.h"

/* The transport: a ring buffer, or a perf event array where user space says so before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TL_MAX_TARGETS);
	__type(key, __u32);
	__type(value, struct tl_target);
} target_pids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TL_MAX_SKIPPED);
	__type(key, __u32);
	__type(value, struct tl_skipped);
} skip_pid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TL_MAX_IPS);
	__type(key, struct tl_ip_key);
	__type(value, struct tl_ip_entry);
} target_ips SEC(".maps");

/* A copy of the aim's print_all, for those who look with bpftool; aim_word decides. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} print_all_flag SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tl_config);
} config_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TL_MAX_PROCESSES);
	__type(key, __u32);
	__type(value, struct tl_process);
} exec_start SEC(".maps");

struct exited_key {
	__u32 tgid;
	__u32 reserved;
	__u64 start_boottime_ns;
};

/*
 * Processes whose end was reported a moment ago. The last threads of a process can race: each then
 * finds that none is left, and the first to enter here reports.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct exited_key);
	__type(value, __u8);
} exited SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tl_tally);
} tally SEC(".maps");

/* An exec record with its name: larger than a program's stack. */
struct exec_scratch {
	struct tl_exec_record record;
	char filename[TL_FILENAME_BYTES + 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_scratch);
} exec_scratch SEC(".maps");

/*
 * Replacing an inner map makes the kernel wait until no program runs that could have seen the old
 * one (maybe_wait_bpf_programs, kernel/bpf/syscall.c). User space does that to know that nothing
 * is still under way with an aim that it has taken back; no program reads it.
 */
struct grace_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

struct grace_inner grace_token SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct grace_inner);
} grace SEC(".maps") = { .values = { &grace_token } };

/* Fixed before loading: what is false is cut out by the verifier and costs nothing. */
const volatile bool use_ringbuf = true;
const volatile bool may_print = false;	/* --verbose */
const volatile bool emit_procs = false; /* trapline procs */
const volatile bool only_ends = false;	/* --duration: of processes that lived as long */
const volatile __u64 min_duration_ns = 0;
const volatile __u64 wakeup_bytes = 0;

volatile __u64 aim_word = 0; /* abi/aim.h */
volatile __u32 self_tgid = 0;
volatile __u32 armed = 0;	 /* the reader sleeps and wants to be woken */
volatile __u64 kernel_skips = 0; /* readers that were caught reading */
volatile __u64 own_inodes[TL_MAX_OWN_INODES] = { 0 };
volatile __u32 own_inode_count = 0;
volatile __u64 procs_since_ns = 0; /* when trapline procs began to watch */
__s64 target_count = 0;
/* For each table, index + 1 of the call in the table of calls, or 0. */
volatile __u8 watched[TL_ABI_COUNT][TL_MAX_CALL_NUMBER] = { 0 };

#endif
