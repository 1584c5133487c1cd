/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "base/text.h"

#include <stdbool.h>

char *text_u64(char *out, uint64_t value)
{
	char digits[20];
	unsigned int count = 0;

	do {
		digits[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (count)
		*out++ = digits[--count];
	return out;
}

char *text_digits(char *out, uint64_t value, unsigned int digits)
{
	for (unsigned int i = digits; i > 0; i--) {
		out[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
	return out + digits;
}

static bool is_continuation(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

/*
 * The length of the UTF-8 sequence (RFC 3629) of a printable character at the beginning of input,
 * or 0: overlong forms, surrogates, C0 and C1 controls and bidirectional controls are none.
 */
static size_t printable_bytes(const unsigned char *input, size_t bytes)
{
	unsigned char first = input[0];
	uint32_t point = 0;
	size_t length = 0;

	if (first < 0x80)
		return first >= 0x20 && first != 0x7f && first != '\\';
	if (first >= 0xc2 && first <= 0xdf)
		length = 2;
	else if (first >= 0xe0 && first <= 0xef)
		length = 3;
	else if (first >= 0xf0 && first <= 0xf4)
		length = 4;
	if (!length || length > bytes)
		return 0;
	point = first & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if (!is_continuation(input[i]))
			return 0;
		point = point << 6 | (input[i] & 0x3fu);
	}
	if (point < 0xa0 || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff ||
	    (length == 3 && point < 0x800) || (length == 4 && point < 0x10000) ||
	    (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
	    point == 0x2028 || point == 0x2029 || point == 0x200e || point == 0x200f ||
	    point == 0x61c)
		return 0;
	return length;
}

static char *escape_byte(char *out, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";
	static const char named[] = { ['\n'] = 'n', ['\t'] = 't', ['\r'] = 'r', ['\\'] = '\\' };

	*out++ = '\\';
	if (byte < sizeof(named) && named[byte]) {
		*out++ = named[byte];
		return out;
	}
	*out++ = 'x';
	*out++ = hex[byte >> 4];
	*out++ = hex[byte & 15];
	return out;
}

char *text_escaped(char *out, const char *input, size_t bytes)
{
	const unsigned char *at = (const unsigned char *)input;
	const unsigned char *end = at + bytes;

	while (at < end) {
		size_t length = printable_bytes(at, (size_t)(end - at));

		if (length) {
			out = text_bytes(out, (const char *)at, length);
			at += length;
		} else {
			out = escape_byte(out, *at++);
		}
	}
	return out;
}
