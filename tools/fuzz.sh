#!/usr/bin/env bash
# Builds the fuzzers with clang++ and runs each for some seconds from the committed test data.
# Usage: tools/fuzz.sh [build folder] [seconds each] [parser...]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-fuzz}
seconds=${2:-60}
shift $(($# < 2 ? $# : 2))
parsers=("$@")
[ ${#parsers[@]} -gt 0 ] || parsers=(csv idx image json npz safetensors tf_example tfrecord)

cmake -S . -B "$build" -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DKFER_FUZZ=ON -DKFER_EXAMPLES=OFF -DKFER_BENCHMARKS=OFF >/dev/null
cmake --build "$build" --target "${parsers[@]/#/kfer_fuzz_}"

data=tests/data/io
for parser in "${parsers[@]}"; do
  corpus=$build/corpus/$parser
  mkdir -p "$corpus"
  case $parser in
    image) cp "$data"/*.png "$data"/*.jpg "$corpus" ;;
    npz) cp "$data"/*.npy "$data"/stored.npz "$data"/deflated.npz "$corpus" ;;
    safetensors) cp "$data"/*.safetensors "$corpus" ;;
    tfrecord) cp "$data"/*.tfrecords "$corpus" ;;
    tf_example) tail -c +13 "$data"/examples.tfrecords | head -c 220 >"$corpus/example" ;;
    json) printf '{"a": [1, -2.5e3, true, null, "\\u00fc\\ud83d\\ude00"], "b": {}}' >"$corpus/value" ;;
    csv) printf 'a,b\r\n"x""y",1\n2,"z\nw"\n' >"$corpus/table" ;;
    idx) printf '0 21\n21 22\n' >"$corpus/index" ;;
  esac
  program=$(find "$build" -name "kfer_fuzz_$parser" -type f -perm -u+x | head -1)
  echo "== $parser: $seconds s"
  # Memory that an input may take, and time: a parser that is asked for more is at fault.
  "$program" -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=10 \
    -print_final_stats=1 -artifact_prefix="$build/$parser-" "$corpus" 2>"$build/$parser.log" ||
    { tail -40 "$build/$parser.log"; exit 1; }
  grep -E "^stat::number_of_executed_units|cov: " "$build/$parser.log" | tail -2
done
