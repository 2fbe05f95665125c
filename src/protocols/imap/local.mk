libprotocols_la_SOURCES += \
	%reldir%/conflict.c \
	%reldir%/imap_append.c \
	%reldir%/imap_check.c \
	%reldir%/imap_bodystructure.c \
	%reldir%/imap_capability.c %reldir%/imap_capability.h \
	%reldir%/imap_client.c %reldir%/imap_client.h \
	%reldir%/imap_command.c \
	%reldir%/imap_fetch.c %reldir%/imap_fetch.h \
	%reldir%/imap_generic.c %reldir%/imap_generic.h \
	%reldir%/imap_internal.h \
	%reldir%/imap_login.c \
	%reldir%/imap_mailbox.c %reldir%/imap_mailbox.h \
	%reldir%/imap_mend.c \
	%reldir%/imap_parse.c %reldir%/imap_parse.h \
	%reldir%/imap_idle.c \
	%reldir%/imap_quirks.c %reldir%/imap_quirks.h \
	%reldir%/imap_receive.c \
	%reldir%/imap_response.c %reldir%/imap_response.h \
	%reldir%/imap_raw.c \
	%reldir%/imap_request.c \
	%reldir%/imap_selected.c \
	%reldir%/imap_step.c \
	%reldir%/imap_set.c %reldir%/imap_set.h
