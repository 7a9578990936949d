# Words of every script for Linux guests. A gate that is closed ends with 10 and its reason, before anything changed.

refuse() { printf 'REFUSED: %s\n' "$*"; exit 10; }
nothing() { printf 'NOTHING: %s\n' "$*"; exit 11; }
fail() { printf 'FAILED: %s\n' "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# limit SECONDS COMMAND...
limit() {
  if ! timeout 1 true 2>/dev/null; then shift; "$@"; return; fi
  timeout "$@"
}

# ---- gates ---------------------------------------------------------------------------------------

# the snapshot extension freezes the file systems: whatever writes meanwhile hangs, and breaks the snapshot
no_snapshot() {
  { has grep && has ls; } || refuse "a snapshot in the guest could not be seen: grep or ls is missing"
  if grep -lE '[s]afefreeze|RecoveryServices[.]VMSnapshotLinux' /proc/[0-9]*/cmdline >/dev/null 2>&1 ||
    ls -ld /proc/[0-9]*/cwd 2>/dev/null | grep -q 'RecoveryServices[.]VMSnapshotLinux'; then
    refuse "the snapshot extension is at work in the guest (its file systems may be frozen)"
  fi
  lock=/etc/azure/MicrosoftRecoverySvcsSafeFreezeLock/SafeFreezeLockFile
  [ -e "$lock" ] || return 0
  inode=$(stat -c %i "$lock" 2>/dev/null) ||
    refuse "the snapshot extension's freeze lock cannot be looked at: stat failed"
  grep -q ":$inode " /proc/locks
  case $? in
    0) refuse "the snapshot extension holds its freeze lock" ;;
    1) ;;
    *) refuse "the snapshot extension's freeze lock cannot be looked at: /proc/locks is not readable" ;;
  esac
}

# writable PATH...: by the mounts, since root may write anywhere else
writable() {
  for path in "$@"; do
    awk -v path="$path" '
      { at = $2 == "/" ? "" : $2 }
      index(path "/", at "/") == 1 && length(at) >= length(best) { best = at; options = $4 }
      END { exit options ~ /(^|,)ro(,|$)/ }' /proc/mounts || refuse "$path is on a read-only file system"
  done
}

# room MEGABYTES PATH...
room() {
  least=$1
  shift
  for path in "$@"; do
    free=$(df -Pk "$path" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
    [ "${free:-0}" -ge "$least" ] || refuse "only ${free:-0} MB are free for $path, and $least are wanted"
    [ "$(df -Pi "$path" 2>/dev/null | awk 'NR == 2 && $2 > 0 && $4 < 1000 { print "few" }')" != few ] ||
      refuse "fewer than 1000 inodes are free for $path"
  done
}

# ---- the agent's service -------------------------------------------------------------------------

on_systemd() { [ -d /run/systemd/system ] && has systemctl; }

# shown UNIT PROPERTY
shown() { systemctl show -p "$2" "$1.service" 2>/dev/null | sed "s/^$2=//"; }

# find_unit: its name, whatever the distribution
find_unit() {
  for name in walinuxagent waagent; do
    if on_systemd; then
      case $(shown "$name" LoadState) in '' | not-found) continue ;; esac
    elif [ ! -e "/etc/init.d/$name" ]; then
      continue
    fi
    printf '%s' "$name"
    return
  done
}

active() {
  if on_systemd; then systemctl --quiet is-active "$1.service"; else pgrep -f '[w]aagent.*-daemon' >/dev/null; fi
}

restart() {
  if ! on_systemd; then service "$1" restart; return; fi
  systemctl reset-failed "$1.service" 2>/dev/null
  systemctl restart "$1.service"
}

# steady UNIT: it runs, and still does after a moment
steady() {
  tries=0
  while [ "$tries" -lt 15 ]; do
    sleep 1
    if active "$1" && sleep 1 && active "$1"; then return 0; fi
    tries=$((tries + 1))
  done
  return 1
}

# complain UNIT: why it does not run
complain() {
  if on_systemd; then systemctl --no-pager --full --lines=15 status "$1.service" 2>&1; fi
  fail "the service $1 does not stay up"
}
