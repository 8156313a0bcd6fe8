# shellcheck shell=bash
# All processes below one, as they are now: children, then theirs, and so on.
descendants() { # PID
    local found=("$1") below file i
    for ((i = 0; i < ${#found[@]}; i++)); do
        for file in /proc/"${found[i]}"/task/*/children; do
            below=() # it may have ended meanwhile, and read(1) then changes nothing
            ! read -r -a below <"$file" # the file has no end of line
            found+=("${below[@]}")
        done
    done 2>/dev/null
    [ ${#found[@]} = 1 ] || printf '%s\n' "${found[@]:1}"
}
