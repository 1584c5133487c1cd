/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The aim as a value: what is watched. Selectors add up. The PIDs themselves live in the kernel's
 * table alone, where each leaves with its process; here is whether they are looked at. No threads.
 */
#ifndef TL_AIM_AIM_H
#define TL_AIM_AIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aim/ip.h"

struct aim {
	uint32_t generation; /* rises by one at every change that was asked for */
	bool print_all;	     /* every process but those that are never shown */
	bool has_pids;	     /* the kernel's table of PIDs is looked at */
	uint8_t pids_epoch;  /* rises when that table is cleared */
	uint8_t ips_epoch;
	struct aim_ip *ips; /* distinct, in the order they were added; owned */
	size_t ip_count;
	uint32_t *ip_order; /* their indices, in the order of aim_ip_compare; owned */
};

/* Whether nothing is watched. */
bool aim_is_empty(const struct aim *aim);

/* Whether the list has the entry, however it was written. */
bool aim_has_ip(const struct aim *aim, const struct aim_ip *ip);

/* Whether all addresses of ip are in one of the list's entries. */
bool aim_covers_ip(const struct aim *aim, const struct aim_ip *ip);

/* Adds a copy of those that the list does not have yet. Returns 0 or -ENOMEM, nothing added. */
int aim_add_ips(struct aim *aim, const struct aim_ip *ips, size_t count);

/* Takes the latest entries off until count are left. */
void aim_cut_ips(struct aim *aim, size_t count);

/* Releases what the value owns. Takes a zeroed one. */
void aim_release(struct aim *aim);

#endif
