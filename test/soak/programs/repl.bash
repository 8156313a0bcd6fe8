# shellcheck shell=bash disable=SC2034,SC2154
# Interpreters and shells that somebody talks to, in a terminal; see web.bash.

# repl COMMAND TELL QUESTION ASK-AGAIN: a command that runs in a terminal of script(1). It answers 642 to QUESTION,
# and 9422 to ASK-AGAIN if it still knows what it was TELLed.
repl() {
    mkfifo "$dir/in"
    command=(bash -c 'exec script -q -f -c "$0" out <>in' "$1")
    kind=repl tell=$2 question=$3 again=$4
    : >"$dir/out"
}
repl_answers() { # QUESTION ANSWER
    local was
    was=$(grep -c "$2" "$dir/out")
    printf '%s\n' "$1" >"$dir/in"
    repl_more() { [ "$(grep -c "$2" "$dir/out")" -gt "$1" ]; }
    until_soon repl_more "$was" "$2" || { echo "no answer to $1: $(tail -n 1 "$dir/out")"; return 1; }
}
until_soon() { # COMMAND...: within 5 seconds
    local i
    for i in {1..100}; do
        ! "$@" || return 0
        sleep 0.05
    done
    return 1
}
ask_repl() { repl_answers "$question" 642; }
fill_repl() { printf '%s\n' "$tell" >"$dir/in"; }
kept_repl() { repl_answers "$again" 9422; }

run_ipython() { need ipython3; repl "ipython3 --simple-prompt --HistoryManager.enabled=False" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_ipython_full() { need ipython3; repl "ipython3" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_python() { repl "/usr/bin/python3 -q" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_gap() { need gap; repl "gap -q" 'kept := 4711;' '6 * 107;' 'kept * 2;'; }
run_maxima() { need maxima; repl "maxima -q" 'kept : 4711;' '6 * 107;' 'kept * 2;'; }
run_octave_repl() { need octave-cli; repl octave-cli 'kept = 4711;' '6 * 107' 'kept * 2'; }
run_r_repl() { need R; repl "R --vanilla -q" 'kept <- 4711' '6 * 107' 'kept * 2'; }
run_ghci() { need ghci; repl ghci 'let kept = 4711' '6 * 107' 'kept * 2'; }
run_iex() { need iex; repl iex 'kept = 4711' '6 * 107' 'kept * 2'; }
run_erl() { need erl; repl erl 'Kept = 4711.' '6 * 107.' 'Kept * 2.'; }
run_swipl() { need swipl; repl "swipl" 'assertz(kept(4711)).' 'X is 6 * 107.' 'kept(K), X is K * 2.'; }
run_gforth() { need gforth; repl gforth '4711 value kept' '6 107 * .' 'kept 2 * .'; }
run_clisp() { need clisp; repl "clisp -q" '(defvar kept 4711)' '(* 6 107)' '(* 2 kept)'; }
run_ecl() { need ecl; repl "ecl -q" '(defvar kept 4711)' '(* 6 107)' '(* 2 kept)'; }
run_sbcl_repl() { need sbcl; repl "sbcl --noinform" '(defvar kept 4711)' '(* 6 107)' '(* 2 kept)'; }
run_racket() { need racket; repl "racket" '(define kept 4711)' '(* 6 107)' '(* 2 kept)'; }
run_csi() { need csi; repl "csi -q" '(define kept 4711)' '(* 6 107)' '(* 2 kept)'; }
run_guile_repl() { need guile; repl "guile -q" '(define kept 4711)' '(* 6 107)' '(* 2 kept)'; }
run_poly() { need poly; repl "poly" 'val kept = 4711;' '6 * 107;' 'kept * 2;'; }
run_ocaml_repl() { need ocaml; repl "ocaml" 'let kept = 4711;;' '6 * 107;;' 'kept * 2;;'; }
run_gnuplot() { need gnuplot; repl "gnuplot" 'kept = 4711' 'print 6 * 107' 'print kept * 2'; }
run_node_repl() { need node; repl "node" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_irb() { need irb; repl "irb --nomultiline --nosingleline" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_jshell() { need jshell; repl "jshell" 'int kept = 4711;' '6 * 107' 'kept * 2'; }
run_jruby() { need jruby; repl "jruby -S irb --nomultiline --nosingleline" 'kept = 4711' '6 * 107' 'kept * 2'; }
run_php_a() { need php8.2; repl "php8.2 -a" '$kept = 4711;' 'echo 6 * 107, "\n";' 'echo $kept * 2, "\n";'; }
run_lua_repl() { need lua5.4; repl lua5.4 'kept = 4711' '6 * 107' 'kept * 2'; }
run_tclsh() { need tclsh; repl tclsh 'set kept 4711' 'expr 6 * 107' 'expr $kept * 2'; }
run_perl_db() { need perl; repl "perl -de 0" '$kept = 4711' 'p 6 * 107' 'p $kept * 2'; }
run_sqlite_repl() { need sqlite3; repl "sqlite3 kept.db" 'pragma journal_mode=wal; create table t (x); begin; insert into t values (4711);' 'select 6 * 107;' 'select x * 2 from t;'; }
run_ksh() { need ksh; repl "ksh -i" 'kept=4711' 'echo $((6 * 107))' 'echo $((kept * 2))'; }
run_zsh() { need zsh; repl "zsh -f -i" 'kept=4711' 'echo $((6 * 107))' 'echo $((kept * 2))'; }
run_fish() { need fish; repl "fish -N -i" 'set kept 4711' 'math 6 "*" 107' 'math $kept "*" 2'; }
run_dash() { need dash; repl "dash -i" 'kept=4711' 'echo $((6 * 107))' 'echo $((kept * 2))'; }
run_bash_jobs() { repl "bash --norc -i" 'kept=4711; sleep 1000 & sleep 2000 | cat & kill -STOP %1' 'echo $((6 * 107))' 'echo $((kept * $(jobs -r | wc -l) + kept * $(jobs -s | wc -l)))'; }
