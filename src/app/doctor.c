/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "app/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/facts.h"
#include "probe/probe.h"

static void row(const char *what, const char *state, const char *detail)
{
	printf("%-22s %-6s %s\n", what, state, detail ? detail : "");
}

static void tell_facts(const struct facts *facts)
{
	row("kernel", facts->release, facts->machine);
	row("bpf(2)", facts->bpf_syscall ? "yes" : "no", NULL);
	row("BTF", facts->has_btf ? "yes" : "no", "/sys/kernel/btf/vmlinux");
	row("lockdown", facts->lockdown, NULL);
	row("capabilities", facts->missing_capabilities[0] ? "no" : "yes",
	    facts->missing_capabilities[0] ? facts->missing_capabilities
					   : "CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN");
}

static bool tell_hook(enum probe_hook hook)
{
	static const char *const notes[PROBE_HOOK_COUNT] = {
		[PROBE_HOOK_FENTRY] = "taxes the watched calls alone",
		[PROBE_HOOK_KPROBE] = "taxes the watched calls alone",
		[PROBE_HOOK_TP_BTF] = "taxes every call a little",
		[PROBE_HOOK_RAW_TP] = "taxes every call a little",
		[PROBE_HOOK_TRACEPOINT] = "does not see 32-bit calls; slow to detach; never chosen "
					  "by auto",
	};
	const char *stage = "";
	char name[64], detail[256];
	int r = probe_try(hook, PROBE_TRANSPORT_AUTO, &stage);

	snprintf(name, sizeof(name), "hook %s", probe_hook_name(hook));
	if (r >= 0) {
		row(name, "yes", notes[hook]);
		return true;
	}
	snprintf(detail, sizeof(detail), "cannot %s: %s", stage, strerror(-r));
	row(name, "no", detail);
	return false;
}

static bool tell_transport(enum probe_transport transport)
{
	struct probe_config config = { .transport = transport, .ring_bytes = PROBE_RING_BYTES_MIN };
	_cleanup_free_ char *message = NULL;
	struct probe *probe = NULL;
	char name[64];
	int r = probe_open(&config, &probe, &message);

	snprintf(name, sizeof(name), "transport %s", probe_transport_name(transport));
	row(name, r >= 0 ? "yes" : "no", r >= 0 ? NULL : strerror(-r));
	probe_close(probe);
	return r >= 0;
}

static int tell_choice(void)
{
	struct probe_config config = { .ring_bytes = PROBE_RING_BYTES_MIN, .calls = true };
	_cleanup_free_ char *message = NULL;
	struct probe *probe = NULL;
	int r = probe_open(&config, &probe, &message);

	printf("\ntrapline would use %s\n", r >= 0 ? probe_choice(probe) : "nothing");
	if (r < 0)
		printf("because it %s\n", message ? message : strerror(-r));
	probe_close(probe);
	return r >= 0 ? 0 : 1;
}

int doctor_run(void)
{
	struct facts facts;

	facts_gather(&facts);
	tell_facts(&facts);
	char *objection = facts_objection(&facts);
	if (objection) {
		printf("\ntrapline cannot run: %s\n", objection);
		free(objection);
		return 1;
	}
	for (enum probe_hook hook = PROBE_HOOK_AUTO + 1; hook < PROBE_HOOK_COUNT; hook++)
		tell_hook(hook);
	for (enum probe_transport i = PROBE_TRANSPORT_AUTO + 1; i < PROBE_TRANSPORT_COUNT; i++)
		tell_transport(i);
	return tell_choice();
}
