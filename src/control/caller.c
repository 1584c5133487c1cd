/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/caller.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

/* One entry with its attributes is a few hundred bytes. */
#define ANSWER_BYTES 8192

/* Old answers that may lie in the queue before the one that was asked for. */
#define STALE_ANSWERS_MAX 16

union endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

int caller_open(struct caller_netlink *ret_netlink)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	*ret_netlink = (struct caller_netlink){ .fd = fd };
	return 0;
}

static void fill_end(const union endpoint *end, __be32 *address, __be16 *port)
{
	if (end->any.sa_family == AF_INET6) {
		memcpy(address, &end->v6.sin6_addr, sizeof(end->v6.sin6_addr));
		*port = end->v6.sin6_port;
	} else {
		memcpy(address, &end->v4.sin_addr, sizeof(end->v4.sin_addr));
		*port = end->v4.sin_port;
	}
}

static void fill_id(const union endpoint *source, const union endpoint *destination,
		    struct inet_diag_sockid *id)
{
	fill_end(source, id->idiag_src, &id->idiag_sport);
	fill_end(destination, id->idiag_dst, &id->idiag_dport);
	id->idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

static int send_question(int netlink_fd, const union endpoint *source,
			 const union endpoint *destination, uint32_t sequence)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} question = {
		.header = { .nlmsg_len = sizeof(question),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST,
			    .nlmsg_seq = sequence },
		.request = { .sdiag_family = (uint8_t)source->any.sa_family,
			     .sdiag_protocol = IPPROTO_TCP,
			     .idiag_states = UINT32_MAX },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	fill_id(source, destination, &question.request.id);
	if (sendto(netlink_fd, &question, sizeof(question), 0, (struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

static int read_entry(const struct nlmsghdr *header, struct inet_diag_msg *ret_entry)
{
	if (header->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(header);

		if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)) || error->error >= 0)
			return -EPROTO;
		return error->error;
	}
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    header->nlmsg_len < NLMSG_LENGTH(sizeof(*ret_entry)))
		return -EPROTO;
	memcpy(ret_entry, NLMSG_DATA(header), sizeof(*ret_entry));
	return 0;
}

/* The kernel answers before sendto returns: there is nothing to wait for. */
static int receive_entry(int netlink_fd, uint32_t sequence, struct inet_diag_msg *ret_entry)
{
	union {
		struct nlmsghdr header;
		char bytes[ANSWER_BYTES];
	} answer;

	for (int i = 0; i < STALE_ANSWERS_MAX; i++) {
		struct sockaddr_nl sender = { 0 };
		socklen_t sender_bytes = sizeof(sender);
		ssize_t got = recvfrom(netlink_fd, &answer, sizeof(answer), MSG_DONTWAIT,
				       (struct sockaddr *)&sender, &sender_bytes);

		if (got < 0)
			return -errno;
		if (sender.nl_pid != 0 || !NLMSG_OK(&answer.header, (size_t)got) ||
		    answer.header.nlmsg_seq != sequence)
			continue;
		return read_entry(&answer.header, ret_entry);
	}
	return -EPROTO;
}

static int look_up(struct caller_netlink *netlink, const union endpoint *source,
		   const union endpoint *destination, struct inet_diag_msg *ret_entry)
{
	int r = send_question(netlink->fd, source, destination, ++netlink->sequence);

	return r < 0 ? r : receive_entry(netlink->fd, netlink->sequence, ret_entry);
}

/* An IPv6 socket that talks to an IPv4 address is told with mapped addresses. */
static bool same_address(uint8_t family, const __be32 *told, const union endpoint *end)
{
	if (end->any.sa_family == AF_INET6)
		return family == AF_INET6 &&
		       memcmp(told, &end->v6.sin6_addr, sizeof(end->v6.sin6_addr)) == 0;
	if (family == AF_INET6)
		return !told[0] && !told[1] && told[2] == htonl(0xffff) &&
		       told[3] == end->v4.sin_addr.s_addr;
	return told[0] == end->v4.sin_addr.s_addr;
}

/* The kernel falls back on listening sockets, and tells of TIME_WAIT and of orphans as uid 0. */
static bool is_open_client(const struct inet_diag_msg *entry, const union endpoint *client,
			   const union endpoint *ours)
{
	struct inet_diag_sockid asked = { 0 };

	fill_id(client, ours, &asked);
	return entry->idiag_state == TCP_ESTABLISHED && entry->idiag_inode != 0 &&
	       entry->id.idiag_sport == asked.idiag_sport &&
	       entry->id.idiag_dport == asked.idiag_dport &&
	       same_address(entry->idiag_family, entry->id.idiag_src, client) &&
	       same_address(entry->idiag_family, entry->id.idiag_dst, ours);
}

int caller_probe(struct caller_netlink *netlink, const struct sockaddr *listening)
{
	union endpoint source = { 0 };
	union endpoint nobody = { 0 };
	struct inet_diag_msg entry;

	memcpy(&source, listening,
	       listening->sa_family == AF_INET6 ? sizeof(source.v6) : sizeof(source.v4));
	nobody.any.sa_family = listening->sa_family;
	return look_up(netlink, &source, &nobody, &entry);
}

int caller_tcp_uid(struct caller_netlink *netlink, int fd, uid_t *ret_uid)
{
	union endpoint client = { 0 };
	union endpoint ours = { 0 };
	socklen_t client_bytes = sizeof(client);
	socklen_t our_bytes = sizeof(ours);
	struct inet_diag_msg entry;
	struct tcp_info info = { 0 };
	socklen_t info_bytes = sizeof(info);

	if (getpeername(fd, &client.any, &client_bytes) < 0 ||
	    getsockname(fd, &ours.any, &our_bytes) < 0)
		return -errno;
	int r = look_up(netlink, &client, &ours, &entry);
	if (r < 0)
		return r;
	if (!is_open_client(&entry, &client, &ours))
		return -ENOTCONN;
	/*
	 * Our end last: while it is established nobody else can have got the client's port, so
	 * that the entry is of this connection and not of the next one from the same port.
	 */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_bytes) < 0)
		return -errno;
	if (info.tcpi_state != TCP_ESTABLISHED)
		return -ENOTCONN;
	*ret_uid = entry.idiag_uid;
	return 0;
}

int caller_unix_uid(int fd, uid_t *ret_uid)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
		return -errno;
	*ret_uid = peer.uid;
	return 0;
}
