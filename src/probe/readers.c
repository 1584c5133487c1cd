/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "probe/readers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MAX_FOUND 1024 /* processes: more than this is no chain of readers but a mistake */
#define MAX_ANCESTRY 64

enum role { ROLE_ROOT = 1, ROLE_FILTER = 2, ROLE_RELAY = 4, ROLE_LEAF = 8 };

struct found {
	uint32_t tgid;
	unsigned int roles;
	unsigned int followed; /* roles whose outputs have been followed */
	size_t first_row;
};

struct search {
	const struct readers_query *query;
	const struct tl_file_row *rows; /* the query's */
	size_t count;
	size_t *by_object; /* indices of rows, in the order of their objects */
	struct found found[MAX_FOUND];
	size_t found_count;
};

/* Only for the time of a sort: qsort has no context. */
static __thread const struct tl_file_row *sorted_rows;

static int compare_objects(const void *left, const void *right)
{
	const struct tl_file_row *a = &sorted_rows[*(const size_t *)left];
	const struct tl_file_row *b = &sorted_rows[*(const size_t *)right];

	return a->object < b->object ? -1 : a->object > b->object;
}

static int search_index(struct search *search)
{
	search->by_object = malloc((search->count + 1) * sizeof(*search->by_object));
	if (!search->by_object)
		return -ENOMEM;
	for (size_t i = 0; i < search->count; i++)
		search->by_object[i] = i;
	sorted_rows = search->rows;
	qsort(search->by_object, search->count, sizeof(*search->by_object), compare_objects);
	return 0;
}

/* The place in by_object of the first row with that object, or of where it would be. */
static size_t first_of_object(const struct search *search, uint64_t object)
{
	size_t low = 0, high = search->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (search->rows[search->by_object[middle]].object < object)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_found(struct search *search, size_t row, unsigned int roles)
{
	uint32_t tgid = search->rows[row].tgid;
	size_t first = row;

	for (size_t i = 0; i < search->found_count; i++) {
		if (search->found[i].tgid == tgid) {
			search->found[i].roles |= roles;
			return;
		}
	}
	if (search->found_count == MAX_FOUND)
		return;
	while (first > 0 && search->rows[first - 1].tgid == tgid)
		first--;
	search->found[search->found_count++] =
	    (struct found){ .tgid = tgid, .roles = roles, .first_row = first };
}

static const struct tl_file_row *row_of_process(const struct search *search, uint32_t tgid)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->rows[i].tgid == tgid)
			return &search->rows[i];
	return NULL;
}

static bool has_same_file(const struct search *search, uint32_t tgid, uint64_t file)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->rows[i].tgid == tgid && search->rows[i].file == file)
			return true;
	return false;
}

/* Whether an ancestor has the very same open file: then this one came by inheritance. */
static bool is_inherited(const struct search *search, const struct tl_file_row *row)
{
	uint32_t parent = row->ppid;

	for (int i = 0; i < MAX_ANCESTRY && parent > 1; i++) {
		const struct tl_file_row *ancestor = row_of_process(search, parent);

		if (!ancestor)
			return false;
		if (has_same_file(search, parent, row->file))
			return true;
		parent = ancestor->ppid;
	}
	return false;
}

static unsigned int reader_role(const struct tl_file_row *row)
{
	return row->fd == 0 ? ROLE_FILTER : ROLE_LEAF;
}

/* Everyone who has the object and takes from it what is written into it. */
static void follow_object(struct search *search, uint64_t object, uint32_t writer)
{
	for (size_t i = first_of_object(search, object); i < search->count; i++) {
		size_t index = search->by_object[i];
		const struct tl_file_row *row = &search->rows[index];

		if (row->object != object)
			break;
		if (row->tgid == writer)
			continue;
		switch (row->kind) {
		case TL_FILE_PTY_MASTER:
			add_found(search, index, ROLE_RELAY);
			break;
		case TL_FILE_PIPE:
			if (row->flags & TL_FILE_READ && (!row->fd || !is_inherited(search, row)))
				add_found(search, index, reader_role(row));
			break;
		case TL_FILE_REGULAR:
			if (row->flags & TL_FILE_READ)
				add_found(search, index, reader_role(row));
			break;
		case TL_FILE_UNIX:
			add_found(search, index, reader_role(row));
			break;
		default:
			break;
		}
	}
}

static bool is_other_end(const struct tl_file_row *one, const struct tl_file_row *other)
{
	return other->kind == TL_FILE_TCP && !(other->flags & TL_FILE_LISTENS) &&
	       one->local_port == other->remote_port && one->remote_port == other->local_port &&
	       memcmp(one->local, other->remote, sizeof(one->local)) == 0 &&
	       memcmp(one->remote, other->local, sizeof(one->remote)) == 0;
}

static void follow_tcp(struct search *search, const struct tl_file_row *output)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->rows[i].tgid != output->tgid && is_other_end(output, &search->rows[i]))
			add_found(search, i, reader_role(&search->rows[i]));
}

