# Takes one piece of a file for a step: "payload.part" grows by whole pieces, and becomes "payload" when its
# SHA-256 is right. A piece that comes twice is taken once.

size() { if [ -e "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; }

room() { df -Pk "${home%/*}" | awk -v bytes="$1" 'NR == 2 && $4 * 1024 < 2 * bytes + 16777216 { exit 1 }'; }

take() (
  umask 077
  mkdir -p "$dir" || exit
  { head -c "$1" "$dir/payload.part" || [ "$1" -eq 0 ]; } 2>/dev/null >"$dir/payload.$$"
  piece | base64 -d >>"$dir/payload.$$" && mv "$dir/payload.$$" "$dir/payload.part"
)

# main ID OFFSET END TOTAL SHA256
main() {
  receipt "$1"
  shift
  [ ! -e "$dir/started" ] || say done 11 "the step was begun before"
  ! whole "$PAYLOAD" "$4" || say done 11 "the file is there"
  there=$(size "$dir/payload.part")
  [ "$there" -ge "$1" ] || say done 1 "only $there bytes of the file are here: send it from its beginning"
  if ! room "$3"; then
    forget
    say refused 10 "too little room in ${home%/*} for the file"
  fi
  if [ "$there" -lt "$2" ]; then
    words=$(take "$1" 2>&1) || say done 1 "the file cannot be written: $words"
    [ "$(size "$dir/payload.part")" -eq "$2" ] || { forget; say done 1 "a piece of the file arrived damaged"; }
  fi
  [ "$2" -eq "$3" ] || say done 0 "$2 of $3 bytes"
  whole "$dir/payload.part" "$4" || { forget; say done 1 "the file arrived damaged: its SHA-256 differs"; }
  mv "$dir/payload.part" "$PAYLOAD" || say done 1 "the file cannot be put into its place"
  say done 0 "the file has arrived whole"
}
