# Puts back the agent's configuration that a step kept, unless somebody has changed it since.

gates() {
  no_snapshot
  kept=${RECEIPT%-undo}
  [ -f "$kept/conf.before" ] || nothing "no configuration was kept, so none was changed"
  [ -f "$conf" ] || refuse "$conf is not there"
  file=$(readlink -f "$conf")
  ! cmp -s "$kept/conf.before" "$file" || nothing "$conf is as it was"
  cmp -s "$kept/conf.after" "$file" || refuse "$conf was changed since; what it was stands in $kept/conf.before"
  writable "$file"
}

act() {
  kept=${RECEIPT%-undo}
  replace "$(readlink -f "$conf")" "$kept/conf.before"
  echo "$conf is as it was"
  reread
}
