#!/usr/bin/env bash
# Checks the scenes of a repository in CI: that all of them are right, and make the pictures that smd.lock holds.
# Run it where the lock lies, with the scenes if they lie elsewhere: verify.sh scenes/*.yaml. report.xml is for the CI
# system, differences/ for people; both are written on failure, too.
set -euo pipefail

if [ $# -eq 0 ]; then set -- ./*.yaml; fi
smd check "$@"
smd verify smd.lock --metric latent --junit report.xml --diff differences
