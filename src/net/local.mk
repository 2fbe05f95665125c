# net: may use util, protocols, libevent and OpenSSL.
noinst_LTLIBRARIES += libnet.la
libnet_la_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) $(NET_INC) $(EVENT_CFLAGS) $(OPENSSL_CFLAGS)
libnet_la_SOURCES = \
	%reldir%/endpoint.c %reldir%/endpoint.h \
	%reldir%/exchange.h \
	%reldir%/loop.c %reldir%/loop.h \
	%reldir%/pool.h \
	%reldir%/spool.c %reldir%/spool.h \
	%reldir%/worker.c %reldir%/worker.h
NET_LIBS = libnet.la $(PROTOCOLS_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS)
