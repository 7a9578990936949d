# The Linux probe: reads, never writes, and answers with one line of JSON between two markers.
# POSIX sh (dash, bash, busybox); its arguments are endpoints as kind/port/host. Keys: docs/guests.md.

LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
PYTHONDONTWRITEBYTECODE=1
export LC_ALL PATH PYTHONDONTWRITEBYTECODE
IFS=' 	
'

WIRE=168.63.129.16
IMDS=169.254.169.254
LIB=/var/lib/waagent
CONF=/etc/waagent.conf
PYTHON_FETCH='
import socket, ssl, sys, time, urllib.error, urllib.request
kind, host, port, url, limit, direct = sys.argv[1:7]
start = time.monotonic()
def say(stage, detail, body=""):
    print(stage, int((time.monotonic() - start) * 1000), " ".join(str(detail).split()), sep="\n")
    print(body)
    sys.exit()
def stage_of(error):
    error = getattr(error, "reason", error)
    if isinstance(error, socket.gaierror): return "dns", error
    if isinstance(error, ssl.SSLError): return "tls", error
    if "Tunnel connection failed" in str(error): return "http", error
    return "tcp", error
try:
    if kind == "tcp":
        socket.create_connection((host, int(port)), float(limit)).close()
        say("ok", "connected")
    handlers = [urllib.request.ProxyHandler({})] if direct == "direct" else []
    request = urllib.request.Request(url, headers={"Metadata": "true"} if direct == "direct" else {})
    answer = urllib.request.build_opener(*handlers).open(request, timeout=float(limit))
    say("ok", "HTTP %d" % answer.status, answer.read(65536).decode("utf-8", "replace").replace("\n", " "))
except urllib.error.HTTPError as error:
    say("http" if kind == "http" else "ok", "HTTP %d" % error.code)
except (OSError, ValueError) as error:
    say(*stage_of(error))
'

# ---- words ---------------------------------------------------------------------------------------

has() { command -v "$1" >/dev/null 2>&1; }

# str TEXT: TEXT as a JSON string, at most 400 bytes, control characters as spaces
str() {
  case $1 in
    *[!A-Za-z0-9\ ._:/@,+=~\(\)-]*)
      printf '"%s"' "$(printf '%s' "$1" | tr '\001-\037\177' ' ' | cut -b1-400 | sed 's/\\/\\\\/g; s/"/\\"/g')" ;;
    *) printf '"%.400s"' "$1" ;;
  esac
}

text() { if [ -n "$1" ]; then str "$1"; else printf null; fi; }

unseen() { printf '{"unseen":%s}' "$(str "$1")"; }

# member KEY JSON: one fact; lists are written as key[nn], one line an item. One write each: lines of
# processes that run at the same time do not mix below PIPE_BUF.
member() { printf '%s\t%s\n' "$1" "$2"; }

# limit SECONDS COMMAND...: the command, killed when it takes longer
limit() {
  if [ -n "$TIMEOUT" ]; then
    $TIMEOUT "$@"
    return
  fi
  limit_s=$1
  shift
  "$@" &
  limit_pid=$!
  (sleep "$limit_s"; kill -9 "$limit_pid") >/dev/null 2>&1 &
  limit_killer=$!
  wait "$limit_pid"
  limit_rc=$?
  kill "$limit_killer" 2>/dev/null
  return "$limit_rc"
}

# redact URL: without the user and password of a proxy
redact() { printf '%s' "$1" | sed 's#^\([A-Za-z0-9+.-]*://\)\{0,1\}.*@#\1***@#'; }

# value KEY FILE: the last value of KEY=VALUE, without quotes
value() { sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" "$2" 2>/dev/null | tail -n 1 | sed 's/^["'\'']//; s/["'\''][[:space:]]*$//'; }

# ---- the machine ---------------------------------------------------------------------------------

