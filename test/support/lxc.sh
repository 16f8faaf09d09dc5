#!/bin/sh
# Runs one LXC container to its end and removes what LXC leaves on the host then, so that nothing of it outlives the
# test that made it, not even if that was killed: the container's first process ends with its standard input.
#
#   lxc.sh LXCPATH NAME CGROUP COMMAND [ARGUMENT]...
#
#   LXCPATH  holds NAME/config and whatever else is this container's alone; removed too
#   CGROUP   what that config calls the folder of its cgroups, in every hierarchy
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
lxcpath=$1 name=$2 cgroup=$3
shift 3

# A signal meant for the whole test must not keep this from cleaning up. The container gets the default back.
trap : HUP INT TERM
lxc-start -F -P "$lxcpath" -n "$name" -- "$@"
code=$?

# lxc-start is in its last cgroup when it ends and cannot remove that one itself.
find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null
rm -rf --one-file-system "/run/lxc/lock$lxcpath" "$lxcpath"
exit $code
