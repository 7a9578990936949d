# Restarts the agent's service. UNIT

gates() {
  no_snapshot
  [ "$(find_unit)" = "$1" ] || refuse "the service $1 is not there any more"
  if on_systemd && [ "$(shown "$1" LoadState)" = masked ]; then refuse "the service $1 is masked"; fi
}

act() {
  restart "$1" || complain "$1"
  steady "$1" || complain "$1"
  echo "the service $1 was restarted and runs"
}
