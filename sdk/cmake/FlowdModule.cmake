# SPDX-License-Identifier: Apache-2.0
# flowd_add_module: one module, the same in this tree and for third parties (find_package(flowd-sdk)).
#
#   flowd_add_module(NAME hello KIND plugin|backend|enricher
#     [VERSION 1.2.3]            version of the module; the project's otherwise
#     [LICENSE Apache-2.0]       SPDX expression
#     [ALIASES word...]          other keys of the component NAME, as in its Info
#     [COMPONENTS kind:name[:alias...]...]   further components of the same file
#     [INSTALL_COMPONENT name]   for packages; KIND-NAME otherwise
#     SOURCES file... [LINK library...])
#
# gives the targets
#   module-KIND-NAME           KIND-NAME.so: exports flowd_module_v1 and nothing else, carries the ELF note of flowd/abi/note.h
#   module-KIND-NAME-objects   its objects, for tests to link
# and installs the file where the daemon looks for modules.
#
#   flowd_add_conformance_test(TARGET module-KIND-NAME CONF conf.yaml [SANITIZE address] [MAY_SKIP])
#
# adds the test `conformance` if flowd-module-check is installed: the built file, judged with these options. A check that is not
# possible, because the module does not start with them, fails, unless MAY_SKIP is given. SANITIZE is what the module is built with: its
# runtime is loaded before flowd-module-check, which is built without.
include_guard(GLOBAL)

if(NOT DEFINED FLOWD_SDK_CMAKE_DIR)
  set(FLOWD_SDK_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})
endif()

function(flowd_add_module)
  cmake_parse_arguments(arg "" "NAME;KIND;VERSION;LICENSE;INSTALL_COMPONENT" "ALIASES;COMPONENTS;SOURCES;LINK" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "flowd_add_module: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_NAME MATCHES "^[a-z][a-z0-9]*$")
    message(FATAL_ERROR "flowd_add_module: NAME '${arg_NAME}' must be lower-case letters and digits, a letter first")
  endif()
  if(NOT arg_KIND MATCHES "^(plugin|backend|enricher)$")
    message(FATAL_ERROR "flowd_add_module: KIND '${arg_KIND}' must be plugin, backend or enricher")
  endif()
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "flowd_add_module: SOURCES are missing")
  endif()
  set(name ${arg_KIND}-${arg_NAME})
  set(target module-${name})
  set(version "${arg_VERSION}")
  if(NOT version)
    set(version "${PROJECT_VERSION}")
  endif()
  if(NOT version)
    set(version 0)
  endif()
  if(NOT arg_LICENSE)
    set(arg_LICENSE Apache-2.0)
  endif()
  if(NOT arg_INSTALL_COMPONENT)
    set(arg_INSTALL_COMPONENT ${name})
  endif()

  # The note says what flowd_module_v1 will say, without loading the file.
  set(note "name=${name}\\nversion=${version}\\n")
  foreach(component ${arg_KIND}:${arg_NAME} ${arg_COMPONENTS})
    string(REPLACE ":" ";" words "${component}")
    list(POP_FRONT words kind component_name)
    string(APPEND note "${kind}=${component_name}\\n")
    if(component STREQUAL "${arg_KIND}:${arg_NAME}")
      set(words ${arg_ALIASES})
    endif()
    foreach(alias IN LISTS words)
      string(APPEND note "${kind}.alias=${alias}\\n")
    endforeach()
  endforeach()
  set(FLOWD_NOTE_TEXT "${note}")
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  set(suffix c)
  if(NOT "C" IN_LIST languages)
    set(suffix cpp)
  endif()
  set(note_source ${CMAKE_CURRENT_BINARY_DIR}/${target}-note.${suffix})
  configure_file(${FLOWD_SDK_CMAKE_DIR}/note.c.in ${note_source} @ONLY)

  add_library(${target}-objects OBJECT ${arg_SOURCES})
  target_link_libraries(${target}-objects PUBLIC flowd::sdk ${arg_LINK})
  target_compile_definitions(${target}-objects PRIVATE FLOWD_MODULE_NAME="${name}" FLOWD_MODULE_VERSION="${version}"
    FLOWD_MODULE_LICENSE="${arg_LICENSE}")
  set_target_properties(${target}-objects PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  # A plain C project may lack the language; flowd::sdk itself asks for nothing.
  if("CXX" IN_LIST languages)
    target_compile_features(${target}-objects PUBLIC cxx_std_20)
  endif()
  if(TARGET flowd_flags)
    target_link_libraries(${target}-objects PRIVATE $<BUILD_INTERFACE:flowd_flags>)
  endif()

  add_library(${target} MODULE ${note_source})
  target_link_libraries(${target} PRIVATE ${target}-objects)
  set(map ${FLOWD_SDK_CMAKE_DIR}/module.map)
  target_link_options(${target} PRIVATE LINKER:--version-script=${map})
  # clang leaves the sanitizers' symbols of a shared object to the program.
  if(NOT (FLOWD_SANITIZE AND CMAKE_CXX_COMPILER_ID MATCHES Clang))
    target_link_options(${target} PRIVATE LINKER:-z,defs)
  endif()
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} PREFIX "" SUFFIX .so NO_SONAME ON LINK_DEPENDS ${map}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden)
  if("CXX" IN_LIST languages)
    # The note alone would make it a C program; objects of C++ need C++'s runtime.
    foreach(source IN LISTS arg_SOURCES)
      if(source MATCHES "\\.(cc|cpp|cxx|C)$")
        set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
      endif()
    endforeach()
  endif()
  if(FLOWD_MODULE_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${FLOWD_MODULE_OUTPUT_DIRECTORY})
  endif()

  set_property(GLOBAL APPEND PROPERTY FLOWD_MODULES ${target})
  if(NOT DEFINED FLOWD_MODULE_INSTALL_DIR)
    include(GNUInstallDirs)
    set(FLOWD_MODULE_INSTALL_DIR ${CMAKE_INSTALL_LIBDIR}/flowd-cpp/modules)
  endif()
  install(TARGETS ${target} LIBRARY DESTINATION ${FLOWD_MODULE_INSTALL_DIR} COMPONENT ${arg_INSTALL_COMPONENT})
endfunction()

function(flowd_add_conformance_test)
  cmake_parse_arguments(arg "MAY_SKIP" "TARGET;CONF;SANITIZE" "" ${ARGN})
  find_program(FLOWD_MODULE_CHECK flowd-module-check)
  if(NOT FLOWD_MODULE_CHECK)
    message(STATUS "No test of conformance: flowd-module-check is not installed")
    return()
  endif()
  set(strict --strict)
  if(arg_MAY_SKIP)
    set(strict)
  endif()
  add_test(NAME conformance COMMAND ${FLOWD_MODULE_CHECK} ${strict} --conf ${arg_CONF} $<TARGET_FILE:${arg_TARGET}>)
  set(runtime_address libasan.so)
  set(runtime_thread libtsan.so)
  if(DEFINED runtime_${arg_SANITIZE})
    get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
    set(compiler ${CMAKE_C_COMPILER})
    if("CXX" IN_LIST languages)
      set(compiler ${CMAKE_CXX_COMPILER})
    endif()
    execute_process(COMMAND ${compiler} -print-file-name=${runtime_${arg_SANITIZE}} OUTPUT_VARIABLE runtime
      OUTPUT_STRIP_TRAILING_WHITESPACE)
    set_tests_properties(conformance PROPERTIES ENVIRONMENT LD_PRELOAD=${runtime})
  endif()
endfunction()
