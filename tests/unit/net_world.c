/* SPDX-License-Identifier: MIT */
#include "net_world.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the server --- */

static void handle_lines(struct line_conn *c);

static void send_all(struct line_conn *c, const void *data, size_t len)
{
    (void) !send(c->fd, data, len, MSG_NOSIGNAL);
}

static void flush_tls(struct line_conn *c)
{
    char out[16384];
    size_t n;
    while (c->tls.ssl && (n = tls_peer_take(&c->tls, out, sizeof(out))) > 0)
        send_all(c, out, n);
}

void conn_say(struct line_conn *c, const char *text)
{
    if (c->tls.ssl) {
        SSL_write(c->tls.ssl, text, (int) strlen(text));
        flush_tls(c);
    } else {
        send_all(c, text, strlen(text));
    }
    if (c->hung) {
        c->hung = false;
        handle_lines(c);
    }
}

static void conn_free(void *object)
{
    free(object);
}

void conn_close(struct line_conn *c)
{
    if (c->fd < 0)
        return;
    loop_io_done(&c->io);
    close(c->fd);
    if (c->tls.ssl)
        tls_peer_done(&c->tls);
    c->fd = -1;
    c->world->open--;
    list_remove(&c->link);
    loop_defer_free(c->world->loop, conn_free, c);
}

void conn_reset(struct line_conn *c)
{
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    conn_close(c);
}

static void usual(struct world *w, struct line_conn *c, const char *line)
{
    if (strncmp(line, "AUTH ", 5) == 0) {
        w->auths++;
        conn_say(c, strcmp(line + 5, "right") == 0 ? "+ok\n" : strcmp(line + 5, "later") == 0 ? "~later\n" : "-no\n");
    } else if (strcmp(line, "TLS") == 0) {
        conn_say(c, w->no_tls ? "-no\n" : "+go\n");
        if (w->behind_go)
            conn_say(c, w->behind_go);
        if (!w->no_tls)
            tls_peer_init(&c->tls, w->tls);
    } else if (strcmp(line, "QUIT") == 0) {
        conn_say(c, "+bye\n");
        conn_close(c);
    } else if (strcmp(line, "PUT") == 0) {
        c->in_body = true;
    } else if (strncmp(line, "ECHO ", 5) == 0) {
        char answer[300];
        snprintf(answer, sizeof(answer), "=%s\n+ok\n", line + 5);
        conn_say(c, answer);
    } else if (strcmp(line, "HANG") == 0) {
        c->hung = true;
    } else if (strcmp(line, "DROP") == 0) {
        conn_close(c);
    } else if (strcmp(line, "RESET") == 0) {
        conn_reset(c);
    } else if (strcmp(line, "REFUSE") == 0) {
        conn_say(c, "-no\n");
    } else {
        if (strncmp(line, "DO", 2) == 0)
            w->commits++;
        conn_say(c, "+ok\n");
    }
}

static void handle_line(struct line_conn *c, const char *line)
{
    struct world *w = c->world;
    if (c->in_body) {
        if (strcmp(line, ".") != 0)
            return;
        c->in_body = false;
        w->commits++;
        conn_say(c, "+stored\n");
        return;
    }
    size_t n = strlen(w->log);
    if (n + strlen(line) + 16 < sizeof(w->log))
        snprintf(w->log + n, sizeof(w->log) - n, "%u:%s ", c->number, line);
    if (!w->on_line || !w->on_line(w, c, line))
        usual(w, c, line);
}

/* One that hangs answers nothing until a test speaks for it. */
static void handle_lines(struct line_conn *c)
{
    char *end, line[256];
    size_t used = 0;
    if (c->handling)
        return;
    c->handling = true;
    while (c->fd >= 0 && !c->hung && (end = memchr(c->in + used, '\n', c->in_len - used))) {
        size_t len = (size_t) (end - c->in) - used;
        snprintf(line, sizeof(line), "%.*s", (int) len, c->in + used);
        used += len + 1;
        handle_line(c, line);
    }
    memmove(c->in, c->in + used, c->in_len - used);
    c->in_len -= used;
    c->handling = false;
}

static void greet(struct line_conn *c)
{
    struct world *w = c->world;
    if (w->implicit_tls && !c->tls.ssl)
        tls_peer_init(&c->tls, w->tls);
    else
        conn_say(c, w->greeting ? w->greeting : "+hi\n");
}

