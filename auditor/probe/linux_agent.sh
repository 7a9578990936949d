# ---- the agent -----------------------------------------------------------------------------------

find_agent() {
  for agent_dir in /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin /sbin /bin; do
    if [ -f "$agent_dir/waagent" ]; then
      printf '%s' "$agent_dir/waagent"
      return
    fi
  done
}

# the lines of agent_versions, agent_package and agent_unit are members of the object "agent"
agent_versions() {
  [ -n "$AGENT" ] || return
  if [ ! -r "$AGENT" ] && [ -z "$SUDO" ]; then
    # what this user may not read has shown no fault of its own
    printf '"problem":%s,"timed_out":true\n' "$(str "$AGENT is not readable by $USER_NAME${PRIVILEGE_PROBLEM:+: $PRIVILEGE_PROBLEM}")"
    return
  fi
  agent_run=
  [ -r "$AGENT" ] || agent_run=$SUDO
  # the shell would run a damaged file as a script of its own
  if [ "$($agent_run head -c 2 "$AGENT" 2>/dev/null | tr -d '\000')" != '#!' ]; then
    printf '"problem":%s\n' "$(str "$AGENT does not begin like a script: it is damaged")"
    return
  fi
  versions=$({ limit 6 $agent_run "$AGENT" --version 2>&1 </dev/null; printf '\nEXIT %s\n' "$?"; } | head -c 4000)
  daemon=$(printf '%s\n' "$versions" | sed -n 's/^WALinuxAgent-\([^ ]*\) .*/\1/p' | head -n 1)
  state=$(printf '%s\n' "$versions" | sed -n 's/^Goal state agent: *\([^ ]*\).*/\1/p' | head -n 1)
  python=$(printf '%s\n' "$versions" | sed -n 's/^Python: *\([^ ]*\).*/\1/p' | head -n 1)
  if [ -n "$daemon$state" ]; then
    printf '"daemon_version":%s,"goal_state_version":%s,"python":%s\n' "$(text "$daemon")" "$(text "$state")" "$(text "$python")"
  else
    # a machine that is merely slow has shown nothing of its agent
    case $versions in *"EXIT 124" | *"EXIT 137") printf '"problem":%s,"timed_out":true\n' "$(str "$AGENT --version gave no version within 6 s")"; return ;; esac
    printf '"problem":%s\n' "$(str "$AGENT --version gave no version: $(printf '%s\n' "$versions" | grep -v '^EXIT [0-9]*$' | grep . | tail -n 1)")"
  fi
}

# agent_origin STATUS: what the package manager's exit status says of the binary
agent_origin() {
  case $1 in
    0) printf '"origin":"package"\n' ;;
    1) printf '"origin":"source"\n' ;;
  esac
}

