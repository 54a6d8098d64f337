"""What README.md says can be done: its example runs as shown, its commands and files exist."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.M | re.S)
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "core/**/*.md", "tests/*.md", "benchmarks/*.md")
    for page in ROOT.glob(pattern)
)


def targets() -> set[str]:
    """The targets that the Makefile has rules for."""
    makefile = (ROOT / "Makefile").read_text()
    rules = re.findall(r"^([a-z][\w -]*):(?!=)", makefile, flags=re.M)
    return {name for rule in rules for name in rule.split()}


def test_every_python_example_prints_what_the_readme_shows(tmp_path: pathlib.Path) -> None:
    examples = [
        (source, BLOCKS[index + 1])
        for index, (language, source) in enumerate(BLOCKS)
        if language == "python"
    ]
    assert examples
    for source, (language, shown) in examples:
        assert language == "text", "the output stands below the example"
        example = tmp_path / "example.py"
        example.write_text(source)
        binary = os.environ.get("BEAVA_BINARY", str(ROOT / "build" / "beava"))
        environment = {**os.environ, "BEAVA_BINARY": binary, "PYTHONPATH": str(ROOT / "python")}
        environment.pop("BEAVA_URL", None)
        result = subprocess.run(
            [sys.executable, "-W", "error", str(example)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout == shown


def test_every_make_command_of_the_readme_is_a_target() -> None:
    shell = "\n".join(source for language, source in BLOCKS if language == "sh")
    commands = re.findall(r"^make (\w+)", shell, flags=re.M) + re.findall(r"`make (\w+)`", README)
    assert {"quickstart", "test", "build", "bench"} <= set(commands)
    assert set(commands) <= targets()


def test_the_packages_the_readme_asks_for_are_those_that_a_build_needs() -> None:
    (named,) = re.findall(r"^apt-get install (.*)$", README, flags=re.M)
    setup = (ROOT / "setup.py").read_text()
    needed = re.findall(r'^    "[\w.]+": "([a-z0-9-]+)",$', setup, flags=re.M)
    needed += re.search(r'TOOLS = {"cmake": "(\w+)", "cc": "(\w+)"}', setup).groups()
    assert len(needed) >= 6
    assert set(needed) <= set(named.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: pathlib.Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if "://" not in link]
    missing = [link for link in local if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: pathlib.Path) -> None:
    """Paths in backquotes that begin at a folder of the repository, or beside the page."""
    named = re.findall(
        r"`((?:core|docs|tests|python|bindings|benchmarks|src)/[\w./-]*\w)`", page.read_text()
    )
    missing = [
        path
        for path in named
        if not (ROOT / path).exists()
        and not (page.parent / path).exists()
        # `core/wire/test_x` stands for a program that is built from a file of that name.
        and not list(ROOT.glob(path + ".*"))
    ]
    assert missing == []


def test_the_tour_has_ten_files() -> None:
    tour = re.findall(r"^(\d+)\. \[([^\]]+)\]\(([^)]+)\)", README, flags=re.M)
    assert [int(number) for number, _, _ in tour] == list(range(1, 11))
    for _, text, target in tour:
        assert text == target
        assert (ROOT / target).is_file()
