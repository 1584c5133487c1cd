// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The kernel side. Which of these programs are loaded is user space's choice (src/probe/hooks.c):
 * one family of hooks for calls, what follows the life of processes, and the iterators.
 */
#include "abi/snapshot.h"
#include "bpf/emit.h"
#include "bpf/select.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void log_call(const struct tl_call_record *record)
{
	__u32 zero = 0;
	struct tl_config *config;

	if (!may_print)
		return;
	config = bpf_map_lookup_elem(&config_map, &zero);
	if (config && config->verbose)
		bpf_printk("trapline: call %d entered by tgid %d, aim %d", record->head.call,
			   record->head.tgid, record->head.generation);
}

static __always_inline int call_entered(void *ctx, const struct call_site *site)
{
	__u64 word = aim_word;
	struct tl_call_record record;
	struct tl_tally *here;

	if (!call_is_watched(word, site))
		return 0;
	here = tally_here();
	tally_seen(here);
	emit_head(&record.head, TL_RECORD_CALL, sizeof(record), bpf_ktime_get_boot_ns());
	record.head.generation = (__u32)word;
	record.head.call = site->call;
	record.head.abi = site->abi;
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	emit_record(ctx, &record, sizeof(record), here);
	log_call(&record);
	return 0;
}

/* Any call, at the one point that all of them pass. */
static __always_inline int any_call_entered(void *ctx, const struct pt_regs *regs, __u64 nr)
{
	struct call_site site = { .regs = regs };
	__u8 watched_as;

	if (!(aim_word & TL_AIM_ANY))
		return 0;
	nr = call_number(nr);
	if (nr >= TL_MAX_CALL_NUMBER)
		return 0;
	/* Most calls are watched in neither table: only then is it worth asking which it is. */
	if (!watched[TL_ABI_NATIVE][nr] && !watched[TL_ABI_COMPAT][nr])
		return 0;
	site.abi = call_is_compat() ? TL_ABI_COMPAT : TL_ABI_NATIVE;
	watched_as = watched[site.abi & 1][nr];
	if (!watched_as)
		return 0;
	site.call = watched_as - 1;
	return call_entered(ctx, &site);
}

SEC("tp_btf/sys_enter")
int enter_tp_btf(struct raw_tp_args *ctx)
{
	return any_call_entered(ctx, (const struct pt_regs *)ctx->args[0], ctx->args[1]);
}

SEC("raw_tp/sys_enter")
int enter_raw_tp(struct raw_tp_args *ctx)
{
	return any_call_entered(ctx, (const struct pt_regs *)ctx->args[0], ctx->args[1]);
}

/*
 * Hooks on one call each. The slot says which: user space attaches the program to the symbol that
 * the tables of calls and of architectures give for it.
 */
static __always_inline int one_call_entered(void *ctx, const struct pt_regs *regs, __u16 slot)
{
	struct call_site site = { .regs = regs, .call = slot / TL_ABI_COUNT };

	/* Where both tables share a symbol (arm64), only the task can tell. */
	site.abi = slot % TL_ABI_COUNT || call_is_compat() ? TL_ABI_COMPAT : TL_ABI_NATIVE;
	return call_entered(ctx, &site);
}

#define ENTER_ONE(slot)                                                                            \
	SEC("fentry")                                                                              \
	int enter_fentry_##slot(__u64 *ctx)                                                        \
	{                                                                                          \
		return one_call_entered(ctx, (const struct pt_regs *)ctx[0], slot);                \
	}                                                                                          \
	SEC("kprobe")                                                                              \
	int enter_kprobe_##slot(struct pt_regs *ctx)                                               \
	{                                                                                          \
		return one_call_entered(ctx, (const struct pt_regs *)function_argument(ctx),       \
					slot);                                                     \
	}

ENTER_ONE(0)
ENTER_ONE(1)
ENTER_ONE(2)
ENTER_ONE(3)

#define ENTER_TRACEPOINT(index)                                                                    \
	SEC("tracepoint")                                                                          \
	int enter_tracepoint_##index(struct syscall_tp_args *ctx)                                  \
	{                                                                                          \
		struct call_site site = { .fd = ctx->args[0], .call = index };                     \
		return call_entered(ctx, &site);                                                   \
	}

ENTER_TRACEPOINT(0)
ENTER_TRACEPOINT(1)

/* The life of processes. */

static __always_inline struct task_struct *task_leader(struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader);
}

SEC("raw_tp/sched_process_fork")
int process_forked(struct raw_tp_args *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	__u32 tgid = BPF_CORE_READ(child, tgid);
	struct tl_process process = { 0 };
	struct tl_tally *here;

	if (tgid != (__u32)BPF_CORE_READ(child, pid))
		return 0; /* a thread */
	process.start_boottime_ns = BPF_CORE_READ(child, start_boottime);
	process.ppid = BPF_CORE_READ(child, real_parent, tgid);
	if (bpf_map_update_elem(&exec_start, &tgid, &process, BPF_ANY)) {
		here = tally_here();
		if (here)
			__sync_fetch_and_add(&here->no_slot, 1);
	}
	return 0;
}

