/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * An IP selector's entry: an address or a prefix, and the text it was given as. IPv4-mapped IPv6
 * addresses (RFC 4291, 2.5.5.2) are the IPv4 address that they carry. No state, no threads.
 */
#ifndef TL_AIM_IP_H
#define TL_AIM_IP_H

#include <stdbool.h>
#include <stdint.h>

/* The longest text of an entry: an IPv6 address with an embedded IPv4 one, and "/128". */
#define AIM_IP_TEXT_BYTES 52

struct aim_ip {
	uint8_t family;	     /* 4 or 6 */
	uint8_t prefix_bits; /* 0..32 or 0..128 */
	bool is_number;	     /* it was given as a number: text holds its digits */
	uint8_t address[16]; /* network order, host bits cleared; IPv4 in the first four bytes */
	char text[AIM_IP_TEXT_BYTES]; /* as it was given */
};

/* An IPv4 address as a number in host order: 1 is 0.0.0.1. */
void aim_ip_from_number(uint32_t number, struct aim_ip *ret_ip);

/*
 * "10.0.0.1", "10.0.0.0/8", "2001:db8::1", "2001:db8::/32", "::ffff:10.0.0.1". Returns 0 or
 * -EINVAL (also for zone identifiers, octal or short IPv4 forms, and prefixes out of range).
 */
int aim_ip_from_text(const char *text, struct aim_ip *ret_ip);

/*
 * An order of the sets of addresses that entries name, however they were written: negative, zero
 * or positive as in memcmp; zero where they are the same set.
 */
int aim_ip_compare(const struct aim_ip *a, const struct aim_ip *b);

/* Makes it the prefix of so many bits around it; no more than it has. */
void aim_ip_widen(struct aim_ip *ip, uint8_t prefix_bits);

#endif
