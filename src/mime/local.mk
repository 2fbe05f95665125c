# mime: may use util and iconv; knows no socket, clock, environment, log or JSON.
noinst_LTLIBRARIES += libmime.la
libmime_la_CPPFLAGS = $(UTIL_INC) $(MIME_INC)
libmime_la_SOURCES = \
	%reldir%/mime_address.c \
	%reldir%/mime_charset.c %reldir%/mime_charset.h %reldir%/mime_charset_tables.c \
	%reldir%/mime_compose.c %reldir%/mime_compose.h %reldir%/mime_compose_private.h \
	%reldir%/mime_compose_body.c \
	%reldir%/mime_compose_header.c \
	%reldir%/mime_compose_plan.c \
	%reldir%/mime_compose_wishes.c \
	%reldir%/mime_date.c \
	%reldir%/mime_field.c \
	%reldir%/mime_flowed.c %reldir%/mime_flowed.h \
	%reldir%/mime_fold.c %reldir%/mime_fold.h \
	%reldir%/mime_header.h \
	%reldir%/mime_internal.h \
	%reldir%/mime_message.c %reldir%/mime_message.h \
	%reldir%/mime_param.c \
	%reldir%/mime_envelope.c %reldir%/mime_envelope.h \
	%reldir%/mime_qp.c %reldir%/mime_qp.h \
	%reldir%/mime_raw.c %reldir%/mime_raw.h \
	%reldir%/mime_reader.c \
	%reldir%/mime_report.c %reldir%/mime_report.h \
	%reldir%/mime_lines.c %reldir%/mime_lines.h \
	%reldir%/mime_scan.c %reldir%/mime_scan.h \
	%reldir%/mime_sort.c \
	%reldir%/mime_source.c %reldir%/mime_source.h \
	%reldir%/mime_subject.c %reldir%/mime_subject.h %reldir%/mime_collation_tables.c \
	%reldir%/mime_text.c %reldir%/mime_text.h \
	%reldir%/mime_thread.c %reldir%/mime_thread.h \
	%reldir%/mime_tnef.c %reldir%/mime_tnef.h \
	%reldir%/mime_transfer.c %reldir%/mime_transfer.h  \
	%reldir%/mime_types.c %reldir%/mime_types.h \
	%reldir%/mime_uu.c %reldir%/mime_uu.h
