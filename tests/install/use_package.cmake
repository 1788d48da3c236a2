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

# Nothing but the face is to be seen, and each header of it stands alone.
set(include ${work}/moved/include)
file(GLOB_RECURSE headers RELATIVE ${include} ${include}/*)
if(NOT headers STREQUAL "msd/classifier.h;msd/error.h;msd/exit_rule.h;msd/image_fit.h")
  message(FATAL_ERROR "the prefix holds the headers ${headers}")
endif()
foreach(header IN LISTS headers)
  file(READ ${include}/${header} text)
  if(text MATCHES "nlohmann|CLI/")
    message(FATAL_ERROR "${header} names ${CMAKE_MATCH_0}")
  endif()
  run(${compiler} -std=c++20 -I ${include} -fsyntax-only -x c++ ${include}/${header})
endforeach()

run(${CMAKE_COMMAND} -S ${consumer} -B ${work}/consumer -G ${generator}
    -D CMAKE_CXX_COMPILER=${compiler} -D CMAKE_PREFIX_PATH=${work}/moved)
run(${CMAKE_COMMAND} --build ${work}/consumer)

# A picture and weights for it, of which the consumer is to say what msd-infer says.
string(REPEAT " ~P" 960 above)
string(REPEAT "z!@" 960 below)
file(WRITE ${work}/picture.ppm "P6\n48 40\n255\n${above}${below}")
run(${work}/moved/bin/msd-train --preset cifar10-tiny --dataset synthetic --synthetic-train 200
    --synthetic-test 50 --epochs 1 --run-dir ${work}/run)
set(weights ${work}/run/checkpoint-latest.safetensors)
foreach(rule "0;1" "1;3")  # a threshold, and the exit it leads to
  list(GET rule 0 threshold)
  list(GET rule 1 exit)
  run(${work}/moved/bin/msd-infer --weights ${weights} --threshold ${threshold} --json
      ${work}/picture.ppm)
  string(REGEX MATCH "^[^\n]*" answer "${output}")
  foreach(key exit mul_adds)
    string(JSON ${key}_said GET "${answer}" ${key})
  endforeach()
  string(JSON label GET "${answer}" classes 0 class)
  string(JSON name GET "${answer}" classes 0 name)
  string(REGEX MATCH "\"confidence\":0\\.([0-9][0-9][0-9][0-9][0-9][0-9])" found "${answer}")
  math(EXPR digits "(1${CMAKE_MATCH_1} + 50) / 100")  # rounded to four, behind a 1
  string(SUBSTRING ${digits} 1 -1 digits)
  if(NOT exit_said EQUAL exit)
    message(FATAL_ERROR "--threshold ${threshold} leads to exit ${exit_said}")
  endif()
  run(${work}/consumer/consumer ${weights} ${work}/picture.ppm ${threshold})
  set(expected "class ${label} (${name}), confidence 0.${digits}, exit ${exit} of 3, ")
  string(APPEND expected "${mul_adds_said} mul-adds\n")
  if(NOT output STREQUAL expected)
    message(FATAL_ERROR "the consumer says:\n${output}and msd-infer:\n${expected}")
  endif()
endforeach()

execute_process(COMMAND ${work}/consumer/consumer ${weights} ${work}/none.ppm 0.5
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE error)
if(NOT result EQUAL 1 OR NOT output STREQUAL ""
   OR NOT error MATCHES "^consumer: [^\n]*none.ppm[^\n]*\n$")
  message(FATAL_ERROR "without a picture the consumer says ${result}: ${output}${error}")
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
