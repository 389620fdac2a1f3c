#!/usr/bin/env bash
# Runs the GPU tests and benchmarks of a build and writes the record: what ran on which device, and all figures.
#
# usage: benchmarks/record_gpu.sh BUILD_DIR OUT_DIR [tests] [kernels] [models] [peers]
#
# BUILD_DIR is a build with KFER_CUDA=ON; nothing is compiled here, so it may come from another machine. OUT_DIR gets
#   environment.txt  device, driver, clocks, versions, commit
#   tests.txt        output of every GPU test program
#   kernels.csv, kernels.txt, roofline.svg: kfer's kernels, their libraries and PyTorch, operation by operation
#   models.jsonl     kfer's and PyTorch's training steps and inference; models.md the table of both
# With names behind it, only those parts run. KFER_PYTHON: a python that has torch (default python3). SECONDS_EACH: the time
# of one model measurement (default 2).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if (($# < 2)); then
  sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" >&2
  exit 2
fi
build=$1 out=$2
shift 2
parts=" ${*:-tests kernels models peers} "
python=${KFER_PYTHON:-python3}
[[ -d $build ]] || { echo "record_gpu.sh: there is no build folder '$build'" >&2; exit 2; }
command -v nvidia-smi >/dev/null || { echo "record_gpu.sh: no nvidia-smi: this machine has no GPU driver" >&2; exit 2; }
mkdir -p "$out"
status=0

{
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv
  echo "commit $(git rev-parse HEAD 2>/dev/null || echo unknown)$(git diff --quiet HEAD 2>/dev/null || echo ', with changes')"
  "$python" -c 'import torch; print("pytorch", torch.__version__, "cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version())' 2>/dev/null || true
} | tee "$out/environment.txt"

if [[ $parts == *" tests "* ]]; then
  : >"$out/tests.txt"
  for program in "$build"/tests/cuda/kfer_test_* "$build"/tests/cudnn/kfer_test_*; do
    [[ -f $program && -x $program ]] || continue
    printf '==== %s\n' "${program##*/}" | tee -a "$out/tests.txt"
    "$program" >>"$out/tests.txt" 2>&1 || { echo "FAILED ($?)" | tee -a "$out/tests.txt"; status=1; }
    tail -n 3 "$out/tests.txt"
  done
fi

if [[ $parts == *" kernels "* ]]; then
  rm -f "$out/kernels.csv"
  : >"$out/kernels.txt"
  for program in "$build"/benchmarks/kernels/*; do
    [[ -f $program && -x $program && $program != *_simt ]] || continue
    "$program" --csv "$out/kernels.csv" 2>&1 | tee -a "$out/kernels.txt" || { echo "FAILED ${program##*/}" | tee -a "$out/kernels.txt"; status=1; }
  done
  if "$python" -c 'import torch' 2>/dev/null; then
    "$python" benchmarks/peers/bench_kernels.py --csv "$out/kernels.csv" || { echo "FAILED bench_kernels.py" | tee -a "$out/kernels.txt"; status=1; }
  else
    echo "record_gpu.sh: $python has no torch; kernels.csv is without PyTorch's figures" >&2
  fi
  [[ ! -s $out/kernels.csv ]] || python3 tools/roofline.py "$out/kernels.csv" -o "$out/roofline.svg" || status=1
fi

if [[ $parts == *" models "* ]]; then
  "$build/benchmarks/models/bench_models_cuda" --seconds "${SECONDS_EACH:-2}" | tee "$out/models.jsonl" || status=1
fi
if [[ $parts == *" peers "* ]]; then
  "$python" benchmarks/peers/bench_models_cuda.py --seconds "${SECONDS_EACH:-2}" | tee "$out/peers.jsonl" || status=1
fi
if [[ -s $out/models.jsonl && -s $out/peers.jsonl ]]; then
  python3 benchmarks/compare_gpu.py "$out/models.jsonl" "$out/peers.jsonl" | tee "$out/models.md"
fi
exit $status
