# Completion for fish: snapctl itself says what may stand there (complete.h); this is only the way there.

function __snapctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    set -l kind $lines[-1]
    set -e lines[-1]
    switch "$kind"
        case ':directories'
            # With a slash, so that one can go on into them; but a packed image is a file.
            string replace --regex '^([^\t]*)\t(image|directory)$' '$1/\t$2' -- $lines
        case ':files'
            __fish_complete_path (string replace --regex '^--[^=]*=' '' -- "$current")
        case ':program*'
            # words[1] is snapctl.
            set -l first (math (string replace ':program ' '' -- $kind) + 2)
            set -a words "$current"
            __fish_complete_subcommand --commandline $words[$first..-1]
        case '*'
            printf '%s\n' $lines
    end
end

complete -c snapctl -f -a '(__snapctl_complete)'
