# Does the work of one step once, detached from whoever asked, and says what became of it. A second call with the
# same id does nothing but tell. "started" names the session that does the work, and whoever makes it does the
# work; "ending" becomes "ended-STATUS" when the work is over.
kept=200

# refuse STATUS WORDS: nothing was begun, unless another who asked has begun it meanwhile
refuse() {
  [ ! -e "$dir/started" ] || follow
  forget
  say refused "$1" "$2"
}

# ended [FOLDER]: the exit status of work that is over
ended() {
  set -- "${1:-$dir}"/ended-*
  [ -e "$1" ] && printf '%s' "${1##*/ended-}"
}

# alive [FOLDER]: whether a process of the work's session is there; after a restart of the guest there is none
alive() {
  read -r claim_boot claim_session <"${1:-$dir}/started" || return 1
  [ "$claim_boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 1
  cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^.*) //' |
    awk -v session="$claim_session" '$4 == session && $1 !~ /[ZX]/ { found = 1 } END { exit !found }'
}

# elsewhere: the id of another step that is at work, whoever sent it
elsewhere() {
  for one in "$home"/*/started; do
    one=${one%/started}
    [ "$one" != "$dir" ] && [ -e "$one/started" ] && ! ended "$one" >/dev/null && alive "$one" || continue
    printf '%s' "${one##*/}"
    return
  done
  return 1
}

# alone: waits until nobody else is about to begin a step, so that what a guard saw still holds when its work
# begins. The lock ends with its processes, or with the keeper's claim.
alone() {
  command -v flock >/dev/null || return
  exec 9<"${home%/*}"
  since=$(uptime)
  until flock -n 9; do
    [ "$?" -eq 1 ] || return
    [ "$(($(uptime) - since))" -lt "$patience" ] || say running 0
    nap
  done
}

# prune: the newest receipts stay, whatever the clock says of the others
prune() {
  ls -1t "$home" | sed "1,${kept}d" | while read -r old; do
    set -- "$home/$old"/ended-*
    [ ! -e "$1" ] || rm -rf "${home:?}/$old"
  done
  # what was sent for a step that did not begin in a week: who still wants it done sends it again
  find "$home" -mindepth 1 -maxdepth 1 -type d -mtime +7 2>/dev/null | while read -r old; do
    [ -e "$old/started" ] || rm -rf "$old"
  done
}

# begin SHA256 ARGUMENT...
begin() {
  touch -c "$dir" # from here on no other step's keeper takes it for forgotten
  if [ "$1" != - ] && ! whole "$PAYLOAD" "$1"; then refuse 10 "the file for it has not arrived whole"; fi
  shift
  ! other=$(elsewhere) || refuse 10 "another step is at work in this guest: $other"
  words=$(guard "$@" 2>&1)
  status=$?
  [ "$status" -eq 0 ] || refuse "$status" "${words:-a gate in the guest could not be evaluated (exit status $status)}"
  words=$(write 2>&1) || refuse 10 "$dir cannot be written to: $words"
  prune
  launch "$@" </dev/null >/dev/null 2>&1 &
}

# write: two who ask at once write the same
write() (
  umask 077
  mkdir -p "$dir" && work >"$dir/work.$$" && : >>"$dir/ending" && mv "$dir/work.$$" "$dir/work"
)

# launch ARGUMENT...: in a session of its own, and out of the login's scope, which some systems end with the login
launch() {
  set -- /bin/sh -c "$keeper" keeper "$dir" "$@"
  if [ -d /run/systemd/system ] && command -v systemd-run; then
    setsid systemd-run --quiet --scope --slice=system.slice -- "$@"
  fi
  # does nothing where that has begun the work
  setsid "$@" || "$@"
}

keeper='
dir=$1
shift
read -r row <"/proc/$$/stat"
row=${row##*) }
umask 077
echo "$(cat /proc/sys/kernel/random/boot_id) $(echo "$row" | cut -d" " -f4)" >"$dir/claim.$$" &&
  sync && ln "$dir/claim.$$" "$dir/started"
begun=$?
rm -f "$dir/claim.$$"
flock -u 9 2>/dev/null
exec 9<&-
[ "$begun" -eq 0 ] || exit 0
exec >"$dir/output" 2>&1
umask 022
cd /
/bin/sh "$dir/work" "$@"
status=$?
rm -f "$dir/payload" "$dir/payload".*
sync
# a full disk has no room for a file, and lets one be renamed
mv "$dir/ending" "$dir/ended-$status"
sync'

# uptime: seconds by a clock that nobody sets
uptime() {
  read -r up _ </proc/uptime
  printf '%s' "${up%%.*}"
}

nap() { sleep 0.2 2>/dev/null || sleep 1; }

# follow: the end of the work, or that there is none yet
follow() {
  since=$(uptime)
  looks=0
  while ! status=$(ended); do
    if [ "$((looks % 5))" -eq 0 ] && [ -e "$dir/started" ] && ! alive && ! ended >/dev/null; then say interrupted 0; fi
    [ "$(($(uptime) - since))" -lt "$patience" ] || say running 0
    looks=$((looks + 1))
    nap
  done
  say done "$status"
}

# main ID PATIENCE SHA256 ARGUMENT...
main() {
  receipt "$1"
  patience=$2
  shift 2
  if [ ! -e "$dir/started" ]; then
    alone
    [ -e "$dir/started" ] || begin "$@"
  fi
  follow
}
