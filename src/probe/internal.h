/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the files of this folder share: the probe itself and the table of hooks. */
#ifndef TL_PROBE_INTERNAL_H
#define TL_PROBE_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "probe/probe.h"
#include "probe/transport.h"
#include "trapline.skel.h"

/* Slots of hooks on single calls: a call in one of the two tables. */
#define MAX_CALL_LINKS 4
#define MAX_LIFE_LINKS 3
#define CHOICE_BYTES 512

struct probe {
	struct trapline_bpf *skel;
	struct probe_config config;
	enum probe_hook hook;
	enum probe_transport transport_kind;
	struct transport *transport;
	struct bpf_link *call_links[MAX_CALL_LINKS];
	size_t call_link_count;
	struct bpf_link *life_links[MAX_LIFE_LINKS];
	size_t life_link_count;
	struct bpf_link *task_iterator, *file_iterator;
	bool peers_readable;
	char choice[CHOICE_BYTES];
};

/* One way of seeing calls. */
struct hook {
	const char *name;
	/* Chooses the programs and their targets, before loading. Returns 0 or a negative errno. */
	int (*prepare)(struct trapline_bpf *skel);
	/* Attaches to everything that is watched, all or nothing. */
	int (*attach)(struct probe *probe);
};

extern const struct hook probe_hooks[PROBE_HOOK_COUNT];

/* Keeps link for detaching, or returns its error. */
int probe_keep_link(struct probe *probe, struct bpf_link *link);

#endif
