# SPDX-License-Identifier: Apache-2.0
# Unit tests are cmocka programs, one block each at the end of this file.
# Integration tests are Python and need no entry: ./check finds them.
EXTRA_DIST += \
	check quickstart \
	tests/asan_suites.txt \
	tests/expected_skips.txt \
	tests/run.py \
	tests/lib/build.sh tests/lib/harness.py \
	tests/lint/allow.txt tests/lint/lint.py

.PHONY: lint
lint: all
	$(AM_V_at)python3 $(top_srcdir)/tests/lint/lint.py --build $(abs_builddir)
