/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A process that makes an exact number of calls, and no others of their kind. It stops itself
 * (SIGSTOP) when it is ready, and again after each round; a round begins with SIGCONT. Linked
 * statically: nothing reads a library before main.
 *
 *   victim calls READS WRITES [ROUNDS]     one-byte reads of /dev/zero, writes to /dev/null
 *   victim compat READS WRITES [ROUNDS]    the same through int 0x80 (x86-64 alone)
 *   victim x32 READS WRITES [ROUNDS]       the same as x32 calls
 *   victim threads COUNT READS             so many threads make READS reads each
 *   victim forever                         reads and writes until it is killed
 *   victim sockets FD READS WRITES         one-byte reads and writes on an inherited descriptor
 *   victim spawn PID ARG...                a child with that very PID (clone3 set_tid) runs ARG...
 *   victim leave CODE                      the first thread ends, another ends the process
 *   victim race THREADS                    all threads end by themselves, at once
 *   victim storm COUNT                     so many children exec /bin/true-like ourselves and end
 *   victim name COMM SECONDS               sets its name and waits
 *   victim exit CODE | signal NUMBER | sleep MS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int zero_fd, null_fd;

static long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text) {
		fprintf(stderr, "victim: bad number %s\n", text);
		exit(99);
	}
	return value;
}

static void refuse(const char *what)
{
	fprintf(stderr, "victim: %s: %s\n", what, strerror(errno));
	exit(98);
}

#if defined(__x86_64__)
static long call_compat(long nr, long a, void *b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static long call_x32(long nr, long a, void *b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr | 0x40000000L), "D"(a), "S"(b), "d"(c)
			 : "memory", "rcx", "r11");
	return result;
}
#else
static long call_compat(long nr, long a, void *b, long c)
{
	(void)nr, (void)a, (void)b, (void)c;
	return -ENOSYS;
}
#define call_x32 call_compat
#endif

static long call_native(long nr, long a, void *b, long c)
{
	return syscall(nr, a, b, c);
}

struct kind {
	const char *name;
	long (*call)(long nr, long a, void *b, long c);
	long read_nr, write_nr;
};

static const struct kind kinds[] = {
	{ "calls", call_native, SYS_read, SYS_write },
	{ "compat", call_compat, 3, 4 },
	{ "x32", call_x32, 0, 1 },
};

static void make_calls(const struct kind *kind, long reads, long writes, int read_fd, int write_fd)
{
	/* Below 4 GiB, where a 32-bit call can point. */
	char *byte = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (byte == MAP_FAILED)
		byte = (char *)0x10000000; /* mapped in an earlier round */
	for (long i = 0; i < reads; i++)
		if (kind->call(kind->read_nr, read_fd, byte, 1) != 1)
			refuse("read");
	for (long i = 0; i < writes; i++)
		if (kind->call(kind->write_nr, write_fd, byte, 1) != 1)
			refuse("write");
}

static int do_rounds(const struct kind *kind, int argc, char **argv)
{
	long reads = number(argv[2]), writes = number(argv[3]);
	long rounds = argc > 4 ? number(argv[4]) : 1;

	for (long round = 0; round < rounds; round++) {
		raise(SIGSTOP);
		make_calls(kind, reads, writes, zero_fd, null_fd);
	}
	raise(SIGSTOP);
	return 0;
}

static long thread_reads;

static void *reading_thread(void *unused)
{
	char byte;

	for (long i = 0; i < thread_reads; i++)
		syscall(SYS_read, zero_fd, &byte, 1);
	return unused;
}

static int do_threads(int argc, char **argv)
{
	long count = number(argv[2]);
	pthread_t threads[64];

	(void)argc;
	thread_reads = number(argv[3]);
	raise(SIGSTOP);
	for (long i = 0; i < count && i < 64; i++)
		pthread_create(&threads[i], NULL, reading_thread, NULL);
	for (long i = 0; i < count && i < 64; i++)
		pthread_join(threads[i], NULL);
	raise(SIGSTOP);
	return 0;
}

