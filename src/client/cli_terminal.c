/* SPDX-License-Identifier: MIT */
/* The terminal: its size, the pager, HTML made readable, files under names that strangers chose. */
#include "cli.h"

#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void cli_terminal_size(size_t *ret_columns, size_t *ret_lines)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS"), *lines = getenv("LINES");
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    long c = size.ws_col ? size.ws_col : columns ? strtol(columns, NULL, 10) : 80;
    long l = size.ws_row ? size.ws_row : lines ? strtol(lines, NULL, 10) : 24;
    *ret_columns = c >= 40 && c <= 1000 ? (size_t) c : 80;
    *ret_lines = l >= 5 && l <= 1000 ? (size_t) l : 24;
}

/* --- the pager --- */

static pid_t pager = -1;

void cli_pager_begin(const struct cli *cli)
{
    const char *command = getenv("PAGER");
    int ends[2];
    if (cli->json || pager > 0 || !isatty(STDOUT_FILENO) || (command && (!*command || strcmp(command, "cat") == 0)))
        return;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    fflush(stdout);
    pager = fork();
    if (pager == 0) {
        dup2(ends[0], STDIN_FILENO);
        /* quit where one screen is enough; show colours; leave the text there; and a mail is no place for shell escapes */
        setenv("LESS", "FRX", 0);
        setenv("LESSSECURE", "1", 0);
        execl("/bin/sh", "sh", "-c", command ? command : "command -v less >/dev/null && exec less || exec cat",
              (char *) NULL);
        _exit(127);
    }
    if (pager > 0)
        dup2(ends[1], STDOUT_FILENO);
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    close(ends[1]);
}

void cli_pager_end(void)
{
    int status;
    if (pager <= 0)
        return;
    fflush(stdout);
    close(STDOUT_FILENO);
    while (waitpid(pager, &status, 0) < 0 && errno == EINTR)
        ;
    pager = -1;
}

/* --- HTML --- */

static bool is_tag(struct slice name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq_ci(name, slice_of_str(names[i])))
            return true;
    return false;
}

/* One character reference; returns its bytes, 0 where there is none. */
static size_t put_entity(FILE *out, const char *p, size_t len)
{
    static const struct {
        const char *name, *text;
    } names[] = {{"amp", "&"},  {"lt", "<"},      {"gt", ">"},    {"quot", "\""}, {"apos", "'"},
                 {"nbsp", " "}, {"ndash", "–"},   {"mdash", "—"}, {"hellip", "…"}, {"euro", "€"},
                 {"auml", "ä"}, {"ouml", "ö"},    {"uuml", "ü"},  {"szlig", "ß"}, {"copy", "©"},
                 {"bull", "•"}, {"rsquo", "’"}, {"laquo", "«"}, {"raquo", "»"}};
    const char *end = memchr(p, ';', MIN(len, (size_t) 12));
    char utf8[4];
    if (!end || end - p < 3)
        return 0;
    struct slice name = slice_of(p + 1, (size_t) (end - p) - 1);
    if (name.data[0] == '#') {
        bool hex = name.len > 1 && (name.data[1] | 0x20) == 'x';
        unsigned long c = strtoul(name.data + 1 + hex, NULL, hex ? 16 : 10);
        size_t n = c < 0x110000 ? utf8_encode((uint32_t) c, utf8) : 0;
        fwrite(n ? utf8 : "?", 1, n ? n : 1, out);
        return name.len + 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_eq(name, slice_of_str(names[i].name))) {
            fputs(names[i].text, out);
            return name.len + 2;
        }
    return 0;
}

