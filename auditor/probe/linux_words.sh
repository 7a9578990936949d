# The Linux probe: reads, never writes, and answers with one line of JSON between two markers.
# POSIX sh (dash, bash, busybox); its arguments are endpoints as kind/port/host. Keys: docs/guests.md.

LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
PYTHONDONTWRITEBYTECODE=1
export LC_ALL PATH PYTHONDONTWRITEBYTECODE
IFS=' 	
'

ROOT=
WIRE=168.63.129.16
IMDS=169.254.169.254
LIB=$ROOT/var/lib/waagent
CONF=$ROOT/etc/waagent.conf
PYTHON_FETCH='
import os, socket, ssl, sys, threading, time, urllib.error, urllib.request
kind, host, port, url, limit, direct = sys.argv[1:7]
limit, start, names = float(limit), time.monotonic(), []
resolve = socket.getaddrinfo
def resolve_watched(*question, **more):
    names.append(question[0])
    answer = resolve(*question, **more)
    names.pop()
    return answer
def late():
    on_time = time.monotonic() - start < limit + 1
    if on_time: print("dns" if names else "tcp", "null", "no answer within %d s" % limit, "", sep="\n", flush=True)
    os._exit(not on_time)
socket.getaddrinfo = resolve_watched
watch = threading.Timer(limit + 0.3, late)
watch.daemon = True
watch.start()
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
        socket.create_connection((host, int(port)), limit).close()
        say("ok", "connected")
    handlers = [urllib.request.ProxyHandler({})] if direct == "direct" else []
    request = urllib.request.Request(url, headers={"Metadata": "true"} if direct == "direct" else {})
    answer = urllib.request.build_opener(*handlers).open(request, timeout=limit)
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

# each KEY: a list, one item a line on standard input, each already JSON
each() {
  each_n=1000
  while IFS= read -r each_json; do
    each_n=$((each_n + 1))
    printf '%s[%s]\t%s\n' "$1" "$each_n" "$each_json"
  done
  [ "$each_n" != 1000 ] || member "$1" '[]'
}

# json(TEXT) for awk: as str does
AWK_JSON='function json(text,   i, c, out) {
  for (i = 1; i <= length(text) && i <= 400; i++) {
    c = substr(text, i, 1)
    out = out (c == "\\" || c == "\"" ? "\\" c : c < " " ? " " : c)
  }
  return "\"" out "\""
}
'

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

# ---- rights --------------------------------------------------------------------------------------

who() {
  USER_NAME=$(id -un 2>/dev/null)
  SUDO=
  PRIVILEGED=false
  PRIVILEGE_PROBLEM=
  TIMEOUT=
  if timeout -k 1 2 true 2>/dev/null; then TIMEOUT='timeout -k 1'; fi
  if [ "$(id -u)" = 0 ]; then
    PRIVILEGED=true
  elif ! has sudo; then
    PRIVILEGE_PROBLEM="$USER_NAME is not root, and there is no sudo"
  elif who_said=$(limit 3 sudo -n true 2>&1 </dev/null); then
    PRIVILEGED=true
    SUDO='sudo -n'
  else
    case $who_said in
      *'password is required'* | *'terminal is required'* | *'askpass'*)
        PRIVILEGE_PROBLEM="sudo wants a password of $USER_NAME, or $USER_NAME has no right to it" ;;
      *'not in the sudoers'* | *'may not run'* | *'not allowed'*) PRIVILEGE_PROBLEM="$USER_NAME may not use sudo" ;;
      *'must have a tty'*) PRIVILEGE_PROBLEM="sudo wants a terminal" ;;
      '') PRIVILEGE_PROBLEM="sudo gave no answer" ;;
      *) PRIVILEGE_PROBLEM="sudo does not work: $(printf '%s\n' "$who_said" | tail -n 1)" ;;
    esac
  fi
}

# hidden WHAT: unseen, for want of rights
hidden() { unseen "$1 is not readable by $USER_NAME${PRIVILEGE_PROBLEM:+: $PRIVILEGE_PROBLEM}"; }

# there FILE: 0 where it is there, 1 where it is known not to be, 2 where that cannot be seen
there() {
  if [ -e "$1" ]; then return 0; fi
  if [ -n "$SUDO" ]; then
    limit 3 $SUDO test -e "$1" 2>/dev/null
    return
  fi
  there_above=${1%/*}
  while [ -n "$there_above" ] && [ ! -e "$there_above" ]; do there_above=${there_above%/*}; done
  if [ -x "${there_above:-/}" ]; then return 1; fi
  return 2
}
