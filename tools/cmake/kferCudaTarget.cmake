# The target kfer::cuda: kfer::kfer with its Cuda device. Read by this build and by the installed package alike.
#
# What is missing is collected in kfer_cuda_missing, one sentence each; the target exists if nothing is. It serves C++
# sources too (they need the toolkit's headers and libraries, not nvcc), so the language CUDA is enabled by the project
# that has .cu files, before or after.
#
# The toolkit is looked for beside nvcc, under KFER_CUDA_ROOT, CUDAToolkit_ROOT, $CUDA_PATH and $CUDA_HOME, and in the
# usual places. Python wheels serve as well: let KFER_CUDA_ROOT be their folder site-packages/nvidia (their libraries have
# no plain .so, only .so.<version>).
set(KFER_CUDA_ROOT "" CACHE PATH "Where the CUDA toolkit is, or the folder 'nvidia' of the Python wheels that hold it")
set(kfer_cuda_missing "")

set(kfer_cuda_roots "")
foreach(kfer_root IN ITEMS "${KFER_CUDA_ROOT}" "${CUDAToolkit_ROOT}" "$ENV{CUDA_PATH}" "$ENV{CUDA_HOME}")
  if(kfer_root)
    list(APPEND kfer_cuda_roots ${kfer_root})
  endif()
endforeach()
if(CMAKE_CUDA_COMPILER)
  get_filename_component(kfer_root ${CMAKE_CUDA_COMPILER} REALPATH)
  get_filename_component(kfer_root ${kfer_root}/../.. ABSOLUTE)
  get_filename_component(kfer_wheels ${kfer_root} DIRECTORY)
  list(APPEND kfer_cuda_roots ${kfer_root})
  if(kfer_wheels MATCHES "/nvidia$")
    list(APPEND kfer_cuda_roots ${kfer_wheels})
  endif()
endif()
list(APPEND kfer_cuda_roots /usr/local/cuda /opt/cuda)

# <part> of kfer::cuda from a header and a library: an imported target kfer::<part>.
function(kfer_import_cuda part wheel header)
  set(places "" cu13 cu12 ${wheel})
  list(TRANSFORM places APPEND /include OUTPUT_VARIABLE include)
  list(TRANSFORM places APPEND /lib OUTPUT_VARIABLE lib)
  find_path(KFER_${part}_INCLUDE_DIR ${header} HINTS ${kfer_cuda_roots} PATH_SUFFIXES ${include})
  find_library(KFER_${part}_LIBRARY NAMES ${part} lib${part}.so.13 lib${part}.so.12 NAMES_PER_DIR
               HINTS ${kfer_cuda_roots} PATH_SUFFIXES lib64 ${lib} targets/x86_64-linux/lib targets/sbsa-linux/lib)
  mark_as_advanced(KFER_${part}_INCLUDE_DIR KFER_${part}_LIBRARY)
  if(NOT KFER_${part}_INCLUDE_DIR OR NOT KFER_${part}_LIBRARY)
    list(APPEND kfer_cuda_missing
         "<${header}> and lib${part} of the CUDA toolkit: let KFER_CUDA_ROOT be where it is installed")
    set(kfer_cuda_missing "${kfer_cuda_missing}" PARENT_SCOPE)
  elseif(NOT TARGET kfer::${part})
    add_library(kfer::${part} INTERFACE IMPORTED GLOBAL)
    target_include_directories(kfer::${part} SYSTEM INTERFACE ${KFER_${part}_INCLUDE_DIR})
    target_link_libraries(kfer::${part} INTERFACE ${KFER_${part}_LIBRARY})
  endif()
endfunction()

kfer_import_cuda(cudart cuda_runtime cuda_runtime_api.h)
kfer_import_cuda(cublasLt cublas cublasLt.h)

set(CUDAToolkit_INCLUDE_DIRS ${KFER_cudart_INCLUDE_DIR})  # where FindCUDNN looks first
get_filename_component(CUDAToolkit_LIBRARY_DIR "${KFER_cudart_LIBRARY}" DIRECTORY)
foreach(kfer_root IN LISTS kfer_cuda_roots)
  if(NOT CUDNN_ROOT AND EXISTS ${kfer_root}/cudnn/include/cudnn.h)
    set(CUDNN_ROOT ${kfer_root}/cudnn)
  endif()
endforeach()
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_package(CUDNN 9 QUIET)
list(REMOVE_ITEM CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
if(NOT CUDNN_FOUND)
  list(APPEND kfer_cuda_missing "cuDNN 9 or newer (cudnn.h and libcudnn): let CUDNN_ROOT be where it is installed")
endif()

# sm_90a is what wgmma and TMA need; CMake's own CUDA_ARCHITECTURES cannot name it in every version that serves here.
# OFF leaves the choice to the options of kfer::cuda, for every target that the calling directory makes from now on.
set(KFER_CUDA_ARCHITECTURES 90a CACHE STRING "GPUs that CUDA code is compiled for: a list such as 90a;100a")
set(CMAKE_CUDA_ARCHITECTURES OFF)
# One CUDA runtime a process, the shared one: CMake would link the static one beside it.
if(KFER_cudart_LIBRARY MATCHES "\\.so$")
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
else()
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)
endif()

if(NOT kfer_cuda_missing AND NOT TARGET kfer::cuda)
  add_library(kfer::cuda INTERFACE IMPORTED GLOBAL)
  target_link_libraries(kfer::cuda INTERFACE kfer::kfer kfer::cudart kfer::cublasLt CUDNN::cudnn ${CMAKE_DL_LIBS})
  # CMake takes the toolkit's library folder for one that the loader knows.
  foreach(kfer_library IN ITEMS ${KFER_cudart_LIBRARY} ${KFER_cublasLt_LIBRARY} ${CUDNN_LIBRARY})
    get_filename_component(kfer_root ${kfer_library} DIRECTORY)
    target_link_options(kfer::cuda INTERFACE LINKER:-rpath,${kfer_root})
  endforeach()
  # oneDNN's C++ header is beyond nvcc: what runs on the Cpu is compiled by the C++ compiler.
  target_compile_definitions(kfer::cuda INTERFACE KFER_CUDA=1 $<$<COMPILE_LANGUAGE:CUDA>:KFER_ONEDNN=0>)
  # CMake 3.25 drops CMAKE_CUDA_STANDARD 20 without a word.
  set(kfer_options -std=c++20 --expt-relaxed-constexpr -Xcompiler=-fopenmp)
  foreach(kfer_arch IN LISTS KFER_CUDA_ARCHITECTURES)
    list(APPEND kfer_options "SHELL:-gencode arch=compute_${kfer_arch},code=sm_${kfer_arch}")
  endforeach()
  foreach(kfer_option IN LISTS kfer_options)
    target_compile_options(kfer::cuda INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:${kfer_option}>")
  endforeach()
endif()
