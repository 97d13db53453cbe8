// SPDX-License-Identifier: Apache-2.0
/*
 * `pause -s STEP... -- PROGRAM [ARGUMENT...]` starts a pod's sandbox process, which is a child of whoever called: it is
 * cloned as a sibling. Each step is a letter and its operands. The first are done before the clone:
 *
 *   j FILE         joins the cgroup of v1 whose tasks file this is; there are many hierarchies
 *   o SCORE        takes this for its oom_score_adj, for which there may be no right later
 *   e FILE         enters this user namespace, without becoming another user
 *   n FILE         joins this network namespace
 *   c FOLDER       clones into this cgroup of v2
 *   f FLAGS        clones with these CLONE_NEW flags, a decimal number
 *
 * The others are done by the process itself, in the order in which they stand:
 *
 *   k FIFO FIFO    holds both ends of the first as descriptor 3, so that its readers see the process's end. Once all is
 *                  done, the program is loaded when an "s" comes by the second, which nobody else may read; at
 *                  any other byte it ends
 *   w FILE TEXT    writes to a file: a sysctl, an attribute of /proc/self
 *   h NAME         sets the host name
 *   r FOLDER       takes this for its root, read-only and without devices
 *   g GID          a further group of the user's
 *   u UID GID      becomes this user and has no capabilities, nor ever will
 *
 * A system call filter for what pause does ends the preparation. Standard output gets the process's id, a space as soon
 * as it is there, then an errno, another space and the operand of the step that failed ("0 " where none did), and a line
 * end. Without a process the id is 0. The descriptors that the caller gives are 0 to 2, which are /dev/null in the process.
 */
#include "kernel.h"

#define AT_CURRENT -100
#define O_WRONLY 1
#define O_RDWR 2
#define O_NONBLOCK 04000
#define O_CLOEXEC 02000000
#define CLONE_PARENT 0x8000UL
#define CLONE_INTO_CGROUP 0x200000000UL
#define MS_RDONLY 1
#define MS_NOSUID 2
#define MS_NODEV 4
#define MS_REMOUNT 32
#define MS_BIND 4096
#define MS_REC 16384
#define MS_PRIVATE (1 << 18)
#define MNT_DETACH 2
#define PR_CAPBSET_DROP 24
#define PR_SET_NO_NEW_PRIVS 38
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#define CAPABILITY_VERSION_3 0x20080522
#define SECCOMP_SET_MODE_FILTER 1
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#define SECCOMP_RET_EPERM 0x00050001U
#define SECCOMP_RET_ALLOW 0x7fff0000U
#define LIVENESS_FD 3
#define MOST_GROUPS 1024

struct clone_request {
  unsigned long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  unsigned long set_tid, set_tid_size, cgroup;
};

struct filter {
  unsigned short code;
  unsigned char if_true, if_false;
  unsigned int value;
};

/* What went wrong where: an errno, and the operand's place among the arguments. */
struct failure {
  int number;
  int place;
};

static struct clone_request request;
static unsigned int groups[MOST_GROUPS];
static long group_count;
static long start_fd = -1;

static int errno_of(long result) {
  return result < 0 ? (int)-result : 0;
}

static long length_of(const char *text) {
  long length = 0;
  while (text[length] != 0) length += 1;
  return length;
}

static unsigned long number_of(const char *text) {
  unsigned long number = 0;
  for (; *text >= '0' && *text <= '9'; text += 1) number = number * 10 + (unsigned long)(*text - '0');
  return number;
}

static void say(const char *text) {
  call4(SYS_write, 1, (long)text, length_of(text), 0);
}

