# What a guest keeps of the steps that it was sent: one folder for each, and how it tells of them.
LC_ALL=C
PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin
export LC_ALL PATH
IFS=' 	
'
umask 022
home=/var/lib/fleet-auditor

# receipt ID: the folder of a step
receipt() {
  case $1 in '' | *[!a-z0-9-]*) exit 1 ;; esac
  dir=$home/$1
  RECEIPT=$dir PAYLOAD=$dir/payload
  export RECEIPT PAYLOAD
}

# say KIND STATUS [WORDS]: the answer; what the work printed stands behind bars, so that it can be no answer of ours
say() {
  printf '\nAUDITOR-STEP-BEGIN %s %s\n' "$1" "$2"
  if [ -n "$3" ]; then printf '%s\n' "$3"; elif [ -r "$dir/output" ]; then tail -c 16000 "$dir/output"; fi |
    tr '\000' '?' | awk '{ print "|" $0 }'
  printf 'AUDITOR-STEP-END\n'
  exit 0
}

# whole FILE SHA256
whole() { [ "$(sha256sum "$1" 2>/dev/null | cut -d' ' -f1)" = "$2" ]; }

# forget: a step that was never begun leaves nothing
forget() {
  rm -f "$dir/payload" "$dir/payload".* "$dir/work" "$dir/work".* "$dir/claim".* "$dir/ending"
  rmdir "$dir" "$home"
} 2>/dev/null
