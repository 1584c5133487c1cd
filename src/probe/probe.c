/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <bpf/btf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "event/call_table.h"
#include "probe/facts.h"
#include "probe/internal.h"

/* The ring wakes its reader when an eighth of it is full. */
#define WAKEUP_FRACTION 8

static int on_libbpf_message(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	if (log_is_verbose())
		log_raw(format, args);
	return 0;
}

static uint64_t ring_size(uint64_t wanted)
{
	uint64_t bytes = PROBE_RING_BYTES_MIN;

	while (bytes < wanted && bytes < PROBE_RING_BYTES_MAX)
		bytes <<= 1;
	return bytes;
}

static enum probe_transport choose_transport(enum probe_transport wanted)
{
	if (wanted != PROBE_TRANSPORT_AUTO)
		return wanted;
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1 ? PROBE_TRANSPORT_RINGBUF
									  : PROBE_TRANSPORT_PERFBUF;
}

static int prepare_events(struct trapline_bpf *skel, enum probe_transport transport,
			  uint64_t ring_bytes)
{
	struct bpf_map *events = skel->maps.events;
	int r = 0;

	skel->rodata->use_ringbuf = transport == PROBE_TRANSPORT_RINGBUF;
	skel->rodata->wakeup_bytes = ring_bytes / WAKEUP_FRACTION;
	if (transport == PROBE_TRANSPORT_RINGBUF)
		return bpf_map__set_max_entries(events, (uint32_t)ring_bytes);
	r = bpf_map__set_type(events, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	if (r >= 0)
		r = bpf_map__set_key_size(events, sizeof(int));
	if (r >= 0)
		r = bpf_map__set_value_size(events, sizeof(int));
	if (r >= 0)
		r = bpf_map__set_max_entries(events, (uint32_t)libbpf_num_possible_cpus());
	return r;
}

static void prepare_life(struct trapline_bpf *skel, const struct probe_config *config)
{
	bpf_program__set_autoload(skel->progs.process_exited, true);
	bpf_program__set_autoload(skel->progs.process_forked, config->procs);
	bpf_program__set_autoload(skel->progs.process_execed, config->procs);
	bpf_program__set_autoload(skel->progs.list_tasks, true);
	bpf_program__set_autoload(skel->progs.list_files, config->calls);
	if (!config->procs) {
		/* Its name is there to be looked at; its room would be wasted. */
		bpf_map__set_max_entries(skel->maps.exec_start, 1);
		bpf_map__set_max_entries(skel->maps.exited, 1);
	}
}

/* One program that the kernel refuses fails the whole load: none is loaded but what is used. */
static int open_skeleton(const struct probe_config *config, const struct hook *hook,
			 enum probe_transport transport, struct trapline_bpf **ret_skel)
{
	struct trapline_bpf *skel = trapline_bpf__open();
	struct bpf_program *program;
	int r;

	if (!skel)
		return -errno;
	bpf_object__for_each_program(program, skel->obj) bpf_program__set_autoload(program, false);
	skel->rodata->may_print = config->verbose;
	skel->rodata->emit_procs = config->procs;
	skel->rodata->only_ends = config->only_ends;
	skel->rodata->min_duration_ns = config->min_duration_ns;
	prepare_life(skel, config);
	r = prepare_events(skel, transport, ring_size(config->ring_bytes));
	if (r >= 0 && hook)
		r = hook->prepare(skel);
	if (r < 0) {
		trapline_bpf__destroy(skel);
		return r;
	}
	*ret_skel = skel;
	return 0;
}

static void drop_links(struct bpf_link **links, size_t *count)
{
	while (*count)
		bpf_link__destroy(links[--*count]);
}

/*
 * Loads the object with one hook and sees whether it can be attached. The aim is empty: what is
 * attached for that moment watches nothing.
 */
static int load_with(struct probe *probe, enum probe_hook hook, const char **ret_stage)
{
	const struct hook *row = hook == PROBE_HOOK_AUTO ? NULL : &probe_hooks[hook];
	int r;

	*ret_stage = "load";
	r = open_skeleton(&probe->config, row, probe->transport_kind, &probe->skel);
	if (r >= 0)
		r = trapline_bpf__load(probe->skel);
	if (r >= 0 && row) {
		*ret_stage = "attach";
		r = row->attach(probe);
		drop_links(probe->call_links, &probe->call_link_count);
	}
	if (r < 0) {
		trapline_bpf__destroy(probe->skel);
		probe->skel = NULL;
		return r;
	}
	probe->hook = hook;
	return 0;
}

static void note(char *out, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void note(char *out, size_t bytes, const char *format, ...)
{
	size_t used = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + used, bytes - used, format, args);
	va_end(args);
}

/* What auto tries, best first: see probe_hooks. */
static const enum probe_hook auto_order[] = { PROBE_HOOK_FENTRY, PROBE_HOOK_KPROBE,
					      PROBE_HOOK_TP_BTF, PROBE_HOOK_RAW_TP };

static int load_best(struct probe *probe)
{
	char refused[CHOICE_BYTES] = "";
	const char *stage = "";
	int r = -ENOENT;

	if (!probe->config.calls) {
		r = load_with(probe, PROBE_HOOK_AUTO, &stage);
	} else if (probe->config.hook != PROBE_HOOK_AUTO) {
		r = load_with(probe, probe->config.hook, &stage);
		note(refused, sizeof(refused), "asked for");
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(auto_order); i++) {
			r = load_with(probe, auto_order[i], &stage);
			if (r >= 0)
				break;
			note(refused, sizeof(refused), "%s%s cannot %s: %s", refused[0] ? "; " : "",
			     probe_hook_name(auto_order[i]), stage, strerror(-r));
		}
		if (!refused[0])
			note(refused, sizeof(refused), "the best there is");
	}
	if (r < 0) {
		note(probe->choice, sizeof(probe->choice), "%s the kernel side%s%s", stage,
		     probe->config.calls ? " with hook " : "",
		     probe->config.calls ? probe_hook_name(probe->config.hook) : "");
		return r;
	}
	if (probe->config.calls)
		note(probe->choice, sizeof(probe->choice), "hook %s (%s), ",
		     probe_hook_name(probe->hook), refused);
	note(probe->choice, sizeof(probe->choice), "transport %s%s",
	     probe_transport_name(probe->transport_kind),
	     probe->config.transport != PROBE_TRANSPORT_AUTO ? " (asked for)"
	     : probe->transport_kind == PROBE_TRANSPORT_RINGBUF
		 ? " (the best there is)"
		 : " (the kernel has no ring buffer)");
	return 0;
}

