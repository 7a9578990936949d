# Does the work of one step once, detached from whoever asked, and says what became of it.
# A second call with the same id does nothing but tell: nothing is done twice, and nothing is forgotten.
id=$1 patience=$2
shift 2
home=/var/lib/fleet-auditor
dir=$home/$id

say() {
  printf '\nAUDITOR-STEP-BEGIN %s %s\n' "$1" "$2"
  if [ -n "$3" ]; then printf '%s' "$3" | tail -c 16000; elif [ -r "$dir/output" ]; then tail -c 16000 "$dir/output"; fi
  printf '\nAUDITOR-STEP-END\n'
  exit 0
}

boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null; }

# the work's own process, and not another one that got its number
alive() {
  [ "$(cat "$dir/started/boot" 2>/dev/null)" = "$(boot)" ] || return 1
  pid=$(cat "$dir/started/pid" 2>/dev/null) || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir"
}

if [ ! -d "$dir/started" ]; then
  words=$(guard "$@" 2>&1 </dev/null)
  status=$?
  [ "$status" -eq 0 ] || say refused "$status" "${words:-the guard gave no reason}"
  umask 077
  mkdir -p "$dir" 2>/dev/null || say refused 10 "$dir cannot be made: $(mkdir -p "$dir" 2>&1)"
  work >"$dir/work.$$" 2>/dev/null && mv "$dir/work.$$" "$dir/work" || say refused 10 "$dir cannot be written to"
  find "$home" -mindepth 1 -maxdepth 1 -mtime +90 -exec rm -rf {} + 2>/dev/null
  # the one that makes the folder does the work
  setsid /bin/sh -c '
    dir=$1; shift
    mkdir "$dir/started" 2>/dev/null || exit 0
    cat /proc/sys/kernel/random/boot_id >"$dir/started/boot" 2>/dev/null
    echo $$ >"$dir/started/pid"
    PAYLOAD=$dir/payload; export PAYLOAD
    /bin/sh "$dir/work" "$@" >"$dir/output" 2>&1 </dev/null
    echo $? >"$dir/status.new"
    sync; mv "$dir/status.new" "$dir/status"' keeper "$dir" "$@" </dev/null >/dev/null 2>&1 &
  begun=1
fi
tick=0
while [ ! -r "$dir/status" ]; do
  [ "$tick" -lt "$((patience * 5))" ] || say running 0
  # the keeper needs a moment to begin
  if [ "$tick" -gt 25 ] && ! alive && [ ! -r "$dir/status" ]; then say interrupted 0; fi
  tick=$((tick + 1))
  sleep 0.2
done
say done "$(cat "$dir/status")"
