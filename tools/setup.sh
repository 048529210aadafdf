#!/usr/bin/env bash
# Set .venv up: the pinned stack of constraints.lock, with mmcv's ops compiled against its torch.
# Needs a C++ compiler and Python 3.11-3.13, else uv fetches one; PYTHON=... chooses it, VENV=... the folder.
# STACK=openmmlab: OpenMMLab's own last releases (constraints-openmmlab.lock) on Python 3.11.
# EXTRAS=mmdet,dev: other extras of setup.cfg than all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
FREE_GB_NEEDED=15
VENV=${VENV:-.venv}
if [ "${STACK:-}" = openmmlab ]; then
    EXTRAS=openmmlab,demo,dev LOCK=constraints-openmmlab.lock PYTHONS=(3.11)
else
    EXTRAS=${EXTRAS:-all,export,lora,demo,dev} LOCK=constraints.lock PYTHONS=(3.12 3.11 3.13)
fi
WANTED="Python $(IFS=/; echo "${PYTHONS[*]}")"

fail() { echo "Set-up stopped: $1" >&2; exit 1; }

find_python() {
    local candidate candidates=("${PYTHONS[@]/#/python}" python3)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if command -v "$candidate" > /dev/null \
            && "$candidate" 2> /dev/null -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] not in '${PYTHONS[*]}'.split())"
        then
            echo "$candidate"
            return
        fi
    done
}

fetch_python() {  # uv keeps its Pythons in a folder of its own
    local scratch uv
    scratch=$(mktemp -d)
    trap "rm -rf '$scratch'" EXIT
    uv="$scratch/bin/python -m uv"
    echo "There is no $WANTED here: uv fetches $PYTHONS." >&2
    python3 -m venv "$scratch" >&2 \
        && "$scratch/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" >&2 \
        && $uv python install "$PYTHONS" >&2 \
        && $uv python find --managed-python "$PYTHONS"
}

python=$(find_python)
if [ -z "$python" ]; then
    [ -z "${PYTHON:-}" ] || fail "$PYTHON is no $WANTED. Install one, or name it: make PYTHON=/path/to/python$PYTHONS ..."
    python=$(fetch_python) \
        || fail "there is no $WANTED, and uv could not fetch one. Install one, or name it: make PYTHON=/path/to/python$PYTHONS ..."
fi
"$python" -c 'import ensurepip, venv' 2> /dev/null \
    || fail "$python cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"
command -v "${CXX:-c++}" > /dev/null \
    || fail "no C++ compiler (${CXX:-c++}) found, which mmcv needs. On Debian or Ubuntu: apt install build-essential"
"$python" -c 'import pathlib, sys, sysconfig; sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").is_file())' \
    || fail "the headers of $python are missing, which mmcv needs. On Debian or Ubuntu: apt install python3-dev"
if [ ! -d "$VENV" ]; then
    free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free_gb" -ge "$FREE_GB_NEEDED" ] \
        || fail "$free_gb GB of disk are free here, $FREE_GB_NEEDED GB are needed (6 GB stay in $VENV). Free some, or move the clone."
fi

show_compile() {  # the compile says nothing by itself
    local cache count
    cache=$("$VENV/bin/python" -m uv cache dir)
    while sleep 30 > /dev/null 2>&1; do  # it outlives the script, and must not hold its output
        # find fails where uv removes a folder meanwhile
        count=$({ find "$cache" -name '*.o' -newer "$VENV/pyvenv.cfg" 2> /dev/null || true; } | wc -l)
        [ "$count" = 0 ] || echo "mmcv's ops: $count of about 80 files compiled, $((SECONDS / 60)) minutes so far"
    done
}

echo "Setting up $VENV with $("$python" --version). The first time this downloads about 3 GB and compiles"
echo "mmcv's C++ ops, 10-20 minutes on 2 cores. uv keeps both, unless the package index forbids it."
"$python" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" \
    || fail "uv could not be installed; the lines above say why. Is there a network?"
if [ "${STACK:-}" != openmmlab ]; then
    # The headers of torch 2.14 and newer need C++20; mmcv 2.3.6's setup.py asks for C++17.
    printf '#!/usr/bin/env bash\nexec %s "${@/#-std=c++17/-std=c++20}"\n' "${CXX:-c++}" > "$VENV/bin/c++20"
    chmod +x "$VENV/bin/c++20"
    export CXX="$(cd "$VENV/bin" && pwd)/c++20"
fi
show_compile &
progress=$!
trap "kill $progress 2> /dev/null || true" EXIT
"$VENV/bin/python" -m uv pip install --python "$VENV/bin/python" \
    -e ".[$EXTRAS]" -c "$LOCK" \
    || fail "the installation failed; the lines above say where. Run the same command again: what was downloaded is kept.
An option that uv suggests there is a variable here: UV_SYSTEM_CERTS=1 make setup for --system-certs."
{ kill "$progress"; wait "$progress"; } 2> /dev/null || true
echo "Compiling the Python files of what was installed."
# uv leaves this to the first import, and where PYTHONDONTWRITEBYTECODE is set, as in many containers,
# to every import: a training then takes 20 s instead of 7 to start. A few files are for other Pythons,
# and in others Python 3.12 warns of escape sequences.
"$VENV/bin/python" -m compileall -q -j 0 "$VENV/lib" > /dev/null 2>&1 || true
"$VENV/bin/python" -m vit_plugin.doctor
