"""make install: what it puts where, the manual page, the systemd unit."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lib import process

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(name="prefix", scope="module")
def fixture_prefix(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(["make", "-s", "-C", str(ROOT), "install", f"PREFIX={prefix}",
                    f"BUILD={process.BUILD}"], check=True, timeout=300, capture_output=True,
                   env={name: value for name, value in os.environ.items() if "MAKE" not in name})
    return prefix


def test_the_program_runs_from_where_it_was_installed(prefix):
    done = subprocess.run([prefix / "bin/outbox-relay", "--version"], capture_output=True, text=True,
                          check=True)
    assert done.stdout == f"outbox-relay {(ROOT / 'VERSION').read_text().strip()}\n"


def test_settings_are_for_root_alone_and_kept(prefix):
    pgpass = prefix / "etc/outbox-relay/pgpass"
    assert pgpass.stat().st_mode & 0o777 == 0o600
    pgpass.write_text("*:*:*:relay:kept\n")
    subprocess.run(["make", "-s", "-C", str(ROOT), "install", f"PREFIX={prefix}",
                    f"BUILD={process.BUILD}"], check=True, timeout=300, capture_output=True,
                   env={name: value for name, value in os.environ.items() if "MAKE" not in name})
    assert "kept" in pgpass.read_text()


def test_the_manual_has_every_option_and_no_warning(prefix):
    page = prefix / "share/man/man1/outbox-relay.1"
    if shutil.which("groff"):
        # The folder of a test may be longer than a line.
        done = subprocess.run(["groff", "-mandoc", "-ww", "-Wbreak", "-z", page], capture_output=True,
                              text=True, check=False)
        assert done.stderr == ""
    text = page.read_text().replace("\\-", "-")
    program = prefix / "bin/outbox-relay"
    listing = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    for command in (line.split()[0] for line in listing.splitlines()
                    if line.startswith("  ") and not line.startswith("  -")):
        assert f".Ss outbox-relay {command}" in text
        usage = subprocess.run([program, command, "--help"], capture_output=True, text=True,
                               check=True).stdout
        for option in (line.split()[0] for line in usage.splitlines() if line.startswith("  --")):
            assert f".It Fl {option[1:]}" in text, f"{command} {option}"


def test_the_files_of_the_manual_are_those_of_the_service(prefix):
    """In the folder that they are installed to."""
    settings = prefix / "etc/outbox-relay"
    unit = (prefix / "lib/systemd/system/outbox-relay.service").read_text()
    page = (prefix / "share/man/man1/outbox-relay.1").read_text()
    for name, line in (("outbox-relay.env", "EnvironmentFile="), ("pgpass", "LoadCredential=pgpass:")):
        assert (settings / name).exists()
        assert f"{line}{settings}/{name}\n" in unit
        assert f".It Pa {settings}/{name}\n" in page
    assert "Environment=PGPASSFILE=%d/pgpass\n" in unit
    assert f"{settings}/pgpass" in (settings / "outbox-relay.env").read_text()
    assert not any("@" in text for text in (page, (settings / "outbox-relay.env").read_text()))


def test_the_end_of_the_installation_says_what_is_next(tmp_path):
    def install(*words):
        return subprocess.run(
            ["make", "-s", "-C", str(ROOT), "install", f"PREFIX={tmp_path}", f"BUILD={process.BUILD}",
             *words], check=True, timeout=300, capture_output=True, text=True,
            env={name: value for name, value in os.environ.items() if "MAKE" not in name}).stdout
    told = install()
    for path in ("bin/outbox-relay init", "etc/outbox-relay/outbox-relay.env", "etc/outbox-relay/pgpass",
                 "lib/systemd/system/outbox-relay.service", "share/man/man1/outbox-relay.1"):
        assert f"{tmp_path}/{path}" in told
    assert install(f"DESTDIR={tmp_path}/stage") == "", "a package says it in its own way"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_unit_is_sound_and_shut_in(prefix):
    unit = prefix / "lib/systemd/system/outbox-relay.service"
    assert f"ExecStart={prefix}/bin/outbox-relay run" in unit.read_text()
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                             text=True, check=False)
    assert "outbox-relay.service" not in checked.stderr
    exposure = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20",
                               unit], capture_output=True, text=True, check=False)
    assert exposure.returncode == 0, exposure.stdout
