# Ends what a run of the control plane started, whatever becomes of the run itself.
#
# Stdin is a pipe that only the run's own process holds open, so its end means that this process is done, or was killed.
# Then every process registered in DIRECTORY/processes (a file each, named in the order they were started, that says its
# pid, which is also its process group) gets a SIGTERM, the last one first, and after a grace a SIGKILL. DIRECTORY is
# removed; if it holds a file `keep`, its logs stay.
#
# Called as `bash -c SCRIPT keeper DIRECTORY`.
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

all_gone_within() {
    local deadline=$((SECONDS + $1)) pid
    for pid in "${pids[@]}"; do
        while alive "$pid"; do
            if ((SECONDS > deadline)); then
                return 1
            fi
            sleep 0.05
        done
    done
}

signal() {
    local pid
    for pid in "${pids[@]}"; do
        if alive "$pid"; then
            kill -s "$1" -- "-$pid" 2>/dev/null
        fi
    done
}

signal TERM
if ! all_gone_within 10; then
    signal KILL
    all_gone_within 10 || echo "controlplane: not all processes of $directory could be ended: ${pids[*]}" >&2
fi

if [ -e "$directory/keep" ]; then
    find "$directory" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf {} +
else
    rm -rf "$directory"
    rmdir "$(dirname "$directory")" 2>/dev/null
fi
exit 0
