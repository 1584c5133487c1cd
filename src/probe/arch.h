/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What differs between processors: the one place that names the kernel's symbols of calls. */
#ifndef TL_PROBE_ARCH_H
#define TL_PROBE_ARCH_H

#include <stddef.h>

#include "abi/record.h"

struct arch {
	const char *machine; /* as uname(2) says */
	/* Of the function that serves a call, for each table; NULL where it is the native one's. */
	const char *symbol_prefix[TL_ABI_COUNT];
};

/* The processor this program is built for. */
const struct arch *arch_current(void);

/*
 * Writes the name of the function that serves a call of that table. Returns 0, -ENOENT where the
 * table has none of its own, -ENAMETOOLONG.
 */
int arch_call_symbol(const struct arch *arch, const char *call, enum tl_abi abi, char *ret_symbol,
		     size_t bytes);

#endif
