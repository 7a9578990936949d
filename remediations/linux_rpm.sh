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

# rpm_try MODE TARGET: what the manager would do
rpm_try() {
  if [ "$manager" = zypper ]; then
    limit 120 zypper --non-interactive --no-refresh $(rpm_verb "$1") --dry-run "$2"
  else
    limit 120 "$manager" --assumeno $(rpm_verb "$1") "$2" </dev/null
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

# rpm_plan MODE WHEN TARGET
rpm_plan() {
  if [ "$2" = late ]; then patiently rpm_try "$1" "$3"; else said=$(rpm_try "$1" "$3" 2>&1); fi
  status=$?
  removed=$(rpm_removed)
  [ -z "$removed" ] || refuse "$manager would remove: $removed"
  # dnf and yum end with 1 also where nothing is in the way but the "no" that they are given
  ! printf '%s\n' "$said" | grep -qE '^ *Problem: ' || rpm_refuse
  [ "$2" = late ] || return 0
  case $1:$said in
    update:*[Nn]othing\ to\ do* | update:*[Nn]o\ [Pp]ackages\ marked\ for\ up*)
      nothing "the package sources offer nothing newer than $(rpm_version)" ;;
    *:*[Nn]o\ match* | *:*[Nn]o\ package* | *:*not\ available* | *:*not\ found\ in\ package\ names*) rpm_refuse ;;
  esac
  [ "$status" -ne 124 ] || refuse "$manager did not say within 120 s what it would do"
  ! printf '%s\n' "$said" | grep -qE '^Error(:|\()' || rpm_refuse
}

rpm_refuse() { refuse "$manager will not do it: $(printf '%s\n' "$said" | tail -n 6)"; }

rpm_refresh() {
  case $manager in
    zypper) patiently limit 300 zypper --non-interactive --quiet refresh ;;
    *) patiently limit 300 "$manager" -q makecache </dev/null ;;
  esac || echo "the package lists could not be renewed; going by those that are there"
}

# rpm_apply MODE TARGET
rpm_apply() {
  case $manager in
    zypper) patiently zypper --non-interactive --no-refresh $(rpm_verb "$1") "$2" ;;
    tdnf) patiently tdnf -y $(rpm_verb "$1") "$2" ;;
    *) patiently "$manager" -y --setopt=clean_requirements_on_remove=0 $(rpm_verb "$1") "$2" ;;
  esac
}