/* Bytes in clear for the line protocol. */
static void take_plain(struct line_conn *c, const char *bytes, size_t len)
{
    if (c->in_len + len > sizeof(c->in))
        c->in_len = 0; /* a long body line */
    memcpy(c->in + c->in_len, bytes, len);
    c->in_len += len;
    handle_lines(c);
}

static void take_play(struct line_conn *c, const char *bytes, size_t len);

static void take_tls(struct line_conn *c, const char *bytes, size_t len)
{
    char plain[16384];
    bool was_done = SSL_is_init_finished(c->tls.ssl);
    int n;
    tls_peer_feed(&c->tls, bytes, len);
    bool done = tls_peer_shake(&c->tls);
    flush_tls(c);
    if (done && !was_done && c->world->implicit_tls)
        greet(c);
    while (c->fd >= 0 && done && (n = SSL_read(c->tls.ssl, plain, sizeof(plain))) > 0) {
        if (c->proxy_step < c->world->n_play)
            take_play(c, plain, (size_t) n);
        else
            take_plain(c, plain, (size_t) n);
    }
}

/* The proxy that is played in front of the server. */
static void take_play(struct line_conn *c, const char *bytes, size_t len)
{
    struct world *w = c->world;
    const struct proxy_play *step = &w->play[c->proxy_step];
    ck_assert_uint_lt(c->in_len + len, sizeof(c->in) - 1);
    memcpy(c->in + c->in_len, bytes, len);
    c->in_len += len;
    c->in[c->in_len] = '\0';
    if (step->need ? c->in_len < step->need : !strstr(c->in, "\r\n\r\n"))
        return;
    size_t n = MIN(c->in_len, sizeof(w->played) - w->n_played);
    memcpy(w->played + w->n_played, c->in, n);
    w->n_played += n;
    c->in_len = 0;
    c->proxy_step++;
    if (c->tls.ssl)
        conn_say(c, step->reply);
    else
        send_all(c, step->reply, step->reply_len);
    if (c->proxy_step == w->n_play) {
        greet(c);
    } else if (w->play_closes) {
        w->play_next = c->proxy_step;
        conn_close(c);
    }
}

static void conn_ready(void *arg, unsigned what)
{
    struct line_conn *c = arg;
    static char bytes[65536];
    (void) what;
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        conn_close(c);
    else if (!c->tls.ssl && c->proxy_step < c->world->n_play)
        take_play(c, bytes, (size_t) n);
    else if (c->tls.ssl)
        take_tls(c, bytes, (size_t) n);
    else
        take_plain(c, bytes, (size_t) n);
}

static void accept_ready(void *arg, unsigned what)
{
    struct world *w = arg;
    (void) what;
    int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    w->accepted++;
    if (w->close_at_accept) {
        close(fd);
        return;
    }
    struct line_conn *c = calloc(1, sizeof(*c));
    ck_assert_ptr_nonnull(c);
    c->world = w;
    c->fd = fd;
    c->number = w->accepted;
    c->proxy_step = w->play_next;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    list_append(&w->conns, &c->link);
    if (++w->open > w->max_open)
        w->max_open = w->open;
    ck_assert_int_eq(loop_io_init(&c->io, w->loop, fd, conn_ready, c), 0);
    ck_assert_int_eq(loop_io_want(&c->io, LOOP_READ), 0);
    if (w->tls_proxy)
        tls_peer_init(&c->tls, w->tls);
    else if (w->n_play == 0)
        greet(c);
}

void world_listen(struct world *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(w->port)};
    socklen_t len = sizeof(at);
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(w->listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    ck_assert_int_eq(bind(w->listener, (struct sockaddr *) &at, sizeof(at)), 0);
    ck_assert_int_eq(listen(w->listener, 64), 0);
    ck_assert_int_eq(getsockname(w->listener, (struct sockaddr *) &at, &len), 0);
    w->port = ntohs(at.sin_port);
    ck_assert_int_eq(loop_io_init(&w->accept_io, w->loop, w->listener, accept_ready, w), 0);
    ck_assert_int_eq(loop_io_want(&w->accept_io, LOOP_READ), 0);
}

void world_unlisten(struct world *w)
{
    if (w->listener < 0)
        return;
    loop_io_done(&w->accept_io);
    close(w->listener);
    w->listener = -1;
}

/* --- the loop --- */

static int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void ticked(void *arg)
{
    struct world *w = arg;
    bool over = loop_now_ms(w->loop) >= w->give_up_ms;
    if (over || (w->until && w->until(w)))
        loop_stop(w->loop);
    else
        loop_timer_set(&w->tick, 1);
}

