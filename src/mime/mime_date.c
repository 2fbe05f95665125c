/* SPDX-License-Identifier: MIT */
/* Dates: RFC 5322 section 3.3 and 4.3, RFC 822's zones, and the forms seen instead (asctime, ISO 8601, IMAP's, zones
 * in comments or behind "GMT", two and three digit years). */
#include "mime_header.h"

#include "mime_internal.h"

#include <stdio.h>

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static const struct {
    const char *name;
    int minutes;
} zones[] = {
    {"UT", 0},      {"UTC", 0},    {"GMT", 0},    {"Z", 0},      {"WET", 0},    {"EST", -300}, {"EDT", -240},
    {"CST", -360},  {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480}, {"PDT", -420}, {"AKST", -540},
    {"AKDT", -480}, {"HST", -600}, {"AST", -240}, {"ADT", -180}, {"NST", -210}, {"NDT", -150}, {"BST", 60},
    {"WEST", 60},   {"CET", 60},   {"MET", 60},   {"MEZ", 60},   {"CEST", 120}, {"MEST", 120}, {"MESZ", 120},
    {"EET", 120},   {"EEST", 180}, {"MSK", 180},  {"MSD", 240},  {"IST", 330},  {"SGT", 480},  {"HKT", 480},
    {"JST", 540},   {"KST", 540},  {"AEST", 600}, {"AEDT", 660}, {"NZST", 720}, {"NZDT", 780},
};

static int days_of_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool date_is_sane(const struct mime_date *t)
{
    return t->year >= 1 && t->year <= 9999 && t->month >= 1 && t->month <= 12 && t->day >= 1 &&
           t->day <= days_of_month(t->year, t->month) && t->hour >= 0 && t->hour <= 23 && t->minute >= 0 &&
           t->minute <= 59 && t->second >= 0 && t->second <= 60 && t->offset_minutes > -24 * 60 &&
           t->offset_minutes < 24 * 60;
}

static int month_of(struct slice word)
{
    for (int i = 0; i < 12 && word.len >= 3; i++)
        if (slice_starts_ci(word, slice_of(months[i], 3)))
            return i + 1;
    return 0;
}

/* Up to `max` digits at *i. -1: there are none. */
static int digits(struct slice s, size_t *i, int max)
{
    int v = 0, n = 0;
    while (*i < s.len && ascii_is_digit(s.data[*i]) && n < max) {
        v = v * 10 + (s.data[*i] - '0');
        ++*i;
        n++;
    }
    return n ? v : -1;
}

struct date_parser {
    struct slice s;
    size_t i;
    struct mime_date date;
    int numbers[3]; /* that are day or year */
    int widths[3];
    int n_numbers;
    bool has_time, has_zone;
    bool pm, am;
};

/* "03:04", "03:04:05", "03.04.05", "3:4:5.678", and obsolete "03 (comment) : 04"; the hour has been read, the mark
 * behind it stands at p->i. */
static bool take_time(struct date_parser *p, int hour)
{
    struct slice s = p->s;
    char mark = s.data[p->i];
    p->i = mime_skip_cfws(s, p->i + 1);
    int minute = digits(s, &p->i, 2);
    if (minute < 0)
        return false;
    p->date.hour = hour;
    p->date.minute = minute;
    p->has_time = true;
    size_t next = mime_skip_cfws(s, p->i);
    if (next == s.len || s.data[next] != mark || (mark == '.' && next != p->i))
        return true;
    p->i = mime_skip_cfws(s, next + 1);
    p->date.second = digits(s, &p->i, 2);
    if (p->date.second < 0)
        return false;
    if (p->i + 1 < s.len && (s.data[p->i] == '.' || s.data[p->i] == ',') && ascii_is_digit(s.data[p->i + 1])) {
        p->i++;
        while (p->i < s.len && ascii_is_digit(s.data[p->i]))
            p->i++;
    }
    return true;
}

