/* SPDX-License-Identifier: Apache-2.0 */
/* Loopback by one ioctl, no netlink. See netup.h. */
#include "spawn/netup.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/fd.h"

int
netup_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	fd_auto int fd = -1;

	/* Any socket serves for the device ioctls, whatever families there
	 * are (netdevice(7)). */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Only the changeable flags count; IFF_LOOPBACK stays (netdevice(7)).
	 */
	request.ifr_flags = IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}
