/* Between a process and the C library: writes down what it does to the files of one folder and what it sends, and
 * kills it at a chosen call. Loaded by LD_PRELOAD, asleep until `watch`; see system_calls.py, which reads the log.
 *
 * One call at a time: so the order of the log is the order of the effects, and nothing happens after the chosen call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The real function of a name, looked up once. */
#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

enum call { CREATE = 'c', WRITE = 'w', RESIZE = 't', SYNC = 's', MKDIR = 'm', RENAME = 'r', LINK = 'l', UNLINK = 'u',
            RMDIR = 'd', SEND = 'n', RECEIVE = 'v' };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static int log_fd = -1;
static char fatal_calls[32], fatal_path[PATH_MAX];
static int fatal_after;
static long fatal_in; /* the chosen call is so many matching calls away; 0: none is chosen */

struct record {
    char call;
    uint64_t inode;
    int64_t offset;
    uint32_t path, other, data; /* lengths of what follows */
} __attribute__((packed));

/* Begin. `calls` are letters of `enum call`, `path` a pattern of fnmatch, `nth` counts from 1. */
void watch(const char *folder, const char *log, const char *calls, const char *path, int after, long nth) {
    snprintf(fatal_calls, sizeof fatal_calls, "%s", calls);
    snprintf(fatal_path, sizeof fatal_path, "%s", path);
    fatal_after = after;
    fatal_in = nth;
    if (*log) log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    snprintf(root, sizeof root, "%s", folder); /* last: this is what wakes the others */
}

static ssize_t write_plainly(const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return real(log_fd, parts, count);
}

static void note(enum call call, uint64_t inode, int64_t offset, const char *path, const char *other, const void *data,
                 size_t length) {
    if (log_fd < 0) return;
    struct record record = {call, inode, offset, strlen(path), strlen(other), length};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)path, record.path}, {(void *)other, record.other},
                            {(void *)data, length}};
    if (write_plainly(parts, 4) != (ssize_t)(sizeof record + record.path + record.other + length)) abort();
}

