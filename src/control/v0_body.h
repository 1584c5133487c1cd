/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The bodies of v0 requests: bytes in, values out, or the text of the 400 that they get. Pure
 * functions, no threads.
 *
 * Each returns 0, or -EINVAL with *ret_error (allocated, the caller's) to be shown to the client,
 * or -ENOMEM with *ret_error untouched. JSON is RFC 8259 and nothing after it but white space;
 * integers are those of 64 bits.
 */
#ifndef TL_CONTROL_V0_BODY_H
#define TL_CONTROL_V0_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "aim/ip.h"

/* {"pid": 1234} */
int v0_body_pid(const char *body, size_t bytes, uint32_t *ret_pid, char **ret_error);

/* {"pids": [1234, 5678]}; *ret_pids as they were sent, at least one, the caller's. */
int v0_body_pids(const char *body, size_t bytes, uint32_t **ret_pids, size_t *ret_count,
		 char **ret_error);

/* {"add_ips": [1, "10.0.0.1", "10.0.0.0/8"]}; *ret_ips as v0_body_pids. */
int v0_body_ips(const char *body, size_t bytes, struct aim_ip **ret_ips, size_t *ret_count,
		char **ret_error);

/* {FIELD: true} */
int v0_body_true(const char *body, size_t bytes, const char *field, char **ret_error);

/* Nothing, white space, or any JSON value. */
int v0_body_any(const char *body, size_t bytes, char **ret_error);

#endif
