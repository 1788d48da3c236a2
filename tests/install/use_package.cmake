# SPDX-License-Identifier: MIT
# cmake -D build= -D consumer= -D work= -D generator= -D compiler= -P use_package.cmake
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    string(REPLACE ";" " " command "${ARGN}")
    message(FATAL_ERROR "${command}: ${result}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${work})
run(${CMAKE_COMMAND} --install ${build} --prefix ${work}/installed)
# Moved, as nothing may point back to where it was installed.
file(RENAME ${work}/installed ${work}/moved)

run(${CMAKE_COMMAND} -S ${consumer} -B ${work}/consumer -G ${generator}
    -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_PREFIX_PATH=${work}/moved)
run(${CMAKE_COMMAND} --build ${work}/consumer)
run(${work}/consumer/consumer)
if(NOT output MATCHES "^exit 1: logits \\[1,1,1,10\\], .* is .* with confidence 0\\.[0-9]+\n")
  message(FATAL_ERROR "the consumer says: ${output}")
endif()

foreach(program msd-train msd-eval msd-infer msd-convert)
  run(${work}/moved/bin/${program} --help)
endforeach()
# A version that breaks callers is not taken for this one.
file(WRITE ${work}/newer/CMakeLists.txt
  "cmake_minimum_required(VERSION 3.22)\nproject(newer LANGUAGES CXX)\nfind_package(msd 0.2 QUIET)\n"
  "if(msd_FOUND)\n  message(FATAL_ERROR \"msd ${msd_VERSION} was taken for 0.2\")\nendif()\n")
run(${CMAKE_COMMAND} -S ${work}/newer -B ${work}/newer/build -G ${generator}
    -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_PREFIX_PATH=${work}/moved)
