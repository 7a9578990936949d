# ---- all of it -----------------------------------------------------------------------------------

facts() {
  member schema 1
  member platform '"linux"'
  member privileged "$PRIVILEGED"
  member privilege_problem "$(text "$PRIVILEGE_PROBLEM")"
  member user "$(text "$USER_NAME")"
  fact_endpoints "$@" &
  fact_wire &
  fact_imds &
  fact_agent &
  fact_python &
  fact_configuration &
  fact_installable &
  fact_proxies &
  fact_firewall &
  fact_interfaces &
  {
    fact_mounts
    fact_vmbackup
    fact_snapshot_log
  } &
  fact_os
  fact_host
  fact_firmware
  fact_disk
  fact_snapshot
  wait
  fact_clock
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
