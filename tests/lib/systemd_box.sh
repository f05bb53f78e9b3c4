# SPDX-License-Identifier: Apache-2.0
# systemd as PID 1 in namespaces, over the host's own root that stays as it is.
#
# usage: unshare --mount --uts --ipc --net --pid --cgroup --fork \
#	bash systemd_box.sh DIR CGROUP2 FILES SCRIPT LOG
# DIR: an empty directory to work in. CGROUP2: where the host has the cgroup v2
# hierarchy. FILES: a tree laid over the root. SCRIPT runs as a unit; its output
# goes to LOG and its exit status becomes that of PID 1. NSX_SYSTEMD_ROOT: the
# root to lie over, / or one with another systemd.
set -eu
dir=$1 cgroup2=$2 files=$3 script=$4 log=$5
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$dir"
root=$dir/root
mkdir "$dir/upper" "$dir/work" "$root"
cp -a "$files/." "$dir/upper/"
mount -t overlay overlay \
	-o "lowerdir=$NSX_SYSTEMD_ROOT,upperdir=$dir/upper,workdir=$dir/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
	: >"$root/dev/$name"
	mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx" # a private /dev has one, too
mkdir "$root/dev/shm" "$root/run/box"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
for name in script log; do
	: >"$root/run/box/$name"
	mount --bind "${!name}" "$root/run/box/$name"
done
: >"$root/etc/machine-id"
rm -f "$root/etc/fstab"
units=$root/run/systemd/system
mkdir -p "$units/box.target.wants"
cat >"$units/box.target" <<U
[Unit]
Description=The one script
AllowIsolate=yes
DefaultDependencies=no
Wants=systemd-journald.service systemd-journald.socket
U
cat >"$units/box.service" <<U
[Unit]
Description=The script
DefaultDependencies=no
After=systemd-journald.socket
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/bash /run/box/script
StandardOutput=file:/run/box/log
StandardError=file:/run/box/log
TimeoutStopSec=3
U
ln -s ../box.service "$units/box.target.wants/box.service"
for name in sysinit.target basic.target; do # nothing of the host's boot
	printf '[Unit]\nDefaultDependencies=no\n' >"$units/$name"
done
chroot "$root" systemd-sysusers /usr/local/lib/sysusers.d/nsexecd.conf
chroot "$root" systemd-tmpfiles --create \
	/usr/local/lib/tmpfiles.d/nsexecd.conf
cd "$root"
mkdir run/old
pivot_root . run/old
exec chroot . /bin/sh -c 'umount -l /run/old; rmdir /run/old
	exec env -i container=nsexecd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --system --unit=box.target \
		--log-target=journal --show-status=no' </dev/null