/* "+0100", "-1:30", "+1"; the sign stands at p->i. */
static void take_offset(struct date_parser *p)
{
    int sign = p->s.data[p->i] == '-' ? -1 : 1;
    size_t start = ++p->i;
    int v = digits(p->s, &p->i, 4), hours, minutes = 0;
    if (v < 0)
        return;
    size_t width = p->i - start;
    if (width <= 2) {
        hours = v;
        if (p->i + 1 < p->s.len && p->s.data[p->i] == ':' && ascii_is_digit(p->s.data[p->i + 1])) {
            p->i++;
            minutes = digits(p->s, &p->i, 2);
        }
    } else {
        hours = v / 100;
        minutes = v % 100;
    }
    while (p->i < p->s.len && ascii_is_digit(p->s.data[p->i]))
        p->i++;
    if (hours < 24 && minutes < 60)
        p->date.offset_minutes = sign * (hours * 60 + minutes);
    p->has_zone = true;
}

static void take_word(struct date_parser *p)
{
    size_t start = p->i;
    while (p->i < p->s.len && ascii_is_alpha(p->s.data[p->i]))
        p->i++;
    struct slice word = slice_of(p->s.data + start, p->i - start);
    int month = month_of(word);
    if (month && !p->date.month) {
        p->date.month = month;
        return;
    }
    if (slice_eq_ci(word, SLICE("AM")) || slice_eq_ci(word, SLICE("PM"))) {
        p->pm = ascii_lower(word.data[0]) == 'p';
        p->am = !p->pm;
        return;
    }
    if (!p->has_time || p->has_zone)
        return;
    for (size_t k = 0; k < ARRAY_LEN(zones); k++) {
        if (slice_eq_ci(word, slice_of_str(zones[k].name))) {
            p->date.offset_minutes = zones[k].minutes;
            /* "GMT+0100": what follows is the offset. */
            p->has_zone = !(p->i < p->s.len && (p->s.data[p->i] == '+' || p->s.data[p->i] == '-'));
            return;
        }
    }
}

static bool take_number(struct date_parser *p)
{
    struct slice s = p->s;
    size_t start = p->i;
    int v = digits(s, &p->i, 9);
    int width = (int) (p->i - start);
    size_t next = mime_skip_cfws(s, p->i);
    if (!p->has_time && width <= 2 && next < s.len && s.data[next] == ':') {
        p->i = next;
        return take_time(p, v);
    }
    if (!p->has_time && width <= 2 && p->n_numbers == 2 && p->date.month && p->i + 1 < s.len && s.data[p->i] == '.' &&
        ascii_is_digit(s.data[p->i + 1]))
        return take_time(p, v);
    if (p->n_numbers < 3) {
        p->numbers[p->n_numbers] = v;
        p->widths[p->n_numbers++] = width;
    }
    return true;
}

/* Which number is the day and which the year. */
static bool settle_numbers(struct date_parser *p)
{
    struct mime_date *t = &p->date;
    if (!t->month) {
        /* "2026-01-02" or "2026/1/2"; other orders of three numbers mean different days to different people. */
        if (p->n_numbers != 3 || p->widths[0] != 4)
            return false;
        t->year = p->numbers[0];
        t->month = p->numbers[1];
        t->day = p->numbers[2];
        return true;
    }
    if (p->n_numbers < 2)
        return false;
    bool year_first = p->widths[0] == 4 || p->numbers[0] > 31;
    int width = p->widths[year_first ? 0 : 1];
    t->year = p->numbers[year_first ? 0 : 1];
    t->day = p->numbers[year_first ? 1 : 0];
    /* RFC 5322 4.3: two digits up to 49 are of this century, three digits and the other two are added to 1900. */
    if (width <= 2)
        t->year += t->year < 50 ? 2000 : 1900;
    else if (width == 3)
        t->year += 1900;
    return true;
}

bool mime_parse_date(struct slice raw, struct mime_date *ret)
{
    struct date_parser p = {.s = slice_trim(raw)};
    if (p.s.len > 256)
        p.s.len = 256;
    while (p.i < p.s.len) {
        char c = p.s.data[p.i];
        if (c == '(') {
            p.i = mime_skip_comment(p.s, p.i);
        } else if (ascii_is_digit(c)) {
            if (!take_number(&p))
                return false;
        } else if (ascii_is_alpha(c)) {
            /* "2026-01-02T03:04:05" */
            take_word(&p);
        } else if ((c == '+' || c == '-') && p.has_time && !p.has_zone && p.i + 1 < p.s.len &&
                   ascii_is_digit(p.s.data[p.i + 1])) {
            take_offset(&p);
        } else {
            p.i++;
        }
    }
    if (!settle_numbers(&p))
        return false;
    if (p.pm && p.date.hour < 12)
        p.date.hour += 12;
    else if (p.am && p.date.hour == 12)
        p.date.hour = 0;
    if (!date_is_sane(&p.date))
        return false;
    *ret = p.date;
    return true;
}

