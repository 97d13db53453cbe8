// SPDX-License-Identifier: Apache-2.0
/*
 * What a container does that wants to do harm: `hostile ATTACK [NUMBER]`. Each attack goes on until it is
 * killed, and makes /vol/ready once it is at its worst. How far it goes is bounded here where nothing else
 * bounds it, so that the machine survives the suite also where Berth does not. `hostile lines` is the quiet
 * pod: a line every 20 ms that says when it was written.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void ready(void) {
  int fd = open("/vol/ready", O_CREAT | O_WRONLY, 0644);
  if (fd >= 0) close(fd);
}

static void nap(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static void rest(void) {
  ready();
  for (;;) pause();
}

static void spin(void) {
  for (volatile unsigned long turns = 0;; turns++) {
  }
}

/* A file with this content; what is in the way goes. */
static void put(const char *path, const char *text) {
  int fd = open(path, O_CREAT | O_WRONLY | O_NONBLOCK, 0644);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0) errno = 0;
  close(fd);
}

/* The quiet pod: when each line was written, in nanoseconds since 1970. */
static void lines(long unused) {
  (void)unused;
  for (;;) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char line[64];
    int length = snprintf(line, sizeof line, "%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(1, line, length) < 0) _exit(1);
    nap(20);
  }
}

/* ---- processes ---- */

/* Forks as fast as it can; without a limit of the pod, up to this many. */
static void forks(long limit) {
  volatile long *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ready();
  for (;;) {
    if (__atomic_load_n(count, __ATOMIC_RELAXED) >= limit) {
      nap(1000);
      continue;
    }
    pid_t child = fork();
    if (child > 0) __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
  }
}

/* Children that end at once, and a first process that never waits for them. */
static void zombies(long limit) {
  for (long made = 0; made < limit; made++) {
    if (fork() == 0) _exit(0);
  }
  rest();
}

/* Children come and go for ever: SIGCHLD, pids and comms all the time. */
static void children(long at_once) {
  signal(SIGCHLD, SIG_IGN);
  ready();
  for (;;) {
    for (long made = 0; made < at_once; made++) {
      if (fork() == 0) _exit(0);
    }
    nap(1);
  }
}

/* Every signal that can be ignored is; children that stop and go on. */
static void signals(long count) {
  for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
  pid_t child[64];
  for (long index = 0; index < count; index++) {
    child[index] = fork();
    if (child[index] == 0) {
      for (;;) pause();
    }
  }
  ready();
  for (;;) {
    for (long index = 0; index < count; index++) {
      kill(child[index], SIGSTOP);
      kill(child[index], SIGCONT);
      kill(child[index], SIGUSR1);
    }
    nap(1);
  }
}

/* Kills whatever else is in the container, its execs too. */
static void killer(long unused) {
  (void)unused;
  signal(SIGTERM, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  ready();
  for (;;) {
    kill(-1, SIGKILL);
    sched_yield();
  }
}

/* Names that break who cuts /proc files at blanks, parentheses and lines. */
static void names(long count) {
  static const char *odd[] = {")\n1 (x) Z", "a b) S 1 1", "\n\n\n", "((((", "0::/\nPPid: 1", "\xff\xfe\x80"};
  for (long index = 0; index < count; index++) {
    if (fork() != 0) continue;
    for (long turn = index;; turn++) {
      const char *name = odd[turn % 6];
      prctl(PR_SET_NAME, name);
      // What ps and /proc/PID/cmdline show: the bytes of argv are its own.
      extern char *program_invocation_name;
      strncpy(program_invocation_name, turn % 2 ? "berth-fifo-holder" : "runc\n\n\n", 6);
      nap(5);
    }
  }
  rest();
}

static void hogs(long count) {
  for (long index = 0; index < count; index++) {
    if (fork() == 0) spin();
  }
  rest();
}

/* Children that take memory until they are killed for it, again and again. */
static void memory(long unused) {
  (void)unused;
  ready();
  for (;;) {
    pid_t child = fork();
    if (child == 0) {
      for (;;) {
        char *taken = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (taken != MAP_FAILED) memset(taken, 1, 1 << 20);
      }
    }
    if (child > 0) waitpid(child, NULL, 0);
    else nap(10);
  }
}

/* Crashes with a core file, again and again. */
static void cores(long unused) {
  (void)unused;
  struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &most);
  if (chdir("/vol") < 0) errno = 0;
  char *weight = malloc(8 << 20);
  memset(weight, 1, 8 << 20);
  ready();
  for (;;) {
    pid_t child = fork();
    if (child == 0) abort();
    if (child > 0) waitpid(child, NULL, 0);
    else nap(10);
  }
}

