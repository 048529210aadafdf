# One environment, .venv, for everything; set up once, on the first call.
VENV := .venv
RUN := $(VENV)/bin/python
.PHONY: setup lock demo test test-fast test-python test-openmmlab test-alone test-transformers5 lint doctor

setup: $(VENV)/.ready

$(VENV)/.ready: setup.cfg pyproject.toml constraints.lock constraints-openmmlab.lock tools/setup.sh
	VENV=$(VENV) bash tools/setup.sh
	@touch $@

LOCK := $(RUN) -m uv pip compile --no-python-downloads --no-annotate --no-header --upgrade --quiet \
	--extra demo --extra dev setup.cfg
lock:  # choose every version anew, from setup.cfg and the pins of constraints*.txt
	$(LOCK) --universal --python-version 3.11 --extra all --extra export --extra lora -c constraints.txt -o constraints.lock
	$(LOCK) --python-version 3.11 --python-platform linux --extra openmmlab -c constraints-openmmlab.txt -o constraints-openmmlab.lock

demo: setup
	$(RUN) -m vit_plugin demo

test: setup
	$(RUN) -m pytest

test-fast: setup  # without what trains, exports or starts processes
	$(RUN) -m pytest -m "not slow"

test-python:  # on another Python, in .venv-<its name>: make test-python PYTHON=python3.13
	@test -n "$(PYTHON)" || { echo "On which Python? make test-python PYTHON=python3.13"; exit 1; }
	$(MAKE) test VENV=.venv-$(notdir $(PYTHON))

test-openmmlab:  # on OpenMMLab's own last releases, in .venv-openmmlab
	STACK=openmmlab $(MAKE) test VENV=.venv-openmmlab

test-alone:  # with one toolkit, or none (mmengine), in .venv-<its name>: make test-alone WITH=mmdet
	@test -n "$(WITH)" || { echo "make test-alone WITH=mmpretrain, mmdet, mmseg or mmengine"; exit 1; }
	EXTRAS=$(WITH),dev PYTEST_ADDOPTS="--allow-missing -rs" $(MAKE) test VENV=.venv-$(WITH)

test-transformers5:  # weights of transformers 5, beside which mmpretrain does not import
	EXTRAS=mmengine,dev $(MAKE) setup VENV=.venv-transformers5
	.venv-transformers5/bin/python -m uv pip install --quiet --python .venv-transformers5/bin/python transformers==5.24.0 scipy
	.venv-transformers5/bin/python -m pytest --allow-missing -rs tests/checkpoints

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m mypy vit_plugin tools

doctor:  # also of a set-up that failed
	@test -x $(RUN) || { echo "There is no $(VENV) yet: make setup"; exit 1; }
	$(RUN) -m vit_plugin.doctor
