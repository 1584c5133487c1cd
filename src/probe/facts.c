/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "probe/facts.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The oldest kernel that is supported: BPF iterators, ring buffers and CAP_BPF. */
#define MIN_MAJOR 5
#define MIN_MINOR 8

static void gather_lockdown(struct facts *facts)
{
	_cleanup_fclose_ FILE *file = fopen("/sys/kernel/security/lockdown", "re");
	char line[FACTS_TEXT_BYTES];

	snprintf(facts->lockdown, sizeof(facts->lockdown), file ? "unknown" : "none");
	/* "none [integrity] confidentiality": brackets mark the mode. */
	if (!file || !fgets(line, sizeof(line), file))
		return;
	char *begin = strchr(line, '[');
	char *end = begin ? strchr(begin, ']') : NULL;
	if (end) {
		*end = '\0';
		snprintf(facts->lockdown, sizeof(facts->lockdown), "%s", begin + 1);
	}
}

static bool has_capability(const struct __user_cap_data_struct *data, unsigned int capability)
{
	return data[capability / 32].effective & 1u << capability % 32;
}

static void gather_capabilities(struct facts *facts)
{
	static const struct {
		unsigned int number;
		const char *name;
	} needed[] = { { CAP_BPF, "CAP_BPF" }, { CAP_PERFMON, "CAP_PERFMON" } };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	size_t used = 0;

	syscall(SYS_capget, &header, data);
	if (has_capability(data, CAP_SYS_ADMIN))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (has_capability(data, needed[i].number))
			continue;
		used += (size_t)snprintf(facts->missing_capabilities + used,
					 sizeof(facts->missing_capabilities) - used, "%s%s",
					 used ? ", " : "", needed[i].name);
	}
}

void facts_gather(struct facts *ret_facts)
{
	struct facts facts = { 0 };
	struct utsname name;
	struct rlimit limit;
	union bpf_attr attr = { 0 };

	if (uname(&name) == 0) {
		snprintf(facts.release, sizeof(facts.release), "%s", name.release);
		snprintf(facts.machine, sizeof(facts.machine), "%s", name.machine);
		if (sscanf(name.release, "%u.%u", &facts.kernel_major, &facts.kernel_minor) != 2)
			facts.kernel_major = 0;
	}
	facts.has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	facts.bpf_syscall =
	    syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) >= 0 || errno != ENOSYS;
	gather_lockdown(&facts);
	gather_capabilities(&facts);
	facts.memlock_bytes = UINT64_MAX;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		facts.memlock_bytes = limit.rlim_cur;
	*ret_facts = facts;
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *format, ...)
{
	char *out = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&out, format, args) < 0)
		out = NULL;
	va_end(args);
	return out;
}

char *facts_objection(const struct facts *facts)
{
	if (facts->missing_capabilities[0])
		return text("this process lacks %s: run it as root, for instance with sudo",
			    facts->missing_capabilities);
	if (!facts->bpf_syscall)
		return text("this kernel (%s) has no bpf(2): it needs CONFIG_BPF_SYSCALL=y, or a "
			    "seccomp filter refuses it (in a container: run it privileged)",
			    facts->release);
	if (facts->kernel_major &&
	    (facts->kernel_major < MIN_MAJOR ||
	     (facts->kernel_major == MIN_MAJOR && facts->kernel_minor < MIN_MINOR)))
		return text("kernel %s is too old: %u.%u or later is needed", facts->release,
			    MIN_MAJOR, MIN_MINOR);
	if (!facts->has_btf)
		return text("this kernel (%s) does not show its types (BTF): "
			    "/sys/kernel/btf/vmlinux is missing; use a kernel built with "
			    "CONFIG_DEBUG_INFO_BTF=y, and mount sysfs on /sys",
			    facts->release);
	if (strcmp(facts->lockdown, "confidentiality") == 0)
		return text("kernel lockdown is in mode confidentiality, which forbids BPF to read "
			    "kernel memory: boot with lockdown=integrity or without lockdown=");
	return NULL;
}

char *facts_explain(const struct facts *facts, const char *what, int error)
{
	char *objection = facts_objection(facts);
	char *out = NULL;

	if (objection) {
		out = text("cannot %s: %s", what, objection);
		free(objection);
		return out;
	}
	if (error == -EPERM && facts->memlock_bytes != UINT64_MAX &&
	    (facts->kernel_major < 5 || (facts->kernel_major == 5 && facts->kernel_minor < 11)))
		return text("cannot %s: %s: the limit of locked memory is %llu KiB: raise it "
			    "(ulimit -l unlimited) or run with CAP_SYS_RESOURCE",
			    what, strerror(-error),
			    (unsigned long long)facts->memlock_bytes / 1024);
	if (error == -EPERM || error == -EACCES)
		return text("cannot %s: %s: the kernel refuses BPF to this process (lockdown: %s); "
			    "in a container, run it privileged; `trapline doctor` tells what works",
			    what, strerror(-error), facts->lockdown);
	return text("cannot %s: %s; `trapline doctor` tells what this kernel offers", what,
		    strerror(-error));
}
