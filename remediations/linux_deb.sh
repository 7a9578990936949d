# ---- apt and dpkg: Debian's package is waagent, Ubuntu's walinuxagent -------------------------------

DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1
export DEBIAN_FRONTEND NEEDRESTART_SUSPEND APT_LISTCHANGES_FRONTEND UCF_FORCE_CONFFOLD

deb_owns() { dpkg-query -S "$1" >/dev/null 2>&1 || dpkg-query -S "/usr$1" >/dev/null 2>&1 || dpkg-query -S "${1#/usr}" >/dev/null 2>&1; }

# deb_row: "STATE NAME VERSION" of the agent's package that dpkg knows, such as "ii" or "iF"
deb_row() {
  dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' walinuxagent waagent 2>/dev/null |
    awk '$1 ~ /^.[iUFHWt]/ { print $1, $2, $3; exit }'
}

deb_whole() { case $(deb_row) in [ih]i\ *) ;; *) return 1 ;; esac; }

# deb_busy: whether somebody has a lock of dpkg's open; apt keeps one also between its runs of dpkg
deb_busy() {
  find /proc/[0-9]*/fd -lname '*/dpkg/lock*' \( -exec test {} -ef /var/lib/dpkg/lock-frontend \; -o \
    -exec test {} -ef /var/lib/dpkg/lock \; \) -print 2>/dev/null | grep -q .
}

deb_idle() { ! deb_busy || { echo "the frontend lock is held"; false; }; }

# deb_torn: what an interrupted dpkg left behind, in words
deb_torn() {
  others=$(dpkg-query -W -f '${db:Status-Abbrev}|${Package}\n' |
    awk -F '|' '($1 ~ /^.[UFHWt]/ || $1 ~ /^..R/) && $2 !~ /^wa(agent|linuxagent)$/ { printf " %s", $2 }')
  if [ -n "$others" ]; then
    echo "dpkg was interrupted with other packages, which have to be mended first:$others"
    return
  fi
  # what a killed dpkg noted last: apt does nothing before it was folded in, which mending the agent does
  case $(deb_row) in ?[HUF]*) return ;; esac
  ! ls /var/lib/dpkg/updates 2>/dev/null | grep -q '^[0-9]' ||
    echo "dpkg was interrupted, and has to be mended first: dpkg --configure -a"
}

# what other packages are in the middle of is not ours to finish; while somebody is at it, it tells nothing
deb_others_whole() {
  ! deb_busy || return 0
  torn=$(deb_torn)
  # who has begun meanwhile is at what was seen
  [ -z "$torn" ] || deb_busy || refuse "$torn"
}

# deb_fits FILE: the right package, not an older one
deb_fits() {
  dpkg-deb --info "$1" >/dev/null 2>&1 || refuse "the file that was sent is no Debian package"
  given=$(dpkg-deb -f "$1" Package)
  case $given in
    waagent | walinuxagent) ;;
    *) refuse "the file that was sent is the package $given, not the agent" ;;
  esac
  made_for=$(dpkg-deb -f "$1" Architecture)
  [ "$made_for" = all ] || [ "$made_for" = "$(dpkg --print-architecture)" ] ||
    refuse "the file that was sent is made for $made_for"
  there=$(deb_row)
  [ -z "$there" ] || dpkg --compare-versions "$(dpkg-deb -f "$1" Version)" ge "${there##* }" ||
    refuse "the file that was sent is older than the ${there##* } that is there"
}

# deb_target: the file, or the name of the package
deb_target() {
  if [ -f "$PAYLOAD" ]; then
    # apt takes a path for a file by its end
    [ -e "$PAYLOAD.deb" ] || ln "$PAYLOAD" "$PAYLOAD.deb"
    echo "$PAYLOAD.deb"
    return
  fi
  there=$(deb_row | cut -d' ' -f2)
  if [ -n "$there" ]; then echo "$there"; return; fi
  for name in walinuxagent waagent; do
    offered=$(apt-cache -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= policy "$name" 2>/dev/null |
      sed -n 's/^  Candidate: //p')
    case $offered in '' | '(none)') ;; *) echo "$name"; return ;; esac
  done
}

# deb_verb MODE: what is half installed is as new as it may be, for apt, and left as it is without more words
deb_verb() {
  case $1:$(deb_row) in
    reinstall:* | install:?H*) echo "install --reinstall" ;;
    update:*) echo "install --only-upgrade" ;;
    *) echo install ;;
  esac
}

# deb_plan MODE WHEN TARGET: in the middle of another one's work apt tells nothing; "late" waits for its end
deb_plan() {
  if [ "$2" = late ]; then patiently deb_idle && deb_others_whole; elif deb_busy; then return 0; fi
  said=$(limit 120 apt-get -s -y -q -o Debug::NoLocking=true -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    --no-install-recommends $(deb_verb "$1") "$3" 2>&1)
  status=$?
  removed=$(printf '%s\n' "$said" | sed -n -e 's/^Remv \([^ ]*\).*/\1/p' -e 's/^Purg \([^ ]*\).*/\1/p' | tr '\n' ' ')
  [ -z "$removed" ] || refuse "apt would remove: $removed"
  if [ "$status" -ne 0 ]; then
    # who has begun meanwhile is at what apt saw
    [ "$2" = late ] || ! deb_busy || return 0
    [ "$2" = late ] || ! printf '%s\n' "$said" | grep -qE 'Unable to locate|no installation candidate' || return 0
    refuse "apt will not do it: $(printf '%s\n' "$said" | grep -vE '^(Reading|Building)' | tail -n 6)"
  fi
  [ "$2" = late ] || return 0
  deb_whole && ! printf '%s\n' "$said" | grep -q '^Inst ' || return 0
  case $1 in
    update) nothing "the package sources offer nothing newer than $(deb_row | cut -d' ' -f3)" ;;
    reinstall) refuse "the package sources no longer offer $(deb_row | cut -d' ' -f3), so it cannot be reinstalled" ;;
  esac
}

deb_refresh() {
  patiently limit 300 apt-get -q -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 update ||
    echo "the package lists could not be renewed; going by those that are there"
}

# deb_options: the configuration stays as it is; one that is missing comes back
deb_options() {
  [ -e /etc/waagent.conf ] || printf '%s ' -o Dpkg::Options::=--force-confmiss
  printf '%s ' -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
}

# deb_settle: the end of an interrupted configuration
deb_settle() {
  name=$(deb_row | cut -d' ' -f2)
  begun=fail
  patiently dpkg --force-confdef --force-confold --configure "$name" && return
  case $(deb_row) in ?[FU]*) make_way ;; *) false ;; esac &&
    patiently dpkg --force-confdef --force-confold --configure "$name"
}

# deb_apply MODE TARGET
deb_apply() {
  case $(deb_row) in
    ?[FU]*) deb_settle || return ;;
    # fails, since it has to be unpacked anew, and folds in what the interrupted dpkg noted
    ?H*) patiently dpkg --configure "$(deb_row | cut -d' ' -f2)" ;;
  esac
  patiently apt-get -y -q --no-remove --no-install-recommends $(deb_options) $(deb_verb "$1") "$2"
  status=$?
  case $status:$(deb_row) in
    *:?[FU]*) deb_settle ;;
    0:?H*) fail "apt left the package half installed: $(deb_row)" ;;
    *) return "$status" ;;
  esac
}