agent_package() {
  if has dpkg-query; then
    package=
    if [ -n "$AGENT" ]; then
      package=$(limit 4 dpkg-query -S "$AGENT" 2>/dev/null)
      agent_origin $?
      package=$(printf '%s\n' "$package" | sed -n 's/^\([^:, ]*\).*/\1/p' | head -n 1)
    fi
    package_row=$(limit 4 dpkg-query -W -f '${Package} ${Version} ${Status}\n' ${package:-walinuxagent waagent} 2>/dev/null | sed -n 's/ [a-z]* [a-z]* installed$//p' | head -n 1)
    [ -n "$package" ] || [ -z "$AGENT" ] || package_row=
  elif has rpm; then
    set -- -q WALinuxAgent
    [ -z "$AGENT" ] || set -- -qf "$AGENT"
    package_row=$(limit 8 rpm "$@" --qf '%{NAME} %{VERSION}-%{RELEASE}\n' 2>/dev/null)
    package_found=$?
    [ -z "$AGENT" ] || agent_origin "$package_found"
    [ "$package_found" = 0 ] || package_row=
    package_row=$(printf '%s\n' "$package_row" | head -n 1)
  else
    return
  fi
  [ -z "$package_row" ] || printf '"package":%s,"package_version":%s\n' "$(str "${package_row%% *}")" "$(str "${package_row#* }")"
}

# unit_rows: LoadState, ActiveState, UnitFileState and Id of the unit that exists, one line; "none" where none of
# the two does
unit_rows() {
  limit 5 systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState walinuxagent.service waagent.service 2>/dev/null |
    awk -F= '$1 {v[$1] = $2} !NF {out()} END {out(); if (missing == 2) print "none"}
      function out() {
        if (v["LoadState"] == "not-found") missing++
        else if (v["LoadState"] != "") print v["LoadState"], v["ActiveState"], v["UnitFileState"] == "" ? "-" : v["UnitFileState"], v["Id"]
        split("", v)
      }' |
    sort | head -n 1
}

agent_process() { pgrep -f '[w]aagent.*-(daemon|run-exthandlers)' >/dev/null 2>&1; }

agent_unit() {
  if [ -d "$ROOT/run/systemd/system" ] && has systemctl; then
    read -r unit_load unit_active unit_enabled unit_id <<UNIT
$(unit_rows)
UNIT
    # a unit of another name may have started it
    if [ "$unit_load" = none ] && has pgrep && ! agent_process; then printf '"load":"not-found","active":"not-found"\n'; fi
    [ -n "$unit_id" ] || return
    [ "$unit_enabled" != - ] || unit_enabled=
    [ "$unit_load" != masked ] || unit_enabled=masked
    printf '"unit":%s,"load":%s,"active":%s,"enabled":%s\n' "$(str "${unit_id%.service}")" "$(str "$unit_load")" "$(text "$unit_active")" "$(text "$unit_enabled")"
    return
  fi
  for unit_name in walinuxagent waagent; do
    [ -e "/etc/init.d/$unit_name" ] || continue
    unit_active=inactive
    if agent_process; then unit_active=active; fi
    unit_enabled=disabled
    for unit_link in /etc/rc[2-5].d/S*"$unit_name" /etc/runlevels/default/"$unit_name"; do
      if [ -e "$unit_link" ]; then unit_enabled=enabled; fi
    done
    printf '"unit":%s,"active":"%s","enabled":"%s"\n' "$(str "$unit_name")" "$unit_active" "$unit_enabled"
    return
  done
}

fact_agent() {
  agent_parts=$({ agent_versions & agent_package & agent_unit & wait; } 2>/dev/null)
  case $agent_parts in
    *'"package":'*) agent_found=1 ;;
    *) agent_found=$AGENT ;;
  esac
  if [ -z "$agent_found" ]; then
    member agent null
  else
    member agent "{\"path\":$(text "$AGENT")$(printf '%s\n' "$agent_parts" | sed -n 's/^"/,"/p' | tr -d '\n')}"
  fi
}

# ---- its interpreter -----------------------------------------------------------------------------

# agent_starter: the program of the unit, or nothing
agent_starter() {
  [ -d "$ROOT/run/systemd/system" ] && has systemctl || return
  limit 3 systemctl show -p ExecStart walinuxagent.service waagent.service 2>/dev/null |
    sed -n 's/^ExecStart={ path=\([^ ;]*\) .*/\1/p' | head -n 1
}

# find_python: the interpreter that the unit names, else the agent's first line, else one that a package would use
find_python() {
  if [ -n "$AGENT" ]; then
    python_named=$(agent_starter)
    case ${python_named##*/} in
      *python*) printf '%s' "$python_named"; return ;;
    esac
    read -r python_first <"$AGENT"
    python_first=${python_first%"$(printf '\r')"}
    case $python_first in
      '#!'*env\ *) python_named=${python_first#*env } ;;
      '#!'*) python_named=${python_first#??} ;;
      *) return ;;
    esac
    python_named=${python_named#"${python_named%%[! ]*}"}
    python_named=${python_named%% *}
    command -v "$python_named" || printf '%s' "$python_named"
    return
  fi
  for python_named in python3 /usr/libexec/platform-python python2 python; do
    if command -v "$python_named"; then return; fi
  done
}

