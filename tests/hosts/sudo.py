"""A stand-in for sudo: it prompts, reads one line, and tries three times, as the real one was seen to do."""

import os
import stat
from pathlib import Path

RIGHT = f"root-me-gently-{os.getpid()}"
STANDIN = r"""#!/bin/sh
[ "$1 $2 $3" = "-k -S -p" ] || exit 99
prompt=$4
shift 4
[ "$1" = -- ] && shift
mode=$(cat FOLDER/mode)
case $mode in
  absent) echo "sh: 1: sudo: not found" >&2; exit 127 ;;
  tty) echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1 ;;
  mute) sleep 20; exit 1 ;;
  lecture) echo "We trust you have received the usual lecture: $*" >&2 ;;
esac
if [ "$mode" != free ]; then
  tries=0
  while :; do
    printf '%s' "$prompt" | sed 's/%p/azops/' >&2
    IFS= read -r got || { echo "sudo: no password was provided" >&2; exit 1; }
    echo "$got" >> FOLDER/given
    [ "$got" = "RIGHT" ] && break
    sleep 0.3
    tries=$((tries + 1))
    [ "$mode" = one-try ] && { echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
    [ $tries = 3 ] && { echo "sudo: 3 incorrect password attempts" >&2; exit 1; }
    echo "Sorry, try again." >&2
  done
fi
[ "$mode" = slow ] && sleep 1
if [ "$mode" = denied ]; then
  echo "Sorry, user azops is not allowed to execute '$*' as root on here." >&2
  exit 1
fi
STANDIN=root exec "$@"
"""


def install(folder: Path, mode: str) -> str:
    """Put the stand-in into a folder; gives the PATH that finds it first."""
    folder.mkdir()
    (folder / "mode").write_text(mode)
    (folder / "given").touch()
    (folder / "sudo").write_text(STANDIN.replace("FOLDER", str(folder)).replace("RIGHT", RIGHT))
    (folder / "sudo").chmod(stat.S_IRWXU)
    return f"{folder}:/usr/bin:/bin"
