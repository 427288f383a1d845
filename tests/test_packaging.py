"""One repository as a Python package, a plugin of three formats and a plain project: they agree, and it starts."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import struct
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from dev.variables import VARIABLES, Audience
from mcp_server import __version__
from tests.e2e.repositories import lay_release
from tests.labs import until

ROOT = Path(__file__).resolve().parent.parent
SKILLS = (
    "autoresearch",
    "autoresearch-report",
    "arena",
    "decompose",
    "interview",
    "operate",
    "paper",
    "review",
    "replicate",
)


def load(script: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(script, ROOT / "scripts" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / name).read_text())
    return found


def test_there_is_one_version_everywhere() -> None:
    assert load("bump_version").differing() == []


def test_the_bump_script_changes_every_place(tmp_path: Path) -> None:
    script = load("bump_version")
    for place in script.PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text((ROOT / place).read_text())
    script.bump("7.8.9", tmp_path)
    assert {version for place in script.PLACES for version in script.versions(place, tmp_path)} == {"7.8.9"}
    assert script.differing(tmp_path) == []


def test_every_manifest_names_the_same_plugin_and_server() -> None:
    manifests = [read(name) for name in (".claude-plugin/plugin.json", ".codex-plugin/plugin.json", "plugin.json")]
    assert {manifest["name"] for manifest in manifests} == {"autoresearch"}
    assert {manifest["description"] for manifest in manifests} == {manifests[0]["description"]}
    servers = [read(name)["mcpServers"] for name in (".mcp.json", "mcp.json", ".codex-plugin/mcp.json")]
    servers.append(manifests[0]["mcpServers"])
    for server in servers:
        assert list(server) == ["autoresearch"]
        assert server["autoresearch"]["command"].endswith("bin/autoresearch-mcp")
    codex = tomllib.loads((ROOT / ".codex" / "config.toml").read_text())
    assert list(codex["mcp_servers"]) == ["autoresearch"]


def test_codex_hands_the_server_every_variable_that_a_person_may_set_for_it() -> None:
    """It hands on what is named alone: `AUTORESEARCH_COMMUNITY=off`, or an activated environment, would say nothing."""
    clone = tomllib.loads((ROOT / ".codex" / "config.toml").read_text())["mcp_servers"]["autoresearch"]["env_vars"]
    plugin = read(".codex-plugin/mcp.json")["mcpServers"]["autoresearch"]["env_vars"]
    of_hooks = {f"AUTORESEARCH_{name}" for name in ("ALLOW", "DEBUG", "GUARD", "LOOP")}
    of_commands = {"AUTORESEARCH_DASHBOARD"}
    said = {name for name, one in VARIABLES.items() if one.audience in (Audience.PERSON, Audience.INSTALL)}
    others = {"VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT", "XDG_CONFIG_HOME", "CUDA_VISIBLE_DEVICES"}
    assert clone == plugin == sorted(clone)
    assert said - of_hooks - of_commands | others <= set(clone)


def test_the_portable_manifest_holds_only_what_its_closed_schema_allows() -> None:
    allowed = {"$schema", "name", "version", "description", "author", "homepage", "repository", "license", "keywords"}
    assert set(read("plugin.json")) <= allowed | {"extensions"}
    server = read("mcp.json")["mcpServers"]["autoresearch"]
    assert set(server) <= {"type", "command", "args", "env", "cwd"}
    assert not {"PLUGIN_ROOT", "PLUGIN_DATA"} & set(server.get("env", {}))


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_has_portable_front_matter_and_is_a_project_skill_too(name: str) -> None:
    text = (ROOT / "skills" / name / "SKILL.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    portable = {"name", "description", "license", "compatibility", "metadata", "allowed-tools", "disallowed-tools"}
    assert set(front) <= portable
    assert front["name"] == name
    assert len(front["description"]) <= 1024
    for project in (".claude", ".agents"):
        assert (ROOT / project / "skills" / name).resolve() == ROOT / "skills" / name


def test_the_plain_word_autoresearch_means_the_loop() -> None:
    front = yaml.safe_load((ROOT / "skills/autoresearch/SKILL.md").read_text().split("---")[1])
    assert '"/loop autoresearch"' in front["description"]
    assert front["disallowed-tools"] == "AskUserQuestion"
    assert "disable-model-invocation" not in front


def test_both_clients_run_the_same_hook_and_a_missing_one_is_silence(tmp_path: Path) -> None:
    files = ("hooks/hooks.json", ".codex/hooks.json", ".claude/settings.json")
    for file in files:
        for event, groups in read(file)["hooks"].items():
            for group in groups:
                (entry,) = group["hooks"]
                assert "/hooks/" in entry["command"], (file, event)
                empty = {
                    "PATH": os.environ["PATH"],
                    "CLAUDE_PLUGIN_ROOT": str(tmp_path),
                    "CLAUDE_PROJECT_DIR": str(tmp_path),
                }
                done = subprocess.run(
                    ["sh", "-c", entry["command"]], cwd=tmp_path, env=empty, input="{}", capture_output=True, text=True
                )
                # exit code 2 would mean: block
                assert (done.returncode, done.stdout) == (0, "")


def test_the_icon_is_a_square_of_a_size_the_plugin_directory_takes() -> None:
    head = (ROOT / ".claude-plugin" / "icon.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert width == height
    assert 512 <= width <= 2048


def test_every_style_is_plain_text_that_fits_a_status() -> None:
    styles = sorted((ROOT / "skills/autoresearch/styles").glob("*.md"))
    assert {style.stem for style in styles} >= {"bold", "careful", "ablation", "simplify", "from-literature"}
    for style in styles:
        if style.stem != "README":
            assert style.read_text().startswith(f"Style: {style.stem}\n")
            assert len(style.read_text()) <= 2000


def test_no_index_of_packages_is_named_in_the_project() -> None:
    assert "://" not in (ROOT / "pyproject.toml").read_text()
    assert "://" not in (ROOT / ".ci" / "run").read_text()


def test_a_wheel_carries_what_a_lab_starts_from(tmp_path: Path) -> None:
    release = lay_release(tmp_path / "release")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=release, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name.startswith(f"autoresearch-{__version__}-")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        shut_in = [opened.read(f"mcp_server/templates/{arena}/confined.py") for arena in ("speed", "tabular")]
    assert shut_in == [(ROOT / "arenas" / "common" / "confined.py").read_bytes()] * 2
    inside = {f"mcp_server/templates/lm/{name}" for name in ("program.md", "prepare.py", "train.py")}
    assert inside | {"mcp_server/styles/bold.md", "mcp_server/server.py", "mcp_server/examples/processes.yaml"} <= names
    assert not [name for name in names if name.startswith(("tests/", "train.py", "prepare.py"))]


# --- the launcher ---------------------------------------------------------------------------------------------------


def launch(plugin: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH")}
    command = [str(plugin / "bin" / "autoresearch"), *arguments]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, cwd=plugin.parent)


def test_the_launcher_uses_the_interpreter_it_is_given(tmp_path: Path) -> None:
    release = lay_release(tmp_path / "plugin")
    done = launch(release, "--version", AUTORESEARCH_PYTHON=sys.executable)
    assert __version__ in done.stdout
    assert done.returncode == 0


def test_the_launcher_may_be_called_by_a_link_on_the_path(tmp_path: Path) -> None:
    release = lay_release(tmp_path / "a plugin")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "autoresearch").symlink_to(release / "bin" / "autoresearch")
    done = launch(tmp_path, "--version", AUTORESEARCH_PYTHON=sys.executable)
    assert (done.returncode, __version__ in done.stdout) == (0, True), done.stderr


def test_an_installation_that_cannot_begin_says_why_in_a_shell_and_to_a_client(tmp_path: Path) -> None:
    release = lay_release(tmp_path / "plugin")
    (tmp_path / "home").write_text("a file where a folder should be")
    environment = {"XDG_DATA_HOME": str(tmp_path / "home")}
    done = launch(release, "--version", **environment)
    assert done.returncode == 1
    assert "home/autoresearch" in done.stderr
    assert "cannot be written (Not a directory). Name another folder with XDG_DATA_HOME" in done.stderr
    assert "Traceback" not in done.stderr
    asked = [
        {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}},
        {"id": 2, "method": "tools/call", "params": {"name": "lab_status", "arguments": {}}},
    ]
    served = subprocess.run(
        [str(release / "bin" / "autoresearch-mcp")], env=dict(os.environ) | environment, text=True,
        input="".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked), capture_output=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in served.stdout.splitlines()]
    assert [one.get("id") for one in answers] == [1, 2]
    assert "Name another folder with XDG_DATA_HOME" in json.dumps(answers[1])


def test_a_person_whose_pip_installs_into_the_home_gets_an_environment_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    made = importlib.import_module("launch")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    assert made.run([*pip, "install", "--quiet", "--no-index", "--no-deps", "--dry-run", str(wheel(tmp_path))]) == 0


def wheel(folder: Path) -> Path:
    """A package that holds nothing."""
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: nothing\nVersion: 1\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    place = folder / "nothing-1-py3-none-any.whl"
    with zipfile.ZipFile(place, "w") as packed:
        for name, text in files.items():
            packed.writestr(f"nothing-1.dist-info/{name}", text)
    return place


def test_the_launcher_can_be_told_never_to_install(tmp_path: Path) -> None:
    release = lay_release(tmp_path / "plugin")
    done = launch(release, "--version", AUTORESEARCH_INSTALL="never", XDG_DATA_HOME=str(tmp_path / "data"))
    assert (done.returncode, done.stdout, done.stderr) == (75, "", "")
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_an_installation_outlives_the_client_that_lost_patience(tmp_path: Path) -> None:
    release, data = lay_release(tmp_path / "plugin"), tmp_path / "data"
    before = sorted(release.rglob("*"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH")}
    command = [str(release / "bin" / "autoresearch-mcp")]
    with (tmp_path / "stderr").open("wb") as errors:
        first = subprocess.Popen(
            command,
            env=kept | {"XDG_DATA_HOME": str(data), "CLAUDE_PLUGIN_DATA": str(tmp_path / "given")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    until(lambda: list(data.glob("autoresearch/*/venv/bin/python")))
    os.killpg(first.pid, signal.SIGKILL)
    said, _ = first.communicate()
    assert said == b""  # stdout belongs to the protocol
    second = launch(release, "--version", XDG_DATA_HOME=str(data))
    assert __version__ in second.stdout, second.stderr
    assert launch(release, "--version", XDG_DATA_HOME=str(data), AUTORESEARCH_INSTALL="never").returncode == 0
    # one environment for the server, which is given a folder by its client, and for the shell, which is not
    assert len(list((data / "autoresearch").iterdir())) == 1
    assert not (tmp_path / "given").exists()
    assert sorted(release.rglob("*")) == before  # nothing is written into the plugin's own folder
