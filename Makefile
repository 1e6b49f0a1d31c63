# dfb.  'make demo' to see it work, 'make check' to test it, 'make help' for the rest.

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
LIBDIR  ?= $(PREFIX)/lib
INCDIR  ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
DESTDIR ?=

# B: where everything is built.  SAN=1: with sanitizers, in a place of its own.
B := build$(if $(SAN),/san)
Q := $(if $(VERBOSE),,@)

VERSION = $(shell sed -n 's/^.define DFB_VERSION "\(.*\)"/\1/p' lib/base/opt.h)
SONAME := libdfb.so.0

CFLAGS ?= -O2 -g
WARN   := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wvla -Werror
HARDEN := -fstack-protector-strong
SANITIZE :=
ifneq ($(FUZZ),)
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
else ifneq ($(SAN),)
SANITIZE := -fsanitize=address,undefined,leak -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
else
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
NO_UNDEFINED := -Wl,-z,defs
endif

# Asked for once, and only after the dependencies are there.
PKGS := libzmq jansson libbsd-overlay libsystemd libsodium
PKG_CFLAGS = $(eval PKG_CFLAGS := $(subst -I,-isystem ,$(shell pkg-config --cflags $(PKGS))))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS)) -ldb -lpthread -lm)$(PKG_LIBS)

# All objects can go into the shared library; calls between them stay direct.
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -Ilib -Icmd $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS) \
	$(WARN) -fPIC -fno-semantic-interposition $(HARDEN) $(SANITIZE)
LINK = $(CC) $(CFLAGS) $(SANITIZE) -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

# Programs have ZeroMQ and what it needs inside, so that they start fast: with the twenty
# shared libraries of Debian's libzmq a process takes four times as long to begin.  STATIC=
# links them shared.  Without the archives, and under sanitizers, they are shared anyway.
STATIC ?= $(if $(SAN)$(FUZZ),,yes)
archive = $(filter /%,$(shell $(CC) -print-file-name=$(1) 2>/dev/null))
INSIDE_NAMES := zmq sodium jansson bsd md stdc++
INSIDE = $(eval INSIDE := $(foreach l,$(INSIDE_NAMES),$(call archive,lib$l.a)))$(INSIDE)
IS_STATIC = $(and $(STATIC),$(filter $(words $(INSIDE_NAMES)),$(words $(INSIDE))))
PROG_LIBS = $(if $(IS_STATIC),$B/absent.o $(INSIDE) -static-libgcc \
	$(filter-out $(INSIDE_NAMES:%=-l%) -lpthread -lm,$(PKG_LIBS)) -lpthread -lm,$(PKG_LIBS))

objs = $(patsubst %.c,$B/obj/%.o,$(wildcard $(1)))

LIB_OBJS   := $(call objs,$(foreach d,base wire net client,lib/$d/*.c))
STORE_OBJS := $(call objs,lib/store/*.c)
# Directories of shared code, not programs; what a program does not use stays out of it.
TOOL_OBJS := $(call objs,cmd/common/*.c cmd/daemon/*.c)
PROGS     := $(patsubst cmd/%/,%,$(sort $(dir $(wildcard cmd/dfb-*/*.c))))
TESTS     := $(patsubst tests/unit/%.c,$B/tests/%,$(wildcard tests/unit/test_*.c))
BENCHES   := $(patsubst tests/bench/%.c,$B/bench/%,$(filter-out \
	$(if $(wildcard /usr/include/hiredis/hiredis.h),,%/peer_redis.c), \
	$(wildcard tests/bench/bench_*.c tests/bench/peer_*.c)))
BENCH_OBJS := $(call objs,tests/bench/meter.c tests/bench/text.c)
FUZZERS   := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
BINS      := $(PROGS:%=$B/bin/%)
LIBS      := $B/libdfb.a $B/libdfb.so
ARCHIVES  := $B/tools.a $B/store.a $B/libdfb.a

# Work on all processors, unless told otherwise.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all demo check bench lint faults fuzz fuzz-run torture man install uninstall clean \
	deps deps-check build-tests build-bench help FORCE

all: $(BINS) $(LIBS)

