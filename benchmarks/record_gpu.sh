#!/usr/bin/env bash
# Runs the GPU tests and benchmarks of a build and writes the record: what ran on which device, and all figures.
#
# usage: benchmarks/record_gpu.sh BUILD_DIR OUT_DIR [tests] [models] [peers] [kernels]
#
# BUILD_DIR is a build with KFER_CUDA=ON; nothing is compiled here, so it may come from another machine. OUT_DIR gets
#   environment.txt  device, driver, clocks, versions, commit
#   summary.txt      a line a program: how it ended, after how many seconds
#   log.txt          what the programs printed besides figures
#   models.jsonl, peers.jsonl  kfer's and PyTorch's training steps and inference; models.md the table of both
#   kernels.csv, roofline.svg  kfer's kernels, their libraries and PyTorch, operation by operation
# With names behind it, only those parts run, in the order above: what tells most comes first. At the end it prints where the
# first program that failed went wrong, and the table of the models. Fails if any program did.
#
# KFER_PYTHON: a python that has torch (default python3). SECONDS_EACH: the time of one model measurement (default 2).
# BUDGET: seconds for all of it (default 36000); what would begin later is left out, and the summary says so. LIMIT: seconds
# for one program (default 600). COMMIT: what was built, where there is no repository to ask. TEST_ARGUMENTS: for the test
# programs, split at spaces (-tc=..., -tce=...).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if (($# < 2)); then
  sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" >&2
  exit 2
fi
build=$1 out=$2
shift 2
parts=" ${*:-tests models peers kernels} "
python=${KFER_PYTHON:-python3}
budget=${BUDGET:-36000} limit=${LIMIT:-600} seconds_each=${SECONDS_EACH:-2}
[[ -d $build ]] || { echo "record_gpu.sh: there is no build folder '$build'" >&2; exit 2; }
command -v nvidia-smi >/dev/null || { echo "record_gpu.sh: no nvidia-smi: this machine has no GPU driver" >&2; exit 2; }
mkdir -p "$out"
read -ra test_arguments <<<"${TEST_ARGUMENTS:-}"
torch=$("$python" -c 'import torch
print("pytorch", torch.__version__, "cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version())' 2>/dev/null || true)
: >"$out/summary.txt"
: >"$out/log.txt"

# A build from another machine finds CUDA's libraries where this one's Python wheels have them.
lacks() { ldd "$1" 2>/dev/null | grep 'not found' || true; }
for program in "$build"/tests/cuda/kfer_test_cuda_gemm "$build"/tests/cudnn/kfer_test_cudnn_conv; do
  [[ -x $program && -n $(lacks "$program") ]] || continue
  wheels=$("$python" -c 'import glob, nvidia, os
print(":".join(sorted({os.path.dirname(f) for root in nvidia.__path__ for f in glob.glob(root + "/*/lib/lib*.so*")})))' 2>/dev/null || true)
  export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$wheels
  missing=$(lacks "$program")
  [[ -z $missing ]] || { echo "record_gpu.sh: ${program##*/} lacks libraries:" $missing >&2; exit 2; }
done

{
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,clocks.sm,temperature.gpu \
    --format=csv || true
  commit=${COMMIT:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}
  [[ -n ${COMMIT:-} || $commit == unknown ]] || git diff --quiet HEAD || commit+=", with changes"
  echo "commit $commit"
  [[ -z $torch ]] || echo "$torch"
} | tee "$out/environment.txt"

status=0
first_failure=""
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# start NAME FILE COMMAND...: in the background; figures are added to FILE, the rest goes to the log.
start() {
  local name=$1 file=$2 left=$((budget - SECONDS))
  shift 2
  if ((left < 10)); then
    echo "left out" >"$scratch/$name.end"
    return 0
  fi
  [[ -n $file ]] || file=$scratch/$name.log
  (
    begin=$SECONDS code=0
    timeout -k 10 $((left < limit ? left : limit)) "$@" >>"$file" 2>>"$scratch/$name.log" </dev/null || code=$?
    echo "$code $((SECONDS - begin))" >"$scratch/$name.end"
  ) &
}

# finish NAME: waits for it, and notes how it ended.
finish() {
  local name=$1 code seconds end=ok
  until [[ -s $scratch/$name.end ]]; do sleep 0.2; done
  read -r code seconds <"$scratch/$name.end"
  if [[ $code == left ]]; then
    echo "left out: $name (the budget of $budget s is spent)" | tee -a "$out/summary.txt"
    return 0
  fi
  case $code in
    0) ;;
    77) end=skipped ;;
    124 | 137) end="FAILED (took too long)" ;;
    *) end="FAILED (exit code $code)" ;;
  esac
  printf '%-8s %4d s  %s\n' "$end" "$seconds" "$name" | tee -a "$out/summary.txt"
  { printf '\n==== %s\n' "$name" && cat "$scratch/$name.log"; } >>"$out/log.txt"
  [[ $end == FAILED* ]] || return 0
  status=1
  [[ -n $first_failure ]] || first_failure="$name: $end
