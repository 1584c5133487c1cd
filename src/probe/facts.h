/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What this kernel and this process's rights allow, and how a refusal is put into words. */
#ifndef TL_PROBE_FACTS_H
#define TL_PROBE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FACTS_TEXT_BYTES 128

struct facts {
	char release[FACTS_TEXT_BYTES]; /* "6.1.0-56-cloud-amd64" */
	char machine[FACTS_TEXT_BYTES];
	unsigned int kernel_major, kernel_minor;
	bool has_btf;
	bool bpf_syscall;		 /* bpf(2) is there at all */
	char lockdown[FACTS_TEXT_BYTES]; /* "none", "integrity", "confidentiality" or "unknown" */
	char missing_capabilities[FACTS_TEXT_BYTES]; /* "CAP_BPF, CAP_PERFMON", or empty */
	uint64_t memlock_bytes;			     /* the soft limit; UINT64_MAX without one */
};

/* Asks the kernel; never fails. */
void facts_gather(struct facts *ret_facts);

/*
 * Why these facts rule everything out, with the remedy, in one line; NULL where they do not.
 * Allocated, the caller's.
 */
char *facts_objection(const struct facts *facts);

/*
 * The same for an attempt that failed with error (negative errno) while doing what ("load the
 * kernel side with hook tp_btf"): reason and remedy, in one line. Allocated, the caller's.
 */
char *facts_explain(const struct facts *facts, const char *what, int error);

#endif