char *cli_html_text(const char *html, size_t len)
{
    static const char *const blocks[] = {"p",  "br", "div", "tr", "table", "h1", "h2", "h3",
                                         "h4", "li", "ul",  "ol", "hr",    "blockquote", "pre"};
    static const char *const hidden[] = {"style", "script", "head", "title"};
    char *text = NULL;
    size_t size = 0;
    unsigned newlines = 2; /* how many stand before the next word */
    bool space = false;
    struct slice until = {NULL, 0}; /* everything is left out up to the end of this element */
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < len;) {
        if (html[i] == '<') {
            struct slice rest = slice_of(html + i, len - i);
            size_t n = slice_find(rest, '>'), at = 1, start;
            bool closing = rest.len > 1 && rest.data[1] == '/';
            if (rest.len > 4 && memcmp(rest.data, "<!--", 4) == 0) {
                const char *over = memmem(rest.data + 4, rest.len - 4, "-->", 3);
                i = over ? (size_t) (over - html) + 3 : len;
                continue;
            }
            start = at += closing;
            while (at < n && (ascii_is_alpha(rest.data[at]) || ascii_is_digit(rest.data[at])))
                at++;
            struct slice name = slice_of(rest.data + start, at > start && start < rest.len ? at - start : 0);
            if (!until.data && !closing && is_tag(name, hidden, ARRAY_LEN(hidden)))
                until = name;
            else if (until.data && closing && slice_eq_ci(name, until))
                until = (struct slice) {NULL, 0};
            else if (!until.data && is_tag(name, blocks, ARRAY_LEN(blocks)) && newlines < 2) {
                fputc('\n', out);
                newlines++;
                space = false;
            }
            i += MIN(n + 1, len - i);
            continue;
        }
        if (until.data) {
            i++;
            continue;
        }
        if (html[i] == ' ' || html[i] == '\t' || html[i] == '\r' || html[i] == '\n') {
            space = newlines == 0;
            i++;
            continue;
        }
        if (space)
            fputc(' ', out);
        space = false;
        newlines = 0;
        size_t n = html[i] == '&' ? put_entity(out, html + i, len - i) : 0;
        if (n == 0)
            fputc(html[i], out);
        i += n ? n : 1;
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* --- files --- */

/* A name that is a name: one component, printable, neither hidden nor an option, short enough for a number behind. */
static void safe_name(const char *wanted, char *out)
{
    const char *slash = strrchr(wanted, '/'), *backslash = strrchr(wanted, '\\');
    const char *p = MAX(slash ? slash + 1 : wanted, backslash ? backslash + 1 : wanted);
    size_t n = 0;
    for (size_t len = strlen(p); len > 0;) {
        uint32_t c = 0;
        size_t bytes = utf8_decode(p, len, &c);
        bool bad = bytes == 0 || c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0) || c == '/' || c == ':' || c == '"' ||
                   (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
        bytes = bytes ? bytes : 1;
        if (n + bytes > CLI_NAME_MAX - 16)
            break;
        if (bad)
            out[n++] = '_';
        else
            memcpy(out + n, p, bytes), n += bytes;
        p += bytes;
        len -= bytes;
    }
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'))
        n--;
    out[n] = 0;
    if (n == 0)
        snprintf(out, CLI_NAME_MAX + 1, "attachment");
    else if (out[0] == '-' || out[0] == '.' || out[0] == '~')
        out[0] = '_';
}

/* false with errno. */
static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t) n : 0;
    }
    return true;
}

int cli_replace_file(const struct cli *cli, int dir_fd, const char *name, const char *text, mode_t mode, gid_t group)
{
    char temporary[CLI_NAME_MAX + 64];
    snprintf(temporary, sizeof(temporary), ".%.*s.%ld.new", CLI_NAME_MAX, name, (long) getpid());
    int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cli_fail(cli, EX_CANTCREAT, "%s: %s", name, strerror(errno));
    bool good = write_all(fd, text, strlen(text)) && (group == (gid_t) -1 || fchown(fd, 0, group) == 0) &&
                fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int err = errno;
    close(fd);
    if (good && renameat(dir_fd, temporary, dir_fd, name) == 0)
        return 0;
    err = good ? errno : err;
    unlinkat(dir_fd, temporary, 0);
    return cli_fail(cli, EX_CANTCREAT, "%s: %s", name, strerror(err));
}

int cli_save_file(const struct cli *cli, int dir_fd, const char *wanted, const void *bytes, size_t len,
                  char ret[CLI_NAME_MAX + 1])
{
    char name[CLI_NAME_MAX + 1], *dot;
    int fd = -1;
    safe_name(wanted, name);
    dot = strrchr(name, '.');
    dot = dot && dot != name && strlen(dot) <= 10 ? dot : name + strlen(name);
    memcpy(ret, name, sizeof(name));
    for (unsigned i = 1; fd < 0 && i <= 1000; i++) {
        fd = openat(dir_fd, ret, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return cli_fail(cli, EX_CANTCREAT, "%s: %s", ret, strerror(errno));
        if (fd < 0)
            snprintf(ret, CLI_NAME_MAX + 1, "%.*s-%u%s", (int) (dot - name), name, i, dot);
    }
    if (fd < 0)
        return cli_fail(cli, EX_CANTCREAT, "%s: there are too many of that name", name);
    int status = write_all(fd, bytes, len) ? 0 : cli_fail(cli, EX_IOERR, "%s: %s", ret, strerror(errno));
    if (close(fd) < 0 && !status)
        status = cli_fail(cli, EX_IOERR, "%s: %s", ret, strerror(errno));
    return status;
}
