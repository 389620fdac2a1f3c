# What kfer stands on, as imported targets; read by this build and by the installed package alike.
#
# The libraries are looked up by header and library, not by their own package files: some distributions ship a
# oneDNN package file that demands OpenCL, and xtensor's and stb's package files move between releases.
# CMAKE_PREFIX_PATH is honoured. Missing pieces are collected in kfer_missing, one sentence each.
include_guard(DIRECTORY)
set(kfer_missing "")

# The targets are global, so that a project that adds kfer by add_subdirectory can link to them too.
if(NOT TARGET Threads::Threads)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads QUIET)
  if(TARGET Threads::Threads)
    set_target_properties(Threads::Threads PROPERTIES IMPORTED_GLOBAL TRUE)
  else()
    list(APPEND kfer_missing "a threads library")
  endif()
endif()
if(NOT TARGET OpenMP::OpenMP_CXX)
  find_package(OpenMP QUIET COMPONENTS CXX)
  if(TARGET OpenMP::OpenMP_CXX)
    set_target_properties(OpenMP::OpenMP_CXX PROPERTIES IMPORTED_GLOBAL TRUE)
  else()
    list(APPEND kfer_missing "OpenMP for this C++ compiler (clang needs the package libomp-dev)")
  endif()
endif()

# One imported target from a header, and from a library if one is named.
function(kfer_import target package header)
  string(MAKE_C_IDENTIFIER "kfer_${target}" name)
  find_path(${name}_INCLUDE_DIR ${header})
  mark_as_advanced(${name}_INCLUDE_DIR)
  set(found ${${name}_INCLUDE_DIR})
  if(found AND ARGN)
    find_library(${name}_LIBRARY ${ARGN})
    mark_as_advanced(${name}_LIBRARY)
    set(found ${${name}_LIBRARY})
  endif()
  if(NOT found)
    set(kfer_missing ${kfer_missing} "<${header}> (package ${package})" PARENT_SCOPE)
  elseif(NOT TARGET ${target})
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${target} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
    if(ARGN)
      target_link_libraries(${target} INTERFACE ${${name}_LIBRARY})
    endif()
  endif()
endfunction()

kfer_import(kfer::xtensor libxtensor-dev xtensor/xtensor_config.hpp)
kfer_import(kfer::stb libstb-dev stb/stb_image.h)
if(KFER_ONEDNN)
  kfer_import(kfer::onednn libdnnl-dev dnnl.hpp dnnl)
endif()
