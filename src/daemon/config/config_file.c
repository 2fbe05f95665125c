/* SPDX-License-Identifier: MIT */
#include "config_file.h"

#include "config_keys.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <ini_configobj.h>
#include <ini_valueobj.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- problems --- */

void config_problems_init(struct config_problems *p, const char *file)
{
    *p = (struct config_problems){.file = file};
    arena_init(&p->arena, 4 * CONFIG_FILE_MAX);
    p->items = calloc(CONFIG_PROBLEMS_MAX, sizeof(*p->items));
}

void config_problems_done(struct config_problems *p)
{
    free(p->items);
    arena_done(&p->arena);
}

void config_problem(struct config_problems *p, unsigned line, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    char clean[sizeof(text)];
    fault_clean_text(clean, sizeof(clean), slice_of_str(text));
    char *kept = arena_strdup(&p->arena, clean);
    if (!kept || !p->items) {
        p->out_of_memory = true;
        return;
    }
    if (p->n < CONFIG_PROBLEMS_MAX)
        p->items[p->n++] = (struct config_problem){line ? line : 1, kept};
}

static int by_line(const void *a, const void *b)
{
    const struct config_problem *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return strcmp(x->text, y->text);
}

int config_problems_print(struct config_problems *p, struct buffer *out)
{
    int r = p->out_of_memory ? -ENOMEM : 0;
    if (p->n)
        qsort(p->items, p->n, sizeof(*p->items), by_line);
    for (size_t i = 0; i < p->n && r == 0; i++) {
        if (i > 0 && by_line(&p->items[i - 1], &p->items[i]) == 0)
            continue;
        r = buffer_printf(out, "%s:%u: %s\n", p->file, p->items[i].line, p->items[i].text);
    }
    return r == -EMSGSIZE ? 0 : r; /* full is full: the first ones are there */
}

/* --- reading --- */

/* Others must not be able to give the daemon orders. */
static void check_owner(const struct stat *st, struct config_problems *problems)
{
    if (geteuid() != 0 && st->st_uid != 0 && st->st_uid != geteuid())
        config_problem(problems, 0, "belongs to uid %u, neither root nor this user", (unsigned) st->st_uid);
    if (st->st_mode & S_IWOTH)
        config_problem(problems, 0, "can be written by everybody (mode %04o)", (unsigned) st->st_mode & 07777);
}

static int read_whole(int fd, struct buffer *text)
{
    for (;;) {
        char *room;
        size_t want = MIN(buffer_room(text), (size_t) 65536);
        if (want == 0)
            return -EFBIG;
        int r = buffer_reserve(text, want, &room);
        if (r < 0)
            return r;
        ssize_t n = read(fd, room, want);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            buffer_commit(text, (size_t) n);
    }
}

static int read_file(const char *path, struct config_file *f, struct config_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &f->st) < 0) {
        config_problem(problems, 0, "cannot be read: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return 0;
    }
    int r = 0;
    if (!S_ISREG(f->st.st_mode)) {
        config_problem(problems, 0, "is not a regular file");
    } else {
        check_owner(&f->st, problems);
        r = read_whole(fd, &f->text);
        if (r < 0 && r != -ENOMEM) {
            config_problem(problems, 0, "cannot be read: %s",
                           r == -EFBIG ? "larger than a configuration may be" : strerror(-r));
            buffer_clear(&f->text);
            r = 0;
        }
    }
    close(fd);
    return r;
}

/* --- lines --- */

struct line {
    size_t start, len; /* in the text, without line end */
};

struct reading {
    struct config_file *file;
    struct config_problems *problems;
    char *copy; /* what libini_config gets: secrets masked, lines that are reported already made comments */
    struct line *lines;
    unsigned n_lines;
    struct section {
        const char *name;
        unsigned line;
    } * sections;
    size_t n_sections;
};

static struct slice line_text(const struct reading *rd, unsigned number)
{
    struct line l = rd->lines[number - 1];
    return slice_of(buffer_slice(&rd->file->text).data + l.start, l.len);
}

/* Makes a comment of the line, so that the others can still be checked. */
static void drop_line(struct reading *rd, unsigned number)
{
    struct line l = rd->lines[number - 1];
    if (l.len)
        memset(rd->copy + l.start, '#', l.len);
}

static bool key_is_plain(struct slice key)
{
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char) key.data[i] <= ' ' || (unsigned char) key.data[i] >= 0x7f)
            return false;
    return key.len > 0 && key.len <= 300;
}

/* libini_config wants names in printable ASCII without an exclamation mark, and says nothing when it meets others. */
static bool section_is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char) name.data[i] < ' ' || (unsigned char) name.data[i] >= 0x7f || name.data[i] == '!')
            return false;
    return name.len > 0 && name.len <= 300;
}

