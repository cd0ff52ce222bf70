"""A green release leaves one page and one manifest, whole or not at all, and nothing that was rendered."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from deploy.upload_docs import find_manifest, find_page
from examples import demo
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.release.docs_folder import check_place, publish
from tests.support.validation import DEFER, Validation, validate

PASSWORD = "sesame-opens-the-kennel"
HOSTILE = "</script><script>document.title='bitten'</script>"
DESCRIBED = f"""\
models:
  - name: howls
    description: "Howls. {HOSTILE}"
    columns: [{{name: dog_id, description: "<!-- <script> the dog"}}]
"""
HOWLS = "select 1 as dog_id, '{{ env_var('KENNEL_TOKEN') }}' as token -- {{ 'ren' ~ 'dered' }}\n"


@pytest.fixture(scope="module")
def release(released: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Validation]:
    """A documented release of the example with texts that try to break out of the page."""
    directory = tmp_path_factory.mktemp("docs") / "dogs"
    demo.copy_repository(released, directory)
    demo.git(directory, "switch", "--quiet", "master")
    (directory / "models/marts/howls.sql").write_text(HOWLS)
    (directory / "models/marts/howls.yml").write_text(DESCRIBED)
    demo.git(directory, "add", "--all")
    demo.git(directory, "commit", "--quiet", "--message=Howl")
    demo.git(directory, "push", "--quiet")
    page = directory.parent / "released"
    page.mkdir()
    (page / "index.html").write_text("what was released before")
    done = validate(directory, "--dbt-ci-release=prod", "--dbt-ci-docs=../released", KENNEL_TOKEN=PASSWORD)
    assert done.code == 0, done.output
    return directory, page, done


def test_writes_one_page_and_the_manifest_and_nothing_else(release: tuple[Path, Path, Validation]) -> None:
    directory, page, done = release
    assert sorted(p.name for p in page.iterdir()) == ["index.html", "manifest.json"]
    assert sorted(p.name for p in page.parent.iterdir()) == ["dogs", "dogs-junit.xml", "released"]
    assert f"dbt-ci: documentation in {directory / '../released'}" in done.output


def test_the_manifest_is_that_of_the_released_target(release: tuple[Path, Path, Validation]) -> None:
    manifest = json.loads((release[1] / "manifest.json").read_text())
    node = manifest["nodes"]["model.dogs.fact_dogs"]
    assert node["relation_name"] == '"warehouse"."analytics_staging"."fact_dogs"'
    assert not [t for n in manifest["nodes"].values() for t in n["tags"] if t.startswith("dbtci")]


def test_nothing_that_dbt_rendered_is_in_either_file(release: tuple[Path, Path, Validation]) -> None:
    for path in release[1].iterdir():
        text = path.read_text()
        assert "KENNEL_TOKEN" in text
        assert PASSWORD not in text
        assert "-- rendered" not in text
    manifest = json.loads((release[1] / "manifest.json").read_text())
    assert not [n for n in manifest["nodes"].values() if n.get("compiled_code")]


def test_the_page_holds_what_the_warehouse_says_of_the_columns(release: tuple[Path, Path, Validation]) -> None:
    page = (release[1] / "index.html").read_text()
    start = re.search(r"catalog: ?(?=\{\")", page)
    assert start
    catalog = json.JSONDecoder().raw_decode(page, start.end())[0]
    assert catalog["nodes"]["model.dogs.howls"]["columns"]["dog_id"]["type"] == "INTEGER"


def test_no_text_of_the_project_ends_the_pages_script(release: tuple[Path, Path, Validation]) -> None:
    page = (release[1] / "index.html").read_text()
    assert "bitten" in page
    assert HOSTILE not in page
    assert "<!-- <script> the dog" not in page
    manifest = json.loads((release[1] / "manifest.json").read_text())
    assert manifest["nodes"]["model.dogs.howls"]["description"] == f"Howls. {HOSTILE}"


def test_what_is_uploaded_is_what_was_written(release: tuple[Path, Path, Validation]) -> None:
    assert find_page(release[1]).name == "index.html"
    assert find_manifest(release[1]).name == "manifest.json"


@pytest.mark.slow
def test_the_manifest_serves_a_pull_request_as_the_state_to_compare_with(
    release: tuple[Path, Path, Validation],
) -> None:
    directory, page, _ = release
    demo.git(directory, "switch", "--quiet", "--create", "feature/quiet", "master")
    (directory / "models/marts/howls.sql").write_text("select 2 as dog_id\n")
    done = validate(directory, *DEFER, f"--dbt-ci-state={page}", KENNEL_TOKEN=PASSWORD)
    assert done.code == 0, done.output
    assert [u for u in done.by_unique_id() if u.startswith("model.")] == ["model.dogs.howls"]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """What dbt writes, small."""
    folder = tmp_path / "written"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"nodes": {}}')
    (folder / "catalog.json").write_text("{}")
    (folder / "static_index.html").write_text("<p>new</p>")
    (folder / "run_results.json").write_text("not for readers")
    return folder


def test_replaces_the_page_of_the_release_before(written: Path, tmp_path: Path) -> None:
    place = tmp_path / "a" / "page"
    publish(written, place)
    (written / "static_index.html").write_text("<p>newer</p>")
    publish(written, place)
    assert (place / "index.html").read_text() == "<p>newer</p>"
    assert sorted(p.name for p in place.iterdir()) == ["index.html", "manifest.json"]
    assert [p.name for p in place.parent.iterdir()] == ["page"]


def test_a_page_that_cannot_be_written_leaves_the_one_before(written: Path, tmp_path: Path) -> None:
    place = tmp_path / "page"
    publish(written, place)
    before = {p.name: p.read_text() for p in place.iterdir()}
    (written / "catalog.json").unlink()
    with pytest.raises(DbtCiError, match="could not be written"):
        publish(written, place)
    assert {p.name: p.read_text() for p in place.iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page", "written"]


def test_puts_the_page_before_back_when_the_new_one_cannot_take_its_place(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "page"
    publish(written, place)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(DbtCiError, match="Permission denied"):
        publish(written, place)
    assert (place / "index.html").read_text() == "<p>new</p>"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page", "written"]


@pytest.mark.parametrize("foreign", ["notes.txt", ".git", "index.html/", "sub/"])
def test_never_replaces_a_folder_that_holds_something_else(written: Path, tmp_path: Path, foreign: str) -> None:
    path = tmp_path / "page" / foreign
    path.mkdir(parents=True) if foreign.endswith("/") else path.parent.mkdir()
    if not foreign.endswith("/"):
        path.write_text("dear to somebody")
    with pytest.raises(UsageError, match=re.escape(Path(foreign).name)):
        check_place(tmp_path / "page")
    with pytest.raises(UsageError, match=re.escape(Path(foreign).name)):
        publish(written, tmp_path / "page")
    assert path.exists()


def test_a_socket_or_a_file_is_no_place_for_a_page(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("file", "broken"):
        with pytest.raises(UsageError, match="no folder"):
            check_place(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(UsageError, match="no folder"):
            check_place(tmp_path / "s")
