#!/usr/bin/env bash
# Fuzzes each target for some seconds, and prints a table of what came of it. Fails where a promise was broken.
#
#   fuzz/run.sh SECONDS [TARGET…]
#
# New inputs go to fuzz/target/corpus, which later runs begin with; those that are kept are in fuzz/corpus. An input that broke a
# promise goes to fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?how many seconds for each target?}
shift
if [ $# -eq 0 ]; then
    set -- certificates manifests mutations policies requests selectors
fi

# Nothing may take as long as the API server waits; far less memory than a container has must do. Quorate forbids unsafe code, so
# that AddressSanitizer, which needs a nightly compiler, would add little.
limits=(-timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=16384)
echo "fuzz: building (5 minutes on 2 cores, the first time)" >&2
cargo fuzz build --sanitizer none 2> >(grep -E '^(error|warning: unused)' -A 9 >&2)

status=0
row='%-13s %12s %9s %7s %9s %7s %8s  %s\n'
# shellcheck disable=SC2059
table=$(printf "$row" target executions 'a second' edges features corpus memory result)
for target in "$@"; do
    work=target/corpus/$target
    log=target/$target.log
    mkdir -p "$work" "artifacts/$target"
    result=good
    cargo fuzz run --sanitizer none "$target" "$work" "corpus/$target" -- \
        "${limits[@]}" -dict=dictionary -max_total_time="$seconds" -print_final_stats=1 >"$log" 2>&1 || result=BROKEN
    stat() { awk -v name="stat::$1:" '$1 == name { print $2 }' "$log"; }
    last() { grep -oE "\\b$1: [0-9]+" "$log" | tail -n 1 | cut -d' ' -f2; }
    # shellcheck disable=SC2059
    table+=$'\n'$(printf "$row" "$target" "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
        "$(last cov)" "$(last ft)" "$(last corp)" "$(stat peak_rss_mb) MB" "$result")
    if [ "$result" != good ]; then
        status=1
        grep -E "panicked at|ERROR: libFuzzer|Test unit written" -A 3 "$log" >&2 || tail -n 20 "$log" >&2
    fi
done
echo "$table"
exit "$status"
