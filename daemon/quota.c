/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of starts; see quota.h. */
#include "daemon/quota.h"

#include <errno.h>

#include "daemon/config.h"
#include "daemon/container_table.h"
#include "lib/clock.h"

static int
refuse(struct error *error, enum errcode code, const char *what, uint32_t max)
{
	(void)error_set(error, code, "check-quota", what, "",
			code == ERRCODE_RATE ? "slow down"
					     : "wait for others to end");
	error_rule(error, "the limit is %u", max);
	return -EINVAL;
}

/* A token bucket: burst at most, refilled by the clock. */
static bool
take_token(struct owner *owner, const struct config_limits *limits)
{
	int64_t now = clock_boottime_ms();

	if (owner->tokens < 0)
		owner->tokens = limits->starts_burst;
	else
		owner->tokens += (double)(now - owner->tokens_ms) *
				 limits->starts_per_second / 1000.0;
	if (owner->tokens > limits->starts_burst)
		owner->tokens = limits->starts_burst;
	owner->tokens_ms = now;
	if (owner->tokens < 1)
		return false;
	owner->tokens -= 1;
	return true;
}

static int
check_owner(const struct owner *owner, const struct config_limits *limits,
	    bool container, struct error *error)
{
	if (owner->in_flight >= limits->starts_per_owner)
		return refuse(error, ERRCODE_QUOTA, "your starts in flight",
			      limits->starts_per_owner);
	if (container && owner->live >= limits->containers_per_owner)
		return refuse(error, ERRCODE_QUOTA, "your live containers",
			      limits->containers_per_owner);
	return 0;
}

int
quota_check(struct daemon *daemon, const struct rpc_caller *caller,
	    bool container, struct error *error)
{
	const struct config_limits *limits = &daemon->config->limits;
	struct owner *owner = owner_counts(daemon->containers, caller->uid);
	size_t max = limits->starts_in_flight;
	bool admin = caller->uid == 0;
	int r;

	if (!owner)
		return refuse(error, ERRCODE_OVERLOADED, "memory", 0);
	if (!admin)
		max -= max / 20;
	if (container_table_in_flight(daemon->containers) >= max)
		return refuse(error, ERRCODE_OVERLOADED, "starts in flight",
			      (uint32_t)max);
	if (container &&
	    container_table_live(daemon->containers) >=
		    (admin ? limits->containers
			   : limits->containers - limits->containers / 20))
		return refuse(error, ERRCODE_OVERLOADED, "live containers",
			      limits->containers);
	if (admin)
		return 0;
	r = check_owner(owner, limits, container, error);
	if (r < 0)
		return r;
	if (!take_token(owner, limits))
		return refuse(error, ERRCODE_RATE, "your starts per second",
			      limits->starts_per_second);
	return 0;
}
