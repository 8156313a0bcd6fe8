# shellcheck shell=bash
# All processes below one, as they are now.
descendants() { # PID
    local child
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        echo "$child"
        descendants "$child"
    done
}
