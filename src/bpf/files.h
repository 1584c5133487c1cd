/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From a descriptor to the file behind it, and from a socket to its peer, in the kernel's words. */
#ifndef TL_BPF_FILES_H
#define TL_BPF_FILES_H

#include "bpf/maps.h"

static __always_inline struct file *file_from_fd(__u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task_current(), files, fdt);
	struct file **slots;
	struct file *file = NULL;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	slots = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]))
		return NULL;
	return file;
}

static __always_inline struct sock *sock_from_file(struct file *file)
{
	struct socket *socket;

	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

/* Fills family and address; false where the socket has no peer that an IP list can hold. */
static __always_inline bool sock_peer(struct sock *sk, struct tl_ip_key *key)
{
	unsigned short family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u32 word[4] = { 0 };

	if (family == AF_INET) {
		word[0] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	} else if (family == AF_INET6) {
		if (!bpf_core_field_exists(sk->__sk_common.skc_v6_daddr))
			return false;
		BPF_CORE_READ_INTO(&word, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		if (!word[0] && !word[1] && word[2] == bpf_htonl(0xffff)) {
			family = AF_INET; /* IPv4-mapped */
			word[0] = word[3];
			word[1] = word[2] = word[3] = 0;
		}
	} else {
		return false;
	}
	if (!(word[0] | word[1] | word[2] | word[3]))
		return false;
	key->family = family == AF_INET ? 4 : 6;
	key->prefix_bits = TL_IP_FAMILY_BITS + (family == AF_INET ? 32 : 128);
	__builtin_memcpy(key->address, word, sizeof(word));
	return true;
}

#endif
