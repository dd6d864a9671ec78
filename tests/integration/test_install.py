"""What `make` says when it cannot install: one clear sentence each."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from matchday.paths import CHECKOUT

SHELL_TOOLS = ("sh", "cat", "cksum", "dirname", "rm", "grep", "tee", "awk", "touch", "env")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the installer and nothing installed."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(CHECKOUT / "deploy" / "install.sh", tmp_path / "deploy")
    (tmp_path / "requirements.lock").write_text("nothing==1.0 --hash=sha256:" + "0" * 64 + "\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "bin").mkdir()
    for tool in SHELL_TOOLS:
        if path := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(path)
    return tmp_path


def program(checkout: Path, name: str, source: str) -> None:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{source}\n")
    path.chmod(0o755)


def install(checkout: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": str(checkout / "bin"), "MATCHDAY_PYTHON": ""}
    return subprocess.run(["sh", "deploy/install.sh"], cwd=checkout, env=environment, capture_output=True, text=True)


def test_without_python_it_says_what_is_needed(checkout: Path) -> None:
    answer = install(checkout)
    assert answer.returncode == 1
    assert answer.stderr.startswith("matchday: needs Python 3.11 or newer and found no python3: install one")
    assert len(answer.stderr.splitlines()) == 1


def test_an_old_python_is_named(checkout: Path) -> None:
    program(checkout, "python3", 'case "$1" in --version) echo "Python 3.9.6";; *) exit 1;; esac')
    answer = install(checkout)
    assert answer.returncode == 1
    assert "needs Python 3.11 or newer and found Python 3.9.6" in answer.stderr


def test_a_newer_python_is_found_by_its_name(checkout: Path) -> None:
    program(checkout, "python3", 'case "$1" in --version) echo "Python 3.9.6";; *) exit 1;; esac')
    program(checkout, "python3.12", 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    answer = install(checkout)
    assert answer.returncode == 1
    assert "python3.12 has no venv module: install it" in answer.stderr


def test_packages_that_do_not_come_are_told_and_tried_again(checkout: Path) -> None:
    program(checkout, "python3", f'exec "{sys.executable}" "$@"')
    (checkout / ".venv" / "bin").mkdir(parents=True)
    pip = 'case "$*" in *pip*) echo "ERROR: Could not find nothing==1.0"; exit 1;; *) exit 0;; esac'
    (checkout / "bin" / "fake").write_text(f"#!/bin/sh\n{pip}\n")
    (checkout / "bin" / "fake").chmod(0o755)
    (checkout / ".venv" / "bin" / "python").symlink_to(checkout / "bin" / "fake")
    answer = install(checkout)
    assert answer.returncode == 1
    assert "ERROR: Could not find nothing==1.0" in answer.stdout
    assert "not all packages could be installed, see .venv/install.log" in answer.stderr
    assert not (checkout / ".venv" / "installed").exists()


def test_what_is_up_to_date_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    wanted = subprocess.run(
        "cat requirements.lock pyproject.toml | cksum", shell=True, cwd=checkout, capture_output=True, text=True
    )
    (checkout / ".venv" / "installed").write_text(wanted.stdout)
    answer = install(checkout)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
