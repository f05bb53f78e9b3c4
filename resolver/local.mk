# SPDX-License-Identifier: Apache-2.0
# nsexec-resolver: the one program that links libsubid, which may load code.
libexec_PROGRAMS += nsexec-resolver
nsexec_resolver_CFLAGS = $(STRICT_CFLAGS)
nsexec_resolver_SOURCES = \
	resolver/confine.c resolver/confine.h \
	resolver/main.c \
	resolver/subid.c resolver/subid.h \
	resolver/user.c resolver/user.h
nsexec_resolver_LDADD = libnsx-policy.la libnsx-proto.la libnsx-lib.la \
	$(SUBID_LIBS)
