# SPDX-License-Identifier: Apache-2.0
# Knows nothing of the domain. Links libc alone.
noinst_LTLIBRARIES += libnsx-lib.la
libnsx_lib_la_CFLAGS = $(STRICT_CFLAGS)
libnsx_lib_la_SOURCES = \
	lib/arena.c lib/arena.h \
	lib/clock.h \
	lib/crc32c.c lib/crc32c.h \
	lib/err.c lib/err.h \
	lib/fd.c lib/fd.h \
	lib/sha256.c lib/sha256.h \
	lib/sys.h \
	lib/table.c lib/table.h \
	lib/text.c lib/text.h \
	lib/text_stream.c lib/text_stream.h \
	lib/util.h \
	lib/vfork.c lib/vfork.h
