/* Calls that fail, stop short, kill the process or are written down: preloaded into the real program.
 *
 * Only calls on files under one folder count. Which of them, and what becomes of the N-th, say the variables
 * FAULT_FOLDER   the folder, absolute and without links
 * FAULT_KINDS    kinds of calls that count, separated by commas: write, sync, unlink, truncate, rename, read, open
 * FAULT_AT       number of the call to act on, from 1; 0 for none
 * FAULT_REPEAT   1 to act on all later ones too
 * FAULT_ACTION   enospc, eio, short, kill-before, kill-after, log, or count (nothing but counting)
 * FAULT_COUNT    file that holds the number of calls that counted so far, in decimal
 * FAULT_LOG      file that `log` appends to: for each call that counted a struct entry, then path, second
 *                path and data, without padding
 *
 * The path of a descriptor is looked up at each call, because numbers are used again after a close.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, SYNC, UNLINK, TRUNCATE, RENAME, READ, OPEN, KINDS };
static const char *const kind_names[KINDS] = {"write", "sync", "unlink", "truncate", "rename", "read", "open"};

enum action { COUNT, FAIL_ENOSPC, FAIL_EIO, SHORT, KILL_BEFORE, KILL_AFTER, LOG };
static const char *const action_names[] = {"count", "enospc", "eio", "short", "kill-before", "kill-after", "log"};

struct entry {
    uint32_t kind, path_length, second_length, padding;
    int64_t offset, length, data_length;
};

static char folder[PATH_MAX];
static size_t folder_length;
static int counts[KINDS];
static int action, repeats, count_handle = -1, log_handle = -1;
static long at, calls;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

/* The file calls of this library itself do not go through its own wrappers. */
static int raw_open(const char *path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0644); }

