# protocols: may use util and GNU SASL; sans-IO, knows no socket, clock, environment, log or JSON.
noinst_LTLIBRARIES += libprotocols.la
libprotocols_la_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) $(GSASL_CFLAGS) $(ZLIB_CFLAGS) $(IDN_CFLAGS)
libprotocols_la_SOURCES = \
	%reldir%/engine.c %reldir%/engine.h \
	%reldir%/reader.c %reldir%/reader.h \
	%reldir%/sasl.c %reldir%/sasl.h %reldir%/sasl_private.h \
	%reldir%/sasl_bearer.c %reldir%/sasl_gnu.c %reldir%/sasl_scram.c \
	%reldir%/sasl_wire.c %reldir%/sasl_wire.h \
	%reldir%/writer.c %reldir%/writer.h
PROTOCOLS_LIBS = libprotocols.la libutil.la $(GSASL_LIBS) $(ZLIB_LIBS) $(IDN_LIBS)

include src/protocols/smtp/local.mk
include src/protocols/pop3/local.mk
include src/protocols/imap/local.mk
