// SPDX-License-Identifier: Apache-2.0
/*
 * Under the name "crun" this program becomes the crun to which `real/crun` in its own folder is a link, where that sees
 * no cgroup v2 tree: crun refuses to work beside one that has controllers, on nodes that have cgroup v1 for all that pods
 * need. Other mounts go on being shared with the host: pods may want theirs.
 */
#include "kernel.h"

#define MS_REC 16384
#define MS_PRIVATE (1 << 18)
#define MNT_DETACH 2
#define CLONE_NEWNS 0x00020000
#define PATH_MAX 4096

static const char groups[] = "/sys/fs/cgroup";
static const char tree[] = "/sys/fs/cgroup/unified";
static const char link_name[] = "real/crun";

static char program[PATH_MAX + sizeof(link_name)];

static long length_of(const char *text) {
  long length = 0;
  while (text[length] != 0) length += 1;
  return length;
}

/* Where the last part of a path begins. */
static const char *name_of(const char *path) {
  const char *name = path;
  for (const char *at = path; *at != 0; at += 1)
    if (*at == '/') name = at + 1;
  return name;
}

static void complain(const char *text) {
  call4(SYS_write, 2, (long)text, length_of(text), 0);
}

static __attribute__((noreturn)) void give_up(const char *what, const char *object) {
  complain("cannot ");
  complain(what);
  complain(" ");
  complain(object);
  complain("\n");
  leave(1);
}

int is_called_crun(const char *own) {
  const char *name = name_of(own);
  return name[0] == 'c' && name[1] == 'r' && name[2] == 'u' && name[3] == 'n' && name[4] == 0;
}

__attribute__((noreturn)) void run_unseen(const char *const *arguments, const char *const *environment) {
  const char *own = arguments[0];
  long folder = name_of(own) - own;
  if (folder > PATH_MAX) give_up("find the program beside", own);
  for (long at = 0; at < folder; at += 1) program[at] = own[at];
  for (unsigned long at = 0; at < sizeof(link_name); at += 1) program[folder + (long)at] = link_name[at];
  if (call4(SYS_unshare, CLONE_NEWNS, 0, 0, 0) < 0) give_up("hide", tree);
  if (call5(SYS_mount, 0, (long)groups, 0, MS_REC | MS_PRIVATE, 0) < 0) give_up("hide", tree);
  long result = call4(SYS_umount2, (long)tree, MNT_DETACH, 0, 0);
  if (result < 0 && result != -EINVAL && result != -ENOENT) give_up("hide", tree);
  call4(SYS_execve, (long)program, (long)arguments, (long)environment, 0);
  give_up("run", program);
}
