# event.subscribe: watched mailboxes and who hears of them
libdaemon_la_SOURCES += \
	%reldir%/event.h \
	%reldir%/event_cursor.c \
	%reldir%/event_cursor.h \
	%reldir%/event_details.c \
	%reldir%/event_line.c \
	%reldir%/event_notify.c \
	%reldir%/event_round.c \
	%reldir%/event_tell.c \
	%reldir%/event_watch.c \
	%reldir%/method_event.c
