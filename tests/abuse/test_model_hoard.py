"""Case 11: a host that writes down what it is shown leaves nothing behind, and tells nobody."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcp_server.nouns.records import Tier
from mcp_server.runner.sandbox import probe
from tests.abuse.model_runs import MODELS, POSITIONS, lay_out, read
from tests.scoring.tiny import WIDTH, write_corpus

pytestmark = pytest.mark.abuse
CANARY = "canary-of-abuse.txt"


def readable(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size < 10_000_000:
            yield path.read_bytes()


def command_lines() -> Iterator[str]:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield place.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.parametrize("name", ["hoards_what_it_saw", "raises_what_it_saw"])
def test_nothing_of_the_validation_text_is_left_anywhere(name: str, tmp_path: Path) -> None:
    if probe().tier is Tier.T0:
        pytest.skip("at T0 nothing is shut in")
    corpus = write_corpus(tmp_path / "corpus")
    run = lay_out(read(MODELS / f"{name}.py"), tmp_path, corpus, POSITIONS)
    result = run.carry_out()
    first_row = np.fromfile(corpus / "sealed" / "val.bin", "<u2", count=WIDTH).tolist()
    secrets = [" ".join(map(str, first_row[:12])), ", ".join(map(str, first_row[:12]))]
    kept = [*readable(run.root / "lab"), *readable(corpus / "public"), result.model_dump_json().encode()]
    assert not [text for text in kept for secret in secrets if secret.encode() in text]
    assert "Saw" not in result.detail  # nor in the name of an exception of the model's own making
    places = (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", Path.home(), Path(sys.executable).parent)
    assert not [place for place in places if (Path(place) / CANARY).exists()]
    # a daemon that knows them carries them on its command line
    assert not [line for line in command_lines() if "CANARY" in line and secrets[0] in line]
