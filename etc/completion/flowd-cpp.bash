# SPDX-License-Identifier: Apache-2.0
# Completion of flowd-cpp's command line for bash.
_flowd_cpp() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local commands='run check conf modules status flows metrics refusals findings explain commands reload new-module version label'
  local flags='--conf --log-level --log-time --modules --control --json --help --version'
  local i command=
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -c | --conf | --log-level | --modules | --control) ((i++)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]} && break ;;
    esac
  done
  case $before in
    -c | --conf | --control) COMPREPLY=($(compgen -f -- "$word")) && return ;;
    --modules) COMPREPLY=($(compgen -d -- "$word")) && return ;;
    --log-level) COMPREPLY=($(compgen -W 'trace debug info warning error' -- "$word")) && return ;;
    --kind) COMPREPLY=($(compgen -W 'plugin backend enricher' -- "$word")) && return ;;
    modules) COMPREPLY=($(compgen -W 'list info' -- "$word")) && return ;;
    label) COMPREPLY=($(compgen -W 'encode decode' -- "$word")) && return ;;
  esac
  case $command in
    '') commands+=" $flags" ;;
    modules) commands="--load $flags" ;;
    new-module) commands="--kind $flags" ;;
    check) commands="--host $flags" ;;
    flows) commands="--limit $flags" ;;
    label) commands="--all --scitag $flags" ;;
    *) commands=$flags ;;
  esac
  COMPREPLY=($(compgen -W "$commands" -- "$word"))
}
complete -o bashdefault -o default -F _flowd_cpp flowd-cpp
