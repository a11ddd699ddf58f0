#!/bin/sh
# Speed and memory of every architecture on a GPU, with random weights, in less than 8 minutes: a JSON document each into OUT.
# Needs smd-cli with its extra `offload`. Each line ends by itself after TIME seconds where a machine is slow.
OUT=${1:-gpu-check}
TIME=${2:-45}
mkdir -p "$OUT"
for arch in sd15 sdxl sd3 klein zimage; do
  for memory in high low; do
    timeout "$TIME" smd bench speed --arch "$arch" --device cuda --memory "$memory" --steps 3 \
      --size 768x512 --size 1024x1024 --size 1920x768 --json --quiet > "$OUT/$arch-$memory.json" ||
      echo "$arch, memory $memory: exit code $?" >&2
  done
done