/* The first process ends, and a child keeps its pipes: it must share the pod's pid namespace for that. */
static void holder(long unused) {
  (void)unused;
  if (fork() == 0) {
    setsid();
    ready();
    for (;;) {
      if (write(1, "still here\n", 11) < 0) pause();
      nap(1);
    }
  }
  nap(200);
  _exit(0);
}

/* ---- descriptors, files, names ---- */

/* Pipes take the pod's memory too; those that hold them go when it is all taken, not the container's first process. */
static void descriptors(long processes) {
  for (long index = 0; index < processes; index++) {
    if (fork() != 0) continue;
    put("/proc/self/oom_score_adj", "1000");
    int ends[2];
    while (pipe(ends) == 0) {
    }
    for (;;) pause();
  }
  nap(500);
  rest();
}

static void inodes(long count) {
  char path[64];
  mkdir("/many", 0755);
  for (long index = 0; index < count; index++) {
    if (index % 1000 == 0) {
      snprintf(path, sizeof path, "/many/%ld", index / 1000);
      mkdir(path, 0755);
      if (chdir(path) < 0) _exit(1);
    }
    snprintf(path, sizeof path, "%ld", index);
    close(open(path, O_CREAT | O_WRONLY, 0644));
  }
  rest();
}

/* Far beyond PATH_MAX, every name 255 bytes that are no UTF-8. */
static void paths(long depth) {
  char name[256];
  memset(name, 0xff, 255);
  name[255] = 0;
  for (int chain = 0; chain < 4; chain++) {
    if (chdir("/tmp") < 0) _exit(1);
    name[0] = 'a' + chain;
    for (long level = 0; level < depth; level++) {
      if (mkdir(name, level % 7 == 6 ? 0111 : 0755) < 0 || chdir(name) < 0) break;
      symlink("/etc/passwd", "passwd");
      symlink("..", "loop");
      close(open("-rf *\n", O_CREAT | O_WRONLY, 0644));
    }
  }
  rest();
}

/* Attributes as many as the file system takes; of overlayfs's own names where it may. */
static void attributes(long count) {
  char value[3000];
  memset(value, 'x', sizeof value);
  mkdir("/marked", 0755);
  if (chdir("/marked") < 0) _exit(1);
  for (long index = 0; index < count; index++) {
    char name[64];
    snprintf(name, sizeof name, "%ld", index);
    mkdir(name, 0755);
    setxattr(name, "user.much", value, sizeof value, 0);
    for (int more = 0; more < 20; more++) {
      char key[64];
      snprintf(key, sizeof key, "user.%d", more);
      setxattr(name, key, "", 0, 0);
    }
    setxattr(name, "trusted.overlay.opaque", "y", 1, 0);
    setxattr(name, "trusted.overlay.redirect", "/../../etc", 10, 0);
    setxattr(name, "security.capability", "\1\0\0\2\377\377\377\377", 8, 0);
  }
  rest();
}

/* A tree that is never the same: folders move about, come and go, while others walk through it. */
static void churn(long count) {
  char from[64], to[64];
  mkdir("/churn", 0755);
  if (chdir("/churn") < 0) _exit(1);
  for (long index = 0; index < count; index++) {
    snprintf(from, sizeof from, "%ld", index);
    mkdir(from, 0755);
  }
  ready();
  srand(1);
  for (;;) {
    long one = rand() % count, other = rand() % count;
    snprintf(from, sizeof from, "%ld", one);
    snprintf(to, sizeof to, "%ld/in-%ld", other, one);
    if (rename(from, to) == 0) rename(to, from);
    snprintf(to, sizeof to, "%ld/file", other);
    close(open(to, O_CREAT | O_WRONLY, 0644));
    unlink(to);
  }
}

/* Files of a tebibyte that hold nothing, and one that grows and is cut again. */
static void sparse(long count) {
  char path[64];
  mkdir("/sparse", 0755);
  for (long index = 0; index < count; index++) {
    snprintf(path, sizeof path, "/sparse/%ld", index);
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    if (ftruncate(fd, 1L << 40) < 0 || pwrite(fd, "x", 1, 1L << 39) < 0) errno = 0;
    close(fd);
  }
  static char block[1 << 16];
  int fd = open("/sparse/grows", O_CREAT | O_WRONLY, 0644);
  ready();
  for (;;) {
    for (int blocks = 0; blocks < 1000; blocks++) {
      if (write(fd, block, sizeof block) < 0) nap(10);
    }
    if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0) nap(10);
  }
}

