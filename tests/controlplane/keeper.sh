#!/usr/bin/env bash
# Ends what a run of the control plane started, whatever becomes of the run itself.
#
# Stdin is a pipe that only the run's own process holds open, so its end means that this process is done, or was killed.
# Then every process registered in DIRECTORY/processes (a file each, named in the order they were started, that says its
# pid, which is also its process group) gets a SIGTERM, the last one first, and after a grace a SIGKILL. DIRECTORY is
# removed; if it holds a file `keep`, its logs stay.
#
# Called as `bash keeper.sh DIRECTORY`.
set -uo pipefail
directory=$1
trap '' HUP INT TERM

while read -r _; do :; done

# A process that is being started right now no longer finds where to register, and gives up.
mv "$directory/processes" "$directory/ended"
pids=()
for file in "$directory"/ended/*; do
    if [ -s "$file" ]; then
        pids=("$(<"$file")" "${pids[@]}")
    fi
done

alive() {
    local stat
    kill -0 -- "-$1" 2>/dev/null || return 1
    # Whoever should reap it may never do so.
    if read -r stat 2>/dev/null <"/proc/$1/stat"; then
        stat=${stat##*) }
        [ "${stat:0:1}" != Z ]
    fi
}

gone_within() {
    local pid=$1 tries=$(($2 * 20))
    while alive "$pid"; do
        if ((tries-- == 0)); then
            return 1
        fi
        sleep 0.05
    done
}

# One after the other: an API server whose etcd has gone before it waits for it in vain. Nothing they could still save is
# wanted, so the grace is short.
for pid in "${pids[@]}"; do
    for signal in TERM KILL; do
        if alive "$pid"; then
            kill -s "$signal" -- "-$pid" 2>/dev/null
            gone_within "$pid" 3
        fi
    done
    if alive "$pid"; then
        echo "controlplane: process $pid of $directory could not be ended" >&2
    fi
done

if [ -e "$directory/keep" ]; then
    find "$directory" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
else
    # What the run's own process is just writing may come in between.
    for _ in 1 2 3 4 5; do
        rm -rf "$directory" 2>/dev/null && break
        sleep 0.1
    done
    rmdir "$(dirname "$directory")" 2>/dev/null
fi
exit 0
