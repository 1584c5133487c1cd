/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The answer to one request, as a value: a status and a JSON text. It sends nothing. No threads. */
#ifndef TL_CONTROL_ANSWER_H
#define TL_CONTROL_ANSWER_H

#include <jansson.h>
#include <stddef.h>

/* Enough for every method that there is. */
#define ANSWER_ALLOW_BYTES 64

struct answer {
	unsigned int status; /* 0: there is no answer yet */
	char *text;	     /* owned; NULL where memory has run out */
	size_t bytes;
	char allow[ANSWER_ALLOW_BYTES]; /* the methods of the path, for a 405; or empty */
};

/* Takes body; NULL stands for memory that has run out. */
void answer_json(struct answer *answer, unsigned int status, json_t *body);

/* {"error": text}, replacing the answer that there was. */
void answer_error(struct answer *answer, unsigned int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Frees the text. */
void answer_clear(struct answer *answer);

#endif
