"""The mutants of `make mutants` still find what they change, and the tests that are to notice them exist."""

from __future__ import annotations

from dev.mutants import ENOUGH, MUTANTS, PACKAGE, ROOT


def test_nearly_every_mutant_finds_its_text_once_wherever_the_module_stands() -> None:
    text = "\0".join(file.read_text(encoding="utf-8") for file in (ROOT / PACKAGE).rglob("*.py"))
    stale = [one.mistake for one in MUTANTS if text.count(one.old) != 1]
    assert len(stale) <= (1 - ENOUGH) * len(MUTANTS), stale


def test_every_mutant_is_another_mistake_and_names_tests_that_exist() -> None:
    modules = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    assert {name for one in MUTANTS for name in one.tests} <= modules
    assert len({one.mistake for one in MUTANTS}) == len({(one.old, one.new) for one in MUTANTS}) == len(MUTANTS)
    assert all(one.old != one.new for one in MUTANTS)
