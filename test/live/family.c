/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Processes that begin and end in the ways that are easily told wrongly. Linked statically.
 *
 *   family exit CODE
 *   family fork CODE MS [PID]       a child (with that very PID) that never execs lives so long
 *   family orphan CODE              a grandchild execs, and ends, when its parent has gone
 *   family leave CODE               the first thread ends; another ends the process at the end of
 *                                   standard input
 *   family race THREADS             all threads end by themselves, at once, each with its own code
 *   family threadexec CODE [alone]  a thread that is not the first execs; alone: the first has
 * ended family crowd COUNT              so many children exec, then all end with 7 at the end of
 *                                   standard input
 *   family then MS ARG...           execs ARG... after that time
 *   family after ARG...             execs ARG... at the end of standard input
 *   family namespace ARG...         a child in a PID namespace of its own execs ARG...
 *   family at FD NAME [ARG...]      execs NAME in the directory FD, or FD itself where NAME is ""
 *
 * Who has children prints their PIDs as it sees them, and ends with what its child ended with.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Not through the first thread, which may have ended. */
static char self[] = "/proc/thread-self/exe";

static long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text) {
		fprintf(stderr, "family: bad number %s\n", text);
		exit(99);
	}
	return value;
}

static void refuse(const char *what)
{
	fprintf(stderr, "family: %s: %s\n", what, strerror(errno));
	printf("refused\n");
	exit(98);
}

static void wait_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static void wait_for_end_of(int fd)
{
	char byte;
	ssize_t got;

	do
		got = read(fd, &byte, 1);
	while (got > 0 || (got < 0 && errno == EINTR));
}

static void say_pid(pid_t pid)
{
	printf("%d\n", (int)pid);
	fflush(stdout);
}

static int end_of(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void exec_exit(const char *code)
{
	execl(self, "family", "exit", code, (char *)NULL);
	_exit(97);
}

static int do_exit(int argc, char **argv)
{
	(void)argc;
	return (int)number(argv[2]);
}

static int do_fork(int argc, char **argv)
{
	pid_t pid = argc > 4 ? (pid_t)number(argv[4]) : 0;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&pid,
		.set_tid_size = 1,
	};
	long child = pid ? syscall(SYS_clone3, &args, sizeof(args)) : fork();

	if (child < 0)
		refuse("clone3");
	if (child == 0) {
		wait_ms(number(argv[3]));
		_exit((int)number(argv[2]));
	}
	say_pid((pid_t)child);
	return end_of((pid_t)child);
}

static int do_orphan(int argc, char **argv)
{
	int ends[2];
	pid_t middle;

	(void)argc;
	/* The grandchild is waited for here, by whom it is handed down to. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || pipe2(ends, O_CLOEXEC) < 0)
		refuse("prctl");
	middle = fork();
	if (middle == 0) {
		pid_t grandchild = fork();

		if (grandchild == 0) {
			close(ends[1]);
			wait_for_end_of(ends[0]);
			exec_exit(argv[2]);
		}
		say_pid(getpid());
		say_pid(grandchild);
		_exit(0);
	}
	end_of(middle);
	close(ends[1]);
	return end_of(-1);
}

static void *ending_thread(void *argument)
{
	wait_for_end_of(STDIN_FILENO);
	_exit((int)(intptr_t)argument);
}

static int do_leave(int argc, char **argv)
{
	pthread_t thread;

	(void)argc;
	pthread_create(&thread, NULL, ending_thread, (void *)(intptr_t)number(argv[2]));
	syscall(SYS_exit, 111); /* this thread alone */
	return 0;
}

static atomic_long to_come;

/* Two spin, so that they leave at the same moment on two CPUs; more than that would take turns. */
static void *racing_thread(void *code)
{
	bool two = (intptr_t)code >> 8;

	atomic_fetch_sub(&to_come, 1);
	while (atomic_load(&to_come) > 0)
		if (!two)
			sched_yield();
	syscall(SYS_exit, (int)((intptr_t)code & 0xff));
	return NULL;
}