/* The kept facts of a process, or NULL: none, or those of an earlier one with its number. */
static __always_inline struct tl_process *process_kept(__u32 tgid, __u64 start)
{
	struct tl_process *process = bpf_map_lookup_elem(&exec_start, &tgid);

	return process && process->start_boottime_ns == start ? process : NULL;
}

SEC("raw_tp/sched_process_exec")
int process_execed(struct raw_tp_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	struct linux_binprm *binprm = (struct linux_binprm *)ctx->args[2];
	struct tl_tally *here = tally_here();
	__u32 zero = 0, tgid = BPF_CORE_READ(task, tgid), bytes;
	__u64 now = bpf_ktime_get_boot_ns();
	struct exec_scratch *scratch = bpf_map_lookup_elem(&exec_scratch, &zero);
	struct tl_process fresh = { .exec_ns = now };
	const char *filename = BPF_CORE_READ(binprm, filename);
	struct tl_process *process;
	char beyond = 0;
	long length;

	fresh.start_boottime_ns = BPF_CORE_READ(task, start_boottime);
	process = process_kept(tgid, fresh.start_boottime_ns);
	fresh.ppid = process ? process->ppid : BPF_CORE_READ(task, real_parent, tgid);
	if (process)
		process->exec_ns = now;
	else if (bpf_map_update_elem(&exec_start, &tgid, &fresh, BPF_ANY) && here)
		__sync_fetch_and_add(&here->no_slot, 1);
	if (only_ends || !scratch)
		return 0; /* only ends are asked for */

	tally_seen(here);
	emit_head(&scratch->record.head, TL_RECORD_EXEC, 0, now);
	scratch->record.ppid = fresh.ppid;
	bpf_get_current_comm(scratch->record.comm, sizeof(scratch->record.comm));
	length = bpf_probe_read_kernel_str(scratch->filename, TL_FILENAME_BYTES, filename);
	if (length <= 0) {
		scratch->record.head.flags |= TL_RECORD_UNREADABLE;
		length = 1;
	} else if (length == TL_FILENAME_BYTES &&
		   !bpf_probe_read_kernel(&beyond, 1, filename + TL_FILENAME_BYTES - 1) && beyond) {
		/* execveat puts /dev/fd/N/ before a name of the longest kind */
		scratch->record.head.flags |= TL_RECORD_CUT;
	}
	scratch->record.filename_bytes = length - 1;
	bytes = (sizeof(scratch->record) + (__u32)length - 1 + 7) & ~7U;
	if (bytes > sizeof(*scratch))
		bytes = sizeof(*scratch);
	scratch->record.head.length = bytes;
	emit_record(ctx, scratch, bytes, here);
	return 0;
}

static __always_inline void emit_exit(void *ctx, struct task_struct *task, __u32 tgid, __u64 start)
{
	struct task_struct *leader = task_leader(task);
	struct tl_process *process = process_kept(tgid, start);
	struct tl_exit_record record = { 0 };
	struct tl_tally *here;
	__u64 now = bpf_ktime_get_boot_ns(), since;

	if (process) {
		record.exec_ns = process->exec_ns;
		record.ppid = process->ppid;
		bpf_map_delete_elem(&exec_start, &tgid);
	} else {
		record.ppid = BPF_CORE_READ(leader, real_parent, tgid);
	}
	/* A process that exec'ed before we watched has lived at least since we do: 0 until then. */
	since = record.exec_ns ?: procs_since_ns;
	if (only_ends && (!since || now - since < min_duration_ns))
		return;
	if (only_ends && BPF_CORE_READ(leader, flags) & PF_FORKNOEXEC)
		return;
	here = tally_here();
	tally_seen(here);
	emit_head(&record.head, TL_RECORD_EXIT, sizeof(record), now);
	/* As wait_task_zombie, kernel/exit.c: the group's code where it was set, else the
	 * leader's. SIGNAL_GROUP_EXIT is 4, include/linux/sched/signal.h. */
	if (BPF_CORE_READ(task, signal, flags) & 0x4)
		record.status = BPF_CORE_READ(task, signal, group_exit_code);
	else
		record.status = BPF_CORE_READ(leader, exit_code);
	BPF_CORE_READ_STR_INTO(&record.comm, leader, comm);
	emit_record(ctx, &record, sizeof(record), here);
}

SEC("raw_tp/sched_process_exit")
int process_exited(struct raw_tp_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct exited_key key = { .tgid = tgid };
	struct tl_target *target;
	struct tl_skipped *skipped;
	__u8 one = 1;

	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0; /* threads are left */
	key.start_boottime_ns = task_process_start(task);
	target = bpf_map_lookup_elem(&target_pids, &tgid);
	if (target &&
	    (!target->start_boottime_ns || target->start_boottime_ns == key.start_boottime_ns))
		target_remove(tgid);
	skipped = bpf_map_lookup_elem(&skip_pid, &tgid);
	if (skipped && skipped->start_boottime_ns == key.start_boottime_ns)
		bpf_map_delete_elem(&skip_pid, &tgid);
	/* Before 6.4 (d7ba4cc900bf) the kernel's result is an int whose sign does not extend. */
	if (!emit_procs ||
	    (int)bpf_map_update_elem(&exited, &key, &one, BPF_NOEXIST) == -17 /* EEXIST */)
		return 0;
	emit_exit(ctx, task, tgid, key.start_boottime_ns);
	return 0;
}

