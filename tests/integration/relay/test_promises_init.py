"""What the manual page and --help promise about init, as far as no other test shows it:
test_manual.py knows which sentence is proved by which test."""

import re
import subprocess

import pytest

from command_line import CommandLine
from lib import process, wait
from lib.pg import GROUP_ROLES, Cluster

PROGRAM = str(process.binary("outbox-relay"))


@pytest.fixture(name="fresh", scope="module")
def fixture_fresh():
    """A cluster where nobody has made the group roles."""
    with Cluster() as cluster:
        yield cluster


def init(cluster, database, user):
    done = subprocess.run([PROGRAM, "init", "--source", cluster.dsn(database, user)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rights(cluster, database):
    return cluster.value(database, "select count(distinct grantee) from pg_namespace,"
                         " aclexplode(nspacl) where nspname = 'outbox' and"
                         " grantee::regrole::text like 'outbox\\_%'")


def test_init_prints_the_sql_for_missing_roles(fresh):
    fresh.query("postgres", "create role owner login")
    fresh.query("postgres", "create database missing owner owner")
    told = init(fresh, "missing", "owner")
    statements = re.findall(r"^    (create role \w+ nologin;)$", told, re.M)
    assert [line.split()[2] for line in statements] == list(GROUP_ROLES)
    assert rights(fresh, "missing") == 0
    for statement in statements:
        fresh.query("postgres", statement)
    try:
        assert "missing" not in init(fresh, "missing", "owner")
        assert rights(fresh, "missing") == len(GROUP_ROLES)
    finally:
        fresh.query("postgres", "drop database missing")
        for role in GROUP_ROLES:
            fresh.query("postgres", f"drop role {role}")


def test_init_creates_the_group_roles(fresh):
    fresh.query("postgres", "create role creator login createrole")
    fresh.query("postgres", "create database made owner creator")
    assert "missing" not in init(fresh, "made", "creator")
    assert rights(fresh, "made") == len(GROUP_ROLES)
    assert fresh.query("postgres", "select rolname, rolcanlogin from pg_roles"
                       " where rolname like 'outbox%' order by 1") == [
                           (role, False) for role in sorted(GROUP_ROLES)]


def test_init_creates_a_schema_and_a_table(pg):
    objects = ("select nspname::text from pg_namespace where nspname !~ '^pg_'"
               " union select relname::text from pg_class where relnamespace = 'public'::regnamespace"
               " and relkind = 'r'")
    run = CommandLine(pg, "promises_objects")
    before = set(pg.query(run.database, objects))
    run("init")
    assert set(pg.query(run.database, objects)) - before == {("outbox",), ("schema_migration",)}


def test_init_several_at_once(pg):
    run = CommandLine(pg, "promises_parallel")
    command = [PROGRAM, "init", "--source", run.dsn]
    running = [process.start(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [one.wait(60) for one in running] == [0, 0, 0, 0]


def test_whoever_installs_the_outbox_owns_it(pg):
    run = CommandLine(pg, "promises_owner")
    run("init", "--source", pg.dsn(run.database), source=False)
    assert run.value("select nspowner::regrole::text from pg_namespace where nspname = 'outbox'"
                     ) == "postgres"


def test_init_after_the_schema_was_dropped_says_what_to_do(pg):
    run = CommandLine(pg, "promises_dropped")
    run("init")
    pg.query(run.database, "drop schema outbox cascade")
    [statement] = re.findall(r'"(delete from .*?)"', run("init", status=1))
    pg.query(run.database, statement)
    assert "outbox installed" in run("init")


def test_variables_of_libpq(fresh, tmp_path):
    """A database that is given by PGHOST and the like, with the password of PGPASSFILE."""
    fresh.query("postgres", "create role secretive login password 'sesame'")
    fresh.query("postgres", "create database secretive owner secretive")
    hba = fresh.data / "pg_hba.conf"
    hba.write_text("local secretive secretive scram-sha-256\n" + hba.read_text())
    fresh.query("postgres", "select pg_reload_conf()")
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:secretive:sesame\n")
    file.chmod(0o600)
    variables = {"PGHOST": str(fresh.directory), "PGUSER": "secretive", "PGPASSFILE": str(file)}

    def status(**environment):
        return subprocess.run([PROGRAM, "init", "--source", "dbname=secretive"], env=environment,
                              capture_output=True, timeout=60, check=False).returncode

    wait.until(lambda: status(**{**variables, "PGPASSFILE": "/nowhere"}) == 1, 10, "the new rule")
    assert status(**variables) == 0
