/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Attributes that release a variable when it goes out of scope, and the two helpers that hand
 * ownership on. Every destructor here takes an unset variable. No threads.
 */
#ifndef TL_BASE_CLEANUP_H
#define TL_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes *fd unless it is negative; errno survives. */
static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

/* Gives away the pointer in p: the variable is NULL afterwards. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__auto_type taken = (p);                                                           \
		(p) = NULL;                                                                        \
		taken;                                                                             \
	})

/* Gives away the descriptor in fd: the variable is -1 afterwards. */
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken = (fd);                                                                  \
		(fd) = -1;                                                                         \
		taken;                                                                             \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
