# ---- proxies -------------------------------------------------------------------------------------

proxy_rows() {
  env | sed -n 's/^\([A-Za-z_]*_[pP][rR][oO][xX][yY]\)=/environment \1 /p'
  sed -n 's/^[[:space:]]*\(export[[:space:]]*\)\{0,1\}\([A-Za-z_]*_[pP][rR][oO][xX][yY]\)=/\/etc\/environment \2 /p' "$ROOT/etc/environment" 2>/dev/null
  if [ -d "$ROOT/run/systemd/system" ] && has systemctl; then
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
      use_value=$(value "\\(export[[:space:]]*\\)\\{0,1\\}$use_name" "$ROOT/etc/environment")
      [ -z "$use_value" ] || export "$use_name=$use_value"
    fi
  done
  PROXY=${https_proxy:-${HTTPS_PROXY:-${all_proxy:-${ALL_PROXY-}}}}
}

# ---- the network ---------------------------------------------------------------------------------

# said TEXT: without what stands before an @; curl repeats a proxy that it does not understand, password and all
said() {
  case $1 in
    *@*) printf '%s' "$1" | sed "s#\(^'\|[[:space:]]'\|://\).*@#\1***@#; s#[^[:space:]'/]*@#***@#g" ;;
    *) printf '%s' "$1" ;;
  esac
}

# outcome KEY TARGET STAGE MILLISECONDS DETAIL
outcome() { member "$1" "{\"target\":$(str "$2"),\"stage\":\"$3\",\"ms\":${4:-null},\"detail\":$(str "$5")}"; }

# seconds: since the guest began, whatever its clock does
seconds() {
  seconds_up=0
  read -r seconds_up seconds_rest </proc/uptime
  printf '%s' "${seconds_up%%.*}"
}

# cut_off: of a program that died, or took longer than its own limits and some more: it was kept from working by the
# guest itself, so that it tells nothing of the network
cut_off() { printf 'cut-off\nnull\n\n\n'; }

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
  curl_began=$(seconds)
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
    *) cut_off; return ;;
  esac
  curl_error=$(printf '%s' "$curl_body" | sed -n 's/.*curl: (\([0-9]*\)).*/\1/p')
  if [ "$curl_error" = 28 ] && [ "$(($(seconds) - curl_began))" -gt "$((TOTAL + 1))" ]; then
    cut_off
    return
  fi
  curl_stage=tcp
  case $curl_tcp in *[1-9]*) curl_stage=http ;; esac
  case $curl_error in 56 | 97) curl_stage=http ;; 5 | 6) curl_stage=dns ;; 35 | 51 | 53 | 58 | 59 | 60 | 64 | 66 | 77 | 80 | 83 | 90 | 91) curl_stage=tls ;; esac
  case $curl_body in *"Resolving timed out"*) curl_stage=dns ;; esac
  if [ "$curl_stage" = http ]; then
    case $1:$curl_code:$curl_tls:$curl_error in
      http:200:* | tcp:*) curl_stage=ok ;;
      http:* | tls:000:*:56 | tls:000:*:97) ;;
      tls:000:*[1-9]*:*) curl_stage=ok ;;
      tls:000:*) curl_stage=tls ;;
      tls:*) curl_stage=ok ;;
    esac
  fi
  case $curl_body in *"Unsupported proxy s"*) curl_stage=http ;; esac
  curl_detail="HTTP $curl_code${curl_ip:+ from $curl_ip}"
  if [ "$curl_code" = 000 ]; then
    curl_detail=$(said "$(printf '%s' "$curl_body" | sed 's/.*curl: /curl: /')")
    [ "$curl_stage" != ok ] || curl_detail="connected${curl_ip:+ to $curl_ip}"
  fi
  printf '%s\n%s\n%s\n%s\n' "$curl_stage" "$(milliseconds "$curl_time")" "$curl_detail" "$curl_body"
}

# reach KIND HOST PORT URL DIRECT: the same, by whatever tool there is; nothing where there is none
reach() {
  if has curl; then
    with_curl "$1" "$4" "$5"
  elif has python3; then
    limit 9 $RUN python3 -IS -c "$PYTHON_FETCH" "$1" "$2" "$3" "$4" "$TOTAL" "$5" 2>/dev/null </dev/null || cut_off
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
    ok | dns | tcp | tls | http)
      outcome "$1" "$2" "$attempt_stage" "$attempt_ms" "$attempt_detail${8:+ $8}"
      attempt_why="$attempt_stage, $attempt_detail"
      return ;;
    cut-off) attempt_why="the attempt on $2 gave no result: the guest is too slow, or its tool is broken" ;;
    *) attempt_why="no tool on the guest can try $2 (looked for curl, python3, wget, openssl, bash)" ;;
  esac
  member "$1" "$(unseen "$attempt_why")"
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
    member vm_id "$(unseen "the instance metadata service gave no answer: $attempt_why")"
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
