# the imap.* calls
libdaemon_la_SOURCES += \
	%reldir%/method_imap.c \
	%reldir%/method_imap.h \
	%reldir%/method_imap_append.c \
	%reldir%/method_imap_call.c \
	%reldir%/method_imap_change.c \
	%reldir%/method_imap_fetch.c \
	%reldir%/method_imap_fetch.h \
	%reldir%/method_imap_gather.c \
	%reldir%/method_imap_gather.h \
	%reldir%/method_imap_idle.c \
	%reldir%/method_imap_items.c \
	%reldir%/method_imap_json.c \
	%reldir%/method_imap_list.c \
	%reldir%/method_imap_manage.c \
	%reldir%/method_imap_multi.c \
	%reldir%/method_imap_search.c \
	%reldir%/method_imap_select.c \
	%reldir%/method_imap_session.c \
	%reldir%/method_imap_session.h \
	%reldir%/method_imap_session_exec.c \
	%reldir%/method_imap_session_login.c \
	%reldir%/method_imap_session_raw.c \
	%reldir%/method_imap_sort.c \
	%reldir%/method_imap_told.c \
	%reldir%/method_imap_told.h
