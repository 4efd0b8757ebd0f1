# SPDX-License-Identifier: Apache-2.0
#
# Builds Xen's xl, and nothing else of its tools tree, against Debian's libraries. Called by build-xen with
# XL_SOURCE (Xen's tools folder) and XL_OUT (where objects, and xl, go).

# What Xen's configure would have put into tools/config.h, with the paths that Debian's packages use.
PATHS := -DXEN_CONFIG_DIR='"/etc/xen"' -DXEN_SCRIPT_DIR='"/etc/xen/scripts"' -DXEN_LOCK_DIR='"/var/lock"' \
         -DXEN_DUMP_DIR='"/var/lib/xen/dump"' -DXEN_RUN_DIR='"/var/run/xen"' -DXENFIRMWAREDIR='"/usr/lib/xen-4.17/boot"' \
         -DHAVE_YAJL_YAJL_VERSION_H=1

OBJECTS := $(patsubst $(XL_SOURCE)/xl/%.c,$(XL_OUT)/%.o,$(wildcard $(XL_SOURCE)/xl/*.c))

$(XL_OUT)/xl: $(OBJECTS)
	$(CC) -o $@ $^ -lxlutil -lxenlight -lxentoollog -lyajl

# -idirafter: Xen's own copies of the library headers must not stand in for Debian's.
$(XL_OUT)/%.o: $(XL_SOURCE)/xl/%.c $(MAKEFILE_LIST)
	$(CC) -std=gnu99 -O2 -g -Wall -Wno-format-zero-length -Wno-declaration-after-statement -Wno-unused-but-set-variable -Wmissing-declarations -Wshadow -Werror \
	    $(PATHS) -idirafter $(XL_SOURCE)/include -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)
