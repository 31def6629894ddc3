# SPDX-License-Identifier: Apache-2.0
# Packages of this module. In the build directory: cpack -G DEB, or cpack -G RPM.
# The module requires the ABI that it was built against; a daemon with another one refuses it, so the package manager does too.
set(CPACK_PACKAGE_NAME flowd-cpp-@KIND@-@NAME@)
set(CPACK_PACKAGE_CONTACT "Your Name <you@example.org>")
set(CPACK_PACKAGE_VENDOR "${CPACK_PACKAGE_CONTACT}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "The @KIND@ @NAME@ of flowd-cpp")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "flowd-cpp-abi-${flowd-sdk_VERSION_MAJOR}")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE Apache-2.0)
set(CPACK_RPM_PACKAGE_REQUIRES "flowd-cpp(abi) = ${flowd-sdk_VERSION_MAJOR}")
# These directories belong to other packages: flowd-cpp-filesystem and systemd.
cmake_path(GET FLOWD_MODULE_INSTALL_DIR PARENT_PATH flowd_directory)
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/${flowd_directory} /usr/${FLOWD_MODULE_INSTALL_DIR}
  /usr/lib/systemd /usr/lib/systemd/system /usr/lib/systemd/system/flowd-cpp.service.d)
set(CPACK_RPM_SPEC_MORE_DEFINE "%define _build_id_links none")
include(CPack)
