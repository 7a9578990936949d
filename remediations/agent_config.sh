# Sets keys of the agent's configuration, and nothing else in it. KEY=VALUE...
conf=/etc/waagent.conf

gates() {
  no_snapshot
  [ -f "$conf" ] || refuse "$conf is not there"
  file=$(readlink -f "$conf")
  tr -d '\000' <"$file" | cmp -s - "$file" || refuse "$conf is no text: it holds bytes of zero"
  writable "$file"
  room 2 "$file" /var/lib
}

# edited FILE KEY=VALUE...: the file with its comments, its order and its line ends
edited() {
  edited_file=$1
  shift
  [ -n "$(tail -c 1 "$edited_file")" ] && last= || last=1
  awk -v settings="$*" -v last="$last" '
    BEGIN {
      ORS = ""
      count = split(settings, pair, " ")
      for (i = 1; i <= count; i++) {
        name[i] = substr(pair[i], 1, index(pair[i], "=") - 1)
        wanted[name[i]] = substr(pair[i], index(pair[i], "=") + 1)
      }
    }
    {
      end = sub(/\r$/, "") ? "\r" : ""
      if (NR == 1) ends = end
      key = substr($0, 1, index($0, "=") - 1)
      gsub(/^[ \t]+|[ \t]+$/, "", key)
      if (key in wanted) { $0 = set($0, wanted[key]); found[key] = 1 }
      print before $0 end
      before = "\n"
    }
    END {
      if (NR && last == "") before = ends "\n"
      for (i = 1; i <= count; i++) if (!(name[i] in found)) {
        print before pair[i] ends
        before = last = "\n"
      }
      if (last != "") print "\n"
    }
    function set(line, value,   head, rest, note, gap) {
      head = substr(line, 1, index(line, "="))
      rest = substr(line, length(head) + 1)
      note = index(rest, "#") ? substr(rest, index(rest, "#")) : ""
      rest = substr(rest, 1, length(rest) - length(note))
      gap = match(rest, /[ \t]+$/) ? substr(rest, RSTART) : ""
      match(rest, /^[ \t]*/)
      return head (gap == rest ? "" : substr(rest, 1, RLENGTH)) value gap note
    }' "$edited_file"
}

# replace FILE WITH: in one moment, under the owner and the rights that it has
replace() {
  draft=${1%/*}/.${1##*/}.auditor
  if cp -a "$1" "$draft" && cat "$2" >"$draft" && cmp -s "$2" "$draft" && mv -f "$draft" "$1"; then
    sync
    return
  fi
  rm -f "$draft"
  fail "$1 could not be written, and is as it was"
}

# reread: a running agent starts again to read it
reread() {
  unit=$(find_unit)
  if [ -z "$unit" ] || ! active "$unit"; then
    echo "the agent does not run; it reads its configuration when it starts"
    return
  fi
  restart "$unit" || complain "$unit"
  steady "$unit" || complain "$unit"
  echo "the service $unit was restarted and runs"
}

act() {
  file=$(readlink -f "$conf")
  edited "$file" "$@" >"$RECEIPT/conf.after" || fail "$conf could not be read"
  ! cmp -s "$RECEIPT/conf.after" "$file" || nothing "$conf is as it should be"
  cp -a "$file" "$RECEIPT/conf.before" || fail "what $conf is could not be kept"
  for setting in "$@"; do
    old=$(sed -n "s/^[[:space:]]*${setting%%=*}[[:space:]]*=/${setting%%=*}=/p" "$file" | tr -d '\r' | tail -n 1)
    echo "was: ${old:-${setting%%=*} not set}"
    echo "now: $setting"
  done
  replace "$file" "$RECEIPT/conf.after"
  reread
}