/* Iterators. */

SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct tl_task_row row = { 0 };

	/* The iterator runs in the process that reads it: ours. */
	self_tgid = bpf_get_current_pid_tgid() >> 32;
	if (!task)
		return 0;
	row.tgid = BPF_CORE_READ(task, tgid);
	if (row.tgid != (__u32)BPF_CORE_READ(task, pid))
		return 0;
	row.start_boottime_ns = BPF_CORE_READ(task, start_boottime);
	row.ppid = BPF_CORE_READ(task, real_parent, tgid);
	row.alive = BPF_CORE_READ(task, signal, live.counter) > 0;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

static __always_inline void file_row_tty(struct tl_file_row *row, struct file *file, __u32 rdev)
{
	struct tty_file_private *private = BPF_CORE_READ(file, private_data);
	struct tty_struct *tty = private ? BPF_CORE_READ(private, tty) : NULL;
	__u32 major = rdev >> 20, minor = rdev & 0xfffff;
	struct tty_struct *link;

	/* Majors of Documentation/admin-guide/devices.txt: 136-143 slaves, 5 /dev/tty and ptmx. */
	if (!tty || (major != 5 && (major < 136 || major > 143)))
		return;
	link = BPF_CORE_READ(tty, link);
	if (!link)
		return; /* no pseudoterminal */
	row->kind = major == 5 && minor == 2 ? TL_FILE_PTY_MASTER : TL_FILE_PTY_SLAVE;
	row->object = (__u64)(row->kind == TL_FILE_PTY_MASTER ? link : tty);
}

static __always_inline void file_row_unix(struct tl_file_row *row, struct sock *sk)
{
	struct unix_sock *own = (struct unix_sock *)sk;
	struct unix_sock *peer = (struct unix_sock *)BPF_CORE_READ(own, peer);
	struct unix_address *address;

	row->kind = TL_FILE_UNIX;
	row->peer = (__u64)peer;
	if (BPF_CORE_READ(own, addr))
		row->flags |= TL_FILE_NAMED;
	address = peer ? BPF_CORE_READ(peer, addr) : NULL;
	if (address) {
		row->flags |= TL_FILE_PEER_NAMED;
		bpf_core_read(row->peer_name, sizeof(row->peer_name), &address->name[0].sun_path);
		row->peer_name[sizeof(row->peer_name) - 1] = '\0';
	}
}

static __always_inline void file_row_inet(struct tl_file_row *row, struct sock *sk, bool is_v6)
{
	row->kind = TL_FILE_TCP;
	row->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	row->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		row->flags |= TL_FILE_LISTENS;
	if (is_v6) {
		if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
			BPF_CORE_READ_INTO(&row->local, sk,
					   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
			BPF_CORE_READ_INTO(&row->remote, sk,
					   __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		}
		return;
	}
	row->local[10] = row->local[11] = row->remote[10] = row->remote[11] = 0xff;
	bpf_core_read(row->local + 12, 4, &sk->__sk_common.skc_rcv_saddr);
	bpf_core_read(row->remote + 12, 4, &sk->__sk_common.skc_daddr);
}

static __always_inline void file_row_sock(struct tl_file_row *row, struct file *file)
{
	struct sock *sk = sock_from_file(file);
	unsigned short family;

	if (!sk)
		return;
	row->object = (__u64)sk;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_UNIX && bpf_core_type_exists(struct unix_sock))
		file_row_unix(row, sk);
	else if (family == AF_INET || family == AF_INET6)
		file_row_inet(row, sk, family == AF_INET6);
}

SEC("iter/task_file")
int list_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tl_file_row row = { 0 };
	unsigned short type;

	if (!task || !file)
		return 0;
	row.inode = (__u64)BPF_CORE_READ(file, f_inode);
	type = BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT;
	/* What nobody writes to carries nothing from one process to another. */
	if (type == S_IFREG && BPF_CORE_READ(file, f_inode, i_writecount.counter) <= 0)
		return 0;
	if (type == S_IFIFO || type == S_IFREG) {
		row.kind = type == S_IFIFO ? TL_FILE_PIPE : TL_FILE_REGULAR;
		row.object = row.inode;
	} else if (type == S_IFCHR) {
		file_row_tty(&row, file, BPF_CORE_READ(file, f_inode, i_rdev));
	} else if (type == S_IFSOCK) {
		file_row_sock(&row, file);
	}
	if (!row.kind)
		return 0;
	row.flags |= BPF_CORE_READ(file, f_mode) & (TL_FILE_READ | TL_FILE_WRITE);
	row.file = (__u64)file;
	row.fd = ctx->fd;
	row.tgid = BPF_CORE_READ(task, tgid);
	row.ppid = BPF_CORE_READ(task, real_parent, tgid);
	row.start_boottime_ns = task_process_start(task);
	BPF_CORE_READ_STR_INTO(&row.comm, task, group_leader, comm);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}
