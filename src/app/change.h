/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What changes of the aim are made of. The run's change_lock is held in all but the last three. */
#ifndef TL_APP_CHANGE_H
#define TL_APP_CHANGE_H

#include "app/internal.h"

/* A line on standard output; NULL for none. */
void change_announce(struct run *run, const char *line);

/* What the lists hold now. */
void change_fill_state(struct run *run, struct control_state *ret_state);

/* Attaches what an aim needs, if it is not attached. Returns 0 or a negative errno. */
int change_attach(struct run *run);

/* Detaches if nothing is aimed at. */
void change_detach_if_idle(struct run *run);

/* Puts run->aim in force; it only adds to the one that was. */
void change_widen(struct run *run, const char *line);

/* Puts run->aim in force; it takes something away. Returns 0 or a negative errno. */
int change_narrow(struct run *run, const char *line);

/* Rows of change_ops. */
int change_add_ips(void *context, const struct aim_ip *ips, size_t count, const char *line,
		   struct control_state *ret_state);
int change_clear_ips(void *context, const char *line, struct control_state *ret_state);
int change_get_ips(void *context, const char *line, struct aim_ip **ret_ips, size_t *ret_count);

#endif
