"""scripts/check-libraries passes the programs as they are, and names what does not belong where it is put."""

import shutil
import subprocess

import pytest
from lib.process import BUILD, ROOT

CHECK = ROOT / "scripts/check-libraries"
CONTROL = ROOT / "packaging/debian/control"


def check(*arguments):
    return subprocess.run([CHECK, *map(str, arguments)], text=True, capture_output=True, timeout=60)


@pytest.fixture
def programs(tmp_path):
    """A folder with the programs, to put others in their place."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in (BUILD / "bin").iterdir():
        (folder / program.name).symlink_to(program)
    return folder


def test_the_programs_as_they_are():
    done = check(BUILD / "bin")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_relay_that_links_what_a_service_uses(programs):
    (programs / "outbox-relay").unlink()
    shutil.copy(BUILD / "bin/auth", programs / "outbox-relay")
    done = check(programs)
    assert done.returncode == 1
    assert "outbox-relay has libargon2, which it should not need" in done.stderr
    holds = next(line for line in done.stderr.splitlines() if "outbox-relay holds" in line)
    assert {"auth_check", "jwks_parse", "inbox_receive", "service_main"} <= set(holds.split())


def test_a_service_that_links_what_it_does_not_use(programs):
    (programs / "order").unlink()
    shutil.copy(BUILD / "bin/auth", programs / "order")
    done = check(programs)
    assert done.returncode == 1
    assert "order has libargon2, which it should not need" in done.stderr


@pytest.mark.parametrize("before, after, complaint", [
    ("libpq-dev", "libpq-dev, libargon2-dev", "has libargon2-dev, which it should not need"),
    ("libcurl4-openssl-dev, ", "", "lacks libcurl4-openssl-dev"),
])
def test_a_package_that_is_built_from_others(tmp_path, before, after, complaint):
    control = tmp_path / "control"
    text = CONTROL.read_text("utf-8")
    assert before in text
    control.write_text(text.replace(before, after), "utf-8")
    done = check(BUILD / "bin", control)
    assert done.returncode == 1
    assert complaint in done.stderr
