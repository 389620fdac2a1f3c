# FindCUDNN: NVIDIA's cuDNN, 9 or newer.
#
# Result: CUDNN_FOUND, CUDNN_VERSION ("9.19.0"), CUDNN_INCLUDE_DIR, CUDNN_LIBRARY and the imported target CUDNN::cudnn.
# Looked for in, first come first served: CUDNN_ROOT (variable or environment), CMAKE_PREFIX_PATH, the CUDA toolkit
# (CUDAToolkit_* of FindCUDAToolkit), the places of distributions' packages, and at last the Python wheel
# nvidia-cudnn-cu* of the python3 on PATH: a folder nvidia/cudnn/{include,lib} whose library is libcudnn.so.9, without
# a plain .so. Each hint may be the folder with include/ and lib/, or one above nvidia/cudnn or cudnn.

function(kfer_find_cudnn)
  find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${ARGN}
            PATH_SUFFIXES include cudnn/include nvidia/cudnn/include include/x86_64-linux-gnu include/aarch64-linux-gnu)
  if(CUDNN_INCLUDE_DIR)
    # Its library lies beside it: a header of one version with a library of another would not do.
    get_filename_component(beside "${CUDNN_INCLUDE_DIR}" DIRECTORY)
    set(names NAMES cudnn libcudnn.so.9 NAMES_PER_DIR)
    set(folders lib64 lib lib/x64 lib/x86_64-linux-gnu lib/aarch64-linux-gnu)
    find_library(CUDNN_LIBRARY ${names} HINTS ${beside} PATH_SUFFIXES ${folders} NO_DEFAULT_PATH)
    find_library(CUDNN_LIBRARY ${names} HINTS ${ARGN} PATH_SUFFIXES ${folders})
  endif()
endfunction()

kfer_find_cudnn(${CUDNN_ROOT} $ENV{CUDNN_ROOT} ${CUDAToolkit_ROOT} ${CUDAToolkit_INCLUDE_DIRS} ${CUDAToolkit_LIBRARY_DIR}
                ${CUDAToolkit_TARGET_DIR})
if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
  find_program(CUDNN_PYTHON python3)
  mark_as_advanced(CUDNN_PYTHON)
  if(CUDNN_PYTHON)
    execute_process(COMMAND ${CUDNN_PYTHON} -c "import nvidia.cudnn; print(nvidia.cudnn.__path__[0])"
                    OUTPUT_VARIABLE cudnn_wheel OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(cudnn_wheel)
      unset(CUDNN_INCLUDE_DIR CACHE)  # one without a library, if any
      kfer_find_cudnn(${cudnn_wheel})
    endif()
  endif()
endif()

# cudnn_version.h holds the numbers; distributions that keep several versions add the major one to the name.
unset(CUDNN_VERSION)
if(CUDNN_INCLUDE_DIR)
  foreach(cudnn_header cudnn_version.h cudnn_version_v9.h cudnn.h)
    if(NOT CUDNN_VERSION AND EXISTS ${CUDNN_INCLUDE_DIR}/${cudnn_header})
      file(STRINGS ${CUDNN_INCLUDE_DIR}/${cudnn_header} cudnn_lines
           REGEX "^#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) +[0-9]+")
      if(cudnn_lines MATCHES "MAJOR +([0-9]+).*MINOR +([0-9]+).*PATCHLEVEL +([0-9]+)")
        set(CUDNN_VERSION ${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3})
      endif()
    endif()
  endforeach()
endif()

set(cudnn_reason "")
if(CUDNN_VERSION AND CUDNN_VERSION VERSION_LESS 9)
  set(cudnn_reason "${CUDNN_INCLUDE_DIR}/cudnn.h is of cuDNN ${CUDNN_VERSION}, kfer needs 9 or newer")
  set(cudnn_new_enough FALSE)
else()
  set(cudnn_new_enough TRUE)
  if(CUDNN_INCLUDE_DIR AND NOT CUDNN_VERSION)
    set(cudnn_reason "${CUDNN_INCLUDE_DIR} has cudnn.h but no cudnn_version.h that tells its version")
  elseif(CUDNN_INCLUDE_DIR AND NOT CUDNN_LIBRARY)
    set(cudnn_reason "${CUDNN_INCLUDE_DIR} has cudnn.h, but libcudnn.so or libcudnn.so.9 is nowhere near it")
  elseif(NOT CUDNN_INCLUDE_DIR)
    set(cudnn_reason "no cudnn.h: let CUDNN_ROOT be the folder that has include/cudnn.h")
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CUDNN REQUIRED_VARS CUDNN_LIBRARY CUDNN_INCLUDE_DIR CUDNN_VERSION cudnn_new_enough
                                  VERSION_VAR CUDNN_VERSION REASON_FAILURE_MESSAGE "${cudnn_reason}")
mark_as_advanced(CUDNN_INCLUDE_DIR CUDNN_LIBRARY)

if(CUDNN_FOUND AND NOT TARGET CUDNN::cudnn)
  add_library(CUDNN::cudnn UNKNOWN IMPORTED)
  set_target_properties(CUDNN::cudnn PROPERTIES IMPORTED_LOCATION ${CUDNN_LIBRARY}
                                                INTERFACE_INCLUDE_DIRECTORIES ${CUDNN_INCLUDE_DIR})
endif()
