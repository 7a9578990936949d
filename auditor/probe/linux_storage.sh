# ---- the agent's folder, what can be frozen, and what the backup extension left ---------------------

MOUNTS=$ROOT/proc/self/mounts
VMBACKUP=$ROOT/etc/azure/vmbackup.conf
SNAPSHOT_LOG=$ROOT/var/log/azure/Microsoft.Azure.RecoveryServices.VMSnapshotLinux/extension.log

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
  disk_noexec=$(M=$disk_mount awk '$2 == ENVIRON["M"] {o = "," $4 ","} END {print o ~ /,noexec,/ ? "true" : "false"}' "$MOUNTS")
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
    member snapshot_extension "$(hidden "$LIB")"
  fi
}

# fact_mounts: file systems of disks and of the network; none of them is touched, a dead one would hang. A device
# that is mounted again elsewhere (a bind mount) is named once: the extension takes one place of each device.
fact_mounts() {
  awk "$AWK_JSON"'
    $3 ~ /^(squashfs|iso9660|udf|devtmpfs|fuse\.(lxcfs|portal|gvfsd-fuse|snapfuse|vmware-vmblk|fuse-overlayfs|rofiles-fuse))$/ { next }
    $1 ~ /^\/dev\// || $2 == "/" || $3 ~ /^(nfs4?|cifs|smb3?|smbfs|9p|afs|ceph|glusterfs|lustre|gpfs|ocfs2|gfs2|zfs|fuse|fuse\..*)$/ {
      row[++n] = "[" json($2) "," json($3) "," json($1) "]"; place[n] = $2
      again[n] = $1 ~ /^\/dev\// && device[$1]++ && $2 !~ /\(deleted\)/; times[$2]++
    }
    END {
      for (i = 1; i <= n; i++) if (!again[i] || times[place[i]] > 1) kept[++k] = row[i]
      if (k > 48) { print "{\"unseen\":\"more than 48 file systems are mounted\"}"; exit }
      for (i = 1; i <= k; i++) print kept[i]
    }' "$MOUNTS" 2>/dev/null | each freeze_mounts
}

fact_vmbackup() {
  there "$VMBACKUP"
  case $? in
    1) member freeze_settings null; return ;;
    2) member freeze_settings "$(hidden "$VMBACKUP")"; return ;;
  esac
  if ! vmbackup=$(limit 3 $SUDO head -c 20000 "$VMBACKUP" 2>/dev/null); then
    member freeze_settings "$(hidden "$VMBACKUP")"
    return
  fi
  if [ -n "$(printf '%s' "$vmbackup" | tr -d '\001-\177' | head -c 1)" ]; then
    member freeze_problem "$(str "$VMBACKUP holds characters that are not ASCII")"
  elif ! printf '%s\n' "$vmbackup" | grep -q '^\[SnapshotThread\]'; then
    member freeze_problem "$(str "$VMBACKUP has no section [SnapshotThread]")"
  fi
  printf '%s\n' "$vmbackup" | tr -d '\r' | awk "$AWK_JSON"'
    /^\[/ { inside = $0 ~ /^\[SnapshotThread\]/; next }
    !inside || /^[ \t]*[#;]/ || !match($0, /[=:]/) { next }
    {
      key = substr($0, 1, RSTART - 1); value = substr($0, RSTART + 1)
      gsub(/^[ \t]+|[ \t]+$/, "", key); gsub(/^[ \t]+|[ \t]+$/, "", value)
      if (key != "") print "[" json(key) "," json(value) "]"
    }' | head -n 32 | each freeze_settings
}

# without_secrets: lines whose URLs have lost their queries, which may hold a signature
without_secrets() { sed 's/\(?\|%3[fF]\)[^[:space:]"]*/?***/g; s/[sS][iI][gG]=[^[:space:]"]*/sig=***/g'; }

fact_snapshot_log() {
  there "$SNAPSHOT_LOG"
  case $? in
    1) member snapshot_log null; return ;;
    2) member snapshot_log "$(hidden "$SNAPSHOT_LOG")"; return ;;
  esac
  if ! log_end=$(limit 3 $SUDO tail -c 65536 "$SNAPSHOT_LOG" 2>/dev/null); then
    member snapshot_log "$(hidden "$SNAPSHOT_LOG")"
    return
  fi
  log_changed=$(limit 3 $SUDO stat -c %Y "$SNAPSHOT_LOG" 2>/dev/null || limit 3 $SUDO date -r "$SNAPSHOT_LOG" +%s 2>/dev/null)
  log_lines=$(printf '%s\n' "$log_end" | grep -iE 'error|fail|exception|timed? ?out' | tail -n 5 | without_secrets | cut -b1-300 |
    awk "$AWK_JSON"'{ print json($0) }' | tr '\n' ',')
  case $log_changed in '' | *[!0-9]*) log_changed=null ;; esac
  member snapshot_log "{\"path\":$(str "$SNAPSHOT_LOG"),\"lines\":[${log_lines%,}],\"changed_at\":$log_changed}"
}
