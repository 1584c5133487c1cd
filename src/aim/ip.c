/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "aim/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void aim_ip_clear_host_bits(struct aim_ip *ip)
{
	for (unsigned int bit = ip->prefix_bits; bit < 128; bit++)
		ip->address[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

/* A mapped address is its IPv4 address, unless the prefix takes in more than the mapped range. */
static void aim_ip_unmap(struct aim_ip *ip)
{
	if (ip->family != 6 || ip->prefix_bits < 96 ||
	    memcmp(ip->address, mapped_prefix, sizeof(mapped_prefix)) != 0)
		return;
	ip->family = 4;
	ip->prefix_bits -= 96;
	memmove(ip->address, ip->address + 12, 4);
	memset(ip->address + 4, 0, 12);
}

void aim_ip_from_number(uint32_t number, struct aim_ip *ret_ip)
{
	uint32_t network = htonl(number);

	*ret_ip = (struct aim_ip){ .family = 4, .prefix_bits = 32, .is_number = true };
	memcpy(ret_ip->address, &network, sizeof(network));
	snprintf(ret_ip->text, sizeof(ret_ip->text), "%u", number);
}

int aim_ip_from_text(const char *text, struct aim_ip *ret_ip)
{
	struct aim_ip ip = { 0 };
	char address[AIM_IP_TEXT_BYTES];
	uint64_t bits = 0;

	if (strlen(text) >= sizeof(ip.text))
		return -EINVAL;
	memcpy(address, text, strlen(text) + 1);
	memcpy(ip.text, text, strlen(text) + 1);
	char *slash = strchr(address, '/');
	if (slash)
		*slash++ = '\0';
	if (inet_pton(AF_INET, address, ip.address) == 1)
		ip.family = 4;
	else if (inet_pton(AF_INET6, address, ip.address) == 1)
		ip.family = 6;
	else
		return -EINVAL;
	bits = ip.family == 4 ? 32 : 128;
	if (slash && parse_u64(slash, 0, bits, &bits) < 0)
		return -EINVAL;
	ip.prefix_bits = (uint8_t)bits;
	aim_ip_clear_host_bits(&ip);
	aim_ip_unmap(&ip);
	*ret_ip = ip;
	return 0;
}

int aim_ip_compare(const struct aim_ip *a, const struct aim_ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->prefix_bits != b->prefix_bits)
		return a->prefix_bits < b->prefix_bits ? -1 : 1;
	return memcmp(a->address, b->address, sizeof(a->address));
}

void aim_ip_widen(struct aim_ip *ip, uint8_t prefix_bits)
{
	ip->prefix_bits = prefix_bits;
	aim_ip_clear_host_bits(ip);
}