fact_os() {
  os_file=/etc/os-release
  [ -r "$os_file" ] || os_file=/usr/lib/os-release
  if [ -r "$os_file" ]; then
    os_name=$(value NAME "$os_file")
    os_version=$(value VERSION_ID "$os_file")
  else
    os_name=$(head -n 1 /etc/redhat-release 2>/dev/null)
    os_version=
  fi
  member os "{\"name\":$(text "$os_name"),\"version\":$(text "$os_version")}"
  member kernel "$(text "$(uname -r)")"
  member architecture "$(text "$(uname -m)")"
  member hostname "$(text "$(uname -n)")"
  member clock "$(date +%s)"
}

fact_host() {
  tag=/sys/class/dmi/id/chassis_asset_tag
  if [ -r "$tag" ]; then
    case $(cat "$tag") in
      7783-7084-3265-9085-8269-3286-77) member on_azure_host true ;;
      *) member on_azure_host false ;;
    esac
  else
    member on_azure_host "$(unseen "$tag is not readable")"
  fi
}

fact_disk() {
  disk_path=$LIB
  while [ ! -d "$disk_path" ]; do disk_path=${disk_path%/*}; [ -n "$disk_path" ] || disk_path=/; done
  disk_row=$(limit 4 df -Pk "$disk_path" 2>/dev/null | awk 'NR == 2 && $2 ~ /^[0-9]+$/ {printf "%.0f %.0f %s", $4 * 1024, $2 * 1024, $6}')
  if [ -z "$disk_row" ]; then
    member disk "$(unseen "df gave no answer for $disk_path")"
    return
  fi
  disk_free=${disk_row%% *}
  disk_rest=${disk_row#* }
  disk_mount=${disk_rest#* }
  disk_noexec=$(M=$disk_mount awk '$2 == ENVIRON["M"] {o = "," $4 ","} END {print o ~ /,noexec,/ ? "true" : "false"}' /proc/mounts)
  member disk "{\"path\":$(str "$LIB"),\"mount\":$(str "$disk_mount"),\"free\":$disk_free,\"total\":${disk_rest%% *},\"noexec\":$disk_noexec}"
}

fact_snapshot() {
  if [ ! -e "$LIB" ]; then
    member snapshot_extension '[]'
    return
  fi
  if snapshot_names=$(limit 3 $SUDO ls "$LIB" 2>/dev/null); then
    snapshot_list=
    for snapshot_name in $(printf '%s\n' "$snapshot_names" | sed -n 's/^Microsoft\.Azure\.RecoveryServices\.VMSnapshotLinux-\([0-9][0-9.]*\)$/\1/p'); do
      snapshot_list="$snapshot_list${snapshot_list:+,}\"$snapshot_name\""
    done
    member snapshot_extension "[$snapshot_list]"
  else
    member snapshot_extension "$(unseen "$LIB is not readable by $USER_NAME")"
  fi
}

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
  # the shell would run a damaged file as a script of its own
  if [ "$(head -c 2 "$AGENT" 2>/dev/null | tr -d '\000')" != '#!' ]; then
    printf '"problem":%s\n' "$(str "$AGENT does not begin like a script: it is damaged or not readable")"
    return
  fi
  versions=$(limit 6 "$AGENT" --version 2>&1 </dev/null | head -c 4000)
  daemon=$(printf '%s\n' "$versions" | sed -n 's/^WALinuxAgent-\([^ ]*\) .*/\1/p' | head -n 1)
  state=$(printf '%s\n' "$versions" | sed -n 's/^Goal state agent: *\([^ ]*\).*/\1/p' | head -n 1)
  python=$(printf '%s\n' "$versions" | sed -n 's/^Python: *\([^ ]*\).*/\1/p' | head -n 1)
  if [ -n "$daemon$state" ]; then
    printf '"daemon_version":%s,"goal_state_version":%s,"python":%s\n' "$(text "$daemon")" "$(text "$state")" "$(text "$python")"
  else
    printf '"problem":%s\n' "$(str "$AGENT --version gave no version: $(printf '%s\n' "$versions" | tail -n 1)")"
  fi
}

agent_package() {
  if has dpkg-query; then
    package=$([ -n "$AGENT" ] && limit 4 dpkg-query -S "$AGENT" 2>/dev/null | sed -n 's/^\([^:, ]*\).*/\1/p' | head -n 1)
    package_row=$(limit 4 dpkg-query -W -f '${Package} ${Version} ${Status}\n' ${package:-walinuxagent waagent} 2>/dev/null | sed -n 's/ [a-z]* [a-z]* installed$//p' | head -n 1)
    [ -n "$package" ] || [ -z "$AGENT" ] || package_row=
  elif has rpm; then
    package_query="-q WALinuxAgent"
    [ -z "$AGENT" ] || package_query="-qf $AGENT"
    package_row=$(limit 8 rpm $package_query --qf '%{NAME} %{VERSION}-%{RELEASE}\n' 2>/dev/null | grep -v 'not owned\|not installed' | head -n 1)
  else
    return
  fi
  [ -z "$package_row" ] || printf '"package":%s,"package_version":%s\n' "$(str "${package_row%% *}")" "$(str "${package_row#* }")"
}

# unit_rows: LoadState, ActiveState, UnitFileState and Id of the unit that exists, one line
unit_rows() {
  limit 5 systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState walinuxagent.service waagent.service 2>/dev/null |
    awk -F= '$1 {v[$1] = $2} !NF {out()} END {out()}
      function out() { if (v["LoadState"] != "" && v["LoadState"] != "not-found") print v["LoadState"], v["ActiveState"], v["UnitFileState"] == "" ? "-" : v["UnitFileState"], v["Id"]; split("", v) }' |
    sort | head -n 1
}

agent_unit() {
  if [ -d /run/systemd/system ] && has systemctl; then
    read -r unit_load unit_active unit_enabled unit_id <<UNIT
$(unit_rows)
UNIT
    [ -n "$unit_id" ] || return
    [ "$unit_enabled" != - ] || unit_enabled=
    [ "$unit_load" != masked ] || unit_enabled=masked
    printf '"unit":%s,"load":%s,"active":%s,"enabled":%s\n' "$(str "${unit_id%.service}")" "$(str "$unit_load")" "$(text "$unit_active")" "$(text "$unit_enabled")"
    return
  fi
  for unit_name in walinuxagent waagent; do
    [ -e "/etc/init.d/$unit_name" ] || continue
    unit_active=inactive
    if pgrep -f '[w]aagent.*-(daemon|run-exthandlers)' >/dev/null 2>&1; then unit_active=active; fi
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
  case $agent_parts in
    *'"python":"'*) member python "$(printf '%s\n' "$agent_parts" | sed -n 's/.*"python":\("[^"]*"\).*/\1/p')" ;;
    *) fact_python ;;
  esac
}

