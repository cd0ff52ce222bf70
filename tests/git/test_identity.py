"""Which repository it is: one for all clones and spellings of its address, another for anything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_dbtci.git.identity import normalise
from pytest_dbtci.git.repository import Repository
from tests.support.tiny_project import git

HERE = Path("/home/anna/shop")

SAME = {
    "github.com/org/shop": (
        "https://github.com/org/shop",
        "https://github.com/Org/Shop.git/",
        "https://x-access-token:ghs_secret@github.com/org/shop.git",
        "git@github.com:org/shop.git",
        "ssh://git@github.com/org/shop",
        "ssh://git@ssh.github.com:443/org/shop.git",
        "https://anna@firm.com:p@ss@github.com/org/shop.git",
        "anna@firm.com@github.com:org/shop.git",
        "git+ssh://git@github.com:22/org/shop",
        "HTTPS://GitHub.com:443/org/shop.git?depth=1",
    ),
    "gitlab.com/group/sub/shop": (
        "https://gitlab-ci-token:t0ken@gitlab.com/group/sub/shop.git",
        "git@gitlab.com:group/sub/shop",
        "ssh://git@altssh.gitlab.com:443/group/sub/shop.git",
    ),
    "dev.azure.com/org/project/shop": (
        "https://org@dev.azure.com/org/project/_git/shop",
        "https://user:pat@dev.azure.com/org/project/_git/shop/",
        "git@ssh.dev.azure.com:v3/org/project/shop",
        "https://org.visualstudio.com/project/_git/shop",
        "https://org.visualstudio.com/DefaultCollection/project/_git/shop",
        "org@vs-ssh.visualstudio.com:v3/org/project/shop",
    ),
    "dev.azure.com/org/shop/shop": ("https://dev.azure.com/org/_git/shop",),
    "git.firm.com/Data/shop": ("https://anna:pw@git.firm.com/Data/shop.git", "git@git.firm.com:Data/shop.git"),
    # Another server may listen on another port, and may mind the letters' cases.
    "git.firm.com:7999/Data/shop": ("ssh://git@git.firm.com:7999/Data/shop.git",),
    "git.firm.com/data/shop": ("https://git.firm.com/data/shop",),
    "[::1]:8080/shop": ("http://[::1]:8080/shop.git",),
    "/srv/git/shop.git": ("/srv/git/shop.git", "file:///srv/git/shop.git", "../../../srv/git/shop.git"),
}


@pytest.mark.parametrize(("expected", "address"), [(e, a) for e, found in SAME.items() for a in found])
def test_spellings_of_one_address_are_one_repository(expected: str, address: str) -> None:
    assert normalise(address, HERE) == expected


def test_clones_of_a_remote_are_one_repository_and_copies_without_one_are_not(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    git(first, "init", "--quiet", "--initial-branch=main")
    git(first, "commit", "--quiet", "--allow-empty", "--message=one")
    git(tmp_path, "clone", "--quiet", "--bare", "first", "remote.git")
    for clone in ("a", "b"):
        git(tmp_path, "clone", "--quiet", "remote.git", clone)
    shutil.copytree(first, tmp_path / "copy")
    git(first, "worktree", "add", "--quiet", str(tmp_path / "tree"))

    def identity(name: str) -> str:
        return Repository.find(tmp_path / name).identity()

    assert identity("a") == identity("b") == str(tmp_path / "remote.git")
    assert identity("first") == identity("tree")
    assert identity("first").startswith(f"{first} (")
    assert identity("copy") != identity("first")
