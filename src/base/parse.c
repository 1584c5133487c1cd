/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reads the digits that text begins with; *ret_end is the first character after them. */
static int parse_digits(const char *text, uint64_t *ret_value, const char **ret_end)
{
	char *end = NULL;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	*ret_value = value;
	*ret_end = end;
	return 0;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	const char *end = NULL;
	uint64_t value = 0;
	int r = parse_digits(text, &value, &end);

	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes)
{
	static const struct {
		char suffix;
		unsigned int shift;
	} units[] = { { 'K', 10 }, { 'M', 20 }, { 'G', 30 } };
	const char *end = NULL;
	uint64_t value = 0;
	unsigned int shift = 0;
	int r = parse_digits(text, &value, &end);

	if (r < 0)
		return r;
	if (*end) {
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (toupper((unsigned char)*end) == units[i].suffix)
				shift = units[i].shift;
		if (!shift || end[1])
			return -EINVAL;
	}
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	value <<= shift;
	if (value < min || value > max)
		return -ERANGE;
	*ret_bytes = value;
	return 0;
}

int parse_pid(const char *text, uint32_t *ret_pid)
{
	uint64_t value = 0;
	int r = parse_u64(text, 1, PARSE_PID_MAX, &value);

	if (r < 0)
		return r;
	*ret_pid = (uint32_t)value;
	return 0;
}
