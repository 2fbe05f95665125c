# messages: mail.parse, mail.build, and what smtp.send and imap.append make of a description
libdaemon_la_SOURCES += \
	%reldir%/content_types.c \
	%reldir%/content_types.h \
	%reldir%/mail_files.c \
	%reldir%/mail_json.c \
	%reldir%/mail_json.h \
	%reldir%/mail_parse_private.h \
	%reldir%/method_mail.c \
	%reldir%/outgoing.c \
	%reldir%/outgoing.h \
	%reldir%/outgoing_form.c \
	%reldir%/outgoing_private.h
