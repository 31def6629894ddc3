# SPDX-License-Identifier: Apache-2.0
# Completion of flowd-cpp's command line for bash. The program itself knows what may follow.
_flowd_cpp() {
  local word=${COMP_WORDS[COMP_CWORD]} candidate
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    case $candidate in
      :files) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
      :directories) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
      *) COMPREPLY+=("${candidate// /\\ }") ;;  # names of activities have blanks
    esac
  done < <("${COMP_WORDS[0]}" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
}
complete -F _flowd_cpp flowd-cpp
