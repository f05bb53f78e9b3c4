# SPDX-License-Identifier: Apache-2.0
# Manual pages and what a packager ships beside them.
dist_man_MANS += \
	doc/nsexec.8 \
	doc/nsexecd-policy.5 \
	doc/nsexecd.8
dist_doc_DATA = \
	README.md \
	SECURITY.md \
	doc/ARCHITECTURE.md \
	doc/BOOTSTRAP.md \
	doc/ERRORS.md \
	doc/IDMAPS.md \
	doc/LIMITS.md \
	doc/METRICS.md \
	doc/NSEXEC.md \
	doc/PERFORMANCE.md \
	doc/ROOTLESS.md \
	doc/SOAK.md \
	proto/nsexec.proto
EXTRA_DIST += LICENSE autogen.sh