/* `[NAME]`: true when the lines below it are to be looked at. Malformed ones are left to the library's report. */
static bool scan_header(struct reading *rd, struct slice text, unsigned number)
{
    if (text.data[text.len - 1] != ']')
        return true;
    struct slice name = slice_trim(slice_of(text.data + 1, text.len - 2));
    if (name.len == 0)
        return true;
    if (!section_is_plain(name)) {
        config_problem(rd->problems, number, "unknown section [%.*s]", (int) MIN(name.len, (size_t) 100), name.data);
        drop_line(rd, number);
        return false;
    }
    for (size_t i = 0; i < rd->n_sections; i++)
        if (slice_eq_ci(slice_of_str(rd->sections[i].name), name)) {
            config_problem(rd->problems, number, "section [%.*s] is there twice (first in line %u)", (int) name.len,
                           name.data, rd->sections[i].line);
            drop_line(rd, number);
            return false;
        }
    char *copy = arena_dup(&rd->file->arena, name.data, name.len);
    if (!copy) {
        rd->problems->out_of_memory = true;
        return false;
    }
    rd->sections[rd->n_sections++] = (struct section){copy, number};
    return true;
}

static void scan_key(struct reading *rd, struct slice text, unsigned number)
{
    size_t equal = slice_find(text, '=');
    if (equal == text.len)
        return; /* the library will say so */
    struct slice key = slice_trim(slice_to(text, equal));
    if (key.len == 0)
        return;
    if (rd->n_sections == 0) {
        config_problem(rd->problems, number, "'%.*s' stands before the first section", (int) MIN(key.len, (size_t) 100),
                       key.data);
        drop_line(rd, number);
        return;
    }
    if (!key_is_plain(key) || memchr(key.data, '!', key.len)) {
        config_problem(rd->problems, number, "unknown key '%.*s'", (int) MIN(key.len, (size_t) 100), key.data);
        drop_line(rd, number);
        return;
    }
    const struct config_key *row = config_key_any(key);
    if (row && row->type == CONFIG_SECRET) {
        struct slice value = slice_trim(slice_from(text, equal + 1));
        if (value.len)
            memset(rd->copy + (value.data - buffer_slice(&rd->file->text).data), 'x', value.len);
    }
}

/* What the library does not check, or reports without a line: encoding, order, sections. */
static void scan_lines(struct reading *rd)
{
    bool wanted = true;
    for (unsigned number = 1; number <= rd->n_lines; number++) {
        struct slice raw = line_text(rd, number), text = slice_trim(raw);
        if (!utf8_is_valid(raw) || (raw.len && memchr(raw.data, 0, raw.len))) {
            config_problem(rd->problems, number, "is not UTF-8 without NUL");
            drop_line(rd, number);
            continue;
        }
        if (text.len == 0 || raw.data[0] == '#' || raw.data[0] == ';')
            continue;
        if (text.data[0] == '#' || text.data[0] == ';') {
            config_problem(rd->problems, number, "a comment begins in the first column");
            drop_line(rd, number);
        } else if (raw.data[0] == '[') {
            wanted = scan_header(rd, text, number);
        } else if (!wanted) {
            drop_line(rd, number);
        } else {
            scan_key(rd, text, number);
        }
    }
}

static int split_lines(struct reading *rd)
{
    struct slice text = buffer_slice(&rd->file->text);
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.data[i] == '\n';
    rd->lines = calloc(most, sizeof(*rd->lines));
    rd->sections = calloc(most, sizeof(*rd->sections));
    rd->copy = malloc(text.len + 1);
    if (!rd->lines || !rd->sections || !rd->copy)
        return -ENOMEM;
    if (text.len)
        memcpy(rd->copy, text.data, text.len);
    rd->copy[text.len] = 0;
    for (size_t start = 0; start < text.len;) {
        size_t len = slice_find(slice_from(text, start), '\n');
        size_t next = start + len + 1;
        if (len && text.data[start + len - 1] == '\r')
            len--;
        rd->lines[rd->n_lines++] = (struct line){start, len};
        start = next;
    }
    return 0;
}

/* --- libini_config --- */

#define ERROR_DUPLICATE_KEY 10 /* the library's number, as its texts have it */

/* "Error (5) on line 18: Equal sign is missing." */
static void report_library_error(struct reading *rd, const char *error, bool *ret_dropped)
{
    unsigned code, number;
    int behind = 0;
    if (sscanf(error, "Error (%u) on line %u: %n", &code, &number, &behind) < 2 || behind == 0 || number == 0 ||
        number > rd->n_lines) {
        config_problem(rd->problems, 0, "%s", error);
        return;
    }
    struct slice text = line_text(rd, number), key = slice_trim(slice_to(text, slice_find(text, '=')));
    if (code == ERROR_DUPLICATE_KEY)
        config_problem(rd->problems, number, "'%.*s' is there twice", (int) MIN(key.len, (size_t) 100),
                       key.data ? key.data : "");
    else
        config_problem(rd->problems, number, "%s", error + behind);
    drop_line(rd, number);
    *ret_dropped = true;
}

