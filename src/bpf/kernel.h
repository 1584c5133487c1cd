/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Kernel types, by hand: only the fields that are read, relocated to the running kernel's own
 * layout when the program is loaded. Names are the kernel's.
 */
#ifndef TL_BPF_KERNEL_H
#define TL_BPF_KERNEL_H

#include <stdbool.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define S_IFCHR 0020000
#define S_IFIFO 0010000

#define PF_FORKNOEXEC 0x40 /* include/linux/sched.h: forked, but did not exec */

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define TCP_LISTEN 10 /* include/net/tcp_states.h */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
};

struct inode {
	unsigned short i_mode;
	__u32 i_rdev;
	atomic_t i_writecount;
};

struct file {
	unsigned int f_mode;
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct thread_info {
	unsigned long flags;
	__u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int flags;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
};

struct linux_binprm {
	const char *filename;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
};

struct socket {
	struct sock *sk;
};

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct tty_struct {
	struct tty_struct *link;
};

struct tty_file_private {
	struct tty_struct *tty;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

/* The user's registers at a system call. */
struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long bx;
	unsigned long di;
#elif defined(__TARGET_ARCH_arm64)
	__u64 regs[31];
#else
#error "no registers for this architecture"
#endif
};

#pragma clang attribute pop

/* Contexts of programs, fixed by the kernel's interface and not by its layout. */
struct raw_tp_args {
	__u64 args[3];
};

struct syscall_tp_args {
	__u64 common;
	__u64 nr;
	__u64 args[6];
};

static __always_inline struct task_struct *task_current(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline __u64 task_process_start(struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader, start_boottime);
}

/* The first argument of a function of the kernel, at a kprobe. */
static __always_inline __u64 function_argument(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(regs, di);
#else
	return BPF_CORE_READ(regs, regs[0]);
#endif
}

/* The first argument of a system call, from the user's registers at its entry. */
static __always_inline __u64 call_argument(const struct pt_regs *regs, bool compat)
{
#if defined(__TARGET_ARCH_x86)
	return compat ? BPF_CORE_READ(regs, bx) : BPF_CORE_READ(regs, di);
#else
	return BPF_CORE_READ(regs, regs[0]);
#endif
}

/* Whether the current call came through the 32-bit table. */
static __always_inline bool call_is_compat(void)
{
	struct task_struct *task = task_current();
#if defined(__TARGET_ARCH_x86)
	/* TS_COMPAT, arch/x86/include/asm/thread_info.h: set for the call, also for int 0x80
	 * from 64-bit code. */
	return BPF_CORE_READ(task, thread_info.status) & 0x2;
#else
	/* TIF_32BIT, arch/arm64/include/asm/thread_info.h. */
	return BPF_CORE_READ(task, thread_info.flags) & (1UL << 22);
#endif
}

/* x32 calls are those of the native table with bit 30 set (__X32_SYSCALL_BIT). */
static __always_inline __u64 call_number(__u64 nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr & ~0x40000000ULL;
#else
	return nr;
#endif
}

#endif
