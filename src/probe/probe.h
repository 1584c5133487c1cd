/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel side as user space holds it: opening it with the hooks and the transport that this
 * kernel really accepts, attaching and detaching, publishing an aim, draining records. It knows
 * nothing of where events go.
 *
 * Threads: probe_drain from one thread; everything else from one at a time (the caller's lock).
 * Errors are negative errno; nothing is logged here.
 */
#ifndef TL_PROBE_PROBE_H
#define TL_PROBE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/aim.h"
#include "abi/record.h"
#include "abi/snapshot.h"
#include "abi/tally.h"
#include "aim/aim.h"

enum probe_hook {
	PROBE_HOOK_AUTO,
	PROBE_HOOK_FENTRY,
	PROBE_HOOK_KPROBE,
	PROBE_HOOK_TP_BTF,
	PROBE_HOOK_RAW_TP,
	PROBE_HOOK_TRACEPOINT,
	PROBE_HOOK_COUNT,
};

enum probe_transport {
	PROBE_TRANSPORT_AUTO,
	PROBE_TRANSPORT_RINGBUF,
	PROBE_TRANSPORT_PERFBUF,
	PROBE_TRANSPORT_COUNT,
};

/* Names as options take them; NULL beyond the last. */
const char *probe_hook_name(enum probe_hook hook);
const char *probe_transport_name(enum probe_transport transport);
/* Returns 0 or -EINVAL. */
int probe_hook_from_name(const char *name, enum probe_hook *ret_hook);
int probe_transport_from_name(const char *name, enum probe_transport *ret_transport);

#define PROBE_RING_BYTES_DEFAULT (16u << 20)
#define PROBE_RING_BYTES_MIN (64u << 10)
#define PROBE_RING_BYTES_MAX (1u << 30)

struct probe_config {
	enum probe_hook hook;
	enum probe_transport transport;
	uint64_t ring_bytes;	  /* all CPUs together; rounded up to a power of two */
	bool verbose;		  /* the kernel side logs with bpf_printk */
	bool calls;		  /* false: life of processes only */
	bool procs;		  /* emit exec and exit */
	bool only_ends;		  /* procs: no exec, and only ends of those that lived so long: */
	uint64_t min_duration_ns; /* from their exec */
};

struct probe;

/*
 * Loads the kernel side, trying for real what the configuration leaves open. *ret_message (on
 * failure: what was tried, why it failed, what to do; allocated, the caller's).
 */
int probe_open(const struct probe_config *config, struct probe **ret_probe, char **ret_message);

/* Detaches everything. Takes NULL. */
void probe_close(struct probe *probe);

/* "hook tp_btf (fentry: Operation not permitted; …), transport ringbuf": borrowed. */
const char *probe_choice(const struct probe *probe);
enum probe_hook probe_chosen_hook(const struct probe *probe);
enum probe_transport probe_chosen_transport(const struct probe *probe);

/* Loads, attaches and detaches one hook to see whether this kernel takes it. Returns 0 or why not;
 * *ret_stage is "load" or "attach". */
int probe_try(enum probe_hook hook, enum probe_transport transport, const char **ret_stage);

/* Our process in the initial PID namespace. */
uint32_t probe_self_tgid(const struct probe *probe);

/* What follows the end of processes (and, for procs, their fork and exec). */
int probe_attach_life(struct probe *probe);
void probe_detach_life(struct probe *probe);

/* The hooks on calls. All or none. */
int probe_attach_calls(struct probe *probe);
void probe_detach_calls(struct probe *probe);
bool probe_calls_attached(const struct probe *probe);

/* --- the aim ------------------------------------------------------------------------------- */

/* Puts an aim in force, at one stroke: selectors, epochs and generation. */
void probe_publish(struct probe *probe, const struct aim *aim);

/* Returns once no program runs that may have seen an earlier word. */
int probe_wait_grace(struct probe *probe);

/* Adds a target unless it is there: *ret_added. -ENOSPC where the table is full. */
int probe_add_target(struct probe *probe, uint32_t pid, const struct tl_target *target,
		     bool *ret_added);
void probe_remove_target(struct probe *probe, uint32_t pid);
/* Removes those whose epoch is not epoch. */
int probe_remove_stale_targets(struct probe *probe, uint32_t epoch);
/* How many there are. */
size_t probe_target_count(const struct probe *probe);
/* Ascending, allocated, the caller's. */
int probe_list_targets(struct probe *probe, uint32_t **ret_pids, size_t *ret_count);

int probe_set_ip(struct probe *probe, const struct aim_ip *ip, const struct tl_ip_entry *entry);
void probe_remove_ip(struct probe *probe, const struct aim_ip *ip);
/* Whether this kernel lets the peer of a socket be read. */
bool probe_can_read_peers(const struct probe *probe);

/* --- processes that are never shown -------------------------------------------------------- */

int probe_set_skipped(struct probe *probe, uint32_t pid, const struct tl_skipped *skipped);
void probe_remove_skipped(struct probe *probe, uint32_t pid);
/* Calls back for each, in no order. */
int probe_each_skipped(struct probe *probe,
		       void (*each)(void *context, uint32_t pid, const struct tl_skipped *skipped),
		       void *context);
/* Files that we write: a process that reads one of them is skipped at once. */
void probe_set_own_inodes(struct probe *probe, const uint64_t *inodes, size_t count);
/* How many processes were caught so. */
uint64_t probe_kernel_skips(const struct probe *probe);

/* --- what there is ------------------------------------------------------------------------- */

/* One row for each process of our PID namespace; allocated, the caller's. */
int probe_list_tasks(struct probe *probe, struct tl_task_row **ret_rows, size_t *ret_count);
/* The row of one process. -ESRCH where there is none. */
int probe_find_task(struct probe *probe, uint32_t pid, struct tl_task_row *ret_row);
int probe_list_files(struct probe *probe, struct tl_file_row **ret_rows, size_t *ret_count);

/* Tells the kernel side of the processes that were there before it watched. procs only. */
int probe_seed_processes(struct probe *probe);

/* --- records ------------------------------------------------------------------------------- */

typedef void probe_record_fn(void *context, const void *record, size_t bytes);

/* To be polled for EPOLLIN, edge-triggered. */
int probe_poll_fd(const struct probe *probe);

/*
 * Hands on what the transport holds at the beginning of the call. all: also what is held back to
 * be put in order of time. Returns the number of records.
 */
size_t probe_drain(struct probe *probe, bool all, probe_record_fn *fn, void *context);

/* The reader is about to sleep: wake it when the ring has filled to an eighth. */
void probe_arm(struct probe *probe);

/* The kernel side's counters, all CPUs together, with the runs that the kernel skipped. */
int probe_tally(struct probe *probe, struct tl_tally *ret_tally);

#endif