/* 0 and *ret (or NULL where the library cannot read the text at all), 1 when lines were dropped and it is worth another
 * try, or a negative errno. */
static int parse_once(struct reading *rd, struct ini_cfgobj **ret)
{
    struct ini_cfgfile *file = NULL;
    struct ini_cfgobj *ini = NULL;
    int r = ini_config_file_from_mem(rd->copy, (uint32_t) buffer_len(&rd->file->text), &file);
    r = r ? r : ini_config_create(&ini);
    if (r == 0)
        r = ini_config_parse(file, INI_STOP_ON_NONE, INI_MV1S_DETECT | INI_MV2S_ERROR | INI_MS_ERROR,
                             INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, ini);
    bool dropped = false;
    char **errors = NULL;
    if (r != 0 && ini && ini_config_error_count(ini) > 0 && ini_config_get_errors(ini, &errors) == 0) {
        for (size_t i = 0; errors[i]; i++)
            report_library_error(rd, errors[i], &dropped);
        ini_config_free_errors(errors);
    } else if (r != 0 && r != ENOMEM) {
        config_problem(rd->problems, 0, "is not a configuration file: %s", strerror(r));
    }
    ini_config_file_destroy(file);
    if (r == 0) {
        *ret = ini;
        return 0;
    }
    ini_config_destroy(ini);
    return r == ENOMEM ? -ENOMEM : dropped;
}

static struct slice entry_value(const struct reading *rd, unsigned number)
{
    struct slice text = line_text(rd, number);
    return slice_trim(slice_from(text, slice_find(text, '=') + 1));
}

static int take_entries(struct reading *rd, struct ini_cfgobj *ini)
{
    struct config_file *f = rd->file;
    f->entries = arena_calloc(&f->arena, rd->n_lines + 1, sizeof(*f->entries));
    if (!f->entries)
        return -ENOMEM;
    for (size_t i = 0; i < rd->n_sections; i++) {
        const struct section *s = &rd->sections[i];
        f->entries[f->n++] = (struct config_entry){s->name, s->line, SLICE_EMPTY, SLICE_EMPTY, s->line};
        int n_keys = 0, err = 0;
        char **keys = ini_get_attribute_list(ini, s->name, &n_keys, &err);
        if (!keys && err == ENOMEM)
            return -ENOMEM;
        for (int k = 0; keys && k < n_keys; k++) {
            struct value_obj *value = NULL;
            uint32_t number = 0;
            char *key = arena_strdup(&f->arena, keys[k]);
            if (!key || ini_get_config_valueobj(s->name, keys[k], ini, INI_GET_FIRST_VALUE, &value) != 0) {
                ini_free_attribute_list(keys);
                return -ENOMEM;
            }
            if (value && value_get_line(value, &number) == 0 && number > 0 && number <= rd->n_lines &&
                f->n < rd->n_lines)
                f->entries[f->n++] =
                    (struct config_entry){s->name, s->line, slice_of_str(key), entry_value(rd, number), number};
        }
        if (keys)
            ini_free_attribute_list(keys);
    }
    return 0;
}

int config_file_read(const char *path, struct config_file *ret, struct config_problems *problems)
{
    *ret = (struct config_file){.n = 0};
    arena_init(&ret->arena, 16 * CONFIG_FILE_MAX);
    buffer_init_secret(&ret->text, CONFIG_FILE_MAX);
    int r = read_file(path, ret, problems);
    if (r < 0 || buffer_len(&ret->text) == 0)
        return r;
    struct reading rd = {.file = ret, .problems = problems};
    struct ini_cfgobj *ini = NULL;
    r = split_lines(&rd);
    if (r == 0) {
        scan_lines(&rd);
        r = 1;
    }
    /* Each round drops at least one line. */
    while (r == 1)
        r = parse_once(&rd, &ini);
    if (r == 0 && ini)
        r = take_entries(&rd, ini);
    if (ini)
        ini_config_destroy(ini);
    if (rd.copy)
        explicit_bzero(rd.copy, buffer_len(&ret->text));
    free(rd.copy);
    free(rd.lines);
    free(rd.sections);
    return r;
}

void config_file_done(struct config_file *f)
{
    buffer_done(&f->text);
    arena_done(&f->arena);
    f->entries = NULL;
    f->n = 0;
}

int config_open_named(const char *path, bool secret, struct stat *ret_st, const char **ret_why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int err = errno;
        *ret_why = strerror(err);
        return -err;
    }
    *ret_why = NULL;
    if (fstat(fd, &st) < 0)
        *ret_why = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        *ret_why = "is not a regular file";
    else if (secret && st.st_mode & (S_IROTH | S_IWOTH))
        *ret_why = "holds a secret and is open to others (take away their rights: chmod o=)";
    if (*ret_why) {
        close(fd);
        return -EPERM;
    }
    *ret_st = st;
    return fd;
}
