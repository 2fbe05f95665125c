/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 20

enum child_state {
    CHILD_RUNS,
    CHILD_KILLED,    /* waiting for its end, then done() */
    CHILD_ABANDONED, /* waiting for its end, nobody is told */
};

struct child {
    struct loop *loop;
    enum child_state state;
    pid_t pid;            /* and process group; not reaped before the end, so it cannot become another's */
    int pidfd, output_fd; /* pidfd -1: the kernel has none (nor has valgrind); then `look` asks now and then */
    struct loop_io exit_io, output_io;
    struct loop_timer timer, look;
    struct buffer output;
    const char *problem;
    child_done *done;
    void *arg;
};

static void child_free(struct child *c)
{
    loop_io_done(&c->exit_io);
    loop_io_done(&c->output_io);
    loop_timer_done(&c->timer);
    loop_timer_done(&c->look);
    if (c->pidfd >= 0)
        close(c->pidfd);
    if (c->output_fd >= 0)
        close(c->output_fd);
    buffer_done(&c->output);
    free(c);
}

static void child_kill(struct child *c, enum child_state state, const char *problem)
{
    c->state = state;
    if (!c->problem)
        c->problem = problem;
    kill(-c->pid, SIGKILL);
    loop_timer_clear(&c->timer);
    loop_io_want(&c->output_io, 0);
}

/* What is there now. */
static void read_output(struct child *c)
{
    while (c->state == CHILD_RUNS) {
        char *room;
        size_t want = MIN(buffer_room(&c->output), (size_t) 4096);
        if (want == 0 || buffer_reserve(&c->output, want, &room) < 0) {
            child_kill(c, CHILD_KILLED, "it printed more than a secret can be");
            return;
        }
        ssize_t n = read(c->output_fd, room, want);
        if (n > 0) {
            buffer_commit(&c->output, (size_t) n);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            loop_io_want(&c->output_io, 0);
        return;
    }
}

static void on_output(void *arg, unsigned what)
{
    (void) what;
    read_output(arg);
}

static void on_timeout(void *arg)
{
    child_kill(arg, CHILD_KILLED, "it took too long");
}

/* Whether it has ended; it is then gone, and so is the object. */
static bool reap(struct child *c)
{
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PID, (id_t) c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return false;
    /* What it has left running in its group ends with it; the group's number is ours until it is waited for. */
    kill(-c->pid, SIGKILL);
    waitid(P_PID, (id_t) c->pid, &info, WEXITED | WNOHANG);
    read_output(c);
    int status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    if (c->state != CHILD_ABANDONED)
        c->done(c->arg, &c->output, status, c->problem);
    child_free(c);
    return true;
}

static void on_exit_ready(void *arg, unsigned what)
{
    (void) what;
    reap(arg);
}

static void on_look(void *arg)
{
    struct child *c = arg;
    if (!reap(c))
        loop_timer_set(&c->look, LOOK_MS);
}

/* Variables that commands of this kind need to find their keys and agents. */
static char **make_environment(const char *account)
{
    static const char *const kept[] = {"PATH",
                                       "HOME",
                                       "USER",
                                       "LOGNAME",
                                       "LANG",
                                       "XDG_RUNTIME_DIR",
                                       "XDG_CONFIG_HOME",
                                       "DBUS_SESSION_BUS_ADDRESS",
                                       "GNUPGHOME",
                                       "CREDENTIALS_DIRECTORY"};
    char **env = calloc(ARRAY_LEN(kept) + 3, sizeof(*env));
    size_t n = 0;
    if (!env)
        return NULL;
    bool ok = asprintf(&env[n++], "POSTERN_ACCOUNT=%s", account) >= 0;
    if (!getenv("PATH"))
        ok = ok && asprintf(&env[n++], "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") >= 0;
    for (size_t i = 0; i < ARRAY_LEN(kept) && ok; i++) {
        const char *value = getenv(kept[i]);
        if (value)
            ok = asprintf(&env[n++], "%s=%s", kept[i], value) >= 0;
    }
    if (ok)
        return env;
    env[n - 1] = NULL;
    for (size_t i = 0; i < n; i++)
        free(env[i]);
    free(env);
    return NULL;
}

static int spawn(const char *command, char **env, int output, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char *const argv[] = {(char *) "/bin/sh", (char *) "-c", (char *) command, NULL};
    sigemptyset(&none);
    sigfillset(&all);
    int err = posix_spawn_file_actions_init(&files);
    if (err)
        return -err;
    err = posix_spawnattr_init(&attributes);
    if (err) {
        posix_spawn_file_actions_destroy(&files);
        return -err;
    }
    if ((err = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
        (err = posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO)) == 0 &&
        (err = posix_spawn_file_actions_addclosefrom_np(&files, 3)) == 0 &&
        (err = posix_spawnattr_setflags(&attributes,
                                        POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) == 0 &&
        (err = posix_spawnattr_setpgroup(&attributes, 0)) == 0 &&
        (err = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
        (err = posix_spawnattr_setsigdefault(&attributes, &all)) == 0)
        err = posix_spawn(ret, "/bin/sh", &files, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return -err;
}

static int start(struct child *c, const char *command, const char *account, uint64_t limit_ms)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    c->output_fd = ends[0];
    char **env = make_environment(account);
    int r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    r = r < 0 ? r : loop_io_init(&c->output_io, c->loop, c->output_fd, on_output, c);
    r = r < 0 ? r : loop_timer_init(&c->timer, c->loop, on_timeout, c);
    r = r < 0 ? r : env ? spawn(command, env, ends[1], &c->pid) : -ENOMEM;
    close(ends[1]);
    for (size_t i = 0; env && env[i]; i++)
        free(env[i]);
    free(env);
    if (r < 0)
        return r;
    c->pidfd = pidfd_open(c->pid, 0);
    if (c->pidfd >= 0) {
        r = loop_io_init(&c->exit_io, c->loop, c->pidfd, on_exit_ready, c);
        r = r < 0 ? r : loop_io_want(&c->exit_io, LOOP_READ);
    } else {
        r = errno == ENOSYS || errno == EPERM ? loop_timer_init(&c->look, c->loop, on_look, c) : -errno;
        if (r == 0)
            loop_timer_set(&c->look, LOOK_MS);
    }
    r = r < 0 ? r : loop_io_want(&c->output_io, LOOP_READ);
    if (r < 0) {
        kill(-c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return r;
    }
    loop_timer_set(&c->timer, limit_ms);
    return 0;
}

struct child *child_start(struct loop *l, const char *command, const char *account, uint64_t limit_ms, child_done *done,
                          void *arg)
{
    struct child *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->loop = l;
    c->pidfd = c->output_fd = -1;
    c->done = done;
    c->arg = arg;
    buffer_init_secret(&c->output, SECRET_MAX);
    int r = start(c, command, account, limit_ms);
    if (r == 0)
        return c;
    child_free(c);
    errno = -r;
    return NULL;
}

void child_abandon(struct child *c)
{
    child_kill(c, CHILD_ABANDONED, NULL);
}