static void say_number(unsigned long number) {
  char digits[24];
  char *at = digits + sizeof(digits) - 1;
  *at = 0;
  do {
    at -= 1;
    *at = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  say(at);
}

static __attribute__((noreturn)) void answer(struct failure failure, const char *const *arguments) {
  say_number((unsigned long)failure.number);
  say(" ");
  if (failure.number != 0) say(arguments[failure.place]);
  say("\n");
  leave(failure.number == 0 ? 0 : 1);
}

static long open_file(const char *file, long flags) {
  return call4(SYS_openat, AT_CURRENT, (long)file, flags | O_CLOEXEC, 0);
}

static long write_file(const char *file, const char *text) {
  long fd = open_file(file, O_WRONLY);
  if (fd < 0) return fd;
  long result = call4(SYS_write, fd, (long)text, length_of(text), 0);
  call4(SYS_close, fd, 0, 0, 0);
  return result < 0 ? result : 0;
}

static long join_namespace(const char *file, long kind) {
  long fd = open_file(file, 0);
  if (fd < 0) return fd;
  long result = call4(SYS_setns, fd, kind, 0, 0);
  call4(SYS_close, fd, 0, 0, 0);
  return result;
}

static long clone_into(const char *folder) {
  long fd = open_file(folder, 0);
  if (fd < 0) return fd;
  request.flags |= CLONE_INTO_CGROUP;
  request.cgroup = (unsigned long)fd;
  return 0;
}

static long hold(const char *alive, const char *start) {
  start_fd = open_file(start, O_RDWR);
  if (start_fd < 0) return start_fd;
  long fd = open_file(alive, O_RDWR);
  if (fd < 0) return fd;
  return fd == LIVENESS_FD ? -EINVAL : call4(SYS_dup3, fd, LIVENESS_FD, 0, 0);
}

static long enter_root(const char *folder) {
  const long locked = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
  long result = call5(SYS_mount, (long)"", (long)"/", 0, MS_REC | MS_PRIVATE, 0);
  if (result < 0) return result;
  result = call5(SYS_mount, (long)folder, (long)folder, 0, MS_BIND, 0);
  if (result < 0) return result;
  result = call5(SYS_mount, (long)"", (long)folder, 0, locked, 0);
  if (result < 0) return result;
  result = call4(SYS_chdir, (long)folder, 0, 0, 0);
  if (result < 0) return result;
  result = call4(SYS_pivot_root, (long)".", (long)".", 0, 0);
  if (result < 0) return result;
  result = call4(SYS_umount2, (long)".", MNT_DETACH, 0, 0);
  return result < 0 ? result : call4(SYS_chdir, (long)"/", 0, 0, 0);
}

static long add_group(const char *gid) {
  if (group_count == MOST_GROUPS) return -EINVAL;
  groups[group_count] = (unsigned int)number_of(gid);
  group_count += 1;
  return 0;
}

/* The bounding set goes while there is the capability for it. */
static long become(const char *user, const char *group) {
  static const unsigned int header[2] = {CAPABILITY_VERSION_3, 0};
  static const unsigned int none[6];
  const long uid = (long)number_of(user);
  const long gid = (long)number_of(group);
  long result = 0;
  for (long capability = 0; result == 0; capability += 1)
    result = call5(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
  if (result != -EINVAL) return result; /* there are no more of them */
  result = call5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (result < 0) return result;
  result = call4(SYS_setgroups, group_count, (long)groups, 0, 0);
  if (result < 0) return result;
  result = call4(SYS_setresgid, gid, gid, gid, 0);
  if (result < 0) return result;
  result = call4(SYS_setresuid, uid, uid, uid, 0);
  if (result < 0) return result;
  result = call4(SYS_capset, (long)header, (long)none, 0, 0);
  return result < 0 ? result : call5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Loads a word of the call's facts; jumps if it equals; ends with a verdict. */
#define LOAD(offset) {0x20, 0, 0, offset}
#define IF_EQUAL(value, jump) {0x15, jump, 0, value}
#define END(verdict) {0x06, 0, 0, verdict}

static long install_filter(void) {
  static const struct filter filters[] = {
      LOAD(4),
      IF_EQUAL(AUDIT_ARCH, 1),
      END(SECCOMP_RET_KILL_PROCESS),
      LOAD(0),
      IF_EQUAL(SYS_rt_sigtimedwait, 7),
      IF_EQUAL(SYS_wait4, 6),
      IF_EQUAL(SYS_rt_sigprocmask, 5),
      IF_EQUAL(SYS_close, 4), /* of what tells that all is prepared */
      IF_EQUAL(SYS_read, 3),  /* of the byte that starts it */
      IF_EQUAL(SYS_execve, 2),
      IF_EQUAL(SYS_exit, 1),
      END(SECCOMP_RET_EPERM),
      END(SECCOMP_RET_ALLOW),
  };
  static struct {
    unsigned short length;
    const struct filter *filters;
  } program = {sizeof(filters) / sizeof(filters[0]), filters};
  return call4(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program, 0);
}

static long take_null(void) {
  long null = open_file("/dev/null", O_RDWR);
  for (long fd = 0; fd < 3 && null >= 0; fd += 1) {
    long result = call4(SYS_dup3, null, fd, 0, 0);
    if (result < 0) return result;
  }
  return null < 0 ? null : call4(SYS_setsid, 0, 0, 0, 0);
}

/* How many operands a step has; -1 for one that there is not. */
static int operands_of(char step) {
  switch (step) {
    case 'k':
    case 'w':
    case 'u':
      return 2;
    case 'j':
    case 'o':
    case 'e':
    case 'n':
    case 'c':
    case 'f':
    case 'h':
    case 'r':
    case 'g':
      return 1;
    default:
      return -1;
  }
}

static long prepare(char step, const char *operand) {
  switch (step) {
    case 'j':
      return write_file(operand, "0");
    case 'o':
      return write_file("/proc/self/oom_score_adj", operand);
    case 'e':
      return join_namespace(operand, CLONE_NEWUSER);
    case 'n':
      return join_namespace(operand, CLONE_NEWNET);
    case 'c':
      return clone_into(operand);
    case 'f':
      request.flags |= number_of(operand);
      return 0;
    default:
      return 0;
  }
}

static long settle(char step, const char *const *operands) {
  switch (step) {
    case 'k':
      return hold(operands[0], operands[1]);
    case 'w':
      return write_file(operands[0], operands[1]);
    case 'h':
      return call4(SYS_sethostname, (long)operands[0], length_of(operands[0]), 0, 0);
    case 'r':
      return enter_root(operands[0]);
    case 'g':
      return add_group(operands[0]);
    case 'u':
      return become(operands[0], operands[1]);
    default:
      return 0;
  }
}

/* The steps of one side; answers the program's place. */
static int take_steps(const char *const *arguments, int is_process, struct failure *failure) {
  int at = 2;
  while (arguments[at] != 0) {
    const char *step = arguments[at];
    if (step[0] == '-' && step[1] == '-' && step[2] == 0) return at + 1;
    int count = step[1] == 0 ? operands_of(step[0]) : -1;
    failure->place = at;
    failure->number = EINVAL;
    for (int index = 1; index <= count; index += 1)
      if (arguments[at + index] == 0) return 0;
    if (count < 0) return 0;
    long result =
        is_process ? settle(step[0], arguments + at + 1) : prepare(step[0], arguments[at + 1]);
    failure->place = at + 1;
    failure->number = errno_of(result);
    if (result < 0) return 0;
    at += count + 1;
  }
  failure->place = 1;
  failure->number = EINVAL;
  return 0;
}

static __attribute__((noreturn)) void fail(long pipe, struct failure failure) {
  call4(SYS_write, pipe, (long)&failure, sizeof(failure), 0);
  leave(1);
}

static __attribute__((noreturn)) void be_sandbox(const char *const *arguments, long pipe) {
  static const char *const environment[] = {0};
  struct failure failure = {errno_of(take_null()), 1};
  if (failure.number != 0) fail(pipe, failure);
  int program = take_steps(arguments, 1, &failure);
  if (program == 0) fail(pipe, failure);
  failure.place = 1;
  failure.number = errno_of(install_filter());
  if (failure.number != 0) fail(pipe, failure);
  call4(SYS_close, pipe, 0, 0, 0);
  char byte = 's';
  while (start_fd >= 0 && call4(SYS_read, start_fd, (long)&byte, 1, 0) == -EINTR) {
  }
  if (byte != 's') leave(1);
  const char *const *own = arguments + program;
  leave(errno_of(call4(SYS_execve, (long)own[0], (long)own, (long)environment, 0)));
}

__attribute__((noreturn)) void start_sandbox(const char *const *arguments) {
  int pipe[2] = {0, 0};
  struct failure failure = {0, 1};
  request.flags = CLONE_PARENT; /* whose exit signal is the caller's own */
  long result = call4(SYS_pipe2, (long)pipe, O_CLOEXEC, 0, 0);
  failure.number = errno_of(result);
  if (result == 0 && take_steps(arguments, 0, &failure) != 0) {
    result = call4(SYS_clone3, (long)&request, sizeof(request), 0, 0);
    if (result == 0) be_sandbox(arguments, pipe[1]);
    failure.place = 1;
    failure.number = errno_of(result);
  }
  say_number(result > 0 ? (unsigned long)result : 0);
  say(" ");
  call4(SYS_close, pipe[1], 0, 0, 0);
  if (failure.number == 0 && call4(SYS_read, pipe[0], (long)&failure, sizeof(failure), 0) <= 0)
    failure.number = 0;
  answer(failure, arguments);
}
