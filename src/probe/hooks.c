/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The table of hooks: how each is prepared and attached. */
#include <bpf/btf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "event/call_table.h"
#include "probe/arch.h"
#include "probe/internal.h"
#include "probe/tracefs.h"

#define SYMBOL_BYTES 64

int probe_keep_link(struct probe *probe, struct bpf_link *link)
{
	if (!link)
		return -errno;
	probe->call_links[probe->call_link_count++] = link;
	return 0;
}

static struct bpf_program *program_of_slot(struct trapline_bpf *skel, const char *family,
					   size_t slot)
{
	char name[SYMBOL_BYTES];

	snprintf(name, sizeof(name), "enter_%s_%zu", family, slot);
	return bpf_object__find_program_by_name(skel->obj, name);
}

/* The symbol that serves the call of a slot (call × table), as the kernel side counts them. */
static int symbol_of_slot(size_t slot, char *ret_symbol, size_t bytes)
{
	return arch_call_symbol(arch_current(), call_name((unsigned int)(slot / TL_ABI_COUNT)),
				slot % TL_ABI_COUNT, ret_symbol, bytes);
}

static bool slot_is_compat(size_t slot)
{
	return slot % TL_ABI_COUNT == TL_ABI_COMPAT;
}

static int fentry_prepare(struct trapline_bpf *skel)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	char symbol[SYMBOL_BYTES];
	int r = kernel ? 0 : -errno;

	for (size_t slot = 0; r >= 0 && slot < call_table_count * TL_ABI_COUNT; slot++) {
		struct bpf_program *program = program_of_slot(skel, "fentry", slot);

		if (symbol_of_slot(slot, symbol, sizeof(symbol)) < 0)
			continue;
		if (btf__find_by_name_kind(kernel, symbol, BTF_KIND_FUNC) < 0) {
			r = slot_is_compat(slot) ? 0 : -ENOENT; /* a kernel without that table */
			continue;
		}
		r = bpf_program__set_attach_target(program, 0, symbol);
		if (r >= 0)
			r = bpf_program__set_autoload(program, true);
	}
	btf__free(kernel);
	return r;
}

static int fentry_attach(struct probe *probe)
{
	int r = 0;

	for (size_t slot = 0; r >= 0 && slot < call_table_count * TL_ABI_COUNT; slot++) {
		struct bpf_program *program = program_of_slot(probe->skel, "fentry", slot);

		if (bpf_program__autoload(program))
			r = probe_keep_link(probe, bpf_program__attach(program));
	}
	return r;
}

static int kprobe_prepare(struct trapline_bpf *skel)
{
	char symbol[SYMBOL_BYTES];
	int r = 0;

	for (size_t slot = 0; r >= 0 && slot < call_table_count * TL_ABI_COUNT; slot++)
		if (symbol_of_slot(slot, symbol, sizeof(symbol)) >= 0)
			r = bpf_program__set_autoload(program_of_slot(skel, "kprobe", slot), true);
	return r;
}

static int kprobe_attach(struct probe *probe)
{
	char symbol[SYMBOL_BYTES];
	int r = 0;

	for (size_t slot = 0; r >= 0 && slot < call_table_count * TL_ABI_COUNT; slot++) {
		if (symbol_of_slot(slot, symbol, sizeof(symbol)) < 0)
			continue;
		struct bpf_program *program = program_of_slot(probe->skel, "kprobe", slot);
		r = probe_keep_link(probe, bpf_program__attach_kprobe(program, false, symbol));
		if (r == -ENOENT && slot_is_compat(slot))
			r = 0; /* a kernel without that table */
	}
	return r;
}

static int tp_btf_prepare(struct trapline_bpf *skel)
{
	return bpf_program__set_autoload(skel->progs.enter_tp_btf, true);
}

static int tp_btf_attach(struct probe *probe)
{
	return probe_keep_link(probe, bpf_program__attach(probe->skel->progs.enter_tp_btf));
}

static int raw_tp_prepare(struct trapline_bpf *skel)
{
	return bpf_program__set_autoload(skel->progs.enter_raw_tp, true);
}

static int raw_tp_attach(struct probe *probe)
{
	return probe_keep_link(probe, bpf_program__attach(probe->skel->progs.enter_raw_tp));
}

static int tracepoint_prepare(struct trapline_bpf *skel)
{
	int r = 0;

	for (size_t call = 0; r >= 0 && call < call_table_count; call++)
		r = bpf_program__set_autoload(program_of_slot(skel, "tracepoint", call), true);
	return r;
}

static int open_tracepoint(int id)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_TRACEPOINT,
		.config = (uint64_t)id,
	};
	long fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int tracepoint_attach(struct probe *probe)
{
	char name[SYMBOL_BYTES];
	int r = 0;

	for (size_t call = 0; r >= 0 && call < call_table_count; call++) {
		snprintf(name, sizeof(name), "sys_enter_%s", call_table[call].name);
		int id = tracefs_event_id("syscalls", name);
		int fd = id < 0 ? id : open_tracepoint(id);
		if (fd < 0)
			return fd;
		struct bpf_link *link = bpf_program__attach_perf_event(
		    program_of_slot(probe->skel, "tracepoint", call), fd);
		r = probe_keep_link(probe, link);
		if (r < 0)
			close(fd); /* otherwise the link has it */
	}
	return r;
}

/* In the order in which auto tries them: hooks on the calls alone tax nobody else. Tracepoints
 * never see 32-bit calls and are slow to detach: only on request. */
const struct hook probe_hooks[PROBE_HOOK_COUNT] = {
	[PROBE_HOOK_AUTO] = { .name = "auto" },
	[PROBE_HOOK_FENTRY] = { "fentry", fentry_prepare, fentry_attach },
	[PROBE_HOOK_KPROBE] = { "kprobe", kprobe_prepare, kprobe_attach },
	[PROBE_HOOK_TP_BTF] = { "tp_btf", tp_btf_prepare, tp_btf_attach },
	[PROBE_HOOK_RAW_TP] = { "raw_tp", raw_tp_prepare, raw_tp_attach },
	[PROBE_HOOK_TRACEPOINT] = { "tracepoint", tracepoint_prepare, tracepoint_attach },
};

static const char *const transport_names[PROBE_TRANSPORT_COUNT] = {
	[PROBE_TRANSPORT_AUTO] = "auto",
	[PROBE_TRANSPORT_RINGBUF] = "ringbuf",
	[PROBE_TRANSPORT_PERFBUF] = "perfbuf",
};

const char *probe_hook_name(enum probe_hook hook)
{
	return hook < PROBE_HOOK_COUNT ? probe_hooks[hook].name : NULL;
}

const char *probe_transport_name(enum probe_transport transport)
{
	return transport < PROBE_TRANSPORT_COUNT ? transport_names[transport] : NULL;
}

int probe_hook_from_name(const char *name, enum probe_hook *ret_hook)
{
	for (enum probe_hook hook = 0; hook < PROBE_HOOK_COUNT; hook++) {
		if (strcmp(name, probe_hooks[hook].name) != 0)
			continue;
		*ret_hook = hook;
		return 0;
	}
	return -EINVAL;
}

int probe_transport_from_name(const char *name, enum probe_transport *ret_transport)
{
	for (enum probe_transport i = 0; i < PROBE_TRANSPORT_COUNT; i++) {
		if (strcmp(name, transport_names[i]) != 0)
			continue;
		*ret_transport = i;
		return 0;
	}
	return -EINVAL;
}