static int inside(const char *path) {
    size_t length = strlen(root);
    return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static int is_fatal(enum call call, const char *path) {
    return fatal_in && strchr(fatal_calls, call) && !fnmatch(fatal_path, path, 0) && !--fatal_in;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Enter the turn; dies there if this call is the chosen one and it is to die before it. True: it dies after it. */
static int begin(enum call call, const char *path) {
    pthread_mutex_lock(&turn);
    int fatal = is_fatal(call, path);
    if (fatal && !fatal_after) die();
    return fatal;
}

static void end(int fatal) {
    if (fatal) die();
    int kept = errno;
    pthread_mutex_unlock(&turn);
    errno = kept;
}

/* The absolute path of a name, as the kernel would find it; no link is followed. */
static const char *resolve(int at, const char *name, char *buffer) {
    char folder[PATH_MAX] = "", link[64];
    if (*name == '/') return name;
    if (at == AT_FDCWD) {
        if (!getcwd(folder, sizeof folder)) return "";
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, folder, sizeof folder - 1);
        if (length < 0) return "";
        folder[length] = 0;
    }
    if (snprintf(buffer, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) return "";
    return buffer;
}

/* What a descriptor is: a file or folder of ours ('f'), a connection ('n'), or nothing to us (0). */
static int kind_of(int fd, char *path, struct stat *status) {
    char link[64];
    if (!*root || fd == log_fd || fstat(fd, status)) return 0;
    if (S_ISSOCK(status->st_mode)) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        if (getsockname(fd, (struct sockaddr *)&address, &size)) return 0;
        *path = 0;
        return address.ss_family == AF_INET || address.ss_family == AF_INET6 ? 'n' : 0;
    }
    if (!S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path) ? 'f' : 0;
}

/* Files: made, written, cut, made durable. */

typedef int open_function(int, const char *, int, mode_t);

static int open_plainly(int at, const char *name, int flags, mode_t mode) {
    REAL(int, "openat", int, const char *, int, ...);
    return real(at, name, flags, mode);
}

static int watched_open(int at, const char *name, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *path = *root ? resolve(at, name, buffer) : "";
    if (!inside(path) || (flags & O_TMPFILE) == O_TMPFILE || !(flags & (O_CREAT | O_TRUNC)))
        return open_plainly(at, name, flags, mode);
    struct stat before, status;
    int there = !lstat(path, &before);
    int fatal = begin(there ? RESIZE : CREATE, path);
    int fd = open_plainly(at, name, flags, mode);
    if (fd >= 0 && !fstat(fd, &status)) {
        if (!there) note(CREATE, status.st_ino, 0, path, "", "", 0);
        else if (flags & O_TRUNC) note(RESIZE, status.st_ino, 0, path, "", "", 0);
    }
    end(fatal);
    return fd;
}

#define OPEN(name, declare_at, at)                                                                                     \
    int name(declare_at const char *path, int flags, ...) {                                                            \
        mode_t mode = 0;                                                                                               \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        if (flags & (O_CREAT | O_TMPFILE)) mode = va_arg(more, mode_t);                                                \
        va_end(more);                                                                                                  \
        return watched_open(at, path, flags, mode);                                                                    \
    }
#define WITH_FOLDER int folder,
OPEN(open, , AT_FDCWD)
OPEN(open64, , AT_FDCWD)
OPEN(openat, WITH_FOLDER, folder)
OPEN(openat64, WITH_FOLDER, folder)

static ssize_t sent_or_written(int fd, const void *data, size_t length, int64_t offset, int how, int flags) {
    REAL(ssize_t, "write", int, const void *, size_t);
    static ssize_t (*real_at)(int, const void *, size_t, off64_t);
    static ssize_t (*real_send)(int, const void *, size_t, int);
    if (!real_at) real_at = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    if (!real_send) real_send = (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    char path[PATH_MAX];
    struct stat status;
    int kind = kind_of(fd, path, &status);
    int fatal = kind ? begin(kind == 'n' ? SEND : WRITE, path) : 0;
    ssize_t done = how == 'p' ? real_at(fd, data, length, offset)
                   : how == 's' ? real_send(fd, data, length, flags)
                                : real(fd, data, length);
    if (!kind) return done;
    int kept = errno;
    if (done > 0 && kind == 'n') note(SEND, 0, 0, "", "", data, done);
    if (done > 0 && kind == 'f')
        note(WRITE, status.st_ino, how == 'p' ? offset : lseek64(fd, 0, SEEK_CUR) - done, path, "", data, done);
    errno = kept;
    end(fatal);
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return sent_or_written(fd, data, length, 0, 'w', 0); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) {
    return sent_or_written(fd, data, length, at, 'p', 0);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
    return sent_or_written(fd, data, length, at, 'p', 0);
}
ssize_t send(int fd, const void *data, size_t length, int flags) {
    return sent_or_written(fd, data, length, 0, 's', flags);
}

/* Several parts go out as the first of them: a short write, which every caller has to expect. */
static const struct iovec *first_of(const struct iovec *parts, size_t count) {
    while (count > 1 && !parts->iov_len) parts++, count--;
    return parts;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    struct stat status;
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (count < 1 || !kind_of(fd, path, &status)) return real(fd, parts, count);
    const struct iovec *first = first_of(parts, count);
    return sent_or_written(fd, first->iov_base, first->iov_len, 0, 'w', 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    char path[PATH_MAX];
    struct stat status;
    REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
    if (message->msg_iovlen < 1 || kind_of(fd, path, &status) != 'n') return real(fd, message, flags);
    const struct iovec *first = first_of(message->msg_iov, message->msg_iovlen);
    return sent_or_written(fd, first->iov_base, first->iov_len, 0, 's', flags);
}

ssize_t recv(int fd, void *data, size_t length, int flags) {
    REAL(ssize_t, "recv", int, void *, size_t, int);
    char path[PATH_MAX];
    struct stat status;
    if (kind_of(fd, path, &status) != 'n') return real(fd, data, length, flags);
    int fatal = begin(RECEIVE, path);
    ssize_t done = real(fd, data, length, flags);
    if (done > 0) note(RECEIVE, 0, 0, "", "", data, done);
    end(fatal);
    return done;
}

static int resized(int fd, off64_t length) {
    REAL(int, "ftruncate64", int, off64_t);
    char path[PATH_MAX];
    struct stat status;
    if (!kind_of(fd, path, &status)) return real(fd, length);
    int fatal = begin(RESIZE, path);
    int done = real(fd, length);
    if (!done) note(RESIZE, status.st_ino, length, path, "", "", 0);
    end(fatal);
    return done;
}

int ftruncate(int fd, off_t length) { return resized(fd, length); }
int ftruncate64(int fd, off64_t length) { return resized(fd, length); }

static int synced(int fd) {
    REAL(int, "fsync", int);
    char path[PATH_MAX];
    struct stat status;
    if (!kind_of(fd, path, &status)) return real(fd);
    int fatal = begin(SYNC, path);
    int done = real(fd);
    if (!done) note(SYNC, status.st_ino, 0, path, "", "", 0);
    end(fatal);
    return done;
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

/* Names: given, changed, taken away. */

static int named(enum call call, int at, const char *name, int other_at, const char *other, unsigned argument) {
    static int (*renames)(int, const char *, int, const char *);
    static int (*links)(int, const char *, int, const char *, int);
    static int (*unlinks)(int, const char *, int);
    static int (*makes)(int, const char *, mode_t);
    if (!renames) {
        links = (int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat");
        unlinks = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
        makes = (int (*)(int, const char *, mode_t))dlsym(RTLD_NEXT, "mkdirat");
        renames = (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");
    }
    char buffer[PATH_MAX], other_buffer[PATH_MAX];
    const char *path = *root ? resolve(at, name, buffer) : "";
    const char *second = *root && other ? resolve(other_at, other, other_buffer) : "";
    int ours = inside(path) || inside(second);
    int fatal = ours ? begin(call, *second ? second : path) : 0;
    int done;
    switch (call) {
    case RENAME: done = renames(at, name, other_at, other); break;
    case LINK: done = links(at, name, other_at, other, argument); break;
    case MKDIR: done = makes(at, name, argument); break;
    default: done = unlinks(at, name, argument); break;
    }
    if (!ours) return done;
    int kept = errno;
    struct stat status = {0};
    if (call == MKDIR && lstat(path, &status)) status.st_ino = 0;
    if (!done) note(call, status.st_ino, 0, path, second, "", 0);
    errno = kept;
    end(fatal);
    return done;
}

int rename(const char *from, const char *to) { return named(RENAME, AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int at, const char *from, int other_at, const char *to) {
    return named(RENAME, at, from, other_at, to, 0);
}
int link(const char *from, const char *to) { return named(LINK, AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int at, const char *from, int other_at, const char *to, int flags) {
    return named(LINK, at, from, other_at, to, flags);
}
int unlink(const char *name) { return named(UNLINK, AT_FDCWD, name, 0, NULL, 0); }
int rmdir(const char *name) { return named(RMDIR, AT_FDCWD, name, 0, NULL, AT_REMOVEDIR); }
int unlinkat(int at, const char *name, int flags) {
    return named(flags & AT_REMOVEDIR ? RMDIR : UNLINK, at, name, 0, NULL, flags);
}
int mkdir(const char *name, mode_t mode) { return named(MKDIR, AT_FDCWD, name, 0, NULL, mode); }
int mkdirat(int at, const char *name, mode_t mode) { return named(MKDIR, at, name, 0, NULL, mode); }
