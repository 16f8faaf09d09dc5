#!/bin/sh
# Runs as the first process of a new container (mount, pid, uts and ipc namespaces are already its own) and makes its
# root: the host's programs read-only, everything else its own. Then it says "ready" and stays until its standard
# input ends, so that no container outlives the test that made it.
#
#   container.sh ROOT STYLE MODE PEERS [HOST-DIRECTORY=DIRECTORY]...
#
#   STYLE  pivot   the old root is gone, as in most container runtimes
#          chroot  the namespace's own root is still the host's tree, as on a system that runs from an initramfs
#   MODE   memory  ROOT is covered by a tmpfs that goes with the container
#          disk    ROOT is used as it is and what is in it stays
#          sealed  like memory, and read-only but for /run and /tmp
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 style=$2 mode=$3 peers=$4
shift 4

if [ "$mode" = disk ]; then
  mount --bind "$root" "$root"
else
  mount -t tmpfs -o mode=755 root "$root"
fi
for name in bin sbin lib lib32 lib64 libx32 usr; do
  if [ -L "/$name" ]; then
    [ -e "$root/$name" ] || cp -P "/$name" "$root/$name"
  elif [ -d "/$name" ]; then
    mkdir -p "$root/$name"
    mount -o bind,ro "/$name" "$root/$name"
  fi
done
mkdir -p "$root/etc" "$root/run" "$root/tmp" "$root/proc" "$root/dev" "$root/opt" "$root/peers"
chmod 1777 "$root/tmp"
for name in passwd group ld.so.cache; do
  [ ! -e "/etc/$name" ] || cp "/etc/$name" "$root/etc/$name"
done
mount -o bind,ro "$peers" "$root/peers"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for name in null zero urandom; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
for share in "$@"; do
  mkdir -p "$root${share#*=}"
  mount --bind "${share%%=*}" "$root${share#*=}"
done
if [ "$mode" = sealed ]; then
  mount -t tmpfs -o mode=755 run "$root/run"
  mount -t tmpfs -o mode=1777 tmp "$root/tmp"
fi

if [ "$style" = chroot ]; then
  exec chroot "$root" /bin/sh -c 'echo ready; exec cat >/dev/null'
fi
cd "$root"
mkdir -p .host
pivot_root . .host
cd /
umount -l /.host
rmdir /.host
[ "$mode" != sealed ] || mount -o remount,ro /
echo ready
exec cat >/dev/null
