/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "event/call_table.h"

#include <asm/unistd.h>

/* The 32-bit numbers: arch/x86/entry/syscalls/syscall_32.tbl and arch/arm/tools/syscall.tbl, which
 * agree on these. */
const struct call_row call_table[] = {
	{ .name = "read", .number = { [TL_ABI_NATIVE] = __NR_read, [TL_ABI_COMPAT] = 3 } },
	{ .name = "write", .number = { [TL_ABI_NATIVE] = __NR_write, [TL_ABI_COMPAT] = 4 } },
};

const size_t call_table_count = sizeof(call_table) / sizeof(call_table[0]);

const char *call_name(unsigned int index)
{
	return index < call_table_count ? call_table[index].name : NULL;
}
