/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The table of system calls that can be watched: one row a call. Its index is what records carry
 * and what the kernel side's programs are built for. Constant data, no threads.
 */
#ifndef TL_EVENT_CALL_TABLE_H
#define TL_EVENT_CALL_TABLE_H

#include <stddef.h>

#include "abi/record.h"

struct call_row {
	const char *name;	  /* without a prefix: "read" */
	int number[TL_ABI_COUNT]; /* in each table of this architecture */
};

extern const struct call_row call_table[];
extern const size_t call_table_count;

/* The name of the call with this index, or NULL. */
const char *call_name(unsigned int index);

#endif