fact_python() {
  for python_path in python3 /usr/libexec/platform-python; do
    if has "$python_path"; then
      member python "$(text "$(limit 4 "$python_path" --version 2>&1 | sed -n 's/^Python //p')")"
      return
    fi
  done
  member python null
}

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
  [ "$(head -c 2 "${AGENT:-/dev/null}" 2>/dev/null | tr -d '\000')" != '#!' ] || shown=$(limit 6 "$AGENT" --show-configuration 2>/dev/null </dev/null | head -c 20000)
  written=
  if [ -e "$CONF" ] && ! written=$(limit 3 $SUDO head -c 100000 "$CONF" 2>/dev/null) && [ -z "$shown" ]; then
    member extensions_enabled "$(unseen "$CONF is not readable by $USER_NAME")"
    member auto_update "$(unseen "$CONF is not readable by $USER_NAME")"
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

# ---- proxies -------------------------------------------------------------------------------------

proxy_rows() {
  env | sed -n 's/^\([A-Za-z_]*_[pP][rR][oO][xX][yY]\)=/environment \1 /p'
  sed -n 's/^[[:space:]]*\(export[[:space:]]*\)\{0,1\}\([A-Za-z_]*_[pP][rR][oO][xX][yY]\)=/\/etc\/environment \2 /p' /etc/environment 2>/dev/null
  if [ -d /run/systemd/system ] && has systemctl; then
    limit 5 systemctl show -p Environment walinuxagent.service waagent.service 2>/dev/null | sed 's/^Environment=//' | tr ' ' '\n' |
      sed -n 's/^["'\'']*\([A-Za-z_]*_[pP][rR][oO][xX][yY]\)=/unit \1 /p'
  fi
  $SUDO cat "$CONF" 2>/dev/null | sed -n 's/^[[:space:]]*\(HttpProxy\.[A-Za-z]*\)[[:space:]]*=[[:space:]]*/waagent.conf \1 /p' | grep -v ' None *$'
}