$(where_it_went_wrong <"$scratch/$name.log")"
}

run() { start "$@" && finish "$1"; }

# The lines around the first complaint of a program, or else its last ones.
where_it_went_wrong() {
  local lines at
  lines=$(cat)
  at=$(grep -n -m 1 -E 'ERROR|WRONG|FATAL|terminate called|[Ee]rror:' <<<"$lines" | cut -d: -f1) || at=""
  if [[ -n $at ]]; then
    sed -n "$((at > 8 ? at - 8 : 1)),$((at + 24))p" <<<"$lines"
  else
    tail -n 24 <<<"$lines"
  fi | cut -c 1-300
}

if [[ $parts == *" tests "* ]]; then
  # From the ground up: a program that fails explains those behind it. The first takes most of the memory; the others run side
  # by side, cuDNN's in three parts: most of their time is the compilation of fused graphs.
  run device "" "$build/tests/cuda/kfer_test_cuda_device" "${test_arguments[@]}"
  passes="*passes of a convolution*" ends="*residual block*,*graph of their own*"
  start gemm "" "$build/tests/cuda/kfer_test_cuda_gemm" "${test_arguments[@]}"
  start operations "" "$build/tests/cuda/kfer_test_cuda_operations" "${test_arguments[@]}"
  start cudnn_passes "" "$build/tests/cudnn/kfer_test_cudnn_conv" -tc="$passes" "${test_arguments[@]}"
  start cudnn_ends "" "$build/tests/cudnn/kfer_test_cudnn_conv" -tc="$ends" "${test_arguments[@]}"
  start cudnn_others "" "$build/tests/cudnn/kfer_test_cudnn_conv" -tce="$passes,$ends" "${test_arguments[@]}"
  start conv_kernels "" "$build/tests/cuda/kfer_test_cuda_conv_kernels" "${test_arguments[@]}"
  for name in gemm operations cudnn_passes cudnn_ends cudnn_others conv_kernels; do finish $name; done
fi

if [[ $parts == *" models "* ]]; then
  : >"$out/models.jsonl"
  for model in resnet50_v1_5 resnet50 conv_net autoencoder; do
    run "models_$model" "$out/models.jsonl" "$build/benchmarks/models/bench_models_cuda" --only "$model/" --seconds "$seconds_each"
  done
fi
if [[ $parts == *" peers "* ]]; then
  : >"$out/peers.jsonl"
  left=$((budget - SECONDS))
  limit=$((left > 10 ? left : 10)) run peers "$out/peers.jsonl" "$python" benchmarks/peers/bench_models_cuda.py \
    --seconds "$seconds_each" --total $((left > 40 ? left - 20 : 20))
fi

if [[ $parts == *" kernels "* ]]; then
  rm -f "$out/kernels.csv"
  for program in "$build"/benchmarks/kernels/*; do
    [[ -f $program && -x $program && $program != *_simt ]] || continue
    run "kernels_${program##*/}" "" "$program" --csv "$out/kernels.csv" --seconds "${KERNEL_SECONDS:-0.1}"
  done
  [[ -z $torch ]] || run peers_kernels "" "$python" benchmarks/peers/bench_kernels.py --csv "$out/kernels.csv"
  [[ ! -s $out/kernels.csv ]] || python3 tools/roofline.py "$out/kernels.csv" -o "$out/roofline.svg" || status=1
fi

if [[ -s $out/models.jsonl && -s $out/peers.jsonl ]]; then
  python3 benchmarks/compare_gpu.py "$out/models.jsonl" "$out/peers.jsonl" >"$out/models.md" || status=1
  printf '\n' && cat "$out/models.md"
elif [[ -s $out/models.jsonl ]]; then
  printf '\n' && cat "$out/models.jsonl"
fi
if [[ -n $first_failure ]]; then
  printf '\n==== the first failure: %s\n' "$first_failure"
fi
printf '\n==== %d s\n' $SECONDS
cat "$out/summary.txt"
exit $status
