# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What lab tests are written with. A test is one script tests/lab/NAME.test.sh that sources this file; it passes when it
# ends with status 0, is skipped when it calls `skip`, and fails otherwise. It runs in a working folder of its own ($PWD),
# in a lab of its own ($LAB), which is stopped when the test ends. run-lab-tests runs it.
set -euo pipefail
shopt -s inherit_errexit

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${LAB:=tripod-test}"
export LAB LAB_QUIET=yes

lab() { "$repository/scripts/lab/lab" "$@"; }

# on_host h1 COMMAND...: in a host's dom0
on_host() { lab exec "$1" -- "${@:2}"; }

# client COMMAND...: as the outside client
client() { lab netns -- "$@"; }

# lab_up [ARGUMENT...]: starts the test's lab; arguments as for `lab up`
lab_up() {
    trap end_of_test EXIT
    lab up "$@"
}

end_of_test() {
    local status=$?
    if [[ -n ${KEEP_LAB:-} && $status -ne 0 ]]; then
        echo "the lab is left running: LAB=$LAB scripts/lab/lab ..."
    else
        lab down
        cp "$repository/build/lab/run/$LAB"/*.log . 2> /dev/null || true
        rm -rf "$repository/build/lab/run/$LAB"
    fi
    exit "$status"
}

skip() { echo "SKIP: $*"; exit 77; }

# Says what went wrong and where in the test, then ends it.
fail() {
    local frame
    for ((frame = 1; frame < ${#BASH_SOURCE[@]}; frame++)); do
        [[ ${BASH_SOURCE[frame]} == *lib.sh ]] || break
    done
    echo "FAIL: ${BASH_SOURCE[frame]##*/}:${BASH_LINENO[frame - 1]}: $*"
    exit 1
}
trap 'echo "FAIL: ${BASH_SOURCE[0]##*/}:$LINENO: \"$BASH_COMMAND\" ended with status $?"' ERR

# expect_equal ACTUAL EXPECTED WHAT
expect_equal() { [[ $1 == "$2" ]] || fail "$3: expected '$2', got '$1'"; }

# expect_match TEXT REGULAR_EXPRESSION WHAT
expect_match() { grep -qE -e "$2" <<< "$1" || fail "$3: nothing like '$2' in: $1"; }

# expect_failure STATUS COMMAND...: the command must end with that status ("any": with any but 0).
# What it printed is left in $failure_output.
# shellcheck disable=SC2034
expect_failure() {
    local wanted=$1 status=0
    shift
    failure_output=$("$@" 2>&1) || status=$?
    [[ $status -ne 0 ]] || fail "succeeded, but should not have: $*: $failure_output"
    [[ $wanted == any || $status -eq $wanted ]] || fail "status $status instead of $wanted: $*: $failure_output"
}

# wait_until SECONDS COMMAND...: repeats it until it succeeds
wait_until() {
    local deadline=$((SECONDS + $1)) seconds=$1
    shift
    until "$@" > last-try.txt 2>&1; do
        ((SECONDS < deadline)) || fail "not within $seconds s: $*; last said: $(tail -n 3 last-try.txt)"
        sleep 0.1
    done
}