void world_run_for(struct world *w, unsigned ms)
{
    w->until = NULL;
    w->give_up_ms = loop_now_ms(w->loop) + ms;
    loop_timer_clear(&w->tick);
    loop_timer_set(&w->tick, 1);
    ck_assert_int_eq(loop_run(w->loop), 0);
}

void world_run(struct world *w, bool (*until)(struct world *w), int want)
{
    w->until = until;
    w->want = want;
    w->give_up_ms = loop_now_ms(w->loop) + 20000;
    loop_timer_clear(&w->tick);
    loop_timer_set(&w->tick, 1);
    ck_assert_int_eq(loop_run(w->loop), 0);
    ck_assert_msg(until(w), "gave up: done %d of %d, accepted %u, order '%s', log '%s', last fault '%s'", w->done, want,
                  w->accepted, w->order, w->log, w->last_fault.text);
}

bool world_done_is(struct world *w)
{
    return w->done >= w->want;
}

static void logged(void *arg, int level, const struct endpoint *e, const char *event, const char *text)
{
    struct world *w = arg;
    (void) level;
    (void) e;
    if (getenv("NET_WORLD_LOG"))
        fprintf(stderr, "%s: %s\n", event, text);
    w->logged++;
}

void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->fds_before = count_fds();
    w->loop = loop_new();
    list_init(&w->conns);
    w->workers = worker_pool_new(w->loop, "test", 2, 100);
    w->net = net_context_new(w->loop, w->workers, w->workers, &(struct net_hooks){.log = logged, .arg = w});
    ck_assert_ptr_nonnull(w->net);
    ck_assert_int_eq(loop_timer_init(&w->tick, w->loop, ticked, w), 0);
    world_listen(w);
}

void world_done(struct world *w)
{
    struct line_conn *c;
    world_unlisten(w);
    list_foreach(&w->conns, c, struct line_conn, link)
        conn_close(c);
    world_run_for(w, 2);
    net_context_free(w->net);
    worker_pool_free(w->workers);
    loop_timer_done(&w->tick);
    loop_free(w->loop);
    ck_assert_int_eq(line_engines_alive, 0);
    ck_assert_int_eq(count_fds(), w->fds_before);
}

struct endpoint *world_endpoint(struct world *w)
{
    struct endpoint *e = endpoint_new(PROTOCOL_SMTP);
    ck_assert_ptr_nonnull(e);
    e->account = strdup("test");
    e->host = strdup("127.0.0.1");
    e->port = w->port;
    e->engine.tls = TLS_POLICY_NONE;
    e->connect_timeout_ms = 10000;
    e->ready_timeout_ms = 15000;
    e->timeout_ms = 10000;
    e->data_timeout_ms = 10000;
    e->pool_size = 2;
    e->idle_timeout_ms = 60000;
    e->idle_probe_ms = 5000;
    e->queue_size = 1000;
    e->queue_timeout_ms = 10000;
    return e;
}

struct pool *world_pool(struct world *w, struct endpoint *e)
{
    struct pool *p = pool_new(w->net, e);
    ck_assert_ptr_nonnull(p);
    endpoint_unref(e);
    return p;
}

static void pool_closed(void *arg)
{
    ((struct world *) arg)->closed = true;
}

static bool is_closed(struct world *w)
{
    return w->closed;
}

void world_close(struct world *w, struct pool *p)
{
    w->closed = false;
    pool_close(p, 200, pool_closed, w);
    world_run(w, is_closed, 0);
}

/* --- exchanges --- */

static struct test_exchange *of(struct exchange *x)
{
    return container_of(x, struct test_exchange, x);
}

static int x_start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct test_exchange *t = of(x);
    t->started++;
    t->world->started++;
    t->body_given = false;
    if (t->not_yet) {
        t->not_yet--;
        return EXCHANGE_NOT_YET;
    }
    for (unsigned i = 0; i < t->n_requests; i++) {
        list_init(&t->requests[i].base.link);
        t->requests[i].base.owner = x;
        int r = line_engine_submit(session_engine(s), &t->requests[i], fault);
        if (r < 0)
            return r;
    }
    return 0;
}

static void x_event(struct exchange *x, struct session *s, const struct engine_event *event)
{
    struct test_exchange *t = of(x);
    (void) s;
    t->n_events++;
    t->world->events++;
    if (event->type == ENGINE_EVENT_DATA) {
        snprintf(t->data, sizeof(t->data), "%.*s", (int) event->data.len, event->data.data);
        if (t->cancel_at_data)
            exchange_cancel(x);
    }
    if (event->type == ENGINE_EVENT_DONE)
        t->last_ok = ((const struct line_event *) event)->ok;
}