/* Tells the kernel side the numbers of the calls that are watched, in each table. */
static void fill_watched(struct trapline_bpf *skel)
{
	for (size_t call = 0; call < call_table_count; call++)
		for (int abi = 0; abi < TL_ABI_COUNT; abi++)
			skel->bss->watched[abi][call_table[call].number[abi]] = (uint8_t)(call + 1);
}

static bool kernel_has_peers(void)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	bool has = kernel && btf__find_by_name_kind(kernel, "sock_common", BTF_KIND_STRUCT) > 0 &&
		   btf__find_by_name_kind(kernel, "socket", BTF_KIND_STRUCT) > 0;

	btf__free(kernel);
	return has;
}

static int start(struct probe *probe)
{
	uint32_t zero = 0;
	struct tl_config config = { .verbose = probe->config.verbose };
	struct tl_task_row *rows = NULL;
	size_t count = 0;
	int map_fd = bpf_map__fd(probe->skel->maps.events);
	uint64_t bytes = ring_size(probe->config.ring_bytes);
	int r = probe->transport_kind == PROBE_TRANSPORT_RINGBUF
		    ? transport_open_ring(map_fd, bytes, &probe->transport)
		    : transport_open_perf(map_fd, bytes, &probe->transport);

	if (r < 0)
		return r;
	fill_watched(probe->skel);
	r = bpf_map_update_elem(bpf_map__fd(probe->skel->maps.config_map), &zero, &config, BPF_ANY);
	if (r < 0)
		return r;
	/* Reading the iterator tells the kernel side, and us, who we are. */
	r = probe_list_tasks(probe, &rows, &count);
	free(rows);
	return r;
}

