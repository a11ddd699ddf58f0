#!/usr/bin/env bash
# Checks the scenes of a repository in CI: that all of them are right, and make the pictures that smd.lock holds.
# Run it where the lock lies. report.xml is for the CI system, differences/ for people; both are written on failure, too.
set -euo pipefail

smd check ./*.yaml
smd verify smd.lock --metric latent --junit report.xml --diff differences
