"""The command line of outbox-relay with a database of its own."""

import copy
import json
import re
import subprocess

from lib import process

NO_EVENT = "00000000-0000-4000-8000-000000000000"


class CommandLine:
    """Runs commands against a database of its own."""

    def __init__(self, pg, database):
        self.pg = pg
        self.database = database
        pg.query("postgres", f'drop database if exists "{database}" with (force)')
        self.dsn = pg.provision(database)

    def login(self, role):
        """The same database's command line as a login that is in this role and no other."""
        made = copy.copy(self)
        user = f"only_{role}"
        if not self.pg.query("postgres", "select from pg_roles where rolname = %s", (user,)):
            self.pg.query("postgres", f'create role "{user}" login in role "{role}"')
        made.dsn = self.pg.dsn(self.database, user)
        return made

    def __call__(self, *words, status=0, source=True, stream=None):
        """Standard output, or standard error when `status` is not 0."""
        command = [str(process.binary("outbox-relay")), *words]
        if source:
            command += ["--source", self.dsn]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, f"{command}: {done.returncode}\n{done.stderr}"
        return getattr(done, stream or ("stderr" if status else "stdout"))

    def json(self, *words):
        return json.loads(self(*words, "--json"))

    def one(self, *words):
        """The one object of a command that does something."""
        [done] = self.json(*words)
        return done

    def documented_defaults(self, command):
        """{option: default} as --help has them."""
        text = re.sub(r"\n {20,}", " ", self(command, "--help", source=False))
        return dict(re.findall(r"^  --([\w-]+) .*\(default: ([^)]*)\)", text, re.M))

    def newest_secret(self):
        return self.value("select value from outbox.secret order by id desc limit 1")

    def value(self, sql):
        return self.pg.value(self.database, sql)

    def emit(self, key):
        return self.value(f"select outbox.emit('order', '{key}', 'order.created', '{{}}')::text")

    def park(self, name, event_id, status):
        """Puts an exception where the relay would have put it."""
        self.pg.query(self.database, f"""
            insert into outbox.delivery (subscription, id, event_id, aggregate_type, aggregate_id,
                   event_type, created_at, payload, headers, status, attempts, next_attempt_at,
                   last_status, last_error)
            select '{name}', id, event_id, aggregate_type, aggregate_id, event_type, created_at,
                   payload, headers, '{status}', 3,
                   case when '{status}' = 'retrying' then now() + interval '1 hour' end, 422,
                   E'it says\\033[2J no'
              from outbox.event where event_id = '{event_id}'""")
