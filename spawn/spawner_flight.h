/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start in flight, from the clone of its relay to the relay's reaping.
 */
#ifndef NSX_SPAWN_SPAWNER_FLIGHT_H
#define NSX_SPAWN_SPAWNER_FLIGHT_H

struct spawner;
struct start;

/*
 * Takes the relay and the descriptors of *start. There is a free row: the
 * table was looked at before the clone.
 */
void flight_begin(struct spawner *spawner, struct start *take_start);

#endif
