import { createHash } from 'node:crypto'

/** Most commands leave one of their streams empty, and every process costs a guest without KVM ten milliseconds. */
const emptyDigest = createHash('sha256').digest('hex')

/**
 * The program that runs commands inside the guest, in bash and coreutils. It lies in a private folder, so a command's
 * output goes to files first: it can be sent again when a kernel message fell into it, its size is known before it is
 * sent, standard output and error stay apart, and no output can be taken for a prompt or a frame.
 *
 * Every frame line starts with a word that is only in this file, never in a typed line: the echo cannot match it.
 *
 *   run FRAME MAX INPUT WORD...    runs WORD..., standard input from INPUT ("-" none, "@" none and the words from a file)
 *   emit NAME FRAME MAX ENCODING   sends again: NAME "r" is the last command, "b1" a background one
 *   start NAME INPUT WORD...       runs in the background; says "ended NAME" on the terminal when it is over
 *   stop NAME                      TERM, and KILL after 2 s
 *   slice NAME OFFSET LENGTH       part of a background command's standard output
 *   replace FILE MODE              moves the uploaded file there, in one step
 */
export function guestProgram(word: string): string {
  return `d=\${0%/*}
w=${word}
emit() {
  local o=$d/$1.out e=$d/$1.err r=- so se ho he
  [ -s "$d/$1.rc" ] && read -r r <"$d/$1.rc"
  measure "$o"; so=$size ho=$hash
  measure "$e"; se=$size he=$hash
  printf '\\n%s begin %s\\n' "$w" "$2"
  if [ "$so" -le "$3" ] && [ "$se" -le "$3" ]; then
    show "$o" "$so" "$4"
    printf '\\n%s middle %s\\n' "$w" "$2"
    show "$e" "$se" "$4"
  fi
  printf '\\n%s end %s %s %s %s %s %s\\n' "$w" "$2" "$r" $so $se "$ho" "$he"
}
measure() {
  size=0 hash=${emptyDigest}
  [ -s "$1" ] || return 0
  size=$(wc -c <"$1")
  hash=$(sha256sum <"$1")
  hash=\${hash%% *}
}
show() {
  [ "$2" -gt 0 ] || return 0
  if [ "$3" = base64 ]; then base64 <"$1"; else cat "$1"; fi
}
signal() {
  [ -e "$d/$1.pid" ] || return 0
  read -r p <"$d/$1.pid"
  # Until setsid has made it one, there is no group.
  kill "-$2" -- "-$p" 2>/dev/null || kill "-$2" "$p" 2>/dev/null || sudo -n kill "-$2" -- "-$p" 2>/dev/null
}
finished() {
  local i=0
  until [ -s "$d/$1.rc" ]; do
    [ $((i += 1)) -le "$2" ] || return 1
    sleep 0.1
  done
}
case $1 in
run)
  f=$2 m=$3 in=$4
  shift 4
  case $in in
  @*) . "$d/words"; in=\${in#@} ;;
  esac
  case $in in
  -) in=/dev/null ;;
  *) in=$d/$in ;;
  esac
  : >"$d/r.rc"
  "$@" <"$in" >"$d/r.out" 2>"$d/r.err"
  echo $? >"$d/r.rc"
  emit r "$f" "$m" plain
  ;;
emit)
  emit "$2" "$3" "$4" "$5"
  ;;
start)
  setsid bash "$0" background "\${@:2}" </dev/null >/dev/null 2>&1 &
  ;;
background)
  b=$2 in=$3
  shift 3
  read -r t <"$d/tty"
  case $in in
  -) in=/dev/null ;;
  *) in=$d/$in ;;
  esac
  trap : TERM INT HUP
  setsid "$@" <"$in" >"$d/$b.out" 2>"$d/$b.err" &
  p=$!
  echo $p >"$d/$b.pid"
  while [ -e "/proc/$p" ]; do
    wait $p
    r=$?
  done
  echo \${r:-255} >"$d/$b.rc"
  printf '\\n%s ended %s\\n' "$w" "$b" >"$t"
  ;;
stop)
  # It may have been asked to start a moment ago.
  for i in {1..20}; do
    [ -s "$d/$2.pid" ] && break
    sleep 0.1
  done
  [ -s "$d/$2.rc" ] || signal "$2" TERM
  finished "$2" 20 || { signal "$2" KILL; finished "$2" 50; }
  ;;
slice)
  tail -c "+$(($3 + 1))" "$d/$2.out" | head -c "$4"
  ;;
replace)
  umask 077
  cp "$d/upload" "$2.$w" && chmod "$3" "$2.$w" && mv -f "$2.$w" "$2" && exit 0
  r=$?
  rm -f "$2.$w"
  exit $r
  ;;
esac
`
}