static ssize_t x_body(struct exchange *x, struct engine_request *request, const char **ret, bool *ret_last)
{
    struct test_exchange *t = of(x);
    (void) request;
    if (t->body_fail)
        return -EIO;
    if (t->body_wait)
        return 0;
    *ret = t->body;
    *ret_last = true;
    t->body_given = true;
    return (ssize_t) t->body_len;
}

static void x_done(struct exchange *x, const struct fault *fault)
{
    struct test_exchange *t = of(x);
    struct world *w = t->world;
    t->done++;
    w->done++;
    t->has_fault = fault != NULL;
    if (fault) {
        t->fault = w->last_fault = *fault;
        w->failed++;
    }
    size_t n = strlen(w->order);
    snprintf(w->order + n, sizeof(w->order) - n, "%s ", t->name);
    ck_assert_uint_eq(t->done, 1);
    if (t->cancels)
        exchange_cancel(&t->cancels->x);
}

static int x_fits(const struct exchange *x, const struct session *s)
{
    (void) x;
    return session_is_idle(s) ? 1 : 0;
}

static const struct exchange_ops test_ops = {
    .name = "test", .fits = x_fits, .start = x_start, .event = x_event, .body = x_body, .done = x_done,
};

struct test_exchange *test_exchange_new(struct world *w, const char *name, const char *lines, bool changes)
{
    struct test_exchange *t = calloc(1, sizeof(*t));
    ck_assert_ptr_nonnull(t);
    exchange_init(&t->x, &test_ops);
    t->world = w;
    t->x.changes = changes;
    snprintf(t->name, sizeof(t->name), "%s", name);
    char *copy = strdup(lines), *rest = copy;
    while (rest) {
        char *line = strsep(&rest, "|");
        t->requests[t->n_requests].line = strdup(line);
        t->requests[t->n_requests++].base.changes = changes;
    }
    free(copy);
    return t;
}

void test_exchange_free(struct test_exchange *t)
{
    for (unsigned i = 0; i < t->n_requests; i++)
        free((char *) t->requests[i].line);
    free(t);
}

struct test_exchange *world_call(struct world *w, struct pool *p, const char *lines, bool changes)
{
    struct fault fault = {0};
    struct test_exchange *t = test_exchange_new(w, "t", lines, changes);
    ck_assert_int_eq(pool_submit(p, &t->x, &fault), 0);
    world_run(w, world_done_is, w->done + 1);
    return t;
}

/* --- credentials --- */

static void answer_waiters(void *arg)
{
    struct test_credential *c = arg;
    while (!list_is_empty(&c->waiters)) {
        struct credential_waiter *waiter = list_first(&c->waiters, struct credential_waiter, link);
        struct fault fault = {0};
        list_remove(&waiter->link);
        fault_set(&fault, -ENOENT, FAULT_STORAGE, "auth", "the password file is gone");
        waiter->ready(waiter, c->password ? secret_new(c->password, strlen(c->password)) : NULL, &fault);
    }
}

static void credential_fetch(struct credential_source *s, struct credential_waiter *waiter)
{
    struct test_credential *c = container_of(s, struct test_credential, source);
    c->fetched++;
    list_append(&c->waiters, &waiter->link);
    loop_task_schedule(&c->task);
}

static void credential_cancel(struct credential_source *s, struct credential_waiter *waiter)
{
    (void) s;
    list_remove(&waiter->link);
}

static void credential_refused(struct credential_source *s, const struct secret *secret)
{
    (void) secret;
    container_of(s, struct test_credential, source)->refused++;
}

static struct credential_source *credential_ref(struct credential_source *s)
{
    container_of(s, struct test_credential, source)->refs++;
    return s;
}

static void credential_unref(struct credential_source *s)
{
    container_of(s, struct test_credential, source)->refs--;
}

void test_credential_init(struct test_credential *c, struct world *w, const char *password)
{
    static const struct credential_source_ops ops = {credential_fetch, credential_cancel, credential_refused,
                                                     credential_ref, credential_unref};
    *c = (struct test_credential){.source.ops = &ops, .password = password, .refs = 1};
    list_init(&c->waiters);
    loop_task_init(&c->task, w->loop, answer_waiters, c);
}
