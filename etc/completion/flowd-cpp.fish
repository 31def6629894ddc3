# SPDX-License-Identifier: Apache-2.0
# Completion of flowd-cpp's command line for fish. The program itself knows what may follow.
function __flowd_cpp_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path $current
            case :directories
                __fish_complete_directories $current
            case '*'
                echo $line
        end
    end
end
complete -c flowd-cpp -f -a '(__flowd_cpp_complete)'
