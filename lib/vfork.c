/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place with assembly: after clone3() the child's stack is empty, so
 * it must not return to a C frame. It calls fn(arg) from registers.
 */
#include "lib/vfork.h"

pid_t
vfork_clone(struct clone_args *args, void (*fn)(void *arg), void *arg)
{
	args->flags |= CLONE_VM | CLONE_VFORK;
#if !VFORK_IS_POSSIBLE
	(void)fn;
	(void)arg;
	return -ENOSYS;
#elif defined(__x86_64__)
	register void (*child_fn)(void *) __asm__("r12") = fn;
	register void *child_arg __asm__("r13") = arg;
	long r = SYS_clone3;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "ud2\n"
			 "1:"
			 : "+a"(r)
			 : "D"(args), "S"(sizeof(*args)), "r"(child_fn),
			   "r"(child_arg)
			 : "rcx", "r11", "memory");
	return (pid_t)r;
#elif defined(__aarch64__)
	register void (*child_fn)(void *) __asm__("x19") = fn;
	register void *child_arg __asm__("x20") = arg;
	register long number __asm__("x8") = SYS_clone3;
	register long r __asm__("x0") = (long)args;
	register long size __asm__("x1") = (long)sizeof(*args);

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x20\n\t"
			 "blr x19\n\t"
			 "brk #0\n"
			 "1:"
			 : "+r"(r)
			 : "r"(number), "r"(size), "r"(child_fn), "r"(child_arg)
			 : "memory", "cc", "x30");
	return (pid_t)r;
#endif
}