static void set_up(void) {
    const char *value = getenv("FAULT_FOLDER");
    if (value == NULL) return;
    snprintf(folder, sizeof folder, "%s", value);
    folder_length = strlen(folder);
    value = getenv("FAULT_KINDS");
    for (int kind = 0; kind < KINDS; kind++) counts[kind] = value != NULL && strstr(value, kind_names[kind]) != NULL;
    value = getenv("FAULT_ACTION");
    for (int each = COUNT; each <= LOG; each++)
        if (value != NULL && strcmp(value, action_names[each]) == 0) action = each;
    value = getenv("FAULT_AT");
    at = value == NULL ? 0 : atol(value);
    value = getenv("FAULT_REPEAT");
    repeats = value != NULL && value[0] == '1';
    value = getenv("FAULT_COUNT");
    if (value != NULL) count_handle = raw_open(value, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    value = getenv("FAULT_LOG");
    if (value != NULL && action == LOG) log_handle = raw_open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
}

static int is_inside(const char *path) {
    return folder_length > 0 && strncmp(path, folder, folder_length) == 0 &&
           (path[folder_length] == '/' || path[folder_length] == '\0');
}

/* Store the path of a descriptor and tell whether it counts for this kind. */
static int descriptor_counts(int handle, enum kind kind, char *path) {
    char link[64];
    int saved = errno;
    pthread_once(&once, set_up);
    if (!counts[kind]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    errno = saved;
    if (length < 0) return 0;
    path[length] = '\0';
    return is_inside(path);
}

/* The same for a name, made absolute; its last part need not exist and is not followed. */
static int name_counts(int parent, const char *name, enum kind kind, char *path) {
    char given[2 * PATH_MAX], head[PATH_MAX] = "", link[64];
    int saved = errno;
    pthread_once(&once, set_up);
    if (!counts[kind] || name == NULL) return 0;
    if (name[0] != '/') {
        snprintf(link, sizeof link, parent == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", parent);
        if (syscall(SYS_readlinkat, AT_FDCWD, link, head, PATH_MAX - 1) < 0) head[0] = '\0';
    }
    snprintf(given, sizeof given, "%s/%s", head, name);
    char *last = strrchr(given, '/');
    *last++ = '\0';
    char *resolved = realpath(given[0] ? given : "/", NULL);
    errno = saved;
    if (resolved == NULL) return 0;
    snprintf(path, PATH_MAX, "%s/%s", resolved, last);
    free(resolved);
    return is_inside(path);
}

/* Count a call. 0: go on; 1: act on it; an action of "kill-before" does not return. */
static int acts(void) {
    long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    char text[24];
    if (count_handle >= 0) {
        int length = snprintf(text, sizeof text, "%ld", number);
        syscall(SYS_pwrite64, count_handle, text, (size_t)length, (off_t)0);
    }
    int chosen = at > 0 && (number == at || (repeats && number > at));
    if (chosen && action == KILL_BEFORE) kill(getpid(), SIGKILL);
    return chosen;
}

static int error_number(void) { return action == FAIL_ENOSPC ? ENOSPC : action == FAIL_EIO ? EIO : 0; }

static void after(int chosen) {
    if (chosen && action == KILL_AFTER) kill(getpid(), SIGKILL);
}

static void note(enum kind kind, const char *path, const char *second, int64_t offset, int64_t length, const void *data,
                 size_t data_length) {
    struct entry entry = {kind, (uint32_t)strlen(path), second ? (uint32_t)strlen(second) : 0, 0, offset, length,
                          (int64_t)data_length};
    int saved = errno;
    if (log_handle < 0) return;
    struct iovec parts[4] = {{&entry, sizeof entry},
                             {(void *)path, entry.path_length},
                             {(void *)(second ? second : ""), entry.second_length},
                             {(void *)data, data_length}};
    pthread_mutex_lock(&log_mutex);
    if (syscall(SYS_writev, log_handle, parts, 4) < 0) abort();
    pthread_mutex_unlock(&log_mutex);
    errno = saved;
}

#define REAL(result, name, ...)                                       \
    static result (*real)(__VA_ARGS__);                               \
    if (real == NULL) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define FAIL_IF(chosen)                     \
    if ((chosen) && error_number() != 0) {  \
        errno = error_number();             \
        return -1;                          \
    }

static size_t shortened(int chosen, size_t length) { return chosen && action == SHORT && length > 1 ? length / 2 : length; }

ssize_t write(int handle, const void *data, size_t length) {
    char path[PATH_MAX];
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!descriptor_counts(handle, WRITE, path)) return real(handle, data, length);
    int chosen = acts();
    FAIL_IF(chosen);
    off_t offset = lseek(handle, 0, SEEK_CUR);
    ssize_t done = real(handle, data, shortened(chosen, length));
    if (done > 0) note(WRITE, path, NULL, offset, done, data, (size_t)done);
    after(chosen);
    return done;
}

#define POSITIONED_WRITE(name, offset_type)                                            \
    ssize_t name(int handle, const void *data, size_t length, offset_type offset) {    \
        char path[PATH_MAX];                                                           \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type);                  \
        if (!descriptor_counts(handle, WRITE, path)) return real(handle, data, length, offset); \
        int chosen = acts();                                                           \
        FAIL_IF(chosen);                                                               \
        ssize_t done = real(handle, data, shortened(chosen, length), offset);          \
        if (done > 0) note(WRITE, path, NULL, offset, done, data, (size_t)done);       \
        after(chosen);                                                                 \
        return done;                                                                   \
    }
POSITIONED_WRITE(pwrite, off_t)
POSITIONED_WRITE(pwrite64, off64_t)

ssize_t writev(int handle, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (!descriptor_counts(handle, WRITE, path)) return real(handle, parts, count);
    int chosen = acts();
    FAIL_IF(chosen);
    off_t offset = lseek(handle, 0, SEEK_CUR);
    ssize_t done = real(handle, parts, chosen && action == SHORT ? 1 : count);
    int64_t left = done;
    for (int part = 0; part < count && left > 0; part++) {
        int64_t length = (int64_t)parts[part].iov_len < left ? (int64_t)parts[part].iov_len : left;
        note(WRITE, path, NULL, offset, length, parts[part].iov_base, (size_t)length);
        offset += length;
        left -= length;
    }
    after(chosen);
    return done;
}

ssize_t read(int handle, void *data, size_t length) {
    char path[PATH_MAX];
    REAL(ssize_t, "read", int, void *, size_t);
    if (!descriptor_counts(handle, READ, path)) return real(handle, data, length);
    int chosen = acts();
    FAIL_IF(chosen);
    ssize_t done = real(handle, data, shortened(chosen, length));
    after(chosen);
    return done;
}

#define POSITIONED_READ(name, offset_type)                                             \
    ssize_t name(int handle, void *data, size_t length, offset_type offset) {          \
        char path[PATH_MAX];                                                           \
        REAL(ssize_t, #name, int, void *, size_t, offset_type);                        \
        if (!descriptor_counts(handle, READ, path)) return real(handle, data, length, offset); \
        int chosen = acts();                                                           \
        FAIL_IF(chosen);                                                               \
        ssize_t done = real(handle, data, shortened(chosen, length), offset);          \
        after(chosen);                                                                 \
        return done;                                                                   \
    }
POSITIONED_READ(pread, off_t)
POSITIONED_READ(pread64, off64_t)

#define SYNCING(name)                                                 \
    int name(int handle) {                                            \
        char path[PATH_MAX];                                          \
        REAL(int, #name, int);                                        \
        if (!descriptor_counts(handle, SYNC, path)) return real(handle); \
        int chosen = acts();                                          \
        FAIL_IF(chosen);                                              \
        int result = real(handle);                                    \
        if (result == 0) note(SYNC, path, NULL, 0, 0, NULL, 0);       \
        after(chosen);                                                \
        return result;                                                \
    }
SYNCING(fsync)
SYNCING(fdatasync)

#define TRUNCATING(name, offset_type)                                         \
    int name(int handle, offset_type length) {                                \
        char path[PATH_MAX];                                                  \
        REAL(int, #name, int, offset_type);                                   \
        if (!descriptor_counts(handle, TRUNCATE, path)) return real(handle, length); \
        int chosen = acts();                                                  \
        FAIL_IF(chosen);                                                      \
        int result = real(handle, length);                                    \
        if (result == 0) note(TRUNCATE, path, NULL, 0, length, NULL, 0);      \
        after(chosen);                                                        \
        return result;                                                        \
    }
TRUNCATING(ftruncate, off_t)
TRUNCATING(ftruncate64, off64_t)

int unlinkat(int parent, const char *name, int flags) {
    char path[PATH_MAX];
    REAL(int, "unlinkat", int, const char *, int);
    if (!name_counts(parent, name, UNLINK, path)) return real(parent, name, flags);
    int chosen = acts();
    FAIL_IF(chosen);
    int result = real(parent, name, flags);
    if (result == 0) note(UNLINK, path, NULL, 0, 0, NULL, 0);
    after(chosen);
    return result;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

static int rename_between(int from_parent, const char *from, int to_parent, const char *to, unsigned flags) {
    char path[PATH_MAX], second[PATH_MAX];
    int counted = name_counts(from_parent, from, RENAME, path) && name_counts(to_parent, to, RENAME, second);
    int chosen = counted ? acts() : 0;
    FAIL_IF(chosen);
    int result = (int)syscall(SYS_renameat2, from_parent, from, to_parent, to, flags);
    if (counted && result == 0) note(RENAME, path, second, 0, 0, NULL, 0);
    after(chosen);
    return result;
}

int rename(const char *from, const char *to) { return rename_between(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_between(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return rename_between(a, from, b, to, flags);
}

/* Only an open that makes a file or empties one is something that a disk can lose. */
static int open_at(int parent, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat before;
    int chosen = 0, is_new = 0, empties = 0;
    if ((flags & (O_CREAT | O_TRUNC)) != 0 && (flags & O_TMPFILE) != O_TMPFILE && name_counts(parent, name, OPEN, path)) {
        int saved = errno;
        int exists = fstatat(AT_FDCWD, path, &before, 0) == 0;
        errno = saved;
        is_new = !exists && (flags & O_CREAT) != 0;
        empties = exists && (flags & O_TRUNC) != 0;
        if (is_new || empties) chosen = acts();
    }
    FAIL_IF(chosen);
    int handle = (int)syscall(SYS_openat, parent, name, flags, mode);
    if (handle >= 0 && is_new) note(OPEN, path, NULL, 0, 0, NULL, 0);
    if (handle >= 0 && empties) note(TRUNCATE, path, NULL, 0, 0, NULL, 0);
    after(chosen);
    return handle;
}

#define MODE_OF(flags, mode)                                       \
    mode_t mode = 0;                                               \
    if (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode = (mode_t)va_arg(rest, int);                          \
        va_end(rest);                                              \
    }

int open(const char *name, int flags, ...) {
    MODE_OF(flags, mode);
    return open_at(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    MODE_OF(flags, mode);
    return open_at(AT_FDCWD, name, flags | O_LARGEFILE, mode);
}
int openat(int parent, const char *name, int flags, ...) {
    MODE_OF(flags, mode);
    return open_at(parent, name, flags, mode);
}
int openat64(int parent, const char *name, int flags, ...) {
    MODE_OF(flags, mode);
    return open_at(parent, name, flags | O_LARGEFILE, mode);
}
