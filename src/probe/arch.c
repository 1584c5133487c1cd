/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "probe/arch.h"

#include <errno.h>
#include <stdio.h>

/* arch/x86/include/asm/syscall_wrapper.h, arch/arm64/include/asm/syscall_wrapper.h. On arm64 both
 * tables call the same function. */
static const struct arch arches[] = {
#if defined(__x86_64__)
	{ .machine = "x86_64",
	  .symbol_prefix = { [TL_ABI_NATIVE] = "__x64_sys_", [TL_ABI_COMPAT] = "__ia32_sys_" } },
#elif defined(__aarch64__)
	{ .machine = "aarch64", .symbol_prefix = { [TL_ABI_NATIVE] = "__arm64_sys_" } },
#else
#error "no symbols for this architecture"
#endif
};

const struct arch *arch_current(void)
{
	return &arches[0];
}

int arch_call_symbol(const struct arch *arch, const char *call, enum tl_abi abi, char *ret_symbol,
		     size_t bytes)
{
	int length;

	if (!arch->symbol_prefix[abi])
		return -ENOENT;
	length = snprintf(ret_symbol, bytes, "%s%s", arch->symbol_prefix[abi], call);
	return length < 0 || (size_t)length >= bytes ? -ENAMETOOLONG : 0;
}