fact_proxies() {
  proxy_n=10
  proxy_found=$(proxy_rows | sort -u | head -n 40)
  [ -n "$proxy_found" ] || member proxies '[]'
  printf '%s\n' "$proxy_found" | while read -r proxy_source proxy_name proxy_value; do
    [ -n "$proxy_value" ] || continue
    proxy_value=${proxy_value#[\"\']}
    member "proxies[$proxy_n]" "[$(str "$proxy_source $proxy_name"),$(str "$(redact "${proxy_value%[\"\']}")")]"
    proxy_n=$((proxy_n + 1))
  done
}

# the proxy that programs on this guest would use for TLS: that of the session, else /etc/environment
use_proxy() {
  for use_name in https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY http_proxy; do
    eval "use_value=\${$use_name-}"
    if [ -z "$use_value" ]; then
      use_value=$(value "\\(export[[:space:]]*\\)\\{0,1\\}$use_name" /etc/environment)
      [ -z "$use_value" ] || export "$use_name=$use_value"
    fi
  done
  PROXY=${https_proxy:-${HTTPS_PROXY:-${all_proxy:-${ALL_PROXY-}}}}
}

# ---- the network ---------------------------------------------------------------------------------

# outcome KEY TARGET STAGE MILLISECONDS DETAIL
outcome() { member "$1" "{\"target\":$(str "$2"),\"stage\":\"$3\",\"ms\":${4:-null},\"detail\":$(str "$5")}"; }

milliseconds() {
  ms_part=${1#*.}000
  ms_rest=${ms_part#???}
  ms_part=1${ms_part%"$ms_rest"}
  printf '%s' "$((${1%.*} * 1000 + ms_part - 1000))"
}

# with_curl KIND URL DIRECT: prints stage, milliseconds, detail, body - a line each
with_curl() {
  case $3 in
    direct) curl_more='--noproxy * -H Metadata:true' ;;
    *) curl_more= ;;
  esac
  case $2 in
    *"$IMDS"*) ;;
    *) curl_more="$curl_more -o /dev/null" ;;
  esac
  set -f
  curl_out=$(limit 9 $RUN curl -q -sS -g $curl_more --connect-timeout "$CONNECT" -m "$TOTAL" --max-filesize 65536 \
    -w '\n%{http_code} %{time_connect} %{time_appconnect} %{time_total} %{remote_ip}\n' "$2" 2>&1 </dev/null | tr -d '\000')
  set +f
  curl_last=$(printf '%s\n' "$curl_out" | tail -n 1)
  curl_body=$(printf '%s\n' "$curl_out" | sed '$d' | tr '\n' ' ')
  read -r curl_code curl_tcp curl_tls curl_time curl_ip <<CURL