bool mime_parse_iso_date(struct slice s, struct mime_date *ret)
{
    struct date_parser p = {.s = s};
    struct mime_date *t = &p.date;
    t->year = digits(s, &p.i, 4);
    if (p.i != 4 || s.len < 10 || s.data[4] != '-' || s.data[7] != '-')
        return false;
    p.i = 5;
    t->month = digits(s, &p.i, 2);
    if (p.i != 7)
        return false;
    p.i = 8;
    t->day = digits(s, &p.i, 2);
    if (p.i != 10)
        return false;
    if (s.len > 10) {
        if (s.data[10] != 'T' && s.data[10] != 't' && s.data[10] != ' ')
            return false;
        p.i = 11;
        int hour = digits(s, &p.i, 2);
        if (p.i != 13 || s.len < 16 || s.data[13] != ':' || !take_time(&p, hour))
            return false;
        if (p.i < s.len && (s.data[p.i] == 'Z' || s.data[p.i] == 'z'))
            p.i++;
        else if (p.i < s.len && (s.data[p.i] == '+' || s.data[p.i] == '-'))
            take_offset(&p);
        if (p.i != s.len)
            return false;
    }
    if (!date_is_sane(t))
        return false;
    *ret = *t;
    return true;
}

static char *two_digits(char *to, int n)
{
    *to++ = (char) ('0' + n / 10 % 10);
    *to++ = (char) ('0' + n % 10);
    return to;
}

/* Lists have two for each message: printf() would be a tenth of their cost. */
size_t mime_format_iso_date(const struct mime_date *t, char out[MIME_DATE_MAX])
{
    int zone = t->offset_minutes < 0 ? -t->offset_minutes : t->offset_minutes;
    char *to = out;
    to = two_digits(two_digits(to, t->year / 100), t->year % 100);
    *to++ = '-';
    to = two_digits(to, t->month);
    *to++ = '-';
    to = two_digits(to, t->day);
    *to++ = 'T';
    to = two_digits(to, t->hour);
    *to++ = ':';
    to = two_digits(to, t->minute);
    *to++ = ':';
    to = two_digits(to, t->second);
    *to++ = t->offset_minutes < 0 ? '-' : '+';
    to = two_digits(to, zone / 60);
    *to++ = ':';
    to = two_digits(to, zone % 60);
    *to = '\0';
    return (size_t) (to - out);
}

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

size_t mime_format_date(const struct mime_date *t, char out[MIME_DATE_MAX])
{
    int zone = t->offset_minutes < 0 ? -t->offset_minutes : t->offset_minutes;
    int64_t day = days_from_civil(t->year, t->month, t->day);
    int weekday = (int) ((day % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
    int n = snprintf(out, MIME_DATE_MAX, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d", weekdays[weekday], t->day,
                     months[t->month - 1], t->year, t->hour, t->minute, t->second, t->offset_minutes < 0 ? '-' : '+',
                     zone / 60, zone % 60);
    return (size_t) n;
}

int64_t mime_date_to_unix(const struct mime_date *t)
{
    return ((days_from_civil(t->year, t->month, t->day) * 24 + t->hour) * 60 + t->minute - t->offset_minutes) * 60 +
           t->second;
}

void mime_date_from_unix(int64_t seconds, int offset_minutes, struct mime_date *ret)
{
    int64_t local = seconds + (int64_t) offset_minutes * 60;
    int64_t days = local / 86400, rest = local % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    *ret = (struct mime_date){
        .day = (int) (day_of_year - (153 * month + 2) / 5 + 1),
        .month = (int) (month < 10 ? month + 3 : month - 9),
        .hour = (int) (rest / 3600),
        .minute = (int) (rest / 60 % 60),
        .second = (int) (rest % 60),
        .offset_minutes = offset_minutes,
    };
    ret->year = (int) (year_of_era + era * 400 + (ret->month <= 2));
}
