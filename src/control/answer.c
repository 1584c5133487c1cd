/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void answer_json(struct answer *answer, unsigned int status, json_t *body)
{
	answer_clear(answer);
	answer->status = status;
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	json_decref(body);
	if (!text)
		return;
	/* The end of the line in place of the NUL: an answer is looked at in terminals too. */
	answer->bytes = strlen(text) + 1;
	text[answer->bytes - 1] = '\n';
	answer->text = text;
}

void answer_error(struct answer *answer, unsigned int status, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	answer_json(answer, status, text ? json_pack("{s:s}", "error", text) : NULL);
}

void answer_clear(struct answer *answer)
{
	free(answer->text);
	*answer = (struct answer){ 0 };
}
