# systemd: units of the service, its user and its folders
EXTRA_DIST += %reldir%/postern.service.in %reldir%/postern.socket %reldir%/postern-user.service.in %reldir%/postern-user.socket \
	%reldir%/postern.sysusers %reldir%/postern.tmpfiles %reldir%/postern.conf \
	%reldir%/postern.apparmor

systemd/postern.service systemd/postern-user.service: systemd/%.service: $(srcdir)/systemd/%.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && sed -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' $(srcdir)/systemd/$*.service.in >$@.tmp && mv $@.tmp $@
all-local: systemd/postern.service systemd/postern-user.service
CLEANFILES += systemd/postern.service systemd/postern-user.service

install-data-hook: install-units
install-units: systemd/postern.service systemd/postern-user.service
	$(MKDIR_P) '$(DESTDIR)$(systemdsystemunitdir)' '$(DESTDIR)$(systemduserunitdir)' \
		'$(DESTDIR)$(prefix)/lib/sysusers.d' '$(DESTDIR)$(prefix)/lib/tmpfiles.d'
	$(INSTALL_DATA) systemd/postern.service '$(DESTDIR)$(systemdsystemunitdir)/postern.service'
	$(INSTALL_DATA) $(srcdir)/systemd/postern.socket '$(DESTDIR)$(systemdsystemunitdir)/postern.socket'
	$(INSTALL_DATA) systemd/postern-user.service '$(DESTDIR)$(systemduserunitdir)/postern.service'
	$(INSTALL_DATA) $(srcdir)/systemd/postern-user.socket '$(DESTDIR)$(systemduserunitdir)/postern.socket'
	$(INSTALL_DATA) $(srcdir)/systemd/postern.sysusers '$(DESTDIR)$(prefix)/lib/sysusers.d/postern.conf'
	$(INSTALL_DATA) $(srcdir)/systemd/postern.tmpfiles '$(DESTDIR)$(prefix)/lib/tmpfiles.d/postern.conf'

# A configuration that is there already is its owner's.
install-data-hook: install-configuration
install-configuration:
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/postern/accounts.d'
	test -e '$(DESTDIR)$(sysconfdir)/postern/postern.conf' || \
		$(INSTALL_DATA) $(srcdir)/systemd/postern.conf '$(DESTDIR)$(sysconfdir)/postern/postern.conf'

# One that was changed stays.
uninstall-hook: uninstall-configuration
uninstall-configuration:
	! cmp -s $(srcdir)/systemd/postern.conf '$(DESTDIR)$(sysconfdir)/postern/postern.conf' || \
		rm -f '$(DESTDIR)$(sysconfdir)/postern/postern.conf'
	-rmdir '$(DESTDIR)$(sysconfdir)/postern/accounts.d' '$(DESTDIR)$(sysconfdir)/postern' 2>/dev/null

uninstall-hook: uninstall-units
uninstall-units:
	rm -f '$(DESTDIR)$(systemdsystemunitdir)/postern.service' '$(DESTDIR)$(systemdsystemunitdir)/postern.socket' \
		'$(DESTDIR)$(systemduserunitdir)/postern.service' '$(DESTDIR)$(systemduserunitdir)/postern.socket' \
		'$(DESTDIR)$(prefix)/lib/sysusers.d/postern.conf' '$(DESTDIR)$(prefix)/lib/tmpfiles.d/postern.conf'
.PHONY: install-units uninstall-units install-configuration uninstall-configuration