$curl_last
CURL
  case $curl_time in
    *.*) ;;
    *) printf 'tcp\nnull\n%s\n\n' "no answer within $TOTAL s"; return ;;
  esac
  curl_error=$(printf '%s' "$curl_body" | sed -n 's/.*curl: (\([0-9]*\)).*/\1/p')
  curl_stage=tcp
  case $curl_tcp in *[1-9]*) curl_stage=http ;; esac
  case $curl_error in 56 | 97) curl_stage=http ;; 5 | 6) curl_stage=dns ;; 35 | 51 | 53 | 58 | 59 | 60 | 64 | 66 | 77 | 80 | 83 | 90 | 91) curl_stage=tls ;; esac
  if [ "$curl_stage" = http ]; then
    case $1:$curl_code:$curl_tls:$curl_error in
      http:200:* | tcp:*) curl_stage=ok ;;
      http:* | tls:000:*:56 | tls:000:*:97) ;;
      tls:000:*[1-9]*:*) curl_stage=ok ;;
      tls:000:*) curl_stage=tls ;;
      tls:*) curl_stage=ok ;;
    esac
  fi
  curl_detail="HTTP $curl_code${curl_ip:+ from $curl_ip}"
  if [ "$curl_code" = 000 ]; then
    curl_detail=$(printf '%s' "$curl_body" | sed 's/.*curl: /curl: /')
    [ "$curl_stage" != ok ] || curl_detail="connected${curl_ip:+ to $curl_ip}"
  fi
  printf '%s\n%s\n%s\n%s\n' "$curl_stage" "$(milliseconds "$curl_time")" "$curl_detail" "$curl_body"
}

# reach KIND HOST PORT URL DIRECT: the same, by whatever tool there is; nothing where there is none
reach() {
  if has curl; then
    with_curl "$1" "$4" "$5"
  elif has python3; then
    limit 9 $RUN python3 -IS -c "$PYTHON_FETCH" "$1" "$2" "$3" "$4" "$TOTAL" "$5" 2>/dev/null </dev/null || printf 'tcp\nnull\nno answer within %s s\n\n' "$TOTAL"
  elif [ "$1" = http ] && has wget; then
    if reach_body=$(limit 9 $RUN wget -q -T "$TOTAL" -O - --header 'Metadata: true' "$4" 2>/dev/null | tr '\n' ' ') && [ -n "$reach_body" ]; then
      printf 'ok\nnull\nHTTP 200\n%s\n' "$reach_body"
    else
      printf 'http\nnull\nwget got no answer\n\n'
    fi
  elif [ "$1" = tls ] && has openssl && [ -z "$PROXY" ]; then
    if reach_said=$(limit 9 openssl s_client -connect "$2:$3" -servername "$2" -verify_return_error 2>&1 </dev/null); then
      printf 'ok\nnull\nTLS handshake done\n\n'
    else
      reach_stage=tcp
      case $reach_said in *CONNECTED*) reach_stage=tls ;; *[Nn]ame\ or\ service* | *BIO_lookup*) reach_stage=dns ;; esac
      printf '%s\nnull\nopenssl: %s\n\n' "$reach_stage" "$(printf '%s\n' "$reach_said" | tr '\n' ' ' | cut -b1-200)"
    fi
  elif [ "$1" = tcp ] && has bash; then
    if limit "$TOTAL" $RUN bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$2" "$3" 2>/dev/null </dev/null; then
      printf 'ok\nnull\nconnected\n\n'
    else
      printf 'tcp\nnull\nno connection\n\n'
    fi
  fi
}

# attempt KEY TARGET KIND HOST PORT URL DIRECT [NOTE]: one connection, one outcome
attempt() {
  if [ "$7" = direct ]; then
    unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY
  fi
  {
    read -r attempt_stage
    read -r attempt_ms
    read -r attempt_detail
    IFS= read -r attempt_body
  } <<REACH
$(reach "$3" "$4" "$5" "$6" "$7")
REACH
  case $attempt_stage in
    ok | dns | tcp | tls | http) outcome "$1" "$2" "$attempt_stage" "$attempt_ms" "$attempt_detail${8:+ $8}" ;;
    *) member "$1" "$(unseen "no tool on the guest can try $2 (looked for curl, python3, wget, openssl, bash)")" ;;
  esac
}