/* Writes that must reach the disk at once. */
static void syncs(long bytes) {
  static char block[1 << 16];
  int fd = open("/synced", O_CREAT | O_WRONLY, 0644);
  ready();
  for (;;) {
    if (pwrite(fd, block, bytes, 0) < 0) nap(10);
    fsync(fd);
  }
}

static void in_place(const char *path, int kind) {
  unlink(path);
  if (kind == S_IFSOCK) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address) < 0) errno = 0;
  } else {
    mknod(path, kind | 0666, 0);
  }
}

/* FIFOs, sockets and loops where somebody else reads: users, groups, the working folder, volumes, the report. */
static void pipes(long kind) {
  static const char *read_by_others[] = {
      "/etc/passwd", "/etc/group", "/etc/resolv.conf", "/etc/hostname",   "/vol/termination-log",
      "/vol/data",   "/etc/hosts", "/etc/shadow",      "/root/.bashrc",   "/etc/nsswitch.conf",
      "/etc/subuid", "/run/x",     "/vol/0.log",       "/vol/config.json"};
  for (unsigned index = 0; index < sizeof read_by_others / sizeof *read_by_others; index++) {
    in_place(read_by_others[index], kind ? S_IFIFO : S_IFSOCK);
  }
  rmdir("/home");
  symlink("/proc/self/cwd/home", "/home");
  rest();
}

/* ---- what is written ---- */

static void all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t done = write(fd, bytes, length);
    if (done <= 0) return;
    bytes += done;
    length -= done;
  }
}

/* A line that never ends. */
static void endless(long unused) {
  (void)unused;
  static char block[1 << 16];
  memset(block, 'x', sizeof block);
  ready();
  for (;;) all(1, block, sizeof block);
}

/* Line ends and nothing else: each becomes a line of forty bytes. */
static void newlines(long unused) {
  (void)unused;
  static char block[1 << 16];
  memset(block, '\n', sizeof block);
  ready();
  for (;;) all(1, block, sizeof block);
}

/* Whatever bytes, on both streams at once. */
static void binary(long unused) {
  (void)unused;
  static char block[1 << 16];
  for (unsigned index = 0; index < sizeof block; index++) block[index] = rand();
  int fd = fork() == 0 ? 2 : 1;
  ready();
  for (;;) all(fd, block, sizeof block);
}

/* A byte a write, from descriptors that are opened and closed for each. */
static void drops(long writers) {
  for (long index = 1; index < writers; index++) {
    if (fork() == 0) break;
  }
  ready();
  for (;;) {
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK);
    if (fd < 0) nap(1);
    if (write(fd, "x\n", 1 + (rand() & 1)) < 0) sched_yield();
    close(fd);
  }
}

/* ---- what only the privileged may ---- */

/* Thousands of mounts, over one another, over what everybody reads, and into the volume, where they spread. */
static void mounts(long count) {
  char path[64];
  mkdir("/m", 0755);
  for (long index = 0; index < count; index++) {
    snprintf(path, sizeof path, "/m/%ld", index);
    mkdir(path, 0755);
    if (index % 2) mount("tmpfs", path, "tmpfs", 0, "size=64k");
    else mount("/vol", path, NULL, MS_BIND, NULL);
  }
  for (int turn = 0; turn < 12; turn++) mount("/m", "/m", NULL, MS_BIND | (turn < 4 ? MS_REC : 0), NULL);
  for (int turn = 0; turn < 50; turn++) {
    mount("tmpfs", "/etc", "tmpfs", 0, "size=64k");
    mount("tmpfs", "/dev", "tmpfs", 0, "size=64k");
  }
  mount("/m", "/proc", NULL, MS_BIND, NULL);
  mount("tmpfs", "/sys", "tmpfs", 0, NULL);
  rest();
}

/* Mounts in a volume that the node sees too. */
static void spread(long count) {
  char path[64];
  for (long index = 0; index < count; index++) {
    snprintf(path, sizeof path, "/vol/%ld ro,rw - x\n", index);
    mkdir(path, 0755);
    mount("tmpfs", path, "tmpfs", 0, "size=64k");
  }
  ready();
  for (long index = 0;; index = (index + 1) % count) {
    snprintf(path, sizeof path, "/vol/%ld ro,rw - x\n", index);
    umount2(path, MNT_DETACH);
    mount("tmpfs", path, "tmpfs", 0, "size=64k");
  }
}

