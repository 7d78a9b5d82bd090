# `make book` and `make test` are all that most people need; `make help` lists the rest. Everything is installed into .venv/ here.
SHELL := /bin/sh
PYTHON ?= python3
PROFILE ?= quick
CORES ?=
# Releases to install; CONSTRAINTS= takes the newest of everything.
CONSTRAINTS ?= constraints.txt
# Words of the command line reach the recipes as environment variables, so that paths may hold spaces.
export PYTHON PROFILE DATA LABEL SETTINGS NAME CORES WORKFLOW_PROFILE

RUN := .venv/bin/python
# Two test files at a time; a file's tests share what its fixtures make. More at once want 2 GB of memory each.
PYTEST = $(RUN) -m pytest -q -n $(or $(CORES),2) --dist loadfile $(if $(NO_BROWSER),-m "not browser")
BOOK_OPTIONS = --profile "$$PROFILE" $${DATA:+--data "$$DATA"} $${LABEL:+--label "$$LABEL"} \
	$${SETTINGS:+--settings "$$SETTINGS"} $${NAME:+--name "$$NAME"} $${CORES:+--cores "$$CORES"} \
	$${WORKFLOW_PROFILE:+--workflow-profile "$$WORKFLOW_PROFILE"}
# These are what the notebooks and the workflow import: one pass proves the installation and compiles just what is used.
IMPORTS := import cv2, highdicom.seg, jupyter_book.cli.main, keras, ipykernel.kernelapp, matplotlib.pyplot, myst_nb.sphinx_ext, openTSNE, \
	pandas, papermill.cli, scipy.ndimage, scipy.stats, seaborn, SimpleITK, skimage.feature, skimage.measure, \
	sklearn.manifold, sklearn.model_selection, sklearn.svm, snakemake.cli, statsmodels.api, tensorflow

.DEFAULT_GOAL := help
.PHONY: help book plan fuzz kills jax cluster publish published links test lint bench clean

help:  ## say what can be made
	@echo "make book [PROFILE=quick] [DATA=path/lesions.csv LABEL=column] [SETTINGS=my.yml] [NAME=folder] [CORES=2]"
	@echo
	@sed -n 's/^\([a-z]*\):.*  ## /  make \1 - /p' Makefile
	@echo
	@echo "WORKFLOW_PROFILE=profiles/slurm sends the jobs of make book to a cluster."
	@echo "PROFILE is smoke, quick, standard or paper. PYTHON=python3.12 chooses the Python that .venv/ is made with."

book: .venv/$(if $(WORKFLOW_PROFILE),cluster,book)  ## run every notebook and render the book to runs/<NAME>/html/index.html
	@$(RUN) -m lesion_utils book $(BOOK_OPTIONS)

plan: .venv/book  ## forecast time and disk of `make book` with the same words, and run nothing
	@$(RUN) -m lesion_utils plan $(BOOK_OPTIONS)

publish: .venv/book  ## check a finished run (same words as `make book`) and put it into book/published/
	@$(RUN) -m lesion_utils publish $(BOOK_OPTIONS)

published: .venv/book  ## render book/published/ to runs/published/html/index.html, with no training
	@$(RUN) -m lesion_utils published

links: .venv/book  ## try every link of the published book that leads elsewhere (needs a network)
	@$(RUN) -m lesion_utils links

test: .venv/test lint  ## lint, unit tests, the smoke book, its pages in a browser (not with NO_BROWSER=1), three kills
	$(PYTEST) --ignore=tests/test_pages.py --ignore=tests/test_screen.py --ignore=tests/test_solutions.py
	$(RUN) -m lesion_utils book --profile smoke --name smoke
	LESION_BOOK_HTML=runs/smoke $(PYTEST) tests/test_pages.py tests/test_screen.py tests/test_solutions.py tests/test_published.py
	$(RUN) tests/kills.py --short --whole runs/smoke

lint: .venv/test  ## style, spelling, and that no notebook holds outputs
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m codespell_lib
	$(RUN) -m nbstripout --keep-id --verify notebooks/*.ipynb

fuzz: .venv/test  ## 100,000 damaged files over all readers (COUNT=, SEED=)
	$(RUN) tests/fuzz.py --count $(or $(COUNT),100000) --seed $(or $(SEED),0) --folder .venv/fuzz

kills: .venv/test  ## kill a smoke run 30 times and compare its numbers with those of one that is left alone (COUNT=, SEED=)
	$(RUN) tests/kills.py --count $(or $(COUNT),30) --seed $(or $(SEED),0)

cluster: .venv/cluster  ## the smoke book on a SLURM of its own, with mishaps (as root, with Debian's SLURM and MariaDB)
	$(RUN) tests/cluster.py

jax: .venv/test  ## trainings with the other backend, JAX, on the processor: the same bits again and after a cut
	$(RUN) -m pytest -q tests/jax_trainings.py

bench: .venv/bench  ## speed beside the usual way of doing it, what bfloat16 costs, how cost grows (kept in book/speed.csv, scaling.csv)
	@for benchmark in classic_augmentation cnn_training dcgan_training bfloat16_accuracy texture tsne fidelity scaling; do \
		$(RUN) "benchmarks/$$benchmark.py" 2>.venv/bench.log || { cat .venv/bench.log; exit 1; }; echo; done

clean:  ## remove .venv/ and caches; results in runs/ stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

.venv/book: pyproject.toml constraints.txt
	$(call install,.)
	@touch $@

.venv/test: pyproject.toml constraints.txt
	$(call install,.[test])
	@touch .venv/book $@

.venv/cluster: pyproject.toml constraints.txt
	$(call install,.[cluster])
	@touch .venv/book $@

.venv/bench: pyproject.toml constraints.txt
	$(call install,.[bench])
	@touch .venv/book $@

# Compiling all of the installed modules takes longer than installing them, so pip does not (--no-compile): IMPORTS compiles the used ones.
define install
@"$$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	echo "error: the book needs Python 3.11, 3.12 or 3.13, and $$PYTHON is $$("$$PYTHON" --version 2>/dev/null || echo not there)."; \
	echo "       Name another one: make book PYTHON=python3.12"; exit 1; }
@.venv/bin/python -c '' 2>/dev/null || { echo "Making .venv/ with $$("$$PYTHON" --version)"; rm -rf .venv; "$$PYTHON" -m venv .venv; } || { \
	rm -rf .venv; echo "error: $$PYTHON cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
@echo "Installing the packages$(if $(CONSTRAINTS), of $(CONSTRAINTS)) into .venv/ (about 1.2 GB to fetch; takes some minutes, once)"
@.venv/bin/python -m pip install -qq --disable-pip-version-check --no-compile $(if $(CONSTRAINTS),-c '$(CONSTRAINTS)') -e '$(1)'
@echo "Trying out what was installed"
@PYTHONDONTWRITEBYTECODE= TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python -W ignore -c '$(IMPORTS)' 2>.venv/import.log || { cat .venv/import.log; exit 1; }
endef
