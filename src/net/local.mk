# net: may use util, protocols, libevent, OpenSSL, zlib and libidn2.
noinst_LTLIBRARIES += libnet.la
libnet_la_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) $(NET_INC) $(EVENT_CFLAGS) $(OPENSSL_CFLAGS) $(IDN_CFLAGS) $(ZLIB_CFLAGS)
libnet_la_SOURCES = \
	%reldir%/backoff.c %reldir%/backoff.h \
	%reldir%/connector.c %reldir%/connector.h \
	%reldir%/deflate_stage.c %reldir%/deflate_stage.h \
	%reldir%/derive.c %reldir%/derive.h \
	%reldir%/endpoint.c %reldir%/endpoint.h \
	%reldir%/endpoint_key.c \
	%reldir%/exchange.h \
	%reldir%/fair_queue.c %reldir%/fair_queue.h \
	%reldir%/http_auth.c %reldir%/http_auth.h \
	%reldir%/loop.c %reldir%/loop.h \
	%reldir%/net_private.h \
	%reldir%/pool.c %reldir%/pool.h \
	%reldir%/pool_lease.c \
	%reldir%/pool_place.c \
	%reldir%/pool_private.h \
	%reldir%/pool_slot.c \
	%reldir%/proxy.c %reldir%/proxy.h \
	%reldir%/proxy_bypass.c \
	%reldir%/resolver.c %reldir%/resolver.h \
	%reldir%/salted_keys.c %reldir%/salted_keys.h \
	%reldir%/session.c %reldir%/session.h \
	%reldir%/session_exchange.c \
	%reldir%/session_io.c \
	%reldir%/session_login.c \
	%reldir%/session_private.h \
	%reldir%/session_relay.c \
	%reldir%/spool.c %reldir%/spool.h \
	%reldir%/tls.c %reldir%/tls.h \
	%reldir%/tls_context.c \
	%reldir%/tls_ocsp.c \
	%reldir%/tls_private.h \
	%reldir%/tls_verify.c \
	%reldir%/worker.c %reldir%/worker.h
NET_LIBS = libnet.la $(PROTOCOLS_LIBS) $(EVENT_LIBS) $(OPENSSL_LIBS) $(IDN_LIBS)
