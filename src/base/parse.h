/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Text to numbers, whole or not at all: no white space, no sign where none is meant, nothing left
 * over. The only place of the program that calls strtoull and its kin. No state, no threads.
 */
#ifndef TL_BASE_PARSE_H
#define TL_BASE_PARSE_H

#include <stdint.h>

/*
 * Decimal digits of text, min..max. Returns 0, -EINVAL where it is not a number, -ERANGE where it
 * is one outside the bounds.
 */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* A size in bytes with an optional suffix K, M or G (powers of 1024). Errors as parse_u64. */
int parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes);

/* PIDs that Linux can give: 1..PID_MAX_LIMIT (include/linux/threads.h). */
#define PARSE_PID_MAX 4194304u

/* A process number, 1..PARSE_PID_MAX. Errors as parse_u64. */
int parse_pid(const char *text, uint32_t *ret_pid);

#endif
