/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <string.h>

#include "abi/record.h"
#include "event/call_table.h"
#include "event/event.h"

static void decode_comm(struct event *event, const char *comm)
{
	event->comm = comm;
	event->comm_bytes = strnlen(comm, TL_COMM_BYTES);
}

static int decode_call(const struct tl_record *head, struct event *event)
{
	const struct tl_call_record *record = (const void *)head;

	event->type = EVENT_CALL;
	event->call = call_name(head->call);
	decode_comm(event, record->comm);
	return event->call ? 0 : -EBADMSG;
}

static int decode_exec(const struct tl_record *head, struct event *event)
{
	const struct tl_exec_record *record = (const void *)head;

	if (record->filename_bytes > TL_FILENAME_BYTES ||
	    sizeof(*record) + record->filename_bytes > head->length)
		return -EBADMSG;
	event->type = EVENT_EXEC;
	event->ppid = record->ppid;
	event->filename = (const char *)(record + 1);
	event->filename_bytes = record->filename_bytes;
	event->filename_cut = head->flags & TL_RECORD_CUT;
	event->filename_unreadable = head->flags & TL_RECORD_UNREADABLE;
	decode_comm(event, record->comm);
	return 0;
}

static int decode_exit(const struct tl_record *head, struct event *event)
{
	const struct tl_exit_record *record = (const void *)head;

	event->type = EVENT_EXIT;
	event->ppid = record->ppid;
	event->status = record->status;
	event->has_duration = record->exec_ns && head->time_ns >= record->exec_ns;
	event->duration_ns = event->has_duration ? head->time_ns - record->exec_ns : 0;
	decode_comm(event, record->comm);
	return 0;
}

int event_decode(const void *bytes, size_t length, int64_t wall_minus_boot_ns,
		 struct event *ret_event)
{
	static const struct {
		size_t min_length;
		int (*decode)(const struct tl_record *head, struct event *event);
	} types[] = {
		[TL_RECORD_CALL] = { sizeof(struct tl_call_record), decode_call },
		[TL_RECORD_EXEC] = { sizeof(struct tl_exec_record), decode_exec },
		[TL_RECORD_EXIT] = { sizeof(struct tl_exit_record), decode_exit },
	};
	const struct tl_record *head = bytes;
	struct event event = { 0 };

	/* A transport may pad: there may be more bytes than the record has. */
	if (length < sizeof(*head) || head->length > length || head->version != TL_RECORD_VERSION ||
	    head->type >= sizeof(types) / sizeof(types[0]) || !types[head->type].decode ||
	    head->length < types[head->type].min_length)
		return -EBADMSG;
	event.boot_ns = head->time_ns;
	event.wall_ns = (int64_t)head->time_ns + wall_minus_boot_ns;
	event.pid = head->tgid;
	event.tid = head->tid;
	event.generation = head->generation;
	event.cpu = head->cpu;
	if (types[head->type].decode(head, &event) < 0)
		return -EBADMSG;
	*ret_event = event;
	return 0;
}
