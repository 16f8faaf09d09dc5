#!/bin/sh
# Runs as the first process of a new container (mount, pid, uts and ipc namespaces are already its own) and makes its
# root: the host's programs read-only, everything else its own. Then it says "ready" and stays until its standard
# input ends, so that no container outlives the test that made it.
#
#   container.sh ROOT STYLE MODE PROC INIT PEERS [HOST-DIRECTORY=DIRECTORY]...
#
#   STYLE  pivot   the old root is gone, as in most container runtimes
#          chroot  the namespace's own root is still the host's tree, as on a system that runs from an initramfs
#   MODE   memory  ROOT is covered by a tmpfs that goes with the container
#          disk    ROOT is used as it is and what is in it stays
#          overlay a layer over a root that has all that is below, as most container runtimes make it
#          sealed  like memory, and read-only but for /run and /tmp
#   PROC   open    a /proc of its own
#          hidden  one that shows a process to its owner only
#          none    no /proc at all
#   INIT   idle    does nothing
#          orders  carries out what it reads, line by line
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 style=$2 mode=$3 proc=$4 init=$5 peers=$6
shift 6

# As a program of its own, because chroot(1) starts one.
live='echo ready
  [ "$0" = orders ] || exec cat >/dev/null
  while read -r order; do eval "$order"; done'

if [ "$mode" = disk ]; then
  mount --bind "$root" "$root"
else
  mount -t tmpfs -o mode=755 root "$root"
fi
if [ "$mode" = overlay ]; then
  mkdir "$root/lower" "$root/upper" "$root/work"
  mkdir "$root/lower/run" "$root/lower/opt" "$root/lower/tmp"
  : >"$root/lower/opt/below"
  mount -t overlay -o "lowerdir=$root/lower,upperdir=$root/upper,workdir=$root/work" overlay "$root"
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
if [ "$proc" = hidden ]; then
  mount -t proc -o hidepid=2 proc "$root/proc"
else
  mount -t proc proc "$root/proc"
fi
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
  [ "$proc" != none ] || umount -l "$root/proc"
  exec chroot "$root" /bin/sh -c "$live" "$init"
fi
cd "$root"
mkdir -p .host
pivot_root . .host
cd /
umount -l /.host
rmdir /.host
# Not earlier: umount looks things up in it.
[ "$proc" != none ] || umount -l /proc
[ "$mode" != sealed ] || mount -o remount,ro /
exec sh -c "$live" "$init"
