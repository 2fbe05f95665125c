# doc: what is written for people, and the examples. The C ones are compiled by make check, all of them run by tests/flow.
EXTRA_DIST += \
	%reldir%/messages.md \
	%reldir%/operating.md \
	%reldir%/recipes.md \
	%reldir%/examples/mail.js \
	%reldir%/examples/mail.php \
	%reldir%/examples/mail.pl \
	%reldir%/examples/mail.py \
	%reldir%/examples/mail.sh

EXAMPLE_CPPFLAGS = $(CLIENT_INC) $(JANSSON_CFLAGS)
EXAMPLE_LIBS = libpostern.la $(JANSSON_LIBS)
check_PROGRAMS += doc/examples/send doc/examples/fetch doc/examples/watch
doc_examples_send_SOURCES = %reldir%/examples/send.c
doc_examples_send_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
doc_examples_send_LDADD = $(EXAMPLE_LIBS)
doc_examples_fetch_SOURCES = %reldir%/examples/fetch.c
doc_examples_fetch_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
doc_examples_fetch_LDADD = $(EXAMPLE_LIBS)
doc_examples_watch_SOURCES = %reldir%/examples/watch.c
doc_examples_watch_CPPFLAGS = $(EXAMPLE_CPPFLAGS)
doc_examples_watch_LDADD = $(EXAMPLE_LIBS)