fact_wire() {
  RUN=$SUDO CONNECT=4 TOTAL=5
  attempt 'wire_server[1]' "http://$WIRE/?comp=versions" http "$WIRE" 80 "http://$WIRE/?comp=versions" direct &
  attempt 'wire_server[2]' "$WIRE:32526" tcp "$WIRE" 32526 "http://$WIRE:32526/versions" direct &
  wait
}

fact_imds() {
  RUN= CONNECT=2 TOTAL=2 attempt_stage=
  imds_url="http://$IMDS/metadata/instance/compute?api-version=2021-02-01&format=json"
  attempt imds "http://$IMDS/metadata/instance" http "$IMDS" 80 "$imds_url" direct
  if [ "$attempt_stage" = ok ]; then
    member vm_id "$(text "$(printf '%s' "$attempt_body" | sed -n 's/.*"vmId" *: *"\([^"\\]*\)".*/\1/p')")"
  else
    member vm_id "$(unseen "the instance metadata service gave no answer: $attempt_stage, $attempt_detail")"
  fi
}

fact_endpoints() {
  [ $# -gt 0 ] || member endpoints '[]'
  use_proxy
  RUN= CONNECT=4 TOTAL=8
  endpoint_n=10
  for endpoint; do
    endpoint_kind=${endpoint%%/*}
    endpoint_rest=${endpoint#*/}
    endpoint_port=${endpoint_rest%%/*}
    endpoint_host=${endpoint_rest#*/}
    endpoint_in_url=$endpoint_host
    case $endpoint_host in *:*) endpoint_in_url="[$endpoint_host]" ;; esac
    case $endpoint_kind in tls) endpoint_scheme=https ;; *) endpoint_scheme=http ;; esac
    attempt "endpoints[$endpoint_n]" "$endpoint_in_url:$endpoint_port" "$endpoint_kind" "$endpoint_host" "$endpoint_port" \
      "$endpoint_scheme://$endpoint_in_url:$endpoint_port/" guest "${PROXY:+through the proxy $(redact "$PROXY")}" &
    endpoint_n=$((endpoint_n + 1))
  done
  wait
}

# ---- all of it -----------------------------------------------------------------------------------

who() {
  USER_NAME=$(id -un 2>/dev/null)
  SUDO=
  PRIVILEGED=false
  TIMEOUT=
  if timeout -k 1 2 true 2>/dev/null; then TIMEOUT='timeout -k 1'; fi
  if [ "$(id -u)" = 0 ]; then
    PRIVILEGED=true
  elif has sudo && limit 3 sudo -n true >/dev/null 2>&1 </dev/null; then
    PRIVILEGED=true
    SUDO='sudo -n'
  fi
}

facts() {
  member schema 1
  member platform '"linux"'
  member privileged "$PRIVILEGED"
  member user "$(text "$USER_NAME")"
  fact_endpoints "$@" &
  fact_wire &
  fact_imds &
  fact_agent &
  fact_configuration &
  fact_proxies &
  fact_os
  fact_host
  fact_disk
  fact_snapshot
  wait
}

# the lines of facts as one JSON object; items of a list follow each other because the lines are sorted
assemble() {
  sort | awk '
    function close_list() { if (list != "") { out = out "]"; list = "" } }
    {
      tab = index($0, "\t"); key = substr($0, 1, tab - 1); json = substr($0, tab + 1)
      if (json == "" || key == "") next
      bracket = index(key, "[")
      if (bracket) {
        name = substr(key, 1, bracket - 1)
        if (name != list) { close_list(); out = out (out == "" ? "" : ",") "\"" name "\":["; list = name; first = 1 }
        out = out (first ? "" : ",") json; first = 0
      } else { close_list(); out = out (out == "" ? "" : ",") "\"" key "\":" json }
    }
    END { close_list(); printf "{%s}", out }'
}

main() {
  who
  AGENT=$(find_agent)
  printf '\nAUDITOR-PROBE-BEGIN %s AUDITOR-PROBE-END\n' "$(facts "$@" 2>/dev/null | assemble)"
}

main "$@" </dev/null
exit 0