# python_import: true, false or null, and what was said; the interpreter reads nothing of the caller's
python_import() {
  python_said=$(cd / && limit 4 "$@" -E -s -B -c 'import azurelinuxagent' 2>&1 </dev/null)
  python_status=$?
  case $python_status in
    0) printf 'true ' ;;
    1) printf 'false %s' "$(printf '%s\n' "$python_said" | tail -n 1)" ;;
    124 | 125 | 137) printf 'null it gave no answer when asked to import azurelinuxagent' ;;
    *) printf 'false it died when asked to import azurelinuxagent (exit status %s)' "$python_status" ;;
  esac
}

fact_python() {
  python=$(find_python)
  if [ -z "$python" ]; then
    [ -z "$AGENT" ] || member python "$(unseen "neither the unit nor $AGENT names an interpreter")"
    [ -n "$AGENT" ] || member python null
    return
  fi
  python_imports='null '
  python_version=$(limit 3 "$python" --version 2>&1 </dev/null)
  case $?:$python_version in
    *:Python\ *) ;;
    124:* | 137:*) member python "$(unseen "$python gave no version within 3 s")"; return ;;
  esac
  python_version=$(printf '%s\n' "$python_version" | sed -n 's/^Python //p' | head -n 1)
  if [ -z "$python_version" ]; then
    python_imports="null $python gives no version: it is missing or broken"
  elif [ -n "$AGENT" ]; then
    python_imports=$(python_import "$python")
    case $PRIVILEGED:$SUDO:$python_imports in
      true:?*:false*) python_imports=$(python_import $SUDO "$python") ;;
      false:*:false*)
        member python "$(unseen "$python cannot import the agent, but was not tried as root ($PRIVILEGE_PROBLEM): ${python_imports#* }")"
        return ;;
    esac
  fi
  member python "{\"path\":$(str "$python"),\"version\":$(text "$python_version"),\"imports_agent\":${python_imports%% *},\"problem\":$(text "${python_imports#* }")}"
}

# ---- its package, where there is none yet ----------------------------------------------------------

# newest MANAGER: the highest of "name version" lines on standard input
newest() {
  newest_row=$(sort -k 2 -V | tail -n 1)
  if [ -z "$newest_row" ]; then
    member installable null
  else
    member installable "{\"manager\":\"$1\",\"name\":$(str "${newest_row%% *}"),\"version\":$(str "${newest_row#* }")}"
  fi
}

# installable_apt: what the lists hold; apt itself would build a cache, and keep it
installable_apt() {
  set -- "$ROOT"/var/lib/apt/lists/*_Packages*
  if [ ! -e "$1" ]; then
    member installable "$(unseen "apt has no package lists: apt-get update was never run")"
    return
  fi
  lists=cat
  case $* in
    *_Packages.*)
      lists="/usr/lib/apt/apt-helper cat-file"
      if [ ! -x /usr/lib/apt/apt-helper ]; then
        member installable "$(unseen "the package lists of apt are compressed")"
        return
      fi ;;
  esac
  # grep first: awk alone takes twice as long over fifty megabytes
  apt_found=$({ limit 8 $lists "$@" 2>/dev/null; printf '\nSTATUS %s\n' "$?"; } | grep -A 40 -E '^Package: wa(agent|linuxagent)$|^STATUS ' | awk '
    /^STATUS / { status = $2 }
    /^Package: / { name = $2 == "waagent" || $2 == "walinuxagent" ? $2 : "" }
    name != "" && /^Version: / { print name, $2; name = ""; found = 1 }
    END { if (status && !found) print "STATUS", status }')
  case $apt_found in
    'STATUS '*) member installable "$(unseen "the package lists of apt could not be read to their end (exit status ${apt_found#* })")" ;;
    *) printf '%s' "${apt_found:+$apt_found
}" | newest apt ;;
  esac
}

# installable_rpm MANAGER COMMAND...: from the cached lists alone; prints "name.arch version"
installable_rpm() {
  rpm_manager=$1 rpm_problem=
  shift
  if [ -n "$AGENT" ]; then
    member installable "$(unseen "not asked: the agent is there, and $rpm_manager takes its time")"
    return
  fi
  rpm_said=$(limit 10 $SUDO "$@" 2>&1 </dev/null)
  rpm_status=$?
  case $rpm_status:$rpm_said in
    0:*) ;;
    124:* | 137:*) rpm_problem="gave no answer in 10 s" ;;
    *[Nn]o\ cache*) rpm_problem="has no cached lists" ;;
    *[Nn]o\ [Mm]atch* | 104:*) ;;
    *) rpm_problem="could not tell: $(printf '%s\n' "$rpm_said" | tail -n 1)" ;;
  esac
  if [ -n "$rpm_problem" ]; then
    member installable "$(unseen "$rpm_manager $rpm_problem")"
    return
  fi
  printf '%s\n' "$rpm_said" | tr '|' ' ' | awk '
    { at = 0; for (i = 1; i <= NF && !at; i++) if ($i ~ /^(WALinuxAgent|python3?-azure-agent)(\.[a-z0-9_]+)?$/) at = i }
    at { name = $at; sub(/\..*/, "", name); print name, $(at + 1) == "package" ? $(at + 2) : $(at + 1) }' | newest "$rpm_manager"
}