static int do_race(int argc, char **argv)
{
	long count = number(argv[2]);
	intptr_t two = count == 2 ? 0x100 : 0;
	pthread_t thread;

	(void)argc;
	atomic_store(&to_come, count);
	for (intptr_t i = 1; i < count; i++)
		pthread_create(&thread, NULL, racing_thread, (void *)(two | i));
	racing_thread((void *)(two | count));
	return 0;
}

/* Whether the first thread has ended: a zombie among threads that live. */
static int first_has_ended(void)
{
	char stat[512];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, stat, sizeof(stat) - 1);
	char *state;

	close(fd);
	stat[got > 0 ? got : 0] = '\0';
	state = strrchr(stat, ')');
	return state && state[1] && state[2] == 'Z';
}

static const char *exec_code;
static int exec_alone;

static void *execing_thread(void *unused)
{
	while (exec_alone && !first_has_ended())
		sched_yield();
	exec_exit(exec_code);
	return unused;
}

static int do_threadexec(int argc, char **argv)
{
	pthread_t thread;

	exec_code = argv[2];
	exec_alone = argc > 3;
	pthread_create(&thread, NULL, execing_thread, NULL);
	while (!exec_alone)
		pause();
	syscall(SYS_exit, 111);
	return 0;
}

static int do_hold(int argc, char **argv)
{
	(void)argc;
	wait_for_end_of((int)number(argv[2]));
	return 7;
}

static int do_crowd(int argc, char **argv)
{
	char fd[16];
	char *const child[] = { (char *)"family", (char *)"hold", fd, NULL };
	long count = number(argv[2]);
	int ends[2];

	(void)argc;
	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFD, 0) < 0)
		refuse("pipe");
	snprintf(fd, sizeof(fd), "%d", ends[0]);
	for (long i = 0; i < count; i++) {
		pid_t pid = vfork(); /* returns when the child has exec'ed */

		if (pid == 0) {
			execv(self, child);
			_exit(97);
		}
		if (pid < 0)
			refuse("vfork");
	}
	printf("ready\n");
	fflush(stdout);
	wait_for_end_of(STDIN_FILENO);
	close(ends[1]);
	while (wait(NULL) > 0)
		continue;
	return 0;
}

static int do_then(int argc, char **argv)
{
	(void)argc;
	wait_ms(number(argv[2]));
	execv(argv[3], argv + 3);
	return 97;
}

static int do_after(int argc, char **argv)
{
	(void)argc;
	wait_for_end_of(STDIN_FILENO);
	execv(argv[2], argv + 2);
	return 97;
}

static int do_namespace(int argc, char **argv)
{
	(void)argc;
	if (unshare(CLONE_NEWPID) < 0)
		refuse("unshare");
	pid_t child = fork();
	if (child == 0) {
		execv(argv[2], argv + 2);
		_exit(97);
	}
	say_pid(child);
	return end_of(child);
}

static int do_at(int argc, char **argv)
{
	(void)argc;
	syscall(SYS_execveat, (int)number(argv[2]), argv[3], argv + 3, environ, AT_EMPTY_PATH);
	refuse("execveat");
	return 0;
}

static const struct {
	const char *name;
	int min_argc;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "exit", 3, do_exit },		  { "fork", 4, do_fork },
	{ "orphan", 3, do_orphan },	  { "leave", 3, do_leave },
	{ "race", 3, do_race },		  { "threadexec", 3, do_threadexec },
	{ "hold", 3, do_hold },		  { "crowd", 3, do_crowd },
	{ "then", 4, do_then },		  { "after", 3, do_after },
	{ "namespace", 3, do_namespace }, { "at", 4, do_at },
};

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing is left behind */
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc >= commands[i].min_argc)
			return commands[i].run(argc, argv);
	fprintf(stderr, "family: bad arguments\n");
	return 99;
}
