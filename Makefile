# Everything from a clean clone: make demo, make test. Each target sets up what it misses and nothing twice: a lab and
# its demonstration need no test tools, so those are fetched by the first target that does.
# PYTHON=/path/to/python3 picks the interpreter (3.11 or later); pip's own settings are honoured. DEMO and TESTS add
# options to the demonstration and to pytest, MUTANTS words to choose mutants by.

VENV := .venv
BIN := $(VENV)/bin
# one thread per core that waits passively: a spinning wait slows a shared machine by up to 80 times
export OMP_WAIT_POLICY ?= passive
# images for containers often set this; the package would be compiled anew for each of a thousand processes
unexport PYTHONDONTWRITEBYTECODE
# pip refuses to install into an environment where a person's settings say `user = true`
export PIP_USER := 0

.PHONY: community compare many external night setup demo test quick mutants matrix faults abuse honest bench e2e night-e2e clients arenas lint format clean distclean
.DEFAULT_GOAL := setup

setup: $(VENV)/.installed
	@$(BIN)/python prepare.py --corpus stdlib
	@scripts/say_tier.sh

# written last, so that a broken install is begun again
$(VENV)/.installed: pyproject.toml mcp_server/__init__.py scripts/make_venv.sh
	@scripts/make_venv.sh $(VENV)
	torch=$$($(BIN)/python -B scripts/torch_build.py --ask) && \
	    $(BIN)/python -m pip install --quiet --editable ".[train]" $$torch
	@touch $@

# what tests, types and formatting need besides
$(VENV)/.tools: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[train,corpora,dev]"
	@touch $@

demo: setup
	$(BIN)/autoresearch demo $(DEMO)

# two at a time: most tests wait for processes. Whoever is done takes from what the other still has before it.
TWO := -n 2 --dist worksteal

test: setup $(VENV)/.tools
	$(BIN)/python -m pytest $(TWO) $(TESTS)

# everything pure, in under a minute: rules, tables, texts (tests/quick.py says by which rule)
quick: $(VENV)/.tools
	$(BIN)/python -m pytest --quick $(TWO) $(TESTS)

# whether the tests notice a rule that was changed: about eighty small mistakes, one at a time
mutants: $(VENV)/.tools
	$(BIN)/python -m dev.mutants $(MUTANTS)

# setup, a short demonstration and the tests, with every Python of 3.11 or later that this machine has
matrix:
	@scripts/matrix.sh

faults: setup $(VENV)/.tools
	$(BIN)/python -m pytest -m faults tests/faults tests/test_many_agents.py

abuse: setup $(VENV)/.tools
	$(BIN)/python -m pytest -m abuse tests/abuse tests/arenas

# verdicts beside other programs that come and go: under 25 minutes on 2 cores
honest: setup
	$(BIN)/python -m benchmarks.honest

# labs among each other, each goal with its value: real servers, 10,000 attempts, races, a liar, a bad line, strangers, the lab server.
# Under 20 minutes on 2 cores; exit status 1 where a goal is missed. What else is tested of it is in `make test`.
community: $(VENV)/.tools
	$(BIN)/python -m pytest -m slow tests/community tests/hosting
	$(BIN)/python -m benchmarks.community

# which program, which agent, what others tried: equal arms, a planted better one, imports, audits, suggestions (under 15 minutes)
compare: $(VENV)/.installed
	$(BIN)/python -m pytest tests/histories tests/comparison tests/suggesting tests/arenas/test_program.py
	$(BIN)/python -m benchmarks.compare

bench: setup
	$(BIN)/python -m benchmarks

# many devices (made up), many agents, and a real Ray cluster on 127.0.0.1, under 15 minutes on two quiet cores. Ray's wheel
# is 79 MB, so this target alone fetches it; make many MANY="one ray --kills 20" runs two rows
many: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --editable ".[train,corpora,dev,ray]"
	$(BIN)/python -m pytest tests/cluster/test_real.py
	$(BIN)/python -m benchmarks.many $(MANY)

# published tasks that need no download, by the built-in researcher, and nights of pure noise: under 20 minutes on 2 cores
external: $(VENV)/.tools
	$(BIN)/python -m benchmarks.external

# a night of the shipped arena, recorded under docs/nights/: 83 experiments of 60 s, about two hours; make night NIGHT="--experiments 20"
night: setup
	$(BIN)/python -m benchmarks.night $(NIGHT)

# The real clients (Claude Code, Codex, Gemini CLI, opencode, Copilot CLI, Inspector), in a folder of their own: no account, no global install.
clients: $(VENV)/.tools
	$(BIN)/python -m tests.e2e.clients

e2e: setup $(VENV)/.tools clients
	$(BIN)/python -m pytest -m "not slow" $(TWO) tests/e2e

# minutes each: the pace of a loop, and nights of thirty experiments with clients that are killed on the way
night-e2e: setup $(VENV)/.tools clients
	$(BIN)/python -m pytest -m slow tests/e2e

arenas: setup $(VENV)/.tools
	$(BIN)/python -m pytest -m "slow or not slow" tests/arenas

lint: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache demo-lab
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .matrix .e2e