static int do_forever(int argc, char **argv)
{
	char byte = 0;

	(void)argc, (void)argv;
	raise(SIGSTOP);
	for (;;) {
		syscall(SYS_read, zero_fd, &byte, 1);
		syscall(SYS_write, null_fd, &byte, 1);
	}
	return 0;
}

static int do_sockets(int argc, char **argv)
{
	int fd = (int)number(argv[2]);

	(void)argc;
	raise(SIGSTOP);
	make_calls(&kinds[0], number(argv[3]), number(argv[4]), fd, fd);
	raise(SIGSTOP);
	return 0;
}

static int do_spawn(int argc, char **argv)
{
	pid_t pid = (pid_t)number(argv[2]);
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&pid,
		.set_tid_size = 1,
	};
	int status = 0;

	(void)argc;
	long child = syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0)
		refuse("clone3");
	if (child == 0) {
		execv(argv[3], argv + 3);
		_exit(97);
	}
	while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void *ending_thread(void *argument)
{
	usleep(100000); /* so that the first thread is gone: its end is what is tested */
	exit((int)(intptr_t)argument);
}

static int do_leave(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	pthread_create(&thread, NULL, ending_thread, (void *)(intptr_t)number(argv[2]));
	pthread_exit(NULL);
}

static pthread_barrier_t start_line;

static void *racing_thread(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&start_line);
	syscall(SYS_exit, 0); /* this thread alone */
	return NULL;
}

static int do_race(int argc, char **argv)
{
	long count = number(argv[2]);
	pthread_t thread;

	(void)argc;
	pthread_barrier_init(&start_line, NULL, (unsigned int)count + 1);
	for (long i = 0; i < count; i++)
		pthread_create(&thread, NULL, racing_thread, NULL);
	pthread_barrier_wait(&start_line);
	syscall(SYS_exit, 0);
	return 0;
}

static int do_storm(int argc, char **argv)
{
	static char self[] = "/proc/self/exe";
	char *const child[] = { self, (char *)"exit", (char *)"7", NULL };
	long left = number(argv[2]), batch = 64;

	(void)argc;
	while (left > 0) {
		long now = left < batch ? left : batch;

		for (long i = 0; i < now; i++) {
			pid_t pid = vfork();

			if (pid == 0) {
				execv(self, child);
				_exit(97);
			}
			if (pid < 0)
				refuse("vfork");
		}
		for (long i = 0; i < now; i++)
			wait(NULL);
		left -= now;
	}
	return 0;
}

static int do_name(int argc, char **argv)
{
	(void)argc;
	prctl(PR_SET_NAME, argv[2]);
	raise(SIGSTOP);
	make_calls(&kinds[0], 1, 0, zero_fd, null_fd);
	raise(SIGSTOP);
	return 0;
}

static int do_exit(int argc, char **argv)
{
	(void)argc;
	return (int)number(argv[2]);
}

static int do_signal(int argc, char **argv)
{
	struct rlimit none = { 0, 0 };

	/* With a third word a core is written, where the machine writes any. */
	if (argc < 4)
		setrlimit(RLIMIT_CORE, &none);
	raise((int)number(argv[2]));
	pause();
	return 0;
}

static int do_sleep(int argc, char **argv)
{
	long ms = number(argv[2]);
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	(void)argc;
	nanosleep(&time, NULL);
	return 0;
}

static const struct {
	const char *name;
	int min_argc;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "threads", 4, do_threads }, { "forever", 2, do_forever }, { "sockets", 5, do_sockets },
	{ "spawn", 4, do_spawn },     { "leave", 3, do_leave },	    { "race", 3, do_race },
	{ "storm", 3, do_storm },     { "name", 3, do_name },	    { "exit", 3, do_exit },
	{ "signal", 3, do_signal },   { "sleep", 3, do_sleep },
};

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing is left behind */
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (size_t i = 0; argc > 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			return do_rounds(&kinds[i], argc, argv);
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc >= commands[i].min_argc)
			return commands[i].run(argc, argv);
	fprintf(stderr, "victim: bad arguments\n");
	return 99;
}
