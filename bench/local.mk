# SPDX-License-Identifier: Apache-2.0
# "make bench": the driver, a payload without a libc, and the script that runs
# them beside the floor and the installed runtimes. Not part of "make all".
EXTRA_PROGRAMS += bench/bench-driver bench/payload
CLEANFILES += bench/bench-driver bench/payload
bench_bench_driver_SOURCES = \
	bench/bench.h \
	bench/client.c \
	bench/command.c \
	bench/commands.c bench/commands.h \
	bench/floor.c \
	bench/main.c \
	bench/rate.c
bench_bench_driver_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
bench_bench_driver_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
bench_bench_driver_LDADD = libnsx-rpc.la libnsx-lib.la

bench_payload_SOURCES = bench/payload.c
bench_payload_CFLAGS = -Os -ffreestanding -fno-stack-protector
bench_payload_LDFLAGS = -nostdlib -static -all-static
EXTRA_DIST += bench/run.py

.PHONY: bench
bench: all bench/bench-driver$(EXEEXT) bench/payload$(EXEEXT)
	NSX_BUILD=$(abs_builddir) python3 $(top_srcdir)/bench/run.py \
		--json bench/results.json $(BENCH_FLAGS)
