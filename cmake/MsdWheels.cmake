# SPDX-License-Identifier: MIT
# msd_wheel_roots(out): the folders of the nvidia wheels of the python3 on PATH, each laid out like
# a toolkit (bin, include, lib) or a part of one; empty where there are none.
function(msd_wheel_roots out)
  find_program(python3 python3 NO_CACHE)
  set(roots "")
  if(python3)
    execute_process(
      COMMAND ${python3} -c "import glob, site, sysconfig
print(';'.join(p for d in [sysconfig.get_path('purelib'), site.getusersitepackages()]
               for p in sorted(glob.glob(d + '/nvidia/*'))))"
      OUTPUT_VARIABLE roots OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  set(${out} "${roots}" PARENT_SCOPE)
endfunction()
