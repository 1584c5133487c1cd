/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Changes of the list of IPs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/change.h"
#include "base/cleanup.h"

static void remove_ips_from(struct run *run, size_t first)
{
	for (size_t i = first; i < run->aim.ip_count; i++)
		probe_remove_ip(run->probe, &run->aim.ips[i]);
	aim_cut_ips(&run->aim, first);
}

/*
 * Puts the entries from first on into the kernel's table. One that lies within an entry in force
 * hides it there, as the longer prefix: it counts from now on, not from the next generation.
 */
static int insert_ips(struct run *run, size_t first, const bool *covered)
{
	for (size_t i = first; i < run->aim.ip_count; i++) {
		struct tl_ip_entry entry = {
			.generation = run->aim.generation + !covered[i - first],
			.epoch = run->aim.ips_epoch,
		};
		int r = probe_set_ip(run->probe, &run->aim.ips[i], &entry);

		if (r < 0)
			return r == -ENOSPC || r == -E2BIG ? -ENOSPC : r;
	}
	return 0;
}

static int add_ips_locked(struct run *run, const struct aim_ip *ips, size_t count)
{
	_cleanup_free_ bool *inside = calloc(count, sizeof(*inside));
	_cleanup_free_ bool *covered = calloc(count, sizeof(*covered));
	size_t before = run->aim.ip_count, fresh = 0;
	int r;

	if (!inside || !covered)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		inside[i] = aim_covers_ip(&run->aim, &ips[i]);
	r = aim_add_ips(&run->aim, ips, count);
	/* Those that were new stand at the end of the list, in the order of the request. */
	for (size_t i = 0; r >= 0 && i < count && before + fresh < run->aim.ip_count; i++)
		if (aim_ip_compare(&run->aim.ips[before + fresh], &ips[i]) == 0)
			covered[fresh++] = inside[i];
	if (r >= 0 && run->aim.ip_count > TL_MAX_IPS)
		r = -ENOSPC;
	if (r >= 0)
		r = change_attach(run);
	if (r >= 0)
		r = insert_ips(run, before, covered);
	if (r < 0) {
		remove_ips_from(run, before);
		change_detach_if_idle(run);
	}
	return r;
}

int change_add_ips(void *context, const struct aim_ip *ips, size_t count, const char *line,
		   struct control_state *ret_state)
{
	struct run *run = context;

	pthread_mutex_lock(&run->change_lock);
	int r = add_ips_locked(run, ips, count);
	if (r >= 0) {
		run->aim.generation++;
		change_widen(run, line);
		change_fill_state(run, ret_state);
	}
	pthread_mutex_unlock(&run->change_lock);
	return r;
}

int change_clear_ips(void *context, const char *line, struct control_state *ret_state)
{
	struct run *run = context;

	pthread_mutex_lock(&run->change_lock);
	struct aim_ip *ips = TAKE_PTR(run->aim.ips);
	size_t count = run->aim.ip_count;
	aim_release(&run->aim);
	run->aim.generation++;
	run->aim.ips_epoch++;
	int r = change_narrow(run, line);
	for (size_t i = 0; i < count; i++)
		probe_remove_ip(run->probe, &ips[i]);
	free(ips);
	change_fill_state(run, ret_state);
	pthread_mutex_unlock(&run->change_lock);
	return r;
}

int change_get_ips(void *context, const char *line, struct aim_ip **ret_ips, size_t *ret_count)
{
	struct run *run = context;
	struct aim_ip *copy = NULL;
	int r = 0;

	pthread_mutex_lock(&run->change_lock);
	size_t count = run->aim.ip_count;
	if (count) {
		copy = malloc(count * sizeof(*copy));
		if (copy)
			memcpy(copy, run->aim.ips, count * sizeof(*copy));
		else
			r = -ENOMEM;
	}
	if (r >= 0) {
		change_announce(run, line);
		*ret_ips = copy;
		*ret_count = count;
	}
	pthread_mutex_unlock(&run->change_lock);
	return r;
}
