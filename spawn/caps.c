/* SPDX-License-Identifier: Apache-2.0 */
/* Capability sets around the change of ids. See caps.h. */
#include "spawn/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
header_init(struct __user_cap_header_struct *header)
{
	header->version = _LINUX_CAPABILITY_VERSION_3;
	header->pid = 0;
}

int
caps_set(const struct capset_words *words)
{
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];
	unsigned int i;

	header_init(&header);
	for (i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(words->effective >> (32 * i));
		data[i].permitted = (uint32_t)(words->permitted >> (32 * i));
		data[i].inheritable =
			(uint32_t)(words->inheritable >> (32 * i));
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int
caps_get(struct capset_words *ret)
{
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];

	header_init(&header);
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	ret->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	ret->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	ret->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable
							 << 32;
	return 0;
}

void
caps_build(const struct bootstrap_caps *asked, bool keep,
	   const struct capset_words *held, struct capset_words *ret)
{
	const struct capset_words none = { 0, 0, 0 };

	*ret = keep ? *held : none;
	ret->inheritable = 0;
	if (asked->present & BOOTSTRAP_CAPS_PERMITTED)
		ret->permitted = asked->permitted;
	if (asked->present & BOOTSTRAP_CAPS_EFFECTIVE)
		ret->effective = asked->effective;
	if (asked->present & BOOTSTRAP_CAPS_INHERITABLE)
		ret->inheritable = asked->inheritable;
	/* A permitted set named alone bounds the effective one. */
	if (!(asked->present & BOOTSTRAP_CAPS_EFFECTIVE))
		ret->effective &= ret->permitted;
}

/*
 * Does what is held stay where nothing else is asked? An ordinary caller's
 * relay dropped everything: what its init holds was given by a user namespace
 * that is the caller's own, and ends at that namespace (user_namespaces(7)).
 */
static bool
caps_stay(const struct stage_context *context)
{
	return stage_is_admin(context) ||
	       ((context->create | context->joined) & CLONE_NEWUSER);
}

static struct bootstrap_caps
caps_asked(const struct stage_context *context)
{
	const struct bootstrap_caps none = { 0 };

	if (bootstrap_has(context->msg, BOOTSTRAP_CAPS))
		return context->msg->caps;
	return none;
}

int
caps_drop_bounding(struct stage_context *context, uint64_t keep)
{
	unsigned int cap;
	int held;

	for (cap = 0; cap < 64; cap++) {
		held = prctl(PR_CAPBSET_READ, (unsigned long)cap, 0, 0, 0);
		if (held < 0)
			return 0; /* beyond the kernel's last one */
		if (!held || (keep >> cap & 1))
			continue;
		/* EPERM without CAP_SETPCAP: a caller that has no capability
		 * of its own gets none by exec either, under no_new_privs. */
		if (prctl(PR_CAPBSET_DROP, (unsigned long)cap, 0, 0, 0) < 0)
			return errno == EPERM && !stage_is_admin(context)
				       ? 0
				       : stage_fail(context, "capabilities",
						    "prctl", errno,
						    "bounding set %u", cap);
	}
	return 0;
}

int
caps_prepare(struct stage_context *context)
{
	struct bootstrap_caps asked = caps_asked(context);
	uint64_t keep = 0;
	int r;

	if (asked.present & BOOTSTRAP_CAPS_BOUNDING)
		keep = asked.bounding;
	if ((asked.present & BOOTSTRAP_CAPS_BOUNDING) || !caps_stay(context)) {
		r = caps_drop_bounding(context, keep);
		if (r < 0)
			return r;
	}
	if ((asked.present &
	     (BOOTSTRAP_CAPS_PERMITTED | BOOTSTRAP_CAPS_AMBIENT)) &&
	    (asked.permitted | asked.ambient) &&
	    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return stage_fail(context, "capabilities", "prctl", errno,
				  "keep");
	return 0;
}

static int
ambient_set(struct stage_context *context, uint64_t ambient)
{
	unsigned int cap;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return stage_fail(context, "capabilities", "prctl", errno,
				  "ambient");
	for (cap = 0; cap < 64; cap++)
		if ((ambient >> cap & 1) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
			  (unsigned long)cap, 0, 0) < 0)
			return stage_fail(context, "capabilities", "prctl",
					  errno, "ambient %u", cap);
	return 0;
}

int
caps_finish(struct stage_context *context)
{
	struct bootstrap_caps asked = caps_asked(context);
	struct capset_words held, wanted;
	uint64_t ambient = 0;
	int r;

	r = caps_get(&held);
	if (r < 0)
		return stage_fail(context, "capabilities", "capget", -r, "%s",
				  "");
	caps_build(&asked, caps_stay(context), &held, &wanted);
	if (wanted.effective != held.effective ||
	    wanted.permitted != held.permitted ||
	    wanted.inheritable != held.inheritable) {
		r = caps_set(&wanted);
		if (r < 0)
			return stage_fail(
				context, "capabilities", "capset", -r,
				"permitted %lx effective %lx inheritable %lx",
				(unsigned long)wanted.permitted,
				(unsigned long)wanted.effective,
				(unsigned long)wanted.inheritable);
	}
	if (asked.present & BOOTSTRAP_CAPS_AMBIENT)
		ambient = asked.ambient;
	/* The ambient set is always within the inheritable one. */
	if (ambient == 0 && held.inheritable == 0)
		return 0;
	return ambient_set(context, ambient);
}