fact_installable() {
  if has apt-get; then
    installable_apt
  elif has tdnf; then
    installable_rpm tdnf tdnf -C -q list WALinuxAgent
  elif has dnf; then
    installable_rpm dnf dnf -C -q list --available WALinuxAgent
  elif has yum; then
    installable_rpm yum yum -C -q list available WALinuxAgent
  elif has zypper; then
    installable_rpm zypper zypper --no-refresh --non-interactive --quiet search -s -t package --match-exact python-azure-agent python3-azure-agent
  else
    member installable "$(unseen "no known package manager (apt, dnf, yum, tdnf, zypper)")"
  fi
}

# ---- its settings --------------------------------------------------------------------------------

# switch KEY TEXT: true, false or nothing, as the agent reads its switches (y or n, anything else is the default)
switch() {
  case $(printf '%s\n' "$2" | sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" | sed 's/[[:space:]]*#.*//; s/["[:space:]]//g' | tail -n 1) in
    [yY] | True) printf true ;;
    [nN] | False) printf false ;;
  esac
}

fact_configuration() {
  if [ -z "$AGENT" ] && [ ! -e "$CONF" ]; then
    member extensions_enabled null
    member auto_update null
    return
  fi
  shown=
  # some agents show their defaults in place of a file that they may not read
  [ -e "$CONF" ] && [ ! -r "$CONF" ] ||
    [ "$(head -c 2 "${AGENT:-/dev/null}" 2>/dev/null | tr -d '\000')" != '#!' ] || shown=$(limit 6 "$AGENT" --show-configuration 2>/dev/null </dev/null | head -c 20000)
  written=
  if [ -e "$CONF" ] && ! written=$(limit 3 $SUDO head -c 100000 "$CONF" 2>/dev/null) && [ -z "$shown" ]; then
    member extensions_enabled "$(hidden "$CONF")"
    member auto_update "$(hidden "$CONF")"
    return
  fi
  extensions=$(switch 'Extensions\.Enabled' "${shown:-$written}")
  member extensions_enabled "${extensions:-true}"
  # the newer key wins where it is written and the agent knows it; unwritten it follows the older one
  newer=
  case ${shown:-AutoUpdate.UpdateToLatestVersion} in
    *AutoUpdate.UpdateToLatestVersion*) newer=$(switch 'AutoUpdate\.UpdateToLatestVersion' "$written") ;;
  esac
  older=$(switch 'AutoUpdate\.Enabled' "${shown:-$written}")
  update=${newer:-$older}
  member auto_update "${update:-true}"
}
