# ---- the machine ---------------------------------------------------------------------------------

fact_os() {
  os_file=$ROOT/etc/os-release
  [ -r "$os_file" ] || os_file=$ROOT/usr/lib/os-release
  if [ -r "$os_file" ]; then
    os_name=$(value NAME "$os_file")
    os_version=$(value VERSION_ID "$os_file")
  else
    os_name=$(head -n 1 "$ROOT/etc/redhat-release" 2>/dev/null)
    os_version=
  fi
  member os "{\"name\":$(text "$os_name"),\"version\":$(text "$os_version")}"
  member kernel "$(text "$(uname -r)")"
  member architecture "$(text "$(uname -m)")"
  member hostname "$(text "$(uname -n)")"
  # what a 64-bit kernel runs may still be a 32-bit system; the fifth byte of a program tells
  os_bits=$(getconf LONG_BIT 2>/dev/null || case $(od -An -tu1 -j4 -N1 /bin/sh 2>/dev/null) in *1) echo 32 ;; *2) echo 64 ;; esac)
  case $os_bits in 32 | 64) member bits "$os_bits" ;; esac
}

fact_clock() {
  clock=$(date +%s.%N)
  case $clock in *[!0-9.]* | *.) clock=$(date +%s) ;; esac
  member clock "$clock"
}

fact_host() {
  tag=$ROOT/sys/class/dmi/id/chassis_asset_tag
  if [ -r "$tag" ]; then
    case $(cat "$tag") in
      7783-7084-3265-9085-8269-3286-77) member on_azure_host true ;;
      *) member on_azure_host false ;;
    esac
  else
    member on_azure_host "$(unseen "$tag is not readable")"
  fi
}

fact_firmware() {
  board=$ROOT/sys/class/dmi/id/product_uuid
  if [ ! -e "$board" ]; then
    member firmware_id null
  elif board_id=$(limit 3 $SUDO cat "$board" 2>/dev/null) && [ -n "$board_id" ]; then
    member firmware_id "$(str "$(printf '%s' "$board_id" | tr 'A-F' 'a-f')")"
  else
    member firmware_id "$(hidden "$board")"
  fi
}
