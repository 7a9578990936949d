# ---- firewall ------------------------------------------------------------------------------------

FIREWALL_MOST=60

# The rules that outgoing packets to the wire server may meet, in their order: those of the chains that the output
# chain leads to, without the rules for other addresses. Nothing is told of a table that drops nothing.
FIREWALL_AWK='
  function number(address,   p) { split(address, p, "."); return ((p[1] * 256 + p[2]) * 256 + p[3]) * 256 + p[4] }
  function covers(net,   p, size) {
    size = 2 ^ (32 - (split(net, p, "/") > 1 ? p[2] : 32))
    return int(number(p[1]) / size) == int(number(ENVIRON["WIRE"]) / size)
  }
  function keep(chain, rule, target) { n++; chains[n] = chain; rules[n] = rule; targets[n] = target }
  function flush(   i, more, drops) {
    do {
      more = 0
      for (i = 1; i <= n; i++) if (reached[chains[i]] && targets[i] != "" && !reached[targets[i]]) { reached[targets[i]] = 1; more = 1 }
    } while (more)
    for (i = 1; i <= n; i++) if (reached[chains[i]] && tolower(rules[i]) ~ /drop|reject/) drops = 1
    for (i = 1; drops && i <= n; i++) if (reached[chains[i]]) { told++; titles[told] = title; lines[told] = title ": " rules[i] }
    n = 0
    split("", reached)
  }
'

# iptables_rules: what iptables-save prints, as "iptables TABLE: RULE" (iptables-nft: its rules live in nft)
iptables_rules() {
  WIRE=$WIRE awk "$FIREWALL_AWK"'
    /^# asked/ { print; next }
    /^# Generated/ { tool = /nf_tables/ ? "iptables-nft " : "iptables "; next }
    /^\*/ { table = substr($0, 2); title = tool table; next }
    /^COMMIT/ { flush(); next }
    table == "nat" { next }
    /^:OUTPUT / { reached["OUTPUT"] = 1; keep("OUTPUT", "-P OUTPUT " $2, ""); next }
    /^-A / {
      target = ""; other = 0
      for (i = 3; i < NF; i++) {
        if ($i == "-j" || $i == "-g") target = $(i + 1)
        if ($i == "-d" && covers($(i + 1)) == ($(i - 1) == "!")) other = 1
      }
      if (!other) keep($2, $0, target)
    }
    END { for (i = 1; i <= told; i++) print lines[i] }'
}

# nft_rules: what nft prints, as "nft FAMILY TABLE: CHAIN RULE". It misses conditions in the tables of iptables-nft:
# those are left to iptables-nft-save
nft_rules() {
  WIRE=$WIRE awk "$FIREWALL_AWK"'
    /^# asked/ { print; next }
    /^#.*managed by iptables-nft/ { for (i = 1; i < NF; i++) if ($i == "table") managed["nft " $(i + 1) " " $(i + 2)] = 1; next }
    /^table / { title = "nft " $2 " " $3; in_table = $2 == "ip" || $2 == "inet"; next }
    /^}/ { if (in_table) flush(); in_table = 0; next }
    !in_table { next }
    $1 == "chain" { chain = $2; if (chain == "OUTPUT" && title ~ /^nft ip (filter|security|mangle|raw)$/) managed[title] = 1; next }
    $1 == "}" { chain = ""; next }
    chain == "" { next }
    $1 == "type" {
      if ($0 ~ / hook output /) { reached[chain] = 1; keep(chain, chain " policy " ($0 ~ /policy drop/ ? "drop" : "accept"), "") }
      next
    }
    {
      target = ""; other = 0
      for (i = 1; i < NF; i++) {
        if ($i == "jump" || $i == "goto") target = $(i + 1)
        if ($i == "daddr" && $(i + 1) ~ /^[0-9.\/]+$/ && $(i - 1) == "ip" && !covers($(i + 1))) other = 1
      }
      sub(/^[ \t]+/, "")
      if (!other) keep(chain, chain " " $0, target)
    }
    END { for (i = 1; i <= told; i++) if (!managed[titles[i]]) print lines[i] }'
}

# a kernel without these modules has no rules; asking would load them
kernel_filters() {
  [ ! -e "$ROOT/proc/modules" ] || [ -e "$ROOT/proc/net/ip_tables_names" ] ||
    grep -q '^\(nf_tables\|ip_tables\) ' "$ROOT/proc/modules" ||
    grep -q '/\(nf_tables\|ip_tables\)\.ko' "$ROOT/lib/modules/$(uname -r)/modules.builtin"
}

# asked TOOL...: what it prints; a word of its own where it could say
asked() { if limit 4 $SUDO "$@" 2>&1; then printf '# asked\n'; fi; }

firewall_rules() {
  for firewall_tool in iptables-save iptables-nft-save iptables-legacy-save; do
    if has "$firewall_tool"; then asked "$firewall_tool" | iptables_rules; fi
  done
  if has nft; then asked nft list ruleset | nft_rules; fi
}

fact_firewall() {
  if [ "$PRIVILEGED" != true ]; then
    member firewall "$(hidden "the firewall")"
  elif ! kernel_filters; then
    member firewall '[]'
  elif ! has iptables-save && ! has nft; then
    member firewall "$(unseen "neither iptables-save nor nft is on the guest")"
  else
    firewall=$(firewall_rules | awk 'NF && !seen[$0]++')
    case $firewall in
      *'# asked'*) ;;
      *) member firewall "$(unseen "neither iptables-save nor nft could read the rules")"; return ;;
    esac
    firewall=$(printf '%s\n' "$firewall" | sed '/^# asked/d')
    if [ "$(printf '%s\n' "$firewall" | grep -c .)" -gt "$FIREWALL_MOST" ]; then
      member firewall "$(unseen "more than $FIREWALL_MOST firewall rules stand in the way out")"
      return
    fi
    printf '%s\n' "$firewall" | awk "$AWK_JSON"'NF { print json($0) }' | each firewall
  fi
}
