"""Which edits are the same code, which constants moved, and which edits deal the luck anew."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.edits.fingerprint import (
    KnobChange,
    change,
    fingerprint,
    knob_changes,
    knobs,
    nodes,
    protocol_changes,
)

TRAIN = '''"""A small trainer."""

import os

import torch
from torch import nn

import prepare
from prepare import generator

DEPTH = pick(cpu=2, cuda=9)  # layers
WIDTH = 128
MATRIX_LR = 0.04
BATCH = 2**14
ADAM_BETAS = (0.8, 0.95)
MODEL_DIM = DEPTH * 64


class Config:
    heads: int = 2
    window: str = "SSSL"


class Model(nn.Module):
    """The model."""

    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(2048, WIDTH)
        self.head = nn.Linear(WIDTH, 2048, bias=False)
        self.drop = nn.Dropout(0.1)
        nn.init.normal_(self.wte.weight, std=0.02, generator=generator("wte"))

    def forward(self, ids, scale=1.0):
        softcap = 15.0
        logits = self.head(self.wte(ids)) * scale
        return softcap * torch.tanh(logits / softcap)


def main():
    seed = prepare.seed()
    torch.manual_seed(seed)
    budget = prepare.Budget()
    model = Model(Config())
    optimizer = torch.optim.AdamW(model.parameters(), lr=MATRIX_LR, betas=ADAM_BETAS, weight_decay=0.1)
    loader = prepare.train_loader(8, 256, seed=seed)
    for ids, targets in loader:
        if budget.over():
            break
'''

BIGRAM = """        self.bigram = nn.Embedding(9, 9)
        nn.init.zeros_(self.bigram.weight, generator=generator("bigram"))
