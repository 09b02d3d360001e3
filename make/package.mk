# The relay as a program of its own: installed, as a systemd service, as a Debian package.

DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)

$(BUILD)/outbox-relay.1: packaging/outbox-relay.1.in $(BUILD)/bin/outbox-relay
	$(call quiet,MAN,$@)$(BUILD)/bin/outbox-relay --man >$@.commands && \
		sed -e '/^@COMMANDS@$$/{r $@.commands' -e 'd;}' $< >$@ && rm $@.commands

.PHONY: install uninstall deb
install: $(BUILD)/bin/outbox-relay $(BUILD)/outbox-relay.1 ## install the relay: PREFIX=/usr/local, DESTDIR=
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/outbox-relay
	install -m 755 $(BUILD)/bin/outbox-relay $(DESTDIR)$(BINDIR)/
	install -m 644 $(BUILD)/outbox-relay.1 $(DESTDIR)$(MANDIR)/man1/
	sed 's|@BINDIR@|$(BINDIR)|; s|/etc/outbox-relay|$(SYSCONFDIR)/outbox-relay|' packaging/outbox-relay.service \
		>$(DESTDIR)$(UNITDIR)/outbox-relay.service
	chmod 644 $(DESTDIR)$(UNITDIR)/outbox-relay.service
	[ -e $(DESTDIR)$(SYSCONFDIR)/outbox-relay/outbox-relay.env ] || \
		install -m 640 packaging/outbox-relay.env $(DESTDIR)$(SYSCONFDIR)/outbox-relay/
	[ -e $(DESTDIR)$(SYSCONFDIR)/outbox-relay/pgpass ] || \
		install -m 600 /dev/null $(DESTDIR)$(SYSCONFDIR)/outbox-relay/pgpass

uninstall: ## remove what install has put there, but for the settings
	rm -f $(DESTDIR)$(BINDIR)/outbox-relay $(DESTDIR)$(MANDIR)/man1/outbox-relay.1 \
		$(DESTDIR)$(UNITDIR)/outbox-relay.service

deb: ## build the Debian package of the relay into build/deb/
	packaging/build-deb.sh $(VERSION) $(BUILD)/deb
