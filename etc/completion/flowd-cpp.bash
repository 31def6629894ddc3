# SPDX-License-Identifier: Apache-2.0
# Completion of flowd-cpp's command line for bash. The program itself knows what may follow.
_flowd_cpp() {
  local word candidate begun colon=
  local -a words=()
  # bash breaks words at colons (COMP_WORDBREAKS): plugin:netlink is one word.
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if ((${#words[@]})) && [[ $colon || $word == : ]]; then words[-1]+=$word; else words+=("$word"); fi
    [[ $word == : ]] && colon=1 || colon=
  done
  ((${#words[@]})) && word=${words[-1]} || word=
  begun=${word%"${word##*:}"}
  [[ $COMP_WORDBREAKS == *:* ]] || begun=
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    case $candidate in
      :files) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
      :directories) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
      *) candidate=${candidate#"$begun"}; COMPREPLY+=("${candidate// /\\ }") ;;  # names of activities have blanks
    esac
  done < <("${COMP_WORDS[0]}" complete "${words[@]}" 2> /dev/null)
}
complete -F _flowd_cpp flowd-cpp