help:
	@echo "make              build the programs and libdfb"
	@echo "make demo         install what is missing, build, show a bus at work"
	@echo "make check        install what is missing, build, run every test"
	@echo "                  T='test_buf send.bats' runs some of them, SAN=1 under the"
	@echo "                  sanitizers, VALGRIND=1 unit tests under valgrind"
	@echo "make deps         install what is missing (the list: packages)"
	@echo "make lint man     lints alone; manual pages checked and rendered"
	@echo "make torture      1000 rounds of kill -9 (ROUNDS=N, SEED=S): nothing may be lost"
	@echo "make faults       every call of the system that can fail, fails (EVERY=17: each 17th);"
	@echo "                  a part of make torture"
	@echo "make bench        install what is missing, measure beside peers, under 10 minutes;"
	@echo "                  BENCH='--json FILE call calls' runs some rows"
	@echo "make fuzz         fuzzers with libFuzzer, FUZZ_TIME=60 seconds each, or"
	@echo "                  FUZZ_RUNS=N; T='fuzz_json fuzz_opt' some of them"
	@echo "make install      to DESTDIR/PREFIX; uninstall removes it"
	@echo "VERBOSE=1 shows the commands; CC, CFLAGS, LDFLAGS and B=DIR work as usual"

# ---- dependencies ----------------------------------------------------------

# check, demo and bench install what is missing; everything else only says so.
DEPS := $(if $(filter check demo bench deps,$(MAKECMDGOALS)),deps,deps-check)

deps:
	@tests/deps build test $(if $(VALGRIND),valgrind)
deps-check:
	@tests/deps -n build

# ---- objects, libraries, programs ------------------------------------------

# A change of compiler or flags builds everything again.
$B/flags: FORCE | $(DEPS)
	@mkdir -p $(@D)
	@echo '$(COMPILE) / $(LINK) / $(PROG_LIBS)' | cmp -s - $@ || \
	    echo '$(COMPILE) / $(LINK) / $(PROG_LIBS)' >$@

$B/obj/%.o: %.c $B/flags
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$B/libdfb.a: $(LIB_OBJS) $B/flags
	@echo "  ar    $@"
	@rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJS)

# The store is the daemons' alone.  It stands in for functions of the C library (gather.c),
# which is nothing for a program that links libdfb.
$B/store.a: $(STORE_OBJS) $B/flags
	@echo "  ar    $@"
	@rm -f $@
	$(Q)$(AR) rcs $@ $(STORE_OBJS)

$B/tools.a: $(TOOL_OBJS) $B/flags
	@echo "  ar    $@"
	@rm -f $@
	$(Q)$(AR) rcs $@ $(TOOL_OBJS)

$B/$(SONAME): $(LIB_OBJS) lib/libdfb.map $B/flags
	@echo "  link  $@"
	$(Q)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=lib/libdfb.map \
	    $(NO_UNDEFINED) -o $@ $(LIB_OBJS) $(PKG_LIBS)

$B/libdfb.so: $B/$(SONAME)
	@ln -sf $(SONAME) $@

define link
	@mkdir -p $(@D)
	@echo "  link  $@"
	$(Q)$(LINK) -o $@ $(filter-out %/absent.o,$(filter %.o,$^)) $(filter %.a,$^) $(MORE_LIBS) \
	    $(LIBRARIES) $(LINK_$(@F))
endef
LIBRARIES = $(PKG_LIBS)

# Debian's libzmq.a refers to the libraries of transports and mechanisms that dfb never
# uses (PGM, NORM, GSSAPI): what it misses of them is only there to be linked.
$B/absent.o: lib/net/absent.sh $B/flags
	@mkdir -p $(@D)
	@echo "  cc    $@"
	$(Q)lib/net/absent.sh $(filter %/libzmq.a,$(INSIDE)) | \
	    $(CC) $(CFLAGS) -fPIC -w -x c -c -o $@ -

