# One environment, .venv, for everything; set up once, on the first call.
PYTHON := .venv/bin/python
.PHONY: setup demo test lint doctor

setup: .venv/.ready

.venv/.ready: setup.cfg pyproject.toml constraints.txt tools/setup.sh
	bash tools/setup.sh
	@touch $@

demo: setup
	$(PYTHON) -m vit_plugin demo

test: setup
	$(PYTHON) -m pytest

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy vit_plugin tools

doctor:  # also of a set-up that failed
	@test -x $(PYTHON) || { echo "There is no .venv yet: make setup"; exit 1; }
	$(PYTHON) -m vit_plugin.doctor
