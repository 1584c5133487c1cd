/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "aim/aim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool aim_is_empty(const struct aim *aim)
{
	return !aim->print_all && !aim->has_pids && !aim->ip_count;
}

/* The place in ip_order where ip is, or would be. */
static size_t find_place(const struct aim *aim, const struct aim_ip *ip)
{
	size_t low = 0, high = aim->ip_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (aim_ip_compare(&aim->ips[aim->ip_order[middle]], ip) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool aim_has_ip(const struct aim *aim, const struct aim_ip *ip)
{
	size_t place = find_place(aim, ip);

	return place < aim->ip_count && aim_ip_compare(&aim->ips[aim->ip_order[place]], ip) == 0;
}

bool aim_covers_ip(const struct aim *aim, const struct aim_ip *ip)
{
	struct aim_ip wider = *ip;

	for (int bits = ip->prefix_bits; bits >= 0; bits--) {
		aim_ip_widen(&wider, (uint8_t)bits);
		if (aim_has_ip(aim, &wider))
			return true;
	}
	return false;
}

int aim_add_ips(struct aim *aim, const struct aim_ip *ips, size_t count)
{
	size_t room = aim->ip_count + count;

	if (!count)
		return 0;
	struct aim_ip *entries = reallocarray(aim->ips, room, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	aim->ips = entries;
	uint32_t *order = reallocarray(aim->ip_order, room, sizeof(*order));
	if (!order)
		return -ENOMEM;
	aim->ip_order = order;
	for (size_t i = 0; i < count; i++) {
		size_t place = find_place(aim, &ips[i]);

		if (aim_has_ip(aim, &ips[i]))
			continue;
		memmove(order + place + 1, order + place, (aim->ip_count - place) * sizeof(*order));
		order[place] = (uint32_t)aim->ip_count;
		aim->ips[aim->ip_count++] = ips[i];
	}
	return 0;
}

void aim_cut_ips(struct aim *aim, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < aim->ip_count; i++)
		if (aim->ip_order[i] < count)
			aim->ip_order[kept++] = aim->ip_order[i];
	aim->ip_count = kept;
}

void aim_release(struct aim *aim)
{
	free(aim->ips);
	free(aim->ip_order);
	aim->ips = NULL;
	aim->ip_order = NULL;
	aim->ip_count = 0;
}