define program
$B/bin/$(1): LIBRARIES = $$(PROG_LIBS)
$B/bin/$(1): $(call objs,cmd/$(1)/*.c) $(ARCHIVES) $B/absent.o
	$$(link)
endef
$(foreach p,$(PROGS),$(eval $(call program,$p)))

# ---- tests -----------------------------------------------------------------

# What a test needs besides the library.
$B/tests/test_names_registry: $(addprefix $B/obj/cmd/dfb-names/,registry.o rows.o)
$B/tests/test_catalog: $(addprefix $B/obj/cmd/dfb-gsl/,catalog.o entry.o)
$B/tests/test_filter: $B/obj/cmd/dfb-broker/filter.o
$B/tests/test_timers: $(addprefix $B/obj/cmd/dfb-broker/,timer.o timer_read.o timer_row.o \
	state.o)
$B/tests/test_histogram: $(addprefix $B/obj/cmd/dfb-bench/,histogram.o)

SGS_BOOK := $(addprefix $B/obj/cmd/dfb-sgs/,affinity.o book.o command.o distance.o edit.o \
	states.o)
$B/tests/test_services: $(SGS_BOOK)

BROKER_OBJS := $(filter-out %/main.o,$(call objs,cmd/dfb-broker/*.c))
$B/tests/test_letters: $(BROKER_OBJS)

$B/tests/%: MORE_LIBS := -lcmocka
$B/tests/%: $B/obj/tests/unit/%.o $(ARCHIVES)
	$(link)

$B/bench/peer_redis: MORE_LIBS := -lhiredis
$B/bench/%: $B/obj/tests/bench/%.o $(BENCH_OBJS) $(ARCHIVES)
	$(link)

# The crash harness: its programs, and a broker that lies (tests/crash/lie.c says how).
CRASH := $(addprefix $B/crash/,producer consumer caller life checker lying-broker)
crash_obj = $(patsubst %,$B/obj/tests/crash/%.o,$(1))
LIES := dfb_store_commit dfb_store_flush commit_dirty_producer dfb_batch_put dfb_store_scan \
	moves_limit group_balance gray_lane

$B/crash/checker: $(call objs,tests/crash/check*.c)
$B/crash/life: $(call crash_obj,proc plan bus)
$B/crash/lying-broker: MORE_LIBS := $(LIES:%=-Wl,--wrap=%)
$B/crash/lying-broker: $(call objs,cmd/dfb-broker/*.c) $(call crash_obj,lie) $(ARCHIVES)
	$(link)
$B/crash/%: $B/obj/tests/crash/%.o $(call crash_obj,ledger) $(ARCHIVES)
	$(link)

# Daemons with hooks for faults in them, and the life that they have in tests/faults.
ALLOCATORS := malloc calloc realloc reallocarray
FAULTY_DAEMONS := dfb-broker dfb-names dfb-sgs dfb-gsl
FAULTY := $(FAULTY_DAEMONS:%=$B/faults/%) $B/faults/life
$(foreach p,$(FAULTY_DAEMONS),$(eval $B/faults/$p: $(call objs,cmd/$p/*.c)))
$B/faults/dfb-%: MORE_LIBS := $(ALLOCATORS:%=-Wl,--wrap=%)
$B/faults/dfb-%: $B/obj/tests/faults/hooks.o $(ARCHIVES)
	$(link)
$B/faults/life: $(call objs,tests/faults/life*.c tests/faults/child.c)
	$(link)

# A fuzzer is linked with libFuzzer by 'make fuzz', with a driver of ours for 'make check'.
# What one needs besides the library.
$B/fuzz_rows $B/tests/fuzz_rows: $B/obj/cmd/dfb-names/rows.o $(BROKER_OBJS)
$B/fuzz_catalog $B/tests/fuzz_catalog: $(addprefix $B/obj/cmd/dfb-gsl/,catalog.o entry.o \
	locate.o)
$B/fuzz_broker $B/tests/fuzz_broker: $(BROKER_OBJS)
$B/fuzz_import $B/tests/fuzz_import: $(addprefix $B/obj/cmd/dfb-ctl/,catalog_read.o catalog_plan.o \
	catalog_write.o settings.o merge.o)
$B/fuzz_text $B/tests/fuzz_text: $B/obj/cmd/dfb-recv/reason.o
# Functions that a fuzzer has of its own.
wrap = $(addprefix -Wl$(comma)--wrap=,$(1))
comma := ,
$B/fuzz_services $B/tests/fuzz_services: $(SGS_BOOK)
LINK_fuzz_services := $(call wrap,dfb_store_commit dfb_store_checkpoint dfb_store_get)
LINK_fuzz_opt := $(call wrap,exit log_errx)
LINK_fuzz_broker = $(call wrap,$(shell \
	sed -n 's/^WRAP([^,]*, \([a-z_]*\)[,)].*/\1/p' tests/fuzz/fuzz_broker.c))

$B/fuzz_%: MORE_LIBS := -fsanitize=fuzzer
$B/fuzz_%: $B/obj/tests/fuzz/fuzz_%.o $(ARCHIVES)
	$(link)

$B/tests/fuzz_%: MORE_LIBS :=
$B/tests/fuzz_%: $B/obj/tests/fuzz/fuzz_%.o $B/obj/tests/fuzz/driver.o $(ARCHIVES)
	$(link)

build-tests: all $(TESTS) $(CRASH) $(FAULTY) $(FUZZERS:%=$B/tests/%)

RUN = B=$(abspath $B) CC='$(CC)' SAN=$(SAN) VALGRIND=$(VALGRIND) tests/run

check: deps build-tests
	@$(RUN) $(T)

lint: all
	@$(RUN) --lint

# Two steps: what can be built is known when the packages are there.  BENCH: rows, options.
bench: deps
	@tests/deps -o bench
	@$(MAKE) --no-print-directory build-bench
	@B=$(abspath $B) tests/bench/run $(BENCH)

build-bench: all $(BENCHES)

torture: all $(CRASH)
	@B=$(abspath $B) tests/crash/run --rounds $(or $(ROUNDS),1000) $(if $(SEED),--seed $(SEED))
	@B=$(abspath $B) tests/crash/scheduled -n 1000000 -b 100 -a 60
	@B=$(abspath $B) tests/services/storm -n 20 -t 20
	@BIN=$(abspath $B/bin) JOIN_SECONDS=60 bats -f 'join and leave' tests/delivery-follow.bats

# Every fault at every call, some 20,000 runs: over an hour on two cores.
faults: all $(FAULTY)
	@B=$(abspath $B) nice tests/faults/run -k $(or $(EVERY),1)
torture: faults

demo: deps all
	@BIN=$(abspath $B/bin) PATH=$(abspath $B/bin):$$PATH tests/demo.sh

FUZZ_TIME ?= 60
FUZZ_LEN  ?= 512
CHOSEN    := $(if $(T),$(filter $T,$(FUZZERS)),$(FUZZERS))
fuzz:
	@tests/deps build fuzz
	@$(MAKE) --no-print-directory FUZZ=1 SAN= CC=clang B=$B/fuzz fuzz-run

fuzz-run: $(CHOSEN:%=$B/%)
	@rc=0; for f in $(CHOSEN); do \
	    seeds=tests/fuzz/corpus/$${f#fuzz_} log=$B/$$f.log; mkdir -p $B/corpus/$$f; \
	    $B/$$f $(if $(FUZZ_RUNS),-runs=$(FUZZ_RUNS),-max_total_time=$(FUZZ_TIME)) \
	        -max_len=$(FUZZ_LEN) -timeout=10 -artifact_prefix=$B/$$f- \
	        $B/corpus/$$f $$seeds >$$log 2>&1 || { tail -n 60 $$log; rc=1; }; \
	    echo "== $$f"; grep -aE '^(#.*DONE|Done )' $$log; \
	done; exit $$rc

# ---- manual pages, installation --------------------------------------------

MAN := $(wildcard man/*.[1-9])

man:
	@B=$(abspath $B) tests/lint/man
	@mkdir -p $B/man
	@for m in $(MAN); do mandoc -T utf8 $$m >$B/$$m.txt; done

# MODE:FILE:WHERE; files named *.in have @words@ replaced.
UNITS := $(wildcard $(foreach x,service socket target timer path,systemd/*.$x systemd/*.$x.in))
FILES = $(BINS:%=755:%:$(BINDIR)/) \
	644:$B/libdfb.a:$(LIBDIR)/ 755:$B/$(SONAME):$(LIBDIR)/ \
	644:lib/libdfb.pc.in:$(LIBDIR)/pkgconfig/ 644:lib/dfb.h:$(INCDIR)/ \
	$(foreach m,$(MAN),644:$m:$(MANDIR)/man$(subst .,,$(suffix $m))/) \
	$(UNITS:%=644:%:$(UNITDIR)/) 644:systemd/dfb.conf:$(SYSUSERSDIR)/

install: all
	@set -eu; \
	for f in $(FILES); do \
	    mode=$${f%%:*} to='$(DESTDIR)'$${f##*:} from=$${f#*:}; from=$${from%:*}; \
	    name=$${from##*/}; to=$$to$${name%.in}; \
	    if [ "$$name" != "$${name%.in}" ]; then \
	        sed -e 's|@prefix@|$(PREFIX)|g' -e 's|@bindir@|$(BINDIR)|g' \
	            -e 's|@libdir@|$(LIBDIR)|g' -e 's|@includedir@|$(INCDIR)|g' \
	            -e 's|@version@|$(VERSION)|g' $$from >$B/$${name%.in}; \
	        from=$B/$${name%.in}; \
	    fi; \
	    install -D -m $$mode $$from "$$to"; \
	done; \
	ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libdfb.so'

uninstall:
	@for f in $(FILES) ::$(LIBDIR)/libdfb.so; do \
	    name=$${f%:*}; name=$${name##*/}; dir=$${f##*:}; \
	    case $$dir in */) dir=$$dir$${name##*:} ;; esac; \
	    rm -f "$(DESTDIR)$${dir%.in}"; \
	done

clean:
	rm -rf build

-include $(shell find $B/obj -name '*.d' 2>/dev/null)
