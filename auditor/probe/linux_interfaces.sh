# ---- where addresses come from -------------------------------------------------------------------

# Each nic_* prints true or false for one interface, or nothing where it knows nothing.

# an address that expires was leased; a fixed one never expires
nic_kernel() { case $nic_addresses in *' dynamic '*) echo true ;; esac }

nic_networkd() {
  nic_index=$(cat "$ROOT/sys/class/net/$1/ifindex" 2>/dev/null)
  nic_netif=$ROOT/run/systemd/netif
  grep -q '^ADMIN_STATE=unmanaged' "$nic_netif/links/$nic_index" 2>/dev/null && return
  nic_file=$(sed -n 's/^NETWORK_FILE=//p' "$nic_netif/links/$nic_index" 2>/dev/null)
  [ -n "$nic_file" ] || return
  if [ -e "$nic_netif/leases/$nic_index" ]; then
    echo true
    return
  fi
  nic_settings=$(limit 2 $SUDO cat "$ROOT$nic_file" 2>/dev/null) || return
  nic_settings="$nic_settings
$(cat "$ROOT/etc/systemd/network/${nic_file##*/}.d/"*.conf 2>/dev/null)"
  case $(printf '%s\n' "$nic_settings" | sed -n 's/^[[:space:]]*DHCP[[:space:]]*=[[:space:]]*//p' | tail -n 1) in
    [yY]es | [tT]rue | on | 1 | both | ipv4 | v4) echo true ;;
    *) echo false ;;
  esac
}

nic_NetworkManager() {
  nic_shown=$(printf '%s\n' "$NM_TABLE" | NIC=$1 awk '/^GENERAL\.DEVICE:/ { inside = $0 == "GENERAL.DEVICE:" ENVIRON["NIC"] } inside')
  case $nic_shown in
    *externally* | *unmanaged*) return ;;
    *DHCP4.OPTION*) echo true; return ;;
  esac
  nic_connection=$(printf '%s\n' "$nic_shown" | sed -n 's/^GENERAL\.CONNECTION://p' | head -n 1 | sed 's/\\\(.\)/\1/g')
  case $nic_connection in '' | --) return ;; esac
  case $(limit 2 nmcli -g ipv4.method connection show id "$nic_connection" 2>/dev/null) in
    auto) echo true ;;
    manual | disabled | link-local | shared) echo false ;;
  esac
}

nic_ifupdown() {
  case $(cat "$ROOT/etc/network/interfaces" "$ROOT/etc/network/interfaces.d/"* "$ROOT/run/network/interfaces.d/"* 2>/dev/null |
    NIC=$1 awk '$1 == "iface" && $2 == ENVIRON["NIC"] && $3 == "inet" {method = $4} END {print method}') in
    dhcp | bootp) echo true ;;
    static) echo false ;;
  esac
}

nic_ifcfg() {
  for nic_file in "$ROOT/etc/sysconfig/network-scripts/ifcfg-$1" "$ROOT/etc/sysconfig/network/ifcfg-$1"; do
    [ -r "$nic_file" ] || continue
    case $(value BOOTPROTO "$nic_file" | tr 'A-Z' 'a-z') in
      dhcp* | bootp) echo true ;;
      static | none | '') echo false ;;
    esac
    return
  done
}

nic_netplan() {
  set -- "$1" "$ROOT"/etc/netplan/*.yaml
  [ -e "$2" ] || return
  nic_name=$1
  shift
  limit 2 $SUDO cat "$@" 2>/dev/null | NIC=$nic_name awk '
    { match($0, /^ */); indent = RLENGTH; line = substr($0, indent + 1); sub(/[ \t]*(#.*)?$/, "", line); gsub(/["'\'']/, "", line) }
    line == "" { next }
    inside && indent <= base { inside = 0 }
    line == ENVIRON["NIC"] ":" { inside = 1; base = indent; next }
    inside && line ~ /^dhcp4:/ { found = line ~ /: *(true|yes|on)$/ ? "true" : "false" }
    inside && line ~ /^addresses:/ && found == "" { found = "false" }
    END { if (found != "") print found }'
}

nic_client() {
  has pgrep || return
  if limit 2 pgrep -f "([d]hclient|[u]dhcpc|[d]hcpcd)[^ ]* .*$1( |\$)" >/dev/null 2>&1; then echo true; fi
}

nic_names() {
  awk '$2 == "00000000" && $8 == "00000000" { print $7 + 0, $1 }' "$ROOT/proc/net/route" 2>/dev/null | sort -n | sed 's/^[^ ]* //' | head -n 1
  for nic_path in "$ROOT"/sys/class/net/*; do
    [ -e "$nic_path/device" ] && [ ! -e "$nic_path/master" ] || continue
    read -r nic_flags <"$nic_path/flags" || continue
    case $nic_flags in 0x*[!0-9a-fA-F]* | '') continue ;; esac
    if [ "$((nic_flags & 1))" = 1 ]; then printf '%s\n' "${nic_path##*/}"; fi
  done
}

# nic NAME: one interface as JSON
nic() {
  nic_addresses=$(printf '%s\n' "$NIC_TABLE" | NIC=$1 awk '$2 == ENVIRON["NIC"] && $3 == "inet" { print $0 " " }')
  nic_dhcp=
  for nic_source in kernel networkd NetworkManager ifupdown ifcfg netplan client; do
    nic_dhcp=$("nic_$nic_source" "$1" 2>/dev/null)
    [ -z "$nic_dhcp" ] || break
  done
  [ -n "$nic_dhcp" ] || nic_source=
  case $nic_source in kernel) nic_source="an address that expires" ;; client) nic_source="a DHCP client runs" ;; networkd) nic_source=systemd-networkd ;; esac
  nic_list=$(printf '%s\n' "$nic_addresses" | awk "$AWK_JSON"'NF > 3 { print json($4) }' | head -n 16 | tr '\n' ',')
  printf '{"name":%s,"dhcp":%s,"addresses":[%s],"source":%s}\n' "$(str "$1")" "${nic_dhcp:-null}" "${nic_list%,}" "$(str "$nic_source")"
}

fact_interfaces() {
  NIC_TABLE=$(limit 3 ip -o -4 addr show 2>/dev/null)
  NM_TABLE=
  if [ -d "$ROOT/run/NetworkManager" ] && has nmcli; then
    NM_TABLE=$(limit 4 nmcli -t -f GENERAL.DEVICE,GENERAL.STATE,GENERAL.CONNECTION,DHCP4 device show 2>/dev/null)
  fi
  nic_names | awk '/^[A-Za-z0-9_.:-]+$/ && !seen[$0]++' | head -n 8 | while read -r nic_found; do nic "$nic_found"; done | each interfaces
}
