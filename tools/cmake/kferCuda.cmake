# KFER_CUDA=AUTO|ON|OFF. ON never falls back: what is missing is an error that says so.
#
# The CUDA backend is the target kfer::cuda (kfer::kfer plus the toolkit's libraries); it exists only where
# include/kfer/device/cuda.hpp does and CUDA is enabled.
if(NOT KFER_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "KFER_CUDA is AUTO, ON or OFF, not '${KFER_CUDA}'")
endif()
if(KFER_CUDA STREQUAL "ON")
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "KFER_CUDA=ON: no CUDA compiler found; put nvcc on PATH or set CMAKE_CUDA_COMPILER")
  endif()
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include/kfer/device/cuda.hpp)
    message(FATAL_ERROR "KFER_CUDA=ON: this version of kfer has no CUDA backend (include/kfer/device/cuda.hpp)")
  endif()
endif()
if(PROJECT_IS_TOP_LEVEL)
  message(STATUS "kfer ${PROJECT_VERSION}: Cpu (oneDNN ${KFER_ONEDNN}), no Cuda (KFER_CUDA=${KFER_CUDA}), -march=${KFER_ARCH}")
endif()
