/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A refusal names its cause and what to do about it, in one line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "probe/facts.h"

/* A machine on which nothing is in the way. */
static struct facts good(void)
{
	return (struct facts){
		.release = "6.1.0-56-cloud-amd64",
		.machine = "x86_64",
		.kernel_major = 6,
		.kernel_minor = 1,
		.has_btf = true,
		.bpf_syscall = true,
		.lockdown = "none",
		.memlock_bytes = UINT64_MAX,
	};
}

static void check_text(const char *text, const char *const *parts)
{
	assert_non_null(text);
	assert_null(strchr(text, '\n'));
	for (; *parts; parts++)
		if (!strstr(text, *parts))
			fail_msg("\"%s\" does not say \"%s\"", text, *parts);
}

/* The objection, and what becomes of it in the explanation of an attempt that failed. */
static void check_objection(const struct facts *facts, const char *const *parts)
{
	_cleanup_free_ char *objection = facts_objection(facts);
	_cleanup_free_ char *text = facts_explain(facts, "load the kernel side", -EPERM);

	check_text(objection, parts);
	check_text(text, parts);
	assert_memory_equal(text, "cannot load the kernel side: ", 29);
	assert_string_equal(text + 29, objection);
}

#define SAYS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_no_objection(void **state)
{
	struct facts facts = good();
	static const char *const lockdowns[] = { "none", "integrity", "unknown", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lockdowns); i++) {
		snprintf(facts.lockdown, sizeof(facts.lockdown), "%s", lockdowns[i]);
		assert_null(facts_objection(&facts));
	}
	facts.memlock_bytes = 0;
	assert_null(facts_objection(&facts));
}

static void test_capabilities(void **state)
{
	struct facts facts = good();

	(void)state;
	strcpy(facts.missing_capabilities, "CAP_BPF, CAP_PERFMON");
	check_objection(&facts, SAYS("lacks CAP_BPF, CAP_PERFMON", "as root", "sudo"));
	strcpy(facts.missing_capabilities, "CAP_PERFMON");
	check_objection(&facts, SAYS("lacks CAP_PERFMON"));
	/* Without rights nothing else can be told for sure: it comes first. */
	facts.has_btf = facts.bpf_syscall = false;
	check_objection(&facts, SAYS("lacks CAP_PERFMON"));
}

static void test_no_bpf(void **state)
{
	struct facts facts = good();

	(void)state;
	facts.bpf_syscall = false;
	check_objection(&facts, SAYS("6.1.0-56-cloud-amd64", "bpf(2)", "CONFIG_BPF_SYSCALL",
				     "seccomp", "privileged"));
}

static void test_old_kernel(void **state)
{
	static const struct {
		unsigned int major, minor;
		bool is_old;
	} rows[] = {
		{ 2, 6, true },	 { 4, 19, true },  { 5, 0, true },
		{ 5, 7, true },	 { 5, 8, false },  { 5, 10, false },
		{ 6, 0, false }, { 10, 1, false }, { 0, 0, false }, /* not known: it is tried */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct facts facts = good();

		facts.kernel_major = rows[i].major;
		facts.kernel_minor = rows[i].minor;
		strcpy(facts.release, "some-release");
		if (rows[i].is_old)
			check_objection(&facts, SAYS("some-release", "too old", "5.8"));
		else
			assert_null(facts_objection(&facts));
	}
}

static void test_no_btf(void **state)
{
	struct facts facts = good();

	(void)state;
	facts.has_btf = false;
	check_objection(&facts, SAYS("6.1.0-56-cloud-amd64", "BTF", "/sys/kernel/btf/vmlinux",
				     "CONFIG_DEBUG_INFO_BTF=y"));
	/* An old kernel has none either; that it is old explains more. */
	facts.kernel_major = 4;
	check_objection(&facts, SAYS("too old"));
}

static void test_lockdown(void **state)
{
	struct facts facts = good();

	(void)state;
	strcpy(facts.lockdown, "confidentiality");
	check_objection(&facts, SAYS("lockdown", "confidentiality", "lockdown=integrity"));
}

static void check_explained(const struct facts *facts, int error, const char *const *parts)
{
	_cleanup_free_ char *text = facts_explain(facts, "attach to fentry", error);

	check_text(text, parts);
	check_text(text, SAYS("cannot attach to fentry: ", strerror(-error)));
}

/* Nothing known is in the way, and still it failed. */
static void test_explain(void **state)
{
	struct facts facts = good();

	(void)state;
	strcpy(facts.lockdown, "integrity");
	check_explained(&facts, -EPERM,
			SAYS("lockdown: integrity", "container", "privileged", "trapline doctor"));
	check_explained(&facts, -EACCES,
			SAYS("lockdown: integrity", "container", "privileged", "trapline doctor"));
	check_explained(&facts, -EINVAL, SAYS("trapline doctor"));
	check_explained(&facts, -ENOENT, SAYS("trapline doctor"));
	check_explained(&facts, -ENOMEM, SAYS("trapline doctor"));
}

/* Kernels that account BPF's memory as locked memory: those before 5.11. */
static void test_memlock(void **state)
{
	struct facts facts = good();
	_cleanup_free_ char *text = NULL, *other = NULL;

	(void)state;
	facts.kernel_major = 5;
	facts.kernel_minor = 10;
	facts.memlock_bytes = 64 << 10;
	check_explained(&facts, -EPERM,
			SAYS("locked memory", "64 KiB", "ulimit -l unlimited", "CAP_SYS_RESOURCE"));
	other = facts_explain(&facts, "try", -EINVAL);
	assert_null(strstr(other, "locked memory"));
	facts.kernel_minor = 11;
	text = facts_explain(&facts, "try", -EPERM);
	assert_null(strstr(text, "locked memory"));
	free(text);
	facts.kernel_minor = 10;
	facts.memlock_bytes = UINT64_MAX;
	text = facts_explain(&facts, "try", -EPERM);
	assert_null(strstr(text, "locked memory"));
}

static void test_gather(void **state)
{
	struct utsname name;
	struct facts facts;
	static const char *const lockdowns[] = { "none", "integrity", "confidentiality",
						 "unknown" };
	bool known = false;

	(void)state;
	memset(&facts, 0xee, sizeof(facts));
	facts_gather(&facts);
	assert_int_equal(uname(&name), 0);
	assert_string_equal(facts.release, name.release);
	assert_string_equal(facts.machine, name.machine);
	assert_int_equal(facts.kernel_major, strtoul(name.release, NULL, 10));
	for (size_t i = 0; i < ARRAY_SIZE(lockdowns); i++)
		known |= strcmp(facts.lockdown, lockdowns[i]) == 0;
	assert_true(known);
	assert_true(memchr(facts.missing_capabilities, '\0', FACTS_TEXT_BYTES) != NULL);
	assert_true(facts.memlock_bytes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_objection), cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_no_bpf),	     cmocka_unit_test(test_old_kernel),
		cmocka_unit_test(test_no_btf),	     cmocka_unit_test(test_lockdown),
		cmocka_unit_test(test_explain),	     cmocka_unit_test(test_memlock),
		cmocka_unit_test(test_gather),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
