"""The pages as a site: every link and anchor leads somewhere, every page is in the navigation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docs import ROOT


def built(directory: Path, pages: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", f"{directory}/trees", str(pages)]
    return subprocess.run([*command, f"{directory}/site"], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_site_is_whole(tmp_path: Path) -> None:
    done = built(tmp_path, ROOT / "docs")
    assert (done.returncode, done.stderr) == (0, "")
    names = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert {page.stem for page in (tmp_path / "site").glob("*.html")} >= names
    assert "One mail per request" in (tmp_path / "site/architecture.html").read_text()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pages in which nothing is wrong."""
    directory = tmp_path_factory.mktemp("sound")
    pages = directory / "docs"
    pages.mkdir()
    for each in (ROOT / "docs").iterdir():
        if each.name != "index.md" and each.suffix == ".md":
            continue
        (pages / each.name).write_bytes(each.read_bytes())
    (directory / "ARCHITECTURE.md").write_text("# Architecture\n")
    (pages / "index.md").write_text("# Index\n[migration](migration.md), [operators](operators.md)\n")
    (pages / "operators.md").write_text("# Operators\n")
    (pages / "migration.md").write_text("# Migration\n")
    assert built(directory / "good", pages).stderr == ""
    return directory


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("lost", "# A page that nothing links to\n"),
        ("migration", "# Link\n[a page](nowhere.md)\n"),
        ("migration", "# Anchor\n[a heading](operators.md#nowhere)\n"),
    ],
)
def test_a_fault_fails_the_build(tmp_path: Path, sound: Path, page: str, text: str) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("good"))
    (tmp_path / f"docs/{page}.md").write_text(text)
    assert built(tmp_path / "bad", tmp_path / "docs").returncode == 1