int probe_open(const struct probe_config *config, struct probe **ret_probe, char **ret_message)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	struct facts facts;
	int r;

	facts_gather(&facts);
	char *objection = facts_objection(&facts);
	if (objection || !probe) {
		free(probe);
		*ret_message = objection;
		return objection ? -EPERM : -ENOMEM;
	}
	libbpf_set_print(on_libbpf_message);
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	probe->config = *config;
	probe->transport_kind = choose_transport(config->transport);
	r = load_best(probe);
	if (r >= 0) {
		probe->peers_readable = kernel_has_peers();
		r = start(probe);
		if (r < 0)
			snprintf(probe->choice, sizeof(probe->choice), "open transport %s",
				 probe_transport_name(probe->transport_kind));
	}
	if (r < 0) {
		*ret_message = facts_explain(&facts, probe->choice, r);
		probe_close(probe);
		return r;
	}
	*ret_probe = probe;
	return 0;
}

void probe_close(struct probe *probe)
{
	if (!probe)
		return;
	probe_detach_calls(probe);
	probe_detach_life(probe);
	bpf_link__destroy(probe->task_iterator);
	bpf_link__destroy(probe->file_iterator);
	if (probe->transport)
		probe->transport->ops->close(probe->transport);
	trapline_bpf__destroy(probe->skel);
	free(probe);
}

int probe_try(enum probe_hook hook, enum probe_transport transport, const char **ret_stage)
{
	struct probe probe = {
		.config = { .hook = hook, .ring_bytes = PROBE_RING_BYTES_MIN, .calls = true },
		.transport_kind = choose_transport(transport),
	};

	libbpf_set_print(on_libbpf_message);
	int r = load_with(&probe, hook, ret_stage);
	trapline_bpf__destroy(probe.skel);
	return r;
}

const char *probe_choice(const struct probe *probe)
{
	return probe->choice;
}

enum probe_hook probe_chosen_hook(const struct probe *probe)
{
	return probe->hook;
}

enum probe_transport probe_chosen_transport(const struct probe *probe)
{
	return probe->transport_kind;
}

uint32_t probe_self_tgid(const struct probe *probe)
{
	return probe->skel->bss->self_tgid;
}

bool probe_can_read_peers(const struct probe *probe)
{
	return probe->peers_readable;
}

int probe_attach_calls(struct probe *probe)
{
	int r = 0;

	if (!probe->call_link_count)
		r = probe_hooks[probe->hook].attach(probe);
	if (r < 0)
		probe_detach_calls(probe);
	return r;
}

void probe_detach_calls(struct probe *probe)
{
	drop_links(probe->call_links, &probe->call_link_count);
}

bool probe_calls_attached(const struct probe *probe)
{
	return probe->call_link_count > 0;
}

int probe_attach_life(struct probe *probe)
{
	struct bpf_program *programs[] = { probe->skel->progs.process_forked,
					   probe->skel->progs.process_execed,
					   probe->skel->progs.process_exited };

	if (probe->life_link_count)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (!bpf_program__autoload(programs[i]))
			continue;
		struct bpf_link *link = bpf_program__attach(programs[i]);
		if (!link) {
			int r = -errno;

			probe_detach_life(probe);
			return r;
		}
		probe->life_links[probe->life_link_count++] = link;
	}
	return 0;
}

void probe_detach_life(struct probe *probe)
{
	drop_links(probe->life_links, &probe->life_link_count);
}

int probe_poll_fd(const struct probe *probe)
{
	return probe->transport->poll_fd;
}

size_t probe_drain(struct probe *probe, bool all, probe_record_fn *fn, void *context)
{
	return probe->transport->ops->drain(probe->transport, all, fn, context);
}

void probe_arm(struct probe *probe)
{
	probe->skel->bss->armed = 1;
}
