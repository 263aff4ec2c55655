#!/usr/bin/env bash
# Checks the dependencies against deny.toml: licences, sources and bans always, advisories where their database can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$(tests/tools.sh):$PATH
cargo deny --locked check --hide-inclusion-graph licenses bans sources

# The database is a git repository of its own. Without a way to it, that is said and isn't a failure: the dependencies are no
# worse for it, and whoever builds a release does so where it can be reached.
if cargo deny --log-level off fetch db >/dev/null 2>&1; then
    cargo deny --locked check --hide-inclusion-graph advisories
else
    echo "NOT CHECKED: security advisories. The RustSec advisory database cannot be fetched from here." >&2
    echo "             Run \`cargo deny check advisories\` where it can." >&2
fi
