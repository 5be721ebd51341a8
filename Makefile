# Everything a reader or developer runs. `make` alone explains the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book test test-lowest test-newest mutants fuzz reruns serve pdf chapter lab bench lint dist newest-sphinx lock clean

# The first Python for which requirements.lock has wheels; plain python3 if it is one.
FIND_PYTHON = for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
		&& echo $$python && break; done
PYTHON ?= $(shell $(FIND_PYTHON))
BIN := .venv/bin
READY := .venv/ready
PORT ?= 8000
COUNT ?= 200
SEED ?= 1
SECONDS ?= 60
JOBS ?= 2
# Through the environment, so that no shell interprets brackets and quotes in the values.
LAB ?=
# Where JupyterLab learns that a chapter, which is Markdown, is a notebook.
VIEWERS := .venv/etc/jupyter/labconfig/default_setting_overrides.json
NAME ?=
PARAMETERS ?=
export NAME PARAMETERS

# An environment of its own, with the lower bounds of the dependencies or with what is newest, and no lock.
LOWEST = $$(sed -n -e '/^dependencies/,/^]/s/^ *"\([a-z]*\)>=\([0-9.]*\).*/\1==\2/p' \
	-e 's/^qutip = \["\(qutip\)>=\([0-9.]*\)"\]/\1==\2/p' pyproject.toml)
define test_with
$(3) -m venv $(1)
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -e '.[qutip,sweep,test]' $(2)
$(1)/bin/python -m pip list --disable-pip-version-check | grep -iE '^(numpy|scipy|qutip) '
$(1)/bin/python -m pytest -p no:cacheprovider
endef
# What Jupyter Book 1 brings along, and what its extensions of this book need.
SPHINX_PARTS = 'sphinx>=9' myst-nb sphinx-book-theme sphinxcontrib-bibtex sphinx-external-toc sphinx-design \
	sphinx-copybutton sphinx-togglebutton sphinx-multitoc-numbering sphinx-mathjax-offline linkify-it-py \
	jupytext papermill pyyaml

help: ## Explain the targets
	@echo "Usage: make TARGET"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r target text; do printf '  %-13s %s\n' "$$target" "$$text"; done

book: $(READY) ## Execute what has changed, check every claim, build the book in _build/html
	@$(BIN)/python -m claimbook build

test: lint book ## Lint, build the book and run all tests
	@$(BIN)/python -m pytest

test-lowest: ## Test the library with the oldest NumPy, SciPy and QuTiP that pyproject.toml allows
	@$(call test_with,.venv-lowest,$(LOWEST),$(or $(shell command -v python3.11),$(PYTHON)))

test-newest: ## Test the library with the newest releases of everything, locked or not
	@$(call test_with,.venv-newest,--upgrade --upgrade-strategy eager,$(PYTHON))

newest-sphinx: $(READY) ## Render the pages with the newest Sphinx, without Jupyter Book
	@$(PYTHON) -m venv _build/newest-sphinx/venv
	@_build/newest-sphinx/venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade \
		--upgrade-strategy eager --only-binary :all: $(SPHINX_PARTS) -e '.[qutip,plot]'
	@.ci/newest-sphinx .venv _build/newest-sphinx/venv

mutants: $(READY) ## Plant small faults in the library and list those no test notices: COUNT=200 SEED=1
	@$(BIN)/python -m tests.mutants --count "$(COUNT)" --seed "$(SEED)"

reruns: $(READY) ## Run every chapter at three random sets of parameters, and read what it then says
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m "reruns or not reruns" tests/book/test_other_parameters.py

fuzz: $(READY) ## Try random models and random input: SECONDS=60 SEED=1 JOBS=2
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seconds "$(SECONDS)" --seed "$(SEED)" --jobs "$(JOBS)"

serve: book ## Show the book at http://127.0.0.1:8000 (PORT=...)
	@$(BIN)/python -m claimbook serve --port "$(PORT)"

pdf: $(READY) ## Print the book to _build/centralspin.pdf (needs Chromium)
	@$(BIN)/python -m claimbook pdf

chapter: $(READY) ## Re-run a chapter: NAME=figure-2 PARAMETERS='g0=2.0 bath_sizes=[6,10,20]'
	@$(BIN)/python -m claimbook chapter "$$NAME" "$$PARAMETERS"

lab: $(READY) ## Open the chapters as notebooks in JupyterLab (LAB=install puts it into .venv first)
	@test -x $(BIN)/jupyter-lab || test "$(LAB)" = install || { \
		echo "JupyterLab is not among the locked packages: \`make lab LAB=install\` puts its newest release into .venv." >&2; exit 1; }
	@test -x $(BIN)/jupyter-lab || { echo "Installing JupyterLab ..."; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: jupyterlab; }
	@mkdir -p $(dir $(VIEWERS)) && $(BIN)/jupytext-config --settings-file $(VIEWERS) set-default-viewer markdown
	@cd book && ../$(BIN)/jupyter-lab

bench: $(READY) ## Measure run times beside other methods', and write them into the history, README and the book
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.run
	@$(BIN)/python -m benchmarks.history compare || true
	@$(BIN)/python -m benchmarks.history add
	@$(BIN)/python -m benchmarks.page

lint: $(READY) ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# Built from what is in the folder, not from what an earlier build has left.
dist: $(READY) ## Build the wheel, and test it in an empty environment with NumPy and SciPy alone
	@rm -rf build _build/dist && mkdir -p _build/dist
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir _build/dist . && rm -rf build
	@$(PYTHON) -m venv --clear _build/dist/empty
	@_build/dist/empty/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		_build/dist/centralspin-*.whl
	@_build/dist/empty/bin/python -m pip list --disable-pip-version-check
	@cp tests/smoke.py _build/dist && cd _build/dist && empty/bin/python -I -W error smoke.py

lock: ## Renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header -q -o requirements.lock

clean: ## Remove everything generated; .venv stays
	rm -rf _build .venv-lowest .venv-newest .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamp is written last: an interrupted installation is taken up again. It holds the place it was made for:
# a copied or moved clone would run the code, and with the programs, of the old one.
INSTALLED_IN := $(shell cat $(READY) 2>/dev/null)
ifneq ($(INSTALLED_IN),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 is needed, and none was found." >&2; exit 1; }
	@rm -f $@
	@grep -qF " $(CURDIR)/.venv" .venv/pyvenv.cfg 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "Creating .venv with $$($(PYTHON) --version) ..."; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing the locked packages (some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		--require-hashes -r requirements.lock
	@echo "Installing centralspin ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "$(CURDIR)" > $@
