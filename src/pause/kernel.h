// SPDX-License-Identifier: Apache-2.0
/* What the pause program needs of Linux: numbers, raw system calls and its entry. No libc, so any gcc builds it. */
#ifndef KERNEL_H
#define KERNEL_H

#define ENOENT 2
#define EINTR 4
#define EAGAIN 11
#define EINVAL 22
#define SIGCHLD 17
#define CLONE_NEWNET 0x40000000
#define CLONE_NEWUSER 0x10000000

#if defined(__x86_64__)

enum {
  SYS_read = 0,
  SYS_write = 1,
  SYS_close = 3,
  SYS_rt_sigprocmask = 14,
  SYS_execve = 59,
  SYS_exit = 60,
  SYS_wait4 = 61,
  SYS_chdir = 80,
  SYS_setsid = 112,
  SYS_setgroups = 116,
  SYS_setresuid = 117,
  SYS_setresgid = 119,
  SYS_capset = 126,
  SYS_rt_sigtimedwait = 128,
  SYS_pivot_root = 155,
  SYS_prctl = 157,
  SYS_mount = 165,
  SYS_umount2 = 166,
  SYS_sethostname = 170,
  SYS_openat = 257,
  SYS_unshare = 272,
  SYS_dup3 = 292,
  SYS_pipe2 = 293,
  SYS_setns = 308,
  SYS_seccomp = 317,
  SYS_clone3 = 435
};

#define AUDIT_ARCH 0xC000003EU

static inline long call5(long number, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

enum {
  SYS_dup3 = 24,
  SYS_umount2 = 39,
  SYS_mount = 40,
  SYS_pivot_root = 41,
  SYS_chdir = 49,
  SYS_openat = 56,
  SYS_close = 57,
  SYS_pipe2 = 59,
  SYS_read = 63,
  SYS_write = 64,
  SYS_capset = 91,
  SYS_exit = 93,
  SYS_unshare = 97,
  SYS_rt_sigprocmask = 135,
  SYS_rt_sigtimedwait = 137,
  SYS_setresuid = 147,
  SYS_setresgid = 149,
  SYS_setsid = 157,
  SYS_setgroups = 159,
  SYS_sethostname = 161,
  SYS_prctl = 167,
  SYS_execve = 221,
  SYS_wait4 = 260,
  SYS_setns = 268,
  SYS_seccomp = 277,
  SYS_clone3 = 435
};

#define AUDIT_ARCH 0xC00000B7U

static inline long call5(long number, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                   : "memory");
  return x0;
}

#else
#error "pause is written for x86_64 and aarch64"
#endif

static inline long call4(long number, long a, long b, long c, long d) {
  return call5(number, a, b, c, d, 0);
}

static inline __attribute__((noreturn)) void leave(int code) {
  for (;;) call4(SYS_exit, code, 0, 0, 0);
}

/* sandbox.c */
__attribute__((noreturn)) void start_sandbox(const char *const *arguments);

/* unseen.c */
int is_called_crun(const char *own);
__attribute__((noreturn)) void run_unseen(const char *const *arguments, const char *const *environment);

#endif
