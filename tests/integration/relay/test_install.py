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
        done = subprocess.run(["groff", "-man", "-ww", "-z", page], capture_output=True, text=True,
                              check=False)
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
