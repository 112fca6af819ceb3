# The commands of this project; `make` alone lists them. `make run` and `make test` need nothing
# but Python >= 3.11, make and pip. Paths are relative: make cannot say one that holds a space.
#
#   make test PYTHON=/path/to/python3.12
#   make run  PIP_OPTIONS='--extra-index-url https://download.pytorch.org/whl/cpu'
#   NBA_DATA_DIR=/path/to/logs make run

python := .venv/bin/python
raw := data/raw
db := data/processed/league.sqlite
cache := data/processed/batch_cache

.PHONY: help venv run test soak keys mutants quick bench bench-quick million lint format docs wheel clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

venv: ## make .venv, or find that it is already right
	@sh .ci/venv.sh

# Two trials that differ in epochs only. The first builds what it trains on (or finds it, from
# the second `make run` on), the second always finds it.
run: venv ## league -> database -> two trials of script 3 -> what the cache holds
	$(python) scripts/1_get_data.py $(if $(NBA_DATA_DIR),--from "$$NBA_DATA_DIR",--simulate) --to $(raw)
	$(python) scripts/2_build_db.py --raw $(raw) --db $(db) --config config/defaults.yaml
	$(python) scripts/3_train_model_a.py --set paths.outputs=outputs/run_1 --set model_a.epochs=4
	$(python) scripts/3_train_model_a.py --set paths.outputs=outputs/run_2 --set model_a.epochs=6
	$(python) -m tensorcache ls --cache $(cache)

test: lint ## lint, then every test, file by file on two cores
	$(python) -m pytest -n 2 --dist loadfile

soak: venv ## every fault test in full, and every seeded bug (an hour)
	$(python) tests/soak.py

keys: venv ## a million random inputs: no two share a key (15 minutes)
	$(python) tests/soak_keys.py

mutants: venv ## every seeded bug must be found by the test that it names (5 minutes)
	$(python) tests/mutants/run.py --jobs 2

quick: venv ## the tests that take no time
	$(python) -m pytest -m "not slow"

# The peers are the extra `bench`; what a quick run needs of them is `bench-quick`.
bench: ## every peer beside ours: docs/performance.md (40 minutes, 10 GB of disk and memory)
	@sh .ci/venv.sh bench
	$(python) benchmarks/run.py

bench-quick: ## few peers, fewer rounds: outputs/bench-quick; fails where a count is missed
	@sh .ci/venv.sh bench-quick
	$(python) benchmarks/run.py --quick

million: venv ## a million entries: docs/million.md; fails where a target is missed (15 minutes, 10 GB)
	$(python) benchmarks/million.py

lint: venv ## ruff, mypy, codespell
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	$(python) -m codespell_lib

format: venv ## let ruff lay out the code and mend what it can
	$(python) -m ruff check --fix
	$(python) -m ruff format

docs: venv ## write the generated pages anew
	$(python) docs/generate.py

wheel: venv ## dist/*.whl
	rm -rf build dist
	$(python) -m build --wheel --no-isolation

clean: ## remove all that these commands made, except data/ and outputs/
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
