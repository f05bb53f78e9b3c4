# SPDX-License-Identifier: Apache-2.0

# The stages of a start, and the operations that they are made of.
noinst_LTLIBRARIES += libnsx-stage.la
libnsx_stage_la_CFLAGS = $(STRICT_CFLAGS)
libnsx_stage_la_LIBADD = libnsx-proto.la
libnsx_stage_la_SOURCES = \
	spawn/idmapwrite.c spawn/idmapwrite.h \
	spawn/nsjoin.c spawn/nsjoin.h \
	spawn/stage.h
