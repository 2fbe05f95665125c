# util: may use libc, and nothing else.
noinst_LTLIBRARIES += libutil.la
libutil_la_CPPFLAGS = $(UTIL_INC)
libutil_la_SOURCES = \
	%reldir%/arena.c %reldir%/arena.h \
	%reldir%/base64.c %reldir%/base64.h %reldir%/base64_vector.c %reldir%/base64_vector.h \
	%reldir%/buffer.c %reldir%/buffer.h \
	%reldir%/fault.c %reldir%/fault.h \
	%reldir%/hash.c %reldir%/hash.h \
	%reldir%/list.h \
	%reldir%/macros.h \
	%reldir%/secret.c %reldir%/secret.h \
	%reldir%/slice.h \
	%reldir%/utf8.c %reldir%/utf8.h
