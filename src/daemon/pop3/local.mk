# the pop3.* calls
libdaemon_la_SOURCES += \
	%reldir%/method_pop3.c \
	%reldir%/method_pop3.h \
	%reldir%/method_pop3_message.c \
	%reldir%/method_pop3_step.c
