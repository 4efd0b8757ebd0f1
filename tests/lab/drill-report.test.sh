#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The drill's verdict and timeline, from measurements made by hand: a drill that cannot fail would be worth nothing.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

killed=1700000000000000000
# measurements LOST HALF_ALIVE FIRST_ANSWER_AFTER_NS|null: what a drill leaves in ./drill
measurements() {
    local outcome=reset
    [[ $2 == no ]] || outcome=half_alive
    rm -rf drill
    mkdir drill
    echo $killed > drill/killed_ns
    cat > drill/main.json << EOT
{"verified": true, "acknowledged": 1000, "unknown": 4, "lost": $1, "wrong": 0, "duplicated": 0, "examples": [],
 "per_second_before_gap": 300, "per_second_after_gap": 250,
 "latency_us_before_gap": {"p50": 5000, "p99": 9000}, "latency_us_after_gap": {"p50": 6000, "p99": 9500},
 "longest_gap": {"start_ns": $((killed - 2000000)), "end_ns": $((killed + 3000000000)), "seconds": 3.002, "ended": true},
 "first_answer_after_gap_ns": $3, "idle": [{"outcome": "$outcome"}, {"outcome": "reset"}]}
EOT
    echo '{"idle": [{"outcome": "closed"}]}' > drill/early.json
    # h3's clock is half a second ahead; an older failover's events must not count.
    echo "500000000 100000" > drill/clock-h3
    cat > drill/status-h3.json << EOT
{"schema": 1, "events": [{"name": "detected", "time_ns": $((killed - 90000000000))},
 {"name": "detected", "time_ns": $((killed + 2000000000))}, {"name": "elected", "time_ns": $((killed + 2100000000))},
 {"name": "drained", "time_ns": $((killed + 2200000000))}, {"name": "live", "time_ns": $((killed + 2300000000))},
 {"name": "network_moved", "time_ns": $((killed + 2400000000))}]}
EOT
}
report() { "$repository/scripts/drill-report" drill 10 yes; }

measurements 0 no $((killed + 3000000000))
output=$(report) || fail "a good drill did not pass: $output"
expect_match "$output" 'VERDICT: PASSED.* h3 took over' verdict
expect_match "$output" '^ +1\.500  death detected +h3$' "time in this machine's clock"
expect_match "$output" '^ +1\.900  network moved +h3$' "network moved"
expect_match "$output" '^ +3\.000  first answer' "first answer"
expect_equal "$(python3 -c 'import json; r = json.load(open("drill/report.json")); print(r["passed"], r["took_over"], r["lost"], len(r["timeline"]))')" "True h3 0 7" "report.json"

measurements 1 no $((killed + 3000000000))
expect_failure 4 report
expect_match "$failure_output" 'VERDICT: FAILED: 1 acknowledged writes are lost' verdict

measurements 0 yes $((killed + 3000000000))
expect_failure 4 report
expect_match "$failure_output" 'left half alive' verdict

measurements 0 no null
expect_failure 4 report
expect_match "$failure_output" 'the service did not come back' verdict

measurements 0 no $((killed + 3000000000))
rm drill/status-h3.json
expect_failure 4 report
expect_match "$failure_output" 'no backup says that it went live' verdict

measurements 0 no $((killed + 3000000000))
sed -i 's/"verified": true/"verified": false/' drill/main.json
expect_failure 4 report
expect_match "$failure_output" 'could not read its data back' verdict
