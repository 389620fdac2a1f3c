#!/usr/bin/env bash
# usage: make_stand_in_driver.sh STUB COMPILER FOLDER
#
# Makes FOLDER/libcuda.so.1, which stands in for the GPU driver where there is none, from the toolkit's own stub of it
# (STUB, lib/stubs/libcuda.so). The stub has every entry of the driver, but another soname, and all of its entries fail.
# Here those that load a compiled module succeed, with a handle to nothing: cuDNN then compiles its run-time engines and
# finalises plans for a GPU that is only described to it. Nothing can be run, and no device is found.
set -euo pipefail
stub=$1 compiler=$2 folder=$3
mkdir -p "$folder"
{
  nm -D --defined-only "$stub" | awk '$2 ~ /^[TW]$/ && $3 ~ /^cu/ { sub(/@.*/, "", $3); print $3 }' | sort -u |
    while read -r entry; do
      case $entry in
        cuLibraryLoadData | cuModuleLoadData* | cuLibraryGetKernel | cuKernelGetFunction | cuModuleGetFunction)
          echo "int $entry(void** handle) { *handle = (void*)16; return 0; }" ;;
        cuLibraryUnload | cuModuleUnload | cu*SetAttribute | cuKernelGetAttribute | cuFuncGetAttribute)
          echo "int $entry(void) { return 0; }" ;;
        *) echo "int $entry(void) { return 34; }" ;;  # CUDA_ERROR_STUB_LIBRARY
      esac
    done
} >"$folder/stand_in_driver.c"
"$compiler" -x c -w -shared -fPIC -Wl,-soname,libcuda.so.1 "$folder/stand_in_driver.c" -o "$folder/libcuda.so.1"
