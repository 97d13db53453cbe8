// SPDX-License-Identifier: Apache-2.0
/*
 * The sandbox's first process. It holds the pod's namespaces, reaps what is reparented to it, and
 * exits 0 on SIGTERM or SIGINT. No libc: raw system calls, so that one gcc builds it anywhere.
 *
 * The signals are blocked and waited for rather than handled: the kernel drops a signal for PID 1
 * that has no handler, unless it is blocked.
 *
 * `pause -u` is something else: it holds a fresh user namespace until its standard input ends. It
 * tells by a byte on its standard output when it is in there, so that its maker can write the id
 * maps, and again for each byte it reads: the first one takes it to a fresh network namespace too.
 * It leaves with the errno of what failed.
 *
 * `pause -s` starts a sandbox process: see sandbox.c. Under the name "crun" it runs that: see unseen.c.
 */
#include "kernel.h"

#define VERSION "berth-pause 0.1\n"

#define SIGINT_BIT (1UL << (2 - 1))
#define SIGTERM_BIT (1UL << (15 - 1))
#define SIGCHLD_BIT (1UL << (17 - 1))
#define SIG_BLOCK 0
#define WNOHANG 1

#if defined(__x86_64__)

__asm__(".globl _start\n"
        "_start:\n"
        "  xor %ebp, %ebp\n"
        "  mov %rsp, %rdi\n"
        "  and $-16, %rsp\n"
        "  call pause_main\n"
        "  hlt\n");

#elif defined(__aarch64__)

__asm__(".globl _start\n"
        "_start:\n"
        "  mov x29, xzr\n"
        "  mov x30, xzr\n"
        "  mov x0, sp\n"
        "  bl pause_main\n"
        "  brk 0\n");

#endif

static void reap(void) {
  for (;;) {
    long pid = call4(SYS_wait4, -1, 0, WNOHANG, 0);
    if (pid <= 0 && pid != -EINTR) return;
  }
}

static void enter(long flags) {
  long result = call4(SYS_unshare, flags, 0, 0, 0);
  if (result < 0) leave((int)-result);
  call4(SYS_write, 1, (long)"+", 1, 0);
}

static __attribute__((noreturn)) void hold_user_namespace(void) {
  char byte;
  long next = CLONE_NEWNET;
  enter(CLONE_NEWUSER);
  while (call4(SYS_read, 0, (long)&byte, 1, 0) == 1) {
    enter(next);
    next = 0;
  }
  leave(0);
}

static int is_option(const long *stack, char flag) {
  const char *const *arguments = (const char *const *)(stack + 1);
  return arguments[1][0] == '-' && arguments[1][1] == flag && arguments[1][2] == 0;
}

static int is_flag(const long *stack, char flag) {
  return stack[0] == 2 && is_option(stack, flag);
}

/* `stack` is what the kernel left: the argument count, the arguments and a null, the environment and a null. */
__attribute__((noreturn, used)) void pause_main(const long *stack) {
  const char *const *arguments = (const char *const *)(stack + 1);
  if (stack[0] > 0 && is_called_crun(arguments[0])) run_unseen(arguments, arguments + stack[0] + 1);
  if (is_flag(stack, 'u')) hold_user_namespace();
  if (stack[0] > 2 && is_option(stack, 's')) start_sandbox(arguments);
  if (is_flag(stack, 'v')) {
    call4(SYS_write, 1, (long)VERSION, sizeof(VERSION) - 1, 0);
    leave(0);
  }

  const unsigned long awaited = SIGINT_BIT | SIGTERM_BIT | SIGCHLD_BIT;
  if (call4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&awaited, 0, sizeof(awaited)) < 0) leave(1);
  reap(); /* a child may have ended before the mask stood */
  for (;;) {
    long signal = call4(SYS_rt_sigtimedwait, (long)&awaited, 0, 0, sizeof(awaited));
    if (signal == SIGCHLD)
      reap();
    else if (signal > 0)
      leave(0);
    else if (signal != -EINTR && signal != -EAGAIN)
      leave(2);
  }
}