"""


def edited(*pairs: tuple[str, str]) -> str:
    text = TRAIN
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


# --- the same code ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 2**18", "x = 262144"),
        ("x = 1e-3", "x = 0.001"),
        ("x = -(-1)", "x = 1"),
        ("x = 0xFF", "x=255  # mask"),
        ("x = (1 +\n     2)", "x = 3"),
        ("x = 'a'", 'x = "a"'),
        ("x = u'a'", "x = 'a'"),
        ("x = 1_000", "x = 1000"),
        ("x = 3 / 4", "x = .75"),
        ("def f():\n  return 1", "def f():\n    'Says so.'\n\n    return (1)"),
        ("class A: 'text'", "class A:\n    pass"),
        ("a = 1; b = 2", "a = 1\n\nb = 2\n"),
        ("x = 1\r\ny = 2\r\n", "x = 1\ny = 2"),
        (b"\xef\xbb\xbfx = 1", "x = 1"),
    ],
)
def test_the_same_code_has_one_fingerprint(one: str | bytes, other: str | bytes) -> None:
    assert fingerprint({"train.py": one}) == fingerprint({"train.py": other})
    assert change(one, other) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = a + b", "x = b + a"),
        ("x = True", "x = 1"),
        ("x = f(1)(2)", "x = f(1, 2)"),
        ("x = []", "x = ()"),
        ("x = None", "x = 0"),
        ("print(f.__doc__)\ndef f():\n  'a'", "print(f.__doc__)\ndef f():\n  'b'"),
        ("if a:\n  b()\nc()", "if a:\n  b()\n  c()"),
        ("x[1:]", "x[:1]"),
        ("x[a:]", "x[:a]"),
    ],
)
def test_code_that_may_behave_otherwise_has_another_fingerprint(one: str, other: str) -> None:
    assert fingerprint({"train.py": one}) != fingerprint({"train.py": other})
    assert change(one, other)


def test_file_names_belong_to_the_fingerprint() -> None:
    assert fingerprint({"a.py": "x = 1"}) != fingerprint({"b.py": "x = 1"})
    assert fingerprint({"a.py": "", "b.py": "x"}) != fingerprint({"a.py": "x", "b.py": ""})
    assert fingerprint({"a.py": "1", "b.py": "2"}) == fingerprint({"b.py": "2", "a.py": "1"})


def test_other_files_are_compared_without_line_ends_and_trailing_space() -> None:
    assert fingerprint({"a.yaml": "x: 1  \r\ny: 2\r\n\r\n"}) == fingerprint({"a.yaml": "x: 1\ny: 2"})
    assert fingerprint({"a.yaml": "x: 1"}) != fingerprint({"a.yaml": " x: 1"})
    assert fingerprint({"a.bin": b"\0\r\n"}) != fingerprint({"a.bin": b"\0\n"})


@pytest.mark.parametrize("text", ["def (", b"\xff\xfe\xff", "x = '\0'", "(" * 5000, "x = " + "-" * 20000 + "1"])
def test_text_that_does_not_parse_falls_back_to_bytes(text: str | bytes) -> None:
    assert fingerprint({"train.py": text}) == fingerprint({"train.py": text})
    assert fingerprint({"train.py": text}) != fingerprint({"train.py": "x = 1"})
    assert nodes({"train.py": text}) > 0
    assert knobs(text) == {}
    assert isinstance(protocol_changes(text, TRAIN), tuple)


def test_a_power_tower_is_not_worked_out() -> None:
    for text in (
        "x = 9**9**9",
        "x = 1 << 10**10",
        "x = 10**4000 * 10**4000",
        "x = 2.0**9**9",
        "x = 1 / 0",
        "x = 1 << -1",
    ):
        assert len(fingerprint(text)) == 64
        assert nodes(text) > 0


def test_a_warning_about_the_agents_source_does_not_reach_ours() -> None:
    assert fingerprint(r"x = '\d' is 1") == fingerprint(r'x = "\d" is 1')


def test_the_same_edit_on_another_base_is_the_same_change() -> None:
    other_base = edited(("WIDTH = 128", "WIDTH = 192"))
    assert change(TRAIN, edited(("0.04", "0.05"))) == change(other_base, other_base.replace("0.04", "0.05"))
    assert change(TRAIN, edited(("0.04", "0.05"))) != change(TRAIN, edited(("0.04", "0.06")))
    assert change(TRAIN, edited(("0.04", "0.05"))) != change(edited(("0.04", "0.05")), TRAIN)


def test_complexity_ignores_layout_and_counts_code_hidden_in_strings() -> None:
    assert nodes(TRAIN) == nodes(edited(("  # layers", ""), ('    """The model."""\n', ""), ("2**14", "16384")))
    assert nodes(TRAIN) < nodes(edited(("        softcap = 15.0", "        softcap = 15.0 * scale")))
    body = "a = b + c\n" * 20
    assert nodes(f"exec({body!r})") > 60
    assert nodes({"notes.md": "one two three"}) == 3


@given(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False))
def test_any_spelling_of_a_number_is_the_number(whole: int, real: float) -> None:
    assert fingerprint(f"x = {whole:_}") == fingerprint(f"x = {hex(whole)}")
    assert fingerprint(f"x = {real!r}") == fingerprint(
        f"x = ({real:.17g}e0)" if "e" not in f"{real:.17g}" else f"x={real!r}"
    )


# --- knobs ------------------------------------------------------------------------------------------------------------


def test_knobs_are_found_in_constants_calls_class_fields_and_defaults() -> None:
    found = knobs(TRAIN)
    assert found["MATRIX_LR"] == "0.04"
    assert found["DEPTH.cpu"] == "2"
    assert found["DEPTH.cuda"] == "9"
    assert found["BATCH"] == "16384"
    assert found["ADAM_BETAS"] == "(0.8, 0.95)"
    assert found["MODEL_DIM"] == "DEPTH * 64"
    assert found["Config.heads"] == "2"
    assert found["Config.window"] == "'SSSL'"
    assert found["Linear.bias"] == "False"
    assert found["Dropout[0]"] == "0.1"
    assert found["AdamW.weight_decay"] == "0.1"
    assert found["forward.scale"] == "1.0"
    assert found["forward.softcap"] == "15.0"


def test_knobs_are_found_behind_conditions_in_dictionaries_and_dataclass_fields() -> None:
    found = knobs(
        "if cuda:\n  LR = 1\nelse:\n  LR = 2\nA, B = 3, 4\nOPT = {'lr': 5}\n"
        "C = dict(x=6, y=pick(cpu=7))\n@dataclass\nclass D:\n  e: int = field(default=8)\n"
    )
    assert found == {
        "LR": "1", "LR[2]": "2", "A": "3", "B": "4", "OPT.lr": "5", "C.x": "6", "C.y.cpu": "7", "D.e": "8",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("MATRIX_LR = 0.04", "MATRIX_LR = 0.05", "MATRIX_LR: 0.04 → 0.05"),
        ("cuda=9", "cuda=8", "DEPTH.cuda: 9 → 8"),
        ("heads: int = 2", "heads: int = 4", "Config.heads: 2 → 4"),
        ("Dropout(0.1)", "Dropout(0.2)", "Dropout[0]: 0.1 → 0.2"),
        ("weight_decay=0.1", "weight_decay=0.0", "AdamW.weight_decay: 0.1 → 0.0"),
        (", weight_decay=0.1", "", "AdamW.weight_decay: removed 0.1"),
        ("bias=False)", "bias=False, dtype=None)", "Linear.dtype: added None"),
        ("DEPTH * 64", "DEPTH * 96", "MODEL_DIM: DEPTH * 64 → DEPTH * 96"),
        ("softcap = 15.0", "softcap = 30.0", "forward.softcap: 15.0 → 30.0"),
        ("scale=1.0", "scale=2.0", "forward.scale: 1.0 → 2.0"),
        ("WIDTH = 128\n", "", "WIDTH: removed 128"),
    ],
)
def test_one_edit_is_one_knob_change(old: str, new: str, words: str) -> None:
    assert [str(change) for change in knob_changes(TRAIN, edited((old, new)))] == [words]


def test_spelling_a_constant_otherwise_is_no_knob_change() -> None:
    assert knob_changes(TRAIN, edited(("2**14", "16_384"), ("0.04", "4e-2"))) == ()


def test_a_new_layer_is_no_knob_change() -> None:
    after = edited(("        self.drop", "        self.more = nn.Linear(WIDTH, 7, bias=True)\n        self.drop"))
    assert knob_changes(TRAIN, after) == ()


def test_a_long_value_is_shown_short() -> None:
    assert len(str(KnobChange("TABLE", "(" + "1, " * 500 + ")", "(2,)"))) < 100


# --- seeding, data order, budget --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("torch.manual_seed(seed)", "torch.manual_seed(137)", "seeding"),
        ("torch.manual_seed(seed)", "torch.manual_seed(seed + 1)", "seeding"),
        ("seed = prepare.seed()", "seed = prepare.seed() ^ 7", "seeding"),
        ("seed = prepare.seed()", "seed = 137", "seeding"),
        ("    model = Model", "    random.seed(3)\n    model = Model", "seeding"),
        ("    model = Model", "    torch.rand(7)\n    model = Model", "seeding"),
        ("    model = Model", "    os.environ['AUTORESEARCH_SEED'] = '3'\n    model = Model", "seeding"),
        ("    model = Model", "    prepare.generator = lambda name: None\n    model = Model", "seeding"),
        ("    model = Model", "    g = torch.Generator().manual_seed(5)\n    model = Model", "seeding"),
        ('generator("wte")', 'generator("wte2")', "seeding"),
        ("self.wte", "self.embedding", "seeding"),
        ("train_loader(8, 256, seed=seed)", "train_loader(8, 256, seed=seed + 1)", "data order"),
        ("train_loader(8, 256, seed=seed)", "train_loader(8, 256)", "data order"),
        ("seed=seed)", "seed=seed, shuffle=False)", "data order"),
        ("    for ids, targets in loader", "    next(loader)\n    for ids, targets in loader", "data order"),
        ("prepare.train_loader(8, 256, seed=seed)", "own_batches()", "data order"),
        ("budget = prepare.Budget()", "budget = prepare.Budget(600)", "budget"),
        ("WIDTH = 128", "WIDTH = 128\nTIME_BUDGET = 900", "budget"),
        ("    model = Model", "    time.monotonic = lambda: 0.0\n    model = Model", "budget"),
        ("    model = Model", "    os.environ['AUTORESEARCH_BUDGET_SECONDS'] = '900'\n    model = Model", "budget"),
    ],
)  # fmt: skip
def test_an_edit_of_the_rules_is_named(old: str, new: str, kind: str) -> None:
    touched = protocol_changes(TRAIN, edited((old, new)))
    assert len(touched) >= 1
    assert all(words.startswith(kind) for words in touched), touched


@pytest.mark.parametrize(
    "pairs",
    [
        [("MATRIX_LR = 0.04", "MATRIX_LR = 0.05")],
        [("train_loader(8, 256, seed=seed)", "train_loader(16, 256, seed=seed)")],
        [("2**14", "2**15"), ("cuda=9", "cuda=8")],
        [("torch.tanh(logits / softcap)", "torch.relu(logits)")],
        [("        self.drop", f"{BIGRAM}        self.drop")],
        [('        nn.init.normal_(self.wte.weight, std=0.02, generator=generator("wte"))\n', "")],
        [("std=0.02", "std=0.01")],
        [("if budget.over():", "if budget.over() or budget.progress() > 0.99:")],
        [("        if budget.over", "        rate = MATRIX_LR * (1 - budget.progress())\n        if budget.over")],
        [("torch.optim.AdamW(", "torch.optim.SGD("), (", betas=ADAM_BETAS", "")],
        [("DEPTH = pick(cpu=2, cuda=9)  # layers", "DEPTH = 2")],
        [("self.drop = nn.Dropout(0.1)", "self.drop = nn.Identity()")],
        [("    model = Model(Config())", "    noise = torch.rand(3)\n    model = Model(Config())")],
    ],
)  # fmt: skip
def test_an_edit_of_the_model_or_its_training_is_no_touch(pairs: list[tuple[str, str]]) -> None:
    assert protocol_changes(TRAIN, edited(*pairs)) == ()


TRAINER = (Path(__file__).parent.parent / "train.py").read_text()


def test_a_knob_of_the_trainer_can_be_turned_without_touching_the_rules() -> None:
    found = {name: value for name, value in knobs(TRAINER).items() if re.match(r"[A-Z][A-Z0-9_]*(\.\w+)?$", name)}
    assert len(found) > 40
    for line in re.findall(r"^[A-Z][A-Z0-9_]* = .*\d.*$", TRAINER, re.MULTILINE)[::4]:
        number = re.search(r"(?<=[= (])\d[\d_.]*(?:\*\*\d+)?(?=[,) ]|$)", line)
        if number is None:
            continue
        after = TRAINER.replace(line, line[: number.start()] + "77" + line[number.end() :])
        assert protocol_changes(TRAINER, after) == (), line
        (turned,) = [change for change in knob_changes(TRAINER, after) if change.name[0].isupper()][:1]
        assert turned.name.partition(".")[0].partition("[")[0] == line.partition(" ")[0]


@pytest.mark.parametrize(
    ("pattern", "new", "kind"),
    [
        (r"prepare\.initialise\(model, deviation\)", "torch.manual_seed(7)", "seeding"),
        (r"prepare\.batches\(2 \* BATCH, on=DEVICE, folds=2\)", "own_batches(2 * BATCH)", "data order"),
        (r"prepare\.Budget\(DEVICE\)", "prepare.Budget('cuda')", "budget"),
        (r"budget\.start\(model\)", "budget.start(model)\n    budget.seconds = 900", "budget"),
        (r"batches = (.*)", r"batches = \1\n    next(batches)", "data order"),
        (r"\.blocks\b", ".stack", "seeding"),
    ],
)
def test_what_the_trainer_takes_from_the_lab_is_watched(pattern: str, new: str, kind: str) -> None:
    after, count = re.subn(pattern, new, TRAINER)
    assert count
    assert all(words.startswith(kind) for words in protocol_changes(TRAINER, after))
    assert protocol_changes(TRAINER, after)


def test_forty_seed_edits_are_all_named() -> None:
    assert all(protocol_changes(TRAIN, edited(("manual_seed(seed)", f"manual_seed({k})"))) for k in range(40))


def test_a_seed_in_a_file_that_is_no_python_is_named() -> None:
    before, after = {"run.yaml": "lr: 1\nseed: 42\n"}, {"run.yaml": "lr: 2\nseed: 137\n"}
    assert protocol_changes(before, after) == ("seeding: seed: 42", "seeding: seed: 137")
    assert protocol_changes(before, {"run.yaml": "lr: 3\nseed: 42\n"}) == ()


def test_importing_under_another_name_hides_nothing() -> None:
    before = "import torch as t\nfrom prepare import generator as g\nt.manual_seed(1)\nw = g('a')\n"
    assert protocol_changes(before, before.replace("(1)", "(2)")) == ("seeding: t.manual_seed(1) → t.manual_seed(2)",)
    assert protocol_changes(before, before.replace("'a'", "'b'"))


def test_a_large_file_is_read_in_moments() -> None:
    text = TRAIN + "\n".join(f"def f{i}(x):\n    return x * {i} + [{i}, {i}]" for i in range(600))
    begin = time.process_time()
    fingerprint(text)
    knob_changes(TRAIN, text)
    protocol_changes(TRAIN, text)
    assert time.process_time() - begin < 30  # a hang, not a race: usually well under a second
