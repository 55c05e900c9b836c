# feathub: one PostgreSQL extension.  Plain PGXS: make, make install, make
# installcheck.  "make demo" and "make test" need nothing installed before.

EXTENSION = feathub
MODULE_big = feathub
DATA = $(wildcard feathub--*.sql)

# One list per folder, in the order in which they may call each other.
objects = $(patsubst %.c,%.o,$(sort $(wildcard $(1)/*.c))) $(patsubst %.cpp,%.o,$(sort $(wildcard $(1)/*.cpp)))
CORE_OBJS = $(call objects,src/core)
FORMATS_OBJS = $(call objects,src/formats)
CONNECTORS_OBJS = $(call objects,src/connectors) $(call objects,src/connectors/kafka)
FDW_OBJS = $(call objects,src/fdw)
INGEST_OBJS = $(call objects,src/ingest)
FEATURES_OBJS = $(call objects,src/features)
OBJS = src/feathub.o $(CORE_OBJS) $(FORMATS_OBJS) $(CONNECTORS_OBJS) $(FDW_OBJS) $(INGEST_OBJS) $(FEATURES_OBJS)

PG_CPPFLAGS = -I$(srcdir)/src $(shell pkg-config --cflags rdkafka simdjson)
PG_CXXFLAGS = -std=c++17 -fno-exceptions -fno-rtti
SHLIB_LINK += $(shell pkg-config --libs rdkafka simdjson) -lstdc++

REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
ISOLATION = $(sort $(patsubst src/test/specs/%.spec,%,$(wildcard src/test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/src/test --load-extension=feathub
TAP_TESTS = 1
PROVE_TESTS ?= src/test/t/*.pl

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# not every server build tracks headers
$(OBJS): $(wildcard $(srcdir)/src/*/*.h $(srcdir)/src/*/*/*.h)
