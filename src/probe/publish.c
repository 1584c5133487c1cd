/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What user space writes into the kernel side's maps, and reads back from them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/internal.h"

/* The word that decides: abi/aim.h. */
static uint64_t aim_word(const struct aim *aim, bool peers_readable)
{
	uint64_t word = aim->generation;

	word |= (uint64_t)aim->pids_epoch << TL_AIM_PIDS_EPOCH_SHIFT;
	word |= (uint64_t)aim->ips_epoch << TL_AIM_IPS_EPOCH_SHIFT;
	if (aim->print_all)
		word |= TL_AIM_PRINT_ALL;
	if (aim->has_pids)
		word |= TL_AIM_HAS_PIDS;
	if (aim->ip_count && peers_readable)
		word |= TL_AIM_HAS_IPS;
	return word;
}

void probe_publish(struct probe *probe, const struct aim *aim)
{
	uint64_t word = aim_word(aim, probe->peers_readable);
	uint32_t zero = 0, print_all = aim->print_all;

	/* After the entries that it makes count. */
	__atomic_store_n(&probe->skel->bss->aim_word, word, __ATOMIC_SEQ_CST);
	bpf_map_update_elem(bpf_map__fd(probe->skel->maps.print_all_flag), &zero, &print_all,
			    BPF_ANY);
}

int probe_wait_grace(struct probe *probe)
{
	uint32_t zero = 0;
	int token = bpf_map__fd(probe->skel->maps.grace_token);

	return bpf_map_update_elem(bpf_map__fd(probe->skel->maps.grace), &zero, &token, BPF_ANY);
}

int probe_add_target(struct probe *probe, uint32_t pid, const struct tl_target *target,
		     bool *ret_added)
{
	int fd = bpf_map__fd(probe->skel->maps.target_pids);
	struct tl_target present;
	int r = bpf_map_update_elem(fd, &pid, target, BPF_NOEXIST);

	if (r == -E2BIG)
		return -ENOSPC;
	if (r < 0 && r != -EEXIST)
		return r;
	*ret_added = r == 0;
	if (r == 0)
		__atomic_add_fetch(&probe->skel->bss->target_count, 1, __ATOMIC_SEQ_CST);
	else if (target->start_boottime_ns && bpf_map_lookup_elem(fd, &pid, &present) == 0 &&
		 present.start_boottime_ns != target->start_boottime_ns)
		bpf_map_update_elem(fd, &pid, target, BPF_EXIST); /* its number was used again */
	return 0;
}

void probe_remove_target(struct probe *probe, uint32_t pid)
{
	/* The kernel side removes too: only one of us finds it. */
	if (bpf_map_delete_elem(bpf_map__fd(probe->skel->maps.target_pids), &pid) == 0)
		__atomic_sub_fetch(&probe->skel->bss->target_count, 1, __ATOMIC_SEQ_CST);
}

/*
 * All keys of a hash map whose keys are PIDs, in batches: the kernel side may delete meanwhile,
 * which would make a walk from key to key begin again.
 */
static int list_keys(int map_fd, uint32_t room, uint32_t **ret_keys, size_t *ret_count)
{
	_cleanup_free_ uint32_t *keys = malloc(room * sizeof(*keys));
	_cleanup_free_ void *values = malloc((size_t)room * sizeof(struct tl_target));
	uint32_t batch = 0, count = room, total = 0;
	bool first = true;
	int r = 0;

	_Static_assert(sizeof(struct tl_target) == sizeof(struct tl_skipped), "value sizes");
	if (!keys || !values)
		return -ENOMEM;
	while (r == 0 && total < room) {
		count = room - total;
		r = bpf_map_lookup_batch(map_fd, first ? NULL : &batch, &batch, keys + total,
					 values, &count, NULL);
		if (r < 0 && r != -ENOENT)
			return r;
		total += count;
		first = false;
	}
	*ret_keys = TAKE_PTR(keys);
	*ret_count = total;
	return 0;
}

int probe_remove_stale_targets(struct probe *probe, uint32_t epoch)
{
	_cleanup_free_ uint32_t *keys = NULL;
	struct tl_target target;
	size_t count = 0;
	int fd = bpf_map__fd(probe->skel->maps.target_pids);
	int r = list_keys(fd, TL_MAX_TARGETS, &keys, &count);

	for (size_t i = 0; r >= 0 && i < count; i++)
		if (bpf_map_lookup_elem(fd, &keys[i], &target) == 0 && target.epoch != epoch)
			probe_remove_target(probe, keys[i]);
	return r;
}

