/*
 * A disk that fails, for a program that knows nothing of it: the C library's calls that change something below a folder
 * fail with an errno of the test's choice. By LD_PRELOAD; what it does is said by variables:
 *
 *   SHIM_BELOW   the folder
 *   SHIM_CALLS   which calls: ",create,write,", or "*"
 *   SHIM_ERRNO   the number that they fail with
 *   SHIM_NTH     from which call on, counted from 1
 *   SHIM_WHILE   they fail as long as this file exists
 *   SHIM_ONCE    only that one call fails
 *   SHIM_LOG     a line for each call that could have failed, and "struck" for each that did
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *below, *calls, *during;
static long nth;
static int once;
static int error, log_fd = -1;
static atomic_long seen;

static void say(const char *line) {
    if (log_fd >= 0) syscall(SYS_write, log_fd, line, strlen(line));
}

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("SHIM_LOG");
    below = getenv("SHIM_BELOW");
    calls = getenv("SHIM_CALLS");
    during = getenv("SHIM_WHILE");
    nth = atol(getenv("SHIM_NTH") ?: "0");
    once = getenv("SHIM_ONCE") != NULL;
    error = atoi(getenv("SHIM_ERRNO") ?: "0");
    /* Far from the numbers that the program gets: a limit of 64 must not see it. */
    if (log) {
        int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 500);
        syscall(SYS_close, fd);
    }
}

/* Whether this call is to fail; errno is set then. */
static int strike(const char *call, const char *path) {
    char name[32], line[64];
    if (!below || !path || strncmp(path, below, strlen(below))) return 0;
    snprintf(name, sizeof name, ",%s,", call);
    if (strcmp(calls, "*") && !strstr(calls, name)) return 0;
    long now = ++seen;
    snprintf(line, sizeof line, "%s\n", call);
    say(line);
    if (nth == 0 || now < nth) return 0;
    if (once ? now != nth : syscall(SYS_faccessat, AT_FDCWD, during, F_OK)) return 0;
    say("struck\n");
    errno = error;
    return 1;
}

static const char *of_fd(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
    buffer[length > 0 ? length : 0] = 0;
    return buffer;
}

/* A path below an open folder: which folder is enough. */
static const char *at(int fd, const char *path, char *buffer) {
    return path[0] == '/' || fd == AT_FDCWD ? path : of_fd(fd, buffer);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *kind(int flags) {
    return flags & (O_WRONLY | O_RDWR | O_CREAT) ? "create" : "open";
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        va_list rest;                                                       \
        va_start(rest, flags);                                              \
        int mode = va_arg(rest, int);                                       \
        va_end(rest);                                                       \
        return strike(kind(flags), path) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                        \
    int name(int fd, const char *path, int flags, ...) {                    \
        char buffer[PATH_MAX];                                              \
        va_list rest;                                                       \
        va_start(rest, flags);                                              \
        int mode = va_arg(rest, int);                                       \
        va_end(rest);                                                       \
        return strike(kind(flags), at(fd, path, buffer)) ? -1 : REAL(name)(fd, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t size) {
    char buffer[PATH_MAX];
    return strike("write", of_fd(fd, buffer)) ? -1 : REAL(write)(fd, bytes, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    char buffer[PATH_MAX];
    return strike("write", of_fd(fd, buffer)) ? -1 : REAL(writev)(fd, parts, count);
}
int ftruncate64(int fd, off64_t size) {
    char buffer[PATH_MAX];
    return strike("write", of_fd(fd, buffer)) ? -1 : REAL(ftruncate64)(fd, size);
}
int fsync(int fd) {
    char buffer[PATH_MAX];
    return strike("sync", of_fd(fd, buffer)) ? -1 : REAL(fsync)(fd);
}
int fchmod(int fd, mode_t mode) {
    char buffer[PATH_MAX];
    return strike("chmod", of_fd(fd, buffer)) ? -1 : REAL(fchmod)(fd, mode);
}
int chmod(const char *path, mode_t mode) {
    return strike("chmod", path) ? -1 : REAL(chmod)(path, mode);
}
int mkdir(const char *path, mode_t mode) {
    return strike("create", path) ? -1 : REAL(mkdir)(path, mode);
}
int symlink(const char *target, const char *path) {
    return strike("create", path) ? -1 : REAL(symlink)(target, path);
}
int linkat(int from, const char *old, int to, const char *path, int flags) {
    char buffer[PATH_MAX];
    return strike("create", at(to, path, buffer)) ? -1 : REAL(linkat)(from, old, to, path, flags);
}
int rename(const char *old, const char *path) {
    return strike("rename", path) ? -1 : REAL(rename)(old, path);
}
int unlink(const char *path) {
    return strike("remove", path) ? -1 : REAL(unlink)(path);
}
int unlinkat(int fd, const char *path, int flags) {
    char buffer[PATH_MAX];
    return strike("remove", at(fd, path, buffer)) ? -1 : REAL(unlinkat)(fd, path, flags);
}
int rmdir(const char *path) {
    return strike("remove", path) ? -1 : REAL(rmdir)(path);
}
