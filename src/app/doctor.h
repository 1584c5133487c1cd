/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What this kernel offers, tried for real, as a table on standard output. */
#ifndef TL_APP_DOCTOR_H
#define TL_APP_DOCTOR_H

/* Returns the exit status: 0 where trapline can run, 1 where it cannot. */
int doctor_run(void);

#endif
