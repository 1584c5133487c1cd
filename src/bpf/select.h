/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The one early decision: is this call watched? Cheapest test first. */
#ifndef TL_BPF_SELECT_H
#define TL_BPF_SELECT_H

#include "bpf/files.h"

/* Where a program stands when a call is entered. */
struct call_site {
	const struct pt_regs *regs; /* the user's registers, or NULL where fd is known */
	__u64 fd;		    /* the first argument */
	__u16 call;		    /* index in the table of calls */
	__u16 abi;		    /* enum tl_abi */
};

static __always_inline __u32 site_fd(const struct call_site *site)
{
	if (!site->regs)
		return (__u32)site->fd;
	return (__u32)call_argument(site->regs, site->abi == TL_ABI_COMPAT);
}

static __always_inline bool entry_counts(__u64 word, __u32 shift, __u32 epoch, __u32 generation)
{
	return ((word >> shift) & 0xff) == epoch && (__s32)((__u32)word - generation) >= 0;
}

/* Takes a target off the list, once, whoever else tries. */
static __always_inline void target_remove(__u32 tgid)
{
	if (!bpf_map_delete_elem(&target_pids, &tgid))
		__sync_fetch_and_sub(&target_count, 1);
}

static __always_inline bool select_pid(__u64 word, __u32 tgid)
{
	struct tl_target *target = bpf_map_lookup_elem(&target_pids, &tgid);
	__u64 start;

	if (!target ||
	    !entry_counts(word, TL_AIM_PIDS_EPOCH_SHIFT, target->epoch, target->generation))
		return false;
	start = task_process_start(task_current());
	if (!target->start_boottime_ns)
		target->start_boottime_ns = start; /* the number was added before its process */
	if (target->start_boottime_ns == start)
		return true;
	target_remove(tgid); /* the process that was meant is gone */
	return false;
}

static __always_inline bool select_ip(__u64 word, const struct call_site *site)
{
	struct tl_ip_key key = { 0 };
	struct tl_ip_entry *entry;
	struct file *file = file_from_fd(site_fd(site));
	struct sock *sk = file ? sock_from_file(file) : NULL;

	if (!sk || !sock_peer(sk, &key))
		return false;
	entry = bpf_map_lookup_elem(&target_ips, &key);
	return entry && entry_counts(word, TL_AIM_IPS_EPOCH_SHIFT, entry->epoch, entry->generation);
}

/* A process that reads what we write would have its own reading shown to it, for ever. */
static __always_inline bool reads_our_output(__u32 tgid, const struct call_site *site)
{
	struct tl_skipped skipped = { .reason = TL_SKIP_SEEN_READING };
	struct file *file;
	__u64 inode;

	if (!own_inode_count)
		return false;
	file = file_from_fd(site_fd(site));
	if (!file)
		return false;
	inode = (__u64)BPF_CORE_READ(file, f_inode);
	for (int i = 0; i < TL_MAX_OWN_INODES; i++) {
		if (own_inodes[i] != inode || !inode)
			continue;
		if (!(BPF_CORE_READ(file, f_mode) & 0x1)) /* FMODE_READ */
			return false;
		skipped.start_boottime_ns = task_process_start(task_current());
		if (bpf_map_update_elem(&skip_pid, &tgid, &skipped, BPF_NOEXIST))
			return false;
		__sync_fetch_and_add(&kernel_skips, 1);
		return true;
	}
	return false;
}

static __always_inline bool select_skips(__u32 tgid)
{
	struct tl_skipped *skipped = bpf_map_lookup_elem(&skip_pid, &tgid);

	return skipped && skipped->start_boottime_ns == task_process_start(task_current());
}

/* word: the aim, loaded once by the caller. */
static __always_inline bool call_is_watched(__u64 word, const struct call_site *site)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	bool picked;

	if (!(word & TL_AIM_ANY) || tgid == self_tgid)
		return false;
	picked = (word & TL_AIM_PRINT_ALL) ||
		 ((word & TL_AIM_HAS_PIDS) && select_pid(word, tgid)) ||
		 ((word & TL_AIM_HAS_IPS) && select_ip(word, site));
	return picked && !select_skips(tgid) && !reads_our_output(tgid, site);
}

#endif