size_t probe_target_count(const struct probe *probe)
{
	int64_t count = __atomic_load_n(&probe->skel->bss->target_count, __ATOMIC_SEQ_CST);

	return count > 0 ? (size_t)count : 0;
}

static int pid_compare(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

int probe_list_targets(struct probe *probe, uint32_t **ret_pids, size_t *ret_count)
{
	int r = list_keys(bpf_map__fd(probe->skel->maps.target_pids), TL_MAX_TARGETS, ret_pids,
			  ret_count);

	if (r >= 0)
		qsort(*ret_pids, *ret_count, sizeof(**ret_pids), pid_compare);
	return r;
}

static void ip_key(const struct aim_ip *ip, struct tl_ip_key *ret_key)
{
	*ret_key = (struct tl_ip_key){ .prefix_bits = TL_IP_FAMILY_BITS + ip->prefix_bits,
				       .family = ip->family };
	memcpy(ret_key->address, ip->address, sizeof(ret_key->address));
}

int probe_set_ip(struct probe *probe, const struct aim_ip *ip, const struct tl_ip_entry *entry)
{
	struct tl_ip_key key;

	ip_key(ip, &key);
	return bpf_map_update_elem(bpf_map__fd(probe->skel->maps.target_ips), &key, entry, BPF_ANY);
}

void probe_remove_ip(struct probe *probe, const struct aim_ip *ip)
{
	struct tl_ip_key key;

	ip_key(ip, &key);
	bpf_map_delete_elem(bpf_map__fd(probe->skel->maps.target_ips), &key);
}

int probe_set_skipped(struct probe *probe, uint32_t pid, const struct tl_skipped *skipped)
{
	return bpf_map_update_elem(bpf_map__fd(probe->skel->maps.skip_pid), &pid, skipped, BPF_ANY);
}

void probe_remove_skipped(struct probe *probe, uint32_t pid)
{
	bpf_map_delete_elem(bpf_map__fd(probe->skel->maps.skip_pid), &pid);
}

int probe_each_skipped(struct probe *probe,
		       void (*each)(void *context, uint32_t pid, const struct tl_skipped *skipped),
		       void *context)
{
	_cleanup_free_ uint32_t *keys = NULL;
	struct tl_skipped skipped;
	size_t count = 0;
	int fd = bpf_map__fd(probe->skel->maps.skip_pid);
	int r = list_keys(fd, TL_MAX_SKIPPED, &keys, &count);

	for (size_t i = 0; r >= 0 && i < count; i++)
		if (bpf_map_lookup_elem(fd, &keys[i], &skipped) == 0)
			each(context, keys[i], &skipped);
	return r;
}

void probe_set_own_inodes(struct probe *probe, const uint64_t *inodes, size_t count)
{
	for (size_t i = 0; i < TL_MAX_OWN_INODES; i++)
		probe->skel->bss->own_inodes[i] = i < count ? inodes[i] : 0;
	__atomic_store_n(&probe->skel->bss->own_inode_count, (uint32_t)count, __ATOMIC_SEQ_CST);
}

uint64_t probe_kernel_skips(const struct probe *probe)
{
	return probe->skel->bss->kernel_skips;
}

/* Programs that the kernel did not run because they were running on that CPU already. */
static uint64_t skipped_runs(struct probe *probe)
{
	struct bpf_program *program;
	uint64_t total = 0;

	bpf_object__for_each_program(program, probe->skel->obj)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t bytes = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0)
			total += info.recursion_misses;
	}
	return total;
}

int probe_tally(struct probe *probe, struct tl_tally *ret_tally)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ struct tl_tally *per_cpu = NULL;
	struct tl_tally sum = { 0 };
	uint32_t zero = 0;
	uint64_t missed = skipped_runs(probe);
	int r;

	if (cpus < 0)
		return cpus;
	per_cpu = calloc((size_t)cpus, sizeof(*per_cpu));
	if (!per_cpu)
		return -ENOMEM;
	r = bpf_map_lookup_elem(bpf_map__fd(probe->skel->maps.tally), &zero, per_cpu);
	if (r < 0)
		return r;
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum.seen += per_cpu[cpu].seen;
		sum.emitted += per_cpu[cpu].emitted;
		for (int cause = 0; cause < TL_LOSS_COUNT; cause++)
			sum.lost[cause] += per_cpu[cpu].lost[cause];
		sum.no_slot += per_cpu[cpu].no_slot;
	}
	sum.seen += missed;
	sum.lost[TL_LOSS_SKIPPED_RUN] += missed;
	*ret_tally = sum;
	return 0;
}
