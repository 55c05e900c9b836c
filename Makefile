# feathub: one PostgreSQL extension.  Plain PGXS: make, make install, make
# installcheck.  "make demo" and "make test" need nothing installed before.

# These targets install what they need, so the server's makefiles may be absent.
SCRIPTED = demo test bench ci check-style
ifneq ($(filter $(SCRIPTED),$(MAKECMDGOALS)),)

.PHONY: $(SCRIPTED)
demo:			# a private server, real data, the main job; KEEP=1 leaves it running
	@src/test/demo/demo.sh
test:			# all tests on real servers; TEST=name for one of them
	@src/test/bin/test.sh
bench:			# figures on Apache Kafka; BENCH_ROWS=n, BENCH=part
	@src/test/bench/bench.sh
ci:				# what .ci/run does
	@.ci/run
check-style:	# exported symbols are prefixed, SQL objects have comments
	@src/test/bin/check_style.sh

else

EXTENSION = feathub
MODULE_big = feathub
DATA = $(wildcard feathub--*.sql)

# One list per folder, in the order in which they may call each other.
objects = $(patsubst %.c,%.o,$(sort $(wildcard $(1)/*.c))) $(patsubst %.cpp,%.o,$(sort $(wildcard $(1)/*.cpp)))
CORE_OBJS = $(call objects,src/core)
ASOF_OBJS = $(call objects,src/asof)
FORMATS_OBJS = $(filter-out $(PARQUET_OBJS) $(PROTOBUF_OBJS),$(call objects,src/formats))
# Libraries of their own, loaded at first use; see the end of this file.
PARQUET_OBJS = src/formats/parquet_arrow.o src/formats/parquet_module.o
PROTOBUF_OBJS = src/formats/protobuf_descriptor.o src/formats/protobuf_module.o
# A connector whose library is missing is left out; its wrapper then says so.
have = $(shell pkg-config --exists $(1) && echo yes)
CONNECTORS = kafka filesystem
PACKAGES = rdkafka simdjson
ifneq ($(call have,libmariadb),)
CONNECTORS += mysql
PACKAGES += libmariadb
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_MYSQL
endif
ifneq ($(call have,hiredis openssl),)
CONNECTORS += redis
PACKAGES += hiredis openssl
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_REDIS
endif
# Compressions of files and formats, likewise.
ifneq ($(call have,zlib),)
PACKAGES += zlib
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_ZLIB
endif
ifneq ($(call have,libzstd),)
PACKAGES += libzstd
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_ZSTD
endif
ifneq ($(call have,liblz4),)
PACKAGES += liblz4
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_LZ4
endif
ifneq ($(call have,snappy),)
PACKAGES += snappy
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_SNAPPY
endif
ifneq ($(call have,liblzma),)
PACKAGES += liblzma
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_LZMA
endif
# Schema registries.
ifneq ($(call have,libcurl),)
PACKAGES += libcurl
FEATHUB_CPPFLAGS += -DFEATHUB_WITH_CURL
endif
# Apache Arrow: by pkg-config, or in ARROW_HOME, which may be the folder of
# Python's package pyarrow.
ifeq ($(shell pkg-config --atleast-version=21 arrow && pkg-config --exists parquet && echo yes),yes)
ARROW_CPPFLAGS = $(shell pkg-config --cflags arrow parquet)
ARROW_LIBS = $(shell pkg-config --libs parquet arrow)
else ifneq ($(ARROW_HOME),)
ARROW_DIR = $(patsubst %/,%,$(dir $(firstword $(wildcard $(ARROW_HOME)/libparquet.so* $(ARROW_HOME)/lib/libparquet.so*))))
ARROW_CPPFLAGS = -isystem $(ARROW_HOME)/include
ARROW_LIBS = $(foreach l,parquet arrow,$(firstword $(wildcard $(ARROW_DIR)/lib$(l).so*))) -Wl,-rpath,$(ARROW_DIR)
endif
# Protocol Buffers, whose parser's headers come with the compiler's.
ifneq ($(call have,protobuf),)
ifneq ($(wildcard $(shell pkg-config --variable=includedir protobuf)/google/protobuf/compiler/parser.h),)
PROTOBUF_CPPFLAGS = $(shell pkg-config --cflags protobuf)
PROTOBUF_LIBS = $(shell pkg-config --libs protobuf)
endif
endif
CONNECTORS_OBJS = $(call objects,src/connectors) $(foreach c,$(CONNECTORS),$(call objects,src/connectors/$(c)))
FDW_OBJS = $(call objects,src/fdw)
INGEST_OBJS = $(call objects,src/ingest)
FEATURES_OBJS = $(call objects,src/features)
OBJS = src/feathub.o $(CORE_OBJS) $(ASOF_OBJS) $(FORMATS_OBJS) $(CONNECTORS_OBJS) $(FDW_OBJS) $(INGEST_OBJS) $(FEATURES_OBJS)

PG_CPPFLAGS = -I$(srcdir)/src $(shell pkg-config --cflags $(PACKAGES)) $(FEATHUB_CPPFLAGS)
PG_CXXFLAGS = -std=c++17 -fno-exceptions -fno-rtti
SHLIB_LINK += $(shell pkg-config --libs $(PACKAGES)) -lstdc++

# A server with src/test/regress.conf in its configuration is needed for these.
REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
ISOLATION = $(sort $(patsubst src/test/specs/%.spec,%,$(wildcard src/test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/src/test --load-extension=feathub
TAP_TESTS = 1
PROVE_TESTS ?= src/test/t/*.pl
PROVE_FLAGS += -I src/test/perl

EXTRA_CLEAN = $(PARQUET_OBJS) feathub_parquet.so $(PROTOBUF_OBJS) feathub_protobuf.so
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error $(PG_CONFIG) not found: install postgresql-server-dev-15, or set PG_CONFIG; "make demo" and "make test" install what they need)
endif
include $(PGXS)

# the server's makefiles give COPT to C only
ifdef COPT
CXXFLAGS += $(COPT)
endif

# not every server build tracks headers
$(OBJS) $(PARQUET_OBJS) $(PROTOBUF_OBJS): $(wildcard $(srcdir)/src/*/*.h $(srcdir)/src/*/*/*.h)

ifneq ($(ARROW_LIBS),)
all: feathub_parquet$(DLSUFFIX)
install: install-parquet

# Arrow's headers have exceptions and newer C++; nothing but the C interface is seen.
src/formats/parquet_arrow.o: src/formats/parquet_arrow.cpp
	$(CXX) -std=c++20 -O2 -g -fPIC -fvisibility=hidden $(COPT) -I$(srcdir)/src $(ARROW_CPPFLAGS) -c -o $@ $<

feathub_parquet$(DLSUFFIX): $(PARQUET_OBJS)
	$(CXX) -shared -o $@ $(PARQUET_OBJS) $(COPT) $(ARROW_LIBS)

.PHONY: install-parquet
install-parquet: feathub_parquet$(DLSUFFIX)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_SHLIB) feathub_parquet$(DLSUFFIX) '$(DESTDIR)$(pkglibdir)/'

uninstall: uninstall-parquet
.PHONY: uninstall-parquet
uninstall-parquet:
	rm -f '$(DESTDIR)$(pkglibdir)/feathub_parquet$(DLSUFFIX)'
endif

ifneq ($(PROTOBUF_LIBS),)
all: feathub_protobuf$(DLSUFFIX)
install: install-protobuf

src/formats/protobuf_descriptor.o: src/formats/protobuf_descriptor.cpp
	$(CXX) -std=c++17 -O2 -g -fPIC -fvisibility=hidden $(COPT) -I$(srcdir)/src $(PROTOBUF_CPPFLAGS) -c -o $@ $<

feathub_protobuf$(DLSUFFIX): $(PROTOBUF_OBJS)
	$(CXX) -shared -o $@ $(PROTOBUF_OBJS) $(COPT) $(PROTOBUF_LIBS)

.PHONY: install-protobuf
install-protobuf: feathub_protobuf$(DLSUFFIX)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_SHLIB) feathub_protobuf$(DLSUFFIX) '$(DESTDIR)$(pkglibdir)/'

uninstall: uninstall-protobuf
.PHONY: uninstall-protobuf
uninstall-protobuf:
	rm -f '$(DESTDIR)$(pkglibdir)/feathub_protobuf$(DLSUFFIX)'
endif

endif
