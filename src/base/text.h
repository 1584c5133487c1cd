/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Writers of text for the hot path: each writes at out and returns the first byte after what it
 * wrote; nothing is terminated. The caller has seen to the room. No allocation, no threads.
 */
#ifndef TL_BASE_TEXT_H
#define TL_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* At most 20 bytes. */
char *text_u64(char *out, uint64_t value);

/* value in exactly digits digits, zeros in front. */
char *text_digits(char *out, uint64_t value, unsigned int digits);

/*
 * bytes of input, escaped: control characters, backslashes and what is not UTF-8 become \n, \t,
 * \r, \\ or \xHH. At most four bytes for each.
 */
char *text_escaped(char *out, const char *input, size_t bytes);

static inline char *text_bytes(char *out, const char *input, size_t bytes)
{
	memcpy(out, input, bytes);
	return out + bytes;
}

static inline char *text_string(char *out, const char *input)
{
	return text_bytes(out, input, strlen(input));
}

#endif
