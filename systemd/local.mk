# SPDX-License-Identifier: Apache-2.0
# Units, the user and the directories; paths of programs are filled in here.
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
dist_systemdsystemunit_DATA = systemd/nsexecd.socket systemd/nsexecd-fd.socket
nodist_systemdsystemunit_DATA = systemd/nsexecd.service
EXTRA_DIST += systemd/nsexecd.service.in systemd/nsexecd.sysusers.conf \
	systemd/nsexecd.tmpfiles.conf
CLEANFILES += $(nodist_systemdsystemunit_DATA)

systemd/%.service: $(top_srcdir)/systemd/%.service.in Makefile
	@$(MKDIR_P) systemd
	$(AM_V_GEN)sed -e 's,@sbindir[@],$(sbindir),g' \
		-e 's,@libexecdir[@],$(libexecdir),g' $< >$@.new && mv $@.new $@

install-data-local: install-systemd
uninstall-local: uninstall-systemd
.PHONY: install-systemd uninstall-systemd
install-systemd:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) $(top_srcdir)/systemd/nsexecd.sysusers.conf \
		'$(DESTDIR)$(sysusersdir)/nsexecd.conf'
	$(INSTALL_DATA) $(top_srcdir)/systemd/nsexecd.tmpfiles.conf \
		'$(DESTDIR)$(tmpfilesdir)/nsexecd.conf'
uninstall-systemd:
	rm -f '$(DESTDIR)$(sysusersdir)/nsexecd.conf' \
		'$(DESTDIR)$(tmpfilesdir)/nsexecd.conf'

nodist_systemdsystemunit_DATA += systemd/nsexec-spawner.service
EXTRA_DIST += systemd/nsexec-spawner.service.in
