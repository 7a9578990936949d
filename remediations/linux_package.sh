# Puts the agent's package right by the guest's own package manager, and its service with it.
# MODE is "wake" (the service alone), "install", "reinstall" or "update"; START is "start", or "later" for a guest
# that is not in Azure yet; MEGABYTES have to be free.
state=/var/lib/waagent
aside=$state.kept-by-auditor
busy='Could not get lock|Unable to acquire the dpkg|Unable to lock|frontend lock|is another process using|is locked|already locked|another copy is running|create transaction lock|holding the yum lock|Waiting for process with pid'
patience=300
# "fail" once something has changed
begun=

manager() {
  if has apt-get && has dpkg-query; then echo apt; return; fi
  for name in tdnf dnf yum zypper; do
    if has "$name" && has rpm; then echo "$name"; return; fi
  done
}

# by VERB ARGUMENT...: the verb of this guest's kind of packages
by() {
  verb=$1
  shift
  if [ "$manager" = apt ]; then "deb_$verb" "$@"; else "rpm_$verb" "$@"; fi
}

program() {
  for folder in /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin /sbin /bin; do
    [ ! -f "$folder/waagent" ] || { echo "$folder/waagent"; return; }
  done
}

# patiently COMMAND...: again while another package manager holds its locks; "said" holds what it printed
patiently() {
  since=
  while :; do
    said=$("$@" 2>&1)
    status=$?
    if [ "$status" -eq 0 ] || ! printf '%s\n' "$said" | grep -qE "$busy"; then break; fi
    # a command may have waited itself, so the tries tell nothing
    now=$(cut -d. -f1 /proc/uptime)
    [ -n "$since" ] || { since=$now; echo "another package manager is at work: waiting for it"; }
    [ "$((now - since))" -lt "$patience" ] || ${begun:-refuse} "another package manager held its lock for $patience s"
    sleep 3
  done
  [ -z "$said" ] || printf '%s\n' "$said" | tail -n 60
  return "$status"
}

gates() {
  mode=$1
  no_snapshot
  writable /etc
  [ "$mode" != wake ] || return 0
  manager=$(manager)
  [ -n "$manager" ] || refuse "the guest has no package manager that this tool knows (apt, dnf, yum, tdnf, zypper)"
  writable /usr /etc /var/lib
  room "$3" /usr /var/lib /etc
  found=$(program)
  [ -z "$found" ] || by owns "$found" || refuse "$found belongs to no package: it was installed from source"
  by others_whole
  [ ! -f "$PAYLOAD" ] || by fits "$PAYLOAD"
  simulate "$mode" early
}

# simulate MODE WHEN: refuses what would remove a package; "early" the package lists may still be too old to tell
simulate() {
  target=$(by target)
  if [ -z "$target" ]; then
    [ "$2" = early ] || refuse "the package sources of the guest offer no agent"
    return 0
  fi
  by plan "$1" "$2" "$target"
}

# hold: a first installation starts nothing before its state is in place; a restart of the guest ends the hold.
# A name that is held looks like a unit, whether or not there is one.
hold() {
  on_systemd || return 0
  trap release EXIT
  systemctl --quiet --runtime mask walinuxagent.service waagent.service 2>/dev/null
}

release() { ! on_systemd || systemctl --quiet --runtime unmask walinuxagent.service waagent.service 2>/dev/null; }

# make_way: Debian's package cannot be configured for the first time where its folder is there already
make_way() {
  [ -d "$state" ] && [ ! -e "$aside" ] || return 1
  begun=fail
  echo "$state is left over from an earlier agent: it goes aside and comes back"
  mv "$state" "$aside"
}

# put_back: what went aside, also where a run before this one was killed in between
put_back() {
  [ -d "$aside" ] || return 0
  rmdir "$state" 2>/dev/null
  if [ -d "$state" ]; then
    cp -a "$aside/." "$state/" && rm -rf "$aside"
  else
    mv "$aside" "$state"
  fi || fail "what was in $state is in $aside and could not be put back"
  echo "$state has its content back"
}

# no_provisioning: an agent that finds no mark would take the machine for a new one, and make new host keys for it
no_provisioning() {
  [ -d "$state" ] || mkdir -m 700 "$state"
  [ -e "$state/provisioned" ] || : >"$state/provisioned"
}

change() {
  manager=$(manager)
  [ -f "$PAYLOAD" ] || by refresh
  simulate "$1" late
  [ -n "$target" ] || refuse "the package sources of the guest offer no agent"
  if by whole; then first=; else first=1; hold; fi
  by apply "$1" "$target"
  status=$?
  put_back
  [ "$status" -eq 0 ] || fail "the package manager failed (exit status $status)"
  [ -z "$first" ] || { no_provisioning; release; }
}

# rouse START: unmasked, enabled and running
rouse() {
  unit=$(find_unit)
  [ -n "$unit" ] || fail "there is no service of the agent"
  if on_systemd; then
    systemctl --quiet unmask "$unit.service"
    systemctl --quiet --runtime unmask "$unit.service" 2>/dev/null
    systemctl daemon-reload
    systemctl --quiet enable "$unit.service" || fail "the service $unit cannot be enabled"
  elif has update-rc.d; then
    update-rc.d "$unit" enable
  elif has chkconfig; then
    chkconfig "$unit" on
  fi
  if [ "$1" = later ]; then
    echo "the service $unit is enabled; it is to start in Azure"
    return
  fi
  restart "$unit" || complain "$unit"
  steady "$unit" || complain "$unit"
  echo "the service $unit is enabled and runs"
}

act() {
  put_back
  [ "$1" = wake ] || change "$1"
  found=$(program)
  [ -n "$found" ] || fail "the agent's program is not there"
  words=$(limit 60 "$found" --version 2>&1 </dev/null)
  case $words in
    *WALinuxAgent-*) printf '%s\n' "$words" | head -n 1 ;;
    *) fail "the agent's program does not start: $words" ;;
  esac
  rouse "$2"
}
