# ---- rpm: WALinuxAgent, on SUSE python-azure-agent --------------------------------------------------

rpm_owns() { rpm -qf "$1" >/dev/null 2>&1; }

# rpm_name: the agent's package that is installed
rpm_name() { rpm -qa --qf '%{NAME}\n' 2>/dev/null | grep -E '^(WALinuxAgent|python3*[0-9]*-azure-agent)$' | head -n 1; }

rpm_whole() { [ -n "$(rpm_name)" ]; }

rpm_others_whole() { :; }

rpm_version() { rpm -q --qf '%{VERSION}-%{RELEASE}' "$(rpm_name)"; }

# rpm_fits FILE: the right package; rpm itself refuses an older one
rpm_fits() {
  given=$(rpm -qp --qf '%{NAME}' "$1" 2>/dev/null) || refuse "the file that was sent is no RPM package"
  case $given in
    WALinuxAgent | python*-azure-agent) ;;
    *) refuse "the file that was sent is the package $given, not the agent" ;;
  esac
  said=$(rpm -U --test --nodeps --replacepkgs "$1" 2>&1) ||
    refuse "rpm will not take the file that was sent: $said"
}

rpm_target() {
  if [ -f "$PAYLOAD" ]; then
    [ -e "$PAYLOAD.rpm" ] || ln "$PAYLOAD" "$PAYLOAD.rpm"
    echo "$PAYLOAD.rpm"
    return
  fi
  there=$(rpm_name)
  if [ -n "$there" ]; then echo "$there"; return; fi
  [ "$manager" = zypper ] || { echo WALinuxAgent; return; }
  zypper --no-refresh --non-interactive --quiet search -t package python-azure-agent python3-azure-agent 2>/dev/null |
    tr '|' ' ' | awk '$1 ~ /^python3?-azure-agent$/ { print $1; exit } $2 ~ /^python3?-azure-agent$/ { print $2; exit }'
}

# rpm_verb MODE: a file of another version cannot be "reinstalled", and zypper updates by no file
rpm_verb() {
  verb=$1
  if [ -f "$PAYLOAD" ]; then
    case $manager:$verb in
      zypper:update) verb=install ;;
      zypper:*) ;;
      *:reinstall) [ "$(rpm -qp --qf '%{VERSION}-%{RELEASE}' "$PAYLOAD")" = "$(rpm_version)" ] || verb=update ;;
    esac
  fi
  case $manager:$verb in
    zypper:reinstall) echo "install --no-recommends --force" ;;
    zypper:install) echo "install --no-recommends" ;;
    *) echo "$verb" ;;
  esac
}

# rpm_options: dnf would wait for a lock for ever, and take no file while a repository is out of reach; zypper would take
# no file that nobody signed
rpm_options() {
  case $manager in
    tdnf) return ;;
    zypper) [ ! -f "$PAYLOAD" ] || echo "--allow-unsigned-rpm"; return ;;
  esac
  echo "--setopt=exit_on_lock=1 --setopt=clean_requirements_on_remove=0"
  [ ! -f "$PAYLOAD" ] || echo "--setopt=*.skip_if_unavailable=1 --setopt=*.retries=1 --setopt=*.timeout=10"
}

# rpm_try VERB TARGET: what the manager would do
rpm_try() {
  if [ "$manager" = zypper ]; then
    limit 120 zypper --non-interactive --no-refresh $1 $(rpm_options) --dry-run "$2"
  else
    limit 120 "$manager" --assumeno $(rpm_options) $1 "$2" </dev/null
  fi
}

# rpm_removed: the names under a heading of removals, which tdnf does not indent; and what dnf says is replaced
# by another package, other than an earlier name of the agent's
rpm_removed() {
  printf '%s\n' "$said" | awk -v manager="$manager" '
    $1 == "replacing" && $2 !~ /^(WALinuxAgent|python3*[0-9]*-azure-agent)/ { printf "%s ", $2 }
    /REMOVED:$/ || /^(Removing|Obsoleting)/ { inside = 1; names = /REMOVED:$/; next }
    inside && (NF == 0 || (/^[^ ]/ && manager != "tdnf")) { inside = 0 }
    inside { if (names) printf "%s ", $0; else printf "%s ", $1 }'
}

# rpm_aged: the names under a heading of packages that would become older
rpm_aged() {
  printf '%s\n' "$said" | awk '
    /downgraded:$/ || /^Downgrading/ { inside = 1; next }
    inside && (NF == 0 || /^[^ ]/) { inside = 0 }
    inside { printf "%s ", $1 }'
}

# rpm_foresee WHEN TARGET: refuses what would go and what would become older
rpm_foresee() {
  if [ "$1" = late ]; then patiently rpm_try "$how" "$2"; else said=$(rpm_try "$how" "$2" 2>&1); fi
  status=$?
  removed=$(rpm_removed)
  [ -z "$removed" ] || refuse "$manager would remove: $removed"
  aged=$(rpm_aged)
  [ -z "$aged" ] || refuse "$manager would install an older version of: $aged"
}

# rpm_plan MODE WHEN TARGET: "how" is the verb that will do it
rpm_plan() {
  how=$(rpm_verb "$1")
  rpm_foresee "$2" "$3"
  # dnf and yum end with 1 also where nothing is in the way but the "no" that they are given
  ! printf '%s\n' "$said" | grep -qE '^ *Problem: ' || rpm_refuse
  [ "$2" = late ] || return 0
  # dnf installs again only the version that is there, which may have given way to a newer one
  case $how:$said in reinstall:*not\ available*) how=update && rpm_foresee late "$3" ;; esac
  case $1:$said in
    reinstall:*[Nn]othing\ to\ do*)
      refuse "the package sources no longer offer $(rpm_version), so it cannot be reinstalled" ;;
    update:*[Nn]othing\ to\ do* | update:*[Nn]o\ [Pp]ackages\ marked\ for\ up*)
      nothing "the package sources offer nothing newer than $(rpm_version)" ;;
    *:*[Nn]o\ match* | *:*[Nn]o\ package* | *:*not\ available* | *:*not\ found\ in\ package\ names*) rpm_refuse ;;
  esac
  [ "$status" -ne 124 ] || refuse "$manager did not say within 120 s what it would do"
  # it got as far as to ask: what it complained of before was a source that it left out
  case $said in *"peration aborted"* | *"xiting on user"*) return 0 ;; esac
  ! printf '%s\n' "$said" | grep -qE '^Error(:|\()' || rpm_refuse
}

rpm_refuse() { refuse "$manager will not do it: $(printf '%s\n' "$said" | tail -n 6)"; }

rpm_refresh() {
  case $manager in
    zypper) patiently limit 300 zypper --non-interactive --quiet refresh ;;
    *) patiently limit 300 "$manager" $(rpm_options) -q makecache </dev/null ;;
  esac || echo "the package lists could not be renewed; going by those that are there"
}

# rpm_apply MODE TARGET: as the plan was, which set "how"; zypper ends with 100 to 103 where there is more to do, and
# with 106 where it left out a repository
rpm_apply() {
  if [ "$manager" != zypper ]; then
    patiently "$manager" -y $(rpm_options) $how "$2"
    return
  fi
  patiently zypper --non-interactive --no-refresh $how $(rpm_options) "$2"
  status=$?
  case $status in 10[01236]) return 0 ;; esac
  return "$status"
}
