"""Where options lie: what is installed is found, and what cannot be there is not looked for."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, entry_points
from pathlib import Path

import pytest

from aeexp.reference.folders import EXTENSIONS, find_extensions, may_be_installed


def install(site: Path, kind: str = "dist-info") -> None:
    """A package with conf/, as an installer leaves it."""
    (site / "mine" / "conf").mkdir(parents=True)
    (site / "mine" / "__init__.py").write_text("raise AssertionError('imported')")
    facts = site / f"mine-1.0.{kind}"
    facts.mkdir()
    (facts / ("METADATA" if kind == "dist-info" else "PKG-INFO")).write_text("Metadata-Version: 2.1\nName: mine\n")
    (facts / "entry_points.txt").write_text(f"[{EXTENSIONS}]\nmine = mine\n")


@pytest.mark.parametrize("kind", ["dist-info", "egg-info"])
def test_extensions_are_found_where_they_are_installed(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).is_dir()])
    assert may_be_installed(EXTENSIONS) == bool(entry_points(group=EXTENSIONS))
    install(tmp_path, kind)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    find_extensions.cache_clear()
    assert [each.folder for each in find_extensions() if each.package == "mine"] == [str(tmp_path / "mine" / "conf")]
    find_extensions.cache_clear()


def test_where_packages_may_lie_elsewhere_they_are_looked_for(tmp_path, monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(*_: object) -> None:
            return None

        @staticmethod
        def find_distributions(*_: object) -> list[Distribution]:
            return []

    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "nowhere")])
    assert not may_be_installed(EXTENSIONS)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
        assert may_be_installed(EXTENSIONS)
    (tmp_path / "some.zip").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "some.zip")])
    assert may_be_installed(EXTENSIONS)
