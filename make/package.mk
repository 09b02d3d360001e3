# The relay as a program of its own: installed, as a systemd service, as a Debian package.
##@ Build and install

DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)

$(BUILD)/outbox-relay.1: packaging/outbox-relay.1.in $(BUILD)/bin/outbox-relay
	$(call quiet,MAN,$@)$(BUILD)/bin/outbox-relay --man >$@.commands && \
		sed -e '/^@COMMANDS@$$/{r $@.commands' -e 'd;}' $< >$@ && rm $@.commands

# What is installed names the paths that it is installed to.
INSTALLED_PATHS = sed 's|@BINDIR@|$(BINDIR)|; s|@SYSCONFDIR@|$(SYSCONFDIR)|'
SETTINGS_DIR = $(SYSCONFDIR)/outbox-relay
# systemctl takes the path of a unit that is not where systemd looks by itself.
UNIT = $(if $(filter /usr/lib/% /usr/local/lib/% /lib/% /etc/%,$(UNITDIR)),,$(UNITDIR)/)outbox-relay.service
MANUAL = $(if $(filter /usr/share/man /usr/local/share/man,$(MANDIR)),outbox-relay,-l $(MANDIR)/man1/outbox-relay.1)

.PHONY: install uninstall deb
install: $(BUILD)/bin/outbox-relay $(BUILD)/outbox-relay.1 ## build and install the relay alone; PREFIX=/usr/local DESTDIR=
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SETTINGS_DIR)
	install -m 755 $(BUILD)/bin/outbox-relay $(DESTDIR)$(BINDIR)/
	$(INSTALLED_PATHS) $(BUILD)/outbox-relay.1 >$(DESTDIR)$(MANDIR)/man1/outbox-relay.1
	$(INSTALLED_PATHS) packaging/outbox-relay.service >$(DESTDIR)$(UNITDIR)/outbox-relay.service
	chmod 644 $(DESTDIR)$(MANDIR)/man1/outbox-relay.1 $(DESTDIR)$(UNITDIR)/outbox-relay.service
	[ -e $(DESTDIR)$(SETTINGS_DIR)/outbox-relay.env ] || { \
		install -m 640 /dev/null $(DESTDIR)$(SETTINGS_DIR)/outbox-relay.env && \
		$(INSTALLED_PATHS) packaging/outbox-relay.env >$(DESTDIR)$(SETTINGS_DIR)/outbox-relay.env; }
	[ -e $(DESTDIR)$(SETTINGS_DIR)/pgpass ] || \
		install -m 600 /dev/null $(DESTDIR)$(SETTINGS_DIR)/pgpass
	@[ -n '$(DESTDIR)' ] || printf '%s\n' '' \
		'$(BINDIR)/outbox-relay is installed. Next:' \
		'  prepare each database:    $(BINDIR)/outbox-relay init --source DSN' \
		'  name them as sources in:  $(SETTINGS_DIR)/outbox-relay.env' \
		'  put their passwords in:   $(SETTINGS_DIR)/pgpass' \
		'  start the service:        systemctl daemon-reload && systemctl enable --now $(UNIT)' \
		'  follow its log:           journalctl -fu outbox-relay' \
		'  read the manual:          man $(MANUAL)'

uninstall: ## remove what install has installed, except the settings
	rm -f $(DESTDIR)$(BINDIR)/outbox-relay $(DESTDIR)$(MANDIR)/man1/outbox-relay.1 \
		$(DESTDIR)$(UNITDIR)/outbox-relay.service

deb: has-deb ## build the relay's Debian package in build/deb/
	packaging/build-deb.sh $(VERSION) $(BUILD)/deb
