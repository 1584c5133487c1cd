/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The endpoints of the v0 API: each checks its body, makes the change and fills the answer. Its
 * shapes are kept for ever. Handlers of the table in control/routes.c.
 */
#ifndef TL_CONTROL_V0_H
#define TL_CONTROL_V0_H

#include "control/answer.h"
#include "control/routes.h"

/* What the kernel's tables hold, for the text of a 507. */
#define V0_PIDS_MAX 65536
#define V0_IPS_MAX 65536

void v0_add_pid(const struct route_call *call, struct answer *answer);
void v0_add_pids(const struct route_call *call, struct answer *answer);
void v0_clear_pid_list(const struct route_call *call, struct answer *answer);
void v0_set_print_all(const struct route_call *call, struct answer *answer);
void v0_target_pids(const struct route_call *call, struct answer *answer);
void v0_add_ips(const struct route_call *call, struct answer *answer);
void v0_clear_ip_list(const struct route_call *call, struct answer *answer);
void v0_print_all_ips(const struct route_call *call, struct answer *answer);

#endif