static const char *controllers[] = {"cpu", "cpuacct", "memory", "pids", "freezer", "devices", "blkio", "systemd"};

/* Sub-cgroups by thousands, in every controller; its own processes go from one to the next. */
static void cgroups(long count) {
  char path[128], self[16];
  for (long index = 0; index < count; index++) {
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/sub-%ld", controllers[index % 8], index);
    mkdir(path, 0755);
    strcat(path, "/deeper");
    mkdir(path, 0755);
  }
  for (int index = 0; index < 4; index++) {
    if (fork() == 0) break;
  }
  ready();
  snprintf(self, sizeof self, "%d", getpid());
  for (long turn = 0;; turn = (turn + 8) % count) {
    for (int which = 0; which < 8; which++) {
      snprintf(path, sizeof path, "/sys/fs/cgroup/%s/sub-%ld/deeper/cgroup.procs", controllers[which], turn + which);
      put(path, self);
    }
    nap(1);
  }
}

/* Children in cgroups of their own, deep below, that are frozen: a frozen process does not die. */
static void frozen(long count) {
  char path[256], pid[16];
  for (long index = 0; index < count; index++) {
    pid_t child = fork();
    if (child == 0) {
      for (;;) pause();
    }
    snprintf(path, sizeof path, "/sys/fs/cgroup/freezer/ice-%ld", index);
    mkdir(path, 0755);
    strcat(path, "/deep");
    mkdir(path, 0755);
    size_t length = strlen(path);
    strcpy(path + length, "/cgroup.procs");
    snprintf(pid, sizeof pid, "%d", child);
    put(path, pid);
    strcpy(path + length, "/freezer.state");
    put(path, "FROZEN");
  }
  rest();
}

/* All of it, itself too. */
static void freezes(long unused) {
  (void)unused;
  ready();
  nap(100);
  put("/sys/fs/cgroup/freezer/freezer.state", "FROZEN");
  for (;;) pause();
}

/* ---- the network ---- */

/* Connections to a port of the node, that say nothing, nonsense, or half a request, and stay or go. */
static void connections(long port) {
  static const char *words[] = {"", "GET / HTTP/1.1\r\nx: ", "\x16\x03\x01\xff\xff", "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"};
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  static int held[2000];
  long made = 0;
  for (;; made++) {
    if (made == 200) ready();
    int *place = &held[made % 2000];
    if (*place > 0) close(*place);
    *place = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(*place, (void *)&address, sizeof address) < 0) nap(5);
    const char *say = words[made % 4];
    if (write(*place, say, strlen(say)) < 0) nap(1);
    if (made % 3 == 0) {
      shutdown(*place, SHUT_WR);
    }
    nap(1);
  }
}

static void *live_on(void *unused) {
  (void)unused;
  nap(100);
  rest();
  return NULL;
}

/* The first thread ends alone: the kernel shows the process as a zombie, and another thread of it lives. */
static void headless(long unused) {
  (void)unused;
  pthread_t other;
  signal(SIGTERM, SIG_IGN);
  if (pthread_create(&other, NULL, live_on, NULL) == 0) syscall(SYS_exit, 0);
}

static const struct {
  const char *name;
  void (*run)(long);
} attacks[] = {
    {"lines", lines},
    {"forks", forks},
    {"zombies", zombies},
    {"children", children},
    {"signals", signals},
    {"killer", killer},
    {"names", names},
    {"hogs", hogs},
    {"memory", memory},
    {"cores", cores},
    {"holder", holder},
    {"descriptors", descriptors},
    {"inodes", inodes},
    {"paths", paths},
    {"attributes", attributes},
    {"churn", churn},
    {"sparse", sparse},
    {"syncs", syncs},
    {"pipes", pipes},
    {"endless", endless},
    {"newlines", newlines},
    {"binary", binary},
    {"drops", drops},
    {"mounts", mounts},
    {"spread", spread},
    {"cgroups", cgroups},
    {"frozen", frozen},
    {"freezes", freezes},
    {"connections", connections},
    {"headless", headless},
};

int main(int argc, char **argv) {
  long number = argc > 2 ? atol(argv[2]) : 0;
  for (unsigned index = 0; index < sizeof attacks / sizeof *attacks; index++) {
    if (argc > 1 && strcmp(argv[1], attacks[index].name) == 0) attacks[index].run(number);
  }
  fprintf(stderr, "hostile: no such attack\n");
  return 2;
}
