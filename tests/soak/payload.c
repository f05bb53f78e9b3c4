/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the soak starts, without a libc, so that the time goes to the daemon:
 *
 *	payload exit N		exit with N
 *	payload say N		write "said" and a newline to 1, exit with N
 *	payload mark FILE N	append one byte to FILE, exit with N
 *	payload wait		wait for a signal
 */
#include <fcntl.h>
#include <sys/syscall.h>

#define WORD_EXIT 'e'
#define WORD_SAY 's'
#define WORD_MARK 'm'

static long
call(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
			 : "memory");
	return x0;
#else
#error "the system calls of this machine are not known here"
#endif
}

static long
number(const char *text)
{
	long n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + (*text++ - '0');
	return n;
}

__attribute__((noreturn, used)) void
payload(const long *stack)
{
	const char *const *argv = (const char *const *)(stack + 1);
	long argc = stack[0], code = 99, fd;
	char word = argc > 1 ? argv[1][0] : '\0';

	if (word == WORD_EXIT && argc == 3) {
		code = number(argv[2]);
	} else if (word == WORD_SAY && argc == 3) {
		code = call(SYS_write, 1, (long)"said\n", 5, 0) == 5
			       ? number(argv[2])
			       : 98;
	} else if (word == WORD_MARK && argc == 4) {
		fd = call(SYS_openat, AT_FDCWD, (long)argv[2],
			  O_WRONLY | O_CREAT | O_APPEND, 0644);
		code = fd >= 0 && call(SYS_write, fd, (long)"x", 1, 0) == 1
			       ? number(argv[3])
			       : 98;
	} else if (word == 'w') {
		/* ppoll(NULL, 0, NULL, NULL): for ever */
		(void)call(SYS_ppoll, 0, 0, 0, 0);
	}
	(void)call(SYS_exit_group, code, 0, 0, 0);
	__builtin_unreachable();
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n"
	"\tcall payload\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl payload\n");
#endif