static void follow_output(struct search *search, const struct tl_file_row *output)
{
	if (output->kind == TL_FILE_TCP)
		follow_tcp(search, output);
	else if (output->kind == TL_FILE_UNIX && output->peer)
		follow_object(search, output->peer, output->tgid);
	else if (output->kind != TL_FILE_UNIX)
		follow_object(search, output->object, output->tgid);
}

static bool port_is_listened_on(const struct search *search, uint16_t port)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->rows[i].flags & TL_FILE_LISTENS && search->rows[i].local_port == port)
			return true;
	return false;
}

/* Where X11 and Wayland servers listen: a terminal's window is shown there. */
static bool is_display(const char *name)
{
	const char *path = name[0] ? name : name + 1; /* abstract names begin with a NUL */

	return strncmp(path, "/tmp/.X11-unix/", strlen("/tmp/.X11-unix/")) == 0 ||
	       strstr(path, "/wayland-") != NULL;
}

static bool relay_writes(const struct search *search, const struct tl_file_row *row)
{
	if (row->kind == TL_FILE_UNIX)
		return row->flags & TL_FILE_NAMED || !(row->flags & TL_FILE_PEER_NAMED) ||
		       is_display(row->peer_name);
	return row->kind == TL_FILE_TCP && port_is_listened_on(search, row->local_port);
}

static bool is_own_output(const struct readers_query *query, const struct tl_file_row *row)
{
	for (size_t i = 0; i < query->output_count; i++)
		if ((uint32_t)query->outputs[i] == row->fd)
			return row->tgid == query->self_tgid && row->flags & TL_FILE_WRITE;
	return false;
}

static bool is_output(const struct search *search, unsigned int role, const struct tl_file_row *row)
{
	bool standard = row->fd == 1 || row->fd == 2;

	if (!(row->flags & TL_FILE_WRITE) || row->kind == TL_FILE_PTY_MASTER ||
	    row->flags & TL_FILE_LISTENS)
		return false;
	switch (role) {
	case ROLE_ROOT:
		return is_own_output(search->query, row);
	case ROLE_FILTER:
		return true;
	case ROLE_RELAY:
		return standard || row->kind == TL_FILE_PTY_SLAVE || relay_writes(search, row);
	default:
		return standard || row->kind == TL_FILE_PTY_SLAVE;
	}
}

static void follow_process(struct search *search, size_t index)
{
	struct found process = search->found[index];
	unsigned int fresh = process.roles & ~process.followed;

	search->found[index].followed |= fresh;
	for (unsigned int role = ROLE_ROOT; role <= ROLE_LEAF; role <<= 1) {
		if (!(fresh & role))
			continue;
		for (size_t i = process.first_row;
		     i < search->count && search->rows[i].tgid == process.tgid; i++)
			if (is_output(search, role, &search->rows[i]))
				follow_output(search, &search->rows[i]);
	}
}

static void follow_all(struct search *search)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < search->found_count; i++) {
			if (!(search->found[i].roles & ~search->found[i].followed))
				continue;
			follow_process(search, i);
			again = true;
		}
	}
}

int readers_find(const struct readers_query *query, struct reader **ret_readers, size_t *ret_count)
{
	_cleanup_free_ struct search *search = calloc(1, sizeof(*search));
	struct reader *readers = NULL;
	size_t used = 0;

	if (!search)
		return -ENOMEM;
	*search = (struct search){ .query = query, .rows = query->rows, .count = query->count };
	if (search_index(search) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < query->count && !search->found_count; i++)
		if (query->rows[i].tgid == query->self_tgid)
			add_found(search, i, ROLE_ROOT);
	follow_all(search);
	free(search->by_object);
	readers = calloc(search->found_count + 1, sizeof(*readers));
	if (!readers)
		return -ENOMEM;
	for (size_t i = 0; i < search->found_count; i++) {
		const struct tl_file_row *row = &query->rows[search->found[i].first_row];

		if (row->tgid == query->self_tgid)
			continue;
		readers[used].tgid = row->tgid;
		readers[used].start_boottime_ns = row->start_boottime_ns;
		memcpy(readers[used].comm, row->comm, TL_COMM_BYTES);
		used++;
	}
	*ret_readers = readers;
	*ret_count = used;
	return 0;
}

size_t readers_own_inodes(const struct readers_query *query, uint64_t *ret_inodes, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < query->count && used < room; i++) {
		const struct tl_file_row *row = &query->rows[i];
		bool known = false;

		if (!is_own_output(query, row) ||
		    (row->kind != TL_FILE_PIPE && row->kind != TL_FILE_REGULAR))
			continue;
		for (size_t j = 0; j < used; j++)
			known |= ret_inodes[j] == row->inode;
		if (!known)
			ret_inodes[used++] = row->inode;
	}
	return used;
}
